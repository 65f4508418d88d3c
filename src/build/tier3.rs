//! Tier 3: a layer of files per host on the image below, made without running a container.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use oci_spec::image::Descriptor;
use serde::Serialize;

use super::chain::{self, Built};
use super::conventions::{self, Accounts};
use super::signing::{self, SigningError};
use super::{BuildError, Project, Session, host_build};
use crate::config::Host;
use crate::model::{HostName, SourceDateEpoch, UnitName};
use crate::oci::layer::{Compression, EntryKind, LayerEntry, LayerWriter, Metadata, WrittenLayer};
use crate::oci::{Image, ImageBuilder, ImageTree, LayerSource, Layout};
use crate::plan::host::{self, BaseView, HostEntry, HostState, Node, Sources};
use crate::plan::{Target, base_of};
use crate::sign::policy::HostFile;
use crate::sys::clock::Stopwatch;

/// No unit file is larger.
const UNIT_LIMIT: u64 = 1 << 20;

/// Builds the images of `hosts`, each on the image its definition names.
pub(super) fn build(
    session: &Session,
    project: &Project,
    layout: &Layout,
    hosts: &BTreeSet<HostName>,
) -> Result<Vec<Built>, BuildError> {
    let mut by_base: BTreeMap<Target, Vec<&HostName>> = BTreeMap::new();
    for name in hosts {
        let base =
            base_of(&project.definition, name).ok_or_else(|| BuildError::HostWithoutBase { host: name.clone() })?;
        by_base.entry(base).or_default().push(name);
    }
    let mut built = Vec::with_capacity(hosts.len());
    for (base, names) in by_base {
        built.extend(build_on(session, project, layout, &base.image(), &names)?);
    }
    Ok(built)
}

/// All hosts on one image: the image is read once.
fn build_on(
    session: &Session,
    project: &Project,
    layout: &Layout,
    base_name: &str,
    names: &[&HostName],
) -> Result<Vec<Built>, BuildError> {
    let step = session.step(match names {
        [one] => format!("build tier3/{one}"),
        several => format!("build {} hosts on {base_name}", several.len()),
    })?;
    let base =
        chain::find(layout, base_name)?.ok_or_else(|| BuildError::NoSuchImage { image: base_name.to_owned() })?;
    let layers = base.layer_source(layout, chain::limits());
    let tree = chain::tree_of(&layers)?;
    let units = read_units(project, names, &tree, &layers)?;
    let policy = signing::policy::host_files(project)?;
    let accounts = conventions::accounts_of(&tree, &layers)?;
    let view = TreeView { tree: &tree, accounts, units };
    // One wait for the disk for all hosts together; naming them, below, is what makes them durable.
    let batch = layout.batch().map_err(|source| BuildError::Layout {
        image: base_name.to_owned(),
        what: "writing hosts on",
        source,
    })?;
    let job = Job { session, project, layout: &batch, base_name, base: &base, view, policy };
    // A host with a Containerfile gets its name only when that has been run.
    let has_containerfile = |host: &Finished| project.definition.hosts[&host.host].containerfile.is_some();
    let (with_containerfile, finished): (Vec<_>, Vec<_>) =
        job.build_all(names)?.into_iter().partition(has_containerfile);
    let named: Vec<_> = finished.iter().map(|host| (host.image_name(), host.descriptor.clone())).collect();
    chain::name_all(session, &batch, &named)?;
    let mut built = finished.iter().map(|host| host.built(layout)).collect::<Result<Vec<_>, _>>()?;
    for host in with_containerfile {
        built.push(host.run_containerfile(session, project, layout)?);
    }
    built.sort_by(|left, right| left.image.cmp(&right.image));
    step.finish(match built.as_slice() {
        [one] => one.digest.clone(),
        several => format!("{} images", several.len()),
    });
    Ok(built)
}

struct Job<'a> {
    session: &'a Session,
    project: &'a Project,
    layout: &'a Layout,
    base_name: &'a str,
    base: &'a Image,
    view: TreeView<'a>,
    /// The files of `[policy]`, the same on every host.
    policy: Vec<HostFile>,
}

/// A host's image, written but not yet named.
struct Finished {
    host: HostName,
    descriptor: Descriptor,
    seconds: f64,
    reused: bool,
}

impl Finished {
    fn image_name(&self) -> String {
        format!("tier3/{}", self.host)
    }

    fn built(&self, layout: &Layout) -> Result<Built, BuildError> {
        let image = Image::load(layout, &self.descriptor, None)?;
        let elapsed = std::time::Duration::from_secs_f64(self.seconds);
        Ok(Built::of(&self.image_name(), &image, elapsed, self.reused))
    }

    fn run_containerfile(&self, session: &Session, project: &Project, layout: &Layout) -> Result<Built, BuildError> {
        let image = Image::load(layout, &self.descriptor, None)?;
        let containerfile = project.definition.hosts[&self.host].containerfile.as_deref().unwrap_or_default();
        host_build::build(session, project, layout, &self.host, &image, containerfile)
    }
}

