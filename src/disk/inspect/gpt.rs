//! Reading a partition table.
//!
//! The `gpt` crate writes tables here and does not read them: it allocates what
//! a header asks for before it knows that the header is sane, and does not
//! compare the entries' checksum.

use std::io::{self, Read, Seek, SeekFrom};

use flate2::Crc;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::InspectError;
use crate::disk::SectorSize;
use crate::disk::gpt::PartitionType;

/// Marks a header (UEFI specification, 5.3.2).
const SIGNATURE: &[u8; 8] = b"EFI PART";

/// Bytes of a header, and where its own checksum is.
const HEADER: usize = 92;
const HEADER_SUM: std::ops::Range<usize> = 16..20;

/// Bytes of an entry, at least.
const ENTRY: u32 = 128;

/// Most bytes of all entries; the usual 128 entries have 16 KiB.
const MAX_ENTRIES: u64 = 1 << 20;

/// A partition on a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FoundPartition {
    /// Its number, from 1.
    pub number: u32,
    /// Its name, without control characters.
    pub name: String,
    /// What it is for.
    #[serde(rename = "type", serialize_with = "in_words")]
    pub kind: PartitionType,
    /// Its own GUID.
    pub guid: String,
    /// First byte on the disk.
    pub start: u64,
    /// Size in bytes.
    pub size: u64,
    /// Attribute bits.
    pub attributes: u64,
}

fn in_words<S: Serializer>(kind: &PartitionType, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(kind)
}

/// A partition table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Table {
    /// Sector size that the disk was written for.
    pub sector: SectorSize,
    /// GUID of the disk.
    pub guid: String,
    /// Size of the disk in bytes.
    pub size: u64,
    /// What is wrong with one of the two copies, while the other is good.
    pub damage: Option<&'static str>,
    /// The partitions, by number.
    pub partitions: Vec<FoundPartition>,
}

/// A header that was found good.
#[derive(Debug, PartialEq, Eq)]
struct Header {
    first_usable: u64,
    last_usable: u64,
    guid: Uuid,
    entries: Vec<u8>,
    entry_size: usize,
}

/// The sector size a disk was written for: the table's header is in the second sector. `None` without a table.
///
/// # Errors
/// When the stream fails.
pub fn sector_size<S: Read + Seek>(disk: &mut S) -> io::Result<Option<SectorSize>> {
    for sector in [SectorSize::B512, SectorSize::B4096] {
        disk.seek(SeekFrom::Start(sector.bytes()))?;
        if read_up_to(disk, SIGNATURE.len() as u64)? == SIGNATURE {
            return Ok(Some(sector));
        }
    }
    Ok(None)
}

fn read_up_to<S: Read>(stream: &mut S, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads the table, or its backup when the table is damaged.
///
/// # Errors
/// When there is none, both are damaged, or partitions are where none can be.
pub fn read_table<S: Read + Seek>(disk: &mut S) -> Result<Table, InspectError> {
    let size = disk.seek(SeekFrom::End(0))?;
    let sector = sector_size(disk)?.ok_or(InspectError::NoTable)?;
    let last = (size / sector.bytes()).saturating_sub(1);
    let (first, backup) = (read_header(disk, sector, 1, last)?, read_header(disk, sector, last, last)?);
    let (header, damage) = match (first, backup) {
        (Ok(header), Ok(copy)) if header == copy => (header, None),
        (Ok(header), Ok(_)) => (header, Some("the backup of the partition table is another one")),
        (Ok(header), Err(_)) => (header, Some("the backup of the partition table is damaged")),
        (Err(_), Ok(backup)) => (backup, Some("the first partition table is damaged")),
        (Err(problem), Err(backup)) => return Err(InspectError::Table { problem, backup }),
    };
    let partitions = partitions(&header, sector)?;
    Ok(Table { sector, guid: header.guid.to_string(), size, damage, partitions })
}

fn read_header<S: Read + Seek>(
    disk: &mut S,
    sector: SectorSize,
    at: u64,
    last: u64,
) -> Result<Result<Header, &'static str>, InspectError> {
    disk.seek(SeekFrom::Start(at.saturating_mul(sector.bytes())))?;
    let bytes = read_up_to(disk, HEADER as u64)?;
    let Some(place) = check_header(&bytes, at, last) else { return Ok(Err("its header is damaged")) };
    let length = u64::from(place.count) * u64::from(place.entry_size);
    if !place.entry_size.is_multiple_of(ENTRY) || place.entry_size == 0 || length > MAX_ENTRIES {
        return Ok(Err("its entries have an impossible size"));
    }
    disk.seek(SeekFrom::Start(place.first.saturating_mul(sector.bytes())))?;
    let entries = read_up_to(disk, length)?;
    if entries.len() as u64 != length || checksum(&entries) != place.sum {
        return Ok(Err("its entries are damaged"));
    }
    let (first_usable, last_usable) = (number(&bytes, 40), number(&bytes, 48));
    let entry_size = usize::try_from(place.entry_size).unwrap_or(usize::MAX);
    Ok(Ok(Header { first_usable, last_usable, guid: guid(&bytes[56..72]), entries, entry_size }))
}

