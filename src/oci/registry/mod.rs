//! The reading half of a client for the distribution specification, blocking on the outside.
//!
//! Built on the HTTP library directly: the ready-made clients read a manifest
//! whole before its size can be judged, drop the media type and `Retry-After`
//! that came with it, and choose their own name resolver.
//!
//! What comes back is not verified beyond the manifest's own digest; [`copy`](crate::oci::copy) does that.
//! Logins come in resolved ([`auth`] reads the files that hold them).

pub mod auth;
mod blob;
mod config;
mod dns;
mod error;
mod http;
mod retry;
mod runtime;
mod token;

use std::io::Read;

use oci_spec::image::{Descriptor, MediaType};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Response};

pub use config::{RegistryConfig, Timeouts, Transport};
pub use error::RegistryError;
pub use retry::Retry;

use self::auth::Credentials;
use self::blob::BlobReader;
use self::error::Failure;
use self::http::Session;
use self::retry::Attempts;
use self::runtime::IoThread;
use super::digest::{is_sha256, sha256};
use super::document::MANIFEST_LIMIT;
use super::source::{ImageSource, RawManifest};
use crate::model::{ByteSize, Digest, Reference};
use crate::sys::Interrupt;

/// Everything a tag may lead to; without this list some registries convert to docker's first schema.
const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// Header with the registry's own idea of a manifest's digest.
const DIGEST_HEADER: &str = "docker-content-digest";

/// One image reference in a registry; `docker://` in a locator.
///
/// May be read from several threads at once. Interruption ends any wait within
/// a fraction of a second.
#[derive(Debug)]
pub struct Registry {
    image: Reference,
    /// The tag or digest asked for when no digest is.
    name: String,
    retry: Retry,
    session: Session,
    // Last, so that connections end before the thread that serves them.
    io: IoThread,
}

impl Registry {
    /// Prepares to read `image`; the first request is only made when something is read.
    ///
    /// # Errors
    /// When the registry is no address, the digest in the reference none, or the HTTP client cannot be set up.
    pub fn open(
        image: &Reference,
        config: &RegistryConfig,
        credentials: Credentials,
        interrupt: Interrupt,
    ) -> Result<Self, RegistryError> {
        let name = match image.digest() {
            Some(text) => parse_digest(&image.to_string(), text)?.to_string(),
            None => image.tag().unwrap_or("latest").to_owned(),
        };
        let session =
            Session::new(config, image.registry(), image.resolve_registry(), image.repository(), credentials)?;
        let io = IoThread::start(interrupt).map_err(RegistryError::Runtime)?;
        Ok(Self { image: image.clone(), name, retry: config.retry, session, io })
    }

    fn retrying<T>(&self, mut request: impl AsyncFnMut() -> Result<T, Failure>) -> Result<T, RegistryError> {
        let mut attempts = Attempts::new(self.retry);
        loop {
            match self.io.run(request()) {
                Ok(value) => return Ok(value),
                Err(failure) => {
                    tracing::debug!(registry = self.session.registry, error = %failure.error, "request failed");
                    self.io.pause(attempts.pause_after(failure, &self.session.registry)?)?;
                }
            }
        }
    }

    /// Fetches a manifest; `expected` is its digest where that is known.
    async fn fetch_manifest(&self, name: &str, expected: Option<&Digest>) -> Result<RawManifest, Failure> {
        let separator = if expected.is_some() { '@' } else { ':' };
        let target = format!("{}/{}{separator}{name}", self.session.registry, self.session.repository);
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(ACCEPTED))]);
        let response = self.session.send(Method::GET, self.session.url("manifests", name), headers, &target).await?;
        let media_type = stated_media_type(&response);
        let announced = announced_digest(&target, &response)?;
        let too_large = || RegistryError::ManifestTooLarge { target: target.clone(), limit: ByteSize(MANIFEST_LIMIT) };
        let bytes = http::read_capped(&self.session.registry, response, MANIFEST_LIMIT, too_large).await?;
        let digest = sha256(&bytes);
        match expected.or(announced.as_ref()) {
            Some(expected) if *expected != digest => {
                Err(RegistryError::ManifestDigest { target, expected: expected.clone().into(), found: digest.into() }
                    .into())
            }
            _ => Ok(RawManifest { bytes, media_type, digest }),
        }
    }
}

impl ImageSource for Registry {
    type Error = RegistryError;

    fn manifest(&self, digest: Option<&Digest>) -> Result<RawManifest, RegistryError> {
        let own = self.image.digest().map(|text| parse_digest(&self.image.to_string(), text)).transpose()?;
        let expected = digest.or(own.as_ref());
        let name = expected.map_or_else(|| self.name.clone(), ToString::to_string);
        self.retrying(async || self.fetch_manifest(&name, expected).await)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>, RegistryError> {
        Ok(Box::new(BlobReader::open(&self.session, &self.io, self.retry, descriptor)?))
    }
}

fn parse_digest(target: &str, text: &str) -> Result<Digest, RegistryError> {
    text.parse().map_err(|_| RegistryError::DigestFormat { target: target.to_owned(), text: text.to_owned() })
}

/// The media type of the answer without its parameters.
fn stated_media_type(response: &Response) -> MediaType {
    let value = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    MediaType::from(if essence.is_empty() { "application/octet-stream" } else { essence })
}

/// The digest in the answer's header, when there is one that can be compared with ours.
fn announced_digest(target: &str, response: &Response) -> Result<Option<Digest>, RegistryError> {
    let value = response.headers().get(DIGEST_HEADER).and_then(|value| value.to_str().ok());
    let digest = value.map(|text| parse_digest(target, text.trim())).transpose()?;
    Ok(digest.filter(is_sha256))
}
