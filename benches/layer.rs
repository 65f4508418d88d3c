//! How fast layers are read, merged and written, beside the tools of the machine.
//!
//! The layers are made of this machine's `/usr`, so only ratios within one run mean anything:
//! `cargo bench --bench layer`. igzip (package `isal`) is measured where it is installed.
#![expect(clippy::disallowed_methods, reason = "measures other programs too")]

use std::fmt::Write as _;
use std::fs::File;
use std::hint::black_box;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use criterion::{Criterion, Throughput};
use imgbuild::model::{DiffId, SourceDateEpoch};
use imgbuild::oci::layer::{
    Compression, EntryKind, LayerEntry, LayerError, LayerWriter, Metadata, UnpackLimits, WrittenLayer, open_layer,
};
use imgbuild::oci::tree::MergePolicy;
use imgbuild::oci::{Image, ImageBuilder, ImageTree, LayerSource, Layout};

/// Uncompressed bytes of the layer that is read.
const READ_BYTES: u64 = 250_000_000;
/// Uncompressed bytes of the layer that is written.
const WRITE_BYTES: u64 = 40_000_000;
/// Files in the trees that are merged.
const MERGED: usize = 100_000;

/// Entries of `/usr` in the order of their paths, up to `bytes` of content, each with the file it is in.
fn files(bytes: u64) -> Vec<(LayerEntry, PathBuf)> {
    let mut found = Vec::new();
    let mut left = bytes;
    let mut pending = vec![PathBuf::from("/usr")];
    while let Some(path) = pending.pop().filter(|_| left > 0) {
        let Ok(metadata) = path.symlink_metadata() else { continue };
        let kind = if metadata.is_dir() {
            let mut names: Vec<_> =
                std::fs::read_dir(&path).into_iter().flatten().flatten().map(|e| e.path()).collect();
            names.sort_by(|a, b| b.cmp(a));
            pending.extend(names);
            EntryKind::Directory
        } else if metadata.is_symlink() {
            EntryKind::Symlink { target: std::fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec() }
        } else if File::open(&path).is_ok() {
            left = left.saturating_sub(metadata.len());
            EntryKind::File { size: metadata.len() }
        } else {
            continue;
        };
        let mode = u16::try_from(metadata.permissions().mode() & 0o7777).unwrap();
        let name = path.strip_prefix("/").unwrap().as_os_str().as_bytes().to_vec();
        found.push((entry(name, kind, mode), path));
    }
    found
}

fn entry(path: Vec<u8>, kind: EntryKind, mode: u16) -> LayerEntry {
    LayerEntry { path, kind, metadata: Metadata::with_mode(mode), offset: 0, dropped: Vec::new() }
}

fn write<W: io::Write>(files: &[(LayerEntry, PathBuf)], out: W, compression: Compression) -> (WrittenLayer, W) {
    let mut writer = LayerWriter::new(out, compression, SourceDateEpoch::from_secs(1)).unwrap();
    for (entry, path) in files {
        let mut content: Box<dyn io::Read> = match entry.kind {
            EntryKind::File { .. } => Box::new(File::open(path).unwrap()),
            _ => Box::new(io::empty()),
        };
        writer.append(entry, &mut content).unwrap();
    }
    writer.finish().unwrap()
}

fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// A layout with one image of one layer.
struct Store {
    folder: tempfile::TempDir,
    layout: Layout,
    image: Image,
    uncompressed: u64,
}

fn empty() -> (tempfile::TempDir, Layout) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let dir = cap_std::fs_utf8::Dir::open_ambient_dir(path, cap_std::ambient_authority()).unwrap();
    (folder, Layout::create_or_open(dir).unwrap())
}

