//! Public keys.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};
use sigstore_crypto::VerificationKey;
use sigstore_types::{DerPublicKey, SignatureBytes};

use super::KeyError;

/// PEM label of a public key (RFC 5480).
const LABEL: &str = "PUBLIC KEY";

/// A public key of any kind that sigstore's readers know: ECDSA, RSA, Ed25519.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey {
    /// SubjectPublicKeyInfo; checked.
    der: Vec<u8>,
}

impl PublicKey {
    /// Reads a public key in PEM.
    ///
    /// # Errors
    /// When it is something else or damaged.
    pub fn from_pem(file: &[u8]) -> Result<Self, KeyError> {
        let block = pem::parse(file).map_err(|_| KeyError::NotPem)?;
        if block.tag() == LABEL {
            Self::from_der(block.contents())
        } else {
            Err(KeyError::Label { expected: "public key", found: block.tag().to_owned() })
        }
    }

    /// Reads a SubjectPublicKeyInfo in DER.
    ///
    /// # Errors
    /// When it is something else or damaged.
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        verification_key(der).map(|_| Self { der: der.to_owned() })
    }

    /// SubjectPublicKeyInfo in PEM, one line of 64 characters after the other.
    pub fn to_pem(&self) -> String {
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        pem::encode_config(&pem::Pem::new(LABEL, self.der.clone()), config)
    }

    /// What a bundle says about the key that made it: the SHA-256 of its DER form in base64. Not to be trusted.
    pub fn hint(&self) -> String {
        BASE64_STANDARD.encode(Sha256::digest(&self.der))
    }

    /// The SHA-256 of its DER form in hexadecimal: how people compare keys.
    pub fn fingerprint(&self) -> String {
        crate::oci::sha256(&self.der).digest().to_owned()
    }

    /// Whether this key made `signature` over `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let signature = SignatureBytes::from_bytes(signature);
        verification_key(&self.der).is_ok_and(|key| key.verify(message, &signature).is_ok())
    }
}

fn verification_key(der: &[u8]) -> Result<VerificationKey, KeyError> {
    VerificationKey::from_spki(&DerPublicKey::from_bytes(der))
        .map_err(|error| KeyError::PublicKey { reason: error.to_string() })
}
