//! What can be wrong with a file system to be written.

use std::io;

use crate::model::ByteSize;
use crate::oci::layer::Lossy;

/// A file system that cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum Error {
    /// The destination failed.
    #[error("writing the file system")]
    Write(#[from] io::Error),
    /// The source of a file's content failed.
    #[error("reading content for the file system")]
    Read(#[source] io::Error),
    /// The device cannot hold the content.
    #[error("the file system needs {needed}, and the device has {given}")]
    TooSmall { needed: ByteSize, given: ByteSize },
    /// The device is larger than the format allows, or than the space reserved for descriptors.
    #[error("{wanted} are more than the {most} the file system may grow to")]
    TooLarge { wanted: ByteSize, most: ByteSize },
    /// The device is no whole number of blocks.
    #[error("{given} bytes are no whole number of 4096-byte blocks")]
    Unaligned { given: u64 },
    /// More than half of the blocks reserved for root.
    #[error("{given} % of the blocks cannot be reserved; the most is 50 %")]
    Reserved { given: u8 },
    /// A label that does not fit.
    #[error("label `{label}` is longer than 16 bytes")]
    Label { label: Lossy },
    /// A name a directory cannot hold.
    #[error("`{name}` cannot be a file name: {problem}")]
    Name { name: Lossy, problem: NameProblem },
    /// Two entries of a directory have one name.
    #[error("`{path}` exists twice")]
    Duplicate { path: Lossy },
    /// The place of `lost+found` is taken by something else.
    #[error("`/lost+found` is not a directory, and a file system check would move it")]
    LostFound,
    /// A symbolic link to nowhere, or to a path longer than a block.
    #[error("symbolic link `{name}` has a target of {length} bytes; 1 to 4095 can be held")]
    Symlink { name: Lossy, length: usize },
    /// A device number the format cannot hold.
    #[error("device `{name}` has number {major}:{minor}; the most is 4095:1048575")]
    Device { name: Lossy, major: u32, minor: u32 },
    /// A hard link to a directory.
    #[error("`{name}` cannot be another name of a directory")]
    DirectoryLink { name: Lossy },
    /// More names of one file than the format allows.
    #[error("`{path}` would be name {links} of one file; the most is 65000")]
    Links { path: Lossy, links: u32 },
    /// Something was put into what is no directory.
    #[error("`{name}` cannot be put into what is no directory")]
    NotDirectory { name: Lossy },
    /// A directory whose index would need a third level.
    #[error("directory `{path}` is too large: {blocks} blocks, and its index reaches {most}")]
    DirectoryFull { path: Lossy, blocks: u64, most: u64 },
    /// A file larger than block numbers reach.
    #[error("a file of {size} bytes is too large; the most is {most}")]
    FileSize { size: u64, most: u64 },
    /// Content that is not as long as was said.
    #[error("content of {found} bytes came where {expected} were announced")]
    Length { expected: u64, found: u64 },
    /// Metadata of other content, or without the verity feature.
    #[error("fs-verity metadata is for {metadata} bytes, and the content has {content}")]
    Sealed { metadata: u64, content: u64 },
    /// A digest without its hash tree, which only keeping trees while hashing gives.
    #[error("the fs-verity hash tree of a file of {size} bytes was not kept")]
    NoTree { size: u64 },
    /// fs-verity metadata in a file system without the feature.
    #[error("the file system has no fs-verity feature")]
    Unsealable,
    /// An attribute in a namespace ext4 has no number for.
    #[error("`{path}`: attribute `{name}` is in no namespace that ext4 knows")]
    XattrNamespace { path: Lossy, name: Lossy },
    /// An attribute that is too long for the kernel.
    #[error("`{path}`: attribute `{name}` has a value of {length} bytes; the most is 65536")]
    XattrSize { path: Lossy, name: Lossy, length: usize },
    /// An access list that is not in the kernel's form.
    #[error("`{path}`: attribute `{name}` is no POSIX access list")]
    Acl { path: Lossy, name: Lossy },
    /// So many attributes that their names fill a block.
    #[error("`{path}` has more attributes than fit into a block")]
    XattrCount { path: Lossy },
    /// More than 2^31 files and large attributes.
    #[error("{found} files are more than the 2147483648 that can be counted")]
    Inodes { found: u64 },
}

/// Why something is no file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum NameProblem {
    #[error("it is empty")]
    Empty,
    #[error("it is longer than 255 bytes")]
    TooLong,
    #[error("it holds a slash or a zero byte")]
    Separator,
    #[error("it names the directory itself or its parent")]
    Dots,
}
