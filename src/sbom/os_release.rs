//! The distribution, as os-release(5) describes it.

/// What an image's `os-release` says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OsRelease {
    /// `ID`, such as `debian`; `linux` when it is not given.
    pub id: String,
    /// `VERSION_ID`; empty where a distribution has no releases.
    pub version: String,
    /// `NAME`, such as `Debian GNU/Linux`.
    pub name: String,
    /// `PRETTY_NAME`.
    pub pretty_name: Option<String>,
    /// `HOME_URL`.
    pub home: Option<String>,
    /// `BUG_REPORT_URL`.
    pub bugs: Option<String>,
    /// `CPE_NAME`.
    pub cpe: Option<String>,
}

impl OsRelease {
    /// Reads the file.
    pub fn parse(text: &str) -> Self {
        let mut os = Self { id: "linux".to_owned(), ..Self::default() };
        for (key, value) in text.lines().filter_map(|line| line.trim().split_once('=')) {
            let value = unquote(value);
            match key {
                "ID" => os.id = value,
                "VERSION_ID" => os.version = value,
                "NAME" => os.name = value,
                "PRETTY_NAME" => os.pretty_name = Some(value),
                "HOME_URL" => os.home = Some(value),
                "BUG_REPORT_URL" => os.bugs = Some(value),
                "CPE_NAME" => os.cpe = Some(value),
                _ => {}
            }
        }
        if os.name.is_empty() {
            os.name.clone_from(&os.id);
        }
        os
    }

    /// The `distro` qualifier of package URLs, such as `debian-13`.
    pub fn distro(&self) -> String {
        if self.version.is_empty() { self.id.clone() } else { format!("{}-{}", self.id, self.version) }
    }
}

/// A value as a shell would read it: quotes taken off, escapes resolved.
fn unquote(value: &str) -> String {
    shlex::split(value.trim()).and_then(|words| words.into_iter().next()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_unquoted() {
        let text = "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nNAME='Debian GNU/Linux'\nVERSION_ID=\"13\"\n\
                    # ID=x\nID=debian\nHOME_URL=\"https://www.debian.org/\"\nbroken\n";
        let os = OsRelease::parse(text);
        assert_eq!((os.id.as_str(), os.version.as_str(), os.name.as_str()), ("debian", "13", "Debian GNU/Linux"));
        assert_eq!(os.distro(), "debian-13");
        assert_eq!(os.home.as_deref(), Some("https://www.debian.org/"));
        let rolling = OsRelease::parse("ID=arch\n");
        assert_eq!((rolling.distro().as_str(), rolling.name.as_str()), ("arch", "arch"));
        assert_eq!(OsRelease::parse("").distro(), "linux");
    }
}
