//! Images and requests of which no disk is made: the reason is told, and nothing is left.

use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::process::Command;

use cap_std::fs_utf8::Dir;
use imgbuild::disk::SectorSize;
use imgbuild::disk::assemble::{AssembleError, AssembleRequest, ESP_SIZE, State, assemble};
use imgbuild::disk::esp::MINIMUM;
use imgbuild::model::{ByteSize, Machine, SourceDateEpoch};
use imgbuild::oci::layer::UnpackLimits;
use imgbuild::oci::{Image, Layout};

use super::image::{ELF, Item, Layer, Place, cpio, files, finish, good, good_and, kernel_path, removed};
use super::names;

/// No disk is made of these layers; what is said of it.
fn refused(layers: &[Layer], code: i32) -> String {
    let place = Place::new(layers);
    let finished = place.run(&["disk", "IMAGE", "-o", "disk.raw", "--progress", "none"]).says(code, &[]);
    assert_eq!(names(&place.path("")), ["layout"], "{}", finished.stderr);
    finished.stderr
}

#[test]
fn what_cannot_boot() {
    let initramfs = |files: &[(&str, &[u8])]| super::image::files(&[(&kernel_path("initramfs.img"), &cpio(files))]);
    let mut two = Layer::new();
    two.insert("usr/lib/modules/6.1/vmlinuz".to_owned(), Item::File(b"MZ".to_vec()));
    let mut unified = removed(&[&kernel_path("vmlinuz")]);
    unified.extend(files(&[("boot/EFI/Linux/6.12.efi", b"MZ")]));
    for (layer, said) in [
        (removed(&[&kernel_path("vmlinuz")]), "the image has no kernel"),
        (two, "the image has 2 kernels, and one is wanted"),
        (removed(&[&kernel_path("initramfs.img")]), "has no `initramfs.img` beside it"),
        (initramfs(&[("usr/bin/sh", ELF)]), "`add_dracutmodules+=\" … \"`"),
        (files(&[(&kernel_path("initramfs.img"), b"neither")]), "neither a cpio archive nor compressed"),
        (removed(&["usr/lib/systemd/boot/efi"]), "the image has no boot loader for UEFI"),
        (files(&[("boot/EFI/Linux/6.12.efi", b"MZ")]), "the image has 2 kernels, and one is wanted"),
        (unified, "the unified kernel `boot/EFI/Linux/6.12.efi` cannot be read"),
        (files(&[("usr/lib/bootc/kargs.d/1.toml", b"kargs = 1")]), "kernel arguments: `usr/lib/bootc/kargs.d/1.toml`"),
    ] {
        let stderr = refused(&good_and(layer), 13);
        assert!(stderr.contains(said), "{said}: {stderr}");
    }
}

