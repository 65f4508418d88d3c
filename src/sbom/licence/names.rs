//! Names of licences that distributions use, and their SPDX identifiers.

use super::{is_valid, reference};

/// Names that differ from the identifier by more than a version's form.
const NAMES: &[(&str, &str)] = &[
    ("0bsd", "0BSD"),
    ("all-permissive", "FSFAP"),
    ("apache", "LicenseRef-Apache"),
    ("apache-2", "Apache-2.0"),
    ("artistic", "Artistic-1.0-Perl"),
    ("artistic-1", "Artistic-1.0"),
    ("artistic-2", "Artistic-2.0"),
    ("asl 2.0", "Apache-2.0"),
    ("boost", "BSL-1.0"),
    ("bsd 2-clause", "BSD-2-Clause"),
    ("bsd 3-clause", "BSD-3-Clause"),
    ("bsd-2", "BSD-2-Clause"),
    ("bsd-2-clause-netbsd", "BSD-2-Clause"),
    ("bsd-3", "BSD-3-Clause"),
    ("bsd-4-clause-uc", "BSD-4-Clause-UC"),
    ("bsd2", "BSD-2-Clause"),
    ("bsd3", "BSD-3-Clause"),
    ("bsl-1", "BSL-1.0"),
    ("cc0", "CC0-1.0"),
    ("cc0 1.0", "CC0-1.0"),
    ("edl-1", "BSD-3-Clause"),
    ("expat", "MIT"),
    ("fsf-unlimited", "FSFUL"),
    ("isc license", "ISC"),
    ("latex2e", "Latex2e"),
    ("mit/x11", "X11"),
    ("mplv1.1", "MPL-1.1"),
    ("mplv2.0", "MPL-2.0"),
    ("openldap-2.8", "OLDAP-2.8"),
    ("openssl", "OpenSSL"),
    ("perl", "GPL-1.0-or-later OR Artistic-1.0-Perl"),
    ("python", "Python-2.0"),
    ("unicode-dfs-2016", "Unicode-DFS-2016"),
    ("vim", "Vim"),
    ("zlib", "Zlib"),
    ("zlib/libpng", "Zlib"),
];

/// Families whose versions are written in many ways.
const FAMILIES: [(&str, &str); 6] =
    [("agpl", "AGPL"), ("lgpl", "LGPL"), ("gpl", "GPL"), ("gfdl-niv", "GFDL-NIV"), ("gfdl", "GFDL"), ("fdl", "GFDL")];

/// Exceptions by words that occur in their Debian names.
const EXCEPTIONS: [(&str, &str); 8] = [
    ("autoconf-2", "Autoconf-exception-2.0"),
    ("autoconf", "Autoconf-exception-generic"),
    ("bison", "Bison-exception-2.2"),
    ("classpath", "Classpath-exception-2.0"),
    ("gcc", "GCC-exception-3.1"),
    ("libtool", "Libtool-exception"),
    ("linux-syscall-note", "Linux-syscall-note"),
    ("texinfo", "Texinfo-exception"),
];

/// The identifier of one licence, with its exception where it has one; `LicenseRef-…` when the list has none.
pub(super) fn identifier(name: &str) -> String {
    let name = name.trim();
    let lower = name.to_ascii_lowercase();
    // Old identifiers of GNU licences are valid and deprecated: they are written anew.
    let is_gnu = FAMILIES.iter().any(|(prefix, _)| lower.starts_with(prefix));
    if !is_gnu && is_valid(name) {
        return name.to_owned();
    }
    if let Some((_, identifier)) = NAMES.iter().find(|(known, _)| *known == lower) {
        return (*identifier).to_owned();
    }
    if let Some((base, exception)) = lower.split_once(" with ") {
        return with_exception(name, base, exception);
    }
    let capitals = |text: &str| text.replace("clause", "Clause").replace("bsd", "BSD");
    versioned(&lower)
        .or_else(|| Some(capitals(&lower)).filter(|text| is_valid(text)))
        .or_else(|| Some(name.to_ascii_uppercase()).filter(|text| is_valid(text)))
        .unwrap_or_else(|| reference(name))
}

