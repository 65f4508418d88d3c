//! Package files: fetched once by digest, kept in the store, laid out as a repository for each step that installs.
//!
//! Archives move: a version that is on offer today is gone next week. So every
//! package the lock names is kept, and a build reads nothing but these files.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use cap_std::fs_utf8::camino::{Utf8Path, Utf8PathBuf};
use cap_std::fs_utf8::{Dir, MetadataExt as _};
use sha2::{Digest as _, Sha256};

use super::Session;
use super::audit::{Event, Verb};
use super::error::{BuildError, command, io};
use crate::config::{Archive, LockedPackage};
use crate::model::deb822;
use crate::model::{ByteSize, hex};
use crate::oci::layer::{EntryKind, TarReader, UnpackLimits};
use crate::oci::{InitramfsEntry, read_initramfs};
use crate::sys::{Step, dirs};
use crate::tool::apt::{self, Apt, Download};
use crate::tool::{dpkg, rpm};

/// How many files one run of the fetching program gets: few enough to show progress, enough to keep connections busy.
const BATCH: usize = 16;

/// No file that is read out of a package is larger.
const FILE_LIMIT: u64 = 16 << 20;
/// Most bytes read of what an RPM package unpacks to; the largest sources of modules have 200 MB.
const PAYLOAD_LIMIT: u64 = 1 << 30;

/// Addresses of the archives that packages are fetched from.
#[derive(Debug, Clone, Default)]
pub(super) struct Archives(BTreeMap<Archive, String>);

impl Archives {
    /// Adds the address of an archive's root.
    pub(super) fn insert(&mut self, archive: Archive, root: impl Into<String>) {
        self.0.insert(archive, root.into());
    }

    /// The archive an address belongs to, and the rest of the address.
    pub(super) fn locate(&self, uri: &str) -> Option<(Archive, String)> {
        self.0.iter().find_map(|(archive, root)| Some((archive.clone(), apt::below(root, uri)?)))
    }

    fn uri(&self, package: &LockedPackage) -> Result<String, BuildError> {
        let root = self.0.get(&package.archive).ok_or_else(|| BuildError::UnknownArchive {
            package: package.name.clone(),
            archive: format!("{:?}", package.archive),
        })?;
        Ok(apt::uri_of(root, &package.path))
    }
}

/// The package files of the store.
#[derive(Debug)]
pub(super) struct PackageCache<'s> {
    session: &'s Session,
    dir: Dir,
    path: Utf8PathBuf,
}

impl<'s> PackageCache<'s> {
    /// Opens the cache.
    ///
    /// # Errors
    /// When its folder cannot be opened.
    pub(super) fn open(session: &'s Session) -> Result<Self, BuildError> {
        let path = session.store.path().join("packages");
        let dir = dirs::open(&path).map_err(io("opening", &path))?;
        Ok(Self { session, dir, path })
    }

    /// Makes sure that every package is in the store, whole.
    ///
    /// # Errors
    /// When one cannot be fetched or does not have its digest.
    pub(super) fn ensure(
        &self,
        packages: &[&LockedPackage],
        archives: &Archives,
        apt_config: &Utf8Path,
    ) -> Result<(), BuildError> {
        let missing = self.missing(packages)?;
        if missing.is_empty() {
            return Ok(());
        }
        self.session.interrupt.check()?;
        let total = ByteSize(missing.iter().map(|package| package.size).sum());
        let step = Step::start_bytes(&self.session.progress, format!("fetch {} packages", missing.len()), total.0);
        for batch in missing.chunks(BATCH) {
            self.fetch(batch, archives, apt_config)?;
            step.advance(batch.iter().map(|package| package.size).sum());
        }
        step.finish(total.to_string());
        Ok(())
    }

