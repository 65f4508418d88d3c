//! The hash of names in indexed directories: half MD4 (directory.rst, "Hash Tree Directories").
//!
//! Bytes count as signed, which the superblock says too: what mke2fs does on x86, and the one form that readers
//! which ignore the flag understand.

/// What the half-MD4 state starts with when the file system has no seed.
const DEFAULT_SEED: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
/// The constants of the second and third round.
const ROUND2: u32 = 0x5a82_7999;
const ROUND3: u32 = 0x6ed9_eba1;
/// A hash that would read as "end of directory", and what stands in for it.
const RESERVED: u32 = 0xffff_fffe;
const LARGEST: u32 = 0xffff_fffc;

/// The order of names in an indexed directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NameHash {
    /// What the index holds; its lowest bit is always clear.
    pub(super) major: u32,
    /// Orders names of one major hash.
    pub(super) minor: u32,
}

/// The hash seed of a file system, as words.
pub(super) fn seed_words(seed: &[u8; 16]) -> [u32; 4] {
    let (words, _) = seed.as_chunks::<4>();
    let words = [0, 1, 2, 3].map(|i| u32::from_le_bytes(words[i]));
    if words == [0; 4] { DEFAULT_SEED } else { words }
}

/// The hash of one name, from the words of the seed.
pub(super) fn half_md4(name: &[u8], seed: [u32; 4]) -> NameHash {
    let mut state = seed;
    let mut rest = name;
    while !rest.is_empty() {
        transform(&mut state, &block(rest));
        rest = rest.get(32..).unwrap_or_default();
    }
    let major = state[1] & !1;
    NameHash { major: if major == RESERVED { LARGEST } else { major }, minor: state[2] }
}

/// The next 32 bytes as big-endian words, padded with the length of all that is left.
fn block(rest: &[u8]) -> [u32; 8] {
    let length = u8::try_from(rest.len()).expect("names have at most 255 bytes");
    let pad = u32::from_le_bytes([length; 4]);
    let mut words = [pad; 8];
    for (word, bytes) in words.iter_mut().zip(rest.chunks(4)) {
        *word = bytes.iter().fold(pad, |value, byte| (value << 8).wrapping_add_signed(byte.cast_signed().into()));
    }
    words
}

/// MD4 with three rounds of eight steps.
fn transform(state: &mut [u32; 4], words: &[u32; 8]) {
    let mut mixed = *state;
    round(&mut mixed, words, [0, 1, 2, 3, 4, 5, 6, 7], [3, 7, 11, 19], |x, y, z| z ^ (x & (y ^ z)), 0);
    round(
        &mut mixed,
        words,
        [1, 3, 5, 7, 0, 2, 4, 6],
        [3, 5, 9, 13],
        |x, y, z| (x & y).wrapping_add((x ^ y) & z),
        ROUND2,
    );
    round(&mut mixed, words, [3, 7, 2, 6, 1, 5, 0, 4], [3, 9, 11, 15], |x, y, z| x ^ y ^ z, ROUND3);
    for (old, new) in state.iter_mut().zip(mixed) {
        *old = old.wrapping_add(new);
    }
}

fn round(
    state: &mut [u32; 4],
    words: &[u32; 8],
    order: [usize; 8],
    shifts: [u32; 4],
    mix: fn(u32, u32, u32) -> u32,
    constant: u32,
) {
    for (step, index) in order.into_iter().enumerate() {
        let [a, b, c, d] = *state;
        let sum = a.wrapping_add(mix(b, c, d)).wrapping_add(words[index]).wrapping_add(constant);
        *state = [d, sum.rotate_left(shifts[step % 4]), b, c];
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const SEED: &[u8; 16] = b"seed of the hash";

    /// Answers of `debugfs -R 'dx_hash -h half_md4 [-s UUID] NAME'`, e2fsprogs 1.47.0.
    #[test]
    fn agrees_with_debugfs() {
        let digits = b"0123456789abcdef0123456789abcdef0";
        let long = [b'x'; 255];
        for (name, seed, major, minor) in [
            (&b"a"[..], SEED, 0x8831_e12a, 0xc1d8_8a16),
            (b"a", &[0; 16], 0xd5fa_7d7a, 0xacb4_8187),
            (b"lost+found", SEED, 0xa84f_9a4a, 0x1352_165b),
            (b"lost+found", &[0; 16], 0x591d_e422, 0x6ffc_56e0),
            (&digits[..32], SEED, 0x9546_53c2, 0x1dde_0bf9),
            (digits, SEED, 0x941a_5046, 0x669d_8b7c),
            (&long, SEED, 0x8b69_1dfc, 0x2c7d_36fd),
            (b"caf\xc3\xa9\xff", SEED, 0x20b5_5c92, 0x5947_997c),
            (b"caf\xc3\xa9\xff", &[0; 16], 0x25f6_6952, 0x6c98_1ac3),
        ] {
            assert_eq!(half_md4(name, seed_words(seed)), NameHash { major, minor }, "{}", name.escape_ascii());
        }
    }

    /// Prints numbers whose names, as `tests/ext4` makes them, have one hash.
    #[test]
    #[ignore = "makes the table of collisions for tests/ext4"]
    fn find_collisions() {
        let seed = seed_words(SEED);
        let mut found: HashMap<u32, u32> = HashMap::new();
        for number in 0..700_000 {
            let name = format!("{number:0>255}");
            if let Some(before) = found.insert(half_md4(name.as_bytes(), seed).major, number) {
                print!("({before}, {number}), ");
            }
        }
        println!();
    }
}
