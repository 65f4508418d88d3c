//! The repository we compute is, file for file, the one composefs-oci makes of the same image.

mod fixture;
mod oracle;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use fixture::Fixture;
use imgbuild::disk::composefs::{
    BootType, CrateWriter, Deployment, ErofsVersion, Formats, NoSink, ObjectSink, PhysicalEntry, PhysicalKind,
    Repository, RepositoryOptions, SplitStream, StreamKind, object_path, physical_root, write_repository,
};
use imgbuild::disk::verity::{Seal, Trees, VerityDigest, tree_size};
use imgbuild::oci::Image;
use imgbuild::oci::layer::{Metadata, Mtime, UnpackLimits};
use oracle::{File, Files};

const TAG: &str = "localhost/bootc-sha256:0123/x%";

#[derive(Default)]
struct MemorySink {
    current: Vec<u8>,
    objects: BTreeMap<VerityDigest, Vec<u8>>,
    trees: BTreeMap<VerityDigest, Vec<u8>>,
    discarded: usize,
}

impl ObjectSink for MemorySink {
    fn begin(&mut self, _size: u64) -> io::Result<()> {
        self.current.clear();
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.current.extend_from_slice(bytes);
        Ok(())
    }

    fn end(&mut self, object: &Seal) -> io::Result<()> {
        self.trees.insert(object.digest, object.tree.clone());
        assert!(self.objects.insert(object.digest, std::mem::take(&mut self.current)).is_none(), "an object twice");
        Ok(())
    }

    fn discard(&mut self) -> io::Result<()> {
        self.discarded += 1;
        Ok(())
    }
}

struct Ours {
    image: Image,
    repository: Repository,
    sink: MemorySink,
}

impl Ours {
    fn of(fixture: &Fixture, formats: Formats) -> Self {
        let layout = fixture.layout();
        let image = Image::by_name(&layout, "image", None).unwrap();
        let layers = image.layer_source(&layout, UnpackLimits::default());
        let mut sink = MemorySink::default();
        let options = RepositoryOptions { formats, trees: Trees::Drop, keep: &|_| false, tags: vec![TAG.to_owned()] };
        let repository = write_repository(&image, &layers, &CrateWriter, &options, &mut sink).unwrap();
        Self { image, repository, sink }
    }

    fn files(&self) -> Files {
        let objects =
            self.sink.objects.iter().map(|(digest, bytes)| (object_path(digest), File::Regular(bytes.clone())));
        let links = self.repository.links.iter().map(|link| (link.path.clone(), File::Link(link.target.clone())));
        let metadata = ("meta.json".to_owned(), File::Regular(self.repository.metadata.clone()));
        objects.chain(links).chain([metadata]).collect()
    }

    fn manifest_link(&self) -> String {
        format!("streams/oci-manifest-{}", self.image.digest())
    }

    /// The digest a link in `streams` leads to.
    fn stream(&self, link: &str) -> VerityDigest {
        let link = self.repository.links.iter().find(|found| found.path == link).unwrap();
        link.target.rsplit('/').take(2).collect::<Vec<_>>().into_iter().rev().collect::<String>().parse().unwrap()
    }

    /// Every manifest splitstream the crate may write: it has the layers in the order of a hash table.
    fn possible_manifests(&self) -> Vec<Vec<u8>> {
        let manifest = self.image.manifest();
        let config = self.stream(&format!("streams/oci-config-{}", manifest.config().digest()));
        let layers: Vec<String> = self.image.layers().iter().map(|layer| layer.diff_id.to_string()).collect();
        permutations(&layers)
            .into_iter()
            .map(|layers| {
                let mut stream = SplitStream::new(StreamKind::Manifest).unwrap();
                stream.reference(format!("config:{}", manifest.config().digest()), &config);
                for layer in layers {
                    let digest = self.stream(&format!("streams/oci-layer-{layer}"));
                    stream.reference(layer, &digest);
                }
                let bytes = self.image.manifest_bytes();
                stream.object(&VerityDigest::of(bytes), bytes.len() as u64).unwrap();
                stream.finish().unwrap()
            })
            .collect()
    }
}

