//! A private apt over the archives of one tier, for resolving and fetching without touching the machine's own.

use std::collections::BTreeMap;
use std::io::{BufReader, Read};

use cap_std::fs_utf8::camino::Utf8PathBuf;

use super::super::packages::Archives;
use super::super::{BuildError, Project, Session};
use crate::build::error::{command, diagnosed, io};
use crate::build::kernels::debs::Index;
use crate::config::{Archive, Bootstrap, LockedPackage, PackageSet, Repository};
use crate::model::RepositoryName;
use crate::model::deb822;
use crate::sys::dirs;
use crate::tool::apt::{self, Apt, MachineArchives, Source};

/// Keys of Debian's archives on a Debian machine (package debian-archive-keyring).
const DEBIAN_KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Word that stands for this machine's configured mirror.
const MACHINE: &str = "machine";

/// One archive with everything owned, so that it outlives the definition it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OwnedSource {
    /// Name of the definition's repository; none for the archives tier 1 is made from.
    name: Option<RepositoryName>,
    archive: Archive,
    uri: String,
    suites: Vec<String>,
    components: Vec<String>,
    keyring: Option<String>,
}

/// Which archives a tier reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct AptSources(Vec<OwnedSource>);

/// An apt of our own.
#[derive(Debug)]
pub(super) struct AptRoot<'s> {
    session: &'s Session,
    path: Utf8PathBuf,
    config: Utf8PathBuf,
    archives: Archives,
    sources: AptSources,
}

/// The machine's own mirrors.
pub(super) fn machine_archives(session: &Session) -> Result<MachineArchives, BuildError> {
    for guess in [false, true] {
        let text = session
            .runner
            .read(&apt::machine_index_targets(guess))
            .map_err(command("asking apt for this machine's mirrors"))?;
        let archives = apt::parse_machine_archives(&text);
        if archives.main.is_some() {
            return Ok(archives);
        }
    }
    Err(BuildError::NoMachineMirror)
}

impl AptSources {
    /// The archives of a bootstrapped tier, with `extra` components in its main suites.
    pub(super) fn of_bootstrap(
        bootstrap: &Bootstrap,
        extra: &[String],
        machine: &MachineArchives,
        project: &Project,
    ) -> Result<Self, BuildError> {
        let mut components = bootstrap.components.clone();
        components.extend(extra.iter().filter(|component| !bootstrap.components.contains(component)).cloned());
        let keyring = bootstrap
            .keyring
            .as_deref()
            .map_or_else(|| DEBIAN_KEYRING.to_owned(), |path| project.resolve(path).into_string());
        let suites = std::iter::once(&bootstrap.suite).chain(&bootstrap.updates).cloned();
        let (security, main): (Vec<_>, Vec<_>) = suites.partition(|suite| suite.ends_with("-security"));
        let mut sources = Vec::new();
        let mut add = |suites: Vec<String>, (archive, uri): (Archive, String)| {
            if !suites.is_empty() {
                let (components, keyring) = (components.clone(), Some(keyring.clone()));
                sources.push(OwnedSource { name: None, archive, uri, suites, components, keyring });
            }
        };
        add(main, main_archive(bootstrap, machine)?);
        if let Some(suite) = security.first() {
            let archive = security_archive(bootstrap, machine, suite)?;
            add(security, archive);
        }
        Ok(Self(sources))
    }

    /// Adds the repositories of a tier-2 definition.
    pub(super) fn add_repositories(
        &mut self,
        repositories: &BTreeMap<RepositoryName, Repository>,
        machine: &MachineArchives,
        project: &Project,
    ) -> Result<(), BuildError> {
        for (name, repository) in repositories {
            let (archive, uri) = match repository.url.as_str() {
                MACHINE => (Archive::Machine, machine.main.clone().ok_or(BuildError::NoMachineMirror)?),
                url => (Archive::Url(url.to_owned()), url.to_owned()),
            };
            let keyring = match (&repository.key, repository.unsigned) {
                (Some(key), _) => Some(project.resolve(key).into_string()),
                (None, true) => None,
                (None, false) => Some(DEBIAN_KEYRING.to_owned()),
            };
            let suites = vec![repository.suite.clone().unwrap_or_else(|| "./".to_owned())];
            let components = repository.components.clone();
            let name = Some(name.clone());
            self.0.push(OwnedSource { name, archive, uri, suites, components, keyring });
        }
        Ok(())
    }

