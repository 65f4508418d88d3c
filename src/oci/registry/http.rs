//! One authenticated request to one repository, and what its failures mean.

use std::error::Error as StdError;

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Certificate, Client, ClientBuilder, Method, RequestBuilder, Response, StatusCode, Url};
use tokio::sync::Mutex;

use super::auth::Credentials;
use super::config::{RegistryConfig, is_loopback};
use super::dns::{LookupError, SystemResolver};
use super::error::{Again, Failure, RegistryError};
use super::retry::parse_retry_after;
use super::token::{self, Authorization};

/// What of an error answer is read for the message in it.
const MESSAGE_LIMIT: usize = 16 * 1024;
/// What of that message is shown, in characters.
const MESSAGE_SHOWN: usize = 300;
/// Storage back-ends are one redirect away; more than a few is a loop.
const REDIRECTS: usize = 5;

/// The connection to one repository.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) http: Client,
    /// The registry's root, such as `https://registry.example.com/`.
    pub(super) base: Url,
    /// The registry as the reference names it.
    pub(super) registry: String,
    pub(super) repository: String,
    pub(super) credentials: Credentials,
    /// What the registry accepted last, counted so that parallel requests renew it once.
    authorization: Mutex<(u64, Option<Authorization>)>,
}

impl Session {
    pub(super) fn new(
        config: &RegistryConfig,
        registry: &str,
        address: &str,
        repository: &str,
        credentials: Credentials,
    ) -> Result<Self, RegistryError> {
        let base = config.endpoint(address)?;
        let first = match &credentials {
            Credentials::RegistryToken(token) => Some(Authorization::Bearer(token.clone())),
            _ => None,
        };
        Ok(Self {
            http: client(config, address, &base)?,
            base,
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            credentials,
            authorization: Mutex::new((0, first)),
        })
    }

    /// `/v2/REPOSITORY/KIND/NAME` of this registry.
    pub(super) fn url(&self, kind: &str, name: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("v2/{}/{kind}/{name}", self.repository));
        url
    }

    /// Sends a request, logging in when the registry asks for it; any status but success is a failure.
    pub(super) async fn send(
        &self,
        method: Method,
        url: Url,
        headers: HeaderMap,
        target: &str,
    ) -> Result<Response, Failure> {
        let request = || self.http.request(method.clone(), url.clone()).headers(headers.clone());
        let (counter, known) = self.authorization.lock().await.clone();
        let mut response = self.send_as(request(), known.as_ref()).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            let renewed = self.renew(counter, response.headers()).await?;
            response = self.send_as(request(), Some(&renewed)).await?;
        }
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refusal(target, response).await)
    }

    async fn send_as(&self, request: RequestBuilder, who: Option<&Authorization>) -> Result<Response, Failure> {
        let request = match who {
            Some(authorization) => authorization.apply(request),
            None => request,
        };
        request.send().await.map_err(|error| transport_failure(&self.registry, error))
    }

    /// A new authorization, unless another request has already got one since `counter`.
    async fn renew(&self, counter: u64, headers: &HeaderMap) -> Result<Authorization, Failure> {
        let mut current = self.authorization.lock().await;
        if let (newer, Some(authorization)) = &*current
            && *newer != counter
        {
            return Ok(authorization.clone());
        }
        let challenges = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let challenge = token::parse_challenge(challenges);
        let authorization = token::authorize(self, challenge, &self.scope()).await?;
        *current = (counter + 1, Some(authorization.clone()));
        Ok(authorization)
    }

    fn scope(&self) -> String {
        format!("repository:{}:pull", self.repository)
    }

    async fn refusal(&self, target: &str, response: Response) -> Failure {
        let target = target.to_owned();
        match response.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => RegistryError::Unauthorized {
                registry: self.registry.clone(),
                login: self.credentials.to_string(),
                target,
                message: error_message(response).await,
            }
            .into(),
            StatusCode::NOT_FOUND => RegistryError::NotFound { target, message: error_message(response).await }.into(),
            _ => status_failure(&self.registry, &target, response).await,
        }
    }
}

fn client(config: &RegistryConfig, address: &str, base: &Url) -> Result<Client, RegistryError> {
    let extra = config.extra_ca.as_deref().map(Certificate::from_pem_bundle).transpose();
    let extra = extra.map_err(RegistryError::Certificate)?.unwrap_or_default();
    let failed = |source| RegistryError::Client { registry: address.to_owned(), source };
    let builder = || client_builder(config, address);
    match builder().tls_certs_merge(extra.clone()).build() {
        // A machine without CA certificates can still speak to a registry that does not use any.
        Err(_) if base.scheme() == "http" => builder().tls_certs_only(extra).build().map_err(failed),
        result => result.map_err(failed),
    }
}

