//! The layer being collected, and the files, folders and links a host names itself.

use std::collections::BTreeMap;

use super::{BaseView, HostError, Sources};
use crate::config::Host;
use crate::model::{AbsolutePath, HostName};

/// Where files meant for `/var` wait until systemd-tmpfiles copies them on the host.
pub(super) const FACTORY: &str = "/usr/share/factory";

/// Folders whose content never comes from an image.
const VOLATILE: [&str; 5] = ["/dev", "/proc", "/run", "/sys", "/tmp"];

/// What is at one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A regular file.
    File(Vec<u8>),
    /// A folder.
    Directory,
    /// A symbolic link to this target.
    Symlink(String),
    /// Whatever the image below has there is taken away.
    Removed,
}

/// One path of the layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostEntry {
    /// What it is.
    pub node: Node,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// The layer of one host, by absolute path.
pub(super) struct HostLayer<'a> {
    pub(super) name: &'a HostName,
    pub(super) host: &'a Host,
    pub(super) base: &'a dyn BaseView,
    pub(super) tmpfiles: Vec<String>,
    entries: BTreeMap<String, HostEntry>,
}

impl<'a> HostLayer<'a> {
    pub(super) fn new(name: &'a HostName, host: &'a Host, base: &'a dyn BaseView) -> Self {
        Self { name, host, base, tmpfiles: Vec::new(), entries: BTreeMap::new() }
    }

    /// What has been added so far.
    pub(super) fn entries(&self) -> &BTreeMap<String, HostEntry> {
        &self.entries
    }

    /// Adds a root-owned text file that anybody may read.
    pub(super) fn text(&mut self, path: &str, text: impl Into<Vec<u8>>) -> Result<(), HostError> {
        self.insert(path, HostEntry { node: Node::File(text.into()), mode: 0o644, uid: 0, gid: 0 })
    }

    /// Adds a symbolic link.
    pub(super) fn symlink(&mut self, path: &str, target: &str) -> Result<(), HostError> {
        self.insert(path, HostEntry { node: Node::Symlink(target.to_owned()), mode: 0o777, uid: 0, gid: 0 })
    }

    /// Takes away what the image below has at `path`.
    pub(super) fn remove(&mut self, path: &str) -> Result<(), HostError> {
        self.insert(path, HostEntry { node: Node::Removed, mode: 0, uid: 0, gid: 0 })
    }

    /// Adds an entry; what belongs under `/var` is put aside and copied there by the host.
    pub(super) fn insert(&mut self, path: &str, entry: HostEntry) -> Result<(), HostError> {
        let path = self.base.canonical(path);
        if let Some(folder) = VOLATILE.into_iter().find(|folder| is_below(&path, folder)) {
            return Err(HostError::Volatile { host: self.name.clone(), path, folder });
        }
        if is_below(&path, "/var") {
            return self.insert_state(&path, entry);
        }
        if self.entries.insert(path.clone(), entry).is_some() {
            return Err(HostError::Duplicate { host: self.name.clone(), path });
        }
        Ok(())
    }

    /// `/var` belongs to the host, not to the image: tmpfiles.d(5) makes it so on the host, unless it is there already.
    fn insert_state(&mut self, path: &str, entry: HostEntry) -> Result<(), HostError> {
        let HostEntry { mode, uid, gid, .. } = entry;
        let quoted = escape(path);
        match &entry.node {
            Node::Directory => self.tmpfiles.push(format!("d {quoted} {mode:04o} {uid} {gid} -")),
            Node::Symlink(target) => self.tmpfiles.push(format!("L {quoted} - - - - {target}")),
            Node::File(_) => {
                let factory = format!("{FACTORY}{path}");
                self.tmpfiles.push(format!("C {quoted} {mode:04o} {uid} {gid} - {}", escape(&factory)));
                return self.insert(&factory, entry);
            }
            Node::Removed => {}
        }
        Ok(())
    }

    /// Writes the collected tmpfiles.d lines.
    pub(super) fn finish(mut self) -> Result<BTreeMap<String, HostEntry>, HostError> {
        if !self.tmpfiles.is_empty() {
            let mut lines = std::mem::take(&mut self.tmpfiles);
            lines.sort();
            lines.dedup();
            self.text("/usr/lib/tmpfiles.d/60-imgbuild-host.conf", lines.join("\n") + "\n")?;
        }
        Ok(self.entries)
    }

    /// The number of an owner or group given by number or name.
    fn number(&self, path: &str, kind: &'static str, name: &str) -> Result<u32, HostError> {
        if let Ok(number) = name.parse() {
            return Ok(number);
        }
        let (fixed, key) = match kind {
            "user" => (self.fixed_uid(name).or_else(|| self.base.uid(name)), "`uid`"),
            _ => (self.fixed_gid(name).or_else(|| self.base.gid(name)), "`gid`"),
        };
        fixed.ok_or_else(|| HostError::UnknownOwner {
            host: self.name.clone(),
            path: path.to_owned(),
            kind,
            name: name.to_owned(),
            key,
        })
    }

    fn fixed_uid(&self, name: &str) -> Option<u32> {
        self.host.users.iter().find(|(user, _)| user.as_str() == name).and_then(|(_, user)| user.uid)
    }

    /// A user's own group carries the user's number.
    fn fixed_gid(&self, name: &str) -> Option<u32> {
        let group = self.host.groups.iter().find(|(group, _)| group.as_str() == name).and_then(|(_, group)| group.gid);
        group.or_else(|| self.fixed_uid(name))
    }

    fn owners(&self, path: &AbsolutePath, owner: &str, group: &str) -> Result<(u32, u32), HostError> {
        Ok((self.number(path.as_str(), "user", owner)?, self.number(path.as_str(), "group", group)?))
    }
}

/// Adds the files, folders and links of the definition.
pub(super) fn add(layer: &mut HostLayer<'_>, sources: &Sources) -> Result<(), HostError> {
    let host = layer.host;
    for directory in &host.directories {
        let (uid, gid) = layer.owners(&directory.path, &directory.owner, &directory.group)?;
        let mode = directory.mode.bits();
        layer.insert(directory.path.as_str(), HostEntry { node: Node::Directory, mode, uid, gid })?;
    }
    for file in &host.files {
        let (uid, gid) = layer.owners(&file.path, &file.owner, &file.group)?;
        let bytes = match (&file.content, &file.source) {
            (Some(content), _) => content.clone().into_bytes(),
            (None, Some(source)) => read(layer.name, source, sources)?.clone(),
            (None, None) => Vec::new(),
        };
        layer.insert(file.path.as_str(), HostEntry { node: Node::File(bytes), mode: file.mode.bits(), uid, gid })?;
    }
    for link in &host.links {
        layer.symlink(link.path.as_str(), &link.target)?;
    }
    Ok(())
}

/// The bytes of a file of the project.
pub(super) fn read<'s>(host: &HostName, path: &str, sources: &'s Sources) -> Result<&'s Vec<u8>, HostError> {
    sources.get(path).ok_or_else(|| HostError::SourceNotRead { host: host.clone(), path: path.to_owned() })
}

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A path as tmpfiles.d(5) reads it: specifiers and blanks escaped.
fn escape(path: &str) -> String {
    path.replace('%', "%%").replace(' ', "\\x20")
}
