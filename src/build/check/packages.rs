//! What the package databases of an image say, and whether its files agree.

use std::collections::{BTreeMap, BTreeSet};

use crate::kmod::{Code, Finding};
use crate::oci::{ImageTree, LayerSource};

use super::super::{BuildError, Session, rpm_database};
use super::scan::Scan;

/// Folders of files that images leave out on purpose, or that a host and not a package fills.
const IGNORED: [&str; 12] = [
    "/usr/share/doc/",
    "/usr/share/man/",
    "/usr/share/info/",
    "/usr/share/locale/",
    "/usr/share/lintian/",
    "/usr/share/bug/",
    "/usr/share/licenses/",
    "/usr/share/help/",
    "/usr/share/gnome/help/",
    "/usr/lib/.build-id/",
    "/usr/share/doc-base/",
    "/usr/share/linda/",
];

/// Folders in which a package's files are expected to stay.
const KEPT: [&str; 2] = ["/usr/", "/opt/"];

/// The packages of an image.
#[derive(Debug, Default)]
pub(super) struct Packages {
    /// Of the base.
    base: BTreeSet<String>,
    /// Of the whole image.
    last: BTreeSet<String>,
    /// Of each layer above the base that has a database.
    lower: Vec<(usize, BTreeSet<String>)>,
    /// Files, folders and links of each.
    files: BTreeMap<String, Vec<String>>,
}

/// A package above the base.
#[derive(Debug)]
pub(super) struct AddedPackage {
    pub(super) name: String,
    /// The first layer whose database has it, where that is known.
    pub(super) layer: Option<usize>,
    /// Whether the image's own database has it no more.
    pub(super) gone: bool,
}

impl Packages {
    /// Reads the databases; rpm's needs the program of that name.
    ///
    /// # Errors
    /// When a database cannot be read.
    pub(super) fn read(
        session: &Session,
        image: &str,
        scan: &mut Scan,
        layers: &dyn LayerSource,
        base_layers: usize,
    ) -> Result<Self, BuildError> {
        if rpm_database::find(image, &scan.tree).is_ok() {
            return Self::of_rpm(session, image, scan, layers);
        }
        let statuses = std::mem::take(&mut scan.statuses);
        let (base, lower): (Vec<_>, Vec<_>) = statuses.into_iter().partition(|(layer, _)| *layer < base_layers);
        let base = base.into_iter().next_back().map(|(_, names)| names).unwrap_or_default();
        let last = lower.last().map_or_else(|| base.clone(), |(_, names)| names.clone());
        Ok(Self { base, last, lower, files: std::mem::take(&mut scan.lists) })
    }

    fn of_rpm(session: &Session, image: &str, scan: &Scan, layers: &dyn LayerSource) -> Result<Self, BuildError> {
        let names = |tree: &ImageTree, work: &str| -> Result<BTreeSet<String>, BuildError> {
            let installed = rpm_database::installed(session, image, tree, layers, work)?;
            Ok(installed.into_iter().map(|package| package.name).collect())
        };
        let has_base = rpm_database::find(image, &scan.base).is_ok();
        let base = if has_base { names(&scan.base, "packages-base")? } else { BTreeSet::new() };
        let last = names(&scan.tree, "packages")?;
        let files = rpm_database::files(session, image, &scan.tree, "packages", &last)?;
        Ok(Self { base, lower: Vec::new(), last, files })
    }

    /// All packages that some layer above the base has, by name.
    pub(super) fn added(&self) -> Vec<AddedPackage> {
        let mut first: BTreeMap<&String, Option<usize>> = BTreeMap::new();
        for (layer, names) in &self.lower {
            for name in names {
                first.entry(name).or_insert(Some(*layer));
            }
        }
        for name in &self.last {
            first.entry(name).or_insert(None);
        }
        let new = first.into_iter().filter(|(name, _)| !self.base.contains(*name));
        new.map(|(name, layer)| AddedPackage { name: name.clone(), layer, gone: !self.last.contains(name) }).collect()
    }

    /// Owners of those of `paths` that belong to a package.
    pub(super) fn owners(&self, paths: &BTreeSet<&str>) -> BTreeMap<String, String> {
        let mut owners = BTreeMap::new();
        for (name, files) in &self.files {
            for path in files.iter().filter(|path| paths.contains(path.as_str())) {
                owners.entry(path.clone()).or_insert_with(|| name.clone());
            }
        }
        owners
    }

    /// Packages in the database of which nothing is left: somebody removed the files and not the package.
    pub(super) fn without_files(&self, tree: &ImageTree) -> Vec<Finding> {
        let mut findings = Vec::new();
        for name in &self.last {
            let files = leaves(self.files.get(name).map(Vec::as_slice).unwrap_or_default());
            let Some(first) = files.first() else { continue };
            if files.iter().all(|path| tree.resolve(path).is_none()) {
                let message = format!("is installed by the package database, and none of its files exist, as {first}");
                findings.push(Finding { code: Code::PackageFilesGone, subject: name.clone(), message });
            }
        }
        findings
    }
}

/// Files and links that must be there as long as the package is; a list names the folders above each, too.
fn leaves(paths: &[String]) -> Vec<&String> {
    let mut sorted: Vec<&String> = paths.iter().collect();
    sorted.sort_unstable();
    let folders: BTreeSet<&str> =
        paths.iter().filter_map(|path| path.rsplit_once('/')).map(|(folder, _)| folder).collect();
    let wanted = |path: &&String| {
        !folders.contains(path.as_str())
            && KEPT.iter().any(|folder| path.starts_with(folder))
            && !IGNORED.iter().any(|folder| path.starts_with(folder))
    };
    sorted.into_iter().filter(wanted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::layer::Metadata;

    fn packages(files: &[(&str, &[&str])]) -> Packages {
        let list = |paths: &[&str]| paths.iter().map(|&path| path.to_owned()).collect();
        Packages {
            last: files.iter().map(|(name, _)| (*name).to_owned()).collect(),
            files: files.iter().map(|(name, paths)| ((*name).to_owned(), list(paths))).collect(),
            ..Packages::default()
        }
    }

    #[test]
    fn a_package_is_gone_when_nothing_of_it_is_left_that_should_be() {
        let mut tree = ImageTree::new();
        let metadata = || Metadata::with_mode(0o755);
        tree.insert_file("usr/bin/tool", *b"x", metadata()).unwrap();
        tree.insert_symlink("usr/lib/modules/1/build", "/usr/src/linux", metadata()).unwrap();
        tree.insert_dir("usr/src", metadata()).unwrap();
        let headers = &[
            "/usr/src",
            "/usr/src/linux",
            "/usr/src/linux/Makefile",
            "/usr/lib/modules/1/build",
            "/usr/share/doc/h/c",
        ];
        let packages = packages(&[
            ("headers", headers),
            ("half", &["/usr/bin/tool", "/usr/bin/gone"]),
            ("meta", &["/usr", "/usr/share/doc/meta/copyright"]),
            ("state", &["/etc/state.conf", "/var/lib/state"]),
            ("nothing", &[]),
        ]);
        let found: Vec<String> = packages.without_files(&tree).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            ["LEFT007 headers: is installed by the package database, and none of its files exist, \
              as /usr/lib/modules/1/build"]
        );
        let owners = packages.owners(&["/usr/bin/tool", "/usr/bin/other"].into());
        assert_eq!(owners, [("/usr/bin/tool".to_owned(), "half".to_owned())].into());
    }
}
