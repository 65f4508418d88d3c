//! umoci, skopeo and buildah on our layouts.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use imgbuild::oci::layer::{Compression, EntryKind};

use crate::listing::{Listing, list_folder, list_tree};
use crate::store::{Entry, Store, dir, file, hardlink, opaque, store, symlink, whiteout};

/// Whether these programs can be run as root, which they need to change owners; where `CI` is `true`, they must be.
fn available(programs: &[&str]) -> bool {
    let mut missing: Vec<_> = programs.iter().copied().filter(|program| !is_installed(program)).collect();
    if !rustix::process::geteuid().is_root() {
        missing.push("root");
    }
    let required = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(missing.is_empty() || !required, "not here: {}", missing.join(", "));
    if !missing.is_empty() {
        // Directly, because the test runner shows a passing test's own output to nobody.
        let note = format!("skipped, not here: {}\n", missing.join(", "));
        std::io::stderr().write_all(note.as_bytes()).unwrap();
    }
    missing.is_empty()
}

fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    run_in(Path::new("/"), program, arguments)
}

fn run_in(folder: &Path, program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).current_dir(folder).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

impl Store {
    fn locator(&self, name: &str) -> String {
        format!("{}:{name}", self.path().display())
    }
}

/// buildah with storage of its own, which vanishes with it.
struct Buildah(tempfile::TempDir);

impl Buildah {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn run(&self, folder: &Path, arguments: &[&str]) -> Result<String, String> {
        let path = |name: &str| self.0.path().join(name).to_str().unwrap().to_owned();
        let (root, runroot) = (path("root"), path("run"));
        let storage = ["--root", &root, "--runroot", &runroot, "--storage-driver", "vfs"];
        run_in(folder, "buildah", &[&storage, arguments].concat())
    }

    /// The files of an image as buildah unpacks them.
    fn unpack(&self, store: &Store, name: &str) -> Listing {
        // By a relative path: buildah 1.28 takes the parts of an absolute one for parts of a name, and
        // refuses those that begin with a dot.
        let container = self.run(store.parent(), &["from", "--quiet", &format!("oci:oci:{name}")]).unwrap();
        let root = self.run(store.parent(), &["mount", &container]).unwrap();
        let listing = list_folder(Path::new(&root));
        self.run(store.parent(), &["rm", &container]).unwrap();
        listing
    }
}

/// Where buildah 1.28 unpacks another tree than the image specification asks for, and umoci and we do.
const BUILDAH_DIFFERS: [(&str, &str); 2] = [
    ("file then its whiteout", "a whiteout removes also what its own layer wrote before it"),
    ("link to a link", "a hard link to a symbolic link becomes a symbolic link of its own"),
];

