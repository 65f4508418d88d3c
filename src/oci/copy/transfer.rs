//! The content of one image on its way: configuration and layers.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use oci_spec::image::{Descriptor, ImageConfiguration};

use super::super::digest::is_sha256;
use super::super::document::{MANIFEST_LIMIT, parse_config};
use super::super::image::Layer;
use super::super::layer::Compression;
use super::super::platform;
use super::super::source::ImageSource;
use super::blob::{Halt, Tee};
use super::error::{BoxError, CopyError};
use super::{BlobSink, BlobWriter as _, CopiedLayer, Copier, Resolved};
use crate::model::{ByteSize, DiffId};
use crate::sys::Step;

/// One copy under way.
pub(super) struct Transfer<'a, S, K> {
    pub(super) copier: &'a Copier<'a>,
    pub(super) source: &'a S,
    pub(super) sink: &'a K,
    pub(super) halt: &'a Halt<'a>,
    /// The sink has this very manifest, so it holds nothing that was not checked against it.
    pub(super) known: bool,
}

impl<S: ImageSource + Sync, K: BlobSink> Transfer<'_, S, K> {
    /// Brings the configuration in and parses it.
    pub(super) fn config(&self, resolved: &Resolved) -> Result<(ImageConfiguration, bool), CopyError> {
        let blob = resolved.manifest.config();
        let digest = || Box::new(blob.digest().clone());
        let limit = ByteSize(MANIFEST_LIMIT);
        if blob.size() > limit.0 {
            return Err(CopyError::ConfigSize { digest: digest(), size: ByteSize(blob.size()), limit });
        }
        let (bytes, fetched) = self.pass(blob, "configuration", |tee| tee.read_whole())?;
        let parsed =
            parse_config(&bytes).map_err(|source| CopyError::Config { digest: digest(), source: source.into() })?;
        let found = platform::of_config(&parsed);
        let chosen = !self.copier.any_single || resolved.index.is_some();
        if chosen && !platform::serves(&found, &self.copier.platform) {
            return Err(CopyError::Platform {
                digest: resolved.descriptor.digest().clone().into(),
                wanted: platform::show(&self.copier.platform),
                found: platform::show(&found),
            });
        }
        Ok((parsed, fetched))
    }

    /// Brings the layers in, several at a time and each blob once.
    pub(super) fn layers(&self, layers: Vec<Layer>) -> Result<Vec<CopiedLayer>, CopyError> {
        let mut distinct: BTreeMap<String, &Layer> = BTreeMap::new();
        for layer in &layers {
            let Layer { descriptor: first, diff_id } =
                distinct.entry(layer.descriptor.digest().to_string()).or_insert(layer);
            if *diff_id != layer.diff_id {
                return Err(diff_id_error(first, &layer.diff_id, diff_id));
            }
            if first.size() != layer.descriptor.size() {
                let (expected, found) = (layer.descriptor.size(), first.size());
                return Err(CopyError::BlobSize { digest: first.digest().clone().into(), expected, found });
            }
        }
        // In the order of the layers, as far as several at a time have one.
        let mut queue: Vec<_> = distinct.values().copied().collect();
        queue.sort_by_key(|wanted| {
            layers.iter().position(|layer| layer.descriptor.digest() == wanted.descriptor.digest())
        });
        let fetched: BTreeMap<String, bool> = self.in_parallel(&queue)?.into_iter().collect();
        let copied = |Layer { descriptor, diff_id }: Layer| {
            let fetched = fetched.get(&descriptor.digest().to_string()).copied().unwrap_or_default();
            CopiedLayer { descriptor, diff_id, fetched }
        };
        Ok(layers.into_iter().map(copied).collect())
    }

    fn in_parallel(&self, queue: &[&Layer]) -> Result<Vec<(String, bool)>, CopyError> {
        let next = AtomicUsize::new(0);
        let work = || -> Result<Vec<(String, bool)>, CopyError> {
            let mut done = Vec::new();
            while let Some(Layer { descriptor, diff_id }) = queue.get(next.fetch_add(1, Ordering::Relaxed)) {
                let fetched = self.layer(descriptor, diff_id).inspect_err(|_| {
                    self.halt.failed.store(true, Ordering::Relaxed);
                })?;
                done.push((descriptor.digest().to_string(), fetched));
            }
            Ok(done)
        };
        let workers = self.copier.jobs.get().min(queue.len());
        let results: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            threads.into_iter().map(join).collect()
        });
        first_cause(results)
    }

    /// Brings one layer in; tells whether it was fetched.
    fn layer(&self, layer: &Descriptor, expected: &DiffId) -> Result<bool, CopyError> {
        let unknown = || CopyError::LayerMediaType {
            digest: layer.digest().clone().into(),
            media_type: layer.media_type().to_string(),
        };
        let compression = Compression::of_media_type(layer.media_type()).map_err(|_| unknown())?;
        let here = has(self.sink, layer)?;
        if here && (self.known || !self.copier.check_diff_ids) {
            return Ok(false);
        }
        let limit = self.copier.inflated_limit;
        let check = |tee: Tee<'_>| {
            if !self.copier.check_diff_ids {
                return tee.read_through();
            }
            let found = tee.read_layer(compression, limit)?;
            if found == *expected { Ok(()) } else { Err(diff_id_error(layer, expected, &found)) }
        };
        self.pass(layer, "layer", check).map(|((), fetched)| fetched)
    }

    /// Passes one blob through `read`: from the sink if it is there, else from the source into it.
    fn pass<T>(
        &self,
        blob: &Descriptor,
        what: &str,
        read: impl FnOnce(Tee<'_>) -> Result<T, CopyError>,
    ) -> Result<(T, bool), CopyError> {
        self.halt.check()?;
        if !is_sha256(blob.digest()) {
            return Err(CopyError::Algorithm { digest: blob.digest().clone().into() });
        }
        let name = format!("{what} {}", blob.digest());
        if has(self.sink, blob)? {
            let input = self.sink.open(blob).map_err(|error| sink_error(name.clone(), error))?;
            let step = self.step(format!("check {}", short(&name)), blob);
            let value = read(Tee::new(blob, input, None, self.halt, &step))?;
            step.finish("");
            return Ok((value, false));
        }
        let step = self.step(format!("fetch {}", short(&name)), blob);
        let input = self.source.blob(blob).map_err(|error| source_error(name.clone(), error))?;
        let mut writer = self.sink.writer(blob).map_err(|error| sink_error(name.clone(), error))?;
        let output: &mut dyn Write = &mut writer;
        let value = read(Tee::new(blob, input, Some(output), self.halt, &step))?;
        writer.commit().map_err(|error| sink_error(name, error))?;
        step.finish("");
        Ok((value, true))
    }

    fn step(&self, label: String, blob: &Descriptor) -> Step {
        Step::start_bytes(&self.copier.progress, label, blob.size())
    }
}