    /// Those of `packages` that the store does not have, each once.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) fn missing<'p>(&self, packages: &[&'p LockedPackage]) -> Result<Vec<&'p LockedPackage>, BuildError> {
        let mut seen = BTreeSet::new();
        let mut missing = Vec::new();
        let mut events = Vec::new();
        for package in packages.iter().copied().filter(|package| seen.insert(&package.sha256)) {
            if self.is_whole(package)? {
                events.push(event(Verb::CacheHit, package));
            } else {
                missing.push(package);
            }
        }
        self.session.store.audit().record_all(events)?;
        Ok(missing)
    }

    /// Moves files that another program fetched, given by their names in `fetched`, to their place.
    ///
    /// # Errors
    /// When one does not have its digest or cannot be moved.
    pub(super) fn keep_all<'p>(
        &self,
        files: impl IntoIterator<Item = (&'p LockedPackage, &'p str)>,
        fetched: &Dir,
    ) -> Result<(), BuildError> {
        let mut events = Vec::new();
        for (package, file) in files {
            if self.keep(package, fetched, file)? {
                events.push(event(Verb::Fetch, package));
            }
        }
        Ok(self.session.store.audit().record_all(events)?)
    }

    fn fetch(&self, batch: &[&LockedPackage], archives: &Archives, apt_config: &Utf8Path) -> Result<(), BuildError> {
        let folder = self.session.store.work_folder("fetch")?;
        let fetched = dirs::open(&folder).map_err(io("opening", &folder))?;
        let uris = batch.iter().map(|package| archives.uri(package)).collect::<Result<Vec<_>, _>>()?;
        let targets: Vec<_> = batch.iter().map(|package| folder.join(package.sha256.as_str())).collect();
        let downloads = batch.iter().zip(&uris).zip(&targets).map(|((package, uri), target)| Download {
            uri,
            target: target.as_str(),
            sha256: package.sha256.as_str(),
        });
        let cmd = Apt { config: apt_config.as_str() }.download(downloads);
        let outcome = self.session.runner.run(&cmd).map_err(command("fetching packages"));
        // What did arrive is kept even when another file failed.
        let mut events = Vec::new();
        for package in batch {
            if self.keep(package, &fetched, package.sha256.as_str())? {
                events.push(event(Verb::Fetch, package));
            }
        }
        self.session.store.audit().record_all(events)?;
        outcome
    }

    /// Moves a fetched file to its place once its content has been checked; `false` when it did not arrive.
    fn keep(&self, package: &LockedPackage, fetched: &Dir, file_name: &str) -> Result<bool, BuildError> {
        let name = package.sha256.as_str();
        let file = match fetched.open(file_name) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(io("opening", self.path.join(name))(error)),
        };
        let actual = sha256(file.try_clone().map_err(io("opening", name))?).map_err(io("reading", name))?;
        if actual != name {
            return Err(BuildError::PackageDigest {
                package: format!("{} {}", package.name, package.version),
                expected: name.to_owned(),
                found: actual,
            });
        }
        file.sync_all().map_err(io("syncing", name))?;
        fetched.rename(file_name, &self.dir, name).map_err(io("keeping", self.path.join(name)))?;
        dirs::sync(&self.dir).map_err(io("syncing", &self.path))?;
        Ok(true)
    }

    /// Whether the store has the package, with its content as it should be. A damaged file is removed.
    fn is_whole(&self, package: &LockedPackage) -> Result<bool, BuildError> {
        let name = package.sha256.as_str();
        let file = match self.dir.open(name) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(io("opening", self.path.join(name))(error)),
        };
        if sha256(file).map_err(io("reading", self.path.join(name)))? == name {
            return Ok(true);
        }
        tracing::warn!(package = %package.name, "a package file in the store is damaged; fetching it again");
        self.dir.remove_file(name).map_err(io("removing", self.path.join(name)))?;
        Ok(false)
    }

    /// Control fields of a Debian package of the store.
    ///
    /// # Errors
    /// When dpkg-deb cannot read the file.
    pub(super) fn control(&self, package: &LockedPackage) -> Result<String, BuildError> {
        let name = format!("{}.control", package.sha256);
        match self.dir.read_to_string(&name) {
            Ok(text) => return Ok(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(io("reading", self.path.join(name))(error)),
        }
        let deb = self.path.join(package.sha256.as_str());
        let text = self
            .session
            .runner
            .read(&dpkg::fields(deb.as_str()))
            .map_err(command(format!("reading the package {}", package.name)))?;
        // Only a cache of what the package file says: a torn write is noticed as a missing field and made again.
        let temporary = format!("{name}.{}", self.session.store.run_id());
        self.dir.write(&temporary, &text).map_err(io("writing", self.path.join(&temporary)))?;
        self.dir.rename(&temporary, &self.dir, &name).map_err(io("writing", self.path.join(&name)))?;
        Ok(text)
    }

    /// The files of a Debian package of the store for whose path (without leading slash) `wanted` holds.
    ///
    /// # Errors
    /// When the package cannot be read.
    pub(super) fn files(
        &self,
        package: &LockedPackage,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<BTreeMap<String, Vec<u8>>, BuildError> {
        let deb = self.path.join(package.sha256.as_str());
        let mut found = BTreeMap::new();
        let mut consume = |tar: &mut dyn Read| {
            let mut tar = TarReader::new(tar, UnpackLimits::default());
            while let Some(entry) = tar.next_entry().map_err(std::io::Error::other)? {
                let path = String::from_utf8_lossy(&entry.path).into_owned();
                if matches!(entry.kind, EntryKind::File { size } if size <= FILE_LIMIT) && wanted(&path) {
                    let mut bytes = Vec::new();
                    tar.content().read_to_end(&mut bytes)?;
                    found.insert(path, bytes);
                }
            }
            Ok(())
        };
        let step = format!("reading the files of the package {}", package.name);
        self.session.runner.stream(&dpkg::files(deb.as_str()), &mut consume).map_err(command(step))?;
        Ok(found)
    }

    /// The same of an RPM package.
    ///
    /// # Errors
    /// When the package cannot be read.
    pub(super) fn rpm_files(
        &self,
        package: &LockedPackage,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<BTreeMap<String, Vec<u8>>, BuildError> {
        let rpm = self.path.join(package.sha256.as_str());
        let mut found = BTreeMap::new();
        let mut consume = |stream: &mut dyn Read| {
            let mut archive = Vec::new();
            stream.take(PAYLOAD_LIMIT).read_to_end(&mut archive)?;
            // What the initramfs of a kernel is: a cpio archive.
            let mut keep = |entry: &InitramfsEntry, content: &mut dyn Read| {
                let path = String::from_utf8_lossy(&entry.path).into_owned();
                if entry.is_file() && entry.size <= FILE_LIMIT && wanted(&path) {
                    let mut bytes = Vec::new();
                    content.read_to_end(&mut bytes)?;
                    found.insert(path, bytes);
                }
                Ok(())
            };
            read_initramfs(&archive, &mut keep).map_err(std::io::Error::other)
        };
        let step = format!("reading the files of the package {}", package.name);
        self.session.runner.stream(&rpm::payload(rpm.as_str()), &mut consume).map_err(command(step))?;
        Ok(found)
    }

    /// Lays out a flat Debian repository holding exactly these packages; returns its folder.
    ///
    /// # Errors
    /// When the files cannot be linked or read.
    pub(super) fn deb_repository(&self, name: &str, packages: &[&LockedPackage]) -> Result<Utf8PathBuf, BuildError> {
        let folder = self.session.store.work_folder(name)?;
        let dir = dirs::open(&folder).map_err(io("opening", &folder))?;
        let mut index = String::new();
        for package in packages {
            let file = file_name(package);
            self.place(package, &dir, &file).map_err(io("placing", folder.join(&file)))?;
            let control = self.control(package)?;
            let stanza = only_stanza(package, &control)?;
            dpkg::write_package(&mut index, &stanza, &file, package.size, package.sha256.as_str());
        }
        dir.write("Packages", index).map_err(io("writing", folder.join("Packages")))?;
        Ok(folder)
    }

    /// Lays out exactly these RPM packages in a folder.
    ///
    /// # Errors
    /// When the files cannot be linked.
    pub(super) fn rpm_repository(&self, name: &str, packages: &[&LockedPackage]) -> Result<(), BuildError> {
        let folder = self.session.store.work_folder(name)?;
        let dir = dirs::open(&folder).map_err(io("opening", &folder))?;
        for package in packages {
            let file = file_name(package);
            self.place(package, &dir, &file).map_err(io("placing", folder.join(&file)))?;
        }
        Ok(())
    }

    /// Copies every package file to `target`, under the names the archive gives them.
    ///
    /// # Errors
    /// When a file is missing or cannot be copied.
    pub(super) fn export(&self, packages: &[&LockedPackage], target: &Utf8Path) -> Result<(), BuildError> {
        let dir = dirs::open_or_create(target).map_err(io("creating", target))?;
        for package in packages {
            let file = file_name(package);
            self.dir.copy(package.sha256.as_str(), &dir, &file).map_err(io("copying to", target.join(file)))?;
        }
        dirs::sync(&dir).map_err(io("syncing", target))
    }

    /// A hard link where the file system can, a copy where it cannot.
    fn place(&self, package: &LockedPackage, dir: &Dir, file: &str) -> std::io::Result<()> {
        let name = package.sha256.as_str();
        match self.dir.hard_link(name, dir, file) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => self.dir.copy(name, dir, file).map(drop),
            _ => Ok(()),
        }
    }

    /// Files of the cache that are none of `keep`, with their sizes.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub(super) fn unused(dir: &Dir, keep: &BTreeSet<&str>) -> std::io::Result<Vec<(String, ByteSize)>> {
        let mut unused = Vec::new();
        for entry in dir.entries()? {
            let entry = entry?;
            let name = entry.file_name()?;
            let digest = name.split('.').next().unwrap_or(&name);
            if !keep.contains(digest) {
                unused.push((name, ByteSize(entry.metadata()?.size())));
            }
        }
        unused.sort();
        Ok(unused)
    }
}

