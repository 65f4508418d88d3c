use super::*;

fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32]).unwrap()
}

#[test]
fn a_signature_is_the_same_each_time_and_only_its_key_verifies_it() {
    let (key, other) = (key(), SigningKey::from_seed(&[8; 32]).unwrap());
    let signature = key.sign(b"message");
    assert_eq!(signature, key.sign(b"message"));
    assert!(key.public().verifies(b"message", &signature));
    assert!(!key.public().verifies(b"massage", &signature));
    assert!(!other.public().verifies(b"message", &signature));
    let mut cut = signature.clone();
    cut.pop();
    assert!(!key.public().verifies(b"message", &cut));
    assert!(!key.public().verifies(b"message", &[]));
}

#[test]
fn the_nonce_is_that_of_rfc_6979() {
    // RFC 6979, A.2.5: the key of P-256, message "sample" with SHA-256.
    let seed: Vec<u8> = "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721"
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    let key = SigningKey::from_seed(&seed.try_into().unwrap()).unwrap();
    let signature = key.sign(b"sample");
    let hex: String = signature.iter().map(|byte| format!("{byte:02X}")).collect();
    assert!(hex.contains("EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"), "{hex}");
    assert!(hex.contains("F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"), "{hex}");
}

#[test]
fn keys_survive_their_files() {
    let key = key();
    let passphrase = Passphrase::new("correct horse");
    let plain = SigningKey::from_pem(key.to_pem().as_bytes(), None).unwrap();
    assert_eq!(plain.public(), key.public());
    let sealed = key.to_encrypted_pem(&passphrase, &[1; 32], &[2; 24]);
    assert_eq!(KeyForm::of(sealed.as_bytes()).unwrap(), KeyForm::Encrypted);
    let opened = SigningKey::from_pem(sealed.as_bytes(), Some(&passphrase)).unwrap();
    assert_eq!(opened.public(), key.public());
    assert_eq!(PublicKey::from_pem(key.public().to_pem().as_bytes()).unwrap(), *key.public());
}

#[test]
fn what_is_no_key_is_told_without_telling_the_key() {
    let key = key();
    let secret = key.to_pem();
    let sealed = key.to_encrypted_pem(&Passphrase::new("right"), &[1; 32], &[2; 24]);
    let damaged = secret.replacen("MIGH", "AAAA", 1);
    let relabelled = secret.replace("PRIVATE KEY", "EC PRIVATE KEY");
    let costly = |params: &str| {
        let json = format!(
            r#"{{"kdf":{{"name":"scrypt","params":{params},"salt":""}},"cipher":{{"name":"nacl/secretbox","nonce":"{}"}},"ciphertext":""}}"#,
            BASE64_ZEROS
        );
        pem::encode(&pem::Pem::new(ENCRYPTED[1], json))
    };
    let wrong = Passphrase::new("wrong-secret");
    for (what, file, passphrase, expected) in [
        ("nothing", String::new(), None, KeyError::NotPem),
        ("public", key.public().to_pem(), None, label("PUBLIC KEY")),
        ("old form", relabelled, None, label("EC PRIVATE KEY")),
        ("damaged", damaged, None, KeyError::NotP256),
        ("no passphrase", sealed.clone(), None, KeyError::NoPassphrase),
        ("wrong passphrase", sealed, Some(&wrong), KeyError::WrongPassphrase),
        ("memory", costly(r#"{"N":1073741824,"r":8,"p":1}"#), Some(&wrong), KeyError::Cost { n: 1 << 30, r: 8, p: 1 }),
        ("no power", costly(r#"{"N":1000,"r":8,"p":1}"#), Some(&wrong), KeyError::Cost { n: 1000, r: 8, p: 1 }),
        ("unknown field", costly(r#"{"N":2,"r":8,"p":1,"q":1}"#), Some(&wrong), KeyError::MalformedEncryption),
    ] {
        let error = SigningKey::from_pem(file.as_bytes(), passphrase).unwrap_err();
        assert_eq!(error, expected, "{what}");
        let shown = format!("{error} {error:?} {passphrase:?} {key:?}");
        assert!(!shown.contains("wrong-secret"), "{shown}");
        assert!(!secret.lines().skip(1).any(|line| shown.contains(line)), "{shown}");
    }
}

const BASE64_ZEROS: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn label(found: &str) -> KeyError {
    KeyError::Label { expected: "private key", found: found.to_owned() }
}
