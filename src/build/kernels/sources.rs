//! What the source of a module says about the kernels it supports: `dkms.conf`, and `META` of OpenZFS.
//!
//! Sources state it for people and for their own build; read here it is known before anything is compiled.

use std::collections::BTreeMap;

use crate::kernel::ModuleSet;
use crate::model::{KernelNumber, KernelPattern, Reach};

/// Bounds as one file states them; what it leaves out holds for every kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::build) struct Statement {
    min: Option<KernelNumber>,
    max: Option<KernelNumber>,
    reach: Reach,
    kernel: Option<KernelPattern>,
    arch: Option<KernelPattern>,
    config: Vec<String>,
}

/// Whether a path (without leading slash) of a package is of a file that is read here.
pub(in crate::build) fn is_statement(path: &str) -> bool {
    let below = path.strip_prefix("usr/src/").and_then(|path| path.split_once('/'));
    below.is_some_and(|(_, file)| matches!(file, "dkms.conf" | "META"))
}

/// Reads what [`is_statement`] told from the other files.
pub(in crate::build) fn parse(path: &str, text: &str) -> Statement {
    if path.ends_with("/META") { parse_meta(text) } else { parse_dkms_conf(text) }
}

/// The `BUILD_EXCLUSIVE_*` settings of a dkms.conf, see dkms(8).
///
/// The file is a shell script. Taken is what it sets under no condition and without expansions;
/// of the rest dkms itself is the judge, when the module is built.
fn parse_dkms_conf(text: &str) -> Statement {
    let settings = settings(text);
    let get = |name: &str| settings.get(format!("BUILD_EXCLUSIVE_{name}").as_str()).copied();
    Statement {
        min: get("KERNEL_MIN").and_then(|text| text.parse().ok()),
        max: get("KERNEL_MAX").and_then(|text| text.parse().ok()),
        reach: Reach::Full,
        kernel: get("KERNEL").and_then(|text| text.parse().ok()),
        arch: get("ARCH").and_then(|text| text.parse().ok()),
        config: get("CONFIG").unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
    }
}

/// Assignments of plain words, by name.
fn settings(script: &str) -> BTreeMap<&str, &str> {
    let mut settings = BTreeMap::new();
    let mut depth = 0_usize;
    for line in script.lines().map(str::trim) {
        match line.split([' ', ';']).next().unwrap_or_default() {
            "if" | "case" | "for" | "while" | "until" => depth += 1,
            "fi" | "esac" | "done" => depth = depth.saturating_sub(1),
            _ => {}
        }
        let Some((name, value)) = line.split_once('=').filter(|_| depth == 0) else { continue };
        match plain(value) {
            Some(value) => drop(settings.insert(name, value)),
            // Whatever it comes to, what was set before does not hold any more.
            None => drop(settings.remove(name)),
        }
    }
    settings
}

/// A value that means itself.
fn plain(value: &str) -> Option<&str> {
    let unquoted = |mark: char| value.strip_prefix(mark).and_then(|rest| rest.split_once(mark)).map(|(text, _)| text);
    if let Some(text) = unquoted('\'') {
        return Some(text);
    }
    let text = unquoted('"').unwrap_or_else(|| value.split_whitespace().next().unwrap_or_default());
    // A `$` at the end of a pattern is its end, not an expansion.
    let expands = text.trim_end_matches('$').contains('$') || text.contains('`');
    (!expands).then_some(text)
}

/// `Linux-Minimum` and `Linux-Maximum` of OpenZFS, which mean series.
fn parse_meta(text: &str) -> Statement {
    let field = |name: &str| {
        let (_, value) = text.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.trim() == name)?;
        value.trim().parse().ok()
    };
    Statement { min: field("Linux-Minimum"), max: field("Linux-Maximum"), ..Statement::default() }
}

/// The set with what these files of its source state besides.
pub(in crate::build) fn narrow_by(set: ModuleSet, files: BTreeMap<String, Vec<u8>>) -> ModuleSet {
    let state = |set, (path, bytes): (String, Vec<u8>)| narrow(set, parse(&path, &String::from_utf8_lossy(&bytes)));
    files.into_iter().fold(set, state)
}

/// The set with what its source states besides: only kernels that both admit.
///
/// Of two patterns the set's own is kept, as there is no pattern for both.
pub(in crate::build) fn narrow(set: ModuleSet, statement: Statement) -> ModuleSet {
    let Statement { min, max, reach, kernel, arch, config } = statement;
    let states_bounds = min.is_some() || max.is_some();
    let has_bounds = set.min.is_some() || set.max.is_some();
    // An oldest kernel means the same either way.
    let as_series = |max: Option<KernelNumber>, reach| match reach {
        Reach::Series => max,
        Reach::Full => max.map(|max| max.in_full()),
    };
    let (min, max, reach) = match (states_bounds, has_bounds) {
        (false, _) => (set.min, set.max, set.reach),
        (true, false) => (min, max, reach),
        (true, true) => (
            both(set.min, min, KernelNumber::higher),
            both(as_series(set.max, set.reach), as_series(max, reach), KernelNumber::lower),
            Reach::Series,
        ),
    };
    let config = set.config.into_iter().chain(config).collect();
    ModuleSet { min, max, reach, kernel: set.kernel.or(kernel), arch: set.arch.or(arch), config, ..set }
}

