//! The module proof on a whole image or folder, ours or not.

mod kernel;
mod material;
pub(super) mod report;

use std::io::Read as _;

use cap_std::fs_utf8::camino::{Utf8Path, Utf8PathBuf};

use super::error::io;
use super::{BuildError, Session, chain, images};
use crate::kmod::{Certificate, Code, Finding, SignaturePolicy, Symvers};
use crate::model::{ImageLocator, KernelRelease};
use crate::sys::dirs;

pub(super) use kernel::{Asked, Proven, prove};
pub(super) use material::Material;
pub use report::{KernelFacts, KernelReport, ModuleReport, Reported};

/// No certificate is larger.
const MAX_CERTIFICATE: u64 = 1 << 20;
/// No list of a kernel's symbols is larger; a distribution's has 3 MB.
const MAX_SYMVERS: u64 = 64 << 20;

/// What is asked of the modules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifySettings {
    /// Only this kernel's; those of every kernel otherwise.
    pub kernel: Option<KernelRelease>,
    /// Also the modules that came with the kernel.
    pub all: bool,
    /// Every module must be signed.
    pub require_signatures: bool,
    /// Every module must be signed by one of these certificates, in PEM or DER.
    pub certificates: Vec<Utf8PathBuf>,
    /// The kernel's list of exported symbols, where image or folder have none.
    pub symvers: Option<Utf8PathBuf>,
}

/// Proves the modules of an image, from wherever it is.
///
/// # Errors
/// When it cannot be found or read, has no modules at all, or a certificate is none. What is wrong with modules is
/// in the report.
pub fn image(session: &Session, locator: &ImageLocator, settings: &VerifySettings) -> Result<ModuleReport, BuildError> {
    let step = session.step(format!("read {locator}"))?;
    let (layout, image) = images::open(session, locator)?;
    let layers = image.layer_source(&layout, chain::limits());
    let tree = chain::tree_of(&layers)?;
    let scratch = session.store.work_folder("proof")?;
    let material = Material::of_tree(&tree, &layers, &scratch)?;
    step.finish("");
    let step = session.step(format!("prove the modules of {locator}"))?;
    let report = report(&locator.to_string(), &material, settings)?;
    step.finish(report.summary());
    Ok(report)
}

/// Proves the modules of a folder: an unpacked root, or one that holds `lib/modules`.
///
/// # Errors
/// As [`image`].
pub fn folder(path: &Utf8Path, settings: &VerifySettings) -> Result<ModuleReport, BuildError> {
    let material = Material::of_folder(path)?;
    report(path.as_str(), &material, settings)
}

fn report(subject: &str, material: &Material, settings: &VerifySettings) -> Result<ModuleReport, BuildError> {
    let certificates =
        settings.certificates.iter().map(|path| load_certificate(path)).collect::<Result<Vec<_>, _>>()?;
    let signatures = match (certificates.as_slice(), settings.require_signatures) {
        ([], false) => SignaturePolicy::Optional,
        ([], true) => SignaturePolicy::Required,
        (some, _) => SignaturePolicy::SignedBy(some),
    };
    let symvers = settings.symvers.as_deref().map(load_symvers).transpose()?;
    let asked = Asked { all: settings.all, expected: None, symvers: symvers.as_ref(), signatures };
    let proven = prove_all(material, settings.kernel.as_ref(), asked);
    if proven.is_empty() {
        let kernel = settings.kernel.as_ref().map(ToString::to_string);
        return Err(BuildError::NoModules { image: subject.to_owned(), kernel });
    }
    Ok(ModuleReport::new(subject, &proven))
}

/// Proves the modules of one kernel, or of every kernel there is; none where there are no modules.
pub(super) fn prove_all(material: &Material, only: Option<&KernelRelease>, asked: Asked<'_>) -> Vec<Proven> {
    let releases = material.releases();
    let real = releases.iter().any(|release| material.has_kernel(release));
    let chosen = releases.iter().filter(|release| only.is_none_or(|only| only == *release));
    let mut all: Vec<Proven> = chosen.map(|release| prove(material, release, asked)).collect();
    for proven in all.iter_mut().filter(|proven| real && !material.has_kernel(&proven.kernel)) {
        // Whatever these modules are, no kernel of the image looks for them there.
        let message = format!("there is no kernel {} in the image", proven.kernel);
        let misplaced =
            |path: &String| Finding { code: Code::ModuleMisplaced, subject: path.clone(), message: message.clone() };
        proven.proof.findings = proven.modules.iter().map(misplaced).collect();
    }
    compare(material, &mut all);
    all
}

/// Of several kernels each must have the modules that were added to any.
fn compare(material: &Material, all: &mut [Proven]) {
    let names = |proven: &Proven| -> Vec<String> { proven.added().map(kernel::module_name).collect() };
    let real = |proven: &Proven| material.has_kernel(&proven.kernel);
    let added: Vec<(KernelRelease, Vec<String>)> =
        all.iter().filter(|proven| real(proven)).map(|proven| (proven.kernel.clone(), names(proven))).collect();
    for proven in all.iter_mut().filter(|proven| material.has_kernel(&proven.kernel)) {
        let here = kernel::names(material, &proven.kernel);
        for (other, names) in added.iter().filter(|(other, _)| *other != proven.kernel) {
            for name in names.iter().filter(|name| !here.contains(*name)) {
                let message = format!("has no `{name}`, which kernel {other} of the same image has");
                let subject = proven.kernel.to_string();
                proven.proof.findings.push(Finding { code: Code::KernelWithoutModule, subject, message });
            }
        }
        proven.proof.findings.sort();
    }
}

/// Reads a certificate.
///
/// # Errors
/// When the file cannot be read or is no certificate.
pub(super) fn load_certificate(path: &Utf8Path) -> Result<Certificate, BuildError> {
    let bytes = read_up_to(path, MAX_CERTIFICATE)?;
    Certificate::read(&bytes).ok_or_else(|| BuildError::NotACertificate { path: path.to_owned() })
}

/// # Errors
/// When the file cannot be read or is no list of symbols.
fn load_symvers(path: &Utf8Path) -> Result<Symvers, BuildError> {
    let bytes = read_up_to(path, MAX_SYMVERS)?;
    Symvers::parse(&bytes).map_err(|source| BuildError::Symvers { path: path.to_owned(), source })
}

fn read_up_to(path: &Utf8Path, limit: u64) -> Result<Vec<u8>, BuildError> {
    let read = || {
        let mut bytes = Vec::new();
        let file = dirs::open_file(path)?;
        file.take(limit).read_to_end(&mut bytes).map(|_| bytes)
    };
    read().map_err(io("reading", path))
}
