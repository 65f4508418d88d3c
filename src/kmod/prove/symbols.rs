//! Who exports what, and whether each module fits.
//!
//! Known are, in the order asked: exports of the modules under proof; the kernel's list of symbols; without one,
//! exports of the kernel's modules that others depend on, and last what the kernel's other modules use. These fit
//! their kernel, so a symbol one of them uses is exported, in the version it records.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Code, Facts, Finding, MODULES_PER_THREAD, Module, ModuleInfo, ProofInput, SymbolSource, finding, read_in_tree,
};
use crate::kmod::{Export, Symvers};
use crate::sys::map_all;

/// Licences that may use GPL-only symbols, after the kernel's `include/linux/license.h`.
const GPL_COMPATIBLE: &[&str] =
    &["GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"];

/// So many of the kernel's modules are read before it is asked again whether a symbol is still unknown.
const BATCH: usize = 128;

/// Begins a namespace that lists the modules which may use the symbol.
const FOR_MODULES: &str = "MODULE:";

/// What is known about symbols.
pub(super) struct Symbols<'a> {
    /// Of modules: name of the exporter and the symbol.
    exported: BTreeMap<String, Export>,
    list: Option<&'a Symvers>,
    /// Used by the kernel's own modules, with this version.
    witnessed: BTreeMap<String, Option<u32>>,
    read: usize,
}

/// What is known about one symbol.
enum Known<'a> {
    Export(&'a Export),
    Witnessed(Option<u32>),
    Missing,
    Unknown,
}

/// A finding when a module of the kernel disagrees with a list of symbols.
pub(super) fn foreign_list(path: &str, info: &ModuleInfo, list: &Symvers) -> Option<Finding> {
    let versions = info.versions.as_ref()?;
    let wrong = |(name, crc): (&String, &u32)| {
        let listed = list.get(name).and_then(|symbol| symbol.export.crc);
        (listed != Some(*crc)).then(|| match listed {
            Some(listed) => format!("has `{name}` in version {crc:#010x}, the list of symbols {listed:#010x}"),
            None => format!("uses `{name}`, which is not in the list of symbols"),
        })
    };
    versions.iter().find_map(wrong).map(|message| finding(Code::SymversOfOtherKernel, path, message))
}

impl<'a> Symbols<'a> {
    pub(super) fn collect(
        input: &ProofInput<'_>,
        modules: &[Module<'_>],
        dependencies: &[ModuleInfo],
        list: Option<&'a Symvers>,
    ) -> Self {
        let mut exported = BTreeMap::new();
        let own = modules.iter().map(|module| &module.info);
        let others = dependencies.iter().filter(|_| list.is_none());
        for export in own.chain(others).flat_map(|info| &info.exports) {
            exported.entry(export.name.clone()).or_insert_with(|| export.clone());
        }
        let mut symbols = Self { exported, list, witnessed: BTreeMap::new(), read: dependencies.len() };
        if list.is_none() {
            symbols.call_witnesses(input, modules, dependencies);
        }
        symbols
    }

    /// Reads modules of the kernel until every symbol in question was seen in one.
    fn call_witnesses(&mut self, input: &ProofInput<'_>, modules: &[Module<'_>], dependencies: &[ModuleInfo]) {
        let names = modules.iter().flat_map(|module| {
            let versions = module.info.versions.iter().flat_map(BTreeMap::keys);
            module.info.imports.iter().map(|import| &import.name).chain(versions)
        });
        let mut open: BTreeSet<String> = names.filter(|name| !self.exported.contains_key(*name)).cloned().collect();
        for info in dependencies {
            self.hear(info, &mut open);
        }
        let under_proof: BTreeSet<&str> = modules.iter().map(|module| module.path).collect();
        let witnesses: Vec<&String> =
            input.in_tree.iter().filter(|path| !under_proof.contains(path.as_str())).collect();
        for batch in witnesses.chunks(BATCH) {
            if open.is_empty() {
                break;
            }
            self.read += batch.len();
            let heard = map_all(batch.to_vec(), MODULES_PER_THREAD, |path| read_in_tree(input, path));
            heard.iter().flatten().for_each(|info| self.hear(info, &mut open));
        }
    }

