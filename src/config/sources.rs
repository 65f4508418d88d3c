//! The files of a project that become part of an image: they exist, and hold no secret.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use cap_std::fs_utf8::Dir;

use super::error::{ConfigErrorKind, ConfigErrors, Finding};
use super::folder::map_files;
use super::load::Files;
use super::names::{NameRef, RefKind};
use super::rules::{is_public_key, secret_in};
use super::secrets::{self, Secret};

/// So many of the places that name one file are listed; a thousand hosts may.
const SHOWN_PLACES: usize = 3;

/// What one file turned out to be.
#[derive(Debug)]
enum Verdict {
    Fine,
    /// Reported once, in the file itself.
    Wrong(Vec<Finding>, String),
    /// No text, so there is no line to show: reported where the file is named.
    SecretInBinary(Secret),
    Unreadable(io::Error),
}

/// Reads every file the hosts and tiers name, once, however many name it.
pub(super) fn check(files: &mut Files, dir: &Dir) {
    let is_file = |name: &&NameRef| matches!(name.kind, RefKind::Source | RefKind::PublicKeys);
    let hosts = files.hosts.values().flat_map(|host| &host.refs);
    let tiers = files.tiers.values().flat_map(|tier| &tier.refs);
    let wanted: BTreeSet<(String, RefKind)> =
        hosts.chain(tiers).filter(is_file).map(|name| (name.name.clone(), name.kind)).collect();
    let judge = |(path, kind): (String, RefKind)| {
        let verdict = judge(dir.read(&path), kind);
        ((path, kind), verdict)
    };
    let verdicts: BTreeMap<(String, RefKind), Verdict> =
        map_files(wanted.into_iter().collect(), judge).into_iter().collect();
    let answer = |refs: &[NameRef]| -> Vec<Finding> {
        let finding = |name: &NameRef| {
            let verdict = verdicts.get(&(name.name.clone(), name.kind))?;
            at_use(&name.name, verdict).map(|kind| Finding::at(name.span.clone(), kind).help(help(verdict)))
        };
        refs.iter().filter_map(finding).collect()
    };
    files.hosts.values_mut().for_each(|host| host.findings.extend(answer(&host.refs)));
    files.tiers.values_mut().for_each(|tier| tier.findings.extend(answer(&tier.refs)));
    for ((path, kind), verdict) in verdicts {
        if let Verdict::Wrong(findings, text) = verdict {
            let places = places(files, &path, kind);
            let findings = findings.into_iter().map(|finding| finding.more_help(&places)).collect();
            files.others.extend(ConfigErrors::of_file(&path, Some(&text), findings));
        }
    }
}

/// The lines that make a file part of an image, for the message about the file.
fn places(files: &Files, path: &str, kind: RefKind) -> String {
    let hosts = files.hosts.values().flat_map(|host| host.places_of(kind, path));
    let tiers = files.tiers.values().flat_map(|tier| tier.places_of(kind, path));
    let mut places: Vec<_> = hosts.chain(tiers).collect();
    let more = places.len().saturating_sub(SHOWN_PLACES);
    places.truncate(SHOWN_PLACES);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("it is named by {}{more}", places.join(", "))
}

fn judge(bytes: io::Result<Vec<u8>>, kind: RefKind) -> Verdict {
    let text = match bytes.map(String::from_utf8) {
        Err(error) => return Verdict::Unreadable(error),
        Ok(Err(error)) => return secrets::find(error.as_bytes()).map_or(Verdict::Fine, Verdict::SecretInBinary),
        Ok(Ok(text)) => text,
    };
    let mut findings: Vec<Finding> = secret_in(&text).into_iter().collect();
    if findings.is_empty() && kind == RefKind::PublicKeys {
        findings = other_than_keys(&text);
    }
    if findings.is_empty() { Verdict::Fine } else { Verdict::Wrong(findings, text) }
}

/// Lines that are neither keys nor comments.
fn other_than_keys(text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let words = line.trim();
        if !words.is_empty() && !words.starts_with('#') && !is_public_key(words) {
            let reason = "not a line of authorized_keys".to_owned();
            findings.push(Finding::at(start..start + line.trim_end().len(), ConfigErrorKind::BadValue { reason }));
        }
        start += line.len();
    }
    findings
}

/// What the place that names the file has to answer for.
fn at_use(path: &str, verdict: &Verdict) -> Option<ConfigErrorKind> {
    let path = path.to_owned();
    match verdict {
        Verdict::Fine | Verdict::Wrong(..) => None,
        Verdict::SecretInBinary(secret) => Some(ConfigErrorKind::Secret { kind: secret.kind }),
        Verdict::Unreadable(error) if error.kind() == io::ErrorKind::NotFound => {
            Some(ConfigErrorKind::MissingFile { path })
        }
        // Several hosts may name the file, and an `io::Error` cannot be cloned.
        Verdict::Unreadable(error) => Some(ConfigErrorKind::Unreadable {
            path,
            source: error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error),
        }),
    }
}

fn help(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Unreadable(_) => "paths are relative to the project",
        _ => super::rules::SECRET_HELP,
    }
}
