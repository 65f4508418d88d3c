//! Names in layers: bytes, relative to the image's root, normalised once.

use std::fmt;

use super::error::NameProblem;
use super::limits::UnpackLimits;

/// Prefix of a whiteout's file name, from the image specification's `layer.md`.
pub(crate) const WHITEOUT: &[u8] = b".wh.";
/// File name of an opaque whiteout.
pub(crate) const OPAQUE: &[u8] = b".wh..wh..opq";
/// Prefix of AUFS's own bookkeeping, found in layers of the AUFS age.
pub(crate) const AUFS: &[u8] = b".wh..wh.";

/// Bytes shown as text: what is not printable ASCII or valid UTF-8 is escaped, so that a name cannot forge a message.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lossy(pub Box<[u8]>);

impl From<&[u8]> for Lossy {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Display for Lossy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if c.is_control() { write!(f, "{}", c.escape_default())? } else { write!(f, "{c}")? }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Lossy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// The components of a path, without empty ones and `.`.
pub(crate) fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".")
}

/// Splits a normalised path into parent and last component; the root has neither.
pub(crate) fn split_last(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.is_empty() {
        return None;
    }
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => Some((&path[..slash], &path[slash + 1..])),
        None => Some((&[], path)),
    }
}

/// A path with `name` below `parent`.
pub(crate) fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(parent.len() + 1 + name.len());
    path.extend_from_slice(parent);
    if !parent.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// A name as it stands in the archive, made relative to the root, without `.`, empty components and trailing `/`.
///
/// `..` is refused wherever it stands: `a/..` is another directory when `a` is
/// a symbolic link, and readers disagree about which. The root is the empty path.
pub(crate) fn normalise(name: &[u8], limits: &UnpackLimits) -> Result<Vec<u8>, NameProblem> {
    if name.is_empty() {
        return Err(NameProblem::Empty);
    }
    if name.contains(&0) {
        return Err(NameProblem::Nul);
    }
    if name.len() > limits.path_bytes {
        return Err(NameProblem::TooLong);
    }
    let mut path = Vec::with_capacity(name.len());
    for (depth, part) in components(name).enumerate() {
        if part == b".." {
            return Err(NameProblem::DotDot);
        }
        if part.len() > limits.component_bytes {
            return Err(NameProblem::ComponentTooLong);
        }
        if depth >= limits.path_depth {
            return Err(NameProblem::TooDeep);
        }
        if depth > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(part);
    }
    Ok(path)
}

/// What a normalised path means in a layer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meaning<'a> {
    /// A file to place.
    Plain,
    /// The lower layers' file of this path disappears.
    Whiteout(Vec<u8>),
    /// The lower layers' children of this directory disappear.
    Opaque(&'a [u8]),
    /// Bookkeeping of AUFS that is no part of the image.
    Aufs,
}

/// Tells whiteouts and AUFS leftovers from files.
pub(crate) fn meaning(path: &[u8]) -> Result<Meaning<'_>, NameProblem> {
    if components(path).any(|part| part.starts_with(AUFS) && part != OPAQUE) {
        return Ok(Meaning::Aufs);
    }
    let Some((parent, name)) = split_last(path) else { return Ok(Meaning::Plain) };
    if components(parent).any(|part| part.starts_with(WHITEOUT)) {
        return Err(NameProblem::BelowWhiteout);
    }
    if name == OPAQUE {
        return Ok(Meaning::Opaque(parent));
    }
    match name.strip_prefix(WHITEOUT) {
        None => Ok(Meaning::Plain),
        Some(b"") => Err(NameProblem::BareWhiteout),
        Some(b"." | b"..") => Err(NameProblem::DotWhiteout),
        Some(target) => Ok(Meaning::Whiteout(join(parent, target))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_relative_to_the_root() {
        let limits = UnpackLimits::default();
        let long = [b'x'; 256];
        let deep = b"d/".repeat(513);
        for (name, expected) in [
            (&b"./a/b"[..], Ok(&b"a/b"[..])),
            (b"/abs", Ok(b"abs")),
            (b"a//./b/", Ok(b"a/b")),
            (b"./", Ok(b"")),
            (b"/", Ok(b"")),
            (b"\xff\n", Ok(b"\xff\n")),
            (b"...", Ok(b"...")),
            (b"", Err(NameProblem::Empty)),
            (b"a\0b", Err(NameProblem::Nul)),
            (b"../a", Err(NameProblem::DotDot)),
            (b"a/../../..", Err(NameProblem::DotDot)),
            (b"a/../b", Err(NameProblem::DotDot)),
            (&long, Err(NameProblem::ComponentTooLong)),
            (&deep, Err(NameProblem::TooDeep)),
            (&[b'/'; 5000], Err(NameProblem::TooLong)),
        ] {
            assert_eq!(normalise(name, &limits).as_deref(), expected.as_ref().copied(), "{:?}", Lossy::from(name));
        }
    }

    #[test]
    fn whiteouts_are_told_from_files() {
        for (path, expected) in [
            (&b"a/b"[..], Ok(Meaning::Plain)),
            (b"a/.wh.b", Ok(Meaning::Whiteout(b"a/b".to_vec()))),
            (b".wh.b", Ok(Meaning::Whiteout(b"b".to_vec()))),
            (b"a/.wh..wh..opq", Ok(Meaning::Opaque(b"a"))),
            (b".wh..wh..opq", Ok(Meaning::Opaque(b""))),
            (b".wh..wh.plnk/1.2", Ok(Meaning::Aufs)),
            (b"d/.wh..wh.orph", Ok(Meaning::Aufs)),
            (b".wh.", Err(NameProblem::BareWhiteout)),
            (b"d/.wh..", Err(NameProblem::DotWhiteout)),
            (b"d/.wh...", Err(NameProblem::DotWhiteout)),
            (b".wh.d/f", Err(NameProblem::BelowWhiteout)),
            (b"d/.wh..wh..opq/f", Err(NameProblem::BelowWhiteout)),
        ] {
            assert_eq!(meaning(path), expected, "{:?}", Lossy::from(path));
        }
    }

    #[test]
    fn a_name_cannot_forge_a_message() {
        assert_eq!(Lossy::from(&b"a\nb\xff\x1b[0m"[..]).to_string(), r"a\nb\xff\u{1b}[0m");
    }
}
