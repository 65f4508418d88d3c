//! Writing the file system.

use std::io::{self, Read, Seek, SeekFrom, Write};

use super::folder::{Folder, Kind, Named, Place, Run};
use super::geometry::{FIRST_CLUSTER, Geometry};
use super::size::{ENTRY, FAT_ENTRY};
use super::time::FatTime;
use super::{CLUSTER, EspError, EspPath, Parameters};
use crate::disk::Window;

/// Entries of the table's two reserved places: the medium, and "cleanly unmounted, no errors" (`fatgen103`, "FAT").
const RESERVED_ENTRIES: [u32; 2] = [0x0fff_fff8, 0x0fff_ffff];

/// Ends a chain.
const END_OF_CHAIN: u32 = 0x0fff_ffff;

/// Most entries of a folder.
const MAX_ENTRIES: u64 = 65536;

/// Content is copied in pieces of so many bytes.
const PIECE: usize = 256 << 10;

/// Fills a new EFI system partition, one file at a time.
///
/// The order of the files decides where they lie, so it is part of what makes the bytes.
/// Without [`EspWriter::finish`] there is no file system.
#[derive(Debug)]
pub struct EspWriter<S> {
    out: Window<S>,
    geometry: Geometry,
    size: u64,
    time: FatTime,
    root: Folder,
    /// First cluster that nothing has.
    next: u32,
    /// Every run so far, in order and without gaps, from the one behind the root's first cluster on.
    runs: Vec<Run>,
    buffer: Vec<u8>,
}

impl<S: Write + Seek> EspWriter<S> {
    /// Begins a file system in the partition of `target`, a whole disk, that `parameters` describe.
    ///
    /// The partition must read as zeros: a new file, or its hole.
    ///
    /// # Errors
    /// When the size is none for FAT32.
    pub fn new(target: S, parameters: &Parameters) -> Result<Self, EspError> {
        Ok(Self {
            out: Window::new(target, parameters.start, parameters.size),
            geometry: Geometry::new(parameters)?,
            size: parameters.size,
            time: FatTime::of(parameters.time),
            root: Folder::default(),
            next: FIRST_CLUSTER + 1,
            runs: Vec::new(),
            buffer: Vec::new(),
        })
    }

    /// Adds a file of `size` bytes, and the folders to it.
    ///
    /// # Errors
    /// When the path is taken, the partition is full, or the content has another length or cannot be read;
    /// after the latter the clusters of the file belong to nobody, and the partition must be written anew.
    pub fn add(&mut self, path: &EspPath, size: u64, content: &mut dyn Read) -> Result<(), EspError> {
        let Ok(short_size) = u32::try_from(size) else {
            return Err(EspError::FileTooLarge { path: path.clone(), size });
        };
        let names: Vec<&str> = path.names().collect();
        let (name, folders) = names.split_last().expect("a path has a name");
        let folder = self.root.enter(folders).ok_or_else(|| EspError::NotAFolder { path: path.clone() })?;
        if folder.names.contains_key(&name.to_ascii_uppercase()) {
            return Err(EspError::Exists { path: path.clone() });
        }
        let run = self.allocate(size, path.as_str())?;
        self.copy(path, run, size, content)?;
        let kind = Kind::File { run, size: short_size };
        let named = Named { name: (*name).to_owned(), kind, cluster: 0 };
        let folder = self.root.enter(folders).expect("entered above");
        folder.names.insert(name.to_ascii_uppercase(), named);
        Ok(())
    }

    fn allocate(&mut self, size: u64, path: &str) -> Result<Run, EspError> {
        let full = || EspError::Full { path: path.to_owned(), size: self.size };
        let count = u32::try_from(size.div_ceil(CLUSTER)).map_err(|_| full())?;
        if count == 0 {
            return Ok(Run::default());
        }
        let end = self.next.checked_add(count).filter(|end| *end <= self.geometry.clusters + FIRST_CLUSTER);
        let run = Run { first: self.next, count };
        self.next = end.ok_or_else(full)?;
        self.runs.push(run);
        Ok(run)
    }

