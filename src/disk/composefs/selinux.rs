//! SELinux labels of files by a policy's `file_contexts`.
//!
//! Follows file_contexts(5) as composefs-rs 0.9 reads it, because labels are part of an image's id: the last
//! entry that matches counts, whether it is a pattern or literal. `setfiles` prefers literal entries.

use pcre2::bytes::Regex;
use regex_automata::hybrid::{BuildError, dfa};
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};

use std::collections::BTreeMap;

use crate::oci::tree::Kind;

/// The attribute a label is kept in.
pub const SELINUX_XATTR: &[u8] = b"security.selinux";

/// Memory for states of the automaton, in bytes.
const CACHE: usize = 10_000_000;

/// A policy that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum PolicyError {
    #[error("`/{path}` is not there")]
    Missing { path: String },
    #[error("`/{path}` is not a regular file")]
    NotAFile { path: String },
    #[error("`{file}` is not UTF-8")]
    NotUtf8 { file: String },
    #[error("`{file}`, line {line}: {problem}")]
    Line { file: String, line: usize, problem: LineProblem },
    #[error("pattern `{pattern}`")]
    Pattern { pattern: String, source: Box<pcre2::Error> },
    #[error("the patterns together")]
    Patterns(#[source] Box<BuildError>),
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum LineProblem {
    #[error("nothing behind the first word")]
    Short,
    #[error("no context")]
    NoContext,
    #[error("not a type of file")]
    Type,
    #[error("words behind the last one")]
    Trailing,
}

/// The types of files a policy tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum FileKind {
    Regular,
    Directory,
    Symlink,
    CharDevice,
    BlockDevice,
    Fifo,
}

impl FileKind {
    /// The kind of a file of a tree.
    pub fn of(kind: &Kind) -> Self {
        match kind {
            Kind::Directory(_) => Self::Directory,
            Kind::File(_) => Self::Regular,
            Kind::Symlink(_) => Self::Symlink,
            Kind::CharDevice { .. } => Self::CharDevice,
            Kind::BlockDevice { .. } => Self::BlockDevice,
            Kind::Fifo => Self::Fifo,
        }
    }

    /// Its letter in file_contexts(5).
    const fn letter(self) -> u8 {
        match self {
            Self::Regular => b'-',
            Self::Directory => b'd',
            Self::Symlink => b'l',
            Self::CharDevice => b'c',
            Self::BlockDevice => b'b',
            Self::Fifo => b'p',
        }
    }
}

/// The name of the policy that `/etc/selinux/config` chooses.
pub(super) fn parse_policy_name(config: &str) -> Option<&str> {
    let pairs = config.lines().filter_map(|line| line.split_once('='));
    // The key of a comment begins with `#`.
    pairs.into_iter().find(|(key, _)| key.trim().eq_ignore_ascii_case("SELINUXTYPE")).map(|(_, value)| value.trim())
}

/// Which label a file gets, by path and kind.
pub struct FileContexts {
    /// Paths that are looked up as others.
    substitutions: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The patterns an automaton can do, and the number of each among all.
    automaton: Option<Automaton>,
    /// The others, such as those that look around, by number.
    others: Vec<(usize, Regex)>,
    /// By number: later entries of the policy have lower numbers.
    contexts: Vec<String>,
}

struct Automaton {
    dfa: dfa::DFA,
    cache: dfa::Cache,
    numbers: Vec<usize>,
}

impl std::fmt::Debug for FileContexts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileContexts").field("contexts", &self.contexts.len()).finish_non_exhaustive()
    }
}

/// A pattern over path and kind, and its context.
type Entry = (String, String);
/// A path and the one that is looked up in its place.
type Substitution = (Vec<u8>, Vec<u8>);

impl FileContexts {
    /// From the files of `/etc/selinux/NAME/contexts/files` that `read` gives by name.
    ///
    /// # Errors
    /// When `read` fails, there is no `file_contexts`, or a file cannot be understood.
    pub fn load<E: From<PolicyError>>(mut read: impl FnMut(&str) -> Result<Option<Vec<u8>>, E>) -> Result<Self, E> {
        let mut entries = Vec::new();
        let mut substitutions = BTreeMap::new();
        let text =
            |file: &str, bytes| String::from_utf8(bytes).map_err(|_| PolicyError::NotUtf8 { file: file.to_owned() });
        for file in ["file_contexts", "file_contexts.local", "file_contexts.homedirs"] {
            match read(file)? {
                Some(bytes) => entries.extend(parse_contexts(file, &text(file, bytes)?)?),
                None if file == "file_contexts" => return Err(PolicyError::Missing { path: file.to_owned() }.into()),
                None => {}
            }
        }
        for file in ["file_contexts.subs", "file_contexts.subs_dist"] {
            if let Some(bytes) = read(file)? {
                substitutions.extend(parse_substitutions(file, &text(file, bytes)?)?);
            }
        }
        Ok(Self::new(entries, substitutions)?)
    }

