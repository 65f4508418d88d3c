//! DSSE, the envelope of attestations: <https://github.com/secure-systems-lab/dsse>, protocol version 1.
//!
//! Bundles that a key signed without a log or a timestamp are complete for us: the key is trusted for as long as
//! somebody trusts it. The verifiers at hand refuse them for want of a signing time, hence a check of our own, over
//! the same bytes.

use sigstore_types::dsse::{DsseSignature, pae};
use sigstore_types::{DsseEnvelope, KeyId, PayloadBytes, SignatureBytes};

use super::key::{PublicKey, SigningKey};

/// Payload type of in-toto statements.
pub(super) const IN_TOTO: &str = "application/vnd.in-toto+json";

/// An envelope that proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum DsseError {
    /// It holds something else.
    #[error("expected a payload of type `{IN_TOTO}`, found `{found}`")]
    PayloadType { found: String },
    /// None of the keys made the signature.
    #[error("made by none of the keys")]
    NoKey,
}

/// Puts a statement into an envelope and signs it.
pub(super) fn seal_statement(statement: &[u8], key: &SigningKey) -> DsseEnvelope {
    let signature = key.sign(&pae(IN_TOTO, statement));
    let signature = DsseSignature::new(SignatureBytes::new(signature), KeyId::default());
    DsseEnvelope::new(IN_TOTO, PayloadBytes::from_bytes(statement), signature)
}

/// The statement in an envelope that one of `keys` signed, and that key.
///
/// # Errors
/// When none of them did, or the envelope holds something else.
pub(super) fn open_envelope<'k, 'e>(
    envelope: &'e DsseEnvelope,
    keys: &'k [PublicKey],
) -> Result<(&'e [u8], &'k PublicKey), DsseError> {
    if envelope.payload_type != IN_TOTO {
        return Err(DsseError::PayloadType { found: envelope.payload_type.clone() });
    }
    let (signed, signature) = (envelope.pae(), envelope.signature.sig.as_bytes());
    let key = keys.iter().find(|key| key.verifies(&signed, signature)).ok_or(DsseError::NoKey)?;
    Ok((envelope.payload.as_bytes(), key))
}
