//! Certificates.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use imgbuild::oci::ImageSource as _;
use imgbuild::oci::registry::auth::{Credentials, Secret};
use imgbuild::oci::registry::{Registry, RegistryConfig, RegistryError, Transport};
use imgbuild::sys::Interrupt;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;

use crate::fixture_image::{Contents, Image};
use crate::http_server::{Reply, Server};
use crate::{chain, config, reference};

/// A CA in PEM and the configuration of a server for 127.0.0.1 that it vouches for.
fn authority() -> (Vec<u8>, Arc<rustls::ServerConfig>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&key).unwrap().pem().into_bytes();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![server.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    (ca, Arc::new(tls))
}

fn open(server: &Server, transport: Transport, extra_ca: Option<Vec<u8>>) -> Registry {
    let transports = [(server.address(), transport)].into();
    let config = RegistryConfig { transports, extra_ca, ..config() };
    let credentials = Credentials::Basic { username: "user".into(), password: Secret::new("hunter2") };
    let image = reference(server, "t").parse().unwrap();
    Registry::open(&image, &config, credentials, Interrupt::default()).unwrap()
}

#[test]
fn only_known_authorities_are_trusted() {
    let mut contents = Contents::default();
    contents.add(&Image::new("amd64"), Some("t"));
    let (ca, tls) = authority();
    let server = Server::start_tls(tls, move |request| contents.serve(request));
    open(&server, Transport::Https, Some(ca)).manifest(None).unwrap();
    for other in [None, Some(authority().0)] {
        let error = open(&server, Transport::Https, other).manifest(None).unwrap_err();
        assert!(matches!(error, RegistryError::Tls { .. }), "{error:?}");
        let text = chain(&error);
        assert!(
            text.contains("no trusted TLS connection to 127.0.0.1") && text.contains("invalid peer certificate"),
            "{text}"
        );
    }
}

#[test]
fn a_server_without_tls_is_told_so() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let name = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]).unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\nThis is HTTP").unwrap();
    });
    let config = RegistryConfig { transports: [(name.clone(), Transport::Https)].into(), ..config() };
    let image = format!("{name}/a/b:t").parse().unwrap();
    let source = Registry::open(&image, &config, Credentials::Anonymous, Interrupt::default()).unwrap();
    let error = source.manifest(None).unwrap_err();
    assert!(matches!(error, RegistryError::Tls { .. }), "{}", chain(&error));
}

/// The test runs itself again where no CA certificates are to be found.
#[test]
#[expect(clippy::disallowed_methods, reason = "the certificates are found through the environment")]
fn plain_http_needs_no_certificates_on_the_machine() {
    const INNER: &str = "IMGBUILD_TEST_WITHOUT_CERTIFICATES";
    if std::env::var_os(INNER).is_some() {
        let server = Server::start(|_| Reply::new(404, ""));
        let error = open(&server, Transport::Http, None).manifest(None).unwrap_err();
        assert!(matches!(error, RegistryError::NotFound { .. }), "{}", chain(&error));
        let image = "registry.invalid/a/b:t".parse().unwrap();
        let error = Registry::open(&image, &config(), Credentials::Anonymous, Interrupt::default()).unwrap_err();
        assert!(chain(&error).contains("No CA certificates"), "{}", chain(&error));
        return;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tls::plain_http_needs_no_certificates_on_the_machine"])
        .env(INNER, "1")
        .env("SSL_CERT_FILE", "/dev/null")
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn nothing_leads_from_tls_to_the_clear() {
    let clear = Server::start(|_| Reply::new(200, r#"{"token": "x"}"#));
    let address = clear.address();
    let (ca, tls) = authority();
    let token = format!(r#"Bearer realm="http://{address}/token""#);
    let server =
        Server::start_tls(Arc::clone(&tls), move |_| Reply::new(401, "").header("WWW-Authenticate", token.clone()));
    let error = open(&server, Transport::Https, Some(ca.clone())).manifest(None).unwrap_err();
    assert!(matches!(error, RegistryError::InsecureRealm { .. }), "{error:?}");
    let server = Server::start_tls(tls, move |_| Reply::new(307, "").header("Location", format!("http://{address}/x")));
    let error = open(&server, Transport::Https, Some(ca)).manifest(None).unwrap_err();
    assert!(chain(&error).contains("redirects to plain http"), "{}", chain(&error));
    assert!(clear.requests("").is_empty());
}

#[test]
fn an_extra_ca_that_is_none_is_refused_at_once() {
    let extra_ca = Some(b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n".to_vec());
    let config = RegistryConfig { extra_ca, ..config() };
    let image = "registry.test/a/b:t".parse().unwrap();
    let error = Registry::open(&image, &config, Credentials::Anonymous, Interrupt::default()).unwrap_err();
    assert!(matches!(error, RegistryError::Certificate(_)), "{error:?}");
}
