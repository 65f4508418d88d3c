//! setpriv(1): ties a command to the life of its starter.

use crate::sys::Cmd;

/// Wraps `cmd` so that the kernel kills it when imgbuild ends, however imgbuild ends.
///
/// The exit code is the command's; a command that does not exist ends with 127.
#[must_use]
pub fn dying_with_starter(cmd: Cmd) -> Cmd {
    cmd.wrapped_in("setpriv", ["--pdeathsig", "KILL", "--"]).package("util-linux")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_follows_the_options() {
        let cmd = dying_with_starter(Cmd::new("qemu-system-x86_64").arg("-S"));
        insta::assert_snapshot!(cmd, @"setpriv --pdeathsig KILL -- qemu-system-x86_64 -S");
    }
}
