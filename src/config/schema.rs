//! JSON schemas of the files, for editors and other tools; what loading checks is made from the same.
//!
//! The checked-in copies under `docs/schema` are written by `cargo run --example schema`.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use super::{Host, KmodSet, Lock, Project, Tier1, Tier2};

/// The schema of a type as it is read, JSON Schema draft 2020-12.
pub(super) fn of<T: JsonSchema>() -> Schema {
    let without_null = RecursiveTransform(drop_null as fn(&mut Schema));
    let settings = SchemaSettings::draft2020_12().for_deserialize().with_transform(without_null);
    settings.into_generator().into_root_schema_for::<T>()
}

/// TOML has no null: what may be null in JSON may only be left out here.
fn drop_null(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    if object.get("default").is_some_and(Value::is_null) {
        object.remove("default");
    }
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_mut_slice() {
            let only = only.take();
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(options)) = object.get_mut("anyOf") {
        options.retain(|option| option != &json!({ "type": "null" }));
        if let [Value::Object(only)] = options.as_mut_slice() {
            let only = std::mem::take(only);
            object.remove("anyOf");
            object.extend(only);
        }
    }
}

/// `imgbuild.toml`.
pub fn project() -> Value {
    of::<Project>().to_value()
}

/// `tiers/<name>/tier.toml`: what is allowed depends on the key `tier`.
pub fn tier() -> Value {
    let (mut first, mut second) = (of::<Tier1>().to_value(), of::<Tier2>().to_value());
    let mut definitions = serde_json::Map::new();
    for schema in [&mut first, &mut second].into_iter().filter_map(Value::as_object_mut) {
        schema.remove("$schema");
        if let Some(Value::Object(own)) = schema.remove("$defs") {
            definitions.extend(own);
        }
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tier",
        "type": "object",
        "required": ["tier"],
        "properties": { "tier": { "enum": [1, 2] } },
        "if": { "properties": { "tier": { "const": 1 } } },
        "then": first,
        "else": second,
        "$defs": definitions,
    })
}

/// `kmods/<name>/kmod.toml`.
pub fn kmod() -> Value {
    of::<KmodSet>().to_value()
}

/// `hosts/<host>.toml`.
pub fn host() -> Value {
    of::<Host>().to_value()
}

/// `imgbuild.lock`.
pub fn lock() -> Value {
    of::<Lock>().to_value()
}

/// Every schema with the name of its file under `docs/schema`.
pub fn all() -> [(&'static str, Value); 5] {
    [
        ("host.json", host()),
        ("kmod.json", kmod()),
        ("lock.json", lock()),
        ("project.json", project()),
        ("tier.json", tier()),
    ]
}
