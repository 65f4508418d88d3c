//! From what buildah added to layers of our own: settled, checked, split, deterministic.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use cap_std::fs_utf8::camino::Utf8Path;
use serde::Deserialize;

use super::super::containers::Containers;
use super::super::conventions::{self, Stage};
use super::super::error::{diagnosed, io};
use super::super::{BuildError, Session, chain, rpm_database};
use super::stage::Picked;
use crate::config::{Family, KmodSet};
use crate::kmod::{AddedFile, leftovers};
use crate::model::{DiffId, KernelRelease, KmodSetName, SourceDateEpoch};
use crate::oci::tree::{Change, Changes, MergePolicy, TarFileLayers};
use crate::oci::{Image, ImageBuilder, ImageTree, LayerError, LayerSource, Layout};
use crate::sys::dirs;
use crate::tool::{buildah, deb822};

/// No package database is larger.
const DATABASE_LIMIT: u64 = 256 << 20;

/// So many bytes of a file tell a program or a private key.
const HEAD: u64 = 4096;

/// The layers buildah put on top of the base, uncompressed.
#[derive(Debug)]
pub(in crate::build) struct Added(TarFileLayers);

/// Writes the image out of the container storage and opens the layers that are not the base's.
pub(in crate::build) fn extract(
    session: &Session,
    containers: &Containers<'_>,
    id: &str,
    folder: &Utf8Path,
    base: &Image,
) -> Result<Added, BuildError> {
    #[derive(Deserialize)]
    struct Manifest {
        layers: Vec<Blob>,
    }
    #[derive(Deserialize)]
    struct Blob {
        digest: String,
    }
    let step = session.step("take what was added")?;
    let cmd = containers.storage().push_folder(id, folder.as_str());
    session
        .runner
        .run(&cmd)
        .map_err(diagnosed("taking the image out of the container storage", &[buildah::diagnose]))?;
    let dir = dirs::open(folder).map_err(io("opening", folder))?;
    let text = dir.read("manifest.json").map_err(io("reading", folder.join("manifest.json")))?;
    let manifest: Manifest = serde_json::from_slice(&text)
        .map_err(|error| BuildError::BuildahOutput { command: cmd.to_string(), output: error.to_string() })?;
    let mut files = Vec::new();
    for (number, blob) in manifest.layers.iter().enumerate() {
        // Uncompressed layers are named by their own digest, so the base's are recognised by their diff ids.
        match base.layers().get(number) {
            Some(layer) if layer.diff_id.to_string() == blob.digest => {}
            Some(layer) => {
                return Err(BuildError::NotOnBase { expected: layer.diff_id.to_string(), found: blob.digest.clone() });
            }
            None => {
                let name = blob.digest.rsplit(':').next().unwrap_or_default();
                files.push(dir.open(name).map_err(io("opening", folder.join(name)))?.into_std());
            }
        }
    }
    step.finish("");
    Ok(Added(TarFileLayers(files)))
}

/// The base's layers with the added ones on top, as one source.
struct OnBase<'a> {
    base: &'a dyn LayerSource,
    added: &'a TarFileLayers,
}

impl LayerSource for OnBase<'_> {
    fn count(&self) -> usize {
        self.base.count() + self.added.count()
    }

    fn diff_id(&self, layer: usize) -> Option<&DiffId> {
        if layer < self.base.count() { self.base.diff_id(layer) } else { None }
    }

    fn open(&self, layer: usize) -> Result<Box<dyn Read + Send + '_>, LayerError> {
        self.open_at(layer, 0)
    }

    fn open_at(&self, layer: usize, offset: u64) -> Result<Box<dyn Read + Send + '_>, LayerError> {
        match layer.checked_sub(self.base.count()) {
            None => self.base.open_at(layer, offset),
            Some(added) => self.added.open_at(added, offset),
        }
    }
}

/// The image below, read already.
pub(super) struct Base<'a> {
    pub(super) image: &'a Image,
    pub(super) layers: &'a dyn LayerSource,
    pub(super) tree: &'a ImageTree,
}

/// Everything that goes into the layers of one tier-2 image.
pub(super) struct Writing<'a> {
    pub(super) session: &'a Session,
    pub(super) layout: &'a Layout,
    pub(super) base: &'a Base<'a>,
    pub(super) added: &'a Added,
    pub(super) picked: &'a BTreeMap<KmodSetName, Picked>,
    pub(super) image_name: &'a str,
    pub(super) kernel: &'a KernelRelease,
    pub(super) epoch: SourceDateEpoch,
    pub(super) signed: bool,
    pub(super) family: Family,
    pub(super) sets: Vec<(&'a KmodSetName, &'a KmodSet)>,
}

