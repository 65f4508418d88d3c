//! Boot files: that they are the image's, and that entries boot what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek, Write};

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::Verification;
use super::finding::{Area, Problem};
use super::objects::Hashing;
use super::repository::Tree;
use super::root::{Root, readable, shown};
use super::unified::{HEAD, Only, Part, Unified};
use crate::disk::Window;
use crate::disk::boot::{BootEntry, Check, ComposefsArgument, efi_suffix};
use crate::disk::inspect::ext4::Ext4Error;
use crate::disk::inspect::{Fat, FatFile, FoundPartition, InspectError, inspect_esp};
use crate::disk::verity::{Trees, VerityDigest, VerityHasher};
use crate::model::{Machine, hex};

/// Where entries are, on the ESP and, for grub, on the root file system.
const ENTRIES: &str = "loader/entries/";
const ROOT_ENTRIES: &str = "boot/loader/entries";
/// Where unified kernels are.
const UNIFIED: &str = "EFI/Linux/";

/// Files that are the same on every disk, until somebody changes them.
const KNOWN: [(&str, &str); 2] = [("loader/entries.srel", "type1\n"), ("loader/loader.conf", "timeout 5\n")];

/// What is on the ESP and in `/boot`, by path as entries spell it but without leading slash.
#[derive(Debug, Default)]
pub(super) struct Boot {
    entries: Vec<Entry>,
    /// Digests of the ESP's files.
    files: BTreeMap<String, VerityDigest>,
}

#[derive(Debug)]
struct Entry {
    path: String,
    entry: BootEntry,
    composefs: Option<(VerityDigest, ComposefsArgument)>,
    missing: Vec<String>,
    /// SHA-256 over the kernel followed by the initramfs.
    kernel: Option<String>,
}

impl Entry {
    fn new(path: String, entry: BootEntry, missing: Vec<String>) -> Self {
        let options = entry.options();
        let mut entry = Self { path, entry, composefs: None, missing, kernel: None };
        entry.set_argument(&options);
        entry
    }

    /// Kernel and initramfs, which are hashed together.
    fn pair(&self) -> Option<[&str; 2]> {
        Some([self.entry.get("linux")?, self.entry.get("initrd")?])
    }

    /// A unified kernel.
    fn unified(&self) -> Option<&str> {
        let path = self.entry.get("uki").or_else(|| self.entry.get("efi"))?;
        path.trim_start_matches('/').starts_with(UNIFIED).then_some(path)
    }

    /// The files it boots.
    fn kernels(&self) -> impl Iterator<Item = &str> {
        self.pair().into_iter().flatten().chain(self.unified())
    }

    fn set_argument(&mut self, command_line: &str) {
        let argument = ComposefsArgument::find(command_line);
        self.composefs = argument.and_then(|argument| Some((argument.id.as_str().parse().ok()?, argument)));
    }
}

/// Reads the EFI system partition.
pub(super) fn read<S: Read + Seek>(
    disk: &mut S,
    esp: &FoundPartition,
    machine: Option<Machine>,
    report: &mut Verification,
) -> Result<Boot, InspectError> {
    let (start, size) = (esp.start, esp.size);
    let content = inspect_esp(Window::new(&mut *disk, start, size))?;
    let mut fat = Fat::open(Window::new(&mut *disk, start, size))?;
    for problem in fat.check(&content.files)? {
        report.find(Area::Boot, "", Problem::Damaged(problem));
    }
    // What firmware looks for on a disk that it knows nothing else of (UEFI specification, 3.5.1.1).
    if let Some(suffix) = machine.and_then(efi_suffix) {
        let loader = format!("EFI/BOOT/BOOT{suffix}.EFI");
        if !content.files.iter().any(|file| file.path.eq_ignore_ascii_case(&loader)) {
            report.find(Area::Boot, "", Problem::Missing(loader.to_ascii_uppercase()));
        }
    }
    let mut boot = Boot::default();
    for file in &content.files {
        let mut hashing = Hashing(VerityHasher::new(Trees::Drop));
        match fat.copy(file, &mut hashing) {
            Ok(()) => drop(boot.files.insert(file.path.clone(), hashing.0.finish().digest)),
            Err(InspectError::Damaged { path, problem }) => report.find(Area::Boot, path, Problem::Damaged(problem)),
            Err(error) => return Err(error),
        }
    }
    for found in content.entries {
        let mut entry = Entry::new(found.path, found.entry, found.missing);
        if entry.unified().is_some() {
            read_unified(&mut fat, &content.files, &mut entry)?;
        } else {
            entry.kernel = hash_pair(&mut fat, &content.files, &entry)?;
        }
        boot.entries.push(entry);
    }
    Ok(boot)
}

