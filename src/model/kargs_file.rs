//! bootc's files of kernel arguments, `/usr/lib/bootc/kargs.d/*.toml`.

use serde::Deserialize;

/// A file, with exactly the keys that bootc takes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KargsFile {
    /// The arguments.
    pub kargs: Vec<String>,
    /// Architectures they are for, by the names Rust has for them; all when left out.
    #[serde(default)]
    pub match_architectures: Option<Vec<String>>,
}

/// What is wrong with a file, as the rest of a sentence that begins with its path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum KargsFileError {
    #[error("is not UTF-8 text")]
    Text,
    #[error("{reason}")]
    Toml { reason: String },
    #[error("has the argument {karg:?}")]
    Argument { karg: String },
}

impl KargsFile {
    /// Reads a file.
    ///
    /// # Errors
    /// When bootc would refuse it, or an argument is empty or has control characters.
    pub fn parse(bytes: &[u8]) -> Result<Self, KargsFileError> {
        let text = std::str::from_utf8(bytes).map_err(|_| KargsFileError::Text)?;
        let toml = |error: toml::de::Error| KargsFileError::Toml { reason: error.message().replace('\n', "; ") };
        let file: Self = toml::from_str(text).map_err(toml)?;
        match file.kargs.iter().find(|karg| karg.trim().is_empty() || karg.contains(char::is_control)) {
            Some(karg) => Err(KargsFileError::Argument { karg: karg.clone() }),
            None => Ok(file),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::KargsFile;

    #[test]
    fn takes_what_bootc_takes() {
        for (text, expected) in [
            ("kargs = [\"quiet\", \"console=ttyS0,115200\"]", None),
            ("kargs = []\nmatch-architectures = [\"x86_64\", \"aarch64\"]", None),
            ("kargs = 1", Some("invalid type: integer `1`, expected a sequence")),
            ("kargs = \"quiet\"", Some("invalid type: string \"quiet\", expected a sequence")),
            ("kargs = []\nmatch_architectures = []", Some("unknown field `match_architectures`")),
            ("kargs = []\nother = 1", Some("unknown field `other`")),
            ("", Some("missing field `kargs`")),
            ("kargs = [\"\"]", Some("has the argument \"\"")),
            ("kargs = [\"a\\nb\"]", Some("has the argument \"a\\nb\"")),
            ("kargs = [", Some("")),
        ] {
            let found = KargsFile::parse(text.as_bytes()).map_err(|error| error.to_string());
            match expected {
                None => assert!(found.is_ok(), "{text}: {found:?}"),
                Some(start) => assert!(found.as_ref().is_err_and(|said| said.starts_with(start)), "{text}: {found:?}"),
            }
        }
        assert_eq!(KargsFile::parse(b"kargs = [\"\xff\"]").unwrap_err().to_string(), "is not UTF-8 text");
    }
}
