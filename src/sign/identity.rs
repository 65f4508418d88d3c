//! Signatures made by an identity: a certificate for ten minutes, and a log or timestamp that proves when it was used.
//!
//! Certificate chain, log, timestamps and signature are `sigstore-verify`'s affair; here is who is wanted. Nothing is
//! fetched: what is trusted comes in as a `trusted_root.json`.

use oci_spec::image::Digest;
use regex::Regex;
use sigstore_crypto::CertificateInfo;
use sigstore_trust_root::TrustedRoot;
use sigstore_types::{Artifact, Bundle, Sha256Hash};
use sigstore_verify::{VerificationPolicy, Verifier};

/// No pattern compiles to more.
const PATTERN_SIZE: usize = 1 << 20;

/// Who is wanted cannot be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum IdentityError {
    /// Not a trusted root.
    #[error("not a trusted root: {reason}")]
    TrustedRoot { reason: String },
    /// Not a pattern.
    #[error("`{pattern}` is no regular expression")]
    Pattern { pattern: String },
}

/// Who is wanted, by the subject of the certificate.
#[derive(Debug, Clone)]
pub enum SubjectRule {
    /// This one.
    Exact(String),
    /// One that the pattern matches as a whole.
    Pattern(Regex),
}

impl SubjectRule {
    /// A rule from a regular expression, which must match the whole subject: a part of it may be anybody's choice.
    ///
    /// # Errors
    /// When it is none, or too large.
    pub fn pattern(pattern: &str) -> Result<Self, IdentityError> {
        let whole = format!("^(?:{pattern})$");
        let compiled = regex::RegexBuilder::new(&whole).size_limit(PATTERN_SIZE).build();
        compiled.map(Self::Pattern).map_err(|_| IdentityError::Pattern { pattern: pattern.to_owned() })
    }

    fn matches(&self, subject: &str) -> bool {
        match self {
            Self::Exact(wanted) => wanted == subject,
            Self::Pattern(pattern) => pattern.is_match(subject),
        }
    }
}

/// Who is wanted.
#[derive(Debug, Clone)]
pub struct WantedIdentity {
    /// The subject of the certificate, for a GitLab job its configuration's address and ref.
    pub subject: SubjectRule,
    /// Who vouched for the identity: the address of the OIDC issuer.
    pub issuer: String,
    /// The number of the project in whose job it happened: unlike its name, nobody else can have it later.
    pub project_id: Option<String>,
}

/// An identity that is trusted, and what proves it.
pub struct TrustedIdentity {
    verifier: Verifier,
    wanted: WantedIdentity,
}

impl std::fmt::Debug for TrustedIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrustedIdentity").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

/// Who was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) subject: String,
    pub(super) issuer: String,
}

impl TrustedIdentity {
    /// Trusts `wanted` as far as the authorities and logs of a `trusted_root.json` vouch for it.
    ///
    /// # Errors
    /// When that is none.
    pub fn new(trusted_root: &[u8], wanted: WantedIdentity) -> Result<Self, IdentityError> {
        let failed = |reason: String| IdentityError::TrustedRoot { reason };
        let text = std::str::from_utf8(trusted_root).map_err(|error| failed(error.to_string()))?;
        let root = TrustedRoot::from_json(text).map_err(|error| failed(error.to_string()))?;
        let verifier = Verifier::new(&root).map_err(|error| failed(error.to_string()))?;
        Ok(Self { verifier, wanted })
    }

    /// Who made a bundle about the artifact with this digest; in words why it was not who is wanted.
    pub(super) fn verify(&self, bundle: &Bundle, digest: &Digest) -> Result<Found, String> {
        let hash = Sha256Hash::from_hex(digest.digest()).map_err(|error| error.to_string())?;
        // Whose it is, is decided below: the crate compares only whole subjects.
        let anybody = VerificationPolicy::any_identity();
        let verified =
            self.verifier.verify(Artifact::from_digest(hash), bundle, &anybody).map_err(|error| error.to_string())?;
        let certificate = verified.certificate().ok_or("there is no certificate")?;
        self.judge(certificate)
    }

