//! What checks of an image find: stable codes, a sentence, a fix.

mod page;

use std::fmt;

use crate::model::{self, FindingCode, Page, Severity};

/// What kind of problem; the text of a code never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Code {
    /// KMOD001
    ModuleMissing,
    /// KMOD002
    ModuleUnexpected,
    /// KMOD003
    ModuleForAnotherKernel,
    /// KMOD004
    ModuleUnreadable,
    /// KMOD005
    ModuleMisplaced,
    /// KMOD006
    ModuleTwice,
    /// KMOD007
    ModuleForOtherOptions,
    /// KMOD008
    SymbolMissing,
    /// KMOD009
    SymbolVersion,
    /// KMOD010
    VersionsAbsent,
    /// KMOD011
    VersionsOff,
    /// KMOD012
    LayoutSize,
    /// KMOD013
    GplSymbol,
    /// KMOD014
    NamespaceNotImported,
    /// KMOD015
    DependencyMissing,
    /// KMOD016
    Unsigned,
    /// KMOD017
    UnknownSigner,
    /// KMOD018
    SignatureDamaged,
    /// KMOD019
    CompressionRefused,
    /// KMOD020
    FirmwareMissing,
    /// KMOD021
    ShadowsInTree,
    /// KMOD022
    SymbolUnproven,
    /// KMOD023
    SymversOfOtherKernel,
    /// KMOD024
    NothingToCompare,
    /// KMOD025
    SignatureUnverifiable,
    /// KMOD026
    ModuleNotIndexed,
    /// KMOD027
    IndexDangling,
    /// KMOD028
    InitramfsStale,
    /// KMOD029
    BootModuleMissing,
    /// KMOD030
    InitramfsDamaged,
    /// KMOD031
    InitramfsNotCompared,
    /// KMOD032
    LoadedModuleMissing,
    /// KMOD033
    SymversUnreadable,
    /// KMOD034
    KernelWithoutModule,
    /// LEFT001
    BuildPackage,
    /// LEFT002
    BuildProgram,
    /// LEFT003
    KernelHeaders,
    /// LEFT004
    ModuleSources,
    /// LEFT005
    BuildOutput,
    /// LEFT006
    PrivateKey,
    /// LEFT007
    PackageFilesGone,
    /// LEFT008
    BuildTreeLink,
    /// LEFT009
    UnusedAllowance,
}

impl Code {
    /// Every code, in the order of the manual.
    pub const ALL: &[Self] = &[
        Self::ModuleMissing,
        Self::ModuleUnexpected,
        Self::ModuleForAnotherKernel,
        Self::ModuleUnreadable,
        Self::ModuleMisplaced,
        Self::ModuleTwice,
        Self::ModuleForOtherOptions,
        Self::SymbolMissing,
        Self::SymbolVersion,
        Self::VersionsAbsent,
        Self::VersionsOff,
        Self::LayoutSize,
        Self::GplSymbol,
        Self::NamespaceNotImported,
        Self::DependencyMissing,
        Self::Unsigned,
        Self::UnknownSigner,
        Self::SignatureDamaged,
        Self::CompressionRefused,
        Self::FirmwareMissing,
        Self::ShadowsInTree,
        Self::SymbolUnproven,
        Self::SymversOfOtherKernel,
        Self::NothingToCompare,
        Self::SignatureUnverifiable,
        Self::ModuleNotIndexed,
        Self::IndexDangling,
        Self::InitramfsStale,
        Self::BootModuleMissing,
        Self::InitramfsDamaged,
        Self::InitramfsNotCompared,
        Self::LoadedModuleMissing,
        Self::SymversUnreadable,
        Self::KernelWithoutModule,
        Self::BuildPackage,
        Self::BuildProgram,
        Self::KernelHeaders,
        Self::ModuleSources,
        Self::BuildOutput,
        Self::PrivateKey,
        Self::PackageFilesGone,
        Self::BuildTreeLink,
        Self::UnusedAllowance,
    ];

