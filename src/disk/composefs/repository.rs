//! What else is in the repository, and how everything refers to everything else.

use std::collections::BTreeMap;

use composefs::erofs::format::FormatConfig;
use composefs::fsverity::Algorithm;
use composefs::repository::RepoMetadata;

use super::contents::Contents;
use super::erofs::{ErofsVersion, ErofsWriter};
use super::error::ComposefsError;
use super::ingest::{Ingested, ingest};
use super::place::{ObjectSink, Placer};
use super::selinux::{FileContexts, PolicyError, parse_policy_name};
use super::split_stream::{SplitStream, StreamKind};
use super::transform::{for_boot, for_oci, subtree};
use crate::disk::verity::{Trees, VerityDigest};
use crate::oci::{Image, ImageTree, LayerSource};

/// Largest file of a policy that is read.
const POLICY_LIMIT: u64 = 64 << 20;

/// Which EROFS images a repository has; it is fixed when the repository is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Formats {
    /// Only V1: what bootc makes since 1.16.
    V1,
    /// Only V2: what bootc made up to 1.15.
    V2,
    /// V1, and V2 beside it.
    V1AndV2,
}

impl Formats {
    /// The versions, the one deployments are named by first.
    pub const fn versions(self) -> &'static [ErofsVersion] {
        match self {
            Self::V1 => &[ErofsVersion::V1],
            Self::V2 => &[ErofsVersion::V2],
            Self::V1AndV2 => &[ErofsVersion::V1, ErofsVersion::V2],
        }
    }

    fn config(self) -> FormatConfig {
        let [default, extra @ ..] = self.versions() else { unreachable!("there is always one") };
        FormatConfig { default: default.format(), extra: extra.iter().map(|version| version.format()).collect() }
    }
}

/// How a repository is made.
pub struct RepositoryOptions<'o> {
    /// Which EROFS images it has.
    pub formats: Formats,
    /// Whether the sink gets Merkle trees, for sealing.
    pub trees: Trees,
    /// Paths, without leading slash and as they stand in the layers, of files whose bytes are kept for
    /// [`Contents::bytes`]: the kernel and what else is wanted outside the repository. At most 64 MiB each.
    pub keep: &'o dyn Fn(&[u8]) -> bool,
    /// Names the image is held by, such as `localhost/bootc-sha256:…`; without one the first garbage collection takes it.
    pub tags: Vec<String>,
}

impl std::fmt::Debug for RepositoryOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RepositoryOptions").field("formats", &self.formats).finish_non_exhaustive()
    }
}

/// A symbolic link in the repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// Where it is, relative to the repository.
    pub path: String,
    /// What it leads to, relative to where it is.
    pub target: String,
}

/// A repository: everything but the objects' content, which the sink has.
#[derive(Debug)]
pub struct Repository {
    /// The tree that is mounted: transformed and labelled.
    pub root: ImageTree,
    /// The image's `/boot`, which is empty in `root`, as its layers have it; nothing else.
    pub boot: ImageTree,
    /// Where each file's content went, for both trees.
    pub contents: Contents,
    /// The ids of the deployment, by version: digests of the EROFS images of `root`.
    pub ids: BTreeMap<ErofsVersion, VerityDigest>,
    /// Every object, with its size.
    pub objects: BTreeMap<VerityDigest, u64>,
    /// `meta.json`.
    pub metadata: Vec<u8>,
    /// Links in `images` and `streams`, sorted by path.
    pub links: Vec<Link>,
    /// The image's SELinux policy, when it has one: for labelling what is beside the repository.
    pub policy: Option<FileContexts>,
}

/// Where an object is, relative to the repository.
pub fn object_path(digest: &VerityDigest) -> String {
    let hex = digest.to_string();
    let (folder, name) = hex.split_at(2);
    format!("objects/{folder}/{name}")
}

