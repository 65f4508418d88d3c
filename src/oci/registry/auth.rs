//! Registry logins as podman, buildah, skopeo and docker store them.
//!
//! Pure: text in, [`Login`] out. Reading the files ([`candidates`] names them)
//! and running a credential helper ([`Login::Helper`], whose answer
//! [`parse_helper_reply`] reads) are the caller's, because this room runs no
//! programs.
//!
//! Follows containers-auth.json(5): entries may be as narrow as one repository,
//! the narrowest that fits wins, and an entry in a credential-helper table goes
//! before the file's own. Keys that docker wrote as URLs are understood.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use crate::model::Reference;

/// A string that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself; not for messages or logs.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Who we are to a registry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the variants name their fields")]
pub enum Credentials {
    /// Nobody in particular.
    #[default]
    Anonymous,
    /// A user, or a robot such as GitLab's `gitlab-ci-token` with a job token.
    Basic { username: String, password: Secret },
    /// An OAuth2 refresh token, exchanged at the token service.
    IdentityToken(Secret),
    /// A bearer token sent to the registry as it is.
    RegistryToken(Secret),
}

impl fmt::Display for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous users"),
            Self::Basic { username, .. } => write!(f, "user `{username}`"),
            Self::IdentityToken(_) => f.write_str("the stored identity token"),
            Self::RegistryToken(_) => f.write_str("the stored registry token"),
        }
    }
}

/// What a login file has for a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants name their fields")]
pub enum Login {
    /// The login itself.
    Credentials(Credentials),
    /// A program that knows it: `PROGRAM get` with `server` on its standard input.
    Helper { program: String, server: String },
}

/// A login file, or a helper's answer, that cannot be used. Never shows content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum AuthError {
    /// Not JSON, or of another shape.
    #[error("not a registry login file: line {line}, column {column}")]
    Format { line: usize, column: usize },
    /// An entry whose `auth` is not base64 of `user:password`.
    #[error("the login for `{key}` is not base64 of `user:password`")]
    Entry { key: String },
    /// A helper is named by the last part of its program name and nothing else.
    #[error("`{suffix}` does not name a credential helper")]
    HelperName { suffix: String },
    /// The helper printed something else than a login.
    #[error("the credential helper's answer is not a login")]
    HelperReply,
}

/// The environment that decides where login files are; all paths absolute.
#[derive(Debug, Clone, Default)]
pub struct AuthEnvironment {
    /// `REGISTRY_AUTH_FILE`: the one file to read.
    pub registry_auth_file: Option<String>,
    /// `XDG_RUNTIME_DIR`.
    pub xdg_runtime_dir: Option<String>,
    /// `DOCKER_CONFIG`: a folder.
    pub docker_config: Option<String>,
    /// `HOME`.
    pub home: Option<String>,
}

/// The login files to look into, in this order; the first with a [`Login`] for the image decides.
///
/// A file that does not exist is passed over, except the one named by `REGISTRY_AUTH_FILE`.
pub fn candidates(environment: &AuthEnvironment) -> Vec<String> {
    if let Some(file) = &environment.registry_auth_file {
        return vec![file.clone()];
    }
    let below = |dir: &Option<String>, name: &str| dir.as_ref().map(|dir| format!("{dir}/{name}"));
    let docker = below(&environment.docker_config, "config.json");
    [
        below(&environment.xdg_runtime_dir, "containers/auth.json"),
        below(&environment.home, ".config/containers/auth.json"),
        docker.or_else(|| below(&environment.home, ".docker/config.json")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A parsed login file.
///
/// Other keys are left alone: docker keeps much more in its `config.json`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct AuthFile {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Entry {
    auth: Option<SecretText>,
    username: Option<String>,
    password: Option<SecretText>,
    identitytoken: Option<SecretText>,
    registrytoken: Option<SecretText>,
}

/// [`Secret`] as it comes from JSON; empty strings count as absent.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "String")]
struct SecretText(Secret);

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(Secret(text))
    }
}

/// Parses a login file.
///
/// # Errors
/// When it is not JSON of that shape.
pub fn parse_auth_file(text: &[u8]) -> Result<AuthFile, AuthError> {
    // serde's own message may quote a value.
    serde_json::from_slice(text).map_err(|error| AuthError::Format { line: error.line(), column: error.column() })
}

/// Parses what `docker-credential-NAME get` prints.
///
/// # Errors
/// When it is not a login.
pub fn parse_helper_reply(text: &[u8]) -> Result<Credentials, AuthError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Reply {
        username: String,
        secret: SecretText,
    }
    let Reply { username, secret: SecretText(secret) } =
        serde_json::from_slice(text).map_err(|_| AuthError::HelperReply)?;
    // The helpers' protocol marks identity tokens with this name.
    Ok(if username == "<token>" {
        Credentials::IdentityToken(secret)
    } else {
        Credentials::Basic { username, password: secret }
    })
}

