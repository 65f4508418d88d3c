//! The `.modinfo` section: `key=value` strings, each ended by a zero byte.

/// The entries, in their order.
#[derive(Debug)]
pub(super) struct Modinfo<'a> {
    entries: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Modinfo<'a> {
    pub(super) fn parse(section: &'a [u8]) -> Self {
        let entry = |text: &'a [u8]| {
            let at = text.iter().position(|&byte| byte == b'=')?;
            Some((&text[..at], &text[at + 1..]))
        };
        Self { entries: section.split(|&byte| byte == 0).filter_map(entry).collect() }
    }

    /// Every value of a key. Bytes that are not UTF-8 become replacement characters: the values are compared
    /// and shown, never used as paths.
    pub(super) fn all(&self, key: &str) -> Vec<String> {
        let of_key = self.entries.iter().filter(|(name, _)| *name == key.as_bytes());
        of_key.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    pub(super) fn first(&self, key: &str) -> Option<String> {
        self.all(key).into_iter().next()
    }
}

/// The kernel a module was built for, as the kernel compares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vermagic {
    /// What `uname -r` prints on that kernel.
    pub release: String,
    /// The options that change a module's layout, such as `SMP preempt mod_unload modversions`.
    pub flags: String,
}

impl Vermagic {
    pub(super) fn parse(text: &str) -> Self {
        let (release, flags) = text.split_once(' ').unwrap_or((text, ""));
        Self { release: release.to_owned(), flags: flags.trim().to_owned() }
    }
}
