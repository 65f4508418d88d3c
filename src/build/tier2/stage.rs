//! What a builder stage handed out, and what of it goes into the image.

use std::collections::{BTreeMap, BTreeSet};

use cap_std::fs::PermissionsExt as _;
use cap_std::fs_utf8::Dir;
use cap_std::fs_utf8::camino::{Utf8Path, Utf8PathBuf};

use super::super::BuildError;
use super::super::error::io;
use crate::config::{self, Family, KmodSet};
use crate::kmod::{self, Artifact, BuiltModule, CopyItem, Source, Stage, StageFile, Symvers, Variables, check_modules};
use crate::model::{ArtifactKind, KernelRelease};
use crate::sys::dirs;

/// What goes into the image for one set.
#[derive(Debug, Default)]
pub(super) struct Picked {
    /// Paths in the image, without leading slash.
    pub(super) paths: BTreeSet<String>,
    /// Upstream version of the modules.
    pub(super) version: String,
    /// The kernel's list of exported symbols, as its headers have it.
    pub(super) symvers: Option<Symvers>,
}

/// Picks from what the stage left in `from` and lays it out in `to` under its paths in the image.
pub(super) fn pick(
    set: &KmodSet,
    family: Family,
    kernel: &KernelRelease,
    from: &Utf8Path,
    to: &Utf8Path,
) -> Result<Picked, BuildError> {
    let stage_dir = dirs::open(from).map_err(io("opening", from))?;
    let facts = read_facts(&stage_dir, from)?;
    let fact = |name: &str| facts.get(name).cloned().unwrap_or_default();
    let variables = Variables { kver: kernel.clone(), version: fact("dkms-version"), dkms: fact("dkms-folder") };
    let stage = Stage { files: list(&stage_dir, from)?, owned: read_packages(&stage_dir, from)? };
    let artifacts = artifacts(set, family);
    let items = kmod::select(&artifacts, &stage, &variables)
        .map_err(|source| BuildError::Manifest { set: set.name.clone(), source })?;
    check(set, family, kernel, &stage_dir, &items)?;
    let symvers = read_symvers(&stage_dir, from)?;
    let mut picked = Picked { version: variables.version, symvers, ..Picked::default() };
    let target = dirs::open_or_create(to).map_err(io("creating", to))?;
    for item in &items {
        place(&stage_dir, &target, item).map_err(io("placing", to.join(item.to.trim_start_matches('/'))))?;
        picked.paths.insert(item.to.trim_start_matches('/').to_owned());
    }
    for (path, text) in generated(set, family) {
        dirs::write_with_mode(&target, &path, text.as_bytes(), 0o644).map_err(io("writing", to.join(&path)))?;
        picked.paths.insert(path);
    }
    Ok(picked)
}

