//! Exit codes: part of the interface, listed in the manual page, never renumbered.

/// Everything was done.
pub(super) const SUCCESS: u8 = 0;
/// A step failed.
pub(super) const FAILURE: u8 = 1;
/// The command line is wrong (clap's own code).
pub(super) const USAGE: u8 = 2;
/// The definition or the lock file has errors.
pub(super) const DEFINITION: u8 = 3;
/// This machine lacks something; see `imgbuild doctor`.
pub(super) const MISSING: u8 = 4;
/// The lock does not match the definition, and `--locked` forbids changing it.
pub(super) const DRIFT: u8 = 5;
/// No kernel satisfies the modules and the policy, or an image has not exactly one.
pub(super) const NO_KERNEL: u8 = 6;
/// Something was checked and found wrong.
pub(super) const CHECK: u8 = 7;
/// Stopped by a signal.
pub(super) const INTERRUPTED: u8 = 130;

/// All codes with their meaning, for the manual page.
pub(super) const ALL: &[(u8, &str)] = &[
    (SUCCESS, "everything was done"),
    (FAILURE, "a step failed"),
    (USAGE, "the command line is wrong"),
    (DEFINITION, "the definition or the lock file has errors"),
    (MISSING, "this machine lacks something; see imgbuild doctor"),
    (DRIFT, "the lock does not match the definition, and --locked forbids changing it"),
    (NO_KERNEL, "no kernel satisfies the modules and the policy, or an image has not exactly one"),
    (CHECK, "something was checked and found wrong"),
    (INTERRUPTED, "stopped by a signal"),
];
