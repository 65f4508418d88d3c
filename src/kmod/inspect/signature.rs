//! The signature appended to a module, after the kernel's `include/linux/module_signature.h`.
//!
//! It is a PKCS#7 message (RFC 5652) with one signer and without the signed content, as the kernel's `sign-file`
//! writes it. Verified are RSA with PKCS#1 v1.5 padding and ECDSA over P-256 and P-384, each without signed
//! attributes: what kernels and DKMS use. Others are told apart and said to be unverifiable.

use std::fmt::{self, Write as _};

use aws_lc_rs::signature::{self as algorithms, UnparsedPublicKey, VerificationAlgorithm};
use base64::Engine as _;

use super::InspectError;
use super::der::{BIT_STRING, Der, INTEGER, OCTET_STRING, OID, SEQUENCE, SET};

/// Last bytes of a signed module.
const MAGIC: &[u8] = b"~Module signature appended~\n";

/// Length of the kernel's `struct module_signature`, which stands before [`MAGIC`].
const TRAILER: usize = 12;

/// `id_type` of a PKCS#7 signature.
const PKCS7: u8 = 2;

const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1d, 0x0e];
const RSA_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const SHA1: &[u8] = &[0x2b, 0x0e, 0x03, 0x02, 0x1a];
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
const SHA384: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];
const SHA512: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03];

/// Context-specific tags of PKCS#7 and X.509.
const CONTEXT_0: u8 = 0xa0;
const CONTEXT_0_PLAIN: u8 = 0x80;
const CONTEXT_1: u8 = 0xa1;
const CONTEXT_3: u8 = 0xa3;
const BOOLEAN: u8 = 0x01;

/// What is wrong with a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The kernel takes only PKCS#7.
    #[error("it is of type {0} instead of PKCS#7")]
    Type(u8),
    /// Not such a message.
    #[error("it is no PKCS#7 message of one signer")]
    Malformed,
    /// The module is not what was signed, or another key signed it.
    #[error("it does not fit the module's content")]
    Mismatch,
    /// Neither right nor wrong: the algorithm is not one of those this program verifies.
    #[error("its algorithm is not one imgbuild can verify")]
    Algorithm,
}

/// Digest a signature was made over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DigestAlgorithm {
    /// SHA-1: kernels of today refuse it.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
    /// Another one.
    Other,
}

impl fmt::Display for DigestAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha1 => "SHA-1",
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
            Self::Other => "an unknown digest",
        })
    }
}

/// How a signature names the certificate that verifies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignerId {
    /// By who issued it, and the number the issuer gave it.
    IssuerSerial {
        /// Distinguished name of the issuer, DER.
        issuer: Vec<u8>,
        /// The number, big-endian.
        serial: Vec<u8>,
    },
    /// By its subject key identifier.
    KeyId(Vec<u8>),
}

impl fmt::Display for SignerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IssuerSerial { issuer, serial } => {
                let name = common_name(issuer).unwrap_or_else(|| "an issuer without name".to_owned());
                write!(f, "{name}, serial {}", hex(serial))
            }
            Self::KeyId(id) => write!(f, "key id {}", hex(id)),
        }
    }
}

/// A PKCS#7 signature, read and not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleSignature {
    /// Which certificate verifies it.
    pub signer: SignerId,
    /// What was signed.
    pub digest: DigestAlgorithm,
    /// Whether attributes were signed along, which the verification here does not cover.
    attributes: bool,
    value: Vec<u8>,
}

/// Where the appended signature lies, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureTail {
    /// Length of the module without it; what is signed.
    pub signed_bytes: u64,
    /// Length of the signature itself, the bytes after those.
    pub signature_bytes: u64,
    /// `id_type` of the trailer: 2 for PKCS#7, the only one kernels accept today.
    pub id_type: u8,
    /// The signature, as far as it can be read.
    pub content: Result<ModuleSignature, SignatureError>,
}

