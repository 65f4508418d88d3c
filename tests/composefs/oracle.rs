//! The same repository made by composefs-oci, on disk.

use std::collections::BTreeMap;
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
    let mut files = Files::new();
    collect(&path, "", &mut files);
    Pulled { id: id.to_hex(), files }
}

fn collect(root: &Path, below: &str, files: &mut Files) {
    for entry in std::fs::read_dir(root.join(below)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            collect(root, &path, files);
        } else if kind.is_symlink() {
            let target = std::fs::read_link(entry.path()).unwrap();
            files.insert(path, File::Link(target.into_os_string().into_string().unwrap()));
        } else {
            files.insert(path, File::Regular(std::fs::read(entry.path()).unwrap()));
        }
    }
}
