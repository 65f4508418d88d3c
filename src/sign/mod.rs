//! Signatures: keys, what is signed about an image, where it is kept beside the image, and who would accept it.
//!
//! A signature by key is written in both forms there are, because no reader reads both: the older one (simple signing
//! under a tag `sha256-….sig`) that podman, skopeo and bootc know, and the bundle that refers to the image, which
//! cosign 3 prefers. Verification needs no network.
//!
//! May not run processes. Keys and passphrases come in as bytes; this room reads neither files nor the terminal.

mod attached;
mod bundle;
mod consumers;
mod dsse;
mod error;
mod identity;
mod judge;
mod key;
pub mod policy;
mod simple;
mod statement;
mod token;
mod write;

pub use bundle::{BUNDLE_TYPE, SIGNATURE};
pub use consumers::{Consumer, Opinion, Question};
pub use dsse::DsseError;
pub use error::SignError;
pub use identity::{IdentityError, SubjectRule, TrustedIdentity, WantedIdentity};
pub use judge::{Form, Record, Refusal, Signer, Signers, judge};
pub use key::{KeyError, KeyForm, Passphrase, PublicKey, SigningKey};
pub use simple::tag_of;
pub use statement::{Statement, StatementError, Subject};
pub use token::{JobIdentity, TokenError, preflight};
pub use write::{CYCLONEDX, PROVENANCE, Predicate, Signed, attest, predicate_type, sign};

#[cfg(test)]
mod tests;
