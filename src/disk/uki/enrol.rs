//! Files from which a firmware in setup mode takes the owner's key.
//!
//! Three variables make Secure Boot: `PK` allows changing `KEK`, that allows changing `db`, and what `db` verifies may
//! start. One certificate in all three is what a site with one key needs. systemd-boot enrols the files that it finds in
//! `loader/keys/NAME` of the EFI system partition: signed updates of the variables, as UEFI 8.2.2 has them.

use cms::signed_data::EncapsulatedContentInfo;
use uuid::{Uuid, uuid};
use x509_cert::der::Encode as _;

use super::message::{DATA, Signed, signed_data};
use super::{SignatureError, SigningKey};
use crate::model::SourceDateEpoch;

/// `EFI_GLOBAL_VARIABLE`, of `PK` and `KEK`, and `EFI_IMAGE_SECURITY_DATABASE_GUID`, of `db`.
const GLOBAL: Uuid = uuid!("8be4df61-93ca-11d2-aa0d-00e098032b8c");
const DATABASE: Uuid = uuid!("d719b2cb-3d3a-4596-a3bc-dad00e67656f");
/// `EFI_CERT_X509_GUID` and `EFI_CERT_TYPE_PKCS7_GUID`.
const X509: Uuid = uuid!("a5c059a1-94e4-4aa7-87b5-ab155c2bf072");
const PKCS7: Uuid = uuid!("4aafd29d-68df-49ee-8aa9-347d375665a7");
/// Kept, at boot and at run time, authenticated by time.
const ATTRIBUTES: u32 = 0x27;
/// `wRevision` and `wCertificateType` of `WIN_CERTIFICATE_UEFI_GUID`.
const REVISION_AND_TYPE: [u8; 4] = [0x00, 0x02, 0xf1, 0x0e];
/// Bytes of a `WIN_CERTIFICATE_UEFI_GUID` before the message.
const HEAD: usize = 24;
/// Bytes of a signature list before its signature, and of the owner's GUID in front of the certificate.
const LIST_HEAD: usize = 28;
const OWNER: usize = 16;

/// A signed update of one variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolmentFile {
    /// `PK.auth`, `KEK.auth` or `db.auth`.
    pub name: &'static str,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// The updates that make the key's certificate the one that decides what starts.
///
/// # Errors
/// When a signature cannot be encoded.
pub fn enrolment(key: &SigningKey, time: SourceDateEpoch) -> Result<Vec<EnrolmentFile>, SignatureError> {
    let list = signature_list(key.certificate().der(), owner(&key.certificate().fingerprint()));
    let time = efi_time(time);
    let variables = [("KEK", "KEK.auth", GLOBAL), ("PK", "PK.auth", GLOBAL), ("db", "db.auth", DATABASE)];
    let file = |(variable, name, vendor)| {
        let message = signature(key, &signed_bytes(variable, vendor, &time, &list))?;
        let length = u32::try_from(HEAD + message.len()).expect("a certificate is smaller than 4 GiB");
        let head = [&time[..], &length.to_le_bytes(), &REVISION_AND_TYPE, &PKCS7.to_bytes_le()].concat();
        Ok(EnrolmentFile { name, bytes: [head, message, list.clone()].concat() })
    };
    variables.into_iter().map(file).collect()
}

/// Whose certificate it is: by the certificate itself, so that the same one gives the same files.
fn owner(fingerprint: &[u8; 32]) -> Uuid {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&fingerprint[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// `EFI_SIGNATURE_LIST` with one certificate.
fn signature_list(certificate: &[u8], owner: Uuid) -> Vec<u8> {
    let word = |number: usize| u32::try_from(number).expect("a certificate is smaller than 4 GiB").to_le_bytes();
    let size = OWNER + certificate.len();
    let head = [&X509.to_bytes_le()[..], &word(LIST_HEAD + size), &word(0), &word(size)].concat();
    [&head[..], &owner.to_bytes_le(), certificate].concat()
}

/// What the signature of an update is made over.
fn signed_bytes(variable: &str, vendor: Uuid, time: &[u8; 16], list: &[u8]) -> Vec<u8> {
    let name: Vec<u8> = variable.encode_utf16().flat_map(u16::to_le_bytes).collect();
    [&name[..], &vendor.to_bytes_le(), &ATTRIBUTES.to_le_bytes(), time, list].concat()
}

/// A message without what it signs and without a `ContentInfo` around it, which is how firmware takes it.
fn signature(key: &SigningKey, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
    let content = EncapsulatedContentInfo { econtent_type: DATA, econtent: None };
    let signed = signed_data(key, Signed { content, attributes: None, message });
    let encoded = signed.and_then(|signed| signed.to_der());
    encoded.map_err(|error| SignatureError::Encoding { reason: error.to_string() })
}

/// `EFI_TIME`: year, month, day, hour, minute, second; what is behind must be zero in an update.
fn efi_time(time: SourceDateEpoch) -> [u8; 16] {
    let text = time.to_rfc3339();
    let number = |range: std::ops::Range<usize>| text.get(range).and_then(|digits| digits.parse::<u16>().ok());
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&number(0..4).unwrap_or_default().to_le_bytes());
    for (at, range) in [(2, 5..7), (3, 8..10), (4, 11..13), (5, 14..16), (6, 17..19)] {
        bytes[at] = number(range).and_then(|number| u8::try_from(number).ok()).unwrap_or_default();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_firmware_writes_them() {
        let time = efi_time(SourceDateEpoch::from_secs(1_700_000_000));
        assert_eq!(time[..8], [0xe7, 0x07, 11, 14, 22, 13, 20, 0]);
        assert_eq!(time[8..], [0; 8]);
    }

    #[test]
    fn a_list_says_how_long_it_is() {
        let list = signature_list(&[7; 100], owner(&[1; 32]));
        assert_eq!(list.len(), 28 + 16 + 100);
        assert_eq!(list[16..28], [144, 0, 0, 0, 0, 0, 0, 0, 116, 0, 0, 0]);
    }
}
