//! Small tar streams for tests, also ones no writer would make.

use std::io::Read;
use std::path::Path;

use cap_std::fs_utf8::Dir;

use super::Layout;
use super::layer::LayerError;
use super::tree::LayerSource;
use crate::model::DiffId;

/// A folder by its path.
pub(super) fn open(path: &Path) -> Dir {
    Dir::open_ambient_dir(path.to_str().unwrap(), cap_std::ambient_authority()).unwrap()
}

/// An empty layout and the folder it is in, which vanishes with the first value.
pub(super) fn layout() -> (tempfile::TempDir, Layout) {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create_or_open(open(folder.path())).unwrap();
    (folder, layout)
}

/// A tar stream under construction. Everything is owned by 0:0, mode 0644 or 0755, time 0, unless changed.
#[derive(Debug, Clone, Default)]
pub(super) struct Tar(Vec<u8>);

impl Tar {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// A header; `edit` changes its raw fields before the checksum is made.
    pub(super) fn raw(mut self, name: &[u8], flag: u8, size: u64, edit: impl FnOnce(&mut [u8; 512])) -> Self {
        let mut block = [0; 512];
        block[..name.len()].copy_from_slice(name);
        block[100..108].copy_from_slice(if flag == b'5' { b"0000755\0" } else { b"0000644\0" });
        for field in [108..116, 116..124] {
            block[field].copy_from_slice(b"0000000\0");
        }
        block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
        block[136..148].copy_from_slice(b"00000000000\0");
        block[156] = flag;
        block[257..265].copy_from_slice(b"ustar\x0000");
        edit(&mut block);
        let sum: u64 =
            block.iter().enumerate().map(|(i, &byte)| if (148..156).contains(&i) { 32 } else { u64::from(byte) }).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&block);
        self
    }

    /// Content, padded to whole blocks.
    pub(super) fn data(mut self, content: &[u8]) -> Self {
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(super) fn file(self, name: &str, content: &str) -> Self {
        self.raw(name.as_bytes(), b'0', content.len() as u64, |_| {}).data(content.as_bytes())
    }

    pub(super) fn dir(self, name: &str) -> Self {
        self.raw(name.as_bytes(), b'5', 0, |_| {})
    }

    pub(super) fn link(self, flag: u8, name: &str, target: &str) -> Self {
        self.raw(name.as_bytes(), flag, 0, |block| {
            block[157..157 + target.len()].copy_from_slice(target.as_bytes());
        })
    }

    pub(super) fn symlink(self, name: &str, target: &str) -> Self {
        self.link(b'2', name, target)
    }

    pub(super) fn hardlink(self, name: &str, target: &str) -> Self {
        self.link(b'1', name, target)
    }

    /// A whiteout, by its full name such as `d/.wh.f`.
    pub(super) fn whiteout(self, name: &str) -> Self {
        self.file(name, "")
    }

    /// An extended header with these records.
    pub(super) fn pax(self, records: &[(&[u8], &[u8])]) -> Self {
        let data: Vec<u8> = records
            .iter()
            .flat_map(|(key, value)| {
                let rest = key.len() + value.len() + 3;
                let length = (rest + 1..).find(|length| rest + length.to_string().len() == *length).unwrap();
                [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
            })
            .collect();
        self.raw(b"pax", b'x', data.len() as u64, |_| {}).data(&data)
    }

    /// The stream without its two zero blocks.
    pub(super) fn unfinished(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

/// Uncompressed layers in memory.
#[derive(Debug, Default)]
pub(super) struct MemoryLayers {
    layers: Vec<(Vec<u8>, DiffId)>,
}

impl MemoryLayers {
    pub(super) fn new(layers: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let layers = layers.into_iter().map(|layer| (layer.clone(), DiffId(super::sha256(&layer)))).collect();
        Self { layers }
    }
}

impl LayerSource for MemoryLayers {
    fn count(&self) -> usize {
        self.layers.len()
    }

    fn diff_id(&self, layer: usize) -> Option<&DiffId> {
        self.layers.get(layer).map(|(_, diff_id)| diff_id)
    }

    fn open(&self, layer: usize) -> Result<Box<dyn Read + Send + '_>, LayerError> {
        Ok(Box::new(self.layers[layer].0.as_slice()))
    }
}