impl Job<'_> {
    /// Builds every host, on all processors; the first error stops the rest.
    fn build_all(&self, names: &[&HostName]) -> Result<Vec<Finished>, BuildError> {
        let next = AtomicUsize::new(0);
        let failed: Mutex<Option<BuildError>> = Mutex::new(None);
        let workers = std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(names.len().max(1));
        let mut finished = std::thread::scope(|scope| {
            let work = || {
                let mut done = Vec::new();
                while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match self.session.interrupt.check().map_err(Into::into).and_then(|()| self.build_one(name)) {
                        Ok(host) => done.push(host),
                        Err(error) => {
                            next.store(names.len(), Ordering::Relaxed);
                            failed.lock().expect("not poisoned").get_or_insert(error);
                        }
                    }
                }
                done
            };
            let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("does not panic")).collect::<Vec<_>>()
        });
        if let Some(error) = failed.into_inner().expect("not poisoned") {
            return Err(error);
        }
        finished.sort_by(|left, right| left.host.cmp(&right.host));
        Ok(finished)
    }

    fn build_one(&self, name: &HostName) -> Result<Finished, BuildError> {
        let watch = Stopwatch::start();
        let host = &self.project.definition.hosts[name];
        let sources = self.project.sources(host)?;
        let epoch = self.project.epoch();
        let key = self.key(host, &sources, epoch);
        let finished = |descriptor, reused| Finished {
            host: name.clone(),
            descriptor,
            seconds: watch.elapsed().as_secs_f64(),
            reused,
        };
        if let Some(image) = chain::reusable(self.session, self.layout, &format!("tier3/{name}"), &key)? {
            return Ok(finished(image.descriptor().clone(), true));
        }
        let mut entries = host::layer(name, host, &self.view, &sources)?;
        self.add_policy(name, &mut entries)?;
        let layer = self.write_layer(&entries, epoch)?;
        let mut builder = ImageBuilder::on(self.base, epoch)
            .base_name(self.base_name)
            .layer(&layer, &format!("imgbuild tier3 {name}"))
            .label("dev.imgbuild.host", name.as_str());
        for (label, value) in self.project.definition.project.labels.iter().chain(&host.labels) {
            builder = builder.label(label, value);
        }
        let descriptor = chain::write(self.layout, &format!("tier3/{name}"), builder, &key)?;
        Ok(finished(descriptor, false))
    }

    /// Puts the policy where containers/image looks for it, through whatever links the image below has.
    fn add_policy(&self, name: &HostName, entries: &mut BTreeMap<String, HostEntry>) -> Result<(), BuildError> {
        for file in &self.policy {
            let path = self.view.canonical(&file.path);
            let node = Node::File(file.content.clone().into_bytes());
            let entry = HostEntry { node, mode: 0o644, uid: 0, gid: 0 };
            if entries.insert(path.clone(), entry).is_some() {
                return Err(SigningError::PolicyFileTwice { host: name.to_string(), path }.into());
            }
        }
        Ok(())
    }

    fn key(&self, host: &Host, sources: &Sources, epoch: SourceDateEpoch) -> String {
        #[derive(Serialize)]
        struct Inputs<'a> {
            host: &'a Host,
            sources: &'a Sources,
            base: String,
            labels: &'a BTreeMap<String, String>,
            epoch: SourceDateEpoch,
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            policy: &'a [HostFile],
        }
        let labels = &self.project.definition.project.labels;
        let (base, policy) = (self.base.digest().to_string(), self.policy.as_slice());
        chain::inputs_key(&Inputs { host, sources, base, labels, epoch, policy })
    }

    fn write_layer(
        &self,
        entries: &BTreeMap<String, HostEntry>,
        epoch: SourceDateEpoch,
    ) -> Result<WrittenLayer, BuildError> {
        let failed = |source| BuildError::Layout { image: "a host's layer".to_owned(), what: "writing", source };
        let blob = self.layout.create_blob().map_err(failed)?;
        let mut writer = LayerWriter::new(blob, Compression::default(), epoch)?;
        for (path, entry) in with_parents(entries, self.view.tree) {
            let (entry, bytes) = layer_entry(path, entry, epoch);
            writer.append(&entry, &mut &bytes[..])?;
        }
        let (written, blob) = writer.finish()?;
        blob.complete_verified_as(&written.descriptor).map_err(failed)?;
        Ok(written)
    }
}

