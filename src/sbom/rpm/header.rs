//! A package's header, as rpm keeps it in its database: an index of tags and their data.
//!
//! After "Header Structure" of rpm's file format documentation, without the magic that a header has in a package file.

use std::collections::{BTreeMap, BTreeSet};

use super::super::error::DatabaseError;
use super::super::package::{Package, PackageKind};

/// Tags (`include/rpm/rpmtag.h`).
const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const EPOCH: u32 = 1003;
const SUMMARY: u32 = 1004;
const VENDOR: u32 = 1011;
const LICENSE: u32 = 1014;
const PACKAGER: u32 = 1015;
const URL: u32 = 1020;
const ARCH: u32 = 1022;
const SOURCERPM: u32 = 1044;
const PROVIDENAME: u32 = 1047;
const REQUIREFLAGS: u32 = 1048;
const REQUIRENAME: u32 = 1049;
const DIRINDEXES: u32 = 1116;
const BASENAMES: u32 = 1117;
const DIRNAMES: u32 = 1118;

/// Types of data.
const INT32: u32 = 4;
const STRING: u32 = 6;
const STRING_ARRAY: u32 = 8;
const I18NSTRING: u32 = 9;

/// A requirement on rpm itself (`RPMSENSE_RPMLIB`): nothing installed provides it.
const RPMLIB: u32 = 1 << 24;
/// Most entries of a header; rpm's own limit is as high.
const MAX_ENTRIES: usize = 0xffff;
/// What rpm lists its keys as.
const KEY: &str = "gpg-pubkey";

struct Header<'a> {
    number: usize,
    entries: BTreeMap<u32, Entry>,
    data: &'a [u8],
}

#[derive(Clone, Copy)]
struct Entry {
    kind: u32,
    offset: usize,
    count: usize,
}

impl<'a> Header<'a> {
    fn parse(number: usize, bytes: &'a [u8]) -> Result<Self, DatabaseError> {
        let damaged = |problem| DatabaseError::Header { number, problem };
        let word = |at: usize| {
            let word = bytes.get(at..at + 4).ok_or_else(|| damaged("it is too short"))?;
            Ok::<_, DatabaseError>(u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
        };
        let index = usize::try_from(word(0)?).ok().filter(|count| *count <= MAX_ENTRIES);
        let index = index.ok_or_else(|| damaged("it has too many entries"))?;
        let size = usize::try_from(word(4)?).map_err(|_| damaged("its data is too large"))?;
        let start = 8 + index * 16;
        let data = start.checked_add(size).and_then(|end| bytes.get(start..end));
        let data = data.ok_or_else(|| damaged("its data is longer than it"))?;
        let mut entries = BTreeMap::new();
        for at in (8..start).step_by(16) {
            let (offset, count) = (word(at + 8)?, word(at + 12)?);
            let (Ok(offset), Ok(count)) = (usize::try_from(offset), usize::try_from(count)) else { continue };
            entries.entry(word(at)?).or_insert(Entry { kind: word(at + 4)?, offset, count });
        }
        Ok(Self { number, entries, data })
    }

    fn damaged(&self, problem: &'static str) -> DatabaseError {
        DatabaseError::Header { number: self.number, problem }
    }

    fn strings(&self, tag: u32) -> Result<Vec<&'a [u8]>, DatabaseError> {
        let Some(entry) = self.entries.get(&tag) else { return Ok(Vec::new()) };
        if ![STRING, STRING_ARRAY, I18NSTRING].contains(&entry.kind) {
            return Err(self.damaged("text is of another type"));
        }
        let mut rest = self.data.get(entry.offset..).ok_or_else(|| self.damaged("text lies outside"))?;
        let mut strings = Vec::new();
        for _ in 0..entry.count {
            let end = rest.iter().position(|byte| *byte == 0).ok_or_else(|| self.damaged("text has no end"))?;
            strings.push(&rest[..end]);
            rest = &rest[end + 1..];
        }
        Ok(strings)
    }

