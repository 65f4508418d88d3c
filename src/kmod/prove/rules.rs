//! Checks that need no table of symbols.

use std::collections::{BTreeMap, BTreeSet};

use globset::GlobBuilder;

use super::{Code, Finding, Module, ModuleInfo, ProofInput, finding, module_name, normalized, read_in_tree};
use crate::kmod::check::{BuiltModule, check_vermagic};
use crate::kmod::{Compression, XzCheck};

/// Suffixes under which the kernel finds firmware too.
const FIRMWARE_SUFFIXES: &[&str] = &["", ".xz", ".zst"];

/// Checks of one module by itself and against one of the kernel's own.
pub(super) fn single(input: &ProofInput<'_>, module: &Module<'_>, reference: Option<&ModuleInfo>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let vermagic = reference.and_then(|reference| reference.vermagic.as_ref());
    let built = BuiltModule { path: module.path.to_owned(), info: Ok(module.info.clone()) };
    findings.extend(check_vermagic(input.kernel, vermagic, &built, &module.info));
    findings.extend(reference.and_then(|reference| layout(module, reference)));
    findings.extend(compression(module, reference));
    if let Some(present) = input.firmware {
        findings.extend(firmware(module, present));
    }
    findings
}

fn layout(module: &Module<'_>, reference: &ModuleInfo) -> Option<Finding> {
    let expected = reference.layout_size?;
    let message = match module.info.layout_size {
        Some(size) if size == expected => return None,
        Some(size) => format!("its module structure has {size} bytes, the kernel's own modules have {expected}"),
        None => "it has no module structure".to_owned(),
    };
    Some(finding(Code::LayoutSize, module.path, message))
}

fn compression(module: &Module<'_>, reference: Option<&ModuleInfo>) -> Option<Finding> {
    let own = module.info.compression;
    if let Compression::Xz(check) = own
        && !matches!(check, XzCheck::None | XzCheck::Crc32)
    {
        let message = format!("compressed by xz with check {check:?}; the kernel knows only CRC32");
        return Some(finding(Code::CompressionRefused, module.path, message));
    }
    let expected = reference?.compression;
    // Uncompressed modules are always accepted. The check of xz has been looked at above.
    let same = own == Compression::None || std::mem::discriminant(&own) == std::mem::discriminant(&expected);
    let message = || format!("is {own}, the kernel's own modules are {expected}");
    (!same).then(|| finding(Code::CompressionRefused, module.path, message()))
}

fn firmware(module: &Module<'_>, present: &BTreeSet<String>) -> Vec<Finding> {
    let missing = module.info.firmware.iter().filter(|name| !has_firmware(name, present));
    missing.map(|name| finding(Code::FirmwareMissing, module.path, format!("asks for `{name}`"))).collect()
}

fn has_firmware(name: &str, present: &BTreeSet<String>) -> bool {
    if FIRMWARE_SUFFIXES.iter().any(|suffix| present.contains(&format!("{name}{suffix}"))) {
        return true;
    }
    // Some drivers name a family of files by a pattern.
    let pattern = format!("{name}{{,.xz,.zst}}");
    let pattern = name.contains('*').then(|| GlobBuilder::new(&pattern).empty_alternates(true).build().ok()).flatten();
    let matcher = pattern.map(|pattern| pattern.compile_matcher());
    matcher.is_some_and(|matcher| present.iter().any(|file| matcher.is_match(file)))
}

/// Follows `depends=` through all modules: those of the kernel that were read on the way, and what is missing.
pub(super) fn dependencies(input: &ProofInput<'_>, modules: &[Module<'_>]) -> (Vec<ModuleInfo>, Vec<Finding>) {
    // A distribution may rename the file after the build; `depends=` keeps to the name the module has for itself,
    // and depmod goes by symbols.
    let inner = modules.iter().filter_map(|module| module.info.name.as_deref()).map(normalized);
    let own: BTreeSet<String> = modules.iter().map(|module| module.name.clone()).chain(inner).collect();
    let in_tree: BTreeMap<String, &String> = input.in_tree.iter().map(|path| (module_name(path), path)).collect();
    let (mut read, mut findings, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    let wanted = |path: &str, info: &ModuleInfo| {
        let pair = |name: &String| (path.to_owned(), normalized(name));
        info.depends.iter().map(pair).collect::<Vec<_>>()
    };
    let mut open: Vec<(String, String)> = modules.iter().flat_map(|module| wanted(module.path, &module.info)).collect();
    while let Some((user, name)) = open.pop() {
        if own.contains(&name) || input.built_in.contains(&name) || seen.contains(&name) {
            continue;
        }
        let Some(path) = in_tree.get(&name) else {
            findings.push(finding(Code::DependencyMissing, &user, format!("depends on `{name}`, which is not there")));
            continue;
        };
        seen.insert(name);
        if let Some(info) = read_in_tree(input, path) {
            open.extend(wanted(path, &info));
            read.push(info);
        }
    }
    (read, findings)
}
