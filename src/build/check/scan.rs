//! One pass over an image's layers: the merged tree, and what every layer carries that no image should.
//!
//! A file that a later layer deletes or replaces is still in the lower one, and still travels. So files are judged
//! as their layer is read; the merged tree adds what a layer's stream shows without content: hard links, empty files.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, Read};

use crate::kmod::{AddedFile, Finding, leftover_file};
use crate::model::deb822;
use crate::oci::layer::LayerEntry;
use crate::oci::tree::{Content, MergePolicy, TreeError};
use crate::oci::{ImageTree, LayerSource};
use crate::sys::Interrupt;

use super::super::BuildError;

/// So many bytes of a file tell a program or a private key.
const HEAD: u64 = 4096;
/// No package database is larger.
const DATABASE_LIMIT: u64 = 256 << 20;
/// Most bytes of dpkg's lists of files kept; those of 5,000 packages have 50 MB.
const LISTS_LIMIT: u64 = 512 << 20;
/// Folders of dpkg's database: the distribution's, and the one of bootable images.
const DPKG: [&str; 2] = ["var/lib/dpkg/", "usr/lib/sysimage/dpkg/"];
/// What stands for a key that was found by its first line, where only the class of a content is known.
const KEY_HEAD: &[u8] = b"-----BEGIN PRIVATE KEY-----";

/// What was read.
#[derive(Debug)]
pub(super) struct Scan {
    /// All layers merged.
    pub(super) tree: ImageTree,
    /// The layers of the base merged.
    pub(super) base: ImageTree,
    /// What no image should hold, by layer.
    pub(super) files: Vec<FoundFile>,
    /// Names of the packages dpkg lists, for every layer that has its status file.
    pub(super) statuses: Vec<(usize, BTreeSet<String>)>,
    /// Files of each package, as dpkg lists them; also of packages that are no longer there.
    pub(super) lists: BTreeMap<String, Vec<String>>,
}

/// A file that no image should hold.
#[derive(Debug, Clone)]
pub(super) struct FoundFile {
    pub(super) finding: Finding,
    pub(super) layer: usize,
    /// Whether the image of all layers shows it no more.
    pub(super) gone: bool,
}

/// What is remembered of a content.
#[derive(Debug, Clone, Copy)]
struct Class {
    start: [u8; 4],
    key: bool,
}

#[derive(Default)]
struct Scanner {
    classes: BTreeMap<(usize, u64), Class>,
    /// With the path as the layer has it.
    files: Vec<(Vec<u8>, FoundFile)>,
    statuses: Vec<(usize, Vec<u8>)>,
    lists: BTreeMap<String, Vec<u8>>,
    list_bytes: u64,
}

impl Scan {
    /// Reads all layers; the first `base_layers` are the base's.
    ///
    /// # Errors
    /// When a layer or dpkg's status file cannot be read, or after a signal.
    pub(super) fn read(
        interrupt: &Interrupt,
        layers: &dyn LayerSource,
        base_layers: usize,
    ) -> Result<Self, BuildError> {
        let mut scanner = Scanner::default();
        let mut tree = ImageTree::new();
        let mut base = ImageTree::new();
        for layer in 0..layers.count() {
            interrupt.check()?;
            if layer == base_layers {
                base = tree.clone();
            }
            let stream = layers.open(layer).map_err(|source| TreeError::Layer { layer, source })?;
            let mut stream = BufReader::with_capacity(128 << 10, stream);
            tree.apply_layer(&mut stream, &MergePolicy::default(), &mut |layer, entry, content| {
                scanner.see(layer, entry, content)
            })?;
        }
        if base_layers == layers.count() {
            base = tree.clone();
        }
        scanner.finish(tree, base)
    }
}

impl Scanner {
    fn see(&mut self, layer: usize, entry: &LayerEntry, content: &mut dyn Read) -> io::Result<()> {
        if let Some(file) = DPKG.iter().find_map(|folder| below(&entry.path, folder)) {
            return self.see_database(layer, file, content);
        }
        let mut head = Vec::new();
        content.take(HEAD).read_to_end(&mut head)?;
        let mut start = [0; 4];
        start.iter_mut().zip(&head).for_each(|(to, from)| *to = *from);
        let path = in_usr(&entry.path);
        let finding = leftover_file(&AddedFile { path: &path, mode: u32::from(entry.metadata.mode), head: &head });
        let key = finding.as_ref().is_some_and(|finding| finding.code == crate::kmod::Code::PrivateKey);
        self.classes.insert((layer, entry.offset), Class { start, key });
        self.files.extend(finding.map(|finding| (entry.path.clone(), FoundFile { finding, layer, gone: false })));
        Ok(())
    }

