//! Hostile and odd layers, and what the writer makes of good ones.

use std::io::{self, Read};

use super::super::testing::Tar;
use super::*;
use crate::model::SourceDateEpoch;

/// Reads all entries with their content.
fn read_with(bytes: &[u8], limits: UnpackLimits) -> Result<Vec<(LayerEntry, Vec<u8>)>, LayerError> {
    let mut tar = TarReader::new(bytes, limits);
    let mut entries = Vec::new();
    while let Some(entry) = tar.next_entry()? {
        let mut content = Vec::new();
        tar.content().read_to_end(&mut content).map_err(LayerError::from_read)?;
        entries.push((entry, content));
    }
    Ok(entries)
}

fn read(bytes: &[u8]) -> Result<Vec<(LayerEntry, Vec<u8>)>, LayerError> {
    read_with(bytes, UnpackLimits::default())
}

fn paths(bytes: &[u8]) -> Vec<String> {
    read(bytes).unwrap().iter().map(|(entry, _)| Lossy::from(&*entry.path).to_string()).collect()
}

fn problem(bytes: &[u8]) -> TarProblem {
    match read(bytes).unwrap_err() {
        LayerError::Header { problem, .. } => problem,
        error => panic!("{error}"),
    }
}

#[test]
fn headers_that_could_be_read_in_two_ways_are_refused() {
    let tar = Tar::new;
    let number = |range: std::ops::Range<usize>, value: &'static [u8]| {
        move |block: &mut [u8; 512]| block[range].copy_from_slice(value)
    };
    let mut bad_checksum = tar().file("f", "").end();
    bad_checksum[0] = b'g';
    for (what, bytes, expected) in [
        ("checksum", bad_checksum, TarProblem::Checksum),
        ("negative size", tar().raw(b"f", b'0', 0, number(124..136, &[0xff; 12])).end(), TarProblem::Range("size")),
        (
            "size with bits above 64",
            tar().raw(b"f", b'0', 0, number(124..136, b"\x80\0\0\x01\0\0\0\0\0\0\0\x05")).end(),
            TarProblem::Range("size"),
        ),
        (
            "base-256 with value bits in its first byte",
            tar().raw(b"f", b'0', 0, number(124..136, b"\x81\0\0\0\0\0\0\0\0\0\0\x05")).end(),
            TarProblem::Number("size"),
        ),
        (
            "size with garbage",
            tar().raw(b"f", b'0', 0, number(124..136, b"0000000001x\0")).end(),
            TarProblem::Number("size"),
        ),
        (
            "PAX size against a header size",
            tar().pax(&[(b"size", b"0")]).raw(b"f", b'0', 512, |_| {}).data(&[b'x'; 512]).end(),
            TarProblem::SizeDisagreement { header: 512, pax: 0 },
        ),
        ("PAX size -1", tar().pax(&[(b"size", b"-1")]).file("f", "").end(), TarProblem::PaxValue("size".into())),
        ("PAX record cut", tar().raw(b"x", b'x', 5, |_| {}).data(b"30 a=").file("f", "").end(), TarProblem::PaxRecord),
        (
            "two PAX headers",
            tar().pax(&[(b"path", b"a")]).pax(&[(b"path", b"b")]).file("f", "").end(),
            TarProblem::MixedExtensions,
        ),
        (
            "GNU long name and PAX",
            tar()
                .raw(b"././@LongLink", b'L', 2, number(257..265, b"ustar  \0"))
                .data(b"a\0")
                .pax(&[(b"path", b"b")])
                .file("f", "")
                .end(),
            TarProblem::MixedExtensions,
        ),
        ("GNU long name in ustar", tar().raw(b"l", b'L', 2, |_| {}).data(b"a\0").end(), TarProblem::Type('L')),
        ("PAX header at the end", tar().pax(&[(b"path", b"a")]).end(), TarProblem::DanglingExtension),
        ("PAX header at end of file", tar().pax(&[(b"path", b"a")]).unfinished(), TarProblem::DanglingExtension),
        (
            "global path",
            tar().raw(b"g", b'g', 9, |_| {}).data(b"9 path=a\n").file("f", "").end(),
            TarProblem::PaxGlobal("path".into()),
        ),
        ("GNU sparse", tar().raw(b"f", b'S', 0, number(257..265, b"ustar  \0")).end(), TarProblem::Sparse),
        ("PAX sparse", tar().pax(&[(b"GNU.sparse.major", b"1")]).file("f", "").end(), TarProblem::Sparse),
        ("volume header", tar().raw(b"v", b'V', 0, |_| {}).end(), TarProblem::Type('V')),
        (
            "unknown magic",
            tar().raw(b"f", b'0', 0, number(257..265, b"ustar\0\0\0")).end(),
            TarProblem::Format(r"ustar\x00\x00\x00".into()),
        ),
        (
            "directory with content",
            tar().raw(b"d", b'5', 512, |_| {}).data(&[0; 512]).end(),
            TarProblem::UnexpectedContent("directory"),
        ),
        (
            "hard link with content",
            tar().raw(b"l", b'1', 512, number(157..158, b"f")).data(&[0; 512]).end(),
            TarProblem::UnexpectedContent("hard link"),
        ),
        ("symbolic link to nothing", tar().symlink("l", "").end(), TarProblem::NoTarget),
        ("uid nobody can have", tar().pax(&[(b"uid", b"4294967295")]).file("f", "").end(), TarProblem::Range("uid")),
        (
            "single zero block",
            [tar().file("a", "").data(&[0; 512]).unfinished(), tar().file("b", "").end()].concat(),
            TarProblem::LoneZeroBlock,
        ),
        (
            "entries after the end",
            [tar().file("a", "").end(), vec![0; 512], tar().file("b", "").end()].concat(),
            TarProblem::TrailingData,
        ),
    ] {
        assert_eq!(problem(&bytes), expected, "{what}");
    }
}