    fn copy(&mut self, path: &EspPath, run: Run, size: u64, content: &mut dyn Read) -> Result<(), EspError> {
        if run.count > 0 {
            self.seek(self.geometry.offset(run.first))?;
        }
        self.buffer.resize(PIECE, 0);
        let mut found = 0;
        loop {
            let read = match content.read(&mut self.buffer) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(EspError::Read { path: path.clone(), source }),
            };
            found += read as u64;
            if found > size || (read == 0 && found < size) {
                return Err(EspError::Length { path: path.clone(), expected: size, found });
            }
            if read == 0 {
                return Ok(());
            }
            self.out.write_all(&self.buffer[..read]).map_err(EspError::Write)?;
        }
    }

    fn seek(&mut self, offset: u64) -> Result<(), EspError> {
        self.out.seek(SeekFrom::Start(offset)).map(drop).map_err(EspError::Write)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), EspError> {
        self.seek(offset)?;
        self.out.write_all(bytes).map_err(EspError::Write)
    }

    /// Writes folders, tables and boot sectors. Nothing behind the last cluster in use is written.
    ///
    /// # Errors
    /// When the folders do not fit, or the stream fails.
    pub fn finish(mut self) -> Result<(), EspError> {
        let mut root = std::mem::take(&mut self.root);
        let tail = self.place_root(&root)?;
        self.place_folders(&mut root, "")?;
        let bytes = root.bytes(None, self.time);
        let (head, rest) = bytes.split_at(bytes.len().min(usize::try_from(CLUSTER).expect("4096")));
        self.write_at(self.geometry.offset(FIRST_CLUSTER), head)?;
        if tail.count > 0 {
            self.write_at(self.geometry.offset(tail.first), rest)?;
        }
        self.write_folders(&root, 0)?;
        let table = self.table(tail);
        for offset in self.geometry.fats() {
            self.write_at(offset, &table)?;
        }
        self.write_heads()?;
        self.out.flush().map_err(EspError::Write)
    }

    /// The root begins in the first cluster; the clusters that it needs besides follow the files.
    fn place_root(&mut self, root: &Folder) -> Result<Run, EspError> {
        let bytes = folder_bytes(root, "")?;
        self.allocate(bytes.saturating_sub(CLUSTER), "")
    }

    fn place_folders(&mut self, folder: &mut Folder, path: &str) -> Result<(), EspError> {
        for named in folder.names.values_mut() {
            let Kind::Folder(child) = &mut named.kind else { continue };
            let path = format!("{path}/{}", named.name);
            named.cluster = self.allocate(folder_bytes(child, &path)?, &path)?.first;
            self.place_folders(child, &path)?;
        }
        Ok(())
    }

    fn write_folders(&mut self, folder: &Folder, own: u32) -> Result<(), EspError> {
        for named in folder.names.values() {
            let Kind::Folder(child) = &named.kind else { continue };
            let bytes = child.bytes(Some(Place { own: named.cluster, parent: own }), self.time);
            self.write_at(self.geometry.offset(named.cluster), &bytes)?;
            self.write_folders(child, named.cluster)?;
        }
        Ok(())
    }

    /// The used part of the table: every run is a chain of neighbours, but the root goes on in its tail.
    fn table(&self, tail: Run) -> Vec<u8> {
        let entries =
            usize::try_from(u64::from(self.next) * FAT_ENTRY).expect("allocated clusters are in memory bounds");
        let mut table = Vec::with_capacity(entries);
        let mut put = |value: u32| table.extend(value.to_le_bytes());
        RESERVED_ENTRIES.into_iter().for_each(&mut put);
        put(if tail.count > 0 { tail.first } else { END_OF_CHAIN });
        for run in &self.runs {
            (run.first + 1..run.first + run.count).for_each(&mut put);
            put(END_OF_CHAIN);
        }
        table
    }

    fn write_heads(&mut self) -> Result<(), EspError> {
        let (boot, info) = (self.geometry.boot_sector(), self.geometry.info_sector(self.next));
        for offset in self.geometry.info_offsets() {
            self.write_at(offset, &info)?;
        }
        // The first sector last: until then nothing takes the partition for a file system.
        for offset in self.geometry.boot_offsets().into_iter().rev() {
            self.write_at(offset, &boot)?;
        }
        Ok(())
    }
}

/// Bytes that a folder may take.
fn folder_bytes(folder: &Folder, path: &str) -> Result<u64, EspError> {
    let entries = folder.entries();
    if entries > MAX_ENTRIES { Err(EspError::FolderFull { path: path.to_owned() }) } else { Ok(entries * ENTRY) }
}
