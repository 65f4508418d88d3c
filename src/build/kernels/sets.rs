//! What module sets say about kernels, put together from their manifests and their sources.

use std::collections::BTreeSet;

use crate::config::{KmodSet, Supports};
use crate::kernel::ModuleSet;

/// A set as the decision sees it; `version` is that of the package its source is in, `upstream` the source's own.
pub(in crate::build) fn module_set(set: &KmodSet, version: &str, upstream: &str) -> ModuleSet {
    let any = ModuleSet::any(set.name.clone(), version);
    if !set.supports.is_about(upstream) {
        return any;
    }
    let Supports { version: _, min, max, reach, kernel, arch, config } = set.supports.clone();
    ModuleSet { min, max, reach, kernel, arch, config: config.into_iter().collect(), ..any }
}

/// Symbols of the kernel's configuration that any of the sets asks for.
pub(in crate::build) fn symbols(sets: &[ModuleSet]) -> BTreeSet<String> {
    let all = sets.iter().flat_map(|set| &set.config);
    all.map(|symbol| symbol.strip_prefix('!').unwrap_or(symbol).to_owned()).collect()
}

/// The middle of `[epoch:]upstream[-revision]`.
pub(in crate::build) fn deb_upstream(version: &str) -> &str {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    version.rsplit_once('-').map_or(version, |(upstream, _)| upstream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upstream_version_is_between_epoch_and_revision() {
        for (version, upstream) in [
            ("2.3.9-1~deb13u1", "2.3.9"),
            ("1:4.1.13-1.1", "4.1.13"),
            ("550.163.01-2", "550.163.01"),
            ("1.0", "1.0"),
            ("1-2-3", "1-2"),
        ] {
            assert_eq!(deb_upstream(version), upstream);
        }
    }
}
