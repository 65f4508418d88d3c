//! `imgbuild seal` on a small image, and disks of what it makes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use imgbuild::disk::uki::{Certificate, Pe, UnifyParts, sign, unify, verify};
use serde_json::Value;

use crate::fake::{key, pair, program};
use crate::image::{Finished, KVER, Layer, Place, files, good_and, kernel_path, removed};

const STORE: &str = "store/oci";

fn machine() -> (u16, &'static str) {
    if cfg!(target_arch = "aarch64") { (0xaa64, "aa64") } else { (0x8664, "x64") }
}

fn stub_path() -> String {
    format!("usr/lib/systemd/boot/efi/linux{}.efi.stub", machine().1)
}

/// Stub, boot loader and kernel that can be signed and put together.
fn programs() -> Layer {
    let (machine, suffix) = machine();
    files(&[
        (&kernel_path("vmlinuz"), &program(machine, &[(".text", &[3; 700])])),
        (&stub_path(), &program(machine, &[(".text", &[1; 5000]), (".sbat", b"sbat,1,SBAT Version\n")])),
        (&format!("usr/lib/systemd/boot/efi/systemd-boot{suffix}.efi"), &program(machine, &[(".text", &[2; 900])])),
        ("usr/lib/bootc/kargs.d/10-console.toml", b"kargs = [\"console=ttyS0\"]\n"),
        ("etc/large", &[b'e'; 9000]),
        ("usr/large", &[b'u'; 300_000]),
    ])
}

/// A store with this image, and the keys of the owner and of a stranger beside it.
fn store(layers: &[Layer]) -> Place {
    let place = Place::new(layers);
    place.add_to(STORE, "image", layers);
    for name in ["owner", "stranger"] {
        let (certificate, key) = pair(name);
        place.write(&format!("{name}.crt"), certificate.as_bytes());
        place.write(&format!("{name}.key"), key.as_bytes());
    }
    place
}

fn run(place: &Place, arguments: &[&str]) -> Finished {
    place.run(&[&["--store", "store"], arguments].concat())
}

fn seal(place: &Place, image: &str) -> Finished {
    run(place, &["seal", image, "--key", "owner.key", "--cert", "owner.crt", "--karg", "quiet", "--json"])
}

fn json(finished: &Finished) -> Value {
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    serde_json::from_str(&finished.stdout).unwrap()
}

/// The failure and its reasons.
#[track_caller]
fn refused(finished: &Finished, code: i32, reason: &str) {
    assert_eq!(finished.code, Some(code), "{}\n{}", finished.stdout, finished.stderr);
    assert!(finished.stderr.contains(reason), "`{reason}` is not in: {}", finished.stderr);
}

fn program_says(folder: &Path, program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).current_dir(folder).output().unwrap()
}

