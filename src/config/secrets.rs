//! Secrets that must not become part of a layer.
//!
//! A layer is readable by everyone who can pull the image, for as long as any
//! copy of it exists. Found are private keys and password hashes in the forms
//! that have a recognisable shape; public keys and locked passwords are fine.
//! Every rule asks for the secret's body, not only for its marker, so that a
//! script that mentions `BEGIN PRIVATE KEY` is no finding.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretKind {
    /// A private key in PEM, OpenSSH, PGP or PuTTY form.
    PrivateKey,
    /// A password hash as crypt(5) describes them.
    PasswordHash,
    /// The private key of a WireGuard interface.
    WireguardKey,
    /// An identity of the age file encryption.
    AgeIdentity,
}

impl fmt::Display for SecretKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PrivateKey => "a private key",
            Self::PasswordHash => "a password hash",
            Self::WireguardKey => "a WireGuard private key",
            Self::AgeIdentity => "an age identity",
        })
    }
}

/// A secret and the bytes it takes up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// What it is.
    pub kind: SecretKind,
    /// Where it is, marker included.
    pub span: Range<usize>,
    /// How much of its beginning is a marker that gives nothing away.
    pub marker: usize,
}

/// The first secret in `bytes`.
pub fn find(bytes: &[u8]) -> Option<Secret> {
    find_from(bytes, 0)
}

/// The text with the bytes of every secret, and of the `known` places of others, replaced by `*`; lines and lengths kept.
pub(super) fn masked(text: &str, known: impl IntoIterator<Item = Range<usize>>) -> String {
    let mut bytes = Cow::Borrowed(text.as_bytes());
    let found =
        std::iter::successors(find_from(text.as_bytes(), 0), |secret| find_from(text.as_bytes(), secret.span.end));
    for span in found.map(|secret| secret.span.start + secret.marker..secret.span.end).chain(known) {
        bytes.to_mut()[span].iter_mut().filter(|byte| byte.is_ascii_graphic()).for_each(|byte| *byte = b'*');
    }
    String::from_utf8(bytes.into_owned()).expect("only ASCII was replaced, by ASCII")
}

fn find_from(bytes: &[u8], start: usize) -> Option<Secret> {
    (start..bytes.len()).find_map(|at| {
        let rest = &bytes[at..];
        let (kind, shape) = match rest[0] {
            b'-' => (SecretKind::PrivateKey, armoured_key(rest)?),
            b'$' => (SecretKind::PasswordHash, crypt_hash(rest)?),
            b'P' if rest.starts_with(b"PuTTY") => (SecretKind::PrivateKey, putty_key(rest)?),
            b'P' => (SecretKind::WireguardKey, wireguard_key(rest)?),
            b'A' => (SecretKind::AgeIdentity, age_identity(rest)?),
            b':' => (SecretKind::PasswordHash, des_hash(bytes, at)?),
            _ => return None,
        };
        Some(Secret { kind, span: at..at + shape.length, marker: shape.marker })
    })
}

/// Lengths in bytes; the whole begins with the marker.
#[derive(Debug, Clone, Copy)]
struct Extent {
    marker: usize,
    length: usize,
}

fn find_bytes(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn run_length(bytes: &[u8], allowed: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|&byte| !allowed(byte)).unwrap_or(bytes.len())
}

const fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

/// The alphabet of crypt(5): letters, digits, `.` and `/`.
const fn is_crypt64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/')
}

/// RFC 7468 and OpenPGP armour, also with line breaks written as `\n`.
fn armoured_key(bytes: &[u8]) -> Option<Extent> {
    let rest = bytes.strip_prefix(b"-----BEGIN ")?;
    let label = &rest[..find_bytes(&rest[..rest.len().min(64)], b"-----")?];
    if !(label.ends_with(b"PRIVATE KEY") || label == b"PGP PRIVATE KEY BLOCK") {
        return None;
    }
    let header = b"-----BEGIN ".len() + label.len() + b"-----".len();
    let body = &bytes[header..];
    let end = find_bytes(body, b"-----END ").unwrap_or(body.len());
    has_key_body(&body[..end]).then_some(Extent { marker: header, length: header + end })
}

