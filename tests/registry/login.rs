//! Challenges, tokens and where credentials may go.

use std::num::NonZeroUsize;

use imgbuild::oci::ImageSource as _;
use imgbuild::oci::copy::Copier;
use imgbuild::oci::registry::RegistryError;
use imgbuild::oci::registry::auth::{Credentials, Login, Secret, parse_auth_file};

use crate::dir_sink::DirSink;
use crate::fixture_image::{Contents, Image};
use crate::http_server::{Reply, Request, Server};
use crate::{chain, locator, open, open_as, platform, reference, server};

fn contents() -> Contents {
    let mut contents = Contents::default();
    contents.add(&Image::new("amd64"), Some("t"));
    contents
}

/// `user:hunter2` in base64.
const USER: &str = "dXNlcjpodW50ZXIy";

fn user() -> Credentials {
    Credentials::Basic { username: "user".into(), password: Secret::new("hunter2") }
}

/// A registry that wants a token from its own `/token`; each token is good for `uses` requests.
fn token_registry(uses: usize, token: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
    let contents = contents();
    let used = std::sync::Mutex::new(std::collections::BTreeMap::new());
    Server::start(move |request| {
        if request.path.starts_with("/token") {
            return token(request);
        }
        let mut used = used.lock().unwrap();
        let count: &mut usize = used.entry(request.header("authorization").to_owned()).or_default();
        *count += 1;
        if request.header("authorization").starts_with("Bearer good") && *count <= uses {
            return contents.serve(request);
        }
        let challenge =
            format!(r#"Bearer realm="http://{}/token",service="test",scope="everything""#, request.header("host"));
        Reply::new(401, "").header("WWW-Authenticate", challenge)
    })
}

#[test]
fn a_token_is_fetched_with_the_repositorys_credentials() {
    let server = token_registry(1000, |request| match request.header("authorization") {
        authorization if authorization == format!("Basic {USER}") => Reply::new(200, r#"{"token": "good"}"#),
        _ => Reply::new(401, r#"{"errors":[{"message":"bad login"}]}"#),
    });
    let name = reference(&server, "t");
    let file =
        format!(r#"{{"auths": {{"{0}/a/b": {{"auth": "{USER}"}}, "{0}": {{"auth": "eDp5"}}}}}}"#, server.address());
    let login = parse_auth_file(file.as_bytes()).unwrap().lookup(&name.parse().unwrap()).unwrap();
    let Some(Login::Credentials(credentials)) = login else { panic!("{login:?}") };
    Copier::new(platform("amd64")).copy(&open_as(&name, credentials), &locator(&name), &DirSink::new()).unwrap();
    let tokens = server.requests("/token");
    assert_eq!(tokens.len(), 1, "one token serves the whole copy");
    assert_eq!(tokens[0].path, "/token?service=test&scope=repository%3Aa%2Fb%3Apull", "the scope is ours");
    let elsewhere = server.requests("/v2/").iter().any(|request| request.header("authorization").contains(USER));
    assert!(!elsewhere, "the password goes to the token service only");
}

#[test]
fn a_token_that_expires_is_renewed() {
    let token = |request: &Request| Reply::new(200, format!(r#"{{"access_token": "good{}"}}"#, request.earlier));
    let server = token_registry(2, token);
    let name = reference(&server, "t");
    let copier = Copier::new(platform("amd64")).jobs(NonZeroUsize::MIN);
    copier.copy(&open(&name), &locator(&name), &DirSink::new()).unwrap();
    assert_eq!(server.requests("/token").len(), 3, "five requests, two for each token");
}

#[test]
fn a_refused_login_is_told_without_the_secret() {
    let server = token_registry(1000, |_| Reply::new(401, r#"{"errors":[{"message":"bad login"}]}"#));
    let error = open_as(&reference(&server, "t"), user()).manifest(None).unwrap_err();
    let text = format!("{} {error:?}", chain(&error));
    assert!(text.contains("does not let user `user` read repository:a/b:pull: bad login"), "{text}");
    assert!(!text.contains("hunter2") && !text.contains(USER), "{text}");
    assert_eq!(server.requests("/token").len(), 1, "a wrong password is not tried again");
}

#[test]
fn a_token_that_does_not_help_is_unauthorized() {
    let server = token_registry(1000, |_| Reply::new(200, r#"{"token": "useless"}"#));
    let error = open(&reference(&server, "t")).manifest(None).unwrap_err();
    assert!(matches!(error, RegistryError::Unauthorized { .. }), "{error:?}");
    assert!(error.to_string().contains("anonymous users"), "{error}");
}

#[test]
fn token_services_that_answer_nonsense() {
    for (reply, message) in [
        (Reply::new(200, "<html>"), "not the JSON expected"),
        (Reply::new(200, "{}"), "holds none"),
        (Reply::new(200, r#"{"token": ""}"#), "holds none"),
        (Reply::new(200, vec![b' '; 1 << 20]), "longer than"),
        (Reply::new(500, ""), "answered 500 for its token service"),
    ] {
        let server = token_registry(1, move |_| reply.clone());
        let error = open(&reference(&server, "t")).manifest(None).unwrap_err();
        assert!(error.to_string().contains(message), "expected {message}: {error}");
    }
}

#[test]
fn an_identity_token_is_exchanged() {
    let server = token_registry(1000, |request| {
        let right = request.method == "POST"
            && request.body.contains("grant_type=refresh_token")
            && request.body.contains("refresh_token=idt")
            && request.body.contains("scope=repository%3Aa%2Fb%3Apull");
        if right { Reply::new(200, r#"{"access_token": "good"}"#) } else { Reply::new(400, "") }
    });
    let name = reference(&server, "t");
    open_as(&name, Credentials::IdentityToken(Secret::new("idt"))).manifest(None).unwrap();
    let error = open_as(&name, Credentials::IdentityToken(Secret::new("old"))).manifest(None).unwrap_err();
    assert!(matches!(error, RegistryError::Unauthorized { .. }), "{error:?}");
}

#[test]
fn a_registry_token_is_sent_at_once() {
    let server = token_registry(1000, |_| Reply::new(500, ""));
    open_as(&reference(&server, "t"), Credentials::RegistryToken(Secret::new("good"))).manifest(None).unwrap();
    assert!(server.requests("/token").is_empty());
}

#[test]
fn unknown_and_missing_challenges() {
    for (challenge, message) in [("Negotiate", "kind `Negotiate`"), ("Digest realm=\"x\"", "kind `Digest`")] {
        let server = Server::start(move |_| Reply::new(401, "").header("WWW-Authenticate", challenge));
        let error = open_as(&reference(&server, "t"), user()).manifest(None).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[test]
fn a_login_does_not_follow_a_redirect_to_another_host() {
    let contents = contents();
    let blobs = contents.clone();
    let storage = Server::start(move |request| blobs.serve(request));
    let elsewhere = storage.address();
    let registry = server(&contents, move |request| {
        if request.header("authorization") != format!("Basic {USER}") {
            return Some(Reply::new(401, "").header("WWW-Authenticate", "Basic realm=\"r\""));
        }
        let location = format!("http://{elsewhere}{}", request.path);
        request.path.contains("/blobs/").then(|| Reply::new(307, "").header("Location", location))
    });
    let name = reference(&registry, "t");
    Copier::new(platform("amd64")).copy(&open_as(&name, user()), &locator(&name), &DirSink::new()).unwrap();
    let requests = storage.requests("/blobs/");
    assert!(requests.len() == 4 && requests.iter().all(|request| request.header("authorization").is_empty()));
}

#[test]
fn redirects_in_circles_end() {
    let server = Server::start(|request| Reply::new(302, "").header("Location", request.path.clone()));
    let error = open(&reference(&server, "t")).manifest(None).unwrap_err();
    assert!(chain(&error).contains("circles"), "{}", chain(&error));
}
