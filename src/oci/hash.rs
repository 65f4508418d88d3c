//! SHA-256 digests, the one algorithm a layout's blobs are filed under.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::model::Digest;

/// The digest of some bytes.
pub(super) fn sha256(bytes: &[u8]) -> Digest {
    finish(Sha256::new_with_prefix(bytes))
}

/// The digest of what was hashed.
pub(super) fn finish(hasher: Sha256) -> Digest {
    let mut text = String::with_capacity(71);
    text.push_str("sha256:");
    for byte in hasher.finalize() {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
    }
    text.parse().expect("64 lower-case hexadecimal digits are a digest")
}

/// Whether a digest is one that can be verified here.
pub(super) fn is_sha256(digest: &Digest) -> bool {
    *digest.algorithm() == oci_spec::image::DigestAlgorithm::Sha256
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_digests() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256(b"").to_string(), empty);
        assert!(is_sha256(&empty.parse().unwrap()));
        assert!(!is_sha256(&format!("sha512:{}", "0".repeat(128)).parse().unwrap()));
    }
}
