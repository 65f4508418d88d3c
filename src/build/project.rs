//! The project on disk: its definition, its lock, the files it names.

use cap_std::fs_utf8::Dir;
use cap_std::fs_utf8::camino::{Utf8Path, Utf8PathBuf};

use super::error::{BuildError, io};
use crate::config::{Builtin, Definition, Lock};
use crate::model::{ImageLocator, SourceDateEpoch};
use crate::plan::Selection;
use crate::plan::drift::{Drift, drift};
use crate::plan::host::{self, Sources};
use crate::sys::{dirs, env};

/// Name of the lock file.
const LOCK_FILE: &str = "imgbuild.lock";

/// A loaded project.
#[derive(Debug)]
pub struct Project {
    /// Its folder, absolute.
    path: Utf8PathBuf,
    dir: Dir,
    /// The definition.
    pub definition: Definition,
    /// The lock, where there is one.
    pub lock: Option<Lock>,
}

/// A lock that does not say what the definition asks.
#[derive(Debug, thiserror::Error)]
#[error("the lock does not match the definition:{}\nrun `imgbuild lock`, or leave --locked out", list(drifts))]
pub struct DriftError {
    /// What is wrong.
    pub drifts: Vec<Drift>,
}

fn list(drifts: &[Drift]) -> String {
    drifts.iter().map(|drift| format!("\n  {drift}")).collect()
}

impl Project {
    /// Reads the definition and the lock in `path`.
    ///
    /// # Errors
    /// When the folder cannot be read, or either has errors: then all of them.
    pub fn load(path: &Utf8Path) -> Result<Self, BuildError> {
        let path = dirs::absolute(path).map_err(io("finding", path))?;
        let dir = dirs::open(&path).map_err(io("opening the project", &path))?;
        let definition = Definition::load(&dir, &Builtin::compiled())?;
        let lock = match dir.read_to_string(LOCK_FILE) {
            Ok(text) => Some(Lock::parse(&text)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(io("reading", path.join(LOCK_FILE))(error)),
        };
        Ok(Self { path, dir, definition, lock })
    }

    /// Its folder, absolute.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// Architecture of all images, as the image specification spells it.
    pub fn architecture(&self) -> &str {
        self.definition.project.architecture.as_deref().unwrap_or(match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        })
    }

    /// The same as Debian spells it.
    pub fn debian_architecture(&self) -> &str {
        // Equal for amd64, arm64, riscv64 and s390x; the one difference among bootc's platforms is below.
        match self.architecture() {
            "ppc64le" => "ppc64el",
            same => same,
        }
    }

    /// Absolute form of a path the definition gives relative to the project.
    pub fn resolve(&self, path: &str) -> Utf8PathBuf {
        self.path.join(path)
    }

    /// A locator of the definition with its path made absolute: the definition's paths are relative to the project.
    pub fn locate(&self, locator: &ImageLocator) -> ImageLocator {
        let absolute = |path: &str| self.resolve(path).into_string();
        match locator {
            ImageLocator::OciLayout { path, reference } => {
                ImageLocator::OciLayout { path: absolute(path), reference: reference.clone() }
            }
            ImageLocator::OciArchive { path, reference } => {
                ImageLocator::OciArchive { path: absolute(path), reference: reference.clone() }
            }
            elsewhere => elsewhere.clone(),
        }
    }

    /// Refuses when the lock does not match the definition for the selected images and what they stand on.
    ///
    /// # Errors
    /// [`BuildError::Drift`] with every difference.
    pub fn check_drift(&self, selection: &Selection) -> Result<(), BuildError> {
        let selection = selection.clone().with_bases(&self.definition);
        let drifts = drift(&self.definition, self.lock.as_ref(), &selection);
        if drifts.is_empty() { Ok(()) } else { Err(BuildError::Drift(DriftError { drifts })) }
    }

    /// Puts a new lock in place of the old one, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save_lock(&mut self, lock: Lock) -> Result<(), BuildError> {
        let path = self.path.join(LOCK_FILE);
        let temporary = format!(".{LOCK_FILE}.{}", std::process::id());
        let write = || {
            self.dir.write(&temporary, lock.to_toml())?;
            self.dir.open(&temporary)?.sync_all()?;
            self.dir.rename(&temporary, &self.dir, LOCK_FILE)?;
            dirs::sync(&self.dir)
        };
        write().map_err(io("writing", path))?;
        self.lock = Some(lock);
        Ok(())
    }

    /// The time written into images: the user's, else the lock's.
    pub fn epoch(&self) -> SourceDateEpoch {
        let given = env::SOURCE_DATE_EPOCH.get().and_then(|text| text.parse().ok());
        let locked = self.lock.as_ref().map(|lock| lock.source_date_epoch);
        given.or(locked).unwrap_or_else(|| SourceDateEpoch::from_secs(0))
    }

    /// The bytes of a file of the project.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, BuildError> {
        self.dir.read(path).map_err(io("reading", self.resolve(path)))
    }

    /// The bytes of every file that `host` names.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn sources(&self, host: &crate::config::Host) -> Result<Sources, BuildError> {
        host::sources(host).into_iter().map(|path| Ok((path.to_owned(), self.read(path)?))).collect()
    }
}
