//! A root file system grows on first boot.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::Command;

use imgbuild::disk::ext4::{Parameters, Size};
use imgbuild::model::ByteSize;

use crate::model::{Files, Kind};
use crate::{Image, fit, metadata, model, programs, readers, root, written};

fn some_files() -> Files {
    let mut files = root();
    files.insert(b"d".to_vec(), (metadata(0o755, &[]), Kind::Directory));
    for index in 0..300 {
        let content = vec![7; index * 1000];
        files.insert(format!("d/{index}").into_bytes(), (metadata(0o644, &[]), Kind::File(content)));
    }
    files
}

fn enlarge(image: &Path, bytes: u64) {
    OpenOptions::new().write(true).open(image).unwrap().set_len(bytes).unwrap();
}

fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).env("LC_ALL", "C").output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn image(grows_to: u64) -> (Files, Image) {
    let files = some_files();
    // A kernel without fs-verity mounts a file system with the feature for reading only.
    let image = written(&files, Parameters { grows_to: ByteSize(grows_to), verity: false, ..fit() });
    (files, image)
}

#[test]
fn resize2fs_grows_it() {
    for grows_to in [0, 64 << 30] {
        let (files, image) = image(grows_to);
        enlarge(&image.path, 50 << 30);
        run("resize2fs", &[image.path.to_str().unwrap()]).unwrap();
        programs::check(&image.path);
        assert_eq!(programs::header(&image.path, "Block count"), (50_u64 << 30 >> 12).to_string());
        model::compare("debugfs", &files, &readers::debug(&image.path));
    }
}

/// What `systemd-growfs` does.
#[test]
#[ignore = "needs root with CAP_SYS_RESOURCE and a loop device"]
fn the_kernel_grows_it_while_mounted() {
    for grows_to in [0, 64 << 30] {
        let (files, image) = image(grows_to);
        let point = tempfile::tempdir().unwrap();
        let (path, point) = (image.path.to_str().unwrap(), point.path().to_str().unwrap());
        let device = run("losetup", &["--find", "--show", path]).unwrap();
        run("mount", &[&device, point]).unwrap();
        enlarge(&image.path, 20 << 30);
        let grown = run("losetup", &["--set-capacity", &device]).and_then(|_| run("resize2fs", &[&device]));
        let kept = std::fs::write(Path::new(point).join("new"), vec![1; 10 << 20]);
        run("umount", &[point]).unwrap();
        run("losetup", &["--detach", &device]).unwrap();
        assert!(grown.is_some(), "grows to {grows_to}");
        kept.unwrap();
        programs::check(&image.path);
        let found = readers::debug(&image.path);
        assert!(files.keys().all(|path| found.contains_key(path)));
        assert_eq!(programs::header(&image.path, "Block count"), (20_u64 << 30 >> 12).to_string());
    }
}

#[test]
fn descriptors_have_room_to_grow_as_asked() {
    let blocks = |size, grows_to| {
        let parameters = Parameters { grows_to: ByteSize(grows_to), ..crate::parameters(size) };
        let image = written(&root(), parameters);
        programs::check(&image.path);
        programs::header(&image.path, "Reserved GDT blocks")
    };
    let fit = Size::Fit { free: ByteSize(0) };
    assert_eq!(blocks(fit, 1 << 40), "127");
    assert_eq!(blocks(fit, 8 << 30), "");
    assert_eq!(blocks(Size::Exact(ByteSize(16 << 30)), 1 << 40), "126");
    assert_eq!(blocks(Size::Exact(ByteSize(16 << 20)), 1 << 40), "1", "1024 times its size");
    assert_eq!(blocks(Size::Exact(ByteSize(16 << 30)), 1 << 50), "1024", "as many as the format allows");
}
