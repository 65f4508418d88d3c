//! The files that a disk boots from.

use std::collections::BTreeMap;
use std::io::{self, Read};

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::select::{Bootable, Kernel, Kind};
use super::{BootEntry, Check, ComposefsArgument, ComposefsId, Unbootable};
use crate::disk::esp::{self, EspPath};
use crate::model::{Karg, hex};

/// So many kernels find room on the ESP: the one that runs, the one before, and the one that an update brings.
const KERNELS: u64 = 3;

/// The first release of systemd that knows the key `uki`.
const SYSTEMD_WITH_UKI: u32 = 258;

/// Where a file goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// On the EFI system partition.
    Esp(EspPath),
    /// On the physical root file system; a path without leading slash, and the file's mode.
    Root {
        /// Path.
        path: String,
        /// Permission bits.
        mode: u32,
    },
}

/// What is in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// What the image has at this path; links are followed.
    Image(Vec<u8>),
    /// These bytes.
    Bytes(Vec<u8>),
}

/// A file of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootFile {
    /// Where it goes.
    pub place: Place,
    /// What is in it.
    pub source: Source,
}

/// How the kernel finds the root partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// By the UUID of its file system.
    Uuid(Uuid),
    /// By its type, on the disk that the boot loader came from; grub, which has to know it, is told the UUID.
    Discovered(Uuid),
}

/// What the root file system holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// The image with this id.
    Composefs {
        /// Its name.
        id: ComposefsId,
        /// Whether it must prove itself.
        check: Check,
    },
    /// The image's own files.
    Plain,
}

/// What is known once the image was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The root partition.
    pub root: Root,
    /// What is on it; of the [`Kind`] that was checked.
    pub layout: Layout,
    /// Kernel arguments of the command line.
    pub kargs: Vec<Karg>,
    /// Whether files to enrol Secure Boot keys with go onto the ESP.
    pub enrol: bool,
}

/// What the digest in `.origin` is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginParts {
    /// `boot_type=bls`: two files of the image, one after the other.
    Files {
        /// The kernel.
        vmlinuz: Vec<u8>,
        /// The initramfs.
        initramfs: Vec<u8>,
    },
    /// `boot_type=uki`: the sections `.linux` and `.initrd` of a file of the image, one after the other.
    Unified {
        /// The unified kernel.
        path: Vec<u8>,
    },
}

/// Everything that a disk boots from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootPlan {
    /// The files, sorted by place.
    pub files: Vec<BootFile>,
    /// The kernel's command line; `None` when it is inside a unified kernel.
    pub options: Option<String>,
    /// What the digest in `.origin` is made of.
    pub origin: OriginParts,
}

impl BootPlan {
    /// Size of an EFI system partition with room for three kernels; `size_of` tells the size of a file of the image.
    pub fn esp_size(&self, size_of: impl Fn(&[u8]) -> u64) -> u64 {
        let size = |source: &Source| match source {
            Source::Image(path) => size_of(path),
            Source::Bytes(bytes) => bytes.len() as u64,
        };
        let files = self.files.iter().filter_map(|file| match &file.place {
            Place::Esp(path) => Some((path, size(&file.source))),
            Place::Root { .. } => None,
        });
        let files: Vec<_> = files.collect();
        let kernel: u64 =
            files.iter().filter(|(path, _)| path.as_str().starts_with("EFI/Linux/")).map(|file| file.1).sum();
        esp::size_for(files, kernel * (KERNELS - 1))
    }
}

