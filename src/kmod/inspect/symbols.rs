//! What a module needs from others and offers to them.
//!
//! Imports are the undefined entries of `.symtab`. Exports stand in `__ksymtab` and `__ksymtab_gpl`, after the
//! kernel's `include/linux/export-internal.h`: entries of three 32-bit distances (address, name, namespace), which
//! only their relocations tell. Versions stand in `__versions`, and since Linux 6.14 also in `__version_ext_crcs`
//! with `__version_ext_names`, for names too long for the former. Not read: the tables of kernels before 5.4,
//! whose entries held addresses.

use std::collections::BTreeMap;

use super::ElfError;
use super::elf::Elf;

/// Most imports, exports or versions read. The largest modules known have some thousand.
const MAX_SYMBOLS: usize = 1 << 16;

/// Length of one entry of `__ksymtab`.
const EXPORT: u64 = 12;
/// Length of one entry of `__versions`: a checksum as wide as an address, and the name in the rest.
const VERSION: usize = 64;
const VERSION_NAME: usize = 8;

/// A symbol a module needs from the kernel or another module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Its name.
    pub name: String,
    /// Whether the module also loads without it.
    pub weak: bool,
}

/// A symbol offered to modules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Its name.
    pub name: String,
    /// Whether only modules under a GPL-compatible licence may use it.
    pub gpl_only: bool,
    /// The namespace a user must import.
    pub namespace: Option<String>,
    /// Checksum over its C declaration, where symbol versions are on.
    pub crc: Option<u32>,
}

/// Checksums of the symbols a module was built against, by name.
pub type Versions = BTreeMap<String, u32>;

pub(super) fn imports(elf: &Elf<'_>) -> Result<Vec<Import>, ElfError> {
    let mut imports = Vec::new();
    for symbol in elf.symbols().filter(|symbol| symbol.section == 0 && !symbol.name.is_empty()) {
        // Asked for by the assembler on some machines; the kernel skips it too.
        if symbol.name == b"_GLOBAL_OFFSET_TABLE_" {
            continue;
        }
        limit("imported symbols", imports.len())?;
        imports.push(Import { name: text(symbol.name), weak: symbol.weak });
    }
    Ok(imports)
}

pub(super) fn exports(elf: &Elf<'_>) -> Result<Vec<Export>, ElfError> {
    let mut exports = exports_of(elf, "__ksymtab", "__kcrctab", false)?;
    exports.extend(exports_of(elf, "__ksymtab_gpl", "__kcrctab_gpl", true)?);
    Ok(exports)
}

fn exports_of(elf: &Elf<'_>, table: &str, crcs: &str, gpl_only: bool) -> Result<Vec<Export>, ElfError> {
    let mut texts: BTreeMap<u64, &[u8]> = BTreeMap::new();
    for relocation in elf.relocations(table) {
        limit("relocations of exported symbols", texts.len() / 3)?;
        let Some(symbol) = elf.symbol(relocation.symbol) else { continue };
        let at = symbol.value.wrapping_add_signed(relocation.addend);
        texts.insert(relocation.offset, elf.text(symbol.section, at));
    }
    let crcs = elf.section(crcs).map_or(&[][..], |section| section.data);
    let count = elf.section(table).map_or(0, |section| section.data.len() as u64 / EXPORT);
    let entry = |index: u64| {
        let name = *texts.get(&(index * EXPORT + 4)).filter(|name| !name.is_empty())?;
        let namespace = texts.get(&(index * EXPORT + 8)).filter(|namespace| !namespace.is_empty());
        let namespace = namespace.map(|namespace| text(namespace));
        Some(Export { name: text(name), gpl_only, namespace, crc: elf.u32_at(crcs, index * 4) })
    };
    Ok((0..count).filter_map(entry).collect())
}

/// `None` when the module was built without symbol versions.
pub(super) fn versions(elf: &Elf<'_>) -> Result<Option<Versions>, ElfError> {
    let table = elf.section("__versions").filter(|section| !section.data.is_empty());
    let extended = elf.section("__version_ext_crcs").zip(elf.section("__version_ext_names"));
    if table.is_none() && extended.is_none() {
        return Ok(None);
    }
    let mut versions = Versions::new();
    for entry in table.map_or(&[][..], |section| section.data).chunks_exact(VERSION) {
        limit("symbol versions", versions.len())?;
        let Some(crc) = elf.u64_at(entry, 0).and_then(|crc| u32::try_from(crc).ok()) else { continue };
        let name = entry[VERSION_NAME..].split(|&byte| byte == 0).next().unwrap_or_default();
        versions.insert(text(name), crc);
    }
    if let Some((crcs, names)) = extended {
        for (index, name) in (0_u64..).zip(names.data.split(|&byte| byte == 0)) {
            limit("symbol versions", versions.len())?;
            let Some(crc) = elf.u32_at(crcs.data, index * 4) else { break };
            versions.insert(text(name), crc);
        }
    }
    Ok(Some(versions))
}

fn limit(what: &'static str, count: usize) -> Result<(), ElfError> {
    let (found, limit) = (count as u64 + 1, MAX_SYMBOLS as u64);
    if found > limit { Err(ElfError::TooMany { what, found, limit }) } else { Ok(()) }
}

/// Names are compared and shown, never used as paths.
fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}