/// The one description in the text of a control file.
pub(super) fn only_stanza<'c>(package: &LockedPackage, control: &'c str) -> Result<deb822::Stanza<'c>, BuildError> {
    let stanzas = deb822::parse_stanzas(control)
        .map_err(|source| BuildError::Control { package: package.name.clone(), source })?;
    stanzas.into_iter().next().ok_or_else(|| BuildError::EmptyControl { package: package.name.clone() })
}

fn event(verb: Verb, package: &LockedPackage) -> Event {
    Event::new(verb, format!("{} {} {}", package.name, package.version, package.architecture))
        .digest(&format!("sha256:{}", package.sha256))
}

/// The name the distribution gives a package file; the colon of an epoch cannot be part of it.
fn file_name(package: &LockedPackage) -> String {
    let LockedPackage { name, version, architecture, .. } = package;
    match package.path.ends_with(".rpm") {
        true => {
            let version = version.split_once(':').map_or(version.as_str(), |(_, rest)| rest);
            format!("{name}-{version}.{architecture}.rpm")
        }
        false => format!("{name}_{}_{architecture}.deb", version.replace(':', "%3a")),
    }
}

/// SHA-256 of a file in lower-case hexadecimal.
pub(super) fn sha256(mut file: cap_std::fs_utf8::File) -> std::io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hasher.finalize())),
            count => hasher.update(&buffer[..count]),
        }
    }
}
