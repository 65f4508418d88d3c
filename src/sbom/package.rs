//! What is known of a package, whichever database it comes from.

use super::os_release::OsRelease;
use super::purl::PackageUrl;

/// Whose package it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PackageKind {
    /// dpkg's.
    Deb,
    /// rpm's.
    Rpm,
    /// apk's.
    Apk,
    /// Of another kind, found by another program.
    Other,
}

impl PackageKind {
    /// The type in a package URL.
    pub const fn purl_type(self) -> &'static str {
        match self {
            Self::Deb => "deb",
            Self::Rpm => "rpm",
            Self::Apk => "apk",
            Self::Other => "generic",
        }
    }
}

/// An installed package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Whose it is.
    pub kind: PackageKind,
    /// Name.
    pub name: String,
    /// Version as its database has it, but for rpm's epoch: `version-release`.
    pub version: String,
    /// rpm's epoch, where the package has one.
    pub epoch: Option<u32>,
    /// Architecture in the database's spelling.
    pub architecture: String,
    /// What it was built from: a source package's name, for rpm the source package's file.
    pub source: Option<String>,
    /// Version of that, where it is another one.
    pub source_version: Option<String>,
    /// Who maintains it, as `Name <address>`.
    pub maintainer: Option<String>,
    /// Who made it, where the database says.
    pub vendor: Option<String>,
    /// Its home page.
    pub homepage: Option<String>,
    /// One line on what it is.
    pub summary: Option<String>,
    /// Licence as the database has it.
    pub licence: Option<String>,
    /// What it needs: of each group one capability.
    pub requires: Vec<Vec<String>>,
    /// Capabilities it offers beyond its name.
    pub provides: Vec<String>,
    /// Its package URL, where another program found it.
    pub url: Option<PackageUrl>,
}

impl Package {
    /// A package of which only this is known.
    pub(super) fn new(kind: PackageKind, name: &str, version: &str, architecture: &str) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            version: version.to_owned(),
            epoch: None,
            architecture: architecture.to_owned(),
            source: None,
            source_version: None,
            maintainer: None,
            vendor: None,
            homepage: None,
            summary: None,
            licence: None,
            requires: Vec::new(),
            provides: Vec::new(),
            url: None,
        }
    }

    /// A package that another program found.
    pub(super) fn of_purl(url: PackageUrl) -> Self {
        let kinds = [PackageKind::Deb, PackageKind::Rpm, PackageKind::Apk];
        let kind = kinds.into_iter().find(|kind| kind.purl_type() == url.kind()).unwrap_or(PackageKind::Other);
        let mut package = Self::new(kind, url.name(), url.version(), url.get("arch").unwrap_or_default());
        package.epoch = url.get("epoch").and_then(|text| text.parse().ok());
        package.source = url.get("upstream").map(str::to_owned);
        package.url = Some(url);
        package
    }

    /// Version with rpm's epoch in front, as locks have it.
    pub fn full_version(&self) -> String {
        match self.epoch {
            Some(epoch) if epoch > 0 => format!("{epoch}:{}", self.version),
            _ => self.version.clone(),
        }
    }

    /// Its package URL, as syft and the scanners that read SBOMs write it.
    pub fn purl(&self, os: Option<&OsRelease>) -> PackageUrl {
        if let Some(url) = &self.url {
            return url.clone();
        }
        let namespace = os.map(|os| match (self.kind, os.id.as_str()) {
            (PackageKind::Rpm, "rhel") => "redhat",
            (_, id) => id,
        });
        let upstream = self.upstream();
        PackageUrl::new(self.kind.purl_type(), namespace, &self.name, &self.version)
            .qualifier("arch", &self.architecture)
            .qualifier("distro", &os.map(OsRelease::distro).unwrap_or_default())
            .qualifier("epoch", &self.epoch.map(|epoch| epoch.to_string()).unwrap_or_default())
            .qualifier("upstream", &upstream.unwrap_or_default())
    }

    fn upstream(&self) -> Option<String> {
        let source = self.source.as_ref()?;
        match &self.source_version {
            Some(version) => Some(format!("{source}@{version}")),
            None if *source == self.name => None,
            None => Some(source.clone()),
        }
    }
}
