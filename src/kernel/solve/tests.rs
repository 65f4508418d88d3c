use proptest::prelude::*;

use super::super::universe::{Headers, Kernel, PackageEntry, Provenance, Universe, flavour};
use super::super::version::PackageVersion;
use super::{Decision, Inputs, NoKernel, Pin, PinnedBy, Policy, solve};
use crate::model::KernelRelease;

/// The Debian 13 archive as it was on 2026-11-20: 43 images and 13 sets of headers per flavour.
const DEBIAN_13: &[(&str, &str)] = &[
    ("trixie", include_str!("../../../tests/fixtures/debian-13-kernels/trixie_main_Packages")),
    ("trixie-security", include_str!("../../../tests/fixtures/debian-13-kernels/trixie-security_main_Packages")),
    ("trixie-backports", include_str!("../../../tests/fixtures/debian-13-kernels/trixie-backports_main_Packages")),
];

fn debian_13() -> Universe {
    let mut universe = Universe::default();
    for (archive, index) in DEBIAN_13 {
        let entries = index.split("\n\n").filter_map(|stanza| {
            let field = |name: &str| stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            let (name, version, architecture) = (field("Package")?, field("Version")?, field("Architecture")?);
            Some(PackageEntry { name, version, architecture, provides: &[] })
        });
        universe.add_debs(entries, &Provenance::Archive((*archive).to_owned())).unwrap();
    }
    universe
}

fn release(text: &str) -> KernelRelease {
    text.parse().unwrap()
}

/// A base with the kernel of this name, as the archive has it.
fn base_of(universe: &Universe, wanted: &str) -> Vec<Kernel> {
    let found = universe.kernels.iter().find(|kernel| kernel.release.as_str() == wanted);
    vec![Kernel { provenance: Provenance::Base, ..found.unwrap_or_else(|| panic!("{wanted}")).clone() }]
}

fn auto(base: &[Kernel], headers: &[Headers]) -> Result<Decision, NoKernel> {
    pinned(base, headers, None)
}

fn pinned(base: &[Kernel], headers: &[Headers], pin: Option<(&str, PinnedBy)>) -> Result<Decision, NoKernel> {
    let policy = Policy { pin: pin.map(|(text, by)| Pin { release: release(text), by }), ..Policy::default() };
    solve(&Inputs { base: base.to_vec(), headers: headers.to_vec(), policy, ..Inputs::default() })
}

#[test]
fn the_frozen_archive_has_the_known_drift() {
    let universe = debian_13();
    let count = |releases: Vec<&KernelRelease>| {
        let cloud = releases.into_iter().filter(|release| flavour(release) == "cloud-amd64");
        cloud.collect::<std::collections::BTreeSet<_>>().len()
    };
    assert_eq!(count(universe.kernels.iter().map(|kernel| &kernel.release).collect()), 43);
    assert_eq!(count(universe.headers.iter().map(|headers| &headers.release).collect()), 13);
}

#[test]
fn the_base_kernel_is_taken_when_it_has_headers() {
    let universe = debian_13();
    let decision = auto(&base_of(&universe, "6.12.107+deb13-cloud-amd64"), &universe.headers).unwrap();
    assert_eq!(decision.release().as_str(), "6.12.107+deb13-cloud-amd64");
    assert_eq!(decision.headers.package, "linux-headers-6.12.107+deb13-cloud-amd64");
    assert_eq!(
        decision.reason,
        "the base's kernel, with headers on offer (linux-headers-6.12.107+deb13-cloud-amd64 6.12.107-1)"
    );
    assert_eq!(decision.base(), [release("6.12.107+deb13-cloud-amd64")]);
    assert_eq!(decision.on_offer().len(), 39);
    // The newest of all is a backport.
    assert_eq!(decision.on_offer()[0].as_str(), "7.3.4+deb13-rt-amd64");
}

