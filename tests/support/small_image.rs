//! Small images with a kernel, and the program run on them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cap_std::fs_utf8::Dir;
use imgbuild::model::SourceDateEpoch;
use imgbuild::oci::layer::{Compression, EntryKind, LayerEntry, LayerWriter, Metadata, WrittenLayer};
use imgbuild::oci::{Image, ImageBuilder, Layout};

/// The kernel that the module fixtures are for.
pub(crate) const KVER: &str = "6.12.48+deb13-amd64";

pub(crate) const HELLO: &[u8] = include_bytes!("../fixtures/modules/hello.ko");

/// The first bytes of a program.
pub(crate) const ELF: &[u8] = b"\x7fELF\x02\x01\x01";

/// The symbols of the kernel; the fixtures use the first.
const SYMVERS: &str = "0xcafe0001\t_printk\tvmlinux\tEXPORT_SYMBOL\t\n0xcafe0002\tother\tvmlinux\tEXPORT_SYMBOL\t\n";

const SETUP_ROOT: &[u8] = b"[etc]\nmount = \"bind\"\n";

/// What of /var is declared: the database of packages.
const VAR: &[u8] = b"d /var/lib\nd /var/lib/dpkg\nd /var/lib/dpkg/info\nf /var/lib/dpkg/status\n\
    f /var/lib/dpkg/info/base-files.list\nf /var/lib/dpkg/info/gcc-14.list\n";

/// What a layer has at a path.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    File(Vec<u8>),
    Program(Vec<u8>),
    Link(String),
    HardLink(String),
    Folder,
    Removed,
}

pub(crate) type Layer = BTreeMap<String, Item>;

/// Path of a file of the kernel.
pub(crate) fn kernel_path(file: &str) -> String {
    format!("usr/lib/modules/{KVER}/{file}")
}

/// A layer of files that are not programs.
pub(crate) fn files(files: &[(&str, &[u8])]) -> Layer {
    files.iter().map(|(path, bytes)| ((*path).to_owned(), Item::File(bytes.to_vec()))).collect()
}

/// A layer that removes these paths.
pub(crate) fn removed(paths: &[&str]) -> Layer {
    paths.iter().map(|path| ((*path).to_owned(), Item::Removed)).collect()
}

/// The header of an EFI program for this machine, which is all of a kernel that is looked at.
fn kernel() -> Vec<u8> {
    let machine: u16 = if architecture() == "arm64" { 0xaa64 } else { 0x8664 };
    let mut program = vec![0; 88];
    program[..2].copy_from_slice(b"MZ");
    program[60] = 64;
    program[64..68].copy_from_slice(b"PE\0\0");
    program[68..70].copy_from_slice(&machine.to_le_bytes());
    program
}

/// What an image needs to boot besides its kernel.
fn bootable() -> Layer {
    let boot = if architecture() == "arm64" { "systemd-bootaa64.efi" } else { "systemd-bootx64.efi" };
    let mut layer = files(&[
        (&format!("usr/lib/systemd/boot/efi/{boot}"), b"MZ"),
        ("usr/lib/systemd/system/multi-user.target", b"[Unit]\n"),
        ("usr/lib/composefs/setup-root-conf.toml", SETUP_ROOT),
        ("usr/lib/os-release", b"NAME=Test\nID=test\n"),
        ("usr/lib/tmpfiles.d/var.conf", VAR),
        ("etc/machine-id", b"uninitialized\n"),
    ]);
    layer.insert("usr/lib/systemd/systemd".to_owned(), Item::Program(ELF.to_vec()));
    for (path, target) in [
        ("sbin", "usr/sbin"),
        ("usr/sbin/init", "../lib/systemd/systemd"),
        ("usr/lib/systemd/system/default.target", "multi-user.target"),
        ("etc/os-release", "../usr/lib/os-release"),
        ("ostree", "sysroot/ostree"),
    ] {
        layer.insert(path.to_owned(), Item::Link(target.to_owned()));
    }
    for folder in ["boot", "dev", "proc", "run", "sys", "sysroot", "tmp", "var"] {
        layer.insert(folder.to_owned(), Item::Folder);
    }
    layer
}

