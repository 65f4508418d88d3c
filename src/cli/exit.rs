//! Exit codes: part of the interface, listed in the manual page, never renumbered.

use crate::build::check::Area;

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
/// Modules do not fit their kernel.
pub(super) const MODULES: u8 = 10;
/// Something that only builds need is in an image.
pub(super) const LEFTOVERS: u8 = 11;
/// A private key is in an image. The most severe: it decides when several kinds are found, then modules, leftovers
/// and booting.
pub(super) const PRIVATE_KEY: u8 = 12;
/// An image would not boot, or breaks the rules of bootable images.
pub(super) const BOOTABILITY: u8 = 13;
/// An image is not signed or attested as asked.
pub(super) const SIGNATURE: u8 = 14;
/// A disk is damaged, or is not what its image says.
pub(super) const DISK: u8 = 15;
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
    (MODULES, "kernel modules do not fit their kernel, or are not signed as asked"),
    (LEFTOVERS, "an image holds compilers, headers or other things that only builds need"),
    (PRIVATE_KEY, "an image holds a private key; decides when other kinds are found as well"),
    (BOOTABILITY, "an image would not boot, or breaks the rules of bootable images"),
    (SIGNATURE, "an image is not signed or attested as asked"),
    (DISK, "a disk is damaged, or is not what its image says"),
    (INTERRUPTED, "stopped by a signal"),
];

/// The code of the most severe kind of what a check found.
pub(super) const fn of_area(area: Option<Area>) -> u8 {
    match area {
        None => SUCCESS,
        Some(Area::Keys) => PRIVATE_KEY,
        Some(Area::Modules) => MODULES,
        Some(Area::Leftovers) => LEFTOVERS,
        Some(Area::Boot) => BOOTABILITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_every_kind_of_finding_has_one() {
        let mut codes: Vec<u8> = ALL.iter().map(|(code, _)| *code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), ALL.len());
        let listed = |code: u8| ALL.iter().any(|(known, _)| *known == code);
        assert!(Area::ALL.iter().all(|area| of_area(Some(*area)) >= MODULES && listed(of_area(Some(*area)))));
        assert_eq!(of_area(None), SUCCESS);
    }
}
