//! Small initramfs archives for tests.

use std::io::Write as _;

/// A cpio archive under construction, in the `newc` format.
#[derive(Debug, Clone, Default)]
pub(in crate::lint) struct Cpio(Vec<u8>);

impl Cpio {
    pub(in crate::lint) fn new() -> Self {
        Self::default()
    }

    fn entry(mut self, name: &str, mode: u32, content: &[u8]) -> Self {
        let [size, name_length] = [content.len(), name.len() + 1].map(|length| u32::try_from(length).unwrap());
        let fields = [1, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_length, 0];
        self.0.extend_from_slice(b"070701");
        for field in fields {
            write!(self.0, "{field:08X}").unwrap();
        }
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(0);
        self.padded(b"").padded(content)
    }

    fn padded(mut self, content: &[u8]) -> Self {
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    pub(in crate::lint) fn dir(self, name: &str) -> Self {
        self.entry(name, 0o040_755, b"")
    }

    pub(in crate::lint) fn file(self, name: &str, content: &[u8]) -> Self {
        self.entry(name, 0o100_644, content)
    }

    pub(in crate::lint) fn link(self, name: &str, target: &str) -> Self {
        self.entry(name, 0o120_777, target.as_bytes())
    }

    pub(in crate::lint) fn end(self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, b"").0
    }
}

pub(in crate::lint) fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}