/// Takes the command line from a unified kernel, and hashes the kernel and initramfs in it.
fn read_unified<S: Read + Seek>(fat: &mut Fat<S>, files: &[FatFile], entry: &mut Entry) -> Result<(), InspectError> {
    let path = entry.unified().unwrap_or_default().trim_start_matches('/');
    let Some(file) = files.iter().find(|file| file.path.eq_ignore_ascii_case(path)) else { return Ok(()) };
    let mut part = |part: Part, out: &mut dyn Write| match fat.copy(file, &mut Only { part, position: 0, out }) {
        // The file was found damaged before.
        Err(InspectError::Damaged { .. }) => Ok(()),
        other => other,
    };
    let mut head = Vec::new();
    part(Part { start: 0, length: HEAD as u64 }, &mut head)?;
    let Some(unified) = Unified::parse(&head) else { return Ok(()) };
    let mut command_line = Vec::new();
    part(unified.command_line, &mut command_line)?;
    let mut hash = Sha256::new();
    for section in [unified.linux, unified.initrd] {
        part(section, &mut Sha256Writer(&mut hash))?;
    }
    entry.kernel = Some(hex(&hash.finalize()));
    let end = command_line.iter().position(|byte| *byte == 0).unwrap_or(command_line.len());
    entry.set_argument(&String::from_utf8_lossy(&command_line[..end]));
    Ok(())
}

fn hash_pair<S: Read + Seek>(
    fat: &mut Fat<S>,
    files: &[FatFile],
    entry: &Entry,
) -> Result<Option<String>, InspectError> {
    let Some(pair) = entry.pair() else { return Ok(None) };
    let mut hash = Sha256::new();
    for path in pair {
        let path = path.trim_start_matches('/');
        let Some(file) = files.iter().find(|file| file.path.eq_ignore_ascii_case(path)) else { return Ok(None) };
        let mut writer = Sha256Writer(&mut hash);
        match fat.copy(file, &mut writer) {
            Err(InspectError::Damaged { .. }) => return Ok(None),
            other => other?,
        }
    }
    Ok(Some(hex(&hash.finalize())))
}

/// Hashes what is written to it.
struct Sha256Writer<'h>(&'h mut Sha256);

impl std::io::Write for Sha256Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Boot {
    /// Images that entries boot.
    pub(super) fn ids(&self) -> BTreeSet<VerityDigest> {
        self.entries.iter().filter_map(|entry| Some(entry.composefs.as_ref()?.0)).collect()
    }

    /// Digests of the kernels that boot an image, as `.origin` has them.
    pub(super) fn kernels<'b>(&'b self, id: &'b VerityDigest) -> impl Iterator<Item = &'b str> {
        let entries = self.entries.iter().filter(move |entry| entry.composefs.as_ref().is_some_and(|(of, _)| of == id));
        entries.filter_map(|entry| entry.kernel.as_deref())
    }

    /// Adds entries of grub, which are on the root file system with their kernels.
    pub(super) fn add_root<S: Read + Seek>(&mut self, root: &mut Root<S>) -> Result<(), Ext4Error> {
        for path in root.below(ROOT_ENTRIES).into_iter().filter(|path| path.ends_with(b".conf")) {
            let Some(text) = root.text(&path)? else { continue };
            let entry = BootEntry::parse(&String::from_utf8_lossy(&text));
            let is_there = |file: &&str| root.files.contains_key(file.trim_start_matches('/').as_bytes());
            let missing = entry.files().filter(|file| !is_there(file)).map(str::to_owned).collect();
            let mut entry = Entry::new(shown(&path), entry, missing);
            entry.kernel = match entry.pair() {
                Some(pair) => root.hash_pair(pair)?,
                None => None,
            };
            self.entries.push(entry);
        }
        Ok(())
    }

