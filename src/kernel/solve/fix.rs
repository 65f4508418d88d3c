//! The nearest way out when no kernel is acceptable.

use super::inputs::{Inputs, Swap};
use super::outcome::{Candidate, Rejection, same_flavour};
use super::range::Objection;
use crate::model::{KernelRelease, KmodSetName};

/// Advice about the kernel that is wanted: the pinned one, else the base's.
pub(super) fn nearest(inputs: &Inputs, base: &KernelRelease, wanted: &KernelRelease, rows: &[Candidate]) -> String {
    if let Some(other) = by_swapping(inputs, rows) {
        let set = rows.iter().find(|row| row.release == *other).and_then(|row| row.packages.as_ref());
        let archive = set.map(|set| format!(" from {}", set.provenance)).unwrap_or_default();
        return format!("set `kernel.swap` to \"allow\": it would put in {other}{archive}");
    }
    let rejection = rows.iter().find(|row| row.release == *wanted).and_then(|row| row.rejection.as_ref());
    match rejection {
        Some(Rejection::NoHeaders) => headers(wanted, rows),
        None if wanted == base => headers(wanted, rows),
        None | Some(Rejection::NotInBase | Rejection::NotThePin) => {
            format!("pin {base}, leave the pin out, or take a base with the pinned kernel")
        }
        Some(rejection) => about_rejection(rejection, wanted, rows),
    }
}

/// The newest kernel that only the refusal to swap stands against.
fn by_swapping<'a>(inputs: &Inputs, rows: &'a [Candidate]) -> Option<&'a KernelRelease> {
    if inputs.policy.swap != Swap::Never {
        return None;
    }
    let complete = |row: &&Candidate| row.packages.as_ref().is_some_and(|set| inputs.lacks(set).is_empty());
    let free = rows.iter().filter(|row| row.rejection == Some(Rejection::NotInBase));
    free.filter(complete).filter(|row| !lacks_the_same(inputs, rows, row)).map(|row| &row.release).next()
}

/// Whether a kernel nobody looked into has to be expected to lack what the base's lacks: they are of one flavour.
fn lacks_the_same(inputs: &Inputs, rows: &[Candidate], row: &Candidate) -> bool {
    let base = rows.iter().filter(|row| row.kernel.is_some());
    let mut of_flavour = base.filter(|base| same_flavour(&base.release, &row.release));
    let about_config =
        |objection: &Objection| matches!(objection, Objection::ConfigMissing { .. } | Objection::ConfigPresent { .. });
    let known = inputs.facts.get(&row.release).is_some_and(|facts| facts.config.is_some());
    !known && of_flavour.any(|base| base.objections.values().any(about_config))
}

fn about_rejection(rejection: &Rejection, wanted: &KernelRelease, rows: &[Candidate]) -> String {
    match rejection {
        Rejection::Denied => format!("take {wanted} off the deny list, or take a base with another kernel"),
        Rejection::AboveCeiling(ceiling) => {
            format!("raise the ceiling, or take a base with a kernel up to {ceiling}")
        }
        Rejection::BelowFloor(floor) => format!("lower the floor, or take a base with a kernel from {floor}"),
        Rejection::TooOld(..) => "take a newer base, or raise the maximum age".to_owned(),
        Rejection::Modules { set, objection, .. } => modules(set, objection, wanted, rows),
        Rejection::NoPackages => format!("add a repository that has the packages of {wanted}"),
        Rejection::Incomplete(missing) => format!("add a repository that has {} for {wanted}", missing.join(", ")),
        other => format!("take a base with another kernel: {wanted} is {other}"),
    }
}

fn modules(set: &KmodSetName, objection: &Objection, wanted: &KernelRelease, rows: &[Candidate]) -> String {
    let free =
        |row: &&Candidate| row.headers.is_some() && same_flavour(&row.release, wanted) && row.objections.is_empty();
    let other = match rows.iter().find(free) {
        Some(row) => format!("a base with {}", row.release),
        None => "a base with a kernel that it supports".to_owned(),
    };
    match objection {
        Objection::Arch { machine, .. } => format!("leave {set} out on {machine}, or take a version for it"),
        Objection::ConfigMissing { symbol } => format!("take a base of a flavour with {symbol}, or leave {set} out"),
        Objection::ConfigPresent { symbol } => format!("take a base of a flavour without {symbol}, or leave {set} out"),
        Objection::TooOld { .. } => format!("take an older version of {set}, or {other}"),
        Objection::TooNew { .. } | Objection::KnownBad { .. } => format!("take a newer version of {set}, or {other}"),
        Objection::Pattern { .. } => format!("take another version of {set}, or {other}"),
    }
}

fn headers(release: &KernelRelease, rows: &[Candidate]) -> String {
    let buildable = |row: &&Candidate| row.headers.is_some() && same_flavour(&row.release, release);
    // Newest first: the row of the wanted one separates the newer ones from the older ones.
    let at = rows.iter().position(|row| row.release == *release).unwrap_or(rows.len());
    let newer = rows[..at].iter().rev().find(buildable);
    let older = rows[at..].iter().find(buildable);
    match (newer, older) {
        (Some(newer), Some(older)) => format!(
            "take a base with another kernel (nearest with headers: {} and {}), or add a repository that has headers for {release}",
            newer.release, older.release
        ),
        (Some(newer), None) => format!(
            "the base is older than all headers: take one with {} or newer, or add an archive repository with headers for {release}",
            newer.release
        ),
        (None, Some(older)) => {
            format!("the base is newer than all headers: wait for them, or take a base with {} or older", older.release)
        }
        (None, None) => format!("enable a repository that has headers for {release}"),
    }
}
