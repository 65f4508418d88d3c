//! Signatures and sections as sbsigntool, OpenSSL and binutils read and write them.

use std::path::Path;
use std::process::{Command, Output};

use imgbuild::disk::uki::{Certificate, SignatureError, SigningKey, UnifyParts, enrolment, sign, unify, verify};
use imgbuild::model::SourceDateEpoch;

use crate::fake::{X86_64, pair, program};

fn run(folder: &Path, line: &str) -> Output {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().unwrap());
    command.args(words).current_dir(folder).output().unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn succeeds(folder: &Path, line: &str) -> bool {
    run(folder, line).status.success()
}

/// A folder with `owner` and `stranger`, each a key and a certificate.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["owner", "stranger"] {
        let (certificate, key) = pair(name);
        std::fs::write(folder.path().join(format!("{name}.crt")), certificate).unwrap();
        std::fs::write(folder.path().join(format!("{name}.key")), key).unwrap();
    }
    folder
}

fn load(folder: &Path, name: &str) -> SigningKey {
    let read = |end: &str| std::fs::read(folder.join(format!("{name}.{end}"))).unwrap();
    SigningKey::from_pem(&read("key"), Certificate::from_pem(&read("crt")).unwrap()).unwrap()
}

fn image() -> Vec<u8> {
    let stub = program(X86_64, &[(".text", &[0xc3; 600]), (".sbat", b"sbat,1,SBAT Version\n"), (".reloc", &[0; 12])]);
    let parts = UnifyParts {
        stub: &stub,
        os_release: b"ID=test\n",
        command_line: "rw quiet",
        release: "6.12.0",
        initramfs: &[5; 1234],
        kernel: &program(X86_64, &[(".text", &[0xc3; 900])]),
    };
    unify(&parts).unwrap()
}

#[test]
fn sbverify_accepts_what_we_sign_and_refuses_what_we_refuse() {
    let folder = folder();
    let owner = load(folder.path(), "owner");
    let signed = sign(&image(), &owner).unwrap();
    std::fs::write(folder.path().join("signed"), &signed).unwrap();
    assert!(succeeds(folder.path(), "sbverify --cert owner.crt signed"));
    assert!(!succeeds(folder.path(), "sbverify --cert stranger.crt signed"));
    // In the command line.
    let at = signed.windows(8).position(|window| window == b"rw quiet").unwrap();
    let mut changed = signed;
    changed[at] ^= 1;
    std::fs::write(folder.path().join("changed"), &changed).unwrap();
    assert!(!succeeds(folder.path(), "sbverify --cert owner.crt changed"));
    assert_eq!(verify(&changed, owner.certificate()), Err(SignatureError::Changed));
}

#[test]
fn we_accept_what_sbsign_signs() {
    let folder = folder();
    let image = image();
    std::fs::write(folder.path().join("image"), &image).unwrap();
    assert!(succeeds(folder.path(), "sbsign --key owner.key --cert owner.crt --output signed image"));
    let signed = std::fs::read(folder.path().join("signed")).unwrap();
    let (owner, stranger) = (load(folder.path(), "owner"), load(folder.path(), "stranger"));
    assert_eq!(verify(&signed, owner.certificate()), Ok(()));
    assert!(matches!(verify(&signed, stranger.certificate()), Err(SignatureError::Other { .. })));
    // Beside a stranger's signature the owner's still counts, and signing again leaves only one.
    assert!(succeeds(folder.path(), "sbsign --key stranger.key --cert stranger.crt --output both signed"));
    let both = std::fs::read(folder.path().join("both")).unwrap();
    assert_eq!((verify(&both, owner.certificate()), verify(&both, stranger.certificate())), (Ok(()), Ok(())));
    assert!(sign(&both, &owner).unwrap() == sign(&signed, &owner).unwrap());
}

#[test]
fn keys_of_both_encodings_are_read() {
    let folder = folder();
    assert!(succeeds(folder.path(), "openssl rsa -traditional -in owner.key -out pkcs1.key"));
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    assert!(read("pkcs1.key").starts_with(b"-----BEGIN RSA PRIVATE KEY"));
    let certificate = Certificate::from_pem(&read("owner.crt")).unwrap();
    let key = SigningKey::from_pem(&read("pkcs1.key"), certificate).unwrap();
    assert!(sign(&image(), &key).unwrap() == sign(&image(), &load(folder.path(), "owner")).unwrap());
}

#[test]
fn objcopy_finds_the_sections() {
    let folder = folder();
    std::fs::write(folder.path().join("image"), image()).unwrap();
    for (name, content) in [("osrel", &b"ID=test\n"[..]), ("cmdline", b"rw quiet"), ("uname", b"6.12.0")] {
        let line = format!("objcopy -O binary --only-section=.{name} image {name}");
        assert!(succeeds(folder.path(), &line), "{line}");
        // Up to the section's alignment in the file.
        let found = std::fs::read(folder.path().join(name)).unwrap();
        assert_eq!(&found[..content.len()], content);
        assert!(found[content.len()..].iter().all(|byte| *byte == 0), "{name}");
    }
}

#[test]
fn openssl_verifies_the_updates_of_firmware_variables() {
    let folder = folder();
    let owner = load(folder.path(), "owner");
    let files = enrolment(&owner, SourceDateEpoch::from_secs(1_700_000_000)).unwrap();
    let global = [0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c];
    let key = files.iter().find(|file| file.name == "PK.auth").unwrap();
    let (time, rest) = key.bytes.split_at(16);
    let length = u32::from_le_bytes(rest[..4].try_into().unwrap()) as usize;
    let (message, list) = (&rest[24..length], &rest[length..]);
    std::fs::write(folder.path().join("content"), [b"P\0K\0", &global[..], &[0x27, 0, 0, 0], time, list].concat())
        .unwrap();
    // OpenSSL wants the wrapping that firmware does without.
    let wrapped = [
        &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2][..],
        &[0xa0, 0x82],
        &u16::try_from(message.len()).unwrap().to_be_bytes(),
        message,
    ]
    .concat();
    let wrapped = [&[0x30, 0x82][..], &u16::try_from(wrapped.len()).unwrap().to_be_bytes(), &wrapped].concat();
    std::fs::write(folder.path().join("message"), wrapped).unwrap();
    let line = "openssl smime -verify -binary -inform DER -in message -content content -certfile owner.crt \
                -nointern -noverify -out verified";
    assert!(succeeds(folder.path(), line));
    std::fs::write(folder.path().join("content"), b"something else").unwrap();
    assert!(!succeeds(folder.path(), line));
}
