//! From whom a host takes images, and the files that say so to containers/image.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::super::key::PublicKey;
use super::document::{Identity, Policy, Requirement, Requirements, SigstoreSigned};

/// Where the policy lies on a host.
pub const POLICY_PATH: &str = "/etc/containers/policy.json";
/// Where the host is told to look for signatures beside images.
pub const REGISTRIES_PATH: &str = "/etc/containers/registries.d/imgbuild.yaml";
/// Where the public keys lie.
pub const KEY_FOLDER: &str = "/etc/pki/containers";
/// Where bootc is told to obey the policy, also for itself.
const BOOTC_PATH: &str = "/usr/lib/bootc/install/50-imgbuild-policy.toml";

/// From whom a host takes images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustPolicy {
    /// What may be pulled from registries; everything else may not.
    pub scopes: BTreeMap<TrustScope, Trust>,
    /// Transports other than registries from which anything is taken, because what they hold got here by a way that
    /// was checked; all others are refused.
    pub open_transports: Vec<String>,
    /// Whether bootc obeys the policy when it installs and upgrades.
    pub bootc: bool,
}

/// A registry, a path in it or one repository.
pub type TrustScope = String;

/// Why images of a scope are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// One of these keys signed them: more than one while keys are being replaced.
    Signed {
        /// The keys.
        keys: Vec<PublicKey>,
        /// When the scope is a copy: the repository that the signatures were made for.
        mirrors: Option<Mirrored>,
    },
    /// Somebody decided so.
    Unsigned,
}

/// The repository that a mirrored image was signed for.
pub type Mirrored = String;

/// A file of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostFile {
    /// Absolute.
    pub path: String,
    /// All of it.
    pub content: String,
}

impl TrustPolicy {
    /// The policy as containers/image reads it. Everything that has no rule is refused.
    pub fn policy(&self) -> Policy {
        let docker = self.scopes.iter().map(|(scope, trust)| (scope.clone(), vec![trust.requirement()])).collect();
        let mut transports = BTreeMap::from([("docker".to_owned(), docker)]);
        // Each is named, so that whoever reads the file sees that it was thought of.
        for name in ["containers-storage", "dir", "oci", "oci-archive"] {
            let anything = self.open_transports.iter().any(|open| open == name);
            let requirement = if anything { Requirement::InsecureAcceptAnything {} } else { Requirement::Reject {} };
            transports.insert(name.to_owned(), BTreeMap::from([(String::new(), vec![requirement])]));
        }
        Policy { default: reject(), transports }
    }

    /// All files that make the policy work on a host, sorted by path.
    pub fn files(&self) -> Vec<HostFile> {
        let policy = serde_json::to_string_pretty(&self.policy()).expect("text has a JSON form") + "\n";
        let mut files: BTreeMap<String, String> = self.keys().map(|key| (key_path(key), key.to_pem())).collect();
        files.insert(POLICY_PATH.to_owned(), policy);
        files.insert(REGISTRIES_PATH.to_owned(), self.registries());
        if self.bootc {
            files.insert(BOOTC_PATH.to_owned(), "[install]\nenforce-container-sigpolicy = true\n".to_owned());
        }
        files.into_iter().map(|(path, content)| HostFile { path, content }).collect()
    }

    /// containers-registries.d(5): without it no signature is even looked for.
    fn registries(&self) -> String {
        let mut text = "# Signatures lie beside the images. Made by imgbuild.\ndocker:\n".to_owned();
        let signed = self.scopes.iter().filter(|(_, trust)| matches!(trust, Trust::Signed { .. }));
        let mut none = true;
        for (scope, _) in signed {
            none = false;
            write!(text, "  \"{scope}\":\n    use-sigstore-attachments: true\n")
                .expect("writing to a string cannot fail");
        }
        if none { text.replace("docker:\n", "docker: {}\n") } else { text }
    }

    fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.scopes.values().flat_map(|trust| match trust {
            Trust::Signed { keys, .. } => keys.as_slice(),
            Trust::Unsigned => &[],
        })
    }
}

impl Trust {
    fn requirement(&self) -> Requirement {
        let Self::Signed { keys, mirrors } = self else { return Requirement::InsecureAcceptAnything {} };
        // Signatures name a repository without a tag, which `remapIdentity` never accepts (see [`Identity`]).
        let identity = match mirrors {
            Some(repository) => Identity::ExactRepository { docker_repository: repository.clone() },
            None => Identity::MatchRepository {},
        };
        Requirement::SigstoreSigned(Box::new(SigstoreSigned {
            key_paths: Some(keys.iter().map(key_path).collect()),
            signed_identity: Some(identity),
            ..SigstoreSigned::default()
        }))
    }
}

/// Named by what it is, so that replacing a key never changes the meaning of a path.
fn key_path(key: &PublicKey) -> String {
    format!("{KEY_FOLDER}/{}.pub", key.fingerprint())
}

fn reject() -> Requirements {
    vec![Requirement::Reject {}]
}
