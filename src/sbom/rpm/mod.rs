//! rpm's package database: a header per package, kept in SQLite or in rpm's own format (ndb).
//!
//! Read from memory without rpm and without SQLite. Whatever is in the file, reading it ends, takes memory in
//! proportion to its size, and gives all packages or an error.

mod header;
mod log;
mod ndb;
mod sqlite;

use super::error::DatabaseError;
use super::package::Package;
pub(super) use log::merge;

/// Reads `rpmdb.sqlite`.
///
/// # Errors
/// When the file or one of the headers in it is damaged.
pub(super) fn parse_sqlite(file: &[u8]) -> Result<Vec<Package>, DatabaseError> {
    packages(&sqlite::packages(file)?)
}

/// Reads `Packages.db`.
///
/// # Errors
/// When the file or one of the headers in it is damaged.
pub(super) fn parse_ndb(file: &[u8]) -> Result<Vec<Package>, DatabaseError> {
    packages(&ndb::packages(file)?)
}

fn packages(headers: &[Vec<u8>]) -> Result<Vec<Package>, DatabaseError> {
    let paths = header::required_paths(headers)?;
    let mut packages = Vec::with_capacity(headers.len());
    for (number, bytes) in headers.iter().enumerate() {
        packages.extend(header::package(number, bytes, &paths)?);
    }
    packages.sort_by(|a, b| (&a.name, &a.version, &a.architecture).cmp(&(&b.name, &b.version, &b.architecture)));
    Ok(packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `tests/fixtures/package-databases/make.sh`.
    fn fixture(name: &str) -> Vec<u8> {
        std::fs::read(format!("tests/fixtures/package-databases/{name}")).unwrap()
    }

    fn shown(packages: &[Package]) -> Vec<String> {
        packages
            .iter()
            .map(|p| format!("{} {} {} {:?}", p.name, p.full_version(), p.architecture, p.requires.concat()))
            .collect()
    }

    #[test]
    fn both_formats_hold_the_same_packages() {
        let sqlite = parse_sqlite(&fixture("rpmdb.sqlite")).unwrap();
        let ndb = parse_ndb(&fixture("Packages.db")).unwrap();
        assert_eq!(sqlite, ndb);
        assert_eq!(sqlite.len(), 42);
        assert_eq!(
            shown(&sqlite[..2]),
            [r#"gadget 2:1.5-3 x86_64 ["/usr/bin/widget", "libwidget", "widget"]"#, r#"padding-01 1-1 noarch []"#,]
                .map(str::to_owned)
        );
        let widget = sqlite.iter().find(|package| package.name == "widget").unwrap();
        assert_eq!(widget.licence.as_deref(), Some("MIT AND (GPL-2.0-or-later OR Artistic-2.0)"));
        assert_eq!(widget.vendor.as_deref(), Some("Example Vendor"));
        assert_eq!(widget.source.as_deref(), Some("widget-1.0-1.src.rpm"));
        assert!(widget.provides.contains(&"/usr/bin/widget".to_owned()), "{:?}", widget.provides);
        assert_eq!(
            sqlite[0].purl(None).to_string(),
            "pkg:rpm/gadget@1.5-3?arch=x86_64&epoch=2&upstream=gadget-1.5-3.src.rpm"
        );
    }

    /// A sample of the places that lead to others, and of the rest: an answer or an error, never a panic.
    #[test]
    fn damage_ends_in_an_answer_or_an_error() {
        for (name, parse) in [
            ("rpmdb.sqlite", parse_sqlite as fn(&[u8]) -> Result<Vec<Package>, DatabaseError>),
            ("Packages.db", parse_ndb),
        ] {
            let good = fixture(name);
            let mut refused = 0;
            for at in (0..4200).step_by(7).chain((4200..good.len()).step_by(997)) {
                for value in [0, 0xff] {
                    let mut bad = good.clone();
                    bad[at.min(good.len() - 1)] = value;
                    refused += usize::from(parse(&bad).is_err());
                }
            }
            assert!(refused > 20, "{name}: {refused}");
            for length in [0, 10, 100, 4096, good.len() / 2, good.len() - 1] {
                let cut = parse(&good[..length]);
                assert!(cut.is_err() || length == good.len() - 1, "{name} cut to {length}: {cut:?}");
            }
        }
    }
}
