//! Signatures of EFI programs.

use cms::cert::CertificateChoices;
use cms::content_info::ContentInfo;
use cms::signed_data::{EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo};
use sha2::{Digest as _, Sha256};
use x509_cert::attr::Attribute;
use x509_cert::der::asn1::{AnyRef, ObjectIdentifier, OctetString, OctetStringRef, SetOfVec};
use x509_cert::der::{self, Any, Decode, Encode as _, Reader as _, SliceReader};

use super::message::{SHA256, SIGNED_DATA, Signed, signed_data, signer_of};
use super::pe::{optional, u32_at};
use super::{Certificate, Pe, PeError, SigningKey};

/// Alignment of each signature in the file (PE specification, "The Attribute Certificate Table").
const ALIGNMENT: usize = 8;
/// Bytes before a signature: its length, revision 2.0, type PKCS#7.
const ENTRY: usize = 8;
const REVISION_AND_TYPE: [u8; 4] = [0x00, 0x02, 0x02, 0x00];
/// So many signatures are looked at; nobody has more than a few.
const MAX_SIGNATURES: usize = 16;

const INDIRECT_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.4");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");

/// `SpcIndirectDataContent` without its own head and up to the digest: a PE image whose file name is the text
/// `<<<Obsolete>>>`, as the note on the format wants, and SHA-256.
const INDIRECT_DATA_HEAD: &[u8] =
    b"\x30\x33\x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x02\x01\x0f\x30\x25\x03\x01\x00\xa0\x20\
    \xa2\x1e\x80\x1c\0<\0<\0<\0O\0b\0s\0o\0l\0e\0t\0e\0>\0>\0>\
    \x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";

/// A signature that was not made, or does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum SignatureError {
    /// The file is no program that can be signed.
    #[error(transparent)]
    Program(#[from] PeError),
    /// It cannot be written.
    #[error("the signature cannot be encoded: {reason}")]
    Encoding { reason: String },
    /// Nobody signed it.
    #[error("it is not signed")]
    None,
    /// Others did.
    #[error("it is not signed with the certificate of {subject}")]
    Other { subject: String },
    /// It is no message of this kind.
    #[error("its signature is damaged")]
    Damaged,
    /// What was signed is not what is there.
    #[error("it was changed after it was signed")]
    Changed,
    /// The key is another one than the certificate's.
    #[error("its signature was not made with the key of the certificate of {subject}")]
    Forged { subject: String },
}

/// The program with one signature, by this key; others are taken away.
///
/// # Errors
/// When it is no program, or has something behind its sections in a way that cannot be signed.
pub fn sign(program: &[u8], key: &SigningKey) -> Result<Vec<u8>, SignatureError> {
    let mut signed = Pe::parse(program)?.unsigned()?.to_vec();
    // What fills it up is signed with it.
    signed.resize(signed.len().next_multiple_of(ALIGNMENT), 0);
    let entry = Pe::parse(program)?.certificate_entry().ok_or(PeError::Place { what: "signature" })?;
    signed[entry..entry + 8].fill(0);
    // It is not signed, and nobody reads it of an EFI program: what was there must not make a difference.
    let checksum = Pe::parse(program)?.field_at(optional::CHECKSUM);
    signed[checksum..checksum + 4].fill(0);
    let digest = Pe::parse(&signed)?.digest()?;
    let message = message(&digest, key).map_err(|error| SignatureError::Encoding { reason: error.to_string() })?;
    let length = ENTRY + message.len();
    let padded = length.next_multiple_of(ALIGNMENT);
    for (at, number) in [(entry, signed.len()), (entry + 4, padded)] {
        signed[at..at + 4].copy_from_slice(&word(number)?);
    }
    let end = signed.len() + padded;
    signed.extend_from_slice(&word(length)?);
    signed.extend_from_slice(&REVISION_AND_TYPE);
    signed.extend_from_slice(&message);
    signed.resize(end, 0);
    Ok(signed)
}

fn word(number: usize) -> Result<[u8; 4], SignatureError> {
    let number = u32::try_from(number).map_err(|_| PeError::Number { what: "length", found: number as u64 })?;
    Ok(number.to_le_bytes())
}

fn message(digest: &[u8; 32], key: &SigningKey) -> der::Result<Vec<u8>> {
    let content = [INDIRECT_DATA_HEAD, digest].concat();
    let attributes = SetOfVec::from_iter([
        attribute(CONTENT_TYPE, Any::encode_from(&INDIRECT_DATA)?)?,
        attribute(MESSAGE_DIGEST, Any::encode_from(&OctetString::new(&Sha256::digest(&content)[..])?)?)?,
    ])?;
    let content = Any::new(der::Tag::Sequence, content)?;
    let content = EncapsulatedContentInfo { econtent_type: INDIRECT_DATA, econtent: Some(content) };
    let signed = signed_data(key, Signed { content, attributes: Some(attributes), message: &[] })?;
    ContentInfo { content_type: SIGNED_DATA, content: Any::encode_from(&signed)? }.to_der()
}

fn attribute(oid: ObjectIdentifier, value: Any) -> der::Result<Attribute> {
    Ok(Attribute { oid, values: SetOfVec::from_iter([value])? })
}

