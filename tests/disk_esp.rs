//! Disks as `sgdisk`, `sfdisk`, `fsck.vfat` and mtools see them.
#![expect(clippy::disallowed_methods, reason = "the tests compare with other programs' view")]

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Command;

use imgbuild::disk::SectorSize;
use imgbuild::disk::esp::{EspPath, EspWriter, LABEL, MINIMUM, Parameters};
use imgbuild::disk::gpt::{Layout, PartitionType, Request};
use imgbuild::disk::ids::DiskIds;
use imgbuild::model::{Machine, SourceDateEpoch};
use proptest::prelude::{Strategy, any, prop};
use proptest::test_runner::{Config, TestRunner};

/// Standard output of a program that must succeed and must print nothing to standard error.
fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).env("MTOOLS_SKIP_CHECK", "1").env("TZ", "UTC").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{program} {args:?}: {}\n{text}{said}", output.status);
    text
}

fn ids() -> DiskIds {
    DiskIds::new(&format!("sha256:{}", "1".repeat(64)).parse().unwrap(), None)
}

fn layout(sector: SectorSize, machine: Machine) -> Layout {
    let ids = ids();
    let request = |name: &str, kind, size| Request {
        name: name.to_owned(),
        kind,
        guid: ids.partition(name),
        size,
        grows: name == "root",
    };
    let requests =
        vec![request(LABEL, PartitionType::Esp, MINIMUM), request("root", PartitionType::Root(machine), 40 << 20)];
    Layout::new(sector, ids.disk(), requests, None).unwrap()
}

fn new_file(folder: &Path, name: &str) -> File {
    File::options().read(true).write(true).create_new(true).open(folder.join(name)).unwrap()
}

#[test]
fn tables_of_both_sector_sizes_and_every_machine_are_valid() {
    let folder = tempfile::tempdir().unwrap();
    for machine in Machine::ALL {
        let layout = layout(SectorSize::B512, machine);
        let name = format!("{machine}.raw");
        layout.write(new_file(folder.path(), &name)).unwrap();
        let path = folder.path().join(&name);
        let path = path.to_str().unwrap();
        assert_eq!(std::fs::metadata(path).unwrap().len(), layout.size());
        let said = run("sgdisk", &["-v", path]);
        assert!(said.contains("No problems found"), "{said}");
        let said = run("sfdisk", &["--verify", path]);
        assert!(said.contains("No errors detected"), "{said}");
        let dump = run("sfdisk", &["--dump", path]).to_lowercase();
        for partition in layout.partitions() {
            let line = format!(
                "start={:>12}, size={:>12}, type={}, uuid={}, name=\"{}\"",
                partition.start / 512,
                partition.size / 512,
                partition.kind.guid(),
                partition.guid,
                partition.name.to_lowercase()
            );
            assert!(dump.contains(&line), "{line}\n{dump}");
        }
        assert!(dump.contains(&format!("label-id: {}", ids().disk())), "{dump}");
        assert!(dump.contains("attrs=\"guid:59\""), "{dump}");
    }
    // Of these programs, only fdisk can be told another sector size than a file has.
    let layout = layout(SectorSize::B4096, Machine::X86_64);
    layout.write(new_file(folder.path(), "4k.raw")).unwrap();
    let path = folder.path().join("4k.raw");
    let path = path.to_str().unwrap();
    let listing = run("fdisk", &["--sector-size", "4096", "--list", "--output", "Start,Sectors,UUID", path]);
    for partition in layout.partitions() {
        let guid = partition.guid.to_string().to_uppercase();
        let line = format!("{:>5} {:>7} {guid}", partition.start / 4096, partition.size / 4096);
        assert!(listing.contains(&line), "{line}\n{listing}");
    }
}

struct Entry {
    path: EspPath,
    content: Vec<u8>,
}

fn entry(path: &str, content: Vec<u8>) -> Entry {
    Entry { path: path.parse().unwrap(), content }
}

fn write_esp(file: &File, start: u64, sector: SectorSize, entries: &[Entry]) {
    let parameters = Parameters {
        sector,
        start,
        size: MINIMUM,
        serial: 0x1234_abcd,
        time: SourceDateEpoch::from_secs(1_700_000_000),
    };
    let mut writer = EspWriter::new(file, &parameters).unwrap();
    for entry in entries {
        writer.add(&entry.path, entry.content.len() as u64, &mut &entry.content[..]).unwrap();
    }
    writer.finish().unwrap();
    file.set_len(start + MINIMUM).unwrap();
}

