//! The SBOM of every image that was built, beside it in the store.

use std::io::Read as _;
use std::sync::Arc;

use oci_spec::image::{Descriptor, MediaType};

use super::super::audit::{Event, Verb};
use super::super::error::io;
use super::super::{BuildError, Built, Project, Session, chain};
use super::facts::{self, Locked};
use crate::model::DiffId;
use crate::oci::{Artifact, Attach, BASE_DIGEST, Image, LayerSource, Layout, LayoutError, Referrer};
use crate::sbom::{Catalogue, Cataloguer, MEDIA_TYPE, Sbom, SbomFormat};
use crate::sys::map_all;

/// Annotation with the version of imgbuild that made an SBOM.
const MADE_BY: &str = "dev.imgbuild.version";
/// No SBOM of ours that is read back is larger.
const LIMIT: u64 = 256 << 20;

/// What is in images that others stand on.
#[derive(Default)]
pub(in crate::build) struct Inventory(Vec<Known>);

impl Inventory {
    /// Reads an image, each layer once.
    ///
    /// # Errors
    /// When it cannot be read, or after a signal.
    pub(in crate::build) fn add(
        &mut self,
        session: &Session,
        image: &Image,
        layers: &dyn LayerSource,
    ) -> Result<(), BuildError> {
        session.interrupt.check()?;
        let diff_ids = diff_ids(image);
        if self.0.iter().any(|known| known.diff_ids == diff_ids) {
            return Ok(());
        }
        let mut cataloguer = self.nearest(&diff_ids).map(|known| known.cataloguer.clone()).unwrap_or_default();
        super::read(&mut cataloguer, image, layers)?;
        let catalogue = Arc::new(super::finish(&cataloguer, image)?);
        self.0.push(Known { diff_ids, cataloguer, catalogue });
        Ok(())
    }

    /// The largest part of an image that has been read.
    fn nearest(&self, diff_ids: &[DiffId]) -> Option<&Known> {
        self.0.iter().filter(|known| diff_ids.starts_with(&known.diff_ids)).max_by_key(|known| known.diff_ids.len())
    }
}

/// Makes the SBOM of each image and lists it as a referrer; an image that was kept keeps the one it has.
///
/// What `known` has is not read again.
pub(in crate::build) fn attach(
    session: &Session,
    project: &Project,
    layout: &Layout,
    built: &[Built],
    known: Inventory,
) -> Result<(), BuildError> {
    let images = without_sbom(layout, built)?;
    if images.is_empty() {
        return Ok(());
    }
    let step = session.step(match images.as_slice() {
        [(name, _)] => format!("list what is in {name}"),
        several => format!("list what is in {} images", several.len()),
    })?;
    let failed = |source| BuildError::Layout { image: "SBOMs".to_owned(), what: "writing", source };
    // One wait for the disk for all of them.
    let batch = layout.batch().map_err(failed)?;
    let known = with_bases(known, session, layout, &images)?;
    let job = Job { session, layout: &batch, locked: Locked::of(project), known };
    let done = map_all(images.iter().collect(), 1, |(name, image)| job.write(name, image));
    let done = done.into_iter().collect::<Result<Vec<_>, _>>()?;
    let written: Vec<_> =
        images.iter().zip(&done).map(|((_, image), (sbom, _))| (image.descriptor().clone(), sbom.clone())).collect();
    let lock = session.store.lock_index()?;
    batch.list_artifacts(&written, Attach::InPlaceOfItsType).map_err(failed)?;
    drop(lock);
    let event = |((name, _), (_, sbom)): (&(&str, Image), &(Descriptor, Descriptor))| {
        Event::new(Verb::Attach, *name).digest(sbom.digest()).detail("SBOM")
    };
    session.store.audit().record_all(images.iter().zip(&written).map(event))?;
    step.finish(match done.as_slice() {
        [(_, summary)] => summary.clone(),
        several => format!("{} SBOMs", several.len()),
    });
    Ok(())
}

/// The images that need one: a new image always, one that was kept when it has none.
fn without_sbom<'b>(layout: &Layout, built: &'b [Built]) -> Result<Vec<(&'b str, Image)>, BuildError> {
    let mut images = Vec::with_capacity(built.len());
    for made in built {
        let Some(image) = chain::find(layout, &made.image)? else { continue };
        if !made.reused || find(layout, &image)?.is_none() {
            images.push((made.image.as_str(), image));
        }
    }
    Ok(images)
}

/// Digest of the SBOM beside an image.
pub(in crate::build) fn find(layout: &Layout, image: &Image) -> Result<Option<String>, BuildError> {
    Ok(referrer(layout, image)?.map(|referrer| referrer.descriptor.digest().to_string()))
}

