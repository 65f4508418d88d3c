//! The Containerfile of a tier-2 image, as text, and the scripts it runs.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use crate::model::{KernelRelease, KmodSetName, SourceDateEpoch, TierName};

/// What buildah is asked to build.
#[derive(Debug, Clone)]
pub struct Tier2Stages<'a> {
    /// Name of the image.
    pub name: &'a TierName,
    /// The image it stands on, for people: `tier1/debian@sha256:…`.
    pub base_name: &'a str,
    /// The one kernel.
    pub kernel: &'a KernelRelease,
    /// The base's kernel, where it is replaced.
    pub swap_from: Option<&'a KernelRelease>,
    /// Time that reaches the image.
    pub epoch: SourceDateEpoch,
    /// Module sets, in the order of the definition.
    pub sets: &'a [SetStage<'a>],
    /// Whether packages are installed in the image.
    pub install: bool,
    /// Whether modules are signed.
    pub signed: bool,
}

/// One module set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetStage<'a> {
    /// Name of the set.
    pub name: &'a KmodSetName,
    /// Name of the DKMS module.
    pub dkms: &'a str,
}

/// What differs between families of distributions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageKit {
    /// Prepares `/var` at the beginning of a stage.
    pub enter: &'static str,
    /// Installs the packages of one repository: `install.sh REPOSITORY`.
    pub install: &'static str,
    /// Replaces the kernel: `swap.sh REPOSITORY OLD NEW`.
    pub swap: &'static str,
    /// Lists the files of an installed package: `owned.sh PACKAGE`.
    pub owned: &'static str,
    /// What the package manager and the packages' scripts see in their environment.
    pub arguments: &'static [(&'static str, &'static str)],
}

/// Debian and its derivatives.
pub const APT: StageKit = StageKit {
    enter: include_str!("../../templates/tier2/apt/enter.sh"),
    install: include_str!("../../templates/tier2/apt/install.sh"),
    swap: include_str!("../../templates/tier2/apt/swap.sh"),
    owned: include_str!("../../templates/tier2/apt/owned.sh"),
    arguments: &[
        ("DEBIAN_FRONTEND", "noninteractive"),
        // The initramfs is made once, at the end.
        ("INITRD", "No"),
        ("KERNEL_INSTALL_BYPASS", "1"),
    ],
};

/// Fedora, CentOS and their derivatives.
pub const DNF: StageKit = StageKit {
    enter: include_str!("../../templates/tier2/dnf/enter.sh"),
    install: include_str!("../../templates/tier2/dnf/install.sh"),
    swap: include_str!("../../templates/tier2/dnf/swap.sh"),
    owned: include_str!("../../templates/tier2/dnf/owned.sh"),
    arguments: &[
        // The initramfs is made once, at the end, and there is no boot loader to tell about kernels.
        ("KERNEL_INSTALL_BYPASS", "1"),
    ],
};

/// Where stages see the folder of inputs, read-only.
pub const INPUTS: &str = "/run/imgbuild";

/// The stage that is the image.
pub const IMAGE_TARGET: &str = "image";

/// The final stage's packages, below [`INPUTS`].
pub const IMAGE_REPOSITORY: &str = "image/repo";

/// The packages of a kernel that replaces the base's, below [`INPUTS`].
pub const KERNEL_REPOSITORY: &str = "kernel/repo";

/// The stage that hands out a set's files.
pub fn files_target(set: &KmodSetName) -> String {
    format!("files-{set}")
}

/// A set's builder packages, below [`INPUTS`].
pub fn set_repository(set: &KmodSetName) -> String {
    format!("kmods/{set}/repo")
}

/// Where the list of what to collect goes ([`wanted`](super::wanted())), below [`INPUTS`].
pub fn wanted_path(set: &KmodSetName) -> String {
    format!("kmods/{set}/wanted")
}

/// The secret with the private key that signs modules, as buildah knows it.
pub const KEY_ID: &str = "module-key";

/// Where stages find the certificate that goes with the key.
pub const CERTIFICATE: &str = "/run/imgbuild/signing/certificate";

/// A script that stages find in `/run/imgbuild/scripts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputScript {
    /// Its name in that folder.
    pub name: &'static str,
    /// Its text.
    pub content: &'static str,
}