fn client_builder(config: &RegistryConfig, address: &str) -> ClientBuilder {
    let builder = Client::builder()
        .user_agent(concat!("imgbuild/", env!("CARGO_PKG_VERSION")))
        .dns_resolver(SystemResolver::new())
        .redirect(Policy::custom(follow))
        .referer(false)
        .connect_timeout(config.timeouts.connect)
        .read_timeout(config.timeouts.idle);
    if is_loopback(address) { builder.no_proxy() } else { builder }
}

/// Redirects lead from TLS to TLS only. The HTTP library drops the login when the host changes.
fn follow(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let downgrade = attempt.url().scheme() != "https"
        && attempt.previous().last().is_some_and(|previous| previous.scheme() == "https");
    if downgrade {
        return attempt.error("the registry redirects to plain http");
    }
    if attempt.previous().len() > REDIRECTS {
        return attempt.error("the registry redirects in circles");
    }
    attempt.follow()
}

/// What a request that got no answer, or lost it, means.
pub(super) fn transport_failure(registry: &str, error: reqwest::Error) -> Failure {
    let error = error.without_url();
    let registry = registry.to_owned();
    if is_tls(&error) {
        return RegistryError::Tls { registry, source: error.into() }.into();
    }
    let again = if is_final(&error) { Again::Never } else { Again::Later };
    Failure { error: RegistryError::Unreachable { registry, attempts: 1, source: error.into() }, again }
}

fn is_final(error: &reqwest::Error) -> bool {
    error.is_redirect() || error.is_builder() || find::<LookupError>(error).is_some_and(LookupError::is_final)
}

/// A certificate or protocol that will be refused next time too; a connection lost during the handshake is not one.
fn is_tls(error: &reqwest::Error) -> bool {
    find::<rustls::Error>(error).is_some()
}

/// The first error of type `E` among the causes, also where an I/O error hides it.
fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |error| cause(*error)).find_map(|error| error.downcast_ref())
}

fn cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<std::io::Error>() {
        Some(io) => io.get_ref().map(|inner| -> &'a (dyn StdError + 'static) { inner }),
        None => error.source(),
    }
}

/// What an answer with an unwelcome status means.
pub(super) async fn status_failure(registry: &str, target: &str, response: Response) -> Failure {
    let status = response.status();
    let asked = retry_after(response.headers());
    let again = match (status.as_u16(), asked) {
        (429 | 503, Some(wait)) => Again::After(wait),
        (408 | 429 | 500 | 502..=504, _) => Again::Later,
        _ => Again::Never,
    };
    let (registry, target) = (registry.to_owned(), target.to_owned());
    let message = error_message(response).await;
    Failure { error: RegistryError::Status { registry, target, status: status.as_u16(), message }, again }
}

fn retry_after(headers: &HeaderMap) -> Option<std::time::Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    parse_retry_after(text(RETRY_AFTER)?, text(DATE))
}

/// The registry's words, if it used the specification's error body; empty otherwise.
pub(super) async fn error_message(mut response: Response) -> String {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > MESSAGE_LIMIT {
            break;
        }
    }
    parse_error_message(&body)
}

/// Parses the distribution specification's error body. What is shown holds no control characters,
/// since a terminal would obey them.
fn parse_error_message(body: &[u8]) -> String {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let errors = body["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let texts = errors.iter().filter_map(|error| error["message"].as_str().or_else(|| error["code"].as_str()));
    let text = texts.collect::<Vec<_>>().join("; ");
    text.chars().filter(|c| !c.is_control()).take(MESSAGE_SHOWN).collect()
}

/// Reads a body of at most `limit` bytes, checked while reading whatever its header promised.
pub(super) async fn read_capped(
    registry: &str,
    mut response: Response,
    limit: u64,
    too_large: impl Fn() -> RegistryError,
) -> Result<Vec<u8>, Failure> {
    if response.content_length().is_some_and(|length| length > limit) {
        return Err(too_large().into());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| transport_failure(registry, error))? {
        if (body.len() + chunk.len()) as u64 > limit {
            return Err(too_large().into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_bodies_are_read_and_made_harmless() {
        for (body, message) in [
            (r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#, "manifest unknown"),
            (r#"{"errors":[{"code":"DENIED"},{"message":"b"}]}"#, "DENIED; b"),
            ("{\"errors\":[{\"message\":\"a\\u001b[31m\\nb\"}]}", "a[31mb"),
            ("<html>no</html>", ""),
            ("{}", ""),
            ("[1]", ""),
        ] {
            assert_eq!(parse_error_message(body.as_bytes()), message);
        }
        let long = format!(r#"{{"errors":[{{"message":"{}"}}]}}"#, "x".repeat(5000));
        assert_eq!(parse_error_message(long.as_bytes()).len(), MESSAGE_SHOWN);
    }
}
