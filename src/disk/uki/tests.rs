//! Unified images and signatures, of made-up programs; tests/seal has the real ones.

use std::sync::OnceLock;

use proptest::prelude::*;

use super::fake::{X86_64, key, pair, program};
use super::*;

fn parts<'a>(stub: &'a [u8], kernel: &'a [u8]) -> UnifyParts<'a> {
    UnifyParts {
        stub,
        os_release: b"ID=debian\n",
        command_line: "rw composefs=abc",
        release: "6.12.9-amd64",
        initramfs: &[7; 3000],
        kernel,
    }
}

fn stub() -> Vec<u8> {
    program(X86_64, &[(".text", &[1; 5000]), (".sbat", b"sbat,1,SBAT Version\n"), (".reloc", &[2; 12])])
}

fn kernel() -> Vec<u8> {
    program(X86_64, &[(".text", &[3; 700])])
}

#[test]
fn sections_are_read_back_as_they_were_given() {
    let (stub, kernel) = (stub(), kernel());
    let image = unify(&parts(&stub, &kernel)).unwrap();
    assert!(image == unify(&parts(&stub, &kernel)).unwrap());
    let read = Pe::parse(&image).unwrap();
    assert_eq!(read.machine(), X86_64);
    let names: Vec<_> = read.sections().iter().map(|section| String::from_utf8_lossy(section.name())).collect();
    assert_eq!(names, [".text", ".sbat", ".reloc", ".osrel", ".cmdline", ".uname", ".linux", ".initrd"]);
    for (name, content) in [
        (".text", &[1; 5000][..]),
        (".osrel", b"ID=debian\n"),
        (".cmdline", b"rw composefs=abc"),
        (".uname", b"6.12.9-amd64"),
        (".initrd", &[7; 3000]),
        (".linux", &kernel),
    ] {
        assert!(read.section(name) == Some(content), "{name}");
    }
    let mut end = 0;
    for section in read.sections() {
        assert!(section.virtual_address >= end && section.virtual_address.is_multiple_of(4096), "{section:?}");
        end = section.virtual_address + section.virtual_size;
    }
    assert_eq!(read.field(pe::optional::SIZE_OF_IMAGE), end.next_multiple_of(4096));
}

#[test]
fn revocation_lists_are_merged_where_they_fit() {
    let line = b"sbat,1,SBAT Version\nlinux,1,Linux\n";
    let unified = unify(&parts(&stub(), &program(X86_64, &[(".sbat", line)]))).unwrap();
    let image = Pe::parse(&unified).unwrap();
    assert_eq!(image.section(".sbat"), Some(&line[..]));
    let long = [&line[..], &[b'x'; 600]].concat();
    let error = unify(&parts(&stub(), &program(X86_64, &[(".sbat", &long)]))).unwrap_err();
    assert_eq!(error, UnifyError::Room { what: "the kernel's `.sbat`" });
}

#[test]
fn what_makes_no_image_is_told() {
    let (stub, kernel) = (stub(), kernel());
    let unified = unify(&parts(&stub, &kernel)).unwrap();
    let many: Vec<(&str, &[u8])> = vec![(".x", b"x"); 40];
    for (error, stub, kernel) in [
        (UnifyError::Stub(PeError::NotPe), b"MZ".to_vec(), kernel.clone()),
        (UnifyError::Kernel(PeError::NotPe), stub.clone(), vec![0; 4096]),
        (UnifyError::Machine { stub: X86_64, kernel: 0xaa64 }, stub.clone(), program(0xaa64, &[(".text", b"x")])),
        (UnifyError::Present { name: ".osrel" }, unified, kernel.clone()),
        (UnifyError::Room { what: "further sections" }, program(X86_64, &many), kernel),
    ] {
        assert_eq!(unify(&parts(&stub, &kernel)), Err(error));
    }
}

