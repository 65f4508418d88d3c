//! Every environment variable imgbuild reads, in one table.

use std::ffi::OsString;

/// One variable and what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Var {
    /// Its name.
    pub name: &'static str,
    /// What it does, as shown in the manual page.
    pub help: &'static str,
}

/// Time written into artifacts, in seconds since 1970.
pub const SOURCE_DATE_EPOCH: Var = Var {
    name: "SOURCE_DATE_EPOCH",
    help: "time written into images, in seconds since 1970; overrides the time recorded in the lock",
};
/// The store.
pub const IMGBUILD_STORE: Var = Var { name: "IMGBUILD_STORE", help: "folder of the store; the same as --store" };
/// The initramfs program that mounts a composefs root.
pub const IMGBUILD_SETUP_ROOT: Var = Var {
    name: "IMGBUILD_SETUP_ROOT",
    help: "path of the composefs-setup-root program put into the initramfs of bootstrapped images",
};
/// The passphrase of a private key.
pub const IMGBUILD_KEY_PASSPHRASE: Var = Var {
    name: "IMGBUILD_KEY_PASSPHRASE",
    help: "passphrase of the private key that signs, also an empty one; asked for on the terminal when not set",
};
/// cosign's name for the same.
pub const COSIGN_PASSWORD: Var =
    Var { name: "COSIGN_PASSWORD", help: "the same, as cosign calls it; IMGBUILD_KEY_PASSPHRASE goes before it" };
/// The identity token of a CI job.
pub const SIGSTORE_ID_TOKEN: Var =
    Var { name: "SIGSTORE_ID_TOKEN", help: "identity token of a CI job; keys identity tells who it would sign as" };
/// Marks the children of one run, so that a later run can find what a killed one left behind.
pub const IMGBUILD_RUN: Var =
    Var { name: "IMGBUILD_RUN", help: "set by imgbuild for the programs it runs; names the run they belong to" };
/// Log filter.
pub const IMGBUILD_LOG: Var =
    Var { name: "IMGBUILD_LOG", help: "what to log to standard error, as tracing filter directives" };
/// GitLab's mark of a CI job.
pub const GITLAB_CI: Var =
    Var { name: "GITLAB_CI", help: "set by GitLab runners: progress then folds into log sections" };
/// GitLab's address of the project of a job.
pub const CI_PROJECT_URL: Var =
    Var { name: "CI_PROJECT_URL", help: "set by GitLab runners: names the builder and the repository in provenance" };
/// GitLab's number of the runner of a job.
pub const CI_RUNNER_ID: Var =
    Var { name: "CI_RUNNER_ID", help: "set by GitLab runners: names the builder in provenance" };
/// GitLab's address of a job.
pub const CI_JOB_URL: Var = Var { name: "CI_JOB_URL", help: "set by GitLab runners: names the run in provenance" };
/// Colour opt-out, <https://no-color.org>.
pub const NO_COLOR: Var = Var { name: "NO_COLOR", help: "no colour in messages when set and not empty" };
/// Where docker keeps registry logins.
pub const DOCKER_CONFIG: Var =
    Var { name: "DOCKER_CONFIG", help: "folder of docker's config.json with registry logins" };
/// Where podman, buildah and skopeo keep registry logins.
pub const REGISTRY_AUTH_FILE: Var =
    Var { name: "REGISTRY_AUTH_FILE", help: "containers-auth.json(5) file with registry logins" };
/// The user's run-time folder, where podman keeps its logins.
pub const XDG_RUNTIME_DIR: Var = Var { name: "XDG_RUNTIME_DIR", help: "where podman's default login file lies" };
/// Home folder.
pub const HOME: Var = Var { name: "HOME", help: "where docker's default login file lies" };
/// Where temporary files go.
pub const TMPDIR: Var = Var { name: "TMPDIR", help: "where images are read outside a project; /tmp when not set" };
/// Program search path.
pub const PATH: Var = Var { name: "PATH", help: "where external programs are looked up" };

/// All variables, in the order of the manual page.
pub const ALL: &[Var] = &[
    SOURCE_DATE_EPOCH,
    IMGBUILD_STORE,
    IMGBUILD_SETUP_ROOT,
    IMGBUILD_KEY_PASSPHRASE,
    COSIGN_PASSWORD,
    SIGSTORE_ID_TOKEN,
    IMGBUILD_RUN,
    IMGBUILD_LOG,
    GITLAB_CI,
    CI_PROJECT_URL,
    CI_RUNNER_ID,
    CI_JOB_URL,
    NO_COLOR,
    DOCKER_CONFIG,
    REGISTRY_AUTH_FILE,
    XDG_RUNTIME_DIR,
    HOME,
    TMPDIR,
    PATH,
];

impl Var {
    /// The value, when set and not empty.
    pub fn get_os(self) -> Option<OsString> {
        #[expect(clippy::disallowed_methods, reason = "this table is the one place that reads the environment")]
        std::env::var_os(self.name).filter(|value| !value.is_empty())
    }

    /// The value, when set; for a passphrase an empty one is a value, too.
    pub fn get_even_empty(self) -> Option<OsString> {
        #[expect(clippy::disallowed_methods, reason = "this table is the one place that reads the environment")]
        std::env::var_os(self.name)
    }

    /// The value as text, when set, not empty and UTF-8.
    pub fn get(self) -> Option<String> {
        self.get_os()?.into_string().ok()
    }
}
