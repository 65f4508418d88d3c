//! Tier 2: module sets compiled in builder stages, their files picked by manifest, packages installed, one layer each.

pub(super) mod layers;
mod stage;

use std::collections::BTreeMap;
use std::{panic, thread};

use cap_std::fs_utf8::camino::Utf8PathBuf;
use serde::Serialize;

use super::audit::{Event, Verb};
use super::chain::{self, Built};
use super::containers::Containers;
use super::error::io;
use super::packages::PackageCache;
use super::sbom::Inventory;
use super::{BuildError, Project, Session, check, locking};
use crate::config::{Family, KernelInputs, KmodSet, LockedTier2, PackageSet, Tier2};
use crate::model::{KmodSetName, SourceDateEpoch, TierName};
use crate::oci::tree::SpooledLayers;
use crate::oci::{Image, Layout};
use crate::plan::{self, SetStage, StageKit, Tier2Stages};
use crate::sys::clock::Stopwatch;
use crate::sys::dirs;
use crate::sys::{HardLimits, yield_to_others};
use crate::tool::buildah::{Build, Isolation, Mount, Output, Secret, parse_id};
use crate::tool::{Problem, apt};

/// Where stages find what imgbuild hands them.
const INPUTS: &str = "/run/imgbuild";

/// Builds one tier-2 image; the module set `first` before all others. `known` gets what is in the image below, for SBOMs.
pub(super) fn build(
    session: &Session,
    project: &Project,
    layout: &Layout,
    name: &TierName,
    first: Option<&KmodSetName>,
    known: &mut Inventory,
) -> Result<Built, BuildError> {
    let watch = Stopwatch::start();
    let image_name = format!("tier2/{name}");
    let tier = &project.definition.tier2[name];
    let base_name = format!("tier1/{}", tier.base);
    let base = chain::find(layout, &base_name)?.ok_or_else(|| BuildError::NoSuchImage { image: base_name.clone() })?;
    let key = inputs(project, name, &base)?;
    if let Some(image) = chain::reusable(session, layout, &image_name, &key)? {
        return Ok(Built::of(&image_name, &image, watch.elapsed(), true));
    }
    let job = Job::prepare(session, project, name, &base_name)?;
    let spool = session.store.work_folder(&format!("tier2-{name}/base"))?;
    let spool_dir = dirs::open(&spool).map_err(io("opening", &spool))?;
    let base_layers = base.layer_source(layout, chain::limits());
    // Verified and uncompressed once, and from then on read where it is needed: comparing, writing and verifying
    // all ask for files of the base, and a compressed layer has to be read from its beginning for each of them.
    let base_layers = SpooledLayers::new(&base_layers, &spool_dir);
    let image = thread::scope(|scope| {
        let containers = Containers::open(session)?;
        let base_id = containers.import(&base_name, &base)?;
        // Beside the builder stages, which leave a core free most of the time; the import leaves none.
        let base_tree = scope.spawn(|| {
            yield_to_others();
            known.add(session, &base, &base_layers)?;
            chain::tree_of(&base_layers)
        });
        let mut picked = BTreeMap::new();
        let mut sets: Vec<_> = tier.modules.iter().collect();
        sets.sort_by_key(|set| Some(*set) != first);
        for set in sets {
            picked.insert(set.clone(), job.build_set(&containers, &base_id, set)?);
        }
        let added = job.build_image(&containers, &base_id, &base)?;
        let base_tree = base_tree.join().unwrap_or_else(|panic| panic::resume_unwind(panic))?;
        let base = layers::Base { image: &base, layers: &base_layers, tree: &base_tree };
        job.write(layout, &base, &added, &picked, &key)
    })?;
    Ok(Built::of(&image_name, &image, watch.elapsed(), false))
}

/// Whether the store has the image as the lock and the definition want it.
pub(super) fn is_current(project: &Project, layout: &Layout, name: &TierName) -> Result<bool, BuildError> {
    let Some(base) = chain::find(layout, &format!("tier1/{}", project.definition.tier2[name].base))? else {
        return Ok(false);
    };
    let key = inputs(project, name, &base)?;
    Ok(chain::find_current(layout, &format!("tier2/{name}"), &key)?.is_some())
}

/// The Containerfile of a tier-2 image, as it would be used with the lock as it is.
///
/// # Errors
/// When the image is not in the lock.
pub fn render(project: &Project, name: &TierName) -> Result<String, BuildError> {
    let lock = locked(project, name)?;
    let tier = &project.definition.tier2[name];
    containerfile(project, name, tier, lock)
}

