//! dkms: what the builder stage found out about the modules it compiled.
//!
//! dkms runs inside the stage, started by `templates/tier2/dkms.sh`; out comes
//! a file of facts.

/// What `collect.sh` hands out as `facts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Name of the DKMS module.
    pub name: String,
    /// Its version, as its dkms.conf has it: the `${version}` of manifests.
    pub version: String,
    /// Folder of the compiled modules in the stage: the `${dkms}` of manifests.
    pub folder: String,
    /// Whether they were signed.
    pub signed: bool,
}

/// A file of facts without one of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the builder stage did not say its `{key}`")]
pub struct FactsError {
    key: &'static str,
}

/// Reads the facts: `KEY=VALUE` lines.
///
/// # Errors
/// When one is missing.
pub fn parse_facts(text: &str) -> Result<Facts, FactsError> {
    let fact = |key: &'static str| {
        let mut values = text.lines().filter_map(|line| line.split_once('=')).filter(|(name, _)| *name == key);
        values.next().map(|(_, value)| value.to_owned()).ok_or(FactsError { key })
    };
    Ok(Facts {
        name: fact("dkms-name")?,
        version: fact("dkms-version")?,
        folder: fact("dkms-folder")?,
        signed: fact("signed")? == "yes",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From a build of jool.
    const TEXT: &str = "\
dkms-name=jool
dkms-version=4.1.13
dkms-folder=/var/lib/dkms/jool/4.1.13/6.12.117+deb13-cloud-amd64/x86_64/module
signed=no
";

    #[test]
    fn facts_are_all_there_or_it_is_an_error() {
        let facts = parse_facts(TEXT).unwrap();
        assert_eq!((facts.version.as_str(), facts.signed), ("4.1.13", false));
        assert!(facts.folder.ends_with("/module"));
        assert!(parse_facts(&TEXT.replace("=no", "=yes")).unwrap().signed);
        for line in TEXT.lines() {
            assert!(parse_facts(&TEXT.replace(line, "")).is_err(), "{line}");
        }
    }
}
