//! A host's definition as files of one layer: pure, from the definition, the bytes of the files it names and a view
//! of the image below.

mod accounts;
mod entries;
mod network;
mod state;
mod system;
mod units;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::config::Host;
use crate::model::{HostName, UnitName};

use entries::HostLayer;
pub use entries::{HostEntry, Node};
pub use state::{HostState, state};
pub use units::template_of;

/// What a host needs to know about the image it stands on.
pub trait BaseView {
    /// Number of a user the image fixes.
    fn uid(&self, name: &str) -> Option<u32>;
    /// Number of a group the image fixes.
    fn gid(&self, name: &str) -> Option<u32>;
    /// `path` with every symbolic link in its parent folders followed inside the image; absolute.
    fn canonical(&self, path: &str) -> String;
    /// Whether something exists at `path`, links followed.
    fn exists(&self, path: &str) -> bool;
    /// Text of a unit file the image ships.
    fn unit(&self, name: &UnitName) -> Option<String>;
    /// Links below `/etc/systemd/system` whose file name is `name`: how the image enables the unit.
    fn enablement_links(&self, name: &UnitName) -> Vec<String>;
}

/// Bytes of the files that hosts name, by path relative to the project.
pub type Sources = BTreeMap<String, Vec<u8>>;

/// A host that cannot be turned into a layer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum HostError {
    #[error("host `{host}`: `{path}` is given twice")]
    Duplicate { host: HostName, path: String },
    #[error(
        "host `{host}`: `{path}`: {kind} `{name}` has no fixed number in the image below or in this host; give a number, or set {key} for it"
    )]
    UnknownOwner { host: HostName, path: String, kind: &'static str, name: String, key: &'static str },
    #[error("host `{host}`: `{path}` lies in `{folder}`, which exists only while the host runs")]
    Volatile { host: HostName, path: String, folder: &'static str },
    #[error("host `{host}`: unit `{unit}` is neither in the image below nor a file of this host")]
    UnknownUnit { host: HostName, unit: UnitName },
    #[error(
        "host `{host}`: unit `{unit}` has no [Install] section, so it cannot be enabled; it is started by other units"
    )]
    NotInstallable { host: HostName, unit: UnitName },
    #[error("host `{host}`: time zone `{zone}` is not in the image below (`/usr/share/zoneinfo/{zone}`)")]
    UnknownTimezone { host: HostName, zone: String },
    #[error("host `{host}`: network `{name}`: the image below has neither systemd-networkd nor NetworkManager")]
    NoNetworkManager { host: HostName, name: String },
    #[error("host `{host}`: `{path}` can only be in an image of the host's own; make the disk of `tier3/{host}`")]
    NotState { host: HostName, path: String },
    #[error("host `{host}` has a Containerfile, whose result is an image of its own; make the disk of `tier3/{host}`")]
    Containerfile { host: HostName },
    #[error("host `{host}`: the file `{path}` was not read")]
    SourceNotRead { host: HostName, path: String },
}

/// Files of the project that a host reads: they must be in [`Sources`].
pub fn sources(host: &Host) -> Vec<&str> {
    let keys = host.users.values().filter_map(|user| user.ssh_keys_file.as_deref());
    keys.chain(host.files.iter().filter_map(|file| file.source.as_deref())).collect()
}

/// Everything the host's layer holds, by absolute path.
///
/// # Errors
/// The first thing that does not fit the image below.
pub fn layer(
    name: &HostName,
    host: &Host,
    base: &dyn BaseView,
    sources: &Sources,
) -> Result<BTreeMap<String, HostEntry>, HostError> {
    let mut layer = HostLayer::new(name, host, base);
    system::add(&mut layer)?;
    accounts::add(&mut layer, sources)?;
    network::add(&mut layer)?;
    entries::add(&mut layer, sources)?;
    units::add(&mut layer)?;
    layer.finish()
}
