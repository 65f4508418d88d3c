//! e2fsprogs, asked about a file.

use std::path::Path;
use std::process::Command;

/// `e2fsck` finds nothing to say.
pub(crate) fn check(image: &Path) {
    let output = Command::new("e2fsck").arg("-fn").arg(image).env("LC_ALL", "C").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints = said.lines().filter(|line| !line.starts_with("Pass ") && !line.contains(" files ("));
    let clean = output.status.success() && complaints.count() == 0;
    assert!(clean, "e2fsck: {said}{}", String::from_utf8_lossy(&output.stderr));
}

/// The answers of `debugfs` to each command.
pub(crate) fn debugfs(image: &Path, commands: &[String]) -> Vec<Vec<u8>> {
    if commands.is_empty() {
        return Vec::new();
    }
    let script = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(script.path(), commands.join("\n") + "\n").unwrap();
    let output = Command::new("debugfs").arg("-f").arg(script.path()).arg(image).env("LC_ALL", "C").output().unwrap();
    assert!(output.status.success());
    let mut answers: Vec<Vec<u8>> = Vec::new();
    for line in output.stdout.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b"debugfs: ") {
            answers.push(Vec::new());
        } else {
            answers.last_mut().unwrap().extend_from_slice(line);
        }
    }
    assert_eq!(answers.len(), commands.len(), "{}", String::from_utf8_lossy(&output.stderr));
    answers
}

/// The value behind `key:` in what `dumpe2fs -h` prints.
pub(crate) fn header(image: &Path, key: &str) -> String {
    let output = Command::new("dumpe2fs").arg("-h").arg(image).env("LC_ALL", "C").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = said.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.unwrap_or_default().trim().to_owned()
}
