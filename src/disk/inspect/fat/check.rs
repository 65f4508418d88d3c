//! What a FAT32 file system has twice, or could know from elsewhere.

use std::collections::BTreeSet;
use std::io::{Read, Seek, SeekFrom};

use super::{CHAIN_END, Fat, FatFile};
use crate::disk::inspect::InspectError;

/// Marks of the sector that tells the number of free clusters.
const INFO_SIGNATURES: [(usize, &[u8; 4]); 3] = [(0, b"RRaA"), (484, b"rrAa"), (508, &[0, 0, 0x55, 0xaa])];

/// Where Linux notes that it is in use.
const STATE: usize = 65;

impl<S: Read + Seek> Fat<S> {
    /// What contradicts itself between the copies of the file system's head, and between the table and the files.
    ///
    /// # Errors
    /// When the disk cannot be read, or a chain is damaged.
    pub fn check(&mut self, files: &[FatFile]) -> Result<Vec<&'static str>, InspectError> {
        let mut problems = Vec::new();
        let head = self.bytes(0, 512)?;
        let half = |at: usize| u64::from(u16::from_le_bytes([head[at], head[at + 1]]));
        let (sector, info, backup) = (half(11), half(48), half(50));
        // The kernel marks a mounted file system in the first sector alone.
        let marked = |mut sector: Vec<u8>| {
            sector[STATE] = 0;
            sector
        };
        if backup != 0 && backup != 0xffff && marked(self.bytes(backup * sector, 512)?) != marked(head.clone()) {
            problems.push("the copy of its first sector is another one");
        }
        let mut unmarked = false;
        // The copy of the first sector is followed by one of this.
        for place in [info, backup + 1] {
            let info = self.bytes(place * sector, 512)?;
            unmarked |= INFO_SIGNATURES.iter().any(|(at, mark)| info[*at..*at + 4] != mark[..]);
        }
        if unmarked {
            problems.push("the sector with the number of free clusters is damaged");
        }
        let table_bytes = (half(36) | half(38) << 16) * sector;
        let first = half(14) * sector;
        if head[16] == 2 && !self.same(first, first + table_bytes)? {
            problems.push("its two tables differ");
        }
        if self.unreached(files)? {
            problems.push("clusters are in use that belong to no file, or to several");
        }
        Ok(problems)
    }

    fn bytes(&mut self, offset: u64, length: u64) -> Result<Vec<u8>, InspectError> {
        let mut bytes = Vec::new();
        self.partition.seek(SeekFrom::Start(offset))?;
        self.partition.by_ref().take(length).read_to_end(&mut bytes)?;
        let missing = usize::try_from(length).unwrap_or(0).saturating_sub(bytes.len());
        bytes.resize(bytes.len() + missing, 0);
        Ok(bytes)
    }

    /// Whether two copies of the table agree, as far as there are clusters.
    fn same(&mut self, first: u64, second: u64) -> Result<bool, InspectError> {
        let length = self.table.len() as u64 * 4;
        Ok(self.bytes(first, length)? == self.bytes(second, length)?)
    }

    /// Whether some clusters in use are reached from no folder and no file, or twice.
    fn unreached(&mut self, files: &[FatFile]) -> Result<bool, InspectError> {
        let mut reached = BTreeSet::new();
        let mut twice = false;
        for folder in self.folders()? {
            let chain = self.chain_to_end(folder);
            twice |= chain.into_iter().any(|cluster| !reached.insert(cluster));
        }
        for file in files.iter().filter(|file| file.size > 0) {
            let chain = self.chain_to_end(file.cluster);
            twice |= chain.into_iter().any(|cluster| !reached.insert(cluster));
        }
        let used = self.table.iter().skip(2).filter(|next| **next != 0 && **next != BAD).count();
        Ok(twice || used != reached.len())
    }

    /// A chain as far as it leads; a circle ends where it closes.
    fn chain_to_end(&self, first: u32) -> BTreeSet<u32> {
        let (mut chain, mut cluster) = (BTreeSet::new(), first);
        while cluster < CHAIN_END && chain.insert(cluster) {
            match self.next(cluster) {
                Some(next) => cluster = next,
                None => break,
            }
        }
        chain
    }
}

/// A cluster that must not be used.
const BAD: u32 = 0x0fff_fff7;
