//! Telling whether a definition is still the one a lock was made from.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::model::Sha256Hex;

/// SHA-256 of a part of a definition in canonical JSON: sorted keys, no spaces, and nothing that is absent or empty.
///
/// What is empty is left out so that a new optional key in a later imgbuild
/// does not make every lock look drifted.
pub fn definition_digest(part: &impl Serialize) -> Sha256Hex {
    let value = serde_json::to_value(part).expect("definitions have text keys and whole numbers");
    let mut canonical = String::new();
    write_canonical(&value, &mut canonical);
    let digest = Sha256::digest(canonical.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    hex.parse().expect("32 bytes in hexadecimal")
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.values().all(is_empty),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(entries) => {
            let mut entries: Vec<_> = entries.iter().filter(|(_, value)| !is_empty(value)).collect();
            // The map sorts by itself only while nobody turns on serde_json's `preserve_order`.
            entries.sort_by_key(|(key, _)| *key);
            write_all(out, '{', '}', entries, |(key, value), out| {
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write_canonical(value, out);
            });
        }
        Value::Array(items) => write_all(out, '[', ']', items, write_canonical),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => out.push_str(&value.to_string()),
    }
}

fn write_all<T>(
    out: &mut String,
    open: char,
    close: char,
    items: impl IntoIterator<Item = T>,
    write: impl Fn(T, &mut String),
) {
    out.push(open);
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(item, out);
    }
    out.push(close);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::{definition_digest, write_canonical};

    #[test]
    fn keys_are_sorted_and_empty_things_left_out() {
        let mut text = String::new();
        write_canonical(&json!({ "b": [1, {}, "é\n"], "a": null, "c": {}, "d": { "x": [] }, "0": true }), &mut text);
        assert_eq!(text, r#"{"0":true,"b":[1,{},"é\n"]}"#);
    }

    #[test]
    fn differs_when_the_definition_differs_and_only_then() {
        let one = BTreeMap::from([("packages", vec!["a", "b"]), ("kargs", vec![])]);
        let same = BTreeMap::from([("packages", vec!["a", "b"])]);
        let other = BTreeMap::from([("packages", vec!["b", "a"])]);
        assert_eq!(definition_digest(&one), definition_digest(&same));
        assert_ne!(definition_digest(&one), definition_digest(&other));
    }
}
