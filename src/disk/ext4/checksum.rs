//! CRC-32C as ext4 uses it: no inversion at the end, chained through seeds (checksums.rst).

/// The start value of every chain.
const START: u32 = !0;
/// The Castagnoli polynomial, bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;
/// `TABLES[n][b]`: what byte `b` contributes when `n` bytes follow it.
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0_u32; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "below 256")]
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (POLYNOMIAL & (crc & 1).wrapping_neg());
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[table - 1][byte];
            tables[table][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
}

/// Continues the checksum `crc` over `bytes`, eight at a time.
pub(super) fn crc32c(mut crc: u32, bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let mixed = u64::from_le_bytes(*word) ^ u64::from(crc);
        crc =
            mixed.to_le_bytes().iter().zip(TABLES.iter().rev()).fold(0, |sum, (b, table)| sum ^ table[usize::from(*b)]);
    }
    rest.iter().fold(crc, |crc, byte| (crc >> 8) ^ TABLES[0][usize::from(halves_low(crc) ^ byte)])
}

const fn halves_low(crc: u32) -> u8 {
    crc.to_le_bytes()[0]
}

/// The checksum of a structure that stands for itself.
pub(super) fn of(bytes: &[u8]) -> u32 {
    crc32c(START, bytes)
}

/// The checksums of one file system: all but the superblock's start from its UUID.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seed(u32);

impl Seed {
    /// The file system's seed.
    pub(super) fn of_uuid(uuid: &[u8; 16]) -> Self {
        Self(of(uuid))
    }

    /// The seed of what belongs to one inode; its generation is always zero here.
    pub(super) fn inode(self, number: u32) -> Self {
        Self(crc32c(crc32c(self.0, &number.to_le_bytes()), &[0; 4]))
    }

    /// The seed of a group descriptor.
    pub(super) fn group(self, number: u32) -> Self {
        Self(crc32c(self.0, &number.to_le_bytes()))
    }

    /// The seed of an attribute block, which says where it lies.
    pub(super) fn block(self, number: u64) -> Self {
        Self(crc32c(self.0, &number.to_le_bytes()))
    }

    /// The checksum of `bytes` from this seed.
    pub(super) fn sum(self, bytes: &[u8]) -> u32 {
        crc32c(self.0, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Test vectors of RFC 3720 B.4; the standard checksum is ours, inverted.
    #[test]
    fn agrees_with_the_published_vectors() {
        let ascending: Vec<u8> = (0..32).collect();
        for (bytes, expected) in [
            (&[0_u8; 32][..], 0x8a91_36aa),
            (&[0xff; 32], 0x62a8_ab43),
            (&ascending, 0x46dd_794e),
            (b"123456789", 0xe306_9283),
        ] {
            assert_eq!(!of(bytes), expected);
        }
    }

    #[test]
    fn a_chain_is_the_whole() {
        let bytes: Vec<u8> = (0..=255).collect();
        for cut in 0..bytes.len() {
            assert_eq!(crc32c(of(&bytes[..cut]), &bytes[cut..]), of(&bytes));
        }
    }
}
