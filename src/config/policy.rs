//! `[publish]` and `[policy]` of `imgbuild.toml`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where images are published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Publish {
    /// Registry and path, such as `registry.example.com/fleet`; the image's name in the store follows. Signatures say
    /// that the image is meant for there.
    pub to: String,
}

/// From whom hosts take images: what becomes `/etc/containers/policy.json`. Whatever is not named is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Policy {
    /// Files with the public keys whose signatures hosts accept on images from `publish.to`; several while one is being
    /// replaced.
    pub keys: Vec<String>,
    /// Other ways than a registry by which a host takes any image.
    #[serde(default = "Policy::storage")]
    pub open_transports: Vec<OpenTransport>,
    /// Whether bootc obeys the policy when it installs and upgrades.
    #[serde(default = "Policy::yes")]
    pub bootc: bool,
    /// Repositories of others.
    #[serde(default)]
    pub allow: Vec<PolicyAllow>,
}

impl Policy {
    fn storage() -> Vec<OpenTransport> {
        vec![OpenTransport::ContainersStorage]
    }

    const fn yes() -> bool {
        true
    }
}

/// A repository of somebody else that hosts may use. Either `keys` are given, or `unsigned` with a `reason`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PolicyAllow {
    /// The repository, or a path above it, with its registry: `docker.io/library/alpine`.
    pub repository: String,
    /// Files with the public keys whose signatures are accepted.
    #[serde(default)]
    pub keys: Vec<String>,
    /// Take images that nobody signed.
    #[serde(default)]
    pub unsigned: bool,
    /// Why that is acceptable.
    #[serde(default)]
    pub reason: Option<String>,
    /// The repository that its images were signed for, when this one is a copy.
    #[serde(default)]
    pub mirrors: Option<String>,
}

/// A transport that is not a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OpenTransport {
    /// Images that are on the host already, pulled under this policy or built there. `bootc install` needs it.
    ContainersStorage,
    /// Image layouts in folders.
    Oci,
    /// Image layouts in tar files.
    OciArchive,
    /// containers/image's own folders.
    Dir,
}

impl OpenTransport {
    /// As containers-transports(5) spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ContainersStorage => "containers-storage",
            Self::Oci => "oci",
            Self::OciArchive => "oci-archive",
            Self::Dir => "dir",
        }
    }
}
