//! rpm: what the package database of a root says.

use crate::sys::Cmd;

use super::ToolVersion;

/// Debian package that has the program.
const PACKAGE: &str = "rpm";

/// The least version that works.
pub const MINIMUM: ToolVersion = ToolVersion::new(4, 16, 0);
/// Why that much is needed.
pub const MINIMUM_REASON: &str = "the first that reads package databases of the sqlite format";

/// Where distributions keep the package database, most common in images first.
pub const DATABASE_FOLDERS: [&str; 3] = ["/usr/lib/sysimage/rpm", "/usr/share/rpm", "/var/lib/rpm"];

/// The file that makes a folder a package database; older formats are not read.
pub const DATABASE_FILE: &str = "rpmdb.sqlite";

/// Separates fields of a record: no tag that is asked for can hold it.
const FIELD: &str = "\\t";

/// An installed package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Installed {
    /// Name.
    pub name: String,
    /// `[epoch:]version-release`; no epoch when it is 0.
    pub version: String,
    /// Architecture; `noarch`, or `(none)` for the keys that rpm keeps among the packages.
    pub architecture: String,
    /// What it provides, each as `name` or `name = version`.
    pub provides: Vec<String>,
}

/// Output that is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rpm printed something else than records of packages: {line:?}")]
pub struct RpmOutputError {
    line: String,
}

/// Prints the version; read with [`ToolVersion::find`].
pub fn version() -> Cmd {
    Cmd::new("rpm").package(PACKAGE).arg("--version")
}

/// Writes the files of a package to standard output, as a cpio archive.
pub fn payload(package: &str) -> Cmd {
    Cmd::new("rpm2cpio").package("rpm2cpio").arg(package)
}

/// A package database.
#[derive(Debug, Clone, Copy)]
pub struct Rpm<'a> {
    /// Absolute path of the root.
    pub root: &'a str,
    /// Path of the database's folder as seen from that root.
    pub database: &'a str,
}

impl Rpm<'_> {
    fn cmd(&self) -> Cmd {
        Cmd::new("rpm").package(PACKAGE).opt("--root", self.root).opt("--dbpath", self.database)
    }

    /// Lists all packages; read with [`parse_installed`].
    pub fn installed(&self) -> Cmd {
        let provides = "[%{PROVIDENAME} %{PROVIDEFLAGS:depflags} %{PROVIDEVERSION}\\t]";
        let record = ["%{NAME}", "%{EPOCHNUM}", "%{VERSION}-%{RELEASE}", "%{ARCH}", provides].join(FIELD);
        self.cmd().args(["--query", "--all"]).opt("--queryformat", format!("{record}\\n"))
    }

    /// Notes in the database that these package files were installed in place of what has their names, whichever is
    /// newer. No file of theirs is written and no script run.
    pub fn replace_in_database<S: Into<String>>(&self, files: impl IntoIterator<Item = S>) -> Cmd {
        // What they need is in the image and was resolved before; its files are not in a copy of the database.
        let options = ["--upgrade", "--oldpackage", "--justdb", "--noscripts", "--nodeps", "--nosignature", "--"];
        self.cmd().args(options).args(files)
    }

    /// Lists the files, folders and links of packages; read with [`parse_files`].
    pub fn files<S: Into<String>>(&self, packages: impl IntoIterator<Item = S>) -> Cmd {
        let format = "[%{=NAME}\\t%{FILENAMES}\\n]";
        self.cmd().arg("--query").opt("--queryformat", format).arg("--").args(packages)
    }
}

/// Reads what [`Rpm::installed`] printed, sorted by name.
///
/// # Errors
/// When a line is no record.
pub fn parse_installed(output: &str) -> Result<Vec<Installed>, RpmOutputError> {
    let mut packages = output.lines().map(parse_record).collect::<Result<Vec<_>, _>>()?;
    packages.sort();
    Ok(packages)
}

fn parse_record(line: &str) -> Result<Installed, RpmOutputError> {
    let error = || RpmOutputError { line: line.to_owned() };
    let mut fields = line.split('\t');
    let mut next = || fields.next().filter(|field| !field.is_empty()).map(str::to_owned).ok_or_else(error);
    let (name, epoch, version, architecture) = (next()?, next()?, next()?, next()?);
    let epoch: u32 = epoch.parse().map_err(|_| error())?;
    let version = if epoch == 0 { version } else { format!("{epoch}:{version}") };
    let provides = fields.map(str::trim).filter(|field| !field.is_empty()).map(str::to_owned).collect();
    Ok(Installed { name, version, architecture, provides })
}

/// Reads what [`Rpm::files`] printed: a package and one of its paths per line.
///
/// # Errors
/// When a line is something else, such as the note that a package is not installed.
pub fn parse_files(output: &str) -> Result<Vec<(&str, &str)>, RpmOutputError> {
    let record = |line| match str::split_once(line, '\t') {
        Some((package, path)) if path.starts_with('/') => Ok((package, path)),
        _ => Err(RpmOutputError { line: line.to_owned() }),
    };
    output.lines().map(record).collect()
}

