//! The little of the PE format that EFI programs need: machine type and sections.
//!
//! Follows Microsoft's PE specification, sections 2 to 4: a DOS header whose word at 60 leads to the signature,
//! the COFF header behind it, then the optional header, then the table of sections.

use oci_spec::image::Arch;

/// Largest number of sections looked at; the format's own limit for images.
const MAX_SECTIONS: usize = 96;

/// An EFI program.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pe<'a> {
    file: &'a [u8],
    /// Where the COFF header begins.
    coff: usize,
}

impl<'a> Pe<'a> {
    /// The program in `file`; `None` when it is none.
    pub(super) fn parse(file: &'a [u8]) -> Option<Self> {
        let offset = usize::try_from(u32::from_le_bytes(array(file, 60)?)).ok()?;
        let coff = offset.checked_add(4)?;
        let headers = file.starts_with(b"MZ") && file.get(offset..coff)? == b"PE\0\0" && file.len() >= coff + 20;
        headers.then_some(Self { file, coff })
    }

    /// The machine type.
    pub(super) fn machine(&self) -> u16 {
        array(self.file, self.coff).map_or(0, u16::from_le_bytes)
    }

    /// The content of a section, such as `.initrd` of a unified kernel image.
    pub(super) fn section(&self, name: &str) -> Option<&'a [u8]> {
        let count = usize::from(u16::from_le_bytes(array(self.file, self.coff + 2)?)).min(MAX_SECTIONS);
        let optional = usize::from(u16::from_le_bytes(array(self.file, self.coff + 16)?));
        let table = self.coff + 20 + optional;
        let headers = (0..count).map_while(|index| self.file.get(table + 40 * index..)?.get(..40));
        let header = headers.into_iter().find(|header| header[..8].trim_ascii_end_zeros() == name.as_bytes())?;
        let number = |at| usize::try_from(u32::from_le_bytes(array(header, at)?)).ok();
        // The size in memory is the exact one; the size in the file is rounded up.
        let size = number(8)?.min(number(16)?);
        let start = number(20)?;
        self.file.get(start..start.checked_add(size)?)
    }
}

trait TrimZeros {
    fn trim_ascii_end_zeros(&self) -> &[u8];
}

impl TrimZeros for [u8] {
    fn trim_ascii_end_zeros(&self) -> &[u8] {
        let end = self.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        &self[..end]
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// The machine type of EFI programs for an architecture; `None` where UEFI has none.
pub(super) fn machine_of(architecture: &Arch) -> Option<u16> {
    Some(match architecture {
        Arch::i386 => 0x014c,
        Arch::Amd64 => 0x8664,
        Arch::ARM => 0x01c2,
        Arch::ARM64 => 0xaa64,
        Arch::RISCV64 => 0x5064,
        Arch::LoongArch64 => 0x6264,
        _ => return None,
    })
}

/// The part of a boot loader's file name that tells its architecture, as in `BOOTX64.EFI`.
pub(super) fn suffix_of(architecture: &Arch) -> Option<&'static str> {
    Some(match architecture {
        Arch::i386 => "ia32",
        Arch::Amd64 => "x64",
        Arch::ARM => "arm",
        Arch::ARM64 => "aa64",
        Arch::RISCV64 => "riscv64",
        Arch::LoongArch64 => "loongarch64",
        _ => return None,
    })
}

#[cfg(test)]
pub(super) mod fake {
    fn word(value: usize) -> [u8; 4] {
        u32::try_from(value).unwrap().to_le_bytes()
    }

    /// An EFI program with these sections.
    pub(in crate::lint) fn pe(machine: u16, sections: &[(&str, &[u8])]) -> Vec<u8> {
        let mut file = vec![0; 64];
        file[..2].copy_from_slice(b"MZ");
        file[60..64].copy_from_slice(&64u32.to_le_bytes());
        file.extend_from_slice(b"PE\0\0");
        file.extend_from_slice(&machine.to_le_bytes());
        file.extend_from_slice(&u16::try_from(sections.len()).unwrap().to_le_bytes());
        file.extend_from_slice(&[0; 16]);
        let mut start = file.len() + 40 * sections.len();
        for (name, content) in sections {
            let mut header = [0; 40];
            header[..name.len()].copy_from_slice(name.as_bytes());
            header[8..12].copy_from_slice(&word(content.len()));
            header[16..20].copy_from_slice(&word(content.len().next_multiple_of(512)));
            header[20..24].copy_from_slice(&word(start));
            file.extend_from_slice(&header);
            start += content.len().next_multiple_of(512);
        }
        for (_, content) in sections {
            file.extend_from_slice(content);
            file.resize(file.len() + content.len().next_multiple_of(512) - content.len(), 0);
        }
        file
    }
}

#[cfg(test)]
mod tests {
    use super::Pe;
    use super::fake::pe;

    #[test]
    fn finds_machine_and_sections() {
        let file = pe(0xaa64, &[(".linux", b"kernel"), (".initrd", &[3; 700])]);
        let program = Pe::parse(&file).unwrap();
        assert_eq!(program.machine(), 0xaa64);
        assert_eq!(program.section(".linux"), Some(&b"kernel"[..]));
        assert_eq!(program.section(".initrd"), Some(&[3; 700][..]));
        assert_eq!(program.section(".init"), None);
    }

    #[test]
    fn whatever_is_cut_off_is_not_there() {
        let file = pe(0x8664, &[(".linux", b"kernel"), (".initrd", &[3; 700])]);
        for length in 0..file.len() {
            let found = Pe::parse(&file[..length]).and_then(|program| program.section(".initrd"));
            assert!(found.is_none_or(|found| found == [3; 700]), "{length}");
            assert_eq!(Pe::parse(&file[..length]).is_some(), length >= 88, "{length}");
        }
        let mut far = file;
        far[60..64].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(Pe::parse(&far).is_none());
    }
}
