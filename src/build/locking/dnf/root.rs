//! A private dnf over one image: its package database, the repositories of one tier and those of the image itself.

use std::collections::{BTreeMap, BTreeSet};

use cap_std::fs_utf8::Dir;
use cap_std::fs_utf8::camino::{Utf8Path, Utf8PathBuf};

use super::super::mirror;
use crate::build::error::{command, diagnosed, io};
use crate::build::{BuildError, Project, Session, conventions, rpm_database};
use crate::config::{Archive, LockedTier1, Tier1Source, Tier2};
use crate::model::KernelRelease;
use crate::oci::{ImageTree, LayerSource};
use crate::sys::dirs;
use crate::tool::dnf::{self, Dnf, PrivateConfig, Repository, private_root};
use crate::tool::repodata::{RpmPackage, decompressed, parse_primary, parse_repomd};
use crate::tool::rpm::{self, Installed, Rpm};

/// Where an image keeps its own repositories, and what they refer to. Of a variable that is there twice the last counts.
const REPOSITORIES: &str = "etc/yum.repos.d";
const VARIABLES: [&str; 2] = ["etc/yum/vars", "etc/dnf/vars"];
const KEYS: &str = "etc/pki/rpm-gpg";

/// Kernels may not come along with other packages: the one of the base stays the only one.
const NO_KERNELS: [&str; 4] = ["kernel", "kernel-core", "kernel-*-core", "kernel-uki-virt*"];

/// Word of apt repositories that stands for this machine's configured mirror.
const MACHINE: &str = "machine";

/// A dnf of our own.
#[derive(Debug)]
pub(super) struct DnfRoot<'s> {
    session: &'s Session,
    path: Utf8PathBuf,
    release: String,
    architecture: &'static str,
    /// Repositories of the definition, by id, with their addresses.
    addresses: BTreeMap<String, String>,
    /// Packages of the base.
    pub(super) installed: Vec<Installed>,
    /// Kernels of the base by folder.
    pub(super) kernels: BTreeSet<KernelRelease>,
    /// Configurations of these kernels, where they were asked for.
    pub(super) configs: BTreeMap<KernelRelease, String>,
    /// Path of the package database in the base, without leading slash.
    database: &'static str,
}

/// A package on offer.
#[derive(Debug)]
pub(super) struct Offer {
    /// Id of its repository.
    pub(super) repository: String,
    /// Where it can be fetched again.
    pub(super) archive: Archive,
    pub(super) package: RpmPackage,
}

/// A package file of a fetch: its SHA-256 and its name in the folder.
pub(super) type Fetched = BTreeMap<String, String>;

impl<'s> DnfRoot<'s> {
    /// Copies out of the base what dnf must know of it, and reads the metadata of all repositories.
    pub(super) fn create(
        session: &'s Session,
        project: &Project,
        tier: &Tier2,
        base: &LockedTier1,
        with_config: bool,
    ) -> Result<Self, BuildError> {
        let Tier1Source::Mirror { image, .. } = &base.source else {
            return Err(BuildError::BootstrappedRpm { tier: tier.base.clone() });
        };
        let name = format!("tier1/{}", tier.base);
        let path = session.store.work_folder(&format!("dnf-{}", tier.base))?;
        let step = session.step(format!("read the packages of {name}"))?;
        let layout = crate::build::chain::open_layout(session)?;
        let (tree, loaded) = mirror::tree(session, project, &layout, image)?;
        let layers = loaded.layer_source(&layout, crate::build::chain::limits());
        let database = copy_base(&name, &tree, &layers, &path)?;
        let installed = rpm_database::list(session, &path.join(private_root::ROOT), database)?;
        let release = rpm::release_version(&installed).ok_or(BuildError::NoReleaseVersion { image: name })?.to_owned();
        write_config(project, tier, &path, database)?;
        let kernels: BTreeSet<_> = conventions::kernel_folders(&tree).into_iter().collect();
        let mut configs = BTreeMap::new();
        for kernel in kernels.iter().filter(|_| with_config) {
            configs.extend(super::super::mirror::config_in(&tree, &layers, kernel)?.map(|text| (kernel.clone(), text)));
        }
        step.finish(format!("{} packages", installed.len()));
        Ok(Self {
            session,
            path,
            release,
            architecture: architecture(project.architecture()),
            addresses: tier.repositories.iter().map(|(id, found)| (id.to_string(), found.url.clone())).collect(),
            installed,
            kernels,
            configs,
            database,
        })
    }

