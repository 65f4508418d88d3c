//! `imgbuild disk verify`: whole disks are proven, and no byte of one can be another without being found.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt as _;

use imgbuild::disk::verify::{Area, Verification, Wanted, verify};

use super::image::{Place, files, good, good_and};
use super::{inspected, read};

const BLOCK: usize = 4096;

fn place() -> Place {
    // Objects of several blocks, a directory with names, an image of several blocks.
    let large: Vec<u8> = (0..40_000_u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let mut layer = files(&[("usr/share/large", &large), ("etc/hosts", &[b'h'; 300]), ("var/lib/kept", &[b'k'; 3000])]);
    for number in 0..60 {
        let path = format!("usr/share/many/{number:0>60}");
        layer.extend(files(&[(&path, &[number; 100])]));
    }
    let place = Place::new(&good_and(layer));
    place.run(&["disk", "IMAGE", "-o", "disk.raw"]).says(0, &[]);
    place
}

fn verified(disk: &mut File) -> Verification {
    verify(disk, &Wanted { image: None, fresh: true }).unwrap()
}

#[test]
fn a_whole_disk_is_proven_in_both_formats_and_beside_its_image() {
    let place = place();
    let (raw, packed) = (place.path("disk.raw"), place.path("packed.qcow2"));
    let convert = ["convert", "-c", "-O", "qcow2", raw.to_str().unwrap(), packed.to_str().unwrap()];
    read("qemu-img", &convert);
    for disk in ["disk.raw", "packed.qcow2"] {
        let args = ["disk", "verify", disk, "--fresh", "--against", "IMAGE"];
        let finished = place.run(&args).says(0, &[]);
        assert!(finished.stdout.contains("1 entry proven; nothing is wrong"), "{}", finished.stdout);
    }
    let report = verified(&mut File::open(&raw).unwrap());
    assert_eq!((report.partitions, report.entries, report.images, report.deployments.len()), (2, 1, 1, 1));
    assert!(report.objects > 60 && report.streams >= 4 && report.unchanged > 3, "{report:?}");
    assert_eq!((report.unreferenced_objects, report.changed.len()), (0, 0));
}

#[test]
fn another_image_is_told() {
    let place = place();
    place.add("other", &good());
    let finished = place.run(&["disk", "verify", "disk.raw", "--against", "oci:layout:other", "--json"]).says(15, &[]);
    let report: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let of_image = |finding: &&serde_json::Value| finding["area"] == "image";
    assert!(findings.iter().filter(of_image).count() > 60, "{findings:?}");
    assert!(findings.iter().any(|finding| finding["problem"].as_str().unwrap().contains("the image is ")));
}

/// Whether a block has bytes that nothing repeats: words of a boot entry, where updates come from, the journal's first
/// block, times of FAT folders.
fn is_unprovable(block: &[u8]) -> bool {
    let is_fat_folder = block.starts_with(b".          ") || block[11] == 8;
    let is_text = block.starts_with(b"title ") || block.starts_with(b"[origin]");
    is_fat_folder || is_text || block.starts_with(&0xc03b_3998_u32.to_be_bytes())
}

#[test]
fn a_byte_that_is_another_is_found_wherever_it_is() {
    let place = place();
    let path = place.path("disk.raw");
    let mut disk = File::options().read(true).write(true).open(&path).unwrap();
    let good = verified(&mut disk);
    assert!(good.findings.is_empty(), "{:?}", good.findings);
    let (mut tried, mut missed) = (0, Vec::new());
    for (number, start) in used(&mut disk).into_iter().enumerate() {
        let mut block = vec![0; BLOCK];
        disk.read_exact_at(&mut block, start).unwrap();
        let bytes: Vec<usize> = (0..BLOCK).filter(|at| block[*at] != 0).collect();
        // A thousand blocks of numbers, which room for growth is kept by, are all alike.
        let alike = bytes.len() < 8 && number % 40 != 0;
        if alike || is_unprovable(&block) {
            continue;
        }
        let at = bytes[bytes.len() * (number % 7) / 7];
        disk.write_all_at(&[block[at] ^ 0x04], start + at as u64).unwrap();
        tried += 1;
        let report = verified(&mut disk);
        if report.findings.is_empty() && report.unproven_boot_files == good.unproven_boot_files {
            let near = String::from_utf8_lossy(&block[at.saturating_sub(40)..(at + 40).min(BLOCK)]).into_owned();
            missed.push((start, at, near));
        }
        disk.write_all_at(&[block[at]], start + at as u64).unwrap();
    }
    assert!(verified(&mut disk).findings.is_empty());
    missed.truncate(40);
    assert!(missed.is_empty() && tried > 150, "{} of {tried} missed: {missed:?}", missed.len());
}

/// Blocks that are no holes of the file.
fn used(disk: &mut File) -> Vec<u64> {
    let length = disk.seek(SeekFrom::End(0)).unwrap();
    let mut blocks = Vec::new();
    let mut buffer = vec![0; 1 << 20];
    for start in (0..length).step_by(buffer.len()) {
        disk.seek(SeekFrom::Start(start)).unwrap();
        let mut piece = disk.by_ref().take(buffer.len() as u64);
        buffer.clear();
        piece.read_to_end(&mut buffer).unwrap();
        let found = buffer.chunks(BLOCK).enumerate().filter(|(_, block)| block.iter().any(|byte| *byte != 0));
        blocks.extend(found.map(|(index, _)| start + (index * BLOCK) as u64));
        buffer.resize(1 << 20, 0);
    }
    blocks
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let place = place();
    let partitions = inspected(&place, "disk.raw")["table"]["partitions"].clone();
    let start = |number: usize| partitions[number - 1]["start"].as_u64().unwrap();
    let disk = File::options().read(true).write(true).open(place.path("disk.raw")).unwrap();
    for (at, area) in [(512 + 60, Area::Table), (start(1) + 3, Area::Boot), (start(2) + 1024 + 4, Area::FileSystem)] {
        let mut byte = [0];
        disk.read_exact_at(&mut byte, at).unwrap();
        disk.write_all_at(&[byte[0] ^ 1], at).unwrap();
        let report = verified(&mut File::open(place.path("disk.raw")).unwrap());
        assert_eq!(report.findings.iter().map(|finding| finding.area).collect::<Vec<_>>(), [area]);
        disk.write_all_at(&byte, at).unwrap();
    }
    place.write("none.raw", b"no disk");
    let finished = place.run(&["disk", "verify", "none.raw"]).says(15, &[]);
    assert!(finished.stdout.contains("there is no GUID partition table"), "{}", finished.stdout);
    place.run(&["disk", "verify", "missing.raw"]).says(1, &[]);
}
