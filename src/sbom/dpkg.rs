//! dpkg's status file, and the one file per package of images without dpkg.

use super::error::DatabaseError;
use super::package::{Package, PackageKind};
use crate::model::deb822::{Stanza, parse_stanzas};

/// Reads a status file; packages of which only configuration is left are left out.
///
/// # Errors
/// When a line is no field, or a package lacks its name, version or architecture.
pub(super) fn parse_status(bytes: &[u8]) -> Result<Vec<Package>, DatabaseError> {
    let text = String::from_utf8_lossy(bytes);
    parse_stanzas(&text)?.iter().filter(|stanza| is_installed(stanza)).map(package).collect()
}

/// `Status` is three words, of which the last is the state (dpkg(1)). Files in `status.d` have none.
fn is_installed(stanza: &Stanza<'_>) -> bool {
    let state = stanza.first_line("Status").and_then(|status| status.split_whitespace().next_back());
    !matches!(state, Some("config-files" | "not-installed")) && stanza.first_line("Package").is_some()
}

fn package(stanza: &Stanza<'_>) -> Result<Package, DatabaseError> {
    let name = stanza.first_line("Package").unwrap_or_default();
    let require = |field: &'static str| {
        stanza.first_line(field).ok_or_else(|| DatabaseError::Missing { package: name.to_owned(), field })
    };
    let mut package = Package::new(PackageKind::Deb, name, require("Version")?, require("Architecture")?);
    if let Some(source) = stanza.first_line("Source") {
        let (name, version) = source.split_once(' ').unwrap_or((source, ""));
        package.source = Some(name.to_owned());
        let version = version.trim().trim_start_matches('(').trim_end_matches(')');
        package.source_version = (!version.is_empty()).then(|| version.to_owned());
    }
    package.maintainer = stanza.first_line("Maintainer").map(str::to_owned);
    package.homepage = stanza.first_line("Homepage").map(str::to_owned);
    package.summary = stanza.first_line("Description").map(str::to_owned);
    for field in ["Pre-Depends", "Depends"] {
        package.requires.extend(stanza.joined(field).as_deref().map(relations).unwrap_or_default());
    }
    package.provides = relations(&stanza.joined("Provides").unwrap_or_default()).concat();
    Ok(package)
}

/// A field of relations (deb-control(5), "Depends"): groups of alternatives, versions left out, because what is
/// installed together fits together.
fn relations(text: &str) -> Vec<Vec<String>> {
    let name = |relation: &str| {
        let relation = relation.trim();
        let end = relation.find([' ', '(', '[', '<', ':']).unwrap_or(relation.len());
        Some(relation[..end].to_owned()).filter(|name| !name.is_empty())
    };
    let group = |group: &str| group.split('|').filter_map(name).collect::<Vec<_>>();
    text.split(',').map(group).filter(|group| !group.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::deb822::StanzaError;

    const STATUS: &str = "\
Package: bash
Essential: yes
Status: install ok installed
Architecture: amd64
Source: bash (5.2.37-2)
Version: 5.2.37-2+b10
Pre-Depends: libc6 (>= 2.38), libtinfo6 (>= 6)
Depends: base-files (>= 2.1.12), debianutils:any | which [linux-any]
Maintainer: Matthias Klose <doko@debian.org>
Homepage: http://tiswww.case.edu/php/chet/bash/bashtop.html
Description: GNU Bourne Again SHell
 Bash is an sh-compatible command language interpreter.

Package: removed
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: exim4-base
Status: install ok half-configured
Architecture: amd64
Version: 4.98-1
Provides: mail-transport-agent, x (= 1)
";

    #[test]
    fn a_status_file() {
        let packages = parse_status(STATUS.as_bytes()).unwrap();
        let names: Vec<_> = packages.iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["bash", "exim4-base"]);
        let bash = &packages[0];
        assert_eq!((bash.source.as_deref(), bash.source_version.as_deref()), (Some("bash"), Some("5.2.37-2")));
        assert_eq!(bash.requires, [vec!["libc6"], vec!["libtinfo6"], vec!["base-files"], vec!["debianutils", "which"]]);
        assert_eq!(bash.summary.as_deref(), Some("GNU Bourne Again SHell"));
        assert_eq!(packages[1].provides, ["mail-transport-agent", "x"]);
        assert_eq!(bash.purl(None).to_string(), "pkg:deb/bash@5.2.37-2%2Bb10?arch=amd64&upstream=bash%405.2.37-2");
    }

    #[test]
    fn a_file_of_status_d_has_no_status() {
        let text = "Package: base-files\nVersion: 12.4\nArchitecture: amd64\n";
        assert_eq!(parse_status(text.as_bytes()).unwrap()[0].name, "base-files");
    }

    #[test]
    fn damage_is_an_error() {
        let garbage = format!("{STATUS}\n\0\0\0\0");
        let without = STATUS.replace("Version: 4.98-1\n", "");
        assert!(matches!(parse_status(garbage.as_bytes()), Err(DatabaseError::Stanza(StanzaError::NotAField { .. }))));
        assert_eq!(
            parse_status(without.as_bytes()),
            Err(DatabaseError::Missing { package: "exim4-base".to_owned(), field: "Version" })
        );
        assert_eq!(parse_status(b"").unwrap(), []);
    }
}
