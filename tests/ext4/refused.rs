//! What is not written, and what giving up leaves behind.

use std::io::{Cursor, Read as _, Seek, SeekFrom, Write};

use imgbuild::disk::ext4::{Error, Node, NodeId, Parameters, Size, Tree, Writer};
use imgbuild::disk::verity::{Trees, VerityHasher};
use imgbuild::model::ByteSize;
use imgbuild::oci::layer::Metadata;

use crate::{exact, fit};

fn writer(parameters: Parameters) -> Writer<Cursor<Vec<u8>>> {
    Writer::new(Cursor::new(Vec::new()), parameters).unwrap()
}

fn tree() -> Tree {
    Tree::new(&Metadata::with_mode(0o755))
}

#[test]
fn content_that_was_given_up_leaves_no_trace() {
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| i.to_le_bytes()[0] | 1).collect();
    let write = |given_up: &[u64]| {
        let mut writer = writer(fit());
        let mut tree = tree();
        for index in 0..3 {
            if given_up.contains(&index) {
                let mut file = writer.begin(9_000_000).unwrap();
                file.write_all(&bytes).unwrap();
            }
            let content = writer.content(100_000, &mut bytes.take(100_000)).unwrap();
            let name = format!("{index}").into_bytes();
            tree.add(NodeId::ROOT, &name, &Metadata::with_mode(0o644), Node::File(content)).unwrap();
        }
        if given_up.contains(&3) {
            writer.begin(3_000_000).unwrap().write_all(&bytes).unwrap();
        }
        let (stream, summary) = writer.finish(tree).unwrap();
        let mut image = stream.into_inner();
        assert!(image.len() as u64 >= summary.size.0);
        image.truncate(usize::try_from(summary.size.0).unwrap());
        image
    };
    let plain = write(&[]);
    for given_up in [&[0][..], &[1, 2], &[3], &[0, 1, 2, 3]] {
        assert!(write(given_up) == plain, "{given_up:?}");
    }
}

#[test]
fn content_must_be_as_long_as_was_said() {
    let mut writer = writer(fit());
    for (size, found) in [(10, 9), (10, 11), (1_000_000, 999_999), (1 << 18, (1 << 18) + 1), (0, 1)] {
        let error = writer.content(size, &mut std::io::repeat(1).take(found)).unwrap_err();
        assert!(matches!(error, Error::Length { .. }), "{size} {found}: {error}");
    }
    writer.content(1 << 18, &mut std::io::repeat(1).take(1 << 18)).unwrap();
    assert!(writer.begin(10).unwrap().write_all(&[0; 11]).is_err());
}

#[test]
fn only_what_was_measured_is_sealed() {
    let metadata = VerityHasher::new(Trees::Keep).finish();
    let mut with = writer(fit());
    assert!(matches!(with.begin(1).unwrap().seal(&metadata), Err(Error::Sealed { metadata: 0, content: 1 })));
    let mut dropped = VerityHasher::new(Trees::Drop);
    dropped.update(&[0; 5000]);
    let mut file = with.begin(5000).unwrap();
    file.write_all(&[0; 5000]).unwrap();
    assert!(matches!(file.seal(&dropped.finish()), Err(Error::NoTree { size: 5000 })));
    let mut without = writer(Parameters { verity: false, ..fit() });
    assert!(matches!(without.begin(0).unwrap().seal(&metadata), Err(Error::Unsealable)));
}

#[test]
fn a_device_far_too_small_says_how_much_is_needed() {
    let mut writer = writer(exact(1 << 20));
    let content = writer.content(3 << 30, &mut std::io::repeat(1).take(3 << 30)).unwrap();
    let mut tree = tree();
    tree.add(NodeId::ROOT, b"f", &Metadata::with_mode(0o644), Node::File(content)).unwrap();
    let Err(Error::TooSmall { needed, .. }) = writer.finish(tree) else { panic!() };
    assert!(needed.0 > 3 << 30 && needed.0 < 4 << 30, "{needed}");
}

