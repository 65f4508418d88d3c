//! What can go wrong while building.

use std::error::Error;
use std::io;

use cap_std::fs_utf8::camino::Utf8PathBuf;

use super::audit::AuditError;
use super::boot::BootError;
use super::disk::DiskError;
use super::preflight::MissingError;
use super::project::DriftError;
use super::seal::SealError;
use super::signing::SigningError;
use super::verify::Reported;
use crate::config::{AllowFileError, ConfigErrors, Family};
use crate::kernel::{BaseMismatch, NoKernel, UniverseError};
use crate::kmod::{AllowedError, Finding, ManifestError, SymversError};
use crate::lint::LintError;
use crate::model::deb822::StanzaError;
use crate::model::{ByteSize, HostName, ImageLocator, KernelRelease, KmodSetName, RepositoryName, TierName};
use crate::oci::copy::CopyError;
use crate::oci::registry::RegistryError;
use crate::oci::registry::auth::AuthError;
use crate::oci::tree::TreeError;
use crate::oci::{ImageError, LayerError, LayoutError, SourceError};
use crate::plan::RenderError;
use crate::plan::decision::KeptError;
use crate::plan::host::HostError;
use crate::sbom::SbomError;
use crate::sys::{CmdError, Interrupted, LockError};
use crate::tool;

/// So many of the hosts that could not be built are named.
const SHOWN_HOSTS: usize = 5;

