//! A host's files as state of a shared image: everything in `/etc` and `/var`, nothing in the image.
//!
//! What a layer has in `/usr` because it is part of the image then, goes to the place in `/etc` that means the same to
//! systemd. Files for `/var` need no factory: they are put there.

use std::collections::BTreeMap;

use super::entries::FACTORY;
use super::{BaseView, HostEntry, HostError, Node, Sources, layer};
use crate::config::Host;
use crate::model::{HostName, Karg};

/// Where a host's kernel arguments are in a layer.
const KARGS: &str = "/usr/lib/bootc/kargs.d/50-imgbuild-host.toml";
/// Folders that systemd also reads below `/etc`, where they count for more.
const LOCAL: [&str; 3] = ["sysusers.d/", "tmpfiles.d/", "systemd/system-preset/"];

/// What a host adds to a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostState {
    /// Kernel arguments.
    pub kargs: Vec<Karg>,
    /// Everything in `/etc` and `/var`, by absolute path.
    pub entries: BTreeMap<String, HostEntry>,
}

/// A host's files beside an image that is not its own.
///
/// # Errors
/// As [`layer`], and for files that only an image of the host's own can have.
pub fn state(name: &HostName, host: &Host, base: &dyn BaseView, sources: &Sources) -> Result<HostState, HostError> {
    if host.containerfile.is_some() {
        return Err(HostError::Containerfile { host: name.clone() });
    }
    let mut entries = BTreeMap::new();
    for (path, entry) in layer(name, host, base, sources)? {
        if path == KARGS {
            continue;
        }
        let place = place(&path).ok_or_else(|| HostError::NotState { host: name.clone(), path: path.clone() })?;
        let entry = if place.starts_with("/etc/tmpfiles.d/") { without_factory(entry) } else { entry };
        if entries.insert(place.clone(), entry).is_some() {
            return Err(HostError::Duplicate { host: name.clone(), path: place });
        }
    }
    Ok(HostState { kargs: host.kargs.clone(), entries })
}

/// Where what a layer has at `path` is in the state of a host.
fn place(path: &str) -> Option<String> {
    if let Some(path) = path.strip_prefix(FACTORY).filter(|path| path.starts_with("/var/")) {
        return Some(path.to_owned());
    }
    if let Some(below) = path.strip_prefix("/usr/lib/") {
        return LOCAL.iter().any(|folder| below.starts_with(folder)).then(|| format!("/etc/{below}"));
    }
    path.starts_with("/etc/").then(|| path.to_owned())
}

/// Without the lines that copy from the factory, which an image of another has not.
fn without_factory(mut entry: HostEntry) -> HostEntry {
    if let Node::File(bytes) = &mut entry.node {
        let text = String::from_utf8_lossy(bytes);
        let copies = |line: &&str| !(line.starts_with("C ") && line.contains(FACTORY));
        let kept: String = text.lines().filter(copies).map(|line| format!("{line}\n")).collect();
        *bytes = kept.into_bytes();
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_has_a_place_in_etc_or_var_or_none() {
        for (path, expected) in [
            ("/etc/hostname", Some("/etc/hostname")),
            ("/usr/lib/sysusers.d/60-imgbuild-host.conf", Some("/etc/sysusers.d/60-imgbuild-host.conf")),
            ("/usr/lib/systemd/system-preset/1.preset", Some("/etc/systemd/system-preset/1.preset")),
            ("/usr/share/factory/var/lib/x", Some("/var/lib/x")),
            ("/usr/share/factory/etc/x", None),
            ("/usr/bin/x", None),
            ("/usr/lib/systemd/system/x.service", None),
            ("/opt/x", None),
        ] {
            assert_eq!(place(path).as_deref(), expected, "{path}");
        }
    }
}