#[test]
fn trees_that_cannot_be_are_refused_by_path() {
    let own = Metadata::with_mode(0o755);
    let mut twice = tree();
    let folder = twice.add(NodeId::ROOT, b"d", &own, Node::Directory).unwrap();
    for _ in 0..2 {
        twice.add(folder, b"name", &own, Node::Fifo).unwrap();
    }
    let error = writer(fit()).finish(twice).unwrap_err();
    assert_eq!(error.to_string(), "`/d/name` exists twice");

    let mut many = tree();
    let folder = many.add(NodeId::ROOT, b"d", &own, Node::Directory).unwrap();
    for index in 0..1001 {
        many.add(folder, format!("{}", index % 1000).as_bytes(), &own, Node::Fifo).unwrap();
    }
    let error = writer(fit()).finish(many).unwrap_err();
    assert_eq!(error.to_string(), "`/d/0` exists twice");

    let mut lost = tree();
    lost.add(NodeId::ROOT, b"lost+found", &own, Node::Fifo).unwrap();
    assert!(matches!(writer(fit()).finish(lost), Err(Error::LostFound)));

    let mut labelled = tree();
    let folder = labelled.add(NodeId::ROOT, b"d", &own, Node::Directory).unwrap();
    let xattrs = [("gnu.translator", "x")].into_iter().collect();
    labelled.add(folder, b"f", &Metadata { xattrs, ..own }, Node::Fifo).unwrap();
    let error = writer(fit()).finish(labelled).unwrap_err();
    assert_eq!(error.to_string(), "`/d/f`: attribute `gnu.translator` is in no namespace that ext4 knows");
}

#[test]
fn parameters_are_checked_before_anything_is_written() {
    let large = Parameters { label: b"a label of 17 byt".to_vec(), ..fit() };
    for (parameters, expected) in [
        (large, "longer than 16 bytes"),
        (Parameters { reserved_percent: 51, ..fit() }, "51 %"),
        (exact(4097), "4097 bytes are no whole number"),
        (exact(1 << 60), "more than the"),
    ] {
        let error = Writer::new(Cursor::new(Vec::new()), parameters).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let huge = Parameters { grows_to: ByteSize(0), ..crate::parameters(Size::Fit { free: ByteSize(9 << 30) }) };
    let Err(Error::TooLarge { most, .. }) = writer(huge).finish(tree()) else { panic!() };
    assert_eq!(most, ByteSize(8 << 30));
}

/// A device that is full after so many bytes.
struct Full(Cursor<Vec<u8>>, u64);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.position() + bytes.len() as u64 > self.1 {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl Seek for Full {
    fn seek(&mut self, position: SeekFrom) -> std::io::Result<u64> {
        self.0.seek(position)
    }
}

#[test]
fn a_full_device_is_an_error_wherever_it_ends() {
    for room in [0, 4096, 1 << 20, 3 << 20] {
        let mut writer = Writer::new(Full(Cursor::new(Vec::new()), room), fit()).unwrap();
        let content = writer.content(2 << 20, &mut std::io::repeat(1).take(2 << 20));
        let result = content.and_then(|content| {
            let mut tree = tree();
            tree.add(NodeId::ROOT, b"f", &Metadata::with_mode(0o644), Node::File(content))?;
            writer.finish(tree).map(drop)
        });
        let Err(Error::Write(error)) = result else { panic!("{room}: {:?}", result.is_ok()) };
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull, "{room}");
    }
}

#[test]
fn a_file_system_may_begin_anywhere_in_a_stream() {
    let mut stream = Cursor::new(vec![0xee; 5000]);
    stream.set_position(5000);
    let (stream, summary) = Writer::new(stream, fit()).unwrap().finish(tree()).unwrap();
    let (plain, _) = writer(fit()).finish(tree()).unwrap();
    let image = stream.into_inner();
    assert!(image[..5000].iter().all(|byte| *byte == 0xee));
    assert!(image[5000..] == plain.into_inner()[..usize::try_from(summary.size.0).unwrap()]);
}
