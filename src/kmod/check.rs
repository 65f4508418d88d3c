//! The modules of an image against what its module set promises.
//!
//! Exit codes of depmod, modprobe and dkms are no evidence; the files are.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{Code, Finding};
use super::inspect::{InspectError, ModuleInfo, Vermagic};
use crate::model::KernelRelease;

/// A module found in an image.
#[derive(Debug)]
pub struct BuiltModule {
    /// Absolute path in the image.
    pub path: String,
    /// What reading it gave.
    pub info: Result<ModuleInfo, InspectError>,
}

impl BuiltModule {
    /// The name `modprobe` finds it by.
    pub fn name(&self) -> String {
        let file = self.path.rsplit('/').next().unwrap_or(&self.path);
        normalized(file.split_once(".ko").map_or(file, |(name, _)| name))
    }
}

/// The kernel takes `-` and `_` in module names for the same.
pub(super) fn normalized(name: &str) -> String {
    name.replace('-', "_")
}

/// Whether a path is that of a module, compressed or not.
pub fn is_module_path(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    [".ko", ".ko.xz", ".ko.zst", ".ko.gz"].iter().any(|suffix| file.len() > suffix.len() && file.ends_with(suffix))
}

/// Checks that exactly the expected modules are there, each built for `kver`.
///
/// `modules` are those that the module set brought, not those of the kernel itself. `reference` is the vermagic of
/// a module of the kernel itself, where one was read: the option words must be the same.
/// Sorted by code, then subject; empty when all is well.
pub fn check_modules(
    expected: &[String],
    kver: &KernelRelease,
    reference: Option<&Vermagic>,
    modules: &[BuiltModule],
) -> Vec<Finding> {
    let mut findings = check_names(expected, modules);
    for module in modules {
        findings.extend(check_place(kver, module));
        match &module.info {
            Ok(info) => findings.extend(check_vermagic(kver, reference, module, info)),
            Err(error) => findings.push(finding(Code::ModuleUnreadable, &module.path, error.to_string())),
        }
    }
    findings.sort();
    findings
}

pub(super) fn finding(code: Code, subject: &str, message: impl Into<String>) -> Finding {
    Finding { code, subject: subject.to_owned(), message: message.into() }
}

pub(super) fn check_names(expected: &[String], modules: &[BuiltModule]) -> Vec<Finding> {
    let mut found: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for module in modules {
        found.entry(module.name()).or_default().push(&module.path);
    }
    let mut findings = Vec::new();
    for name in expected {
        if !found.contains_key(&normalized(name)) {
            findings.push(finding(Code::ModuleMissing, name, "expected, but not in the image"));
        }
    }
    let expected: BTreeSet<String> = expected.iter().map(|name| normalized(name)).collect();
    for (name, paths) in &found {
        if !expected.contains(name) {
            findings.extend(paths.iter().map(|path| finding(Code::ModuleUnexpected, path, "not an expected module")));
        }
        if let [_, again @ ..] = &paths[..] {
            let first = paths[0];
            findings.extend(again.iter().map(|path| finding(Code::ModuleTwice, path, format!("also at {first}"))));
        }
    }
    findings
}

pub(super) fn check_place(kver: &KernelRelease, module: &BuiltModule) -> Option<Finding> {
    let folder = format!("/usr/lib/modules/{kver}/");
    let misplaced = !module.path.starts_with(&folder);
    misplaced.then(|| finding(Code::ModuleMisplaced, &module.path, format!("not below {folder}")))
}

pub(super) fn check_vermagic(
    kver: &KernelRelease,
    reference: Option<&Vermagic>,
    module: &BuiltModule,
    info: &ModuleInfo,
) -> Option<Finding> {
    let path = &module.path;
    let Some(vermagic) = &info.vermagic else {
        return Some(finding(Code::ModuleForAnotherKernel, path, "does not say which kernel it was built for"));
    };
    if vermagic.release != kver.as_str() {
        let message = format!("built for {}, the pinned kernel is {kver}", vermagic.release);
        return Some(finding(Code::ModuleForAnotherKernel, path, message));
    }
    let reference = reference.filter(|reference| reference.flags != vermagic.flags)?;
    let message = format!("built with options `{}`, the kernel has `{}`", vermagic.flags, reference.flags);
    Some(finding(Code::ModuleForOtherOptions, path, message))
}