#[test]
fn names_that_could_do_harm_are_refused() {
    let tar = Tar::new;
    for (what, bytes, expected) in [
        ("empty name", tar().raw(b"", b'0', 0, |_| {}).end(), NameProblem::Empty),
        ("climbing", tar().file("a/../../..", "").end(), NameProblem::DotDot),
        (
            "NUL in a PAX path",
            tar()
                .raw(b"././@LongLink", b'L', 4, |block| block[257..265].copy_from_slice(b"ustar  \0"))
                .data(b"a\0b\0")
                .file("f", "")
                .end(),
            NameProblem::Nul,
        ),
        ("entry . is a symlink", tar().symlink(".", "/etc").end(), NameProblem::Root),
        ("entry / is a file", tar().file("/", "").end(), NameProblem::Root),
        ("bare whiteout", tar().whiteout(".wh.").end(), NameProblem::BareWhiteout),
        ("whiteout of .", tar().whiteout("d/.wh..").end(), NameProblem::DotWhiteout),
        ("whiteout of ..", tar().whiteout("d/.wh...").end(), NameProblem::DotWhiteout),
        ("whiteout that is a directory", tar().dir(".wh.f").end(), NameProblem::WhiteoutType),
        ("opaque marker that is a symlink", tar().symlink("d/.wh..wh..opq", "x").end(), NameProblem::WhiteoutType),
        ("file below a whiteout", tar().file(".wh.d/f", "").end(), NameProblem::BelowWhiteout),
        ("hard link out of the image", tar().hardlink("h", "../../etc/shadow").end(), NameProblem::DotDot),
        ("hard link to a whiteout", tar().hardlink("h", ".wh.f").end(), NameProblem::LinkTarget),
        ("hard link to the root", tar().hardlink("h", "/").end(), NameProblem::LinkTarget),
    ] {
        match read(&bytes).unwrap_err() {
            LayerError::Name { problem, .. } => assert_eq!(problem, expected, "{what}"),
            error => panic!("{what}: {error}"),
        }
    }
    let long = Tar::new().pax(&[(b"path", &[b'x'; 300])]).file("f", "").end();
    assert!(matches!(read(&long), Err(LayerError::Name { problem: NameProblem::ComponentTooLong, .. })));
}

