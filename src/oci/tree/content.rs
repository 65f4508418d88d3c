//! Reading the content of a tree's files from its layers.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::OnceLock;

use cap_std::fs_utf8::Dir;
use cap_std_ext::cap_tempfile::TempFile;

use super::super::file_range::FileRange;
use super::super::layer::{LayerError, Lossy};
use super::ImageTree;
use super::error::{PathProblem, TreeError};
use super::node::{Content, Node, NodeId};
use crate::model::DiffId;

/// Where a tree's layers are read from, uncompressed.
pub trait LayerSource: Sync {
    /// How many there are.
    fn count(&self) -> usize;

    /// What the layer is, when somebody has said so: lets two trees find that they share content without reading it.
    fn diff_id(&self, layer: usize) -> Option<&DiffId>;

    /// The layer's uncompressed tar stream from its beginning. Reading it to its end verifies it.
    ///
    /// # Errors
    /// When it cannot be opened.
    fn open(&self, layer: usize) -> Result<Box<dyn Read + Send + '_>, LayerError>;

    /// The stream from `offset` on; by default by reading everything before it.
    ///
    /// # Errors
    /// When it cannot be opened, read so far, or ends before.
    fn open_at(&self, layer: usize, offset: u64) -> Result<Box<dyn Read + Send + '_>, LayerError> {
        let mut stream = self.open(layer)?;
        skip(&mut stream, offset)?;
        Ok(stream)
    }
}

fn skip(stream: &mut dyn Read, bytes: u64) -> Result<(), LayerError> {
    let skipped = io::copy(&mut stream.take(bytes), &mut io::sink()).map_err(LayerError::from_read)?;
    if skipped < bytes { Err(LayerError::Truncated { offset: skipped }) } else { Ok(()) }
}

/// For trees whose content is all in memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoLayers;

impl LayerSource for NoLayers {
    fn count(&self) -> usize {
        0
    }

    fn diff_id(&self, _layer: usize) -> Option<&DiffId> {
        None
    }

    fn open(&self, _layer: usize) -> Result<Box<dyn Read + Send + '_>, LayerError> {
        Err(LayerError::Read(io::ErrorKind::NotFound.into()))
    }
}

/// Uncompressed tar files as layers, such as a bootstrap tool's output. Nobody vouches for their digests.
#[derive(Debug)]
pub struct TarFileLayers(pub Vec<File>);

impl LayerSource for TarFileLayers {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn diff_id(&self, _layer: usize) -> Option<&DiffId> {
        None
    }

    fn open(&self, layer: usize) -> Result<Box<dyn Read + Send + '_>, LayerError> {
        self.open_at(layer, 0)
    }

    fn open_at(&self, layer: usize, offset: u64) -> Result<Box<dyn Read + Send + '_>, LayerError> {
        Ok(Box::new(FileRange::to_end(&self.0[layer], offset)))
    }
}

/// Another source's layers, each uncompressed into a nameless file the first time content is read out of order.
///
/// For writing a whole compressed image anew in the order of its paths.
pub struct SpooledLayers<'a> {
    inner: &'a dyn LayerSource,
    dir: &'a Dir,
    spools: Vec<OnceLock<File>>,
}

impl std::fmt::Debug for SpooledLayers<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpooledLayers").field("layers", &self.spools.len()).finish_non_exhaustive()
    }
}

impl<'a> SpooledLayers<'a> {
    /// Spools into files in `dir`, which vanish with this value.
    pub fn new(inner: &'a dyn LayerSource, dir: &'a Dir) -> Self {
        let spools = (0..inner.count()).map(|_| OnceLock::new()).collect();
        Self { inner, dir, spools }
    }

    fn spool(&self, layer: usize) -> Result<&File, LayerError> {
        if let Some(file) = self.spools[layer].get() {
            return Ok(file);
        }
        let mut file = TempFile::new_anonymous(self.dir.as_cap_std()).map_err(LayerError::Write)?.into_std();
        copy(&mut self.inner.open(layer)?, &mut file)?;
        Ok(self.spools[layer].get_or_init(|| file))
    }
}

/// Copies to the end, telling failures of the two sides apart.
fn copy(from: &mut dyn Read, to: &mut dyn Write) -> Result<(), LayerError> {
    let mut buffer = vec![0; 256 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => to.write_all(&buffer[..count]).map_err(LayerError::Write)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(LayerError::from_read(error)),
        }
    }
}

impl LayerSource for SpooledLayers<'_> {
    fn count(&self) -> usize {
        self.inner.count()
    }

    fn diff_id(&self, layer: usize) -> Option<&DiffId> {
        self.inner.diff_id(layer)
    }

    fn open(&self, layer: usize) -> Result<Box<dyn Read + Send + '_>, LayerError> {
        self.open_at(layer, 0)
    }

    fn open_at(&self, layer: usize, offset: u64) -> Result<Box<dyn Read + Send + '_>, LayerError> {
        Ok(Box::new(FileRange::to_end(self.spool(layer)?, offset)))
    }
}

/// A file and its content, in [`ImageTree::visit_contents`].
pub struct Visit<'v> {
    /// Its number.
    pub id: NodeId,
    /// The file.
    pub node: &'v Node,
    /// Its content; what is not read is skipped.
    pub content: &'v mut dyn Read,
}

impl std::fmt::Debug for Visit<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Visit").field("id", &self.id).finish_non_exhaustive()
    }
}

