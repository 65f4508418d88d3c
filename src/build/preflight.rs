//! What this machine lacks, all of it at once, each with the command that fixes it.

use std::collections::BTreeSet;

use serde::Serialize;

use super::Session;
use super::containers;
use super::setup_root;
use crate::config::{Definition, Family};
use crate::model::{ByteSize, Machine};
use crate::plan::Selection;
use crate::sys::{Cmd, CmdError, dirs};
use crate::tool::{self, ToolVersion};

/// A chain of three small images with its packages and buildah's copies fits into this.
const WANTED_SPACE: ByteSize = ByteSize(4 << 30);

/// The layers of thousands of hosts fit into this: each is a few kilobytes.
const WANTED_FOR_HOSTS: ByteSize = ByteSize(32 << 20);

/// Keys of Debian's archives.
const DEBIAN_KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// What a build will use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    space: bool,
    bootstrap: bool,
    setup_root: bool,
    containers: bool,
    apt: bool,
    dnf: bool,
    /// Disks of this architecture are booted.
    boots: Option<Machine>,
    /// Disks are converted to qcow2.
    converts: bool,
}

impl Needs {
    /// Everything imgbuild can use.
    pub const fn everything() -> Self {
        Self {
            space: true,
            bootstrap: true,
            setup_root: true,
            containers: true,
            apt: true,
            dnf: true,
            boots: Some(Machine::X86_64),
            converts: true,
        }
    }

    /// What booting a disk of this architecture needs.
    pub fn to_boot(machine: Machine) -> Self {
        Self { boots: Some(machine), ..Self::default() }
    }

    /// What converting a disk to qcow2 needs.
    pub fn to_convert() -> Self {
        Self { converts: true, ..Self::default() }
    }

    /// What a whole definition needs.
    pub fn of(definition: &Definition) -> Self {
        Self::of_selection(definition, &Selection::all(definition))
    }

    /// What resolving a whole definition needs: package managers, and the program whose digest is locked.
    ///
    /// How much room the packages take is not known before; running out of it is explained when it happens.
    pub fn to_lock(definition: &Definition) -> Self {
        Self { space: false, bootstrap: false, containers: false, ..Self::of(definition) }
    }

    /// What building exactly the selected images needs.
    pub fn of_selection(definition: &Definition, selection: &Selection) -> Self {
        let tier1: Vec<_> = selection.tier1.iter().map(|name| &definition.tier1[name]).collect();
        let families: BTreeSet<_> =
            selection.tier2.iter().map(|name| definition.tier1[&definition.tier2[name].base].family()).collect();
        let bootstrap = tier1.iter().any(|tier| tier.bootstrap.is_some());
        let container_hosts = selection.hosts.iter().any(|name| definition.hosts[name].containerfile.is_some());
        Self {
            space: true,
            bootstrap,
            setup_root: bootstrap,
            containers: !selection.tier2.is_empty() || container_hosts,
            apt: bootstrap || families.contains(&Family::Apt),
            dnf: families.contains(&Family::Dnf),
            boots: None,
            converts: false,
        }
    }
}

/// How one check came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the variants name their fields")]
pub enum Outcome {
    /// It is there; what was found.
    Fine { found: String },
    /// It is not, or not good enough.
    Missing { problem: String, fix: String },
    /// It could not be found out.
    Unknown { reason: String },
}

/// One thing this machine must have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// What for.
    pub purpose: &'static str,
    /// How it came out.
    pub outcome: Outcome,
}

/// All checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// In a fixed order.
    pub checks: Vec<Check>,
}

/// This machine lacks something.
#[derive(Debug, thiserror::Error)]
#[error("this machine lacks what the build needs:\n{}", problems(.0))]
pub struct MissingError(pub Report);

fn problems(report: &Report) -> String {
    let lines = report.checks.iter().filter(|check| !check.is_fine()).map(ToString::to_string);
    lines.collect::<Vec<_>>().join("\n")
}

impl Check {
    fn is_fine(&self) -> bool {
        matches!(self.outcome, Outcome::Fine { .. })
    }
}

impl Report {
    /// Whether nothing is missing and everything could be found out.
    pub fn is_fine(&self) -> bool {
        self.checks.iter().all(Check::is_fine)
    }
}

impl std::fmt::Display for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, purpose, outcome } = self;
        match outcome {
            Outcome::Fine { found } => write!(f, "ok       {name}: {found}"),
            Outcome::Missing { problem, fix } => {
                write!(f, "missing  {name} ({purpose}): {problem}\n         fix: {fix}")
            }
            Outcome::Unknown { reason } => write!(f, "unknown  {name} ({purpose}): {reason}"),
        }
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.checks.iter().try_for_each(|check| writeln!(f, "{check}"))
    }
}