fn with_exception(name: &str, base: &str, exception: &str) -> String {
    let known = EXCEPTIONS.iter().find(|(word, _)| exception.contains(word));
    match (versioned(base), known) {
        (Some(base), Some((_, exception))) if is_valid(&format!("{base} WITH {exception}")) => {
            format!("{base} WITH {exception}")
        }
        _ => reference(name),
    }
}

/// GNU's licences: `gpl-2+`, `gplv2+`, `gpl-2.0-or-later`, `lgpl-2.1`, `gfdl-1.3+`.
fn versioned(lower: &str) -> Option<String> {
    let without = lower.strip_suffix("-no-invariants").or_else(|| lower.strip_suffix("-no-invariant"));
    if let Some(number) = without.and_then(|rest| rest.strip_prefix("gfdl-")) {
        return versioned(&format!("gfdl-niv-{number}"));
    }
    let (prefix, family) = FAMILIES.iter().find(|(prefix, _)| lower.starts_with(prefix))?;
    let rest = lower[prefix.len()..].trim_start_matches(['-', ' ', 'v']);
    let (version, later) = match rest.strip_suffix('+').or_else(|| rest.strip_suffix("-or-later")) {
        Some(version) => (version, true),
        None => (rest.strip_suffix("-only").unwrap_or(rest), false),
    };
    if version.is_empty() || !version.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let version = if version.contains('.') { version.to_owned() } else { format!("{version}.0") };
    let suffix = if later { "or-later" } else { "only" };
    let text = match *family {
        "GFDL-NIV" => format!("GFDL-{version}-no-invariants-{suffix}"),
        family => format!("{family}-{version}-{suffix}"),
    };
    is_valid(&text).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_debian_and_fedora() {
        for (name, expected) in [
            ("GPL-2+", "GPL-2.0-or-later"),
            ("GPL-2", "GPL-2.0-only"),
            ("GPLv3+", "GPL-3.0-or-later"),
            ("GPL-2.0", "GPL-2.0-only"),
            ("GPL-2.0-or-later", "GPL-2.0-or-later"),
            ("LGPL-2.1+", "LGPL-2.1-or-later"),
            ("LGPLv2", "LGPL-2.0-only"),
            ("GFDL-1.2", "GFDL-1.2-only"),
            ("GFDL-1.3+-no-invariant", "GFDL-1.3-no-invariants-or-later"),
            ("GPL-2+-or-X11", "LicenseRef-GPL-2-or-X11"),
            ("GFDL-NIV-1.3+", "GFDL-1.3-no-invariants-or-later"),
            ("GPL-2 with Linux-syscall-note exception", "GPL-2.0-only WITH Linux-syscall-note"),
            ("GPL-3+ with Bison exception", "GPL-3.0-or-later WITH Bison-exception-2.2"),
            ("BSD-3-clause", "BSD-3-Clause"),
            ("BSD-2-Clause", "BSD-2-Clause"),
            ("Expat", "MIT"),
            ("ZLIB", "Zlib"),
            ("GPL", "LicenseRef-GPL"),
            ("public-domain", "LicenseRef-public-domain"),
            ("BSD-tcp_wrappers", "LicenseRef-BSD-tcp-wrappers"),
            ("curl", "curl"),
        ] {
            assert_eq!(identifier(name), expected, "{name}");
            assert!(is_valid(expected), "{expected}");
        }
    }

    #[test]
    fn the_tables_hold_valid_expressions() {
        for (name, expression) in NAMES {
            assert!(is_valid(expression), "{name}: {expression}");
        }
        for (word, exception) in EXCEPTIONS {
            assert!(is_valid(&format!("GPL-3.0-or-later WITH {exception}")), "{word}");
        }
    }
}
