//! Tiny modules for tests: an ELF64 header, `.modinfo`, the section names, the table of sections.

/// A module whose `.modinfo` has these entries.
pub(crate) fn module(entries: &[&str]) -> Vec<u8> {
    let modinfo: Vec<u8> = entries.iter().flat_map(|entry| entry.bytes().chain([0])).collect();
    object(&[(".modinfo", &modinfo)])
}

/// A module called `name`, built for `release`.
pub(crate) fn built_for(name: &str, release: &str) -> Vec<u8> {
    module(&[&format!("name={name}"), &format!("vermagic={release} SMP preempt mod_unload modversions ")])
}

/// What a module has to do with a symbol.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part<'a> {
    /// It needs the symbol.
    Import(&'a str),
    /// It offers the symbol to all, with this checksum.
    Export(&'a str, u32),
    /// It was built against this version of it.
    Version(&'a str, u32),
    /// The same, in the sections of Linux 6.14.
    ExtVersion(&'a str, u32),
}

/// A module with symbols, whose `struct module` has `layout` bytes.
pub(crate) fn linked(modinfo: &[&str], layout: usize, parts: &[Part<'_>]) -> Vec<u8> {
    let modinfo: Vec<u8> = modinfo.iter().flat_map(|entry| entry.bytes().chain([0])).collect();
    // Symbol 1 is the section `__ksymtab_strings`, the fifth one.
    let (mut symbols, mut names) = (vec![0_u8; 48], vec![0_u8]);
    symbols[24 + 6] = 5;
    let (mut texts, mut table, mut relocations, mut crcs) = (vec![0_u8], vec![], vec![], vec![]);
    let (mut versions, mut ext_crcs, mut ext_names) = (vec![], vec![], vec![]);
    for part in parts {
        match *part {
            Part::Import(name) => {
                symbols.extend(u32::try_from(names.len()).unwrap().to_le_bytes());
                symbols.extend([0x10].into_iter().chain([0; 19]));
                names.extend(name.bytes().chain([0]));
            }
            Part::Export(name, crc) => {
                relocations.extend((table.len() as u64 + 4).to_le_bytes());
                relocations.extend((1_u64 << 32 | 2).to_le_bytes());
                relocations.extend((texts.len() as u64).to_le_bytes());
                texts.extend(name.bytes().chain([0]));
                table.extend([0; 12]);
                crcs.extend(crc.to_le_bytes());
            }
            Part::Version(name, crc) => {
                versions.extend(u64::from(crc).to_le_bytes());
                versions.extend(name.bytes().chain([0; 56]).take(56));
            }
            Part::ExtVersion(name, crc) => {
                ext_crcs.extend(crc.to_le_bytes());
                ext_names.extend(name.bytes().chain([0]));
            }
        }
    }
    let mut sections: Vec<(&str, &[u8])> = vec![(".modinfo", &modinfo)];
    let layout = vec![0; layout];
    sections.extend([(".gnu.linkonce.this_module", &layout[..]), (".symtab", &symbols), (".strtab", &names)]);
    sections.extend([("__ksymtab_strings", &texts[..]), ("__ksymtab", &table), (".rela__ksymtab", &relocations)]);
    sections.extend([("__kcrctab", &crcs[..]), ("__versions", &versions)]);
    if !ext_crcs.is_empty() {
        sections.extend([("__version_ext_crcs", &ext_crcs[..]), ("__version_ext_names", &ext_names)]);
    }
    object(&sections)
}

/// A relocatable little-endian object with these sections.
pub(crate) fn object(sections: &[(&str, &[u8])]) -> Vec<u8> {
    let mut file = vec![0_u8; 64];
    let mut names = vec![0_u8];
    let mut headers = vec![[0_u8; 64]];
    let named = sections.iter().copied().chain([(".shstrtab", &[][..])]);
    for (name, data) in named {
        let name_at = names.len();
        names.extend(name.bytes().chain([0]));
        let content = if name == ".shstrtab" { names.clone() } else { data.to_vec() };
        let mut header = [0_u8; 64];
        header[0..4].copy_from_slice(&u32::try_from(name_at).unwrap().to_le_bytes());
        header[4..8].copy_from_slice(&1_u32.to_le_bytes());
        // Names of symbols stand in the section after theirs.
        if name == ".symtab" {
            header[0x28..0x2c].copy_from_slice(&u32::try_from(headers.len() + 1).unwrap().to_le_bytes());
        }
        header[0x18..0x20].copy_from_slice(&(file.len() as u64).to_le_bytes());
        header[0x20..0x28].copy_from_slice(&(content.len() as u64).to_le_bytes());
        headers.push(header);
        file.extend(content);
    }
    let table = file.len() as u64;
    let count = u16::try_from(headers.len()).unwrap();
    file.extend(headers.concat());
    file[..6].copy_from_slice(b"\x7fELF\x02\x01");
    file[0x10..0x12].copy_from_slice(&1_u16.to_le_bytes());
    file[0x28..0x30].copy_from_slice(&table.to_le_bytes());
    file[0x3c..0x3e].copy_from_slice(&count.to_le_bytes());
    file[0x3e..0x40].copy_from_slice(&(count - 1).to_le_bytes());
    file
}

/// The module with a PKCS#7 signature of `length` bytes appended, which signs nothing.
pub(crate) fn signed(mut module: Vec<u8>, length: u32) -> Vec<u8> {
    module.extend(vec![0x30; length as usize]);
    module.extend([0, 0, 2, 0, 0, 0, 0, 0]);
    module.extend(length.to_be_bytes());
    module.extend(b"~Module signature appended~\n");
    module
}