#[test]
fn every_limit_is_met_with_an_error_and_not_with_memory() {
    let default = UnpackLimits::default();
    let two_files = Tar::new().file("a", "12345").file("b", "12345").end();
    let xattr = Tar::new().pax(&[(b"SCHILY.xattr.user.a", &[b'x'; 100])]).file("f", "").end();
    // These claim a size that is not there: nothing may be allocated for it.
    let huge_pax = Tar::new().raw(b"x", b'x', 1 << 32, |_| {}).unfinished();
    let huge_name = Tar::new()
        .raw(b"././@LongLink", b'L', 1 << 32, |block| block[257..265].copy_from_slice(b"ustar  \0"))
        .unfinished();
    let many_globals = Tar::new().raw(b"g", b'g', 0, |_| {}).unfinished().repeat(5000);
    for (what, bytes, limits) in [
        ("entries", &two_files, UnpackLimits { entries: 1, ..default }),
        ("file size", &two_files, UnpackLimits { entry_bytes: 4, ..default }),
        ("layer size", &two_files, UnpackLimits { layer_bytes: 1024, ..default }),
        ("metadata", &two_files, UnpackLimits { metadata_bytes: 1, ..default }),
        ("xattrs", &xattr, UnpackLimits { xattr_bytes: 50, ..default }),
        ("huge PAX header", &huge_pax, default),
        ("huge GNU name", &huge_name, default),
        ("headers without end", &many_globals, default),
    ] {
        assert!(matches!(read_with(bytes, limits), Err(LayerError::Limit { .. })), "{what}");
    }
}

#[test]
fn a_layer_cut_anywhere_inside_an_entry_is_truncated() {
    let bytes = Tar::new().pax(&[(b"path", b"name")]).file("f", "content").file("g", "x").unfinished();
    for cut in 1..bytes.len() {
        let complete_entries = cut % 512 == 0 && (cut == 4 * 512);
        assert_eq!(read(&bytes[..cut]).is_ok(), complete_entries, "cut at {cut}");
    }
    assert_eq!(paths(&bytes), ["name", "g"], "the two zero blocks may be missing");
    let padded = [bytes, vec![0; 10_240]].concat();
    assert_eq!(paths(&padded), ["name", "g"], "more zeros than needed are fine");
    assert_eq!(paths(&[]), Vec::<String>::new());
}

#[test]
fn odd_but_good_entries_are_read() {
    let tar = Tar::new();
    let bytes = tar
        .dir("./")
        .file("/abs", "")
        .file("tf/", "x")
        .raw(b"v7dir/", 0, 0, |block| block[257..265].fill(0))
        .raw(b"old", 0, 0, |_| {})
        .pax(&[(b"path", b"\xff\nname")])
        .file("f", "")
        .raw(b"fifo", b'6', 0, |_| {})
        .raw(b"dev", b'3', 0, |block| {
            block[329..337].copy_from_slice(b"0000005\0");
            block[337..345].copy_from_slice(b"0000001\0");
        })
        .raw(b"suid", b'0', 0, |block| block[100..108].copy_from_slice(b"0104755\0"))
        .raw(b"early", b'0', 0, |block| block[136..148].copy_from_slice(&[0xff; 12]))
        .raw(b"name", b'0', 0, |block| block[345..351].copy_from_slice(b"prefix"))
        .end();
    let entries = read(&bytes).unwrap();
    let entry = |path: &str| &entries.iter().find(|(entry, _)| entry.path == path.as_bytes()).expect(path).0;
    assert_eq!(entry("").kind, EntryKind::Directory);
    assert_eq!(entry("abs").kind, EntryKind::File { size: 0 });
    assert_eq!(entry("tf").kind, EntryKind::File { size: 1 });
    assert_eq!(entry("v7dir").kind, EntryKind::Directory);
    assert_eq!(entry("old").kind, EntryKind::File { size: 0 });
    assert_eq!(entry("fifo").kind, EntryKind::Fifo);
    assert_eq!(entry("dev").kind, EntryKind::CharDevice { major: 5, minor: 1 });
    assert_eq!(entry("suid").metadata.mode, 0o4755);
    assert_eq!(entry("early").metadata.mtime.seconds, -1);
    assert_eq!(entry("prefix/name").metadata.mode, 0o644);
    assert!(entries.iter().any(|(entry, _)| entry.path == b"\xff\nname"));
}