    /// The code as reports print it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ModuleMissing => "KMOD001",
            Self::ModuleUnexpected => "KMOD002",
            Self::ModuleForAnotherKernel => "KMOD003",
            Self::ModuleUnreadable => "KMOD004",
            Self::ModuleMisplaced => "KMOD005",
            Self::ModuleTwice => "KMOD006",
            Self::ModuleForOtherOptions => "KMOD007",
            Self::SymbolMissing => "KMOD008",
            Self::SymbolVersion => "KMOD009",
            Self::VersionsAbsent => "KMOD010",
            Self::VersionsOff => "KMOD011",
            Self::LayoutSize => "KMOD012",
            Self::GplSymbol => "KMOD013",
            Self::NamespaceNotImported => "KMOD014",
            Self::DependencyMissing => "KMOD015",
            Self::Unsigned => "KMOD016",
            Self::UnknownSigner => "KMOD017",
            Self::SignatureDamaged => "KMOD018",
            Self::CompressionRefused => "KMOD019",
            Self::FirmwareMissing => "KMOD020",
            Self::ShadowsInTree => "KMOD021",
            Self::SymbolUnproven => "KMOD022",
            Self::SymversOfOtherKernel => "KMOD023",
            Self::NothingToCompare => "KMOD024",
            Self::SignatureUnverifiable => "KMOD025",
            Self::ModuleNotIndexed => "KMOD026",
            Self::IndexDangling => "KMOD027",
            Self::InitramfsStale => "KMOD028",
            Self::BootModuleMissing => "KMOD029",
            Self::InitramfsDamaged => "KMOD030",
            Self::InitramfsNotCompared => "KMOD031",
            Self::LoadedModuleMissing => "KMOD032",
            Self::SymversUnreadable => "KMOD033",
            Self::KernelWithoutModule => "KMOD034",
            Self::BuildPackage => "LEFT001",
            Self::BuildProgram => "LEFT002",
            Self::KernelHeaders => "LEFT003",
            Self::ModuleSources => "LEFT004",
            Self::BuildOutput => "LEFT005",
            Self::PrivateKey => "LEFT006",
            Self::PackageFilesGone => "LEFT007",
            Self::BuildTreeLink => "LEFT008",
            Self::UnusedAllowance => "LEFT009",
        }
    }

    /// What the operator does about it.
    pub const fn fix(self) -> &'static str {
        match self {
            Self::ModuleMissing => {
                "look at the module build's log: DKMS and package managers return 0 when a module was skipped"
            }
            Self::ModuleUnexpected => "name it under `verify.modules`, or narrow the artifact that took it",
            Self::ModuleForAnotherKernel => "build it for the pinned kernel, never for `uname -r`",
            Self::ModuleUnreadable => "rebuild the module set",
            Self::ModuleMisplaced => "let the artifact's `to` begin with `/usr/lib/modules/${kver}/`",
            Self::ModuleTwice => "take it from one place only: which of the two would be loaded is not defined",
            Self::ModuleForOtherOptions => "build it with the headers package of exactly the pinned kernel",
            Self::SymbolMissing => {
                "build it against the headers of exactly this kernel, and ship the modules it builds on"
            }
            Self::SymbolVersion => "build it again for exactly this kernel; do not reuse modules of a neighbouring one",
            Self::VersionsAbsent => "build it with the headers package, whose configuration has symbol versions on",
            Self::VersionsOff => "nothing to do: options, symbols and layout carry the proof on this kernel",
            Self::LayoutSize => "build it with the configuration of exactly this kernel",
            Self::GplSymbol => {
                "take a version of the module that does without the symbol; the licence is its author's to state"
            }
            Self::NamespaceNotImported => {
                "add `MODULE_IMPORT_NS` to the module's source, or take a newer version of it"
            }
            Self::DependencyMissing => "add the module it depends on to the set, or the kernel package that has it",
            Self::Unsigned => "sign it in the builder stage with the key whose certificate the hosts enrol",
            Self::UnknownSigner => "sign it with the expected key: DKMS makes a throw-away key when it is given none",
            Self::SignatureDamaged => "sign it last: stripping or recompressing a signed module breaks the signature",
            Self::CompressionRefused => "compress it as the kernel's own modules are; for xz with `--check=crc32`",
            Self::FirmwareMissing => "add the firmware package of the same version to the module set",
            Self::ShadowsInTree => "rename or drop it unless replacing the kernel's own module is what you want",
            Self::SymbolUnproven => {
                "give the kernel's `Module.symvers` or `symvers.xz` along, from its headers package"
            }
            Self::SymversOfOtherKernel => "take the list of symbols from the headers package of exactly this kernel",
            Self::NothingToCompare => "verify the whole image, kernel included, and not only a folder of modules",
            Self::SignatureUnverifiable => "sign with RSA or ECDSA and SHA-256 or better, without signed attributes",
            Self::ModuleNotIndexed => "run `depmod KVER` in the final root, after the last module was copied",
            Self::IndexDangling => {
                "run `depmod KVER` in the final root, and carry no `modules.*` files over from the builder"
            }
            Self::InitramfsStale => "make the initramfs last, after the modules are in place and signed",
            Self::BootModuleMissing => "make the initramfs again with the configuration that is in the image",
            Self::InitramfsDamaged => "make the initramfs again; the kernel would stop at the same place",
            Self::InitramfsNotCompared => "compress the initramfs with gzip, xz or zstd if it is to be compared",
            Self::LoadedModuleMissing => "add the module to the image, or remove its line from modules-load.d",
            Self::SymversUnreadable => "install the kernel package again: the list came with it",
            Self::KernelWithoutModule => "leave one kernel in the image, or build the module set for each",
            Self::BuildPackage => "move it to the builder stage, or allow it with a reason",
            Self::BuildProgram | Self::KernelHeaders | Self::ModuleSources | Self::BuildOutput => {
                "keep it in the builder stage: the final stage takes only what the artifacts name"
            }
            Self::PrivateKey => "treat the key as published: replace it, and pass keys as secrets",
            Self::PackageFilesGone => "remove the package with the package manager, so that its database knows",
            Self::BuildTreeLink => "remove the tree it leads to, and the link",
            Self::UnusedAllowance => "remove the entry from the list: what it allowed is gone",
        }
    }
}

impl Code {
    /// Whether findings of this kind fail an image.
    pub const fn severity(self) -> Severity {
        match self {
            Self::VersionsOff
            | Self::ShadowsInTree
            | Self::SymbolUnproven
            | Self::NothingToCompare
            | Self::InitramfsNotCompared
            | Self::LoadedModuleMissing
            | Self::UnusedAllowance => Severity::Note,
            _ => Severity::Failure,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FindingCode for Code {
    fn page(self) -> Page {
        Page {
            code: self.as_str(),
            title: self.title(),
            severity: self.severity(),
            paragraph: self.paragraph(),
            fix: self.fix(),
        }
    }
}

/// One problem found.
pub type Finding = model::Finding<Code>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_page() {
        for code in Code::ALL {
            assert!(!code.title().is_empty() && code.title().len() < 72, "{code}");
            assert!(code.paragraph().ends_with('.') && code.paragraph().len() > 80, "{code}");
            assert_eq!(Code::find(&code.as_str().to_lowercase()), Some(*code));
        }
        assert_eq!(Code::find("KMOD999"), None);
    }

    #[test]
    fn codes_are_unique_and_in_order() {
        assert!(Code::ALL.windows(2).all(|pair| pair[0].as_str() < pair[1].as_str() && pair[0] < pair[1]));
    }
}
