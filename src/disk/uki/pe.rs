//! EFI programs, read strictly.

use sha2::{Digest as _, Sha256};

/// Largest number of sections (PE specification, "COFF File Header").
const MAX_SECTIONS: usize = 96;
/// Bytes of the COFF header, of a section's header and of a data directory.
const COFF: usize = 20;
pub(super) const SECTION_HEADER: usize = 40;
const DIRECTORY: usize = 8;
/// `Magic` of PE32+.
const PE32_PLUS: u16 = 0x20b;
/// Number of the directory that leads to the signatures, and how many there are at most.
const CERTIFICATES: usize = 4;
const MAX_DIRECTORIES: usize = 16;

/// Places in the optional header of PE32+.
pub(super) mod optional {
    pub(in crate::disk::uki) const SIZE_OF_CODE: usize = 4;
    pub(in crate::disk::uki) const SIZE_OF_DATA: usize = 8;
    pub(in crate::disk::uki) const SECTION_ALIGNMENT: usize = 32;
    pub(in crate::disk::uki) const FILE_ALIGNMENT: usize = 36;
    pub(in crate::disk::uki) const SIZE_OF_IMAGE: usize = 56;
    pub(in crate::disk::uki) const SIZE_OF_HEADERS: usize = 60;
    pub(in crate::disk::uki) const CHECKSUM: usize = 64;
    pub(super) const DIRECTORY_COUNT: usize = 108;
    pub(super) const DIRECTORIES: usize = 112;
}

/// What is wrong with an EFI program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum PeError {
    /// It begins with something else.
    #[error("it is no EFI program")]
    NotPe,
    /// It is one of 32 bits, or something else that is called PE.
    #[error("it is a program of kind {magic:#05x}; only those of 64 bits, {PE32_PLUS:#05x}, are known")]
    Kind { magic: u16 },
    /// A header, a section or the signatures are outside of the file, or inside of something else.
    #[error("its {what} is not where it can be")]
    Place { what: &'static str },
    /// A number that the format does not allow.
    #[error("its {what} is {found}")]
    Number { what: &'static str, found: u64 },
}

/// Part of a program that gets to memory as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section<'a> {
    /// Name, padded with zeros.
    name: [u8; 8],
    /// What is in the file of it, not counting what only fills it up.
    content: &'a [u8],
    pub(super) virtual_address: u32,
    pub(super) virtual_size: u32,
    pub(super) raw_offset: u32,
    pub(super) raw_size: u32,
    /// Where its header is in the file.
    pub(super) header: usize,
}

impl<'a> Section<'a> {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        let end = self.name.iter().position(|byte| *byte == 0).unwrap_or(self.name.len());
        &self.name[..end]
    }

    /// Its content, which has as many bytes as it takes in memory, if the file has as many.
    pub fn content(&self) -> &'a [u8] {
        self.content
    }

    fn raw(&self) -> std::ops::Range<u64> {
        u64::from(self.raw_offset)..u64::from(self.raw_offset) + u64::from(self.raw_size)
    }
}

/// An EFI program of 64 bits.
#[derive(Debug, Clone)]
pub struct Pe<'a> {
    file: &'a [u8],
    /// Where the COFF header begins, and the optional header.
    coff: usize,
    optional: usize,
    headers: usize,
    directories: usize,
    sections: Vec<Section<'a>>,
}

impl<'a> Pe<'a> {
    /// Reads the headers.
    ///
    /// # Errors
    /// When it is no such program, or its parts are not one after the other inside of it.
    pub fn parse(file: &'a [u8]) -> Result<Self, PeError> {
        let place = |what| PeError::Place { what };
        let offset = u32_at(file, 60).filter(|_| file.starts_with(b"MZ")).ok_or(PeError::NotPe)?;
        let coff = usize::try_from(offset).map_err(|_| PeError::NotPe)?.checked_add(4).ok_or(PeError::NotPe)?;
        if coff < 68 || file.get(coff - 4..coff) != Some(b"PE\0\0") {
            return Err(PeError::NotPe);
        }
        let optional = coff + COFF;
        let magic = u16_at(file, optional).ok_or(place("header"))?;
        if magic != PE32_PLUS {
            return Err(PeError::Kind { magic });
        }
        let length = usize::from(u16_at(file, coff + 16).ok_or(place("header"))?);
        let directories = number(file, optional + optional::DIRECTORY_COUNT)?;
        if directories > MAX_DIRECTORIES || optional::DIRECTORIES + directories * DIRECTORY > length {
            return Err(PeError::Number { what: "number of directories", found: directories as u64 });
        }
        let headers = number(file, optional + optional::SIZE_OF_HEADERS)?;
        let mut program = Self { file, coff, optional, headers, directories, sections: Vec::new() };
        program.check_alignment()?;
        program.read_sections(optional + length)?;
        program.certificates()?;
        Ok(program)
    }

    fn check_alignment(&self) -> Result<(), PeError> {
        let fields = [("section alignment", optional::SECTION_ALIGNMENT), ("file alignment", optional::FILE_ALIGNMENT)];
        for (what, field) in fields {
            let found = self.field(field);
            if !found.is_power_of_two() || found > 1 << 20 {
                return Err(PeError::Number { what, found: found.into() });
            }
        }
        Ok(())
    }