#[test]
fn what_cannot_be_read() {
    assert!(refused(&good_and(removed(&["etc"])), 1).contains("the image has no directory `/etc`"));
    let place = Place::new(&good());
    let blobs = place.path("layout/blobs/sha256");
    let largest = names(&blobs).into_iter().max_by_key(|name| blobs.join(name).metadata().unwrap().len()).unwrap();
    let mut bytes = std::fs::read(blobs.join(&largest)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(blobs.join(&largest), bytes).unwrap();
    place.run(&["disk", "IMAGE", "-o", "disk.raw"]).says(1, &[]);
    assert_eq!(names(&place.path("")), ["layout"]);
}

#[test]
fn a_size_too_small_says_how_much_is_needed() {
    let large: Vec<u8> = (0..3_000_000_u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let place = Place::new(&good_and(files(&[("usr/share/large", &large)])));
    let needed = |size: &str| {
        let stderr = place.run(&["disk", "IMAGE", "-o", "disk.raw", "--size", size]).says(1, &[]).stderr;
        let number = stderr.split("the disk needs ").nth(1).and_then(|rest| rest.split(' ').next());
        number.unwrap_or_else(|| panic!("{stderr}")).parse::<u64>().unwrap()
    };
    // Too small for the partitions, and too small for what is in the root file system.
    let (least, needed) = (needed("1M"), needed("520M"));
    assert_eq!(least, needed);
    place.run(&["disk", "IMAGE", "-o", "disk.raw", "--size", &format!("{needed}M")]).says(0, &[]);
    // What is said may be a mebibyte more than the least: room for the tables of a larger file system.
    let below = format!("{}M", needed - 2);
    place.run(&["disk", "IMAGE", "-o", "other.raw", "--size", &below]).says(1, &[]);
    let uneven = place.run(&["disk", "IMAGE", "-o", "other.raw", "--size", "1073741825"]).says(1, &[]);
    assert!(uneven.stderr.contains("not a whole number of sectors"), "{}", uneven.stderr);
    assert_eq!(names(&place.path("")), ["disk.raw", "layout"]);
}

#[test]
fn a_file_that_is_there_stays_unless_forced() {
    let place = Place::new(&good());
    place.write("disk.raw", b"precious");
    let finished = place.run(&["disk", "IMAGE", "-o", "disk.raw"]).says(1, &[]);
    assert!(finished.stderr.contains("is there already"), "{}", finished.stderr);
    assert_eq!(std::fs::read(place.path("disk.raw")).unwrap(), b"precious");
    // As a killed run leaves it.
    place.write(".disk.raw.imgbuild-unfinished", b"half");
    place.run(&["disk", "IMAGE", "-o", "disk.raw", "--force"]).says(0, &[]);
    assert_eq!(names(&place.path("")), ["disk.raw", "layout"]);
    for args in [&["disk"][..], &["disk", "IMAGE"], &["disk", "IMAGE", "-o", "x", "--size", "1.5G"]] {
        place.run(args).says(2, &[]);
    }
    let raw = place.run(&["disk", "IMAGE", "-o", "x.raw", "--compress"]).says(1, &[]);
    assert!(raw.stderr.contains("a raw disk cannot be compressed"), "{}", raw.stderr);
}

/// A device that is full after so many bytes.
struct Full {
    inner: Cursor<Vec<u8>>,
    left: usize,
}

impl Read for Full {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buf)
    }
}

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self.left.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        // What is far away is not needed to see the failure, and would be memory here.
        if self.inner.position() > 1 << 30 { Ok(bytes.len()) } else { self.inner.write(bytes) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Full {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

fn assembled(room: usize, esp: ByteSize) -> Result<(), AssembleError> {
    let place = Place::new(&good());
    let folder = Dir::open_ambient_dir(place.path("layout").to_str().unwrap(), cap_std::ambient_authority()).unwrap();
    let layout = Layout::open(folder).unwrap();
    let image = Image::by_name(&layout, "image", None).unwrap();
    let layers = image.layer_source(&layout, UnpackLimits::default());
    let request = AssembleRequest {
        image: &image,
        layers: &layers,
        machine: std::env::consts::ARCH.parse::<Machine>().unwrap(),
        sector: SectorSize::B512,
        size: None,
        esp,
        kargs: Vec::new(),
        sealed: false,
        enrol: false,
        host: None,
        state: &State::new(),
        source: "docker://localhost/test".to_owned(),
        time: SourceDateEpoch::from_secs(1),
    };
    assemble(&mut Full { inner: Cursor::new(Vec::new()), left: room }, &request).map(drop)
}

#[test]
fn a_full_device_is_told_wherever_it_happens() {
    for room in [0, 20_000, 100_000, 300_000, 600_000] {
        let error = assembled(room, ESP_SIZE).expect_err("there is no room");
        let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        let full = causes.filter_map(|cause| cause.downcast_ref::<io::Error>());
        assert!(full.into_iter().any(|cause| cause.kind() == io::ErrorKind::StorageFull), "{room}: {error:?}");
    }
}

#[test]
fn a_file_that_cannot_grow_is_not_left() {
    let place = Place::new(&good());
    // Blocks of 512 bytes: the file may reach into the root file system and not to its end.
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 1050700; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_imgbuild"), "disk"]);
    limited.args(["oci:layout:image", "-o", "disk.raw"]).current_dir(place.path(""));
    let finished = finish(limited.env_clear().env("PATH", "/usr/bin:/bin")).says(1, &[]);
    assert!(finished.stderr.contains("because: File too large"), "{}", finished.stderr);
    assert_eq!(names(&place.path("")), ["layout"]);
}

#[test]
fn an_efi_system_partition_too_small_says_what_is_needed() {
    match assembled(usize::MAX, ByteSize(100 << 20)) {
        Err(AssembleError::EspTooSmall { needed, given }) => {
            assert_eq!((needed, given), (ByteSize(MINIMUM), ByteSize(100 << 20)));
        }
        other => panic!("{other:?}"),
    }
}
