//! One kernel of an image: its modules, their index, and the copies in the initramfs.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use crate::disk::uki::Pe;
use crate::kmod::{
    self, Code, Finding, ModuleIndex, Proof, ProofInput, SignaturePolicy, Symvers, decompress, is_module_path,
};
use crate::model::KernelRelease;
use crate::oci::{InitramfsEntry, InitramfsError, read_initramfs};

use super::material::{DRACUT_FOLDERS, LOAD_FOLDERS, MODULES, Material, UNIFIED};

/// Names of the kernel's list of exported symbols, the image's own first.
const SYMVERS: [&str; 5] = ["symvers.xz", "symvers.zst", "symvers.gz", "Module.symvers", "build/Module.symvers"];

/// What is asked of the modules of one kernel.
#[derive(Debug, Clone, Copy)]
pub(in crate::build) struct Asked<'a> {
    /// Whether the kernel's own modules are under proof as well.
    pub(in crate::build) all: bool,
    /// Names of the modules that must be there, and no other.
    pub(in crate::build) expected: Option<&'a [String]>,
    /// The kernel's list of symbols from elsewhere, for images that have none.
    pub(in crate::build) symvers: Option<&'a Symvers>,
    /// What is asked of signatures.
    pub(in crate::build) signatures: SignaturePolicy<'a>,
}

/// What was found about one kernel.
#[derive(Debug)]
pub(in crate::build) struct Proven {
    /// The kernel.
    pub(in crate::build) kernel: KernelRelease,
    /// Absolute paths of the modules under proof.
    pub(in crate::build) modules: Vec<String>,
    /// The proof, with findings about index and initramfs among its own.
    pub(in crate::build) proof: Proof,
    /// Modules of the initramfs that were compared with the image's.
    pub(in crate::build) compared: usize,
}

impl Proven {
    /// Paths of the modules under proof that did not come with the kernel.
    pub(super) fn added(&self) -> impl Iterator<Item = &str> {
        let own = format!("{MODULES}{}/kernel/", self.kernel);
        self.modules.iter().map(String::as_str).filter(move |path| !path.starts_with(&own))
    }
}

/// Names of all modules of a kernel, `-` written as `_`.
pub(super) fn names(material: &Material, kernel: &KernelRelease) -> BTreeSet<String> {
    Subject::new(material, kernel).names()
}

/// Proves the modules of one kernel.
pub(in crate::build) fn prove(material: &Material, kernel: &KernelRelease, asked: Asked<'_>) -> Proven {
    let subject = Subject::new(material, kernel);
    let (own, added): (Vec<String>, Vec<String>) = subject.modules().partition(|path| subject.is_in_tree(path));
    let modules = if asked.all { [own.as_slice(), added.as_slice()].concat() } else { added };
    let mut findings = Vec::new();
    let symvers = subject.symvers().and_then(|read| read.map_err(|finding| findings.push(finding)).ok());
    let built_in = subject.text("modules.builtin").map(|text| kmod::parse_builtin(&text)).unwrap_or_default();
    let mut proof = kmod::prove(&ProofInput {
        kernel,
        modules: &modules,
        in_tree: &own,
        built_in: &built_in,
        read: &|path| material.read(path),
        symvers: symvers.as_ref().or(asked.symvers),
        expected: asked.expected,
        // A folder of nothing but modules says nothing about firmware.
        firmware: (!material.firmware.is_empty()).then_some(&material.firmware),
        signatures: asked.signatures,
    });
    findings.extend(subject.check_index(&modules));
    findings.extend(subject.check_loaded(&built_in));
    let compared = subject.check_initramfs(&mut findings);
    proof.findings.append(&mut findings);
    proof.findings.sort();
    proof.findings.dedup();
    Proven { kernel: kernel.clone(), modules, proof, compared }
}

struct Subject<'a> {
    material: &'a Material,
    kernel: &'a KernelRelease,
    /// With slash.
    folder: String,
}

impl<'a> Subject<'a> {
    fn new(material: &'a Material, kernel: &'a KernelRelease) -> Self {
        Self { material, kernel, folder: format!("{MODULES}{kernel}/") }
    }

    fn finding(&self, code: Code, subject: &str, message: impl Into<String>) -> Finding {
        let subject = if subject.is_empty() { self.kernel.as_str() } else { subject };
        Finding { code, subject: subject.to_owned(), message: message.into() }
    }

