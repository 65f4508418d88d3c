//! Where everything is, and the sectors that say so.

use super::size::{FAT_ENTRY, FATS, MAX_CLUSTERS, MIN_CLUSTERS, RESERVED_SECTORS};
use super::{CLUSTER, EspError, MINIMUM, Parameters};

/// First cluster of data; the two numbers before it are reserved.
pub(super) const FIRST_CLUSTER: u32 = 2;

/// Sector of the numbers of free clusters, and of the copy of both first sectors (`fatgen103`, "BPB").
const INFO_SECTOR: u16 = 1;
const BACKUP_SECTOR: u16 = 6;

/// What the file system's first sector says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Geometry {
    pub(super) sector: u64,
    /// Sectors of the partition, and of those before it on the disk.
    sectors: u32,
    hidden: u32,
    reserved: u16,
    sectors_per_fat: u32,
    /// How many clusters there are.
    pub(super) clusters: u32,
    serial: u32,
}

impl Geometry {
    pub(super) fn new(parameters: &Parameters) -> Result<Self, EspError> {
        let &Parameters { sector, start, size, serial, .. } = parameters;
        if size < MINIMUM {
            return Err(EspError::TooSmall { size, minimum: MINIMUM });
        }
        let sector = sector.bytes();
        let limit = (MAX_CLUSTERS * CLUSTER).min(u64::from(u32::MAX) * sector);
        let too_large = EspError::TooLarge { size, limit };
        let Ok(sectors) = u32::try_from(size / sector) else { return Err(too_large) };
        // A table for all sectors as if they were data: a little more than needed, as the specification's own formula.
        let entries = u64::from(sectors) * sector / CLUSTER + u64::from(FIRST_CLUSTER);
        let per_fat = (entries * FAT_ENTRY).div_ceil(sector);
        // Reserved sectors fill up to a whole cluster, so that data is aligned as the partition is.
        let head = (RESERVED_SECTORS + FATS * per_fat).next_multiple_of(CLUSTER / sector);
        let reserved = head - FATS * per_fat;
        let clusters = (u64::from(sectors) - head) / (CLUSTER / sector);
        if !(MIN_CLUSTERS..MAX_CLUSTERS).contains(&clusters) {
            return Err(too_large);
        }
        let fits = "bounded by the number of sectors";
        Ok(Self {
            sector,
            sectors,
            // Told for the sake of BIOS code that nothing here has; disks may be larger than the field.
            hidden: u32::try_from(start / sector).unwrap_or(0),
            reserved: u16::try_from(reserved).expect("32 and at most 7 more"),
            sectors_per_fat: u32::try_from(per_fat).expect(fits),
            clusters: u32::try_from(clusters).expect(fits),
            serial,
        })
    }

    /// Offsets of the copies of the table.
    pub(super) fn fats(&self) -> [u64; 2] {
        let first = u64::from(self.reserved) * self.sector;
        [first, first + u64::from(self.sectors_per_fat) * self.sector]
    }

    /// Offset of a cluster.
    pub(super) fn offset(&self, cluster: u32) -> u64 {
        let [_, second] = self.fats();
        let data = second + u64::from(self.sectors_per_fat) * self.sector;
        data + u64::from(cluster - FIRST_CLUSTER) * CLUSTER
    }

    /// Offsets of the boot sector and its copy.
    pub(super) fn boot_offsets(&self) -> [u64; 2] {
        [0, u64::from(BACKUP_SECTOR) * self.sector]
    }

    /// Offsets of the information sector and its copy.
    pub(super) fn info_offsets(&self) -> [u64; 2] {
        self.boot_offsets().map(|boot| boot + u64::from(INFO_SECTOR) * self.sector)
    }

    /// The first 512 bytes (`fatgen103`, "Boot Sector and BPB").
    pub(super) fn boot_sector(&self) -> [u8; 512] {
        let mut boot = [0; 512];
        let mut put = |at: usize, bytes: &[u8]| boot[at..at + bytes.len()].copy_from_slice(bytes);
        // A jump to code that halts: nothing here starts under a BIOS.
        put(0, &[0xeb, 0x58, 0x90]);
        put(90, &[0xf4, 0xeb, 0xfd]);
        put(3, b"imgbuild");
        put(11, &u16::try_from(self.sector).expect("512 or 4096").to_le_bytes());
        put(13, &[u8::try_from(CLUSTER / self.sector).expect("1 or 8")]);
        put(14, &self.reserved.to_le_bytes());
        put(16, &[2]);
        // A fixed disk; a geometry of tracks and heads that old code divides by.
        put(21, &[0xf8]);
        put(24, &63_u16.to_le_bytes());
        put(26, &255_u16.to_le_bytes());
        put(28, &self.hidden.to_le_bytes());
        put(32, &self.sectors.to_le_bytes());
        put(36, &self.sectors_per_fat.to_le_bytes());
        put(44, &FIRST_CLUSTER.to_le_bytes());
        put(48, &INFO_SECTOR.to_le_bytes());
        put(50, &BACKUP_SECTOR.to_le_bytes());
        put(64, &[0x80, 0, 0x29]);
        put(67, &self.serial.to_le_bytes());
        put(71, super::entry::LABEL_NAME);
        put(82, b"FAT32   ");
        put(510, &[0x55, 0xaa]);
        boot
    }

    /// How much is free, and where to look for it (`fatgen103`, "FAT32 FSInfo Sector").
    pub(super) fn info_sector(&self, next: u32) -> [u8; 512] {
        let mut info = [0; 512];
        let mut put = |at: usize, value: u32| info[at..at + 4].copy_from_slice(&value.to_le_bytes());
        put(0, 0x4161_5252);
        put(484, 0x6141_7272);
        put(488, self.clusters + FIRST_CLUSTER - next);
        put(492, next);
        put(508, 0xaa55_0000);
        info
    }
}
