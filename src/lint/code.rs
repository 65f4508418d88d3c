//! What the lint finds: stable codes, how grave each is, and where it was found.

use std::fmt;

use super::page;
use crate::model::{self, FindingCode, Page, Severity};

/// What kind of problem; the text of a code never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Code {
    /// BOOT001
    KernelMissing,
    /// BOOT002
    SeveralKernels,
    /// BOOT003
    VarRunFolder,
    /// BOOT004
    UsrEtc,
    /// BOOT005
    KargsInvalid,
    /// BOOT006
    NameNotUtf8,
    /// BOOT007
    ApiFolderMissing,
    /// BOOT008
    SysrootMissing,
    /// BOOT009
    ComposefsOff,
    /// BOOT010
    RuntimeFileLeft,
    /// BOOT011
    LogLeft,
    /// BOOT012
    VarUndeclared,
    /// BOOT013
    AccountUndeclared,
    /// BOOT014
    BootNotEmpty,
    /// BOOT015
    RuntimeFolderNotEmpty,
    /// BOOT016
    NotLabelled,
    /// BOOT017
    InitramfsMissing,
    /// BOOT018
    InitramfsDamaged,
    /// BOOT019
    InitramfsUnread,
    /// BOOT020
    InitramfsForAnotherKernel,
    /// BOOT021
    RootNotMounted,
    /// BOOT022
    RootDriverMissing,
    /// BOOT023
    RootConfigStale,
    /// BOOT024
    BootLoaderMissing,
    /// BOOT025
    KernelForAnotherMachine,
    /// BOOT026
    KernelWithoutEfiStub,
    /// BOOT027
    InitMissing,
    /// BOOT028
    DefaultTarget,
    /// BOOT029
    OsReleaseMissing,
    /// BOOT030
    KargsNeverApply,
    /// BOOT031
    FstabDevice,
    /// BOOT032
    MachineId,
    /// BOOT033
    HostKey,
    /// BOOT034
    MachineSecret,
    /// BOOT035
    BuilderLink,
    /// BOOT036
    WorldWritable,
    /// BOOT037
    FolderClosed,
    /// BOOT038
    ShadowReadable,
    /// BOOT039
    SudoersOpen,
    /// BOOT040
    SetuidScript,
    /// BOOT041
    PrivilegeAdded,
    /// BOOT042
    PrivilegePresent,
    /// BOOT043
    ConfigurationIgnored,
    /// BOOT044
    OwnerUnknown,
}

impl Code {
    /// Every code, in the order of the manual.
    pub const ALL: &[Self] = &[
        Self::KernelMissing,
        Self::SeveralKernels,
        Self::VarRunFolder,
        Self::UsrEtc,
        Self::KargsInvalid,
        Self::NameNotUtf8,
        Self::ApiFolderMissing,
        Self::SysrootMissing,
        Self::ComposefsOff,
        Self::RuntimeFileLeft,
        Self::LogLeft,
        Self::VarUndeclared,
        Self::AccountUndeclared,
        Self::BootNotEmpty,
        Self::RuntimeFolderNotEmpty,
        Self::NotLabelled,
        Self::InitramfsMissing,
        Self::InitramfsDamaged,
        Self::InitramfsUnread,
        Self::InitramfsForAnotherKernel,
        Self::RootNotMounted,
        Self::RootDriverMissing,
        Self::RootConfigStale,
        Self::BootLoaderMissing,
        Self::KernelForAnotherMachine,
        Self::KernelWithoutEfiStub,
        Self::InitMissing,
        Self::DefaultTarget,
        Self::OsReleaseMissing,
        Self::KargsNeverApply,
        Self::FstabDevice,
        Self::MachineId,
        Self::HostKey,
        Self::MachineSecret,
        Self::BuilderLink,
        Self::WorldWritable,
        Self::FolderClosed,
        Self::ShadowReadable,
        Self::SudoersOpen,
        Self::SetuidScript,
        Self::PrivilegeAdded,
        Self::PrivilegePresent,
        Self::ConfigurationIgnored,
        Self::OwnerUnknown,
    ];

    /// The code as reports print it.
    pub const fn as_str(self) -> &'static str {
        page::of(self).code
    }

    /// The code of this text, in upper or lower case.
    pub fn find(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str().eq_ignore_ascii_case(text))
    }

    /// How grave findings of this kind are.
    pub const fn severity(self) -> Severity {
        page::of(self).severity
    }

    /// What is found, in one line.
    pub const fn title(self) -> &'static str {
        page::of(self).title
    }

    /// What it means and how it comes about; for bootc's own lints with the name they have there.
    pub const fn paragraph(self) -> &'static str {
        page::of(self).paragraph
    }

    /// What the operator does about it.
    pub const fn fix(self) -> &'static str {
        page::of(self).fix
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FindingCode for Code {
    fn page(self) -> Page {
        *page::of(self)
    }
}

/// One problem found.
pub type Finding = model::Finding<Code>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_page_and_one_number() {
        for (index, code) in Code::ALL.iter().enumerate() {
            assert_eq!(code.as_str(), format!("BOOT{:03}", index + 1));
            assert_eq!(*code as usize, index, "{code}");
            assert_eq!(Code::find(&code.as_str().to_lowercase()), Some(*code));
            assert!(!code.title().is_empty() && code.title().len() < 72, "{code}");
            assert!(code.paragraph().ends_with('.') && code.paragraph().len() > 80, "{code}");
            assert!(!code.fix().is_empty() && !code.fix().ends_with('.'), "{code}");
        }
        assert_eq!(Code::find("BOOT999"), None);
    }

    #[test]
    fn every_lint_of_bootc_is_named_where_it_is_covered() {
        // The list of `bootc container lint --list`, and how grave bootc takes each.
        for (name, severity) in [
            ("kernel", Severity::Failure),
            ("var-run", Severity::Failure),
            ("etc-usretc", Severity::Failure),
            ("bootc-kargs", Severity::Failure),
            ("utf8", Severity::Failure),
            ("api-base-directories", Severity::Failure),
            ("baseimage-root", Severity::Failure),
            ("baseimage-composefs", Severity::Warning),
            ("buildah-injected", Severity::Warning),
            ("var-log", Severity::Warning),
            ("var-tmpfiles", Severity::Warning),
            ("sysusers", Severity::Warning),
            ("nonempty-boot", Severity::Warning),
            ("nonempty-run-tmp", Severity::Warning),
        ] {
            let quoted = format!("bootc: `{name}`.");
            let covering: Vec<_> = Code::ALL.iter().filter(|code| code.paragraph().contains(&quoted)).collect();
            assert!(!covering.is_empty(), "{name}");
            assert!(covering.iter().all(|code| code.severity() == severity), "{name}");
        }
    }
}
