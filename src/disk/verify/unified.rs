//! Sections of a unified kernel, found by code that makes none (Microsoft's PE specification, "COFF File Header" and
//! "Section Table").

use std::io::{self, Write};

/// Where a program's headers end at the latest; those of a unified kernel have some hundred bytes.
pub(super) const HEAD: usize = 16 << 10;
/// Largest command line that is read: what kernels take.
const MOST_WORDS: u64 = 16 << 10;

/// A part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) start: u64,
    pub(super) length: u64,
}

/// What of a unified kernel is of interest.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unified {
    pub(super) command_line: Part,
    pub(super) linux: Part,
    pub(super) initrd: Part,
}

impl Unified {
    /// From a file's first bytes; nothing when it is no such program.
    pub(super) fn parse(head: &[u8]) -> Option<Self> {
        let bytes = |at: usize, length: usize| head.get(at..at.checked_add(length)?);
        let half = |at: usize| Some(usize::from(u16::from_le_bytes(bytes(at, 2)?.try_into().ok()?)));
        let word = |at: usize| Some(u32::from_le_bytes(bytes(at, 4)?.try_into().ok()?));
        let coff = usize::try_from(word(60)?).ok()?;
        if bytes(0, 2)? != b"MZ" || bytes(coff, 4)? != b"PE\0\0" {
            return None;
        }
        let table = coff + 24 + half(coff + 20)?;
        let section = |name: &[u8]| {
            let padded = [name, &[0; 8]].concat();
            let at =
                (0..half(coff + 6)?).map(|index| table + index * 40).find(|at| bytes(*at, 8) == Some(&padded[..8]))?;
            // What is in memory, as far as it is in the file.
            let (virtual_size, raw_size) = (word(at + 8)?, word(at + 16)?);
            Some(Part { start: word(at + 20)?.into(), length: virtual_size.min(raw_size).into() })
        };
        let command_line = section(b".cmdline").filter(|part| part.length <= MOST_WORDS)?;
        Some(Self { command_line, linux: section(b".linux")?, initrd: section(b".initrd")? })
    }
}

/// Hands one part of what is written to it on.
pub(super) struct Only<'o> {
    pub(super) part: Part,
    pub(super) position: u64,
    pub(super) out: &'o mut dyn Write,
}

impl Write for Only<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (start, end) = (self.position, self.position + bytes.len() as u64);
        let (from, to) = (self.part.start.max(start), (self.part.start + self.part.length).min(end));
        if from < to {
            let at = |place: u64| usize::try_from(place - start).unwrap_or(bytes.len());
            self.out.write_all(&bytes[at(from)..at(to)])?;
        }
        self.position = end;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program() -> Vec<u8> {
        let mut head = vec![0; 400];
        head[..2].copy_from_slice(b"MZ");
        head[60] = 64;
        head[64..68].copy_from_slice(b"PE\0\0");
        head[70] = 3;
        head[84] = 16;
        for (index, (name, memory, raw, start)) in
            [(&b".cmdline"[..], 10_u32, 512_u32, 1000_u32), (b".linux", 700, 512, 2000), (b".initrd", 5, 5, 3000)]
                .into_iter()
                .enumerate()
        {
            let at = 64 + 24 + 16 + index * 40;
            head[at..at + name.len()].copy_from_slice(name);
            for (offset, value) in [(8, memory), (16, raw), (20, start)] {
                head[at + offset..at + offset + 4].copy_from_slice(&value.to_le_bytes());
            }
        }
        head
    }

    #[test]
    fn sections_are_found_and_anything_else_is_none() {
        let part = |start, length| Part { start, length };
        let expected = Unified { command_line: part(1000, 10), linux: part(2000, 512), initrd: part(3000, 5) };
        assert_eq!(Unified::parse(&program()), Some(expected));
        for length in 0..208 {
            assert_eq!(Unified::parse(&program()[..length]), None, "{length}");
        }
        for at in 0..program().len() {
            let mut bytes = program();
            bytes[at] ^= 0xff;
            let _unused = Unified::parse(&bytes);
        }
    }

    #[test]
    fn only_the_part_comes_through() {
        let mut out = Vec::new();
        let mut only = Only { part: Part { start: 3, length: 4 }, position: 0, out: &mut out };
        for piece in [&b"01"[..], b"2345", b"6789"] {
            only.write_all(piece).unwrap();
        }
        assert_eq!(out, b"3456");
    }
}
