//! Kernels of an image and their modules.
//!
//! Reading a module is the business of another room, which is handed in as a function.

use super::catalogue::{Digests, FileFacts};
use crate::model::KernelRelease;
use crate::oci::ImageTree;
use crate::oci::tree::Content;

/// Reads one module file, compressed or not; `None` when it is none.
pub type ReadModule<'f> = dyn Fn(&[u8]) -> Option<ModuleFacts> + Sync + 'f;

/// What a module says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModuleFacts {
    /// Its name inside the kernel.
    pub name: Option<String>,
    /// The kernel and options it was built for.
    pub vermagic: Option<String>,
    /// Its own version.
    pub version: Option<String>,
    /// Checksum over its sources.
    pub srcversion: Option<String>,
    /// Its licences, in the kernel's words.
    pub licences: Vec<String>,
    /// Modules it needs, by name.
    pub depends: Vec<String>,
    /// How many devices and names it is loaded for.
    pub aliases: usize,
    /// Whether it says to be from the kernel's own sources.
    pub in_tree: bool,
    /// Who signed it, and with which digest; not verified here.
    pub signature: Option<ModuleSignatureFacts>,
    /// SHA-256 of the decompressed module, where the file is compressed.
    pub decompressed: Option<String>,
}

/// The signature appended to a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleSignatureFacts {
    /// Who signed.
    pub signer: String,
    /// The digest that was signed.
    pub digest: String,
}

/// A kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// As `uname -r` prints it.
    pub release: KernelRelease,
    /// The kernel itself.
    pub image: FileFacts,
}

/// A module of one kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelModule {
    /// The kernel it is installed for.
    pub release: KernelRelease,
    /// The file.
    pub file: FileFacts,
    /// What it says; `None` when it could not be read as a module.
    pub facts: Option<ModuleFacts>,
}

impl KernelModule {
    /// Name inside the kernel; where the module does not say, the file's without its endings.
    pub fn name(&self) -> String {
        let stated = self.facts.as_ref().and_then(|facts| facts.name.clone());
        stated.unwrap_or_else(|| {
            let file = self.file.path.rsplit('/').next().unwrap_or_default();
            file.split(".ko").next().unwrap_or(file).replace('-', "_")
        })
    }
}

/// Whether a file of this name is a module.
pub(super) fn is_module_name(name: &str) -> bool {
    [".ko", ".ko.xz", ".ko.zst", ".ko.gz"].iter().any(|ending| name.ends_with(ending))
}

/// Where modules are; the second is the first on every distribution of today.
const FOLDERS: [&str; 2] = ["usr/lib/modules", "lib/modules"];

/// Kernels and modules of a tree; `lookup` gives the layer of a content and what was read of it.
pub(super) fn find(
    tree: &ImageTree,
    lookup: impl Fn(&Content) -> Option<(usize, Digests, Option<ModuleFacts>)>,
) -> (Vec<Kernel>, Vec<KernelModule>) {
    let (mut kernels, mut modules) = (Vec::new(), Vec::new());
    let found: Vec<_> = FOLDERS.iter().filter_map(|path| Some((*path, tree.resolve(path)?))).collect();
    for (number, (path, id)) in found.iter().enumerate() {
        if found[..number].iter().any(|(_, other)| other == id) {
            continue;
        }
        for folder in tree.children(*id) {
            let Ok(release) = String::from_utf8_lossy(folder.name).parse::<KernelRelease>() else { continue };
            for entry in tree.walk_from(format!("{path}/{release}")) {
                let Ok(path) = String::from_utf8(entry.path) else { continue };
                let Some((layer, digests, facts)) = entry.node.content().and_then(&lookup) else { continue };
                let file = FileFacts { path, layer, digests };
                match file.path.rsplit('/').next() {
                    Some("vmlinuz") => kernels.push(Kernel { release: release.clone(), image: file }),
                    Some(name) if is_module_name(name) => {
                        modules.push(KernelModule { release: release.clone(), file, facts });
                    }
                    _ => {}
                }
            }
        }
    }
    (kernels, modules)
}
