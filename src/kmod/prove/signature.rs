//! Signatures against what is asked of them.

use super::{Certificate, Code, Finding, finding};
use crate::kmod::{SignatureError, SignatureTail};

/// What is asked of the signatures of modules.
///
/// Without certificates only the structure of a signature can be checked and its signer be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignaturePolicy<'a> {
    /// None is needed; one that is there must be readable, because the kernel refuses damaged ones in any case.
    Optional,
    /// Any is needed.
    Required,
    /// One by the key of any of these certificates is needed, and is verified.
    SignedBy(&'a [Certificate]),
}

/// `content` is the whole decompressed file.
pub(super) fn check(
    path: &str,
    content: &[u8],
    tail: Option<&SignatureTail>,
    policy: SignaturePolicy<'_>,
) -> Option<Finding> {
    let Some(tail) = tail else {
        let needed = policy != SignaturePolicy::Optional;
        return needed.then(|| finding(Code::Unsigned, path, "has no signature"));
    };
    let signature = match &tail.content {
        Ok(signature) => signature,
        Err(error) => return Some(finding(Code::SignatureDamaged, path, format!("has a signature, but {error}"))),
    };
    let SignaturePolicy::SignedBy(certificates) = policy else { return None };
    let mut named = certificates.iter().filter(|certificate| certificate.is(&signature.signer)).peekable();
    if named.peek().is_none() {
        let expected: Vec<String> = certificates.iter().map(ToString::to_string).collect();
        let message = format!("signed by {} instead of {}", signature.signer, expected.join(" or "));
        return Some(finding(Code::UnknownSigner, path, message));
    }
    let signed = usize::try_from(tail.signed_bytes).ok().and_then(|end| content.get(..end)).unwrap_or_default();
    // Names of issuers are whatever one writes into a certificate: several of the expected ones may match.
    let error = named.map(|certificate| certificate.verify(signed, signature)).reduce(Result::or)?.err()?;
    let code = if error == SignatureError::Algorithm { Code::SignatureUnverifiable } else { Code::SignatureDamaged };
    Some(finding(code, path, format!("signed by {} with {}, but {error}", signature.signer, signature.digest)))
}
