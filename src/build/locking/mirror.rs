//! Resolving a tier 1 that is an upstream image.

use super::super::{BuildError, Project, Session, chain, conventions, mirror};
use super::tier2::config_paths;
use crate::config::{LockedTier1, Mirror, Tier1Source};
use crate::model::{KernelRelease, PinnedReference, TierName};
use crate::oci::{ImageTree, LayerSource, Layout};

/// No package database is larger.
const DATABASE_LIMIT: u64 = 256 << 20;

/// No configuration of a kernel is larger.
const CONFIG_LIMIT: u64 = 16 << 20;

/// Resolves one tier: which image the reference leads to today, and which kernel is in it.
///
/// The kernel is read from the layers, because labels are only hints, so the image is fetched here.
pub(super) fn resolve(
    session: &Session,
    project: &Project,
    name: &TierName,
    upstream: &Mirror,
) -> Result<LockedTier1, BuildError> {
    let step = session.step(format!("resolve tier1/{name}"))?;
    let resolved = mirror::resolve(session, chain::platform(project), &project.locate(&upstream.image))?;
    let image = PinnedReference { requested: upstream.image.clone(), resolved: resolved.descriptor.digest().clone() };
    step.finish(image.resolved.to_string());
    let layout = chain::open_layout(session)?;
    let tree = tree(session, project, &layout, &image)?.0;
    let described = format!("tier1/{name} ({}, {})", image.requested, image.resolved);
    let kernel = conventions::only_kernel(&described, &tree)?;
    Ok(LockedTier1 {
        definition: project.definition.tier1_digest(name).expect("the tier is in the definition"),
        kernel,
        source: Tier1Source::Mirror { image, family: upstream.family },
    })
}

/// The text of the dpkg database of a mirrored image.
pub(super) fn dpkg_status(
    session: &Session,
    project: &Project,
    pinned: &PinnedReference,
) -> Result<String, BuildError> {
    let layout = chain::open_layout(session)?;
    let (tree, image) = tree(session, project, &layout, pinned)?;
    let layers = image.layer_source(&layout, chain::limits());
    let bytes = tree.read_file(&layers, "var/lib/dpkg/status", DATABASE_LIMIT)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The configuration of a kernel of a mirrored image, where it has one.
pub(super) fn config(
    session: &Session,
    project: &Project,
    pinned: &PinnedReference,
    release: &KernelRelease,
) -> Result<Option<String>, BuildError> {
    let layout = chain::open_layout(session)?;
    let (tree, image) = tree(session, project, &layout, pinned)?;
    config_in(&tree, &image.layer_source(&layout, chain::limits()), release)
}

/// The same of its tree.
pub(super) fn config_in(
    tree: &ImageTree,
    layers: &dyn LayerSource,
    release: &KernelRelease,
) -> Result<Option<String>, BuildError> {
    let paths = config_paths(release);
    let Some(path) = paths.iter().find(|path| tree.resolve(path).is_some()) else { return Ok(None) };
    let bytes = tree.read_file(layers, path, CONFIG_LIMIT)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// The merged tree of a mirrored image, and the image; fetched when the store does not have it.
pub(super) fn tree(
    session: &Session,
    project: &Project,
    layout: &Layout,
    pinned: &PinnedReference,
) -> Result<(ImageTree, crate::oci::Image), BuildError> {
    let image = match chain::find_digest(layout, &pinned.resolved)? {
        Some(image) => image,
        None => mirror::fetch_pinned(session, project, layout, pinned)?,
    };
    let tree = chain::tree_of(&image.layer_source(layout, chain::limits()))?;
    Ok((tree, image))
}