/// A build that did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum BuildError {
    #[error("listing what is in {image}")]
    Sbom { image: String, source: std::sync::Arc<SbomError> },
    #[error(transparent)]
    SyftOutput(#[from] tool::syft::SyftOutputError),
    #[error(transparent)]
    ToolVersion(#[from] tool::VersionError),
    #[error(transparent)]
    ToolTooOld(#[from] tool::TooOld),
    #[error("{action} `{path}`")]
    Io { action: &'static str, path: Utf8PathBuf, source: io::Error },
    #[error(
        "the store `{path}` belongs to user {owner}, and you are user {user}; use another one with --store, or become its owner"
    )]
    ForeignStore { path: Utf8PathBuf, owner: u32, user: u32 },
    #[error(
        "no space left in `{path}` ({free} free): make room (`imgbuild gc` removes what nothing needs) or put the store elsewhere with --store"
    )]
    NoSpace { path: Utf8PathBuf, free: ByteSize, source: Box<BuildError> },
    #[error("{step}: {problem}")]
    Problem { step: String, problem: Box<tool::Problem>, source: Box<CmdError> },
    #[error("`tier2/{tier}`: module set `{set}` {version} does not build for kernel {kernel}: {reason}")]
    DoesNotBuild {
        tier: TierName,
        set: KmodSetName,
        version: String,
        kernel: KernelRelease,
        reason: String,
        locked: bool,
        source: Box<CmdError>,
    },
    #[error("{}{}{}", count(failed.len(), "image"), failures(failed), skipped_lines(skipped))]
    Partly { failed: Vec<(String, BuildError)>, skipped: Vec<HostName> },
    #[error("{step}")]
    Command { step: String, source: Box<CmdError> },
    #[error(transparent)]
    Missing(#[from] MissingError),
    #[error(transparent)]
    Drift(#[from] DriftError),
    #[error(transparent)]
    Definition(#[from] ConfigErrors),
    #[error(transparent)]
    Host(#[from] HostError),
    #[error("no kernel for `tier2/{tier}`")]
    Kernel { tier: TierName, source: Box<NoKernel> },
    #[error(transparent)]
    Universe(#[from] UniverseError),
    #[error("`tier1/{tier}`: package `{package}` brings {}; name a package that brings exactly one", some(found))]
    KernelsInDefinition { tier: TierName, package: String, found: Vec<String> },
    #[error("`tier2/{tier}`: module set `{set}` cannot be built with {family}: its kmod.toml has no [build.{family}]")]
    FamilyNotSupported { tier: TierName, set: KmodSetName, family: Family },
    #[error("package `{package}`: no address is known for its archive ({archive})")]
    UnknownArchive { package: String, archive: String },
    #[error("package {package}: expected SHA-256 {expected}, found {found}")]
    PackageDigest { package: String, expected: String, found: String },
    #[error("package `{package}`: its description cannot be read")]
    Control { package: String, source: StanzaError },
    #[error("package `{package}`: its description is empty")]
    EmptyControl { package: String },
    #[error("the package database of the image below cannot be read")]
    Status(#[source] StanzaError),
    #[error("the package index of {archive} cannot be read")]
    Index { archive: String, source: StanzaError },
    #[error(
        "`tier2/{tier}`: imgbuild.lock was written by another imgbuild; `imgbuild lock --update {tier}` writes it anew"
    )]
    KernelInputs { tier: TierName, source: KeptError },
    #[error(
        "module set `{set}`: the kernel was chosen for version {decided}, and the packages bring {found}; name a package that brings one version"
    )]
    SourceMoved { set: KmodSetName, decided: String, found: String },
    #[error(
        "`tier2/{tier}`: for every kernel chosen, dnf takes modules whose source wants another; `kernel.pin` in its tier.toml settles it"
    )]
    SourcesMoved { tier: TierName },
    #[error("apt printed something unexpected")]
    AptOutput(#[source] tool::apt::ParseError),
    #[error(transparent)]
    AptConfig(#[from] tool::apt::ConfigError),
    #[error("this machine has no Debian mirror configured; give `mirror` in [bootstrap], or run on a Debian machine")]
    NoMachineMirror,
    #[error(
        "this machine has no mirror of Debian's security archive configured, where `{suite}` is; add it to the machine's apt sources, give `security-mirror` in [bootstrap], or take `{suite}` out of its `updates`"
    )]
    NoMachineSecurityMirror { suite: String },
    #[error(
        "the program composefs-setup-root is not here (looked in {}); `ci/setup-root` of imgbuild's repository builds it, --setup-root names it",
        looked.iter().map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", ")
    )]
    NoSetupRoot { looked: Vec<Utf8PathBuf> },
    #[error(
        "the program composefs-setup-root at `{path}` is not the locked one: expected SHA-256 {expected}, found {found}; run `imgbuild lock --update`, or name the locked one with --setup-root"
    )]
    SetupRootDrift { path: Utf8PathBuf, expected: String, found: String },
    #[error("`{image}`: {what}")]
    Layout { image: String, what: &'static str, source: LayoutError },
    #[error("reading or writing a layer")]
    Layer(#[from] LayerError),
    #[error("reading the layers of an image")]
    Tree(#[from] TreeError),
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error("copying `{image}`")]
    Copy { image: Box<ImageLocator>, source: CopyError },
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Archive(#[from] SourceError),
    #[error("registry logins in `{path}`")]
    Login { path: Utf8PathBuf, source: AuthError },
    #[error(
        "`{requested}` no longer is what was locked: expected {expected}, found {found}; `imgbuild lock --update` takes the new one"
    )]
    MirrorDrift { requested: String, expected: String, found: String },
    #[error(
        "`{image}` must hold exactly one kernel (a folder of /usr/lib/modules with a vmlinuz) and holds {}",
        some(found)
    )]
    KernelCount { image: String, found: Vec<String> },
    #[error("`{image}`: kernel {kernel} has no initramfs.img beside it in /usr/lib/modules")]
    NoInitramfs { image: String, kernel: KernelRelease },
    #[error("`{image}` was locked with kernel {expected} and came out with {found}")]
    KernelMismatch { image: String, expected: KernelRelease, found: KernelRelease },
    #[error(
        "`{image}` has no package database of rpm that can be read: no {} in {}",
        tool::rpm::DATABASE_FILE, tool::rpm::DATABASE_FOLDERS.join(", ")
    )]
    NoRpmDatabase { image: String },
    #[error(transparent)]
    RpmOutput(#[from] tool::rpm::RpmOutputError),
    #[error(transparent)]
    DnfConfig(#[from] tool::dnf::ConfigError),
    #[error("`{image}`: no package tells which release of the distribution it is (provides system-release)")]
    NoReleaseVersion { image: String },
    #[error("`tier1/{tier}`: RPM distributions are mirrored, not bootstrapped")]
    BootstrappedRpm { tier: TierName },
    #[error("repository `{repository}`: `machine` stands for this machine's Debian mirror; give its address")]
    MachineRpmRepository { repository: RepositoryName },
    #[error("repository `{repository}`: its metadata cannot be read")]
    Repodata { repository: String, source: tool::repodata::RepodataError },
    #[error("`tier1/{tier}`: its kernels cannot be told")]
    BaseKernels { tier: TierName, source: BaseMismatch },
    #[error("dnf fetched `{file}`, which no repository lists with its SHA-256")]
    UnknownPackageFile { file: String },
    #[error(
        "package {package}: no repository has the locked file any more (SHA-256 {sha256}); `imgbuild lock --update` takes what there is now"
    )]
    PackageGone { package: String, sha256: String },
    #[error("`{image}` is not in the lock; `imgbuild lock` puts it there")]
    NotLocked { image: String },
    #[error("there is no host `{host}` in the project")]
    NoSuchHost { host: HostName },
    #[error("host `{host}` stands on nothing: give `base` in its file or in imgbuild.toml")]
    HostWithoutBase { host: HostName },
    #[error("module set `{set}`: its kmod.toml does not fit what was built")]
    Manifest { set: KmodSetName, source: ManifestError },
    #[error("module set `{set}`: the modules are not as they must be:{}", lines(findings))]
    Modules { set: KmodSetName, findings: Vec<Finding> },
    #[error("`{image}` has no kernel modules{}", .kernel.as_ref().map(|kernel| format!(" for {kernel}")).unwrap_or_default())]
    NoModules { image: String, kernel: Option<String> },
    #[error("`{path}` is no certificate in PEM or DER")]
    NotACertificate { path: Utf8PathBuf },
    #[error("`{image}` is not fit to be used:{}", refusals(findings))]
    Refused { image: String, findings: Vec<Reported> },
    #[error("the image is not built on `{base}`: its first layers are others")]
    NotOnThatBase { base: String },
    #[error("`{path}` is no list of allowed leftovers")]
    AllowFile { path: Utf8PathBuf, source: Box<AllowFileError> },
    #[error("the kernel's list of symbols `{path}`, from its headers, cannot be read")]
    Symvers { path: Utf8PathBuf, source: SymversError },
    #[error("`{image}` would ship what only a build needs:{}", lines(findings))]
    Leftovers { image: String, findings: Vec<Finding> },
    #[error(transparent)]
    Allowed(#[from] AllowedError),
    #[error("`{image}` could not be checked")]
    Lint { image: String, source: LintError },
    #[error("`{image}`: files that were picked for it are not in it: {}", paths.join(", "))]
    PickedFilesGone { image: String, paths: Vec<String> },
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error("`{command}` printed something unexpected: {output}")]
    BuildahOutput { command: String, output: String },
    #[error("buildah did not build on the image it was given: expected layer {expected}, found {found}")]
    NotOnBase { expected: String, found: String },
    #[error("`{image}` is not in the store; `imgbuild images` lists what is")]
    NoSuchImage { image: String },
    #[error(transparent)]
    Boot(Box<BootError>),
    #[error(transparent)]
    Disk(Box<DiskError>),
    #[error(transparent)]
    Signing(Box<SigningError>),
    #[error(transparent)]
    Seal(Box<SealError>),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl From<BootError> for BuildError {
    fn from(error: BootError) -> Self {
        Self::Boot(Box::new(error))
    }
}

