//! The bill of materials of one image, as CycloneDX.
//!
//! Modelled at 1.5 with the `cyclonedx-bom` crate, whose newest version that is; 1.6 by a small step on the JSON. The
//! same image and facts are the same bytes: nothing is drawn, the serial number is made from the image's digest, the
//! time is the image's, lists are sorted and the JSON is canonical.

mod element;
mod facts;
mod formulation;
mod graph;
mod inventory;
mod write;

use cyclonedx_bom::external_models::date_time::DateTime;
use cyclonedx_bom::models::bom::{Bom, BomReference, SpecVersion, UrnUuid};
use cyclonedx_bom::models::component::{Classification, Component, Components};
use cyclonedx_bom::models::composition::{AggregateType, Composition, Compositions};
use cyclonedx_bom::models::external_reference::ExternalReferenceType;
use cyclonedx_bom::models::lifecycle::{Lifecycle, Lifecycles, Phase};
use cyclonedx_bom::models::metadata::Metadata;
use cyclonedx_bom::models::tool::Tools;
use oci_spec::image::Digest;
use uuid::Uuid;

use super::catalogue::Catalogue;
use super::error::SbomError;
use super::purl::PackageUrl;
use element::Pairs;
pub use facts::{ArchiveFacts, ArchiveKey, BelowFacts, ImageFacts, LayerFacts, ModuleSetFacts, Scanner};
use inventory::{Inventory, kernel_reference, module_reference, package_reference};
pub use write::SbomFormat;

/// Media type of the document and of the artifact that holds it.
pub const MEDIA_TYPE: &str = "application/vnd.cyclonedx+json";

/// The SBOM of one image.
#[derive(Debug, Clone)]
pub struct Sbom {
    bom: Bom,
    packages: usize,
    modules: usize,
}

/// The serial number of the SBOM of an image: UUID version 5 (RFC 9562) in the namespace of URLs, of
/// `urn:imgbuild:sbom:` and the digest of its manifest. Whoever has the digest can link to the SBOM.
pub fn serial_of(digest: &Digest) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("urn:imgbuild:sbom:{digest}").as_bytes())
}

impl Sbom {
    /// Describes an image.
    pub fn new(facts: &ImageFacts, catalogue: &Catalogue) -> Self {
        let modules = catalogue.modules.iter().filter(|module| module.file.layer >= facts.linked_layers).collect();
        let inventory = Inventory { facts, catalogue, modules };
        let root = root_url(facts).to_string();
        let bom = Bom {
            version: 1,
            serial_number: Some(UrnUuid::from(serial_of(&facts.digest))),
            metadata: Some(metadata(&inventory, &root)),
            components: Some(Components(inventory.components())),
            services: None,
            external_references: None,
            dependencies: Some(graph::dependencies(&root, &inventory)),
            compositions: Some(compositions(&inventory, &root)),
            properties: None,
            vulnerabilities: None,
            signature: None,
            annotations: None,
            formulation: formulation::formulas(&inventory),
            spec_version: SpecVersion::V1_5,
        };
        Self { bom, packages: catalogue.packages.len(), modules: inventory.modules.len() }
    }

    /// A document of ours, as builds keep it, in another format.
    ///
    /// # Errors
    /// When it is no JSON.
    pub fn rewrite(kept: &[u8], format: SbomFormat) -> Result<Vec<u8>, SbomError> {
        write::rewrite(kept, format)
    }

    /// How many packages it lists.
    pub fn packages(&self) -> usize {
        self.packages
    }

    /// How many kernel modules it lists.
    pub fn modules(&self) -> usize {
        self.modules
    }

    /// The document.
    ///
    /// # Errors
    /// When it would not be valid: our mistake.
    pub fn to_json(&self, format: SbomFormat) -> Result<Vec<u8>, SbomError> {
        write::to_json(&self.bom, format)
    }
}

fn root_url(facts: &ImageFacts) -> PackageUrl {
    let name = facts.name.rsplit('/').next().unwrap_or(&facts.name);
    let name = name.split([':', '@']).next().unwrap_or(name).to_lowercase();
    PackageUrl::new("oci", None, &name, facts.digest.as_ref()).qualifier("arch", &facts.architecture)
}

