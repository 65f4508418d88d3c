//! The same repository made by composefs-oci, on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use composefs::erofs::format::{FormatConfig, FormatVersion};
use composefs::fsverity::{Algorithm, FsVerityHashValue as _, Sha512HashValue};
use composefs::repository::{Repository, RepositoryConfig};
use composefs_oci::{OciTransformOptions, PullOptions, generate_boot_image, pull as pull_image};
use imgbuild::disk::composefs::Formats;

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum File {
    Regular(Vec<u8>),
    Link(String),
}

impl File {
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Regular(bytes) if bytes.len() > 400 => format!("{} bytes", bytes.len()),
            Self::Regular(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
            Self::Link(target) => format!("-> {target}"),
        }
    }
}

pub(crate) type Files = BTreeMap<String, File>;

pub(crate) struct Pulled {
    pub(crate) id: String,
    pub(crate) files: Files,
    pub(crate) directories: BTreeSet<String>,
}

fn config(formats: Formats) -> RepositoryConfig {
    let mut config = RepositoryConfig::new(Algorithm::SHA512).set_insecure();
    config.erofs_formats = match formats {
        Formats::V1 => FormatConfig::single(FormatVersion::V1),
        Formats::V2 => FormatConfig::single(FormatVersion::V2),
        Formats::V1AndV2 => FormatConfig { default: FormatVersion::V1, extra: [FormatVersion::V2].into() },
    };
    config
}

/// Pulls `image` of the layout at `layout`, as bootc does, and removes what nothing refers to any more.
pub(crate) fn pull(layout: &Path, formats: Formats, tag: &str) -> Pulled {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("composefs");
    let (repository, _) = Repository::<Sha512HashValue>::init_path(rustix::fs::CWD, &path, config(formats)).unwrap();
    let repository = Arc::new(repository);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let name = format!("oci:{}:image", layout.display());
    let options = PullOptions { bootable: true, ..PullOptions::default() };
    let result = runtime.block_on(pull_image(&repository, &name, Some(tag), options)).unwrap();
    let id = generate_boot_image(&repository, &result.manifest_digest, &OciTransformOptions::default()).unwrap();
    repository.gc(&[]).unwrap();
    let mut pulled = Pulled { id: id.to_hex(), files: Files::new(), directories: BTreeSet::new() };
    collect(&path, "", &mut pulled);
    pulled
}

fn create(path: &Path, formats: Formats) -> Arc<Repository<Sha512HashValue>> {
    Arc::new(Repository::init_path(rustix::fs::CWD, path, config(formats)).unwrap().0)
}

/// The name of a layer's splitstream of some inline bytes, an object and more inline bytes.
pub(crate) fn split_stream(inline: &[u8], object: &[u8], end: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let repository = create(&folder.path().join("composefs"), Formats::V1);
    let mut stream = repository.create_stream(u64::from_le_bytes(*b"ocilayer")).unwrap();
    stream.write_inline(inline);
    stream.write_external(object).unwrap();
    stream.write_inline(end);
    stream.done().unwrap().to_hex()
}

fn collect(root: &Path, below: &str, pulled: &mut Pulled) {
    for entry in std::fs::read_dir(root.join(below)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            collect(root, &path, pulled);
            pulled.directories.insert(path);
        } else if kind.is_symlink() {
            let target = std::fs::read_link(entry.path()).unwrap();
            pulled.files.insert(path, File::Link(target.into_os_string().into_string().unwrap()));
        } else {
            pulled.files.insert(path, File::Regular(std::fs::read(entry.path()).unwrap()));
        }
    }
}