    fn new(mut entries: Vec<Entry>, substitutions: BTreeMap<Vec<u8>, Vec<u8>>) -> Result<Self, PolicyError> {
        // The last entry that matches counts; matchers prefer the first.
        entries.reverse();
        let (patterns, contexts): (Vec<String>, Vec<String>) = entries.into_iter().unzip();
        let mut numbers = Vec::new();
        let mut simple = Vec::new();
        let mut others = Vec::new();
        for (number, pattern) in patterns.iter().enumerate() {
            if syntax::parse_with(pattern, &syntax_config()).is_ok() {
                numbers.push(number);
                simple.push(pattern.as_str());
            } else {
                let failed = |source| PolicyError::Pattern { pattern: pattern.clone(), source: Box::new(source) };
                others.push((number, Regex::new(pattern).map_err(failed)?));
            }
        }
        let automaton = if simple.is_empty() { None } else { Some(Automaton::new(&simple, numbers)?) };
        Ok(Self { substitutions, automaton, others, contexts })
    }

    /// The path that is looked up in the place of this one.
    pub(super) fn substitute(&self, path: Vec<u8>) -> Vec<u8> {
        self.substitutions.get(&path).cloned().unwrap_or(path)
    }

    /// The label of a file with this absolute path; `None` when it gets none.
    pub fn lookup(&mut self, path: &[u8], kind: FileKind) -> Option<&str> {
        let key = [path, &[kind.letter()]].concat();
        let mut best = self.automaton.as_mut().and_then(|automaton| automaton.lookup(&key));
        for (number, regex) in &self.others {
            if best.is_some_and(|best| *number >= best) {
                break;
            }
            if regex.is_match(&key).unwrap_or(false) {
                best = Some(*number);
                break;
            }
        }
        best.map(|number| self.contexts[number].as_str()).filter(|context| *context != "<<none>>")
    }
}

fn syntax_config() -> syntax::Config {
    syntax::Config::new().unicode(false).utf8(false).line_terminator(0)
}

impl Automaton {
    fn new(patterns: &[&str], numbers: Vec<usize>) -> Result<Self, PolicyError> {
        let mut builder = dfa::Builder::new();
        builder.syntax(syntax_config());
        builder.configure(dfa::Config::new().cache_capacity(CACHE).skip_cache_capacity_check(true));
        let dfa = builder.build_many(patterns).map_err(|error| PolicyError::Patterns(Box::new(error)))?;
        let cache = dfa.create_cache();
        Ok(Self { dfa, cache, numbers })
    }

    fn lookup(&mut self, key: &[u8]) -> Option<usize> {
        let input = Input::new(key).anchored(Anchored::Yes);
        let found = self.dfa.try_search_fwd(&mut self.cache, &input);
        let found = found.expect("it may clear its cache as often as it likes, and no byte makes it give up");
        found.map(|found| self.numbers[found.pattern().as_usize()])
    }
}

/// Lines with something on them, each with its number, as words.
fn lines(text: &str) -> impl Iterator<Item = (usize, Vec<&str>)> {
    let words = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    (1..).zip(words).filter(|(_, words)| words.first().is_some_and(|word| !word.starts_with('#')))
}

fn parse_contexts(file: &str, text: &str) -> Result<Vec<Entry>, PolicyError> {
    let entry = |(line, words): (usize, Vec<&str>)| {
        let error = |problem| PolicyError::Line { file: file.to_owned(), line, problem };
        let (kind, context) = match words[1..] {
            [] => return Err(error(LineProblem::Short)),
            [kind] if kind.starts_with('-') => {
                return Err(error(kind_letter(kind).map_or(LineProblem::Type, |_| LineProblem::NoContext)));
            }
            [context] => (".", context),
            [kind, context] if kind.starts_with('-') => (kind_letter(kind).ok_or(error(LineProblem::Type))?, context),
            _ => return Err(error(LineProblem::Trailing)),
        };
        Ok((format!("^({}){kind}$", words[0]), context.to_owned()))
    };
    lines(text).map(entry).collect()
}

