//! Little-endian fields at named offsets of a structure.

/// Sets a 16-bit field.
pub(super) fn put16(structure: &mut [u8], offset: usize, value: u16) {
    structure[offset..offset + 2].copy_from_slice(&value.to_le_bytes());
}

/// Sets a 32-bit field.
pub(super) fn put32(structure: &mut [u8], offset: usize, value: u32) {
    structure[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
}

/// The low and the high 32 bits, which ext4 often keeps apart.
#[expect(clippy::cast_possible_truncation, reason = "both halves are kept")]
pub(super) const fn halves(value: u64) -> (u32, u32) {
    (value as u32, (value >> 32) as u32)
}

/// The low and the high 16 bits.
#[expect(clippy::cast_possible_truncation, reason = "both halves are kept")]
pub(super) const fn halves32(value: u32) -> (u16, u16) {
    (value as u16, (value >> 16) as u16)
}

/// The low 16 bits.
pub(super) const fn low16(value: u64) -> u16 {
    halves32(halves(value).0).0
}

/// Sets a 64-bit number whose halves are two fields.
pub(super) fn put_split(structure: &mut [u8], low: usize, high: usize, value: u64) {
    let (lo, hi) = halves(value);
    put32(structure, low, lo);
    put32(structure, high, hi);
}

/// Sets a 32-bit number whose halves are two fields.
pub(super) fn put_split32(structure: &mut [u8], low: usize, high: usize, value: u32) {
    let (lo, hi) = halves32(value);
    put16(structure, low, lo);
    put16(structure, high, hi);
}
