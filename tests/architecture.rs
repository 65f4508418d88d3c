//! The rooms see each other in one direction only.
//!
//! Reads the source as text: every `crate::ROOM` in a room's files must be an
//! edge listed here. A new edge is a decision, made by changing this table.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Each room and the rooms it may see.
const EDGES: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("sys", &[]),
    ("oci", &["model", "sys"]),
    ("disk", &["model", "sys", "oci"]),
    ("kernel", &["model", "sys", "oci"]),
    ("kmod", &["model", "sys", "oci"]),
    ("lint", &["model", "oci"]),
    ("sbom", &["model", "oci"]),
    ("config", &["model", "sys", "oci"]),
    ("sign", &["model", "oci"]),
    ("tool", &["model", "sys", "oci"]),
    ("plan", &["model", "config", "kernel"]),
    ("build", &["model", "sys", "oci", "kernel", "kmod", "lint", "config", "tool", "plan", "disk", "sbom", "sign"]),
    ("cli", &["model", "sys", "config", "plan", "build"]),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// Rooms named by `crate::…` in a file, outside comments.
fn seen(text: &str) -> BTreeSet<String> {
    let code = text.lines().map(str::trim_start).filter(|line| !line.starts_with("//"));
    code.flat_map(|line| line.split("crate::").skip(1).map(str::to_owned))
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect())
        .collect()
}

#[test]
fn every_edge_between_rooms_is_allowed() {
    let mut wrong = Vec::new();
    for (room, allowed) in EDGES {
        for file in sources(&Path::new("src").join(room)) {
            let text = std::fs::read_to_string(&file).unwrap();
            for other in seen(&text) {
                let known = EDGES.iter().any(|(name, _)| *name == other);
                if known && other != *room && !allowed.contains(&other.as_str()) {
                    wrong.push(format!("{}: {room} must not see {other}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_room_is_in_the_table() {
    let rooms: BTreeSet<_> = std::fs::read_dir("src")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    let listed: BTreeSet<_> = EDGES.iter().map(|(room, _)| (*room).to_owned()).collect();
    assert_eq!(rooms, listed);
}

#[test]
fn pure_rooms_touch_nothing() {
    const BANNED: &[&str] = &["std::fs", "std::process", "std::env", "std::time::SystemTime", "std::net::Tcp"];
    let mut wrong = Vec::new();
    for room in ["model", "kernel", "lint", "plan", "disk", "sbom", "sign"] {
        let is_test =
            |file: &PathBuf| file.ends_with("tests.rs") || file.components().any(|part| part.as_os_str() == "tests");
        for file in sources(&Path::new("src").join(room)).into_iter().filter(|file| !is_test(file)) {
            let text = std::fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let found = BANNED.iter().filter(|banned| code.contains(**banned));
            wrong.extend(found.map(|banned| format!("{}: {banned}", file.display())));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn files_stay_readable_in_one_sitting() {
    let long: Vec<_> = sources(Path::new("src"))
        .into_iter()
        .map(|file| (std::fs::read_to_string(&file).unwrap().lines().count(), file))
        .filter(|(lines, _)| *lines > 500)
        .collect();
    assert!(long.is_empty(), "over 500 lines: {long:?}");
}
