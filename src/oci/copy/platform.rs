//! Choosing the image of one platform from an index.

use oci_spec::image::{Arch, Descriptor, ImageIndex, MediaType, Os, Platform};

/// `os/architecture[/variant]`, as every tool prints it.
pub(super) fn describe(platform: &Platform) -> String {
    name(platform.os(), platform.architecture(), platform.variant().as_deref())
}

/// The same from its parts.
pub(super) fn name(os: &Os, architecture: &Arch, variant: Option<&str>) -> String {
    match variant {
        Some(variant) => format!("{os}/{architecture}/{variant}"),
        None => format!("{os}/{architecture}"),
    }
}

/// The first entry for the platform, as the image specification asks.
///
/// An only entry that names no platform counts too; the image's configuration will tell.
pub(super) fn select<'a>(index: &'a ImageIndex, wanted: &Platform) -> Option<&'a Descriptor> {
    let matching = entries(index).find(|entry| entry.platform().as_ref().is_some_and(|found| same(found, wanted)));
    matching.or_else(|| match entries(index).collect::<Vec<_>>()[..] {
        [only] if only.platform().is_none() => Some(only),
        _ => None,
    })
}

/// What the index offers, for the message that says it is not enough.
pub(super) fn available(index: &ImageIndex) -> Vec<String> {
    let described = |entry: &Descriptor| entry.platform().as_ref().map_or_else(|| "(no platform)".to_owned(), describe);
    entries(index).map(described).collect()
}

/// Whether a configuration's platform is the one wanted.
pub(super) fn is_for(wanted: &Platform, os: &Os, architecture: &Arch) -> bool {
    wanted.os() == os && wanted.architecture() == architecture
}

/// Leaves out what is no image: BuildKit files its attestations under `unknown/unknown`.
fn entries(index: &ImageIndex) -> impl Iterator<Item = &Descriptor> {
    index.manifests().iter().filter(|entry| {
        let unknown = |platform: &Platform| {
            platform.os().to_string() == "unknown" || platform.architecture().to_string() == "unknown"
        };
        *entry.media_type() != MediaType::ImageIndex && !entry.platform().as_ref().is_some_and(unknown)
    })
}

fn same(found: &Platform, wanted: &Platform) -> bool {
    found.os() == wanted.os() && found.architecture() == wanted.architecture() && variant(found) == variant(wanted)
}

/// The variant, with the one that an absent variant means made explicit (image-spec, platform variants).
fn variant(platform: &Platform) -> Option<&str> {
    let usual = match platform.architecture() {
        Arch::Amd64 => Some("v1"),
        Arch::ARM64 => Some("v8"),
        Arch::ARM => Some("v7"),
        _ => None,
    };
    platform.variant().as_deref().filter(|variant| !variant.is_empty()).or(usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        let parts: Vec<_> = text.split('/').collect();
        let mut platform = Platform::default();
        platform.set_os(Os::from(parts[0])).set_architecture(Arch::from(parts[1]));
        platform.set_variant(parts.get(2).map(|variant| (*variant).to_owned()));
        platform
    }

    /// An index whose entries have sizes 0, 1, 2, …; `-` is an entry without a platform.
    fn index(platforms: &[&str]) -> ImageIndex {
        let digest = crate::oci::hash::sha256(b"");
        let entries = platforms.iter().zip(0..).map(|(text, size)| {
            let mut entry = Descriptor::new(MediaType::ImageManifest, size, digest.clone());
            entry.set_platform((*text != "-").then(|| platform(text)));
            entry
        });
        let mut index = ImageIndex::default();
        index.set_manifests(entries.collect());
        index
    }

    #[test]
    fn the_first_real_match_is_chosen() {
        for (entries, wanted, chosen) in [
            (&["linux/arm64", "linux/amd64", "linux/amd64"][..], "linux/amd64", Some(1)),
            (&["unknown/unknown", "linux/amd64"], "linux/amd64", Some(1)),
            (&["linux/amd64/v3", "linux/amd64"], "linux/amd64", Some(1)),
            (&["linux/amd64/v3"], "linux/amd64", None),
            (&["linux/amd64/v1"], "linux/amd64", Some(0)),
            (&["linux/arm64/v8"], "linux/arm64", Some(0)),
            (&["linux/arm/v6", "linux/arm/v7"], "linux/arm", Some(1)),
            (&["windows/amd64"], "linux/amd64", None),
            (&["-"], "linux/amd64", Some(0)),
            (&["-", "unknown/unknown"], "linux/amd64", Some(0)),
            (&["-", "-"], "linux/amd64", None),
            (&["unknown/unknown"], "unknown/unknown", None),
            (&[], "linux/amd64", None),
        ] {
            let index = index(entries);
            let found = select(&index, &platform(wanted)).map(Descriptor::size);
            assert_eq!(found, chosen, "{wanted} in {entries:?}");
        }
    }

    #[test]
    fn what_is_available_leaves_attestations_out() {
        let index = index(&["linux/arm64/v8", "unknown/unknown", "linux/s390x", "-"]);
        assert_eq!(available(&index), ["linux/arm64/v8", "linux/s390x", "(no platform)"]);
    }
}