/// The SBOM of ours beside an image.
fn referrer(layout: &Layout, image: &Image) -> Result<Option<Referrer>, BuildError> {
    let found = layout.referrers_of_type(image.digest(), &MediaType::from(MEDIA_TYPE)).map_err(looking_up(image))?;
    Ok(found.into_iter().find(|referrer| made_by(referrer).is_some()))
}

/// The version of imgbuild that made an SBOM.
fn made_by(referrer: &Referrer) -> Option<&str> {
    referrer.manifest.annotations().as_ref()?.get(MADE_BY).map(String::as_str)
}

fn looking_up(image: &Image) -> impl FnOnce(LayoutError) -> BuildError {
    let image = image.digest().to_string();
    move |source| BuildError::Layout { image, what: "looking up the SBOM of", source }
}

/// The document that this version of imgbuild has kept beside an image.
pub(super) fn kept(layout: &Layout, image: &Image) -> Result<Option<Vec<u8>>, BuildError> {
    let referrer = referrer(layout, image)?.filter(|referrer| made_by(referrer) == Some(env!("CARGO_PKG_VERSION")));
    let blob = referrer.as_ref().and_then(Referrer::only_blob).filter(|blob| blob.size() <= LIMIT);
    let Some(blob) = blob else { return Ok(None) };
    let mut bytes = Vec::new();
    let mut reader = layout.open_blob(blob).map_err(looking_up(image))?;
    reader.read_to_end(&mut bytes).map_err(io("reading the SBOM", blob.digest().to_string()))?;
    Ok(Some(bytes))
}

/// What was read of an image that others stand on.
struct Known {
    diff_ids: Vec<DiffId>,
    cataloguer: Cataloguer,
    catalogue: Arc<Catalogue>,
}

/// With the images that are not hosts, and those that hosts stand on.
fn with_bases(
    mut known: Inventory,
    session: &Session,
    layout: &Layout,
    images: &[(&str, Image)],
) -> Result<Inventory, BuildError> {
    for (name, image) in images {
        let base = if name.starts_with("tier3/") { base_of(layout, image)? } else { Some(image.clone()) };
        if let Some(base) = base {
            known.add(session, &base, &base.layer_source(layout, chain::limits()))?;
        }
    }
    Ok(known)
}

fn base_of(layout: &Layout, image: &Image) -> Result<Option<Image>, BuildError> {
    let annotations = image.manifest().annotations().as_ref();
    let digest = annotations.and_then(|all| all.get(BASE_DIGEST)?.parse().ok());
    Ok(digest.map(|digest| chain::find_digest(layout, &digest)).transpose()?.flatten())
}

fn diff_ids(image: &Image) -> Vec<DiffId> {
    image.layers().iter().map(|layer| layer.diff_id.clone()).collect()
}

struct Job<'a> {
    session: &'a Session,
    layout: &'a Layout,
    locked: Option<Locked<'a>>,
    known: Inventory,
}

impl Job<'_> {
    /// Writes the SBOM of one image; returns its manifest and a summary.
    fn write(&self, name: &str, image: &Image) -> Result<(Descriptor, String), BuildError> {
        self.session.interrupt.check()?;
        let catalogue = self.catalogue(image)?;
        let facts = facts::of_image(self.session, self.locked.as_ref(), self.layout, image, name, &catalogue)?;
        let sbom = Sbom::new(&facts, &catalogue);
        let bytes = sbom.to_json(SbomFormat::default()).map_err(super::failed(image))?;
        let descriptor = self.layout.write_artifact(image.descriptor(), &artifact(image, bytes));
        let descriptor = descriptor.map_err(|source| BuildError::Layout {
            image: name.to_owned(),
            what: "writing the SBOM of",
            source,
        })?;
        Ok((descriptor, super::summary(&sbom)))
    }

    /// The inventory of an image: mostly that of the image below, which is not read again.
    fn catalogue(&self, image: &Image) -> Result<Arc<Catalogue>, BuildError> {
        let diff_ids = diff_ids(image);
        let nearest = self.known.nearest(&diff_ids);
        let layers = image.layer_source(self.layout, chain::limits());
        if let Some(known) = nearest
            && known.cataloguer.is_unchanged_by(&layers).map_err(super::failed(image))?
        {
            return Ok(Arc::clone(&known.catalogue));
        }
        let mut cataloguer = nearest.map(|known| known.cataloguer.clone()).unwrap_or_default();
        super::read(&mut cataloguer, image, &layers)?;
        Ok(Arc::new(super::finish(&cataloguer, image)?))
    }
}

fn artifact(image: &Image, bytes: Vec<u8>) -> Artifact {
    let created = image.config().created().clone().unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    let artifact = Artifact::new(MEDIA_TYPE).blob(MEDIA_TYPE, bytes).annotation(MADE_BY, version);
    if created.is_empty() { artifact } else { artifact.annotation("org.opencontainers.image.created", created) }
}