#[test]
fn a_base_kernel_without_headers_fails_with_the_whole_table() {
    let universe = debian_13();
    let error = auto(&base_of(&universe, "6.12.100+deb13-cloud-amd64"), &universe.headers).unwrap_err();
    insta::assert_snapshot!(error, @r"
    no headers are on offer for the base's kernel 6.12.100+deb13-cloud-amd64
      kernel                        version           in base  headers  against it
      7.3.4+deb13-cloud-amd64       7.3.4-1~bpo13+1   -        yes      not in the base, and swap is never
      7.2.12+deb13-cloud-amd64      7.2.12-1~bpo13+1  -        yes      not in the base, and swap is never
      7.2.11+deb13-cloud-amd64      7.2.11-1~bpo13+1  -        yes      not in the base, and swap is never
      7.2.9+deb13-cloud-amd64       7.2.9-1~bpo13+1   -        yes      not in the base, and swap is never
      7.2.6+deb13-cloud-amd64       7.2.6-1~bpo13+1   -        yes      not in the base, and swap is never
      6.12.117+deb13-cloud-amd64    6.12.117-1        -        yes      not in the base, and swap is never
      6.12.116+deb13-cloud-amd64    6.12.116-1        -        yes      not in the base, and swap is never
      6.12.115+deb13.1-cloud-amd64  6.12.115-2        -        yes      not in the base, and swap is never
      6.12.115+deb13-cloud-amd64    6.12.115-1        -        yes      not in the base, and swap is never
      6.12.113+deb13-cloud-amd64    6.12.113-1        -        yes      not in the base, and swap is never
      6.12.111+deb13-cloud-amd64    6.12.111-1        -        yes      not in the base, and swap is never
      6.12.107+deb13-cloud-amd64    6.12.107-1        -        yes      not in the base, and swap is never
      6.12.100+deb13-cloud-amd64    6.12.100-1        yes      -        no headers on offer
      6.12.94+deb13-cloud-amd64     6.12.94-1         -        yes      not in the base, and swap is never
      not shown, other flavours: 13 amd64, 13 rt-amd64
    ");
    insta::assert_snapshot!(error.fix().unwrap(), @"take a base with another kernel (nearest with headers: 6.12.107+deb13-cloud-amd64 and 6.12.94+deb13-cloud-amd64), or add a repository that has headers for 6.12.100+deb13-cloud-amd64");
}

/// Kernel and headers drift apart in either direction, or never met.
#[test]
fn the_nearest_fix_names_the_direction() {
    let headers = |releases: &[&str]| releases.iter().map(|text| rpm_headers(text)).collect::<Vec<_>>();
    let base = [rpm_kernel("6.12.0-100.el10")];
    for (offers, expected) in [
        (&["6.12.0-90.el10"][..], "the base is newer than all headers"),
        (&["6.12.0-124.el10"], "the base is older than all headers"),
        (
            &["6.12.0-90.el10", "6.12.0-124.el10"],
            "nearest with headers: 6.12.0-124.el10.x86_64 and 6.12.0-90.el10.x86_64",
        ),
        (&[], "enable a repository"),
    ] {
        let fix = auto(&base, &headers(offers)).unwrap_err().fix().unwrap();
        assert!(fix.contains(expected), "{offers:?}: {fix}");
    }
}

#[test]
fn headers_of_another_flavour_do_not_count() {
    let universe = debian_13();
    let base = base_of(&universe, "6.12.107+deb13-amd64");
    let cloud: Vec<_> = universe.headers.iter().filter(|h| flavour(&h.release) == "cloud-amd64").cloned().collect();
    let error = auto(&base, &cloud).unwrap_err();
    insta::assert_snapshot!(error, @r"
    no headers are on offer for the base's kernel 6.12.107+deb13-amd64
      kernel                version     in base  headers  against it
      6.12.107+deb13-amd64  6.12.107-1  yes      -        no headers on offer
      not shown, other flavours: 13 cloud-amd64
    ");
}

#[test]
fn a_pin_must_be_the_base_kernel_and_have_headers() {
    let universe = debian_13();
    let base = base_of(&universe, "6.12.107+deb13-amd64");
    let pin = |text: &'static str, by| pinned(&base, &universe.headers, Some((text, by)));
    let decision = pin("6.12.107+deb13-amd64", PinnedBy::Definition).unwrap();
    assert!(decision.reason.starts_with("pinned by the definition"), "{}", decision.reason);
    let decision = pin("6.12.107+deb13-amd64", PinnedBy::CommandLine).unwrap();
    assert!(decision.reason.starts_with("asked for on the command line"), "{}", decision.reason);

    let error = pin("6.12.94+deb13-amd64", PinnedBy::Definition).unwrap_err();
    assert!(matches!(&error, NoKernel::PinNotInBase { .. }), "{error}");

    let base = base_of(&universe, "6.12.100+deb13-amd64");
    let own = Some(("6.12.100+deb13-amd64", PinnedBy::Definition));
    let error = pinned(&base, &universe.headers, own).unwrap_err();
    assert!(matches!(&error, NoKernel::NoHeaders { .. }), "{error}");
}

#[test]
fn an_empty_base_and_two_kernels_are_errors() {
    let universe = debian_13();
    assert_eq!(auto(&[], &universe.headers).unwrap_err(), NoKernel::BaseIsEmpty);
    let two: Vec<_> =
        ["6.12.94+deb13-amd64", "6.12.107+deb13-amd64"].iter().flat_map(|name| base_of(&universe, name)).collect();
    insta::assert_snapshot!(auto(&two, &universe.headers).unwrap_err(), @r"
    the base holds 2 kernels, and an image has exactly one:
      6.12.107+deb13-amd64 (linux-image-6.12.107+deb13-amd64 6.12.107-1)
      6.12.94+deb13-amd64 (linux-image-6.12.94+deb13-amd64 6.12.94-1)
    ");
}

/// One release can be rebuilt under a new package version; headers of the base's own build are better than newer ones.
#[test]
fn headers_of_the_same_build_come_first() {
    let build = |version: &str| Headers { version: deb(version), ..deb_headers() };
    let kernel = Kernel { version: deb("6.12.107-1"), ..deb_kernel() };
    let pick = |headers: &[Headers]| auto(std::slice::from_ref(&kernel), headers).unwrap();
    let decision = pick(&[build("6.12.107-2"), build("6.12.107-1"), build("6.12.107-3")]);
    assert_eq!(decision.headers.version.to_string(), "6.12.107-1");
    let decision = pick(&[build("6.12.107-2"), build("6.12.107-3")]);
    assert_eq!(decision.headers.version.to_string(), "6.12.107-3");
    assert!(decision.reason.contains("differ in package version from the kernel's 6.12.107-1"), "{}", decision.reason);
}

fn deb(version: &str) -> PackageVersion {
    PackageVersion::Deb(version.parse().unwrap())
}

fn deb_kernel() -> Kernel {
    Kernel {
        release: release("6.12.107+deb13-amd64"),
        package: "linux-image-6.12.107+deb13-amd64".into(),
        version: deb("6.12.107-1"),
        provenance: Provenance::Base,
    }
}

fn deb_headers() -> Headers {
    Headers {
        release: release("6.12.107+deb13-amd64"),
        package: "linux-headers-6.12.107+deb13-amd64".into(),
        version: deb("6.12.107-1"),
        provenance: Provenance::Archive("trixie".into()),
    }
}

fn rpm_kernel(evr: &str) -> Kernel {
    Kernel {
        release: release(&format!("{evr}.x86_64")),
        package: "kernel-core".into(),
        version: PackageVersion::Rpm(evr.parse().unwrap()),
        provenance: Provenance::Base,
    }
}

fn rpm_headers(evr: &str) -> Headers {
    Headers {
        release: release(&format!("{evr}.x86_64")),
        package: "kernel-devel".into(),
        version: PackageVersion::Rpm(evr.parse().unwrap()),
        provenance: Provenance::Archive("baseos".into()),
    }
}

proptest! {
    /// On any universe: the choice has headers, the table explains everything else, and the order of the input is nothing.
    #[test]
    fn chooses_with_headers_or_explains(
        base in 1_u8..12,
        offers in prop::collection::vec((1_u8..12, 0_u8..3), 0..20).prop_shuffle(),
    ) {
        let kernel = rpm_kernel(&format!("6.12.0-{base}.el10"));
        let headers: Vec<_> = offers
            .iter()
            .map(|(release, archive)| Headers {
                provenance: Provenance::Archive(archive.to_string()),
                ..rpm_headers(&format!("6.12.0-{release}.el10"))
            })
            .collect();
        let result = auto(std::slice::from_ref(&kernel), &headers);
        let expected = headers.iter().any(|offer| offer.release == kernel.release);
        prop_assert_eq!(result.is_ok(), expected);
        let candidates = match &result {
            Ok(decision) => {
                prop_assert_eq!(&decision.headers.release, decision.release());
                &decision.candidates
            }
            Err(NoKernel::NoHeaders { candidates, .. }) => candidates,
            Err(other) => return Err(TestCaseError::fail(other.to_string())),
        };
        prop_assert_eq!(candidates.iter().filter(|c| c.rejection.is_none()).count(), usize::from(expected));
        prop_assert!(candidates.is_sorted_by(|left, right| left.version() >= right.version()));
        let reversed: Vec<_> = headers.iter().rev().cloned().collect();
        prop_assert_eq!(auto(&[kernel], &reversed), result);
    }
}
