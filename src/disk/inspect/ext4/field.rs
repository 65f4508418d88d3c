//! Little-endian numbers. Callers give offsets within structures whose length they have made sure of.

pub(super) fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// A number of which the lower and the upper 32 bits lie apart.
pub(super) fn split(bytes: &[u8], low: usize, high: usize) -> u64 {
    u64::from(word(bytes, low)) | u64::from(word(bytes, high)) << 32
}

/// A number of which the lower and the upper 16 bits lie apart.
pub(super) fn split_half(bytes: &[u8], low: usize, high: usize) -> u32 {
    u32::from(half(bytes, low)) | u32::from(half(bytes, high)) << 16
}
