//! How fast a file system is written, beside `mke2fs -d` on the same tree.
//!
//! `cargo bench --bench ext4`. Every number is the median of five runs that take turns, from files in the page cache
//! to a file on disk, without syncing. CPU seconds are those of the process, children included. Only ratios within
//! one run mean anything.
#![expect(clippy::disallowed_methods, reason = "measures another program too")]
#![expect(clippy::print_stdout, reason = "prints a table")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use imgbuild::disk::ext4::{Content, Node, NodeId, Parameters, Size, Tree, Writer};
use imgbuild::disk::verity::{Trees, VerityHasher};
use imgbuild::model::{ByteSize, SourceDateEpoch};
use imgbuild::oci::layer::Metadata;

/// Files, and their bytes together: a server image of middling size.
const FILES: u64 = 24_000;
const BYTES: u64 = 700_000_000;
/// Files of a directory.
const FOLDER: u64 = 100;
const RUNS: usize = 5;
/// Clock ticks in a second, as `/proc` counts them.
const TICKS: f64 = 100.0;

/// A measured run: wall-clock and CPU seconds.
type Times = (f64, f64);

fn main() {
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    many_files(scratch.path(), 1_000_000, 1000);
    many_files(scratch.path(), 120_000, 120_000);
    let source = scratch.path().join("source");
    let files = write_source(&source);
    let out = scratch.path().join("ext4");
    let (mut ours, mut sealed, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        ours.push(timed(|| write(&files, &out, false)));
        sealed.push(timed(|| write(&files, &out, true)));
        theirs.push(timed(|| mke2fs(&source, &out)));
    }
    let (ours, sealed, theirs) = (median(ours), median(sealed), median(theirs));
    for (name, times) in [("imgbuild", ours), ("imgbuild, sealed with SHA-512", sealed), ("mke2fs -d", theirs)] {
        print_row(name, times);
    }
    println!("mke2fs takes {:.1} times as long, {:.1} times the CPU", theirs.0 / ours.0, theirs.1 / ours.1);
}

#[expect(clippy::cast_precision_loss, reason = "printed with no decimal")]
fn print_row(name: &str, (wall, cpu): Times) {
    println!("{name:32} {wall:6.2} s  {cpu:6.2} s CPU  {:6.0} MB/s", BYTES as f64 / wall / 1e6);
}

/// Files of very different sizes, most of them small, with content that is nowhere zero.
fn write_source(source: &Path) -> Vec<(u64, PathBuf)> {
    let weights: Vec<u64> = (0..FILES).map(|i| if i % 50 == 0 { 1500 } else { 1 + i * 7919 % 40 }).collect();
    let all: u64 = weights.iter().sum();
    let pattern: Vec<u8> =
        (0..4_000_000_u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56).to_le_bytes()[0] | 1).collect();
    (0..FILES)
        .map(|i| {
            let folder = source.join(format!("{}", i / FOLDER));
            std::fs::create_dir_all(&folder).unwrap();
            let size = usize::try_from(BYTES * weights[usize::try_from(i).unwrap()] / all).unwrap();
            let path = folder.join(format!("file-{i}"));
            std::fs::write(&path, &pattern[..size]).unwrap();
            (i / FOLDER, path)
        })
        .collect()
}

fn parameters(size: Size) -> Parameters {
    Parameters { verity: true, ..Parameters::new(size, [1; 16], [2; 16], SourceDateEpoch::from_secs(0)) }
}

fn content(writer: &mut Writer<File>, path: &Path, sealed: bool) -> Content {
    let mut file = File::open(path).unwrap();
    let size = file.metadata().unwrap().len();
    if !sealed {
        return writer.content(size, &mut file).unwrap();
    }
    let bytes = std::fs::read(path).unwrap();
    let mut measure = VerityHasher::new(Trees::Keep);
    measure.update(&bytes);
    let mut content = writer.begin(size).unwrap();
    std::io::Write::write_all(&mut content, &bytes).unwrap();
    content.seal(&measure.finish()).unwrap()
}

fn write(files: &[(u64, PathBuf)], out: &Path, sealed: bool) {
    drop(std::fs::remove_file(out));
    let size = Size::Fit { free: ByteSize(64 << 20) };
    let mut writer = Writer::new(File::create(out).unwrap(), parameters(size)).unwrap();
    let mut tree = Tree::new(&Metadata::with_mode(0o755));
    let mut folder = None;
    for (number, path) in files {
        let parent = match folder.filter(|(last, _)| last == number) {
            Some((_, parent)) => parent,
            None => {
                let name = format!("{number}").into_bytes();
                tree.add(NodeId::ROOT, &name, &Metadata::with_mode(0o755), Node::Directory).unwrap()
            }
        };
        folder = Some((*number, parent));
        let content = content(&mut writer, path, sealed);
        let name = path.file_name().unwrap().as_encoded_bytes();
        tree.add(parent, name, &Metadata::with_mode(0o644), Node::File(content)).unwrap();
    }
    writer.finish(tree).unwrap();
}

fn mke2fs(source: &Path, out: &Path) {
    drop(std::fs::remove_file(out));
    let made =
        Command::new("mke2fs").args(["-q", "-t", "ext4", "-O", "verity", "-d"]).args([source, out]).arg("1G").status();
    assert!(made.unwrap().success());
}

/// Many files of 100 bytes, so many in each directory. The memory counts only where it is more than ever before.
fn many_files(scratch: &Path, count: u32, folder: u32) {
    let out = scratch.join("many");
    let before = memory("VmRSS");
    let (wall, cpu) = timed(|| {
        let size = Size::Fit { free: ByteSize(0) };
        let mut writer = Writer::new(File::create(&out).unwrap(), parameters(size)).unwrap();
        let mut tree = Tree::new(&Metadata::with_mode(0o755));
        let mut parent = NodeId::ROOT;
        for index in 0..count {
            if index.is_multiple_of(folder) {
                let name = format!("{index}").into_bytes();
                parent = tree.add(NodeId::ROOT, &name, &Metadata::with_mode(0o755), Node::Directory).unwrap();
            }
            let content = writer.content(100, &mut &[7_u8; 100][..]).unwrap();
            let name = format!("file-{index:08}").into_bytes();
            tree.add(parent, &name, &Metadata::with_mode(0o644), Node::File(content)).unwrap();
        }
        writer.finish(tree).unwrap();
    });
    let bytes = (memory("VmHWM") - before) * 1024 / u64::from(count);
    println!("{count} files, {folder} in a directory: {wall:.2} s, {cpu:.2} s CPU, {bytes} bytes of memory per file");
    std::fs::remove_file(&out).unwrap();
}

/// A line of `/proc/self/status`, in KiB.
fn memory(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// User and system time of this process and of the children it waited for, in seconds.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    fields.skip(11).take(4).map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / TICKS
}

fn timed(run: impl FnOnce()) -> Times {
    let (start, before) = (Instant::now(), cpu());
    run();
    (start.elapsed().as_secs_f64(), cpu() - before)
}

fn median(mut runs: Vec<Times>) -> Times {
    runs.sort_by(|a, b| a.0.total_cmp(&b.0));
    runs[runs.len() / 2]
}