#[test]
fn a_signature_holds_for_exactly_what_was_signed() {
    let (owner, stranger) = (key("owner"), key("stranger"));
    let image = unify(&parts(&stub(), &kernel())).unwrap();
    assert_eq!(verify(&image, owner.certificate()), Err(SignatureError::None));
    let signed = sign(&image, &owner).unwrap();
    assert!(signed == sign(&image, &owner).unwrap(), "nothing of chance in it");
    assert_eq!(verify(&signed, owner.certificate()), Ok(()));
    assert_eq!((signer(&image), signer(&signed)), (Ok(None), Ok(Some(owner.certificate().subject()))));
    assert_eq!(Pe::parse(&signed).unwrap().section(".linux"), Pe::parse(&image).unwrap().section(".linux"));
    let other = verify(&signed, stranger.certificate()).unwrap_err();
    assert_eq!(
        other.to_string(),
        format!("it is not signed with the certificate of {}", stranger.certificate().subject())
    );
    // A second signature replaces the first.
    assert!(sign(&signed, &owner).unwrap() == signed);
    assert_eq!(verify(&sign(&signed, &stranger).unwrap(), stranger.certificate()), Ok(()));
    let mut checksum = signed.clone();
    checksum[68 + 20 + 64] ^= 1;
    assert_eq!(verify(&checksum, owner.certificate()), Ok(()), "the checksum is not signed");
}

#[test]
fn no_byte_of_a_signed_program_can_change() {
    let owner = key("owner");
    let signed = sign(&program(X86_64, &[(".text", &[9; 40])]), &owner).unwrap();
    let checksum = 68 + 20 + 64..68 + 20 + 68;
    // Certificates, and attributes that are not signed, travel with a signature and are no part of it.
    let certificates = Pe::parse(&signed).unwrap().unsigned().unwrap().len();
    for at in (0..certificates).filter(|at| !checksum.contains(at)) {
        let mut changed = signed.clone();
        changed[at] ^= 0x10;
        assert!(verify(&changed, owner.certificate()).is_err(), "byte {at}");
        assert!(!matches!(signer(&changed), Ok(Some(_))), "byte {at}");
    }
    let mut longer = signed.clone();
    longer.push(0);
    assert!(verify(&longer, owner.certificate()).is_err());
}

#[test]
fn whatever_is_cut_off_is_refused() {
    let signed = sign(&unify(&parts(&stub(), &kernel())).unwrap(), &key("owner")).unwrap();
    for length in (0..signed.len()).step_by(7) {
        assert!(Pe::parse(&signed[..length]).is_err(), "{length}");
    }
}

#[test]
fn key_and_certificate_belong_together() {
    let ((certificate, key), (_, other)) = (pair("owner"), pair("stranger"));
    let certificate = Certificate::from_pem(certificate.as_bytes()).unwrap();
    let with = |key: &str| SigningKey::from_pem(key.as_bytes(), certificate.clone()).map(|_| ());
    assert_eq!(with(&key), Ok(()));
    assert_eq!(with(&other), Err(KeyError::Mismatch { subject: certificate.subject() }));
    assert_eq!(with("nothing"), Err(KeyError::NoKey));
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    assert_eq!(with(encrypted), Err(KeyError::Encrypted));
    let curve = rcgen::KeyPair::generate().unwrap().serialize_pem();
    assert!(matches!(with(&curve), Err(KeyError::Key { .. })));
    assert_eq!(Certificate::from_pem(b"").unwrap_err(), KeyError::NoCertificate);
    assert!(matches!(Certificate::from_der(b"\x30\x00"), Err(KeyError::Certificate { .. })));
}

#[test]
fn enrolment_is_the_same_each_time() {
    let owner = key("owner");
    let time = crate::model::SourceDateEpoch::from_secs(1_700_000_000);
    let files = enrolment(&owner, time).unwrap();
    assert_eq!(files, enrolment(&owner, time).unwrap());
    assert_eq!(files.iter().map(|file| file.name).collect::<Vec<_>>(), ["KEK.auth", "PK.auth", "db.auth"]);
    for file in files {
        assert!(file.bytes.ends_with(owner.certificate().der()), "{}", file.name);
        // EDK II looks for the digest's name at this place of the message, and takes no other.
        assert_eq!(file.bytes[40 + 13..][..9], [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1], "{}", file.name);
    }
}

