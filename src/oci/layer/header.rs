//! One 512-byte tar header, read strictly.
//!
//! Follows POSIX.1-2024 `pax` (ustar) and the GNU tar manual, "Basic Tar
//! Format". Accepted are ustar, GNU and pre-POSIX headers; the `star` variant,
//! whose prefix field overlaps its times, is not.

use super::error::TarProblem;

/// Size of a header and of the unit everything is padded to.
pub(super) const BLOCK: usize = 512;

/// Which tar dialect a header is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Before POSIX: no magic, no prefix, no device numbers.
    V7,
    Ustar,
    Gnu,
}

/// A header whose checksum and format have been checked; fields are parsed when asked for.
#[derive(Debug)]
pub(super) struct Header<'a> {
    block: &'a [u8; BLOCK],
    pub(super) format: Format,
}

impl<'a> Header<'a> {
    /// Checks the checksum and the magic.
    pub(super) fn parse(block: &'a [u8; BLOCK]) -> Result<Self, TarProblem> {
        let stored = parse_octal(&block[148..156]).ok_or(TarProblem::Checksum)?;
        if stored != checksum(block) {
            return Err(TarProblem::Checksum);
        }
        let format = match &block[257..265] {
            b"ustar\x0000" if &block[508..512] != b"tar\0" => Format::Ustar,
            b"ustar  \0" => Format::Gnu,
            [0, 0, 0, 0, 0, 0, 0, 0] => Format::V7,
            other => return Err(TarProblem::Format(other.escape_ascii().to_string())),
        };
        Ok(Self { block, format })
    }

    pub(super) fn type_flag(&self) -> u8 {
        self.block[156]
    }

    /// Name, with the ustar prefix in front.
    pub(super) fn name(&self) -> Vec<u8> {
        let name = text(&self.block[..100]);
        let prefix = if self.format == Format::Ustar { text(&self.block[345..500]) } else { &[] };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    pub(super) fn link_name(&self) -> &'a [u8] {
        text(&self.block[157..257])
    }

    pub(super) fn mode(&self) -> Result<u16, TarProblem> {
        let mode = unsigned(&self.block[100..108], "mode")?;
        // Some writers put the file type above the permission bits; the type flag is what counts.
        u16::try_from(mode & 0o7777).map_err(|_| TarProblem::Range("mode"))
    }

    pub(super) fn uid(&self) -> Result<u64, TarProblem> {
        unsigned(&self.block[108..116], "uid")
    }

    pub(super) fn gid(&self) -> Result<u64, TarProblem> {
        unsigned(&self.block[116..124], "gid")
    }

    pub(super) fn size(&self) -> Result<u64, TarProblem> {
        unsigned(&self.block[124..136], "size")
    }

    pub(super) fn mtime(&self) -> Result<i64, TarProblem> {
        signed(&self.block[136..148], "mtime")
    }

    pub(super) fn device(&self) -> Result<(u32, u32), TarProblem> {
        if self.format == Format::V7 {
            return Err(TarProblem::NoDevice);
        }
        let number = |range, name| {
            let value = unsigned(&self.block[range], name)?;
            u32::try_from(value).map_err(|_| TarProblem::Range(name))
        };
        Ok((number(329..337, "devmajor")?, number(337..345, "devminor")?))
    }
}

/// Sum of all bytes, with the checksum field itself counted as spaces.
pub(super) fn checksum(block: &[u8; BLOCK]) -> u64 {
    let sum = |bytes: &[u8]| bytes.iter().map(|&byte| u64::from(byte)).sum::<u64>();
    sum(&block[..148]) + 8 * u64::from(b' ') + sum(&block[156..])
}

/// A text field: up to the first NUL, or all of it.
fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    &field[..end]
}

/// Octal digits, with spaces before and NULs or spaces after them; a field without digits is zero.
fn parse_octal(field: &[u8]) -> Option<u64> {
    let start = field.iter().position(|&byte| byte != b' ').unwrap_or(field.len());
    let digits = &field[start..];
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    if rest.iter().any(|&byte| byte != 0 && byte != b' ') {
        return None;
    }
    digits.iter().try_fold(0u64, |value, &byte| match byte {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}

/// A number in octal or in GNU's base-256 form (high bit set, big-endian two's complement).
fn signed(field: &[u8], name: &'static str) -> Result<i64, TarProblem> {
    let first = field[0];
    if first & 0x80 == 0 {
        let value = parse_octal(field).ok_or(TarProblem::Number(name))?;
        return i64::try_from(value).map_err(|_| TarProblem::Range(name));
    }
    // Only the two lead bytes that GNU tar writes; in particular no bits of the value may hide in the first byte.
    let negative = match first {
        0x80 => 0i128,
        0xff => -1i128,
        _ => return Err(TarProblem::Number(name)),
    };
    let value = field[1..].iter().fold(negative, |value, &byte| (value << 8) | i128::from(byte));
    i64::try_from(value).map_err(|_| TarProblem::Range(name))
}

fn unsigned(field: &[u8], name: &'static str) -> Result<u64, TarProblem> {
    u64::try_from(signed(field, name)?).map_err(|_| TarProblem::Range(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_strictly() {
        let base256 = |lead: u8, tail: &[u8]| {
            let mut field = [if lead == 0xff { 0xff } else { 0 }; 12];
            field[0] = lead;
            field[12 - tail.len()..].copy_from_slice(tail);
            field.to_vec()
        };
        let mut hidden_high_bits = base256(0x80, &[5]);
        hidden_high_bits[3] = 1;
        for (field, expected) in [
            (b"00000000017\0".to_vec(), Some(15)),
            (b"       17 \0\0".to_vec(), Some(15)),
            (b"777777777777".to_vec(), Some((1 << 36) - 1)),
            (vec![0; 12], Some(0)),
            (b"0000000001x\0".to_vec(), None),
            (b"00000000018\0".to_vec(), None),
            (b"1 7         ".to_vec(), None),
            (b"-0000000001\0".to_vec(), None),
            (base256(0x80, &[2, 0, 0, 0, 0]), Some(1 << 33)),
            (base256(0xff, &[0xff]), Some(-1)),
            (base256(0xff, &[0xff, 0xf0]), Some(-16)),
            (base256(0x81, &[5]), None),
            (hidden_high_bits, None),
        ] {
            assert_eq!(signed(&field, "size").ok(), expected, "{field:02x?}");
            assert_eq!(
                unsigned(&field, "size").ok(),
                expected.and_then(|value| u64::try_from(value).ok()),
                "{field:02x?}"
            );
        }
    }
}
