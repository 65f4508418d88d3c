//! bootc's files of kernel arguments.

use super::Image;
use super::code::Code;
use super::contents::files_in;
use super::findings::Findings;
use crate::model::KargsFile;

const FOLDER: &str = "usr/lib/bootc/kargs.d";

/// The names by which bootc knows architectures: those of Rust, of which UEFI or Linux images use these.
const ARCHITECTURES: [&str; 8] = ["aarch64", "arm", "loongarch64", "powerpc64", "riscv64", "s390x", "x86", "x86_64"];

pub(super) fn check(image: &Image<'_>, findings: &mut Findings) {
    let Some(id) = image.tree.resolve(FOLDER) else { return };
    if image.tree.node(id).children().is_none() {
        return findings.path(Code::KargsInvalid, FOLDER, "is not a folder");
    }
    for path in files_in(image.tree, FOLDER, ".toml") {
        match image.read(&path).map(KargsFile::parse) {
            None => findings.path(Code::KargsInvalid, path, "is not a file"),
            Some(Err(problem)) => findings.path(Code::KargsInvalid, path, problem.to_string()),
            Some(Ok(file)) => {
                let named = file.match_architectures.unwrap_or_default();
                for name in named.iter().filter(|name| !ARCHITECTURES.contains(&name.as_str())) {
                    let message = format!("is for `{name}`, which bootc knows by no such name");
                    findings.path(Code::KargsNeverApply, &path, message);
                }
            }
        }
    }
}