/// Reads an image's layers once and makes its repository, whose objects go to `sink`.
///
/// # Errors
/// Any [`ComposefsError`]; what the sink got until then is of no use.
pub fn write_repository(
    image: &Image,
    layers: &dyn LayerSource,
    erofs: &dyn ErofsWriter,
    options: &RepositoryOptions<'_>,
    sink: &mut (dyn ObjectSink + Send),
) -> Result<Repository, ComposefsError> {
    let mut placer = Placer::new(sink, options.trees);
    let keep = |path: &[u8]| is_policy(path) || (options.keep)(path);
    let Ingested { tree: mut root, contents, layers: streams } = ingest(layers, &keep, &mut placer)?;

    let boot = subtree(&root, "boot")?;
    for_oci(&mut root)?;
    let mut writer = ImageWriter { erofs, contents: &contents, formats: options.formats, placer: &mut placer };
    let plain = writer.write(&root)?;
    let mut policy = load_policy(&root, &contents, layers)?;
    for_boot(&mut root, policy.as_mut())?;
    let ids = writer.write(&root)?;

    let manifest = Documents { image, streams: &streams, plain: &plain, boot: &ids }.write(&mut placer)?;
    let links = links(image, &options.tags, &manifest, &streams, plain.values().chain(ids.values()));
    let metadata = metadata(options.formats);
    Ok(Repository { root, boot, contents, ids, objects: placer.into_stored(), metadata, links, policy })
}

fn metadata(formats: Formats) -> Vec<u8> {
    let metadata = RepoMetadata::new_with_formats(Algorithm::SHA512, &formats.config());
    metadata.to_json().expect("it has nothing JSON cannot express")
}

/// Every `meta.json` that a repository made here may have.
pub fn known_metadata() -> [Vec<u8>; 3] {
    [Formats::V1, Formats::V2, Formats::V1AndV2].map(metadata)
}

type Images = BTreeMap<ErofsVersion, VerityDigest>;

struct ImageWriter<'w, 's> {
    erofs: &'w dyn ErofsWriter,
    contents: &'w Contents,
    formats: Formats,
    placer: &'w mut Placer<'s>,
}

impl ImageWriter<'_, '_> {
    fn write(&mut self, tree: &ImageTree) -> Result<Images, ComposefsError> {
        let mut images = Images::new();
        for version in self.formats.versions() {
            let bytes = self.erofs.image(tree, self.contents, *version)?;
            images.insert(*version, self.placer.store(&bytes).map_err(ComposefsError::Sink)?);
        }
        Ok(images)
    }
}

const SELINUX: &str = "etc/selinux";

/// Whether a path may be a file of a SELinux policy that is wanted once the tree is whole.
fn is_policy(path: &[u8]) -> bool {
    let Some(below) = path.strip_prefix(SELINUX.as_bytes()) else { return false };
    let parts: Vec<&[u8]> = below.split(|&byte| byte == b'/').skip(1).collect();
    match parts[..] {
        [name] => name == b"config",
        [_, b"contexts", b"files", name] => name.starts_with(b"file_contexts"),
        _ => false,
    }
}

/// The policy that `/etc/selinux/config` names; none when it names none.
fn load_policy(
    tree: &ImageTree,
    contents: &Contents,
    layers: &dyn LayerSource,
) -> Result<Option<FileContexts>, ComposefsError> {
    let read = |path: &str| read_file(tree, contents, layers, path);
    let path = format!("{SELINUX}/config");
    let Some(config) = read(&path)? else { return Ok(None) };
    let config = String::from_utf8(config).map_err(|_| PolicyError::NotUtf8 { file: path })?;
    let Some(name) = parse_policy_name(&config) else { return Ok(None) };
    FileContexts::load(|file| read(&format!("{SELINUX}/{name}/contexts/files/{file}"))).map(Some)
}

/// The SELinux policy of an image, of which nothing was kept while its layers were read.
///
/// # Errors
/// When it cannot be read.
pub fn policy_of(tree: &ImageTree, layers: &dyn LayerSource) -> Result<Option<FileContexts>, ComposefsError> {
    load_policy(tree, &Contents::default(), layers)
}

