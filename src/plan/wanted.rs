//! What a builder stage hands out, before imgbuild decides what the image takes of it.

use std::fmt::Write as _;

use crate::config::{Artifact, Family, KmodSet};
use crate::model::KernelRelease;

/// The list that `collect.sh` reads: for each artifact more than it may match.
///
/// Globs have to be decided by one program, and that is imgbuild (room
/// `kmod`), which also counts and reports what did not match. The stage
/// only narrows a file system of many thousand files down to the few that can
/// matter, with find(1), whose patterns have no `{a,b}` and whose `*` crosses
/// folders: so every pattern here matches at least what the glob does.
pub fn wanted(set: &KmodSet, family: Family, kernel: &KernelRelease) -> String {
    let mut lines = String::new();
    for artifact in set.artifacts.iter().filter(|artifact| applies(artifact, family)) {
        // Writing into a string cannot fail.
        if let Some(package) = &artifact.package {
            let _infallible = writeln!(lines, "package\t{package}");
        } else if let Some(glob) = &artifact.from {
            let pattern = widen(&expand(glob, kernel));
            let _infallible = writeln!(lines, "files\t{}\t{pattern}", start(&pattern));
        }
    }
    lines
}

fn applies(artifact: &Artifact, family: Family) -> bool {
    artifact.family.is_none_or(|only| only == family)
}

fn expand(glob: &str, kernel: &KernelRelease) -> String {
    // The version of the source is known only in the stage, and with it the folder of the built modules.
    glob.replace("${kver}", kernel.as_str())
        .replace("${version}", "*")
        .replace("${dkms}", &format!("/var/lib/dkms/*/{kernel}/*/module"))
}

/// A find(1) pattern that matches at least what the glob matches: a star stands for everything that is not literal.
fn widen(glob: &str) -> String {
    let mut pattern = String::with_capacity(glob.len());
    let mut chars = glob.chars();
    while let Some(c) = chars.next() {
        match c {
            '{' => skip_past(&mut chars, '{', '}'),
            // A bracket that comes first in its class is a member of it.
            '[' => {
                let after_first = chars.clone().skip_while(|&c| matches!(c, '!' | '^')).skip(1);
                let taken = after_first.clone().position(|c| c == ']').map_or(0, |end| end + 1);
                let skipped = chars.clone().count() - after_first.count() + taken;
                chars.by_ref().take(skipped).for_each(drop);
            }
            '\\' => {
                pattern.extend(std::iter::once('\\').chain(chars.next()));
                continue;
            }
            '*' | '?' | '\t' | '\n' => {}
            literal => {
                pattern.push(literal);
                continue;
            }
        }
        if !pattern.ends_with('*') {
            pattern.push('*');
        }
    }
    pattern
}

/// Skips to the end of a group that has been opened.
fn skip_past(chars: &mut std::str::Chars<'_>, open: char, close: char) {
    let mut depth = 1;
    while depth > 0
        && let Some(c) = chars.next()
    {
        depth += usize::from(c == open);
        depth -= usize::from(c == close);
    }
}

/// The deepest folder that every match is below.
fn start(pattern: &str) -> &str {
    let literal = pattern.find(['*', '\\']).map_or(pattern, |end| &pattern[..end]);
    match literal.rfind('/') {
        Some(0) | None => "/",
        Some(end) => &literal[..end],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_wider_than_globs() {
        for (glob, pattern, folder) in [
            ("/usr/lib/udev/rules.d/60-zvol.rules", "/usr/lib/udev/rules.d/60-zvol.rules", "/usr/lib/udev/rules.d"),
            ("/usr/lib/**/*.so.?", "/usr/lib/*/*.so.*", "/usr/lib"),
            ("/a/{b,c{d,e}}f*", "/a/*f*", "/a"),
            ("/a/[!]x]b", "/a/*b", "/a"),
            ("/a/[xy]?b", "/a/*b", "/a"),
            (r"/a/b\*c", r"/a/b\*c", "/a"),
            ("/*", "/*", "/"),
            ("/a/\tb", "/a/*b", "/a"),
            ("/a/{b", "/a/*", "/a"),
        ] {
            assert_eq!(widen(glob), pattern, "{glob}");
            assert_eq!(start(&widen(glob)), folder, "{glob}");
        }
    }

    #[test]
    fn the_list_has_a_line_per_artifact_of_the_family() {
        let set: KmodSet = toml::from_str(
            r#"
            version = 1
            name = "jool"
            license = "GPL-2.0-only"
            [build.apt]
            packages = ["jool-dkms"]
            dkms = "jool"
            [[artifact]]
            kind = "kmod"
            from = "${dkms}/*.ko*"
            to = "/usr/lib/modules/${kver}/extra/"
            [[artifact]]
            kind = "doc"
            from = "/usr/src/jool-${version}/{LICENSE,COPYING}"
            to = "/usr/share/doc/jool/"
            [[artifact]]
            kind = "bin"
            package = "jool-tools"
            family = "dnf"
            [[artifact]]
            kind = "lib"
            package = "libnl-3-200"
            [verify]
            modules = ["jool"]
            "#,
        )
        .unwrap();
        insta::assert_snapshot!(wanted(&set, Family::Apt, &"6.12.117+deb13-cloud-amd64".parse().unwrap()));
    }
}
