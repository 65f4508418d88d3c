//! dpkg: what a package file says about itself, and the indexes and status files made from that.

use std::fmt::Write as _;

use crate::sys::Cmd;

use super::Problem;
use crate::model::deb822::Stanza;

/// Debian package that has these programs.
const PACKAGE: &str = "dpkg";

/// Prints the control fields of a package file; read with [`parse_stanzas`](crate::model::deb822::parse_stanzas).
pub fn fields(deb: &str) -> Cmd {
    Cmd::new("dpkg-deb").package(PACKAGE).arg("--field").arg(deb)
}

/// Prints the files of a package as a tar archive.
pub fn files(deb: &str) -> Cmd {
    Cmd::new("dpkg-deb").package(PACKAGE).arg("--fsys-tarfile").arg(deb)
}

/// Prints the machine's architecture, such as `amd64`.
pub fn architecture() -> Cmd {
    Cmd::new("dpkg").package(PACKAGE).arg("--print-architecture")
}

/// Fields that belong to one copy of a package in one archive, not to the package.
const ARCHIVE_FIELDS: [&str; 8] =
    ["Filename", "Size", "MD5sum", "SHA1", "SHA256", "SHA512", "Description-md5", "Status"];

/// Writes the description of a package file into the index of a flat repository.
///
/// `file` is the file's name in the repository's folder; size in bytes, digest in lower-case hexadecimal.
pub fn write_package(index: &mut String, control: &Stanza<'_>, file: &str, size: u64, sha256: &str) {
    write_fields(index, control, None);
    // Writing into a string cannot fail.
    let _infallible = writeln!(index, "Filename: ./{file}\nSize: {size}\nSHA256: {sha256}\n");
}

/// Writes a status file in which exactly these packages are installed and configured.
///
/// apt resolves against it as it would in the image that will be made from these packages.
pub fn status_of<'a, 'b: 'a>(installed: impl IntoIterator<Item = &'a Stanza<'b>>) -> String {
    let mut status = String::new();
    for stanza in installed {
        write_fields(&mut status, stanza, Some("install ok installed"));
        status.push('\n');
    }
    status
}

fn write_fields(text: &mut String, stanza: &Stanza<'_>, status: Option<&str>) {
    for (name, value) in stanza.fields() {
        if ARCHIVE_FIELDS.iter().any(|field| field.eq_ignore_ascii_case(name)) {
            continue;
        }
        // A value that begins on its second line has nothing after the colon.
        let gap = if value.is_empty() || value.starts_with('\n') { "" } else { " " };
        let _infallible = writeln!(text, "{name}:{gap}{value}");
        if let (Some(status), "Package") = (status, name) {
            let _infallible = writeln!(text, "Status: {status}");
        }
    }
}

/// Recognises a failure of dpkg from the last lines of a program that ran it.
pub fn diagnose(tail: &[String]) -> Option<Problem> {
    tail.iter().find_map(|line| {
        let rest = line.strip_prefix("dpkg: error processing ")?;
        let what = rest.strip_prefix("package ").or_else(|| rest.strip_prefix("archive "))?;
        let name = what.split([' ', ':']).next()?;
        if rest.starts_with("package ") {
            Some(Problem::PackageScript { package: name.to_owned() })
        } else {
            Some(Problem::Corrupt { file: name.to_owned() })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::deb822::parse_stanzas;
    use crate::model::deb822::tests::TEXT;

    #[test]
    fn writes_an_index_that_reads_back() {
        let stanzas = parse_stanzas(TEXT).unwrap();
        let mut index = String::new();
        write_package(&mut index, &stanzas[0], "jool-dkms_4.1.13-1.1_all.deb", 7, "00ff");
        write_package(&mut index, &stanzas[1], "gcc.deb", 8, "11ee");
        let written = parse_stanzas(&index).unwrap();
        assert_eq!(written[0].get("Filename"), Some("./jool-dkms_4.1.13-1.1_all.deb"));
        assert_eq!(written[0].get("Conffiles"), stanzas[0].get("Conffiles"));
        assert_eq!((written[0].get("Size"), written[0].get("SHA256")), (Some("7"), Some("00ff")));
        assert_eq!(written[1].get("Status"), None);
        assert_eq!(written.len(), 2);
    }

    #[test]
    fn a_status_file_has_every_package_installed_once() {
        let stanzas = parse_stanzas(TEXT).unwrap();
        let status = status_of(&stanzas);
        let written = parse_stanzas(&status).unwrap();
        assert!(written.iter().all(Stanza::is_installed));
        assert_eq!(status.matches("Status:").count(), 2);
        assert!(!status.contains("Filename:") && !status.contains("SHA256:"));
    }

    #[test]
    fn failures_are_recognised() {
        let tail = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let script = "Setting up x (1) ...\ndpkg: error processing package v4l2loopback-dkms (--configure):\n installed v4l2loopback-dkms package post-installation script subprocess returned error exit status 10";
        assert_eq!(diagnose(&tail(script)), Some(Problem::PackageScript { package: "v4l2loopback-dkms".to_owned() }));
        let archive = "dpkg: error processing archive /var/cache/x_1_all.deb (--unpack):\n unexpected end of file";
        assert_eq!(diagnose(&tail(archive)), Some(Problem::Corrupt { file: "/var/cache/x_1_all.deb".to_owned() }));
        assert_eq!(diagnose(&tail("all fine")), None);
    }

    #[test]
    fn command_lines() {
        insta::assert_snapshot!(fields("/w/x_1_all.deb"), @"dpkg-deb --field /w/x_1_all.deb");
        insta::assert_snapshot!(files("/w/x_1_all.deb"), @"dpkg-deb --fsys-tarfile /w/x_1_all.deb");
        insta::assert_snapshot!(architecture(), @"dpkg --print-architecture");
    }
}