/// A file of the tree; `None` when it is not there.
fn read_file(
    tree: &ImageTree,
    contents: &Contents,
    layers: &dyn LayerSource,
    path: &str,
) -> Result<Option<Vec<u8>>, ComposefsError> {
    let Some(id) = tree.lookup(path) else { return Ok(None) };
    let not_a_file = || PolicyError::NotAFile { path: path.to_owned() };
    let content = tree.node(id).content().ok_or_else(not_a_file)?;
    match contents.bytes(content) {
        Some(bytes) => Ok(Some(bytes.to_vec())),
        // It has another path in the layer, through a symbolic link: its layer is read once more.
        None => Ok(Some(tree.read_file(layers, path, POLICY_LIMIT)?)),
    }
}

/// Configuration and manifest, and what they refer to.
struct Documents<'d> {
    image: &'d Image,
    streams: &'d [VerityDigest],
    plain: &'d Images,
    boot: &'d Images,
}

/// The splitstreams of both.
struct DocumentStreams {
    config: VerityDigest,
    manifest: VerityDigest,
}

impl Documents<'_> {
    fn write(&self, placer: &mut Placer<'_>) -> Result<DocumentStreams, ComposefsError> {
        let mut config = SplitStream::new(StreamKind::Config).map_err(ComposefsError::Pipeline)?;
        self.reference_layers(&mut config);
        for (version, id) in self.plain.iter().rev() {
            config.reference(plain_name(*version), id);
        }
        let boot: BTreeMap<_, _> = self.boot.iter().map(|(version, id)| (boot_name(*version), id)).collect();
        for (name, id) in boot {
            config.reference(name, id);
        }
        let config = write_document(placer, config, self.image.config_bytes())?;

        let mut manifest = SplitStream::new(StreamKind::Manifest).map_err(ComposefsError::Pipeline)?;
        manifest.reference(format!("config:{}", self.image.manifest().config().digest()), &config);
        self.reference_layers(&mut manifest);
        let manifest = write_document(placer, manifest, self.image.manifest_bytes())?;
        Ok(DocumentStreams { config, manifest })
    }

    fn reference_layers(&self, stream: &mut SplitStream) {
        for (layer, digest) in self.image.layers().iter().zip(self.streams) {
            stream.reference(layer.diff_id.to_string(), digest);
        }
    }
}

/// What a configuration calls the image without the transformation for booting.
const fn plain_name(version: ErofsVersion) -> &'static str {
    match version {
        ErofsVersion::V1 => "composefs.image.v1",
        ErofsVersion::V2 => "composefs.image",
    }
}

const fn boot_name(version: ErofsVersion) -> &'static str {
    match version {
        ErofsVersion::V1 => "composefs.image.boot.v1",
        ErofsVersion::V2 => "composefs.image.boot",
    }
}

/// Documents are objects whatever their size, so that each can be sealed by itself.
fn write_document(
    placer: &mut Placer<'_>,
    mut stream: SplitStream,
    bytes: &[u8],
) -> Result<VerityDigest, ComposefsError> {
    let object = placer.store(bytes).map_err(ComposefsError::Sink)?;
    stream.object(&object, bytes.len() as u64).map_err(ComposefsError::Pipeline)?;
    let file = stream.finish().map_err(ComposefsError::Pipeline)?;
    placer.store(&file).map_err(ComposefsError::Sink)
}

fn links<'i>(
    image: &Image,
    tags: &[String],
    documents: &DocumentStreams,
    streams: &[VerityDigest],
    images: impl Iterator<Item = &'i VerityDigest>,
) -> Vec<Link> {
    let to = |path: String, object| Link { path, target: format!("../{}", object_path(object)) };
    let manifest = format!("oci-manifest-{}", image.digest());
    let config = format!("streams/oci-config-{}", image.manifest().config().digest());
    let layers = image.layers().iter().zip(streams);
    let mut links: Vec<Link> = images
        .map(|id| to(format!("images/{id}"), id))
        .chain([to(format!("streams/{manifest}"), &documents.manifest), to(config, &documents.config)])
        .chain(layers.map(|(layer, stream)| to(format!("streams/oci-layer-{}", layer.diff_id), stream)))
        .chain(tags.iter().map(|tag| Link {
            path: format!("streams/refs/oci/{}", tag.replace('%', "%25").replace('/', "%2F")),
            target: format!("../../{manifest}"),
        }))
        .collect();
    links.sort();
    links.dedup();
    links
}
