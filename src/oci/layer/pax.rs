//! PAX extended header records.
//!
//! POSIX.1-2024 `pax`, "pax Header Block"; attributes as written by star, GNU
//! tar and Go (`SCHILY.xattr.`) and by libarchive (`LIBARCHIVE.xattr.`).
//!
//! Stricter than POSIX where readers are known to disagree: a key given twice,
//! an empty value of a field we use, and any sparse-file key are errors.

use std::collections::BTreeSet;

use super::entry::{Mtime, Xattrs};
use super::error::TarProblem;

const SCHILY: &[u8] = b"SCHILY.xattr.";
const LIBARCHIVE: &[u8] = b"LIBARCHIVE.xattr.";

/// Keys that carry something we know of and do not keep: reported, not dropped in silence.
const DROPPED: [&[u8]; 3] = [b"SCHILY.acl.", b"SCHILY.fflags", b"RHT.security."];

/// What one extended header says about the entry after it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link_path: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<Mtime>,
    pub(super) xattrs: Xattrs,
    /// Bytes in names and values of `xattrs`.
    pub(super) xattr_bytes: usize,
    /// Keys of [`DROPPED`] that occurred.
    pub(super) dropped: Vec<Box<str>>,
}

/// Parses the content of a local (`x`) extended header.
pub(super) fn parse_local(data: &[u8]) -> Result<Pax, TarProblem> {
    let mut pax = Pax::default();
    let mut seen = BTreeSet::new();
    let mut libarchive = Vec::new();
    for record in records(data) {
        let (key, value) = record?;
        if !seen.insert(key) {
            return Err(TarProblem::PaxDuplicate(show(key)));
        }
        if let Some(name) = key.strip_prefix(LIBARCHIVE) {
            libarchive.push((name, value));
        } else {
            pax.apply(key, value)?;
        }
    }
    // libarchive writes both forms; SCHILY's needs no decoding, so it wins.
    for (name, value) in libarchive {
        let invalid = || TarProblem::PaxValue(show(name));
        let name = percent_decode(name).ok_or_else(invalid)?;
        if pax.xattrs.get(&name).is_none() {
            pax.add_xattr(&name, &base64_decode(value).ok_or_else(invalid)?)?;
        }
    }
    Ok(pax)
}

/// Checks a global (`g`) extended header: comments are let through, anything that would change entries is not.
pub(super) fn check_global(data: &[u8]) -> Result<(), TarProblem> {
    for record in records(data) {
        let (key, _) = record?;
        if key != b"comment" {
            return Err(TarProblem::PaxGlobal(show(key)));
        }
    }
    Ok(())
}

impl Pax {
    fn apply(&mut self, key: &[u8], value: &[u8]) -> Result<(), TarProblem> {
        let number = || decimal(value).ok_or_else(|| TarProblem::PaxValue(show(key)));
        match key {
            b"path" => self.path = Some(name_value(key, value)?),
            b"linkpath" => self.link_path = Some(name_value(key, value)?),
            b"size" => self.size = Some(number()?),
            b"uid" => self.uid = Some(number()?),
            b"gid" => self.gid = Some(number()?),
            b"mtime" => self.mtime = Some(parse_time(value).ok_or_else(|| TarProblem::PaxValue(show(key)))?),
            b"SCHILY.realsize" => return Err(TarProblem::Sparse),
            _ if key.starts_with(b"GNU.sparse.") => return Err(TarProblem::Sparse),
            _ => {
                if let Some(name) = key.strip_prefix(SCHILY) {
                    self.add_xattr(name, value)?;
                } else if DROPPED.iter().any(|prefix| key.starts_with(prefix)) {
                    self.dropped.push(show(key).into());
                }
            }
        }
        Ok(())
    }

    fn add_xattr(&mut self, name: &[u8], value: &[u8]) -> Result<(), TarProblem> {
        if name.is_empty() || name.contains(&0) {
            return Err(TarProblem::PaxValue(show(name)));
        }
        self.xattr_bytes += name.len() + value.len();
        self.xattrs.insert(name, value);
        Ok(())
    }
}

fn show(key: &[u8]) -> String {
    key.escape_ascii().to_string()
}

