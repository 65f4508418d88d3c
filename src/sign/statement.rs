//! in-toto statements: <https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md>.
//!
//! Written is version 1 with a name for every subject, the form that every reader known to us takes. Read is also
//! what cosign writes: version 0.1, and subjects without a name.

use oci_spec::image::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The versions that are read; the first is written.
const TYPES: [&str; 2] = ["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"];

/// A payload that is no statement.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum StatementError {
    /// It is not JSON of that form.
    #[error("not an in-toto statement")]
    Malformed(#[source] serde_json::Error),
    /// It is of another version.
    #[error("expected a statement of type `{}`, found `{found}`", TYPES[0])]
    Type { found: String },
}

/// What is said about some artifacts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statement {
    #[serde(rename = "_type")]
    type_: String,
    /// What it is about.
    pub subject: Vec<Subject>,
    /// What kind of thing is said.
    pub predicate_type: String,
    /// What is said.
    #[serde(default)]
    pub predicate: Value,
}

/// One artifact that a statement is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Its name: for an image the repository. Empty where the writer gave none.
    #[serde(default)]
    pub name: String,
    /// Its digests in hexadecimal, by algorithm.
    pub digest: BTreeMap<String, String>,
}

impl Statement {
    /// A statement about the image with this manifest digest.
    pub fn about_image(name: &str, digest: &Digest, predicate_type: &str, predicate: Value) -> Self {
        let digest = BTreeMap::from([(digest.algorithm().to_string(), digest.digest().to_owned())]);
        Self {
            type_: TYPES[0].to_owned(),
            subject: vec![Subject { name: name.to_owned(), digest }],
            predicate_type: predicate_type.to_owned(),
            predicate,
        }
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// When it is something else.
    pub fn parse(payload: &[u8]) -> Result<Self, StatementError> {
        let statement: Self = serde_json::from_slice(payload).map_err(StatementError::Malformed)?;
        if TYPES.contains(&statement.type_.as_str()) {
            Ok(statement)
        } else {
            Err(StatementError::Type { found: statement.type_ })
        }
    }

    /// The bytes to be signed.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("text has a JSON form")
    }

    /// The names under which it is about the artifact with this digest; `None` when it is about others.
    pub fn names_of(&self, digest: &Digest) -> Option<Vec<&str>> {
        let algorithm = digest.algorithm().to_string();
        let is_it = |subject: &&Subject| subject.digest.get(&algorithm).is_some_and(|hex| hex == digest.digest());
        let names: Vec<_> = self.subject.iter().filter(is_it).map(|subject| subject.name.as_str()).collect();
        (!names.is_empty()).then_some(names)
    }
}
