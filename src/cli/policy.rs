//! `imgbuild policy`.

use cap_std::fs_utf8::camino::{Utf8Path, Utf8PathBuf};

use super::error::CliError;
use super::sign::project;
use super::{Context, exit};
use crate::build::signing::policy::{self, Verdict};

/// Show what hosts are told about whose images to run, and try it out
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Print the files that [policy] of imgbuild.toml puts into every host
    Render {
        /// Print only the file with this path on the host, byte for byte
        path: Option<String>,
    },
    /// Tell whether a host would run images of this name, and by which rule
    ///
    /// Ends with 14 when it would run none.
    Test {
        /// TRANSPORT:NAME as podman takes it, such as docker://registry.example.com/fleet/tool:1; without a transport, a registry
        image: String,
        /// A host's policy.json [default: the one that imgbuild.toml makes]
        #[arg(long, value_name = "FILE")]
        policy: Option<Utf8PathBuf>,
    },
}

impl Command {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Render { path } => render(context, path.as_deref()),
            Self::Test { image, policy } => test(context, &image, policy.as_deref()),
        }
    }
}

fn render(context: &Context, path: Option<&str>) -> Result<(), CliError> {
    let files = policy::render(&context.project()?)?;
    let Some(path) = path else {
        let by_path: std::collections::BTreeMap<_, _> =
            files.iter().map(|file| (file.path.as_str(), file.content.as_str())).collect();
        return context.print(&by_path, |out| {
            by_path.iter().try_for_each(|(path, content)| writeln!(out, "==> {path}\n{content}"))
        });
    };
    match files.iter().find(|file| file.path == path) {
        Some(file) => context.print(&file.content, |out| write!(out, "{}", file.content)),
        None => Err(CliError::new(exit::USAGE, format!("error: [policy] makes no file `{path}`"))),
    }
}

fn test(context: &Context, image: &str, file: Option<&Utf8Path>) -> Result<(), CliError> {
    let project = if file.is_some() { None } else { project(context)? };
    let answer = policy::test(project.as_ref(), file, image)?;
    let words = match answer.verdict {
        Verdict::Anything => "every image is run",
        Verdict::Signed => "images signed as the rule says are run",
        Verdict::Nothing => "no image is run",
    };
    context.print(&answer, |out| {
        writeln!(out, "{}: {words}", answer.image)?;
        writeln!(out, "rule {}", answer.rule)?;
        serde_json::to_writer_pretty(&mut *out, &answer.requirements).map_err(std::io::Error::from)?;
        writeln!(out)
    })?;
    if answer.verdict == Verdict::Nothing { Err(CliError::new(exit::SIGNATURE, "")) } else { Ok(()) }
}
