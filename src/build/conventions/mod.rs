//! The bootc image conventions, whatever the distribution.
//!
//! Packages are written for machines that are installed once and changed in
//! place. This room turns what they leave behind into an image: `/usr` and
//! `/etc` from the image, `/var` declared and empty, no trace of the machine
//! that built it. It is applied to every tree that package managers touched,
//! and applying it twice changes nothing.

mod accounts;
mod kernel;
mod restore;
mod var;

use std::collections::BTreeMap;

use super::BuildError;
use crate::model::SourceDateEpoch;
use crate::oci::layer::Metadata;
use crate::oci::tree::{Content, Kind, NewNode, Node, TreeError};
use crate::oci::{ImageTree, LayerSource};
use crate::tool::rpm;

pub(super) use accounts::Accounts;
pub(super) use kernel::{folders as kernel_folders, only as only_kernel};
use restore::{is_same, restore};
use var::{Fate, SYSIMAGE};

/// Where bootstrapping keeps what the distribution put into root's home.
const ROOT_SKELETON: &str = "usr/share/imgbuild/roothome";

/// Package databases, by the names of their folders.
const DATABASES: [&str; 2] = ["dpkg", "rpm"];

/// No configuration file read here is larger.
const SMALL: u64 = 1 << 20;

/// Which tier the tree becomes: each declares what it adds in files of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Tier 1, bootstrapped.
    Base,
    /// Tier 2.
    Modules,
    /// A host with a Containerfile.
    Host,
}

impl Stage {
    const fn suffix(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Modules => "modules",
            Self::Host => "host-build",
        }
    }
}

/// Applies the conventions to `tree`, whose contents are in `layers`; `base` is the tree it grew from, if any.
///
/// What the base itself has where the conventions want nothing stays: it may be an image of somebody else, who
/// put it there. Only what came on top of it is settled.
pub(super) fn settle(
    tree: &mut ImageTree,
    layers: &dyn LayerSource,
    base: Option<&ImageTree>,
    stage: Stage,
    epoch: SourceDateEpoch,
) -> Result<(), BuildError> {
    let mut settling = Settling { tree, layers, base, stage, epoch };
    settling.clear_runtime_folders()?;
    settling.clean_etc()?;
    settling.move_package_databases()?;
    settling.declare_machine_folders()?;
    settling.clean_rpm_database()?;
    settling.empty_var()?;
    settling.declare_accounts()
}

struct Settling<'a> {
    tree: &'a mut ImageTree,
    layers: &'a dyn LayerSource,
    base: Option<&'a ImageTree>,
    stage: Stage,
    epoch: SourceDateEpoch,
}

