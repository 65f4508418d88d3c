//! Disks written here, read back, and damaged.

use std::io::Cursor;

use uuid::Uuid;

use super::*;
use crate::disk::esp::{EspWriter, LABEL, MINIMUM, Parameters};
use crate::disk::gpt::{Layout, Request};
use crate::disk::{ALIGNMENT, SectorSize};
use crate::model::{Machine, SourceDateEpoch};

const ID: &str = "loader/entries/bootc_debian-13 (trixie)-1.conf";

/// Only the beginning is kept: what is behind it reads as zeros, as in a sparse file.
fn disk(sector: SectorSize) -> Vec<u8> {
    let request = |name: &str, kind, guid, size| Request {
        name: name.to_owned(),
        kind,
        guid: Uuid::from_u128(guid),
        size,
        grows: false,
    };
    let requests = vec![
        request(LABEL, PartitionType::Esp, 1, MINIMUM),
        request("root", PartitionType::Root(Machine::Aarch64), 2, 1),
    ];
    let layout = Layout::new(sector, Uuid::from_u128(3), requests, None).unwrap();
    let mut bytes = Cursor::new(Vec::new());
    layout.write(&mut bytes).unwrap();
    let time = SourceDateEpoch::from_secs(0);
    let parameters = Parameters { sector, start: ALIGNMENT, size: MINIMUM, serial: 7, time };
    let mut esp = EspWriter::new(&mut bytes, &parameters).unwrap();
    let entry = format!("title x\nlinux /EFI/v\ninitrd /EFI/missing\noptions rw composefs=?{}\n", "ab".repeat(64));
    for (path, content) in [("EFI/v", vec![9; 10_000]), (ID, entry.into_bytes()), ("loader/empty", Vec::new())] {
        esp.add(&path.parse().unwrap(), content.len() as u64, &mut &content[..]).unwrap();
    }
    esp.finish().unwrap();
    bytes.into_inner()
}

#[test]
fn what_was_written_is_read_back() {
    for sector in [SectorSize::B512, SectorSize::B4096] {
        let mut bytes = Cursor::new(disk(sector));
        let DiskContent { table, esp, .. } = inspect(&mut bytes).unwrap();
        assert_eq!((table.sector, table.damage, table.partitions.len()), (sector, None, 2));
        assert_eq!(table.guid, Uuid::from_u128(3).to_string());
        let root = &table.partitions[1];
        assert_eq!((root.number, &*root.name, root.size), (2, "root", ALIGNMENT));
        assert_eq!(root.kind.to_string(), "root (aarch64)");
        let esp = esp.unwrap();
        let files: Vec<_> = esp.files.iter().map(|file| (&*file.path, file.size)).collect();
        assert_eq!(files, [("EFI/v", 10_000), ("loader/empty", 0), (ID, 192)]);
        assert_eq!(esp.serial, 7);
        // The root, three folders, three clusters of the kernel and one of the entry.
        assert_eq!(esp.capacity - esp.free, 8 * 4096);
        let entry = &esp.entries[0];
        assert_eq!(entry.composefs.as_ref().unwrap().id.as_str(), "ab".repeat(64));
        assert_eq!(entry.missing, ["/EFI/missing"]);
        let partition = Window::new(&mut bytes, ALIGNMENT, MINIMUM);
        assert_eq!(Fat::open(partition).unwrap().read(&esp.files[0], 10_000).unwrap(), vec![9; 10_000]);
        serde_json::to_value(&esp).unwrap();
    }
}

#[test]
fn one_damaged_copy_of_the_table_is_told_and_two_are_an_error() {
    let good = disk(SectorSize::B512);
    let last = good.len() - 512;
    let damaged = |places: &[usize]| {
        let mut bytes = good.clone();
        places.iter().for_each(|place| bytes[*place] ^= 1);
        read_table(&mut Cursor::new(bytes))
    };
    // In a header, in an entry, in the signature of the backup.
    assert_eq!(damaged(&[512 + 60]).unwrap().damage, Some("the first partition table is damaged"));
    assert_eq!(damaged(&[1024 + 60]).unwrap().partitions.len(), 2);
    assert_eq!(damaged(&[last]).unwrap().damage, Some("the backup of the partition table is damaged"));
    assert!(matches!(damaged(&[512 + 60, last + 60]), Err(InspectError::Table { .. })));
    assert!(matches!(damaged(&[512]), Err(InspectError::NoTable)));
    assert!(matches!(read_table(&mut Cursor::new(Vec::new())), Err(InspectError::NoTable)));
}

/// Puts a number into the partition's bytes; the first FAT is in use.
fn with(at: usize, value: &[u8]) -> Result<EspContent, InspectError> {
    let mut bytes = disk(SectorSize::B512);
    let start = usize::try_from(ALIGNMENT).unwrap();
    bytes[start + at..start + at + value.len()].copy_from_slice(value);
    inspect_esp(Window::new(Cursor::new(bytes), ALIGNMENT, MINIMUM))
}

#[test]
fn a_damaged_file_system_is_an_error_and_not_a_loop() {
    let boot =
        |at, value: &[u8]| assert!(matches!(with(at, value), Err(InspectError::NotFat { .. })), "{at} {value:?}");
    boot(510, &[0]);
    boot(11, &[0, 0]);
    boot(13, &[0]);
    boot(14, &[0, 0]);
    boot(16, &[200]);
    boot(32, &[0xff; 4]);
    boot(36, &[1, 0, 0, 0]);
    boot(36, &[0xff; 4]);
    let start = usize::try_from(ALIGNMENT).unwrap();
    let bytes = disk(SectorSize::B512);
    let reserved = usize::from(u16::from_le_bytes([bytes[start + 14], bytes[start + 15]]));
    let table = |cluster: usize, next: u32| with(reserved * 512 + cluster * 4, &next.to_le_bytes());
    // The root's chain leads to itself, outside, or to a free cluster; that of the entry's folder too.
    for (cluster, next) in [(2, 2), (2, 0x0100_0000), (2, 1), (2, 60_000)] {
        assert!(matches!(table(cluster, next), Err(InspectError::Damaged { .. })), "{cluster} {next}");
    }
    // Any byte of the folders may be anything.
    let per_fat = u32::from_le_bytes([bytes[start + 36], bytes[start + 37], bytes[start + 38], bytes[start + 39]]);
    let data = start + (reserved + 2 * usize::try_from(per_fat).unwrap()) * 512;
    let mut bytes = Cursor::new(bytes);
    for at in (data..data + 8 * 4096).step_by(257) {
        bytes.get_mut()[at] ^= 0x55;
        if let Ok(content) = inspect_esp(Window::new(&mut bytes, ALIGNMENT, MINIMUM)) {
            assert!(content.files.len() <= 20);
        }
        bytes.get_mut()[at] ^= 0x55;
    }
}
