//! The index that depmod writes beside a kernel's modules: what modprobe and udev go by.
//!
//! Only the text forms are read, after modules.dep(5) and `Documentation/kbuild/kbuild.rst`; the kernel's programs
//! use binary copies that depmod writes in the same run.

use std::collections::{BTreeMap, BTreeSet};

use super::check::{finding, normalized};
use super::finding::{Code, Finding};

/// `modules.dep`: each module with those to be loaded before it, by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModuleIndex {
    entries: BTreeMap<String, Vec<String>>,
}

impl ModuleIndex {
    /// Parses the text of `modules.dep` of the kernel whose modules are in `folder` (an absolute path).
    ///
    /// A line without colon says nothing about any module and is passed over, as depmod's own readers do.
    pub fn parse(text: &str, folder: &str) -> Self {
        let absolute = |path: &str| match path.strip_prefix('/') {
            Some(_) => path.to_owned(),
            None => format!("{folder}/{path}"),
        };
        let entry = |line: &str| {
            let (module, needs) = line.split_once(':')?;
            Some((absolute(module.trim()), needs.split_ascii_whitespace().map(absolute).collect()))
        };
        Self { entries: text.lines().filter(|line| !line.starts_with('#')).filter_map(entry).collect() }
    }

    /// Whether each of `modules` is listed, and whether what is listed for them, and theirs, exists in `present`.
    pub fn check(&self, modules: &[String], present: &BTreeSet<String>) -> Vec<Finding> {
        let mut findings = Vec::new();
        for module in modules {
            match self.entries.get(module) {
                None => findings.push(finding(Code::ModuleNotIndexed, module, "is not in modules.dep")),
                Some(needs) => {
                    let gone = needs.iter().filter(|path| !present.contains(*path));
                    let message = |path| format!("needs {path} after modules.dep, which is not there");
                    findings.extend(gone.map(|path| finding(Code::IndexDangling, module, message(path))));
                }
            }
        }
        findings
    }

    /// Modules that are listed and do not exist: what a removed module leaves behind when depmod is not run again.
    pub fn dangling(&self, present: &BTreeSet<String>) -> Vec<Finding> {
        let gone = self.entries.keys().filter(|path| !present.contains(*path));
        gone.map(|path| finding(Code::IndexDangling, path, "is in modules.dep and does not exist")).collect()
    }
}

/// Parses `modules.builtin`: names of the modules that are part of the kernel, `-` written as `_`.
pub fn parse_builtin(text: &str) -> BTreeSet<String> {
    let name = |line: &str| {
        let file = line.trim().rsplit('/').next()?.strip_suffix(".ko")?;
        (!file.is_empty()).then(|| normalized(file))
    };
    text.lines().filter_map(name).collect()
}

/// Parses a file of `modules-load.d`: names of modules, `-` written as `_` (modules-load.d(5)).
pub fn parse_modules_load(text: &str) -> Vec<String> {
    let names = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    names.map(normalized).collect()
}

/// Parses a file of dracut's configuration: the drivers it adds by name (dracut.conf(5)).
///
/// The file is shell and may be anything; only plain assignments are understood, which is what the manual shows.
/// Names with a wildcard or a folder (`=drivers/net`) are left out.
pub fn parse_dracut_drivers(text: &str) -> Vec<String> {
    let value = |line: &str| {
        let (name, value) = line.trim().split_once('=')?;
        let wanted = ["add_drivers", "force_drivers"].contains(&name.trim_end_matches('+').trim());
        let end = value.find('#').unwrap_or(value.len());
        wanted.then(|| value[..end].replace(['"', '\''], " "))
    };
    let words: Vec<String> = text.lines().filter_map(value).collect();
    let plain = |word: &&str| word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    words.iter().flat_map(|words| words.split_ascii_whitespace()).filter(plain).map(normalized).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(paths: &[&str]) -> BTreeSet<String> {
        paths.iter().map(|&path| path.to_owned()).collect()
    }

    #[test]
    fn the_index_lists_modules_and_what_they_need() {
        let text = "kernel/lib/crc.ko:\nupdates/zfs.ko.xz: updates/spl.ko.xz kernel/lib/crc.ko\n/abs/x.ko:\nnoise\n";
        let index = ModuleIndex::parse(text, "/usr/lib/modules/1");
        let all = set(&[
            "/usr/lib/modules/1/updates/zfs.ko.xz",
            "/usr/lib/modules/1/updates/spl.ko.xz",
            "/usr/lib/modules/1/kernel/lib/crc.ko",
            "/abs/x.ko",
        ]);
        let zfs = "/usr/lib/modules/1/updates/zfs.ko.xz".to_owned();
        assert_eq!(index.check(std::slice::from_ref(&zfs), &all), []);
        assert_eq!(index.dangling(&all), []);
        let mut fewer = all.clone();
        fewer.remove("/usr/lib/modules/1/kernel/lib/crc.ko");
        let shown = |findings: Vec<Finding>| findings.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            shown(index.check(&[zfs, "/usr/lib/modules/1/updates/spl.ko.xz".to_owned()], &fewer)),
            [
                "KMOD027 /usr/lib/modules/1/updates/zfs.ko.xz: needs /usr/lib/modules/1/kernel/lib/crc.ko \
                 after modules.dep, which is not there",
                "KMOD026 /usr/lib/modules/1/updates/spl.ko.xz: is not in modules.dep",
            ]
        );
        assert_eq!(
            shown(index.dangling(&fewer)),
            ["KMOD027 /usr/lib/modules/1/kernel/lib/crc.ko: is in modules.dep and does not exist"]
        );
    }

    #[test]
    fn built_in_modules_by_name() {
        let text = "kernel/fs/ext4/ext4.ko\nkernel/drivers/virtio/virtio-pci.ko\n.ko\nnot a module\n";
        assert_eq!(parse_builtin(text), set(&["ext4", "virtio_pci"]));
    }

    #[test]
    fn modules_to_be_loaded_at_boot() {
        assert_eq!(parse_modules_load("# comment\n; too\n\n zfs \nnvidia-drm\n"), ["zfs", "nvidia_drm"]);
    }

    #[test]
    fn drivers_of_dracut() {
        for (text, expected) in [
            ("add_drivers+=\" virtio-blk nvme \"\n", &["virtio_blk", "nvme"][..]),
            ("force_drivers+=' zfs ' # why\n", &["zfs"]),
            ("  add_drivers = \"a\"\n", &["a"]),
            ("#add_drivers+=\" a \"\nomit_drivers+=\" b \"\n", &[]),
            ("add_drivers+=\" =drivers/net virtio* $x \"\n", &[]),
        ] {
            assert_eq!(parse_dracut_drivers(text), expected, "{text}");
        }
    }
}