fn locked<'p>(project: &'p Project, name: &TierName) -> Result<&'p LockedTier2, BuildError> {
    let entry = project.lock.as_ref().and_then(|lock| lock.tier2.get(name));
    entry.ok_or_else(|| BuildError::NotLocked { image: format!("tier2/{name}") })
}

fn containerfile(project: &Project, name: &TierName, tier: &Tier2, entry: &LockedTier2) -> Result<String, BuildError> {
    let family = project.definition.tier1[&tier.base].family();
    let mut sets = Vec::with_capacity(tier.modules.len());
    for set in &tier.modules {
        let dkms = dkms_name(&project.definition.kmods[set], family).ok_or_else(|| BuildError::FamilyNotSupported {
            tier: name.clone(),
            set: set.clone(),
            family,
        })?;
        sets.push(SetStage { name: set, dkms });
    }
    let stages = Tier2Stages {
        name,
        base_name: &format!("tier1/{}", tier.base),
        kernel: &entry.kernel.release,
        swap_from: entry.kernel.swap.as_ref().map(|swap| &swap.from),
        epoch: project.epoch(),
        sets: &sets,
        install: !entry.packages.packages.is_empty(),
        signed: tier.signing.is_some(),
    };
    Ok(plan::render(&stages, kit(family))?)
}

const fn kit(family: Family) -> &'static StageKit {
    match family {
        Family::Apt => &plan::APT,
        Family::Dnf => &plan::DNF,
    }
}

fn dkms_name(set: &KmodSet, family: Family) -> Option<&str> {
    match family {
        Family::Apt => set.build.apt.as_ref().map(|build| build.dkms.as_str()),
        Family::Dnf => set.build.dnf.as_ref().map(|build| build.dkms.as_str()),
    }
}

/// Digest of everything that decides the image.
fn inputs(project: &Project, name: &TierName, base: &Image) -> Result<String, BuildError> {
    #[derive(Serialize)]
    struct Inputs<'a> {
        tier: Tier2,
        entry: LockedTier2,
        sets: Vec<&'a KmodSet>,
        base: String,
        containerfile: String,
        scripts: BTreeMap<&'static str, &'static str>,
        labels: &'a BTreeMap<String, String>,
        certificate: Option<Vec<u8>>,
        epoch: SourceDateEpoch,
    }
    let tier = &project.definition.tier2[name];
    let entry = locked(project, name)?;
    let family = project.definition.tier1[&tier.base].family();
    // The kernel decides what is in the image; what else there was to choose from does not.
    let mut deciding = entry.clone();
    deciding.kernel.inputs = KernelInputs::default();
    Ok(chain::inputs_key(&Inputs {
        // Another image is made by it.
        tier: Tier2 { seal: None, ..tier.clone() },
        entry: deciding,
        sets: tier.modules.iter().map(|set| &project.definition.kmods[set]).collect(),
        base: base.digest().to_string(),
        containerfile: containerfile(project, name, tier, entry)?,
        scripts: kit(family).scripts().iter().map(|script| (script.name, script.content)).collect(),
        labels: &project.definition.project.labels,
        // Modules are signed anew for another certificate of the same name; one that is gone is told when it is needed.
        certificate: tier.signing.as_ref().and_then(|signing| project.read(&signing.certificate).ok()),
        epoch: project.epoch(),
    }))
}

struct Job<'a> {
    session: &'a Session,
    project: &'a Project,
    name: &'a TierName,
    tier: &'a Tier2,
    entry: &'a LockedTier2,
    family: Family,
    base_name: &'a str,
    /// Mounted read-only at [`INPUTS`].
    inputs: Utf8PathBuf,
    /// What COPY reads.
    context: Utf8PathBuf,
    containerfile: Utf8PathBuf,
}

impl<'a> Job<'a> {
    /// Lays out scripts, packages and the Containerfile.
    fn prepare(
        session: &'a Session,
        project: &'a Project,
        name: &'a TierName,
        base_name: &'a str,
    ) -> Result<Self, BuildError> {
        let tier = &project.definition.tier2[name];
        let entry = locked(project, name)?;
        let family = project.definition.tier1[&tier.base].family();
        locking::ensure_tier2(session, project, tier, entry)?;
        let step = session.step(format!("prepare tier2/{name}"))?;
        let work = session.store.work_folder(&format!("tier2-{name}"))?;
        let job = Self {
            session,
            project,
            name,
            tier,
            entry,
            family,
            base_name,
            inputs: session.store.work_folder(&format!("tier2-{name}/inputs"))?,
            context: session.store.work_folder(&format!("tier2-{name}/context"))?,
            containerfile: work.join("Containerfile"),
        };
        job.write_inputs()?;
        let text = containerfile(project, name, tier, entry)?;
        let dir = dirs::open(&work).map_err(io("opening", &work))?;
        dir.write("Containerfile", text).map_err(io("writing", &job.containerfile))?;
        step.finish("");
        Ok(job)
    }

