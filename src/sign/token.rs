//! The identity token of a GitLab job, looked at before it is used: Fulcio's own refusals do not say what is wrong.
//!
//! The signature is not checked: that is for who trusts the token. Nothing of it but public claims is ever shown.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// The audience that Fulcio asks for.
const AUDIENCE: &str = "sigstore";

/// GitLab instances that the public-good Fulcio knows (its `config/identity/config.yaml`, 2026-08).
const PUBLIC_ISSUERS: [&str; 4] =
    ["https://gitlab.com", "https://dev.gitlab.org", "https://ops.gitlab.net", "https://gitlab.archlinux.org"];

/// No token is longer.
const LIMIT: usize = 64 << 10;

/// A token that no certificate would be issued for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum TokenError {
    /// It is no JSON web token.
    #[error("not a JSON web token")]
    Malformed,
    /// It was issued for somebody else.
    #[error(
        "its audience is `{}`, not `{AUDIENCE}`; in .gitlab-ci.yml: `id_tokens: {{SIGSTORE_ID_TOKEN: {{aud: {AUDIENCE}}}}}`",
        found.join(", ")
    )]
    Audience { found: Vec<String> },
    /// Its time is over.
    #[error("it expired {seconds} seconds ago; a job gets a new one when it starts")]
    Expired { seconds: u64 },
    /// Its time has not come.
    #[error("it is valid in {seconds} seconds only; one of the clocks is wrong")]
    NotYet { seconds: u64 },
    /// GitLab does not say which configuration the job ran by.
    #[error(
        "it has no claim `ci_config_ref_uri`: GitLab leaves it out where the configuration is not a file of the project (from elsewhere, Auto DevOps, child pipelines), and Fulcio then issues no certificate"
    )]
    NoConfiguration,
}

/// Who a job would sign as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct JobIdentity {
    /// Subject of the certificate: what verifiers ask for.
    pub subject: String,
    /// Who vouches for it.
    pub issuer: String,
    /// Number of the project: stays with it when it is renamed, and with nobody else.
    pub project_id: Option<String>,
    /// Number of the group.
    pub namespace_id: Option<String>,
    /// Whether the public-good Fulcio knows the issuer; else a private one is needed.
    pub is_public: bool,
    /// Whether the project can be seen by anyone: its name, ref and job would be in a public log.
    pub visibility: Option<String>,
    /// Seconds until it expires.
    pub remaining: u64,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    exp: u64,
    #[serde(default)]
    nbf: Option<u64>,
    #[serde(default)]
    ci_config_ref_uri: Option<String>,
    #[serde(default)]
    project_id: Option<String>,
    #[serde(default)]
    namespace_id: Option<String>,
    #[serde(default)]
    project_visibility: Option<String>,
}

/// One or several (RFC 7519, 4.1.3).
struct Audience(Vec<String>);

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde_json::Value;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        match Value::deserialize(deserializer)? {
            Value::String(one) => Ok(Self(vec![one])),
            Value::Array(several) => Ok(Self(several.iter().filter_map(text).collect())),
            _ => Err(serde::de::Error::custom("an audience is text")),
        }
    }
}

/// Looks at the token of a GitLab job at a time, in seconds since 1970.
///
/// # Errors
/// When no certificate would be issued for it.
pub fn preflight(token: &str, now: u64) -> Result<JobIdentity, TokenError> {
    let claims = claims(token).ok_or(TokenError::Malformed)?;
    if !claims.aud.0.iter().any(|audience| audience == AUDIENCE) {
        return Err(TokenError::Audience { found: claims.aud.0 });
    }
    let remaining = claims.exp.checked_sub(now).filter(|seconds| *seconds > 0);
    let remaining = remaining.ok_or(TokenError::Expired { seconds: now.saturating_sub(claims.exp) })?;
    if let Some(seconds) = claims.nbf.and_then(|begin| begin.checked_sub(now)).filter(|seconds| *seconds > 0) {
        return Err(TokenError::NotYet { seconds });
    }
    let configuration = claims.ci_config_ref_uri.filter(|text| !text.is_empty()).ok_or(TokenError::NoConfiguration)?;
    Ok(JobIdentity {
        subject: format!("https://{configuration}"),
        is_public: PUBLIC_ISSUERS.contains(&claims.iss.as_str()),
        issuer: claims.iss,
        project_id: claims.project_id,
        namespace_id: claims.namespace_id,
        visibility: claims.project_visibility,
        remaining,
    })
}

fn claims(token: &str) -> Option<Claims> {
    let token = token.trim();
    let mut parts = token.split('.');
    let (_, payload, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else { return None };
    if token.len() > LIMIT {
        return None;
    }
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const NOW: u64 = 1_800_000_000;

    fn token(claims: &Value) -> String {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.c2VjcmV0LXNpZ25hdHVyZQ", part(&json!({"alg": "RS256"})), part(claims))
    }

    fn good() -> Value {
        json!({
            "iss": "https://gitlab.com", "aud": "sigstore", "exp": NOW + 300, "nbf": NOW - 5, "project_id": "42",
            "namespace_id": "7", "project_visibility": "private",
            "ci_config_ref_uri": "gitlab.com/group/project//.gitlab-ci.yml@refs/heads/main",
        })
    }

    fn with(key: &str, value: Value) -> Value {
        let mut claims = good();
        claims[key] = value;
        claims
    }

    #[test]
    fn a_good_token_tells_whom_verifiers_must_ask_for() {
        let found = preflight(&token(&good()), NOW).unwrap();
        assert_eq!(found.subject, "https://gitlab.com/group/project//.gitlab-ci.yml@refs/heads/main");
        assert_eq!((found.project_id.as_deref(), found.is_public, found.remaining), (Some("42"), true, 300));
        let several = preflight(&token(&with("aud", json!(["vault", "sigstore"]))), NOW).unwrap();
        assert_eq!(several, found);
        assert!(!preflight(&token(&with("iss", json!("https://git.example.com"))), NOW).unwrap().is_public);
    }

    #[test]
    fn a_bad_token_tells_what_to_change_and_nothing_of_itself() {
        let mut without = good();
        without.as_object_mut().unwrap().remove("ci_config_ref_uri");
        let found = |name: &str| vec![name.to_owned()];
        for (token, expected) in [
            (token(&with("aud", json!("vault"))), TokenError::Audience { found: found("vault") }),
            (token(&with("aud", json!([]))), TokenError::Audience { found: Vec::new() }),
            (token(&with("exp", json!(NOW))), TokenError::Expired { seconds: 0 }),
            (token(&with("exp", json!(NOW - 9))), TokenError::Expired { seconds: 9 }),
            (token(&with("nbf", json!(NOW + 60))), TokenError::NotYet { seconds: 60 }),
            (token(&without), TokenError::NoConfiguration),
            (token(&with("ci_config_ref_uri", Value::Null)), TokenError::NoConfiguration),
            (token(&with("exp", json!("soon"))), TokenError::Malformed),
            (token(&with("aud", json!(1))), TokenError::Malformed),
            ("a.b".to_owned(), TokenError::Malformed),
            ("a.!.c".to_owned(), TokenError::Malformed),
            (token(&good()) + ".d", TokenError::Malformed),
            (String::new(), TokenError::Malformed),
        ] {
            let error = preflight(&token, NOW).unwrap_err();
            assert_eq!(error, expected, "{token}");
            let shown = format!("{error} {error:?}");
            assert!(token.split('.').filter(|part| part.len() > 3).all(|part| !shown.contains(part)), "{shown}");
        }
    }
}
