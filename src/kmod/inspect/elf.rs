//! A reader for relocatable ELF64 objects: sections by name, symbols and relocations, over borrowed bytes.
//!
//! After the System V ABI, chapters "ELF Header", "Sections", "Symbol Table" and "Relocation". Not read:
//! program headers (modules have none), compressed sections (modules keep only debug information in them).

/// What is wrong with an object file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum ElfError {
    /// No ELF file.
    #[error("not an ELF file")]
    NotElf,
    /// Of another class: imgbuild's kernels are all 64-bit.
    #[error("a 32-bit ELF file")]
    Not64Bit,
    /// A byte order that does not exist.
    #[error("ELF byte order {0} does not exist")]
    ByteOrder(u8),
    /// A program or shared library.
    #[error("ELF type {0} instead of a relocatable object")]
    NotRelocatable(u16),
    /// More of something than any module has.
    #[error("{found} {what}, more than the {limit} a module may have")]
    TooMany { what: &'static str, found: u64, limit: u64 },
    /// Something lies outside the file.
    #[error("the {what} at byte {offset}, {length} bytes long, is not inside the file of {file} bytes")]
    Truncated { what: &'static str, offset: u64, length: u64, file: u64 },
}

const ET_REL: u16 = 1;
const SHT_NOBITS: u32 = 8;
/// Length of a section header.
const HEADER: u64 = 64;
/// In `e_shstrndx`: the index did not fit and stands in the first section's `sh_link`.
const SHN_XINDEX: u16 = 0xffff;
/// Length of an entry in the table of symbols.
const SYMBOL: usize = 24;
/// Length of an entry in a `.rela` section.
const RELOCATION: usize = 24;
/// Binding of a symbol that may stay undefined.
const STB_WEAK: u8 = 2;
/// Longest name read: the kernel's `KSYM_NAME_LEN`.
const MAX_NAME: usize = 512;

/// One section.
#[derive(Debug, Clone, Copy)]
pub(super) struct Section<'a> {
    name: &'a [u8],
    /// Its bytes; empty for sections that have none in the file.
    pub(super) data: &'a [u8],
    /// Its size in memory.
    pub(super) size: u64,
    /// For a table of symbols the section with their names.
    link: u32,
}

/// One entry of the table of symbols.
#[derive(Debug, Clone, Copy)]
pub(super) struct Symbol<'a> {
    pub(super) name: &'a [u8],
    /// Index of the section it lies in; 0 when it is to be found elsewhere.
    pub(super) section: u16,
    /// Whether it may stay without an address.
    pub(super) weak: bool,
    /// Its offset in that section.
    pub(super) value: u64,
}

/// One entry of a `.rela` section.
#[derive(Debug, Clone, Copy)]
pub(super) struct Relocation {
    /// Where the address goes, in the section the relocations are for.
    pub(super) offset: u64,
    /// Index of the symbol whose address it is.
    pub(super) symbol: u64,
    /// Added to the address.
    pub(super) addend: i64,
}

/// A parsed object.
#[derive(Debug)]
pub(super) struct Elf<'a> {
    sections: Vec<Section<'a>>,
    big_endian: bool,
}

impl<'a> Elf<'a> {
    /// Reads the table of sections.
    pub(super) fn parse(file: &'a [u8]) -> Result<Self, ElfError> {
        let reader = Reader::open(file)?;
        let kind = reader.u16("header", 0x10)?;
        if kind != ET_REL {
            return Err(ElfError::NotRelocatable(kind));
        }
        let table = reader.u64("header", 0x28)?;
        let (count, names) = section_count(&reader, table)?;
        let headers: Vec<Header> = (0..count)
            .map(|index| Header::read(&reader, table.saturating_add(index.saturating_mul(HEADER))))
            .collect::<Result<_, _>>()?;
        let names = headers.get(usize::try_from(names).unwrap_or(usize::MAX)).map(|header| header.data(&reader));
        let names = names.transpose()?.unwrap_or_default();
        let sections = headers.iter().map(|header| {
            let name = c_string(names, u64::from(header.name));
            Ok(Section { name, data: header.data(&reader)?, size: header.size, link: header.link })
        });
        Ok(Self { sections: sections.collect::<Result<_, _>>()?, big_endian: reader.big_endian })
    }