fn kind_letter(word: &str) -> Option<&str> {
    word.strip_prefix('-').filter(|letter| ["b", "c", "d", "p", "l", "s", "-"].contains(letter))
}

fn parse_substitutions(file: &str, text: &str) -> Result<Vec<Substitution>, PolicyError> {
    let pair = |(line, words): (usize, Vec<&str>)| {
        let error = |problem| PolicyError::Line { file: file.to_owned(), line, problem };
        match words[..] {
            [from, to] => Ok((from.into(), to.into())),
            [_] => Err(error(LineProblem::Short)),
            _ => Err(error(LineProblem::Trailing)),
        }
    };
    lines(text).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contexts(files: &[(&str, &str)]) -> Result<FileContexts, PolicyError> {
        FileContexts::load(|name| {
            Ok(files.iter().find(|(file, _)| *file == name).map(|(_, text)| text.as_bytes().to_vec()))
        })
    }

    #[test]
    fn the_last_entry_that_matches_counts() {
        let base = "# all\n/.* default\n/usr/(?!local).* no_local\n\n  /usr/lib(/.*)?  lib\n/usr/lib/x -- plain\n/usr/lib/dir -d <<none>>\n";
        let mut policy = contexts(&[
            ("file_contexts", base),
            ("file_contexts.local", "/usr/lib/local.* own\n"),
            ("file_contexts.homedirs", "/home/[^/]+ -d home\n"),
        ])
        .unwrap();
        for (path, kind, label) in [
            ("/", FileKind::Directory, Some("default")),
            ("/usr/bin", FileKind::Regular, Some("no_local")),
            ("/usr/local", FileKind::Regular, Some("default")),
            ("/usr/lib", FileKind::Directory, Some("lib")),
            ("/usr/library", FileKind::Directory, Some("no_local")),
            ("/usr/lib/x", FileKind::Regular, Some("plain")),
            ("/usr/lib/x", FileKind::Symlink, Some("lib")),
            ("/usr/lib/dir", FileKind::Directory, None),
            ("/usr/lib/local/x", FileKind::CharDevice, Some("own")),
            ("/home/ada", FileKind::Directory, Some("home")),
            ("/home/ada", FileKind::Fifo, Some("default")),
            ("relative", FileKind::BlockDevice, None),
        ] {
            assert_eq!(policy.lookup(path.as_bytes(), kind), label, "{path} {kind:?}");
        }
    }

    #[test]
    fn names_are_bytes() {
        let mut policy = contexts(&[("file_contexts", "/x/.* some\n/x/(?=a).* other\n")]).unwrap();
        assert_eq!(policy.lookup(b"/x/\xff\xfe", FileKind::Regular), Some("some"));
        assert_eq!(policy.lookup(b"/x/a\xff", FileKind::Regular), Some("other"));
    }

    #[test]
    fn what_cannot_be_understood_is_refused_with_its_line() {
        for (text, message) in [
            ("/x\n", "`file_contexts`, line 1: nothing behind the first word"),
            ("\n/x -q label\n", "`file_contexts`, line 2: not a type of file"),
            ("/x -d\n", "`file_contexts`, line 1: no context"),
            ("/x -d label more\n", "`file_contexts`, line 1: words behind the last one"),
            ("/x label more\n", "`file_contexts`, line 1: words behind the last one"),
            ("/x( label\n", "pattern `^(/x().$`"),
        ] {
            assert_eq!(contexts(&[("file_contexts", text)]).unwrap_err().to_string(), message, "{text:?}");
        }
        let missing = contexts(&[("file_contexts.local", "/x label\n")]).unwrap_err();
        assert_eq!(missing.to_string(), "`/file_contexts` is not there");
        let substitutions = [("file_contexts", "/x label\n"), ("file_contexts.subs", "/a /b /c\n")];
        assert_eq!(
            contexts(&substitutions).unwrap_err().to_string(),
            "`file_contexts.subs`, line 1: words behind the last one"
        );
    }

    #[test]
    fn the_configuration_names_the_policy() {
        for (config, name) in [
            ("SELINUX=enforcing\nSELINUXTYPE=targeted\n", Some("targeted")),
            ("#SELINUXTYPE=no\n selinuxtype = mls \nSELINUXTYPE=late", Some("mls")),
            ("SELINUX=disabled\n", None),
            ("", None),
        ] {
            assert_eq!(parse_policy_name(config), name, "{config:?}");
        }
    }
}