    fn dnf(&self) -> Dnf<'_> {
        Dnf { folder: self.path.as_str(), release: &self.release, architecture: self.architecture }
    }

    /// Fetches the metadata of all repositories.
    pub(super) fn update(&self) -> Result<(), BuildError> {
        let step = self.session.step("read package lists")?;
        let cmd = self.dnf().make_cache();
        let run = self.session.runner.run_with(&cmd, &|line| step.note(line));
        run.map_err(diagnosed("reading package lists", &[dnf::diagnose]))?;
        step.finish("");
        Ok(())
    }

    /// Fetches what has to be added to the base so that `selection` is installed, into the empty folder `into`.
    pub(super) fn fetch(&self, what: &str, selection: &[String], into: &Utf8Path) -> Result<Fetched, BuildError> {
        self.fetch_without(what, selection, &NO_KERNELS, into)
    }

    /// The same for the packages of another kernel.
    pub(super) fn fetch_kernel(&self, selection: &[String], into: &Utf8Path) -> Result<Fetched, BuildError> {
        self.fetch_without("the kernel", selection, &[], into)
    }

    /// The same for packages that the lock names, kernels included.
    pub(super) fn fetch_again(&self, selection: &[String], into: &Utf8Path) -> Result<Fetched, BuildError> {
        self.fetch_without("the lock", selection, &[], into)
    }

    fn fetch_without(
        &self,
        what: &str,
        selection: &[String],
        without: &[&str],
        into: &Utf8Path,
    ) -> Result<Fetched, BuildError> {
        let step = self.session.step(format!("fetch packages of {what}"))?;
        let cmd = self.dnf().fetch(selection.iter().cloned(), without, into.as_str());
        let run = self.session.runner.run_with(&cmd, &|line| step.note(line));
        run.map_err(diagnosed(format!("fetching packages of {what}"), &[dnf::diagnose]))?;
        let dir = dirs::open(into).map_err(io("opening", into))?;
        let mut fetched = Fetched::new();
        for entry in dir.entries().map_err(io("listing", into))? {
            let name = entry.and_then(|entry| entry.file_name()).map_err(io("listing", into))?;
            let file = dir.open(&name).map_err(io("opening", into.join(&name)))?;
            fetched.insert(crate::build::packages::sha256(file).map_err(io("reading", into.join(&name)))?, name);
        }
        step.finish(format!("{} packages", fetched.len()));
        Ok(fetched)
    }

    /// Writes into the copy of the base's package database that these package files replaced what has their names.
    pub(super) fn replace(&self, files: impl IntoIterator<Item = String>) -> Result<(), BuildError> {
        let root = self.path.join(private_root::ROOT);
        let database = format!("/{}", self.database);
        let cmd = Rpm { root: root.as_str(), database: &database }.replace_in_database(files);
        let run = self.session.runner.run(&cmd);
        run.map_err(command("replacing the kernel in the copy of the package database"))
    }

    /// The packages on offer for which `keep` holds, each with where it is: those of the definition's repositories first.
    pub(super) fn on_offer(&self, mut keep: impl FnMut(&RpmPackage) -> bool) -> Result<Vec<Offer>, BuildError> {
        let path = self.path.join(private_root::CACHE);
        let cache = dirs::open(&path).map_err(io("opening", &path))?;
        let mut repositories = Vec::new();
        for entry in cache.entries().map_err(io("listing", &path))? {
            let folder = entry.and_then(|entry| entry.file_name()).map_err(io("listing", &path))?;
            let Some(id) = dnf::cached_repository(&folder) else { continue };
            let archive = self.addresses.get(id).map_or(Archive::Machine, |url| Archive::Url(url.clone()));
            repositories.push((archive == Archive::Machine, id.to_owned(), archive, folder));
        }
        repositories.sort();
        let mut found = Vec::new();
        for (_, id, archive, folder) in repositories {
            let packages = read_repository(&cache, &path, &folder, &id, &mut keep)?;
            let offer = |package| Offer { repository: id.clone(), archive: archive.clone(), package };
            found.extend(packages.into_iter().map(offer));
        }
        Ok(found)
    }
}

