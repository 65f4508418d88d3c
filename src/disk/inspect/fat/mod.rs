//! Reading a FAT32 file system (`fatgen103`).

mod check;

use std::collections::BTreeSet;
use std::io::{Read, Seek, SeekFrom, Write};

use serde::Serialize;

use super::InspectError;
use crate::disk::Window;

/// Most files and folders; a partition of boot loaders has a few dozen.
const MAX_FILES: usize = 100_000;

/// Deepest folder.
const MAX_DEPTH: usize = 32;

/// Most bytes of a table: that of 64 GiB in 4-KiB clusters.
const MAX_TABLE: u64 = 64 << 20;

/// Most bytes of a folder: 65,536 entries.
const MAX_FOLDER: u64 = 2 << 20;

/// Bytes of an entry.
const ENTRY: usize = 32;

/// Numbers of clusters have 28 bits; from here on they end a chain.
const CLUSTER_MASK: u32 = 0x0fff_ffff;
const CHAIN_END: u32 = 0x0fff_fff8;

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FatFile {
    /// Path from the root, without leading slash or control characters.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    #[serde(skip)]
    cluster: u32,
}

/// An open file system.
#[derive(Debug)]
pub struct Fat<S> {
    partition: Window<S>,
    serial: u32,
    /// Offset of the first cluster's data.
    data: u64,
    cluster_size: u64,
    root: u32,
    /// The table, less its reserved bits, for the clusters there are and the two numbers before them.
    table: Vec<u32>,
}

/// A name in a folder.
struct Named {
    name: String,
    is_folder: bool,
    cluster: u32,
    size: u32,
}

impl<S: Read + Seek> Fat<S> {
    /// Checks the first sector and reads the table.
    ///
    /// # Errors
    /// When it is no FAT32 file system, or larger than its partition.
    pub fn open(mut partition: Window<S>) -> Result<Self, InspectError> {
        let not = |problem| InspectError::NotFat { problem };
        partition.seek(SeekFrom::Start(0))?;
        let mut boot = [0; 512];
        partition.read_exact(&mut boot)?;
        let half = |at: usize| u64::from(u16::from_le_bytes([boot[at], boot[at + 1]]));
        let word = |at: usize| half(at) | half(at + 2) << 16;
        let (sector, per_cluster, fats) = (half(11), u64::from(boot[13]), u64::from(boot[16]));
        if boot[510..] != [0x55, 0xaa] || !matches!(sector, 512 | 1024 | 2048 | 4096) || !per_cluster.is_power_of_two()
        {
            return Err(not("its first sector is none of a FAT file system"));
        }
        if half(17) != 0 || half(22) != 0 || word(36) == 0 || !matches!(fats, 1 | 2) {
            return Err(not("it is FAT12 or FAT16, or damaged"));
        }
        let (sectors, head) = (word(32), half(14) + fats * word(36));
        if sectors * sector > partition.len() || half(14) == 0 || head >= sectors {
            return Err(not("it is larger than its partition, or has no room for data"));
        }
        let clusters = (sectors - head) / per_cluster;
        let table_size = (clusters + 2) * 4;
        if table_size > word(36) * sector || table_size > MAX_TABLE {
            return Err(not("its table does not fit its clusters, or is too large to be read"));
        }
        let table = read_table(&mut partition, half(14) * sector, table_size)?;
        let (serial, root) = (u32::from_le_bytes([boot[67], boot[68], boot[69], boot[70]]), word(44));
        let root = u32::try_from(root).expect("a word") & CLUSTER_MASK;
        Ok(Self { partition, serial, data: head * sector, cluster_size: per_cluster * sector, root, table })
    }

    /// Serial number.
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// Bytes of all clusters.
    pub fn capacity(&self) -> u64 {
        (self.table.len() as u64).saturating_sub(2) * self.cluster_size
    }

    /// Bytes of free clusters.
    pub fn free(&self) -> u64 {
        self.table.iter().skip(2).filter(|next| **next == 0).count() as u64 * self.cluster_size
    }