fn name_value(key: &[u8], value: &[u8]) -> Result<Vec<u8>, TarProblem> {
    if value.is_empty() || value.contains(&0) {
        return Err(TarProblem::PaxValue(show(key)));
    }
    Ok(value.to_vec())
}

/// The records of a header: `LENGTH KEY=VALUE\n`, nothing between or after them.
fn records(mut data: &[u8]) -> impl Iterator<Item = Result<(&[u8], &[u8]), TarProblem>> {
    std::iter::from_fn(move || {
        if data.is_empty() {
            return None;
        }
        let record = split_record(data);
        data = record.map_or(&[], |(_, _, rest)| rest);
        Some(record.map(|(key, value, _)| (key, value)).ok_or(TarProblem::PaxRecord))
    })
}

fn split_record(data: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    // A length of more than 20 digits overflows anyway: do not scan a megabyte for the space.
    let space = data.iter().take(21).position(|&byte| byte == b' ')?;
    let length = usize::try_from(decimal(&data[..space])?).ok()?;
    if length <= space + 1 || length > data.len() {
        return None;
    }
    let (record, rest) = data.split_at(length);
    let body = record[space + 1..].strip_suffix(b"\n")?;
    let equals = body.iter().position(|&byte| byte == b'=')?;
    let (key, value) = (&body[..equals], &body[equals + 1..]);
    (!key.is_empty() && !key.contains(&0)).then_some((key, value, rest))
}

/// Decimal digits only: no sign, no space.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, &byte| {
        if !byte.is_ascii_digit() {
            return None;
        }
        value.checked_mul(10)?.checked_add(u64::from(byte - b'0'))
    })
}

/// Seconds with an optional sign and fraction; digits beyond nanoseconds are cut off.
fn parse_time(value: &[u8]) -> Option<Mtime> {
    let (negative, digits) = match value.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, value),
    };
    let (whole, fraction) = match digits.iter().position(|&byte| byte == b'.') {
        Some(dot) => (&digits[..dot], &digits[dot + 1..]),
        None => (digits, &b""[..]),
    };
    let seconds = i64::try_from(decimal(whole)?).ok()?;
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let nanos = (0..9).fold(0u32, |nanos, i| nanos * 10 + u32::from(fraction.get(i).map_or(0, |digit| digit - b'0')));
    // -1.25 is one second and 750 ms before that second: nanoseconds count upwards.
    match (negative, nanos) {
        (false, nanos) => Some(Mtime { seconds, nanos }),
        (true, 0) => Some(Mtime { seconds: -seconds, nanos: 0 }),
        (true, nanos) => Some(Mtime { seconds: -seconds - 1, nanos: 1_000_000_000 - nanos }),
    }
}

/// Decodes `%XX` as libarchive writes attribute names.
fn percent_decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        if byte == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            out.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            out.push(byte);
            rest = tail;
        }
    }
    Some(out)
}

