//! apk's database of installed packages (`lib/apk/db/installed`).
//!
//! Its paragraphs have one-letter fields, some of which are written once per file and folder: only those of the
//! package are read (apk-package(5)).

use super::error::DatabaseError;
use super::package::{Package, PackageKind};

/// Reads the database.
///
/// # Errors
/// When a line is no field, or a package lacks its version or architecture.
pub(super) fn parse_installed(bytes: &[u8]) -> Result<Vec<Package>, DatabaseError> {
    let text = String::from_utf8_lossy(bytes);
    let mut packages = Vec::new();
    let mut open: Vec<(u8, &str)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.is_empty() {
            packages.extend(package(&std::mem::take(&mut open))?);
            continue;
        }
        match line.as_bytes() {
            [letter, b':', ..] => open.push((*letter, &line[2..])),
            _ => {
                let text = line.chars().take(80).collect();
                return Err(DatabaseError::NotAField { line: number + 1, text });
            }
        }
    }
    packages.extend(package(&open)?);
    Ok(packages)
}

fn package(fields: &[(u8, &str)]) -> Result<Option<Package>, DatabaseError> {
    let get = |letter: u8| fields.iter().find(|(found, _)| *found == letter).map(|(_, value)| *value);
    let owned = |letter: u8| get(letter).filter(|value| !value.is_empty()).map(str::to_owned);
    let Some(name) = get(b'P') else { return Ok(None) };
    let require = |letter: u8, field: &'static str| {
        get(letter).ok_or_else(|| DatabaseError::Missing { package: name.to_owned(), field })
    };
    let mut package = Package::new(PackageKind::Apk, name, require(b'V', "version")?, require(b'A', "architecture")?);
    package.source = owned(b'o');
    package.maintainer = owned(b'm');
    package.homepage = owned(b'U');
    package.summary = owned(b'T');
    package.licence = owned(b'L');
    let words = |letter: u8| get(letter).unwrap_or_default().split_whitespace();
    // A word that begins with an exclamation mark is what must not be installed.
    package.requires = words(b'D').filter(|word| !word.starts_with('!')).map(|word| vec![capability(word)]).collect();
    package.provides = words(b'p').map(capability).collect();
    Ok(Some(package))
}

/// A dependency without its version.
fn capability(word: &str) -> String {
    word.split(['=', '<', '>', '~']).next().unwrap_or(word).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSTALLED: &str = "\
C:Q1U8ojf90Ii1CG9bsUhLgQGlF/6Oc=
P:musl
V:1.2.5-r1
A:x86_64
S:383459
T:the musl c library (libc) implementation
U:https://musl.libc.org/
L:MIT
o:musl
m:Timo <t@example.org>
p:so:libc.musl-x86_64.so.1=1
F:lib
R:ld-musl-x86_64.so.1
a:0:0:755

P:busybox-binsh
V:1.36.1-r30
A:x86_64
L:GPL-2.0-only
o:busybox
D:busybox=1.36.1-r30 so:libc.musl-x86_64.so.1 !x
";

    #[test]
    fn packages_are_read() {
        let packages = parse_installed(INSTALLED.as_bytes()).unwrap();
        assert_eq!(packages.len(), 2);
        assert_eq!(packages[0].provides, ["so:libc.musl-x86_64.so.1"]);
        assert_eq!(packages[1].requires, [["busybox"], ["so:libc.musl-x86_64.so.1"]]);
        assert_eq!(packages[1].purl(None).to_string(), "pkg:apk/busybox-binsh@1.36.1-r30?arch=x86_64&upstream=busybox");
    }

    #[test]
    fn damage_is_an_error() {
        assert!(matches!(parse_installed(b"P:a\nV:1\n\0\0\n"), Err(DatabaseError::NotAField { line: 3, .. })));
        assert_eq!(
            parse_installed(b"P:a\nV:1\n"),
            Err(DatabaseError::Missing { package: "a".to_owned(), field: "architecture" })
        );
        assert_eq!(parse_installed(b"").unwrap(), []);
    }
}
