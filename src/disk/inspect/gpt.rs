//! Reading a partition table.

use std::io::{self, Read, Seek, SeekFrom};

use crate::disk::SectorSize;

/// Marks a header (UEFI specification, 5.3.2).
const SIGNATURE: &[u8; 8] = b"EFI PART";

/// The sector size a disk was written for: the table's header is in the second sector. `None` without a table.
///
/// # Errors
/// When the stream fails.
pub fn sector_size<S: Read + Seek>(disk: &mut S) -> io::Result<Option<SectorSize>> {
    for sector in [SectorSize::B512, SectorSize::B4096] {
        let mut head = Vec::new();
        disk.seek(SeekFrom::Start(sector.bytes()))?;
        disk.by_ref().take(SIGNATURE.len() as u64).read_to_end(&mut head)?;
        if head == SIGNATURE {
            return Ok(Some(sector));
        }
    }
    Ok(None)
}
