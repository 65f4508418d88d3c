//! What can go wrong between here and a registry.

use std::error::Error;
use std::time::Duration;

use crate::model::{ByteSize, Digest};

/// A request that did not end well. No variant carries a secret: addresses are shown without their query,
/// because storage back-ends put signatures there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum RegistryError {
    /// The I/O thread or its runtime could not be started.
    #[error("starting the registry client")]
    Runtime(#[source] std::io::Error),
    /// The HTTP client could not be set up; without any CA certificate on the machine this is where it shows.
    #[error("setting up the HTTP client for {registry}")]
    Client { registry: String, source: reqwest::Error },
    /// The extra CA is not a PEM bundle.
    #[error("reading the extra CA certificates")]
    Certificate(#[source] reqwest::Error),
    /// The registry part of a reference does not form an address.
    #[error("`{0}` is not the address of a registry")]
    Address(String),
    /// A digest in a reference or header that is not one.
    #[error("`{text}` in {target} is not a digest")]
    DigestFormat { target: String, text: String },
    /// Nothing could be sent or nothing came back, also after retries.
    #[error("{registry} cannot be reached ({})", tries(*.attempts))]
    Unreachable { registry: String, attempts: u32, source: Box<dyn Error + Send + Sync> },
    /// The peer's certificate was refused or the handshake failed.
    #[error("no trusted TLS connection to {registry}")]
    Tls { registry: String, source: Box<dyn Error + Send + Sync> },
    /// The registry wants other credentials, or any.
    #[error("{registry} does not let {login} read {target}{}", detail(.message))]
    Unauthorized { registry: String, login: String, target: String, message: String },
    /// The registry asks for a login scheme that is not implemented.
    #[error("{registry} asks for a login of kind `{challenge}`; known are Bearer and Basic")]
    Challenge { registry: String, challenge: String },
    /// Credentials would have gone over the network in the clear.
    #[error("{registry} sends logins to `{realm}`, which is not https")]
    InsecureRealm { registry: String, realm: String },
    /// The token service answered something that is not a token.
    #[error("the token service `{realm}` of {registry} gave no usable token: {message}")]
    Token { registry: String, realm: String, message: String },
    /// No such repository, tag, manifest or blob.
    #[error("{target} does not exist{}", detail(.message))]
    NotFound { target: String, message: String },
    /// The registry wants clients to come back much later.
    #[error("{registry} limits requests; it asks to come back after {} seconds", .wait.as_secs())]
    RateLimited { registry: String, wait: Duration },
    /// Any other status.
    #[error("{registry} answered {status} for {target}{}", detail(.message))]
    Status { registry: String, target: String, status: u16, message: String },
    /// More bytes than a manifest may have.
    #[error("{target} is larger than {limit}, the most a manifest may have")]
    ManifestTooLarge { target: String, limit: ByteSize },
    /// The manifest's bytes are not the ones asked for, or not the ones announced.
    #[error("{target} has digest {found}, expected {expected}")]
    ManifestDigest { target: String, expected: Box<Digest>, found: Box<Digest> },
    /// The registry announces or sends another number of bytes than the descriptor states.
    #[error("{target} has {found} bytes at the registry, its descriptor says {expected}")]
    BlobSize { target: String, expected: u64, found: u64 },
    /// The transfer ended early, and asking for the rest did not help.
    #[error("{target} broke off after {offset} of {size} bytes ({})", tries(*.attempts))]
    BlobCut { target: String, offset: u64, size: u64, attempts: u32, source: Option<Box<dyn Error + Send + Sync>> },
    /// A partial answer that is not the part asked for.
    #[error("{target}: asked for the bytes from {offset} on, got `{range}`")]
    Range { target: String, offset: u64, range: String },
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// The registry's own words behind a message, when it had any.
fn detail(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

fn tries(attempts: u32) -> String {
    if attempts == 1 { "1 attempt".to_owned() } else { format!("{attempts} attempts") }
}

/// A failure and what it means for trying again.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: RegistryError,
    pub(super) again: Again,
}

/// Whether asking again may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// The answer will not change.
    Never,
    /// After a while.
    Later,
    /// After the time the registry stated.
    After(Duration),
}

impl Failure {
    pub(super) fn later(error: RegistryError) -> Self {
        Self { error, again: Again::Later }
    }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        Self { error, again: Again::Never }
    }
}
