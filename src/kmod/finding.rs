//! What checks of an image find: stable codes, a sentence, a fix.

use std::fmt;

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
        Self::BuildPackage,
        Self::BuildProgram,
        Self::KernelHeaders,
        Self::ModuleSources,
        Self::BuildOutput,
        Self::PrivateKey,
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
            Self::BuildPackage => "LEFT001",
            Self::BuildProgram => "LEFT002",
            Self::KernelHeaders => "LEFT003",
            Self::ModuleSources => "LEFT004",
            Self::BuildOutput => "LEFT005",
            Self::PrivateKey => "LEFT006",
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
            Self::BuildPackage => "move it to the builder stage, or allow it with a reason",
            Self::BuildProgram | Self::KernelHeaders | Self::ModuleSources | Self::BuildOutput => {
                "keep it in the builder stage: the final stage takes only what the artifacts name"
            }
            Self::PrivateKey => "treat the key as published: replace it, and pass keys as secrets",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One problem found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// What kind.
    pub code: Code,
    /// The module, file or package it is about.
    pub subject: String,
    /// What is wrong, as the rest of a sentence that begins with the subject.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.code, self.subject, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_in_order() {
        assert!(Code::ALL.windows(2).all(|pair| pair[0].as_str() < pair[1].as_str() && pair[0] < pair[1]));
    }
}