    fn write_inputs(&self) -> Result<(), BuildError> {
        for script in kit(self.family).scripts() {
            self.input(&format!("scripts/{}", script.name), script.content.as_bytes())?;
        }
        for set in &self.tier.modules {
            let wanted = plan::wanted(&self.project.definition.kmods[set], self.family, &self.entry.kernel.release);
            self.input(&format!("kmods/{set}/wanted"), wanted.as_bytes())?;
            self.repository(&format!("kmods/{set}/repo"), &self.entry.modules[set].packages)?;
        }
        self.repository(plan::IMAGE_REPOSITORY, &self.entry.packages)?;
        if let Some(swap) = &self.entry.kernel.swap {
            self.repository(plan::KERNEL_REPOSITORY, &swap.packages)?;
            let lines: String = swap.remove.iter().map(|name| format!("{name}\n")).collect();
            self.input(&format!("{}/remove", plan::KERNEL_REPOSITORY), lines.as_bytes())?;
        }
        if let Some(signing) = &self.tier.signing {
            let bytes = self.project.read(&signing.certificate)?;
            self.input("signing/certificate", &bytes)?;
        }
        Ok(())
    }

    fn input(&self, path: &str, bytes: &[u8]) -> Result<(), BuildError> {
        let dir = dirs::open(&self.inputs).map_err(io("opening", &self.inputs))?;
        dirs::write_with_mode(&dir, path, bytes, 0o644).map_err(io("writing", self.inputs.join(path)))
    }

    /// A repository of exactly these packages, and the configuration that makes the package manager use nothing else.
    fn repository(&self, folder: &str, packages: &PackageSet) -> Result<(), BuildError> {
        let cache = PackageCache::open(self.session)?;
        let all: Vec<_> = packages.packages.iter().collect();
        let path = format!("tier2-{}/inputs/{folder}", self.name);
        match self.family {
            Family::Apt => {
                cache.deb_repository(&path, &all)?;
                let bootstrap = self.project.definition.tier1[&self.tier.base].bootstrap.as_ref();
                let (exclude, include) =
                    bootstrap.map(|tier| (tier.exclude.as_slice(), tier.include.as_slice())).unwrap_or_default();
                let inside = format!("{INPUTS}/{folder}");
                self.input(&format!("{folder}/apt.conf"), apt::stage_config(&inside, exclude, include)?.as_bytes())?;
                self.input(&format!("{folder}/sources.list"), apt::stage_sources(&inside).as_bytes())?;
                let list: String = all
                    .iter()
                    .map(|package| format!("{}:{}={}\n", package.name, package.architecture, package.version))
                    .collect();
                self.input(&format!("{folder}/packages"), list.replace(":all=", "=").as_bytes())
            }
            Family::Dnf => cache.rpm_repository(&path, &all),
        }
    }

    /// Runs one target of the Containerfile.
    fn run(
        &self,
        containers: &Containers<'_>,
        base_id: &str,
        target: &str,
        output: Output<'_>,
        label: &str,
    ) -> Result<(), BuildError> {
        let step = self.session.step(label)?;
        let key = self.tier.signing.as_ref().map(|signing| self.project.resolve(&signing.key));
        let secrets: Vec<_> = key.iter().map(|file| Secret { id: plan::KEY_ID, file: file.as_str() }).collect();
        let build = Build {
            containerfile: self.containerfile.as_str(),
            context: self.context.as_str(),
            target,
            output,
            isolation: Isolation::Chroot,
            mounts: &[Mount { host: self.inputs.as_str(), container: INPUTS }],
            arguments: &[("BASE", base_id)],
            secrets: &secrets,
            epoch: self.project.epoch(),
            limits: HardLimits::own(),
        };
        containers.build(&format!("{label} of tier2/{}", self.name), &build, &|line| step.note(line))?;
        step.finish("");
        Ok(())
    }

