//! The manual's page for each code: what it means and why it matters. The fix stands with the code.

use super::Code;

impl Code {
    /// The code of this text, in upper or lower case.
    pub fn find(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str().eq_ignore_ascii_case(text))
    }

    /// What is found, in one line.
    pub const fn title(self) -> &'static str {
        match self {
            Self::ModuleMissing => "an expected module is not in the image",
            Self::ModuleUnexpected => "a module nobody named is in the image",
            Self::ModuleForAnotherKernel => "a module was built for another kernel",
            Self::ModuleUnreadable => "a file that should be a module cannot be read",
            Self::ModuleMisplaced => "a module lies outside the kernel's folder",
            Self::ModuleTwice => "a module is there twice",
            Self::ModuleForOtherOptions => "a module was built with other kernel options",
            Self::SymbolMissing => "a module needs a symbol that nobody exports",
            Self::SymbolVersion => "a symbol has another version than the module was built against",
            Self::VersionsAbsent => "a module has no symbol versions although the kernel has",
            Self::VersionsOff => "this kernel has no symbol versions",
            Self::LayoutSize => "the module structure has another size than the kernel's",
            Self::GplSymbol => "a module under another licence uses a GPL-only symbol",
            Self::NamespaceNotImported => "a module uses a symbol of a namespace it does not import",
            Self::DependencyMissing => "a module that another one depends on is not in the image",
            Self::Unsigned => "a module is not signed",
            Self::UnknownSigner => "a module was signed by another certificate than expected",
            Self::SignatureDamaged => "a module's signature is not valid",
            Self::CompressionRefused => "a module is compressed in a way the kernel may refuse",
            Self::FirmwareMissing => "firmware a module asks for is not in the image",
            Self::ShadowsInTree => "a module replaces one of the kernel's own",
            Self::SymbolUnproven => "a symbol could not be proven",
            Self::SymversOfOtherKernel => "the list of symbols belongs to another kernel",
            Self::NothingToCompare => "there is no module of the kernel itself to compare with",
            Self::SignatureUnverifiable => "a signature is of a kind that cannot be verified",
            Self::BuildPackage => "a package of the build environment is in the image",
            Self::BuildProgram => "a compiler or build tool is in the image",
            Self::KernelHeaders => "kernel headers are in the image",
            Self::ModuleSources => "module sources or DKMS state are in the image",
            Self::BuildOutput => "intermediate files of a build are in the image",
            Self::PrivateKey => "a private key is in the image",
        }
    }

    /// What it means and how it comes about.
    pub const fn paragraph(self) -> &'static str {
        match self {
            Self::ModuleMissing => {
                "The module set promises this module, and no file of that name is there. DKMS and package \
                 managers return 0 when they skip a module, for example because its sources refuse the kernel, \
                 so that only the file itself is evidence."
            }
            Self::ModuleUnexpected => {
                "The build left a module that the set does not name under `verify.modules`. It would be loaded \
                 by name or by device like any other, without anybody having decided so."
            }
            Self::ModuleForAnotherKernel => {
                "The kernel compares the `vermagic` text of a module with its own and refuses other releases. \
                 depmod and `modprobe -n` report success on such a module."
            }
            Self::ModuleUnreadable => {
                "The file is damaged, truncated, a 32-bit object, or something else altogether. The kernel would \
                 refuse it too."
            }
            Self::ModuleMisplaced => {
                "modprobe searches only below `/usr/lib/modules/KVER`. A module elsewhere is never found."
            }
            Self::ModuleTwice => {
                "Two files have the same module name. Which one is loaded depends on the order in which depmod \
                 searched its folders."
            }
            Self::ModuleForOtherOptions => {
                "The words after the release in `vermagic` name the options that change data structures, such as \
                 the model of preemption. Builds of one release with different options do not fit together."
            }
            Self::SymbolMissing => {
                "Neither the kernel nor a module of the image exports a symbol the module uses. Loading it ends \
                 in `Unknown symbol`, on the host and not before: depmod and modprobe return 0."
            }
            Self::SymbolVersion => {
                "Where symbol versions are on, each exported symbol carries a checksum over its C declaration, \
                 and a module records those it was built against. They differ, so the kernel refuses the module \
                 with `disagrees about version of symbol`. The usual reason is a module built for the \
                 neighbouring kernel."
            }
            Self::VersionsAbsent => {
                "The kernel was built with symbol versions and this module without. It would only load by force, \
                 which taints the kernel and is refused under Secure Boot."
            }
            Self::VersionsOff => {
                "The kernel was built without symbol versions, so there are no checksums to compare. Release, \
                 options, symbol names and the size of the module structure are proven all the same. Nothing is \
                 wrong."
            }
            Self::LayoutSize => {
                "Every module contains one `struct module`. Its size here is not that of the kernel's own \
                 modules: the module was built with another configuration, and the kernel refuses it with \
                 `section size must match`."
            }
            Self::GplSymbol => {
                "The symbol is exported to modules under a GPL-compatible licence only, and this module states \
                 another one. The kernel refuses it with `Unknown symbol`."
            }
            Self::NamespaceNotImported => {
                "Exported symbols can be in a namespace, which users must name by `MODULE_IMPORT_NS`. The module \
                 does not, and kernels refuse it unless built to be lenient."
            }
            Self::DependencyMissing => {
                "The module, or one it depends on, names a module under `depends` that is neither in the set nor \
                 among the kernel's own. modprobe would fail, though `modprobe -n` returns 0."
            }
            Self::Unsigned => {
                "The policy asks for a signature and the module has none. Hosts with Secure Boot, or with \
                 lockdown, refuse it."
            }
            Self::UnknownSigner => {
                "The signature names a certificate that is not among those the policy accepts. Hosts that \
                 enrolled only the expected one refuse the module. A key made by DKMS during the build is the \
                 usual reason."
            }
            Self::SignatureDamaged => {
                "The appended signature cannot be read, or it does not fit the module's content. A module that \
                 is stripped or changed after signing ends like this, and so does one that was tampered with."
            }
            Self::CompressionRefused => {
                "The kernel decompresses modules itself and knows only the compression it was configured for, \
                 for xz only without check or with CRC32. The default of the xz program, CRC64, is not one of \
                 them."
            }
            Self::FirmwareMissing => {
                "The module names this file under `firmware`, and it is not below `/usr/lib/firmware`. The \
                 device stays without firmware. Drivers that name files with their own version show here that \
                 driver and firmware packages do not agree."
            }
            Self::ShadowsInTree => {
                "The set brings a module with the name of one that the kernel package has. Which one is loaded \
                 is a matter of depmod's search order; usually the set's is, as intended."
            }
            Self::SymbolUnproven => {
                "There was no list of the kernel's exports, and none of the kernel's own modules uses this \
                 symbol, so nothing shows that the kernel has it, or in which version. It may well be there."
            }
            Self::SymversOfOtherKernel => {
                "One of the kernel's own modules disagrees with the list of symbols, so the list cannot be of \
                 this kernel. It was not used."
            }
            Self::NothingToCompare => {
                "Options and the size of the module structure are proven by comparison with a module that came \
                 with the kernel, and none could be read."
            }
            Self::SignatureUnverifiable => {
                "The signature names an expected certificate but was made with an algorithm outside those \
                 imgbuild verifies: RSA and ECDSA with SHA-256, SHA-384 or SHA-512, without signed attributes. \
                 Whether it is right is not known, and unknown does not pass."
            }
            Self::BuildPackage => {
                "Compilers, headers and build systems belong into the builder stage. In an image they cost \
                 space, and give an intruder what is needed to build kernel code on the host."
            }
            Self::BuildProgram => {
                "The executable belongs to the build environment. It may have been copied without its package, \
                 so that the package database does not show it."
            }
            Self::KernelHeaders => {
                "Headers are needed to build modules and for nothing on a host whose modules are built already. \
                 They take some hundred megabytes."
            }
            Self::ModuleSources => {
                "A source tree with DKMS makes hosts rebuild modules on the next kernel, which an immutable host \
                 must not do and, without a compiler, cannot."
            }
            Self::BuildOutput => {
                "Object files, static archives or symbol lists of a module's build were copied along. They are \
                 of no use on a host."
            }
            Self::PrivateKey => {
                "A file is named or begins like a private key. Whoever can pull the image has the key, also when \
                 a later layer deletes the file, because the lower layer still travels."
            }
        }
    }
}
