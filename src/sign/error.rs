//! What can go wrong while signing or reading signatures.

use crate::oci::LayoutError;

/// Signing, or reading what is signed, failed. That a signature is no good is not an error but a verdict.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum SignError {
    /// The layout refused.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The predicate is no JSON.
    #[error("the predicate is not JSON")]
    Predicate(#[source] serde_json::Error),
    /// The predicate does not belong to its type.
    #[error("the predicate is not of type `{expected}`: {reason}")]
    PredicateForm { expected: String, reason: &'static str },
    /// There are more signatures than anybody makes.
    #[error("{found} signatures and attestations on one image; no more than {limit} are read")]
    TooMany { found: usize, limit: usize },
}