fn read_facts(dir: &Dir, path: &Utf8Path) -> Result<BTreeMap<String, String>, BuildError> {
    let text = dir.read_to_string("facts").map_err(io("reading", path.join("facts")))?;
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

fn read_symvers(dir: &Dir, path: &Utf8Path) -> Result<Option<Symvers>, BuildError> {
    let path = path.join("symvers");
    match dir.read("symvers") {
        Ok(bytes) => Symvers::parse(&bytes).map(Some).map_err(|source| BuildError::Symvers { path, source }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io("reading", path)(error)),
    }
}

fn read_packages(dir: &Dir, path: &Utf8Path) -> Result<BTreeMap<String, Vec<String>>, BuildError> {
    let packages = dir.open_dir("packages").map_err(io("opening", path.join("packages")))?;
    let mut owned = BTreeMap::new();
    for entry in packages.entries().map_err(io("listing", path.join("packages")))? {
        let name = entry.and_then(|entry| entry.file_name()).map_err(io("listing", path.join("packages")))?;
        let text = packages.read_to_string(&name).map_err(io("reading", path.join("packages").join(&name)))?;
        owned.insert(name, text.lines().map(str::to_owned).collect());
    }
    Ok(owned)
}

/// Every file and link below `root/`, by its absolute path in the stage.
fn list(dir: &Dir, path: &Utf8Path) -> Result<Vec<StageFile>, BuildError> {
    let mut files = Vec::new();
    let mut pending = vec![Utf8PathBuf::from("root")];
    while let Some(folder) = pending.pop() {
        for entry in dir.read_dir(&folder).map_err(io("listing", path.join(&folder)))? {
            let entry = entry.map_err(io("listing", path.join(&folder)))?;
            let name = folder.join(entry.file_name().map_err(io("listing", path.join(&folder)))?);
            let metadata = dir.symlink_metadata(&name).map_err(io("reading", path.join(&name)))?;
            if metadata.is_dir() {
                pending.push(name);
                continue;
            }
            let link = metadata.is_symlink().then(|| dir.read_link_contents(&name)).transpose();
            files.push(StageFile {
                path: name.as_str().trim_start_matches("root").to_owned(),
                mode: metadata.permissions().mode() & 0o7777,
                link: link.map_err(io("reading", path.join(&name)))?.map(Utf8PathBuf::into_string),
            });
        }
    }
    files.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(files)
}

fn artifacts(set: &KmodSet, family: Family) -> Vec<Artifact> {
    let applies = |artifact: &&config::Artifact| artifact.family.is_none_or(|only| only == family);
    set.artifacts.iter().filter(applies).map(artifact).collect()
}

fn artifact(artifact: &config::Artifact) -> Artifact {
    let source = match (&artifact.from, &artifact.package) {
        (Some(glob), _) => Source::Glob(glob.clone()),
        (None, package) => Source::Package(package.as_ref().map(ToString::to_string).unwrap_or_default()),
    };
    Artifact {
        kind: artifact.kind,
        source,
        to: artifact.to.clone(),
        mode: artifact.mode.map(|mode| mode.bits()),
        min: artifact.min,
        max: artifact.max,
        optional: artifact.optional,
    }
}

/// Every expected module, none besides, each built for the pinned kernel.
fn check(
    set: &KmodSet,
    family: Family,
    kernel: &KernelRelease,
    stage: &Dir,
    items: &[CopyItem],
) -> Result<(), BuildError> {
    let mut modules = Vec::new();
    for item in items.iter().filter(|item| item.kind == ArtifactKind::Kmod && item.link.is_none()) {
        let bytes = stage.read(format!("root{}", item.from)).map_err(io("reading", item.from.as_str()))?;
        modules.push(BuiltModule { path: item.to.clone(), info: kmod::inspect(&bytes) });
    }
    let expected: Vec<_> = set.verify.modules.iter().map(|module| set.built_name(family, module).to_string()).collect();
    let findings = check_modules(&expected, kernel, None, &modules);
    if findings.is_empty() { Ok(()) } else { Err(BuildError::Modules { set: set.name.clone(), findings }) }
}

/// Copies one file or link.
fn place(stage: &Dir, target: &Dir, item: &CopyItem) -> std::io::Result<()> {
    let to = item.to.trim_start_matches('/');
    if let Some((folder, _)) = to.rsplit_once('/') {
        target.create_dir_all(folder)?;
    }
    if let Some(link) = &item.link {
        return target.symlink_contents(link, to);
    }
    stage.copy(format!("root{}", item.from), target, to)?;
    target.set_permissions(to, cap_std::fs::Permissions::from_mode(item.mode))
}

/// What the manifest's `[verify]` makes true on the host: modules loaded at boot, and their options.
fn generated(set: &KmodSet, family: Family) -> Vec<(String, String)> {
    let mut files = Vec::new();
    if !set.verify.load.is_empty() {
        let lines: String =
            set.verify.load.iter().map(|module| format!("{}\n", set.built_name(family, module))).collect();
        files.push((format!("usr/lib/modules-load.d/imgbuild-{}.conf", set.name), lines));
    }
    if !set.verify.options.is_empty() {
        let line = |(module, options): (&crate::model::ModuleName, &String)| {
            format!("options {} {options}\n", set.built_name(family, module))
        };
        let lines: String = set.verify.options.iter().map(line).collect();
        files.push((format!("usr/lib/modprobe.d/imgbuild-{}.conf", set.name), lines));
    }
    files
}
