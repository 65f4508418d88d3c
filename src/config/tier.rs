//! `tiers/<name>/tier.toml`.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{
    ImageLocator, Karg, KernelNumber, KernelRelease, KmodSetName, ModuleName, PackageName, RepositoryName, TierName,
};

/// Package manager family of a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Debian and its derivatives: dpkg packages, apt.
    Apt,
    /// Fedora, CentOS and their derivatives: rpm packages, dnf.
    Dnf,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Apt => "apt",
            Self::Dnf => "dnf",
        })
    }
}

/// A tier-1 image: the distribution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tier1 {
    /// Version of the file format; this imgbuild reads version 1.
    pub version: u32,
    /// Always 1 in this file.
    pub tier: u8,
    /// One line for people.
    #[serde(default)]
    pub description: Option<String>,
    /// Take an existing bootc image, by digest. Exactly one of `mirror` and `bootstrap` is given.
    #[serde(default)]
    pub mirror: Option<Mirror>,
    /// Make the image from a distribution's packages.
    #[serde(default)]
    pub bootstrap: Option<Bootstrap>,
    /// Labels of the image.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

impl Tier1 {
    /// Package manager of the image; apt where neither source is given, which loading does not let through.
    pub fn family(&self) -> Family {
        self.mirror.as_ref().map_or(Family::Apt, |mirror| mirror.family)
    }
}

/// An upstream image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Mirror {
    /// Where it is.
    pub image: ImageLocator,
    /// Its package manager.
    pub family: Family,
}

/// A distribution's packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Bootstrap {
    /// Suite, such as `trixie`.
    pub suite: String,
    /// Further suites of the same archive whose newer packages win, such as `trixie-updates` and `trixie-security`.
    #[serde(default)]
    pub updates: Vec<String>,
    /// Archive components.
    #[serde(default = "Bootstrap::main_component")]
    pub components: Vec<String>,
    /// Archive to use instead of the one this machine is configured with, such as a site mirror or a snapshot.
    /// The archive of `*-security` suites is `security-mirror`.
    #[serde(default)]
    pub mirror: Option<String>,
    /// Archive of the `*-security` suites, where `mirror` is given.
    #[serde(default)]
    pub security_mirror: Option<String>,
    /// File with the archive's signing keys, relative to the project or absolute;
    /// by default the distribution's own keyring on this machine.
    #[serde(default)]
    pub keyring: Option<String>,
    /// The kernel package, such as `linux-image-cloud-amd64`.
    pub kernel: PackageName,
    /// All other packages wanted beyond the essential ones.
    pub packages: Vec<PackageName>,
    /// Path patterns left out at unpacking, as for dpkg's `path-exclude`.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Patterns that win over `exclude`, as for dpkg's `path-include`.
    #[serde(default)]
    pub include: Vec<String>,
    /// Kernel arguments for every host on this tier (`/usr/lib/bootc/kargs.d`).
    #[serde(default)]
    pub kargs: Vec<Karg>,
    /// Kernel modules added to the initramfs.
    #[serde(default)]
    pub initramfs_drivers: Vec<ModuleName>,
}

impl Bootstrap {
    fn main_component() -> Vec<String> {
        vec!["main".to_owned()]
    }
}

/// A tier-2 image: tier 1 with kernel modules and further packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tier2 {
    /// Version of the file format; this imgbuild reads version 1.
    pub version: u32,
    /// Always 2 in this file.
    pub tier: u8,
    /// One line for people.
    #[serde(default)]
    pub description: Option<String>,
    /// The tier-1 image it stands on.
    pub base: TierName,
    /// Module sets to build and install, in the order of their layers.
    #[serde(default)]
    pub modules: Vec<KmodSetName>,
    /// Packages installed into the final image.
    #[serde(default)]
    pub packages: Vec<PackageName>,
    /// Further package repositories, besides those tier 1 was made from.
    #[serde(default)]
    pub repositories: BTreeMap<RepositoryName, Repository>,
    /// How the kernel is chosen.
    #[serde(default)]
    pub kernel: KernelPolicy,
    /// Key that signs the modules.
    #[serde(default)]
    pub signing: Option<Signing>,
    /// Seal the image, or those of its hosts, as the last step.
    #[serde(default)]
    pub seal: Option<Seal>,
    /// Labels of the image.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// What only builds need and this image has on purpose.
    #[serde(default)]
    pub allow: Vec<Allow>,
}

