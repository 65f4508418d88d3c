//! Signatures: keys, what is signed about an image, where it is kept beside the image, and who would accept it.
//!
//! A signature by key is written in both forms there are, because no reader reads both: the older one (simple signing
//! under a tag `sha256-….sig`) that podman, skopeo and bootc know, and the bundle that refers to the image, which
//! cosign 3 prefers. Verification needs no network.
//!
//! May not run processes. Keys and passphrases come in as bytes; this room reads neither files nor the terminal.

mod dsse;
mod key;
mod statement;

pub use dsse::{DsseError, IN_TOTO, open_envelope, seal_statement};
pub use key::{KeyError, KeyForm, Passphrase, PublicKey, SigningKey};
pub use statement::{Statement, StatementError, Subject};