/// Which layer a path goes into, in this order: what changes less often lies lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    /// Files picked for the set with this number.
    Set(usize),
    /// Installed packages.
    Packages,
    /// Module index and initramfs, which any of the others changes.
    Boot,
}

impl Writing<'_> {
    /// Writes the layers and returns the image to be, on exactly the base's own.
    pub(super) fn layers(&self) -> Result<ImageBuilder, BuildError> {
        let layers = OnBase { base: self.base.layers, added: &self.added.0 };
        let (tree, changes) = merged(self.base.tree, &layers, self.added, Stage::Modules, self.epoch)?;
        let kernel = conventions::only_kernel(self.image_name, &tree)?;
        if kernel != *self.kernel {
            let (image, expected) = (self.image_name.to_owned(), self.kernel.clone());
            return Err(BuildError::KernelMismatch { image, expected, found: kernel });
        }
        self.check_modules_are_in(&tree)?;
        self.check_leftovers(&tree, &layers, &changes)?;
        let mut builder = ImageBuilder::on(self.base.image, self.epoch);
        for (group, changes) in self.split(&changes) {
            if let Some(layer) = chain::write_changes(self.layout, &tree, &changes, &layers, self.epoch)? {
                builder = builder.layer(&layer, &self.describe(group));
            }
        }
        Ok(self.label(builder))
    }

    /// Nothing after the COPY may have taken away or hidden a module that was proven.
    fn check_modules_are_in(&self, tree: &ImageTree) -> Result<(), BuildError> {
        let paths = self.picked.values().flat_map(|picked| &picked.paths);
        let gone: Vec<_> = paths.filter(|path| tree.resolve(path).is_none()).cloned().collect();
        if gone.is_empty() {
            return Ok(());
        }
        Err(BuildError::PickedFilesGone { image: self.image_name.to_owned(), paths: gone })
    }

    /// No compiler, header, build tool or private key in what was added, neither as package nor as file.
    fn check_leftovers(&self, tree: &ImageTree, layers: &OnBase<'_>, changes: &Changes) -> Result<(), BuildError> {
        let before = self.installed(self.base.tree, self.base.layers, "packages-before")?;
        let after = self.installed(tree, layers, "packages-after")?;
        let heads = heads(tree, layers, changes)?;
        let files = heads.iter().map(|(path, (mode, head))| AddedFile { path, mode: *mode, head });
        let findings = leftovers(after.difference(&before).map(String::as_str), files, &[])?;
        if findings.is_empty() {
            return Ok(());
        }
        Err(BuildError::Leftovers { image: self.image_name.to_owned(), findings })
    }

    /// Names of the installed packages; `work` names a folder for a copy of what has to be read by a program.
    fn installed(
        &self,
        tree: &ImageTree,
        layers: &dyn LayerSource,
        work: &str,
    ) -> Result<BTreeSet<String>, BuildError> {
        match self.family {
            Family::Apt => installed_debs(tree, layers),
            Family::Dnf => {
                let installed = rpm_database::installed(self.session, self.image_name, tree, layers, work)?;
                Ok(installed.into_iter().map(|package| package.name).collect())
            }
        }
    }

    fn group(&self, path: &str) -> Group {
        let set = self.sets.iter().position(|(name, _)| self.picked[*name].paths.contains(path));
        let index = format!("usr/lib/modules/{}/", self.kernel);
        match (set, path.strip_prefix(&index)) {
            (Some(number), _) => Group::Set(number),
            (None, Some(file)) if file.starts_with("modules.") || file == "initramfs.img" => Group::Boot,
            _ => Group::Packages,
        }
    }

    /// One set of changes per layer. A new folder goes where the first thing in it goes.
    fn split(&self, changes: &Changes) -> BTreeMap<Group, Changes> {
        let mut groups: BTreeMap<Vec<u8>, Group> = BTreeMap::new();
        for (path, _) in changes.iter() {
            let own = self.group(&String::from_utf8_lossy(path));
            groups.entry(path.to_vec()).or_insert(own);
        }
        let leaves: Vec<_> = groups.clone().into_iter().collect();
        for (path, group) in leaves {
            let mut folder = path.as_slice();
            while let Some(at) = folder.iter().rposition(|byte| *byte == b'/') {
                folder = &folder[..at];
                if let Some(above) = groups.get_mut(folder) {
                    *above = (*above).min(group);
                }
            }
        }
        let used: BTreeSet<Group> = groups.values().copied().collect();
        let only = |wanted: Group| {
            let mut part = changes.clone();
            part.retain(|path, _| groups.get(path) == Some(&wanted));
            (wanted, part)
        };
        used.into_iter().map(only).collect()
    }

    fn describe(&self, group: Group) -> String {
        match group {
            Group::Set(number) => {
                let (name, _) = self.sets[number];
                format!("imgbuild tier2: {name} {} for {}", self.picked[name].version, self.kernel)
            }
            Group::Packages => "imgbuild tier2: packages".to_owned(),
            Group::Boot => format!("imgbuild tier2: module index and initramfs for {}", self.kernel),
        }
    }

    fn label(&self, builder: ImageBuilder) -> ImageBuilder {
        let versions: Vec<_> =
            self.sets.iter().map(|(name, _)| format!("{name}={}", self.picked[*name].version)).collect();
        let restricted: Vec<_> =
            self.sets.iter().filter(|(_, set)| !set.redistributable).map(|(name, _)| name.as_str()).collect();
        let mut builder = builder
            .label("dev.imgbuild.kernel", self.kernel.as_str())
            .label("dev.imgbuild.modules", versions.join(","))
            .label("dev.imgbuild.modules.signed", if self.signed { "true" } else { "false" });
        if !restricted.is_empty() {
            builder = builder.label("dev.imgbuild.not-redistributable", restricted.join(","));
        }
        builder
    }
}