    /// Entries and files beside a repository.
    pub(super) fn verify<S: Read + Seek>(
        &self,
        root: &mut Root<S>,
        images: &BTreeMap<VerityDigest, Tree>,
        report: &mut Verification,
    ) -> Result<(), Ext4Error> {
        let sealed = root.is_sealed(report)?;
        let deployments = root.deployments();
        let mut proven: BTreeSet<String> = BTreeSet::new();
        for entry in &self.entries {
            let before = report.findings.len();
            self.verify_files(entry, root, report);
            let Some((id, argument)) = &entry.composefs else {
                if entry.kernels().next().is_some() {
                    let what = entry.entry.get("title").unwrap_or_default().to_owned();
                    report.find(
                        Area::Boot,
                        &*entry.path,
                        Problem::Boots { what, missing: "the argument that names it" },
                    );
                }
                continue;
            };
            let what = || id.to_string();
            if !images.contains_key(id) {
                report.find(Area::Boot, &*entry.path, Problem::Boots { what: what(), missing: "its image" });
            }
            if !deployments.contains(id) {
                report.find(Area::Boot, &*entry.path, Problem::Boots { what: what(), missing: "its deployment" });
            }
            if argument.check == Check::Required && !sealed {
                report.find(
                    Area::Boot,
                    &*entry.path,
                    Problem::Boots { what: what(), missing: "fs-verity, which it demands," },
                );
            }
            let is_proven = report.deployments.contains(&id.to_string());
            if is_proven {
                proven.extend(entry.kernels().map(|path| path.trim_start_matches('/').to_ascii_lowercase()));
            }
            report.entries += usize::from(report.findings.len() == before);
        }
        if self.entries.is_empty() {
            report.find(Area::Boot, "", Problem::No("boot entry"));
        }
        let of_image = |digest: &VerityDigest| root.objects.get(digest).is_some_and(|object| object.proven);
        self.count_files(&|path, digest| of_image(digest) || proven.contains(&path.to_ascii_lowercase()), report);
        Ok(())
    }

    /// The layout without repository: kernel and initramfs must be files of the root.
    pub(super) fn verify_plain<S: Read + Seek>(
        &self,
        root: &mut Root<S>,
        report: &mut Verification,
    ) -> Result<(), Ext4Error> {
        let wanted = ["boot/", "usr/lib/modules/", "usr/lib/systemd/boot/"];
        let paths = wanted.iter().flat_map(|folder| root.below(folder.trim_end_matches('/'))).collect::<Vec<_>>();
        let is_boot_file = |path: &[u8]| {
            let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            matches!(name, b"vmlinuz" | b"initramfs.img") || name.ends_with(b".efi") || name.ends_with(b".efi.signed")
        };
        let mut known = BTreeSet::new();
        for path in paths.into_iter().filter(|path| is_boot_file(path)) {
            let Some(inode) = root.inode(&path)? else { continue };
            let mut hashing = Hashing(VerityHasher::new(Trees::Drop));
            if readable(root.ext4.copy(&inode, 0, inode.size, &mut hashing))?.is_some() {
                known.insert(hashing.0.finish().digest);
            }
        }
        for entry in &self.entries {
            let before = report.findings.len();
            self.verify_files(entry, root, report);
            for path in entry.entry.files() {
                let digest = self.files.get(path.trim_start_matches('/'));
                if digest.is_some_and(|digest| !known.contains(digest)) {
                    let what = "it is none of the root file system's";
                    report.find(Area::Boot, path, Problem::Changed { what });
                }
            }
            report.entries += usize::from(report.findings.len() == before);
        }
        if self.entries.is_empty() {
            report.find(Area::Boot, "", Problem::No("boot entry"));
        }
        self.count_files(&|_, digest| known.contains(digest), report);
        Ok(())
    }

    /// What every entry needs: its files, and the root that it names.
    fn verify_files<S: Read + Seek>(&self, entry: &Entry, root: &Root<S>, report: &mut Verification) {
        for path in &entry.missing {
            report.find(Area::Boot, &*entry.path, Problem::Missing(path.clone()));
        }
        let options = entry.entry.options();
        let named = options.split_ascii_whitespace().find_map(|argument| argument.strip_prefix("root="));
        let wanted = format!("UUID={}", Uuid::from_bytes(root.ext4.uuid()));
        // Other spellings are resolved by the running system.
        if let Some(found) = named.filter(|found| found.starts_with("UUID=") && **found != *wanted) {
            report.find(Area::Boot, &*entry.path, Problem::OtherRoot { found: found.to_owned(), wanted });
        }
    }

    fn count_files(&self, is_proven: &dyn Fn(&str, &VerityDigest) -> bool, report: &mut Verification) {
        let known: BTreeMap<_, _> =
            KNOWN.iter().map(|(path, text)| (*path, VerityDigest::of(text.as_bytes()))).collect();
        for (path, digest) in &self.files {
            if known.get(&**path) == Some(digest) || is_proven(path, digest) {
                report.boot_files += 1;
            } else if !path.starts_with(ENTRIES) {
                report.unproven_boot_files.push(path.clone());
            }
        }
    }
}

impl<S: Read + Seek> Root<S> {
    fn hash_pair(&mut self, pair: [&str; 2]) -> Result<Option<String>, Ext4Error> {
        let mut hash = Sha256::new();
        for path in pair {
            let Some(inode) = self.inode(path.trim_start_matches('/').as_bytes())? else { return Ok(None) };
            let mut writer = Sha256Writer(&mut hash);
            if readable(self.ext4.copy(&inode, 0, inode.size, &mut writer))?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(hex(&hash.finalize())))
    }
}