/// The entries and every folder above them that the image below lacks, in the order of a tar: whiteouts first.
fn with_parents<'e>(
    entries: &'e BTreeMap<String, HostEntry>,
    tree: &ImageTree,
) -> Vec<(&'e str, Option<&'e HostEntry>)> {
    let mut all: BTreeMap<&str, Option<&HostEntry>> = BTreeMap::new();
    for (path, entry) in entries {
        let mut folder = path.as_str();
        while let Some((parent, _)) = folder.rsplit_once('/').filter(|(parent, _)| !parent.is_empty()) {
            if tree.resolve(parent).is_none() && !entries.contains_key(parent) {
                all.insert(parent, None);
            }
            folder = parent;
        }
        all.insert(path, Some(entry));
    }
    let is_whiteout = |entry: &Option<&HostEntry>| entry.is_some_and(|entry| entry.node == Node::Removed);
    let (whiteouts, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, entry)| is_whiteout(entry));
    whiteouts.into_iter().chain(rest).collect()
}

fn layer_entry<'e>(path: &str, entry: Option<&'e HostEntry>, epoch: SourceDateEpoch) -> (LayerEntry, &'e [u8]) {
    let mut metadata = Metadata::with_mode(0o755);
    metadata.mtime.seconds = i64::try_from(epoch.as_secs()).unwrap_or(0);
    let mut bytes: &[u8] = &[];
    let kind = match entry {
        None => EntryKind::Directory,
        Some(entry) => {
            metadata.mode = u16::try_from(entry.mode).unwrap_or(0o7777);
            (metadata.uid, metadata.gid) = (entry.uid, entry.gid);
            match &entry.node {
                Node::Directory => EntryKind::Directory,
                Node::Removed => EntryKind::Whiteout,
                Node::Symlink(target) => EntryKind::Symlink { target: target.clone().into_bytes() },
                Node::File(content) => {
                    bytes = content;
                    EntryKind::File { size: content.len() as u64 }
                }
            }
        }
    };
    let path = path.trim_start_matches('/').as_bytes().to_vec();
    (LayerEntry { path, kind, metadata, offset: 0, dropped: Vec::new() }, bytes)
}

/// What a host adds to the disk of an image that it shares with others.
pub(super) fn state_of(project: &Project, name: &HostName, layers: &dyn LayerSource) -> Result<HostState, BuildError> {
    let host = project.definition.hosts.get(name).ok_or_else(|| BuildError::NoSuchHost { host: name.clone() })?;
    let tree = chain::tree_of(layers)?;
    let units = read_units(project, &[name], &tree, layers)?;
    let accounts = conventions::accounts_of(&tree, layers)?;
    let view = TreeView { tree: &tree, accounts, units };
    Ok(host::state(name, host, &view, &project.sources(host)?)?)
}

/// Texts of the units that any of the hosts enables; one pass over the image.
fn read_units(
    project: &Project,
    names: &[&HostName],
    tree: &ImageTree,
    layers: &dyn LayerSource,
) -> Result<BTreeMap<String, String>, BuildError> {
    let enabled = names.iter().flat_map(|name| &project.definition.hosts[*name].units.enable);
    let files: BTreeSet<String> = enabled
        .flat_map(|unit| [Some(unit.to_string()), host::template_of(unit)])
        .flatten()
        .map(|file| format!("usr/lib/systemd/system/{file}"))
        .filter(|path| tree.resolve(path).is_some_and(|id| tree.node(id).content().is_some()))
        .collect();
    let texts = tree.read_files(layers, &files.into_iter().collect::<Vec<_>>(), UNIT_LIMIT)?;
    let name = |path: Vec<u8>| String::from_utf8_lossy(&path).rsplit('/').next().unwrap_or_default().to_owned();
    Ok(texts.into_iter().map(|(path, bytes)| (name(path), String::from_utf8_lossy(&bytes).into_owned())).collect())
}

/// The image below, as the plan of a host sees it.
struct TreeView<'a> {
    tree: &'a ImageTree,
    accounts: Accounts,
    units: BTreeMap<String, String>,
}

impl BaseView for TreeView<'_> {
    fn uid(&self, name: &str) -> Option<u32> {
        self.accounts.uid(name)
    }

    fn gid(&self, name: &str) -> Option<u32> {
        self.accounts.gid(name)
    }

    fn canonical(&self, path: &str) -> String {
        self.tree
            .canonical(path)
            .and_then(|path| String::from_utf8(path).ok())
            .map_or_else(|| path.to_owned(), |path| format!("/{path}"))
    }

    fn exists(&self, path: &str) -> bool {
        self.tree.resolve(path).is_some()
    }

    fn unit(&self, name: &UnitName) -> Option<String> {
        self.units.get(name.as_str()).cloned()
    }

    fn enablement_links(&self, name: &UnitName) -> Vec<String> {
        let is_link = |path: &[u8]| path.rsplit(|byte| *byte == b'/').next() == Some(name.as_str().as_bytes());
        self.tree
            .walk_from("etc/systemd/system")
            .filter(|entry| entry.node.symlink_target().is_some() && is_link(&entry.path))
            .filter_map(|entry| String::from_utf8(entry.path).ok())
            .map(|path| format!("/{path}"))
            .collect()
    }
}