impl AuthFile {
    /// The login for an image, if the file has one.
    ///
    /// # Errors
    /// When the entry that fits is malformed.
    pub fn lookup(&self, image: &Reference) -> Result<Option<Login>, AuthError> {
        if let Some(suffix) = self.helpers.get(image.registry()) {
            return helper(suffix, image.registry()).map(Some);
        }
        if let Some((key, entry)) = self.entry(image)
            && let Some(credentials) = entry.credentials(key)?
        {
            return Ok(Some(Login::Credentials(credentials)));
        }
        match &self.store {
            Some(suffix) if !suffix.is_empty() => helper(suffix, store_key(image.registry())).map(Some),
            _ => Ok(None),
        }
    }

    /// The narrowest entry: the repository, its parents, the registry, and the registry as docker may have spelt it.
    fn entry(&self, image: &Reference) -> Option<(&String, &Entry)> {
        let full = format!("{}/{}", image.registry(), image.repository());
        let exact = scopes(&full).find_map(|scope| self.auths.get_key_value(scope));
        let registry = canonical_host(image.registry());
        exact.or_else(|| self.auths.iter().find(|(key, _)| is_host_key(key) && canonical_host(key) == registry))
    }
}

impl Entry {
    /// `None` for an empty entry: docker leaves those behind as marks for its helper.
    fn credentials(&self, key: &str) -> Result<Option<Credentials>, AuthError> {
        let given = |text: &Option<SecretText>| text.clone().map(|text| text.0).filter(|secret| !secret.0.is_empty());
        if let Some(token) = given(&self.registrytoken) {
            return Ok(Some(Credentials::RegistryToken(token)));
        }
        if let Some(token) = given(&self.identitytoken) {
            return Ok(Some(Credentials::IdentityToken(token)));
        }
        if let Some(auth) = given(&self.auth) {
            return decode_basic(auth.expose()).map(Some).ok_or_else(|| AuthError::Entry { key: key.to_owned() });
        }
        let login = self.username.clone().zip(given(&self.password));
        Ok(login.map(|(username, password)| Credentials::Basic { username, password }))
    }
}

/// Base64 with or without padding: both are found in the wild.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn decode_basic(auth: &str) -> Option<Credentials> {
    let text = String::from_utf8(BASE64.decode(auth.trim()).ok()?).ok()?;
    let (username, password) = text.split_once(':')?;
    // Some writers pad with NUL bytes.
    let password = Secret::new(password.trim_matches('\0'));
    Some(Credentials::Basic { username: username.to_owned(), password })
}

/// `a/b/c`, `a/b`, `a`.
fn scopes(full: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(full), |scope| scope.rsplit_once('/').map(|(parent, _)| parent))
}

/// Whether a key stands for a whole registry: a bare host, or a URL as old docker versions wrote.
fn is_host_key(key: &str) -> bool {
    key.contains("://") || !key.contains('/')
}

/// The host of a key, with the names that mean Docker Hub made one.
fn canonical_host(key: &str) -> &str {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    match bare.split('/').next().unwrap_or(bare) {
        "registry-1.docker.io" | "index.docker.io" => "docker.io",
        host => host,
    }
}

/// What docker's helpers file Docker Hub under.
fn store_key(registry: &str) -> &str {
    if registry == "docker.io" { "https://index.docker.io/v1/" } else { registry }
}

