//! What of a build is left in an image, layer by layer.

use std::collections::{BTreeMap, BTreeSet};

use crate::kmod::{Allowances, Code, Finding, leftover_package};
use crate::oci::tree::Kind;
use crate::oci::{ImageTree, LayerSource};

use super::super::verify::Reported;
use super::super::{BuildError, Session};
use super::packages::Packages;
use super::scan::{FoundFile, Scan};

/// More files than this in one place are reported as one.
const LISTED: usize = 3;
/// So many components of a path make a place: `/usr/src/linux-headers-6.12.48`.
const PLACE: usize = 3;

/// Which layers are judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    /// The first so many layers are the base's.
    pub(super) base_layers: usize,
    /// Whether private keys in those count as well.
    pub(super) keys_of_base: bool,
    /// What the history says about each layer.
    pub(super) history: &'a [String],
}

/// A finding with all that is the same for its neighbours.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    code: Code,
    layer: usize,
    gone: bool,
    owner: Option<String>,
    folder: String,
    message: String,
    allowed: Option<String>,
}

/// Everything left: packages, files and keys of every layer in scope, packages without files, links to build trees.
///
/// # Errors
/// When a package database cannot be read.
pub(super) fn find(
    session: &Session,
    image: &str,
    scan: &mut Scan,
    layers: &dyn LayerSource,
    scope: Scope<'_>,
    allowances: &mut Allowances,
) -> Result<Vec<Reported>, BuildError> {
    let packages = Packages::read(session, image, scan, layers, scope.base_layers)?;
    let mut findings: Vec<Finding> = Vec::new();
    for package in packages.added() {
        let Some(mut finding) = leftover_package(&package.name) else { continue };
        let place = package.layer.filter(|layer| package.gone || *layer + 1 < layers.count());
        finding.message.push_str(&place.map(|layer| scope.describe(layer, package.gone)).unwrap_or_default());
        findings.push(finding);
    }
    findings.extend(packages.without_files(&scan.tree));
    findings.extend(build_trees(&scan.tree, &scan.base));
    let mut reported: Vec<Reported> = findings
        .iter()
        .map(|finding| Reported { allowed: allowances.reason(&finding.subject), ..Reported::from(finding) })
        .collect();
    let in_scope = |file: &&FoundFile| {
        file.layer >= scope.base_layers || scope.keys_of_base && file.finding.code == Code::PrivateKey
    };
    let files: Vec<&FoundFile> = scan.files.iter().filter(in_scope).collect();
    reported.extend(group(&files, &packages, scope, allowances));
    reported.sort();
    Ok(reported)
}

impl Scope<'_> {
    fn describe(&self, layer: usize, gone: bool) -> String {
        let said: String = self.history.get(layer).map(String::as_str).unwrap_or_default().chars().take(60).collect();
        let said = if said.is_empty() { said } else { format!(" ({said})") };
        let gone = if gone { "; a later layer hides it, which does not take it out of the image" } else { "" };
        format!("; in layer {layer}{said}{gone}")
    }
}

/// Files by place: a tree of headers is one finding and not ten thousand.
fn group(files: &[&FoundFile], packages: &Packages, scope: Scope<'_>, allowances: &mut Allowances) -> Vec<Reported> {
    let owners = packages.owners(&files.iter().map(|file| file.finding.subject.as_str()).collect());
    let mut places: BTreeMap<Place, BTreeSet<&str>> = BTreeMap::new();
    for file in files {
        let Finding { code, subject, message } = &file.finding;
        let place = Place {
            code: *code,
            layer: file.layer,
            gone: file.gone,
            owner: owners.get(subject).cloned(),
            folder: place_of(subject),
            message: message.clone(),
            allowed: allowances.reason(subject),
        };
        places.entry(place).or_default().insert(subject);
    }
    places.into_iter().flat_map(|(place, paths)| report(&place, &paths, scope)).collect()
}

fn place_of(path: &str) -> String {
    let mut end = 0;
    for (count, (at, _)) in path.match_indices('/').enumerate() {
        if count > PLACE {
            break;
        }
        end = at;
    }
    path[..end].to_owned()
}

fn report(place: &Place, paths: &BTreeSet<&str>, scope: Scope<'_>) -> Vec<Reported> {
    let owner = place.owner.as_ref().map(|owner| format!("; of package {owner}")).unwrap_or_default();
    let rest = format!("{owner}{}", scope.describe(place.layer, place.gone));
    let one = |subject: String, message: String| {
        let finding = Finding { code: place.code, subject, message };
        Reported { allowed: place.allowed.clone(), ..Reported::from(&finding) }
    };
    // Of a key it matters which.
    if paths.len() > LISTED && place.code != Code::PrivateKey {
        let message = format!("{}, {} files{rest}", place.message, paths.len());
        return vec![one(format!("{}/**", place.folder), message)];
    }
    paths.iter().map(|path| one((*path).to_owned(), format!("{}{rest}", place.message))).collect()
}

/// `build` and `source` beside modules that lead to a tree which exists, other than the base's.
fn build_trees(tree: &ImageTree, base: &ImageTree) -> Vec<Finding> {
    let Some(modules) = tree.resolve("usr/lib/modules") else { return Vec::new() };
    let mut findings = Vec::new();
    for kernel in tree.children(modules) {
        for name in ["build", "source"] {
            let path = format!("usr/lib/modules/{}/{name}", String::from_utf8_lossy(kernel.name));
            let is_tree = |tree: &ImageTree| {
                let id = tree.resolve(&path)?;
                matches!(tree.node(id).kind(), Kind::Directory(_)).then_some(())
            };
            if is_tree(tree).is_some() && is_tree(base).is_none() {
                let target = tree.lookup(&path).and_then(|id| tree.node(id).symlink_target());
                let message = match target {
                    Some(target) => format!("leads to {}, which exists", String::from_utf8_lossy(target)),
                    None => "is a build tree itself".to_owned(),
                };
                findings.push(Finding { code: Code::BuildTreeLink, subject: format!("/{path}"), message });
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_the_first_components_of_a_path() {
        for (path, place) in [
            ("/usr/src/linux-headers-6/include/linux/fs.h", "/usr/src/linux-headers-6"),
            ("/usr/bin/gcc", "/usr/bin"),
            ("/mok.key", ""),
        ] {
            assert_eq!(place_of(path), place, "{path}");
        }
    }
}
