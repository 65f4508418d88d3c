//! Small images in memory and the official schemas.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use imgbuild::model::{DiffId, SourceDateEpoch};
use imgbuild::oci::{LayerError, LayerSource, sha256};
use imgbuild::sbom::{Catalogue, Cataloguer, Digests, ImageFacts, LayerFacts, ModuleFacts, SbomError};
use serde_json::Value;

/// Uncompressed layers.
pub(crate) struct Layers(Vec<Vec<u8>>);

impl Layers {
    /// A layer per list of paths and contents.
    pub(crate) fn new(layers: &[&[(&str, &[u8])]]) -> Self {
        Self(layers.iter().map(|files| tar(files)).collect())
    }
}

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, path, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

impl LayerSource for Layers {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn diff_id(&self, _layer: usize) -> Option<&DiffId> {
        None
    }

    fn open(&self, layer: usize) -> Result<Box<dyn Read + Send + '_>, LayerError> {
        Ok(Box::new(Cursor::new(&self.0[layer])))
    }
}

/// One layer with one file of so many zeros, made while it is read.
pub(crate) struct Huge(pub(crate) &'static str, pub(crate) u64);

impl LayerSource for Huge {
    fn count(&self) -> usize {
        1
    }

    fn diff_id(&self, _layer: usize) -> Option<&DiffId> {
        None
    }

    fn open(&self, _layer: usize) -> Result<Box<dyn Read + Send + '_>, LayerError> {
        let mut header = tar::Header::new_gnu();
        header.set_path(self.0).unwrap();
        header.set_mode(0o644);
        header.set_size(self.1);
        header.set_cksum();
        let header = Cursor::new(header.as_bytes().to_vec());
        let rest = std::io::repeat(0).take(self.1.next_multiple_of(512) + 1024);
        Ok(Box::new(header.chain(rest)))
    }
}

/// A stand-in for the reader of modules.
pub(crate) fn read_module(file: &[u8]) -> Option<ModuleFacts> {
    let text = std::str::from_utf8(file).ok()?.strip_prefix("module ")?;
    let (name, depends) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    Some(ModuleFacts {
        name: Some(name.to_owned()),
        licences: vec!["GPL".to_owned()],
        depends: depends.split(' ').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        in_tree: true,
        ..ModuleFacts::default()
    })
}

pub(crate) fn catalogue(layers: &dyn LayerSource) -> Result<Catalogue, SbomError> {
    let mut cataloguer = Cataloguer::default();
    cataloguer.read(layers, &read_module)?;
    cataloguer.finish()
}

pub(crate) fn facts(name: &str, layers: usize) -> ImageFacts {
    let label = |key: &str, value: &str| (format!("org.opencontainers.image.{key}"), value.to_owned());
    let layer =
        |number: usize| LayerFacts { digest: sha256(&[u8::try_from(number).unwrap()]), tier: None, module_set: None };
    ImageFacts {
        name: name.to_owned(),
        digest: sha256(name.as_bytes()),
        manifest: Digests::of(name.as_bytes()),
        created: SourceDateEpoch::from_secs(1_700_000_000),
        architecture: "amd64".to_owned(),
        labels: BTreeMap::from([label("vendor", "Example"), label("authors", "Ada <ada@example.org>")]),
        layers: (0..layers).map(layer).collect(),
        below: Vec::new(),
        linked_layers: 0,
        archives: BTreeMap::new(),
        module_sets: Vec::new(),
        scanner: None,
    }
}

/// What the official schema of the document's version says against it.
pub(crate) fn problems(document: &Value) -> Vec<String> {
    let version = document["specVersion"].as_str().unwrap();
    let schema = read(&format!("bom-{version}.SNAPSHOT.schema.json"));
    let mut registry = jsonschema::Registry::new();
    for name in ["spdx.SNAPSHOT.schema.json", "jsf-0.82.SNAPSHOT.schema.json"] {
        let address = format!("http://cyclonedx.org/schema/{name}");
        registry = registry.add(address, read(name)).unwrap();
    }
    let registry = registry.prepare().unwrap();
    let validator = jsonschema::options().with_registry(&registry).build(&schema).unwrap();
    validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

fn read(name: &str) -> Value {
    let text = std::fs::read(format!("tests/fixtures/cyclonedx/{name}")).unwrap();
    serde_json::from_slice(&text).unwrap()
}