/// A leftover that is accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Allow {
    /// Name of the package or absolute path; `*`, `?` and `**` as in artifact patterns.
    pub pattern: String,
    /// Why; printed with every report.
    pub reason: String,
}

/// A list of accepted leftovers in a file of its own (`imgbuild check --allow-file`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AllowFile {
    /// The entries.
    #[serde(default)]
    pub allow: Vec<Allow>,
}

/// A list of accepted leftovers that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum AllowFileError {
    /// Not the TOML of such a list.
    #[error(transparent)]
    Toml(#[from] toml::de::Error),
    /// An entry does not say why.
    #[error("`{pattern}` is allowed without a reason")]
    NoReason { pattern: String },
}

impl AllowFile {
    /// Parses the text: tables `[[allow]]` with `pattern` and `reason`.
    ///
    /// # Errors
    /// When it is something else, or an entry has no reason.
    pub fn parse(text: &str) -> Result<Vec<Allow>, AllowFileError> {
        let file: Self = toml::from_str(text)?;
        match file.allow.iter().find(|allow| allow.reason.trim().is_empty()) {
            Some(allow) => Err(AllowFileError::NoReason { pattern: allow.pattern.clone() }),
            None => Ok(file.allow),
        }
    }
}

/// A package repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Repository {
    /// Address; `machine` in apt repositories means this machine's configured mirror.
    pub url: String,
    /// apt only: suite.
    #[serde(default)]
    pub suite: Option<String>,
    /// apt only: components.
    #[serde(default)]
    pub components: Vec<String>,
    /// File with the signing key, relative to the project, or its `https://` address.
    #[serde(default)]
    pub key: Option<String>,
    /// Accept packages nobody signed. Needs no `key`.
    #[serde(default)]
    pub unsigned: bool,
}

/// Policy of the kernel decision.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct KernelPolicy {
    /// Exactly this kernel.
    #[serde(default)]
    pub pin: Option<KernelRelease>,
    /// No kernel newer than this: 6.12 admits all of 6.12, 6.12.94 nothing after it.
    #[serde(default)]
    pub ceiling: Option<KernelNumber>,
    /// No kernel older than this.
    #[serde(default)]
    pub floor: Option<KernelNumber>,
    /// None of these kernels.
    #[serde(default)]
    pub deny: Vec<KernelRelease>,
    /// No kernel built longer ago than this, in days; kernels whose build day nothing tells pass, and are named.
    #[serde(default)]
    pub max_age: Option<u32>,
    /// Whether another kernel than the base's may be put in.
    #[serde(default)]
    pub swap: SwapPolicy,
}

/// Whether the base's kernel may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SwapPolicy {
    /// Keep the base's kernel or fail.
    #[default]
    Never,
    /// Replace it when modules cannot be built for it.
    Allow,
    /// Take the newest kernel the modules can be built for.
    PreferNewest,
}

/// Key and certificate that sign kernel modules; both stay outside every layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Signing {
    /// File with the private key in PEM, relative to the project; kept out of version control.
    pub key: String,
    /// File with the certificate in PEM or DER, relative to the project.
    pub certificate: String,
}

/// Key and certificate that seal images; the key stays outside of every image and of the lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Seal {
    /// File with the private key in PEM (RSA), relative to the project; kept out of version control.
    pub key: String,
    /// File with the certificate in PEM, relative to the project.
    pub certificate: String,
    /// Kernel arguments besides the image's own; nobody can add any later.
    #[serde(default)]
    pub kargs: Vec<Karg>,
    /// Seal the image of each host on this tier. Otherwise the tier is sealed, and its hosts share the seal.
    #[serde(default)]
    pub per_host: bool,
}
