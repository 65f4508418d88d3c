//! The rows of one table of a SQLite database file.
//!
//! After "Database File Format" of the SQLite documentation. Supported is what rpm writes: table b-trees with rowids.
//! What a write-ahead log beside the file holds has been merged before ([`super::merge`]).

use std::collections::BTreeSet;

use super::super::error::DatabaseError;

const MAGIC: &[u8] = b"SQLite format 3\0";
/// Where the b-tree of the first page begins: behind the file's header.
const FILE_HEADER: usize = 100;
/// Types of b-tree pages.
const INTERIOR: u8 = 5;
const LEAF: u8 = 13;

/// Values of the second column of the table `Packages`, in the order of their rowids.
pub(super) fn packages(file: &[u8]) -> Result<Vec<Vec<u8>>, DatabaseError> {
    let database = Database::open(file)?;
    let root = database.root_of("Packages")?;
    let mut headers = Vec::new();
    database.walk(root, &mut |record| {
        if let Some(Value::Blob(bytes)) = columns(record)?.into_iter().nth(1) {
            headers.push(bytes.to_vec());
        }
        Ok(())
    })?;
    Ok(headers)
}

struct Database<'a> {
    file: &'a [u8],
    page_size: usize,
    /// Bytes of a page that are in use.
    usable: usize,
}

#[derive(Debug, PartialEq)]
enum Value<'a> {
    Integer(i64),
    Text(&'a [u8]),
    Blob(&'a [u8]),
    Other,
}

fn outside(what: &'static str) -> DatabaseError {
    DatabaseError::Outside { what }
}

impl<'a> Database<'a> {
    fn open(file: &'a [u8]) -> Result<Self, DatabaseError> {
        if !file.starts_with(MAGIC) || file.len() < FILE_HEADER {
            return Err(DatabaseError::NotOne("a SQLite database"));
        }
        // 1 stands for 65536, which does not fit.
        let page_size = match usize::from(u16::from_be_bytes([file[16], file[17]])) {
            1 => 65536,
            size => size,
        };
        if !page_size.is_power_of_two() || page_size < 512 {
            return Err(DatabaseError::Value { what: "the page size", value: page_size as u64 });
        }
        let usable = page_size - usize::from(file[20]);
        if usable < 480 {
            return Err(DatabaseError::Value { what: "the usable size of a page", value: usable as u64 });
        }
        Ok(Self { file, page_size, usable })
    }

    /// A page by its number, from 1 on.
    fn page(&self, number: u32) -> Result<&'a [u8], DatabaseError> {
        let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        let start = index.and_then(|index| index.checked_mul(self.page_size)).ok_or_else(|| outside("a page"))?;
        self.file.get(start..start + self.page_size).ok_or_else(|| outside("a page"))
    }

    fn root_of(&self, table: &str) -> Result<u32, DatabaseError> {
        let mut root = None;
        self.walk(1, &mut |record| {
            // type, name, tbl_name, rootpage, sql
            let columns = columns(record)?;
            if let [Value::Text(b"table"), Value::Text(name), _, Value::Integer(page), ..] = columns.as_slice()
                && *name == table.as_bytes()
            {
                root = u32::try_from(*page).ok();
            }
            Ok(())
        })?;
        root.ok_or(DatabaseError::NoTable)
    }

    /// Shows every record of a table, in the order of the rowids.
    fn walk(&self, root: u32, sink: &mut dyn FnMut(&[u8]) -> Result<(), DatabaseError>) -> Result<(), DatabaseError> {
        let mut used = BTreeSet::new();
        let mut pending = vec![root];
        while let Some(number) = pending.pop() {
            once(&mut used, number)?;
            let page = self.page(number)?;
            let start = if number == 1 { FILE_HEADER } else { 0 };
            let header = page.get(start..start + 12).ok_or_else(|| outside("a page's header"))?;
            let cells = usize::from(u16::from_be_bytes([header[3], header[4]]));
            match header[0] {
                INTERIOR => {
                    pending.push(u32::from_be_bytes([header[8], header[9], header[10], header[11]]));
                    // Taken from the end, so that the leftmost comes first.
                    for cell in (0..cells).rev() {
                        let at = cell_offset(page, start + 12, cell)?;
                        pending.push(be32(page, at)?);
                    }
                }
                LEAF => {
                    for cell in 0..cells {
                        let at = cell_offset(page, start + 8, cell)?;
                        sink(&self.payload(page, at, &mut used)?)?;
                    }
                }
                kind => return Err(DatabaseError::Value { what: "the type of a page", value: kind.into() }),
            }
        }
        Ok(())
    }

    /// The payload of the leaf cell at `at`, together with its overflow pages.
    fn payload(&self, page: &[u8], at: usize, used: &mut BTreeSet<u32>) -> Result<Vec<u8>, DatabaseError> {
        let cell = page.get(at..self.usable).ok_or_else(|| outside("a cell"))?;
        let (size, cell) = varint(cell)?;
        let (_rowid, cell) = varint(cell)?;
        let size = usize::try_from(size).ok().filter(|size| *size <= self.file.len());
        let size = size.ok_or_else(|| outside("a record"))?;
        let local = self.local_size(size);
        let mut payload = cell.get(..local).ok_or_else(|| outside("a record"))?.to_vec();
        let mut next = if local < size { be32(cell, local)? } else { 0 };
        while payload.len() < size {
            once(used, next)?;
            let page = self.page(next)?;
            let rest = (size - payload.len()).min(self.usable - 4);
            payload.extend_from_slice(&page[4..4 + rest]);
            next = be32(page, 0)?;
        }
        Ok(payload)
    }

    /// How much of a payload is in the cell itself ("B-tree Cell Format").
    fn local_size(&self, size: usize) -> usize {
        let maximum = self.usable - 35;
        if size <= maximum {
            return size;
        }
        let minimum = (self.usable - 12) * 32 / 255 - 23;
        let local = minimum + (size - minimum) % (self.usable - 4);
        if local <= maximum { local } else { minimum }
    }
}