    fn numbers(&self, tag: u32) -> Result<Vec<u32>, DatabaseError> {
        let Some(entry) = self.entries.get(&tag).filter(|entry| entry.kind == INT32) else { return Ok(Vec::new()) };
        let end = entry.count.checked_mul(4).and_then(|size| entry.offset.checked_add(size));
        let bytes = end.and_then(|end| self.data.get(entry.offset..end));
        let bytes = bytes.ok_or_else(|| self.damaged("numbers lie outside"))?;
        Ok(bytes.chunks_exact(4).map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]])).collect())
    }

    /// The first value of a tag; absent and `(none)` are the same to rpm.
    fn text(&self, tag: u32) -> Result<Option<String>, DatabaseError> {
        let first = self.strings(tag)?.first().map(|text| String::from_utf8_lossy(text).into_owned());
        Ok(first.filter(|text| !text.is_empty() && text != "(none)"))
    }

    fn require(&self, tag: u32, problem: &'static str) -> Result<String, DatabaseError> {
        self.text(tag)?.ok_or_else(|| self.damaged(problem))
    }

    /// Names it requires, without those that are about rpm itself.
    fn requires(&self) -> Result<BTreeSet<String>, DatabaseError> {
        let flags = self.numbers(REQUIREFLAGS)?;
        let names = self.strings(REQUIRENAME)?;
        let of_rpm = |index: usize| flags.get(index).is_some_and(|flags| flags & RPMLIB != 0);
        let wanted = names.into_iter().enumerate().filter(|(index, _)| !of_rpm(*index));
        Ok(wanted.map(|(_, name)| String::from_utf8_lossy(name).into_owned()).collect())
    }

    /// Those of its files that are among `paths`.
    fn files_among(&self, paths: &BTreeSet<String>) -> Result<Vec<String>, DatabaseError> {
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        let folders = self.strings(DIRNAMES)?;
        let indexes = self.numbers(DIRINDEXES)?;
        let mut found = Vec::new();
        for (name, index) in self.strings(BASENAMES)?.into_iter().zip(indexes) {
            let Some(folder) = usize::try_from(index).ok().and_then(|index| folders.get(index)) else { continue };
            let path = [*folder, name].concat();
            found.extend(String::from_utf8(path).ok().filter(|path| paths.contains(path)));
        }
        Ok(found)
    }
}

/// Paths that any of the packages requires: only these have to be looked for among the files.
pub(super) fn required_paths(headers: &[Vec<u8>]) -> Result<BTreeSet<String>, DatabaseError> {
    let mut paths = BTreeSet::new();
    for (number, bytes) in headers.iter().enumerate() {
        let requires = Header::parse(number, bytes)?.requires()?;
        paths.extend(requires.into_iter().filter(|name| name.starts_with('/')));
    }
    Ok(paths)
}

/// The package of a header; `None` for the keys that rpm keeps among the packages.
pub(super) fn package(number: usize, bytes: &[u8], paths: &BTreeSet<String>) -> Result<Option<Package>, DatabaseError> {
    let header = Header::parse(number, bytes)?;
    let name = header.require(NAME, "it has no name")?;
    if name == KEY {
        return Ok(None);
    }
    let version =
        format!("{}-{}", header.require(VERSION, "it has no version")?, header.require(RELEASE, "it has no release")?);
    let architecture = header.text(ARCH)?.unwrap_or_default();
    let mut package = Package::new(PackageKind::Rpm, &name, &version, &architecture);
    package.epoch = header.numbers(EPOCH)?.first().copied();
    package.source = header.text(SOURCERPM)?;
    package.maintainer = header.text(PACKAGER)?;
    package.vendor = header.text(VENDOR)?;
    package.homepage = header.text(URL)?;
    package.summary = header.text(SUMMARY)?;
    package.licence = header.text(LICENSE)?;
    package.requires = header.requires()?.into_iter().map(|name| vec![name]).collect();
    let provides = header.strings(PROVIDENAME)?;
    package.provides = provides.into_iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    package.provides.extend(header.files_among(paths)?);
    Ok(Some(package))
}