    fn text(&self, file: &str) -> Option<String> {
        self.material.text(&format!("{}{file}", self.folder))
    }

    /// Modules in the kernel's folder; a build tree in there is none of its.
    fn modules(&self) -> impl Iterator<Item = String> {
        let build = ["build/", "source/"].map(|folder| format!("{}{folder}", self.folder));
        let paths = self.material.below(&self.folder).filter(|path| is_module_path(path));
        paths.filter(move |path| !build.iter().any(|folder| path.starts_with(folder))).cloned()
    }

    fn is_in_tree(&self, path: &str) -> bool {
        path.strip_prefix(&self.folder).is_some_and(|path| path.starts_with("kernel/"))
    }

    fn symvers(&self) -> Option<Result<Symvers, Finding>> {
        let path = SYMVERS.iter().map(|file| format!("{}{file}", self.folder)).find(|path| self.material.has(path))?;
        let failed = |error: String| self.finding(Code::SymversUnreadable, &path, error);
        let bytes = match self.material.read(&path) {
            Ok(bytes) => bytes,
            Err(error) => return Some(Err(failed(error.to_string()))),
        };
        Some(Symvers::parse(&bytes).map_err(|error| failed(error.to_string())))
    }

    fn check_index(&self, modules: &[String]) -> Vec<Finding> {
        let Some(text) = self.text("modules.dep") else {
            // A package's content has no index: depmod runs where it is installed.
            let whole = self.material.has(&format!("{}vmlinuz", self.folder)) && !modules.is_empty();
            let missing = || self.finding(Code::ModuleNotIndexed, "", "has modules and no modules.dep");
            return whole.then(missing).into_iter().collect();
        };
        let present: BTreeSet<String> = self.material.below(&self.folder).cloned().collect();
        let index = ModuleIndex::parse(&text, self.folder.trim_end_matches('/'));
        let mut findings = index.check(modules, &present);
        findings.extend(index.dangling(&present));
        findings
    }

    /// Names of all modules, `-` written as `_`.
    fn names(&self) -> BTreeSet<String> {
        self.modules().map(|path| module_name(&path)).collect()
    }

