//! The configuration files apt reads, as text: apt.conf(5) and sources.list(5).

use std::fmt::Write as _;

use crate::tool::percent;

/// A value that apt's file formats cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("apt's configuration cannot hold {value:?}: it has a quote or a line break")]
pub struct ConfigError {
    value: String,
}

/// One archive in deb822 form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source<'a> {
    /// Root of the archive.
    pub uri: &'a str,
    /// Suites to read.
    pub suites: &'a [String],
    /// Components to read.
    pub components: &'a [String],
    /// File with the keys that sign it; `None` accepts an archive nobody signed.
    pub keyring: Option<&'a str>,
}

/// Folders that have to be there below the private root, besides those apt makes.
pub const PRIVATE_FOLDERS: [&str; 7] = [
    "etc/apt.conf.d",
    "etc/preferences.d",
    "etc/sources.list.d",
    "etc/trusted.gpg.d",
    "state/lists/partial",
    "cache/archives/partial",
    "log",
];
/// The empty file below the private root that says: nothing is installed.
pub const PRIVATE_STATUS: &str = "state/status";
/// Where [`sources`] go below the private root.
pub const PRIVATE_SOURCES: &str = "etc/sources.list.d/imgbuild.sources";

/// Settings of the machine that say how to reach its mirror, and hold for our private root too.
const INHERITED: [&str; 8] = [
    "Acquire::http::",
    "Acquire::https::",
    "Acquire::Check-Date",
    "Acquire::Check-Valid-Until",
    "Acquire::Max-ValidTime",
    "Acquire::ForceIPv4",
    "Acquire::ForceIPv6",
    "Acquire::Retries",
];

/// Text of the configuration file of a private root: the path `root`, packages of `architecture`.
///
/// `machine` is what [`super::machine_settings`] printed; only what reaching a
/// mirror needs is taken from it. Logins for mirrors (apt_auth.conf(5)) are
/// read where the machine keeps them.
///
/// # Errors
/// When `root` cannot be written into the file.
pub fn private_config(root: &str, architecture: &str, machine: &str) -> Result<String, ConfigError> {
    let mut config = Config::default();
    config.set("Dir::Etc", &format!("{root}/etc"))?;
    for (name, file) in [("main", "none.conf"), ("parts", "apt.conf.d"), ("sourceparts", "sources.list.d")] {
        config.set(&format!("Dir::Etc::{name}"), &format!("{root}/etc/{file}"))?;
    }
    config.set("Dir::Etc::preferencesparts", &format!("{root}/etc/preferences.d"))?;
    config.set("Dir::Etc::trustedparts", &format!("{root}/etc/trusted.gpg.d"))?;
    for name in ["sourcelist", "preferences", "trusted"] {
        config.set(&format!("Dir::Etc::{name}"), "/dev/null")?;
    }
    config.set("Dir::Etc::netrc", "/etc/apt/auth.conf")?;
    config.set("Dir::Etc::netrcparts", "/etc/apt/auth.conf.d")?;
    config.set("Dir::State", &format!("{root}/state"))?;
    config.set("Dir::State::status", &format!("{root}/{PRIVATE_STATUS}"))?;
    config.set("Dir::Cache", &format!("{root}/cache"))?;
    config.set("Dir::Log", &format!("{root}/log"))?;
    config.set("APT::Architecture", architecture)?;
    config.list("APT::Architectures", &[architecture])?;
    config.set("APT::Install-Recommends", "false")?;
    config.set("Acquire::Languages", "none")?;
    config.set("Acquire::Retries", "3")?;
    for (name, value) in parse_settings(machine) {
        config.set(name, value)?;
    }
    Ok(config.text)
}

/// The inherited settings in the output of `apt-config dump --format '%F %v%n'`.
fn parse_settings(machine: &str) -> impl Iterator<Item = (&str, &str)> {
    machine
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(name, value)| !value.is_empty() && INHERITED.iter().any(|prefix| name.starts_with(prefix)))
}

