//! Which rule decides about an image, and whether its signatures fulfil it.

use serde::Serialize;

use super::super::judge::{Form, Record};
use super::document::{Identity, Policy, Requirement, Requirements, SigstoreSigned};
use super::scope::{Target, repository};
use crate::model::Reference;

/// The rule that decides about an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Decision<'p> {
    /// Where it stands: `default`, or `transports.TRANSPORT.SCOPE`.
    pub rule: String,
    /// What it asks for.
    pub requirements: &'p Requirements,
}

/// What a requirement makes of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is fulfilled.
    Accepted {
        /// Why.
        because: String,
    },
    /// It is not.
    Rejected {
        /// Why.
        because: String,
    },
}

/// Finds the rule for an image.
pub fn decide<'p>(policy: &'p Policy, target: &Target) -> Decision<'p> {
    let transport = target.transport.name();
    if let Some(scopes) = policy.transports.get(transport) {
        for scope in target.scopes().into_iter().chain([String::new()]) {
            if let Some(requirements) = scopes.get(&scope) {
                return Decision { rule: format!("transports.{transport}.\"{scope}\""), requirements };
            }
        }
    }
    Decision { rule: "default".to_owned(), requirements: &policy.default }
}

impl Decision<'_> {
    /// Whether an image fulfils all requirements of the rule. `judge` gives the records of the image as judged by the
    /// keys of one requirement, `None` where these keys cannot be had.
    ///
    /// # Errors
    /// When `judge` fails.
    pub fn evaluate<E>(
        &self,
        target: &Target,
        mut judge: impl FnMut(&SigstoreSigned) -> Result<Result<Vec<Record>, String>, E>,
    ) -> Result<Outcome, E> {
        let mut reasons = Vec::new();
        for requirement in self.requirements {
            let outcome = match requirement {
                Requirement::InsecureAcceptAnything {} => accepted("the rule accepts anything"),
                Requirement::Reject {} => rejected("the rule rejects everything"),
                Requirement::SignedBy(_) => rejected("the rule asks for an OpenPGP signature, which is not looked for"),
                Requirement::SignedBaseLayer { .. } => rejected("no reader implements signedBaseLayer"),
                Requirement::SigstoreSigned(signed) => match judge(signed)? {
                    Ok(records) => by_records(signed, target, &records),
                    Err(reason) => rejected(reason),
                },
            };
            match outcome {
                Outcome::Rejected { .. } => return Ok(outcome),
                Outcome::Accepted { because } => reasons.push(because),
            }
        }
        Ok(accepted(reasons.join("; ")))
    }
}

fn accepted(because: impl Into<String>) -> Outcome {
    Outcome::Accepted { because: because.into() }
}

fn rejected(because: impl Into<String>) -> Outcome {
    Outcome::Rejected { because: because.into() }
}

/// Only the older form counts: the readers of these policies see no bundles.
fn by_records(signed: &SigstoreSigned, target: &Target, records: &[Record]) -> Outcome {
    let wanted = signed.signed_identity.as_ref().unwrap_or(&Identity::MatchRepoDigestOrExact {});
    let mut refused = Vec::new();
    for record in records.iter().filter(|record| record.form == Form::Simple) {
        let name = record.names.first().map_or("", String::as_str);
        match &record.refused {
            Some(refusal) => refused.push(refusal.to_string()),
            None if matches_identity(wanted, target, name) => {
                let signer = record.signer.as_ref().map(ToString::to_string).unwrap_or_default();
                return accepted(format!("signed by {signer} for {name}"));
            }
            None => refused.push(format!("signed for `{name}`, which is not what the rule asks for")),
        }
    }
    match refused.as_slice() {
        [] => rejected("a signature is required, and there is none of the older form (tag sha256-….sig)"),
        reasons => rejected(format!("no signature is accepted: {}", reasons.join("; "))),
    }
}

/// containers/image, `policy_reference_match.go`.
fn matches_identity(wanted: &Identity, target: &Target, signed: &str) -> bool {
    let Ok(signed_for) = signed.parse::<Reference>() else { return false };
    // The parser adds a tag where there is none.
    let named_only = !signed.rsplit('/').next().unwrap_or_default().contains([':', '@']);
    let same_repository = |intended: &Reference| repository(intended) == repository(&signed_for);
    let same = |intended: &Reference| !named_only && intended.whole() == signed_for.whole();
    let intended = target.reference.as_ref();
    match wanted {
        Identity::MatchRepository {} => intended.is_some_and(same_repository),
        Identity::MatchExact {} => intended.is_some_and(same),
        Identity::MatchRepoDigestOrExact {} => {
            intended.is_some_and(|intended| exact_or_digest(intended, &signed_for, named_only))
        }
        Identity::ExactRepository { docker_repository } => {
            docker_repository.parse().is_ok_and(|wanted: Reference| same_repository(&wanted))
        }
        Identity::ExactReference { docker_reference } => {
            docker_reference.parse().is_ok_and(|wanted: Reference| same(&wanted))
        }
        Identity::RemapIdentity { prefix, signed_prefix } => {
            let remapped = intended.map(|intended| remap(intended, prefix, signed_prefix));
            remapped.flatten().is_some_and(|intended| exact_or_digest(&intended, &signed_for, named_only))
        }
    }
}

fn exact_or_digest(intended: &Reference, signed: &Reference, named_only: bool) -> bool {
    if named_only {
        false
    } else if intended.tag().is_some() || intended.digest().is_none() {
        intended.whole() == signed.whole()
    } else {
        repository(intended) == repository(signed)
    }
}

fn remap(intended: &Reference, prefix: &str, signed_prefix: &str) -> Option<Reference> {
    let whole = intended.whole();
    match repository(intended).strip_prefix(prefix) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => whole.replacen(prefix, signed_prefix, 1).parse().ok(),
        _ => Some(intended.clone()),
    }
}
