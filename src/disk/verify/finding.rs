//! What is wrong with a disk.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::disk::inspect::ext4::Ext4Error;
use crate::disk::verity::VerityDigest;

/// Which part of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Area {
    /// The partition tables.
    Table,
    /// The EFI system partition.
    Boot,
    /// The structures of the root file system.
    FileSystem,
    /// Objects of the repository.
    Objects,
    /// EROFS images.
    Images,
    /// Splitstreams: layers, configurations, manifests.
    Streams,
    /// Deployments and their boot entries.
    Deployments,
    /// What a deployment may change: `/etc` and `/var`.
    State,
    /// The image the disk was compared with.
    Image,
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Table => "partition table",
            Self::Boot => "boot",
            Self::FileSystem => "file system",
            Self::Objects => "objects",
            Self::Images => "images",
            Self::Streams => "streams",
            Self::Deployments => "deployments",
            Self::State => "state",
            Self::Image => "image",
        })
    }
}

/// Something that is wrong, and where.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// Which part of the disk.
    pub area: Area,
    /// The file, below its file system; empty when it is none.
    pub path: String,
    /// What is wrong.
    #[serde(serialize_with = "in_words")]
    pub problem: Problem,
}

fn in_words<S: Serializer>(problem: &Problem, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(problem)
}

/// What can be wrong with a disk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Problem {
    #[error("{0}")]
    Table(String),
    #[error("{0}")]
    Damaged(&'static str),
    #[error("there is no {0}")]
    No(&'static str),
    #[error("{0}")]
    Esp(String),
    #[error(transparent)]
    FileSystem(#[from] Ext4Error),
    #[error("it is no object: its name is no digest, or it is no file")]
    NoObject,
    #[error("its content has the digest {found}")]
    OtherDigest { found: VerityDigest },
    #[error("it has {holes} bytes of holes; so many are not read")]
    Holes { holes: u64 },
    #[error("its {what} for fs-verity is not that of its content")]
    Seal { what: &'static str },
    #[error("it is sealed, and others are not: {unsealed} of {objects}, such as {example}")]
    HalfSealed { unsealed: u64, objects: u64, example: VerityDigest },
    #[error("the object {0} is missing")]
    NoSuchObject(VerityDigest),
    #[error("the object {digest} is wanted with {wanted} bytes, and has {found}")]
    OtherSize { digest: VerityDigest, wanted: u64, found: u64 },
    #[error("it leads to `{target}`, and should lead to {wanted}")]
    Link { target: String, wanted: String },
    #[error("it is no EROFS image of composefs: {reason}")]
    Erofs { reason: String },
    #[error("it is no splitstream: {0}")]
    SplitStream(&'static str),
    #[error("what it stands for has the digest sha256:{found}")]
    OtherContent { found: String },
    #[error("it names `{name}`, which the repository has not, or as another object")]
    Reference { name: String },
    #[error("it boots {what}, and {missing} is missing")]
    Boots { what: String, missing: &'static str },
    #[error("`{0}` is missing")]
    Missing(String),
    #[error("its root is {found}, and the root file system is {wanted}")]
    OtherRoot { found: String, wanted: String },
    #[error("it says {wanted}, and the kernel with its initramfs has {found}")]
    OtherKernel { wanted: String, found: String },
    #[error("it differs from the image's: {what}")]
    Changed { what: &'static str },
    #[error("the image does not have it")]
    Extra,
    #[error("the image is {wanted}, and this is {found}")]
    OtherImage { wanted: String, found: String },
}
