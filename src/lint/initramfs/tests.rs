use super::fake::{Cpio, gzip, xz, zstd};
use super::{InitramfsError, parse_initramfs};

fn names(file: &[u8]) -> Result<Vec<String>, InitramfsError> {
    let found = parse_initramfs(file, &[])?;
    Ok(found.names.into_iter().map(|name| String::from_utf8(name).unwrap()).collect())
}

fn microcode() -> Vec<u8> {
    let mut early = Cpio::new().dir("kernel").file("kernel/x86/microcode/GenuineIntel.bin", &[7; 1000]).end();
    early.resize(early.len().next_multiple_of(512), 0);
    early
}

fn main() -> Vec<u8> {
    Cpio::new().dir(".").dir("./usr").file("usr/bin/init", &[1; 5]).link("init", "usr/bin/init").end()
}

#[test]
fn reads_all_archives_however_each_is_packed() {
    let expected = [".", "init", "kernel", "kernel/x86/microcode/GenuineIntel.bin", "usr", "usr/bin/init"];
    for (name, pack) in
        [("plain", (|data: &[u8]| data.to_vec()) as fn(&[u8]) -> Vec<u8>), ("gzip", gzip), ("zstd", zstd), ("xz", xz)]
    {
        let file = [microcode(), pack(&main())].concat();
        assert_eq!(names(&file).unwrap(), expected, "{name}");
        // Two compressed archives, as when drivers are appended, with padding between and after.
        let second = pack(&Cpio::new().file("late", b"").end());
        let file = [microcode(), pack(&main()), vec![0; 3], second, vec![0; 512]].concat();
        assert_eq!(names(&file).unwrap().len(), 7, "{name}");
    }
    assert_eq!(names(b"").unwrap(), [""; 0]);
}

#[test]
fn keeps_what_was_asked_for_and_the_last_of_two() {
    let first = Cpio::new().file("a", b"old").file("b", b"b").link("c", "a").end();
    let second = Cpio::new().file("./a", b"new!!").end();
    let found = parse_initramfs(&[first, gzip(&second)].concat(), &["a", "c", "missing"]).unwrap();
    assert_eq!(found.kept.into_iter().collect::<Vec<_>>(), [(b"a".to_vec(), b"new!!".to_vec())]);
}

#[test]
fn names_lose_only_what_leads_to_the_root() {
    for (written, read) in [("./.hidden", ".hidden"), ("/etc/a", "etc/a"), ("..x", "..x"), ("././x", "x")] {
        assert_eq!(names(&Cpio::new().file(written, b"").end()).unwrap(), [read]);
    }
}

#[test]
fn damage_is_named() {
    let good = main();
    let mut digit = good.clone();
    digit[54] = b'+';
    let mut long = good.clone();
    long[94..102].copy_from_slice(b"00002000");
    let mut unterminated = good.clone();
    unterminated[111] = b'x';
    let mut checksum = gzip(&good);
    let last = checksum.len() - 6;
    checksum[last] ^= 1;
    for (file, expected) in [
        (b"junk".to_vec(), r#"archive 1 begins with "junk", neither cpio nor compressed data"#),
        ([good.clone(), b"junk".to_vec()].concat(), r#"archive 2 begins with "junk", neither"#),
        ([good.clone(), b"07".to_vec()].concat(), r#"archive 2 begins with "07", neither"#),
        (good[..good.len() - 200].to_vec(), "archive 1: failed to fill whole buffer after `usr/bin/init`"),
        (digit, "archive 1: the header after `` is damaged"),
        (long, "archive 1: a name of 8192 bytes after ``"),
        (unterminated, "archive 1: a name of 2 bytes after ``"),
        (gzip(&good)[..60].to_vec(), "archive 1: "),
        (checksum, "archive 1: "),
        (zstd(&good)[..60].to_vec(), "archive 1: "),
        (xz(&good)[..60].to_vec(), "archive 1: "),
        (gzip(&gzip(&good)), r#"archive 1 begins with "\\x1f\\x8b"#),
        (b"BZh91AY".to_vec(), "it is compressed with bzip2"),
        (b"\x02\x21\x4c\x18..".to_vec(), "it is compressed with lz4"),
    ] {
        let error = names(&file).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}\n{expected}");
    }
}

#[test]
fn a_bomb_is_stopped() {
    let mut file = Vec::new();
    for index in 0..200_001 {
        file = Cpio::append(file, &format!("{index}"));
    }
    let error = names(&gzip(&file)).unwrap_err().to_string();
    assert_eq!(error, "it has more than 200000 entries");
}

#[test]
fn no_change_of_a_byte_and_no_cut_does_harm() {
    for packed in [main(), gzip(&main()), zstd(&main()), xz(&main())] {
        for at in 0..packed.len() {
            assert!(parse_initramfs(&packed[..at], &["usr/bin/init"]).is_err() || at == 0, "{at}");
            let mut changed = packed.clone();
            changed[at] ^= 0xff;
            // Whatever comes out, it is no more than went in.
            let found = parse_initramfs(&changed, &["usr/bin/init"]).map_or(0, |found| found.names.len());
            assert!(found <= 4, "{at}");
        }
    }
}
