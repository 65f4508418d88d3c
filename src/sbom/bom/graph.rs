//! Who needs whom: resolved within the image.

use std::collections::{BTreeMap, BTreeSet};

use cyclonedx_bom::models::dependency::{Dependencies, Dependency};

use super::super::package::Package;
use super::inventory::{Inventory, kernel_reference, module_reference, os_reference, package_reference};

/// The whole graph, from `root` on; sorted.
pub(super) fn dependencies(root: &str, inventory: &Inventory<'_>) -> Dependencies {
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    add_packages(inventory, &mut graph);
    add_kernels(inventory, &mut graph);
    if let Some((os, _)) = &inventory.catalogue.os {
        graph.entry(os_reference(os)).or_default();
    }
    // An image contains all of it, whether something else in it needs it or not.
    let all = graph.keys().cloned().collect();
    graph.insert(root.to_owned(), all);
    let edges = graph.into_iter().map(|(from, to)| Dependency {
        dependencies: to.into_iter().filter(|to| *to != from).collect(),
        dependency_ref: from,
    });
    Dependencies(edges.collect())
}

fn add_packages(inventory: &Inventory<'_>, graph: &mut BTreeMap<String, BTreeSet<String>>) {
    let packages: Vec<&Package> = inventory.catalogue.packages.iter().map(|installed| &installed.package).collect();
    let os = inventory.catalogue.os.as_ref().map(|(os, _)| os);
    let providers = Providers::new(&packages);
    for package in &packages {
        let needed = package.requires.iter().filter_map(|group| providers.first(group));
        let references = needed.map(|index| package_reference(packages[index], os));
        graph.entry(package_reference(package, os)).or_default().extend(references);
    }
}

fn add_kernels(inventory: &Inventory<'_>, graph: &mut BTreeMap<String, BTreeSet<String>>) {
    let os = inventory.catalogue.os.as_ref().map(|(os, _)| os);
    for kernel in &inventory.catalogue.kernels {
        let reference = kernel_reference(kernel);
        // The package is the way the kernel came in, so what needs the package needs the kernel.
        if let Some(package) = inventory.kernel_package(kernel) {
            graph.entry(package_reference(&package.package, os)).or_default().insert(reference.clone());
        }
        graph.entry(reference).or_default();
    }
    let by_name = inventory.modules_by_name();
    for module in &inventory.modules {
        let release = module.release.as_str();
        let depends = module.facts.iter().flat_map(|facts| &facts.depends);
        let others = depends.filter_map(|name| by_name.get(&(release, name.replace('-', "_"))).cloned());
        let kernel = inventory.catalogue.kernels.iter().find(|kernel| kernel.release == module.release);
        graph.entry(module_reference(module)).or_default().extend(others.chain(kernel.map(kernel_reference)));
    }
}

/// Which package provides a capability: one of that name before one that says so, then the first.
struct Providers<'a> {
    named: BTreeMap<&'a str, usize>,
    provided: BTreeMap<&'a str, usize>,
}

impl<'a> Providers<'a> {
    fn new(packages: &[&'a Package]) -> Self {
        let mut providers = Self { named: BTreeMap::new(), provided: BTreeMap::new() };
        for (index, package) in packages.iter().enumerate() {
            providers.named.entry(&package.name).or_insert(index);
            for capability in &package.provides {
                providers.provided.entry(capability).or_insert(index);
            }
        }
        providers
    }

    /// The provider of the first alternative that has one.
    fn first(&self, group: &[String]) -> Option<usize> {
        group.iter().find_map(|name| {
            let name = name.as_str();
            self.named.get(name).or_else(|| self.provided.get(name)).copied()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sbom::PackageKind;

    #[test]
    fn the_first_alternative_that_is_there_counts() {
        let mut mta = Package::new(PackageKind::Deb, "exim", "1", "amd64");
        mta.provides = vec!["mail-transport-agent".to_owned()];
        let bash = Package::new(PackageKind::Deb, "bash", "1", "amd64");
        let packages = [&bash, &mta];
        let providers = Providers::new(&packages);
        let first = |group: &[&str]| providers.first(&group.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        assert_eq!(first(&["postfix", "mail-transport-agent"]), Some(1));
        assert_eq!(first(&["bash", "exim"]), Some(0));
        assert_eq!(first(&["postfix"]), None);
    }
}
