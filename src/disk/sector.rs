//! Logical sector sizes.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// Size of the blocks a disk is addressed in. A disk image must be written for the one its device has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
pub enum SectorSize {
    /// 512 bytes: virtual disks and most others.
    #[default]
    #[serde(rename = "512")]
    B512,
    /// 4096 bytes: "4Kn" disks.
    #[serde(rename = "4096")]
    B4096,
}

/// A number that is no sector size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no sector size: 512 or 4096")]
pub struct SectorSizeError(String);

impl SectorSize {
    /// In bytes.
    pub const fn bytes(self) -> u64 {
        match self {
            Self::B512 => 512,
            Self::B4096 => 4096,
        }
    }
}

impl fmt::Display for SectorSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().fmt(f)
    }
}

impl FromStr for SectorSize {
    type Err = SectorSizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "512" => Ok(Self::B512),
            "4096" => Ok(Self::B4096),
            other => Err(SectorSizeError(other.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_print_and_parse() {
        for size in [SectorSize::B512, SectorSize::B4096] {
            assert_eq!(size.to_string().parse(), Ok(size));
        }
        assert!("2048".parse::<SectorSize>().is_err());
    }
}
