//! cosign's encrypted private key: PKCS#8 in NaCl's secretbox, under a key that scrypt derives from the passphrase.
//!
//! The form is that of go-securesystemslib's `encrypted` package: a JSON object with `kdf`, `cipher` and
//! `ciphertext`, in which all bytes are base64.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use crypto_secretbox::aead::{Aead as _, KeyInit as _};
use crypto_secretbox::{Key, Nonce, XSalsa20Poly1305};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{KeyError, Passphrase};

/// What cosign takes: 2^16 blocks, 64 MiB.
const COST: Scrypt = Scrypt { n: 1 << 16, r: 8, p: 1 };

/// A derivation that takes more memory than this (128 · N · r bytes) is refused: the file says how much it takes.
const MEMORY_LIMIT: u64 = 1 << 30;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kdf {
    name: String,
    params: Scrypt,
    salt: String,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scrypt {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cipher {
    name: String,
    nonce: String,
}

const KDF: &str = "scrypt";
const CIPHER: &str = "nacl/secretbox";

/// Decrypts what is in the PEM.
pub(super) fn open(content: &[u8], passphrase: &Passphrase) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    // The parser's own words would quote the file.
    let sealed: Sealed = serde_json::from_slice(content).map_err(|_| KeyError::MalformedEncryption)?;
    expect(KDF, &sealed.kdf.name)?;
    expect(CIPHER, &sealed.cipher.name)?;
    let decode = |text: &str| BASE64_STANDARD.decode(text).map_err(|_| KeyError::MalformedEncryption);
    let (salt, nonce, ciphertext) =
        (decode(&sealed.kdf.salt)?, decode(&sealed.cipher.nonce)?, decode(&sealed.ciphertext)?);
    let nonce: [u8; 24] = nonce.try_into().map_err(|_| KeyError::MalformedEncryption)?;
    let key = derive(passphrase, &salt, sealed.kdf.params)?;
    let plain = XSalsa20Poly1305::new(Key::from_slice(&*key)).decrypt(Nonce::from_slice(&nonce), &*ciphertext);
    plain.map(Zeroizing::new).map_err(|_| KeyError::WrongPassphrase)
}

/// Encrypts as cosign does.
pub(super) fn seal(der: &[u8], passphrase: &Passphrase, salt: &[u8; 32], nonce: &[u8; 24]) -> Vec<u8> {
    let key = derive(passphrase, salt, COST).expect("our own cost is accepted");
    let ciphertext = XSalsa20Poly1305::new(Key::from_slice(&*key))
        .encrypt(Nonce::from_slice(nonce), der)
        .expect("a key is not too long to be encrypted");
    let sealed = Sealed {
        kdf: Kdf { name: KDF.to_owned(), params: COST, salt: BASE64_STANDARD.encode(salt) },
        cipher: Cipher { name: CIPHER.to_owned(), nonce: BASE64_STANDARD.encode(nonce) },
        ciphertext: BASE64_STANDARD.encode(ciphertext),
    };
    serde_json::to_vec(&sealed).expect("text and numbers have a JSON form")
}

fn expect(expected: &'static str, found: &str) -> Result<(), KeyError> {
    if found == expected {
        Ok(())
    } else {
        Err(KeyError::Encryption { expected, found: found.chars().take(40).collect() })
    }
}

fn derive(passphrase: &Passphrase, salt: &[u8], cost: Scrypt) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let Scrypt { n, r, p } = cost;
    let refused = KeyError::Cost { n, r, p };
    let memory = n.checked_mul(128 * u64::from(r));
    if !n.is_power_of_two() || !(1..=4).contains(&p) || memory.is_none_or(|memory| memory > MEMORY_LIMIT) {
        return Err(refused);
    }
    let log_n = u8::try_from(n.trailing_zeros()).expect("at most 63");
    let params = scrypt::Params::new(log_n, r, p).map_err(|_| refused)?;
    let mut key = Zeroizing::new([0; 32]);
    scrypt::scrypt(passphrase.as_bytes(), salt, &params, &mut *key).expect("32 bytes can be derived");
    Ok(key)
}
