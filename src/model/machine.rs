//! Processor architectures that hosts have.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// An architecture a disk can be made for, under the name `uname -m` has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Machine {
    /// 64-bit PC.
    #[serde(rename = "x86_64")]
    X86_64,
    /// 64-bit ARM.
    Aarch64,
    /// 64-bit RISC-V.
    Riscv64,
    /// 64-bit little-endian POWER.
    Ppc64le,
    /// IBM Z.
    S390x,
}

/// An architecture that no disk can be made for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("architecture `{0}` is none of x86_64, aarch64, riscv64, ppc64le, s390x")]
pub struct UnknownMachine(String);

impl Machine {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::X86_64, Self::Aarch64, Self::Riscv64, Self::Ppc64le, Self::S390x];

    /// As `uname -m` prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
            Self::Riscv64 => "riscv64",
            Self::Ppc64le => "ppc64le",
            Self::S390x => "s390x",
        }
    }

    /// As bootc's `match-architectures` and Rust name it.
    pub const fn rust_name(self) -> &'static str {
        match self {
            Self::Ppc64le => "powerpc64",
            other => other.name(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Machine {
    type Err = UnknownMachine;

    /// Takes the names of `uname -m`, of the image specification and of Debian.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "x86_64" | "amd64" => Ok(Self::X86_64),
            "aarch64" | "arm64" => Ok(Self::Aarch64),
            "riscv64" => Ok(Self::Riscv64),
            "ppc64le" | "ppc64el" => Ok(Self::Ppc64le),
            "s390x" => Ok(Self::S390x),
            other => Err(UnknownMachine(other.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back_and_others_are_refused() {
        for machine in Machine::ALL {
            assert_eq!(machine.to_string().parse(), Ok(machine));
            assert_eq!(serde_json::to_value(machine).unwrap(), machine.name());
        }
        assert_eq!("amd64".parse(), Ok(Machine::X86_64));
        assert!("i386".parse::<Machine>().is_err());
    }
}
