//! fs-verity metadata as `fsverity` of fsverity-utils computes it, found where ext4 keeps it.

use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use imgbuild::disk::verity::{Trees, VerityHasher};

use crate::model::Kind;
use crate::{fit, metadata, programs, prove, root};

const BLOCK: usize = 4096;

/// Digest, hash tree and descriptor of a file.
fn oracle(file: &Path) -> (String, Vec<u8>, Vec<u8>) {
    let (tree, descriptor) = (file.with_extension("tree"), file.with_extension("descriptor"));
    let output = Command::new("fsverity")
        .args(["digest", "--compact", "--hash-alg", "sha512"])
        .arg(format!("--out-merkle-tree={}", tree.display()))
        .arg(format!("--out-descriptor={}", descriptor.display()))
        .arg(file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let digest = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    (digest, std::fs::read(tree).unwrap(), std::fs::read(descriptor).unwrap())
}

/// Block `logical` of a file, also behind its end.
fn block(image: &Path, path: &str, logical: u64) -> Option<Vec<u8>> {
    let answer = programs::debugfs(image, &[format!("bmap {path} {logical}")]);
    let place: u64 = String::from_utf8_lossy(&answer[0]).trim().parse().unwrap();
    let mut bytes = vec![0; BLOCK];
    std::fs::File::open(image).unwrap().read_exact_at(&mut bytes, place * BLOCK as u64).unwrap();
    (place != 0).then_some(bytes)
}

#[test]
fn metadata_lies_at_64_kib_behind_the_content() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = root();
    let sizes = [0, 1, 4095, 4096, 4097, 65_536, 65_537, 262_144, 262_145, 20_000_000];
    let mut expected = Vec::new();
    for size in sizes {
        let bytes: Vec<u8> = (0..size).map(|i: usize| i.to_le_bytes()[0] ^ i.to_le_bytes()[1]).collect();
        let file = folder.path().join(format!("{size}"));
        std::fs::write(&file, &bytes).unwrap();
        let (digest, tree, descriptor) = oracle(&file);
        let mut measure = VerityHasher::new(Trees::Keep);
        measure.update(&bytes);
        assert_eq!(measure.finish().digest.to_string(), digest, "{size} bytes");
        expected.push((size, tree, descriptor));
        files.insert(format!("{size}").into_bytes(), (metadata(0o644, &[]), Kind::Sealed(bytes)));
    }
    let image = prove(&files, fit());
    for (size, tree, descriptor) in expected {
        let path = format!("/{size}");
        let first = size.next_multiple_of(65_536) / BLOCK;
        let stat = programs::debugfs(&image.path, &[format!("stat {path}")]);
        assert!(String::from_utf8_lossy(&stat[0]).contains("Flags: 0x180000"), "{size}");
        for (index, chunk) in tree.chunks(BLOCK).enumerate() {
            assert!(block(&image.path, &path, (first + index) as u64).as_deref() == Some(chunk), "{size}: {index}");
        }
        let last = first + tree.len() / BLOCK;
        let found = block(&image.path, &path, last as u64).unwrap();
        assert!(found.starts_with(&descriptor) && found[256..BLOCK - 4].iter().all(|byte| *byte == 0), "{size}");
        assert_eq!(found[BLOCK - 4..], [0, 1, 0, 0], "{size}");
        assert_eq!(block(&image.path, &path, last as u64 + 1), None, "{size}: nothing behind");
    }
}