    fn hear(&mut self, info: &ModuleInfo, open: &mut BTreeSet<String>) {
        let version = |name: &str| info.versions.as_ref().and_then(|versions| versions.get(name)).copied();
        let versions = info.versions.iter().flat_map(BTreeMap::keys);
        for name in info.imports.iter().filter(|import| !import.weak).map(|import| &import.name).chain(versions) {
            if open.remove(name) {
                self.witnessed.insert(name.clone(), version(name));
            }
        }
    }

    pub(super) fn source(&self) -> SymbolSource {
        self.list.map_or(SymbolSource::InTree(self.read), |list| SymbolSource::List(list.len()))
    }

    fn find(&self, name: &str) -> Known<'_> {
        if let Some(export) = self.exported.get(name) {
            Known::Export(export)
        } else if let Some(list) = self.list {
            list.get(name).map_or(Known::Missing, |symbol| Known::Export(&symbol.export))
        } else {
            self.witnessed.get(name).map_or(Known::Unknown, |version| Known::Witnessed(*version))
        }
    }

    /// Everything about the symbols of one module.
    pub(super) fn check(&self, module: &Module<'_>, modversions: bool, facts: &mut Facts) -> Vec<Finding> {
        let mut findings = self.check_imports(module, facts);
        match &module.info.versions {
            None if modversions && !module.info.imports.is_empty() => {
                findings.push(finding(Code::VersionsAbsent, module.path, "has no symbol versions, the kernel has"));
            }
            Some(versions) if modversions => {
                for (name, &built) in versions {
                    let (Known::Export(Export { crc, .. }) | Known::Witnessed(crc)) = &self.find(name) else {
                        continue;
                    };
                    let Some(crc) = *crc else { continue };
                    facts.versions += 1;
                    if crc != built {
                        let message = format!("built against `{name}` {built:#010x}, exported is {crc:#010x}");
                        findings.push(finding(Code::SymbolVersion, module.path, message));
                    }
                }
            }
            _ => {}
        }
        findings
    }

    fn check_imports(&self, module: &Module<'_>, facts: &mut Facts) -> Vec<Finding> {
        let (mut findings, mut unproven) = (Vec::new(), Vec::new());
        for import in &module.info.imports {
            let name = &import.name;
            match self.find(name) {
                Known::Export(export) => {
                    facts.symbols += 1;
                    findings.extend(check_use(module, export));
                }
                Known::Witnessed(_) => facts.symbols += 1,
                Known::Missing | Known::Unknown if import.weak => {}
                Known::Missing => {
                    let message = format!("needs `{name}`, which neither the kernel nor a module here exports");
                    findings.push(finding(Code::SymbolMissing, module.path, message));
                }
                Known::Unknown => unproven.push(format!("`{name}`")),
            }
        }
        facts.unproven += unproven.len();
        if !unproven.is_empty() {
            let message =
                format!("the kernel's exports are unknown, and none of its modules uses {}", unproven.join(", "));
            findings.push(finding(Code::SymbolUnproven, module.path, message));
        }
        findings
    }
}

/// Whether a module may use this symbol.
fn check_use(module: &Module<'_>, export: &Export) -> Vec<Finding> {
    let mut findings = Vec::new();
    let name = &export.name;
    // The kernel looks at the first entry only, and takes none for proprietary.
    let licence = module.info.licenses.first().map_or("", String::as_str);
    if export.gpl_only && !GPL_COMPATIBLE.contains(&licence) {
        let message = format!("uses `{name}`, which is for GPL modules, under the licence `{licence}`");
        findings.push(finding(Code::GplSymbol, module.path, message));
    }
    let namespace = export.namespace.as_ref().filter(|namespace| !may_use(module, namespace));
    if let Some(namespace) = namespace {
        let message = format!("uses `{name}` without importing its namespace `{namespace}`");
        findings.push(finding(Code::NamespaceNotImported, module.path, message));
    }
    findings
}

fn may_use(module: &Module<'_>, namespace: &String) -> bool {
    let Some(list) = namespace.strip_prefix(FOR_MODULES) else { return module.info.namespaces.contains(namespace) };
    // `-` and `_` are the same in module names, and a star may end a name.
    list.split(',').map(super::normalized).any(|allowed| match allowed.strip_suffix('*') {
        Some(start) => module.name.starts_with(start),
        None => module.name == allowed,
    })
}
