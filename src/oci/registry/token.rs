//! Logging in: from a registry's challenge to the header that satisfies it.
//!
//! Follows the distribution project's token specification: a `Bearer`
//! challenge names a token service (realm), which exchanges credentials for a
//! token of limited scope. The scope is ours, not the one the challenge asks
//! for.

use http_auth::ChallengeRef;
use reqwest::{RequestBuilder, Response, Url};
use serde::Deserialize;

use super::auth::{Credentials, Secret};
use super::error::{Failure, RegistryError};
use super::http::{self, Session};

/// More than any token; the answer of a token service is read up to here.
const TOKEN_LIMIT: u64 = 256 * 1024;

/// What a session sends along with each request.
#[derive(Debug, Clone)]
pub(super) enum Authorization {
    Basic { username: String, password: Secret },
    Bearer(Secret),
}

impl Authorization {
    pub(super) fn apply(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::Basic { username, password } => request.basic_auth(username, Some(password.expose())),
            Self::Bearer(token) => request.bearer_auth(token.expose()),
        }
    }
}

/// What a registry wants to see.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Bearer {
        realm: String,
        service: Option<String>,
    },
    /// Some other scheme, by name; empty when there was no challenge at all.
    Unknown(String),
}

/// Parses the values of `WWW-Authenticate`; a usable `Bearer` goes before `Basic`.
pub(super) fn parse_challenge<'a>(headers: impl Iterator<Item = &'a str>) -> Challenge {
    let mut found = Challenge::Unknown(String::new());
    for header in headers {
        for challenge in http_auth::parse_challenges(header).unwrap_or_default() {
            match classify(&challenge) {
                bearer @ Challenge::Bearer { .. } => return bearer,
                Challenge::Basic => found = Challenge::Basic,
                unknown if matches!(found, Challenge::Unknown(_)) => found = unknown,
                _ => {}
            }
        }
    }
    found
}

fn classify(challenge: &ChallengeRef<'_>) -> Challenge {
    let parameter = |name: &str| {
        let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_unescaped())
    };
    if challenge.scheme.eq_ignore_ascii_case("basic") {
        return Challenge::Basic;
    }
    match parameter("realm") {
        Some(realm) if challenge.scheme.eq_ignore_ascii_case("bearer") => {
            Challenge::Bearer { realm, service: parameter("service") }
        }
        _ => Challenge::Unknown(challenge.scheme.to_owned()),
    }
}

/// Turns a challenge into an authorization for `scope`, such as `repository:a/b:pull`.
pub(super) async fn authorize(session: &Session, challenge: Challenge, scope: &str) -> Result<Authorization, Failure> {
    match (challenge, &session.credentials) {
        (Challenge::Basic, Credentials::Basic { username, password }) => {
            Ok(Authorization::Basic { username: username.clone(), password: password.clone() })
        }
        (Challenge::Basic, _) => Err(unauthorized(session, scope, "it wants a user name and password").into()),
        (Challenge::Bearer { realm, service }, _) => fetch_token(session, &realm, service.as_deref(), scope).await,
        (Challenge::Unknown(name), _) => {
            Err(RegistryError::Challenge { registry: session.registry.clone(), challenge: name }.into())
        }
    }
}

async fn fetch_token(
    session: &Session,
    realm: &str,
    service: Option<&str>,
    scope: &str,
) -> Result<Authorization, Failure> {
    let url = realm_url(session, realm)?;
    tracing::debug!(realm = %url, scope, "asking for a token");
    let request = token_request(session, url, service, scope);
    let response = request.send().await.map_err(|error| http::transport_failure(&session.registry, error))?;
    let broken = |message: &str| RegistryError::Token {
        registry: session.registry.clone(),
        realm: realm.to_owned(),
        message: message.to_owned(),
    };
    let body = token_body(session, response, scope).await?;
    let reply: TokenReply = serde_json::from_slice(&body).map_err(|_| broken("its answer is not the JSON expected"))?;
    let token = reply.access_token.or(reply.token).filter(|token| !token.is_empty());
    Ok(Authorization::Bearer(Secret::new(token.ok_or_else(|| broken("its answer holds none"))?)))
}

/// Credentials only go to a token service over TLS, unless the registry itself is spoken to without.
fn realm_url(session: &Session, realm: &str) -> Result<Url, RegistryError> {
    let usable = |url: &Url| url.has_host() && (url.scheme() == "https" || session.base.scheme() == "http");
    let insecure = || RegistryError::InsecureRealm { registry: session.registry.clone(), realm: realm.to_owned() };
    Url::parse(realm).ok().filter(usable).ok_or_else(insecure)
}

fn token_request(session: &Session, mut url: Url, service: Option<&str>, scope: &str) -> RequestBuilder {
    let common = service.map(|service| ("service", service)).into_iter().chain([("scope", scope)]);
    if let Credentials::IdentityToken(token) = &session.credentials {
        let oauth = [("grant_type", "refresh_token"), ("client_id", "imgbuild"), ("refresh_token", token.expose())];
        return session.http.post(url).form(&common.chain(oauth).collect::<Vec<_>>());
    }
    url.query_pairs_mut().extend_pairs(common);
    let request = session.http.get(url);
    match &session.credentials {
        Credentials::Basic { username, password } => request.basic_auth(username, Some(password.expose())),
        _ => request,
    }
}

async fn token_body(session: &Session, response: Response, scope: &str) -> Result<Vec<u8>, Failure> {
    match response.status().as_u16() {
        200 => {}
        // 400 is what OAuth2 answers to a refresh token it does not accept (RFC 6749 §5.2).
        400 | 401 | 403 => {
            let message = http::error_message(response).await;
            return Err(unauthorized(session, scope, &message).into());
        }
        _ => return Err(http::status_failure(&session.registry, "its token service", response).await),
    }
    let limit = || RegistryError::Token {
        registry: session.registry.clone(),
        realm: session.registry.clone(),
        message: format!("its answer is longer than {TOKEN_LIMIT} bytes"),
    };
    http::read_capped(&session.registry, response, TOKEN_LIMIT, limit).await
}

fn unauthorized(session: &Session, target: &str, message: &str) -> RegistryError {
    RegistryError::Unauthorized {
        registry: session.registry.clone(),
        login: session.credentials.to_string(),
        target: target.to_owned(),
        message: message.to_owned(),
    }
}

#[derive(Deserialize)]
struct TokenReply {
    token: Option<String>,
    access_token: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_told_apart() {
        let bearer = |realm: &str, service: Option<&str>| Challenge::Bearer {
            realm: realm.into(),
            service: service.map(Into::into),
        };
        for (headers, challenge) in [
            (vec![r#"Bearer realm="https://t/x",service="r""#], bearer("https://t/x", Some("r"))),
            (vec![r#"bearer REALM="https://t/x""#], bearer("https://t/x", None)),
            (vec![r#"Basic realm="r", Bearer realm="https://t""#], bearer("https://t", None)),
            (vec![r#"Basic realm="r""#, r#"Bearer realm="https://t""#], bearer("https://t", None)),
            (vec![r#"Negotiate, Basic realm="r""#], Challenge::Basic),
            (vec![r#"Bearer service="no realm""#], Challenge::Unknown("Bearer".into())),
            (vec!["Negotiate"], Challenge::Unknown("Negotiate".into())),
            (vec!["\"\"\"", ""], Challenge::Unknown(String::new())),
            (vec![], Challenge::Unknown(String::new())),
        ] {
            assert_eq!(parse_challenge(headers.iter().copied()), challenge, "{headers:?}");
        }
    }
}