fn helper(suffix: &str, server: &str) -> Result<Login, AuthError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if suffix.is_empty() || !suffix.chars().all(plain) {
        return Err(AuthError::HelperName { suffix: suffix.to_owned() });
    }
    Ok(Login::Helper { program: format!("docker-credential-{suffix}"), server: server.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(login: &str) -> String {
        base64::engine::general_purpose::STANDARD.encode(login)
    }

    fn basic(username: &str, password: &str) -> Option<Login> {
        let credentials = Credentials::Basic { username: username.into(), password: Secret::new(password) };
        Some(Login::Credentials(credentials))
    }

    fn lookup(file: &str, image: &str) -> Option<Login> {
        parse_auth_file(file.as_bytes()).unwrap().lookup(&image.parse().unwrap()).unwrap()
    }

    #[test]
    fn the_narrowest_entry_wins() {
        let file = format!(
            r#"{{"auths": {{
                "r.test/ns/img": {{"auth": "{}"}}, "r.test/ns": {{"auth": "{}"}}, "r.test": {{"auth": "{}"}},
                "r.test:5000": {{"auth": "{}"}}, "docker.io": {{"auth": "{}"}}
            }}}}"#,
            encode("img:1"),
            encode("ns:2"),
            encode("host:3:with:colons"),
            encode("port:4\0\0"),
            encode("hub:5")
        );
        for (image, login) in [
            ("r.test/ns/img:tag", basic("img", "1")),
            ("r.test/ns/img2:tag", basic("ns", "2")),
            ("r.test/ns/img/deeper", basic("img", "1")),
            ("r.test/other/x", basic("host", "3:with:colons")),
            ("r.test:5000/ns/img", basic("port", "4")),
            ("busybox", basic("hub", "5")),
            ("other.test/ns/img", None),
        ] {
            assert_eq!(lookup(&file, image), login, "{image}");
        }
    }

    #[test]
    fn keys_in_the_old_url_form_are_understood_for_whole_hosts() {
        let auth = encode("u:p");
        for (key, image, found) in [
            ("https://index.docker.io/v1/", "docker.io/library/x", true),
            ("registry-1.docker.io", "docker.io/library/x", true),
            ("https://r.test/v2/", "r.test/a/b", true),
            ("http://r.test", "r.test/a/b", true),
            ("https://r.test/v2/", "r.test:5000/a/b", false),
            ("r.test/other", "r.test/a/b", false),
        ] {
            let file = format!(r#"{{"auths": {{"{key}": {{"auth": "{auth}"}}}}}}"#);
            assert_eq!(lookup(&file, image).is_some(), found, "{key} for {image}");
        }
    }

    #[test]
    fn other_kinds_of_entries() {
        let token = |entry: &str| lookup(&format!(r#"{{"auths": {{"r.test": {entry}}}}}"#), "r.test/x");
        let secret = || Secret::new("t");
        let credentials = |kind| Some(Login::Credentials(kind));
        assert_eq!(token(r#"{"identitytoken": "t"}"#), credentials(Credentials::IdentityToken(secret())));
        assert_eq!(token(r#"{"registrytoken": "t", "auth": ""}"#), credentials(Credentials::RegistryToken(secret())));
        assert_eq!(token(r#"{"username": "u", "password": "p"}"#), basic("u", "p"));
        assert_eq!(token(&format!(r#"{{"auth": "{}"}}"#, encode("u:p").trim_end_matches('='))), basic("u", "p"));
        assert_eq!(token("{}"), None);
    }

    #[test]
    fn helpers_are_named_not_run() {
        let helper =
            |program: &str, server: &str| Some(Login::Helper { program: program.into(), server: server.into() });
        let auth = encode("u:p");
        let file = format!(
            r#"{{"credHelpers": {{"r.test": "pass"}}, "credsStore": "desktop", "HttpHeaders": {{"a": "b"}},
                "auths": {{"r.test": {{"auth": "{auth}"}}, "s.test": {{"auth": "{auth}"}}, "t.test": {{}}}}}}"#
        );
        assert_eq!(lookup(&file, "r.test/x"), helper("docker-credential-pass", "r.test"));
        assert_eq!(lookup(&file, "s.test/x"), basic("u", "p"));
        assert_eq!(lookup(&file, "t.test/x"), helper("docker-credential-desktop", "t.test"));
        assert_eq!(lookup(&file, "x"), helper("docker-credential-desktop", "https://index.docker.io/v1/"));
        let evil = parse_auth_file(br#"{"credHelpers": {"r.test": "x/../../sh"}}"#).unwrap();
        assert!(matches!(evil.lookup(&"r.test/x".parse().unwrap()), Err(AuthError::HelperName { .. })));
        assert_eq!(
            parse_helper_reply(br#"{"ServerURL": "r.test", "Username": "<token>", "Secret": "t"}"#).unwrap(),
            Credentials::IdentityToken(Secret::new("t"))
        );
        assert!(parse_helper_reply(b"credentials not found in native keychain").is_err());
    }

    #[test]
    fn nothing_secret_is_ever_shown() {
        let image = "r.test/x".parse().unwrap();
        for entry in [r#"{"auth": "c2VjcmV0"}"#, r#"{"auth": "sEcReT-not-base64"}"#] {
            let file = parse_auth_file(format!(r#"{{"auths": {{"r.test": {entry}}}}}"#).as_bytes()).unwrap();
            let error = file.lookup(&image).unwrap_err();
            assert_eq!(error.to_string(), "the login for `r.test` is not base64 of `user:password`");
            assert!(
                !format!("{file:?}{error:?}").to_lowercase().contains("secret-")
                    && !format!("{file:?}").contains("c2V")
            );
        }
        let error = parse_auth_file(br#"{"auths": {"r.test": "sEcReT"}}"#).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("sEcReT"), "{error:?}");
    }

    #[test]
    fn files_are_looked_for_in_the_documented_order() {
        let mut environment = AuthEnvironment {
            registry_auth_file: None,
            xdg_runtime_dir: Some("/run/user/1".into()),
            docker_config: None,
            home: Some("/home/u".into()),
        };
        let files =
            ["/run/user/1/containers/auth.json", "/home/u/.config/containers/auth.json", "/home/u/.docker/config.json"];
        assert_eq!(candidates(&environment), files);
        environment.docker_config = Some("/d".into());
        assert_eq!(candidates(&environment)[2], "/d/config.json");
        environment.registry_auth_file = Some("/one".into());
        assert_eq!(candidates(&environment), ["/one"]);
        assert!(candidates(&AuthEnvironment::default()).is_empty());
    }
}
