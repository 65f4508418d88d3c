//! What cannot be put onto a partition, and folders of many names.

use std::io::{self, Cursor, Read};

use super::*;
use crate::disk::Window;
use crate::disk::inspect::Fat;

fn parameters(size: u64) -> Parameters {
    Parameters { sector: SectorSize::B512, start: 0, size, serial: 1, time: SourceDateEpoch::from_secs(0) }
}

fn writer(size: u64) -> EspWriter<Cursor<Vec<u8>>> {
    EspWriter::new(Cursor::new(Vec::new()), &parameters(size)).unwrap()
}

fn add(writer: &mut EspWriter<Cursor<Vec<u8>>>, path: &str, size: u64, content: &[u8]) -> Result<(), EspError> {
    writer.add(&path.parse().unwrap(), size, &mut &content[..])
}

#[test]
fn partitions_are_neither_too_small_nor_too_large() {
    let of = |size| EspWriter::new(io::empty(), &parameters(size)).err();
    assert!(of(MINIMUM).is_none());
    assert!(matches!(of(MINIMUM - 1), Some(EspError::TooSmall { minimum: MINIMUM, .. })));
    assert!(matches!(of(3 << 40), Some(EspError::TooLarge { .. })));
    assert!(matches!(of(u64::MAX), Some(EspError::TooLarge { .. })));
}

#[test]
fn a_path_is_taken_once_whatever_its_case() {
    let mut esp = writer(MINIMUM);
    add(&mut esp, "EFI/BOOT/a.efi", 1, b"x").unwrap();
    add(&mut esp, "efi/boot/b.efi", 1, b"x").unwrap();
    assert!(matches!(add(&mut esp, "EFI/boot/A.EFI", 1, b"x"), Err(EspError::Exists { .. })));
    assert!(matches!(add(&mut esp, "EFI/BOOT", 1, b"x"), Err(EspError::Exists { .. })));
    assert!(matches!(add(&mut esp, "EFI/BOOT/a.efi/c", 1, b"x"), Err(EspError::NotAFolder { .. })));
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _buf: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

#[test]
fn content_is_as_long_as_was_said_and_fits() {
    let mut esp = writer(MINIMUM);
    assert!(matches!(add(&mut esp, "short", 5, b"1234"), Err(EspError::Length { expected: 5, found: 4, .. })));
    assert!(matches!(add(&mut esp, "long", 3, b"1234"), Err(EspError::Length { expected: 3, .. })));
    assert!(matches!(add(&mut esp, "huge", 1 << 32, b""), Err(EspError::FileTooLarge { .. })));
    assert!(matches!(add(&mut esp, "full", MINIMUM, b""), Err(EspError::Full { .. })));
    let broken = esp.add(&"broken".parse().unwrap(), 1, &mut Broken);
    assert!(matches!(broken, Err(EspError::Read { .. })));
}

#[test]
fn the_last_cluster_can_be_used_and_not_one_more() {
    // Two megabytes more or less decide about the files; the folder takes one cluster.
    let clusters = Fat::open(Window::new(filled(0).unwrap(), 0, MINIMUM)).unwrap().capacity() / CLUSTER;
    let content = (clusters - 2) * CLUSTER;
    let mut fat = Fat::open(Window::new(filled(content).unwrap(), 0, MINIMUM)).unwrap();
    assert_eq!((fat.free(), fat.files().unwrap().len()), (0, 1));
    assert!(matches!(filled(content + 1), Err(EspError::Full { .. })));
}

/// A partition with one file of zeros in a folder.
fn filled(size: u64) -> Result<Cursor<Vec<u8>>, EspError> {
    let mut bytes = Cursor::new(Vec::new());
    let mut esp = EspWriter::new(&mut bytes, &parameters(MINIMUM))?;
    esp.add(&"folder/file".parse().unwrap(), size, &mut io::repeat(0).take(size))?;
    esp.finish()?;
    Ok(bytes)
}

#[test]
fn folders_hold_thousands_of_names_and_refuse_too_many() {
    let named = |count: u32| {
        let mut bytes = Cursor::new(Vec::new());
        let mut esp = EspWriter::new(&mut bytes, &parameters(MINIMUM)).unwrap();
        for number in 0..count {
            esp.add(
                &format!("a name of 26 bytes {number:>07}").replace(' ', "_").parse().unwrap(),
                0,
                &mut io::empty(),
            )
            .unwrap();
        }
        esp.finish().map(|()| bytes)
    };
    let files = Fat::open(Window::new(named(3000).unwrap(), 0, MINIMUM)).unwrap().files().unwrap();
    assert_eq!((files.len(), &*files[2999].path), (3000, "a_name_of_26_bytes_0002999"));
    assert!(matches!(named(22_000), Err(EspError::FolderFull { .. })));
}
