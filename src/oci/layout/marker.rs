//! `oci-layout`, the file that says that a folder is a layout.

use serde_json::Value;

use super::error::LayoutError;

/// What the file holds.
pub(super) const CONTENT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// Checks that a layout is of the one version there is.
pub(in super::super) fn check_marker(bytes: &[u8]) -> Result<(), LayoutError> {
    let marker: Value = serde_json::from_slice(bytes).map_err(LayoutError::Marker)?;
    match marker.get("imageLayoutVersion").and_then(Value::as_str) {
        Some("1.0.0") => Ok(()),
        other => Err(LayoutError::Version { found: other.unwrap_or("none").to_owned() }),
    }
}
