//! Whether an image is a bootable bootc image that survives updates.
//!
//! Everything `bootc container lint` checks, under codes that name its lints, and what it does not look at: the
//! initramfs, the boot loader, traces of the builder, permissions. Pure: sees the merged tree and its configuration,
//! runs nothing, and works on any image for any architecture. "Could not check" is an error, "is wrong" a finding.

mod code;
mod contents;
mod files;
mod findings;
mod kargs;
mod kernel;
mod layout;
mod machine;
mod owners;
mod page;
mod pe;
mod privilege;
mod ramdisk;
mod state;
mod system;

use std::collections::BTreeMap;

use oci_spec::image::{Arch, ImageConfiguration};

pub use code::{Code, Finding};

use crate::oci::tree::{Kind, TreeError};
use crate::oci::{ImageTree, LayerSource};
use contents::Contents;
use findings::Findings;

/// Why an image could not be checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LintError {
    /// Its files cannot be read, or one is far larger than such files are.
    #[error("reading the image's files")]
    Tree(#[from] TreeError),
    /// Its kernel, initramfs and configuration files are larger together than memory should hold.
    #[error("the image's kernel and configuration files have {bytes} bytes; at most {limit} are read")]
    #[expect(missing_docs, reason = "the message names the fields")]
    TooMuch { bytes: u64, limit: u64 },
}

/// What an image says about itself in its configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LintFacts {
    /// What it runs on.
    pub architecture: Arch,
    /// Labels of the configuration.
    pub labels: BTreeMap<String, String>,
    /// Program and arguments that a container starts in front of its command.
    pub entrypoint: Vec<String>,
    /// User that a container runs as.
    pub user: Option<String>,
    /// `NAME=VALUE`, as a container sees them.
    pub environment: Vec<String>,
}

impl LintFacts {
    /// Takes the facts from an image's configuration.
    pub fn of(configuration: &ImageConfiguration) -> Self {
        let config = configuration.config().clone().unwrap_or_default();
        Self {
            architecture: configuration.architecture().clone(),
            labels: config.labels().clone().unwrap_or_default().into_iter().collect(),
            entrypoint: config.entrypoint().clone().unwrap_or_default(),
            user: config.user().clone(),
            environment: config.env().clone().unwrap_or_default(),
        }
    }
}

/// An image under check.
#[derive(Debug)]
struct Image<'a> {
    tree: &'a ImageTree,
    facts: &'a LintFacts,
    /// What it was built on, where that is known: privileges that it has too are its affair.
    base: Option<&'a ImageTree>,
    contents: Contents,
}

impl Image<'_> {
    /// Content of the regular file that `path` leads to, if it is one of those that are read.
    fn read(&self, path: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.contents.get(self.tree.resolve(path)?)
    }

    /// What is at `path` itself.
    fn kind(&self, path: &str) -> Option<&Kind> {
        Some(self.tree.node(self.tree.lookup(path)?).kind())
    }

    /// Whether `path` leads to a regular file.
    fn has_file(&self, path: impl AsRef<[u8]>) -> bool {
        self.tree.resolve(path).is_some_and(|id| self.tree.node(id).content().is_some())
    }
}

/// Checks an image; `base` is the tree it was built on.
///
/// The findings are sorted by code, then subject, and of each code only the first hundred are told one by one.
///
/// # Errors
/// When a file that must be read cannot be, or is too large to be what its name says.
pub fn lint(
    tree: &ImageTree,
    layers: &dyn LayerSource,
    facts: &LintFacts,
    base: Option<&ImageTree>,
) -> Result<Vec<Finding>, LintError> {
    let contents = Contents::read(tree, layers)?;
    let image = Image { tree, facts, base, contents };
    let mut findings = Findings::default();
    layout::check(&image, &mut findings);
    state::check(&image, &mut findings);
    kargs::check(&image, &mut findings);
    kernel::check(&image, &mut findings);
    system::check(&image, &mut findings);
    machine::check(&image, &mut findings);
    files::check(&image, &mut findings);
    owners::check(&image, &mut findings);
    Ok(findings.sorted())
}

#[cfg(test)]
mod tests;
