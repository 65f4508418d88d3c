//! Where an image is, and which image exactly.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use oci_spec::distribution::Reference;
use oci_spec::image::Digest;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where an image is read from, spelt with the transports of containers-transports(5).
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants name their fields")]
pub enum ImageLocator {
    /// A name in imgbuild's own store, such as `tier2/edge`.
    Store(String),
    /// `oci:PATH[:REF]`: an OCI image layout on disk; without REF it holds exactly one image.
    OciLayout { path: String, reference: Option<String> },
    /// `oci-archive:PATH[:REF]`: the same in a tar file.
    OciArchive { path: String, reference: Option<String> },
    /// `containers-storage:NAME`: the local storage of podman and buildah.
    ContainersStorage(String),
    /// `docker://REFERENCE`: a registry.
    Registry(Reference),
}

/// A locator that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum LocatorError {
    /// `nonsense:…`
    #[error("`{locator}`: unknown transport `{transport}`; known are oci, oci-archive, containers-storage and docker")]
    UnknownTransport { locator: String, transport: String },
    /// Something after the transport is missing.
    #[error("`{0}`: nothing follows the transport")]
    Empty(String),
    /// The part after `docker://` is not a reference.
    #[error("`{locator}`: {reason}")]
    Reference { locator: String, reason: String },
}

impl ImageLocator {
    /// Parses the value of a field that names an upstream image: a transport, or a bare registry reference.
    ///
    /// # Errors
    /// When the transport is unknown or the reference does not follow the distribution specification.
    pub fn parse_upstream(text: &str) -> Result<Self, LocatorError> {
        match text.parse()? {
            Self::Store(reference) => parse_reference(text, &reference),
            other => Ok(other),
        }
    }
}

fn parse_reference(locator: &str, reference: &str) -> Result<ImageLocator, LocatorError> {
    reference
        .parse()
        .map(ImageLocator::Registry)
        .map_err(|error| LocatorError::Reference { locator: locator.to_owned(), reason: format!("{error}") })
}

/// Transports of containers-transports(5) that imgbuild does not read: naming one is a mistake, not an image name.
const OTHER_TRANSPORTS: [&str; 7] = ["dir", "docker", "docker-archive", "docker-daemon", "ostree", "sif", "tarball"];

/// Splits `PATH[:REF]` at the first colon, as containers/image does for `oci:`.
fn split_path(rest: &str) -> (String, Option<String>) {
    match rest.split_once(':') {
        Some((path, reference)) if !reference.is_empty() => (path.to_owned(), Some(reference.to_owned())),
        Some((path, _)) => (path.to_owned(), None),
        None => (rest.to_owned(), None),
    }
}

impl FromStr for ImageLocator {
    type Err = LocatorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(rest) = text.strip_prefix("docker://") {
            return parse_reference(text, rest);
        }
        let Some((transport, rest)) = text.split_once(':') else {
            return if text.is_empty() {
                Err(LocatorError::Empty(String::new()))
            } else {
                Ok(Self::Store(text.to_owned()))
            };
        };
        if rest.is_empty() {
            return Err(LocatorError::Empty(text.to_owned()));
        }
        let (path, reference) = split_path(rest);
        match transport {
            "oci" => Ok(Self::OciLayout { path, reference }),
            "oci-archive" => Ok(Self::OciArchive { path, reference }),
            "containers-storage" => Ok(Self::ContainersStorage(rest.to_owned())),
            // A store name or reference may itself hold a colon (`tier1/x:1`, `localhost:5000/x`).
            _ if !rest.starts_with('/') && !OTHER_TRANSPORTS.contains(&transport) => Ok(Self::Store(text.to_owned())),
            _ => Err(LocatorError::UnknownTransport { locator: text.to_owned(), transport: transport.to_owned() }),
        }
    }
}

impl fmt::Display for ImageLocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut layout = |transport: &str, path: &str, reference: &Option<String>| match reference {
            Some(reference) => write!(f, "{transport}:{path}:{reference}"),
            None => write!(f, "{transport}:{path}"),
        };
        match self {
            Self::Store(name) => f.write_str(name),
            Self::OciLayout { path, reference } => layout("oci", path, reference),
            Self::OciArchive { path, reference } => layout("oci-archive", path, reference),
            Self::ContainersStorage(name) => write!(f, "containers-storage:{name}"),
            Self::Registry(reference) => write!(f, "docker://{reference}"),
        }
    }
}

impl Serialize for ImageLocator {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// As a field of a definition: a transport, or a bare registry reference.
impl<'de> Deserialize<'de> for ImageLocator {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse_upstream(&text).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for ImageLocator {
    fn schema_name() -> Cow<'static, str> {
        "ImageLocator".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 1,
            "description": "an image: REGISTRY/NAME[:TAG][@DIGEST], oci:PATH[:REF], oci-archive:PATH[:REF] or containers-storage:NAME",
        })
    }
}

/// What was asked for and what it turned out to be; neither replaces the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PinnedReference {
    /// As written in the definition.
    pub requested: ImageLocator,
    /// Digest of the image manifest for the definition's platform.
    #[schemars(with = "DigestText")]
    pub resolved: Digest,
}

/// Stands for [`Digest`] in JSON schemas.
struct DigestText;

impl JsonSchema for DigestText {
    fn schema_name() -> Cow<'static, str> {
        "Digest".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^sha(256:[0-9a-f]{64}|512:[0-9a-f]{128})$",
            "description": "a digest, such as `sha256:…`",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locators_round_trip() {
        for text in [
            "tier2/edge",
            "oci:/srv/layout:latest",
            "oci:layout",
            "oci-archive:/srv/x.tar",
            "containers-storage:localhost/x:latest",
            "docker://localhost:5000/a/b:1",
        ] {
            assert_eq!(text.parse::<ImageLocator>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_bare_reference_is_an_upstream_but_a_store_name_elsewhere() {
        assert!(matches!(ImageLocator::parse_upstream("example.com/a/b:stream10"), Ok(ImageLocator::Registry(_))));
        assert!(matches!(ImageLocator::parse_upstream("localhost:5000/a:1"), Ok(ImageLocator::Registry(_))));
        assert!(matches!("tier1/debian".parse(), Ok(ImageLocator::Store(_))));
    }

    #[test]
    fn an_unknown_transport_names_the_known_ones() {
        for text in ["dir:/srv/x", "ostree://repo", "docker-daemon:x:latest"] {
            let error = text.parse::<ImageLocator>().unwrap_err().to_string();
            assert!(error.contains("oci-archive"), "{error}");
        }
    }
}