/// A page is part of one tree only, and of that once.
fn once(used: &mut BTreeSet<u32>, page: u32) -> Result<(), DatabaseError> {
    if used.insert(page) { Ok(()) } else { Err(DatabaseError::Loop { page: page.into() }) }
}

fn cell_offset(page: &[u8], pointers: usize, cell: usize) -> Result<usize, DatabaseError> {
    let at = pointers + cell * 2;
    let bytes = page.get(at..at + 2).ok_or_else(|| outside("a cell pointer"))?;
    Ok(usize::from(u16::from_be_bytes([bytes[0], bytes[1]])))
}

fn be32(bytes: &[u8], at: usize) -> Result<u32, DatabaseError> {
    let bytes = bytes.get(at..at + 4).ok_or_else(|| outside("a page number"))?;
    Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

/// SQLite's integer of one to nine bytes, and what follows it.
fn varint(bytes: &[u8]) -> Result<(u64, &[u8]), DatabaseError> {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().enumerate().take(9) {
        if index == 8 {
            return Ok((value << 8 | u64::from(byte), &bytes[9..]));
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte < 0x80 {
            return Ok((value, &bytes[index + 1..]));
        }
    }
    Err(outside("a number"))
}

/// The columns of a record ("Record Format").
fn columns(record: &[u8]) -> Result<Vec<Value<'_>>, DatabaseError> {
    let (size, _) = varint(record)?;
    let size = usize::try_from(size).map_err(|_| outside("a record's header"))?;
    let mut body = record.get(size..).ok_or_else(|| outside("a record's header"))?;
    let (_, mut header) = varint(&record[..size])?;
    let mut values = Vec::new();
    while !header.is_empty() {
        let (kind, rest) = varint(header)?;
        header = rest;
        let (value, rest) = column(kind, body)?;
        body = rest;
        values.push(value);
    }
    Ok(values)
}

fn column(kind: u64, body: &[u8]) -> Result<(Value<'_>, &[u8]), DatabaseError> {
    let take = |size: u64| {
        let size = usize::try_from(size).ok().filter(|size| *size <= body.len()).ok_or_else(|| outside("a column"))?;
        Ok::<_, DatabaseError>(body.split_at(size))
    };
    let integer = |size| {
        let (bytes, rest) = take(size)?;
        let start = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) { -1 } else { 0 };
        let value = bytes.iter().fold(start, |value: i64, byte| value << 8 | i64::from(*byte));
        Ok((Value::Integer(value), rest))
    };
    match kind {
        0 => Ok((Value::Other, body)),
        1..=4 => integer(kind),
        5 => integer(6),
        6 => integer(8),
        7 => take(8).map(|(_, rest)| (Value::Other, rest)),
        8 => Ok((Value::Integer(0), body)),
        9 => Ok((Value::Integer(1), body)),
        10 | 11 => Err(DatabaseError::Value { what: "the type of a column", value: kind }),
        even if even % 2 == 0 => take((even - 12) / 2).map(|(bytes, rest)| (Value::Blob(bytes), rest)),
        odd => take((odd - 13) / 2).map(|(bytes, rest)| (Value::Text(bytes), rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (bytes, value) in [
            (&[0x05][..], 5),
            (&[0x81, 0x00], 128),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], u64::MAX),
        ] {
            assert_eq!(varint(bytes).unwrap(), (value, &[][..]));
        }
        assert!(varint(&[0x80]).is_err() && varint(&[]).is_err());
    }

    #[test]
    fn a_record_is_its_columns() {
        // NULL, -2 in one byte, 258 in two, 1, "hi", a blob of one byte.
        let record = [7, 0, 1, 2, 9, 17, 14, 0xfe, 1, 2, b'h', b'i', 7];
        assert_eq!(
            columns(&record).unwrap(),
            [
                Value::Other,
                Value::Integer(-2),
                Value::Integer(258),
                Value::Integer(1),
                Value::Text(b"hi"),
                Value::Blob(&[7])
            ]
        );
        assert!(columns(&record[..10]).is_err() && columns(&[9, 1]).is_err() && columns(&[2, 10]).is_err());
    }
}