#[test]
fn an_entry_tells_where_its_content_lies() {
    let bytes = Tar::new().file("a", "one").pax(&[(b"path", b"b")]).file("x", "two").end();
    for (entry, content) in read(&bytes).unwrap() {
        let start = usize::try_from(entry.offset).unwrap();
        assert_eq!(&bytes[start..start + content.len()], content);
    }
}

fn entry(path: &[u8], kind: EntryKind, metadata: Metadata) -> LayerEntry {
    LayerEntry { path: path.to_vec(), kind, metadata, offset: 0, dropped: Vec::new() }
}

/// One entry of everything that is hard to hold in a header.
fn demanding_entries() -> Vec<(LayerEntry, Vec<u8>)> {
    let xattrs: Xattrs =
        [(&b"security.capability"[..], &b"\x01\0\0\x02\n=\xff"[..]), (b"user.empty", b"")].into_iter().collect();
    let plain = || Metadata::with_mode(0o644);
    let file = |size| EntryKind::File { size };
    let long = |length: usize| [b"d/".to_vec(), vec![b'n'; length]].concat();
    let mut entries = vec![
        (entry(b"", EntryKind::Directory, Metadata::with_mode(0o755)), vec![]),
        (entry(b"d", EntryKind::Directory, Metadata::with_mode(0o1777)), vec![]),
        (entry(b"d/f", file(3), Metadata { xattrs, mode: 0o4755, ..plain() }), b"abc".to_vec()),
        (entry(b"d/ids", file(0), Metadata { uid: 3_000_000, gid: 4_000_000_000, ..plain() }), vec![]),
        (entry(b"d/early", file(0), Metadata { mtime: Mtime { seconds: -5, nanos: 250_000_000 }, ..plain() }), vec![]),
        (entry(b"d/exact", file(0), Metadata { mtime: Mtime { seconds: 5, nanos: 1 }, ..plain() }), vec![]),
        (entry(b"d/\xff\xfe", file(0), plain()), vec![]),
        (entry(&[&long(200)[..], b"\xff"].concat(), file(0), plain()), vec![]),
        (entry(b"hard", EntryKind::Hardlink { target: long(150) }, plain()), vec![]),
        (entry(b"soft", EntryKind::Symlink { target: vec![b'/'; 300] }, plain()), vec![]),
        (entry(b"dev", EntryKind::BlockDevice { major: 8, minor: 1 << 20 }, plain()), vec![]),
        (entry(b"chr", EntryKind::CharDevice { major: 1, minor: 3 }, plain()), vec![]),
        (entry(b"fifo", EntryKind::Fifo, plain()), vec![]),
        (entry(b"gone", EntryKind::Whiteout, Metadata::default()), vec![]),
        (entry(b"opaque", EntryKind::Opaque, Metadata::default()), vec![]),
    ];
    for length in [97, 98, 99, 150, 252] {
        entries.push((entry(&long(length), file(512), plain()), vec![b'z'; 512]));
    }
    let deep = [b"p/".repeat(120), b"leaf".to_vec()].concat();
    entries.push((entry(&deep, file(1), plain()), b"1".to_vec()));
    entries.push((entry(&deep[..deep.len() - 5], EntryKind::Directory, plain()), vec![]));
    entries
}

