//! Plans of made-up images.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::*;
use crate::model::Karg;
use crate::oci::layer::Metadata;
use crate::oci::tree::NoLayers;
use crate::oci::{ImageTree, Initramfs};

const KERNEL: &str = "usr/lib/modules/6.12.9-amd64";

fn tree(files: &[(&str, &str)]) -> ImageTree {
    let mut tree = ImageTree::new();
    for (path, content) in files {
        let mut end = 0;
        while let Some(slash) = path[end..].find('/') {
            end += slash + 1;
            if tree.lookup(&path[..end]).is_none() {
                tree.insert_dir(&path[..end], Metadata::with_mode(0o755)).unwrap();
            }
        }
        tree.insert_file(path, content.as_bytes().to_vec(), Metadata::with_mode(0o644)).unwrap();
    }
    tree
}

fn debian() -> Vec<(&'static str, &'static str)> {
    vec![
        ("usr/lib/modules/6.12.9-amd64/vmlinuz", "kernel"),
        ("usr/lib/modules/6.12.9-amd64/initramfs.img", "initramfs"),
        ("usr/lib/os-release", "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nID=debian\nVERSION=\"13 (trixie)\"\n"),
        ("usr/lib/bootc/kargs.d/10-console.toml", "kargs = [\"console=ttyS0\"]"),
        ("usr/lib/bootc/kargs.d/20-arm.toml", "kargs = [\"arm\"]\nmatch-architectures = [\"aarch64\"]"),
        ("usr/lib/systemd/boot/efi/systemd-bootx64.efi", "unsigned"),
        ("usr/lib/systemd/boot/efi/systemd-bootx64.efi.signed", "signed"),
        ("usr/lib/bootc/install/secureboot-keys/auto/db.auth", "key"),
    ]
}

fn bootable(files: &[(&str, &str)], machine: Machine, kind: Kind) -> Result<Bootable, Unbootable> {
    let tree = tree(files);
    let survey = Survey::of(&tree, machine);
    let texts = tree.read_files(&NoLayers, &survey.texts(), 1 << 20).unwrap();
    let names = BTreeSet::from([b"usr/bin/composefs-setup-root".to_vec()]);
    let initramfs = Initramfs { names, kept: BTreeMap::new() };
    Bootable::new(&survey, &texts, Some(&initramfs), kind, None)
}

fn request(layout: Layout, kargs: &[&str]) -> Request {
    let kargs = kargs.iter().map(|karg| karg.parse::<Karg>().unwrap()).collect();
    Request { root: Root::Uuid(uuid::Uuid::from_u128(0x11)), layout, kargs, enrol: false }
}

fn composefs() -> Layout {
    Layout::Composefs { id: "ab".repeat(64).parse().unwrap(), check: Check::Optional }
}

/// A plan as text; ids shortened.
fn shown(plan: &BootPlan) -> String {
    let mut text = String::new();
    for BootFile { place, source } in &plan.files {
        match place {
            Place::Esp(path) => write!(text, "esp  {path}").unwrap(),
            Place::Root { path, mode } => write!(text, "root {path} {mode:o}").unwrap(),
        }
        match source {
            Source::Image(path) => writeln!(text, " <- {}", String::from_utf8_lossy(path)).unwrap(),
            Source::Bytes(bytes) => {
                let bytes = String::from_utf8_lossy(bytes);
                writeln!(
                    text,
                    "\n{}",
                    bytes.lines().map(|line| format!("     | {line}")).collect::<Vec<_>>().join("\n")
                )
                .unwrap();
            }
        }
    }
    text.replace(&"ab".repeat(64), "ID")
}

#[test]
fn systemd_boot_with_a_type_1_entry_as_bootc_writes_it() {
    let bootable = bootable(&debian(), Machine::X86_64, Kind::Composefs).unwrap();
    let mut request = request(composefs(), &["quiet"]);
    request.enrol = true;
    insta::assert_snapshot!(shown(&bootable.plan(&request).unwrap()));
}

#[test]
fn a_plain_root_has_no_composefs_argument() {
    let bootable = bootable(&debian(), Machine::X86_64, Kind::Plain).unwrap();
    assert_eq!(bootable.plan(&request(composefs(), &[])), Err(Unbootable::OtherKind));
    insta::assert_snapshot!(shown(&bootable.plan(&request(Layout::Plain, &[])).unwrap()));
}