/// The output of a program that succeeds.
#[track_caller]
fn read(folder: &Path, program: &str, arguments: &[&str]) -> String {
    let output = program_says(folder, program, arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// A file of the EFI system partition of a disk.
fn on_esp(place: &Place, disk: &str, path: &str) -> Vec<u8> {
    let image = format!("{disk}@@1M");
    read(&place.path(""), "mcopy", &["-n", "-o", "-i", &image, &format!("::{path}"), "copied"]);
    std::fs::read(place.path("copied")).unwrap()
}

fn esp_files(place: &Place, disk: &str) -> Vec<String> {
    let found = json(&place.run(&["disk", "inspect", disk, "--json"]));
    let files = found["esp"]["files"].as_array().unwrap().iter();
    files.map(|file| file["path"].as_str().unwrap().to_owned()).collect()
}

fn certificate(place: &Place, name: &str) -> Certificate {
    Certificate::from_pem(&std::fs::read(place.path(&format!("{name}.crt"))).unwrap()).unwrap()
}

/// The second partition of a disk as a file.
fn root(place: &Place, disk: &str) -> PathBuf {
    let found = json(&place.run(&["disk", "inspect", disk, "--json"]));
    let partition = &found["table"]["partitions"][1];
    let mebibytes = |key: &str| (partition[key].as_u64().unwrap() >> 20).to_string();
    let arguments =
        [format!("if={disk}"), format!("skip={}", mebibytes("start")), format!("count={}", mebibytes("size"))];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    read(&place.path(""), "dd", &[&arguments[..], &["of=root", "bs=1M", "conv=sparse", "status=none"]].concat());
    place.path("root")
}

#[test]
fn a_sealed_image_boots_from_one_signed_file() {
    let place = store(&good_and(programs()));
    let sealed = json(&seal(&place, "image"));
    let id = sealed["composefs"].as_str().unwrap();
    assert_eq!(sealed["image"], "sealed/image");
    assert_eq!(sealed["command-line"], format!("rw quiet composefs={id} console=ttyS0"));
    let made = json(&run(&place, &["disk", "sealed/image", "-o", "disk.raw", "--json"]));
    assert_eq!((&made["composefs"], &made["sealed"]), (&sealed["composefs"], &Value::Bool(true)));
    assert_eq!(made["command-line"], sealed["command-line"]);
    let owner = certificate(&place, "owner");
    assert_eq!(made["signed-by"], owner.subject());

    let path = format!("EFI/Linux/bootc/bootc_composefs-{id}.efi");
    let unified = on_esp(&place, "disk.raw", &path);
    assert_eq!(verify(&unified, &owner), Ok(()));
    let read = Pe::parse(&unified).unwrap();
    assert_eq!(read.section(".uname"), Some(KVER.as_bytes()));
    assert_eq!(read.section(".osrel"), Some(&b"NAME=Test\nID=test\n"[..]));
    assert_eq!(read.section(".cmdline"), sealed["command-line"].as_str().map(str::as_bytes));
    assert!(read.section(".linux") == Some(&program(machine().0, &[(".text", &[3; 700])])[..]));
    for loader in [
        format!("EFI/BOOT/BOOT{}.EFI", machine().1.to_uppercase()),
        format!("EFI/systemd/systemd-boot{}.efi", machine().1),
    ] {
        assert_eq!(verify(&on_esp(&place, "disk.raw", &loader), &owner), Ok(()), "{loader}");
    }
    let said = place
        .run(&["disk", "inspect", "disk.raw"])
        .says(0, &[&format!("sealed      yes, signed by {}", owner.subject())]);
    assert!(said.stdout.contains(id), "{}", said.stdout);
}

#[test]
fn the_same_image_and_key_are_the_same_seal() {
    let place = store(&good_and(programs()));
    let first = json(&seal(&place, "image"));
    let again = json(&seal(&place, "image"));
    assert_eq!(first["digest"], again["digest"]);
    let other = ["seal", "image", "--key", "stranger.key", "--cert", "stranger.crt", "--karg", "quiet", "--json"];
    let other = json(&run(&place, &other));
    assert_ne!(first["digest"], other["digest"]);
    // The boot loader carries the other signature, so the mounted tree is another one.
    assert_ne!(first["composefs"], other["composefs"]);
}

#[test]
fn fs_verity_is_on_for_every_object_and_for_nothing_else() {
    let place = store(&good_and(programs()));
    json(&seal(&place, "image"));
    let made = json(&run(&place, &["disk", "sealed/image", "-o", "disk.raw", "--json"]));
    let root = root(&place, "disk.raw");
    let root = root.to_str().unwrap();
    read(&place.path(""), "e2fsck", &["-fn", root]);
    let view = ext4_view::Ext4::load_from_path(root).unwrap();
    let (mut sealed, mut measured) = (Vec::new(), 0);
    for folder in view.read_dir("/composefs/objects").unwrap().map(|entry| entry.unwrap().path()) {
        let folder = folder.to_str().unwrap().to_owned();
        if folder.ends_with('.') {
            continue;
        }
        for object in view.read_dir(&*folder).unwrap().map(|entry| entry.unwrap().path()) {
            let object = object.to_str().unwrap().to_owned();
            if object.ends_with('.') {
                continue;
            }
            std::fs::write(place.path("object"), view.read(&*object).unwrap()).unwrap();
            let digest = read(&place.path(""), "fsverity", &["digest", "--compact", "--hash-alg", "sha512", "object"]);
            assert_eq!(object.trim_start_matches("/composefs/objects/").replace('/', ""), digest.trim());
            measured += 1;
            sealed.push(object);
        }
    }
    assert_eq!(measured, made["objects"].as_u64().unwrap());
    sealed.push("/composefs/meta.json".to_owned());
    let id = made["composefs"].as_str().unwrap();
    let loose = [format!("/state/deploy/{id}/etc/large"), format!("/state/deploy/{id}/{id}.origin")];
    let paths: Vec<&String> = sealed.iter().chain(&loose).collect();
    let commands: String = paths.iter().map(|path| format!("stat {path}\n")).collect();
    std::fs::write(place.path("commands"), commands).unwrap();
    let said = read(&place.path(""), "debugfs", &["-f", "commands", root]);
    let flags: Vec<&str> = said.lines().filter_map(|line| line.split_once("Flags: ")).map(|(_, flags)| flags).collect();
    assert_eq!(flags.len(), paths.len());
    for (path, flags) in paths.iter().zip(flags) {
        assert_eq!(flags, if loose.contains(path) { "0x80000" } else { "0x180000" }, "{path}");
    }
    let origin = String::from_utf8(view.read(&*loose[1]).unwrap()).unwrap();
    assert!(origin.contains("boot_type = uki"), "{origin}");
}

#[test]
fn a_sealed_image_passes_what_it_passed_before() {
    let place = store(&good_and(programs()));
    json(&seal(&place, "image"));
    for command in [["check"].as_slice(), &["kmods", "verify"]] {
        let (before, after) =
            (run(&place, &[command, &["image"]].concat()), run(&place, &[command, &["sealed/image"]].concat()));
        assert_eq!(
            (before.codes(), before.boot_codes(), before.code),
            (after.codes(), after.boot_codes(), after.code),
            "{command:?}"
        );
        assert_eq!(after.code, Some(0), "{}", after.stdout);
        // The modules of the initramfs are compared inside of the unified kernel too.
        let compared = |text: &str| text.lines().find(|line| line.contains("initramfs")).map(str::to_owned);
        assert_eq!(compared(&before.stdout), compared(&after.stdout), "{command:?}");
    }
}

#[test]
fn keys_for_firmware_are_placed_on_request_only() {
    let place = store(&good_and(programs()));
    json(&seal(&place, "image"));
    run(&place, &["disk", "sealed/image", "-o", "without.raw"]).says(0, &[]);
    run(&place, &["disk", "sealed/image", "-o", "with.raw", "--enrol"]).says(0, &[]);
    let keys = |disk: &str| {
        esp_files(&place, disk).into_iter().filter(|path| path.starts_with("loader/keys")).collect::<Vec<_>>()
    };
    assert_eq!(keys("without.raw"), [] as [&str; 0]);
    assert_eq!(keys("with.raw"), ["loader/keys/auto/KEK.auth", "loader/keys/auto/PK.auth", "loader/keys/auto/db.auth"]);
    refused(
        &run(&place, &["disk", "image", "-o", "none.raw", "--enrol"]),
        13,
        "no files to enrol Secure Boot keys with",
    );
    let file = on_esp(&place, "with.raw", "loader/keys/auto/db.auth");
    assert!(file.ends_with(certificate(&place, "owner").der()));
}

#[test]
fn what_cannot_be_sealed_is_refused_with_its_reason() {
    let place = store(&good_and(programs()));
    let with = |key: &str, certificate: &str| run(&place, &["seal", "image", "--key", key, "--cert", certificate]);
    refused(&with("stranger.key", "owner.crt"), 1, "the private key does not belong to the certificate of CN=owner");
    refused(&with("owner.crt", "owner.crt"), 1, "it has no private key in PEM");
    refused(&with("owner.key", "owner.key"), 1, "it has no certificate in PEM");
    refused(&with("gone.key", "owner.crt"), 1, "gone.key");
    refused(&seal(&place, "oci:layout:image"), 1, "only images of the store are sealed");
    refused(&seal(&place, "nothing"), 1, "is not in the store");
    json(&seal(&place, "image"));
    refused(&seal(&place, "sealed/image"), 13, "the image is sealed already");
    for (name, layers, reason) in [
        ("no-stub", [programs(), removed(&[&stub_path()])], "has no `/usr/lib/systemd/boot/efi/linux"),
        ("no-kernel", [programs(), removed(&[&kernel_path("vmlinuz")])], "the image has no kernel"),
        (
            "bad-kernel",
            [programs(), files(&[(&kernel_path("vmlinuz"), b"MZ")])],
            "the kernel cannot be started by UEFI",
        ),
        ("bad-initramfs", [programs(), files(&[(&kernel_path("initramfs.img"), b"070701")])], "the initramfs of"),
    ] {
        place.add_on(STORE, "image", name, &layers);
        let code = if name == "bad-kernel" { 1 } else { 13 };
        refused(&seal(&place, name), code, reason);
    }
    let images = run(&place, &["images", "--json"]).stdout;
    assert!(!images.contains("sealed/no"), "nothing that failed has a name: {images}");
}

#[test]
fn no_disk_of_a_seal_that_does_not_hold() {
    let place = store(&good_and(programs()));
    let sealed = json(&seal(&place, "image"));
    let disk =
        |image: &str, more: &[&str]| run(&place, &[&["disk", image, "-o", "disk.raw", "--force"], more].concat());
    refused(&disk("sealed/image", &["--karg", "debug"]), 13, "further arguments are not possible");
    // Something changed after sealing.
    place.add_on(STORE, "sealed/image", "changed", &[files(&[("usr/added", b"x")])]);
    let id = sealed["composefs"].as_str().unwrap();
    refused(&disk("changed", &[]), 13, &format!("the unified kernel names the image {id}, and the image is "));

    disk("sealed/image", &[]).says(0, &[]);
    let unified = on_esp(&place, "disk.raw", &format!("EFI/Linux/bootc/bootc_composefs-{id}.efi"));
    let path = format!("boot/EFI/Linux/{KVER}.efi");
    let mut altered = unified.clone();
    let at = altered.windows(5).position(|window| window == b"quiet").unwrap();
    altered[at] = b'Q';
    place.add_on(STORE, "sealed/image", "altered", &[files(&[(&path, &altered)])]);
    refused(&disk("altered", &[]), 13, "is not what was signed");
    place.add_on(STORE, "sealed/image", "broken", &[files(&[(&path, b"MZ")])]);
    refused(&disk("broken", &[]), 13, "cannot be read");

    // Without a signature anybody can change what the kernel asks for: such a disk is unlocked.
    std::fs::write(place.path("unsigned.efi"), &unified).unwrap();
    read(&place.path(""), "sbattach", &["--remove", "unsigned.efi"]);
    let unsigned = std::fs::read(place.path("unsigned.efi")).unwrap();
    place.add_on(STORE, "sealed/image", "unsigned", &[files(&[(&path, &unsigned)])]);
    disk("unsigned", &[]).says(0, &["sealed        no: unlocked"]);
    place.run(&["disk", "inspect", "disk.raw"]).says(0, &["sealed      no: unlocked"]);
}

#[test]
fn a_check_tells_whether_the_seal_holds() {
    let place = store(&good_and(programs()));
    let id = json(&seal(&place, "image"))["composefs"].as_str().unwrap().to_owned();
    run(&place, &["disk", "sealed/image", "-o", "disk.raw"]).says(0, &[]);
    let unified = on_esp(&place, "disk.raw", &format!("EFI/Linux/bootc/bootc_composefs-{id}.efi"));
    let path = format!("boot/EFI/Linux/{KVER}.efi");
    let replaced = |from: &[u8], to: &[u8]| {
        let mut bytes = unified.clone();
        let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
        bytes[at..at + to.len()].copy_from_slice(to);
        bytes
    };
    std::fs::write(place.path("unsigned.efi"), replaced(b"quiet composefs=", b"rw   composefs=?")).unwrap();
    read(&place.path(""), "sbattach", &["--remove", "unsigned.efi"]);
    let unsigned = std::fs::read(place.path("unsigned.efi")).unwrap();
    for (name, layer, codes, code) in [
        ("later", files(&[("usr/added", b"x")]), &["SEAL001"][..], 13),
        ("altered", files(&[(&path, &replaced(b"quiet", b"Quiet"))]), &["SEAL002"], 13),
        ("unsigned", files(&[(&path, &unsigned)]), &["SEAL003", "SEAL004"], 0),
    ] {
        place.add_on(STORE, "sealed/image", name, &[layer]);
        let finished = run(&place, &["check", name]);
        let words = finished.stdout.lines().filter_map(|line| line.trim_start().split_once(' '));
        let found: Vec<&str> = words.map(|(code, _)| code).filter(|code| code.starts_with("SEAL")).collect();
        assert_eq!((found.as_slice(), finished.code), (codes, Some(code)), "{name}: {}", finished.stdout);
    }
    let page = place.run(&["explain", "seal004"]).says(0, &[]).stdout;
    assert!(page.contains("does not ask for proof"), "{page}");
}

#[test]
fn what_others_sealed_is_found_to_be_so() {
    // No annotation tells: only the unified kernel does.
    let place = store(&good_and(programs()));
    let sealed = json(&seal(&place, "image"));
    place.add_on(STORE, "sealed/image", "foreign", &[files(&[("boot/EFI/Linux/other.txt", b"x")])]);
    let made = json(&run(&place, &["disk", "foreign", "-o", "disk.raw", "--json"]));
    assert_eq!((&made["composefs"], &made["sealed"]), (&sealed["composefs"], &Value::Bool(true)));
    let root = root(&place, "disk.raw");
    let said = read(&place.path(""), "debugfs", &["-R", "stat /composefs/meta.json", root.to_str().unwrap()]);
    assert!(said.contains("Flags: 0x180000"), "{said}");
}

#[test]
fn a_unified_kernel_too_large_to_be_kept_in_memory_is_read_again() {
    let initramfs = crate::image::cpio(&[("usr/bin/composefs-setup-root", b"x"), ("large", &vec![0; 65 << 20])]);
    let place = store(&good_and(programs()));
    place.add_on(STORE, "image", "large", &[files(&[(&kernel_path("initramfs.img"), &initramfs)])]);
    let sealed = json(&seal(&place, "large"));
    let made = json(&run(&place, &["disk", "sealed/large", "-o", "disk.raw", "--json"]));
    assert_eq!((&made["composefs"], &made["sealed"]), (&sealed["composefs"], &Value::Bool(true)));
}

#[test]
fn a_kernel_that_asks_for_no_proof_is_no_seal() {
    let place = store(&good_and(programs()));
    let id = json(&seal(&place, "image"))["composefs"].as_str().unwrap().to_owned();
    let stub = program(machine().0, &[(".text", &[1; 500])]);
    let unified = unify(&UnifyParts {
        stub: &stub,
        os_release: b"",
        command_line: &format!("rw composefs=?{id}"),
        release: KVER,
        initramfs: &crate::image::cpio(&[("usr/bin/composefs-setup-root", b"x")]),
        kernel: &program(machine().0, &[(".text", b"k")]),
    });
    let signed = sign(&unified.unwrap(), &key("owner")).unwrap();
    let path = format!("boot/EFI/Linux/{KVER}.efi");
    place.add_on(STORE, "sealed/image", "optional", &[files(&[(&path, &signed)])]);
    run(&place, &["disk", "optional", "-o", "disk.raw"]).says(0, &["sealed        no: unlocked"]);
    let checked = run(&place, &["check", "optional"]).stdout;
    assert!(checked.contains("SEAL004 warning: /boot/EFI/Linux/"), "{checked}");
}
