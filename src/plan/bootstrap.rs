//! What imgbuild itself adds to a bootstrapped tier-1 image, besides its packages.

use std::borrow::Cow;

use crate::config::Bootstrap;
use crate::model::{Karg, ModuleName};

/// mmdebstrap's customize hook: `finish.sh ROOT FILES`.
pub const FINISH: &str = include_str!("../../templates/bootstrap/finish.sh");

/// One file laid over the bootstrapped root (`FILES/tree`, see [`FINISH`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootstrapFile {
    /// Path without leading slash.
    pub path: &'static str,
    /// Permission bits.
    pub mode: u32,
    /// Content.
    pub content: Cow<'static, str>,
}

/// Path of the program that mounts the root in the initramfs; mode 0755. It is
/// a program, not text, so that the build room puts it there itself.
pub const SETUP_ROOT: &str = "usr/lib/composefs/composefs-setup-root";

/// The files for one tier, sorted by path. [`SETUP_ROOT`] comes on top.
pub fn bootstrap_files(tier: &Bootstrap) -> Vec<BootstrapFile> {
    let file = |path, mode, content: &'static str| BootstrapFile { path, mode, content: Cow::Borrowed(content) };
    let mut files = vec![
        file(
            "usr/lib/composefs/setup-root-conf.toml",
            0o644,
            include_str!("../../templates/bootstrap/dracut/setup-root-conf.toml"),
        ),
        file(
            "usr/lib/dracut/dracut.conf.d/50-imgbuild.conf",
            0o644,
            include_str!("../../templates/bootstrap/dracut/50-imgbuild.conf"),
        ),
        file(
            "usr/lib/dracut/modules.d/37composefs/composefs-setup-root.service",
            0o644,
            include_str!("../../templates/bootstrap/dracut/37composefs/composefs-setup-root.service"),
        ),
        file(
            "usr/lib/dracut/modules.d/37composefs/module-setup.sh",
            0o755,
            include_str!("../../templates/bootstrap/dracut/37composefs/module-setup.sh"),
        ),
        file("usr/lib/repart.d/50-root.conf", 0o644, include_str!("../../templates/bootstrap/grow/50-root.conf")),
        file(
            "usr/lib/systemd/system/systemd-repart.service.d/50-imgbuild.conf",
            0o644,
            include_str!("../../templates/bootstrap/grow/50-imgbuild.conf"),
        ),
    ];
    let generated = [
        ("usr/lib/bootc/kargs.d/10-imgbuild-tier1.toml", kargs(&tier.kargs)),
        ("usr/lib/dracut/dracut.conf.d/51-imgbuild-drivers.conf", drivers(&tier.initramfs_drivers)),
    ];
    for (path, content) in generated {
        files.extend(content.map(|content| BootstrapFile { path, mode: 0o644, content: Cow::Owned(content) }));
    }
    files.sort_by_key(|file| file.path);
    files
}

/// A bootc kargs.d file.
fn kargs(kargs: &[Karg]) -> Option<String> {
    (!kargs.is_empty()).then(|| super::kargs_toml(kargs))
}

/// A dracut.conf(5) file; module names hold nothing that the shell would read.
fn drivers(drivers: &[ModuleName]) -> Option<String> {
    let lines = drivers.iter().map(|driver| format!("add_drivers+=\" {driver} \"\n"));
    (!drivers.is_empty()).then(|| lines.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tier(kargs: &[&str], drivers: &[&str]) -> Bootstrap {
        Bootstrap {
            suite: "trixie".to_owned(),
            updates: Vec::new(),
            components: vec!["main".to_owned()],
            mirror: None,
            security_mirror: None,
            keyring: None,
            kernel: "linux-image-cloud-amd64".parse().unwrap(),
            packages: Vec::new(),
            exclude: Vec::new(),
            include: Vec::new(),
            kargs: kargs.iter().map(|karg| karg.parse().unwrap()).collect(),
            initramfs_drivers: drivers.iter().map(|driver| driver.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn arguments_and_drivers_are_files_only_where_there_are_some() {
        let paths = |tier| bootstrap_files(&tier).iter().map(|file| file.path).collect::<Vec<_>>();
        assert_eq!(paths(tier(&[], &[])).len(), 6);
        let all = paths(tier(&["console=ttyS0"], &["virtio_blk"]));
        assert_eq!(all.len(), 8);
        assert!(all.is_sorted());
    }

    #[test]
    fn generated_files_cannot_be_broken_out_of() {
        let files = bootstrap_files(&tier(&[r#"a="b""#, "quiet"], &["virtio_blk"]));
        let content = |path: &str| files.iter().find(|file| file.path.contains(path)).unwrap().content.clone();
        let kargs: toml::Table = content("kargs.d").parse().unwrap();
        assert_eq!(kargs["kargs"].as_array().unwrap()[0].as_str(), Some(r#"a="b""#));
        assert_eq!(content("51-imgbuild-drivers"), "add_drivers+=\" virtio_blk \"\n");
    }
}