/// Two layers without fault: the kernel, and one module for it.
pub(crate) fn good() -> Vec<Layer> {
    let mut kernel = files(&[
        (&kernel_path("vmlinuz"), &kernel()),
        (&kernel_path("kernel/lib/dummy.ko"), HELLO),
        (&kernel_path("symvers.gz"), &gzip(SYMVERS.as_bytes())),
        (
            &kernel_path("modules.builtin"),
            b"kernel/fs/ext4/ext4.ko\nkernel/fs/erofs/erofs.ko\nkernel/fs/overlayfs/overlay.ko\n",
        ),
        (
            &kernel_path("initramfs.img"),
            &cpio(&[
                ("init", b"#!/bin/sh\n"),
                ("usr/bin/composefs-setup-root", ELF),
                ("usr/lib/composefs/setup-root-conf.toml", SETUP_ROOT),
                (&kernel_path("kernel/lib/dummy.ko"), HELLO),
            ]),
        ),
        ("usr/bin/sh", b"\x7fELF shell"),
        ("var/lib/dpkg/status", status(&["base-files"]).as_bytes()),
        ("var/lib/dpkg/info/base-files.list", b"/.\n/usr\n/usr/bin\n/usr/bin/sh\n"),
    ]);
    kernel.extend(bootable());
    let module = files(&[
        (&kernel_path("updates/hello.ko"), HELLO),
        (&kernel_path("modules.dep"), b"kernel/lib/dummy.ko:\nupdates/hello.ko:\n"),
    ]);
    vec![kernel, module]
}

/// The good image with one more layer.
pub(crate) fn good_and(layer: Layer) -> Vec<Layer> {
    let mut layers = good();
    layers.push(layer);
    layers
}

/// dpkg's status file with these packages.
pub(crate) fn status(packages: &[&str]) -> String {
    let stanza =
        |name: &&str| format!("Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n");
    packages.iter().map(stanza).collect()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// xz with the check the kernel knows.
pub(crate) fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut options = lzma_rust2::XzOptions::with_preset(1);
    options.set_check_sum_type(lzma_rust2::CheckType::Crc32);
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

/// An archive as an initramfs has it.
pub(crate) fn cpio(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, content) in files.iter().copied().chain([("TRAILER!!!", &[][..])]) {
        archive.extend(b"070701");
        for value in [1, 0o100_644, 0, 0, 1, 0, content.len(), 0, 0, 0, 0, name.len() + 1, 0] {
            archive.extend(format!("{value:08X}").bytes());
        }
        archive.extend(name.bytes().chain([0]));
        archive.resize(archive.len().next_multiple_of(4), 0);
        archive.extend(content);
        archive.resize(archive.len().next_multiple_of(4), 0);
    }
    archive
}

/// A folder with a layout in it.
#[derive(Debug)]
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

/// What a run of the program left.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    /// An image of these layers, called `image`.
    pub(crate) fn new(layers: &[Layer]) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        place.add("image", layers);
        place
    }

    /// One more image.
    pub(crate) fn add(&self, name: &str, layers: &[Layer]) {
        self.add_to("layout", name, layers);
    }

    /// One more image in the layout in this folder.
    pub(crate) fn add_to(&self, folder: &str, name: &str, layers: &[Layer]) {
        let platform = serde_json::json!({"os": "linux", "architecture": architecture()});
        let builder = ImageBuilder::scratch(serde_json::from_value(platform).unwrap(), SourceDateEpoch::from_secs(1));
        tag(&self.layout(folder), name, builder, layers);
    }

    /// One more image on top of another of the same layout.
    pub(crate) fn add_on(&self, folder: &str, base: &str, name: &str, layers: &[Layer]) {
        let layout = self.layout(folder);
        let base = Image::by_name(&layout, base, None).unwrap();
        tag(&layout, name, ImageBuilder::on(&base, SourceDateEpoch::from_secs(1)), layers);
    }

    fn layout(&self, folder: &str) -> Layout {
        let path = self.path(folder);
        std::fs::create_dir_all(&path).unwrap();
        let dir = Dir::open_ambient_dir(path.to_str().unwrap(), cap_std::ambient_authority()).unwrap();
        Layout::create_or_open(dir).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// The program in this folder; `IMAGE` and `BASE` among the arguments stand for the images.
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        let locate = |argument: &&str| match *argument {
            "IMAGE" => "oci:layout:image".to_owned(),
            "BASE" => "oci:layout:base".to_owned(),
            other => other.to_owned(),
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_imgbuild"));
        command.args(arguments.iter().map(locate)).current_dir(self.folder.path()).stdin(Stdio::null());
        finish(command.env_clear().env("PATH", "/usr/bin:/bin"))
    }

    pub(crate) fn check(&self) -> Finished {
        self.run(&["check", "IMAGE"])
    }

    pub(crate) fn verify(&self) -> Finished {
        self.run(&["kmods", "verify", "IMAGE"])
    }
}

