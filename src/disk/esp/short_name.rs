//! The short names that every file has besides its own.
//!
//! `fatgen103`, "Generating 8.3 Names from Long Names".

use std::collections::BTreeSet;

/// A short name: 8 and 3 bytes, filled up with spaces.
pub(super) type ShortName = [u8; 11];

/// The short name that is the same as `folded`, an upper-case name, when there is one.
pub(super) fn exact(folded: &str) -> Option<ShortName> {
    let (base, extension) = folded.rsplit_once('.').unwrap_or((folded, ""));
    let fits = |part: &str, length| part.len() <= length && part.bytes().all(is_allowed);
    // A dot without anything behind it is none of ours: paths refuse it.
    (!base.is_empty() && fits(base, 8) && fits(extension, 3)).then(|| join(base.as_bytes(), extension.as_bytes()))
}

/// A short name with a number that is not among `taken`, which it joins.
///
/// `taken` holds the folded names of all files of the folder, so that nobody's
/// long name is found under it either.
pub(super) fn numbered(folded: &str, taken: &mut BTreeSet<String>) -> ShortName {
    let (base, extension) = folded.trim_start_matches('.').rsplit_once('.').unwrap_or((folded, ""));
    let (base, extension) = (allowed(base, 8), allowed(extension, 3));
    let dot = if extension.is_empty() { "" } else { "." };
    (1_u32..)
        .map(|number| {
            let tail = format!("~{number}");
            let head = &base[..base.len().min(8 - tail.len())];
            (format!("{head}{tail}"), &extension)
        })
        .find(|(base, extension)| taken.insert(format!("{base}{dot}{extension}")))
        .map(|(base, extension)| join(base.as_bytes(), extension.as_bytes()))
        .expect("a folder has fewer names than there are numbers")
}

/// What of a part of a name may be in a short one.
fn allowed(part: &str, length: usize) -> String {
    let kept = part.bytes().filter(|byte| !matches!(byte, b' ' | b'.'));
    kept.map(|byte| if is_allowed(byte) { char::from(byte) } else { '_' }).take(length).collect()
}

fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"$%'-_@~`!(){}^#&".contains(&byte)
}

fn join(base: &[u8], extension: &[u8]) -> ShortName {
    let mut name = [b' '; 11];
    name[..base.len()].copy_from_slice(base);
    name[8..8 + extension.len()].copy_from_slice(extension);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_already_or_get_a_number() {
        assert_eq!(exact("BOOTX64.EFI"), Some(*b"BOOTX64 EFI"));
        assert_eq!(exact("EFI"), Some(*b"EFI        "));
        for long in ["BOOTC_COMPOSEFS", "A.B.C", "A.CONF", "A B", "A+B", ".A"] {
            assert_eq!(exact(long), None, "{long}");
        }
        let mut taken = BTreeSet::from(["LOADER~1.CON".to_owned()]);
        let mut name = |folded| String::from_utf8(numbered(folded, &mut taken).to_vec()).unwrap();
        assert_eq!(name("LOADER.CONF"), "LOADER~2CON");
        assert_eq!(name("LOADER.CONF2"), "LOADER~3CON");
        assert_eq!(name(".A+B C"), "A_BC~1     ");
        assert_eq!(name("..."), "~1         ");
    }
}
