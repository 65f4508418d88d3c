//! Entries of folders.

use super::size::ENTRY;
use super::time::FatTime;

/// The label as an entry has it.
pub(super) const LABEL_NAME: &[u8; 11] = b"EFI-SYSTEM ";

/// Attributes (`fatgen103`, "DIR_Attr").
pub(super) const ATTRIBUTE_LABEL: u8 = 0x08;
pub(super) const ATTRIBUTE_FOLDER: u8 = 0x10;
pub(super) const ATTRIBUTE_FILE: u8 = 0x20;
const ATTRIBUTE_LONG_NAME: u8 = 0x0f;

/// Characters of a long name that an entry holds, and where.
const PART: usize = 13;
const PLACES: [usize; PART] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];

/// Marks the entry with the end of a long name, which comes first.
const LAST_PART: u8 = 0x40;

/// Bytes of an entry as the length of a buffer.
#[expect(clippy::cast_possible_truncation, reason = "it is 32")]
const LENGTH: usize = ENTRY as usize;

/// What a short entry says about a file or folder.
#[derive(Debug, Clone, Copy)]
pub(super) struct Short {
    pub(super) name: [u8; 11],
    pub(super) attribute: u8,
    pub(super) cluster: u32,
    pub(super) size: u32,
}

impl Short {
    /// The entry (`fatgen103`, "FAT 32 Byte Directory Entry Structure").
    pub(super) fn bytes(&self, time: FatTime) -> [u8; LENGTH] {
        let mut entry = [0; LENGTH];
        let mut put = |at: usize, bytes: &[u8]| entry[at..at + bytes.len()].copy_from_slice(bytes);
        let [low_0, low_1, high_0, high_1] = self.cluster.to_le_bytes();
        put(0, &self.name);
        put(11, &[self.attribute]);
        put(14, &time.time.to_le_bytes());
        put(16, &time.date.to_le_bytes());
        put(18, &time.date.to_le_bytes());
        put(20, &[high_0, high_1]);
        put(22, &time.time.to_le_bytes());
        put(24, &time.date.to_le_bytes());
        put(26, &[low_0, low_1]);
        put(28, &self.size.to_le_bytes());
        entry
    }
}

/// Most entries that a name takes.
pub(super) fn entries_for(name: &str) -> u64 {
    1 + (name.len() as u64).div_ceil(PART as u64)
}

/// The entries of a long name that go in front of the short entry, the end of the name first.
pub(super) fn long_name(name: &str, short: &[u8; 11]) -> Vec<u8> {
    let sum = checksum(short);
    let parts: Vec<&[u8]> = name.as_bytes().chunks(PART).collect();
    let mut entries = Vec::with_capacity(parts.len() * LENGTH);
    for (index, part) in parts.iter().enumerate().rev() {
        let number = u8::try_from(index + 1).expect("255 characters are 20 parts");
        let mark = if index + 1 == parts.len() { LAST_PART } else { 0 };
        entries.extend(long_part(number | mark, part, sum));
    }
    entries
}

fn long_part(order: u8, part: &[u8], sum: u8) -> [u8; LENGTH] {
    let mut entry = [0; LENGTH];
    (entry[0], entry[11], entry[13]) = (order, ATTRIBUTE_LONG_NAME, sum);
    // One zero ends a name that leaves room; what is behind it is all ones.
    let characters = part.iter().map(|byte| u16::from(*byte)).chain([0]).chain(std::iter::repeat(u16::MAX));
    for (place, character) in PLACES.into_iter().zip(characters) {
        entry[place..place + 2].copy_from_slice(&character.to_le_bytes());
    }
    entry
}

/// Ties a long name to its short one.
pub(super) fn checksum(short: &[u8; 11]) -> u8 {
    short.iter().fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte))
}