    fn see_database(&mut self, layer: usize, file: &str, content: &mut dyn Read) -> io::Result<()> {
        let mut bytes = Vec::new();
        if file == "status" {
            content.take(DATABASE_LIMIT).read_to_end(&mut bytes)?;
            self.statuses.push((layer, bytes));
        } else if let Some(name) = file.strip_prefix("info/").and_then(|file| file.strip_suffix(".list")) {
            content.take(LISTS_LIMIT.saturating_sub(self.list_bytes)).read_to_end(&mut bytes)?;
            self.list_bytes += bytes.len() as u64;
            let name = name.split_once(':').map_or(name, |(name, _)| name);
            self.lists.insert(name.to_owned(), bytes);
        }
        Ok(())
    }

    fn finish(self, tree: ImageTree, base: ImageTree) -> Result<Scan, BuildError> {
        let mut files: Vec<FoundFile> = Vec::new();
        let mut seen = BTreeSet::new();
        for (path, mut found) in self.files {
            // Still shown only when what is at the path came from this layer.
            let shown = tree.lookup(&path).and_then(|id| tree.node(id).content());
            found.gone = !matches!(shown, Some(Content::Stream { layer, .. }) if usize::from(*layer) == found.layer);
            if !found.gone {
                seen.insert(found.finding.subject.clone());
            }
            files.push(found);
        }
        for entry in tree.walk() {
            let class = match entry.node.content() {
                Some(Content::Stream { layer, offset, .. }) => self.classes.get(&(usize::from(*layer), *offset)),
                Some(_) => Some(&Class { start: [0; 4], key: false }),
                None => None,
            };
            let Some(class) = class else { continue };
            let path = in_usr(&entry.path);
            let head = if class.key { KEY_HEAD } else { &class.start[..] };
            let mode = u32::from(entry.node.metadata().mode);
            let finding = leftover_file(&AddedFile { path: &path, mode, head });
            let new = finding.filter(|finding| !seen.contains(&finding.subject));
            files.extend(new.map(|finding| FoundFile { finding, layer: entry.layer, gone: false }));
        }
        let statuses = self.statuses.iter().map(|(layer, text)| Ok((*layer, parse_status(text)?)));
        Ok(Scan {
            statuses: statuses.collect::<Result<_, BuildError>>()?,
            lists: self.lists.into_iter().map(|(name, text)| (name, parse_list(&text))).collect(),
            tree,
            base,
            files,
        })
    }
}

fn below<'p>(path: &'p [u8], folder: &str) -> Option<&'p str> {
    std::str::from_utf8(path.strip_prefix(folder.as_bytes())?).ok()
}

/// The absolute path with `/bin` and its like where they lead to on every distribution of today.
fn in_usr(path: &[u8]) -> Vec<u8> {
    let outside = [&b"bin/"[..], b"sbin/", b"lib/", b"lib64/"].iter().any(|folder| path.starts_with(folder));
    [if outside { &b"/usr/"[..] } else { b"/" }, path].concat()
}

fn parse_status(bytes: &[u8]) -> Result<BTreeSet<String>, BuildError> {
    let text = String::from_utf8_lossy(bytes);
    let stanzas = deb822::parse_stanzas(&text).map_err(BuildError::Status)?;
    let installed = stanzas.iter().filter(|stanza| stanza.is_installed());
    Ok(installed.filter_map(|stanza| stanza.get("Package")).map(str::to_owned).collect())
}

/// Paths of a list of dpkg, as [`in_usr`] gives them.
fn parse_list(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let paths = text.lines().filter_map(|line| line.strip_prefix('/')).filter(|path| *path != ".");
    paths.map(|path| String::from_utf8_lossy(&in_usr(path.as_bytes())).into_owned()).collect()
}
