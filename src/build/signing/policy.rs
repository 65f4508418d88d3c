//! A host's policy: made from the definition, and tried out.

use std::io::Read as _;

use cap_std::fs_utf8::camino::Utf8Path;
use serde::Serialize;

use super::error::SigningError;
use super::keys;
use crate::build::error::io;
use crate::build::{BuildError, Project};
use crate::config;
use crate::sign::PublicKey;
use crate::sign::policy::{
    HostFile, POLICY_PATH, Policy, Requirement, Target, Trust, TrustPolicy, decide, parse_policy,
};
use crate::sys::dirs;

/// No policy is larger.
const LIMIT: u64 = 8 << 20;

/// What a host would do with an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Answer {
    /// As it was asked for.
    pub image: String,
    /// The rule that decides.
    pub rule: String,
    /// What the rule asks for.
    pub requirements: Vec<Requirement>,
    /// Whether any image passes, none does, or signed ones.
    pub verdict: Verdict,
}

/// What a rule lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every image.
    Anything,
    /// Images signed as the requirements say.
    Signed,
    /// No image.
    Nothing,
}

/// The files that make a host obey the definition's `[policy]`; none where there is no such table.
///
/// # Errors
/// When a key cannot be read.
pub fn host_files(project: &Project) -> Result<Vec<HostFile>, BuildError> {
    let root = &project.definition.project;
    let (Some(policy), Some(publish)) = (&root.policy, &root.publish) else { return Ok(Vec::new()) };
    let trust = trust_policy(project, policy, publish)?;
    let files = trust.files();
    // One thing that the host's parser does not know would make every pull fail.
    let text = files.iter().find(|file| file.path == POLICY_PATH).map_or("", |file| file.content.as_str());
    parse_policy(text.as_bytes()).map_err(SigningError::OwnPolicy)?;
    Ok(files)
}

/// The files, where a policy was asked for by name.
///
/// # Errors
/// As for [`host_files`]; also when the definition has none.
pub fn render(project: &Project) -> Result<Vec<HostFile>, BuildError> {
    let files = host_files(project)?;
    if files.is_empty() { Err(SigningError::NoPolicy.into()) } else { Ok(files) }
}

fn trust_policy(
    project: &Project,
    policy: &config::Policy,
    publish: &config::Publish,
) -> Result<TrustPolicy, BuildError> {
    let mut scopes = std::collections::BTreeMap::new();
    for allow in &policy.allow {
        let trust = if allow.unsigned {
            Trust::Unsigned
        } else {
            Trust::Signed { keys: load_keys(project, &allow.keys)?, mirrors: allow.mirrors.clone() }
        };
        scopes.insert(allow.repository.clone(), trust);
    }
    let own = Trust::Signed { keys: load_keys(project, &policy.keys)?, mirrors: None };
    scopes.insert(publish.to.clone(), own);
    let open_transports = policy.open_transports.iter().map(|open| open.name().to_owned()).collect();
    Ok(TrustPolicy { scopes, open_transports, bootc: policy.bootc })
}

fn load_keys(project: &Project, paths: &[String]) -> Result<Vec<PublicKey>, BuildError> {
    paths.iter().map(|path| keys::public_key(&project.resolve(path), &project.read(path)?)).collect()
}

/// Reads a policy from a file.
///
/// # Errors
/// When hosts could not read it either.
pub(super) fn load_policy(path: &Utf8Path) -> Result<Policy, BuildError> {
    let mut bytes = Vec::new();
    let file = dirs::open_file(path).map_err(io("opening the policy", path))?;
    file.take(LIMIT).read_to_end(&mut bytes).map_err(io("reading the policy", path))?;
    Ok(parse_policy(&bytes).map_err(|source| SigningError::Policy { path: path.to_owned(), source })?)
}

/// What a host would do with `image`, named as containers-transports(5) does: by the policy in a file, else by the one
/// the definition makes.
///
/// # Errors
/// When there is no policy, or it or the image's name cannot be read.
pub fn test(project: Option<&Project>, file: Option<&Utf8Path>, image: &str) -> Result<Answer, BuildError> {
    let policy = match (file, project) {
        (Some(path), _) => load_policy(path)?,
        (None, Some(project)) => {
            let files = render(project)?;
            let text = files.iter().find(|file| file.path == POLICY_PATH).map_or("", |file| file.content.as_str());
            parse_policy(text.as_bytes()).map_err(SigningError::OwnPolicy)?
        }
        (None, None) => return Err(SigningError::NoPolicy.into()),
    };
    let target: Target = image.parse().map_err(SigningError::Target)?;
    let decision = decide(&policy, &target);
    let verdict = verdict(decision.requirements);
    let requirements = decision.requirements.clone();
    Ok(Answer { image: image.to_owned(), rule: decision.rule, requirements, verdict })
}

/// All requirements must be fulfilled: the hardest decides.
fn verdict(requirements: &[Requirement]) -> Verdict {
    let is_none = |wanted: &Requirement| matches!(wanted, Requirement::Reject {} | Requirement::SignedBaseLayer { .. });
    if requirements.iter().any(is_none) {
        Verdict::Nothing
    } else if requirements.iter().all(|wanted| matches!(wanted, Requirement::InsecureAcceptAnything {})) {
        Verdict::Anything
    } else {
        Verdict::Signed
    }
}
