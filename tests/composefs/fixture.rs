//! A small image with everything a repository treats in its own way.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use cap_std::fs_utf8::Dir;
use imgbuild::oci::{Layout, sha256};
use oci_spec::image::{Descriptor, MediaType};
use serde_json::json;
use tar::{Builder, EntryType, Header};

/// An OCI layout with `image` in a folder of its own.
pub(crate) struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn layout(&self) -> Layout {
        Layout::open(self.dir()).unwrap()
    }

    fn dir(&self) -> Dir {
        Dir::open_ambient_dir(self.path().to_str().unwrap(), cap_std::ambient_authority()).unwrap()
    }

    /// Without a SELinux policy.
    pub(crate) fn plain() -> Self {
        Self::new(vec![gzip(base()), zstd(changes())])
    }

    /// With a policy in a layer of its own.
    pub(crate) fn with_policy() -> Self {
        Self::new(vec![gzip(base()), zstd(changes()), uncompressed(policy())])
    }

    /// With a layer on top that adds a kernel image.
    pub(crate) fn sealed() -> Self {
        let mut tar = Tar::new();
        tar.dir("boot").dir("boot/EFI").dir("boot/EFI/Linux").file("boot/EFI/Linux/6.1.0.efi", noise(9000, 18));
        Self::new(vec![gzip(base()), zstd(changes()), gzip(tar.end())])
    }

    /// Whose second layer is not what the configuration says.
    pub(crate) fn with_wrong_diff_id() -> Self {
        let mut second = gzip(changes());
        second.tar.push(0);
        Self::new(vec![gzip(base()), second])
    }

    /// Layers of random changes, each upon those below.
    pub(crate) fn random(seed: u32) -> Self {
        let mut random = Random::new(seed);
        let layers = (0..3).map(|_| random.layer()).collect::<Vec<_>>();
        Self::new(layers.into_iter().map(gzip).collect())
    }

    fn new(layers: Vec<Layer>) -> Self {
        let fixture = Self { folder: tempfile::tempdir().unwrap() };
        let layout = Layout::create_or_open(fixture.dir()).unwrap();
        let diff_ids: Vec<String> = layers.iter().map(|layer| sha256(&layer.tar).to_string()).collect();
        let layers: Vec<Descriptor> =
            layers.into_iter().map(|layer| layout.write_blob(&layer.blob, layer.media_type).unwrap()).collect();
        let config = json!({
            "architecture": std::env::consts::ARCH.replace("x86_64", "amd64").replace("aarch64", "arm64"),
            "os": "linux",
            "config": {"Labels": {"containers.bootc": "1"}},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = layout.write_json(&config, MediaType::ImageConfig).unwrap();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::ImageManifest,
            "config": config,
            "layers": layers,
        });
        let manifest = layout.write_json(&manifest, MediaType::ImageManifest).unwrap();
        layout.tag("image", manifest).unwrap();
        fixture
    }
}

struct Layer {
    tar: Vec<u8>,
    blob: Vec<u8>,
    media_type: MediaType,
}

fn gzip(tar: Vec<u8>) -> Layer {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&tar).unwrap();
    Layer { blob: encoder.finish().unwrap(), tar, media_type: MediaType::ImageLayerGzip }
}

fn zstd(tar: Vec<u8>) -> Layer {
    Layer { blob: zstd::encode_all(&tar[..], 1).unwrap(), tar, media_type: MediaType::ImageLayerZstd }
}

fn uncompressed(tar: Vec<u8>) -> Layer {
    Layer { blob: tar.clone(), tar, media_type: MediaType::ImageLayer }
}

/// Bytes that do not repeat.
fn noise(size: usize, seed: u32) -> Vec<u8> {
    (seed..).flat_map(|i| i.wrapping_mul(2_654_435_761).rotate_left(i % 31).to_le_bytes()).take(size).collect()
}

/// A tar stream under construction.
struct Tar(Builder<Vec<u8>>);