#[cfg(test)]
mod tests {
    use super::super::inspect::{fake, inspect};
    use super::*;

    const KVER: &str = "6.12.48+deb13-amd64";

    fn module(path: &str, file: &[u8]) -> BuiltModule {
        BuiltModule { path: format!("/usr/lib/modules/{path}"), info: inspect(file) }
    }

    fn check(expected: &[&str], modules: &[BuiltModule]) -> Vec<String> {
        let expected: Vec<String> = expected.iter().map(|&name| name.to_owned()).collect();
        let reference = Vermagic { release: KVER.into(), flags: "SMP preempt mod_unload modversions".into() };
        let findings = check_modules(&expected, &KVER.parse().unwrap(), Some(&reference), modules);
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn exactly_the_expected_modules_for_the_pinned_kernel_are_fine() {
        let modules = [
            module(&format!("{KVER}/extra/zfs.ko.xz"), &fake::built_for("zfs", KVER)),
            module(&format!("{KVER}/extra/nvidia-drm.ko"), &fake::built_for("nvidia_drm", KVER)),
        ];
        assert_eq!(check(&["zfs", "nvidia_drm"], &modules), Vec::<String>::new());
    }

    #[test]
    fn each_fault_has_its_code() {
        let good = fake::built_for("zfs", KVER);
        let path = |rest: &str| format!("{KVER}/{rest}");
        let near = fake::built_for("zfs", "6.12.50+deb13-amd64");
        let rt = fake::module(&["vermagic=6.12.48+deb13-amd64 SMP preempt_rt mod_unload modversions "]);
        for (modules, expected) in [
            (vec![], "KMOD001 zfs: expected, but not in the image"),
            (
                vec![module(&path("extra/zfs.ko"), &good), module(&path("extra/spl.ko"), &good)],
                "KMOD002 /usr/lib/modules/6.12.48+deb13-amd64/extra/spl.ko: not an expected module",
            ),
            (
                vec![module(&path("extra/zfs.ko"), &near)],
                "KMOD003 /usr/lib/modules/6.12.48+deb13-amd64/extra/zfs.ko: \
                 built for 6.12.50+deb13-amd64, the pinned kernel is 6.12.48+deb13-amd64",
            ),
            (
                vec![module(&path("extra/zfs.ko"), &fake::module(&["name=zfs"]))],
                "KMOD003 /usr/lib/modules/6.12.48+deb13-amd64/extra/zfs.ko: \
                 does not say which kernel it was built for",
            ),
            (
                vec![module(&path("extra/zfs.ko"), &good[..70])],
                "KMOD004 /usr/lib/modules/6.12.48+deb13-amd64/extra/zfs.ko: the table of sections at byte 158, \
                 192 bytes long, is not inside the file of 70 bytes",
            ),
            (
                vec![module("6.12.50+deb13-amd64/extra/zfs.ko", &good)],
                "KMOD005 /usr/lib/modules/6.12.50+deb13-amd64/extra/zfs.ko: \
                 not below /usr/lib/modules/6.12.48+deb13-amd64/",
            ),
            (
                vec![module(&path("extra/zfs.ko"), &good), module(&path("updates/zfs.ko.xz"), &good)],
                "KMOD006 /usr/lib/modules/6.12.48+deb13-amd64/updates/zfs.ko.xz: \
                 also at /usr/lib/modules/6.12.48+deb13-amd64/extra/zfs.ko",
            ),
            (
                vec![module(&path("extra/zfs.ko"), &rt)],
                "KMOD007 /usr/lib/modules/6.12.48+deb13-amd64/extra/zfs.ko: \
                 built with options `SMP preempt_rt mod_unload modversions`, \
                 the kernel has `SMP preempt mod_unload modversions`",
            ),
        ] {
            assert_eq!(check(&["zfs"], &modules), [expected]);
        }
    }

    #[test]
    fn module_paths() {
        for (path, is_module) in [
            ("/usr/lib/modules/1/zfs.ko", true),
            ("/usr/lib/modules/1/zfs.ko.zst", true),
            ("/usr/lib/modules/1/modules.dep", false),
            ("/usr/share/vim/tutor.ko.utf-8", false),
            ("/usr/lib/.ko", false),
        ] {
            assert_eq!(is_module_path(path), is_module, "{path}");
        }
    }
}
