//! Writing a tree, or what changed in it, as a layer.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use super::super::layer::{EntryKind, LayerEntry, LayerError, LayerWriter, Lossy, Metadata};
use super::content::LayerSource;
use super::diff::{Change, Changes};
use super::error::TreeError;
use super::node::{Content, Kind, NodeId};
use super::{ImageTree, WalkEntry};

/// What of a tree goes into a layer.
#[derive(Debug, Clone, Copy)]
pub enum Selection<'a> {
    /// Everything, the root included: a whole image in one layer.
    Whole,
    /// What makes the tree out of the one it was compared with.
    Changes(&'a Changes),
}

impl Selection<'_> {
    fn includes(&self, path: &[u8]) -> bool {
        match self {
            Self::Whole => true,
            Self::Changes(changes) => !matches!(changes.get(path), None | Some(Change::Removed)),
        }
    }
}

impl ImageTree {
    /// Appends entries to a layer: whiteouts first, then files in the order of
    /// [`ImageTree::walk`]; of several names of one file the first carries the content.
    ///
    /// Whiteouts come first because some engines apply them in the order of the tar.
    ///
    /// Contents are read from `layers` in the order of paths. A source that can only be read from
    /// its beginning is read again whenever that order goes back: wrap it in [`super::SpooledLayers`].
    ///
    /// # Errors
    /// When a layer cannot be read, a file cannot be put into a tar, or writing fails.
    pub fn write_layer<W: Write>(
        &self,
        selection: Selection<'_>,
        layers: &dyn LayerSource,
        writer: &mut LayerWriter<W>,
    ) -> Result<(), TreeError> {
        if let Selection::Changes(changes) = selection {
            write_whiteouts(changes, writer)?;
        }
        let mut contents = Contents { layers, open: BTreeMap::new() };
        let mut first_names = BTreeMap::new();
        for entry in self.walk().filter(|entry| selection.includes(&entry.path)) {
            self.write_entry(&entry, &mut first_names, &mut contents, writer)?;
        }
        contents.finish()
    }

    fn write_entry<W: Write>(
        &self,
        entry: &WalkEntry<'_>,
        first_names: &mut BTreeMap<NodeId, Vec<u8>>,
        contents: &mut Contents<'_>,
        writer: &mut LayerWriter<W>,
    ) -> Result<(), TreeError> {
        if let Some(target) = first_names.get(&entry.id) {
            let link = layer_entry(entry, EntryKind::Hardlink { target: target.clone() });
            return writer.append(&link, &mut io::empty()).map_err(TreeError::Write);
        }
        if entry.node.links() > 1 {
            first_names.insert(entry.id, entry.path.clone());
        }
        let (kind, content) = match entry.node.kind() {
            Kind::Directory(_) => (EntryKind::Directory, &Content::Empty),
            Kind::File(content) => (EntryKind::File { size: content.size() }, content),
            Kind::Symlink(target) => (EntryKind::Symlink { target: target.to_vec() }, &Content::Empty),
            &Kind::CharDevice { major, minor } => (EntryKind::CharDevice { major, minor }, &Content::Empty),
            &Kind::BlockDevice { major, minor } => (EntryKind::BlockDevice { major, minor }, &Content::Empty),
            Kind::Fifo => (EntryKind::Fifo, &Content::Empty),
        };
        let layer_entry = layer_entry(entry, kind);
        match content {
            Content::Empty => writer.append(&layer_entry, &mut io::empty()).map_err(TreeError::Write),
            Content::Bytes(bytes) => writer.append(&layer_entry, &mut &bytes[..]).map_err(TreeError::Write),
            &Content::Stream { layer, offset, size } => {
                contents.with(layer, offset, size, |stream| writer.append(&layer_entry, stream))
            }
        }
    }
}

fn layer_entry(entry: &WalkEntry<'_>, kind: EntryKind) -> LayerEntry {
    let metadata = entry.node.metadata().clone();
    LayerEntry { path: entry.path.clone(), kind, metadata, offset: 0, dropped: Vec::new() }
}

fn write_whiteouts<W: Write>(changes: &Changes, writer: &mut LayerWriter<W>) -> Result<(), TreeError> {
    for (path, _) in changes.iter().filter(|(_, change)| **change == Change::Removed) {
        let whiteout = LayerEntry {
            path: path.to_vec(),
            kind: EntryKind::Whiteout,
            metadata: Metadata::default(),
            offset: 0,
            dropped: Vec::new(),
        };
        writer.append(&whiteout, &mut io::empty()).map_err(TreeError::Write)?;
    }
    Ok(())
}

/// Streams of layers, kept open where they were left.
struct Contents<'a> {
    layers: &'a dyn LayerSource,
    open: BTreeMap<u16, Stream<'a>>,
}

struct Stream<'a> {
    reader: io::BufReader<Box<dyn Read + Send + 'a>>,
    position: u64,
}

impl Contents<'_> {
    fn with(
        &mut self,
        layer: u16,
        offset: u64,
        size: u64,
        write: impl FnOnce(&mut dyn Read) -> Result<(), LayerError>,
    ) -> Result<(), TreeError> {
        let failed = |source| TreeError::Layer { layer: usize::from(layer), source };
        if self.open.get(&layer).is_none_or(|stream| stream.position > offset) {
            let reader = self.layers.open_at(usize::from(layer), offset).map_err(failed)?;
            let reader = io::BufReader::with_capacity(128 << 10, reader);
            self.open.insert(layer, Stream { reader, position: offset });
        }
        let Some(stream) = self.open.get_mut(&layer) else { unreachable!("opened just above") };
        let gap = offset - stream.position;
        io::copy(&mut (&mut stream.reader).take(gap), &mut io::sink())
            .map_err(|error| failed(LayerError::from_read(error)))?;
        let mut content = (&mut stream.reader).take(size);
        let result = write(&mut content);
        stream.position = offset + size - content.limit();
        result.map_err(|error| match error {
            LayerError::Content { path, source } => content_error(usize::from(layer), path, source),
            error => TreeError::Write(error),
        })
    }

    /// Reads what is open to its end, where it is verified.
    fn finish(self) -> Result<(), TreeError> {
        for (layer, mut stream) in self.open {
            io::copy(&mut stream.reader, &mut io::sink()).map_err(|error| TreeError::Layer {
                layer: usize::from(layer),
                source: LayerError::from_read(error),
            })?;
        }
        Ok(())
    }
}

/// A failure to read content is the source layer's; when that does not say more, the path does.
fn content_error(layer: usize, path: Lossy, source: io::Error) -> TreeError {
    match LayerError::from_read(source) {
        LayerError::Read(source) => TreeError::Layer { layer, source: LayerError::Content { path, source } },
        source => TreeError::Layer { layer, source },
    }
}
