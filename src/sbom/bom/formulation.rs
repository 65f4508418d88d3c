//! How modules came to be: what was compiled, with what, for which kernel.

use cyclonedx_bom::models::bom::BomReference;
use cyclonedx_bom::models::component::{Classification, Component, Components};
use cyclonedx_bom::models::formulation::Formula;
use cyclonedx_bom::models::formulation::workflow::input::{Input, RequiredInputField};
use cyclonedx_bom::models::formulation::workflow::output::{Output, RequiredOutputField, Type};
use cyclonedx_bom::models::formulation::workflow::resource_reference::ResourceReference;
use cyclonedx_bom::models::formulation::workflow::{TaskType, Workflow};

use super::super::package::{Package, PackageKind};
use super::element::{self, Pairs};
use super::facts::{ArchiveFacts, ArchiveKey, ModuleSetFacts};
use super::inventory::{Inventory, kernel_reference, module_reference};

/// One formula per set of modules; `None` when nothing was compiled.
pub(super) fn formulas(inventory: &Inventory<'_>) -> Option<Vec<Formula>> {
    let all: Vec<Formula> = inventory.facts.module_sets.iter().map(|set| formula(inventory, set)).collect();
    (!all.is_empty()).then_some(all)
}

fn formula(inventory: &Inventory<'_>, set: &ModuleSetFacts) -> Formula {
    let components = set.packages.iter().map(|(key, archive)| tool(inventory, set, key, archive)).collect();
    Formula {
        bom_ref: Some(BomReference::new(format!("formula:{}", set.name))),
        components: Some(Components(components)),
        services: None,
        workflows: Some(vec![workflow(inventory, set)]),
        properties: None,
    }
}

fn reference(set: &ModuleSetFacts, key: &ArchiveKey) -> String {
    format!("build:{}:{}@{}:{}", set.name, key.name, key.version, key.architecture)
}

/// A package that was there when the set was compiled and is not in the image.
fn tool(inventory: &Inventory<'_>, set: &ModuleSetFacts, key: &ArchiveKey, archive: &ArchiveFacts) -> Component {
    let kind = inventory.catalogue.packages.first().map_or(PackageKind::Deb, |installed| installed.package.kind);
    let mut package = Package::new(kind, &key.name, &key.version, &key.architecture);
    // A lock has rpm's epoch in the version.
    if let (PackageKind::Rpm, Some((epoch, version))) = (kind, key.version.split_once(':')) {
        package.epoch = epoch.parse().ok();
        package.version = version.to_owned();
    }
    let mut component =
        element::component(Classification::Application, &reference(set, key), &key.name, &package.version);
    component.purl = element::purl(&package.purl(inventory.catalogue.os.as_ref().map(|(os, _)| os)));
    component.hashes = element::hashes(Some(&archive.sha256), archive.sha512.as_deref());
    let mut pairs = Pairs::new();
    element::bsi(&mut pairs, &archive.file_name, false, true);
    pairs.insert("imgbuild:role".to_owned(), role(set, key).to_owned());
    component.properties = element::properties(pairs);
    component
}

/// What a package was there for, as far as its name says.
fn role(set: &ModuleSetFacts, key: &ArchiveKey) -> &'static str {
    let name = key.name.as_str();
    let version = key.version.split_once(':').map_or(key.version.as_str(), |(_, rest)| rest);
    if name.starts_with("linux-headers-") || name.starts_with("kernel-devel") {
        "headers"
    } else if (name.contains("-dkms") || name.contains("-kmod") || name.contains(&set.name))
        && version.starts_with(&set.version)
    {
        "source"
    } else {
        "tool"
    }
}

fn workflow(inventory: &Inventory<'_>, set: &ModuleSetFacts) -> Workflow {
    let kernel = inventory.catalogue.kernels.iter().find(|kernel| kernel.release == set.kernel);
    let packages = set.packages.iter().map(|(key, _)| reference(set, key));
    let inputs = packages.chain(kernel.map(kernel_reference)).map(|reference| Input {
        required: RequiredInputField::Resource(ResourceReference::Ref(reference)),
        source: None,
        target: None,
        properties: None,
    });
    let modules = inventory.modules.iter();
    let own = modules.filter(|module| inventory.set_of(module) == Some(&set.name));
    let outputs = own.map(|module| Output {
        required: RequiredOutputField::Resource(ResourceReference::Ref(module_reference(module))),
        r#type: Some(Type::Artifact),
        source: None,
        target: None,
        properties: None,
    });
    let bom_ref = format!("workflow:{}", set.name);
    Workflow {
        bom_ref: BomReference::new(&bom_ref),
        uid: bom_ref,
        name: Some(format!("{} {} for {}", set.name, set.version, set.kernel)),
        description: Some("compiles kernel modules from source, without network".to_owned()),
        resource_references: None,
        tasks: None,
        task_dependencies: None,
        task_types: vec![TaskType::Build],
        trigger: None,
        steps: None,
        inputs: Some(inputs.collect()),
        outputs: Some(outputs.collect()),
        time_start: None,
        time_end: None,
        workspaces: None,
        runtime_topology: None,
        properties: None,
    }
}