pub(crate) fn finish(command: &mut Command) -> Finished {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Finished { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

impl Finished {
    /// It ended with this code, and its result has these lines, each in full but for white space before it.
    #[track_caller]
    pub(crate) fn says(self, code: i32, lines: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        for line in lines {
            let found = self.stdout.lines().any(|said| said.trim_start() == *line);
            assert!(found, "`{line}` is not in:\n{}", self.stdout);
        }
        self
    }

    /// Codes of all findings, in their order.
    pub(crate) fn codes(&self) -> Vec<&str> {
        self.codes_of(&["KMOD", "LEFT"])
    }

    /// Whether an image boots is another room's affair; most tests leave it out.
    pub(crate) fn boot_codes(&self) -> Vec<&str> {
        self.codes_of(&["BOOT"])
    }

    fn codes_of(&self, kinds: &[&str]) -> Vec<&str> {
        let words = self.stdout.lines().filter_map(|line| line.trim_start().split_once(' '));
        let is_code = |code: &str| code.len() == 7 && kinds.contains(&&code[..4]);
        words.filter(|(code, rest)| is_code(code) && rest.contains(": ")).map(|(code, _)| code).collect()
    }
}

fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

fn tag(layout: &Layout, name: &str, mut builder: ImageBuilder, layers: &[Layer]) {
    builder = builder.label("containers.bootc", "1");
    for (number, layer) in layers.iter().enumerate() {
        builder = builder.layer(&write_layer(layout, layer), &format!("step {number}"));
    }
    let descriptor = builder.write(layout).unwrap();
    layout.tag(name, descriptor).unwrap();
}

fn write_layer(layout: &Layout, layer: &Layer) -> WrittenLayer {
    let blob = layout.create_blob().unwrap();
    let mut writer = LayerWriter::new(blob, Compression::Gzip(1), SourceDateEpoch::from_secs(1)).unwrap();
    let above = |path: &'_ String| -> Vec<String> {
        let folders = Path::new(path).ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
        folders.map(|folder| folder.to_str().unwrap().to_owned()).collect()
    };
    let folders: BTreeSet<String> = layer.keys().flat_map(above).collect();
    for folder in folders {
        append(&mut writer, &folder, EntryKind::Directory, 0o755, &[]);
    }
    for (path, item) in layer {
        match item {
            Item::File(bytes) => append(&mut writer, path, EntryKind::File { size: bytes.len() as u64 }, 0o644, bytes),
            Item::Program(bytes) => {
                append(&mut writer, path, EntryKind::File { size: bytes.len() as u64 }, 0o755, bytes);
            }
            Item::Link(target) => {
                append(&mut writer, path, EntryKind::Symlink { target: target.as_bytes().to_vec() }, 0o777, &[]);
            }
            Item::HardLink(target) => {
                append(&mut writer, path, EntryKind::Hardlink { target: target.as_bytes().to_vec() }, 0o755, &[]);
            }
            Item::Folder => append(&mut writer, path, EntryKind::Directory, 0o755, &[]),
            Item::Removed => append(&mut writer, path, EntryKind::Whiteout, 0o644, &[]),
        }
    }
    let (written, blob) = writer.finish().unwrap();
    blob.complete_verified_as(&written.descriptor).unwrap();
    written
}

fn append<W: std::io::Write>(writer: &mut LayerWriter<W>, path: &str, kind: EntryKind, mode: u16, bytes: &[u8]) {
    let metadata = Metadata::with_mode(mode);
    let entry = LayerEntry { path: path.into(), kind, metadata, offset: 0, dropped: Vec::new() };
    writer.append(&entry, &mut &bytes[..]).unwrap();
}
