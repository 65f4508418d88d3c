//! e2fsprogs, asked about a file.

use std::path::Path;
use std::process::Command;

/// `e2fsck` finds nothing to say.
pub(crate) fn check(image: &Path) {
    let output = Command::new("e2fsck").arg("-fn").arg(image).env("LC_ALL", "C").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints: Vec<_> =
        said.lines().filter(|line| !line.starts_with("Pass ") && !line.contains("files (")).collect();
    assert!(
        output.status.success() && complaints.is_empty(),
        "e2fsck: {said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
