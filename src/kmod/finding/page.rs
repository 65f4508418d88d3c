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
            Self::ModuleNotIndexed => "the module index does not list a module",
            Self::IndexDangling => "the module index names a file that is not there",
            Self::InitramfsStale => "the initramfs has another copy of a module than the image",
            Self::BootModuleMissing => "a module the initramfs must have is not in it",
            Self::InitramfsDamaged => "the initramfs cannot be read",
            Self::InitramfsNotCompared => "the initramfs was not compared",
            Self::LoadedModuleMissing => "a module to be loaded at boot is not there",
            Self::SymversUnreadable => "the kernel's list of symbols cannot be read",
            Self::KernelWithoutModule => "one of several kernels lacks a module",
            Self::BuildPackage => "a package of the build environment is in the image",
            Self::BuildProgram => "a compiler or build tool is in the image",
            Self::KernelHeaders => "kernel headers are in the image",
            Self::ModuleSources => "module sources or DKMS state are in the image",
            Self::BuildOutput => "intermediate files of a build are in the image",
            Self::PrivateKey => "a private key is in the image",
            Self::PackageFilesGone => "a package is in the database and its files are gone",
            Self::BuildTreeLink => "a link of the kernel leads to a build tree",
            Self::UnusedAllowance => "an allowance that is not needed any more",
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
            Self::ModuleNotIndexed => {
                "modprobe and udev find modules in `modules.dep` only, which depmod writes. A module that was copied \
                 after depmod ran is in the image and will never be loaded."
            }
            Self::IndexDangling => {
                "`modules.dep` names a module or a dependency whose file does not exist. modprobe fails when it comes \
                 to it, and `modprobe -n` does not."
            }
            Self::InitramfsStale => {
                "The initramfs carries copies of modules, and one of them is not what lies under `/usr/lib/modules`: \
                 it was made before the module was built, replaced or signed. The copy in the initramfs is the one \
                 that gets loaded."
            }
            Self::BootModuleMissing => {
                "The configuration of dracut in the image asks for this driver by `add_drivers` or `force_drivers`, \
                 the image has it, and the initramfs does not. A host that needs it to find its root does not boot."
            }
            Self::InitramfsDamaged => {
                "The initramfs is cut short, its compressed data is damaged, or what is inside is no cpio archive. \
                 The kernel reads it by the same rules and would panic or boot without it."
            }
            Self::InitramfsNotCompared => {
                "There is no initramfs beside the kernel, or it is compressed in a way that is not read here (lz4, \
                 lzo, bzip2, lzma). Whether its modules are those of the image is not known."
            }
            Self::LoadedModuleMissing => {
                "A file in `modules-load.d` names a module that is neither in the image nor built into the kernel. \
                 The host boots, with `systemd-modules-load.service` failed. Packages written for several kernels do \
                 that on purpose."
            }
            Self::SymversUnreadable => {
                "The image has a list of the kernel's exported symbols, and it is damaged or something else. The \
                 proof went on without it, from the kernel's own modules, and is weaker than it could be."
            }
            Self::KernelWithoutModule => {
                "The image has more than one kernel, and a module that is there for one of them is missing for \
                 another. Which kernel a host boots decides whether the module exists."
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
            Self::PackageFilesGone => {
                "The package database lists the package, and none of the program files it installed exist: somebody \
                 removed them by hand. Everything that resolves against the database, the next image layer first, is \
                 misled."
            }
            Self::BuildTreeLink => {
                "`build` and `source` beside the modules lead to the tree a kernel was built in. A link that leads \
                 nowhere is usual and harmless; this one leads to a tree that exists, which only builds need."
            }
            Self::UnusedAllowance => {
                "An entry of the list of accepted leftovers matched nothing. Left standing it would hide the next \
                 leftover of that name."
            }
        }
    }
}