fn join<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// All results, or the failure that made the others stop.
fn first_cause<T>(results: Vec<Result<Vec<T>, CopyError>>) -> Result<Vec<T>, CopyError> {
    let mut all = Vec::new();
    let mut stopped = None;
    for result in results {
        match result {
            Ok(done) => all.extend(done),
            Err(CopyError::Interrupted) => stopped = Some(CopyError::Interrupted),
            Err(cause) => return Err(cause),
        }
    }
    stopped.map_or(Ok(all), Err)
}

pub(super) fn has<K: BlobSink>(sink: &K, descriptor: &Descriptor) -> Result<bool, CopyError> {
    sink.has(descriptor).map_err(|error| sink_error(descriptor.digest().to_string(), error))
}

pub(super) fn sink_error(what: String, error: impl Into<BoxError>) -> CopyError {
    CopyError::Sink { what, source: error.into() }
}

pub(super) fn source_error(what: String, error: impl Into<BoxError>) -> CopyError {
    CopyError::Source { what, source: error.into() }
}

fn diff_id_error(layer: &Descriptor, expected: &DiffId, found: &DiffId) -> CopyError {
    let (expected, found) = (expected.clone().into(), found.clone().into());
    CopyError::DiffId { digest: layer.digest().clone().into(), expected, found }
}

/// A label short enough for one line: the kind of blob and the first digits.
fn short(name: &str) -> &str {
    name.find("sha256:").and_then(|start| name.get(..start + 19)).unwrap_or(name)
}
