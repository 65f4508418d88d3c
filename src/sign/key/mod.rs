//! Keys: ECDSA over P-256 to sign with, and whatever sigstore's readers verify with.
//!
//! Signatures are deterministic (RFC 6979): signing the same again gives the same bytes, so nothing piles up. The
//! private half comes from the `p256` crate, because that is the one that derives its nonces so; verification goes
//! through `sigstore-crypto`, so that each checks the other.

mod encrypted;
mod public;

use p256::ecdsa::Signature;
use p256::ecdsa::signature::Signer as _;
use p256::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _};
use zeroize::Zeroizing;

pub use public::PublicKey;

/// PEM label of an unencrypted private key (RFC 5958).
const PLAIN: &str = "PRIVATE KEY";

/// What cosign calls its encrypted keys; the first is what it writes today.
const ENCRYPTED: [&str; 2] = ["ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY"];

/// A key that cannot be used.
///
/// No message ever holds any part of a private key or passphrase.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum KeyError {
    /// There is no PEM in the file.
    #[error("no key in PEM form")]
    NotPem,
    /// The PEM is of something else.
    #[error("expected a {expected}, found `{found}`{}", hint(found))]
    Label { expected: &'static str, found: String },
    /// The private key is damaged or of another kind.
    #[error("not a private key of ECDSA on P-256, which is the only kind that signs here")]
    NotP256,
    /// The public key is damaged or of a kind that is not known.
    #[error("not a public key of a known kind: {reason}")]
    PublicKey { reason: String },
    /// A passphrase is needed.
    #[error("the key is encrypted and there is no passphrase")]
    NoPassphrase,
    /// The passphrase is wrong, or the file was altered: the cipher cannot tell these apart.
    #[error("the passphrase is wrong, or the key was altered")]
    WrongPassphrase,
    /// The encrypted key is of a form that is not known.
    #[error("encrypted key: expected {expected}, found `{found}`")]
    Encryption { expected: &'static str, found: String },
    /// The encrypted key is no JSON of the known form.
    #[error("encrypted key: malformed")]
    MalformedEncryption,
    /// The parameters would take more memory or time than any sensible key.
    #[error("encrypted key: scrypt with N={n}, r={r}, p={p} is not accepted")]
    Cost { n: u64, r: u32, p: u32 },
    /// Bytes that are no private key, which one in 2^32 random ones are not.
    #[error("the random bytes are not a key")]
    Seed,
}

fn hint(found: &str) -> &'static str {
    match found {
        "EC PRIVATE KEY" | "RSA PRIVATE KEY" => "; `openssl pkcs8 -topk8 -nocrypt` converts it",
        "ENCRYPTED PRIVATE KEY" => "; `openssl pkcs8` decrypts it",
        "CERTIFICATE" => "; `openssl x509 -pubkey -noout` takes the key out of it",
        _ => "",
    }
}

/// A passphrase, wiped from memory when dropped and never printed.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// A passphrase, which may be empty: cosign's keys may have an empty one.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Passphrase {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase")
    }
}

/// How a private key's file is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyForm {
    /// PKCS#8 in PEM.
    Plain,
    /// cosign's: PKCS#8, encrypted with a passphrase.
    Encrypted,
}

impl KeyForm {
    /// What a file holds, by the label of its PEM.
    ///
    /// # Errors
    /// When it holds no private key.
    pub fn of(file: &[u8]) -> Result<Self, KeyError> {
        read_pem(file).map(|(form, _)| form)
    }
}

/// A private key.
pub struct SigningKey {
    key: p256::ecdsa::SigningKey,
    public: PublicKey,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("public", &self.public).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// The key that 32 random bytes are.
    ///
    /// # Errors
    /// When they are not a key; draw again then.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, KeyError> {
        p256::ecdsa::SigningKey::from_slice(seed).map(Self::new).map_err(|_| KeyError::Seed)
    }

    /// Reads a private key's file: PKCS#8 in PEM, plain or encrypted as cosign does.
    ///
    /// # Errors
    /// When it is something else, or the passphrase is missing or wrong.
    pub fn from_pem(file: &[u8], passphrase: Option<&Passphrase>) -> Result<Self, KeyError> {
        let (form, content) = read_pem(file)?;
        let der = match (form, passphrase) {
            (KeyForm::Plain, _) => content,
            (KeyForm::Encrypted, Some(passphrase)) => encrypted::open(&content, passphrase)?,
            (KeyForm::Encrypted, None) => return Err(KeyError::NoPassphrase),
        };
        p256::ecdsa::SigningKey::from_pkcs8_der(&der).map(Self::new).map_err(|_| KeyError::NotP256)
    }

    fn new(key: p256::ecdsa::SigningKey) -> Self {
        let der = key.verifying_key().to_public_key_der().expect("a key of this curve has an encoding");
        let public = PublicKey::from_der(der.as_bytes()).expect("what one library encodes the other reads");
        Self { key, public }
    }

    /// PKCS#8 in PEM, readable by openssl and cosign.
    pub fn to_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(pem::encode(&pem::Pem::new(PLAIN, self.to_der().to_vec())))
    }

    /// The same, encrypted as cosign does. `salt` and `nonce` must be random and never used again.
    pub fn to_encrypted_pem(&self, passphrase: &Passphrase, salt: &[u8; 32], nonce: &[u8; 24]) -> String {
        let content = encrypted::seal(&self.to_der(), passphrase, salt, nonce);
        pem::encode(&pem::Pem::new(ENCRYPTED[0], content))
    }

    fn to_der(&self) -> Zeroizing<Vec<u8>> {
        self.key.to_pkcs8_der().expect("a key of this curve has an encoding").to_bytes()
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs: ECDSA over SHA-256 in DER, the same bytes each time.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature: Signature = self.key.sign(message);
        signature.to_der().as_bytes().to_vec()
    }
}

fn read_pem(file: &[u8]) -> Result<(KeyForm, Zeroizing<Vec<u8>>), KeyError> {
    // openssl writes the curve's parameters in front when it is asked for a key in its old form.
    let blocks = pem::parse_many(file).map_err(|_| KeyError::NotPem)?;
    let block = blocks.into_iter().find(|block| block.tag() != "EC PARAMETERS").ok_or(KeyError::NotPem)?;
    let form = match block.tag() {
        PLAIN => KeyForm::Plain,
        label if ENCRYPTED.contains(&label) => KeyForm::Encrypted,
        label => return Err(KeyError::Label { expected: "private key", found: label.to_owned() }),
    };
    Ok((form, Zeroizing::new(block.into_contents())))
}

#[cfg(test)]
mod tests;
