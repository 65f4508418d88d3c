//! Reading a disk back: partitions, files of the EFI system partition, boot entries, what the root file system holds.
//!
//! Nothing on the disk is trusted: every length and number is bounded before it
//! is used, chains are followed no further than there are clusters, and names
//! are shown without control characters. What contradicts itself is an error,
//! with the place where it does.

pub mod ext4;
mod fat;
mod gpt;
mod root;
#[cfg(test)]
mod tests;

use std::io::{self, Read, Seek};

use serde::Serialize;

pub use fat::{Fat, FatFile};
pub use gpt::{FoundPartition, Table, read_table, sector_size};
pub(in crate::disk) use root::parse_origin;
pub use root::{FoundDeployment, RootContent, inspect_root};

use super::Window;
use super::boot::{BootEntry, ComposefsArgument};
use super::gpt::PartitionType;
use super::uki::{Pe, signer};

/// Largest boot entry that is read; real ones have a few hundred bytes.
const MAX_ENTRY: u64 = 64 << 10;

/// Largest unified kernel that is read, and where one is.
const MAX_UNIFIED: u64 = 1 << 30;
const UNIFIED: &str = "EFI/Linux/";

/// Where boot entries are on an EFI system partition.
const ENTRIES: &str = "loader/entries/";

/// A disk that cannot be read back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum InspectError {
    /// No partition table at either sector size.
    #[error("there is no GUID partition table")]
    NoTable,
    /// Both copies of the table are damaged.
    #[error("the partition table is damaged ({problem}), and so is its backup ({backup})")]
    Table { problem: &'static str, backup: &'static str },
    /// A partition is where none can be.
    #[error("partition {number}: {problem}")]
    Partition { number: u32, problem: &'static str },
    /// The EFI system partition has another file system, or a damaged one.
    #[error("the EFI system partition is no FAT32 file system: {problem}")]
    NotFat { problem: &'static str },
    /// Folders or chains of it are damaged.
    #[error("the EFI system partition is damaged at `{path}`: {problem}")]
    Damaged { path: String, problem: &'static str },
    /// A file that must be read is larger than such files are.
    #[error("`{path}` has {size} bytes; at most {limit} are read")]
    TooLarge { path: String, size: u64, limit: u64 },
    /// The stream failed or ended.
    #[error("reading the disk")]
    Read(#[from] io::Error),
}

/// A boot entry and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FoundEntry {
    /// Path on the EFI system partition.
    pub path: String,
    /// Its lines.
    pub entry: BootEntry,
    /// The image that its command line names, when it does.
    pub composefs: Option<ComposefsArgument>,
    /// Files that it names and that are not there.
    pub missing: Vec<String>,
    /// The unified kernel that it boots, when it does.
    pub unified: Option<FoundUnified>,
}

/// A unified kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FoundUnified {
    /// Its command line.
    pub command_line: String,
    /// Whose certificate came with its signature; nothing tells whether that is its owner's.
    pub signed_by: Option<String>,
    /// Why firmware would not start it, whatever its keys are.
    pub problem: Option<String>,
}

/// What an EFI system partition holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct EspContent {
    /// Serial number.
    pub serial: u32,
    /// Bytes of all clusters.
    pub capacity: u64,
    /// Bytes of free clusters.
    pub free: u64,
    /// Files in the order of their paths.
    pub files: Vec<FatFile>,
    /// Boot entries of type 1, in the order of their paths.
    pub entries: Vec<FoundEntry>,
}

/// A whole disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DiskContent {
    /// The partition table.
    pub table: Table,
    /// The first EFI system partition, when there is one.
    pub esp: Option<EspContent>,
    /// The first root partition, when there is one with a file system that is read here.
    pub root: Option<RootContent>,
    /// Why it is not read.
    pub unread_root: Option<String>,
}

/// Reads all but the content of the root file system.
///
/// # Errors
/// Any [`InspectError`].
pub fn inspect<S: Read + Seek>(disk: &mut S) -> Result<DiskContent, InspectError> {
    let table = read_table(disk)?;
    let esp = table.partitions.iter().find(|partition| partition.kind == PartitionType::Esp);
    let esp = esp.map(|esp| inspect_esp(Window::new(&mut *disk, esp.start, esp.size))).transpose()?;
    let mut content = DiskContent { table, esp, root: None, unread_root: None };
    let root = content.table.partitions.iter().find(|partition| matches!(partition.kind, PartitionType::Root(_)));
    if let Some(root) = root {
        match inspect_root(Window::new(&mut *disk, root.start, root.size)) {
            Ok(root) => content.root = Some(root),
            Err(ext4::Ext4Error::Io(error)) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error.into()),
            Err(error) => content.unread_root = Some(error.to_string()),
        }
    }
    Ok(content)
}

/// Reads an EFI system partition.
///
/// # Errors
/// Any [`InspectError`].
pub fn inspect_esp<S: Read + Seek>(partition: Window<S>) -> Result<EspContent, InspectError> {
    let mut fat = Fat::open(partition)?;
    let files = fat.files()?;
    let is_entry = |file: &&FatFile| {
        let name = file.path.strip_prefix(ENTRIES);
        name.is_some_and(|name| name.ends_with(".conf") && !name.contains('/'))
    };
    let mut entries = Vec::new();
    for file in files.iter().filter(is_entry) {
        let bytes = fat.read(file, MAX_ENTRY)?;
        let mut found = found_entry(file, &String::from_utf8_lossy(&bytes), &files);
        let kernel = found.entry.get("uki").or(found.entry.get("efi")).and_then(|path| at(&files, path));
        if let Some(kernel) = kernel.filter(|kernel| kernel.path.starts_with(UNIFIED)) {
            let unified = found_unified(&fat.read(kernel, MAX_UNIFIED)?);
            found.composefs = ComposefsArgument::find(&unified.command_line);
            found.unified = Some(unified);
        }
        entries.push(found);
    }
    Ok(EspContent { serial: fat.serial(), capacity: fat.capacity(), free: fat.free(), files, entries })
}

/// The file that an entry names.
fn at<'f>(files: &'f [FatFile], path: &str) -> Option<&'f FatFile> {
    let path = path.trim_start_matches('/');
    files.iter().find(|file| file.path.eq_ignore_ascii_case(path))
}

fn found_unified(bytes: &[u8]) -> FoundUnified {
    let line = Pe::parse(bytes).ok().and_then(|program| program.section(".cmdline"));
    let line = String::from_utf8_lossy(line.unwrap_or_default());
    let (signed_by, problem) = match signer(bytes) {
        Ok(signer) => (signer, None),
        Err(error) => (None, Some(error.to_string())),
    };
    let command_line = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    FoundUnified { command_line: command_line.trim().to_owned(), signed_by, problem }
}

fn found_entry(file: &FatFile, text: &str, files: &[FatFile]) -> FoundEntry {
    let entry = BootEntry::parse(text);
    let missing = entry.files().filter(|path| at(files, path).is_none()).map(str::to_owned).collect();
    let composefs = ComposefsArgument::find(&entry.options());
    FoundEntry { path: file.path.clone(), entry, composefs, missing, unified: None }
}
