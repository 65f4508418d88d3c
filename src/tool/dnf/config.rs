//! The files dnf and rpm read, as text: dnf.conf(5) and rpm macros.

use std::fmt::Write as _;

/// A value that the formats cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("dnf's configuration cannot hold {value:?} as {what}")]
pub struct ConfigError {
    what: &'static str,
    value: String,
}

/// One repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository<'a> {
    /// Its name in dnf's messages and in the lock: letters, digits, `.`, `_`, `:` and `-`.
    pub id: &'a str,
    /// Address of the folder above its `repodata`.
    pub url: &'a str,
    /// Absolute path or `https://` address of the keys that sign its packages; `None` accepts packages nobody signed.
    pub key: Option<&'a str>,
}

/// What packages are resolved from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateConfig<'a> {
    /// Repositories, in the order of the definition.
    pub repositories: &'a [Repository<'a>],
    /// Absolute path of a folder with further `.repo` files, such as a copy of the base's own; none when left out.
    pub more: Option<&'a str>,
    /// Absolute path of a folder with what variables in them stand for, a file each; none when left out.
    pub variables: Option<&'a str>,
}

/// Text of the configuration file of a private root.
///
/// # Errors
/// When a value has a line break or an id has other characters than dnf allows.
pub fn private_config(config: &PrivateConfig<'_>) -> Result<String, ConfigError> {
    let more = one_line("folder of repositories", config.more.unwrap_or("/dev/null"))?;
    let variables = one_line("folder of variables", config.variables.unwrap_or("/dev/null"))?;
    let mut text = format!(
        "[main]\n\
         reposdir={more}\n\
         varsdir={variables}\n\
         pluginconfpath=/dev/null\n\
         plugins=0\n\
         # dnf puts these below its root.\n\
         cachedir=/cache\n\
         logdir=/log\n\
         persistdir=/state\n\
         # What was fetched once is what everything is resolved from.\n\
         metadata_expire=never\n\
         skip_if_unavailable=0\n\
         # imgbuild reads primary.xml, which repositories with zchunk keep in a second, other form.\n\
         zchunk=0\n\
         # The newest or an error; and nothing that is only recommended.\n\
         best=1\n\
         install_weak_deps=0\n\
         # For repositories that leave it to the base's own dnf.conf.\n\
         gpgcheck=1\n"
    );
    for repository in config.repositories {
        write_repository(&mut text, repository)?;
    }
    Ok(text)
}

fn write_repository(text: &mut String, repository: &Repository<'_>) -> Result<(), ConfigError> {
    let id = repository.id;
    if id.is_empty() || id == "main" || !id.chars().all(|c| c.is_ascii_alphanumeric() || "._:-".contains(c)) {
        return Err(ConfigError { what: "the id of a repository", value: id.to_owned() });
    }
    let url = one_line("the address of a repository", repository.url)?;
    write!(text, "\n[{id}]\nname={id}\nbaseurl={url}\n").expect("writing to a string");
    match repository.key {
        Some(key) => {
            let key = one_line("the key of a repository", key)?;
            let scheme = if key.starts_with("https://") { "" } else { "file://" };
            write!(text, "gpgcheck=1\ngpgkey={scheme}{key}\n").expect("writing to a string");
        }
        None => text.push_str("gpgcheck=0\n"),
    }
    Ok(())
}

/// Text of the macros file that tells rpm where the package database of the base is, as seen from its root.
///
/// # Errors
/// When the path cannot be written into a macro.
pub fn rpm_macros(database: &str) -> Result<String, ConfigError> {
    let path = one_line("the path of the package database", database)?;
    let plain = path.starts_with('/') && path.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    if plain { Ok(format!("%_dbpath {path}\n")) } else { Err(refused("the path of the package database", path)) }
}

/// The text of a `.repo` file of an image, with the keys it names looked for below `root` instead of `/`.
///
/// dnf reads keys from the machine it runs on, wherever the packages go. Addresses of other kinds stay.
pub fn keys_below(root: &str, repositories: &str) -> String {
    let mut in_keys = false;
    let mut text = String::with_capacity(repositories.len());
    for line in repositories.lines() {
        // A line that begins with a blank goes on with the value of the line before.
        if !line.starts_with([' ', '\t']) {
            in_keys = line.split(['=', ':']).next().is_some_and(|key| key.trim() == "gpgkey");
        }
        if in_keys {
            text.push_str(&line.replace("file:///", &format!("file://{root}/")));
        } else {
            text.push_str(line);
        }
        text.push('\n');
    }
    text
}