fn check(path: &str, entries: &[Entry]) {
    let said = run("fsck.vfat", &["-n", "-V", path]);
    // The version, and one line of numbers; anything more would be a finding.
    let lines: Vec<_> = said.lines().filter(|line| !line.starts_with("Starting check/repair pass")).collect();
    assert!(lines.len() <= 3 && lines.iter().any(|line| line.contains(" files, ")), "{said}");
    for entry in entries {
        let name = format!("::/{}", entry.path);
        let output = Command::new("mtype").args(["-i", path, &name]).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout == entry.content, "{name}");
    }
}

#[test]
fn a_partition_of_both_sector_sizes_is_read_by_others() {
    let id = "0123456789abcdef".repeat(8);
    let entries = [
        entry("EFI/BOOT/BOOTX64.EFI", vec![1; 100_000]),
        entry("EFI/systemd/systemd-bootx64.efi", vec![1; 100_000]),
        entry(&format!("EFI/Linux/bootc_composefs-{id}/vmlinuz"), (0..=255).cycle().take(3_000_001).collect()),
        entry(&format!("EFI/Linux/bootc_composefs-{id}/initrd"), vec![3; 4096]),
        entry(&format!("{}/{}", "p".repeat(126), "q".repeat(131)), b"258 characters".to_vec()),
        entry("loader/entries.srel", b"type1\n".to_vec()),
        entry("loader/empty", Vec::new()),
    ];
    let folder = tempfile::tempdir().unwrap();
    for sector in [SectorSize::B512, SectorSize::B4096] {
        let name = format!("{sector}.esp");
        write_esp(&new_file(folder.path(), &name), 0, sector, &entries);
        let path = folder.path().join(&name);
        let path = path.to_str().unwrap();
        check(path, &entries);
        let listing = run("mdir", &["-i", path, "-/", "-a"]);
        assert!(listing.contains("Volume in drive : is EFI-SYSTEM"), "{listing}");
        assert!(listing.contains("Volume Serial Number is 1234-ABCD"), "{listing}");
        let dated = listing.lines().filter(|line| line.contains("2023-11-14")).count();
        let others = listing.lines().filter(|line| line.contains("19") && line.contains("-0")).count();
        assert!(dated > entries.len() && others == 0, "{listing}");
    }
}

#[test]
fn the_same_disk_is_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str| {
        let mut file = new_file(folder.path(), name);
        let layout = layout(SectorSize::B512, Machine::X86_64);
        layout.write(&file).unwrap();
        let start = layout.partition(LABEL).unwrap().start;
        let parameters = Parameters {
            sector: SectorSize::B512,
            start,
            size: MINIMUM,
            serial: ids().fat_serial(LABEL),
            time: SourceDateEpoch::from_secs(1_700_000_000),
        };
        let mut writer = EspWriter::new(&file, &parameters).unwrap();
        writer.add(&"EFI/BOOT/BOOTX64.EFI".parse().unwrap(), 9, &mut &b"a program"[..]).unwrap();
        writer.finish().unwrap();
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    };
    let first = write("a");
    std::thread::sleep(std::time::Duration::from_millis(2100));
    assert!(first == write("b"));
    let path = folder.path().join("a");
    let said = run("sgdisk", &["-v", path.to_str().unwrap()]);
    assert!(said.contains("No problems found"), "{said}");
}

#[test]
fn any_set_of_files_passes_the_checker() {
    let name = prop::string::string_regex("[A-Za-z0-9_+~=@ #-]{0,40}[A-Za-z0-9_]").unwrap();
    let dotted = (name, prop::option::of(prop::string::string_regex("[A-Za-z0-9]{1,12}").unwrap()))
        .prop_map(|(name, extension)| extension.map_or(name.clone(), |extension| format!("{name}.{extension}")));
    let path = prop::collection::vec(dotted, 1..4).prop_map(|names| names.join("/"));
    let content = prop::collection::vec(any::<u8>(), 0..20_000);
    let files = prop::collection::vec((path, content), 0..40);
    let mut runner = TestRunner::new(Config { cases: 32, ..Config::default() });
    let folder = tempfile::tempdir().unwrap();
    let checked = runner.run(&(files, any::<bool>()), |(files, large)| {
        let sector = if large { SectorSize::B4096 } else { SectorSize::B512 };
        let parameters = Parameters { sector, start: 0, size: MINIMUM, serial: 7, time: SourceDateEpoch::from_secs(1) };
        let path = folder.path().join("esp");
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        let mut writer = EspWriter::new(&file, &parameters).unwrap();
        let mut kept = Vec::new();
        for (name, content) in files {
            let Ok(path) = name.parse::<EspPath>() else { continue };
            // Names that differ in case only, or a file as a folder, are refused and must do no harm.
            if writer.add(&path, content.len() as u64, &mut &content[..]).is_ok() {
                kept.push(Entry { path, content });
            }
        }
        writer.finish().unwrap();
        file.set_len(MINIMUM).unwrap();
        check(path.to_str().unwrap(), &kept);
        Ok(())
    });
    checked.unwrap();
}
