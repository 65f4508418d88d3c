//! Tier 1: bootstrapped from packages, or mirrored.

use std::borrow::Cow;
use std::collections::BTreeMap;

use cap_std::fs_utf8::camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::audit::{Event, Verb};
use super::chain::{self, Built};
use super::conventions::{self, Stage};
use super::error::{diagnosed, io};
use super::packages::PackageCache;
use super::{BuildError, Project, Session, locking, mirror, setup_root};
use crate::config::{Bootstrap, LockedTier1, PackageSet, SetupRootLock, Tier1, Tier1Source};
use crate::model::{PinnedReference, SourceDateEpoch, TierName};
use crate::oci::tree::{Selection, TarFileLayers};
use crate::oci::{Image, ImageBuilder, Layout};
use crate::plan;
use crate::sys::clock::Stopwatch;
use crate::sys::dirs;
use crate::tool::mmdebstrap::{self, Bootstrap as Mmdebstrap};
use crate::tool::{apt, dpkg, unshare};

/// Builds one tier-1 image.
pub(super) fn build(
    session: &Session,
    project: &Project,
    layout: &Layout,
    name: &TierName,
) -> Result<Built, BuildError> {
    match source(project, name) {
        Source::Bootstrap(recipe) => Job { session, layout, recipe }.build(),
        Source::Mirror(image) => mirror::build(session, project, layout, name, image),
    }
}

/// Whether the store has the image as the lock and the definition want it.
pub(super) fn is_current(project: &Project, layout: &Layout, name: &TierName) -> Result<bool, BuildError> {
    let image_name = format!("tier1/{name}");
    match source(project, name) {
        Source::Bootstrap(recipe) => Ok(chain::find_current(layout, &image_name, &recipe.key())?.is_some()),
        Source::Mirror(pinned) => {
            Ok(chain::find(layout, &image_name)?.is_some_and(|image| *image.digest() == pinned.resolved))
        }
    }
}

/// Where the image comes from, by definition and lock together.
enum Source<'a> {
    Bootstrap(Recipe<'a>),
    Mirror(&'a PinnedReference),
}

fn source<'a>(project: &'a Project, name: &'a TierName) -> Source<'a> {
    let tier = &project.definition.tier1[name];
    let entry = &project.lock.as_ref().expect("the lock was settled before").tier1[name];
    match (&entry.source, &tier.bootstrap) {
        (Tier1Source::Bootstrap { packages, setup_root }, Some(bootstrap)) => {
            Source::Bootstrap(Recipe { project, name, tier, bootstrap, entry, packages, setup_root })
        }
        (Tier1Source::Mirror { image, .. }, _) => Source::Mirror(image),
        (Tier1Source::Bootstrap { .. }, None) => unreachable!("a lock that does not match was refused before"),
    }
}

/// Everything that decides a bootstrapped image.
struct Recipe<'a> {
    project: &'a Project,
    name: &'a TierName,
    tier: &'a Tier1,
    bootstrap: &'a Bootstrap,
    entry: &'a LockedTier1,
    packages: &'a PackageSet,
    setup_root: &'a SetupRootLock,
}

impl Recipe<'_> {
    /// Digest of all of it.
    fn key(&self) -> String {
        #[derive(Serialize)]
        struct Inputs<'a> {
            tier: &'a Tier1,
            entry: &'a LockedTier1,
            files: BTreeMap<&'a str, Cow<'a, str>>,
            finish: &'a str,
            labels: &'a BTreeMap<String, String>,
            epoch: SourceDateEpoch,
        }
        chain::inputs_key(&Inputs {
            tier: self.tier,
            entry: self.entry,
            files: plan::bootstrap_files(self.bootstrap).into_iter().map(|file| (file.path, file.content)).collect(),
            finish: plan::FINISH,
            labels: &self.project.definition.project.labels,
            epoch: self.project.epoch(),
        })
    }
}

struct Job<'a> {
    session: &'a Session,
    layout: &'a Layout,
    recipe: Recipe<'a>,
}

