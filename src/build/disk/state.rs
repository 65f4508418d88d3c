//! What is put onto a disk besides its image: a host's files, and credentials.

use std::fmt;
use std::io::Read as _;
use std::str::FromStr;

use cap_std::fs_utf8::camino::Utf8PathBuf;

use super::super::error::io;
use super::super::tier3;
use super::{BuildError, DiskError, DiskRequest};
use crate::build::Project;
use crate::disk::assemble::{State, StateFile, StateKind};
use crate::model::Karg;
use crate::oci::{Image, LayerSource};
use crate::plan::host::{HostEntry, Node};
use crate::sys::dirs;

/// Where systemd looks for credentials that a unit loads or imports (systemd.exec(5), `ImportCredential=`).
const CREDENTIALS: &str = "/etc/credstore";
/// systemd takes no more than this for all credentials of a unit.
const LARGEST: u64 = 1 << 20;

/// A credential for one disk: its name, and the file that it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    name: String,
    file: Utf8PathBuf,
}

/// Text that names no credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not NAME=FILE, with a name that systemd takes: up to 255 letters, digits and signs without `/` and `:`"
)]
pub struct CredentialError(String);

impl FromStr for Credential {
    type Err = CredentialError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let signs = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':');
        let (name, file) = text.split_once('=').ok_or_else(|| CredentialError(text.to_owned()))?;
        let is_name = (1..=255).contains(&name.len()) && name.bytes().all(signs) && !matches!(name, "." | "..");
        if is_name && !file.is_empty() {
            Ok(Self { name: name.to_owned(), file: file.into() })
        } else {
            Err(CredentialError(text.to_owned()))
        }
    }
}

impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Reads credentials, and works out what the host adds.
pub(super) fn gather(
    project: Option<&Project>,
    request: &DiskRequest,
    image: &Image,
    layers: &dyn LayerSource,
) -> Result<(State, Vec<Karg>), BuildError> {
    let (mut state, mut kargs) = (State::new(), request.kargs.clone());
    if let (Some(host), Some(project)) = (&request.host, project) {
        if let Some(own) = image.label("dev.imgbuild.host") {
            return Err(DiskError::OwnImage { image: request.image.to_string(), host: own.to_owned() }.into());
        }
        let of_host = tier3::state_of(project, host, layers)?;
        kargs.extend(of_host.kargs);
        state.extend(of_host.entries.into_iter().map(|(path, entry)| (path, file(entry))));
    }
    if !request.credentials.is_empty() {
        state.insert(CREDENTIALS.to_owned(), StateFile { kind: StateKind::Directory, mode: 0o700, uid: 0, gid: 0 });
    }
    for credential in &request.credentials {
        let path = format!("{CREDENTIALS}/{}", credential.name);
        let kind = StateKind::File(read(credential)?);
        if state.insert(path, StateFile { kind, mode: 0o600, uid: 0, gid: 0 }).is_some() {
            return Err(DiskError::CredentialTwice { name: credential.name.clone() }.into());
        }
    }
    Ok((state, kargs))
}

fn file(entry: HostEntry) -> StateFile {
    let kind = match entry.node {
        Node::File(bytes) => StateKind::File(bytes),
        Node::Directory => StateKind::Directory,
        Node::Symlink(target) => StateKind::Symlink(target.into_bytes()),
        Node::Removed => StateKind::Removed,
    };
    StateFile { kind, mode: u16::try_from(entry.mode).unwrap_or(0o7777), uid: entry.uid, gid: entry.gid }
}

fn read(credential: &Credential) -> Result<Vec<u8>, BuildError> {
    let path = &credential.file;
    let file = dirs::open_file(path).map_err(io("opening", path))?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(io("reading", path))?;
    if bytes.len() as u64 > LARGEST {
        return Err(DiskError::CredentialSize { name: credential.name.clone() }.into());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_systemd_takes() {
        for (text, name) in [
            ("passwd.hashed-password.root=secret/root", Some("passwd.hashed-password.root")),
            ("a=b=c", Some("a")),
            ("a/b=c", None),
            ("a:b=c", None),
            ("..=c", None),
            ("=c", None),
            ("a=", None),
            ("a", None),
        ] {
            assert_eq!(text.parse::<Credential>().ok().map(|found| found.name).as_deref(), name, "{text}");
        }
    }
}