    /// Configuration files of these folders, by name: a file of a later folder hides one of an earlier.
    fn configuration(&self, folders: [&str; 2]) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        for folder in folders {
            for path in self.material.below(folder) {
                files.insert(path[folder.len()..].to_owned(), path.clone());
            }
        }
        files
    }

    fn check_loaded(&self, built_in: &BTreeSet<String>) -> Vec<Finding> {
        let present = self.names();
        let mut findings = Vec::new();
        for path in self.configuration(LOAD_FOLDERS).values() {
            let names = kmod::parse_modules_load(&self.material.text(path).unwrap_or_default());
            let gone = names.iter().filter(|name| !present.contains(*name) && !built_in.contains(*name));
            let message = |name| format!("names `{name}`, which {} does not have", self.kernel);
            findings.extend(gone.map(|name| self.finding(Code::LoadedModuleMissing, path, message(name))));
        }
        findings
    }

    /// Compares the modules of the initramfs with the image's; returns how many there were.
    fn check_initramfs(&self, findings: &mut Vec<Finding>) -> usize {
        let places = [
            format!("{}initramfs.img", self.folder),
            format!("/boot/initrd.img-{}", self.kernel),
            format!("/boot/initramfs-{}.img", self.kernel),
            format!("{UNIFIED}{}.efi", self.kernel),
        ];
        let Some(path) = places.iter().find(|path| self.material.has(path)) else {
            if self.material.has(&format!("{}vmlinuz", self.folder)) {
                findings.push(self.finding(Code::InitramfsNotCompared, "", "has no initramfs"));
            }
            return 0;
        };
        let bytes = match self.material.read(path).and_then(|bytes| loose(path, bytes)) {
            Ok(bytes) => bytes,
            Err(error) => {
                findings.push(self.finding(Code::InitramfsNotCompared, path, error.to_string()));
                return 0;
            }
        };
        let copies = match copies(&bytes, |path, copy| self.is_same(path, copy)) {
            Ok(copies) => copies,
            Err(error @ InitramfsError::Compression(_)) => {
                findings.push(self.finding(Code::InitramfsNotCompared, path, error.to_string()));
                return 0;
            }
            Err(error) => {
                findings.push(self.finding(Code::InitramfsDamaged, path, explain(&error)));
                return 0;
            }
        };
        findings.extend(copies.iter().filter_map(|(copy, same)| self.check_copy(path, copy, *same)));
        findings.extend(self.missing_drivers(path, &copies));
        copies.len()
    }

    fn check_copy(&self, initramfs: &str, copy: &str, same: bool) -> Option<Finding> {
        let stale = |message: String| Some(self.finding(Code::InitramfsStale, copy, message));
        if !copy.starts_with(&self.folder) {
            return stale(format!("is in {initramfs}, which is for {}", self.kernel));
        }
        if self.original(copy).is_none() {
            return stale(format!("is in {initramfs} and not in the image"));
        }
        if same { None } else { stale(format!("is not the same in {initramfs}")) }
    }

    /// The image's module that a module of an initramfs is a copy of; generators may store it in another compression.
    fn original(&self, copy: &str) -> Option<String> {
        with_any_compression(copy).find(|path| self.material.has(path))
    }

    /// Whether a module of the initramfs is the image's. Only where the bytes differ both are decompressed.
    fn is_same(&self, path: &str, copy: &[u8]) -> bool {
        // A module of the image that cannot be read has its own finding.
        let Some(original) = self.original(path).and_then(|path| self.material.read(&path).ok()) else { return true };
        let decompressed = || Some(decompress(&original).ok()?.1 == decompress(copy).ok()?.1);
        original == copy || decompressed().unwrap_or(false)
    }

    /// Drivers that dracut's configuration puts into every initramfs.
    fn missing_drivers(&self, initramfs: &str, copies: &BTreeMap<String, bool>) -> Vec<Finding> {
        let (present, inside): (_, BTreeSet<String>) =
            (self.names(), copies.keys().map(|path| module_name(path)).collect());
        let mut findings = Vec::new();
        for path in self.configuration(DRACUT_FOLDERS).values() {
            let wanted = kmod::parse_dracut_drivers(&self.material.text(path).unwrap_or_default());
            let missing = wanted.into_iter().filter(|name| present.contains(name) && !inside.contains(name));
            let message = |name| format!("has no `{name}`, which {path} asks for");
            findings.extend(missing.map(|name| self.finding(Code::BootModuleMissing, initramfs, message(name))));
        }
        findings
    }
}

/// An initramfs as it is outside of a unified kernel.
fn loose(path: &str, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    if !path.starts_with(UNIFIED) {
        return Ok(bytes);
    }
    let program = Pe::parse(&bytes).map_err(io::Error::other)?;
    let section = program.section(".initrd").ok_or_else(|| io::Error::other("it has no section `.initrd`"))?;
    Ok(section.to_vec())
}

/// Modules of an initramfs by absolute path, each with what `is_same` says of its content; the last of two counts.
fn copies(initramfs: &[u8], is_same: impl Fn(&str, &[u8]) -> bool) -> Result<BTreeMap<String, bool>, InitramfsError> {
    let mut copies = BTreeMap::new();
    read_initramfs(initramfs, &mut |entry: &InitramfsEntry, content| {
        let path = String::from_utf8_lossy(&entry.path);
        let usr = path.strip_prefix("usr/").unwrap_or(&path);
        if entry.is_file() && entry.size > 0 && usr.starts_with("lib/modules/") && is_module_path(usr) {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            let path = format!("/usr/{usr}");
            let same = is_same(&path, &bytes);
            copies.insert(path, same);
        }
        Ok(())
    })?;
    Ok(copies)
}

/// The same module under the names it has with and without compression, its own first.
fn with_any_compression(path: &str) -> impl Iterator<Item = String> {
    let plain = [".xz", ".zst", ".gz"].iter().find_map(|end| path.strip_suffix(end)).unwrap_or(path).to_owned();
    let others = ["", ".xz", ".zst", ".gz"].map(|end| format!("{plain}{end}"));
    std::iter::once(path.to_owned()).chain(others)
}

/// The name `modprobe` finds a module by.
pub(super) fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split_once(".ko").map_or(file, |(name, _)| name).replace('-', "_")
}

fn explain(error: &InitramfsError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
