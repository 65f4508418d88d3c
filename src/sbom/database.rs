//! Where package databases are, and which reader each needs.

use super::error::DatabaseError;
use super::package::Package;
use super::{apk, dpkg, rpm};
use crate::oci::ImageTree;

/// A package database of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Database {
    /// Without leading slash.
    pub(super) path: String,
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Dpkg,
    RpmSqlite,
    RpmNdb,
    Apk,
}

/// Files in the order they are looked for: what distributions use, and where bootable images keep it.
const FILES: [(&str, Format); 10] = [
    ("var/lib/dpkg/status", Format::Dpkg),
    ("usr/lib/sysimage/dpkg/status", Format::Dpkg),
    ("usr/lib/sysimage/rpm/rpmdb.sqlite", Format::RpmSqlite),
    ("usr/share/rpm/rpmdb.sqlite", Format::RpmSqlite),
    ("var/lib/rpm/rpmdb.sqlite", Format::RpmSqlite),
    ("usr/lib/sysimage/rpm/Packages.db", Format::RpmNdb),
    ("usr/share/rpm/Packages.db", Format::RpmNdb),
    ("var/lib/rpm/Packages.db", Format::RpmNdb),
    ("lib/apk/db/installed", Format::Apk),
    ("usr/lib/apk/db/installed", Format::Apk),
];

/// Folder of images without dpkg: one file per package.
const STATUS_D: &str = "var/lib/dpkg/status.d";

/// Whether a file of this name may be a database.
pub(super) fn is_database(folder: &str, name: &str) -> bool {
    match name {
        "status" => folder.ends_with("dpkg"),
        "rpmdb.sqlite" | "rpmdb.sqlite-wal" | "Packages.db" => folder.ends_with("rpm"),
        "installed" => folder.ends_with("apk/db"),
        _ => folder.ends_with("dpkg/status.d") && !name.ends_with(".md5sums"),
    }
}

/// The databases of an image: each file once, whatever links lead to it.
pub(super) fn find(tree: &ImageTree) -> Vec<Database> {
    let mut found = Vec::new();
    let mut seen = Vec::new();
    for (path, format) in FILES {
        let Some(id) = tree.resolve(path).filter(|id| tree.node(*id).content().is_some()) else { continue };
        if !seen.contains(&id) {
            seen.push(id);
            found.push(Database { path: path.to_owned(), format });
        }
    }
    for child in tree.resolve(STATUS_D).into_iter().flat_map(|id| tree.children(id)) {
        let name = String::from_utf8_lossy(child.name);
        if child.node.content().is_some() && is_database(STATUS_D, &name) {
            found.push(Database { path: format!("{STATUS_D}/{name}"), format: Format::Dpkg });
        }
    }
    found
}

impl Database {
    /// Where a log of changes that are not in the file would be.
    pub(super) fn log(&self) -> Option<String> {
        (self.format == Format::RpmSqlite).then(|| format!("{}-wal", self.path))
    }

    /// Reads its content, with the log of changes beside it.
    pub(super) fn parse_with(&self, bytes: &[u8], log: Option<&Vec<u8>>) -> Result<Vec<Package>, DatabaseError> {
        match log {
            Some(log) => self.parse(&rpm::merge(bytes, log)?),
            None => self.parse(bytes),
        }
    }

    /// Reads its content.
    pub(super) fn parse(&self, bytes: &[u8]) -> Result<Vec<Package>, DatabaseError> {
        match self.format {
            Format::Dpkg => dpkg::parse_status(bytes),
            Format::RpmSqlite => rpm::parse_sqlite(bytes),
            Format::RpmNdb => rpm::parse_ndb(bytes),
            Format::Apk => apk::parse_installed(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::layer::Metadata;

    #[test]
    fn one_file_is_one_database() {
        let mut tree = ImageTree::new();
        let metadata = || Metadata::with_mode(0o644);
        tree.insert_file("usr/lib/sysimage/dpkg/status", *b"x", metadata()).unwrap();
        tree.insert_symlink("var/lib/dpkg", "../../usr/lib/sysimage/dpkg", metadata()).unwrap();
        let paths: Vec<_> = find(&tree).into_iter().map(|database| database.path).collect();
        assert_eq!(paths, ["var/lib/dpkg/status"]);

        let mut tree = ImageTree::new();
        for name in ["base", "base.md5sums", "libc6"] {
            tree.insert_file(format!("var/lib/dpkg/status.d/{name}"), *b"x", metadata()).unwrap();
        }
        let paths: Vec<_> = find(&tree).into_iter().map(|database| database.path).collect();
        assert_eq!(paths, ["var/lib/dpkg/status.d/base", "var/lib/dpkg/status.d/libc6"]);
    }
}
