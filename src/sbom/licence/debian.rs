//! Debian's copyright files: in the machine-readable format (copyright-format 1.0, "DEP-5") or in prose.

use std::collections::BTreeSet;

use super::{all_of, conjuncts, is_valid, rebuild, reference};
use crate::model::deb822::parse_stanzas;

/// Where prose names a licence: the files of package base-files.
const COMMON: &str = "/usr/share/common-licenses/";

/// Most terms of one expression; the Linux kernel's file has some seventy.
const MAX_TERMS: usize = 200;

/// The licences a copyright file names, joined; a file in prose that names none is itself the licence of `package`.
pub(in super::super) fn of_copyright(package: &str, bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let terms = machine_readable(&text).unwrap_or_else(|| prose(&text));
    all_of(&terms).unwrap_or_else(|| reference(&format!("copyright-of-{package}")))
}

/// `None` when it is not in that format, or names no licence.
fn machine_readable(text: &str) -> Option<BTreeSet<String>> {
    // Files that claim the format and bend it are common; their fields are read nevertheless.
    if !text.get(..2000).unwrap_or(text).contains("copyright-format") {
        return None;
    }
    let stanzas = parse_stanzas(text);
    let short_names: Vec<&str> = match &stanzas {
        Ok(stanzas) => stanzas.iter().filter_map(|stanza| stanza.first_line("License")).collect(),
        Err(_) => text.lines().filter_map(|line| line.strip_prefix("License:")).map(str::trim).collect(),
    };
    let names: BTreeSet<&str> = short_names.into_iter().filter(|name| !name.is_empty()).collect();
    let terms: BTreeSet<String> = names.into_iter().take(MAX_TERMS).flat_map(terms).collect();
    (!terms.is_empty()).then_some(terms)
}

/// The terms of a short name of which all apply. `and` binds closer than `or`, unless a comma stands before it.
fn terms(short_name: &str) -> Vec<String> {
    short_name.split(", and ").map(expression).flat_map(|term| conjuncts(&term)).collect()
}

fn expression(short_name: &str) -> String {
    let text = rebuild(&short_name.replace('_', " "));
    if is_valid(&text) { text } else { reference(short_name) }
}

fn prose(text: &str) -> BTreeSet<String> {
    let after = text.split(COMMON).skip(1);
    let names = after.map(|rest| {
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '.')).unwrap_or(rest.len());
        rest[..end].trim_end_matches('.')
    });
    names.filter(|name| !name.is_empty()).flat_map(terms).take(MAX_TERMS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEP5: &str = "\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: x

Files: *
Copyright: someone
License: GPL-2+ or AFL-2.1, and Expat and Tcl-BSDish

Files: a
License: GPL-1+ or Artistic
 text

License: LGPL-2.1+
 On Debian systems see /usr/share/common-licenses/LGPL-2.1
";

    #[test]
    fn the_machine_readable_format() {
        assert_eq!(
            of_copyright("x", DEP5.as_bytes()),
            "(GPL-1.0-or-later OR Artistic-1.0-Perl) AND (GPL-2.0-or-later OR AFL-2.1) AND LGPL-2.1-or-later \
             AND LicenseRef-Tcl-BSDish AND MIT"
        );
        let bent = DEP5.replace("Files: a\n", "this is no field\n");
        assert_eq!(of_copyright("x", bent.as_bytes()), of_copyright("x", DEP5.as_bytes()));
    }

    #[test]
    fn prose() {
        let text = "Licensed under the GPL; see /usr/share/common-licenses/GPL-2, and\n\
                    /usr/share/common-licenses/LGPL-2.1. Also `/usr/share/common-licenses/GPL'.";
        assert_eq!(of_copyright("x", text.as_bytes()), "GPL-2.0-only AND LGPL-2.1-only AND LicenseRef-GPL");
        assert_eq!(of_copyright("tcpdump", b"License: BSD\n..."), "LicenseRef-copyright-of-tcpdump");
        assert_eq!(of_copyright("x", b""), "LicenseRef-copyright-of-x");
    }

    #[test]
    fn whatever_is_in_a_file_the_result_is_an_expression() {
        for bytes in [&b"\xff\xfe"[..], b"copyright-format\nLicense: ((((", b"copyright-format\nLicense: and or"] {
            let expression = of_copyright("x", bytes);
            assert!(is_valid(&expression) || expression == super::super::UNKNOWN, "{expression}");
        }
    }
}