/// The tree with the added layers, settled, and what it changes in the base.
pub(in crate::build) fn merge(
    layout: &Layout,
    base: &Image,
    added: &Added,
    stage: Stage,
    epoch: SourceDateEpoch,
    builder: ImageBuilder,
    created_by: &str,
) -> Result<ImageBuilder, BuildError> {
    let base_layers = base.layer_source(layout, chain::limits());
    let base_tree = chain::tree_of(&base_layers)?;
    let layers = OnBase { base: &base_layers, added: &added.0 };
    let (tree, changes) = merged(&base_tree, &layers, added, stage, epoch)?;
    Ok(match chain::write_changes(layout, &tree, &changes, &layers, epoch)? {
        Some(layer) => builder.layer(&layer, created_by),
        None => builder,
    })
}

fn merged(
    base_tree: &ImageTree,
    layers: &OnBase<'_>,
    added: &Added,
    stage: Stage,
    epoch: SourceDateEpoch,
) -> Result<(ImageTree, Changes), BuildError> {
    let mut tree = base_tree.clone();
    for number in 0..added.0.count() {
        tree.apply_layer(&mut added.0.open(number)?, &MergePolicy::default(), &mut |_, _, _| Ok(()))?;
    }
    conventions::settle(&mut tree, layers, Some(base_tree), stage, epoch)?;
    let changes = conventions::changes(&tree, layers, base_tree, layers.base)?;
    Ok((tree, changes))
}

/// Mode and first bytes of a file.
type Head = (u32, Vec<u8>);

/// Mode and first bytes of every added or replaced file, by absolute path.
fn heads(tree: &ImageTree, layers: &dyn LayerSource, changes: &Changes) -> Result<BTreeMap<Vec<u8>, Head>, BuildError> {
    let mut wanted = BTreeMap::new();
    for (path, change) in changes.iter().filter(|(_, change)| !matches!(change, Change::Removed)) {
        debug_assert!(*change != Change::Removed);
        if let Some(id) = tree.lookup(path).filter(|id| tree.node(*id).content().is_some()) {
            wanted.entry(id).or_insert_with(Vec::new).push([b"/", path].concat());
        }
    }
    let mut heads = BTreeMap::new();
    tree.visit_contents(
        layers,
        |id, _| wanted.contains_key(&id),
        |visit| {
            let mut head = Vec::new();
            visit.content.take(HEAD).read_to_end(&mut head)?;
            let mode = u32::from(tree.node(visit.id).metadata().mode);
            for path in &wanted[&visit.id] {
                heads.insert(path.clone(), (mode, head.clone()));
            }
            Ok(())
        },
    )?;
    Ok(heads)
}

/// Names of the packages that dpkg has installed; none where there is no dpkg.
fn installed_debs(tree: &ImageTree, layers: &dyn LayerSource) -> Result<BTreeSet<String>, BuildError> {
    if tree.resolve("var/lib/dpkg/status").is_none() {
        return Ok(BTreeSet::new());
    }
    let bytes = tree.read_file(layers, "var/lib/dpkg/status", DATABASE_LIMIT)?;
    let text = String::from_utf8_lossy(&bytes);
    let stanzas = deb822::parse_stanzas(&text).map_err(BuildError::Status)?;
    Ok(stanzas
        .iter()
        .filter(|stanza| stanza.is_installed())
        .filter_map(|stanza| stanza.get("Package"))
        .map(str::to_owned)
        .collect())
}