/// Everything dnf reads of the base; returns where its package database is.
fn copy_base(
    image: &str,
    tree: &ImageTree,
    layers: &dyn LayerSource,
    path: &Utf8Path,
) -> Result<&'static str, BuildError> {
    let database = rpm_database::find(image, tree)?;
    let folders = [database, REPOSITORIES, VARIABLES[0], VARIABLES[1], KEYS];
    // One call, so that each layer is read once.
    let files: Vec<_> = folders.iter().flat_map(|folder| rpm_database::files_in(tree, folder)).collect();
    let keys = path.join(private_root::KEYS);
    rpm_database::copy_files(tree, layers, &files, path, |file, bytes| {
        let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
        if folder == REPOSITORIES {
            let text = dnf::keys_below(keys.as_str(), &String::from_utf8_lossy(&bytes));
            (format!("{}/{name}", private_root::REPOSITORIES), text.into_bytes())
        } else if VARIABLES.contains(&folder) {
            (format!("{}/{name}", private_root::VARIABLES), bytes)
        } else if folder == KEYS {
            (format!("{}/{file}", private_root::KEYS), bytes)
        } else {
            (format!("{}/{file}", private_root::ROOT), bytes)
        }
    })?;
    Ok(database)
}

fn write_config(project: &Project, tier: &Tier2, path: &Utf8Path, database: &str) -> Result<(), BuildError> {
    let mut keys = Vec::new();
    for (id, repository) in &tier.repositories {
        if repository.url == MACHINE {
            return Err(BuildError::MachineRpmRepository { repository: id.clone() });
        }
        keys.push(repository.key.as_ref().map(|key| match key.starts_with("https://") {
            true => key.clone(),
            false => project.resolve(key).into_string(),
        }));
    }
    let repositories: Vec<_> = tier
        .repositories
        .iter()
        .zip(&keys)
        .map(|((id, repository), key)| Repository { id: id.as_str(), url: &repository.url, key: key.as_deref() })
        .collect();
    let (more, variables) = (path.join(private_root::REPOSITORIES), path.join(private_root::VARIABLES));
    let config = dnf::private_config(&PrivateConfig {
        repositories: &repositories,
        more: Some(more.as_str()),
        variables: Some(variables.as_str()),
    })?;
    let macros = dnf::rpm_macros(&format!("/{database}"))?;
    let dir = dirs::open(path).map_err(io("opening", path))?;
    for folder in [private_root::REPOSITORIES, private_root::VARIABLES] {
        dir.create_dir_all(folder).map_err(io("creating", path.join(folder)))?;
    }
    for (file, text) in [(private_root::CONFIG, config), (private_root::MACROS, macros)] {
        dirs::write_with_mode(&dir, file, text.as_bytes(), 0o644).map_err(io("writing", path.join(file)))?;
    }
    Ok(())
}

fn read_repository(
    cache: &Dir,
    path: &Utf8Path,
    folder: &str,
    id: &str,
    keep: impl FnMut(&RpmPackage) -> bool,
) -> Result<Vec<RpmPackage>, BuildError> {
    let failed = |source| BuildError::Repodata { repository: id.to_owned(), source };
    let repomd = format!("{folder}/repodata/repomd.xml");
    let text = cache.read(&repomd).map_err(io("reading", path.join(&repomd)))?;
    let primary = parse_repomd(&text).map_err(failed)?;
    let name = primary.rsplit('/').next().unwrap_or_default();
    let file = format!("{folder}/repodata/{name}");
    let content = cache.open(&file).map_err(io("opening", path.join(&file)))?;
    parse_primary(decompressed(name, content).map_err(failed)?, keep).map_err(failed)
}

/// The image specification's architecture as rpm spells it.
fn architecture(name: &str) -> &'static str {
    match name {
        "arm64" => "aarch64",
        "ppc64le" => "ppc64le",
        "riscv64" => "riscv64",
        "s390x" => "s390x",
        _ => "x86_64",
    }
}
