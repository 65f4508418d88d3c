//! syft: the packages of an image, by a program of its own.
//!
//! Only its list of packages is taken. Version 1.18.1 is the one this was tested with (`ci/test-sbom`).

use serde::Deserialize;

use crate::sys::Cmd;

use super::ToolVersion;

/// The least version that works.
pub const MINIMUM: ToolVersion = ToolVersion::new(1, 18, 0);
/// Why that much is needed.
pub const MINIMUM_REASON: &str = "the oldest whose output this was tested with";

/// Who makes it.
pub const VENDOR: &str = "anchore";

/// A package as syft reports it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Its package URL.
    pub purl: String,
    /// Its licences, as identifiers, expressions or names.
    pub licences: Vec<String>,
}

/// Output that is not what was asked for.
#[derive(Debug, thiserror::Error)]
#[error("syft printed something else than a CycloneDX document")]
pub struct SyftOutputError(#[from] serde_json::Error);

/// Prints the version; read with [`ToolVersion::find`].
pub fn version() -> Cmd {
    program().arg("--version")
}

/// Lists the packages of the only image of the layout at `path`; read with [`parse_packages`]. `temporary` is where it
/// may unpack layers.
pub fn scan(path: &str, temporary: &str) -> Cmd {
    program()
        .arg("scan")
        // The default version of the format changes from release to release.
        .opt("--output", "cyclonedx-json@1.5")
        .arg("--quiet")
        .arg(format!("oci-dir:{path}"))
        .env("TMPDIR", temporary)
}

fn program() -> Cmd {
    Cmd::new("syft")
        // It would ask the network on every run.
        .env("SYFT_CHECK_FOR_APP_UPDATE", "false")
        // Read here, with compression, digests and signatures; syft's take a hundred times the space.
        .env("SYFT_LINUX_KERNEL_CATALOG_MODULES", "false")
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    components: Vec<Component>,
}

#[derive(Deserialize)]
struct Component {
    #[serde(rename = "type")]
    kind: String,
    purl: Option<String>,
    #[serde(default)]
    licenses: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    license: Option<License>,
    expression: Option<String>,
}

#[derive(Deserialize)]
struct License {
    id: Option<String>,
    name: Option<String>,
}

/// Reads what [`scan`] printed: everything that has a package URL and is no kernel, sorted.
///
/// # Errors
/// When it is no such document.
pub fn parse_packages(output: &str) -> Result<Vec<Found>, SyftOutputError> {
    let document: Document = serde_json::from_str(output)?;
    let is_package = |component: &Component| component.kind == "library" || component.kind == "application";
    let mut found: Vec<Found> = document
        .components
        .into_iter()
        .filter(is_package)
        .filter_map(|component| Some(Found { licences: licences(component.licenses), purl: component.purl? }))
        // Kernels come from the package database and from `/usr/lib/modules`.
        .filter(|found| !found.purl.starts_with("pkg:generic/linux-kernel"))
        .collect();
    found.sort();
    found.dedup();
    Ok(found)
}

fn licences(choices: Vec<Choice>) -> Vec<String> {
    let one = |choice: Choice| choice.expression.or_else(|| choice.license.and_then(|found| found.id.or(found.name)));
    choices.into_iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cut down from what syft 1.18.1 printed for a Debian image.
    const OUTPUT: &str = r#"{
        "bomFormat": "CycloneDX", "specVersion": "1.5",
        "components": [
            {"bom-ref": "x", "type": "library", "name": "apt", "version": "3.0.4",
             "licenses": [{"license": {"id": "GPL-2.0-only"}}, {"license": {"name": "Expat"}}],
             "purl": "pkg:deb/debian/apt@3.0.4?arch=amd64&distro=debian-13",
             "properties": [{"name": "syft:package:foundBy", "value": "dpkg-db-cataloger"}]},
            {"type": "library", "name": "linux-kernel", "version": "6", "purl": "pkg:generic/linux-kernel@6"},
            {"type": "operating-system", "name": "debian", "version": "13"}
        ]}"#;

    #[test]
    fn packages_are_taken_and_nothing_else() {
        let found = parse_packages(OUTPUT).unwrap();
        assert_eq!(
            found,
            [Found {
                purl: "pkg:deb/debian/apt@3.0.4?arch=amd64&distro=debian-13".to_owned(),
                licences: vec!["GPL-2.0-only".to_owned(), "Expat".to_owned()],
            }]
        );
        assert!(parse_packages("error: no such file").is_err());
    }

    #[test]
    fn command_lines() {
        insta::assert_snapshot!(scan("/w/image", "/w/tmp"), @"SYFT_CHECK_FOR_APP_UPDATE=false SYFT_LINUX_KERNEL_CATALOG_MODULES=false TMPDIR=/w/tmp syft scan --output cyclonedx-json@1.5 --quiet oci-dir:/w/image");
        insta::assert_snapshot!(version(), @"SYFT_CHECK_FOR_APP_UPDATE=false SYFT_LINUX_KERNEL_CATALOG_MODULES=false syft --version");
    }
}