/// Whose certificate came with the program's first signature, if it is signed at all, and the program is as that
/// certificate's key signed it. Who that is proves nothing: anybody can make a certificate of any name.
///
/// # Errors
/// When it is no program, or the signature does not hold.
pub fn signer(program: &[u8]) -> Result<Option<String>, SignatureError> {
    let signatures = signatures(Pe::parse(program)?.certificates()?)?;
    let Some(first) = signatures.first() else { return Ok(None) };
    let certificates = first.certificates.iter().flat_map(|all| all.0.iter()).filter_map(|choice| match choice {
        CertificateChoices::Certificate(certificate) => Certificate::from_der(&certificate.to_der().ok()?).ok(),
        CertificateChoices::Other(_) => None,
    });
    let signed = |by: &SignerIdentifier| first.signer_infos.0.iter().any(|signer| signer.sid == *by);
    let is_signer = |one: &Certificate| signed(&SignerIdentifier::IssuerAndSerialNumber(signer_of(one)));
    let certificate = certificates.into_iter().find(is_signer).ok_or(SignatureError::Damaged)?;
    verify(program, &certificate).map(|()| Some(certificate.subject()))
}

/// Proves that the program is as the owner of the certificate signed it; further signatures do not matter.
///
/// Who issued the certificate, and until when it is valid, is not looked at: firmware that has the certificate itself
/// among its keys does not ask either.
///
/// # Errors
/// When that cannot be shown.
pub fn verify(program: &[u8], certificate: &Certificate) -> Result<(), SignatureError> {
    let program = Pe::parse(program)?;
    let signatures = signatures(program.certificates()?)?;
    if signatures.is_empty() {
        return Err(SignatureError::None);
    }
    let subject = || certificate.subject();
    let by = SignerIdentifier::IssuerAndSerialNumber(signer_of(certificate));
    let mut found = signatures.iter().filter_map(|signed| {
        let signer = signed.signer_infos.0.iter().find(|signer| signer.sid == by)?;
        Some((signed, signer))
    });
    let (signed, signer) = found.next().ok_or_else(|| SignatureError::Other { subject: subject() })?;
    let (digest, attributes) = signed_digest(signed, signer).ok_or(SignatureError::Damaged)?;
    if !certificate.verifies(&attributes, signer.signature.as_bytes()) {
        return Err(SignatureError::Forged { subject: subject() });
    }
    if digest != program.digest()? { Err(SignatureError::Changed) } else { Ok(()) }
}

/// The messages in the table of signatures.
fn signatures(mut table: &[u8]) -> Result<Vec<SignedData>, SignatureError> {
    let mut all = Vec::new();
    while table.len() > ENTRY && all.len() < MAX_SIGNATURES {
        let length = u32_at(table, 0).and_then(|length| usize::try_from(length).ok()).ok_or(SignatureError::Damaged)?;
        let entry = table.get(..length).filter(|entry| entry.len() > ENTRY).ok_or(SignatureError::Damaged)?;
        if entry[4..ENTRY] == REVISION_AND_TYPE {
            all.push(message_in(&entry[ENTRY..]).map_err(|_| SignatureError::Damaged)?);
        }
        table = table.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
    }
    Ok(all)
}

/// The message at the beginning; some tools count what fills up the entry as part of it.
fn message_in(bytes: &[u8]) -> der::Result<SignedData> {
    let mut reader = SliceReader::new(bytes)?;
    let content = ContentInfo::decode(&mut reader)?;
    if content.content_type != SIGNED_DATA || u64::from(u32::from(reader.remaining_len())) >= ALIGNMENT as u64 {
        return Err(der::ErrorKind::Failed.into());
    }
    content.content.decode_as()
}

/// The program's digest that a message is about, and the bytes that its signer signed.
fn signed_digest(signed: &SignedData, signer: &SignerInfo) -> Option<([u8; 32], Vec<u8>)> {
    let content = &signed.encap_content_info;
    let value = content.econtent.as_ref().filter(|_| content.econtent_type == INDIRECT_DATA)?;
    let digest = program_digest(value)?;
    let attributes = signer.signed_attrs.as_ref().filter(|_| signer.digest_alg.oid == SHA256)?;
    let one = |oid| {
        let mut values =
            attributes.iter().filter(|attribute| attribute.oid == oid).flat_map(|found| found.values.iter());
        values.next().filter(|_| values.next().is_none())
    };
    let kind: ObjectIdentifier = one(CONTENT_TYPE)?.decode_as().ok()?;
    let told: OctetString = one(MESSAGE_DIGEST)?.decode_as().ok()?;
    let right = kind == INDIRECT_DATA && told.as_bytes() == &Sha256::digest(value.value())[..];
    right.then_some((digest, attributes.to_der().ok()?))
}

/// SHA-256 in an `SpcIndirectDataContent`.
fn program_digest(value: &Any) -> Option<[u8; 32]> {
    let content = AnyRef::from(value);
    let digest = content.sequence(|reader| {
        AnyRef::decode(reader)?;
        AnyRef::decode(reader)?.sequence(|reader| {
            let algorithm = AnyRef::decode(reader)?.sequence(|reader| {
                let oid = ObjectIdentifier::decode(reader)?;
                Option::<AnyRef<'_>>::decode(reader)?;
                Ok(oid)
            })?;
            Ok((algorithm, OctetStringRef::decode(reader)?.as_bytes().to_vec()))
        })
    });
    let (algorithm, digest) = digest.ok()?;
    (algorithm == SHA256).then(|| digest.try_into().ok()).flatten()
}