/// Decodes base64 with or without padding, as libarchive writes attribute values.
fn base64_decode(text: &[u8]) -> Option<Vec<u8>> {
    let unpadded = text.iter().rposition(|&byte| byte != b'=').map_or(&[][..], |last| &text[..=last]);
    let mut out = Vec::with_capacity(unpadded.len() * 3 / 4);
    let (mut bits, mut count) = (0u32, 0u32);
    for &byte in unpadded {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from((bits >> count) & 0xff).expect("masked to one byte"));
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::super::writer::pax_record;
    use super::*;

    fn local(records: &[(&[u8], &[u8])]) -> Result<Pax, TarProblem> {
        parse_local(&records.iter().flat_map(|(key, value)| pax_record(key, value)).collect::<Vec<_>>())
    }

    #[test]
    fn records_are_read_exactly_or_not_at_all() {
        assert_eq!(parse_local(b"12 path=a=b\n").unwrap().path.as_deref(), Some(&b"a=b"[..]));
        for (data, what) in [
            (&b"11 path=a=b\n"[..], "length too short"),
            (b"13 path=a=b\n", "length too long"),
            (b"path=a\n", "no length"),
            (b"x 12 path=a=b\n", "garbage before"),
            (b"12 path=a=b\nx", "garbage after"),
            (b"12 path=a=b\n\0", "zeros after"),
            (b"+12 path=a=b\n", "signed length"),
            (b"7 path\n", "no equals sign"),
            (b"7 =abc\n", "no key"),
            (b"99999999999999999999999 a=b\n", "length overflows"),
            (b"0 a=b\n", "zero length"),
            (b"2 a=b\n", "length within itself"),
        ] {
            assert_eq!(parse_local(data), Err(TarProblem::PaxRecord), "{what}");
        }
    }

    #[test]
    fn values_are_kept_byte_for_byte_or_refused() {
        let pax = local(&[(b"path", b"\xff\n="), (b"SCHILY.xattr.user.a", b"v\nw=\n\0x"), (b"SCHILY.xattr.b", b"")]);
        let pax = pax.unwrap();
        assert_eq!(pax.path.as_deref(), Some(&b"\xff\n="[..]));
        assert_eq!(pax.xattrs.get(b"user.a"), Some(&b"v\nw=\n\0x"[..]));
        assert_eq!(pax.xattrs.get(b"b"), Some(&b""[..]), "an empty attribute is an attribute");
        assert_eq!(pax.xattr_bytes, "user.a".len() + 7 + "b".len());
        for (key, value) in [
            (&b"path"[..], &b""[..]),
            (b"path", b"a\0b"),
            (b"linkpath", b""),
            (b"size", b"-1"),
            (b"size", b"+1"),
            (b"size", b""),
            (b"size", b"1e3"),
            (b"size", b"18446744073709551616"),
            (b"uid", b"-1"),
            (b"mtime", b"1.5.5"),
            (b"GNU.sparse.major", b"1"),
            (b"GNU.sparse.map", b"0,1"),
            (b"SCHILY.realsize", b"5"),
            (b"SCHILY.xattr.", b"x"),
            (b"SCHILY.xattr.a\0b", b"x"),
        ] {
            assert!(local(&[(key, value)]).is_err(), "{}={}", show(key), show(value));
        }
        assert_eq!(local(&[(b"path", b"a"), (b"path", b"b")]), Err(TarProblem::PaxDuplicate("path".to_owned())));
    }

    #[test]
    fn what_is_not_kept_is_said() {
        let pax = local(&[(b"SCHILY.acl.access", b"user::rw-"), (b"comment", b"x"), (b"uname", b"root")]).unwrap();
        assert_eq!(pax.dropped, ["SCHILY.acl.access".into()]);
    }

    #[test]
    fn libarchive_attributes_are_decoded_and_yield_to_schily() {
        let pax = local(&[
            (b"LIBARCHIVE.xattr.user.a%3D", b"aGk="),
            (b"LIBARCHIVE.xattr.user.b", b"AA"),
            (b"SCHILY.xattr.user.b", b"x"),
        ])
        .unwrap();
        assert_eq!(pax.xattrs.get(b"user.a="), Some(&b"hi"[..]));
        assert_eq!(pax.xattrs.get(b"user.b"), Some(&b"x"[..]));
        for (key, value) in [(&b"LIBARCHIVE.xattr.a"[..], &b"a*"[..]), (b"LIBARCHIVE.xattr.%4", b"AA")] {
            assert!(local(&[(key, value)]).is_err());
        }
    }

    #[test]
    fn times_before_1970_count_upwards() {
        for (text, seconds, nanos) in
            [("0", 0, 0), ("-1", -1, 0), ("-1.25", -2, 750_000_000), ("5.1234567899", 5, 123_456_789)]
        {
            assert_eq!(parse_time(text.as_bytes()), Some(Mtime { seconds, nanos }), "{text}");
        }
        for text in ["", "-", "1.x", "1e3", " 1", "99999999999999999999"] {
            assert_eq!(parse_time(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn global_headers_may_only_comment() {
        assert_eq!(check_global(&pax_record(b"comment", b"hello")), Ok(()));
        assert_eq!(check_global(&pax_record(b"path", b"a")), Err(TarProblem::PaxGlobal("path".to_owned())));
    }
}