#[test]
fn a_unified_kernel_has_its_command_line_in_it() {
    let mut files = debian();
    files.retain(|(path, _)| !path.starts_with(KERNEL));
    files.push(("boot/EFI/Linux/6.12.9-amd64.efi", "uki"));
    let sealed = |files: &[(&str, &str)]| bootable(files, Machine::X86_64, Kind::Composefs).unwrap();
    let plan = sealed(&files).plan(&request(composefs(), &[])).unwrap();
    assert_eq!(plan.options, None);
    insta::assert_snapshot!(shown(&plan));
    // The key is named after what it is since systemd 258.
    files.push(("usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-258.so", ""));
    let newer = shown(&sealed(&files).plan(&request(composefs(), &[])).unwrap());
    assert!(newer.contains("| uki /EFI/Linux/bootc/bootc_composefs-ID.efi"), "{newer}");
    assert_eq!(sealed(&files).plan(&request(composefs(), &["quiet"])), Err(Unbootable::ArgumentsOfUki));
    let plain = bootable(&files, Machine::X86_64, Kind::Plain).unwrap_err();
    assert_eq!(plain, Unbootable::PlainUki);
}

fn centos() -> Vec<(&'static str, &'static str)> {
    let mut files = debian();
    files.retain(|(path, _)| !path.contains("systemd/boot"));
    files.extend([
        ("usr/lib/bootupd/updates/EFI.json", "{}"),
        ("usr/lib/efi/shim/15.8-3/EFI/BOOT/BOOTX64.EFI", "shim"),
        ("usr/lib/efi/shim/15.8-3/EFI/centos/shimx64.efi", "shim"),
        ("usr/lib/efi/grub2/2.12-9/EFI/centos/grubx64.efi", "grub"),
        ("usr/lib/bootupd/grub2-static/grub-static-pre.cfg", "pre\n"),
        ("usr/lib/bootupd/grub2-static/grub-static-efi.cfg", "lead\n"),
        ("usr/lib/bootupd/grub2-static/configs.d/10_blscfg.cfg", "blscfg\n"),
        ("usr/lib/bootupd/grub2-static/configs.d/README", "no"),
    ]);
    files
}

#[test]
fn shim_and_grub_are_copied_as_bootupd_does() {
    let bootable = bootable(&centos(), Machine::X86_64, Kind::Composefs).unwrap();
    let plan = bootable.plan(&request(composefs(), &[])).unwrap();
    insta::assert_snapshot!(shown(&plan).replace(&"#".repeat(929), "#…"));
}

#[test]
fn what_cannot_boot_is_refused_with_its_reason() {
    let of = |files: &[(&str, &str)], machine| bootable(files, machine, Kind::Composefs).unwrap_err();
    let without = |part: &str| -> Vec<_> { debian().into_iter().filter(|(path, _)| !path.contains(part)).collect() };
    let with = |path, content| -> Vec<_> { debian().into_iter().chain([(path, content)]).collect() };
    let x86 = Machine::X86_64;
    assert_eq!(of(&without("vmlinuz"), x86), Unbootable::NoKernel);
    assert!(matches!(of(&without("initramfs"), x86), Unbootable::NoInitramfs { .. }));
    assert!(matches!(of(&with("usr/lib/modules/6.1/vmlinuz", ""), x86), Unbootable::SeveralKernels { .. }));
    assert!(matches!(of(&with("boot/EFI/Linux/a.efi", ""), x86), Unbootable::SeveralKernels { .. }));
    assert!(matches!(of(&without("systemd/boot"), x86), Unbootable::NoBootLoader { .. }));
    // The program is for another architecture.
    assert!(matches!(of(&debian(), Machine::Aarch64), Unbootable::NoBootLoader { .. }));
    assert_eq!(of(&debian(), Machine::S390x), Unbootable::NoUefi { machine: Machine::S390x });
    let mut bios = without("systemd/boot");
    bios.push(("usr/lib/bootupd/updates/BIOS.json", "{}"));
    assert_eq!(of(&bios, x86), Unbootable::BiosOnly);
    assert!(matches!(of(&with("usr/lib/bootc/kargs.d/99.toml", "x"), x86), Unbootable::Kargs { .. }));
    let half: Vec<_> = centos().into_iter().filter(|(path, _)| !path.contains("grub-static-pre")).collect();
    assert!(matches!(of(&half, x86), Unbootable::LoaderIncomplete { .. }));
}