impl Job<'_> {
    fn build(&self) -> Result<Built, BuildError> {
        let watch = Stopwatch::start();
        let Recipe { project, name, bootstrap, packages, .. } = self.recipe;
        let image_name = format!("tier1/{name}");
        let key = self.recipe.key();
        if let Some(image) = chain::reusable(self.session, self.layout, &image_name, &key)? {
            return Ok(Built::of(&image_name, &image, watch.elapsed(), true));
        }
        locking::ensure_tier1(self.session, project, bootstrap, packages)?;
        let tar = self.bootstrap_root(project.epoch())?;
        let image = self.image(&tar, &image_name, &key, project.epoch())?;
        Ok(Built::of(&image_name, &image, watch.elapsed(), false))
    }

    /// Runs mmdebstrap on exactly the locked packages; returns the tar it wrote.
    fn bootstrap_root(&self, epoch: SourceDateEpoch) -> Result<Utf8PathBuf, BuildError> {
        let step = self.session.step(format!("bootstrap tier1/{}", self.recipe.name))?;
        let cache = PackageCache::open(self.session)?;
        let all: Vec<_> = self.recipe.packages.packages.iter().collect();
        let repository = cache.deb_repository(&format!("repo-tier1-{}", self.recipe.name), &all)?;
        let files = self.files()?;
        let work = self.session.store.work_folder(&format!("tier1-{}", self.recipe.name))?;
        let temporary = self.session.store.work_folder(&format!("tier1-{}/tmp", self.recipe.name))?;
        let target = work.join("root.tar");
        let packages: Vec<_> = all.iter().map(|package| format!("{}={}", package.name, package.version)).collect();
        let cmd = Mmdebstrap {
            repository: repository.as_str(),
            packages: &packages,
            target: target.as_str(),
            temporary: temporary.as_str(),
            files: files.as_str(),
            exclude: &self.recipe.bootstrap.exclude,
            include: &self.recipe.bootstrap.include,
            epoch,
        };
        // Everything is on disk, so the network is taken away: a package script that wants it fails here, not in the field.
        self.session.runner.run_with(&unshare::without_network(cmd.run()), &|line| step.note(line)).map_err(
            diagnosed(
                format!("bootstrapping tier1/{}", self.recipe.name),
                &[dpkg::diagnose, apt::diagnose, mmdebstrap::diagnose],
            ),
        )?;
        let materialized = Event::new(Verb::Materialize, format!("tier1/{}", self.recipe.name));
        self.session.audit(materialized.detail(format!("{} packages", packages.len())))?;
        step.finish(format!("{} packages", packages.len()));
        Ok(target)
    }

    /// Lays out what finish.sh copies into the root.
    fn files(&self) -> Result<Utf8PathBuf, BuildError> {
        let folder = self.session.store.work_folder(&format!("files-tier1-{}", self.recipe.name))?;
        let dir = dirs::open(&folder).map_err(io("opening", &folder))?;
        let write = |path: &str, bytes: &[u8], mode: u32| {
            dirs::write_with_mode(&dir, path, bytes, mode).map_err(io("writing", folder.join(path)))
        };
        write("finish.sh", plan::FINISH.as_bytes(), 0o755)?;
        for file in plan::bootstrap_files(self.recipe.bootstrap) {
            write(&format!("tree/{}", file.path), file.content.as_bytes(), file.mode)?;
        }
        write(&format!("tree/{}", plan::SETUP_ROOT), &self.setup_root_program()?, 0o755)?;
        Ok(folder)
    }

    /// The program, when it is the locked one.
    fn setup_root_program(&self) -> Result<Vec<u8>, BuildError> {
        let found = setup_root::find(&self.session.settings)?;
        if found.sha256 != self.recipe.setup_root.sha256 {
            return Err(BuildError::SetupRootDrift {
                path: found.path,
                expected: self.recipe.setup_root.sha256.to_string(),
                found: found.sha256.to_string(),
            });
        }
        let parent = found.path.parent().unwrap_or(Utf8Path::new("."));
        let dir = dirs::open(parent).map_err(io("opening", parent))?;
        dir.read(found.path.file_name().unwrap_or_default()).map_err(io("reading", &found.path))
    }

    fn image(&self, tar: &Utf8Path, name: &str, key: &str, epoch: SourceDateEpoch) -> Result<Image, BuildError> {
        let step = self.session.step(format!("write {name}"))?;
        let file = dirs::open_file(tar).map_err(io("opening", tar))?;
        let layers = TarFileLayers(vec![file]);
        let mut tree = chain::tree_of(&layers)?;
        conventions::settle(&mut tree, &layers, None, Stage::Base, epoch)?;
        let kernel = conventions::only_kernel(name, &tree)?;
        if kernel != self.recipe.entry.kernel {
            return Err(BuildError::KernelMismatch {
                image: name.to_owned(),
                expected: self.recipe.entry.kernel.clone(),
                found: kernel,
            });
        }
        let layer = chain::write_layer(self.layout, &tree, Selection::Whole, &layers, epoch)?;
        let mut builder = ImageBuilder::scratch(chain::platform(self.recipe.project), epoch)
            .layer(
                &layer,
                &format!("imgbuild tier1 {}: {} packages", self.recipe.name, self.recipe.packages.packages.len()),
            )
            .run_setting("Cmd", serde_json::json!(["/sbin/init"]))
            .run_setting("StopSignal", serde_json::json!("SIGRTMIN+3"))
            .label("containers.bootc", "1")
            .label("ostree.bootable", "1");
        for (label, value) in self.recipe.project.definition.project.labels.iter().chain(&self.recipe.tier.labels) {
            builder = builder.label(label, value);
        }
        let image = chain::finish(self.session, self.layout, name, builder, key)?;
        step.finish(format!("kernel {kernel}, {}", chain::size(&image)));
        Ok(image)
    }
}
