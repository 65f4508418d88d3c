//! The components: the distribution, packages, kernels, modules.

use std::collections::{BTreeMap, BTreeSet};

use cyclonedx_bom::external_models::normalized_string::NormalizedString;
use cyclonedx_bom::models::component::{Classification, Component};
use cyclonedx_bom::models::external_reference::ExternalReferenceType;
use cyclonedx_bom::models::organization::OrganizationalEntity;

use super::super::catalogue::{Catalogue, FileFacts, Installed};
use super::super::kernel::{Kernel, KernelModule};
use super::super::licence;
use super::super::os_release::OsRelease;
use super::super::package::{Package, PackageKind};
use super::super::purl::PackageUrl;
use super::element::{self, Pairs};
use super::facts::{ArchiveKey, ImageFacts};

/// The kernel's own licence, as its file `COPYING` has it.
const KERNEL_LICENCE: &str = "GPL-2.0-only WITH Linux-syscall-note";

/// Reference of a package in the document.
pub(super) fn package_reference(package: &Package, os: Option<&OsRelease>) -> String {
    package.purl(os).to_string()
}

/// Reference of a kernel in the document.
pub(super) fn kernel_reference(kernel: &Kernel) -> String {
    format!("kernel:{}", kernel.release)
}

/// Reference of a module in the document.
pub(super) fn module_reference(module: &KernelModule) -> String {
    format!("module:/{}", module.file.path)
}

/// Reference of the distribution in the document.
pub(super) fn os_reference(os: &OsRelease) -> String {
    format!("os:{}", os.distro())
}

/// Makes components of what was found.
pub(super) struct Inventory<'a> {
    pub(super) facts: &'a ImageFacts,
    pub(super) catalogue: &'a Catalogue,
    /// The modules that are listed here and not in an SBOM below.
    pub(super) modules: Vec<&'a KernelModule>,
}

impl<'a> Inventory<'a> {
    fn os(&self) -> Option<&OsRelease> {
        self.catalogue.os.as_ref().map(|(os, _)| os)
    }

    /// All components, the distribution first, each reference once.
    pub(super) fn components(&self) -> Vec<Component> {
        let os = self.catalogue.os.iter().map(|(os, file)| self.distribution(os, file));
        let packages = self.catalogue.packages.iter().map(|installed| self.package(installed));
        let kernels = self.catalogue.kernels.iter().map(|kernel| self.kernel(kernel));
        let modules = self.modules.iter().map(|module| self.module(module));
        let mut seen = BTreeSet::new();
        let all = os.chain(packages).chain(kernels).chain(modules);
        all.filter(|component| seen.insert(component.bom_ref.clone())).collect()
    }

    /// The licences of everything in the image together.
    pub(super) fn aggregate_licence(&self) -> String {
        let packages = self.catalogue.packages.iter().map(|installed| installed.licence.clone());
        let modules = self.catalogue.modules.iter().filter_map(|module| self.module_licence(module));
        let known = packages.chain(modules).filter(|licence| licence != licence::UNKNOWN);
        // Terms that are conjunctions themselves are taken apart, so that each licence stands once.
        let terms: BTreeSet<String> = known.flat_map(|expression| licence::conjuncts(&expression)).collect();
        licence::all_of(&terms).unwrap_or_else(|| licence::UNKNOWN.to_owned())
    }

    fn distribution(&self, os: &OsRelease, file: &FileFacts) -> Component {
        let version = if os.version.is_empty() { "rolling" } else { &os.version };
        let mut component = element::component(Classification::OperatingSystem, &os_reference(os), &os.id, version);
        component.description = os.pretty_name.as_deref().map(NormalizedString::new);
        component.supplier = self.distributor();
        component.hashes = element::digests(&file.digests);
        component.licenses = Some(element::licences(&self.aggregate_licence()));
        component.purl = element::purl(&PackageUrl::new("generic", None, &os.id, version));
        let links = [(ExternalReferenceType::Website, &os.home), (ExternalReferenceType::IssueTracker, &os.bugs)];
        let links = links.into_iter().filter_map(|(kind, url)| Some((kind, url.clone()?)));
        component.external_references = element::references(links.filter(|(_, url)| element::is_web(url)).collect());
        component.properties = element::properties(self.file_properties(file, false));
        component
    }

