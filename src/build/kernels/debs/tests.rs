use super::*;
use crate::kernel::{Inputs, ModuleSet, Policy, Swap, solve};

/// The Debian 13 archive as it was on 2026-11-20.
const DEBIAN_13: [(&str, &str); 3] = [
    ("trixie/main", include_str!("../../../../tests/fixtures/debian-13-kernels/trixie_main_Packages")),
    (
        "trixie-security/main",
        include_str!("../../../../tests/fixtures/debian-13-kernels/trixie-security_main_Packages"),
    ),
    ("backports/main", include_str!("../../../../tests/fixtures/debian-13-kernels/trixie-backports_main_Packages")),
];

const CLOUD: &str = "6.12.100+deb13-cloud-amd64";

/// A base with that kernel, the package that points to the newest, and two that have nothing to do with it.
const STATUS: &str = "\
Package: linux-image-6.12.100+deb13-cloud-amd64
Status: install ok installed
Architecture: amd64
Version: 6.12.100-1
Depends: kmod, dracut | linux-initramfs-tool

Package: linux-image-cloud-amd64
Status: install ok installed
Architecture: amd64
Version: 6.12.100-1
Provides: wireguard-modules (= 1.0.0)
Depends: linux-image-6.12.100+deb13-cloud-amd64 (= 6.12.100-1)

Package: site-kernel
Status: install ok installed
Architecture: all
Version: 1
Depends: libc6:any (>= 2.40), linux-image-cloud-amd64 (>= 6.12) | linux-image-site

Package: wireguard-tools
Status: install ok installed
Architecture: amd64
Version: 1.0
Depends: linux-image-cloud-amd64 | kmod

Package: kmod
Status: install ok installed
Architecture: amd64
Version: 34.2-2

Package: linux-image-6.12.94+deb13-cloud-amd64
Status: deinstall ok config-files
Architecture: amd64
Version: 6.12.94-1
";

fn indexes() -> Vec<Index> {
    DEBIAN_13.map(|(archive, text)| Index { archive: archive.into(), text: text.into() }).into()
}

fn found() -> Found {
    find(STATUS, &indexes(), "amd64").unwrap()
}

fn names(parts: &[Part]) -> Vec<&str> {
    parts.iter().map(|part| part.name.as_str()).collect()
}

fn set_of<'f>(found: &'f Found, release: &str) -> &'f KernelSet {
    found.swaps.iter().find(|set| set.release.as_str() == release).unwrap()
}

#[test]
fn what_is_installed_moves_or_goes_with_the_kernel() {
    let found = found();
    assert_eq!(found.base.iter().map(|kernel| kernel.release.as_str()).collect::<Vec<_>>(), [CLOUD]);
    assert_eq!(names(&found.moving), ["linux-image-6.12.100+deb13-cloud-amd64"]);
    // Neither what has another way out nor what was removed.
    assert_eq!(names(&found.pointing), ["linux-image-cloud-amd64", "site-kernel"]);
}

#[test]
fn every_kernel_and_all_headers_of_the_archive_are_seen_once() {
    let found = found();
    let releases: BTreeSet<_> = found.swaps.iter().map(|set| &set.release).collect();
    assert_eq!((releases.len(), found.swaps.len()), (129, 129));
    assert_eq!(found.headers.len(), 39);
    let of = |release: &str| found.headers.iter().find(|headers| headers.release.as_str() == release).unwrap();
    assert_eq!(of("6.12.117+deb13-amd64").provenance, Provenance::Archive("trixie-security/main".into()));
    assert_eq!(of("7.2.12+deb13-amd64").provenance, Provenance::Archive("backports/main".into()));
}

#[test]
fn a_kernel_is_its_image_and_what_that_needs_under_its_name() {
    let found = found();
    assert_eq!(names(&set_of(&found, CLOUD).packages), ["linux-image-6.12.100+deb13-cloud-amd64"]);
    let newer = set_of(&found, "7.2.12+deb13-cloud-amd64");
    assert_eq!(
        names(&newer.packages),
        ["base", "binary", "image", "modules"].map(|part| format!("linux-{part}-7.2.12+deb13-cloud-amd64"))
    );
    assert!(newer.missing.is_empty(), "{:?}", newer.missing);
}

#[test]
fn what_is_not_on_offer_is_missing() {
    let name = "linux-modules-7.2.12+deb13-cloud-amd64";
    let mut indexes = indexes();
    for index in &mut indexes {
        // Only the package is renamed; what others need stays.
        index.text = index.text.replace(&format!("Package: {name}\n"), "Package: linux-modules-gone\n");
    }
    let found = find(STATUS, &indexes, "amd64").unwrap();
    assert_eq!(set_of(&found, "7.2.12+deb13-cloud-amd64").missing, [name.to_owned()].into());
    // A version other than the one asked for is none either.
    for index in &mut indexes {
        index.text = index
            .text
            .replace("linux-base-7.2.11+deb13-amd64 (= 7.2.11-1", "linux-base-7.2.11+deb13-amd64 (= 7.2.11-2");
    }
    let found = find(STATUS, &indexes, "amd64").unwrap();
    assert_eq!(set_of(&found, "7.2.11+deb13-amd64").missing, ["linux-base-7.2.11+deb13-amd64".to_owned()].into());
}

/// A base whose kernel has no headers, and ZFS 2.3.9, which ends at 7.2: the newest that has everything.
#[test]
fn a_swap_takes_all_packages_and_what_points_to_the_old_kernel_goes() {
    let Found { base, moving, pointing, headers, swaps, .. } = found();
    let policy = Policy { swap: Swap::Allow, ..Policy::default() };
    let zfs = ModuleSet { max: Some("7.2".parse().unwrap()), ..ModuleSet::any("zfs".parse().unwrap(), "2.3.9-1") };
    let inputs = Inputs { base, moving, pointing, headers, swaps, policy, sets: vec![zfs], ..Inputs::default() };
    let decision = solve(&inputs).unwrap();
    assert_eq!(decision.release().as_str(), "7.2.12+deb13-cloud-amd64");
    let swap = decision.swap.unwrap();
    assert_eq!(
        names(&swap.remove),
        ["linux-image-6.12.100+deb13-cloud-amd64", "linux-image-cloud-amd64", "site-kernel"]
    );
    assert_eq!(swap.install.len(), 4);
}

#[test]
fn a_damaged_index_is_named() {
    let index = Index { archive: "site".into(), text: "Package: linux-x\nnonsense\n".into() };
    let error = find(STATUS, &[index], "amd64").unwrap_err();
    assert_eq!(error.to_string(), "the package index of site cannot be read");
}