fn permutations(items: &[String]) -> Vec<Vec<String>> {
    if items.is_empty() {
        return vec![Vec::new()];
    }
    let choose = |at: usize| {
        let mut rest = items.to_vec();
        let first = rest.remove(at);
        permutations(&rest).into_iter().map(move |rest| [vec![first.clone()], rest].concat())
    };
    (0..items.len()).flat_map(choose).collect()
}

/// Takes the manifest's splitstream out of a repository.
fn take_manifest(files: &mut Files, link: &str) -> Vec<u8> {
    let Some(File::Link(target)) = files.remove(link) else { panic!("no {link}") };
    match files.remove(target.strip_prefix("../").unwrap()) {
        Some(File::Regular(bytes)) => bytes,
        other => panic!("{target} is {other:?}"),
    }
}

fn assert_same(mut ours: Files, mut theirs: Files) {
    for (path, file) in &ours {
        match theirs.get(path) {
            None => panic!("only we have {path}: {}", file.describe()),
            Some(other) => assert!(file == other, "{path}: {} and {}", file.describe(), other.describe()),
        }
    }
    theirs.retain(|path, _| ours.remove(path).is_none());
    assert!(theirs.is_empty(), "only the crate has {:?}", theirs.keys());
}

fn same_repository(fixture: &Fixture, formats: Formats) {
    let ours = Ours::of(fixture, formats);
    let theirs = oracle::pull(fixture.path(), formats, TAG);
    let version = formats.versions()[0];
    assert_eq!(ours.repository.ids[&version].to_string(), theirs.id, "the id of the deployment");

    let link = ours.manifest_link();
    let (mut our_files, mut their_files) = (ours.files(), theirs.files);
    let our_manifest = take_manifest(&mut our_files, &link);
    let their_manifest = take_manifest(&mut their_files, &link);
    assert_same(our_files, their_files);
    let possible = ours.possible_manifests();
    assert_eq!(possible[0], our_manifest, "ours has the layers in their order");
    assert!(possible.contains(&their_manifest), "the crate's manifest has none of the possible orders");
}

#[test]
fn every_file_is_the_same() {
    for formats in [Formats::V1, Formats::V2] {
        same_repository(&Fixture::plain(), formats);
    }
}

#[test]
fn every_file_is_the_same_with_a_selinux_policy() {
    same_repository(&Fixture::with_policy(), Formats::V1);
}

#[test]
fn every_file_is_the_same_for_random_layers() {
    for seed in 0..24 {
        let formats = if seed % 2 == 0 { Formats::V1 } else { Formats::V2 };
        println!("seed {seed}");
        same_repository(&Fixture::random(seed), formats);
    }
}

/// A signed kernel image names the id of the system it boots, and is in the image itself.
#[test]
fn a_layer_below_boot_does_not_change_the_id() {
    let id = |fixture: &Fixture| Ours::of(fixture, Formats::V1AndV2).repository.ids;
    assert_eq!(id(&Fixture::plain()), id(&Fixture::sealed()));
    assert_ne!(id(&Fixture::plain()), id(&Fixture::with_policy()));
}

#[test]
fn both_formats_side_by_side_have_the_ids_they_have_alone() {
    let fixture = Fixture::with_policy();
    let both = Ours::of(&fixture, Formats::V1AndV2);
    let theirs = oracle::pull(fixture.path(), Formats::V1AndV2, TAG);
    assert_eq!(both.repository.ids[&ErofsVersion::V1].to_string(), theirs.id);
    assert_eq!(
        both.repository.ids[&ErofsVersion::V2],
        Ours::of(&fixture, Formats::V2).repository.ids[&ErofsVersion::V2]
    );
    let images =
        |files: &Files| -> Vec<String> { files.keys().filter(|path| path.starts_with("images/")).cloned().collect() };
    assert_eq!(images(&both.files()), images(&theirs.files));
    assert_eq!(both.files()["meta.json"], theirs.files["meta.json"]);
}

