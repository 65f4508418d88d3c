//! Proof that modules fit the kernel they lie beside.
//!
//! Pure: files come through a callback, nothing of the host is looked at. What cannot be proven is said so by a
//! note, never passed over: a kernel without symbol versions, a symbol nothing witnesses.

mod rules;
mod signature;
mod symbols;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

pub use signature::SignaturePolicy;
use symbols::Symbols;

use super::check::{BuiltModule, check_names, check_place, finding, normalized};
use super::finding::{Code, Finding};
use super::inspect::{Certificate, InspectError, ModuleInfo, decompress, inspect, inspect_decompressed};
use super::symvers::Symvers;
use crate::model::{KernelRelease, Severity};
use crate::sys::map_all;

/// Decompressing fewer takes less time than starting a thread for them.
const MODULES_PER_THREAD: usize = 8;

/// How many modules of the kernel itself are tried before it counts as having none to compare with.
const REFERENCES: usize = 4;

/// What is to be proven, and from what.
pub struct ProofInput<'a> {
    /// The kernel the modules are for.
    pub kernel: &'a KernelRelease,
    /// Absolute paths of the modules to prove.
    pub modules: &'a [String],
    /// Absolute paths of the modules that came with the kernel. They are taken to fit it.
    pub in_tree: &'a [String],
    /// Names of modules that are part of the kernel itself (`modules.builtin`), `-` written as `_`.
    pub built_in: &'a BTreeSet<String>,
    /// Reads any of these paths.
    pub read: &'a (dyn Fn(&str) -> io::Result<Vec<u8>> + Sync),
    /// The kernel's list of exported symbols, where there is one.
    pub symvers: Option<&'a Symvers>,
    /// Names of the modules that must be there, and no other; `None` when nothing is promised.
    pub expected: Option<&'a [String]>,
    /// Files below `/usr/lib/firmware`, relative to it; `None` when firmware is not to be checked.
    pub firmware: Option<&'a BTreeSet<String>>,
    /// What is asked of signatures.
    pub signatures: SignaturePolicy<'a>,
}

impl std::fmt::Debug for ProofInput<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProofInput")
            .field("kernel", self.kernel)
            .field("modules", &self.modules)
            .finish_non_exhaustive()
    }
}

/// The outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Sorted by code, then subject; the notes are among them.
    pub findings: Vec<Finding>,
    /// What the findings rest on.
    pub facts: Facts,
}

impl Proof {
    /// Whether nothing but notes was found.
    pub fn holds(&self) -> bool {
        self.findings.iter().all(|finding| finding.code.severity() == Severity::Note)
    }
}

/// Where knowledge about the kernel's symbols came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SymbolSource {
    /// Its list of so many symbols.
    List(usize),
    /// What so many of its own modules export and use.
    InTree(usize),
}

/// What a proof looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Modules that could be read and were checked.
    pub modules: usize,
    /// Where symbols of the kernel come from.
    pub source: SymbolSource,
    /// Whether the kernel has symbol versions; `None` when no module says.
    pub modversions: Option<bool>,
    /// Uses of symbols for which an exporter was found.
    pub symbols: usize,
    /// Uses of symbols that could neither be proven nor refuted.
    pub unproven: usize,
    /// Checksums that were compared.
    pub versions: usize,
    /// Size of the module structure in the kernel's own modules.
    pub layout_size: Option<u64>,
    /// Who signed which module, by path; unsigned ones are left out.
    pub signers: BTreeMap<String, String>,
}

/// A module under proof that could be read.
#[derive(Debug)]
struct Module<'a> {
    path: &'a str,
    name: String,
    info: ModuleInfo,
    /// Found while its bytes were at hand.
    signature: Option<Finding>,
}

/// Proves modules against their kernel.
pub fn prove(input: &ProofInput<'_>) -> Proof {
    let mut findings = names(input);
    let (modules, unreadable) = read_modules(input);
    findings.extend(unreadable);
    let reference = reference(input);
    let symvers = input.symvers.filter(|list| {
        let wrong = reference.as_ref().and_then(|(path, info)| symbols::foreign_list(path, info, list));
        let fits = wrong.is_none();
        findings.extend(wrong);
        fits
    });
    let modversions = modversions(reference.as_ref().map(|(_, info)| info), &modules);
    findings.extend(kernel_notes(input.kernel, reference.is_some(), modversions));
    let (dependencies, missing) = rules::dependencies(input, &modules);
    findings.extend(missing);
    let symbols = Symbols::collect(input, &modules, &dependencies, symvers);
    let mut facts = Facts {
        modules: modules.len(),
        source: symbols.source(),
        modversions,
        symbols: 0,
        unproven: 0,
        versions: 0,
        layout_size: reference.as_ref().and_then(|(_, info)| info.layout_size),
        signers: signers(&modules),
    };
    for module in &modules {
        findings.extend(rules::single(input, module, reference.as_ref().map(|(_, info)| info)));
        findings.extend(symbols.check(module, modversions == Some(true), &mut facts));
        findings.extend(module.signature.clone());
    }
    findings.sort();
    findings.dedup();
    Proof { findings, facts }
}

