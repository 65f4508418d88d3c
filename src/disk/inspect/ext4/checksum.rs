//! CRC-32C without inversion at the end, chained through seeds (checksums.rst).

/// What each value of the lowest byte contributes.
static TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut value = 0_u32;
    while value < 256 {
        let mut sum = value;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ 0x82f6_3b78 } else { sum >> 1 };
            bit += 1;
        }
        table[value as usize] = sum;
        value += 1;
    }
    table
}

/// A checksum to be continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seed(pub(super) u32);

impl Seed {
    /// Where every chain begins.
    pub(super) const START: Self = Self(u32::MAX);

    pub(super) fn with(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(self.0, |sum, byte| sum >> 8 ^ TABLE[usize::from(sum.to_le_bytes()[0] ^ byte)]))
    }

    pub(super) fn sum(self, bytes: &[u8]) -> u32 {
        self.with(bytes).0
    }
}