/// Whether a line of base64 follows, after header fields such as `Proc-Type: 4,ENCRYPTED`.
fn has_key_body(body: &[u8]) -> bool {
    let escaped = |byte| matches!(byte, b'\\' | b'\n' | b'\r' | b' ' | b'\t' | b'"' | b'\'');
    body.split(|&byte| escaped(byte)).any(|word| {
        // A line break written as `\n` leaves its `n` or `r` at the front of the next word.
        run_length(word, is_base64) == word.len() && word.len() >= 32
    })
}

fn putty_key(bytes: &[u8]) -> Option<Extent> {
    const MARKER: &[u8] = b"PuTTY-User-Key-File-";
    find_bytes(bytes.strip_prefix(MARKER)?, b"Private-Lines:")?;
    Some(Extent { marker: MARKER.len(), length: bytes.len() })
}

/// `PrivateKey = …` of wg(8) and systemd.netdev(5): 32 bytes in base64.
fn wireguard_key(bytes: &[u8]) -> Option<Extent> {
    let rest = bytes.strip_prefix(b"PrivateKey")?;
    let blank = |byte| matches!(byte, b' ' | b'\t');
    let rest = rest[run_length(rest, blank)..].strip_prefix(b"=")?;
    let rest = &rest[run_length(rest, blank)..];
    let length = run_length(rest, is_base64);
    let marker = bytes.len() - rest.len();
    (length == 44 && rest[43] == b'=').then_some(Extent { marker, length: marker + length })
}

fn age_identity(bytes: &[u8]) -> Option<Extent> {
    const MARKER: &[u8] = b"AGE-SECRET-KEY-1";
    let length = run_length(bytes.strip_prefix(MARKER)?, |byte| byte.is_ascii_alphanumeric());
    (length >= 58).then_some(Extent { marker: MARKER.len(), length: MARKER.len() + length })
}

/// A modular-crypt hash with a body of the length its method produces.
fn crypt_hash(bytes: &[u8]) -> Option<Extent> {
    let rest = bytes.strip_prefix(b"$")?;
    let method = &rest[..run_length(rest, |byte| byte.is_ascii_alphanumeric())];
    let body = match method {
        b"1" | b"apr1" => 22,
        b"5" | b"y" | b"gy" | b"sm3" | b"7" => 43,
        b"6" => 86,
        b"2a" | b"2b" | b"2x" | b"2y" => 53,
        b"argon2i" | b"argon2d" | b"argon2id" | b"scrypt" => 22,
        _ => return None,
    };
    let length = run_length(rest, |byte| is_crypt64(byte) || matches!(byte, b'$' | b'=' | b',' | b'+' | b'-'));
    let hash = &rest[..length];
    let last = hash.rsplit(|&byte| byte == b'$').next()?;
    let marker = 1 + method.len() + 1;
    (hash.len() > method.len() + 1 + body && last.len() >= body).then_some(Extent { marker, length: 1 + length })
}

