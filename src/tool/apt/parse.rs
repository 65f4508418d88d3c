//! What apt prints, read.

use crate::tool::percent;

/// Output of apt that is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum ParseError {
    /// A line of `--print-uris` in another form than `'URI' FILE SIZE SHA256:…`.
    #[error("apt answered with a line that names no package file: `{line}`")]
    Candidate { line: String },
    /// The archive has no digest that can be relied on.
    #[error("apt offers `{file}` without a SHA-256 digest")]
    NoDigest { file: String },
    /// A line of `indextargets` in another form than was asked for.
    #[error("apt answered with a line that names no index: `{line}`")]
    Index { line: String },
}

/// One package file that apt would fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Name of the package.
    pub name: String,
    /// Full version, with its epoch.
    pub version: String,
    /// Architecture, `all` included.
    pub architecture: String,
    /// Where it is, percent-encoded.
    pub uri: String,
    /// The name apt gives the file: the epoch is in it, with `%3a` for its colon.
    pub file: String,
    /// Size in bytes.
    pub size: u64,
    /// Digest in lower-case hexadecimal.
    pub sha256: String,
}

/// Reads what `apt-get install --print-uris` printed: one package file per line.
///
/// # Errors
/// At the first line in another form, and at a file without a SHA-256 digest.
pub fn parse_candidates(output: &str) -> Result<Vec<Candidate>, ParseError> {
    output.lines().filter(|line| !line.trim().is_empty()).map(parse_candidate).collect()
}

fn parse_candidate(line: &str) -> Result<Candidate, ParseError> {
    let error = || ParseError::Candidate { line: line.to_owned() };
    let (uri, rest) = line.strip_prefix('\'').and_then(|rest| rest.split_once("' ")).ok_or_else(error)?;
    let [file, size, digest] = rest.split(' ').collect::<Vec<_>>()[..] else { return Err(error()) };
    let (name, version, architecture) = split_file_name(file).ok_or_else(error)?;
    let size = size.parse().map_err(|_| error())?;
    let sha256 = digest.strip_prefix("SHA256:").filter(|hex| is_sha256(hex));
    let sha256 = sha256.ok_or_else(|| ParseError::NoDigest { file: file.to_owned() })?.to_owned();
    Ok(Candidate { name, version, architecture, uri: uri.to_owned(), file: file.to_owned(), size, sha256 })
}

/// `name_version_architecture.deb`; apt encodes `_` and `:` inside each part, so that the underscores left over divide.
fn split_file_name(file: &str) -> Option<(String, String, String)> {
    let parts: Vec<_> = file.strip_suffix(".deb")?.split('_').map(percent::decode).collect::<Option<_>>()?;
    let [name, version, architecture] = <[String; 3]>::try_from(parts).ok()?;
    Some((name, version, architecture))
}

fn is_sha256(hex: &str) -> bool {
    hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The decoded path of a file below an archive's root; `None` when it is not below.
pub fn below(root: &str, uri: &str) -> Option<String> {
    let (root, uri) = (as_printed(root), as_printed(uri));
    let path = uri.strip_prefix(root.as_str())?.strip_prefix('/')?;
    percent::decode(path)
}

/// Whether two addresses are of one archive.
pub fn is_same_root(left: &str, right: &str) -> bool {
    as_printed(left) == as_printed(right)
}

/// An address of an archive as apt prints it: `file:` without the two slashes of an absent host.
fn as_printed(uri: &str) -> String {
    uri.trim_end_matches('/').replacen("file:///", "file:/", 1)
}

/// An address for fetching: of a file on this machine apt would else leave a link to it.
pub(super) fn to_copy(uri: &str) -> String {
    let uri = as_printed(uri);
    uri.strip_prefix("file:").map_or_else(|| uri.clone(), |path| format!("copy:{path}"))
}

/// The address of a file, given its decoded path below an archive's root: the inverse of [`below`].
pub fn uri_of(root: &str, path: &str) -> String {
    format!("{}/{}", root.trim_end_matches('/'), percent::encode_path(path))
}

/// Columns of [`super::machine_index_targets`].
pub(super) const INDEX_TARGET_FORMAT: &str = "$(LABEL)|$(RELEASE)|$(COMPONENT)|$(REPO_URI)";

/// Roots of the archives of Debian this machine is configured with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MachineArchives {
    /// The main archive.
    pub main: Option<String>,
    /// The security archive.
    pub security: Option<String>,
}

/// Reads what [`super::machine_index_targets`] printed; of several mirrors the first counts.
///
/// A label is proof. Where labels are not known, a suite named `…-security`
/// with the component main is taken for the security archive, and any other
/// with that component for the main one, if its address ends in `/debian`:
/// sources of other vendors look the same otherwise.
pub fn parse_machine_archives(output: &str) -> MachineArchives {
    let mut found = MachineArchives::default();
    for line in output.lines() {
        let [label, release, component, uri] = line.split('|').collect::<Vec<_>>()[..] else { continue };
        let root = uri.trim_end_matches('/');
        match label {
            "Debian" => keep_first(&mut found.main, root),
            "Debian-Security" => keep_first(&mut found.security, root),
            // An unknown value is printed as its name.
            "$(LABEL)" if component != "main" => {}
            "$(LABEL)" if release.ends_with("-security") => keep_first(&mut found.security, root),
            "$(LABEL)" if root.ends_with("/debian") => keep_first(&mut found.main, root),
            _ => {}
        }
    }
    found
}

fn keep_first(slot: &mut Option<String>, root: &str) {
    slot.get_or_insert_with(|| root.to_owned());
}

/// Columns of [`super::Apt::indexes`].
pub(super) const INDEX_FORMAT: &str = "$(RELEASE)|$(COMPONENT)|$(REPO_URI)|$(FILENAME)";