#[test]
fn objects_come_once_and_large_ones_are_taken_back() {
    let ours = Ours::of(&Fixture::plain(), Formats::V1);
    assert_eq!(ours.sink.discarded, 1, "the second of two equal files of 5 MiB");
    for (digest, bytes) in &ours.sink.objects {
        assert_eq!(VerityDigest::of(bytes), *digest);
    }
    let sizes: BTreeMap<_, _> = ours.sink.objects.iter().map(|(digest, bytes)| (*digest, bytes.len() as u64)).collect();
    assert_eq!(ours.repository.objects, sizes);
}

#[test]
fn two_runs_give_the_same() {
    let fixture = Fixture::with_policy();
    assert!(Ours::of(&fixture, Formats::V1AndV2).files() == Ours::of(&fixture, Formats::V1AndV2).files());
}

/// An inline stretch is one chunk whatever its length, so it waits for its end; ours waits compressed.
#[test]
fn a_long_inline_stretch_is_written_as_the_crate_writes_it() {
    let text: Vec<u8> = (0u32..3_000_000).flat_map(|i| (i.wrapping_mul(i / 5) % 1009).to_le_bytes()).collect();
    let mut ours = SplitStream::new(StreamKind::Layer).unwrap();
    for piece in text.chunks(300_001) {
        ours.inline(piece).unwrap();
    }
    ours.object(&VerityDigest::of(&text[..100]), 100).unwrap();
    ours.inline(b"end").unwrap();
    assert_eq!(
        VerityDigest::of(&ours.finish().unwrap()).to_string(),
        oracle::split_stream(&text, &text[..100], b"end")
    );
}

/// Where everything is on the disk and what it is, beside the objects.
#[test]
fn the_physical_root() {
    let mut ours = Ours::of(&Fixture::with_policy(), Formats::V1);
    let deployment = Deployment {
        id: ours.repository.ids[&ErofsVersion::V1],
        source: "docker://example.com/os:stable".to_owned(),
        boot_type: BootType::Bls,
        boot_digest: "0a".repeat(32).parse().unwrap(),
        manifest: ours.image.digest().clone(),
    };
    let mtime = Mtime::from_seconds(1_700_000_000);
    let entries = physical_root(&mut ours.repository, &deployment, mtime).unwrap();
    let id = deployment.id.to_string();
    let mut seen = BTreeSet::from([Vec::new()]);
    for entry in &entries {
        let slash = entry.path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        assert!(seen.contains(&entry.path[..slash]), "{} before its parent", entry.path.escape_ascii());
        assert!(seen.insert(entry.path.clone()), "{} twice", entry.path.escape_ascii());
    }
    let mut listing: Vec<String> =
        entries.iter().filter(|entry| !is_object(entry)).map(line).map(|line| line.replace(&id, "ID")).collect();
    // The order of two images is that of their digests.
    listing.sort();
    // Digests depend on this machine's architecture; that links lead to the right objects is compared with the crate.
    let filters = [(r"objects/[0-9a-f]{2}/[0-9a-f]{126}", "objects/HEX"), (r"[0-9a-f]{64,}", "HEX")];
    insta::with_settings!({filters => filters}, { insta::assert_snapshot!(listing.join("\n")) });
}