    fn distributor(&self) -> Option<OrganizationalEntity> {
        self.os().map(|os| element::organisation(&os.name, os.home.as_deref(), None))
    }

    fn package(&self, installed: &Installed) -> Component {
        let package = &installed.package;
        let reference = package_reference(package, self.os());
        let mut component = element::component(Classification::Library, &reference, &package.name, &package.version);
        component.description = package.summary.as_deref().map(NormalizedString::new);
        component.author = package.maintainer.as_deref().map(|text| NormalizedString::new(element::person(text)));
        component.supplier = self.package_supplier(package);
        component.licenses = Some(element::licences(&installed.licence));
        component.purl = element::purl(&package.purl(self.os()));
        let home = package.homepage.clone().filter(|url| element::is_web(url));
        component.external_references =
            element::references(home.map(|url| (ExternalReferenceType::Website, url)).into_iter().collect());
        let mut pairs = Pairs::new();
        if let Some(archive) = self.facts.archives.get(&ArchiveKey::of(package)) {
            component.hashes = element::hashes(Some(&archive.sha256), archive.sha512.as_deref());
            element::bsi(&mut pairs, &archive.file_name, false, true);
        }
        element::origin(&mut pairs, &self.facts.layers, installed.layer);
        if let Some(source) = &package.source {
            pairs.insert("imgbuild:source:name".to_owned(), source.clone());
            let version = package.source_version.clone().unwrap_or_else(|| package.full_version());
            if package.kind != PackageKind::Rpm {
                pairs.insert("imgbuild:source:version".to_owned(), version);
            }
        }
        component.properties = element::properties(pairs);
        component
    }

    /// Who made the package: as it says itself, else the distribution, else its maintainer.
    fn package_supplier(&self, package: &Package) -> Option<OrganizationalEntity> {
        let contact = package.maintainer.as_deref();
        if let Some(vendor) = &package.vendor {
            // SUSE's is `SUSE LLC <https://www.suse.com/>`.
            let page = vendor.split_once('<').map(|(_, rest)| rest.trim_end_matches('>'));
            return Some(element::organisation(element::person(vendor), page, contact));
        }
        match self.os() {
            Some(os) => Some(element::organisation(&os.name, os.home.as_deref(), contact)),
            None => contact.map(|text| element::organisation(element::person(text), None, contact)),
        }
    }

    fn kernel(&self, kernel: &Kernel) -> Component {
        let release = kernel.release.as_str();
        let mut component =
            element::component(Classification::OperatingSystem, &kernel_reference(kernel), "linux-kernel", release);
        component.supplier = self.distributor();
        component.hashes = element::digests(&kernel.image.digests);
        component.licenses = Some(element::licences(KERNEL_LICENCE));
        component.purl = element::purl(&PackageUrl::new("generic", None, "linux-kernel", release));
        let mut pairs = self.file_properties(&kernel.image, true);
        if let Some(package) = self.kernel_package(kernel) {
            pairs.insert("imgbuild:package".to_owned(), package_reference(&package.package, self.os()));
        }
        component.properties = element::properties(pairs);
        component
    }

    /// The package whose name or version says that it is this kernel's.
    pub(super) fn kernel_package(&self, kernel: &Kernel) -> Option<&Installed> {
        let release = kernel.release.as_str();
        self.catalogue.packages.iter().find(|installed| {
            let package = &installed.package;
            let of_rpm = || format!("{}.{}", package.version, package.architecture) == release;
            [format!("linux-image-{release}"), format!("linux-image-unsigned-{release}")].contains(&package.name)
                || (["kernel-core", "kernel"].contains(&package.name.as_str()) && of_rpm())
        })
    }