fn one_line<'a>(what: &'static str, value: &'a str) -> Result<&'a str, ConfigError> {
    // A space would begin another address in `baseurl`.
    if value.is_empty() || value.contains(char::is_whitespace) { Err(refused(what, value)) } else { Ok(value) }
}

fn refused(what: &'static str, value: &str) -> ConfigError {
    ConfigError { what, value: value.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_root_sees_only_its_repositories() {
        let repositories = [
            Repository { id: "baseos", url: "https://repo.example.org/10/os/", key: Some("/w/key.asc") },
            Repository { id: "local", url: "file:///srv/rpms", key: None },
        ];
        let text = private_config(&PrivateConfig { repositories: &repositories, more: None, variables: None }).unwrap();
        insta::assert_snapshot!(text, @r"
        [main]
        reposdir=/dev/null
        varsdir=/dev/null
        pluginconfpath=/dev/null
        plugins=0
        # dnf puts these below its root.
        cachedir=/cache
        logdir=/log
        persistdir=/state
        # What was fetched once is what everything is resolved from.
        metadata_expire=never
        skip_if_unavailable=0
        # imgbuild reads primary.xml, which repositories with zchunk keep in a second, other form.
        zchunk=0
        # The newest or an error; and nothing that is only recommended.
        best=1
        install_weak_deps=0
        # For repositories that leave it to the base's own dnf.conf.
        gpgcheck=1

        [baseos]
        name=baseos
        baseurl=https://repo.example.org/10/os/
        gpgcheck=1
        gpgkey=file:///w/key.asc

        [local]
        name=local
        baseurl=file:///srv/rpms
        gpgcheck=0
        ");
    }

    #[test]
    fn a_key_may_have_an_address() {
        let repositories =
            [Repository { id: "a", url: "https://a.example.org/", key: Some("https://a.example.org/key") }];
        let text = private_config(&PrivateConfig { repositories: &repositories, more: None, variables: None }).unwrap();
        assert!(text.ends_with("gpgcheck=1\ngpgkey=https://a.example.org/key\n"), "{text}");
    }

    #[test]
    fn keys_of_an_image_are_looked_for_where_it_is() {
        let text = "[baseos]\n\
                    metalink=https://m.example.org/?repo=$stream\n\
                    baseurl=file:///srv/rpms\n\
                    gpgkey = file:///etc/pki/rpm-gpg/KEY-$releasever https://k.example.org/key\n\
                    \tfile:///etc/pki/rpm-gpg/OTHER\n\
                    enabled=1";
        assert_eq!(
            keys_below("/w/keys", text),
            "[baseos]\n\
             metalink=https://m.example.org/?repo=$stream\n\
             baseurl=file:///srv/rpms\n\
             gpgkey = file:///w/keys/etc/pki/rpm-gpg/KEY-$releasever https://k.example.org/key\n\
             \tfile:///w/keys/etc/pki/rpm-gpg/OTHER\n\
             enabled=1\n"
        );
    }

    #[test]
    fn nothing_can_be_smuggled_in() {
        let with =
            |repository| private_config(&PrivateConfig { repositories: &[repository], more: None, variables: None });
        let good = Repository { id: "a", url: "file:///a", key: None };
        assert!(with(good.clone()).is_ok());
        for bad in [
            Repository { id: "a]\n[b", ..good.clone() },
            Repository { id: "main", ..good.clone() },
            Repository { id: "", ..good.clone() },
            Repository { url: "file:///a\ngpgcheck=0", ..good.clone() },
            Repository { url: "file:///a file:///b", ..good.clone() },
            Repository { key: Some("/a\nb"), ..good.clone() },
        ] {
            assert!(with(bad.clone()).is_err(), "{bad:?}");
        }
        assert!(rpm_macros("/usr/lib/sysimage/rpm").is_ok());
        for bad in ["", "usr/lib", "/a b", "/a\n%_x y", "/%(touch x)"] {
            assert!(rpm_macros(bad).is_err(), "{bad:?}");
        }
    }
}