    /// The first section of this name.
    pub(super) fn section(&self, name: &str) -> Option<Section<'a>> {
        self.sections.iter().find(|section| section.name == name.as_bytes()).copied()
    }

    /// The zero-terminated text at an offset of a section.
    pub(super) fn text(&self, section: u16, offset: u64) -> &'a [u8] {
        self.sections.get(usize::from(section)).map_or(&[], |section| c_string(section.data, offset))
    }

    /// The table of symbols without its first entry, which means "no symbol".
    pub(super) fn symbols(&self) -> impl Iterator<Item = Symbol<'a>> {
        let (entries, names) = self.symbol_table();
        entries.chunks_exact(SYMBOL).skip(1).map(move |entry| self.symbol_of(entry, names))
    }

    /// The symbol of this index.
    pub(super) fn symbol(&self, index: u64) -> Option<Symbol<'a>> {
        let (entries, names) = self.symbol_table();
        let at = usize::try_from(index).ok()?.checked_mul(SYMBOL)?;
        let entry = entries.get(at..at.checked_add(SYMBOL)?)?;
        Some(self.symbol_of(entry, names))
    }

    fn symbol_table(&self) -> (&'a [u8], &'a [u8]) {
        let Some(table) = self.section(".symtab") else { return (&[], &[]) };
        let names = usize::try_from(table.link).ok().and_then(|link| self.sections.get(link));
        (table.data, names.map_or(&[], |section| section.data))
    }

    fn symbol_of(&self, entry: &'a [u8], names: &'a [u8]) -> Symbol<'a> {
        let name = self.u32_at(entry, 0).unwrap_or(0);
        Symbol {
            name: c_string(names, u64::from(name)),
            section: self.reader(entry).u16("symbol", 6).unwrap_or(0),
            weak: entry.get(4).is_some_and(|info| info >> 4 == STB_WEAK),
            value: self.u64_at(entry, 8).unwrap_or(0),
        }
    }

    /// The relocations for the section of this name.
    pub(super) fn relocations(&self, section: &str) -> impl Iterator<Item = Relocation> {
        let entries = self.section(&format!(".rela{section}")).map_or(&[][..], |section| section.data);
        entries.chunks_exact(RELOCATION).filter_map(|entry| {
            let addend = self.u64_at(entry, 16)?.cast_signed();
            Some(Relocation { offset: self.u64_at(entry, 0)?, symbol: self.u64_at(entry, 8)? >> 32, addend })
        })
    }

    /// A number in a section's bytes, in the file's byte order.
    pub(super) fn u32_at(&self, data: &[u8], offset: u64) -> Option<u32> {
        self.reader(data).u32("number", offset).ok()
    }

    /// A number in a section's bytes, in the file's byte order.
    pub(super) fn u64_at(&self, data: &[u8], offset: u64) -> Option<u64> {
        self.reader(data).u64("number", offset).ok()
    }

    const fn reader<'b>(&self, data: &'b [u8]) -> Reader<'b> {
        Reader { file: data, big_endian: self.big_endian }
    }
}

/// How many sections there are and which one holds their names.
fn section_count(reader: &Reader<'_>, table: u64) -> Result<(u64, u64), ElfError> {
    let count = u64::from(reader.u16("header", 0x3c)?);
    let names = reader.u16("header", 0x3e)?;
    // Numbers that do not fit into the header stand in the first section.
    let first =
        if table != 0 && (count == 0 || names == SHN_XINDEX) { Some(Header::read(reader, table)?) } else { None };
    let count = if table == 0 { 0 } else { first.filter(|_| count == 0).map_or(count, |first| first.size) };
    let names = if names == SHN_XINDEX { first.map_or(0, |first| u64::from(first.link)) } else { u64::from(names) };
    // Checked before anything is reserved: the count is whatever the file says.
    reader.slice("table of sections", table, count.saturating_mul(HEADER))?;
    Ok((count, names))
}