/// A package index of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexFile {
    /// The suite, as the sources name it.
    pub suite: String,
    /// The component; empty where the archive has none.
    pub component: String,
    /// Root of the archive, without trailing slash.
    pub uri: String,
    /// The index on this machine.
    pub file: String,
}

/// Reads what [`super::Apt::indexes`] printed, in its order.
///
/// # Errors
/// At the first line in another form.
pub fn parse_indexes(output: &str) -> Result<Vec<IndexFile>, ParseError> {
    let index = |line: &str| {
        let [suite, component, uri, file] = line.split('|').collect::<Vec<_>>()[..] else {
            return Err(ParseError::Index { line: line.to_owned() });
        };
        // An unknown value is printed as its name.
        let component = if component.starts_with('$') { "" } else { component };
        Ok(IndexFile {
            suite: suite.to_owned(),
            component: component.to_owned(),
            uri: uri.trim_end_matches('/').to_owned(),
            file: file.to_owned(),
        })
    };
    output.lines().filter(|line| !line.is_empty()).map(index).collect()
}

/// The file a line of `apt-helper download-file` says it begins to fetch.
pub fn parse_fetched(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("Get:")?;
    rest.split(' ').nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_read_from_real_output() {
        let output = include_str!("../testdata/apt-print-uris.txt");
        let candidates = parse_candidates(output).unwrap();
        assert_eq!(candidates.len(), output.lines().count());
        insta::assert_debug_snapshot!(candidates.iter().find(|found| found.name == "libcap2").unwrap());
        let libc6 = candidates.iter().find(|found| found.name == "libc6").unwrap();
        let path = below("http://deb.example.invalid/debian/", &libc6.uri).unwrap();
        assert_eq!(path, "pool/main/g/glibc/libc6_2.41-12+deb13u4_amd64.deb");
        assert_eq!(uri_of("http://deb.example.invalid/debian", &path), libc6.uri);
    }

    #[test]
    fn other_lines_are_refused() {
        let hex = "0".repeat(64);
        for (line, digest) in [
            ("Reading package lists...".to_owned(), false),
            (format!("'http://x/a_1_all.deb' a_1_all.deb 1 MD5Sum:{}", "0".repeat(32)), true),
            (format!("'http://x/a_1_all.deb' a_1_all.deb 1 SHA256:{}", &hex[1..]), true),
            (format!("'http://x/a_1_all.deb' a_1_all.deb one SHA256:{hex}"), false),
            (format!("'http://x/a_1.deb' a_1.deb 1 SHA256:{hex}"), false),
        ] {
            let error = parse_candidates(&line).unwrap_err();
            assert_eq!(matches!(error, ParseError::NoDigest { .. }), digest, "{line}: {error}");
        }
    }

    #[test]
    fn a_file_elsewhere_is_not_below() {
        assert_eq!(below("http://x/debian", "http://x/debian-security/pool/a"), None);
        assert_eq!(below("http://x/debian/", "http://x/debian/pool/a%2bb"), Some("pool/a+b".to_owned()));
        // As apt 2.6 printed it for `file:///srv/site`.
        assert_eq!(below("file:///srv/site/", "file:/srv/site/./a_1.deb"), Some("./a_1.deb".to_owned()));
        assert!(is_same_root("file:///srv/site", "file:/srv/site/") && !is_same_root("http://x/a", "http://x/b"));
    }

    #[test]
    fn the_machines_archives_are_found_by_label_or_guessed() {
        let found = |main: &str, security: &str| MachineArchives {
            main: Some(main.to_owned()),
            security: (!security.is_empty()).then(|| security.to_owned()),
        };
        let (debian, security) = ("http://deb.example.invalid/debian", "http://deb.example.invalid/debian-security");
        for (output, expected) in [
            (include_str!("../testdata/apt-indextargets.txt"), found(debian, security)),
            (include_str!("../testdata/apt-indextargets-no-lists.txt"), found(debian, security)),
            (
                "Debian|stable|main|http://a.invalid/debian/\nDebian|stable|main|http://b.invalid/debian/",
                found("http://a.invalid/debian", ""),
            ),
            ("Ubuntu|noble|main|http://u.invalid/ubuntu/", MachineArchives::default()),
            ("$(LABEL)|bookworm|main|http://vendor.invalid/apt/", MachineArchives::default()),
            ("", MachineArchives::default()),
        ] {
            assert_eq!(parse_machine_archives(output), expected, "{output}");
        }
    }

    #[test]
    fn indexes_are_told_by_suite_and_component() {
        let output = "trixie|main|http://deb.example.invalid/debian/|/w/lists/a_Packages\n\
                      ./|$(COMPONENT)|http://site.example.invalid|/w/lists/b_Packages\n";
        let index = |suite: &str, component: &str, uri: &str, file: &str| IndexFile {
            suite: suite.into(),
            component: component.into(),
            uri: uri.into(),
            file: file.into(),
        };
        let expected = [
            index("trixie", "main", "http://deb.example.invalid/debian", "/w/lists/a_Packages"),
            index("./", "", "http://site.example.invalid", "/w/lists/b_Packages"),
        ];
        assert_eq!(parse_indexes(output).unwrap(), expected);
        assert!(parse_indexes("E: nonsense").is_err());
    }

    #[test]
    fn progress_names_the_file() {
        assert_eq!(parse_fetched("Get:3 http://x.invalid/zstd_1.deb [756 kB]"), Some("http://x.invalid/zstd_1.deb"));
        assert_eq!(parse_fetched("Fetched 1217 kB in 0s (10.3 MB/s)"), None);
    }
}
