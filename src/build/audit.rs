//! The audit trail: one JSON object a line, each carrying the SHA-256 of the line before it.
//!
//! A line that is changed, removed or inserted breaks the chain at the next
//! line. Cutting off the newest lines cannot be seen from the file alone, which
//! is why [`verify`] returns the head: compare it with one kept elsewhere.

use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};

use cap_std::fs_utf8::{Dir, OpenOptions};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::model::hex;
use crate::sys::{FileLock, LockError, LockKind, clock};

/// Name of the file in the store.
const FILE: &str = "audit.jsonl";

/// `prev` of the first line.
const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// No line is longer; a longer one was not written by imgbuild.
const MAX_LINE: u64 = 1 << 20;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the verbs explain themselves")]
pub enum Verb {
    Resolve,
    Fetch,
    CacheHit,
    Materialize,
    Verify,
    Build,
    Attach,
    Sign,
    Attest,
    Delete,
}

/// One event, before it is chained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// What happened.
    pub verb: Verb,
    /// To what: an image name, a reference, a package, a digest.
    pub subject: String,
    /// Digest of the subject, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Anything else worth knowing, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Event {
    /// An event about `subject`.
    pub fn new(verb: Verb, subject: impl Into<String>) -> Self {
        Self { verb, subject: subject.into(), digest: None, detail: None }
    }

    /// Adds the digest of the subject.
    #[must_use]
    pub fn digest(mut self, digest: &(impl ToString + ?Sized)) -> Self {
        self.digest = Some(digest.to_string());
        self
    }

    /// Adds words.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// When, in RFC 3339.
    pub time: String,
    /// The run it belongs to.
    pub run: String,
    /// The event.
    pub event: Event,
    /// SHA-256 of the previous line without its newline; zeros in the first line.
    pub prev: String,
}

/// A trail that cannot be read, written or trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum AuditError {
    #[error("{action} `{FILE}`")]
    Io { action: &'static str, source: std::io::Error },
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("`{FILE}` line {line}: not an audit line: {reason}")]
    Malformed { line: u64, reason: String },
    #[error("`{FILE}` line {line}: the chain is broken: it says the line before it has the digest {claimed}, but that is {actual}; line {} was changed, removed or inserted", .line - 1)]
    Broken { line: u64, claimed: String, actual: String },
}

/// Result of checking a whole trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Number of lines.
    pub lines: u64,
    /// SHA-256 of the last line; keep it elsewhere to notice when lines are cut off.
    pub head: String,
}

/// Appends events of one run.
#[derive(Debug)]
pub struct Audit {
    dir: Dir,
    run: String,
}

impl Audit {
    /// The trail in `dir`, for the run `run`.
    pub fn new(dir: Dir, run: impl Into<String>) -> Self {
        Self { dir, run: run.into() }
    }

    /// Appends one event and syncs it to disk. A last line without its newline, left by a full disk or a power
    /// cut, was never acknowledged to anybody and is dropped.
    ///
    /// # Errors
    /// When the file cannot be locked, read or written.
    pub fn record(&self, event: Event) -> Result<(), AuditError> {
        self.record_all([event])
    }

    /// Appends several events with one sync.
    ///
    /// # Errors
    /// As [`Audit::record`].
    pub fn record_all(&self, events: impl IntoIterator<Item = Event>) -> Result<(), AuditError> {
        let _lock = FileLock::acquire(&self.dir, ".audit.lock", LockKind::Exclusive)?;
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        let mut file = self.dir.open_with(FILE, &options).map_err(io("opening"))?;
        let mut prev = last_digest(&mut file)?;
        let mut text = String::new();
        for event in events {
            let line = Line { time: clock::now_rfc3339(), run: self.run.clone(), event, prev };
            let json = serde_json::to_string(&line).expect("plain data serialises");
            prev = hex(&Sha256::digest(json.as_bytes()));
            text.push_str(&json);
            text.push('\n');
        }
        file.write_all(text.as_bytes()).map_err(io("writing"))?;
        file.sync_data().map_err(io("syncing"))
    }
}

fn io(action: &'static str) -> impl Fn(std::io::Error) -> AuditError {
    move |source| AuditError::Io { action, source }
}

