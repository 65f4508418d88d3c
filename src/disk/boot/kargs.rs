//! bootc's files of kernel arguments, `/usr/lib/bootc/kargs.d/*.toml`.

use serde::Deserialize;

use crate::model::Machine;

/// A file, with exactly the keys that bootc takes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct KargsFile {
    kargs: Vec<String>,
    #[serde(default)]
    match_architectures: Option<Vec<String>>,
}

/// The arguments of a file, when it is for this machine; or what is wrong with it, in one line.
pub(super) fn parse_kargs(bytes: &[u8], machine: Machine) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())?;
    let file: KargsFile = toml::from_str(text).map_err(|error| error.message().replace('\n', "; "))?;
    if let Some(bad) = file.kargs.iter().find(|karg| karg.trim().is_empty() || karg.contains(char::is_control)) {
        return Err(format!("{bad:?} is no argument"));
    }
    let applies = match &file.match_architectures {
        Some(names) => names.iter().any(|name| name == machine.rust_name()),
        None => true,
    };
    Ok(if applies { file.kargs } else { Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_apply_to_their_machines() {
        let of = |text: &str, machine| parse_kargs(text.as_bytes(), machine);
        let both = "kargs = [\"quiet\", \"a=b c\"]\nmatch-architectures = [\"x86_64\", \"powerpc64\"]";
        assert_eq!(of(both, Machine::X86_64).unwrap(), ["quiet", "a=b c"]);
        assert_eq!(of(both, Machine::Ppc64le).unwrap().len(), 2);
        assert!(of(both, Machine::Aarch64).unwrap().is_empty());
        assert_eq!(of("kargs = [\"x\"]", Machine::S390x).unwrap(), ["x"]);
        for bad in ["", "kargs = 1", "kargs = []\nother = 1", "kargs = [\"\"]", "kargs = [\"a\\nb\"]"] {
            assert!(of(bad, Machine::X86_64).is_err(), "{bad:?}");
        }
    }
}
