//! From what buildah added to layers of our own: settled, checked, split, deterministic.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use cap_std::fs_utf8::camino::Utf8Path;
use serde::Deserialize;

use super::super::containers::Containers;
use super::super::conventions::{self, Stage};
use super::super::error::{diagnosed, io};
use super::super::{BuildError, Session, chain};
use super::stage::Picked;
use crate::config::KmodSet;
use crate::model::{DiffId, KernelRelease, KmodSetName, SourceDateEpoch};
use crate::oci::tree::{Changes, MergePolicy, TarFileLayers};
use crate::oci::{Image, ImageBuilder, ImageTree, LayerError, LayerSource, Layout};
use crate::sys::{dirs, map_all};
use crate::tool::buildah;

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

/// The base's layers with others on top, as one source.
pub(in crate::build) struct OnBase<'a> {
    pub(in crate::build) base: &'a dyn LayerSource,
    pub(in crate::build) above: &'a dyn LayerSource,
}

impl OnBase<'_> {
    /// Whose layer a number means, and its number there.
    fn of(&self, layer: usize) -> (&dyn LayerSource, usize) {
        match layer.checked_sub(self.base.count()) {
            Some(above) => (self.above, above),
            None => (self.base, layer),
        }
    }
}

impl LayerSource for OnBase<'_> {
    fn count(&self) -> usize {
        self.base.count() + self.above.count()
    }

    fn diff_id(&self, layer: usize) -> Option<&DiffId> {
        let (source, layer) = self.of(layer);
        source.diff_id(layer)
    }

    fn open(&self, layer: usize) -> Result<Box<dyn Read + Send + '_>, LayerError> {
        let (source, layer) = self.of(layer);
        source.open(layer)
    }

    fn open_at(&self, layer: usize, offset: u64) -> Result<Box<dyn Read + Send + '_>, LayerError> {
        let (source, layer) = self.of(layer);
        source.open_at(layer, offset)
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
    pub(super) layout: &'a Layout,
    pub(super) base: &'a Base<'a>,
    pub(super) added: &'a Added,
    pub(super) picked: &'a BTreeMap<KmodSetName, Picked>,
    pub(super) image_name: &'a str,
    pub(super) kernel: &'a KernelRelease,
    /// The base's kernel, where it was replaced.
    pub(super) swap_from: Option<&'a KernelRelease>,
    pub(super) epoch: SourceDateEpoch,
    pub(super) signed: bool,
    pub(super) sets: Vec<(&'a KmodSetName, &'a KmodSet)>,
}

/// Which layer a path goes into, in this order: what changes less often lies lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    /// Another kernel than the base's, and the removal of that one.
    Kernel,
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
        let layers = OnBase { base: self.base.layers, above: &self.added.0 };
        let (tree, changes) = merged(self.base.tree, &layers, self.added, Stage::Modules, self.epoch)?;
        let kernel = conventions::only_kernel(self.image_name, &tree)?;
        if kernel != *self.kernel {
            let (image, expected) = (self.image_name.to_owned(), self.kernel.clone());
            return Err(BuildError::KernelMismatch { image, expected, found: kernel });
        }
        self.check_modules_are_in(&tree)?;
        let write = |(group, changes): (Group, Changes)| {
            chain::write_changes(self.layout, &tree, &changes, &layers, self.epoch).map(|layer| (group, layer))
        };
        // Compressing is most of the work.
        let written = map_all(self.split(&changes).into_iter().collect(), 1, write);
        let mut builder = ImageBuilder::on(self.base.image, self.epoch);
        for written in written {
            if let (group, Some(layer)) = written? {
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

    fn group(&self, path: &str) -> Group {
        let set = self.sets.iter().position(|(name, _)| self.picked[*name].paths.contains(path));
        let index = format!("usr/lib/modules/{}/", self.kernel);
        match (set, path.strip_prefix(&index)) {
            (Some(number), _) => Group::Set(number),
            (None, Some(file)) if file.starts_with("modules.") || file == "initramfs.img" => Group::Boot,
            _ if self.swap_from.is_some() && path.starts_with("usr/lib/modules/") => Group::Kernel,
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
            Group::Kernel => {
                let old = self.swap_from.map(|old| format!(" instead of {old}")).unwrap_or_default();
                format!("imgbuild tier2: kernel {}{old}", self.kernel)
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
    let layers = OnBase { base: &base_layers, above: &added.0 };
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
