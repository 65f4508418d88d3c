//! POSIX access lists: from the form of system calls to the shorter one on disk (attributes.rst, "POSIX ACLs").

/// The version of the form system calls use (`POSIX_ACL_XATTR_VERSION`), with eight bytes for each entry.
const CALL_VERSION: u32 = 2;
/// The version of ext4's own form, which leaves out ids where there are none.
const DISK_VERSION: u32 = 1;
/// Tags of entries with an id: one user, one group.
const WITH_ID: [u16; 2] = [2, 8];
/// Tags of entries without: owner, owning group, mask, others.
const WITHOUT_ID: [u16; 4] = [1, 4, 0x10, 0x20];

/// The list as ext4 keeps it; nothing when it is not a list.
pub(super) fn to_disk(list: &[u8]) -> Option<Vec<u8>> {
    let (version, entries) = list.split_first_chunk::<4>()?;
    let (entries, rest) = entries.as_chunks::<8>();
    if u32::from_le_bytes(*version) != CALL_VERSION || !rest.is_empty() {
        return None;
    }
    let mut disk = DISK_VERSION.to_le_bytes().to_vec();
    for entry in entries {
        let tag = u16::from_le_bytes([entry[0], entry[1]]);
        match tag {
            _ if WITH_ID.contains(&tag) => disk.extend_from_slice(entry),
            _ if WITHOUT_ID.contains(&tag) => disk.extend_from_slice(&entry[..4]),
            _ => return None,
        }
    }
    Some(disk)
}

#[cfg(test)]
mod tests {
    use super::super::field::{put16, put32};
    use super::*;

    /// A list in the form of system calls: tag, permissions, id.
    fn call_form(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut list = vec![0; 4 + 8 * entries.len()];
        put32(&mut list, 0, CALL_VERSION);
        for (index, (tag, permissions, id)) in entries.iter().enumerate() {
            put16(&mut list, 4 + 8 * index, *tag);
            put16(&mut list, 6 + 8 * index, *permissions);
            put32(&mut list, 8 + 8 * index, *id);
        }
        list
    }

    #[test]
    fn ids_are_kept_only_where_they_mean_something() {
        let list =
            call_form(&[(1, 7, u32::MAX), (2, 5, 1000), (4, 5, u32::MAX), (0x10, 5, u32::MAX), (0x20, 0, u32::MAX)]);
        let disk = to_disk(&list).unwrap();
        assert_eq!(disk, [1, 0, 0, 0, 1, 0, 7, 0, 2, 0, 5, 0, 0xe8, 3, 0, 0, 4, 0, 5, 0, 0x10, 0, 5, 0, 0x20, 0, 0, 0]);
    }

    #[test]
    fn what_is_no_list_is_not_taken_for_one() {
        for bad in [&b""[..], &[2, 0, 0], &[1, 0, 0, 0], &[2, 0, 0, 0, 1], &call_form(&[(3, 7, 0)])] {
            assert_eq!(to_disk(bad), None, "{bad:?}");
        }
    }
}
