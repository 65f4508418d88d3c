//! SBOMs: made of any image, and of every image that is built.

mod attach;
mod facts;
mod syft;

use std::sync::Arc;

use super::{BuildError, Project, Session, chain, images};
use crate::kmod;
use crate::model::ImageLocator;
use crate::oci::{Image, LayerSource};
use crate::sbom::{Catalogue, Cataloguer, Digests, ModuleFacts, ModuleSignatureFacts, Sbom};
pub use crate::sbom::{SbomError, SbomFormat};

pub(super) use attach::{Inventory, attach, find};

/// Who lists the packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scan {
    /// Nobody, where a build has kept its list beside the image; imgbuild, where it reads the image's package database;
    /// else syft, where it is installed.
    #[default]
    Auto,
    /// syft.
    Syft,
    /// imgbuild.
    Native,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SbomSettings {
    /// In which form.
    pub format: SbomFormat,
    /// Who lists the packages.
    pub scan: Scan,
}

/// Makes the SBOM of an image, wherever it is, or gives the one that a build has kept beside it.
///
/// With the project whose image it is, the document also has what only the lock knows: digests of the packages as they
/// were fetched, and what modules were compiled with.
///
/// # Errors
/// When the image cannot be read, or a package database in it is damaged.
pub fn make(
    session: &Session,
    project: Option<&Project>,
    locator: &ImageLocator,
    settings: &SbomSettings,
) -> Result<Vec<u8>, BuildError> {
    let step = session.step(format!("read {locator}"))?;
    let (layout, image) = images::open(session, locator)?;
    if settings.scan == Scan::Auto
        && let Some(kept) = attach::kept(&layout, &image)?
    {
        step.finish("as it was built");
        return Sbom::rewrite(&kept, settings.format).map_err(failed(&image));
    }
    let mut cataloguer = Cataloguer::default();
    read(&mut cataloguer, &image, &image.layer_source(&layout, chain::limits()))?;
    let mut catalogue = finish(&cataloguer, &image)?;
    let scanner = syft::rescan(session, settings.scan, &layout, &image, &mut catalogue)?;
    let locked = project.and_then(facts::Locked::of);
    let mut facts = facts::of_image(session, locked.as_ref(), &layout, &image, &name(locator), &catalogue)?;
    facts.scanner = scanner;
    let sbom = Sbom::new(&facts, &catalogue);
    let bytes = sbom.to_json(settings.format).map_err(failed(&image))?;
    step.finish(summary(&sbom));
    Ok(bytes)
}

fn summary(sbom: &Sbom) -> String {
    format!("{} packages, {} modules", sbom.packages(), sbom.modules())
}

/// Reads those layers of an image that have not been read.
fn read(cataloguer: &mut Cataloguer, image: &Image, layers: &dyn LayerSource) -> Result<(), BuildError> {
    cataloguer.read(layers, &read_module).map_err(failed(image))
}

fn finish(cataloguer: &Cataloguer, image: &Image) -> Result<Catalogue, BuildError> {
    cataloguer.finish().map_err(failed(image))
}

fn failed(image: &Image) -> impl FnOnce(SbomError) -> BuildError {
    let image = image.digest().to_string();
    move |source| BuildError::Sbom { image, source: Arc::new(source) }
}

/// What an image is called in its SBOM: the store's name, the repository, or the folder it lies in.
fn name(locator: &ImageLocator) -> String {
    match locator {
        ImageLocator::Store(name) => name.clone(),
        ImageLocator::Registry(reference) => format!("{}/{}", reference.registry(), reference.repository()),
        ImageLocator::OciLayout { path, reference } | ImageLocator::OciArchive { path, reference } => {
            let folder = || path.trim_end_matches('/').rsplit('/').next().unwrap_or("image").to_owned();
            reference.clone().unwrap_or_else(folder)
        }
        ImageLocator::ContainersStorage(name) => name.clone(),
    }
}

/// A module as the SBOM wants it; what is no module is listed as a file.
fn read_module(file: &[u8]) -> Option<ModuleFacts> {
    let (compression, module) = kmod::decompress(file).ok()?;
    let info = kmod::inspect(&module).ok()?;
    let signature = info.signature.as_ref().map(|tail| match &tail.content {
        Ok(signature) => {
            ModuleSignatureFacts { signer: signature.signer.to_string(), digest: signature.digest.to_string() }
        }
        Err(error) => ModuleSignatureFacts { signer: "unreadable".to_owned(), digest: error.to_string() },
    });
    let is_compressed = compression != kmod::Compression::None;
    Some(ModuleFacts {
        name: info.name,
        vermagic: info.vermagic.map(|vermagic| format!("{} {}", vermagic.release, vermagic.flags).trim().to_owned()),
        version: info.version,
        srcversion: info.srcversion,
        licences: info.licenses,
        depends: info.depends,
        aliases: info.aliases.len(),
        in_tree: info.in_tree,
        signature,
        decompressed: is_compressed.then(|| crate::oci::sha256(&module).digest().to_owned()),
    })
}

/// Digests of bytes that are at hand.
fn digests(bytes: &[u8]) -> Digests {
    Digests::of(bytes)
}
