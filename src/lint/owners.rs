//! Owners that the image has no name for.

use std::collections::{BTreeMap, BTreeSet};

use super::Image;
use super::code::Code;
use super::contents::files_in;
use super::findings::{Findings, absolute};

/// Numbers that have names.
#[derive(Debug, Default)]
struct Known {
    users: BTreeSet<u32>,
    groups: BTreeSet<u32>,
}

pub(super) fn check(image: &Image<'_>, findings: &mut Findings) {
    let known = known(image);
    // By kind and number: a path, and how many there are.
    let mut unknown: BTreeMap<(&str, u32), (Vec<u8>, usize)> = BTreeMap::new();
    for entry in image.tree.walk() {
        let metadata = entry.node.metadata();
        let user = Some(("user", metadata.uid)).filter(|_| !known.users.contains(&metadata.uid));
        let group = Some(("group", metadata.gid)).filter(|_| !known.groups.contains(&metadata.gid));
        for owner in [user, group].into_iter().flatten() {
            unknown.entry(owner).or_insert_with(|| (entry.path.clone(), 0)).1 += 1;
        }
    }
    for ((kind, number), (path, count)) in unknown {
        let message = match count {
            1 => format!("owns {}, and has no name", absolute(path)),
            _ => format!("owns {} and {} more, and has no name", absolute(path), count - 1),
        };
        findings.add(Code::OwnerUnknown, format!("{kind} {number}"), message);
    }
}

/// Of `/etc`, of Fedora's second files in `/usr/lib`, and of accounts that sysusers.d makes with a number.
fn known(image: &Image<'_>) -> Known {
    let text = |path: &[u8]| String::from_utf8_lossy(image.read(path).unwrap_or_default());
    let numbers = |path: &str| text(path.as_bytes()).lines().filter_map(account_number).collect::<Vec<_>>();
    let mut known = Known::default();
    known.users.extend(["etc/passwd", "usr/lib/passwd"].into_iter().flat_map(numbers));
    known.groups.extend(["etc/group", "usr/lib/group"].into_iter().flat_map(numbers));
    for path in files_in(image.tree, "usr/lib/sysusers.d", ".conf") {
        text(&path).lines().for_each(|line| declare(line, &mut known));
    }
    // Always there, in every image.
    known.users.insert(0);
    known.groups.insert(0);
    known
}

/// Number in a line of passwd(5) or group(5).
fn account_number(line: &str) -> Option<u32> {
    line.split(':').nth(2)?.parse().ok()
}

/// Takes the numbers of a line of sysusers.d(5): `UID`, `UID:GID`, or for a group `GID`.
fn declare(line: &str, known: &mut Known) {
    let mut words = line.split_whitespace();
    let (kind, Some(id)) = (words.next(), words.nth(1)) else { return };
    let (first, second) = id.split_once(':').unwrap_or((id, id));
    if matches!(kind, Some("u" | "u!")) {
        known.users.extend(first.parse::<u32>());
    }
    if matches!(kind, Some("u" | "u!" | "g")) {
        known.groups.extend(second.parse::<u32>());
    }
}