    fn read_sections(&mut self, table: usize) -> Result<(), PeError> {
        let count = usize::from(u16_at(self.file, self.coff + 2).unwrap_or_default());
        if count == 0 || count > MAX_SECTIONS {
            return Err(PeError::Number { what: "number of sections", found: count as u64 });
        }
        let end = table + count * SECTION_HEADER;
        if end > self.headers || self.headers > self.file.len() {
            return Err(PeError::Place { what: "header" });
        }
        for header in (table..end).step_by(SECTION_HEADER) {
            let section = section(self.file, header).ok_or(PeError::Place { what: "section" })?;
            self.sections.push(section);
        }
        let mut used = self.headers as u64;
        for section in self.in_file() {
            if section.raw().start < used {
                return Err(PeError::Place { what: "section" });
            }
            used = section.raw().end;
        }
        Ok(())
    }

    /// Sections that have something in the file, as it has them.
    fn in_file(&self) -> Vec<&Section<'a>> {
        let mut sections: Vec<_> = self.sections.iter().filter(|section| section.raw_size > 0).collect();
        sections.sort_by_key(|section| section.raw_offset);
        sections
    }

    /// The machine type (`IMAGE_FILE_MACHINE_…`).
    pub fn machine(&self) -> u16 {
        u16_at(self.file, self.coff).unwrap_or_default()
    }

    /// Its sections, as the header lists them.
    pub fn sections(&self) -> &[Section<'a>] {
        &self.sections
    }

    /// The content of the first section with this name.
    pub fn section(&self, name: &str) -> Option<&'a [u8]> {
        self.sections.iter().find(|section| section.name() == name.as_bytes()).map(Section::content)
    }

    /// A number of the optional header.
    pub(super) fn field(&self, field: usize) -> u32 {
        u32_at(self.file, self.field_at(field)).unwrap_or_default()
    }

    /// Where a field of the optional header is.
    pub(super) fn field_at(&self, field: usize) -> usize {
        self.optional + field
    }

    /// Where the number of sections is.
    pub(super) fn section_count_at(&self) -> usize {
        self.coff + 2
    }

    /// Bytes of all headers.
    pub(super) fn headers(&self) -> usize {
        self.headers
    }

    /// Where the directory entry of the signatures is; `None` where the header ends before.
    pub(super) fn certificate_entry(&self) -> Option<usize> {
        let entry = self.optional + optional::DIRECTORIES + CERTIFICATES * DIRECTORY;
        (self.directories > CERTIFICATES).then_some(entry)
    }

    /// The signatures, which are at the file's end.
    pub(super) fn certificates(&self) -> Result<&'a [u8], PeError> {
        let Some(entry) = self.certificate_entry() else { return Ok(&[]) };
        let (start, size) = (number(self.file, entry)?, number(self.file, entry + 4)?);
        if size == 0 {
            return Ok(&[]);
        }
        let sections = self.in_file().last().map_or(self.headers as u64, |section| section.raw().end);
        let fits = start as u64 >= sections && start.checked_add(size) == Some(self.file.len());
        if !fits || !start.is_multiple_of(8) {
            return Err(PeError::Place { what: "signature" });
        }
        Ok(&self.file[start..])
    }

    /// The file without its signatures.
    pub(super) fn unsigned(&self) -> Result<&'a [u8], PeError> {
        let certificates = self.certificates()?.len();
        Ok(&self.file[..self.file.len() - certificates])
    }

    /// What is signed: SHA-256 of the file without its checksum, the signatures and where they are.
    ///
    /// Firmware hashes headers, sections and rest one after the other and takes the rest to begin behind as many bytes
    /// as it has hashed; so nothing may be between them.
    ///
    /// # Errors
    /// When something is.
    pub(super) fn digest(&self) -> Result<[u8; 32], PeError> {
        let content = self.unsigned()?;
        let mut end = self.headers as u64;
        for section in self.in_file() {
            if section.raw().start != end {
                return Err(PeError::Place { what: "section" });
            }
            end = section.raw().end;
        }
        let entry = self.certificate_entry().ok_or(PeError::Place { what: "signature" })?;
        let checksum = self.field_at(optional::CHECKSUM);
        let mut hash = Sha256::new();
        hash.update(&content[..checksum]);
        hash.update(&content[checksum + 4..entry]);
        hash.update(&content[entry + DIRECTORY..]);
        Ok(hash.finalize().into())
    }
}

fn section(file: &[u8], header: usize) -> Option<Section<'_>> {
    let bytes = file.get(header..header + SECTION_HEADER)?;
    let field = |at| u32_at(bytes, at);
    let (virtual_size, virtual_address) = (field(8)?, field(12)?);
    let (raw_size, raw_offset) = (field(16)?, field(20)?);
    let start = usize::try_from(raw_offset).ok()?;
    let raw =
        if raw_size == 0 { &[][..] } else { file.get(start..start.checked_add(usize::try_from(raw_size).ok()?)?)? };
    let content = &raw[..raw.len().min(usize::try_from(virtual_size).ok()?)];
    let name = bytes[..8].try_into().ok()?;
    Some(Section { name, content, virtual_address, virtual_size, raw_offset, raw_size, header })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn number(bytes: &[u8], at: usize) -> Result<usize, PeError> {
    let found = u32_at(bytes, at).and_then(|found| usize::try_from(found).ok());
    found.ok_or(PeError::Place { what: "header" })
}
