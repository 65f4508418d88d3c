//! The inventory of an image, taken while its layers are read once.
//!
//! Layers are compressed streams that must be read to their ends anyway to be verified, so everything that may matter
//! is kept as it comes by: package databases of every layer, copyright files, `os-release`; and every kernel module is
//! read on other threads meanwhile. What a later layer hides is dropped at the end, when the merged tree is known.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};
use std::sync::{Mutex, mpsc};

use super::database::{self, Database};
use super::error::SbomError;
use super::kernel::{self, Kernel, KernelModule, ModuleFacts, ReadModule};
use super::licence;
use super::os_release::OsRelease;
use super::package::Package;
use super::purl::PackageUrl;
use crate::oci::layer::{EntryKind, LayerEntry, TarReader, UnpackLimits};
use crate::oci::tree::{Content, MergePolicy, TreeError};
use crate::oci::{ImageTree, LayerError, LayerSource};

/// No package database is larger.
const DATABASE_LIMIT: u64 = 256 << 20;
/// Most bytes of all databases of all layers together.
const DATABASES_LIMIT: u64 = 1 << 30;
/// No copyright file and no `os-release` that is read is larger: the kernel's has 100 kB.
const TEXT_LIMIT: u64 = 1 << 20;
/// Most bytes of such files kept; those of 5,000 packages have 60 MB.
const TEXTS_LIMIT: u64 = 256 << 20;
/// No kernel or module that is read is larger.
const MODULE_LIMIT: u64 = 128 << 20;
/// Modules that wait to be read by a thread.
const WAITING: usize = 8;

/// Where a content is: layer and offset in its uncompressed stream.
type Place = (usize, u64);

/// What an image holds.
#[derive(Debug, Clone)]
pub struct Catalogue {
    /// The distribution, where the image says.
    pub os: Option<(OsRelease, FileFacts)>,
    /// Installed packages, by name.
    pub packages: Vec<Installed>,
    /// Kernels, by release.
    pub kernels: Vec<Kernel>,
    /// Modules of all kernels, by path.
    pub modules: Vec<KernelModule>,
    /// Path of the database the packages are from, without leading slash.
    pub database: Option<String>,
}

/// A package and the layer that brought it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The package.
    pub package: Package,
    /// The first layer whose database has it in this version.
    pub layer: usize,
    /// Its licence as an SPDX expression, or `NOASSERTION`.
    pub licence: String,
}

/// A file of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFacts {
    /// Path without leading slash.
    pub path: String,
    /// The layer it is from.
    pub layer: usize,
    /// Its digests.
    pub digests: Digests,
}

/// Digests of a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digests {
    /// SHA-256, lower-case hexadecimal.
    pub sha256: String,
    /// SHA-512, lower-case hexadecimal.
    pub sha512: String,
}

impl Digests {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::{Digest as _, Sha256, Sha512};
        Self { sha256: crate::model::hex(&Sha256::digest(bytes)), sha512: crate::model::hex(&Sha512::digest(bytes)) }
    }
}

impl Catalogue {
    /// Takes the packages that another program found, each a package URL with its licences, in the place of those
    /// found here. What is known here about the same package is kept.
    pub fn replace_packages(&mut self, found: impl IntoIterator<Item = (String, Vec<String>)>) {
        let os = self.os.as_ref().map(|(os, _)| os);
        let known: BTreeMap<String, Installed> =
            self.packages.drain(..).map(|installed| (installed.package.purl(os).to_string(), installed)).collect();
        let mut packages: Vec<Installed> = Vec::new();
        for (purl, licences) in found {
            let Some(url) = PackageUrl::parse(&purl) else { continue };
            packages.push(known.get(&purl).cloned().unwrap_or_else(|| {
                Installed {
                    package: Package::of_purl(url),
                    layer: usize::MAX,
                    licence: licence::all_of(&licences.iter().map(|text| licence::of_tag(text)).collect())
                        .unwrap_or_else(|| licence::UNKNOWN.to_owned()),
                }
            }));
        }
        packages.sort_by_cached_key(|installed| installed.package.purl(None).to_string());
        self.packages = packages;
    }
}

/// Reads layers one after the other; may be copied on the way, so that many images on one base read it once.
#[derive(Debug, Clone, Default)]
pub struct Cataloguer {
    tree: ImageTree,
    layers: usize,
    texts: BTreeMap<Place, Vec<u8>>,
    text_bytes: u64,
    databases: BTreeMap<Place, Vec<u8>>,
    database_bytes: u64,
    modules: BTreeMap<Place, (Digests, Option<ModuleFacts>)>,
}

/// A kernel or module on its way to a thread.
struct Job {
    place: Place,
    is_module: bool,
    bytes: Vec<u8>,
}

/// What is worth keeping of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Interest {
    Database,
    Text,
    Module,
    Kernel,
}

