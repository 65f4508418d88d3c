//! unshare(1): runs another command without network, in namespaces of its own.

use crate::sys::Cmd;

/// Wraps `cmd` so that it has no network and leaves no process behind.
///
/// The mount and process namespaces are there for the second half: everything
/// the command started ends with it, also when it is killed, and mounts it
/// made are not seen by the rest of the machine. Needs root. The exit code is
/// the command's; a command that does not exist ends with 127.
#[must_use]
pub fn without_network(cmd: Cmd) -> Cmd {
    cmd.wrapped_in("unshare", ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"])
        .package("util-linux")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_follows_the_options() {
        insta::assert_snapshot!(
            without_network(Cmd::new("buildah").env("TMPDIR", "/w/tmp").arg("build")),
            @"TMPDIR=/w/tmp unshare --net --mount --pid --fork --kill-child --mount-proc -- buildah build"
        );
    }
}