    /// All files, in the order of their paths.
    ///
    /// # Errors
    /// When a folder is damaged, or there are more files than such a partition ever has.
    pub fn files(&mut self) -> Result<Vec<FatFile>, InspectError> {
        Ok(self.walk()?.0)
    }

    /// First clusters of all folders.
    fn folders(&mut self) -> Result<BTreeSet<u32>, InspectError> {
        Ok(self.walk()?.1)
    }

    fn walk(&mut self) -> Result<(Vec<FatFile>, BTreeSet<u32>), InspectError> {
        let mut files = Vec::new();
        let mut folders = vec![(String::new(), self.root, 0)];
        let (mut seen, mut count) = (BTreeSet::new(), 0);
        while let Some((path, cluster, depth)) = folders.pop() {
            let damaged = |problem| InspectError::Damaged { path: path.clone(), problem };
            if !seen.insert(cluster) {
                return Err(damaged("the folder is reached twice"));
            }
            let bytes = self.folder(cluster, &path)?;
            for named in parse_folder(&bytes) {
                count += 1;
                if count > MAX_FILES || depth == MAX_DEPTH {
                    return Err(damaged("there are more files, or deeper folders, than can be"));
                }
                let path = if path.is_empty() { named.name } else { format!("{path}/{}", named.name) };
                match named.is_folder {
                    true => folders.push((path, named.cluster, depth + 1)),
                    false => files.push(FatFile { path, size: named.size.into(), cluster: named.cluster }),
                }
            }
        }
        files.sort_unstable();
        Ok((files, seen))
    }

    /// The content of a file.
    ///
    /// # Errors
    /// When it is larger than `limit`, its chain is damaged, or reading fails.
    pub fn read(&mut self, file: &FatFile, limit: u64) -> Result<Vec<u8>, InspectError> {
        if file.size > limit {
            return Err(InspectError::TooLarge { path: file.path.clone(), size: file.size, limit });
        }
        let mut bytes = Vec::new();
        self.copy(file, &mut bytes)?;
        Ok(bytes)
    }

    /// Copies the content of a file.
    ///
    /// # Errors
    /// When its chain is damaged, or reading or writing fails.
    pub fn copy(&mut self, file: &FatFile, out: &mut dyn Write) -> Result<(), InspectError> {
        let damaged = |problem| InspectError::Damaged { path: file.path.clone(), problem };
        let clusters = self.chain(file.cluster, file.size).map_err(damaged)?;
        let mut left = file.size;
        for cluster in clusters {
            let piece = left.min(self.cluster_size);
            self.partition.seek(SeekFrom::Start(self.offset(cluster)))?;
            if std::io::copy(&mut self.partition.by_ref().take(piece), out)? != piece {
                return Err(damaged("the disk ends within the file"));
            }
            left -= piece;
        }
        Ok(())
    }

    fn folder(&mut self, cluster: u32, path: &str) -> Result<Vec<u8>, InspectError> {
        let damaged = |problem| InspectError::Damaged { path: path.to_owned(), problem };
        let clusters = self.whole_chain(cluster, MAX_FOLDER).map_err(damaged)?;
        let mut bytes = Vec::new();
        for cluster in clusters {
            self.partition.seek(SeekFrom::Start(self.offset(cluster)))?;
            self.partition.by_ref().take(self.cluster_size).read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    }

    /// Of a cluster that there is.
    fn offset(&self, cluster: u32) -> u64 {
        self.data + u64::from(cluster - 2) * self.cluster_size
    }

    fn next(&self, cluster: u32) -> Option<u32> {
        (cluster >= 2).then(|| self.table.get(cluster as usize).copied()).flatten()
    }

    /// The clusters of a file of `size` bytes.
    fn chain(&self, first: u32, size: u64) -> Result<Vec<u32>, &'static str> {
        let (mut clusters, mut cluster) = (Vec::new(), first);
        for _ in 0..size.div_ceil(self.cluster_size) {
            // A chain that leads in a circle ends here too: the file needs more clusters than there are.
            if clusters.len() >= self.table.len() {
                return Err("the file is larger than the partition");
            }
            let next = self.next(cluster).ok_or("its chain ends too early or leads outside")?;
            clusters.push(cluster);
            cluster = next;
        }
        Ok(clusters)
    }

