//! How large a partition must be.

use std::collections::{BTreeMap, BTreeSet};

use super::entry::entries_for;
use super::{CLUSTER, EspPath};
use crate::disk::{ALIGNMENT, SectorSize};

/// Fewest clusters of a FAT32 file system (`fatgen103`, "FAT Type Determination").
pub(super) const MIN_CLUSTERS: u64 = 65525;

/// One more than the largest number of clusters.
pub(super) const MAX_CLUSTERS: u64 = 0x0fff_fff5;

/// Sectors before the first table, at least; as many as other programs reserve.
pub(super) const RESERVED_SECTORS: u64 = 32;

/// Copies of the table, and bytes of an entry of it.
pub(super) const FATS: u64 = 2;
pub(super) const FAT_ENTRY: u64 = 4;

/// Bytes of a folder's entry.
pub(super) const ENTRY: u64 = 32;

/// Smallest partition, whatever the sector size.
pub const MINIMUM: u64 = with_clusters(MIN_CLUSTERS);

/// Smallest partition for these files and `spare` further bytes of files.
///
/// Names of the spare files and the ends of their last clusters are covered by a mebibyte more.
pub fn size_for<'p>(files: impl IntoIterator<Item = (&'p EspPath, u64)>, spare: u64) -> u64 {
    let mut clusters = (spare + ALIGNMENT).div_ceil(CLUSTER);
    let mut folders: BTreeMap<String, u64> = BTreeMap::from([(String::new(), 1)]);
    let mut counted = BTreeSet::new();
    for (path, size) in files {
        clusters += size.div_ceil(CLUSTER);
        count_names(&path.folded(), &mut folders, &mut counted);
    }
    clusters += folders.values().map(|entries| (entries * ENTRY).div_ceil(CLUSTER)).sum::<u64>();
    with_clusters(if clusters < MIN_CLUSTERS { MIN_CLUSTERS } else { clusters })
}

/// Adds the entries that a path needs in each folder on its way.
fn count_names(path: &str, folders: &mut BTreeMap<String, u64>, counted: &mut BTreeSet<String>) {
    let mut folder = String::new();
    for name in path.split('/') {
        let here = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        if counted.insert(here.clone()) {
            // Two entries are `.` and `..`.
            *folders.entry(folder).or_insert(2) += entries_for(name);
        }
        folder = here;
    }
}

/// Bytes of a partition with so many clusters, in whole steps of [`ALIGNMENT`].
const fn with_clusters(clusters: u64) -> u64 {
    // For the larger sectors, of which more are reserved. The table has entries for the partition's head too.
    let sector = SectorSize::B4096.bytes();
    let entries = clusters + clusters / 256 + 64;
    let fat = (entries * FAT_ENTRY).next_multiple_of(sector);
    (RESERVED_SECTORS * sector + FATS * fat + clusters * CLUSTER).next_multiple_of(ALIGNMENT)
}

#[cfg(test)]
mod tests {
    use super::super::Parameters;
    use super::super::geometry::Geometry;
    use super::*;
    use crate::model::SourceDateEpoch;

    #[test]
    fn small_sets_take_the_minimum_and_large_ones_their_bytes() {
        assert_eq!(MINIMUM, 257 << 20);
        let path: EspPath = "EFI/Linux/vmlinuz".parse().unwrap();
        assert_eq!(size_for([(&path, 50 << 20)], 0), MINIMUM);
        assert_eq!(size_for([(&path, 400 << 20)], 200 << 20) >> 20, 603);
    }

    #[test]
    fn a_size_has_the_clusters_it_was_made_for() {
        for sector in [SectorSize::B512, SectorSize::B4096] {
            for clusters in [MIN_CLUSTERS, 100_000, 1 << 20, 50 << 20] {
                let (size, time) = (with_clusters(clusters), SourceDateEpoch::from_secs(0));
                let parameters = Parameters { sector, start: 0, size, serial: 0, time };
                let found = u64::from(Geometry::new(&parameters).unwrap().clusters);
                assert!((clusters..clusters + clusters / 200 + 300).contains(&found), "{clusters} {found}");
            }
        }
    }
}