    fn module(&self, module: &KernelModule) -> Component {
        let (name, version) = (module.name(), self.module_version(module));
        let mut component =
            element::component(Classification::DeviceDriver, &module_reference(module), &name, &version);
        component.supplier = if self.set_of(module).is_some() { self.maker() } else { self.distributor() };
        component.hashes = element::digests(&module.file.digests);
        let licence = self.module_licence(module);
        component.licenses = Some(element::licences(licence.as_deref().unwrap_or(licence::UNKNOWN)));
        let url = PackageUrl::new("generic", Some("linux-module"), &name, &version)
            .qualifier("kernel", module.release.as_str());
        component.purl = element::purl(&url);
        let mut pairs = self.file_properties(&module.file, true);
        self.module_properties(module, &mut pairs);
        component.properties = element::properties(pairs);
        component
    }

    fn module_licence(&self, module: &KernelModule) -> Option<String> {
        licence::of_modules(&module.facts.as_ref()?.licences)
    }

    /// A set's modules have the set's version, others their own or their kernel's.
    fn module_version(&self, module: &KernelModule) -> String {
        let set = self.set_of(module).and_then(|name| self.facts.module_sets.iter().find(|set| set.name == name));
        let own = module.facts.as_ref().filter(|facts| !facts.in_tree).and_then(|facts| facts.version.clone());
        set.map(|set| set.version.clone()).or(own).unwrap_or_else(|| module.release.to_string())
    }

    /// The set a module was compiled in: known by the layer it is in.
    pub(super) fn set_of(&self, module: &KernelModule) -> Option<&str> {
        self.facts.layers.get(module.file.layer)?.module_set.as_deref()
    }

    fn module_properties(&self, module: &KernelModule, pairs: &mut Pairs) {
        let mut set = |name: &str, value: String| drop(pairs.insert(format!("imgbuild:module:{name}"), value));
        set("kernel", module.release.to_string());
        if let Some(name) = self.set_of(module) {
            set("set", name.to_owned());
        }
        let Some(facts) = &module.facts else { return };
        set("in-tree", facts.in_tree.to_string());
        set("aliases", facts.aliases.to_string());
        let own = [("vermagic", &facts.vermagic), ("srcversion", &facts.srcversion), ("version", &facts.version)];
        for (name, value) in own {
            value.iter().for_each(|value| set(name, value.clone()));
        }
        if !facts.licences.is_empty() {
            set("licence", facts.licences.join(", "));
        }
        if let Some(sha256) = &facts.decompressed {
            set("decompressed:sha256", sha256.clone());
        }
        match &facts.signature {
            Some(signature) => {
                set("signed", "true".to_owned());
                set("signer", signature.signer.clone());
                set("signature:digest", signature.digest.clone());
            }
            None => set("signed", "false".to_owned()),
        }
    }

    /// Who made the image, by its labels.
    pub(super) fn maker(&self) -> Option<OrganizationalEntity> {
        let label = |name: &str| self.facts.labels.get(&format!("org.opencontainers.image.{name}")).map(String::as_str);
        let contact = label("authors");
        let name = label("vendor").or_else(|| contact.map(element::person))?;
        Some(element::organisation(name, label("url").or_else(|| label("documentation")), contact))
    }

    fn file_properties(&self, file: &FileFacts, executable: bool) -> Pairs {
        let mut pairs = Pairs::new();
        element::bsi(&mut pairs, file.path.rsplit('/').next().unwrap_or_default(), executable, false);
        pairs.insert("imgbuild:path".to_owned(), format!("/{}", file.path));
        element::origin(&mut pairs, &self.facts.layers, file.layer);
        pairs
    }

    /// References of modules by their names, for each kernel.
    pub(super) fn modules_by_name(&self) -> BTreeMap<(&'a str, String), String> {
        let entry = |module: &&'a KernelModule| ((module.release.as_str(), module.name()), module_reference(module));
        self.modules.iter().map(entry).collect()
    }
}
