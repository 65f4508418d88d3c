//! Platforms: how they are written, and which image of an index serves one.

use oci_spec::image::{Arch, Descriptor, ImageConfiguration, ImageIndex, Platform};

use super::document::DocumentKind;

/// `os/architecture[/variant]`, as every tool prints it.
pub fn show(platform: &Platform) -> String {
    let variant = platform.variant().as_deref().map(|variant| format!("/{variant}")).unwrap_or_default();
    format!("{}/{}{variant}", platform.os(), platform.architecture())
}

/// The platform a configuration states: only the fields that matter on Linux.
pub(super) fn of_config(config: &ImageConfiguration) -> Platform {
    let mut platform = Platform::default();
    platform.set_os(config.os().clone());
    platform.set_architecture(config.architecture().clone());
    platform.set_variant(config.variant().clone());
    platform
}

/// Whether an image whose configuration states `found` is one for `wanted`.
///
/// Without a variant wanted the configuration may state any: the index was chosen by the usual one already, and
/// a name may lead to an image directly.
pub(super) fn serves(found: &Platform, wanted: &Platform) -> bool {
    found.os() == wanted.os()
        && found.architecture() == wanted.architecture()
        && (wanted.variant().is_none() || variant(found) == variant(wanted))
}

/// The entries of an index that are images, or lead to some.
///
/// Leaves out what is no image: BuildKit files its attestations under `unknown/unknown`.
pub(super) fn images(index: &ImageIndex) -> Vec<&Descriptor> {
    let unknown = |platform: &Platform| {
        platform.os().to_string() == "unknown" || platform.architecture().to_string() == "unknown"
    };
    let is_image = |entry: &&Descriptor| {
        DocumentKind::of_media_type(entry.media_type()).is_some() && !entry.platform().as_ref().is_some_and(unknown)
    };
    index.manifests().iter().filter(is_image).collect()
}

/// The first candidate for the platform, as the image specification asks; without one wanted, the only candidate.
///
/// An only candidate that names no platform counts too; the image's configuration will tell.
pub(super) fn choose<'a>(candidates: &[&'a Descriptor], wanted: Option<&Platform>) -> Option<&'a Descriptor> {
    match (candidates, wanted) {
        ([only], wanted) if wanted.is_none() || only.platform().is_none() => Some(only),
        (_, None) => None,
        (_, Some(wanted)) => {
            let matches = |entry: &&&Descriptor| entry.platform().as_ref().is_some_and(|found| same(found, wanted));
            candidates.iter().find(matches).copied()
        }
    }
}

/// What there is to choose from, for the message that says it is not enough.
pub(super) fn list(candidates: &[&Descriptor]) -> Vec<String> {
    let show = |entry: &&Descriptor| entry.platform().as_ref().map_or_else(|| "(no platform)".to_owned(), show);
    candidates.iter().map(show).collect()
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
    use oci_spec::image::{MediaType, Os};

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
        let digest = crate::oci::sha256(b"");
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
            let found = choose(&images(&index), Some(&platform(wanted))).map(Descriptor::size);
            assert_eq!(found, chosen, "{wanted} in {entries:?}");
        }
    }

    #[test]
    fn what_is_available_leaves_attestations_out() {
        let index = index(&["linux/arm64/v8", "unknown/unknown", "linux/s390x", "-"]);
        assert_eq!(list(&images(&index)), ["linux/arm64/v8", "linux/s390x", "(no platform)"]);
    }
}
