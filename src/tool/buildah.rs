//! buildah: runs the Containerfiles that imgbuild writes, over a container storage of its own.

use crate::model::SourceDateEpoch;
use crate::sys::{Cmd, HardLimits};

use super::{Problem, ToolVersion, problem};

/// Debian package that has the program.
const PACKAGE: &str = "buildah";

/// The least version that works.
pub const MINIMUM: ToolVersion = ToolVersion::new(1, 28, 0);
/// Why that much is needed.
pub const MINIMUM_REASON: &str = "which is Debian 12's: older ones were never tried";

/// Prints the version; read with [`ToolVersion::find`].
pub fn version() -> Cmd {
    Cmd::new("buildah").package(PACKAGE).arg("--version")
}

/// A container storage of our own: the machine's is neither used nor seen.
///
/// The storage driver is part of its identity. With another driver buildah
/// finds an empty storage in the same folder and says nothing, so the driver
/// has to be written down where the storage is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage<'a> {
    /// Folder of images and containers.
    pub root: &'a str,
    /// Folder of what lives only while something runs.
    pub runroot: &'a str,
    /// Storage driver, such as `overlay` or `vfs`.
    pub driver: &'a str,
    /// Folder for buildah's large temporary files; beside the storage, as `/var/tmp` may be small.
    pub temporary: &'a str,
}

/// How RUN steps are isolated from the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// chroot(1) with a few mounts: works inside containers too, and needs no OCI runtime.
    Chroot,
    /// An OCI runtime.
    Oci,
    /// An OCI runtime, for users without privileges.
    Rootless,
}

impl Isolation {
    /// The name buildah knows it by.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chroot => "chroot",
            Self::Oci => "oci",
            Self::Rootless => "rootless",
        }
    }
}

/// A folder of the machine that RUN steps see, read-only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount<'a> {
    /// On the machine.
    pub host: &'a str,
    /// In the container.
    pub container: &'a str,
}

/// A file that one RUN step sees and no layer keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret<'a> {
    /// The name it has in the Containerfile.
    pub id: &'a str,
    /// Where it is.
    pub file: &'a str,
}

/// Where the result of a build goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output<'a> {
    /// An image in the storage; its id is written to a file.
    Image {
        /// Path of the file; read with [`parse_id`].
        id_file: &'a str,
    },
    /// The files of the last stage, in this folder.
    Folder(&'a str),
}

/// One build of one stage of a Containerfile, and of the stages it needs.
#[derive(Debug, Clone)]
pub struct Build<'a> {
    /// The Containerfile.
    pub containerfile: &'a str,
    /// Folder that COPY reads.
    pub context: &'a str,
    /// The stage to build.
    pub target: &'a str,
    /// Where the result goes.
    pub output: Output<'a>,
    /// How RUN steps are isolated.
    pub isolation: Isolation,
    /// What RUN steps see of the machine.
    pub mounts: &'a [Mount<'a>],
    /// Values of ARG, by name.
    pub arguments: &'a [(&'a str, &'a str)],
    /// Secrets, for steps that mount them.
    pub secrets: &'a [Secret<'a>],
    /// Time written into the image, and the time of every file in its layer.
    pub epoch: SourceDateEpoch,
    /// Limits of the RUN steps. Left alone, newer versions (1.39 was seen to) give them more open files than the process itself may
    /// have, which needs `CAP_SYS_RESOURCE` and fails in most containers.
    pub limits: HardLimits,
}