/// Where the entries are and what they sum up to.
struct EntriesPlace {
    first: u64,
    count: u32,
    entry_size: u32,
    sum: u32,
}

fn check_header(bytes: &[u8], at: u64, last: u64) -> Option<EntriesPlace> {
    if bytes.len() != HEADER || !bytes.starts_with(SIGNATURE) || word(bytes, 12) as usize != HEADER {
        return None;
    }
    let mut summed = bytes.to_vec();
    summed[HEADER_SUM].fill(0);
    let (own, first) = (number(bytes, 24), number(bytes, 72));
    let sound = checksum(&summed) == word(bytes, 16) && own == at && first <= last && number(bytes, 48) <= last;
    sound.then(|| EntriesPlace { first, count: word(bytes, 80), entry_size: word(bytes, 84), sum: word(bytes, 88) })
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}

/// The first three parts of a GUID are little endian on disk.
fn guid(bytes: &[u8]) -> Uuid {
    let mut exact = [0; 16];
    exact.copy_from_slice(bytes);
    Uuid::from_bytes_le(exact)
}

fn partitions(header: &Header, sector: SectorSize) -> Result<Vec<FoundPartition>, InspectError> {
    let mut found: Vec<FoundPartition> = Vec::new();
    for (entry, number) in header.entries.chunks_exact(header.entry_size).zip(1..) {
        if !guid(&entry[..16]).is_nil() {
            found.push(partition(entry, number, header, sector)?);
        }
    }
    let mut by_place: Vec<_> = found.iter().collect();
    by_place.sort_unstable_by_key(|partition| partition.start);
    for pair in by_place.windows(2) {
        if pair[0].start + pair[0].size > pair[1].start {
            return Err(InspectError::Partition { number: pair[1].number, problem: "it overlaps another one" });
        }
    }
    Ok(found)
}

fn partition(
    bytes: &[u8],
    number_of: u32,
    header: &Header,
    sector: SectorSize,
) -> Result<FoundPartition, InspectError> {
    let (first, last) = (number(bytes, 32), number(bytes, 40));
    if first > last || first < header.first_usable || last > header.last_usable {
        return Err(InspectError::Partition { number: number_of, problem: "it is outside of the disk" });
    }
    let units: Vec<u16> = bytes[56..128].chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let name = char::decode_utf16(units.into_iter().take_while(|unit| *unit != 0));
    let shown = name.map(|c| c.ok().filter(|c| !c.is_control()).unwrap_or(char::REPLACEMENT_CHARACTER));
    Ok(FoundPartition {
        number: number_of,
        name: shown.collect(),
        kind: PartitionType::of_guid(guid(&bytes[..16])),
        guid: guid(&bytes[16..32]).to_string(),
        // Both are at most the number of the disk's last sector.
        start: first * sector.bytes(),
        size: (last - first + 1) * sector.bytes(),
        attributes: number(bytes, 48),
    })
}