    fn archives(&self) -> Archives {
        let mut archives = Archives::default();
        for source in &self.0 {
            archives.insert(source.archive.clone(), &source.uri);
        }
        archives
    }

    /// The name operators know an index's archive under; the address of a machine's mirror is no name.
    fn name_of(&self, index: &apt::IndexFile) -> String {
        let is_its =
            |source: &&OwnedSource| apt::is_same_root(&source.uri, &index.uri) && source.suites.contains(&index.suite);
        let name = self.0.iter().find(is_its).and_then(|source| source.name.as_ref());
        let place = match index.component.as_str() {
            "" => index.suite.trim_end_matches("./").to_owned(),
            component => format!("{}/{component}", index.suite),
        };
        let words = [name.map(ToString::to_string).unwrap_or_default(), place];
        words.iter().filter(|word| !word.is_empty()).cloned().collect::<Vec<_>>().join(" ")
    }

    fn text(&self) -> Result<String, BuildError> {
        let sources: Vec<_> = self
            .0
            .iter()
            .map(|source| Source {
                uri: &source.uri,
                suites: &source.suites,
                components: &source.components,
                keyring: source.keyring.as_deref(),
            })
            .collect();
        Ok(apt::sources(&sources)?)
    }
}

fn main_archive(bootstrap: &Bootstrap, machine: &MachineArchives) -> Result<(Archive, String), BuildError> {
    match (&bootstrap.mirror, &machine.main) {
        (Some(url), _) => Ok((Archive::Url(url.clone()), url.clone())),
        (None, Some(url)) => Ok((Archive::Machine, url.clone())),
        (None, None) => Err(BuildError::NoMachineMirror),
    }
}

/// The security archive is another one than the main archive, except where the definition's mirror holds both.
fn security_archive(
    bootstrap: &Bootstrap,
    machine: &MachineArchives,
    suite: &str,
) -> Result<(Archive, String), BuildError> {
    match (&bootstrap.security_mirror, &bootstrap.mirror, &machine.security) {
        (Some(url), _, _) | (None, Some(url), _) => Ok((Archive::Url(url.clone()), url.clone())),
        (None, None, Some(url)) => Ok((Archive::MachineSecurity, url.clone())),
        (None, None, None) => Err(BuildError::NoMachineSecurityMirror { suite: suite.to_owned() }),
    }
}

impl<'s> AptRoot<'s> {
    /// Writes the private root and says where packages can be fetched; reads no package list yet.
    pub(super) fn create(
        session: &'s Session,
        name: &str,
        architecture: &str,
        sources: &AptSources,
    ) -> Result<Self, BuildError> {
        let path = session.store.work_folder(name)?;
        let dir = dirs::open(&path).map_err(io("opening", &path))?;
        for folder in apt::PRIVATE_FOLDERS {
            dir.create_dir_all(folder).map_err(io("creating", path.join(folder)))?;
        }
        let machine = session.runner.read(&apt::machine_settings()).map_err(command("asking apt for its settings"))?;
        let config = apt::private_config(path.as_str(), architecture, &machine)?;
        for (file, text) in
            [("apt.conf", config), (apt::PRIVATE_SOURCES, sources.text()?), (apt::PRIVATE_STATUS, String::new())]
        {
            dir.write(file, text).map_err(io("writing", path.join(file)))?;
        }
        let (archives, sources) = (sources.archives(), sources.clone());
        Ok(Self { session, config: path.join("apt.conf"), path, archives, sources })
    }

    /// Fetches the package lists, signatures checked.
    pub(super) fn update(&self) -> Result<(), BuildError> {
        let step = self.session.step("read package lists")?;
        self.session
            .runner
            .run_with(&self.apt().update(), &|line| step.note(line))
            .map_err(diagnosed("reading package lists", &[apt::diagnose]))?;
        step.finish("");
        Ok(())
    }