/// What the paths alone tell.
fn names(input: &ProofInput<'_>) -> Vec<Finding> {
    let file = |path: &String| BuiltModule { path: path.clone(), info: Err(InspectError::NoModinfo) };
    let files: Vec<BuiltModule> = input.modules.iter().map(file).collect();
    let own: Vec<String> = files.iter().map(BuiltModule::name).collect();
    // Without a promise every module is expected, and only duplicates remain to be found.
    let mut findings = check_names(input.expected.unwrap_or(&own), &files);
    findings.extend(files.iter().filter_map(|file| check_place(input.kernel, file)));
    let in_tree: BTreeMap<String, &String> = input.in_tree.iter().map(|path| (module_name(path), path)).collect();
    for file in &files {
        let shadowed = in_tree.get(&file.name()).filter(|path| ***path != file.path);
        let message = shadowed.map(|path| format!("has the name of the kernel's own {path}"));
        findings.extend(message.map(|message| finding(Code::ShadowsInTree, &file.path, message)));
    }
    findings
}

fn read_modules<'a>(input: &ProofInput<'a>) -> (Vec<Module<'a>>, Vec<Finding>) {
    let (mut modules, mut findings) = (Vec::new(), Vec::new());
    let paths: Vec<&String> = input.modules.iter().collect();
    let read = map_all(paths, MODULES_PER_THREAD, |path| read_module(input, path).map_err(|message| (path, message)));
    for module in read {
        match module {
            Ok(module) => modules.push(module),
            Err((path, message)) => findings.push(finding(Code::ModuleUnreadable, path, message)),
        }
    }
    (modules, findings)
}

fn read_module<'a>(input: &ProofInput<'a>, path: &'a str) -> Result<Module<'a>, String> {
    let file = (input.read)(path).map_err(|error| error.to_string())?;
    let (compression, content) = decompress(&file).map_err(|error| error.to_string())?;
    let info = inspect_decompressed(compression, &content).map_err(|error| error.to_string())?;
    let signature = signature::check(path, &content, info.signature.as_ref(), input.signatures);
    Ok(Module { path, name: module_name(path), info, signature })
}

/// The first readable module of the kernel itself.
fn reference<'a>(input: &ProofInput<'a>) -> Option<(&'a str, ModuleInfo)> {
    let tried = input.in_tree.iter().take(REFERENCES);
    tried.map(String::as_str).find_map(|path| Some((path, read_in_tree(input, path)?)))
}

/// A module of the kernel itself; one that cannot be read proves nothing, and is not under proof.
fn read_in_tree(input: &ProofInput<'_>, path: &str) -> Option<ModuleInfo> {
    inspect(&(input.read)(path).ok()?).ok()
}

/// Whether the kernel has symbol versions: its own modules know, else those built against its headers.
fn modversions(reference: Option<&ModuleInfo>, modules: &[Module<'_>]) -> Option<bool> {
    let first = modules.first().map(|module| &module.info);
    let vermagic = reference.or(first)?.vermagic.as_ref()?;
    Some(vermagic.flags.split(' ').any(|word| word == "modversions"))
}

fn kernel_notes(kernel: &KernelRelease, compared: bool, modversions: Option<bool>) -> Vec<Finding> {
    let mut notes = Vec::new();
    if !compared {
        notes.push(finding(Code::NothingToCompare, kernel.as_str(), "has no module of its own that could be read"));
    }
    if modversions == Some(false) {
        notes.push(finding(Code::VersionsOff, kernel.as_str(), "was built without symbol versions"));
    }
    notes
}

fn signers(modules: &[Module<'_>]) -> BTreeMap<String, String> {
    let signer = |module: &Module<'_>| {
        let signature = module.info.signature.as_ref()?.content.as_ref().ok()?;
        Some((module.path.to_owned(), signature.signer.to_string()))
    };
    modules.iter().filter_map(signer).collect()
}

fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    normalized(file.split_once(".ko").map_or(file, |(name, _)| name))
}

#[cfg(test)]
mod tests;
