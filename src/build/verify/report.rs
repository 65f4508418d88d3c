//! What a proof says, for people and programs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Proven;
use crate::kmod::SymbolSource;
use crate::model::{Finding, FindingCode, Severity};

/// The modules of an image or folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ModuleReport {
    /// What was looked at.
    pub subject: String,
    /// Each kernel of it.
    pub kernels: Vec<KernelReport>,
}

/// The modules of one kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct KernelReport {
    /// The kernel's release.
    pub kernel: String,
    /// Whether nothing but notes was found.
    pub proven: bool,
    /// The modules under proof, by path.
    pub modules: Vec<String>,
    /// What the proof rests on.
    pub facts: KernelFacts,
    /// Everything found, failures and notes.
    pub findings: Vec<Reported>,
}

/// What a proof rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct KernelFacts {
    /// Modules that could be read.
    pub modules: usize,
    /// Uses of symbols for which an exporter is known.
    pub symbols: usize,
    /// Uses of symbols that could neither be proven nor refuted.
    pub unproven: usize,
    /// Checksums of symbols that were compared.
    pub versions: usize,
    /// Whether the kernel has symbol versions; nothing when no module says.
    pub modversions: Option<bool>,
    /// Symbols in the kernel's list of exports, where there is one.
    pub symbol_list: Option<usize>,
    /// Where there is none: how many of the kernel's own modules were asked.
    pub witnesses: Option<usize>,
    /// Size of the module structure in the kernel's own modules, in bytes.
    pub layout_size: Option<u64>,
    /// Modules in the initramfs.
    pub initramfs_modules: usize,
    /// Who signed which module, by path.
    pub signers: BTreeMap<String, String>,
}

/// A finding with its fix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Reported {
    /// Its code; `imgbuild explain` has the page.
    pub code: &'static str,
    /// The file, module, package or kernel it is about.
    pub subject: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub fix: &'static str,
    /// How much it weighs.
    pub severity: Severity,
    /// Why it is accepted all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<String>,
}

impl Reported {
    /// Whether it fails the image.
    pub fn fails(&self) -> bool {
        self.severity == Severity::Failure && self.allowed.is_none()
    }
}

impl<C: FindingCode> From<&Finding<C>> for Reported {
    fn from(finding: &Finding<C>) -> Self {
        let page = finding.code.page();
        Self {
            code: page.code,
            subject: finding.subject.clone(),
            message: finding.message.clone(),
            fix: page.fix,
            severity: page.severity,
            allowed: None,
        }
    }
}

impl ModuleReport {
    pub(super) fn new(subject: &str, proven: &[Proven]) -> Self {
        Self { subject: subject.to_owned(), kernels: proven.iter().map(KernelReport::from).collect() }
    }

    /// Whether every kernel's modules are proven.
    pub fn holds(&self) -> bool {
        self.kernels.iter().all(|kernel| kernel.proven)
    }

    /// In one line.
    pub fn summary(&self) -> String {
        self.kernels.iter().map(KernelReport::summary).collect::<Vec<_>>().join("; ")
    }
}

impl KernelReport {
    /// In one line.
    pub fn summary(&self) -> String {
        let facts = &self.facts;
        let outcome = match (self.modules.len(), self.proven) {
            (0, true) => return format!("no modules besides the kernel's own for {}", self.kernel),
            (0, false) => {
                return format!("no modules besides the kernel's own for {}, and not all is well", self.kernel);
            }
            (modules, true) => format!("proved {} for {}", counted(modules, "module"), self.kernel),
            (modules, false) => format!("{} for {} not proven", counted(modules, "module"), self.kernel),
        };
        let unproven = if facts.unproven == 0 { String::new() } else { format!(", {} unproven", facts.unproven) };
        format!("{outcome}: {}{unproven}, {}", counted(facts.symbols, "symbol"), counted(facts.versions, "version"))
    }
}

/// A number with its noun.
pub(in crate::build) fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

impl From<&Proven> for KernelReport {
    fn from(proven: &Proven) -> Self {
        let facts = &proven.proof.facts;
        let (symbol_list, witnesses) = match facts.source {
            SymbolSource::List(symbols) => (Some(symbols), None),
            SymbolSource::InTree(modules) => (None, Some(modules)),
        };
        Self {
            kernel: proven.kernel.to_string(),
            proven: proven.proof.holds(),
            modules: proven.modules.clone(),
            facts: KernelFacts {
                modules: facts.modules,
                symbols: facts.symbols,
                unproven: facts.unproven,
                versions: facts.versions,
                modversions: facts.modversions,
                symbol_list,
                witnesses,
                layout_size: facts.layout_size,
                initramfs_modules: proven.compared,
                signers: facts.signers.clone(),
            },
            findings: proven.proof.findings.iter().map(Reported::from).collect(),
        }
    }
}