fn write(entries: &[(LayerEntry, Vec<u8>)], compression: Compression) -> (WrittenLayer, Vec<u8>) {
    let mut writer = LayerWriter::new(Vec::new(), compression, SourceDateEpoch::from_secs(1_000)).unwrap();
    for (entry, content) in entries {
        writer.append(entry, &mut &content[..]).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn what_is_written_is_read_back() {
    let entries = demanding_entries();
    for compression in [Compression::None, Compression::Gzip(6), Compression::Zstd(3)] {
        let (layer, blob) = write(&entries, compression);
        assert_eq!((layer.clone(), blob.clone()), write(&entries, compression), "two writes are equal");
        let limits = UnpackLimits::default();
        let stream = open_layer(io::Cursor::new(blob), &layer.descriptor, &layer.diff_id, &limits).unwrap();
        let mut tar = TarReader::new(stream, limits);
        for (expected, content) in &entries {
            let mut found = tar.next_entry().unwrap().unwrap();
            found.offset = 0;
            assert_eq!(found, *expected);
            let mut bytes = Vec::new();
            tar.content().read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes, *content);
        }
        assert_eq!(tar.next_entry().unwrap(), None);
        assert_eq!(tar.position(), layer.uncompressed_size);
    }
}

#[test]
fn other_tar_readers_see_the_same() {
    let entries = demanding_entries();
    let (_, bytes) = write(&entries, Compression::None);
    let mut archive = tar::Archive::new(&*bytes);
    let mut seen = 0;
    for (found, (expected, content)) in archive.entries().unwrap().zip(&entries) {
        let mut found = found.unwrap();
        let path = found.path_bytes().into_owned();
        let path = path.strip_suffix(b"/").unwrap_or(&path);
        match &expected.kind {
            EntryKind::Whiteout => assert_eq!(path, b".wh.gone"),
            EntryKind::Opaque => assert_eq!(path, b"opaque/.wh..wh..opq"),
            _ if expected.path.is_empty() => assert_eq!(path, b"."),
            _ => assert_eq!(Lossy::from(path), Lossy::from(&*expected.path)),
        }
        if let EntryKind::Hardlink { target } | EntryKind::Symlink { target } = &expected.kind {
            assert_eq!(found.link_name_bytes().unwrap(), &**target);
        }
        if let EntryKind::CharDevice { major, minor } | EntryKind::BlockDevice { major, minor } = expected.kind {
            assert_eq!(found.header().device_major().unwrap(), Some(major));
            assert_eq!(found.header().device_minor().unwrap(), Some(minor));
        }
        assert_eq!(found.header().uid().unwrap(), u64::from(expected.metadata.uid));
        assert_eq!(found.header().gid().unwrap(), u64::from(expected.metadata.gid));
        let mut bytes = Vec::new();
        found.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, *content);
        seen += 1;
    }
    assert_eq!(seen, entries.len());
}

#[test]
fn times_after_the_epoch_become_the_epoch() {
    let late = Metadata { mtime: Mtime { seconds: 1_000, nanos: 1 }, ..Metadata::default() };
    let (_, bytes) = write(&[(entry(b"f", EntryKind::File { size: 0 }, late), vec![])], Compression::None);
    assert_eq!(read(&bytes).unwrap()[0].0.metadata.mtime, Mtime::from_seconds(1_000));
    assert_eq!(bytes.len(), 512 + 1024, "no extended header is left");
}

#[test]
fn what_tar_cannot_hold_is_refused_by_name() {
    let file = EntryKind::File { size: 0 };
    let xattr = |name: &[u8]| Metadata { xattrs: [(name, b"")].into_iter().collect(), ..Metadata::default() };
    for (what, entry) in [
        ("NUL in a name", entry(b"a\0b", file.clone(), Metadata::default())),
        ("a file that looks like a whiteout", entry(b"d/.wh.f", file.clone(), Metadata::default())),
        ("a file as root", entry(b"", file.clone(), Metadata::default())),
        ("= in an attribute's name", entry(b"f", file.clone(), xattr(b"user.a=b"))),
        ("a large device", entry(b"f", EntryKind::CharDevice { major: 1, minor: 1 << 21 }, Metadata::default())),
    ] {
        let mut writer = LayerWriter::new(Vec::new(), Compression::None, SourceDateEpoch::from_secs(0)).unwrap();
        let result = writer.append(&entry, &mut io::empty());
        assert!(matches!(result, Err(LayerError::Unrepresentable { .. })), "{what}");
    }
}