impl StageKit {
    /// All scripts the Containerfile runs.
    pub const fn scripts(&self) -> [InputScript; 9] {
        const fn script(name: &'static str, content: &'static str) -> InputScript {
            InputScript { name, content }
        }
        [
            script("collect.sh", include_str!("../../templates/tier2/collect.sh")),
            script("dkms-setup.sh", include_str!("../../templates/tier2/dkms-setup.sh")),
            script("dkms.sh", include_str!("../../templates/tier2/dkms.sh")),
            script("enter.sh", self.enter),
            script("finish.sh", include_str!("../../templates/tier2/finish.sh")),
            script("install.sh", self.install),
            script("modules.sh", include_str!("../../templates/tier2/modules.sh")),
            script("owned.sh", self.owned),
            script("swap.sh", self.swap),
        ]
    }
}

/// A Containerfile that could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum RenderError {
    /// A name would be read by the shell as something else.
    #[error("`{value}` cannot stand in a Containerfile: use letters, digits, `.`, `_`, `+` and `-`")]
    Word { value: String },
    /// The compiled-in template is wrong: a mistake in imgbuild.
    #[error("the template of the Containerfile is wrong; this is a mistake in imgbuild")]
    Template(#[from] minijinja::Error),
}

/// The template's view of [`Tier2Stages`].
#[derive(Debug, Serialize)]
struct Context<'a> {
    name: &'a TierName,
    base_name: &'a str,
    kernel: &'a KernelRelease,
    swap_from: Option<&'a KernelRelease>,
    kernel_repository: &'a str,
    sets: &'a [SetStage<'a>],
    install: bool,
    signed: bool,
    key_id: &'a str,
    certificate: &'a str,
    arguments: Vec<Argument<'a>>,
}

#[derive(Debug, Serialize)]
struct Argument<'a> {
    name: &'a str,
    value: String,
}

/// Writes the Containerfile: for each set the targets `build-SET` and `files-SET`, and the target `image`.
///
/// It reads the argument `BASE`, the id of the base in the container storage;
/// everything else is in the text, which is the same before and after a build.
/// Folders in the context's `kmods/SET` must have mode 0755: COPY gives the
/// mode of each to the folder of that name in the image, also to `/usr`.
///
/// # Errors
/// When a name could be misread, or the template is wrong.
pub fn render(stages: &Tier2Stages<'_>, kit: &StageKit) -> Result<String, RenderError> {
    for set in stages.sets {
        plain_word(set.dkms)?;
    }
    let lines = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build()?;
    let mut environment = Environment::new();
    environment.set_syntax(lines);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let template = include_str!("../../templates/tier2/Containerfile.j2");
    let context = Context {
        name: stages.name,
        // One line of a comment, whatever it holds.
        base_name: stages.base_name.lines().next().unwrap_or_default(),
        kernel: stages.kernel,
        swap_from: stages.swap_from,
        kernel_repository: KERNEL_REPOSITORY,
        sets: stages.sets,
        install: stages.install,
        signed: stages.signed,
        key_id: KEY_ID,
        certificate: CERTIFICATE,
        arguments: arguments(stages.epoch, kit),
    };
    Ok(environment.render_str(template, Serde(context))?)
}

/// ARG, not ENV: what a build step sees must not stay in the image's configuration.
fn arguments(epoch: SourceDateEpoch, kit: &StageKit) -> Vec<Argument<'static>> {
    let common = [
        ("SOURCE_DATE_EPOCH", epoch.as_secs().to_string()),
        ("LC_ALL", "C.UTF-8".to_owned()),
        ("TZ", "UTC".to_owned()),
    ];
    let own = kit.arguments.iter().map(|&(name, value)| (name, value.to_owned()));
    common.into_iter().chain(own).map(|(name, value)| Argument { name, value }).collect()
}

