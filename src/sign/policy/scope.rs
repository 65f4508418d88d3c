//! What an image is called under a transport, and which scopes of a policy speak about it.

use crate::model::Reference;

/// A transport of containers-transports(5) whose scopes are known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the transports'")]
pub enum Transport {
    Docker,
    ContainersStorage,
    Oci,
    OciArchive,
    Dir,
    DockerArchive,
    DockerDaemon,
}

const NAMES: [(Transport, &str); 7] = [
    (Transport::Docker, "docker"),
    (Transport::ContainersStorage, "containers-storage"),
    (Transport::Oci, "oci"),
    (Transport::OciArchive, "oci-archive"),
    (Transport::Dir, "dir"),
    (Transport::DockerArchive, "docker-archive"),
    (Transport::DockerDaemon, "docker-daemon"),
];

impl Transport {
    pub(super) fn of_name(name: &str) -> Option<Self> {
        NAMES.iter().find(|(_, known)| *known == name).map(|(transport, _)| *transport)
    }

    /// As it is spelt in policies and in front of images.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(transport, _)| *transport == self).map_or("", |(_, name)| name)
    }

    /// Whether containers/image takes `scope`, which is not empty.
    pub(super) fn check_scope(self, scope: &str) -> Result<(), &'static str> {
        let is_clean = |path: &str| path != "/" && !path.split('/').skip(1).any(|part| matches!(part, "" | "." | ".."));
        match self {
            Self::Docker | Self::DockerDaemon => Ok(()),
            Self::Dir | Self::Oci | Self::OciArchive if !scope.starts_with('/') => Err("the scope is no absolute path"),
            Self::Dir | Self::Oci | Self::OciArchive if !is_clean(scope) => {
                Err("the scope is no canonical path; for all of them use the scope \"\"")
            }
            Self::Dir | Self::Oci | Self::OciArchive => Ok(()),
            Self::ContainersStorage => match scope.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                Some((store, _)) if store.split('@').next_back().is_some_and(|root| root.starts_with('/')) => Ok(()),
                _ => Err("the scope does not begin with a store such as [/var/lib/containers/storage]"),
            },
            Self::DockerArchive => Err("this transport knows only the scope \"\""),
        }
    }
}

/// An image that a host is asked to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// From where.
    pub transport: Transport,
    /// The name that signatures are compared with, where the transport gives one.
    pub reference: Option<Reference>,
    /// A path, for transports that have one.
    path: Option<String>,
}

/// An image whose name cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum TargetError {
    /// Not a transport that is known here.
    #[error("`{image}`: unknown transport; known are {}", NAMES.map(|(_, name)| name).join(", "))]
    Transport { image: String },
    /// Not a reference.
    #[error("`{image}`: {reason}")]
    Reference { image: String, reason: String },
    /// A path that is not absolute means another file in every folder.
    #[error("`{image}`: a policy's scopes are absolute paths; give one")]
    RelativePath { image: String },
}

impl std::str::FromStr for Target {
    type Err = TargetError;

    fn from_str(image: &str) -> Result<Self, TargetError> {
        let reference = |text: &str| {
            text.parse::<Reference>()
                .map_err(|error| TargetError::Reference { image: image.to_owned(), reason: error.to_string() })
        };
        let unknown = || TargetError::Transport { image: image.to_owned() };
        // `registry:5000/name` has a colon, too: a transport is one that is known, or something before a slash.
        let known = image.split_once(':').and_then(|(name, rest)| Some((Transport::of_name(name)?, rest)));
        let (transport, rest) = match known {
            Some((Transport::Docker, rest)) => (Transport::Docker, rest.strip_prefix("//").ok_or_else(unknown)?),
            Some(other) => other,
            None if image.contains(":/") || image.starts_with('/') => return Err(unknown()),
            None => (Transport::Docker, image),
        };
        match transport {
            Transport::Docker => Ok(Self { transport, reference: Some(reference(rest)?), path: None }),
            Transport::ContainersStorage => Ok(Self { transport, reference: reference(rest).ok(), path: None }),
            Transport::DockerArchive | Transport::DockerDaemon => Ok(Self { transport, reference: None, path: None }),
            Transport::Dir | Transport::Oci | Transport::OciArchive => {
                let path = if transport == Transport::Dir { rest } else { rest.split(':').next().unwrap_or(rest) };
                match path.trim_end_matches('/') {
                    path if path.starts_with('/') => {
                        Ok(Self { transport, reference: None, path: Some(path.to_owned()) })
                    }
                    _ => Err(TargetError::RelativePath { image: image.to_owned() }),
                }
            }
        }
    }
}

impl Target {
    /// An image in a registry.
    pub fn registry(reference: Reference) -> Self {
        Self { transport: Transport::Docker, reference: Some(reference), path: None }
    }

    /// The scopes that speak about it, the one that decides first; the transport's default, `""`, is not among them.
    pub(super) fn scopes(&self) -> Vec<String> {
        match (&self.reference, &self.path) {
            (Some(reference), _) if self.transport == Transport::Docker => registry_scopes(reference),
            (_, Some(path)) => parents(path),
            _ => Vec::new(),
        }
    }
}

/// The repository of a reference with its registry, as containers/image calls it.
pub(in crate::sign) fn repository(reference: &Reference) -> String {
    format!("{}/{}", reference.registry(), reference.repository())
}

fn registry_scopes(reference: &Reference) -> Vec<String> {
    let name = repository(reference);
    let exact = match reference.digest() {
        Some(digest) => format!("{name}@{digest}"),
        None => format!("{name}:{}", reference.tag().unwrap_or("latest")),
    };
    let mut scopes = vec![exact];
    scopes.extend(parents(&name));
    let host = reference.registry().split(':').next().unwrap_or_default();
    let domains = host.match_indices('.').map(|(dot, _)| format!("*{}", &host[dot..]));
    scopes.extend(domains);
    scopes
}

/// `a/b/c`, `a/b`, `a`; of an absolute path without the empty one.
fn parents(name: &str) -> Vec<String> {
    fn parent<'n>(name: &&'n str) -> Option<&'n str> {
        name.rsplit_once('/').map(|(parent, _)| parent).filter(|parent| !parent.is_empty())
    }
    std::iter::successors(Some(name), parent).map(str::to_owned).collect()
}
