//! How the initramfs mounts a composefs root, told by what is in it.

use super::{Spelling, Unbootable};
use crate::oci::Initramfs;

/// Files of the initramfs whose content decides, for whoever reads it.
pub const INITRAMFS_FILES: [&str; 4] = [
    "usr/lib/systemd/system/bootc-root-setup.service",
    "lib/systemd/system/bootc-root-setup.service",
    "usr/lib/systemd/system/composefs-setup-root.service",
    "lib/systemd/system/composefs-setup-root.service",
];

/// A program that mounts the root, and the unit that starts it where the initramfs has systemd.
struct Mounter {
    program: &'static str,
    unit: &'static str,
}

const MOUNTERS: [Mounter; 2] = [
    Mounter { program: "initramfs-setup", unit: "bootc-root-setup.service" },
    Mounter { program: "composefs-setup-root", unit: "composefs-setup-root.service" },
];

/// The spelling that the initramfs understands, or what it lacks.
pub(super) fn support(initramfs: &Initramfs) -> Result<Spelling, Unbootable> {
    let present: Vec<_> = MOUNTERS.iter().filter(|mounter| has_program(initramfs, mounter.program)).collect();
    let Some(first) = present.first() else { return Err(Unbootable::NoComposefs) };
    if !initramfs.names.iter().any(|name| name.ends_with(b"lib/systemd/systemd")) {
        // A script starts it. It reads both spellings; which ones the script lets pass is not for us to run.
        return Ok(Spelling::Composefs);
    }
    let Some(mounter) = present.iter().find(|mounter| is_pulled(initramfs, mounter.unit)) else {
        return Err(Unbootable::NotStarted { program: first.program, unit: first.unit });
    };
    match unit_text(initramfs, mounter.unit) {
        Some(text) => spelling_of(&text).ok_or(Unbootable::NoSpelling { unit: mounter.unit }),
        None => Ok(Spelling::Composefs),
    }
}

fn has_program(initramfs: &Initramfs, program: &str) -> bool {
    initramfs.names.iter().any(|path| path.rsplit(|byte| *byte == b'/').next() == Some(program.as_bytes()))
}

/// Whether a target wants or requires the unit.
fn is_pulled(initramfs: &Initramfs, unit: &str) -> bool {
    initramfs.names.iter().any(|path| {
        let mut parts = path.rsplit(|byte| *byte == b'/');
        let (name, folder) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        name == unit.as_bytes() && (folder.ends_with(b".target.wants") || folder.ends_with(b".target.requires"))
    })
}

fn unit_text(initramfs: &Initramfs, unit: &str) -> Option<String> {
    let path = INITRAMFS_FILES.iter().filter(|path| path.ends_with(unit));
    let text = path.filter_map(|path| initramfs.kept.get(path.as_bytes())).next()?;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// The spelling that starts a unit, the older one where both do; without condition every one does.
///
/// systemd.unit(5): of conditions with `|` one must hold, of others all; `!` negates.
fn spelling_of(unit: &str) -> Option<Spelling> {
    let conditions = || unit.lines().filter_map(|line| line.trim().strip_prefix("ConditionKernelCommandLine="));
    let starts = |argument: &str| {
        let holds = |condition: &str| {
            let condition = condition.trim_start_matches('|');
            let (negated, name) = condition.strip_prefix('!').map_or((false, condition), |name| (true, name));
            (name.trim() == argument) != negated
        };
        let mut triggers = conditions().filter(|condition| condition.starts_with('|')).peekable();
        conditions().filter(|condition| !condition.starts_with('|')).all(holds)
            && (triggers.peek().is_none() || triggers.any(holds))
    };
    [("composefs", Spelling::Composefs), ("composefs.digest", Spelling::Digest)]
        .into_iter()
        .find(|(argument, _)| starts(argument))
        .map(|(_, spelling)| spelling)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str], unit: Option<(&str, &str)>) -> Result<Spelling, Unbootable> {
        let names = names.iter().map(|name| name.as_bytes().to_vec()).collect();
        let kept = unit.map(|(path, text)| (path.as_bytes().to_vec(), text.as_bytes().to_vec())).into_iter().collect();
        support(&Initramfs { names, kept })
    }

    #[test]
    fn the_unit_decides_the_spelling() {
        let names = [
            "usr/lib/systemd/systemd",
            "usr/lib/composefs/composefs-setup-root",
            "usr/lib/systemd/system/initrd-root-fs.target.requires/composefs-setup-root.service",
        ];
        for (text, expected) in [
            ("ConditionKernelCommandLine=composefs", Some(Spelling::Composefs)),
            (
                "ConditionKernelCommandLine=|composefs\nConditionKernelCommandLine=|composefs.digest",
                Some(Spelling::Composefs),
            ),
            ("ConditionKernelCommandLine=composefs.digest", Some(Spelling::Digest)),
            ("ConditionKernelCommandLine=!composefs.none", Some(Spelling::Composefs)),
            ("[Unit]", Some(Spelling::Composefs)),
            ("ConditionKernelCommandLine=ostree", None),
        ] {
            let found = of(&names, Some((INITRAMFS_FILES[2], text)));
            assert_eq!(found.ok(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_missing_is_told() {
        assert_eq!(of(&["usr/bin/sh"], None), Err(Unbootable::NoComposefs));
        let program = "usr/lib/bootc/initramfs-setup";
        assert!(of(&[program], None).is_ok());
        let unit = "bootc-root-setup.service";
        assert_eq!(
            of(&[program, "usr/lib/systemd/systemd", "usr/lib/systemd/system/bootc-root-setup.service"], None),
            Err(Unbootable::NotStarted { program: "initramfs-setup", unit })
        );
    }
}
