//! Listing and inspecting images.

use std::collections::BTreeMap;

use cap_std::fs_utf8::camino::Utf8Path;
use serde::Serialize;

use super::chain;
use super::conventions;
use super::error::io;
use super::mirror;
use super::{BuildError, Session, sbom};
use crate::model::deb822;
use crate::model::{ByteSize, ImageLocator};
use crate::oci::copy::Copier;
use crate::oci::layout::attached_to;
use crate::oci::{Image, ImageTree, LayerSource, Layout};
use crate::sys::dirs;

/// No package database is larger.
const DATABASE_LIMIT: u64 = 256 << 20;

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ImageSummary {
    /// Name in the store.
    pub name: String,
    /// Digest of the manifest.
    pub digest: String,
    /// Bytes of all blobs.
    pub size: ByteSize,
    /// Number of layers.
    pub layers: usize,
}

/// Everything `inspect` shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ImageDetails {
    /// As it was asked for.
    pub image: String,
    /// Digest of the manifest.
    pub digest: String,
    /// Operating system and architecture.
    pub platform: String,
    /// When it says it was made.
    pub created: Option<String>,
    /// Labels of the configuration.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the manifest.
    pub annotations: BTreeMap<String, String>,
    /// The layers, lowest first.
    pub layers: Vec<LayerDetails>,
    /// Digest of the SBOM beside it, where it has one.
    pub sbom: Option<String>,
    /// Kernels under `/usr/lib/modules` that have a `vmlinuz`.
    pub kernels: Vec<String>,
    /// Installed packages: how many, by which database.
    pub packages: String,
    /// Names in the merged tree.
    pub files: usize,
    /// What was odd about the layers and how it was decided.
    pub notes: Vec<String>,
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LayerDetails {
    /// Digest of the blob.
    pub digest: String,
    /// Digest of the uncompressed layer.
    pub diff_id: String,
    /// Bytes of the blob.
    pub size: ByteSize,
    /// What the history says about it.
    pub created_by: String,
}

/// The images of the store at `path`, by name; none when there is no store.
///
/// # Errors
/// When the store cannot be read or an image in it is broken.
pub fn list(path: &Utf8Path) -> Result<Vec<ImageSummary>, BuildError> {
    let path = path.join("oci");
    if !dirs::exists(&path) {
        return Ok(Vec::new());
    }
    let failed = |source| BuildError::Layout { image: path.to_string(), what: "reading", source };
    let layout = Layout::open(dirs::open(&path).map_err(io("opening", &path))?).map_err(failed)?;
    let mut images = Vec::new();
    for (name, descriptor) in layout.names().map_err(failed)? {
        if attached_to(&name).is_some() {
            continue;
        }
        let image = Image::load(&layout, &descriptor, None)?;
        images.push(ImageSummary {
            digest: image.digest().to_string(),
            size: chain::size(&image),
            layers: image.layers().len(),
            name,
        });
    }
    Ok(images)
}

/// Reads an image, every layer of it, from wherever it is.
///
/// # Errors
/// When it cannot be found, read or verified.
pub fn inspect(session: &Session, locator: &ImageLocator) -> Result<ImageDetails, BuildError> {
    let step = session.step(format!("read {locator}"))?;
    let (layout, image) = open(session, locator)?;
    let details = details(locator, &layout, &image)?;
    step.finish(format!("{} files", details.files));
    Ok(details)
}

/// Opens an image in the store, or copies one from elsewhere into this run's folder first.
pub(super) fn open(session: &Session, locator: &ImageLocator) -> Result<(Layout, Image), BuildError> {
    if let ImageLocator::Store(name) = locator {
        let layout = chain::open_layout(session)?;
        let image = chain::find(&layout, name)?.ok_or_else(|| BuildError::NoSuchImage { image: name.clone() })?;
        return Ok((layout, image));
    }
    let folder = session.store.work_folder("inspected")?;
    let dir = dirs::open(&folder).map_err(io("opening", &folder))?;
    let layout = Layout::create_or_open(dir).map_err(|source| BuildError::Layout {
        image: locator.to_string(),
        what: "copying",
        source,
    })?;
    // An image is looked into wherever it is for; this machine's platform is only one to choose by.
    let copier = Copier::new(chain::machine_platform()).any_single(true);
    let copied = mirror::fetch(session, copier, locator, &layout)?;
    let image = Image::load(&layout, &copied.manifest, None)?;
    Ok((layout, image))
}

fn details(locator: &ImageLocator, layout: &Layout, image: &Image) -> Result<ImageDetails, BuildError> {
    let layers = image.layer_source(layout, chain::limits());
    let tree = chain::tree_of(&layers)?;
    let config = image.config();
    let settings = config.config().as_ref();
    let labels = settings.and_then(|config| config.labels().clone()).unwrap_or_default();
    Ok(ImageDetails {
        image: locator.to_string(),
        digest: image.digest().to_string(),
        platform: format!("{}/{}", config.os(), config.architecture()),
        created: config.created().clone(),
        labels: labels.into_iter().collect(),
        annotations: image.manifest().annotations().clone().unwrap_or_default().into_iter().collect(),
        layers: layer_details(image),
        sbom: sbom::find(layout, image)?,
        kernels: conventions::kernel_folders(&tree).iter().map(ToString::to_string).collect(),
        packages: packages(&tree, &layers)?,
        files: tree.walk().count(),
        notes: tree.notes().iter().map(ToString::to_string).collect(),
    })
}

/// What the history says about each layer, lowest first.
pub(super) fn history(image: &Image) -> Vec<String> {
    let history = image.config().history().iter().flatten();
    let real = history.filter(|entry| entry.empty_layer() != Some(true));
    real.map(|entry| entry.created_by().clone().unwrap_or_default()).collect()
}

fn layer_details(image: &Image) -> Vec<LayerDetails> {
    let mut said = history(image).into_iter();
    let layers = image.layers().iter().map(|layer| LayerDetails {
        digest: layer.descriptor.digest().to_string(),
        diff_id: layer.diff_id.to_string(),
        size: ByteSize(layer.descriptor.size()),
        created_by: said.next().unwrap_or_default(),
    });
    layers.collect()
}

/// How many packages the image's database has.
fn packages(tree: &ImageTree, layers: &dyn LayerSource) -> Result<String, BuildError> {
    if tree.resolve("var/lib/dpkg/status").is_some() {
        let text = tree.read_file(layers, "var/lib/dpkg/status", DATABASE_LIMIT)?;
        let text = String::from_utf8_lossy(&text);
        let stanzas = deb822::parse_stanzas(&text).map_err(BuildError::Status)?;
        return Ok(format!("{} (dpkg)", stanzas.iter().filter(|stanza| stanza.is_installed()).count()));
    }
    let has = |path: &&&str| tree.resolve(path).is_some();
    Ok(
        match ["usr/lib/sysimage/rpm/rpmdb.sqlite", "usr/share/rpm/rpmdb.sqlite", "var/lib/rpm/rpmdb.sqlite"]
            .iter()
            .find(has)
        {
            Some(path) => format!("rpm database at /{path}"),
            None => "no package database".to_owned(),
        },
    )
}
