//! `imgbuild kmods`.

use std::io::Write;

use cap_std::fs_utf8::camino::{Utf8Path, Utf8PathBuf};

use super::error::{CliError, chain};
use super::{Context, exit, junit};
use crate::build::verify::{self, KernelFacts, KernelReport, ModuleReport, Reported, VerifySettings};
use crate::model::{ImageLocator, KernelRelease};

/// Kernel modules
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Prove that the modules of an image or folder fit its kernel
    Verify(Box<VerifyArgs>),
}

impl Command {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Verify(args) => args.run(context),
        }
    }
}

/// Prove that the modules of an image or folder fit its kernel
///
/// Proven are the modules outside the kernel's own tree: kernel release and options, every symbol with its version, size
/// of the module structure, dependencies, signature, compression, firmware, module index and the copies in the
/// initramfs. No other program is needed.
#[derive(Debug, clap::Args)]
pub(super) struct VerifyArgs {
    /// A name in the store, oci:PATH[:REF], oci-archive:PATH[:REF], containers-storage:NAME or docker://REFERENCE;
    /// or a folder, beginning with `/` or `.`: an unpacked root, or one that holds lib/modules
    image: String,
    /// Only the modules for this kernel
    #[arg(long, value_name = "KVER")]
    kernel: Option<KernelRelease>,
    /// Also the modules that came with the kernel
    #[arg(long)]
    all: bool,
    /// Every module must be signed
    #[arg(long)]
    require_signatures: bool,
    /// Every module must be signed by this certificate, in PEM or DER; give several to accept any of them
    #[arg(long, value_name = "FILE")]
    certificate: Vec<Utf8PathBuf>,
    /// The kernel's list of exported symbols (Module.symvers of its headers, plain or compressed), where the image has none
    #[arg(long, value_name = "FILE")]
    symvers: Option<Utf8PathBuf>,
    /// Also write the result as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<Utf8PathBuf>,
}

impl VerifyArgs {
    fn run(self, context: &Context) -> Result<(), CliError> {
        let settings = VerifySettings {
            kernel: self.kernel,
            all: self.all,
            require_signatures: self.require_signatures,
            certificates: self.certificate,
            symvers: self.symvers,
        };
        let report = if self.image.starts_with(['/', '.']) {
            verify::folder(Utf8Path::new(&self.image), &settings)?
        } else {
            let locator: ImageLocator =
                self.image.parse().map_err(|error| CliError::new(exit::USAGE, chain(&error)))?;
            verify::image(&context.reading_session()?, &locator, &settings)?
        };
        if let Some(path) = &self.junit {
            junit::write(path, &junit::of_modules(&report))?;
        }
        context.print(&report, |out| show(out, &report))?;
        // What failed has been printed.
        if report.holds() { Ok(()) } else { Err(CliError::new(exit::MODULES, "")) }
    }
}

fn show(out: &mut dyn Write, report: &ModuleReport) -> std::io::Result<()> {
    writeln!(out, "{}", report.subject)?;
    report.kernels.iter().try_for_each(|kernel| show_kernel(out, kernel))
}

fn show_kernel(out: &mut dyn Write, kernel: &KernelReport) -> std::io::Result<()> {
    writeln!(out, "\nkernel {}", kernel.kernel)?;
    if !kernel.modules.is_empty() {
        show_facts(out, &kernel.facts)?;
    }
    // A distribution's own modules are thousands; those with a finding are named there.
    for path in kernel.modules.iter().take(SHOWN) {
        let signer = kernel.facts.signers.get(path).map_or("not signed".to_owned(), |name| format!("signed by {name}"));
        writeln!(out, "  module     {path} ({signer})")?;
    }
    if let Some(more) = kernel.modules.len().checked_sub(SHOWN + 1) {
        writeln!(out, "  module     and {} more", more + 1)?;
    }
    let (failures, notes): (Vec<_>, Vec<_>) = kernel.findings.iter().partition(|finding| finding.fails());
    show_findings(out, failures.into_iter().chain(notes.iter().copied().take(SHOWN)))?;
    if let Some(more) = notes.len().checked_sub(SHOWN + 1) {
        writeln!(out, "  and {} more notes; --json has them all", more + 1)?;
    }
    writeln!(out, "  {}", kernel.summary())
}

/// As many modules and notes are listed one by one.
const SHOWN: usize = 40;

fn show_facts(out: &mut dyn Write, facts: &KernelFacts) -> std::io::Result<()> {
    let source = match (facts.symbol_list, facts.witnesses) {
        (Some(symbols), _) => format!("the kernel's list of {symbols}"),
        (None, witnesses) => format!("{} of the kernel's own modules", witnesses.unwrap_or(0)),
    };
    writeln!(out, "  symbols    {} known from {source}, {} unproven", facts.symbols, facts.unproven)?;
    match facts.modversions {
        Some(true) => writeln!(out, "  versions   {} compared", facts.versions)?,
        Some(false) => writeln!(out, "  versions   off in this kernel")?,
        None => writeln!(out, "  versions   unknown")?,
    }
    if let Some(size) = facts.layout_size {
        writeln!(out, "  structure  {size} bytes")?;
    }
    writeln!(out, "  initramfs  {} modules compared", facts.initramfs_modules)
}

/// Findings in their order, and the fix once for all of a code: a module of the neighbouring kernel has hundreds.
pub(super) fn show_findings<'a>(
    out: &mut dyn Write,
    findings: impl IntoIterator<Item = &'a Reported>,
) -> std::io::Result<()> {
    let findings: Vec<&Reported> = findings.into_iter().collect();
    for same in findings.chunk_by(|left, right| left.code == right.code) {
        for Reported { code, subject, message, severity, allowed, .. } in same {
            writeln!(out, "  {code} {severity}: {subject}: {message}")?;
            allowed.iter().try_for_each(|reason| writeln!(out, "    allowed: {reason}"))?;
        }
        let open = same.iter().find(|finding| finding.allowed.is_none());
        open.map_or(Ok(()), |finding| writeln!(out, "    fix: {}", finding.fix))?;
    }
    Ok(())
}