fn store(files: &[(LayerEntry, PathBuf)], compression: Compression) -> Store {
    let (folder, layout) = empty();
    let (layer, blob) = write(files, layout.create_blob().unwrap(), compression);
    blob.complete_verified_as(&layer.descriptor).unwrap();
    let platform = serde_json::from_str(r#"{"os": "linux", "architecture": "amd64"}"#).unwrap();
    let builder = ImageBuilder::scratch(platform, SourceDateEpoch::from_secs(1)).layer(&layer, "bench");
    let image = Image::load(&layout, &builder.write(&layout).unwrap(), None).unwrap();
    Store { folder, layout, image, uncompressed: layer.uncompressed_size }
}

impl Store {
    fn blob(&self) -> PathBuf {
        self.folder.path().join("blobs/sha256").join(self.image.layers()[0].descriptor.digest().digest())
    }

    /// Reads the layer with both digests checked, and nothing else.
    fn drain(&self) -> u64 {
        let layer = &self.image.layers()[0];
        let blob = File::open(self.blob()).unwrap();
        let mut stream = open_layer(blob, &layer.descriptor, &layer.diff_id, &UnpackLimits::default()).unwrap();
        let mut buffer = vec![0; 256 << 10];
        let mut total = 0;
        loop {
            match io::Read::read(&mut stream, &mut buffer).unwrap() {
                0 => return total,
                count => total += count as u64,
            }
        }
    }
}

fn pipe(program: &str, blob: &Path) {
    let line = format!("{program} -dc \"$1\" | tar -t >/dev/null");
    assert!(Command::new("sh").args(["-c", &line, "sh"]).arg(blob).status().unwrap().success());
}

fn layer_read(criterion: &mut Criterion) {
    let files = files(READ_BYTES);
    for (name, compression, programs) in
        [("gzip", Compression::Gzip(6), &["gzip", "igzip"][..]), ("zstd", Compression::Zstd(3), &["zstd"])]
    {
        let store = store(&files, compression);
        let mut group = criterion.benchmark_group(format!("read a layer, {name}"));
        group.sample_size(10).throughput(Throughput::Bytes(store.uncompressed));
        group.bench_function("inflate and verify", |bencher| bencher.iter(|| black_box(store.drain())));
        group.bench_function("inflate, verify, parse and merge", |bencher| {
            let source = store.image.layer_source(&store.layout, UnpackLimits::default());
            bencher.iter(|| ImageTree::from_layers(&source, &MergePolicy::default()).unwrap());
        });
        for program in programs.iter().filter(|program| has(program)) {
            group.bench_function(format!("{program} -dc | tar -t"), |bencher| {
                bencher.iter(|| pipe(program, &store.blob()));
            });
        }
        group.finish();
    }
}

/// Uncompressed layers in memory.
struct Memory(Vec<Vec<u8>>);

impl LayerSource for Memory {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn diff_id(&self, _layer: usize) -> Option<&DiffId> {
        None
    }

    fn open(&self, layer: usize) -> Result<Box<dyn io::Read + Send + '_>, LayerError> {
        Ok(Box::new(self.0[layer].as_slice()))
    }
}

/// Two layers of an invented distribution: files in folders, then every tenth of them again or taken away.
fn invented() -> Memory {
    let layer = |entries: &mut dyn Iterator<Item = LayerEntry>| {
        let mut writer = LayerWriter::new(Vec::new(), Compression::None, SourceDateEpoch::from_secs(1)).unwrap();
        entries.for_each(|entry| writer.append(&entry, &mut io::empty()).unwrap());
        writer.finish().unwrap().1
    };
    let name = |number: usize| {
        let mut path = String::new();
        write!(path, "usr/share/package{}/part{}/file{number}", number / 200, number / 20 % 10).unwrap();
        path.into_bytes()
    };
    let file = |number| entry(name(number), EntryKind::File { size: 0 }, 0o644);
    let change = |number: usize| match number % 20 {
        0 => entry(name(number), EntryKind::Whiteout, 0),
        _ => entry(name(number), EntryKind::Symlink { target: b"../x".to_vec() }, 0o777),
    };
    let upper = &mut (0..MERGED).step_by(10).map(change);
    Memory(vec![layer(&mut (0..MERGED).map(file)), layer(upper)])
}