#[derive(Debug, Clone, Copy)]
struct Header {
    name: u32,
    kind: u32,
    offset: u64,
    size: u64,
    link: u32,
}

impl Header {
    fn read(reader: &Reader<'_>, at: u64) -> Result<Self, ElfError> {
        const WHAT: &str = "header of a section";
        let field = |offset: u64| at.saturating_add(offset);
        Ok(Self {
            name: reader.u32(WHAT, field(0x00))?,
            kind: reader.u32(WHAT, field(0x04))?,
            offset: reader.u64(WHAT, field(0x18))?,
            size: reader.u64(WHAT, field(0x20))?,
            link: reader.u32(WHAT, field(0x28))?,
        })
    }

    fn data<'a>(&self, reader: &Reader<'a>) -> Result<&'a [u8], ElfError> {
        // The first header is all zeros, or holds counts: it has no data either way.
        if self.kind == SHT_NOBITS || self.kind == 0 {
            Ok(&[])
        } else {
            reader.slice("section", self.offset, self.size)
        }
    }
}

/// The bytes at `offset` up to the next zero byte; empty when there are none.
///
/// Cut at [`MAX_NAME`]: a file can let all its entries point at one text as long as itself.
fn c_string(table: &[u8], offset: u64) -> &[u8] {
    let rest = usize::try_from(offset).ok().and_then(|offset| table.get(offset..)).unwrap_or_default();
    let rest = rest.get(..MAX_NAME).unwrap_or(rest);
    rest.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Numbers at offsets, in the file's byte order.
#[derive(Debug)]
struct Reader<'a> {
    file: &'a [u8],
    big_endian: bool,
}

impl<'a> Reader<'a> {
    fn open(file: &'a [u8]) -> Result<Self, ElfError> {
        match file {
            [0x7f, b'E', b'L', b'F', 2, 1, ..] => Ok(Self { file, big_endian: false }),
            [0x7f, b'E', b'L', b'F', 2, 2, ..] => Ok(Self { file, big_endian: true }),
            [0x7f, b'E', b'L', b'F', 2, order, ..] => Err(ElfError::ByteOrder(*order)),
            [0x7f, b'E', b'L', b'F', 1, ..] => Err(ElfError::Not64Bit),
            _ => Err(ElfError::NotElf),
        }
    }

    fn slice(&self, what: &'static str, offset: u64, length: u64) -> Result<&'a [u8], ElfError> {
        let range = || {
            let start = usize::try_from(offset).ok()?;
            let end = usize::try_from(offset.checked_add(length)?).ok()?;
            self.file.get(start..end)
        };
        range().ok_or(ElfError::Truncated { what, offset, length, file: self.file.len() as u64 })
    }

    fn array<const N: usize>(&self, what: &'static str, offset: u64) -> Result<[u8; N], ElfError> {
        let bytes = self.slice(what, offset, N as u64)?;
        let mut array: [u8; N] = bytes.try_into().expect("the slice has the length asked for");
        // Numbers are then read as little-endian.
        if self.big_endian {
            array.reverse();
        }
        Ok(array)
    }

    fn u16(&self, what: &'static str, offset: u64) -> Result<u16, ElfError> {
        self.array(what, offset).map(u16::from_le_bytes)
    }

    fn u32(&self, what: &'static str, offset: u64) -> Result<u32, ElfError> {
        self.array(what, offset).map(u32::from_le_bytes)
    }

    fn u64(&self, what: &'static str, offset: u64) -> Result<u64, ElfError> {
        self.array(what, offset).map(u64::from_le_bytes)
    }
}
