//! What a proof reads: of an image copied out in one pass over its layers, of a folder read where it lies.
//!
//! Layers are compressed streams, and a proof asks for modules in any order, some twice. So the few files it may
//! ask for go to one nameless file first; the image itself is never unpacked, and memory holds one file at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;

use cap_std::fs_utf8::Dir;
use cap_std::fs_utf8::camino::Utf8Path;
use cap_std_ext::cap_tempfile::TempFile;

use crate::kmod::is_module_path;
use crate::model::KernelRelease;
use crate::oci::tree::NodeId;
use crate::oci::{ImageTree, LayerSource};
use crate::sys::dirs;

use super::super::BuildError;
use super::super::error::io as io_error;

/// Largest file copied out: no module, list or initramfs is larger.
const MAX_FILE: u64 = 512 << 20;
/// Most bytes copied out together. All modules of a distribution's kernel have 500 MB uncompressed.
const MAX_TOTAL: u64 = 16 << 30;
/// Folders deeper than this hold no modules; a folder of somebody else's may hold links in circles.
const MAX_DEPTH: usize = 16;

/// Folder of all modules.
pub(super) const MODULES: &str = "/usr/lib/modules/";
/// Folder of unified kernels, which have their initramfs in them.
pub(super) const UNIFIED: &str = "/boot/EFI/Linux/";
/// Folder of all firmware.
const FIRMWARE: &str = "/usr/lib/firmware/";
/// Folders of configuration that names modules: systemd's and dracut's, each with what overrides it.
pub(super) const LOAD_FOLDERS: [&str; 2] = ["/usr/lib/modules-load.d/", "/etc/modules-load.d/"];
pub(super) const DRACUT_FOLDERS: [&str; 2] = ["/usr/lib/dracut/dracut.conf.d/", "/etc/dracut.conf.d/"];

/// The files a proof may read, by absolute path, and the names of all firmware.
#[derive(Debug)]
pub(in crate::build) struct Material {
    files: BTreeMap<String, Place>,
    /// Below the folder of firmware.
    pub(super) firmware: BTreeSet<String>,
    contents: Contents,
}

/// Where the content of a file is.
#[derive(Debug, Clone)]
enum Place {
    /// Copied out, at this offset.
    Copied { offset: u64, length: u64 },
    /// At this path of the folder.
    Folder(String),
    /// Larger than anything that is read.
    TooLarge(u64),
    /// There, and never asked for.
    Known,
}

#[derive(Debug)]
enum Contents {
    Spool(File),
    Folder(Dir),
}

impl Material {
    /// Copies what may be read out of an image into a nameless file in `scratch`, in one pass.
    ///
    /// # Errors
    /// When a layer cannot be read or the file not be written.
    pub(in crate::build) fn of_tree(
        tree: &ImageTree,
        layers: &dyn LayerSource,
        scratch: &Utf8Path,
    ) -> Result<Self, BuildError> {
        let mut wanted: BTreeMap<NodeId, Vec<String>> = BTreeMap::new();
        let mut files = BTreeMap::new();
        for (path, id) in files_of_tree(tree) {
            match interest(&path) {
                Interest::Content => wanted.entry(id).or_default().push(path),
                Interest::Presence => drop(files.insert(path, Place::Known)),
                Interest::None => {}
            }
        }
        let dir = dirs::open(scratch).map_err(io_error("opening", scratch))?;
        let spool = TempFile::new_anonymous(dir.as_cap_std()).map_err(io_error("making a file in", scratch))?;
        let mut spool = Spool { file: spool.into_std(), end: 0 };
        tree.visit_contents(
            layers,
            |id, _| wanted.contains_key(&id),
            |visit| {
                let size = visit.node.content().map_or(0, |content| content.size());
                let place = spool.copy(visit.content, size)?;
                files.extend(wanted[&visit.id].iter().map(|path| (path.clone(), place.clone())));
                Ok(())
            },
        )?;
        let firmware = below(tree, FIRMWARE).map(|(path, _)| path).collect();
        Ok(Self { files, firmware, contents: Contents::Spool(spool.file) })
    }