fn tree_merge(criterion: &mut Criterion) {
    let layers = invented();
    let mut group = criterion.benchmark_group("merge a tree");
    group.sample_size(10).throughput(Throughput::Elements(MERGED as u64));
    group.bench_function("100k files", |bencher| {
        bencher.iter(|| ImageTree::from_layers(&layers, &MergePolicy::default()).unwrap());
    });
    group.finish();
}

fn layer_write(criterion: &mut Criterion) {
    let files = files(WRITE_BYTES);
    let tar = write(&files, Vec::new(), Compression::None).1;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer.tar");
    std::fs::write(&path, &tar).unwrap();
    let mut group = criterion.benchmark_group("write a layer");
    group.sample_size(10).throughput(Throughput::Bytes(tar.len() as u64));
    for (name, compression) in
        [("tar", Compression::None), ("gzip 6", Compression::Gzip(6)), ("zstd 3", Compression::Zstd(3))]
    {
        let (layer, _) = write(&files, io::sink(), compression);
        let ratio = format!("{:.3}", small(layer.descriptor.size()) / small(layer.uncompressed_size));
        group.bench_function(format!("{name}, to {ratio} of its size"), |bencher| {
            bencher.iter(|| write(&files, io::sink(), compression));
        });
    }
    group.bench_function("gzip -6 FILE", |bencher| {
        bencher.iter(|| Command::new("sh").args(["-c", "gzip -6c \"$1\" >/dev/null", "sh"]).arg(&path).status());
    });
    group.finish();
}

/// Images of one small layer each, as a build of many hosts writes them.
fn small_images(layout: &Layout, count: u32) {
    let platform: oci_spec::image::Platform =
        serde_json::from_str(r#"{"os": "linux", "architecture": "amd64"}"#).unwrap();
    let image = |number: u32| {
        let content = format!("host-{number}\n");
        let blob = layout.create_blob().unwrap();
        let mut writer = LayerWriter::new(blob, Compression::Gzip(6), SourceDateEpoch::from_secs(1)).unwrap();
        let name = entry(b"etc/hostname".to_vec(), EntryKind::File { size: content.len() as u64 }, 0o644);
        writer.append(&name, &mut content.as_bytes()).unwrap();
        let (layer, blob) = writer.finish().unwrap();
        blob.complete_verified_as(&layer.descriptor).unwrap();
        let builder = ImageBuilder::scratch(platform.clone(), SourceDateEpoch::from_secs(1)).layer(&layer, "bench");
        (format!("tier3/host-{number}"), builder.write(layout).unwrap())
    };
    let images: Vec<_> = (0..count).map(image).collect();
    layout.tag_all(images.iter().map(|(name, descriptor)| (name.as_str(), descriptor.clone()))).unwrap();
}

fn many_images(criterion: &mut Criterion) {
    const COUNT: u32 = 200;
    let mut group = criterion.benchmark_group(format!("write {COUNT} images"));
    group.sample_size(10).throughput(Throughput::Elements(COUNT.into()));
    group.bench_function("one by one", |bencher| {
        bencher.iter_batched(
            empty,
            |(folder, layout)| {
                small_images(&layout, COUNT);
                folder
            },
            criterion::BatchSize::PerIteration,
        );
    });
    group.bench_function("in a batch", |bencher| {
        bencher.iter_batched(
            empty,
            |(folder, layout)| {
                small_images(&layout.batch().unwrap(), COUNT);
                folder
            },
            criterion::BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// Sizes that fit.
fn small(size: u64) -> f64 {
    f64::from(u32::try_from(size).expect("less than 4 GiB"))
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    layer_read(&mut criterion);
    tree_merge(&mut criterion);
    layer_write(&mut criterion);
    many_images(&mut criterion);
    criterion.final_summary();
}
