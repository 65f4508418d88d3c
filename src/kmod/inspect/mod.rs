//! What a built module says about itself.
//!
//! The tools that should notice a wrong module return 0, so imgbuild reads modules
//! itself. Files come out of build containers and other people's images: whatever
//! is in them, reading them ends in an answer or an error, with bounded memory.

mod compress;
mod der;
mod elf;
mod modinfo;
mod signature;
mod symbols;

pub(super) use compress::decompress_up_to;
pub use compress::{Compression, XzCheck, decompress};
pub use elf::ElfError;
pub use modinfo::Vermagic;
pub use signature::{Certificate, DigestAlgorithm, ModuleSignature, SignatureError, SignatureTail, SignerId};
pub use symbols::{Export, Import, Versions};

use elf::Elf;
use modinfo::Modinfo;

/// What is wrong with a file that should be a module.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum InspectError {
    /// The compressed data is damaged.
    #[error("{compression} data is damaged: {source}")]
    Decompress { compression: Compression, source: std::io::Error },
    /// More than any module has.
    #[error("more than {limit} bytes when decompressed")]
    TooLarge { limit: u64 },
    /// The signature at the end does not fit into the file.
    #[error("the appended signature is damaged: it claims {claimed} of {present} bytes")]
    Signature { claimed: u64, present: u64 },
    /// Not an object file that Linux could load.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// An object file, but not a module.
    #[error("there is no .modinfo section")]
    NoModinfo,
}

/// A module's account of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleInfo {
    /// How the file is compressed.
    pub compression: Compression,
    /// `name=`: what it is called inside the kernel. DKMS packages may install it under another file name.
    pub name: Option<String>,
    /// `vermagic=`: the kernel it was built for.
    pub vermagic: Option<Vermagic>,
    /// `depends=`: modules that must be loaded before, by name.
    pub depends: Vec<String>,
    /// `license=`, each of them.
    pub licenses: Vec<String>,
    /// `firmware=`: files it may ask for, below the firmware folder.
    pub firmware: Vec<String>,
    /// `version=`.
    pub version: Option<String>,
    /// `srcversion=`: checksum over its sources.
    pub srcversion: Option<String>,
    /// `alias=`: devices and names it is loaded for.
    pub aliases: Vec<String>,
    /// `softdep=`: what is better loaded before or after it.
    pub softdeps: Vec<String>,
    /// `intree=Y`: built as part of the kernel's own sources.
    pub in_tree: bool,
    /// `import_ns=`: namespaces of symbols it may use.
    pub namespaces: Vec<String>,
    /// Symbols it needs.
    pub imports: Vec<Import>,
    /// Symbols it offers.
    pub exports: Vec<Export>,
    /// Checksums of the symbols it was built against; `None` when built without.
    pub versions: Option<Versions>,
    /// Size in bytes of the kernel's `struct module` it was built with.
    pub layout_size: Option<u64>,
    /// The signature appended to it, not yet verified.
    pub signature: Option<SignatureTail>,
}

/// Reads one `.ko` file, compressed or not.
///
/// # Errors
/// When it is damaged, too large, or no module.
pub fn inspect(file: &[u8]) -> Result<ModuleInfo, InspectError> {
    let (compression, module) = decompress(file)?;
    inspect_decompressed(compression, &module)
}

/// Reads a module that was compressed like this.
pub(super) fn inspect_decompressed(compression: Compression, module: &[u8]) -> Result<ModuleInfo, InspectError> {
    let (object, signature) = signature::split(module)?;
    let elf = Elf::parse(object)?;
    let section = elf.section(".modinfo").ok_or(InspectError::NoModinfo)?;
    let info = Modinfo::parse(section.data);
    Ok(ModuleInfo {
        compression,
        name: info.first("name"),
        vermagic: info.first("vermagic").map(|text| Vermagic::parse(&text)),
        depends: info.first("depends").iter().flat_map(|list| list.split(',')).filter_map(not_empty).collect(),
        licenses: info.all("license"),
        firmware: info.all("firmware"),
        version: info.first("version"),
        srcversion: info.first("srcversion"),
        aliases: info.all("alias"),
        softdeps: info.all("softdep"),
        in_tree: info.first("intree").as_deref() == Some("Y"),
        namespaces: info.all("import_ns"),
        imports: symbols::imports(&elf)?,
        exports: symbols::exports(&elf)?,
        versions: symbols::versions(&elf)?,
        layout_size: elf.section(".gnu.linkonce.this_module").map(|section| section.size),
        signature,
    })
}

fn not_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
pub(super) mod fake;
#[cfg(test)]
mod tests;