    fn build_set(
        &self,
        containers: &Containers<'_>,
        base_id: &str,
        set: &KmodSetName,
    ) -> Result<stage::Picked, BuildError> {
        let files = self.session.store.work_folder(&format!("tier2-{}/files-{set}", self.name))?;
        let version = &self.entry.modules[set].version;
        let label = format!("build {set} {version} for {}", self.entry.kernel.release);
        self.run(containers, base_id, &format!("files-{set}"), Output::Folder(files.as_str()), &label)
            .map_err(|error| self.about_source(set, error))?;
        let step = self.session.step(format!("pick files of {set}"))?;
        let target = self.context.join("kmods").join(set.as_str());
        let picked = stage::pick(self.definition(set), self.family, &self.entry.kernel.release, &files, &target)?;
        let proven = Event::new(Verb::Verify, format!("{set} {}", picked.version));
        self.session.audit(proven.detail(format!("modules for {}", self.entry.kernel.release)))?;
        step.finish(format!("{} files", picked.paths.len()));
        Ok(picked)
    }

    /// A source that does not fit the kernel is told from everything else that can fail in a stage.
    fn about_source(&self, set: &KmodSetName, error: BuildError) -> BuildError {
        match error {
            BuildError::Problem { problem, source, .. } if matches!(*problem, Problem::DoesNotBuild { .. }) => {
                let Problem::DoesNotBuild { reason, .. } = *problem else { unreachable!("matched above") };
                BuildError::DoesNotBuild {
                    tier: self.name.clone(),
                    set: set.clone(),
                    version: self.entry.modules[set].version.clone(),
                    kernel: self.entry.kernel.release.clone(),
                    reason,
                    locked: self.session.settings.locked,
                    source,
                }
            }
            other => other,
        }
    }

    fn definition(&self, set: &KmodSetName) -> &KmodSet {
        &self.project.definition.kmods[set]
    }

    /// Builds the final stage; returns the folder with its layers, uncompressed, named by diff id.
    fn build_image(
        &self,
        containers: &Containers<'_>,
        base_id: &str,
        base: &Image,
    ) -> Result<layers::Added, BuildError> {
        let id_file = self.session.store.work_path().join(format!("tier2-{}/id", self.name));
        let output = Output::Image { id_file: id_file.as_str() };
        self.run(
            containers,
            base_id,
            "image",
            output,
            &format!("install {} packages", self.entry.packages.packages.len()),
        )?;
        let work =
            dirs::open(&self.session.store.work_path()).map_err(io("opening", self.session.store.work_path()))?;
        let text = work.read_to_string(format!("tier2-{}/id", self.name)).map_err(io("reading", &id_file))?;
        let id = parse_id(&text)
            .ok_or_else(|| BuildError::BuildahOutput { command: "buildah build".to_owned(), output: text.clone() })?;
        let folder = self.session.store.work_folder(&format!("tier2-{}/image", self.name))?;
        layers::extract(self.session, containers, id, &folder, base)
    }

    fn write(
        &self,
        layout: &Layout,
        base: &layers::Base<'_>,
        added: &layers::Added,
        picked: &BTreeMap<KmodSetName, stage::Picked>,
        key: &str,
    ) -> Result<Image, BuildError> {
        let image_name = format!("tier2/{}", self.name);
        let step = self.session.step(format!("write {image_name}"))?;
        let writing = layers::Writing {
            layout,
            base,
            added,
            picked,
            image_name: &image_name,
            kernel: &self.entry.kernel.release,
            swap_from: self.entry.kernel.swap.as_ref().map(|swap| &swap.from),
            epoch: self.project.epoch(),
            signed: self.tier.signing.is_some(),
            sets: self.tier.modules.iter().map(|set| (set, self.definition(set))).collect(),
        };
        let mut builder = writing.layers()?.base_name(self.base_name);
        for (label, value) in self.project.definition.project.labels.iter().chain(&self.tier.labels) {
            builder = builder.label(label, value);
        }
        let descriptor = chain::write(layout, &image_name, builder, key)?;
        let image = Image::load(layout, &descriptor, None)?;
        step.finish(format!("{} layers, {}", image.layers().len(), chain::size(&image)));
        // The image gets its name, and with it its life in the store, only when it has passed.
        let symvers = picked.values().find_map(|picked| picked.symvers.clone());
        let own = image.layers_above(layout, base.image.layers().len(), chain::limits());
        let expected = check::Expected::of_tier2(self.project, self.name)?.symvers(symvers);
        check::gate(
            self.session,
            &check::Subject {
                name: &image_name,
                image: &image,
                layers: &layers::OnBase { base: base.layers, above: &own },
                base_layers: base.image.layers().len(),
                keys_of_base: false,
                expected: &expected,
            },
        )?;
        chain::name_all(self.session, layout, &[(image_name, descriptor)])?;
        Ok(image)
    }
}