impl From<DiskError> for BuildError {
    fn from(error: DiskError) -> Self {
        Self::Disk(Box::new(error))
    }
}

impl From<SigningError> for BuildError {
    fn from(error: SigningError) -> Self {
        Self::Signing(Box::new(error))
    }
}

impl From<SealError> for BuildError {
    fn from(error: SealError) -> Self {
        Self::Seal(Box::new(error))
    }
}

impl BuildError {
    /// Whether the user asked to stop, wherever that was noticed.
    pub fn is_interruption(&self) -> bool {
        causes(self).any(|cause| {
            cause.is::<Interrupted>()
                || matches!(cause.downcast_ref(), Some(Self::Signing(error)) if error.is_interruption())
                || matches!(
                    cause.downcast_ref(),
                    Some(Self::Interrupted(_) | Self::Registry(RegistryError::Interrupted))
                )
                || matches!(cause.downcast_ref(), Some(CopyError::Interrupted))
                || matches!(cause.downcast_ref(), Some(RegistryError::Interrupted))
                || matches!(failed_command(cause), Some(CmdError::Interrupted { .. }))
        })
    }

    /// The nearest way out, where there is one beyond what the message says.
    pub fn fix(&self) -> Option<String> {
        let text = match self {
            Self::Kernel { source, .. } => return source.fix(),
            Self::DoesNotBuild { locked: true, .. } => {
                "build without --locked, so that another kernel can be decided on"
            }
            Self::DoesNotBuild { .. } => {
                "the lock remembers it; `--probe N` tries up to N other kernels; or take another version of the set"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }

    /// Whether one tier's modules or their kernel are in the way, which no other tier has to wait for.
    pub(super) fn is_about_modules(&self) -> bool {
        matches!(self, Self::Kernel { .. } | Self::DoesNotBuild { .. } | Self::Manifest { .. } | Self::Modules { .. })
    }

    /// All that went wrong in a run that went on after it, as one error.
    ///
    /// # Errors
    /// When anything did.
    pub(super) fn all(failed: Vec<(String, Self)>, skipped: Vec<HostName>) -> Result<(), Self> {
        match <[_; 1]>::try_from(failed) {
            Ok([(_, error)]) if skipped.is_empty() => Err(error),
            Ok([one]) => Err(Self::Partly { failed: vec![one], skipped }),
            Err(none) if none.is_empty() => Ok(()),
            Err(several) => Err(Self::Partly { failed: several, skipped }),
        }
    }

    /// Whether a file system was full, wherever that was noticed.
    pub(super) fn is_full_disk(&self) -> bool {
        let full =
            |error: &io::Error| matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let said = |line: &String| line.contains("No space left on device");
        causes(self).any(|cause| {
            cause.downcast_ref().is_some_and(full)
                || matches!(failed_command(cause), Some(CmdError::Failed { tail, .. }) if tail.iter().any(said))
        })
    }
}

/// An error and what is behind it, through I/O errors that carry another error.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(carried) => Some(carried),
        None => error.source(),
    })
}