/// Takes the signature off a decompressed module.
pub(super) fn split(module: &[u8]) -> Result<(&[u8], Option<SignatureTail>), InspectError> {
    let Some(rest) = module.strip_suffix(MAGIC) else { return Ok((module, None)) };
    let present = rest.len() as u64;
    let damaged = |claimed| InspectError::Signature { claimed, present };
    let (rest, trailer) = rest.split_last_chunk::<TRAILER>().ok_or(damaged(TRAILER as u64))?;
    let [_algo, _hash, id_type, signer, key_id, _, _, _, length @ ..] = *trailer;
    // For PKCS#7 the lengths of signer and key id are zero; older kernels stored both in front of the signature.
    let claimed = u64::from(u32::from_be_bytes(length)) + u64::from(signer) + u64::from(key_id);
    let signed = usize::try_from(claimed).ok().and_then(|claimed| rest.len().checked_sub(claimed));
    let signed = signed.ok_or(damaged(claimed))?;
    let content = match id_type {
        PKCS7 => parse_pkcs7(&rest[signed..]).ok_or(SignatureError::Malformed),
        other => Err(SignatureError::Type(other)),
    };
    let tail = SignatureTail { signed_bytes: signed as u64, signature_bytes: claimed, id_type, content };
    Ok((&rest[..signed], Some(tail)))
}

fn parse_pkcs7(message: &[u8]) -> Option<ModuleSignature> {
    let mut info = Der::new(message).inside(SEQUENCE)?;
    info.expect(OID).filter(|kind| kind.content == SIGNED_DATA)?;
    let mut signed = info.inside(CONTEXT_0)?.inside(SEQUENCE)?;
    signed.expect(INTEGER)?;
    signed.expect(SET)?;
    signed.expect(SEQUENCE)?;
    // Certificates and revocation lists, which the kernel does not use either.
    signed.optional(CONTEXT_0);
    signed.optional(CONTEXT_1);
    let mut signers = signed.inside(SET)?;
    let mut signer = signers.inside(SEQUENCE)?;
    signer.expect(INTEGER)?;
    let id = parse_signer_id(&mut signer)?;
    let digest = parse_digest(signer.inside(SEQUENCE)?.expect(OID)?.content);
    let attributes = signer.optional(CONTEXT_0).is_some();
    signer.expect(SEQUENCE)?;
    let value = signer.expect(OCTET_STRING)?.content.to_vec();
    // With a second signer it would depend on the reader which one counts.
    signers.next().is_none().then_some(ModuleSignature { signer: id, digest, attributes, value })
}

fn parse_signer_id(signer: &mut Der<'_>) -> Option<SignerId> {
    if let Some(id) = signer.optional(CONTEXT_0_PLAIN) {
        return Some(SignerId::KeyId(id.content.to_vec()));
    }
    let mut pair = signer.inside(SEQUENCE)?;
    let issuer = pair.expect(SEQUENCE)?.whole.to_vec();
    Some(SignerId::IssuerSerial { issuer, serial: pair.expect(INTEGER)?.content.to_vec() })
}

fn parse_digest(oid: &[u8]) -> DigestAlgorithm {
    match oid {
        SHA1 => DigestAlgorithm::Sha1,
        SHA256 => DigestAlgorithm::Sha256,
        SHA384 => DigestAlgorithm::Sha384,
        SHA512 => DigestAlgorithm::Sha512,
        _ => DigestAlgorithm::Other,
    }
}

/// The common name in a distinguished name.
fn common_name(name: &[u8]) -> Option<String> {
    let mut parts = Der::new(name).inside(SEQUENCE)?;
    while let Some(mut part) = parts.inside(SET) {
        let mut pair = part.inside(SEQUENCE)?;
        if pair.expect(OID)?.content == COMMON_NAME {
            return Some(String::from_utf8_lossy(pair.next()?.content).into_owned());
        }
    }
    None
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
        text
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyKind {
    Rsa,
    P256,
    P384,
    Other,
}

/// A certificate that modules may be signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    issuer: Vec<u8>,
    serial: Vec<u8>,
    subject: Vec<u8>,
    key_id: Option<Vec<u8>>,
    kind: KeyKind,
    key: Vec<u8>,
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = common_name(&self.subject).unwrap_or_else(|| "a subject without name".to_owned());
        write!(f, "{name}, serial {}", hex(&self.serial))
    }
}