impl ImageTree {
    /// The content of the regular file that `path` leads to, links followed within the image.
    ///
    /// Reads the whole layer the file is in, because only its end proves that it is the right one: for
    /// several files use [`ImageTree::read_files`].
    ///
    /// # Errors
    /// When there is no such regular file, it is larger than `limit` bytes, or reading fails.
    pub fn read_file(
        &self,
        layers: &dyn LayerSource,
        path: impl AsRef<[u8]>,
        limit: u64,
    ) -> Result<Vec<u8>, TreeError> {
        let path = path.as_ref();
        let mut found = self.read_files(layers, &[path], limit)?;
        found.remove(path).ok_or_else(|| TreeError::Path { path: Lossy::from(path), problem: PathProblem::NotFound })
    }

    /// The contents of those of `paths` that lead to a regular file; each layer is read at most once.
    ///
    /// # Errors
    /// When a path leads to something else, a file is larger than `limit` bytes, or reading fails.
    pub fn read_files<P: AsRef<[u8]>>(
        &self,
        layers: &dyn LayerSource,
        paths: &[P],
        limit: u64,
    ) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, TreeError> {
        let mut wanted: BTreeMap<NodeId, Vec<&[u8]>> = BTreeMap::new();
        for path in paths.iter().map(AsRef::as_ref) {
            let Some(id) = self.resolve(path) else { continue };
            let size = self.regular(path, id)?.size();
            if size > limit {
                return Err(TreeError::TooLarge { path: Lossy::from(path), size, limit });
            }
            wanted.entry(id).or_default().push(path);
        }
        let mut found = BTreeMap::new();
        self.visit_contents(
            layers,
            |id, _| wanted.contains_key(&id),
            |visit| {
                let mut bytes = Vec::new();
                visit.content.read_to_end(&mut bytes)?;
                for path in &wanted[&visit.id] {
                    found.insert(path.to_vec(), bytes.clone());
                }
                Ok(())
            },
        )?;
        Ok(found)
    }

    fn regular(&self, path: &[u8], id: NodeId) -> Result<&Content, TreeError> {
        self.node(id)
            .content()
            .ok_or_else(|| TreeError::Path { path: Lossy::from(path), problem: PathProblem::NotAFile })
    }

    /// Shows the content of every wanted regular file to `sink`, each file once however many names it has.
    ///
    /// First what is in memory, then layer by layer in the order of the stream;
    /// a layer that has anything wanted is read, and so verified, to its end.
    ///
    /// # Errors
    /// When a layer cannot be read, or `sink` fails.
    pub fn visit_contents(
        &self,
        layers: &dyn LayerSource,
        mut wanted: impl FnMut(NodeId, &Node) -> bool,
        mut sink: impl FnMut(Visit<'_>) -> io::Result<()>,
    ) -> Result<(), TreeError> {
        let mut streamed = Vec::new();
        for id in self.files() {
            let node = self.node(id);
            match node.content() {
                Some(Content::Stream { layer, offset, .. }) if wanted(id, node) => streamed.push((*layer, *offset, id)),
                Some(Content::Stream { .. }) | None => {}
                Some(Content::Empty) if wanted(id, node) => self.show(id, &mut io::empty(), &mut sink)?,
                Some(Content::Bytes(bytes)) if wanted(id, node) => self.show(id, &mut &bytes[..], &mut sink)?,
                Some(_) => {}
            }
        }
        streamed.sort_unstable();
        for group in streamed.chunk_by(|a, b| a.0 == b.0) {
            self.visit_layer(layers, group, &mut sink)?;
        }
        Ok(())
    }

    /// Numbers of everything that has a name.
    fn files(&self) -> impl Iterator<Item = NodeId> {
        (0..self.node_slots())
            .map(|index| NodeId(u32::try_from(index).expect("slots are numbered by u32")))
            .filter(|id| self.node(*id).links > 0)
    }

    fn visit_layer(
        &self,
        layers: &dyn LayerSource,
        files: &[(u16, u64, NodeId)],
        sink: &mut impl FnMut(Visit<'_>) -> io::Result<()>,
    ) -> Result<(), TreeError> {
        let layer = usize::from(files[0].0);
        let failed = |source| TreeError::Layer { layer, source };
        let stream = layers.open(layer).map_err(failed)?;
        let mut stream = io::BufReader::with_capacity(128 << 10, stream);
        let mut position = 0;
        for &(_, offset, id) in files {
            let size = self.node(id).content().map_or(0, Content::size);
            skip(&mut stream, offset - position).map_err(failed)?;
            let mut content = io::Read::take(&mut stream, size);
            self.show(id, &mut content, sink)?;
            let rest = content.limit();
            skip(&mut stream, rest).map_err(failed)?;
            position = offset + size;
        }
        copy(&mut stream, &mut io::sink()).map_err(failed)
    }

    fn show(
        &self,
        id: NodeId,
        content: &mut dyn Read,
        sink: &mut impl FnMut(Visit<'_>) -> io::Result<()>,
    ) -> Result<(), TreeError> {
        sink(Visit { id, node: self.node(id), content })
            .map_err(|source| TreeError::Sink { path: Lossy::from(&*self.path_of(id)), source })
    }

    /// A path of the file, for messages: found by search.
    fn path_of(&self, id: NodeId) -> Vec<u8> {
        self.walk().find(|entry| entry.id == id).map(|entry| entry.path).unwrap_or_default()
    }
}
