//! Images taken from elsewhere: verified blob by blob, their digest unchanged.

use oci_spec::image::{Descriptor, Platform};

use super::audit::{Event, Verb};
use super::chain::{self, Built};
use super::{BuildError, Project, Session, logins};
use crate::model::{ImageLocator, PinnedReference, TierName};
use crate::oci::copy::{Copied, Copier, CopyError, Resolved, Verification};
use crate::oci::registry::{Registry, RegistryConfig};
use crate::oci::{ArchiveSource, Image, ImageSource, Layout, LayoutSource};
use crate::sys::clock::Stopwatch;
use crate::sys::dirs;

/// Finds out which image a locator leads to; reads manifests only.
pub(super) fn resolve(session: &Session, platform: Platform, locator: &ImageLocator) -> Result<Resolved, BuildError> {
    with_source(session, locator, ResolveOnly { session, platform, locator })
}

/// Copies the image a locator leads to into `layout`; gives it no name.
pub(super) fn fetch(
    session: &Session,
    copier: Copier<'_>,
    locator: &ImageLocator,
    layout: &Layout,
) -> Result<Copied, BuildError> {
    let copied = with_source(session, locator, Fetch { session, copier, locator, layout })?;
    let origin = match &copied.verification {
        Verification::Unverified => "origin not verified".to_owned(),
        Verification::Verified { by } => format!("signed by {by}"),
    };
    session.audit(Event::new(Verb::Fetch, locator.to_string()).digest(&copied.resolved).detail(origin))?;
    Ok(copied)
}

/// Builds a mirrored tier 1: exactly the locked image under our name.
pub(super) fn build(
    session: &Session,
    project: &Project,
    layout: &Layout,
    name: &TierName,
    pinned: &PinnedReference,
) -> Result<Built, BuildError> {
    let watch = Stopwatch::start();
    let image_name = format!("tier1/{name}");
    let (image, reused) = match chain::find_digest(layout, &pinned.resolved)? {
        Some(image) => (image, true),
        None => (fetch_pinned(session, project, layout, pinned)?, false),
    };
    chain::name_all(session, layout, &[(image_name.clone(), plain(image.descriptor()))])?;
    Ok(Built::of(&image_name, &image, watch.elapsed(), reused))
}

/// The locked image, fetched when the layout does not have it.
pub(super) fn fetch_pinned(
    session: &Session,
    project: &Project,
    layout: &Layout,
    pinned: &PinnedReference,
) -> Result<Image, BuildError> {
    let locator = project.locate(&by_digest(pinned));
    let copied = fetch(session, Copier::new(chain::platform(project)), &locator, layout)?;
    if copied.resolved != pinned.resolved {
        return Err(BuildError::MirrorDrift {
            requested: pinned.requested.to_string(),
            expected: pinned.resolved.to_string(),
            found: copied.resolved.to_string(),
        });
    }
    Ok(Image::load(layout, &plain(&copied.manifest), None)?)
}

/// A registry is asked for the digest, so that a moved tag changes nothing.
fn by_digest(pinned: &PinnedReference) -> ImageLocator {
    match &pinned.requested {
        ImageLocator::Registry(reference) => {
            ImageLocator::Registry(reference.clone_with_digest(pinned.resolved.to_string()))
        }
        other => other.clone(),
    }
}

/// A descriptor as an index entry of our own: what an upstream index said about it is not ours to repeat.
fn plain(descriptor: &Descriptor) -> Descriptor {
    Descriptor::new(descriptor.media_type().clone(), descriptor.size(), descriptor.digest().clone())
}

/// Something to do with a source of whatever kind.
trait SourceTask {
    type Output;

    fn run<S: ImageSource + Sync>(self, source: &S) -> Result<Self::Output, BuildError>;
}

struct ResolveOnly<'a> {
    session: &'a Session,
    platform: Platform,
    locator: &'a ImageLocator,
}

impl SourceTask for ResolveOnly<'_> {
    type Output = Resolved;

    fn run<S: ImageSource + Sync>(self, source: &S) -> Result<Resolved, BuildError> {
        let copier = Copier::new(self.platform).interrupt(self.session.interrupt.clone());
        copier.resolve(source, self.locator).map_err(copying(self.locator))
    }
}

struct Fetch<'a> {
    session: &'a Session,
    copier: Copier<'a>,
    locator: &'a ImageLocator,
    layout: &'a Layout,
}

impl SourceTask for Fetch<'_> {
    type Output = Copied;

    fn run<S: ImageSource + Sync>(self, source: &S) -> Result<Copied, BuildError> {
        let copier = self
            .copier
            .interrupt(self.session.interrupt.clone())
            .progress(std::sync::Arc::clone(&self.session.progress));
        copier.copy(source, self.locator, self.layout).map_err(copying(self.locator))
    }
}

fn copying(locator: &ImageLocator) -> impl FnOnce(CopyError) -> BuildError {
    let image = Box::new(locator.clone());
    move |source| BuildError::Copy { image, source }
}

fn with_source<T: SourceTask>(session: &Session, locator: &ImageLocator, task: T) -> Result<T::Output, BuildError> {
    match locator {
        ImageLocator::Registry(reference) => {
            let credentials = logins::find(session, reference)?;
            let registry =
                Registry::open(reference, &RegistryConfig::default(), credentials, session.interrupt.clone())?;
            task.run(&registry)
        }
        ImageLocator::OciLayout { path, reference } => {
            let dir = dirs::open(path.as_ref()).map_err(super::error::io("opening", path))?;
            let layout = Layout::open(dir).map_err(|source| BuildError::Layout {
                image: path.clone(),
                what: "opening",
                source,
            })?;
            task.run(&LayoutSource::new(&layout, reference.clone()))
        }
        ImageLocator::OciArchive { path, reference } => {
            let file = dirs::open_file(path.as_ref()).map_err(super::error::io("opening", path))?;
            task.run(&ArchiveSource::open(file, reference.clone())?)
        }
        ImageLocator::ContainersStorage(name) => {
            let layout = super::containers::export(session, name)?;
            task.run(&LayoutSource::new(&layout, None))
        }
        ImageLocator::Store(name) => {
            let layout = chain::open_layout(session)?;
            task.run(&LayoutSource::new(&layout, Some(name.clone())))
        }
    }
}
