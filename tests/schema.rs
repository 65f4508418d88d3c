//! The checked-in JSON schemas are those of the types, and the page of codes is that of the code.

use imgbuild::build::codes;
use imgbuild::config::schema;

#[test]
fn checked_in_schemas_are_current() {
    for (name, value) in schema::all() {
        let path = format!("{}/docs/schema/{name}", env!("CARGO_MANIFEST_DIR"));
        let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
        let current = serde_json::to_string_pretty(&value).expect("it serializes") + "\n";
        assert!(checked_in == current, "docs/schema/{name} is out of date: run `cargo run --example schema`");
    }
}

#[test]
fn the_checked_in_page_of_codes_is_current() {
    let path = format!("{}/docs/codes.md", env!("CARGO_MANIFEST_DIR"));
    let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(checked_in == codes::markdown(), "docs/codes.md is out of date: run `cargo run --example schema`");
}
