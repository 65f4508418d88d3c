//! Writing a table.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, Write};

use gpt::disk::LogicalBlockSize;
use gpt::header::HeaderError;
use gpt::mbr::{MBRError, ProtectiveMBR};
use gpt::partition_types::{OperatingSystem, Type};

use super::layout::{Layout, Partition};
use super::{GptError, PartitionType};
use crate::disk::{SectorSize, Window};

impl Layout {
    /// Writes the protective MBR, the table and its backup at the end; nothing in between is touched.
    ///
    /// `target` begins with the disk's first byte and may still be shorter than the disk; it is as long afterwards.
    /// It must be readable because the encoder sums up what it has written.
    ///
    /// # Errors
    /// When the stream fails.
    pub fn write<S: Read + Write + Seek>(&self, target: S) -> Result<(), GptError> {
        let mut disk = Window::new(target, 0, self.size());
        // The one partition of a protective MBR covers all that its 32 bits can say (UEFI, 5.2.3).
        let sectors = self.size() / self.sector().bytes() - 1;
        let mbr = ProtectiveMBR::with_lb_size(u32::try_from(sectors).unwrap_or(u32::MAX));
        mbr.overwrite_lba0(&mut disk).map_err(mbr_error)?;
        let config = gpt::GptConfig::new().writable(true).logical_block_size(block_size(self.sector()));
        let mut table = config.create_from_device(disk, Some(self.guid())).map_err(table_error)?;
        table.update_partitions(self.entries()).map_err(table_error)?;
        table.write().map_err(table_error)?.flush().map_err(GptError::Io)
    }

    fn entries(&self) -> BTreeMap<u32, gpt::partition::Partition> {
        (1..).zip(self.partitions()).map(|(number, partition)| (number, entry(partition, self.sector()))).collect()
    }
}

fn entry(partition: &Partition, sector: SectorSize) -> gpt::partition::Partition {
    gpt::partition::Partition {
        part_type_guid: encoded_type(partition.kind),
        part_guid: partition.guid,
        first_lba: partition.start / sector.bytes(),
        last_lba: (partition.start + partition.size) / sector.bytes() - 1,
        flags: partition.attributes,
        name: partition.name.clone(),
    }
}

fn encoded_type(kind: PartitionType) -> Type {
    Type { guid: kind.guid(), os: OperatingSystem::None }
}

fn block_size(sector: SectorSize) -> LogicalBlockSize {
    match sector {
        SectorSize::B512 => LogicalBlockSize::Lb512,
        SectorSize::B4096 => LogicalBlockSize::Lb4096,
    }
}

/// An I/O error stays one, so that a full disk is recognised.
fn table_error(error: gpt::GptError) -> GptError {
    match error {
        gpt::GptError::Io(source) | gpt::GptError::Header(HeaderError::Io(source)) => GptError::Io(source),
        other => GptError::Table(other),
    }
}

fn mbr_error(error: MBRError) -> GptError {
    match error {
        MBRError::Io(source) => GptError::Io(source),
        other => GptError::Io(io::Error::other(other)),
    }
}