/// The traditional 13-character hash, which has no marker: only as the second of shadow(5)'s nine fields.
fn des_hash(bytes: &[u8], at: usize) -> Option<Extent> {
    let line_start = bytes[..at].iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
    if bytes[line_start..at].contains(&b':') {
        return None;
    }
    let line_end = at + run_length(&bytes[at..], |byte| byte != b'\n' && byte != b'"');
    let fields: Vec<&[u8]> = bytes[at + 1..line_end].split(|&byte| byte == b':').collect();
    let numeric = |field: &&[u8]| field.iter().all(u8::is_ascii_digit);
    let (hash, rest) = fields.split_first()?;
    let is_hash = hash.len() == 13 && hash.iter().copied().all(is_crypt64);
    (is_hash && rest.len() == 7 && rest.iter().all(numeric)).then_some(Extent { marker: 1, length: 1 + hash.len() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, proptest};

    use super::*;

    const BODY: &str = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ";

    #[test]
    fn secrets_are_found_and_their_public_relatives_are_not() {
        use SecretKind::{AgeIdentity, PasswordHash, PrivateKey, WireguardKey};
        let six = "a".repeat(86);
        let five = "b".repeat(43);
        let cases: &[(String, Option<SecretKind>)] = &[
            (
                format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{BODY}\n-----END OPENSSH PRIVATE KEY-----"),
                Some(PrivateKey),
            ),
            (format!("key = \"-----BEGIN PRIVATE KEY-----\\n{BODY}\\n-----END\""), Some(PrivateKey)),
            (format!("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n{BODY}\n"), Some(PrivateKey)),
            (format!("-----BEGIN EC PRIVATE KEY-----\r\n{BODY}\r\n"), Some(PrivateKey)),
            (format!("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{BODY}\n"), Some(PrivateKey)),
            (format!("PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 1\n{BODY}"), Some(PrivateKey)),
            (format!("-----BEGIN CERTIFICATE-----\n{BODY}\n"), None),
            (format!("-----BEGIN PUBLIC KEY-----\n{BODY}\n"), None),
            (format!("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n{BODY}\n"), None),
            ("grep -q 'BEGIN PRIVATE KEY' \"$1\"".to_owned(), None),
            ("if grep -q -- '-----BEGIN PRIVATE KEY-----' \"$1\"; then exit 1; fi".to_owned(), None),
            (format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{BODY} ops@example"), None),
            (format!("root:$6$rounds=5000$salt$salt${six}:19000:0:99999:7:::"), Some(PasswordHash)),
            (format!("root:!$6$saltsalt${six}:19000::::::"), Some(PasswordHash)),
            (format!("password = \"$5$salt${five}\""), Some(PasswordHash)),
            (format!("$y$j9T$F5Jx5fExrKuPp53xLKQ..1${five}"), Some(PasswordHash)),
            (format!("$2b$12${}", "c".repeat(53)), Some(PasswordHash)),
            (format!("$1$salt${}", "d".repeat(22)), Some(PasswordHash)),
            (
                "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b7dWRJJLmaaJObG".to_owned(),
                Some(PasswordHash),
            ),
            ("root:abJnggxhB/yWI:19000:0:99999:7:::".to_owned(), Some(PasswordHash)),
            ("root:*:19000:0:99999:7:::".to_owned(), None),
            ("root:!:19000::::::\nsshd:!*:19000::::::".to_owned(), None),
            ("root:x:0:0:root:/root:/bin/bash".to_owned(), None),
            ("echo \"$1$2$6$y$salt\"".to_owned(), None),
            ("awk '{ print $1$5$6 }'".to_owned(), None),
            ("$6$short".to_owned(), None),
            (format!("PrivateKey = {}=", "k".repeat(43)), Some(WireguardKey)),
            ("PrivateKeyFile=/run/credentials/wg".to_owned(), None),
            (format!("PublicKey = {}=", "k".repeat(43)), None),
            (format!("AGE-SECRET-KEY-1{}", "Q".repeat(58)), Some(AgeIdentity)),
            (format!("age1{}", "q".repeat(58)), None),
            (String::new(), None),
        ];
        for (text, expected) in cases {
            assert_eq!(find(text.as_bytes()).map(|secret| secret.kind), *expected, "{text}");
        }
    }

    #[test]
    fn masking_keeps_every_line_and_hides_every_secret() {
        let hash = format!("$5$salt${}", "b".repeat(43));
        let text = format!("a\n-----BEGIN PRIVATE KEY-----\n{BODY}\n-----END PRIVATE KEY-----\nü x:{hash}:\n");
        let masked = masked(&text, std::iter::once(0..1));
        assert!(!masked.contains(BODY) && !masked.contains(&hash), "{masked}");
        assert_eq!(masked.len(), text.len());
        assert_eq!(masked.lines().count(), text.lines().count());
        assert!(masked.starts_with("*\n") && masked.contains("ü x:"), "{masked}");
    }

    #[test]
    fn binary_content_is_searched_too() {
        let mut bytes = vec![0xff, 0x00];
        bytes.extend(format!("-----BEGIN PRIVATE KEY-----\n{BODY}").into_bytes());
        assert_eq!(find(&bytes).unwrap().span.start, 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_text_breaks_the_search(
            marker in "(-----BEGIN PRIVATE KEY-----|[$]6[$]|PrivateKey = |AGE-SECRET-KEY-1|:|)",
            tail in "[ -~\nü]{0,120}",
        ) {
            let text = format!("{marker}{tail}");
            assert_eq!(masked(&text, None).len(), text.len());
        }
    }
}
