//! `imgbuild boot` with the real QEMU and firmware, on disks that hold no system: how far the firmware comes is enough
//! to see success, failure, time running out and the end of everything that was started.
#![expect(clippy::disallowed_methods, reason = "the tests run the program and look at its processes")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use imgbuild::disk::SectorSize;
use imgbuild::disk::esp::{EspWriter, LABEL, MINIMUM, Parameters};
use imgbuild::disk::gpt::{Layout, PartitionType, Request};
use imgbuild::model::SourceDateEpoch;
use uuid::Uuid;

/// What OVMF starts when it has tried everything.
const NOTHING: &str = "UEFI Interactive Shell";

/// A disk with a file on its EFI system partition that is no program.
fn disk(folder: &Path) -> PathBuf {
    let path = folder.join("empty, no system.raw");
    let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    let esp = Request {
        name: LABEL.to_owned(),
        kind: PartitionType::Esp,
        guid: Uuid::from_u128(1),
        size: MINIMUM,
        grows: false,
    };
    let layout = Layout::new(SectorSize::B512, Uuid::from_u128(2), vec![esp], None).unwrap();
    layout.write(&file).unwrap();
    let (start, size) = (layout.partitions()[0].start, layout.partitions()[0].size);
    let time = SourceDateEpoch::from_secs(0);
    let mut esp =
        EspWriter::new(&file, &Parameters { sector: SectorSize::B512, start, size, serial: 1, time }).unwrap();
    esp.add(&"EFI/BOOT/README".parse().unwrap(), 2, &mut &b"no"[..]).unwrap();
    esp.finish().unwrap();
    path
}

fn imgbuild(folder: &Path, disk: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imgbuild"));
    command.current_dir(folder).env("TMPDIR", folder).arg("boot").arg(disk).args(["--progress", "none"]).args(args);
    command
}

fn run(folder: &Path, disk: &Path, args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = imgbuild(folder, disk, args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// Machines that have this disk, by process id.
fn machines(disk: &Path) -> Vec<u32> {
    let disk = disk.to_str().unwrap().replace(',', ",,");
    let has_it = |pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.starts_with(b"qemu-system") && String::from_utf8_lossy(&line).contains(&disk)
    };
    let processes = std::fs::read_dir("/proc").unwrap();
    processes.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok()).filter(has_it).collect()
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_console_decides() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path());
    let before = std::fs::read(&disk).unwrap();

    let (code, stdout, stderr) = run(folder.path(), &disk, &["--expect", NOTHING, "--json"]);
    assert_eq!((code, &*stderr), (0, ""));
    let booted: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert!(booted["line"].as_str().unwrap().starts_with(NOTHING), "{booted}");
    assert!(booted["seconds"].as_f64().unwrap() > 0.0);
    let console = std::fs::read(booted["console"].as_str().unwrap()).unwrap();
    assert!(String::from_utf8_lossy(&console).contains(NOTHING));

    let log = folder.path().join("own.log");
    let (code, stdout, stderr) = run(folder.path(), &disk, &["--console", "--log", log.to_str().unwrap()]);
    assert_eq!((code, &*stdout), (7, ""));
    assert!(stderr.contains("does not boot: the firmware found nothing to boot\n  | "), "{stderr}");
    assert!(stderr.contains(&format!("full console: {}", log.display())), "{stderr}");
    let shown = stderr.split("error: ").next().unwrap();
    assert!(shown.contains(NOTHING) && !shown.contains('\x1b'), "{shown}");

    let (code, _, stderr) = run(folder.path(), &disk, &["--timeout", "1"]);
    assert_eq!(code, 7);
    assert!(stderr.contains("did not show a login prompt or the multi-user target within 1 s"), "{stderr}");

    assert!(before == std::fs::read(&disk).unwrap(), "nothing is written to the disk");
    assert_eq!(machines(&disk), [] as [u32; 0]);
}

#[test]
fn no_machine_outlives_its_command() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path());
    for (signal, code) in [("KILL", None), ("INT", Some(130))] {
        let mut command = imgbuild(folder.path(), &disk, &["--expect", "never shown"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until("the machine starts", || !machines(&disk).is_empty());
        let kill = Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()).status().unwrap();
        assert!(kill.success());
        assert_eq!(child.wait().unwrap().code(), code, "{signal}");
        wait_until("the machine ends", || machines(&disk).is_empty());
    }
}

#[test]
fn what_cannot_be_booted_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, stderr) = run(folder.path(), &folder.path().join("none.raw"), &[]);
    assert_eq!(code, 1);
    assert!(stderr.contains("opening") && stderr.contains("none.raw"), "{stderr}");
    let (code, _, stderr) = run(folder.path(), &folder.path().join("none.raw"), &["--arch", "s390x"]);
    assert_eq!(code, 7);
    assert!(stderr.contains("machines of architecture s390x have no UEFI firmware"), "{stderr}");
}