    /// apt's own configuration, for fetching.
    pub(super) fn config(&self) -> &Utf8PathBuf {
        &self.config
    }

    /// Where packages can be fetched.
    pub(super) fn archives(&self) -> &Archives {
        &self.archives
    }

    fn apt(&self) -> Apt<'_> {
        Apt { config: self.config.as_str() }
    }

    /// Everything that has to be added to what `status` says is installed, so that `selection` is installed too.
    pub(super) fn resolve(&self, status: Option<&str>, selection: &[String]) -> Result<PackageSet, BuildError> {
        let status = status.map(|text| self.write_status(text)).transpose()?;
        let cmd = self.apt().resolve(status.as_ref().map(|path| path.as_str()), selection.iter().cloned());
        let text = self.session.runner.read(&cmd).map_err(command("resolving packages"))?;
        let candidates = apt::parse_candidates(&text).map_err(BuildError::AptOutput)?;
        let mut packages = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            packages.push(self.locked(&candidate)?);
        }
        packages.sort();
        Ok(PackageSet { packages })
    }

    fn write_status(&self, text: &str) -> Result<Utf8PathBuf, BuildError> {
        let path = self.path.join("base.status");
        let dir = dirs::open(&self.path).map_err(io("opening", &self.path))?;
        dir.write("base.status", text).map_err(io("writing", &path))?;
        Ok(path)
    }

    fn locked(&self, candidate: &apt::Candidate) -> Result<LockedPackage, BuildError> {
        let (archive, path) = self.archives.locate(&candidate.uri).ok_or_else(|| BuildError::UnknownArchive {
            package: candidate.name.clone(),
            archive: candidate.uri.clone(),
        })?;
        Ok(LockedPackage {
            name: candidate.name.clone(),
            version: candidate.version.clone(),
            architecture: candidate.architecture.clone(),
            sha256: candidate.sha256.parse().expect("the parser checked it"),
            size: candidate.size,
            archive,
            path,
        })
    }

    /// What the indexes of all archives say about kernels, in the order of the sources.
    pub(super) fn kernels(&self) -> Result<Vec<Index>, BuildError> {
        let text = self.session.runner.read(&self.apt().indexes()).map_err(command("listing package indexes"))?;
        let files = apt::parse_indexes(&text).map_err(BuildError::AptOutput)?;
        files.iter().map(|file| self.index(file)).collect()
    }

    fn index(&self, file: &apt::IndexFile) -> Result<Index, BuildError> {
        let archive = self.sources.name_of(file);
        let mut text = String::new();
        let mut pick = |index: &mut dyn Read| {
            text = deb822::pick(BufReader::new(index), |name| name.starts_with("linux-"))?;
            Ok(())
        };
        let step = format!("reading the package index of {archive}");
        self.session.runner.stream(&self.apt().index(&file.file), &mut pick).map_err(command(step))?;
        Ok(Index { archive, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_named_as_operators_know_it() {
        let source = |name: Option<&str>, uri: &str, suite: &str| OwnedSource {
            name: name.map(|name| name.parse().unwrap()),
            archive: Archive::Machine,
            uri: uri.to_owned(),
            suites: vec![suite.to_owned()],
            components: Vec::new(),
            keyring: None,
        };
        let sources = AptSources(vec![
            source(None, "http://mirror.invalid/debian", "trixie"),
            source(Some("backports"), "http://mirror.invalid/debian/", "trixie-backports"),
            source(Some("site"), "http://site.invalid", "./"),
        ]);
        for (uri, suite, component, expected) in [
            ("http://mirror.invalid/debian", "trixie", "main", "trixie/main"),
            ("http://mirror.invalid/debian", "trixie-backports", "contrib", "backports trixie-backports/contrib"),
            ("http://site.invalid", "./", "", "site"),
        ] {
            let (suite, component, uri) = (suite.to_owned(), component.to_owned(), uri.to_owned());
            assert_eq!(sources.name_of(&apt::IndexFile { suite, component, uri, file: String::new() }), expected);
        }
    }
}
