//! Where partitions go.

use uuid::Uuid;

use super::{GptError, PartitionType};
use crate::disk::{ALIGNMENT, SectorSize};

/// Most entries of a table; every implementation has room for these.
const MAX_PARTITIONS: usize = 128;

/// Longest name in UTF-16 units.
const MAX_NAME: usize = 36;

/// Attribute of the Discoverable Partitions Specification: the file system grows to its partition when mounted.
const GROW_FILE_SYSTEM: u64 = 1 << 59;

/// Disks end before this, so that offsets fit `i64`.
const MAX_SIZE: u64 = 1 << 63;

/// A partition that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its name in the table: unique, so that `PARTLABEL=` finds it.
    pub name: String,
    /// What it is for.
    pub kind: PartitionType,
    /// Its own GUID.
    pub guid: Uuid,
    /// At least so many bytes.
    pub size: u64,
    /// Whether its file system grows to it when mounted.
    pub grows: bool,
}

/// A partition with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its name in the table.
    pub name: String,
    /// What it is for.
    pub kind: PartitionType,
    /// Its own GUID.
    pub guid: Uuid,
    /// First byte on the disk.
    pub start: u64,
    /// Size in bytes.
    pub size: u64,
    /// Attribute bits.
    pub attributes: u64,
}

/// A disk: partitions in order, between the two copies of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    sector: SectorSize,
    guid: Uuid,
    size: u64,
    partitions: Vec<Partition>,
}

impl Layout {
    /// Places partitions one after the other, each at a multiple of [`ALIGNMENT`] and as large as a multiple of it.
    ///
    /// Without `size` the disk is as small as it can be. With it, the last partition takes what is left.
    /// The first and the last [`ALIGNMENT`] bytes hold the two copies of the table.
    ///
    /// # Errors
    /// When they do not fit, or one of them cannot be in a table.
    pub fn new(sector: SectorSize, guid: Uuid, requests: Vec<Request>, size: Option<u64>) -> Result<Self, GptError> {
        if requests.len() > MAX_PARTITIONS {
            return Err(GptError::TooMany { count: requests.len() });
        }
        let mut next = ALIGNMENT;
        let mut partitions = Vec::with_capacity(requests.len());
        for request in requests {
            let partition = place(request, next)?;
            next = next.checked_add(partition.size).ok_or(GptError::TooLarge)?;
            partitions.push(partition);
        }
        let needed = next.checked_add(ALIGNMENT).filter(|end| *end < MAX_SIZE).ok_or(GptError::TooLarge)?;
        let size = size.unwrap_or(needed);
        check_size(size, needed, sector)?;
        if let Some(last) = partitions.last_mut() {
            last.size += (size - needed) / ALIGNMENT * ALIGNMENT;
        }
        Ok(Self { sector, guid, size, partitions })
    }

    /// Sector size.
    pub fn sector(&self) -> SectorSize {
        self.sector
    }

    /// GUID of the disk.
    pub fn guid(&self) -> Uuid {
        self.guid
    }

    /// Size of the disk in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The partitions, numbered from 1, in the order of their places.
    pub fn partitions(&self) -> &[Partition] {
        &self.partitions
    }

    /// The partition with this name.
    pub fn partition(&self, name: &str) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.name == name)
    }
}

fn place(request: Request, start: u64) -> Result<Partition, GptError> {
    let Request { name, kind, guid, size, grows } = request;
    if size == 0 {
        return Err(GptError::Empty { name });
    }
    if name.encode_utf16().count() > MAX_NAME || name.contains(char::is_control) {
        return Err(GptError::Name { name });
    }
    let size = size.checked_next_multiple_of(ALIGNMENT).ok_or(GptError::TooLarge)?;
    let attributes = if grows { GROW_FILE_SYSTEM } else { 0 };
    Ok(Partition { name, kind, guid, start, size, attributes })
}

fn check_size(size: u64, needed: u64, sector: SectorSize) -> Result<(), GptError> {
    if !size.is_multiple_of(sector.bytes()) {
        return Err(GptError::UnevenSize { size, sector: sector.bytes() });
    }
    if size >= MAX_SIZE {
        return Err(GptError::TooLarge);
    }
    if size < needed { Err(GptError::TooSmall { needed, size }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Machine;

    const MIB: u64 = 1 << 20;

    fn request(name: &str, size: u64) -> Request {
        let kind = PartitionType::Root(Machine::X86_64);
        Request { name: name.to_owned(), kind, guid: Uuid::from_u128(7), size, grows: false }
    }

    fn layout(requests: Vec<Request>, size: Option<u64>) -> Result<Layout, GptError> {
        Layout::new(SectorSize::B512, Uuid::nil(), requests, size)
    }

    #[test]
    fn partitions_follow_each_other_between_the_tables() {
        let fit = layout(vec![request("a", 1), request("b", 3 * MIB)], None).unwrap();
        let places: Vec<_> = fit.partitions().iter().map(|p| (p.start / MIB, p.size / MIB)).collect();
        assert_eq!((places, fit.size() / MIB), (vec![(1, 1), (2, 3)], 6));
        // What is left goes to the last one, in whole steps, and never to the second table.
        let wide = layout(vec![request("a", 1), request("b", 3 * MIB)], Some(9 * MIB + 512)).unwrap();
        assert_eq!(wide.partition("b").unwrap().size, 6 * MIB);
        assert_eq!(wide.size(), 9 * MIB + 512);
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_is_needed() {
        let needed = |size| layout(vec![request("a", MIB)], Some(size)).unwrap_err().to_string();
        assert_eq!(needed(MIB), "the disk is too small: its partitions need 3145728 bytes, and it has 1048576");
        assert!(matches!(layout(vec![request("a", 0)], None), Err(GptError::Empty { .. })));
        assert!(matches!(layout(vec![request(&"ä".repeat(37), 1)], None), Err(GptError::Name { .. })));
        assert!(layout(vec![request(&"ä".repeat(36), 1)], None).is_ok());
        assert!(matches!(layout(vec![request("a", u64::MAX - 1)], None), Err(GptError::TooLarge)));
        assert!(matches!(layout(vec![request("a", (1 << 63) - MIB)], None), Err(GptError::TooLarge)));
        assert!(matches!(layout(Vec::new(), Some(4 * MIB + 1)), Err(GptError::UnevenSize { .. })));
        assert!(matches!(layout(vec![request("a", 1); 129], None), Err(GptError::TooMany { .. })));
    }
}
