//! What os-release(5) says about an image.

use std::collections::BTreeMap;

/// The fields that boot entries show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OsRelease {
    /// `ID`; `bootc` where there is none, as bootc has it.
    pub(super) id: String,
    /// `PRETTY_NAME`, else the id.
    pub(super) title: String,
    /// `VERSION`, else the id.
    pub(super) version: String,
}

/// Reads assignments as a shell would; lines that are none are left out.
pub(super) fn parse_os_release(text: &str) -> OsRelease {
    let fields: BTreeMap<&str, String> = text.lines().filter_map(assignment).collect();
    let get = |key: &str| fields.get(key).filter(|value| !value.is_empty()).cloned();
    let id = get("ID").unwrap_or_else(|| "bootc".to_owned());
    let or_id = |key: &str| get(key).unwrap_or_else(|| id.clone());
    OsRelease { title: or_id("PRETTY_NAME"), version: or_id("VERSION"), id }
}

fn assignment(line: &str) -> Option<(&str, String)> {
    let line = line.trim();
    let (key, value) = line.split_once('=').filter(|_| !line.starts_with('#'))?;
    Some((key, shlex::split(value)?.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_taken_off_and_fallbacks_used() {
        let parsed = parse_os_release("PRETTY_NAME=\"A \\\"B\\\" (x)\"\n#ID=no\nID='de-bian'\nVERSION=\nbroken\n");
        assert_eq!(
            parsed,
            OsRelease { id: "de-bian".to_owned(), title: "A \"B\" (x)".to_owned(), version: "de-bian".to_owned() }
        );
        assert_eq!(parse_os_release("").id, "bootc");
    }
}