#[test]
fn umoci_and_buildah_unpack_the_same_tree() {
    if !available(&["umoci", "buildah"]) {
        return;
    }
    let lower = || {
        vec![
            dir("etc"),
            file("etc/f", "1"),
            dir("d"),
            file("d/old", "x"),
            dir("d/s"),
            file("d/s/old", "y"),
            dir("run"),
            dir("var"),
            symlink("var/run", "/run"),
            symlink("var/back", "../run"),
            symlink("l", "d"),
            file("a", "h"),
            hardlink("b", "a"),
            ("p", EntryKind::Fifo, ""),
            ("dev", EntryKind::CharDevice { major: 1, minor: 3 }, ""),
        ]
    };
    let cases: Vec<(&str, Vec<Vec<Entry>>)> = vec![
        ("base", vec![lower()]),
        ("write through absolute link", vec![lower(), vec![file("var/run/f", "z")]]),
        ("write through relative link", vec![lower(), vec![file("var/back/f", "z")]]),
        ("directory over link", vec![lower(), vec![dir("l"), file("l/n", "z")]]),
        ("link over directory", vec![lower(), vec![symlink("d", "etc")]]),
        ("file over directory", vec![lower(), vec![file("d", "z")]]),
        ("directory over file", vec![lower(), vec![dir("a"), file("a/n", "z")]]),
        ("whiteout", vec![lower(), vec![whiteout("etc/f"), whiteout("d/s")]]),
        ("whiteout through link", vec![lower(), vec![whiteout("l/old")]]),
        ("opaque first", vec![lower(), vec![dir("d"), opaque("d"), file("d/n", "z")]]),
        ("opaque last", vec![lower(), vec![dir("d"), file("d/n", "z"), opaque("d")]]),
        ("file then its whiteout", vec![lower(), vec![file("etc/f", "2"), whiteout("etc/f")]]),
        ("rewrite one of two names", vec![lower(), vec![file("b", "z")]]),
        ("link to lower layer", vec![lower(), vec![hardlink("c", "a")]]),
        ("link to a link", vec![lower(), vec![hardlink("c", "l")]]),
        ("device replaced", vec![lower(), vec![file("dev", "z")]]),
    ];
    let buildah = Buildah::new();
    // gzip: the umoci of Debian 12 knows no zstd.
    let store = store();
    for (number, (what, layers)) in cases.iter().enumerate() {
        let name = format!("case{number}");
        let layers: Vec<&[Entry]> = layers.iter().map(Vec::as_slice).collect();
        let image = store.image(&name, &layers, Compression::Gzip(6));
        let expected = list_tree(&image, &store.layout);
        let out = tempfile::tempdir().unwrap();
        let root = out.path().join("rootfs");
        run("umoci", &["raw", "unpack", "--image", &store.locator(&name), root.to_str().unwrap()]).expect(what);
        assert_eq!(list_folder(&root), expected, "{what} by umoci");
        let by_buildah = buildah.unpack(&store, &name);
        match BUILDAH_DIFFERS.iter().find(|(case, _)| case == what) {
            None => assert_eq!(by_buildah, expected, "{what} by buildah"),
            Some((_, why)) => assert_ne!(by_buildah, expected, "{what}: buildah no longer differs ({why})"),
        }
    }
}

#[test]
fn skopeo_and_umoci_read_the_layout_as_it_stands() {
    if !available(&["skopeo", "umoci"]) {
        return;
    }
    let store = store();
    let image = store.image("tier1/debian", &[&[file("f", "x")]], Compression::default());
    let locator = format!("oci:{}", store.locator("tier1/debian"));
    let inspected: serde_json::Value = serde_json::from_str(&run("skopeo", &["inspect", &locator]).unwrap()).unwrap();
    assert_eq!(inspected["Digest"], image.digest().to_string());
    assert_eq!(inspected["Labels"]["containers.bootc"], "1");
    let layers = inspected["Layers"].as_array().unwrap();
    assert_eq!(layers.len(), 1);
    let copies = tempfile::tempdir().unwrap();
    let copy = |name: &str| format!("{name}:{}", copies.path().join(name).display());
    run("skopeo", &["copy", &locator, &copy("oci")]).unwrap();
    run("skopeo", &["copy", &locator, &copy("oci-archive")]).unwrap();
    let listed = run("umoci", &["list", "--layout", store.path().to_str().unwrap()]).unwrap();
    assert_eq!(listed.trim(), "tier1/debian");

    let archive = std::fs::File::open(copies.path().join("oci-archive")).unwrap();
    let source = imgbuild::oci::ArchiveSource::open(archive, None).unwrap();
    let manifest = imgbuild::oci::ImageSource::manifest(&source, None).unwrap();
    assert_eq!(manifest.digest, *image.digest(), "skopeo copies our manifest unchanged");
}

#[test]
fn buildah_reads_every_compression_by_name() {
    if !available(&["buildah"]) {
        return;
    }
    let buildah = Buildah::new();
    let store = store();
    for (name, compression) in
        [("tier1/plain", Compression::None), ("tier1/gzip", Compression::Gzip(9)), ("tier2/zstd", Compression::Zstd(3))]
    {
        let image = store.image(name, &[&[file("f", "x"), symlink("l", "f")]], compression);
        assert_eq!(buildah.unpack(&store, name), list_tree(&image, &store.layout), "{name}");
    }
}