/// Names of tiers, sets and kernels were checked when they were read; the DKMS name comes from a manifest as it is.
fn plain_word(value: &str) -> Result<(), RenderError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '+' | '-');
    if !value.is_empty() && !value.starts_with('-') && value.chars().all(plain) {
        Ok(())
    } else {
        Err(RenderError::Word { value: value.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(sets: &[(&str, &str)], install: bool, signed: bool) -> Result<String, RenderError> {
        rendered_with(sets, install, signed, None)
    }

    fn rendered_with(
        sets: &[(&str, &str)],
        install: bool,
        signed: bool,
        swap_from: Option<&str>,
    ) -> Result<String, RenderError> {
        let swap_from: Option<KernelRelease> = swap_from.map(|release| release.parse().unwrap());
        let names: Vec<KmodSetName> = sets.iter().map(|(name, _)| name.parse().unwrap()).collect();
        let sets: Vec<_> = names.iter().zip(sets).map(|(name, (_, dkms))| SetStage { name, dkms }).collect();
        let stages = Tier2Stages {
            name: &"edge".parse().unwrap(),
            base_name: "tier1/debian",
            kernel: &"6.12.117+deb13-cloud-amd64".parse().unwrap(),
            swap_from: swap_from.as_ref(),
            epoch: SourceDateEpoch::from_secs(1_760_000_000),
            sets: &sets,
            install,
            signed,
        };
        render(&stages, &APT)
    }

    #[test]
    fn one_set_without_a_key() {
        insta::assert_snapshot!(rendered(&[("jool", "jool")], true, false).unwrap());
    }

    #[test]
    fn two_sets_with_a_key_and_no_packages() {
        insta::assert_snapshot!(rendered(&[("jool", "jool"), ("acpi-call", "acpi_call")], false, true).unwrap());
    }

    #[test]
    fn every_stage_begins_with_the_new_kernel() {
        let text = rendered_with(&[("jool", "jool")], true, false, Some("6.12.94+deb13-cloud-amd64")).unwrap();
        let swap = "swap.sh kernel/repo 6.12.94+deb13-cloud-amd64 6.12.117+deb13-cloud-amd64\n";
        for stage in text.split("\nFROM ${BASE} AS ").skip(1) {
            let runs: Vec<_> = stage.lines().filter(|line| line.starts_with("RUN ")).collect();
            assert!(runs[0].ends_with("enter.sh") && runs[1].ends_with(swap.trim_end()), "{stage}");
        }
        assert_eq!(text.matches(swap).count(), 2);
    }

    #[test]
    fn every_script_that_is_run_is_there_and_the_other_way_round() {
        let text = rendered_with(&[("jool", "jool")], true, true, Some("6.12.94+deb13-cloud-amd64")).unwrap();
        for script in APT.scripts() {
            // owned.sh is run by collect.sh.
            let run = text.contains(&format!("scripts/{} ", script.name))
                || text.contains(&format!("scripts/{}\n", script.name));
            assert!(run || script.name == "owned.sh", "{}", script.name);
        }
        for line in text.lines().filter(|line| line.starts_with("RUN ")) {
            let name = line.split("scripts/").nth(1).unwrap().split(' ').next().unwrap();
            assert!(APT.scripts().iter().any(|script| script.name == name), "{line}");
        }
    }

    #[test]
    fn paths_and_targets_are_those_in_the_text() {
        let text = rendered(&[("jool", "jool")], true, true).unwrap();
        let set = "jool".parse().unwrap();
        for wanted in [
            format!("FROM scratch AS {}\n", files_target(&set)),
            format!(" AS {IMAGE_TARGET}\n"),
            format!("install.sh {}\n", set_repository(&set)),
            format!("install.sh {IMAGE_REPOSITORY}\n"),
            format!("{INPUTS}/scripts/"),
        ] {
            assert!(text.contains(&wanted), "{wanted}");
        }
        let collect = include_str!("../../templates/tier2/collect.sh");
        assert!(collect.contains(&format!("{INPUTS}/{}", wanted_path(&set).replace("jool", "$1"))));
        assert!(CERTIFICATE.starts_with(INPUTS));
    }

    #[test]
    fn a_name_that_the_shell_would_read_is_refused() {
        for dkms in ["a b", "$(x)", "", "-x", "a;b", "a\nRUN x"] {
            assert!(matches!(rendered(&[("x", dkms)], true, false), Err(RenderError::Word { .. })), "{dkms:?}");
        }
    }
}