impl Settling<'_> {
    fn metadata(&self, mode: u16) -> Metadata {
        let mut metadata = Metadata::with_mode(mode);
        metadata.mtime.seconds = i64::try_from(self.epoch.as_secs()).unwrap_or(0);
        metadata
    }

    fn text(&mut self, path: &str, text: String) -> Result<(), TreeError> {
        let metadata = self.metadata(0o644);
        self.tree.insert_file(path, text.into_bytes(), metadata).map(drop)
    }

    /// What is there only while a system runs.
    fn clear_runtime_folders(&mut self) -> Result<(), BuildError> {
        for folder in ["dev", "proc", "run", "sys", "tmp"] {
            if let Some(base) = self.base {
                restore(self.tree, base, folder, &[])?;
                continue;
            }
            for path in children(self.tree, folder) {
                self.tree.remove(path)?;
            }
        }
        Ok(())
    }

    /// Identity of the machine that built, backups, and placeholders that the container tool mounts over.
    fn clean_etc(&mut self) -> Result<(), BuildError> {
        for path in children(self.tree, "etc") {
            let name = path.rsplit('/').next().unwrap_or_default();
            if name.ends_with('-') || name == ".pwd.lock" || name == ".updated" {
                self.restore(&path)?;
            }
        }
        for path in children(self.tree, "etc/ssh") {
            if path.starts_with("etc/ssh/ssh_host_") {
                self.restore(&path)?;
            }
        }
        // The ZFS tools draw a random host id when they are installed: every host would have the builder's.
        for path in ["etc/hostname", "etc/hosts", "etc/hostid"] {
            self.restore(path)?;
        }
        // "uninitialized" makes the first boot a first boot: systemd writes an id and applies presets.
        if self.base.is_none() {
            self.text("etc/machine-id", "uninitialized\n".to_owned())?;
            self.text("etc/fstab", String::new())?;
            self.link_resolv_conf()?;
        } else {
            self.restore("etc/machine-id")?;
            self.restore("etc/resolv.conf")?;
        }
        Ok(())
    }

    /// Puts back what the base has at `path`; nothing where it has nothing.
    fn restore(&mut self, path: &str) -> Result<(), BuildError> {
        let original = self.base.and_then(|base| Some(base.node(base.lookup(path)?).clone()));
        self.tree.remove(path)?;
        if let Some(node) = original {
            let new = match node.kind() {
                Kind::File(content) => NewNode::File(content.clone()),
                Kind::Symlink(target) => NewNode::Symlink(target.to_vec()),
                _ => return Ok(()),
            };
            self.tree.insert(path, new, node.metadata().clone())?;
        }
        Ok(())
    }

    fn link_resolv_conf(&mut self) -> Result<(), BuildError> {
        self.tree.remove("etc/resolv.conf")?;
        if self.tree.lookup("usr/lib/systemd/systemd-resolved").is_some() {
            let metadata = self.metadata(0o777);
            self.tree.insert_symlink("etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf", metadata)?;
        }
        Ok(())
    }

    /// The package database describes `/usr`, so it lives and changes with it; the old path still leads there.
    ///
    /// Of an RPM distribution that keeps it there anyway, nothing is changed.
    fn move_package_databases(&mut self) -> Result<(), BuildError> {
        for database in DATABASES {
            let (old, new) = (database_link(database), format!("{SYSIMAGE}/{database}"));
            let is_folder = self.tree.lookup(&old).is_some_and(|id| self.tree.node(id).children().is_some());
            if is_folder && self.tree.lookup(&new).is_none() {
                let metadata = self.metadata(0o755);
                self.tree.insert_dir(SYSIMAGE, metadata)?;
                self.tree.rename(&old, &new)?;
            }
            if self.is_ours(database) {
                let metadata = self.metadata(0o777);
                self.tree.insert_symlink(&old, format!("../../{new}"), metadata)?;
            }
            if self.tree.lookup(&new).is_some() {
                let leftovers = paths_below(self.tree, &new);
                for path in leftovers.iter().filter(|path| var::is_backup(path)) {
                    self.tree.remove(path)?;
                }
            }
        }
        Ok(())
    }

    /// The folders of the machine that links of the image lead to (`/home`, `/root`, `/usr/local`).
    fn declare_machine_folders(&mut self) -> Result<(), BuildError> {
        if self.base.is_some() {
            return Ok(());
        }
        let mut lines = Vec::new();
        for link in var::MACHINE_FOLDERS {
            let target = self.tree.canonical(format!("{link}/x")).and_then(|path| String::from_utf8(path).ok());
            let Some(folder) = target.as_deref().and_then(|path| path.strip_suffix("/x")) else { continue };
            match link {
                _ if !folder.starts_with("var/") => {}
                // Start-up files of root's shell, as the distribution ships them.
                "root" if self.tree.lookup(ROOT_SKELETON).is_some() => {
                    lines.push(format!("C /{folder} 0700 root root - /{ROOT_SKELETON}"));
                }
                "root" => lines.push(format!("d /{folder} 0700 root root -")),
                _ => lines.push(format!("d /{folder} 0755 root root -")),
            }
            self.tree.remove(folder)?;
        }
        if !lines.is_empty() {
            self.text("usr/lib/tmpfiles.d/imgbuild-machine.conf", lines.join("\n") + "\n")?;
        }
        Ok(())
    }

    /// The index that sqlite keeps beside the package database while it is open says nothing when it is not.
    fn clean_rpm_database(&mut self) -> Result<(), BuildError> {
        for folder in rpm::DATABASE_FOLDERS {
            let path = format!("{}/{}-shm", folder.trim_start_matches('/'), rpm::DATABASE_FILE);
            if self.tree.lookup(&path).is_some() && !self.is_untouched(&path) {
                self.restore(&path)?;
            }
        }
        Ok(())
    }

    /// Whether the database is where these conventions put it, rather than where the distribution has it anyway.
    fn is_ours(&self, database: &str) -> bool {
        let home = format!("{SYSIMAGE}/{database}");
        self.tree.lookup(&home).is_some() && self.base.is_none_or(|base| base.lookup(&home).is_none())
    }

    /// Moves, drops or declares everything below `/var` but the links to the package databases.
    fn empty_var(&mut self) -> Result<(), BuildError> {
        let declared = self.read_all("usr/lib/tmpfiles.d", ".conf")?;
        let created = var::created_by(declared.iter().map(String::as_str));
        let accounts = self.accounts()?;
        let mut lines = Vec::new();
        for path in paths_below(self.tree, "var") {
            match var::fate(&path) {
                Fate::Dropped => {}
                Fate::PackageState if self.is_untouched(&path) => {}
                Fate::PackageState => self.keep_state(&path)?,
                Fate::Declared if self.original(&path).is_some() => {}
                Fate::Declared if created.contains(&format!("/{path}")) => {}
                Fate::Declared => lines.extend(self.declare(&path, &accounts)?),
            }
        }
        match self.base {
            Some(base) => {
                let moved = |database: &&str| self.is_ours(database);
                let links: Vec<_> = DATABASES.into_iter().filter(moved).map(database_link).collect();
                restore(self.tree, base, "var", &links.iter().map(String::as_str).collect::<Vec<_>>())?;
            }
            None => {
                for path in children(self.tree, "var") {
                    self.tree.remove(path)?;
                }
            }
        }
        self.rebuild_var()?;
        if !lines.is_empty() {
            let name = format!("usr/lib/tmpfiles.d/imgbuild-{}.conf", self.stage.suffix());
            self.text(&name, lines.join("\n") + "\n")?;
        }
        Ok(())
    }

    /// What the base has at `path`.
    fn original(&self, path: &str) -> Option<&Node> {
        self.base.and_then(|base| Some(base.node(base.lookup(path)?)))
    }

    fn is_untouched(&self, path: &str) -> bool {
        let found = self.tree.lookup(path).map(|id| self.tree.node(id));
        found.zip(self.original(path)).is_some_and(|(found, original)| is_same(found, original))
    }

    fn keep_state(&mut self, path: &str) -> Result<(), BuildError> {
        let Some(id) = self.tree.lookup(path) else { return Ok(()) };
        let node = self.tree.node(id).clone();
        let new = match node.kind() {
            Kind::Directory(_) => NewNode::Directory,
            Kind::File(content) => NewNode::File(content.clone()),
            Kind::Symlink(target) => NewNode::Symlink(target.to_vec()),
            _ => return Ok(()),
        };
        self.tree.insert(format!("{SYSIMAGE}/{path}"), new, node.metadata().clone())?;
        Ok(())
    }

    /// The tmpfiles.d(5) line that makes `path` on the host; its content, if it has any, waits in the factory.
    fn declare(&mut self, path: &str, accounts: &Accounts) -> Result<Option<String>, BuildError> {
        let Some(id) = self.tree.lookup(path) else { return Ok(None) };
        let node = self.tree.node(id).clone();
        let Metadata { mode, uid, gid, .. } = *node.metadata();
        let (user, group) = (accounts.user_name(uid), accounts.group_name(gid));
        let quoted = path.replace('%', "%%").replace(' ', "\\x20");
        Ok(match node.kind() {
            Kind::Directory(_) => Some(format!("d /{quoted} {mode:04o} {user} {group} -")),
            Kind::Symlink(_) if DATABASES.into_iter().any(|database| path == database_link(database)) => None,
            Kind::Symlink(target) => Some(format!("L /{quoted} - - - - {}", String::from_utf8_lossy(target))),
            Kind::File(content) if *content == Content::Empty || var::is_log(path) => {
                Some(format!("f /{quoted} {mode:04o} {user} {group} -"))
            }
            Kind::File(content) => {
                let factory = format!("usr/share/factory/{path}");
                self.tree.insert(&factory, NewNode::File(content.clone()), node.metadata().clone())?;
                Some(format!("C /{quoted} {mode:04o} {user} {group} - /{}", factory.replace(' ', "\\x20")))
            }
            _ => None,
        })
    }

    /// An empty `/var` with the links by which package tools and scanners find their database.
    fn rebuild_var(&mut self) -> Result<(), BuildError> {
        if self.base.is_none() {
            let sticky = self.metadata(0o1777);
            self.tree.insert_dir("var/tmp", sticky)?;
        }
        let mut lines = String::new();
        for database in DATABASES {
            let home = format!("{SYSIMAGE}/{database}");
            if self.is_ours(database) {
                let (folder, link) = (self.metadata(0o755), self.metadata(0o777));
                self.tree.insert_dir("var/lib", folder)?;
                self.tree.insert_symlink(database_link(database), format!("../../{home}"), link)?;
                lines.push_str(&format!("L /var/lib/{database} - - - - ../../{home}\n"));
            }
        }
        if !lines.is_empty() {
            self.text("usr/lib/tmpfiles.d/imgbuild-package-database.conf", lines)?;
        }
        Ok(())
    }

    fn accounts(&self) -> Result<Accounts, BuildError> {
        accounts_of(self.tree, self.layers)
    }

    fn declare_accounts(&mut self) -> Result<(), BuildError> {
        if ["etc/passwd", "etc/group"].iter().all(|path| self.is_untouched(path)) {
            return Ok(());
        }
        let inherited = self.base.map(|base| accounts_of(base, self.layers)).transpose()?.unwrap_or_default();
        let declared = self.read_all("usr/lib/sysusers.d", ".conf")?;
        let lines = self.accounts()?.without(&inherited).undeclared(declared.iter().map(String::as_str));
        if !lines.is_empty() {
            self.text(&format!("usr/lib/sysusers.d/imgbuild-{}.conf", self.stage.suffix()), lines)?;
        }
        Ok(())
    }

    /// Texts of the files in `folder` that end in `suffix`, but those of this stage's own making.
    fn read_all(&self, folder: &str, suffix: &str) -> Result<Vec<String>, BuildError> {
        let own = format!("imgbuild-{}.conf", self.stage.suffix());
        let wanted: Vec<_> = children(self.tree, folder)
            .into_iter()
            .filter(|path| path.ends_with(suffix) && !path.ends_with(&own))
            .filter(|path| self.tree.lookup(path).is_some_and(|id| self.tree.node(id).content().is_some()))
            .collect();
        let files = self.tree.read_files(self.layers, &wanted, SMALL)?;
        Ok(files.into_values().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect())
    }
}