/// Capabilities that carry the version of the distribution, as dnf asks for them: the first one counts.
const RELEASE: [&str; 4] =
    ["system-release(releasever)", "system-release", "distribution-release(releasever)", "redhat-release"];

/// What `$releasever` in addresses of repositories stands for; `None` when no package says.
pub fn release_version(installed: &[Installed]) -> Option<&str> {
    let of = |capability: &str| {
        installed.iter().find_map(|package| {
            package.provides.iter().find_map(|provide| match provide.split_once(" = ") {
                Some((name, version)) if name == capability => Some(upstream_version(version)),
                None if provide == capability => Some(upstream_version(&package.version)),
                _ => None,
            })
        })
    };
    RELEASE.iter().find_map(|capability| of(capability))
}

/// The middle of `[epoch:]version[-release]`.
pub fn upstream_version(version: &str) -> &str {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    version.split_once('-').map_or(version, |(upstream, _)| upstream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines() {
        let rpm = Rpm { root: "/w/root", database: "/usr/lib/sysimage/rpm" };
        insta::assert_snapshot!([rpm.installed(), rpm.files(["zfs"]), rpm.replace_in_database(["/w/kernel.rpm"])].map(|cmd| cmd.to_string()).join("\n"), @r#"
        rpm --root /w/root --dbpath /usr/lib/sysimage/rpm --query --all --queryformat "%{NAME}\\t%{EPOCHNUM}\\t%{VERSION}-%{RELEASE}\\t%{ARCH}\\t[%{PROVIDENAME} %{PROVIDEFLAGS:depflags} %{PROVIDEVERSION}\\t]\\n"
        rpm --root /w/root --dbpath /usr/lib/sysimage/rpm --query --queryformat "[%{=NAME}\\t%{FILENAMES}\\n]" -- zfs
        rpm --root /w/root --dbpath /usr/lib/sysimage/rpm --upgrade --oldpackage --justdb --noscripts --nodeps --nosignature -- /w/kernel.rpm
        "#);
    }

    /// As rpm 4.18 printed it for the package database of the RPM universe; the epoch was added.
    #[test]
    fn records_are_read() {
        let output = "kernel-core\t0\t6.12.0-124.8.1.rv10\tx86_64\tinstallonlypkg(kernel)  \tkernel = 6.12.0-124.8.1.rv10\tkernel-core = 6.12.0-124.8.1.rv10\tkernel-core(x86-64) = 6.12.0-124.8.1.rv10\tkernel-uname-r = 6.12.0-124.8.1.rv10.x86_64\t\n\
                      gpg-pubkey\t0\t0123-4567\t(none)\t\n\
                      bind\t32\t9.18-1\tx86_64\tbind = 32:9.18-1\t\n";
        let packages = parse_installed(output).unwrap();
        let shown: Vec<_> = packages.iter().map(|p| format!("{} {} {}", p.name, p.version, p.architecture)).collect();
        assert_eq!(
            shown,
            ["bind 32:9.18-1 x86_64", "gpg-pubkey 0123-4567 (none)", "kernel-core 6.12.0-124.8.1.rv10 x86_64"]
        );
        assert_eq!(
            packages[2].provides,
            [
                "installonlypkg(kernel)",
                "kernel = 6.12.0-124.8.1.rv10",
                "kernel-core = 6.12.0-124.8.1.rv10",
                "kernel-core(x86-64) = 6.12.0-124.8.1.rv10",
                "kernel-uname-r = 6.12.0-124.8.1.rv10.x86_64",
            ]
        );
    }

    #[test]
    fn other_output_is_refused() {
        assert!(parse_installed("error: rpmdb open failed").is_err());
        assert!(parse_installed("a\tx\t1-1\tnoarch\t").is_err());
        assert_eq!(parse_files("zfs\t/usr/sbin/zpool\n").unwrap(), [("zfs", "/usr/sbin/zpool")]);
        assert!(parse_files("package zfs is not installed").is_err());
    }

    #[test]
    fn the_release_comes_from_what_packages_provide() {
        let package = |version: &str, provides: &[&str]| Installed {
            name: "x-release".to_owned(),
            version: version.to_owned(),
            architecture: "noarch".to_owned(),
            provides: provides.iter().map(|&provide| provide.to_owned()).collect(),
        };
        for (packages, expected) in [
            (vec![package("1:10.2-3", &["system-release = 10.2-3", "system-release(releasever) = 10"])], Some("10")),
            (vec![package("1:10.2-3", &["system-release"])], Some("10.2")),
            (vec![package("1-1", &["redhat-release = 9.1-2"]), package("1-1", &["system-release = 9"])], Some("9")),
            (vec![package("1-1", &["system-releases = 9"])], None),
        ] {
            assert_eq!(release_version(&packages), expected, "{packages:?}");
        }
    }
}