fn metadata(inventory: &Inventory<'_>, root: &str) -> Metadata {
    let facts = inventory.facts;
    let built_here = facts.layers.iter().any(|layer| layer.tier.is_some());
    let phase = if built_here { Phase::Build } else { Phase::PostBuild };
    let contact = facts.labels.get("org.opencontainers.image.authors").map(|text| element::contact(text));
    Metadata {
        timestamp: DateTime::try_from(facts.created.to_rfc3339()).ok(),
        tools: Some(Tools::Object { services: None, components: Some(Components(tools(facts))) }),
        authors: contact.or_else(|| author(inventory)).map(|author| vec![author]),
        component: Some(root_component(inventory, root)),
        manufacture: inventory.maker(),
        supplier: inventory.maker(),
        licenses: None,
        properties: None,
        lifecycles: Some(Lifecycles(vec![Lifecycle::Phase(phase)])),
    }
}

/// Who answers for the document, where nobody is named as its author: whoever made the image.
fn author(inventory: &Inventory<'_>) -> Option<cyclonedx_bom::models::organization::OrganizationalContact> {
    inventory.maker().and_then(|maker| maker.name).map(|name| element::contact(&name))
}

fn tools(facts: &ImageFacts) -> Vec<Component> {
    let own = element::component(Classification::Application, "tool:imgbuild", "imgbuild", env!("CARGO_PKG_VERSION"));
    let scanner = facts.scanner.iter().map(|scanner| {
        let reference = format!("tool:{}", scanner.name);
        let mut component =
            element::component(Classification::Application, &reference, &scanner.name, &scanner.version);
        component.supplier = Some(element::organisation(&scanner.vendor, None, None));
        component
    });
    std::iter::once(own).chain(scanner).collect()
}

fn root_component(inventory: &Inventory<'_>, root: &str) -> Component {
    let facts = inventory.facts;
    let mut component = element::component(Classification::Container, root, &facts.name, facts.digest.as_ref());
    component.supplier = inventory.maker();
    component.hashes = element::digests(&facts.manifest);
    component.purl = element::purl(&root_url(facts));
    let label = facts.labels.get("org.opencontainers.image.licenses").map(|text| super::licence::of_tag(text));
    component.licenses = Some(element::licences(&label.unwrap_or_else(|| inventory.aggregate_licence())));
    let link = |below: &BelowFacts| (ExternalReferenceType::Bom, format!("urn:cdx:{}/1", serial_of(&below.digest)));
    component.external_references = element::references(facts.below.iter().map(link).collect());
    let mut pairs = Pairs::new();
    for (number, below) in facts.below.iter().enumerate() {
        pairs.insert(format!("imgbuild:base:{number}"), format!("{}@{}", below.name, below.digest));
    }
    if let Some(database) = &inventory.catalogue.database {
        pairs.insert("imgbuild:package-database".to_owned(), format!("/{database}"));
    }
    component.properties = element::properties(pairs);
    component
}

/// What the lists claim: what packages, kernels and modules need of each other is all there. Of the image as a whole that
/// is not so: files that no package brought are not listed.
fn compositions(inventory: &Inventory<'_>, root: &str) -> Compositions {
    let catalogue = inventory.catalogue;
    let os = catalogue.os.as_ref().map(|(os, _)| os);
    let packages = catalogue.packages.iter().map(|installed| package_reference(&installed.package, os));
    let kernels = catalogue.kernels.iter().map(kernel_reference);
    let modules = inventory.modules.iter().map(|module| module_reference(module));
    let mut references: Vec<_> = packages.chain(kernels).chain(modules).collect();
    references.sort();
    references.dedup();
    let references: Vec<_> = references.into_iter().map(BomReference::new).collect();
    let composition = |aggregate, assemblies, dependencies| Composition {
        bom_ref: None,
        aggregate,
        assemblies,
        dependencies,
        vulnerabilities: None,
        signature: None,
    };
    let whole = if catalogue.database.is_some() { AggregateType::Incomplete } else { AggregateType::Unknown };
    let of_root = composition(whole, Some(vec![BomReference::new(root)]), None);
    if references.is_empty() {
        return Compositions(vec![of_root]);
    }
    let complete = composition(AggregateType::Complete, None, Some(references));
    Compositions(vec![complete, of_root])
}
