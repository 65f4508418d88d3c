//! Key files: reading them, and making a pair.

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStringExt as _;

use cap_std::fs::OpenOptionsExt as _;
use cap_std::fs_utf8::camino::{Utf8Path, Utf8PathBuf};
use cap_std::fs_utf8::{Dir, OpenOptions};
use serde::Serialize;

use super::error::SigningError;
use crate::build::BuildError;
use crate::build::error::io;
use crate::sign::{self, JobIdentity, KeyForm, Passphrase, PublicKey, SigningKey};
use crate::sys::{clock, dirs, env, random};

/// No key file is larger.
const LIMIT: u64 = 64 << 10;

/// Asks a person, with these words, for what must not be seen.
pub type Ask<'a> = &'a dyn Fn(&str) -> io::Result<Vec<u8>>;

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct KeyPair {
    /// File of the private key, readable by its owner alone.
    pub private_key: String,
    /// File of the public key.
    pub public_key: String,
    /// SHA-256 of the public key in DER form.
    pub fingerprint: String,
    /// Whether a passphrase protects it.
    pub encrypted: bool,
}

/// Reads the private key at `path`; for its passphrase the environment is looked at first, then somebody is asked.
///
/// # Errors
/// When the file is no key, or the passphrase is wrong or cannot be had. No message holds any of either.
pub fn load(path: &Utf8Path, ask: Ask<'_>) -> Result<SigningKey, BuildError> {
    let file = zeroize::Zeroizing::new(read(path)?);
    let failed = |source| SigningError::Key { path: path.to_owned(), source };
    let passphrase = match KeyForm::of(&file).map_err(failed)? {
        KeyForm::Plain => None,
        KeyForm::Encrypted => Some(match from_environment() {
            Some(given) => given,
            None => asked(path, &format!("Passphrase of {path}: "), ask)?,
        }),
    };
    Ok(SigningKey::from_pem(&file, passphrase.as_ref()).map_err(failed)?)
}

/// Reads the public keys at `paths`.
///
/// # Errors
/// When one of them is none.
pub fn load_public(paths: &[Utf8PathBuf]) -> Result<Vec<PublicKey>, BuildError> {
    paths.iter().map(|path| public_key(path, &read(path)?)).collect()
}

pub(super) fn public_key(path: &Utf8Path, file: &[u8]) -> Result<PublicKey, BuildError> {
    Ok(PublicKey::from_pem(file).map_err(|source| SigningError::Key { path: path.to_owned(), source })?)
}

/// Who this CI job would sign as, by its token in `SIGSTORE_ID_TOKEN`.
///
/// # Errors
/// When there is none, or no certificate would be issued for it.
pub fn identity() -> Result<JobIdentity, BuildError> {
    let token = env::SIGSTORE_ID_TOKEN.get().ok_or(SigningError::NoToken)?;
    Ok(sign::preflight(&token, clock::now_secs()).map_err(SigningError::Token)?)
}

/// Makes a pair: `<path>.key` and `<path>.pub`. The key is encrypted unless `plain`.
///
/// # Errors
/// When either file is there already, no passphrase can be had, or writing fails.
pub fn generate(path: &Utf8Path, plain: bool, ask: Ask<'_>) -> Result<KeyPair, BuildError> {
    let (private_key, public_key) =
        (Utf8PathBuf::from(format!("{path}.key")), Utf8PathBuf::from(format!("{path}.pub")));
    if let Some(taken) = [&private_key, &public_key].into_iter().find(|path| dirs::exists(path)) {
        return Err(SigningError::KeyExists { path: taken.clone() }.into());
    }
    let passphrase = if plain { None } else { Some(new_passphrase(&private_key, ask)?) };
    let key = draw()?;
    let text = match &passphrase {
        None => key.to_pem(),
        Some(passphrase) => {
            let (salt, nonce) = (random_bytes()?, random_bytes()?);
            zeroize::Zeroizing::new(key.to_encrypted_pem(passphrase, &salt, &nonce))
        }
    };
    create(&private_key, text.as_bytes(), 0o600)?;
    create(&public_key, key.public().to_pem().as_bytes(), 0o644)?;
    Ok(KeyPair {
        private_key: private_key.into_string(),
        public_key: public_key.into_string(),
        fingerprint: key.public().fingerprint(),
        encrypted: !plain,
    })
}

fn read(path: &Utf8Path) -> Result<Vec<u8>, BuildError> {
    let mut bytes = Vec::new();
    let file = dirs::open_file(path).map_err(io("opening the key", path))?;
    file.take(LIMIT).read_to_end(&mut bytes).map_err(io("reading the key", path))?;
    Ok(bytes)
}

fn from_environment() -> Option<Passphrase> {
    let given = env::IMGBUILD_KEY_PASSPHRASE.get_even_empty().or_else(|| env::COSIGN_PASSWORD.get_even_empty());
    given.map(OsString::into_vec).map(Passphrase::new)
}

fn asked(path: &Utf8Path, words: &str, ask: Ask<'_>) -> Result<Passphrase, BuildError> {
    let answer = ask(words).map_err(|source| SigningError::Ask { path: path.to_owned(), source })?;
    Ok(Passphrase::new(answer))
}

fn new_passphrase(path: &Utf8Path, ask: Ask<'_>) -> Result<Passphrase, BuildError> {
    if let Some(given) = from_environment() {
        return Ok(given);
    }
    let first = asked(path, &format!("Passphrase for {path}: "), ask)?;
    let second = asked(path, "The same again: ", ask)?;
    if first == second { Ok(first) } else { Err(SigningError::PassphrasesDiffer.into()) }
}

fn random_bytes<const N: usize>() -> Result<[u8; N], SigningError> {
    random::bytes().map_err(SigningError::Random)
}

/// Nearly every 32 bytes are a key.
fn draw() -> Result<SigningKey, SigningError> {
    loop {
        let seed = zeroize::Zeroizing::new(random_bytes()?);
        if let Ok(key) = SigningKey::from_seed(&seed) {
            return Ok(key);
        }
    }
}

/// Puts a file where none is, whole or not at all, never readable by more than `mode` says.
fn create(path: &Utf8Path, bytes: &[u8], mode: u32) -> Result<(), BuildError> {
    let absolute = dirs::absolute(path).map_err(io("finding", path))?;
    let (folder, name) = (absolute.parent().unwrap_or(Utf8Path::new("/")), absolute.file_name().unwrap_or_default());
    let dir = dirs::open(folder).map_err(io("opening", folder))?;
    let temporary = format!(".{name}.{}", std::process::id());
    let result = write_new(&dir, &temporary, bytes, mode).and_then(|()| {
        // A link fails where a rename would overwrite.
        dir.hard_link(&temporary, &dir, name)?;
        dirs::sync(&dir)
    });
    // The name it was written under is in nobody's way when it cannot be removed.
    dir.remove_file(&temporary).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(io("removing", folder.join(&temporary))(error)),
    })?;
    match result {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(SigningError::KeyExists { path: path.to_owned() }.into())
        }
        result => result.map_err(io("writing the key", path)),
    }
}

fn write_new(dir: &Dir, name: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    let mut file = dir.open_with(name, &options)?;
    file.write_all(bytes)?;
    file.sync_all()
}