/// Text of a deb822 sources file.
///
/// # Errors
/// When a value has a line break.
pub fn sources(sources: &[Source<'_>]) -> Result<String, ConfigError> {
    let mut text = String::new();
    for source in sources {
        let trust = match source.keyring {
            Some(keyring) => format!("Signed-By: {keyring}"),
            None => "Trusted: yes".to_owned(),
        };
        let lines = [
            "Types: deb".to_owned(),
            format!("URIs: {}", source.uri),
            format!("Suites: {}", source.suites.join(" ")),
            format!("Components: {}", source.components.join(" ")),
            trust,
        ];
        for line in lines {
            text.push_str(plain(&line)?);
            text.push('\n');
        }
        text.push('\n');
    }
    Ok(text)
}

/// Where apt keeps lists and cache while it runs in a container stage; removed by the stage itself.
pub const STAGE_STATE: &str = "/run/imgbuild-apt";

/// Text of the configuration of apt inside a container stage, where `repository` is mounted.
///
/// The only source is that folder, described by [`stage_sources`], which goes
/// to `sources.list` in it. `exclude` and `include` are path patterns of dpkg,
/// the same that tier 1 was made with: otherwise a package leaves other files
/// in tier 2 than in tier 1.
///
/// # Errors
/// When a pattern cannot be written into the file.
pub fn stage_config(repository: &str, exclude: &[String], include: &[String]) -> Result<String, ConfigError> {
    let mut config = Config::default();
    config.set("Dir::Etc::sourcelist", &format!("{repository}/sources.list"))?;
    config.set("Dir::Etc::sourceparts", "/dev/null")?;
    config.set("Dir::State::lists", &format!("{STAGE_STATE}/lists"))?;
    config.set("Dir::Cache", &format!("{STAGE_STATE}/cache"))?;
    config.set("Dir::Log", STAGE_STATE)?;
    // The user `_apt` may not read a folder mounted from a private place.
    config.set("APT::Sandbox::User", "root")?;
    config.set("APT::Install-Recommends", "false")?;
    config.set("Acquire::Languages", "none")?;
    config.set("Acquire::http::Proxy", "http://127.0.0.1:9")?;
    let excluded = exclude.iter().map(|pattern| format!("--path-exclude={pattern}"));
    let included = include.iter().map(|pattern| format!("--path-include={pattern}"));
    let options: Vec<String> = ["--force-confold", "--force-unsafe-io"]
        .map(str::to_owned)
        .into_iter()
        .chain(excluded)
        .chain(included)
        .collect();
    config.list("DPkg::Options", &options)?;
    Ok(config.text)
}

/// Text of the sources file that goes with [`stage_config`].
pub fn stage_sources(repository: &str) -> String {
    // Its packages were verified by digest before they were put there.
    format!("deb [trusted=yes] file:{} ./\n", percent::encode_path(repository))
}

/// apt.conf text being written.
#[derive(Debug, Default)]
struct Config {
    text: String,
}

impl Config {
    fn set(&mut self, name: &str, value: &str) -> Result<(), ConfigError> {
        // Writing into a string cannot fail.
        let _infallible = writeln!(self.text, "{} \"{}\";", plain(name)?, plain(value)?);
        Ok(())
    }

    fn list<S: AsRef<str>>(&mut self, name: &str, values: &[S]) -> Result<(), ConfigError> {
        let _infallible = writeln!(self.text, "{name} {{");
        for value in values {
            let _infallible = writeln!(self.text, "  \"{}\";", plain(value.as_ref())?);
        }
        self.text.push_str("};\n");
        Ok(())
    }
}

/// The formats have no escape for these.
fn plain(value: &str) -> Result<&str, ConfigError> {
    if value.contains(['"', '\n', '\r']) { Err(ConfigError { value: value.to_owned() }) } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From `apt-config dump --format '%F %v%n' Acquire`, with a proxy.
    const MACHINE: &str = "\
Acquire 
Acquire::AllowInsecureRepositories 1
Acquire::Check-Valid-Until false
Acquire::GzipIndexes true
Acquire::Languages:: none
Acquire::http 
Acquire::http::Proxy http://proxy.example.invalid:3128
Acquire::http::Proxy::internal.example.invalid DIRECT
";

    #[test]
    fn a_private_root_inherits_only_how_to_reach_the_mirror() {
        let text = private_config("/w/apt root", "amd64", MACHINE).unwrap();
        assert!(!text.contains("Insecure") && !text.contains("GzipIndexes"), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn sources_are_signed_unless_said_otherwise() {
        let main = Source {
            uri: "http://example.invalid/debian",
            suites: &["trixie".to_owned(), "trixie-updates".to_owned()],
            components: &["main".to_owned()],
            keyring: Some("/usr/share/keyrings/debian-archive-keyring.gpg"),
        };
        let own = Source { uri: "http://example.invalid/own", keyring: None, ..main.clone() };
        insta::assert_snapshot!(sources(&[main, own]).unwrap());
    }

    #[test]
    fn a_stage_reads_one_folder_and_nothing_else() {
        let exclude = ["/usr/share/man/*".to_owned()];
        let include = ["/usr/share/doc/*/copyright".to_owned()];
        insta::assert_snapshot!(stage_config("/run/imgbuild/repo/jool", &exclude, &include).unwrap());
        insta::assert_snapshot!(stage_sources("/run/imgbuild/repo/a b"));
    }

    #[test]
    fn what_would_end_a_value_early_is_refused() {
        for text in ["a\"; Dir \"/", "a\nb", "a\rb"] {
            assert!(private_config(text, "amd64", "").is_err(), "{text:?}");
            assert!(stage_config("/r", &[text.to_owned()], &[]).is_err(), "{text:?}");
        }
        let source = Source { uri: "http://x\nTrusted: yes", suites: &[], components: &[], keyring: Some("/k") };
        assert!(sources(&[source]).is_err());
    }
}
