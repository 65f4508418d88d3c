//! Files that were made to hurt: whatever is in them, reading ends in an answer, with bounded memory.

use std::io::Write as _;
use std::process::Command;

use imgbuild::kmod::{self, Symvers};
use imgbuild::oci::read_initramfs;
use proptest::prelude::{any, proptest};
use proptest::sample::Index;

use super::image::{HELLO, KVER, Place, cpio, finish, good, gzip, xz};

type Change = (Index, u8);

fn changed(mut file: Vec<u8>, changes: &[Change], cut: Index) -> Vec<u8> {
    for (at, byte) in changes {
        let at = at.index(file.len());
        file[at] = *byte;
    }
    file.truncate(cut.index(file.len() * 4).max(1));
    file
}

/// Everything that reads a file of an image.
fn read_all(file: &[u8]) {
    let module = kmod::inspect(file);
    let list = Symvers::parse(file);
    let mut bytes = 0;
    let initramfs = read_initramfs(file, &mut |_, content| {
        let mut sink = Vec::new();
        bytes += content.read_to_end(&mut sink)?;
        Ok(())
    });
    let _answers = (module.is_ok(), list.is_ok(), initramfs.is_ok());
    assert!(bytes < 100 << 20);
}

proptest! {
    #[test]
    fn noise_is_answered(start in 0_usize..8, noise in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let starts: [&[u8]; 8] =
            [b"", b"\x7fELF\x02\x01", b"070701", b"\x1f\x8b\x08", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"0x", &HELLO[..64]];
        let file = [starts[start], &noise].concat();
        read_all(&file);
    }

    #[test]
    fn damaged_files_are_answered(
        which in 0_usize..7,
        changes in proptest::collection::vec((any::<Index>(), any::<u8>()), 0..8),
        cut in any::<Index>(),
    ) {
        let archive = cpio(&[("init", b"x"), ("lib/modules/1/a.ko", HELLO)]);
        let file = match which {
            0 => HELLO.to_vec(),
            1 => gzip(HELLO),
            2 => xz(HELLO),
            3 => zstd::encode_all(HELLO, 1).unwrap(),
            4 => archive,
            5 => gzip(&archive),
            _ => zstd::encode_all(&archive[..], 1).unwrap(),
        };
        read_all(&changed(file, &changes, cut));
    }
}

/// A file of a megabyte at most that unpacks to more than any module has.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let zeros = vec![0_u8; 1 << 20];
    let many = 300;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut zstd = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(0)).unwrap();
    for _ in 0..many {
        gzip.write_all(&zeros).unwrap();
        zstd.write_all(&zeros).unwrap();
        xz.write_all(&zeros).unwrap();
    }
    vec![("a.ko.gz", gzip.finish().unwrap()), ("b.ko.zst", zstd.finish().unwrap()), ("c.ko.xz", xz.finish().unwrap())]
}

#[test]
fn what_unpacks_without_end_is_refused_in_little_memory() {
    let place = Place::new(&good());
    for (name, bytes) in bombs() {
        assert!(bytes.len() < 4 << 20, "{name}: {}", bytes.len());
        place.write(&format!("root/lib/modules/{KVER}/updates/{name}"), &bytes);
    }
    // 1.2 GB of address space: what one module may have, twice while it grows, and the program itself.
    let line = format!("ulimit -v 1200000; exec {} kmods verify ./root", env!("CARGO_BIN_EXE_imgbuild"));
    let finished = finish(Command::new("sh").args(["-c", &line]).current_dir(place.path("."))).says(10, &[]);
    let refused = finished.stdout.lines().filter(|line| line.contains("more than 268435456 bytes when decompressed"));
    assert_eq!(refused.count(), 3, "{}", finished.stdout);
}