/// Digest of the last complete line, after cutting off an incomplete one.
fn last_digest(file: &mut cap_std::fs_utf8::File) -> Result<String, AuditError> {
    let end = file.seek(SeekFrom::End(0)).map_err(io("reading"))?;
    let from = end.saturating_sub(2 * MAX_LINE);
    file.seek(SeekFrom::Start(from)).map_err(io("reading"))?;
    let mut tail = Vec::new();
    file.take(2 * MAX_LINE).read_to_end(&mut tail).map_err(io("reading"))?;
    let complete = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if complete < tail.len() {
        file.set_len(from + complete as u64).map_err(io("repairing"))?;
    }
    let Some(body) = tail[..complete].strip_suffix(b"\n") else { return Ok(GENESIS.to_owned()) };
    let start = body.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    Ok(hex(&Sha256::digest(&body[start..])))
}

/// Reads every line of the trail in `dir`; an absent trail is empty.
///
/// # Errors
/// When the file cannot be read or a line is not an audit line.
pub fn read(dir: &Dir) -> Result<Vec<Line>, AuditError> {
    let mut lines = Vec::new();
    walk(dir, |line, _| {
        lines.push(line);
        Ok(())
    })?;
    Ok(lines)
}

/// Checks that every line carries the digest of the one before it.
///
/// # Errors
/// [`AuditError::Broken`] at the first break, or when the file cannot be read.
pub fn verify(dir: &Dir) -> Result<Verified, AuditError> {
    let mut result = Verified { lines: 0, head: GENESIS.to_owned() };
    walk(dir, |line, digest| {
        result.lines += 1;
        if line.prev != result.head {
            return Err(AuditError::Broken { line: result.lines, claimed: line.prev, actual: result.head.clone() });
        }
        result.head = digest;
        Ok(())
    })?;
    Ok(result)
}

fn walk(dir: &Dir, mut each: impl FnMut(Line, String) -> Result<(), AuditError>) -> Result<(), AuditError> {
    let file = match dir.open(FILE) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io("opening")(error)),
    };
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let text = line.map_err(io("reading"))?;
        let line = serde_json::from_str(&text)
            .map_err(|error| AuditError::Malformed { line: number, reason: error.to_string() })?;
        each(line, hex(&Sha256::digest(text.as_bytes())))?;
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests tamper with the file on purpose")]
mod tests {
    use super::*;

    fn trail(lines: usize) -> (tempfile::TempDir, Dir) {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(temp.path().to_str().unwrap(), cap_std::ambient_authority()).unwrap();
        let audit = Audit::new(dir.try_clone().unwrap(), "run-1");
        for number in 0..lines {
            audit.record(Event::new(Verb::Build, format!("tier1/{number}")).digest("sha256:00")).unwrap();
        }
        (temp, dir)
    }

    #[test]
    fn an_untouched_trail_verifies_and_an_absent_one_is_empty() {
        let (_temp, dir) = trail(3);
        assert_eq!(verify(&dir).unwrap().lines, 3);
        assert_eq!(read(&dir).unwrap()[2].event.subject, "tier1/2");
        let (_temp, dir) = trail(0);
        assert_eq!(verify(&dir).unwrap(), Verified { lines: 0, head: GENESIS.to_owned() });
    }

    #[test]
    fn every_kind_of_tampering_breaks_the_chain_at_a_named_line() {
        type Tamper = fn(&mut Vec<String>);
        let cases: [(&str, Tamper, u64); 4] = [
            ("remove", |lines| drop(lines.remove(1)), 2),
            ("change", |lines| lines[1] = lines[1].replace("tier1/1", "tier1/x"), 3),
            ("swap", |lines| lines.swap(0, 1), 1),
            ("insert", |lines| lines.insert(1, lines[1].clone()), 3),
        ];
        for (name, tamper, broken_at) in cases {
            let (temp, dir) = trail(4);
            let path = temp.path().join(FILE);
            let mut lines: Vec<String> = std::fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
            tamper(&mut lines);
            std::fs::write(&path, lines.join("\n") + "\n").unwrap();
            let error = verify(&dir).unwrap_err();
            assert!(matches!(error, AuditError::Broken { line, .. } if line == broken_at), "{name}: {error}");
        }
    }

    #[test]
    fn a_torn_last_line_is_dropped_and_the_chain_goes_on() {
        let (temp, dir) = trail(2);
        let path = temp.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 10]).unwrap();
        Audit::new(dir.try_clone().unwrap(), "run-2").record(Event::new(Verb::Delete, "x")).unwrap();
        assert_eq!(verify(&dir).unwrap().lines, 2);
        std::fs::write(&path, "{\"half").unwrap();
        Audit::new(dir.try_clone().unwrap(), "run-3").record(Event::new(Verb::Delete, "y")).unwrap();
        assert_eq!(verify(&dir).unwrap().lines, 1);
    }
}