impl Storage<'_> {
    fn cmd(&self) -> Cmd {
        Cmd::new("buildah")
            .package(PACKAGE)
            .env("TMPDIR", self.temporary)
            .opt("--root", self.root)
            .opt("--runroot", self.runroot)
            .opt("--storage-driver", self.driver)
    }

    /// Takes an image from an OCI image layout into the storage and prints its id.
    pub fn pull_layout(&self, layout: &str, reference: &str) -> Cmd {
        self.cmd().args(["pull", "--quiet", "--"]).arg(format!("oci:{layout}:{reference}"))
    }

    /// Builds. Wrap it in `unshare::without_network` for a build that must not reach out.
    ///
    /// Everything is rebuilt. What is built in one stage lands in one layer.
    /// Exit codes: that of the RUN step that failed, 125 for buildah itself.
    pub fn build(&self, build: &Build<'_>) -> Cmd {
        let mut cmd = self
            .cmd()
            .arg("build")
            .opt("--isolation", build.isolation.as_str())
            // With chroot the only choice; without a network of its own the process has none to share.
            .opt("--network", "host")
            .arg("--layers=false")
            .arg("--pull-never")
            // buildah's own version would reach the image's digest.
            .arg("--identity-label=false")
            .opt("--timestamp", build.epoch.as_secs().to_string())
            .opt("--target", build.target)
            .opt("--file", build.containerfile);
        for (name, limit) in [("nofile", build.limits.open_files), ("nproc", build.limits.processes)] {
            if let Some(limit) = limit {
                cmd = cmd.opt("--ulimit", format!("{name}={limit}:{limit}"));
            }
        }
        for mount in build.mounts {
            cmd = cmd.opt("--volume", format!("{}:{}:ro", mount.host, mount.container));
        }
        for (name, value) in build.arguments {
            cmd = cmd.opt("--build-arg", format!("{name}={value}"));
        }
        for secret in build.secrets {
            cmd = cmd.opt("--secret", format!("id={},src={}", secret.id, secret.file));
        }
        let cmd = match build.output {
            Output::Image { id_file } => cmd.opt("--iidfile", id_file),
            Output::Folder(folder) => cmd.opt("--output", format!("type=local,dest={folder}")),
        };
        cmd.arg("--").arg(build.context)
    }

    /// Writes an image into a folder in the `dir` format of containers-transports(5).
    ///
    /// Layers come uncompressed, each named by its own digest, which is its diff id;
    /// pushing into an OCI layout would compress them whatever is asked for.
    pub fn push_folder(&self, image: &str, folder: &str) -> Cmd {
        self.cmd()
            .args(["push", "--quiet", "--disable-compression"])
            .opt("--format", "oci")
            .arg("--")
            .arg(image)
            .arg(format!("dir:{folder}"))
    }

    /// Removes every container of this storage, which a killed build leaves behind.
    pub fn remove_containers(&self) -> Cmd {
        self.cmd().args(["rm", "--all"])
    }

    /// Removes every image of this storage that no container uses.
    pub fn remove_images(&self) -> Cmd {
        self.cmd().args(["rmi", "--all", "--force"])
    }

    /// Prints what the storage knows about itself, as JSON; succeeds only if the driver works here.
    pub fn info(&self) -> Cmd {
        self.cmd().arg("info")
    }
}

