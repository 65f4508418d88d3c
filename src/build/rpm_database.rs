//! The package database of an RPM image, copied out of its layers so that rpm can read it.

use std::collections::{BTreeMap, BTreeSet};

use cap_std::fs_utf8::camino::Utf8Path;

use super::error::{command, io};
use super::{BuildError, Session};
use crate::oci::{ImageTree, LayerSource};
use crate::sys::dirs;
use crate::tool::rpm::{self, Installed, Rpm};

/// No package database is larger.
const LIMIT: u64 = 256 << 20;

/// Where the package database of an image is, without leading slash.
///
/// # Errors
/// When the image has none that can be read.
pub(super) fn find(image: &str, tree: &ImageTree) -> Result<&'static str, BuildError> {
    let has = |folder: &&str| tree.resolve(format!("{folder}/{}", rpm::DATABASE_FILE)).is_some();
    let found = rpm::DATABASE_FOLDERS.into_iter().find(has);
    let found = found.ok_or_else(|| BuildError::NoRpmDatabase { image: image.to_owned() })?;
    Ok(found.trim_start_matches('/'))
}

/// Paths of the files in `folder`, as far as they lead to files; nothing where there is no such folder.
pub(super) fn files_in(tree: &ImageTree, folder: &str) -> Vec<String> {
    let Some(id) = tree.resolve(folder) else { return Vec::new() };
    tree.children(id)
        .filter_map(|child| Some(format!("{folder}/{}", std::str::from_utf8(child.name).ok()?)))
        .filter(|path| tree.resolve(path).is_some_and(|id| tree.node(id).content().is_some()))
        .collect()
}

/// Copies files of an image, by their paths in it, to the paths that `target` gives them below `root`.
///
/// # Errors
/// When they cannot be read or written.
pub(super) fn copy_files(
    tree: &ImageTree,
    layers: &dyn LayerSource,
    paths: &[String],
    root: &Utf8Path,
    target: impl Fn(&str, Vec<u8>) -> (String, Vec<u8>),
) -> Result<(), BuildError> {
    let dir = dirs::open_or_create(root).map_err(io("opening", root))?;
    let files: BTreeMap<_, _> = tree.read_files(layers, paths, LIMIT)?;
    for (path, bytes) in files {
        let path = String::from_utf8(path).expect("the paths asked for are text");
        let (path, bytes) = target(&path, bytes);
        dirs::write_with_mode(&dir, &path, &bytes, 0o644).map_err(io("writing", root.join(&path)))?;
    }
    Ok(())
}

/// The packages that the database at `database` below `root` lists.
///
/// # Errors
/// When rpm cannot read it.
pub(super) fn list(session: &Session, root: &Utf8Path, database: &str) -> Result<Vec<Installed>, BuildError> {
    let database = format!("/{database}");
    let cmd = Rpm { root: root.as_str(), database: &database }.installed();
    let text = session.runner.read(&cmd).map_err(command("reading the package database"))?;
    Ok(rpm::parse_installed(&text)?)
}

/// The packages installed in an image; `work` names a folder for a copy of the database.
///
/// # Errors
/// When the image has no database or rpm cannot read it.
pub(super) fn installed(
    session: &Session,
    image: &str,
    tree: &ImageTree,
    layers: &dyn LayerSource,
    work: &str,
) -> Result<Vec<Installed>, BuildError> {
    let database = find(image, tree)?;
    let root = session.store.work_folder(work)?;
    copy_files(tree, layers, &files_in(tree, database), &root, |path, bytes| (path.to_owned(), bytes))?;
    list(session, &root, database)
}

/// Files, folders and links of packages, from the copy of the database that [`installed`] left in `work`.
///
/// # Errors
/// When rpm cannot read it.
pub(super) fn files(
    session: &Session,
    image: &str,
    tree: &ImageTree,
    work: &str,
    packages: &BTreeSet<String>,
) -> Result<BTreeMap<String, Vec<String>>, BuildError> {
    let database = format!("/{}", find(image, tree)?);
    let root = session.store.work_folder(work)?;
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    // The keys that rpm keeps among the packages have no files.
    let names = packages.iter().filter(|name| *name != "gpg-pubkey");
    let cmd = Rpm { root: root.as_str(), database: &database }.files(names);
    let text = session.runner.read(&cmd).map_err(command("reading the package database"))?;
    for (package, path) in rpm::parse_files(&text)? {
        files.entry(package.to_owned()).or_default().push(path.to_owned());
    }
    Ok(files)
}
