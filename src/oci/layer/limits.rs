//! How much a layer may ask of us before it is refused.

/// Caps on one layer. Going over any of them is an error that names the cap and where it was met.
///
/// The defaults admit every real operating-system image we know with an order
/// of magnitude to spare, and keep a hostile layer from using more memory than
/// its entries' names and attributes deserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnpackLimits {
    /// Entries in one layer. A distribution's full package set has under 500,000 files; the default is 4 million.
    pub entries: u64,
    /// Components in one path. The default, 512, is far above what PATH_MAX leaves room for in practice.
    pub path_depth: usize,
    /// Bytes in a path or a link target. The default is Linux's PATH_MAX without the terminator, 4095.
    pub path_bytes: usize,
    /// Bytes in one component of a path. The default is Linux's NAME_MAX, 255.
    pub component_bytes: usize,
    /// Bytes in the names and values of one entry's extended attributes. The default is 256 KiB;
    /// Linux caps one value at 64 KiB and most file systems cap all of them lower.
    pub xattr_bytes: usize,
    /// Bytes of names, link targets and attributes of all entries of a layer together: what a merged tree holds
    /// in memory. The default is 512 MiB, four times what a million labelled files need.
    pub metadata_bytes: u64,
    /// Bytes in the extended headers of one entry (PAX records, GNU long names); held in memory. The default is 1 MiB.
    pub pax_bytes: u64,
    /// Bytes in one file. The default is 64 GiB.
    pub entry_bytes: u64,
    /// Bytes in one uncompressed layer. The default is 128 GiB.
    pub layer_bytes: u64,
    /// Uncompressed bytes per compressed byte, applied beyond [`UnpackLimits::ratio_grace`]. DEFLATE cannot exceed 1032;
    /// the default is 200, which text and zero-filled tables stay under when averaged over gigabytes.
    pub inflate_ratio: u64,
    /// Uncompressed bytes that are always allowed, whatever their ratio. The default is 1 GiB.
    pub ratio_grace: u64,
}

impl Default for UnpackLimits {
    fn default() -> Self {
        Self {
            entries: 4_000_000,
            path_depth: 512,
            path_bytes: 4095,
            component_bytes: 255,
            xattr_bytes: 256 << 10,
            metadata_bytes: 512 << 20,
            pax_bytes: 1 << 20,
            entry_bytes: 64 << 30,
            layer_bytes: 128 << 30,
            inflate_ratio: 200,
            ratio_grace: 1 << 30,
        }
    }
}
