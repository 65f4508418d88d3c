//! The repository we compute is, file for file, the one composefs-oci makes of the same image.

mod fixture;
mod oracle;

use std::collections::BTreeMap;
use std::io;

use fixture::Fixture;
use imgbuild::disk::composefs::{
    CrateWriter, ErofsVersion, Formats, ObjectSink, Repository, RepositoryOptions, SplitStream, StreamKind,
    object_path, write_repository,
};
use imgbuild::disk::verity::{Seal, Trees, VerityDigest};
use imgbuild::oci::Image;
use imgbuild::oci::layer::UnpackLimits;
use oracle::{File, Files};

const TAG: &str = "localhost/bootc-sha256:0123/x%";

#[derive(Default)]
struct MemorySink {
    current: Vec<u8>,
    objects: BTreeMap<VerityDigest, Vec<u8>>,
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
