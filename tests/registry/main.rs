//! The registry client and the verified copy, against a real registry and against one that misbehaves.

mod content;
mod login;
mod real;
mod tls;
mod transfer;

#[path = "../support/dir_sink.rs"]
mod dir_sink;
#[path = "../support/docker_registry.rs"]
mod docker_registry;
#[path = "../support/fixture_image.rs"]
mod fixture_image;
#[path = "../support/http_server.rs"]
mod http_server;

use std::error::Error;
use std::time::Duration;

use imgbuild::model::{ImageLocator, Reference};
use imgbuild::oci::copy::{Copied, Copier, CopyError};
use imgbuild::oci::registry::auth::Credentials;
use imgbuild::oci::registry::{Registry, RegistryConfig, Retry, Timeouts};
use imgbuild::sys::Interrupt;
use oci_spec::image::{Arch, Os, Platform};

use dir_sink::DirSink;
use fixture_image::{Contents, digest};
use http_server::{Reply, Request, Server};

fn platform(architecture: &str) -> Platform {
    let mut platform = Platform::default();
    platform.set_os(Os::Linux).set_architecture(Arch::from(architecture));
    platform
}

/// Impatient, so that failures do not take long.
fn config() -> RegistryConfig {
    RegistryConfig {
        retry: Retry {
            attempts: 3,
            first_pause: Duration::from_millis(5),
            longest_pause: Duration::from_millis(20),
            longest_asked: Duration::from_secs(5),
        },
        timeouts: Timeouts { connect: Duration::from_secs(5), idle: Duration::from_secs(5) },
        ..RegistryConfig::default()
    }
}

fn locator(reference: &str) -> ImageLocator {
    format!("docker://{reference}").parse().unwrap()
}

fn open_as(reference: &str, credentials: Credentials) -> Registry {
    let reference: Reference = reference.parse().unwrap();
    Registry::open(&reference, &config(), credentials, Interrupt::default()).unwrap()
}

fn open(reference: &str) -> Registry {
    open_as(reference, Credentials::Anonymous)
}

fn copy_to(reference: &str, sink: &DirSink) -> Result<Copied, CopyError> {
    Copier::new(platform("amd64")).copy(&open(reference), &locator(reference), sink)
}

/// The whole chain of causes, as the command line shows it.
fn chain(error: &dyn Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", chain(cause)),
        None => error.to_string(),
    }
}

impl Contents {
    /// What an honest registry answers for repository `a/b`.
    fn serve(&self, request: &Request) -> Reply {
        let missing = || {
            Reply::new(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#)
                .header("Content-Type", "application/json")
        };
        if let Some(name) = request.path.strip_prefix("/v2/a/b/manifests/") {
            return self.manifests.get(name).map_or_else(missing, |(media_type, bytes)| {
                Reply::new(200, bytes.clone())
                    .header("Content-Type", media_type)
                    .header("Docker-Content-Digest", digest(bytes))
            });
        }
        let blob = request.path.strip_prefix("/v2/a/b/blobs/").and_then(|name| self.blobs.get(name));
        blob.map_or_else(missing, |bytes| serve_range(bytes, request))
    }
}

/// A blob, or the part of it that is asked for.
fn serve_range(bytes: &[u8], request: &Request) -> Reply {
    let range = request.header("range").strip_prefix("bytes=").and_then(|range| range.strip_suffix('-'));
    match range.map(|start| start.parse::<usize>().unwrap()) {
        None => Reply::new(200, bytes),
        Some(start) if start < bytes.len() => {
            let (last, total) = (bytes.len() - 1, bytes.len());
            Reply::new(206, &bytes[start..]).header("Content-Range", format!("bytes {start}-{last}/{total}"))
        }
        Some(_) => Reply::new(416, ""),
    }
}

/// A server that is honest except where `lie` has something to say.
fn server(contents: &Contents, lie: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) -> Server {
    let contents = contents.clone();
    Server::start(move |request| lie(request).unwrap_or_else(|| contents.serve(request)))
}

fn reference(server: &Server, tag: &str) -> String {
    format!("{}/a/b:{tag}", server.address())
}