#[test]
fn the_repository_on_the_physical_root_has_the_directories_of_the_crate() {
    let fixture = Fixture::plain();
    let mut ours = Ours::of(&fixture, Formats::V1);
    let deployment = Deployment {
        id: ours.repository.ids[&ErofsVersion::V1],
        source: "oci:/x".to_owned(),
        boot_type: BootType::Uki,
        boot_digest: "00".repeat(32).parse().unwrap(),
        manifest: ours.image.digest().clone(),
    };
    let entries = physical_root(&mut ours.repository, &deployment, Mtime::default()).unwrap();
    let directories: BTreeSet<String> = entries
        .iter()
        .filter(|entry| entry.kind == PhysicalKind::Directory)
        .filter_map(|entry| str::from_utf8(&entry.path).unwrap().strip_prefix("composefs/").map(str::to_owned))
        .filter(|path| !path.starts_with("objects/"))
        .collect();
    let mut theirs = oracle::pull(fixture.path(), Formats::V1, TAG).directories;
    // Garbage collection leaves folders of objects behind.
    theirs.retain(|path| !path.starts_with("objects/"));
    assert_eq!(directories, theirs);
}

fn is_object(entry: &PhysicalEntry) -> bool {
    entry.path.starts_with(b"composefs/objects/")
}

fn line(entry: &PhysicalEntry) -> String {
    let Metadata { mode, uid, gid, mtime, xattrs } = &entry.metadata;
    let path = entry.path.escape_ascii();
    let what = match &entry.kind {
        PhysicalKind::Bytes(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
        PhysicalKind::Symlink(target) => format!("-> {}", target.escape_ascii()),
        PhysicalKind::HardLink(first) => format!("= {}", first.escape_ascii()),
        PhysicalKind::Copy { digest, size } | PhysicalKind::Object { digest, size } => {
            format!("{size} bytes of {:.8}", digest.to_string())
        }
        other => format!("{other:?}"),
    };
    let label = xattrs.get(b"security.selinux").map_or("-".into(), String::from_utf8_lossy);
    format!("{path} {mode:o} {uid}:{gid} {}.{} {label} {what}", mtime.seconds, mtime.nanos)
}

struct FailingSink;

impl ObjectSink for FailingSink {
    fn begin(&mut self, _size: u64) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn data(&mut self, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn end(&mut self, _object: &Seal) -> io::Result<()> {
        Ok(())
    }

    fn discard(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The message of the failure, and of what is behind it.
fn failure(fixture: &Fixture, sink: &mut (dyn ObjectSink + Send)) -> String {
    let layout = fixture.layout();
    let image = Image::by_name(&layout, "image", None).unwrap();
    let layers = image.layer_source(&layout, UnpackLimits::default());
    let options = RepositoryOptions { formats: Formats::V1, trees: Trees::Drop, keep: &|_| false, tags: Vec::new() };
    let error = write_repository(&image, &layers, &CrateWriter, &options, sink).unwrap_err();
    let chain = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[test]
fn failures_say_what_failed() {
    let full = failure(&Fixture::plain(), &mut FailingSink);
    assert!(full.starts_with("storing an object: "), "not what the reading thread saw of it: {full}");
    let wrong = failure(&Fixture::with_wrong_diff_id(), &mut NoSink);
    assert!(wrong.starts_with("layer 2: ") && wrong.contains("sha256:"), "{wrong}");
}

#[test]
fn files_asked_for_are_at_hand_and_trees_prove_objects() {
    let fixture = Fixture::plain();
    let layout = fixture.layout();
    let image = Image::by_name(&layout, "image", None).unwrap();
    let layers = image.layer_source(&layout, UnpackLimits::default());
    let mut sink = MemorySink::default();
    let kernel = "usr/lib/modules/6.1.0/initramfs.img";
    let options = RepositoryOptions {
        formats: Formats::V1,
        trees: Trees::Keep,
        keep: &|path| path == kernel.as_bytes(),
        tags: Vec::new(),
    };
    let repository = write_repository(&image, &layers, &CrateWriter, &options, &mut sink).unwrap();
    let content = repository.root.node(repository.root.lookup(kernel).unwrap()).content().unwrap();
    let bytes = repository.contents.bytes(content).unwrap();
    assert_eq!(sink.objects[&VerityDigest::of(bytes)], bytes);
    for (digest, content) in &sink.objects {
        assert_eq!(sink.trees[digest].len() as u64, tree_size(content.len() as u64));
    }
}