    /// All clusters of a folder, whose size is said nowhere.
    fn whole_chain(&self, first: u32, limit: u64) -> Result<Vec<u32>, &'static str> {
        let (mut clusters, mut cluster) = (Vec::new(), first);
        while cluster < CHAIN_END {
            if (clusters.len() as u64 + 1) * self.cluster_size > limit {
                return Err("the folder is too large, or its chain leads in a circle");
            }
            let next = self.next(cluster).ok_or("its chain leads outside")?;
            clusters.push(cluster);
            cluster = next;
        }
        Ok(clusters)
    }
}

fn read_table<S: Read + Seek>(partition: &mut Window<S>, start: u64, size: u64) -> Result<Vec<u32>, InspectError> {
    let mut bytes = Vec::new();
    partition.seek(SeekFrom::Start(start))?;
    partition.by_ref().take(size).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != size {
        return Err(InspectError::NotFat { problem: "the disk ends within its table" });
    }
    let entry = |bytes: &[u8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) & CLUSTER_MASK;
    Ok(bytes.chunks_exact(4).map(entry).collect())
}

/// The files and folders of a folder, without the label, `.` and `..`.
fn parse_folder(bytes: &[u8]) -> Vec<Named> {
    let mut found = Vec::new();
    let mut long = LongName::default();
    for entry in bytes.chunks_exact(ENTRY).take_while(|entry| entry[0] != 0) {
        match (entry[0], entry[11]) {
            (0xe5, _) => long = LongName::default(),
            (_, attribute) if attribute & 0x3f == 0x0f => long.add(entry),
            (b'.', _) => {}
            (_, attribute) if attribute & 0x08 != 0 => {}
            (_, attribute) => {
                let half = |at: usize| u32::from(u16::from_le_bytes([entry[at], entry[at + 1]]));
                let name = std::mem::take(&mut long).take(&entry[..11]).unwrap_or_else(|| short_name(&entry[..11]));
                found.push(Named {
                    name,
                    is_folder: attribute & 0x10 != 0,
                    cluster: (half(26) | half(20) << 16) & CLUSTER_MASK,
                    size: half(28) | half(30) << 16,
                });
            }
        }
    }
    found
}

/// The parts of a long name, which come in front of their short entry, the last one first.
#[derive(Default)]
struct LongName {
    parts: Vec<[u16; 13]>,
    sum: u8,
    /// Number of the part that must come next; 0 when the name is complete.
    next: u8,
}

impl LongName {
    fn add(&mut self, entry: &[u8]) {
        let number = entry[0] & 0x3f;
        if entry[0] & 0x40 != 0 {
            *self = Self { parts: Vec::new(), sum: entry[13], next: number };
        }
        // A part out of order makes the name invalid, and the short one counts.
        if number == 0 || number != self.next || entry[13] != self.sum {
            return *self = Self::default();
        }
        let unit = |at: usize| u16::from_le_bytes([entry[at], entry[at + 1]]);
        self.parts.push([1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30].map(unit));
        self.next -= 1;
    }

    fn take(self, short: &[u8]) -> Option<String> {
        let sum = short.iter().fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
        if self.parts.is_empty() || self.next != 0 || sum != self.sum {
            return None;
        }
        let units = self.parts.into_iter().rev().flatten().take_while(|unit| *unit != 0);
        Some(char::decode_utf16(units).map(|c| shown(c.unwrap_or(char::REPLACEMENT_CHARACTER))).collect())
    }
}

fn short_name(bytes: &[u8]) -> String {
    let part = |bytes: &[u8]| bytes.trim_ascii_end().iter().map(|byte| shown(char::from(*byte))).collect::<String>();
    let (base, extension) = (part(&bytes[..8]), part(&bytes[8..]));
    if extension.is_empty() { base } else { format!("{base}.{extension}") }
}

/// No name can draw on a terminal or pretend to be a path.
fn shown(c: char) -> char {
    if c.is_control() || c == '/' { char::REPLACEMENT_CHARACTER } else { c }
}