/// The image id in the file that [`Output::Image`] names: hexadecimal, with or without `sha256:`.
pub fn parse_id(text: &str) -> Option<&str> {
    let id = text.trim();
    let hex = id.strip_prefix("sha256:").unwrap_or(id);
    (hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(hex)
}

/// Recognises a failure of buildah from its last lines.
///
/// A RUN step ran other programs: for [`Problem::Step`], which says only that
/// one failed, ask their `diagnose` too.
pub fn diagnose(tail: &[String]) -> Option<Problem> {
    if tail.iter().any(|line| line.to_ascii_lowercase().contains("no space left on device")) {
        return Some(Problem::NoSpace);
    }
    problem::script(tail).or_else(|| tail.iter().rev().filter_map(|line| line.strip_prefix("Error: ")).find_map(error))
}

fn error(text: &str) -> Option<Problem> {
    let owned = text.to_owned();
    if ["GetDriver", "graphdriver", "prerequisites for driver"].iter().any(|word| text.contains(word)) {
        Some(Problem::StorageDriver { reason: owned })
    } else if text.contains("image not known") {
        // `creating build container: IMAGE: image not known`
        let image = text.rsplit(": ").nth(1)?;
        Some(Problem::UnknownImage { image: image.to_owned() })
    } else if let Some((_, pattern)) = text.split_once("copier: stat: ") {
        Some(Problem::NothingToCopy { pattern: pattern.split('"').nth(1)?.to_owned() })
    } else if text.contains("operation not permitted") {
        Some(Problem::NotPermitted { what: owned })
    } else {
        step(text)
    }
}

/// `building at STEP "RUN …": exit status N`; quotes inside the step are not escaped.
fn step(text: &str) -> Option<Problem> {
    let (step, verdict) = text.split_once("at STEP \"")?.1.rsplit_once("\": ")?;
    let code = verdict.rsplit_once("exit status ")?.1.trim().parse().ok()?;
    Some(Problem::Step { step: step.to_owned(), code })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORAGE: Storage<'_> =
        Storage { root: "/s/containers", runroot: "/s/run", driver: "overlay", temporary: "/s/tmp" };

    fn build(output: Output<'static>) -> Build<'static> {
        Build {
            containerfile: "/w/Containerfile",
            context: "/w/context",
            target: "image",
            output,
            isolation: Isolation::Chroot,
            mounts: &[Mount { host: "/w/inputs", container: "/run/imgbuild" }],
            arguments: &[("SOURCE_DATE_EPOCH", "1760000000")],
            secrets: &[Secret { id: "module-key", file: "/keys/module.pem" }],
            epoch: SourceDateEpoch::from_secs(1_760_000_000),
            limits: HardLimits { open_files: Some(20_000), processes: None },
        }
    }

    #[test]
    fn command_lines() {
        let lines = [
            version(),
            STORAGE.pull_layout("/s/oci", "tier1/debian"),
            STORAGE.build(&build(Output::Image { id_file: "/w/id" })),
            STORAGE.build(&build(Output::Folder("/w/out"))),
            STORAGE.push_folder("f64d2d62924d", "/w/image"),
            STORAGE.remove_containers(),
            STORAGE.remove_images(),
            STORAGE.info(),
        ];
        let text: Vec<_> = lines.iter().map(|cmd| cmd.to_string().replace(" --", "\n  --")).collect();
        insta::assert_snapshot!(text.join("\n"));
    }

    #[test]
    fn ids_are_read_from_files() {
        let hex = "f64d2d62924df84189497f335a85f82112f306e558398f9eebe461ab12f6f6f8";
        for (text, id) in [
            (format!("sha256:{hex}"), Some(hex)),
            (format!("{hex}\n"), Some(hex)),
            (String::new(), None),
            (hex[1..].to_owned(), None),
        ] {
            assert_eq!(parse_id(&text), id, "{text}");
        }
    }

    /// Each line is what buildah 1.28.2 printed, but for the one on space, which is shortened.
    #[test]
    fn failures_are_recognised() {
        let glob = r#"Error: building at STEP "COPY nothing-* /": checking on sources under "/w/ctx": Rel: can't make  relative to /w/ctx; copier: stat: ["/nothing-*"]: no such file or directory"#;
        let unknown = "Error: creating build container: localhost/nosuch:1: image not known";
        let driver = "Error: /s/containers contains several valid graphdrivers: btrfs, overlay; Please cleanup or explicitly choose storage driver (-s <DRIVER>)";
        let full = "Error: committing container for step …: writing blob: write /s/tmp/x: no space left on device";
        for (text, expected) in [
            (
                r#"Error: building at STEP "RUN echo "a b"; exit 7": exit status 7"#,
                Some(Problem::Step { step: r#"RUN echo "a b"; exit 7"#.to_owned(), code: 7 }),
            ),
            (glob, Some(Problem::NothingToCopy { pattern: "/nothing-*".to_owned() })),
            (
                r#"Error: building at STEP "COPY nothing /": checking on sources under "/w/ctx": copier: stat: "/nothing": no such file or directory"#,
                Some(Problem::NothingToCopy { pattern: "/nothing".to_owned() }),
            ),
            (unknown, Some(Problem::UnknownImage { image: "localhost/nosuch:1".to_owned() })),
            (driver, Some(Problem::StorageDriver { reason: driver["Error: ".len()..].to_owned() })),
            (
                "Error: failed to GetDriver graph zz /s/containers: driver not supported",
                Some(Problem::StorageDriver {
                    reason: "failed to GetDriver graph zz /s/containers: driver not supported".to_owned(),
                }),
            ),
            (full, Some(Problem::NoSpace)),
            (r#"Error: The target "zz" was not found in the provided Dockerfile"#, None),
            ("STEP 1/2: FROM x", None),
        ] {
            assert_eq!(diagnose(&[text.to_owned()]), expected, "{text}");
        }
    }
}