#[test]
fn content_shorter_than_stated_is_an_error() {
    let mut writer = LayerWriter::new(Vec::new(), Compression::None, SourceDateEpoch::from_secs(0)).unwrap();
    let entry = entry(b"f", EntryKind::File { size: 4 }, Metadata::default());
    let error = writer.append(&entry, &mut &b"abc"[..]).unwrap_err();
    assert!(matches!(error, LayerError::Content { .. }), "{error}");
}

/// What both readers can be compared by: path, size of content, content.
type Seen = Vec<(Vec<u8>, Vec<u8>)>;

fn seen_by_us(bytes: &[u8]) -> Option<Seen> {
    let entries = read(bytes).ok()?;
    // Whiteouts have other names here than in the archive.
    let plain = |kind: &EntryKind| !matches!(kind, EntryKind::Whiteout | EntryKind::Opaque | EntryKind::AufsLeftover);
    Some(
        entries
            .into_iter()
            .filter(|(entry, _)| plain(&entry.kind))
            .map(|(entry, content)| (entry.path, content))
            .collect(),
    )
}

fn seen_by_tar(bytes: &[u8]) -> Option<Seen> {
    let limits = UnpackLimits::default();
    let mut seen = Seen::new();
    for entry in tar::Archive::new(bytes).entries().ok()? {
        let mut entry = entry.ok()?;
        if entry.header().entry_type().is_pax_global_extensions() {
            continue;
        }
        let path = path::normalise(&entry.path_bytes(), &limits).ok()?;
        let mut content = Vec::new();
        entry.read_to_end(&mut content).ok()?;
        if path::meaning(&path) == Ok(path::Meaning::Plain) {
            seen.push((path, content));
        }
    }
    Some(seen)
}

/// Any byte of a block, the first ones of fields above all.
fn bent_byte() -> impl proptest::strategy::Strategy<Value = usize> {
    const FIELDS: [usize; 15] = [0, 100, 108, 124, 125, 134, 136, 148, 156, 157, 257, 262, 263, 345, 508];
    proptest::prop_oneof![0usize..512, proptest::sample::select(&FIELDS[..])]
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2000))]

    /// No archive is seen as one tree here and as another by `tar`, however its headers are bent.
    #[test]
    fn bent_headers_are_refused_or_seen_alike(
        bends in proptest::collection::vec((0usize..30, bent_byte(), proptest::prelude::any::<u8>()), 1..4),
    ) {
        let long = [b'n'; 120];
        let mut bytes = Tar::new()
            .dir("d")
            .file("d/a", "one")
            .pax(&[(b"path", b"d/pax"), (b"mtime", b"1.5")])
            .file("x", "two")
            .raw(b"././@LongLink", b'L', 121, |block| block[257..265].copy_from_slice(b"ustar  \0"))
            .data(&long)
            .raw(b"y", b'0', 5, |block| block[257..265].copy_from_slice(b"ustar  \0"))
            .data(b"three")
            .hardlink("h", "d/a")
            .end();
        let blocks = bytes.len() / 512;
        for (block, at, byte) in bends {
            let block = &mut bytes[block % blocks * 512..][..512];
            block[at] = byte;
            // Most bends would only break the checksum.
            if block[257..262] == *b"ustar" {
                let sum = header::checksum((&*block).try_into().unwrap());
                block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
        }
        if let (Some(ours), Some(theirs)) = (seen_by_us(&bytes), seen_by_tar(&bytes)) {
            assert_eq!(ours, theirs);
        }
    }
}
