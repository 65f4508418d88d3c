//! `hosts/<host>.toml`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{
    AbsolutePath, ConnectionName, FileMode, GroupName, Hostname, InterfacePattern, IpPrefix, Karg, MacAddress,
    TierName, UnitName, UserName,
};

/// A host: what differs from the tier it stands on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Host {
    /// Version of the file format; this imgbuild reads version 1.
    pub version: u32,
    /// Tier-2 or tier-1 image it stands on; the project's `base` when left out.
    #[serde(default)]
    pub base: Option<TierName>,
    /// One line for people.
    #[serde(default)]
    pub description: Option<String>,
    /// Static host name, possibly fully qualified; the file's name when left out.
    #[serde(default)]
    pub hostname: Option<Hostname>,
    /// Time zone, such as `Europe/Berlin`.
    #[serde(default)]
    pub timezone: Option<String>,
    /// Locale, such as `C.UTF-8`.
    #[serde(default)]
    pub locale: Option<String>,
    /// Kernel arguments.
    #[serde(default)]
    pub kargs: Vec<Karg>,
    /// Network connections by name.
    #[serde(default)]
    pub network: BTreeMap<ConnectionName, Network>,
    /// Users by name.
    #[serde(default)]
    pub users: BTreeMap<UserName, User>,
    /// Groups by name.
    #[serde(default)]
    pub groups: BTreeMap<GroupName, Group>,
    /// Files.
    #[serde(default, rename = "file")]
    pub files: Vec<FileEntry>,
    /// Directories.
    #[serde(default, rename = "directory")]
    pub directories: Vec<Directory>,
    /// Symbolic links.
    #[serde(default, rename = "link")]
    pub links: Vec<Link>,
    /// Units to enable, disable or mask.
    #[serde(default)]
    pub units: Units,
    /// Containerfile for what files cannot express, relative to the project; run by buildah on top of the tier.
    #[serde(default)]
    pub containerfile: Option<String>,
    /// Labels of the image.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// One network connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Network {
    /// Interface name or pattern, such as `en*`. Exactly one of `interface` and `mac` is given.
    #[serde(default)]
    pub interface: Option<InterfacePattern>,
    /// Hardware address, such as `52:54:00:12:34:56`.
    #[serde(default)]
    pub mac: Option<MacAddress>,
    /// Whether to ask for addresses by DHCP (IPv4) and router advertisements (IPv6).
    #[serde(default)]
    pub dhcp: bool,
    /// Static addresses with prefix length, such as `192.0.2.10/24`.
    #[serde(default)]
    pub address: Vec<IpPrefix>,
    /// Default gateways.
    #[serde(default)]
    pub gateway: Vec<IpAddr>,
    /// Name servers.
    #[serde(default)]
    pub dns: Vec<IpAddr>,
    /// Search domains.
    #[serde(default)]
    pub domains: Vec<Hostname>,
    /// Maximum transmission unit, in bytes.
    #[serde(default)]
    pub mtu: Option<u32>,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct User {
    /// Numeric id; chosen on the host when left out.
    #[serde(default)]
    pub uid: Option<u32>,
    /// Full name.
    #[serde(default)]
    pub gecos: Option<String>,
    /// Home folder; `/var/home/<name>` when left out, `/root` for root.
    #[serde(default)]
    pub home: Option<AbsolutePath>,
    /// Login shell; `/usr/sbin/nologin` for users without keys.
    #[serde(default)]
    pub shell: Option<AbsolutePath>,
    /// Further groups.
    #[serde(default)]
    pub groups: Vec<GroupName>,
    /// Lines of `authorized_keys`.
    #[serde(default)]
    pub ssh_keys: Vec<String>,
    /// File with such lines, relative to the project.
    #[serde(default)]
    pub ssh_keys_file: Option<String>,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Group {
    /// Numeric id; chosen on the host when left out.
    #[serde(default)]
    pub gid: Option<u32>,
}

/// One file. Exactly one of `content` and `source` is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FileEntry {
    /// Absolute path on the host.
    pub path: AbsolutePath,
    /// The text itself.
    #[serde(default)]
    pub content: Option<String>,
    /// File with the bytes, relative to the project.
    #[serde(default)]
    pub source: Option<String>,
    /// Mode in octal.
    #[serde(default = "FileEntry::default_mode")]
    pub mode: FileMode,
    /// Owner: a number, or a name the base image or this host fixes to a number.
    #[serde(default = "FileEntry::root")]
    pub owner: String,
    /// Group, likewise.
    #[serde(default = "FileEntry::root")]
    pub group: String,
}

impl FileEntry {
    const fn default_mode() -> FileMode {
        FileMode::new(0o644)
    }

    fn root() -> String {
        "root".to_owned()
    }
}

/// One directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Directory {
    /// Absolute path on the host; under `/var` it becomes a tmpfiles.d line.
    pub path: AbsolutePath,
    /// Mode in octal.
    #[serde(default = "Directory::default_mode")]
    pub mode: FileMode,
    /// Owner: a number, or a name the base image or this host fixes to a number.
    #[serde(default = "FileEntry::root")]
    pub owner: String,
    /// Group, likewise.
    #[serde(default = "FileEntry::root")]
    pub group: String,
}

impl Directory {
    const fn default_mode() -> FileMode {
        FileMode::new(0o755)
    }
}

/// One symbolic link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Link {
    /// Absolute path of the link.
    pub path: AbsolutePath,
    /// What it points to.
    pub target: String,
}

/// Units whose state this host sets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Units {
    /// Started at boot, as `systemctl enable` would arrange.
    #[serde(default)]
    pub enable: Vec<UnitName>,
    /// Not started at boot.
    #[serde(default)]
    pub disable: Vec<UnitName>,
    /// Never started.
    #[serde(default)]
    pub mask: Vec<UnitName>,
}
