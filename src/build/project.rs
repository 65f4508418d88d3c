//! The project on disk: its definition, its lock, the files it names.

use std::collections::BTreeMap;

use cap_std::fs_utf8::Dir;
use cap_std::fs_utf8::camino::{Utf8Path, Utf8PathBuf};

use super::error::{BuildError, io};
use crate::config::{self, Definition, Lock};
use crate::plan::host::Sources;
use crate::sys::dirs;

/// Name of the lock file.
pub const LOCK_FILE: &str = "imgbuild.lock";

/// A loaded project.
#[derive(Debug)]
pub struct Project {
    /// Its folder.
    pub path: Utf8PathBuf,
    /// Its folder, opened.
    pub dir: Dir,
    /// The definition.
    pub definition: Definition,
    /// The lock, where there is one.
    pub lock: Option<Lock>,
}