fn both<T>(one: Option<T>, other: Option<T>, tighter: impl FnOnce(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(tighter(one, other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONF: &str = r##"
PACKAGE_NAME="hello"
BUILD_EXCLUSIVE_KERNEL="^[67]\.[0-9]+$"
BUILD_EXCLUSIVE_KERNEL_MIN="5.10"   # a comment
BUILD_EXCLUSIVE_KERNEL_MAX=7.2
BUILD_EXCLUSIVE_ARCH='x86_64|aarch64'
BUILD_EXCLUSIVE_CONFIG="CONFIG_VIDEO_DEV !CONFIG_PREEMPT_RT"
if [ -e /etc/site ]; then
    BUILD_EXCLUSIVE_KERNEL_MAX="6.0"
fi
MAKE[0]="make KVER=$kernelver"
"##;

    fn set() -> ModuleSet {
        ModuleSet::any("hello".parse().unwrap(), "1.0")
    }

    fn number(text: &str) -> Option<KernelNumber> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn dkms_says_what_it_excludes() {
        let statement = parse("usr/src/hello-1.0/dkms.conf", CONF);
        assert_eq!((&statement.min, &statement.max, statement.reach), (&number("5.10"), &number("7.2"), Reach::Full));
        assert_eq!(statement.kernel.unwrap().to_string(), r"^[67]\.[0-9]+$");
        assert_eq!(statement.arch.unwrap().to_string(), "x86_64|aarch64");
        assert_eq!(statement.config, ["CONFIG_VIDEO_DEV", "!CONFIG_PREEMPT_RT"]);
    }

    #[test]
    fn what_depends_on_the_machine_says_nothing() {
        for line in [
            "BUILD_EXCLUSIVE_KERNEL_MAX=\"$limit\"",
            "BUILD_EXCLUSIVE_KERNEL_MAX=`cat limit`",
            "BUILD_EXCLUSIVE_KERNEL_MAX=7.2\nBUILD_EXCLUSIVE_KERNEL_MAX=$limit",
            "for x in 1; do\nBUILD_EXCLUSIVE_KERNEL_MAX=7.2\ndone",
            "BUILD_EXCLUSIVE_KERNEL_MAX=newest",
        ] {
            assert_eq!(parse("usr/src/x-1/dkms.conf", line).max, None, "{line}");
        }
    }

    #[test]
    fn openzfs_says_what_it_supports() {
        let text = "Meta:         1\nName:         zfs\nVersion:      2.3.9\nLinux-Maximum: 7.2\nLinux-Minimum: 4.18\n";
        let statement = parse("usr/src/zfs-2.3.9/META", text);
        assert_eq!((statement.min, statement.max, statement.reach), (number("4.18"), number("7.2"), Reach::Series));
    }

    #[test]
    fn only_the_files_that_state_something_are_read() {
        for (path, expected) in [
            ("usr/src/zfs-2.3.9/META", true),
            ("usr/src/zfs-2.3.9/dkms.conf", true),
            ("usr/src/zfs-2.3.9/module/META", false),
            ("usr/share/doc/zfs/META", false),
            ("usr/src/dkms.conf", false),
        ] {
            assert_eq!(is_statement(path), expected, "{path}");
        }
    }

    #[test]
    fn manifest_and_source_hold_together() {
        let stated = parse("usr/src/hello-1.0/dkms.conf", CONF);
        let alone = narrow(set(), stated.clone());
        assert_eq!((&alone.min, &alone.max, alone.reach), (&number("5.10"), &number("7.2"), Reach::Full));
        // The series 7.2 and 7.2.0 as the last: the latter admits fewer.
        let both = narrow(ModuleSet { max: number("7.2"), config: ["CONFIG_NET".to_owned()].into(), ..set() }, stated);
        assert_eq!((&both.min, &both.max, both.reach), (&number("5.10"), &number("7.2.0"), Reach::Series));
        assert_eq!(both.config.len(), 3);
        let lower = narrow(ModuleSet { max: number("6.12"), ..set() }, parse("x/META", "Linux-Maximum: 7.2\n"));
        assert_eq!((lower.max, lower.reach), (number("6.12"), Reach::Series));
        assert_eq!(narrow(set(), Statement::default()), set());
    }
}