impl Tar {
    fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    fn entry(&mut self, name: &[u8], kind: EntryType, mode: u32, content: &[u8], target: &[u8]) -> &mut Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(u64::from(mode & 7));
        header.set_mtime(1_700_000_000 + name.len() as u64);
        header.set_size(content.len() as u64);
        if kind.is_character_special() || kind.is_block_special() {
            header.set_device_major(u32::from(target[0])).unwrap();
            header.set_device_minor(u32::from(target[1])).unwrap();
        }
        let path = OsStr::from_bytes(name);
        if kind.is_symlink() || kind.is_hard_link() {
            self.0.append_link(&mut header, path, OsStr::from_bytes(target)).unwrap();
        } else {
            self.0.append_data(&mut header, path, content).unwrap();
        }
        self
    }

    fn dir(&mut self, name: &str) -> &mut Self {
        self.entry(name.as_bytes(), EntryType::Directory, 0o755, &[], &[])
    }

    fn file(&mut self, name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> &mut Self {
        self.entry(name.as_ref(), EntryType::Regular, 0o644, content.as_ref(), &[])
    }

    fn link(&mut self, kind: EntryType, name: &str, target: &str) -> &mut Self {
        self.entry(name.as_bytes(), kind, 0o777, &[], target.as_bytes())
    }

    /// Extended header records of the next entry.
    fn pax(&mut self, records: &[(&str, &[u8])]) -> &mut Self {
        self.0.append_pax_extensions(records.iter().copied()).unwrap();
        self
    }

    fn end(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

const CAPABILITY: &[u8] = &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn base() -> Vec<u8> {
    let mut tar = Tar::new();
    tar.pax(&[("mtime", b"1600000000.123456789"), ("SCHILY.xattr.user.origin", b"here")]).dir("usr");
    for name in ["usr/bin", "usr/lib", "usr/lib/modules", "usr/lib/modules/6.1.0", "usr/share", "usr/share/doc", "etc"]
    {
        tar.dir(name);
    }
    for name in ["boot", "boot/old", "sysroot", "sysroot/ostree", "run", "run/lock", "var", "var/lib", "dev"] {
        tar.dir(name);
    }
    tar.file("usr/lib/modules/6.1.0/vmlinuz", noise(5000, 1));
    tar.file("usr/lib/modules/6.1.0/initramfs.img", noise(300_000, 2));
    tar.file("usr/lib/large", noise(5 << 20, 3));
    for size in [0, 1, 63, 64, 65, 511, 512, 513, 4095, 4096, 4097, 65_536, 262_144, 262_145] {
        tar.file(format!("usr/share/size-{size}"), noise(size, 4));
    }
    tar.file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n".repeat(3)).file("etc/hostname", "host\n");
    tar.link(EntryType::Link, "etc/passwd-", "etc/passwd").link(EntryType::Symlink, "etc/mtab", "../proc/self/mounts");
    tar.file("etc/.updated", "x").file("boot/old/kernel", noise(100, 5)).file("sysroot/ostree/x", noise(100, 6));
    tar.file("run/lock/x", "x").file("var/lib/state", noise(1000, 7));
    // Old builders put the type of the file into its mode, too.
    tar.entry(b"usr/share/typed", EntryType::Regular, 0o100_600, b"typed", &[]);
    tar.entry(b"usr/share/typed-dir", EntryType::Directory, 0o40_750, &[], &[]);
    tar.entry(b"usr/bin/su", EntryType::Regular, 0o4755, &noise(200, 8), &[]);
    tar.pax(&[("SCHILY.xattr.security.capability", CAPABILITY), ("SCHILY.xattr.security.selinux", b"build_t\0")]);
    tar.file("usr/bin/ping", noise(300, 9));
    tar.pax(&[("SCHILY.xattr.trusted.overlay.opaque", b"y")]).file("usr/bin/odd", noise(100, 10));
    tar.link(EntryType::Link, "usr/bin/ping6", "usr/bin/ping").link(EntryType::Symlink, "usr/bin/sh", "dash");
    tar.link(EntryType::Link, "usr/bin/sh2", "usr/bin/sh").link(EntryType::Symlink, "bin", "usr/bin");
    tar.link(EntryType::Link, "usr/share/hostname-link", "etc/hostname");
    tar.entry(b"dev/null", EntryType::Char, 0o666, &[], &[1, 3]).entry(
        b"dev/sda",
        EntryType::Block,
        0o660,
        &[],
        &[8, 0],
    );
    tar.entry(b"dev/hidden", EntryType::Char, 0o600, &[], &[0, 0]).entry(b"dev/pipe", EntryType::Fifo, 0o600, &[], &[]);
    tar.file(b"usr/share/\xff\xfe not text\n", noise(80, 11));
    let deep = format!("usr/share/{}", "d".repeat(90));
    tar.dir(&deep).file(format!("{deep}/{}", "n".repeat(200)), noise(70, 12));
    tar.entry(b"usr/share/closed", EntryType::Regular, 0, b"secret", &[]);
    tar.file("usr/share/doc/gone", noise(90, 13)).file("usr/share/replaced", noise(91, 14));
    tar.end()
}

fn changes() -> Vec<u8> {
    let mut tar = Tar::new();
    tar.dir("etc")
        .file("etc/.wh.hostname", "")
        .file("etc/.wh.a", noise(100, 17))
        .file("etc/.wh.b", "few")
        .dir("usr/share/doc")
        .file("usr/share/doc/.wh..wh..opq", "");
    tar.file("usr/share/doc/new", noise(92, 15)).file("usr/share/replaced", "short now");
    tar.file("usr/lib/large-again", noise(5 << 20, 3)).file("usr/share/passwd-again", noise(5000, 1));
    tar.link(EntryType::Link, "usr/bin/ping-third", "usr/bin/ping");
    let mut bytes = tar.end();
    // As GNU tar ends its archives: padded to records of 10 KiB.
    bytes.resize(bytes.len().next_multiple_of(10_240), 0);
    bytes
}

const FILE_CONTEXTS: &str = "\
# comment
/.*                     system_u:object_r:default_t:s0
/                   -d  system_u:object_r:root_t:s0
/usr(/.*)?              system_u:object_r:usr_t:s0
/usr/bin/.*         --  system_u:object_r:bin_t:s0
/usr/bin/ping6      --  system_u:object_r:ping_exec_t:s0
/usr/bin/(?!ping|su)[a-z]+[0-9]? -l system_u:object_r:shell_link_t:s0
/usr/lib/modules(/.*)?  system_u:object_r:modules_object_t:s0
/usr/share/doc(/.*)?    <<none>>
/etc(/.*)?              system_u:object_r:etc_t:s0
/dev/[^/]*          -c  system_u:object_r:device_t:s0
/dev/sd.*           -b  system_u:object_r:fixed_disk_device_t:s0
/dev/.*             -p  system_u:object_r:fifo_t:s0
/var/lib(/.*)?          system_u:object_r:var_lib_t:s0
";

fn policy() -> Vec<u8> {
    let mut tar = Tar::new();
    for name in
        ["etc/selinux", "etc/selinux/test", "etc/selinux/test/contexts", "etc/selinux/test/contexts/files", "alias"]
    {
        tar.dir(name);
    }
    tar.file("etc/selinux/config", "# SELINUXTYPE=other\nSELINUX=enforcing\n selinuxtype = test \n");
    let files = "etc/selinux/test/contexts/files/file_contexts";
    tar.file(files, FILE_CONTEXTS);
    tar.file(format!("{files}.local"), "/usr/share/size-1 -- system_u:object_r:local_t:s0\n");
    tar.file(format!("{files}.subs"), "/alias /usr/bin\n")
        .file(format!("{files}.subs_dist"), "# none\n/var/lib /etc\n");
    tar.file("alias/tool", noise(100, 16));
    tar.end()
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Directory,
    Other,
}

/// Makes layers that every reader has to understand in the same way: parents come first, no path
/// comes twice, whiteouts come before everything else.
struct Random {
    state: u32,
    tree: BTreeMap<String, Kind>,
}

impl Random {
    fn new(seed: u32) -> Self {
        Self { state: seed.wrapping_mul(2_654_435_761) | 1, tree: BTreeMap::new() }
    }

    /// Below `limit`.
    fn below(&mut self, limit: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 17;
        self.state ^= self.state << 5;
        self.state as usize % limit
    }

    fn pick(&mut self, kind: Kind) -> Option<String> {
        let paths: Vec<String> =
            self.tree.iter().filter(|(_, found)| **found == kind).map(|(path, _)| path.clone()).collect();
        (!paths.is_empty()).then(|| paths[self.below(paths.len())].clone())
    }

    fn remove(&mut self, path: &str) {
        let below = format!("{path}/");
        self.tree.retain(|other, _| other != path && !other.starts_with(&below));
    }

    fn layer(&mut self) -> Vec<u8> {
        let mut tar = Tar::new();
        let mut touched = BTreeSet::new();
        for _ in 0..self.below(5) {
            self.whiteout(&mut tar);
        }
        for name in ["usr", "boot", "sysroot", "run", "etc"] {
            if self.tree.insert(name.to_owned(), Kind::Directory).is_none() {
                tar.dir(name);
            }
            touched.insert(name.to_owned());
        }
        for _ in 0..40 {
            self.add(&mut tar, &mut touched);
        }
        tar.end()
    }

    fn whiteout(&mut self, tar: &mut Tar) {
        let Some(path) = self.pick(Kind::Other) else { return };
        let (parent, name) = path.rsplit_once('/').unwrap();
        if self.below(4) == 0 {
            tar.file(format!("{parent}/.wh..wh..opq"), "");
            self.tree.retain(|other, _| !other.starts_with(&format!("{parent}/")));
        } else {
            tar.file(format!("{parent}/.wh.{name}"), "");
            self.remove(&path);
        }
    }

    fn add(&mut self, tar: &mut Tar, touched: &mut BTreeSet<String>) {
        let parent = self.pick(Kind::Directory).unwrap();
        let path = format!("{parent}/{}", ["a", "b", "c", "\u{e9}", "long name"][self.below(5)]);
        let below = format!("{path}/");
        if path.matches('/').count() > 4 || touched.iter().any(|other| *other == path || other.starts_with(&below)) {
            return;
        }
        let mut kind = Kind::Other;
        let seed = self.state;
        match self.below(8) {
            0 | 1 => {
                kind = Kind::Directory;
                let mode = 0o700 | u32::try_from(self.below(64)).unwrap();
                tar.entry(path.as_bytes(), EntryType::Directory, mode, &[], &[]);
            }
            2 => drop(tar.link(EntryType::Symlink, &path, ["a", "../b", "/etc/none"][self.below(3)])),
            3 => match self.pick(Kind::Other) {
                Some(target) if target != path => drop(tar.link(EntryType::Link, &path, &target)),
                _ => return,
            },
            4 => drop(tar.entry(path.as_bytes(), EntryType::Fifo, 0o600, &[], &[])),
            5 => drop(tar.pax(&[("SCHILY.xattr.security.capability", CAPABILITY)]).file(&path, noise(70, seed % 4))),
            _ => {
                let size = [0, 10, 64, 65, 4096, 5000, 70_000][self.below(7)];
                tar.file(&path, noise(size, seed % 3));
            }
        }
        let stays = kind == Kind::Directory && self.tree.get(&path) == Some(&Kind::Directory);
        if !stays {
            self.remove(&path);
        }
        self.tree.insert(path.clone(), kind);
        touched.insert(path);
    }
}
