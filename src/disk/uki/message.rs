//! Signed messages after RFC 5652 (PKCS#7), as firmware reads them: one signer, named by issuer and serial number,
//! SHA-256, RSA.

use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use cms::content_info::CmsVersion;
use cms::signed_data::{
    EncapsulatedContentInfo, SignedAttributes, SignedData, SignerIdentifier, SignerInfo, SignerInfos,
};
use x509_cert::der::asn1::{Null, ObjectIdentifier, OctetString, SetOfVec};
use x509_cert::der::{self, Any, Encode as _};
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::{Certificate, SigningKey};

pub(super) const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
pub(super) const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
pub(super) const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// What is signed with attributes, or without.
pub(super) struct Signed<'s> {
    pub(super) content: EncapsulatedContentInfo,
    pub(super) attributes: Option<SignedAttributes>,
    /// The bytes under the signature where there are no attributes.
    pub(super) message: &'s [u8],
}

/// Signs.
///
/// # Errors
/// When something is too long to be encoded.
pub(super) fn signed_data(key: &SigningKey, signed: Signed<'_>) -> der::Result<SignedData> {
    let Signed { content, attributes, message } = signed;
    let certificate = &key.certificate().parsed;
    let signature = match &attributes {
        Some(attributes) => key.sign(&attributes.to_der()?),
        None => key.sign(message),
    };
    let signer = SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(signer_of(key.certificate())),
        digest_alg: algorithm(SHA256),
        signed_attrs: attributes,
        signature_algorithm: algorithm(RSA),
        signature: OctetString::new(signature)?,
        unsigned_attrs: None,
    };
    let certificates = SetOfVec::from_iter([CertificateChoices::Certificate(certificate.clone())])?;
    Ok(SignedData {
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::from_iter([algorithm(SHA256)])?,
        encap_content_info: content,
        certificates: Some(certificates.into()),
        crls: None,
        signer_infos: SignerInfos(SetOfVec::from_iter([signer])?),
    })
}

/// How a message names who signed it.
pub(super) fn signer_of(certificate: &Certificate) -> IssuerAndSerialNumber {
    let certificate = &certificate.parsed.tbs_certificate;
    IssuerAndSerialNumber { issuer: certificate.issuer.clone(), serial_number: certificate.serial_number.clone() }
}

fn algorithm(oid: ObjectIdentifier) -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid, parameters: Some(Any::from(Null)) }
}
