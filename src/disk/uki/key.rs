//! Key and certificate that sign.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use x509_cert::der::{Decode as _, Encode as _};

/// A key or a certificate that signs nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum KeyError {
    /// Nothing in the file looks like one.
    #[error("it has no certificate in PEM")]
    NoCertificate,
    /// Something in it is not as X.509 has it.
    #[error("its certificate cannot be read: {reason}")]
    Certificate { reason: String },
    /// Nothing in the file looks like one.
    #[error("it has no private key in PEM, PKCS#8 or PKCS#1")]
    NoKey,
    /// Nobody could be asked for the passphrase in a pipeline.
    #[error("its private key is encrypted; `openssl pkey` decrypts it")]
    Encrypted,
    /// Firmware takes no others.
    #[error("its private key is no RSA key of 2048 to 8192 bits, which is what firmware verifies: {reason}")]
    Key { reason: String },
    /// Each is good by itself.
    #[error("the private key does not belong to the certificate of {subject}")]
    Mismatch { subject: String },
}

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    pub(super) parsed: x509_cert::Certificate,
    der: Vec<u8>,
}

impl Certificate {
    /// Reads the first certificate of a PEM file.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let der = CertificateDer::from_pem_slice(pem).map_err(|_| KeyError::NoCertificate)?;
        Self::from_der(&der)
    }

    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let unread = |reason: String| KeyError::Certificate { reason };
        let parsed = x509_cert::Certificate::from_der(der).map_err(|error| unread(error.to_string()))?;
        // What is written into signatures has to be the bytes that were signed.
        if parsed.to_der().ok().as_deref() != Some(der) {
            return Err(unread("it is not in DER".to_owned()));
        }
        Ok(Self { parsed, der: der.to_vec() })
    }

    /// As it is encoded.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whom it is for, as RFC 4514 writes it.
    pub fn subject(&self) -> String {
        self.parsed.tbs_certificate.subject.to_string()
    }

    /// SHA-256 of its encoding.
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.der).into()
    }

    /// The public key: for RSA an `RSAPublicKey`.
    fn public_key(&self) -> &[u8] {
        self.parsed.tbs_certificate.subject_public_key_info.subject_public_key.raw_bytes()
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, self.public_key());
        key.verify(message, signature).is_ok()
    }
}

/// A private key and the certificate that others verify it by.
pub struct SigningKey {
    key: KeyPair,
    certificate: Certificate,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("certificate", &self.certificate.subject()).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Reads the first private key of a PEM file.
    ///
    /// # Errors
    /// When there is none, it is encrypted, it is no RSA key, or it is not the certificate's.
    pub fn from_pem(pem: &[u8], certificate: Certificate) -> Result<Self, KeyError> {
        let der = PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
            let encrypted = pem.windows(9).any(|word| word == b"ENCRYPTED");
            if encrypted { KeyError::Encrypted } else { KeyError::NoKey }
        })?;
        let key = match &der {
            PrivateKeyDer::Pkcs8(key) => KeyPair::from_pkcs8(key.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(key) => KeyPair::from_der(key.secret_pkcs1_der()),
            _ => return Err(KeyError::NoKey),
        };
        let key = key.map_err(|error| KeyError::Key { reason: error.to_string() })?;
        if key.public_key().as_ref() != certificate.public_key() {
            return Err(KeyError::Mismatch { subject: certificate.subject() });
        }
        Ok(Self { key, certificate })
    }

    /// The certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// A signature with SHA-256 and the padding of PKCS#1 v1.5: the same for the same message.
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.key.public_modulus_len()];
        let signed = self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature);
        signed.expect("a key that was read signs, and the padding draws no randomness");
        signature
    }
}
