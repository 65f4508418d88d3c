//! What an operator may set about registries.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use reqwest::Url;

use super::error::RegistryError;
use super::retry::Retry;

/// How the client behaves towards every registry; nothing here is read from the environment.
///
/// Only proxies are: the HTTP library takes `HTTPS_PROXY`, `HTTP_PROXY`,
/// `ALL_PROXY` and `NO_PROXY` itself. Loopback addresses never go through one.
#[derive(Debug, Clone, Default)]
pub struct RegistryConfig {
    /// Registries (`host` or `host:port`, as in a reference) that are not spoken to in the usual way.
    ///
    /// Unlisted ones are spoken to with TLS, those on loopback addresses with plain HTTP.
    pub transports: BTreeMap<String, Transport>,
    /// CA certificates, as a PEM bundle, trusted in addition to the machine's own.
    pub extra_ca: Option<Vec<u8>>,
    /// How patient the client is.
    pub retry: Retry,
    /// How long it waits for one thing to happen.
    pub timeouts: Timeouts,
}

/// What a registry speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// HTTP in TLS, the certificate verified.
    Https,
    /// HTTP in the clear; anyone between can read the login. Digests still guard the content.
    Http,
}

/// Limits on waiting; there is none on a whole transfer, which may be long and healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a connection stands, name resolution and TLS included.
    pub connect: Duration,
    /// Until the next byte arrives.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(20), idle: Duration::from_secs(60) }
    }
}

impl RegistryConfig {
    /// The root of a registry's API.
    ///
    /// # Errors
    /// When the registry part of the reference is not an address.
    pub(super) fn endpoint(&self, registry: &str) -> Result<Url, RegistryError> {
        let scheme = match self.transport(registry) {
            Transport::Https => "https",
            Transport::Http => "http",
        };
        let url = Url::parse(&format!("{scheme}://{registry}/")).ok();
        url.filter(Url::has_host).ok_or_else(|| RegistryError::Address(registry.to_owned()))
    }

    fn transport(&self, registry: &str) -> Transport {
        let usual = || if is_loopback(registry) { Transport::Http } else { Transport::Https };
        self.transports.get(registry).copied().unwrap_or_else(usual)
    }
}

/// Whether `host[:port]` is this machine by name or address (RFC 6761 §6.3, RFC 1122 §3.2.1.3).
pub(super) fn is_loopback(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_and_declared_registries_are_plain_http() {
        let transports =
            [("plain.test:5000".to_owned(), Transport::Http), ("localhost:8443".to_owned(), Transport::Https)].into();
        let config = RegistryConfig { transports, ..RegistryConfig::default() };
        for (registry, url) in [
            ("registry.example.com", "https://registry.example.com/"),
            ("localhost:5000", "http://localhost:5000/"),
            ("localhost", "http://localhost/"),
            ("a.localhost:1", "http://a.localhost:1/"),
            ("127.0.0.9:5000", "http://127.0.0.9:5000/"),
            ("localhost.example.com", "https://localhost.example.com/"),
            ("127.example.com:80", "https://127.example.com:80/"),
            ("10.0.0.1:5000", "https://10.0.0.1:5000/"),
            ("plain.test:5000", "http://plain.test:5000/"),
            ("plain.test", "https://plain.test/"),
            ("localhost:8443", "https://localhost:8443/"),
        ] {
            assert_eq!(config.endpoint(registry).unwrap().as_str(), url);
        }
        assert!(config.endpoint("a b").is_err());
    }
}