#[test]
fn programs_of_the_initramfs_and_of_bootc_are_looked_at() {
    let tree = tree(&debian());
    let survey = Survey::of(&tree, Machine::X86_64);
    let texts = tree.read_files(&NoLayers, &survey.texts(), 1 << 20).unwrap();
    let empty = Initramfs::default();
    let of = |kind, bootc| Bootable::new(&survey, &texts, Some(&empty), kind, bootc).err();
    assert_eq!(of(Kind::Composefs, None), Some(Unbootable::NoComposefs));
    assert_eq!(of(Kind::Composefs, Some((1, 15))), Some(Unbootable::OldBootc { major: 1, minor: 15 }));
    assert_eq!(of(Kind::Plain, Some((1, 15))), None);
    let unread = Bootable::new(&survey, &BTreeMap::new(), None, Kind::Plain, None);
    assert!(matches!(unread, Err(Unbootable::NotRead { .. })));
}

#[test]
fn a_unified_kernel_names_the_image() {
    let id: ComposefsId = "ab".repeat(64).parse().unwrap();
    assert_eq!(check_unified(&format!("rw composefs={id}\n"), &id), Ok(Check::Required));
    let other: ComposefsId = "cd".repeat(64).parse().unwrap();
    for (line, found) in [(format!("composefs={other}"), Some(other)), ("rw quiet".to_owned(), None)] {
        assert_eq!(check_unified(&line, &id), Err(Unbootable::UkiOfAnother { found, expected: id.clone() }));
    }
}

#[test]
fn the_partition_has_room_for_three_kernels() {
    let plan = bootable(&debian(), Machine::X86_64, Kind::Composefs).unwrap().plan(&request(composefs(), &[])).unwrap();
    let mebibytes =
        |each: u64| plan.esp_size(|path| if path.starts_with(b"usr/lib/modules") { each << 20 } else { 0 }) >> 20;
    assert_eq!(mebibytes(10), 257);
    assert!((600..610).contains(&mebibytes(100)), "{}", mebibytes(100));
}

#[test]
fn the_digest_of_the_origin_is_that_of_both_files() {
    let digest = origin_digest(&mut &b"ab"[..], &mut &b"c"[..]).unwrap();
    assert_eq!(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

#[test]
fn sealing_finds_what_it_needs_or_says_what_is_missing() {
    let plan = |files: &[(&str, &str)]| SealPlan::new(&Survey::of(&tree(files), Machine::X86_64));
    let mut files = debian();
    let stub = "usr/lib/systemd/boot/efi/linuxx64.efi.stub";
    assert_eq!(plan(&files), Err(Unbootable::NoStub { path: stub.to_owned() }));
    files.push((stub, "stub"));
    let found = plan(&files).unwrap();
    assert_eq!(found.unified, "boot/EFI/Linux/6.12.9-amd64.efi");
    assert_eq!(found.boot_loader, b"usr/lib/systemd/boot/efi/systemd-bootx64.efi");
    assert_eq!(found.signed_boot_loader, "usr/lib/systemd/boot/efi/systemd-bootx64.efi.signed");
    assert_eq!(found.enrolment, None, "the image brings its own");
    files.retain(|(path, _)| !path.contains("secureboot") && !path.ends_with("bootx64.efi"));
    let found = plan(&files).unwrap();
    assert_eq!(found.boot_loader, b"usr/lib/systemd/boot/efi/systemd-bootx64.efi.signed");
    assert_eq!(found.enrolment.as_deref(), Some("usr/lib/bootc/install/secureboot-keys/auto"));
    files.push(("boot/EFI/Linux/a.efi", "uki"));
    assert!(matches!(plan(&files), Err(Unbootable::SealedAlready { .. })));
    let mut grub = centos();
    grub.push((stub, "stub"));
    assert_eq!(plan(&grub), Err(Unbootable::UkiWithGrub));
}

#[test]
fn the_sealed_command_line_proves_everything_and_names_no_disk() {
    let id: ComposefsId = "ab".repeat(64).parse().unwrap();
    let line = bootable(&debian(), Machine::X86_64, Kind::Composefs)
        .unwrap()
        .sealed_options(&id, &["quiet".parse::<Karg>().unwrap()]);
    assert_eq!(line, format!("rw quiet composefs={id} console=ttyS0"));
    assert_eq!(check_unified(&line, &id), Ok(Check::Required));
}
