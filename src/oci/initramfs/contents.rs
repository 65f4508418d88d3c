//! What an initramfs holds: the names, and the few contents that are asked for.

use std::collections::{BTreeMap, BTreeSet};

use super::{InitramfsError, read_initramfs};

/// Largest file that is kept.
const MAX_KEPT: u64 = 64 << 10;

/// The content of an initramfs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Initramfs {
    /// Paths of everything in it, without leading `/` or `./`.
    pub names: BTreeSet<Vec<u8>>,
    /// Contents of the small files that were asked for; the last one counts, as when unpacking.
    pub kept: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Initramfs {
    /// Reads the archives of `file` and keeps the contents of the regular files at the paths `keep`, as far as they
    /// are not larger than 64 KiB.
    ///
    /// # Errors
    /// Any [`InitramfsError`].
    pub fn read(file: &[u8], keep: &[&str]) -> Result<Self, InitramfsError> {
        let mut found = Self::default();
        read_initramfs(file, &mut |entry, content| {
            found.names.insert(entry.path.clone());
            let wanted = entry.is_file() && keep.iter().any(|path| path.as_bytes() == entry.path);
            // Another name of a hard link has no content of its own.
            let linked = entry.size == 0 && found.kept.contains_key(&entry.path);
            if wanted && !linked && entry.size <= MAX_KEPT {
                let mut bytes = Vec::new();
                content.read_to_end(&mut bytes)?;
                found.kept.insert(entry.path.clone(), bytes);
            }
            Ok(())
        })?;
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{entry, gzip};
    use super::*;

    fn archive(entries: &[(&str, u32, &[u8])]) -> Vec<u8> {
        let files = entries.iter().flat_map(|(name, mode, content)| entry(name, *mode, content));
        files.chain(entry("TRAILER!!!", 0, b"")).collect()
    }

    #[test]
    fn keeps_what_was_asked_for_and_the_last_of_two() {
        let (file, folder, link) = (0o100_644, 0o040_755, 0o120_777);
        let first = archive(&[("a", file, b"old"), ("b", file, b"b"), ("c", link, b"a")]);
        let second = archive(&[("./usr", folder, b""), ("./a", file, b"new!!"), ("./big", file, &[1; 70_000])]);
        let found = Initramfs::read(&[first, gzip(&second)].concat(), &["a", "c", "big", "missing"]).unwrap();
        assert_eq!(found.kept.into_iter().collect::<Vec<_>>(), [(b"a".to_vec(), b"new!!".to_vec())]);
        assert_eq!(found.names.len(), 5);
    }
}