impl Certificate {
    /// Reads an X.509 certificate (RFC 5280) in DER, the form of `mok.pub` and of what `mokutil` enrols.
    ///
    /// Neither its own signature nor its dates are checked: the kernel checks neither. `None` when it is none.
    pub fn parse(der: &[u8]) -> Option<Self> {
        let mut body = Der::new(der).inside(SEQUENCE)?.inside(SEQUENCE)?;
        body.optional(CONTEXT_0);
        let serial = body.expect(INTEGER)?.content.to_vec();
        body.expect(SEQUENCE)?;
        let issuer = body.expect(SEQUENCE)?.whole.to_vec();
        body.expect(SEQUENCE)?;
        let subject = body.expect(SEQUENCE)?.whole.to_vec();
        let mut key_info = body.inside(SEQUENCE)?;
        let kind = parse_key_kind(key_info.inside(SEQUENCE)?);
        // The first byte of a bit string counts the bits that are not used: none, for keys.
        let (&0, key) = key_info.expect(BIT_STRING)?.content.split_first()? else { return None };
        let key_id = body.optional(CONTEXT_3).and_then(|value| subject_key_id(value.content));
        Some(Self { issuer, serial, subject, key_id, kind, key: key.to_vec() })
    }

    /// Reads a certificate file in DER or PEM (RFC 7468); `None` when it is none. Of several in PEM the first counts.
    pub fn read(file: &[u8]) -> Option<Self> {
        const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
        const END: &str = "-----END CERTIFICATE-----";
        let body = std::str::from_utf8(file).ok().and_then(|text| text.split_once(BEGIN)?.1.split_once(END));
        let Some((body, _)) = body else { return Self::parse(file) };
        let body: String = body.split_ascii_whitespace().collect();
        Self::parse(&base64::engine::general_purpose::STANDARD.decode(body).ok()?)
    }

    /// Whether a signature names this certificate.
    pub fn is(&self, signer: &SignerId) -> bool {
        match signer {
            SignerId::IssuerSerial { issuer, serial } => *issuer == self.issuer && *serial == self.serial,
            SignerId::KeyId(id) => self.key_id.as_ref() == Some(id),
        }
    }

    /// Verifies that this certificate's key signed `module`, the bytes before the signature.
    ///
    /// # Errors
    /// When it did not, or with an algorithm that is not verified here.
    pub fn verify(&self, module: &[u8], signature: &ModuleSignature) -> Result<(), SignatureError> {
        use algorithms as a;
        let algorithm: &'static dyn VerificationAlgorithm = match (self.kind, signature.digest) {
            _ if signature.attributes => return Err(SignatureError::Algorithm),
            (KeyKind::Rsa, DigestAlgorithm::Sha256) => &a::RSA_PKCS1_2048_8192_SHA256,
            (KeyKind::Rsa, DigestAlgorithm::Sha384) => &a::RSA_PKCS1_2048_8192_SHA384,
            (KeyKind::Rsa, DigestAlgorithm::Sha512) => &a::RSA_PKCS1_2048_8192_SHA512,
            (KeyKind::P256, DigestAlgorithm::Sha256) => &a::ECDSA_P256_SHA256_ASN1,
            (KeyKind::P384, DigestAlgorithm::Sha256) => &a::ECDSA_P384_SHA256_ASN1,
            (KeyKind::P384, DigestAlgorithm::Sha384) => &a::ECDSA_P384_SHA384_ASN1,
            _ => return Err(SignatureError::Algorithm),
        };
        let key = UnparsedPublicKey::new(algorithm, &self.key);
        key.verify(module, &signature.value).map_err(|_unspecified| SignatureError::Mismatch)
    }
}

fn parse_key_kind(mut algorithm: Der<'_>) -> KeyKind {
    let kind = algorithm.expect(OID).map_or(&[][..], |kind| kind.content);
    match (kind, algorithm.optional(OID).map(|curve| curve.content)) {
        (RSA_KEY, _) => KeyKind::Rsa,
        (EC_KEY, Some(P256)) => KeyKind::P256,
        (EC_KEY, Some(P384)) => KeyKind::P384,
        _ => KeyKind::Other,
    }
}

fn subject_key_id(extensions: &[u8]) -> Option<Vec<u8>> {
    let mut extensions = Der::new(extensions).inside(SEQUENCE)?;
    while let Some(mut extension) = extensions.inside(SEQUENCE) {
        let kind = extension.expect(OID)?;
        extension.optional(BOOLEAN);
        let value = extension.expect(OCTET_STRING)?;
        if kind.content == SUBJECT_KEY_ID {
            return Some(Der::new(value.content).expect(OCTET_STRING)?.content.to_vec());
        }
    }
    None
}