/// The cause as a command, in a box or without.
fn failed_command<'e>(cause: &'e (dyn Error + 'static)) -> Option<&'e CmdError> {
    cause.downcast_ref().or_else(|| cause.downcast_ref::<Box<CmdError>>().map(|boxed| &**boxed))
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{} failed; what does not depend on them is done:", if number == 1 { "" } else { "s" })
}

fn skipped_lines(hosts: &[HostName]) -> String {
    let names: Vec<_> = hosts.iter().take(SHOWN_HOSTS).map(ToString::to_string).collect();
    match hosts.len() {
        0 => String::new(),
        all => format!(
            "\nnot built for want of their base: {all} hosts ({}{})",
            names.join(", "),
            if all > SHOWN_HOSTS { ", …" } else { "" }
        ),
    }
}

/// Each failed image with everything that is behind it.
fn failures(failed: &[(String, BuildError)]) -> String {
    let one = |(image, error): &(String, BuildError)| {
        let behind = causes(error).skip(1).map(|cause| format!("\n  because: {cause}")).collect::<String>();
        let fix = error.fix().map(|fix| format!("\n  fix: {fix}")).unwrap_or_default();
        format!("\n{image}: {error}{behind}{fix}").replace('\n', "\n  ")
    };
    failed.iter().map(one).collect()
}

/// Each finding on a line, and the fix once after those of one code.
fn lines(findings: &[Finding]) -> String {
    refusals(&findings.iter().map(Reported::from).collect::<Vec<_>>())
}

fn refusals(findings: &[Reported]) -> String {
    let line = |found: &Reported| format!("\n  {} {}: {}", found.code, found.subject, found.message);
    let same = findings.chunk_by(|left, right| left.code == right.code);
    same.map(|same| format!("{}\n    fix: {}", same.iter().map(line).collect::<String>(), same[0].fix)).collect()
}

fn some(found: &[String]) -> String {
    match found {
        [] => "no kernel".to_owned(),
        several => format!("{} kernels ({})", several.len(), several.join(", ")),
    }
}

/// Adds the path and what was being done to an I/O error.
pub(super) fn io(action: &'static str, path: impl Into<Utf8PathBuf>) -> impl FnOnce(io::Error) -> BuildError {
    let path = path.into();
    move |source| BuildError::Io { action, path, source }
}

/// Adds the step to a failed command.
pub(super) fn command(step: impl Into<String>) -> impl FnOnce(CmdError) -> BuildError {
    let step = step.into();
    move |source| BuildError::Command { step, source: Box::new(source) }
}

/// Recognises a failure from the last lines a program printed.
pub(super) type Diagnose = fn(&[String]) -> Option<tool::Problem>;

/// Adds the step to a failed command, and what its output tells where one of `diagnoses` recognises it.
pub(super) fn diagnosed(
    step: impl Into<String>,
    diagnoses: &'static [Diagnose],
) -> impl FnOnce(CmdError) -> BuildError {
    let step = step.into();
    move |source| {
        let source = Box::new(source);
        let CmdError::Failed { tail, .. } = &*source else { return BuildError::Command { step, source } };
        match diagnoses.iter().find_map(|diagnose| diagnose(tail)) {
            Some(problem) => BuildError::Problem { step, problem: Box::new(problem), source },
            None => BuildError::Command { step, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(tail: &str) -> CmdError {
        CmdError::Failed {
            line: "cp".to_owned(),
            cwd: None,
            exit: crate::sys::ExitKind::Code(1),
            tail: vec![tail.to_owned()],
            log: None,
        }
    }

    #[test]
    fn a_full_disk_is_seen_through_every_wrapping() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let carried = io::Error::other(LayoutError::WriteBlob(full()));
        let cases = [
            (io("writing", "f")(full()), true),
            (io("writing", "f")(carried), true),
            (LayerError::Write(full()).into(), true),
            (AuditError::Io { action: "writing", source: full() }.into(), true),
            (command("copying")(failed("cp: No space left on device")), true),
            (command("copying")(failed("cp: no such file")), false),
            (io("writing", "f")(io::ErrorKind::PermissionDenied.into()), false),
        ];
        for (error, expected) in cases {
            assert_eq!(error.is_full_disk(), expected, "{error:?}");
            assert!(!error.is_interruption(), "{error:?}");
        }
    }

    #[test]
    fn an_interruption_is_one_wherever_it_was_noticed() {
        let image = || Box::new("oci:x".parse().unwrap());
        let interrupted = || RegistryError::Interrupted;
        for error in [
            BuildError::from(Interrupted),
            interrupted().into(),
            command("copying")(CmdError::Interrupted { line: "cp".to_owned() }),
            BuildError::Copy { image: image(), source: CopyError::Interrupted },
            BuildError::Copy {
                image: image(),
                source: CopyError::Source { what: "m".to_owned(), source: interrupted().into() },
            },
        ] {
            assert!(error.is_interruption(), "{error:?}");
            assert!(!error.is_full_disk(), "{error:?}");
        }
    }
}