/// The digest of `.origin`: SHA-256 of the kernel, then the initramfs, in hexadecimal.
///
/// # Errors
/// When one of them cannot be read.
pub fn origin_digest<'r>(kernel: &'r mut dyn Read, initramfs: &'r mut dyn Read) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 128 << 10];
    for part in [kernel, initramfs] {
        loop {
            match part.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => hash.update(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(hex(&hash.finalize()))
}

impl Place {
    pub(super) fn esp(path: &str) -> Result<Self, Unbootable> {
        Ok(Self::Esp(path.parse()?))
    }

    pub(super) fn root(path: &str, mode: u32) -> Self {
        Self::Root { path: path.to_owned(), mode }
    }
}

impl Source {
    pub(super) fn text(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }
}

/// A plan while files are added.
#[derive(Debug)]
pub(super) struct Plan {
    files: BTreeMap<Place, Source>,
    root: Root,
}

impl Plan {
    pub(super) fn add(&mut self, place: Place, source: Source) -> Result<(), Unbootable> {
        let path = match &place {
            Place::Esp(path) => path.to_string(),
            Place::Root { path, .. } => path.clone(),
        };
        match self.files.insert(place, source) {
            None => Ok(()),
            Some(_) => Err(Unbootable::Twice { path }),
        }
    }

    pub(super) fn root_uuid(&self) -> Uuid {
        let (Root::Uuid(uuid) | Root::Discovered(uuid)) = self.root;
        uuid
    }
}

impl Bootable {
    /// Lists the files.
    ///
    /// # Errors
    /// When arguments are given for a unified kernel, the layout is not of the kind that was checked, or a name does
    /// not do for FAT.
    pub fn plan(&self, request: &Request) -> Result<BootPlan, Unbootable> {
        if (self.kind == Kind::Plain) != (request.layout == Layout::Plain) {
            return Err(Unbootable::OtherKind);
        }
        let mut plan = Plan { files: BTreeMap::new(), root: request.root };
        self.loader.add_to(&mut plan, self.machine_suffix)?;
        let (options, origin) = match &self.kernel {
            Kernel::Files { release, vmlinuz, initramfs } => {
                let options = self.options(request);
                self.add_kernel(&mut plan, request, &String::from_utf8_lossy(release), [vmlinuz, initramfs], &options)?;
                (Some(options), OriginParts::Files { vmlinuz: vmlinuz.clone(), initramfs: initramfs.clone() })
            }
            Kernel::Unified { path } => {
                self.add_unified(&mut plan, request, path)?;
                (None, OriginParts::Unified { path: path.clone() })
            }
        };
        if request.enrol {
            if self.secure_boot.is_empty() {
                return Err(Unbootable::NothingToEnrol);
            }
            for (source, path) in &self.secure_boot {
                let place = Place::esp(&format!("loader/keys/{}", String::from_utf8_lossy(path)))?;
                plan.add(place, Source::Image(source.clone()))?;
            }
        }
        let files = plan.files.into_iter().map(|(place, source)| BootFile { place, source }).collect();
        Ok(BootPlan { files, options, origin })
    }

    /// The kernel's command line, in bootc's order: root, arguments of the request, the image, arguments of the image.
    pub fn options(&self, request: &Request) -> String {
        let mut options = match request.root {
            Root::Uuid(uuid) => vec![format!("root=UUID={uuid}")],
            Root::Discovered(_) => Vec::new(),
        };
        options.push("rw".to_owned());
        options.extend(request.kargs.iter().map(ToString::to_string));
        if let Layout::Composefs { id, check } = &request.layout {
            let argument = ComposefsArgument { id: id.clone(), check: *check, spelling: self.spelling };
            options.push(argument.to_string());
        }
        options.extend(self.kargs.iter().cloned());
        options.join(" ")
    }

    fn add_kernel(
        &self,
        plan: &mut Plan,
        request: &Request,
        release: &str,
        [vmlinuz, initramfs]: [&Vec<u8>; 2],
        options: &str,
    ) -> Result<(), Unbootable> {
        let folder = match &request.layout {
            Layout::Composefs { id, .. } => format!("bootc_composefs-{id}"),
            Layout::Plain => format!("plain-{release}"),
        };
        // grub reads the root file system, where the folder is below /boot.
        let (on_root, base) = (self.loader.reads_root(), if self.loader.reads_root() { "boot" } else { "EFI/Linux" });
        let mut add = |name: &str, source: &[u8]| -> Result<String, Unbootable> {
            let path = format!("{base}/{folder}/{name}");
            let place = if on_root { Place::root(&path, 0o644) } else { Place::esp(&path)? };
            plan.add(place, Source::Image(source.to_vec()))?;
            Ok(format!("/{path}"))
        };
        let (linux, initrd) = (add("vmlinuz", vmlinuz)?, add("initrd", initramfs)?);
        let entry = self.entry(request, release).with("linux", linux).with("initrd", initrd).with("options", options);
        self.add_entry(plan, request, release, entry)
    }

    fn add_unified(&self, plan: &mut Plan, request: &Request, source: &[u8]) -> Result<(), Unbootable> {
        if !request.kargs.is_empty() {
            return Err(Unbootable::ArgumentsOfUki);
        }
        let Layout::Composefs { id, .. } = &request.layout else { return Err(Unbootable::PlainUki) };
        let path = format!("EFI/Linux/bootc/bootc_composefs-{id}.efi");
        plan.add(Place::esp(&path)?, Source::Image(source.to_vec()))?;
        let known = self.systemd.is_some_and(|release| release >= SYSTEMD_WITH_UKI);
        let entry = self.entry(request, "").with(if known { "uki" } else { "efi" }, format!("/{path}"));
        self.add_entry(plan, request, "", entry)
    }

    /// Title and version. Of a plain root the kernel is what tells two entries apart.
    fn entry(&self, request: &Request, release: &str) -> BootEntry {
        let version = if request.layout == Layout::Plain { release } else { &self.os.version };
        BootEntry::default().with("title", &self.os.title).with("version", version)
    }

    /// The entry under the name that bootc gives the first one.
    fn add_entry(&self, plan: &mut Plan, request: &Request, release: &str, entry: BootEntry) -> Result<(), Unbootable> {
        let id = &self.os.id;
        let (name, key) = match request.layout {
            Layout::Composefs { .. } => {
                (format!("bootc_{}-{}-1", id.replace('-', "_"), self.os.version), format!("bootc-{id}-0"))
            }
            Layout::Plain => (format!("{id}-{release}"), id.clone()),
        };
        let path = format!("loader/entries/{}.conf", file_name(&name));
        let text = Source::text(&entry.with("sort-key", key).to_string());
        if self.loader.reads_root() {
            return plan.add(Place::root(&format!("boot/{path}"), 0o644), text);
        }
        plan.add(Place::esp(&path)?, text)?;
        // Says to whoever manages entries that they are of type 1 (Boot Loader Specification).
        plan.add(Place::esp("loader/entries.srel")?, Source::text("type1\n"))
    }
}

/// What FAT or a path does not take becomes `_`.
fn file_name(name: &str) -> String {
    let kept = |c: char| c.is_ascii_alphanumeric() || " ._-+~()".contains(c);
    name.chars().map(|c| if kept(c) { c } else { '_' }).collect()
}
