//! The document as JSON, in the versions of the specification that readers ask for.

use std::fmt;
use std::str::FromStr;

use cyclonedx_bom::models::bom::{Bom, SpecVersion};
use cyclonedx_bom::validation::Validate as _;
use serde_json::{Map, Value, json};

use super::super::error::SbomError;
use crate::oci::document::canonical_json;

/// Version of the specification a document is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SbomFormat {
    /// CycloneDX 1.5.
    CycloneDx15,
    /// CycloneDX 1.6, the oldest that BSI TR-03183-2 accepts.
    #[default]
    CycloneDx16,
}

/// Text that is no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a format of SBOMs; there are cyclonedx-json@1.5 and cyclonedx-json@1.6")]
pub struct SbomFormatError(String);

impl FromStr for SbomFormat {
    type Err = SbomFormatError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "cyclonedx-json@1.5" => Ok(Self::CycloneDx15),
            "cyclonedx-json@1.6" | "cyclonedx-json" => Ok(Self::CycloneDx16),
            other => Err(SbomFormatError(other.to_owned())),
        }
    }
}

impl fmt::Display for SbomFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CycloneDx15 => "cyclonedx-json@1.5",
            Self::CycloneDx16 => "cyclonedx-json@1.6",
        })
    }
}

/// Canonical JSON: two equal documents are the same bytes.
pub(super) fn to_json(bom: &Bom, format: SbomFormat) -> Result<Vec<u8>, SbomError> {
    let verdict = bom.validate_version(SpecVersion::V1_5);
    if !verdict.passed() {
        return Err(SbomError::Invalid { problem: format!("{verdict:?}") });
    }
    let mut bytes = Vec::new();
    bom.clone()
        .output_as_json(&mut bytes, SpecVersion::V1_5)
        .map_err(|error| SbomError::Model { problem: error.to_string() })?;
    let mut document: Value = serde_json::from_slice(&bytes)?;
    document["$schema"] = json!("http://cyclonedx.org/schema/bom-1.5.schema.json");
    if format == SbomFormat::CycloneDx16 {
        to_1_6(&mut document);
    }
    Ok(canonical_json(&document)?)
}

/// What 1.6 calls by another name: the makers of the document's subject, and the authors of components.
fn to_1_6(document: &mut Value) {
    document["specVersion"] = json!("1.6");
    document["$schema"] = json!("http://cyclonedx.org/schema/bom-1.6.schema.json");
    if let Some(metadata) = document.get_mut("metadata").and_then(Value::as_object_mut)
        && let Some(maker) = metadata.remove("manufacture")
    {
        if let Some(component) = metadata.get_mut("component").and_then(Value::as_object_mut) {
            component.insert("manufacturer".to_owned(), maker.clone());
        }
        metadata.insert("manufacturer".to_owned(), maker);
    }
    for component in document.get_mut("components").and_then(Value::as_array_mut).into_iter().flatten() {
        component.as_object_mut().map(name_authors);
    }
}

/// A document written by [`to_json`] as 1.6, in another version.
pub(super) fn rewrite(bytes: &[u8], format: SbomFormat) -> Result<Vec<u8>, SbomError> {
    if format == SbomFormat::CycloneDx16 {
        return Ok(bytes.to_vec());
    }
    let mut document: Value = serde_json::from_slice(bytes)?;
    to_1_5(&mut document);
    Ok(canonical_json(&document)?)
}

/// The step back.
fn to_1_5(document: &mut Value) {
    document["specVersion"] = json!("1.5");
    document["$schema"] = json!("http://cyclonedx.org/schema/bom-1.5.schema.json");
    if let Some(metadata) = document.get_mut("metadata").and_then(Value::as_object_mut)
        && let Some(maker) = metadata.remove("manufacturer")
    {
        if let Some(component) = metadata.get_mut("component").and_then(Value::as_object_mut) {
            component.remove("manufacturer");
        }
        metadata.insert("manufacture".to_owned(), maker);
    }
    for component in document.get_mut("components").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(component) = component.as_object_mut() else { continue };
        if let Some(name) = component.remove("authors").and_then(|authors| authors.get(0)?.get("name").cloned()) {
            component.insert("author".to_owned(), name);
        }
    }
}

fn name_authors(component: &mut Map<String, Value>) {
    let Some(author) = component.remove("author") else { return };
    component.insert("authors".to_owned(), json!([{ "name": author }]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_read_as_they_are_shown() {
        for format in [SbomFormat::CycloneDx15, SbomFormat::CycloneDx16] {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert!("spdx-json".parse::<SbomFormat>().unwrap_err().to_string().contains("cyclonedx-json@1.6"));
    }

    #[test]
    fn the_names_of_1_6() {
        let mut document = json!({
            "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json", "specVersion": "1.5",
            "metadata": {"manufacture": {"name": "m"}, "component": {"name": "c"}},
            "components": [{"name": "x", "author": "a"}, {"name": "y"}],
        });
        let before = document.clone();
        to_1_6(&mut document);
        assert_eq!(
            document,
            json!({
                "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json", "specVersion": "1.6",
                "metadata": {"manufacturer": {"name": "m"}, "component": {"name": "c", "manufacturer": {"name": "m"}}},
                "components": [{"name": "x", "authors": [{"name": "a"}]}, {"name": "y"}],
            })
        );
        to_1_5(&mut document);
        assert_eq!(document, before);
    }
}