/// Places in what [`program`] makes: COFF header, optional header, first section header.
const COFF: usize = 68;
const OPTIONAL: usize = COFF + 20;
const TABLE: usize = OPTIONAL + 240;

#[test]
fn headers_that_contradict_themselves_are_refused() {
    let place = |what| PeError::Place { what };
    for (at, bytes, error) in [
        (0, &[b'Z', b'M'][..], PeError::NotPe),
        (60, &[0, 0, 0, 0], PeError::NotPe),
        (60, &[0xff; 4], PeError::NotPe),
        (OPTIONAL, &[0x0b, 0x01], PeError::Kind { magic: 0x10b }),
        (COFF + 2, &[0, 0], PeError::Number { what: "number of sections", found: 0 }),
        (COFF + 2, &[97, 0], PeError::Number { what: "number of sections", found: 97 }),
        (COFF + 2, &[60, 0], place("header")),
        (OPTIONAL + 32, &[3, 0], PeError::Number { what: "section alignment", found: 3 }),
        (OPTIONAL + 36, &[0, 0], PeError::Number { what: "file alignment", found: 0 }),
        (OPTIONAL + 60, &[0xff, 0xff, 0xff], place("header")),
        (OPTIONAL + 108, &[17], PeError::Number { what: "number of directories", found: 17 }),
        (OPTIONAL + 144, &[8, 0, 0, 0, 8], place("signature")),
        // Into the headers, over the next section, behind the end.
        (TABLE + 20, &[0, 0], place("section")),
        (TABLE + 40 + 20, &[0, 8], place("section")),
        (TABLE + 16, &[0xff; 4], place("section")),
    ] {
        let mut file = program(X86_64, &[(".text", &[1; 600]), (".data", &[2; 600])]);
        assert!(Pe::parse(&file).is_ok());
        file[at..at + bytes.len()].copy_from_slice(bytes);
        assert_eq!(Pe::parse(&file).map(drop), Err(error), "{at}");
    }
}

#[test]
fn what_firmware_would_hash_otherwise_is_not_signed() {
    // A hole between the sections: firmware takes what is behind it for the rest of the file.
    let mut file = program(X86_64, &[(".text", &[1; 600]), (".data", &[2; 600])]);
    file.splice(0x800 + 1024..0x800 + 1024, [0; 512]);
    file[TABLE + 40 + 20..][..4].copy_from_slice(&(0x800u32 + 1024 + 512).to_le_bytes());
    assert!(Pe::parse(&file).is_ok());
    assert_eq!(sign(&file, owner()), Err(PeError::Place { what: "section" }.into()));
}

fn owner() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| key("owner"))
}

proptest! {
    /// Whatever is read, an answer is given; and no change is taken for what was signed.
    #[test]
    fn damage_is_never_more_than_an_error(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        headers in any::<bool>(),
    ) {
        static SIGNED: OnceLock<Vec<u8>> = OnceLock::new();
        let signed = SIGNED.get_or_init(|| sign(&program(X86_64, &[(".text", &[9; 40])]), owner()).unwrap());
        let mut damaged = signed.clone();
        let range = if headers { TABLE + 40 } else { damaged.len() };
        for (at, byte) in changes {
            damaged[at.index(range)] = byte;
        }
        let same = Pe::parse(&damaged).is_ok_and(|read| read.section(".text") == Some(&[9; 40]));
        prop_assert!(same || verify(&damaged, owner().certificate()).is_err());
        prop_assert!(same || !matches!(signer(&damaged), Ok(Some(_))));
        drop((unify(&parts(&damaged, signed)), unify(&parts(signed, &damaged)), sign(&damaged, owner())));
    }
}
