//! Small EFI programs and keys for tests.

use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256, RsaKeySize};

use super::{Certificate, SigningKey};

pub(super) const X86_64: u16 = 0x8664;
const ALIGNMENT: usize = 512;
const PAGE: usize = 4096;
const HEADERS: usize = 2048;

fn word(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap().to_le_bytes()
}

/// A program with these sections and room for the headers of more.
pub(super) fn program(machine: u16, sections: &[(&str, &[u8])]) -> Vec<u8> {
    let mut file = vec![0; HEADERS];
    let coff = 68;
    let optional = coff + 20;
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(60, &64u32.to_le_bytes());
    put(64, b"PE\0\0");
    put(coff, &machine.to_le_bytes());
    put(coff + 2, &u16::try_from(sections.len()).unwrap().to_le_bytes());
    put(coff + 16, &240u16.to_le_bytes());
    put(coff + 18, &0x22eu16.to_le_bytes());
    put(optional, &0x20bu16.to_le_bytes());
    for (at, number) in [(16, PAGE), (20, PAGE), (32, PAGE), (36, ALIGNMENT), (60, HEADERS), (108, 16)] {
        put(optional + at, &word(number));
    }
    put(optional + 68, &10u16.to_le_bytes());
    let (mut offset, mut address) = (HEADERS, PAGE);
    for (index, (name, content)) in sections.iter().enumerate() {
        let header = optional + 240 + 40 * index;
        let raw = content.len().next_multiple_of(ALIGNMENT);
        put(header, name.as_bytes());
        for (at, number) in [(8, content.len()), (12, address), (16, raw), (20, offset), (36, 0x6000_0020)] {
            put(header + at, &word(number));
        }
        offset += raw;
        address += content.len().next_multiple_of(PAGE);
    }
    put(optional + 56, &word(address));
    for (_, content) in sections {
        file.extend_from_slice(content);
        file.resize(file.len().next_multiple_of(ALIGNMENT), 0);
    }
    file
}

/// A certificate and its key, both in PEM.
pub(super) fn pair(name: &str) -> (String, String) {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, name);
    (parameters.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

pub(super) fn key(name: &str) -> SigningKey {
    let (certificate, key) = pair(name);
    SigningKey::from_pem(key.as_bytes(), Certificate::from_pem(certificate.as_bytes()).unwrap()).unwrap()
}