impl Cataloguer {
    /// Reads the layers of `source` that have not been read yet; `read` reads one module.
    ///
    /// # Errors
    /// When a layer cannot be read, or anything in it is larger than what is read.
    pub fn read(&mut self, source: &dyn LayerSource, read: &ReadModule<'_>) -> Result<(), SbomError> {
        let (sender, receiver) = mpsc::sync_channel::<Job>(WAITING);
        let (receiver, found) = (Mutex::new(receiver), Mutex::new(Vec::new()));
        let work = || {
            loop {
                let job = receiver.lock().expect("not poisoned").recv();
                let Ok(job) = job else { return };
                let facts = if job.is_module { read(&job.bytes) } else { None };
                let result = (job.place, (Digests::of(&job.bytes), facts));
                found.lock().expect("not poisoned").push(result);
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                std::thread::Builder::new().spawn_scoped(scope, work).map_err(SbomError::Thread)?;
            }
            self.read_layers(source, &sender)
                // Dropping the sender ends the threads.
                .inspect(|()| drop(sender))
        })?;
        self.modules.extend(found.into_inner().expect("not poisoned"));
        Ok(())
    }

    fn read_layers(&mut self, source: &dyn LayerSource, jobs: &mpsc::SyncSender<Job>) -> Result<(), SbomError> {
        let mut tree = std::mem::take(&mut self.tree);
        for layer in self.layers..source.count() {
            let stream = source.open(layer).map_err(|source| TreeError::Layer { layer, source })?;
            let mut stream = BufReader::with_capacity(128 << 10, stream);
            tree.apply_layer(&mut stream, &MergePolicy::default(), &mut |layer, entry, content| {
                self.see(layer, entry, content, jobs)
            })?;
        }
        self.layers = source.count();
        self.tree = tree;
        Ok(())
    }

    fn see(
        &mut self,
        layer: usize,
        entry: &LayerEntry,
        content: &mut dyn Read,
        jobs: &mpsc::SyncSender<Job>,
    ) -> io::Result<()> {
        let place = (layer, entry.offset);
        match interest(&entry.path) {
            None => {}
            Some(Interest::Database) => {
                let rest = DATABASES_LIMIT.saturating_sub(self.database_bytes).min(DATABASE_LIMIT);
                if let Some(bytes) = read_up_to(entry, content, rest)? {
                    self.database_bytes += bytes.len() as u64;
                    self.databases.insert(place, bytes);
                }
            }
            Some(Interest::Text) => {
                let rest = TEXTS_LIMIT.saturating_sub(self.text_bytes).min(TEXT_LIMIT);
                if let Some(bytes) = read_up_to(entry, content, rest)? {
                    self.text_bytes += bytes.len() as u64;
                    self.texts.insert(place, bytes);
                }
            }
            Some(kind) => {
                if let Some(bytes) = read_up_to(entry, content, MODULE_LIMIT)? {
                    // Fails only when all threads are gone, and those end after this one.
                    let _sent = jobs.send(Job { place, is_module: kind == Interest::Module, bytes });
                }
            }
        }
        Ok(())
    }

    /// Whether the layers of `source` above those that were read leave the inventory as it is; read to their ends.
    ///
    /// Says so only where it is plain: files of no interest, folders, and anything below `/etc`.
    ///
    /// # Errors
    /// When a layer cannot be read.
    pub fn is_unchanged_by(&self, source: &dyn LayerSource) -> Result<bool, SbomError> {
        let mut unchanged = true;
        for layer in self.layers..source.count() {
            let failed = |source| TreeError::Layer { layer, source };
            let stream = source.open(layer).map_err(failed)?;
            let mut tar = TarReader::new(stream, UnpackLimits::default());
            while let Some(entry) = tar.next_entry().map_err(failed)? {
                unchanged &= self.is_harmless(&entry);
            }
            let rest = io::copy(&mut tar.into_inner(), &mut io::sink());
            rest.map_err(|error| failed(LayerError::from_read(error)))?;
        }
        Ok(unchanged)
    }

    fn is_harmless(&self, entry: &LayerEntry) -> bool {
        let is_folder = || self.tree.lookup(&entry.path).is_some_and(|id| self.tree.node(id).children().is_some());
        let in_etc = entry.path.starts_with(b"etc/") && entry.path != b"etc/os-release";
        match entry.kind {
            EntryKind::Directory => true,
            EntryKind::Whiteout | EntryKind::Opaque => false,
            EntryKind::File { .. } => interest(&entry.path).is_none() && !is_folder(),
            _ => in_etc,
        }
    }

    /// The inventory of the layers read.
    ///
    /// # Errors
    /// When a package database is damaged, too large or of a format that is not read.
    pub fn finish(&self) -> Result<Catalogue, SbomError> {
        let os = self.os();
        let found = database::find(&self.tree);
        let mut packages = Vec::new();
        for database in &found {
            packages.extend(self.packages(database)?);
        }
        packages.sort_by_cached_key(|installed| {
            let package = &installed.package;
            (package.name.clone(), package.full_version(), package.architecture.clone())
        });
        let (kernels, modules) = kernel::find(&self.tree, |content| {
            let place = place(content)?;
            self.modules.get(&place).map(|(digests, facts)| (place.0, digests.clone(), facts.clone()))
        });
        let database = found.first().map(|database| database.path.clone());
        Ok(Catalogue { os, packages, kernels, modules, database })
    }

    fn os(&self) -> Option<(OsRelease, FileFacts)> {
        ["etc/os-release", "usr/lib/os-release"].iter().find_map(|path| {
            let place = self.place_of(path)?;
            let bytes = self.texts.get(&place)?;
            let os = OsRelease::parse(&String::from_utf8_lossy(bytes));
            let file = FileFacts { path: (*path).to_owned(), layer: place.0, digests: Digests::of(bytes) };
            Some((os, file))
        })
    }

    /// The place of the regular file that a path leads to.
    fn place_of(&self, path: &str) -> Option<Place> {
        place(self.tree.node(self.tree.resolve(path)?).content()?)
    }

    fn packages(&self, database: &Database) -> Result<Vec<Installed>, SbomError> {
        let place = self.place_of(&database.path);
        let Some(last) = place else { return Ok(Vec::new()) };
        let size =
            self.tree.resolve(&database.path).and_then(|id| self.tree.node(id).content()).map_or(0, Content::size);
        let bytes = self.databases.get(&last).ok_or_else(|| SbomError::TooLarge {
            path: database.path.clone(),
            size,
            limit: DATABASE_LIMIT,
        })?;
        let failed = |source| SbomError::Database { path: database.path.clone(), source };
        let log = database.log().and_then(|path| self.databases.get(&self.place_of(&path)?));
        let packages = database.parse_with(bytes, log).map_err(failed)?;
        let earlier = self.earlier(database, last);
        Ok(packages.into_iter().map(|package| self.installed(package, last.0, &earlier)).collect())
    }

    /// What each lower layer's copy of a database had, lowest first. Copies that cannot be read say nothing.
    fn earlier(&self, database: &Database, last: Place) -> Vec<(usize, Vec<Package>)> {
        let older = self.databases.range(..last).filter(|((layer, _), _)| *layer < last.0);
        let read = older.filter_map(|((layer, _), bytes)| Some((*layer, database.parse(bytes).ok()?)));
        read.collect()
    }

    fn installed(&self, package: Package, last: usize, earlier: &[(usize, Vec<Package>)]) -> Installed {
        let same = |other: &Package| {
            (&other.name, other.full_version(), &other.architecture)
                == (&package.name, package.full_version(), &package.architecture)
        };
        let layer = earlier.iter().find(|(_, packages)| packages.iter().any(same)).map_or(last, |(layer, _)| *layer);
        let licence = match &package.licence {
            Some(tag) => licence::of_tag(tag),
            None => self.copyright(&package.name).unwrap_or_else(|| licence::UNKNOWN.to_owned()),
        };
        Installed { package, layer, licence }
    }

    fn copyright(&self, package: &str) -> Option<String> {
        let bytes = self.texts.get(&self.place_of(&format!("usr/share/doc/{package}/copyright"))?)?;
        Some(licence::of_copyright(package, bytes))
    }
}

fn place(content: &Content) -> Option<Place> {
    match content {
        Content::Stream { layer, offset, .. } => Some((usize::from(*layer), *offset)),
        Content::Empty | Content::Bytes(_) => None,
    }
}

/// The content, when it is no larger than `limit`; a larger one takes no memory.
fn read_up_to(entry: &LayerEntry, content: &mut dyn Read, limit: u64) -> io::Result<Option<Vec<u8>>> {
    if !matches!(entry.kind, EntryKind::File { size } if size <= limit) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    content.take(limit).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Judged by the end of the path: a layer may write through links that an earlier one made.
fn interest(path: &[u8]) -> Option<Interest> {
    let path = std::str::from_utf8(path).ok()?;
    let (folder, name) = path.rsplit_once('/')?;
    if database::is_database(folder, name) {
        return Some(Interest::Database);
    }
    if name == "os-release" || (name == "copyright" && folder.contains("share/doc/")) {
        return Some(Interest::Text);
    }
    if folder.starts_with("usr/lib/modules/") || folder.starts_with("lib/modules/") {
        return match name {
            "vmlinuz" => Some(Interest::Kernel),
            _ => kernel::is_module_name(name).then_some(Interest::Module),
        };
    }
    None
}
