//! qemu-img: one disk format to another.

use crate::sys::Cmd;

use super::ToolVersion;

/// The least version that works.
pub const MINIMUM: ToolVersion = ToolVersion::new(4, 0, 0);
/// Why that much is needed.
pub const MINIMUM_REASON: &str = "which is older than any distribution in support has";

fn program() -> Cmd {
    Cmd::new("qemu-img").package("qemu-utils")
}

/// Prints the version; read with [`ToolVersion::find`].
pub fn version() -> Cmd {
    program().arg("--version")
}

/// Writes the raw disk `from` to `to` as qcow2, over what `to` has. Both paths must be absolute.
pub fn to_qcow2(from: &str, to: &str, compress: bool) -> Cmd {
    let cmd = program().arg("convert").opt("-f", "raw").opt("-O", "qcow2");
    let cmd = if compress { cmd.arg("-c") } else { cmd };
    cmd.args(["--", from, to])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines() {
        insta::assert_snapshot!(to_qcow2("/d/a.raw", "/d/a.qcow2", false), @"qemu-img convert -f raw -O qcow2 -- /d/a.raw /d/a.qcow2");
        insta::assert_snapshot!(to_qcow2("/d/a.raw", "/d/a.qcow2", true), @"qemu-img convert -f raw -O qcow2 -c -- /d/a.raw /d/a.qcow2");
    }
}
