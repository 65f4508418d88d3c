//! Mounts that programs left behind.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use rustix::mount::{UnmountFlags, unmount};

/// Unmounts everything mounted below `path` (or at it), the deepest first.
///
/// # Errors
/// When the mount table cannot be read or an unmount is refused.
pub fn unmount_below(path: &Path) -> io::Result<()> {
    let mut points = below(&std::fs::read("/proc/self/mountinfo")?, path);
    points.sort();
    for point in points.iter().rev() {
        unmount(point, UnmountFlags::DETACH)?;
    }
    Ok(())
}

/// Whether the running kernel has a file system of this name, built in or as a loaded module.
pub fn kernel_has(file_system: &str) -> bool {
    let listed = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    listed.lines().any(|line| line.split_whitespace().next_back() == Some(file_system))
}

/// Whether a folder lies on an overlay.
pub fn is_overlay(dir: &cap_std::fs_utf8::Dir) -> bool {
    const OVERLAYFS_SUPER_MAGIC: u64 = 0x794c_7630;
    rustix::fs::fstatfs(dir)
        .is_ok_and(|stat| u64::try_from(stat.f_type).is_ok_and(|kind| kind == OVERLAYFS_SUPER_MAGIC))
}

/// Mount points at or below `path` in the text of proc_pid_mountinfo(5).
fn below(mountinfo: &[u8], path: &Path) -> Vec<PathBuf> {
    let fifth = |line: &[u8]| line.split(|byte| *byte == b' ').nth(4).map(unescape);
    mountinfo.split(|byte| *byte == b'\n').filter_map(fifth).filter(|point| point.starts_with(path)).collect()
}

/// Blanks, tabs, newlines and backslashes are written as three octal digits.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, tail)) = rest.split_first() {
        let code = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(code) if byte == b'\\' => {
                bytes.push(code);
                rest = &tail[3..];
            }
            _ => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_mounts_below_a_path_and_only_those() {
        let text = b"36 35 98:0 / /s/tmp rw - ext4 /dev/x rw\n37 36 0:1 / /s/tmp/a\\040b/overlay rw - overlay o rw\n38 36 0:1 / /s/tmpx rw - tmpfs t rw\n";
        assert_eq!(below(text, Path::new("/s/tmp/a b")), [PathBuf::from("/s/tmp/a b/overlay")]);
        assert_eq!(below(text, Path::new("/s/tmp")).len(), 2);
    }
}