/// Where a package database is on installed hosts, and the link to it in images.
fn database_link(database: &str) -> String {
    format!("var/lib/{database}")
}

/// Users and groups of an image.
pub(super) fn accounts_of(tree: &ImageTree, layers: &dyn LayerSource) -> Result<Accounts, BuildError> {
    let mut files = tree.read_files(layers, &["etc/passwd", "etc/group"], SMALL)?;
    let mut text = |path: &str| {
        let bytes = files.remove(path.as_bytes()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Ok(Accounts::parse(&text("etc/passwd"), &text("etc/group")))
}

/// Paths of the entries of `folder`; names that are not UTF-8 are no business of ours and stay.
fn children(tree: &ImageTree, folder: &str) -> Vec<String> {
    let Some(id) = tree.lookup(folder) else { return Vec::new() };
    let name = |child: crate::oci::tree::Child<'_>| std::str::from_utf8(child.name).ok().map(str::to_owned);
    tree.children(id).filter_map(name).map(|name| format!("{folder}/{name}")).collect()
}

/// Everything below `folder`, parents first.
fn paths_below(tree: &ImageTree, folder: &str) -> Vec<String> {
    tree.walk_from(folder)
        .filter_map(|entry| String::from_utf8(entry.path).ok())
        .filter(|path| path != folder)
        .collect()
}

/// Changes of one tree against another that are worth a layer: not those of times alone.
pub(super) fn changes(
    tree: &ImageTree,
    layers: &dyn LayerSource,
    base: &ImageTree,
    base_layers: &dyn LayerSource,
) -> Result<crate::oci::tree::Changes, BuildError> {
    let mut changes = tree.diff(layers, base, base_layers)?;
    let times: BTreeMap<Vec<u8>, ()> = changes
        .iter()
        .filter(|(path, change)| **change == crate::oci::tree::Change::Metadata && same_but_time(tree, base, path))
        .map(|(path, _)| (path.to_vec(), ()))
        .collect();
    changes.retain(|path, _| !times.contains_key(path));
    Ok(changes)
}

fn same_but_time(tree: &ImageTree, base: &ImageTree, path: &[u8]) -> bool {
    let metadata = |tree: &ImageTree| {
        let mut metadata = tree.node(tree.lookup(path)?).metadata().clone();
        metadata.mtime = Default::default();
        Some(metadata)
    };
    metadata(tree) == metadata(base)
}

#[cfg(test)]
mod tests;