    fn judge(&self, certificate: &CertificateInfo) -> Result<Found, String> {
        let subject = certificate.identity.as_ref().map_or("", |subject| subject.as_str());
        let issuer = certificate.issuer.as_deref().unwrap_or_default();
        let project = certificate.ci_claims.source_repository_identifier.as_deref().unwrap_or("none");
        if !self.wanted.subject.matches(subject) || self.wanted.issuer != issuer {
            return Err(format!("made by `{subject}` of {issuer}"));
        }
        match &self.wanted.project_id {
            Some(wanted) if wanted != project => {
                Err(format!("made by `{subject}` in the project with number {project}"))
            }
            _ => Ok(Found { subject: subject.to_owned(), issuer: issuer.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = sigstore_trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT;
    const STAGING: &str = sigstore_trust_root::SIGSTORE_STAGING_TRUSTED_ROOT;
    const REKOR1: &str = include_str!("../../tests/fixtures/keyless/rekor-v1.json");
    const REKOR2: &str = include_str!("../../tests/fixtures/keyless/rekor-v2.json");
    const WORKFLOW: &str =
        "https://github.com/prefix-dev/sigstore-example/.github/workflows/action.yaml@refs/heads/main";
    const ISSUER: &str = "https://token.actions.githubusercontent.com";

    fn digest(bundle: &Bundle) -> Digest {
        let sigstore_types::SignatureContent::DsseEnvelope(envelope) = &bundle.content else { panic!("a statement") };
        let statement = super::super::Statement::parse(envelope.payload.as_bytes()).unwrap();
        Digest::try_from(format!("sha256:{}", statement.subject[0].digest["sha256"])).unwrap()
    }

    fn trusted(subject: SubjectRule, issuer: &str, project_id: Option<&str>) -> TrustedIdentity {
        let project_id = project_id.map(str::to_owned);
        TrustedIdentity::new(ROOT.as_bytes(), WantedIdentity { subject, issuer: issuer.to_owned(), project_id })
            .unwrap()
    }

    fn exact(subject: &str) -> SubjectRule {
        SubjectRule::Exact(subject.to_owned())
    }

    #[test]
    fn an_identity_is_verified_by_either_log() {
        for (text, root, issuer) in [(REKOR1, ROOT, ISSUER), (REKOR2, STAGING, "https://github.com/login/oauth")] {
            let bundle = Bundle::from_json(text).unwrap();
            let subject = SubjectRule::pattern(".*").unwrap();
            let wanted = WantedIdentity { subject, issuer: issuer.to_owned(), project_id: None };
            let anybody = TrustedIdentity::new(root.as_bytes(), wanted).unwrap();
            assert_eq!(anybody.verify(&bundle, &digest(&bundle)).unwrap().issuer, issuer);
        }
    }

    #[test]
    fn who_is_wanted_is_compared_as_a_whole() {
        let bundle = Bundle::from_json(REKOR1).unwrap();
        let pattern = |text: &str| SubjectRule::pattern(text).unwrap();
        for (what, trusted, accepted) in [
            ("exact", trusted(exact(WORKFLOW), ISSUER, None), true),
            ("its project", trusted(exact(WORKFLOW), ISSUER, Some("1048392115")), true),
            ("another project", trusted(exact(WORKFLOW), ISSUER, Some("1")), false),
            ("another ref", trusted(exact(&WORKFLOW.replace("main", "next")), ISSUER, None), false),
            ("another issuer", trusted(exact(WORKFLOW), "https://gitlab.com", None), false),
            ("a pattern", trusted(pattern("https://github\\.com/prefix-dev/.*@refs/heads/main"), ISSUER, None), true),
            ("a part", trusted(pattern("github\\.com/prefix-dev"), ISSUER, None), false),
            ("two of which one", trusted(pattern("x|https://github\\.com/prefix-dev/"), ISSUER, None), false),
        ] {
            let found = trusted.verify(&bundle, &digest(&bundle));
            assert_eq!(found.is_ok(), accepted, "{what}: {found:?}");
        }
    }

    #[test]
    fn what_proves_nothing_is_refused() {
        let (good, known) = (Bundle::from_json(REKOR1).unwrap(), trusted(exact(WORKFLOW), ISSUER, None));
        let other = crate::oci::sha256(b"another image");
        assert!(known.verify(&good, &other).is_err());
        let mut json: serde_json::Value = serde_json::from_str(REKOR1).unwrap();
        json["verificationMaterial"]["tlogEntries"] = serde_json::json!([]);
        let stripped = Bundle::from_json(&json.to_string()).unwrap();
        assert!(known.verify(&stripped, &digest(&good)).is_err(), "a certificate that expired, and no proof of when");
        let signature = &mut json["dsseEnvelope"]["signatures"][0]["sig"];
        let text = signature.as_str().unwrap().replacen('A', "B", 1);
        *signature = text.into();
        assert!(known.verify(&Bundle::from_json(&json.to_string()).unwrap(), &digest(&good)).is_err());
        let nobody = br#"{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}"#;
        let wanted = WantedIdentity { subject: exact(WORKFLOW), issuer: ISSUER.to_owned(), project_id: None };
        let empty = TrustedIdentity::new(nobody, wanted.clone());
        assert!(empty.is_err() || empty.unwrap().verify(&good, &digest(&good)).is_err());
        assert!(matches!(TrustedIdentity::new(b"{", wanted), Err(IdentityError::TrustedRoot { .. })));
        assert!(SubjectRule::pattern("(").is_err());
    }
}
