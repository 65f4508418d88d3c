//! Deciding what boots an image.

use std::collections::BTreeMap;

use super::loader::Loader;
use super::os_release::{OsRelease, parse_os_release};
use super::support::support;
use super::{Check, ComposefsArgument, ComposefsId, Spelling, Survey, Unbootable, efi_suffix};
use crate::model::KargsFile;
use crate::oci::Initramfs;
use crate::oci::layer::Lossy;

/// What the root file system will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A composefs repository with a deployment: bootc can update it.
    Composefs,
    /// The image's own files.
    Plain,
}

/// The kernel that boots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kernel {
    /// Kernel and initramfs, each a file.
    Files { release: Vec<u8>, vmlinuz: Vec<u8>, initramfs: Vec<u8> },
    /// Both in one, with the command line.
    Unified { path: Vec<u8> },
}

/// An image of which everything that can be checked before its id is known is fine.
#[derive(Debug, Clone)]
pub struct Bootable {
    pub(super) kind: Kind,
    pub(super) kernel: Kernel,
    pub(super) loader: Loader,
    pub(super) spelling: Spelling,
    pub(super) os: OsRelease,
    /// From the image, in the order of the files.
    pub(super) kargs: Vec<String>,
    pub(super) machine_suffix: &'static str,
    pub(super) systemd: Option<u32>,
    pub(super) secure_boot: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Texts by path, as [`Survey::texts`] names them.
pub(super) type Texts = BTreeMap<Vec<u8>, Vec<u8>>;

impl Bootable {
    /// Decides, or says what is in the way.
    ///
    /// `initramfs` is the one of [`Survey::initramfs`], or the section `.initrd` of [`Survey::uki`]; without it nothing
    /// is said about composefs. `bootc` is the release of the image's bootc, where its package database tells.
    ///
    /// # Errors
    /// [`Unbootable`].
    pub fn new(
        survey: &Survey,
        texts: &BTreeMap<Vec<u8>, Vec<u8>>,
        initramfs: Option<&Initramfs>,
        kind: Kind,
        bootc: Option<(u32, u32)>,
    ) -> Result<Self, Unbootable> {
        let machine_suffix = efi_suffix(survey.machine).ok_or(Unbootable::NoUefi { machine: survey.machine })?;
        let kernel = kernel(survey)?;
        if kind == Kind::Plain && matches!(kernel, Kernel::Unified { .. }) {
            return Err(Unbootable::PlainUki);
        }
        if let Some((major, minor)) = bootc.filter(|version| kind == Kind::Composefs && *version < (1, 16)) {
            return Err(Unbootable::OldBootc { major, minor });
        }
        let spelling = match initramfs {
            Some(initramfs) if kind == Kind::Composefs => support(initramfs)?,
            _ => Spelling::Composefs,
        };
        let loader = Loader::choose(survey, texts)?;
        if loader.reads_root() && matches!(kernel, Kernel::Unified { .. }) {
            return Err(Unbootable::UkiWithGrub);
        }
        Ok(Self {
            kind,
            kernel,
            loader,
            spelling,
            os: os_release(survey, texts)?,
            kargs: kargs(survey, texts)?,
            machine_suffix,
            systemd: survey.systemd,
            secure_boot: survey.secure_boot.clone(),
        })
    }
}

/// Whether the command line inside a unified kernel boots this image, and whether the image must prove itself then.
///
/// # Errors
/// [`Unbootable::UkiOfAnother`].
pub fn check_unified(command_line: &str, expected: &ComposefsId) -> Result<Check, Unbootable> {
    let found = ComposefsArgument::find(command_line);
    match found {
        Some(argument) if argument.id == *expected => Ok(argument.check),
        other => Err(Unbootable::UkiOfAnother { found: other.map(|found| found.id), expected: expected.clone() }),
    }
}

/// The one kernel there is.
fn kernel(survey: &Survey) -> Result<Kernel, Unbootable> {
    match (survey.kernels.as_slice(), survey.ukis.as_slice()) {
        ([], []) => Err(Unbootable::NoKernel),
        ([only], []) => match &only.initramfs {
            Some(initramfs) => Ok(Kernel::Files {
                release: only.release.clone(),
                vmlinuz: only.vmlinuz.clone(),
                initramfs: initramfs.clone(),
            }),
            None => Err(Unbootable::NoInitramfs { kernel: Lossy::from(&*only.release) }),
        },
        ([], [only]) => Ok(Kernel::Unified { path: only.clone() }),
        (kernels, ukis) => {
            let paths = kernels.iter().map(|kernel| &kernel.vmlinuz).chain(ukis);
            Err(Unbootable::SeveralKernels { found: paths.map(|path| Lossy::from(&**path)).collect() })
        }
    }
}

pub(super) fn text<'t>(texts: &'t Texts, path: &[u8]) -> Result<&'t [u8], Unbootable> {
    texts.get(path).map(Vec::as_slice).ok_or_else(|| Unbootable::NotRead { path: Lossy::from(path) })
}

fn os_release(survey: &Survey, texts: &Texts) -> Result<OsRelease, Unbootable> {
    let bytes = survey.os_release.as_deref().map_or(Ok(&b""[..]), |path| text(texts, path))?;
    Ok(parse_os_release(&String::from_utf8_lossy(bytes)))
}

fn kargs(survey: &Survey, texts: &Texts) -> Result<Vec<String>, Unbootable> {
    let mut all = Vec::new();
    for path in &survey.kargs {
        let file = KargsFile::parse(text(texts, path)?)
            .map_err(|problem| Unbootable::Kargs { path: Lossy::from(&**path), problem })?;
        let named = file.match_architectures.as_ref();
        if named.is_none_or(|names| names.iter().any(|name| name == survey.machine.rust_name())) {
            all.extend(file.kargs);
        }
    }
    Ok(all)
}