/// Refuses when anything is missing.
///
/// # Errors
/// [`MissingError`] with every check that failed.
pub(super) fn require(session: &Session, needs: &Needs) -> Result<(), MissingError> {
    let report = examine(session, needs);
    if report.is_fine() { Ok(()) } else { Err(MissingError(report)) }
}

/// Looks at everything the build will use.
pub fn examine(session: &Session, needs: &Needs) -> Report {
    let wanted = if needs.bootstrap || needs.containers { WANTED_SPACE } else { WANTED_FOR_HOSTS };
    let mut checks = Vec::new();
    if needs.space {
        checks.push(space(session, wanted));
    }
    if needs.bootstrap || needs.containers {
        checks.push(privilege());
        checks.push(namespaces(session));
    }
    if needs.apt {
        let purpose = "resolves and fetches Debian packages";
        checks.push(program(
            session,
            "apt",
            purpose,
            &tool::apt::version(),
            tool::apt::MINIMUM,
            tool::apt::MINIMUM_REASON,
        ));
        checks.push(program(
            session,
            "dpkg",
            "reads Debian packages",
            &Cmd::new("dpkg-deb").package("dpkg").arg("--version"),
            ToolVersion::new(1, 21, 0),
            "which is Debian 12's",
        ));
        checks.push(keyring());
    }
    if needs.dnf {
        checks.push(dnf(session));
        checks.push(program(
            session,
            "rpm",
            "reads the package database of RPM images",
            &tool::rpm::version(),
            tool::rpm::MINIMUM,
            tool::rpm::MINIMUM_REASON,
        ));
    }
    if needs.bootstrap {
        let purpose = "makes a root file system from packages";
        checks.push(program(
            session,
            "mmdebstrap",
            purpose,
            &tool::mmdebstrap::version(),
            tool::mmdebstrap::MINIMUM,
            tool::mmdebstrap::MINIMUM_REASON,
        ));
    }
    if needs.setup_root {
        checks.push(setup_root_program(session));
    }
    if needs.containers {
        let purpose = "runs the builder stages of kernel modules";
        checks.push(program(
            session,
            "buildah",
            purpose,
            &tool::buildah::version(),
            tool::buildah::MINIMUM,
            tool::buildah::MINIMUM_REASON,
        ));
        checks.push(storage_driver(session));
    }
    if let Some(machine) = needs.boots {
        checks.extend(emulator(session, machine));
    }
    if needs.converts {
        let purpose = "converts disks to qcow2";
        checks.push(program(
            session,
            "qemu-img",
            purpose,
            &tool::qemu_img::version(),
            tool::qemu_img::MINIMUM,
            tool::qemu_img::MINIMUM_REASON,
        ));
    }
    Report { checks }
}

fn program(
    session: &Session,
    name: &'static str,
    purpose: &'static str,
    version: &Cmd,
    minimum: ToolVersion,
    reason: &'static str,
) -> Check {
    let outcome = match session.runner.read(version) {
        Err(CmdError::Missing { package, .. }) => Outcome::Missing {
            problem: "not installed".to_owned(),
            fix: format!("apt-get install {}", package.unwrap_or(name)),
        },
        Err(error) => Outcome::Unknown { reason: error.to_string() },
        Ok(text) => match ToolVersion::find(&text) {
            Err(error) => Outcome::Unknown { reason: error.to_string() },
            Ok(found) => match found.at_least(name, minimum, reason) {
                Ok(version) => Outcome::Fine { found: version.to_string() },
                Err(error) => Outcome::Missing {
                    problem: error.to_string(),
                    fix: format!("apt-get install {name} on a newer release, or from its backports"),
                },
            },
        },
    };
    Check { name, purpose, outcome }
}

/// QEMU and firmware; nothing for architectures that have none, which is an error of its own.
fn emulator(session: &Session, machine: Machine) -> Vec<Check> {
    let (Some(version), Some(firmware)) = (tool::qemu::version(machine), tool::qemu::firmware(machine)) else {
        return Vec::new();
    };
    let purpose = "boots disks";
    let program = program(session, "qemu", purpose, &version, tool::qemu::MINIMUM, tool::qemu::MINIMUM_REASON);
    let missing = [firmware.code, firmware.variables].into_iter().find(|path| !dirs::exists((*path).as_ref()));
    let outcome = match missing {
        None => Outcome::Fine { found: firmware.code.to_owned() },
        Some(path) => Outcome::Missing {
            problem: format!("{path} is not there"),
            fix: format!("apt-get install {}", firmware.package),
        },
    };
    vec![program, Check { name: "firmware", purpose: "starts the boot loader of disks", outcome }]
}

