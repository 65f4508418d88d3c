//! SQLite's write-ahead log: changes that are not in the database file yet.
//!
//! After "WAL Format" of the SQLite documentation. rpm leaves the file beside its database; mostly it is empty.

use super::super::error::DatabaseError;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The two magic numbers; the last bit tells the byte order of checksums.
const MAGIC: u32 = 0x377f_0682;

/// The database with all complete transactions of the log in it. What comes after the last of them never happened.
pub(in super::super) fn merge(database: &[u8], log: &[u8]) -> Result<Vec<u8>, DatabaseError> {
    let mut merged = database.to_vec();
    let Some(header) = log.get(..HEADER) else { return Ok(merged) };
    let magic = be32(header, 0);
    if magic & !1 != MAGIC {
        return Err(DatabaseError::NotOne("SQLite's log of a database"));
    }
    let big = magic & 1 == 1;
    let size = be32(header, 8) as usize;
    if !size.is_power_of_two() || !(512..=65536).contains(&size) {
        return Err(DatabaseError::Value { what: "the page size of the log", value: size as u64 });
    }
    let mut sum = checksum((0, 0), &header[..24], big);
    if sum != (be32(header, 24), be32(header, 28)) {
        return Ok(merged);
    }
    let mut open: Vec<(u32, &[u8])> = Vec::new();
    for frame in log[HEADER..].chunks_exact(FRAME_HEADER + size) {
        let (head, page) = frame.split_at(FRAME_HEADER);
        sum = checksum(checksum(sum, &head[..8], big), page, big);
        // Of an older use of the file, or torn.
        if head[8..16] != header[16..24] || sum != (be32(head, 16), be32(head, 20)) {
            break;
        }
        open.push((be32(head, 0), page));
        if be32(head, 4) != 0 {
            apply(&mut merged, &open, database.len() + log.len())?;
            open.clear();
        }
    }
    Ok(merged)
}

/// Puts pages in their places; a file never grows beyond what it and its log hold.
fn apply(merged: &mut Vec<u8>, pages: &[(u32, &[u8])], limit: usize) -> Result<(), DatabaseError> {
    for (number, page) in pages {
        let start = (*number as usize).checked_sub(1).and_then(|index| index.checked_mul(page.len()));
        let end = start.and_then(|start| start.checked_add(page.len())).filter(|end| *end <= limit);
        let (Some(start), Some(end)) = (start, end) else {
            return Err(DatabaseError::Outside { what: "a page of the log" });
        };
        if merged.len() < end {
            merged.resize(end, 0);
        }
        merged[start..end].copy_from_slice(page);
    }
    Ok(())
}

/// The running checksum over pairs of numbers ("Checksum Algorithm").
fn checksum(start: (u32, u32), bytes: &[u8], big: bool) -> (u32, u32) {
    let word = |bytes: &[u8]| {
        let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
        if big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    };
    bytes.chunks_exact(8).fold(start, |(first, second), pair| {
        let first = first.wrapping_add(word(&pair[..4])).wrapping_add(second);
        (first, second.wrapping_add(word(&pair[4..])).wrapping_add(first))
    })
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::super::parse_sqlite;
    use super::*;

    /// Made by `tests/fixtures/package-databases/make.sh`; the log removes `widget`, and was not merged.
    fn fixture(name: &str) -> Vec<u8> {
        std::fs::read(format!("tests/fixtures/package-databases/{name}")).unwrap()
    }

    #[test]
    fn a_log_that_was_not_merged_counts() {
        let (database, log) = (fixture("rpmdb.sqlite"), fixture("rpmdb.sqlite-wal"));
        let names = |file: &[u8]| {
            let packages = parse_sqlite(file).unwrap();
            (packages.len(), packages.iter().any(|package| package.name == "widget"))
        };
        assert_eq!(names(&database), (42, true));
        assert_eq!(names(&merge(&database, &log).unwrap()), (41, false));
        assert_eq!(merge(&database, b"").unwrap(), database);
    }

    #[test]
    fn what_was_not_committed_never_happened() {
        let (database, log) = (fixture("rpmdb.sqlite"), fixture("rpmdb.sqlite-wal"));
        // The last frame commits; without it, or with a bit of it wrong, there is no transaction.
        let mut torn = log.clone();
        *torn.last_mut().unwrap() ^= 1;
        for damaged in [&torn[..], &log[..log.len() - 1], &log[..HEADER]] {
            assert_eq!(merge(&database, damaged).unwrap(), database);
        }
        assert!(merge(&database, &[0; 64]).is_err());
        assert!(merge(&database[..8192], &log).is_err(), "pages far outside");
    }
}
