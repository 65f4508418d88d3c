//! The composefs-setup-root program that goes into the initramfs of bootstrapped images.

use std::io::Read as _;

use cap_std::fs_utf8::camino::Utf8PathBuf;
use sha2::{Digest as _, Sha256};

use super::error::io;
use super::{BuildError, Settings};
use crate::model::{Sha256Hex, hex};
use crate::sys::{dirs, env};

/// Name of the program.
const PROGRAM: &str = "composefs-setup-root";

/// Where packages of imgbuild put it.
const INSTALLED: &str = "/usr/lib/imgbuild/composefs-setup-root";

/// The program found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SetupRoot {
    /// Its path.
    pub(super) path: Utf8PathBuf,
    /// Digest of its content.
    pub(super) sha256: Sha256Hex,
}

/// Looks where the user says, else beside imgbuild itself, else where packages put it.
///
/// # Errors
/// When it is in none of these places.
pub(super) fn find(settings: &Settings) -> Result<SetupRoot, BuildError> {
    let places = candidates(settings);
    let Some(path) = places.iter().find(|path| dirs::exists(path)) else {
        return Err(BuildError::NoSetupRoot { looked: places });
    };
    let path = dirs::absolute(path).map_err(io("finding", path))?;
    let mut bytes = Vec::new();
    let mut file = dirs::open_file(&path).map_err(io("opening", &path))?;
    file.read_to_end(&mut bytes).map_err(io("reading", &path))?;
    let sha256 = hex(&Sha256::digest(&bytes)).parse().expect("a digest is 64 hexadecimal digits");
    Ok(SetupRoot { path, sha256 })
}

/// The places, in order; only the first of what the user says counts.
pub(super) fn candidates(settings: &Settings) -> Vec<Utf8PathBuf> {
    let said = settings.setup_root.clone().or_else(|| env::IMGBUILD_SETUP_ROOT.get().map(Utf8PathBuf::from));
    if let Some(path) = said {
        return vec![path];
    }
    let beside = std::env::current_exe().ok().and_then(|exe| Utf8PathBuf::from_path_buf(exe).ok());
    let beside = beside.map(|exe| exe.with_file_name(PROGRAM));
    beside.into_iter().chain([Utf8PathBuf::from(INSTALLED)]).collect()
}