    /// Lists a folder: an unpacked root, or one that holds `lib/modules`.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub(in crate::build) fn of_folder(path: &Utf8Path) -> Result<Self, BuildError> {
        let dir = dirs::open(path).map_err(io_error("opening", path))?;
        let mut files = BTreeMap::new();
        let mut firmware = BTreeSet::new();
        let folders = [MODULES, FIRMWARE].iter().chain(&LOAD_FOLDERS).chain(&DRACUT_FOLDERS).copied().chain(["/boot/"]);
        // Kernel packages and older distributions have /lib beside /usr; elsewhere it is a link, perhaps an absolute
        // one, to what is listed anyway.
        let beside = dir.symlink_metadata("lib").is_ok_and(|metadata| metadata.is_dir());
        for folder in folders {
            let outside = folder.strip_prefix("/usr").filter(|_| beside);
            for place in std::iter::once(folder).chain(outside) {
                let place = place.trim_matches('/');
                let mut found = Vec::new();
                list(&dir, place, 0, &mut found).map_err(io_error("listing", path.join(place)))?;
                for file in found {
                    let below = file[place.len()..].trim_start_matches('/').to_owned();
                    let absolute = format!("{folder}{below}");
                    if folder == FIRMWARE {
                        firmware.insert(below);
                    } else if interest(&absolute) != Interest::None {
                        files.entry(absolute).or_insert(Place::Folder(file));
                    }
                }
            }
        }
        Ok(Self { files, firmware, contents: Contents::Folder(dir) })
    }

    /// Files below a folder, which ends with a slash, in order.
    pub(super) fn below(&self, folder: &str) -> impl Iterator<Item = &String> + use<'_> {
        let folder = folder.to_owned();
        let from = self.files.range(folder.clone()..).map(|(path, _)| path);
        from.take_while(move |path| path.starts_with(&folder))
    }

    /// Whether the file is there.
    pub(super) fn has(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// Releases that have a folder of modules.
    pub(super) fn releases(&self) -> BTreeSet<KernelRelease> {
        let name = |path: &String| path.strip_prefix(MODULES)?.split_once('/')?.0.parse().ok();
        self.files.keys().filter_map(name).collect()
    }

    /// Whether there is a kernel of this release, or at least its own modules.
    pub(super) fn has_kernel(&self, release: &KernelRelease) -> bool {
        self.has(&format!("{MODULES}{release}/vmlinuz"))
            || self.has(&format!("/boot/vmlinuz-{release}"))
            || self.has(&format!("{UNIFIED}{release}.efi"))
            || self.below(&format!("{MODULES}{release}/kernel/")).next().is_some()
    }

    /// Reads one file.
    pub(super) fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        match (self.files.get(path), &self.contents) {
            (Some(Place::Copied { offset, length }), Contents::Spool(file)) => {
                let mut bytes = vec![0; usize::try_from(*length).map_err(io::Error::other)?];
                file.read_exact_at(&mut bytes, *offset)?;
                Ok(bytes)
            }
            (Some(Place::Folder(path)), Contents::Folder(dir)) => read_capped(dir, path),
            (Some(Place::TooLarge(size)), _) => Err(too_large(*size)),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Reads a small text; nothing when it is not there or cannot be read, as for the programs that use it.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        self.read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn read_capped(dir: &Dir, path: &str) -> io::Result<Vec<u8>> {
    let size = dir.metadata(path)?.len();
    if size > MAX_FILE { Err(too_large(size)) } else { dir.read(path) }
}

fn too_large(size: u64) -> io::Error {
    io::Error::other(format!("{size} bytes, more than the {MAX_FILE} that are read"))
}

struct Spool {
    file: File,
    end: u64,
}

impl Spool {
    fn copy(&mut self, content: &mut dyn io::Read, size: u64) -> io::Result<Place> {
        if size > MAX_FILE || self.end.saturating_add(size) > MAX_TOTAL {
            return Ok(Place::TooLarge(size));
        }
        let length = io::copy(content, &mut self.file)?;
        let offset = self.end;
        self.end += length;
        self.file.flush()?;
        Ok(Place::Copied { offset, length })
    }
}

/// What a proof wants of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Interest {
    None,
    Presence,
    Content,
}

fn interest(path: &str) -> Interest {
    let content = |wanted: bool| if wanted { Interest::Content } else { Interest::None };
    if let Some((_, file)) = path.strip_prefix(MODULES).and_then(|path| path.split_once('/')) {
        let lists = ["modules.dep", "modules.builtin", "initramfs.img", "Module.symvers"];
        return match file {
            "vmlinuz" => Interest::Presence,
            _ => content(is_module_path(path) || lists.contains(&file) || file.starts_with("symvers")),
        };
    }
    match path.strip_prefix("/boot/") {
        Some(file) if file.starts_with("vmlinuz-") => Interest::Presence,
        Some(file) if path.starts_with(UNIFIED) => content(file.ends_with(".efi")),
        Some(file) => content(file.starts_with("initramfs-") || file.starts_with("initrd.img-")),
        None => content(path.ends_with(".conf")),
    }
}

/// Files of the folders a proof looks into, links followed, by the path the host will have them at.
fn files_of_tree(tree: &ImageTree) -> impl Iterator<Item = (String, NodeId)> {
    let folders = [MODULES].into_iter().chain(LOAD_FOLDERS).chain(DRACUT_FOLDERS).chain(["/boot/"]);
    folders.flat_map(|folder| {
        let files = below(tree, folder).map(move |(path, id)| (format!("{folder}{path}"), id));
        files.collect::<Vec<_>>()
    })
}

/// Files below a folder, relative to it; where the image has no merged `/usr`, of the folder outside it.
fn below<'t>(tree: &'t ImageTree, folder: &str) -> impl Iterator<Item = (String, NodeId)> + use<'t> {
    let outside = folder.strip_prefix("/usr").unwrap_or(folder);
    let start = [folder, outside].into_iter().filter_map(|path| tree.canonical(path.trim_end_matches('/')));
    let start = start.into_iter().find(|path| tree.lookup(path).is_some()).unwrap_or_default();
    let length = start.len();
    let walk = (length > 0).then(|| tree.walk_from(&start)).into_iter().flatten();
    walk.filter_map(move |entry| {
        let id = match entry.node.symlink_target() {
            Some(_) => tree.resolve(&entry.path)?,
            None => entry.id,
        };
        tree.node(id).content()?;
        let path = std::str::from_utf8(entry.path.get(length + 1..)?).ok()?;
        Some((path.to_owned(), id))
    })
}

/// Files below a folder, links to files followed; a folder that is not there has none.
fn list(dir: &Dir, folder: &str, depth: usize, found: &mut Vec<String>) -> io::Result<()> {
    let entries = match dir.read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name() else { continue };
        let path = format!("{folder}/{name}");
        if entry.file_type()?.is_dir() {
            if depth < MAX_DEPTH {
                list(dir, &path, depth + 1, found)?;
            }
            continue;
        }
        // A link that leads nowhere, or out of the folder, is not there for the host either.
        if dir.metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
            found.push(path);
        }
    }
    Ok(())
}
