//! bootc's files of kernel arguments.

use serde::Deserialize;

use super::Image;
use super::code::Code;
use super::contents::files_in;
use super::findings::Findings;

const FOLDER: &str = "usr/lib/bootc/kargs.d";

/// The names by which bootc knows architectures: those of Rust, of which UEFI or Linux images use these.
const ARCHITECTURES: [&str; 8] = ["aarch64", "arm", "loongarch64", "powerpc64", "riscv64", "s390x", "x86", "x86_64"];

/// A file, with exactly the keys that bootc takes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct KargsFile {
    kargs: Vec<String>,
    #[serde(default)]
    match_architectures: Option<Vec<String>>,
}

pub(super) fn check(image: &Image<'_>, findings: &mut Findings) {
    let Some(id) = image.tree.resolve(FOLDER) else { return };
    if image.tree.node(id).children().is_none() {
        return findings.path(Code::KargsInvalid, FOLDER, "is not a folder");
    }
    for path in files_in(image.tree, FOLDER, ".toml") {
        match image.read(&path).map(parse_kargs) {
            None => findings.path(Code::KargsInvalid, path, "is not a file"),
            Some(Err(problem)) => findings.path(Code::KargsInvalid, path, problem),
            Some(Ok(unknown)) => {
                for name in unknown {
                    let message = format!("is for `{name}`, which bootc knows by no such name");
                    findings.path(Code::KargsNeverApply, &path, message);
                }
            }
        }
    }
}

/// The names of architectures that do not exist; or what is wrong with the file, in one line.
fn parse_kargs(bytes: &[u8]) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned())?;
    let file: KargsFile = toml::from_str(text).map_err(|error| error.message().replace('\n', "; "))?;
    match file.kargs.iter().find(|karg| karg.trim().is_empty() || karg.contains(['\n', '\0'])) {
        Some(karg) => Err(format!("has the argument {karg:?}")),
        None => {
            let named = file.match_architectures.unwrap_or_default();
            Ok(named.into_iter().filter(|name| !ARCHITECTURES.contains(&name.as_str())).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse_kargs;

    #[test]
    fn takes_what_bootc_takes() {
        for (text, expected) in [
            ("kargs = [\"quiet\", \"console=ttyS0,115200\"]", Ok(&[][..])),
            ("kargs = []\nmatch-architectures = [\"x86_64\", \"aarch64\"]", Ok(&[])),
            ("kargs = []\nmatch-architectures = [\"amd64\"]", Ok(&["amd64"])),
            ("kargs = \"quiet\"", Err("invalid type: string \"quiet\", expected a sequence")),
            ("kargs = []\nmatch_architectures = []", Err("unknown field `match_architectures`")),
            ("", Err("missing field `kargs`")),
            ("kargs = [\"a\\nb\"]", Err("has the argument \"a\\nb\"")),
            ("kargs = [", Err("")),
        ] {
            match (parse_kargs(text.as_bytes()), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text}"),
                (Err(found), Err(expected)) => assert!(found.starts_with(expected), "{text}: {found}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
        assert!(parse_kargs(b"kargs = [\"\xff\"]").is_err());
    }
}