/// Too new is as bad as too old: dnf 5 goes by the same name.
fn dnf(session: &Session) -> Check {
    let (name, purpose) = ("dnf", "resolves and fetches RPM packages");
    let version = tool::dnf::version();
    let mut check = program(session, name, purpose, &version, tool::dnf::MINIMUM, tool::dnf::MINIMUM_REASON);
    if let Outcome::Fine { found } = &check.outcome
        && ToolVersion::find(found).is_ok_and(|found| found >= tool::dnf::BELOW)
    {
        check.outcome = Outcome::Missing {
            problem: format!("version {found} is another program under the same name; dnf 4 is needed"),
            fix: "run on Debian 12 or 13, whose dnf is version 4 (apt-get install dnf)".to_owned(),
        };
    }
    check
}

fn space(session: &Session, wanted: ByteSize) -> Check {
    let outcome = match dirs::free_bytes(session.store.dir()).map(ByteSize) {
        Ok(free) if free >= wanted => Outcome::Fine { found: format!("{free} free in {}", session.store.path()) },
        Ok(free) => Outcome::Missing {
            problem: format!("{free} free in {}, and the build takes up to {wanted}", session.store.path()),
            fix: "make room, or put the store elsewhere with --store".to_owned(),
        },
        Err(error) => Outcome::Unknown { reason: error.to_string() },
    };
    Check { name: "space", purpose: "holds packages, images and the builders' files", outcome }
}

fn privilege() -> Check {
    let outcome = match dirs::effective_uid() {
        0 => Outcome::Fine { found: "root".to_owned() },
        user => Outcome::Missing {
            problem: format!("you are user {user}; package scripts and chroot need root"),
            fix: "sudo imgbuild ..., or run it in a container as root; tier 3 alone needs no privilege".to_owned(),
        },
    };
    Check { name: "privilege", purpose: "runs package scripts as the owner of their files", outcome }
}

/// Every step that runs foreign code gets namespaces of its own.
fn namespaces(session: &Session) -> Check {
    let outcome = match session.runner.run(&tool::unshare::without_network(Cmd::new("true"))) {
        Ok(()) => Outcome::Fine { found: "usable".to_owned() },
        Err(CmdError::Missing { .. }) => Outcome::Missing {
            problem: "unshare is not installed".to_owned(),
            fix: "apt-get install util-linux".to_owned(),
        },
        Err(CmdError::Failed { tail, .. }) => Outcome::Missing {
            problem: format!("unshare fails: {}", tail.last().cloned().unwrap_or_default()),
            fix: "in a container: run it with CAP_SYS_ADMIN (podman run --cap-add SYS_ADMIN --security-opt seccomp=unconfined; GitLab runner: privileged = true)".to_owned(),
        },
        Err(error) => Outcome::Unknown { reason: error.to_string() },
    };
    Check { name: "namespaces", purpose: "keeps builds off the network and ends what they start", outcome }
}

fn keyring() -> Check {
    let outcome = match dirs::exists(DEBIAN_KEYRING.as_ref()) {
        true => Outcome::Fine { found: DEBIAN_KEYRING.to_owned() },
        false => Outcome::Missing {
            problem: format!("{DEBIAN_KEYRING} is not there"),
            fix: "apt-get install debian-archive-keyring".to_owned(),
        },
    };
    Check { name: "archive keys", purpose: "verifies Debian's package lists", outcome }
}

fn setup_root_program(session: &Session) -> Check {
    let outcome = match setup_root::find(&session.settings) {
        Ok(found) => Outcome::Fine { found: found.path.into_string() },
        Err(error) => Outcome::Missing {
            problem: error.to_string(),
            fix: "ci/setup-root in imgbuild's repository, then --setup-root FILE".to_owned(),
        },
    };
    Check { name: "composefs-setup-root", purpose: "mounts the root file system, from the initramfs", outcome }
}

fn storage_driver(session: &Session) -> Check {
    let driver = containers::storage_driver(session);
    Check {
        name: "container storage",
        purpose: "holds the builder stages",
        outcome: Outcome::Fine { found: driver.to_owned() },
    }
}
