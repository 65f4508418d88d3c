//! What each reader of signatures would say about an image, by the rules its source shows and trials confirmed.
//!
//! They differ: cosign 2.5 sees no bundles, podman neither, and cosign 3 looks at the older form only where there is
//! no bundle of any kind. A pipeline that asks one of them proves nothing about the others.

use serde::Serialize;

use super::judge::{Form, Record, Refusal};
use super::policy::{Outcome, repository};
use crate::model::Reference;

/// A reader of signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Consumer {
    /// This program: a signature in either form, for the right repository where that is known.
    Imgbuild,
    /// cosign up to 2.5, `verify --key … --insecure-ignore-tlog`.
    Cosign2,
    /// cosign 3, the same.
    Cosign3,
    /// podman, skopeo, buildah and bootc under a policy.
    Podman,
}

impl Consumer {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Imgbuild, Self::Cosign2, Self::Cosign3, Self::Podman];

    /// As it is called on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Imgbuild => "imgbuild",
            Self::Cosign2 => "cosign2",
            Self::Cosign3 => "cosign3",
            Self::Podman => "podman",
        }
    }
}

/// What one of them says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Opinion {
    /// Who.
    pub consumer: Consumer,
    /// Whether it accepts the image.
    pub accepts: bool,
    /// Why, or why not.
    pub because: String,
}

/// What they are asked.
#[derive(Debug)]
pub struct Question<'a> {
    /// Everything beside the image, judged by the keys they are given.
    pub records: &'a [Record],
    /// The repository the image is taken from, where that is known.
    pub repository: Option<&'a str>,
    /// What the policy says, for those who obey one.
    pub policy: &'a Outcome,
}

impl Question<'_> {
    /// The answer of one of them.
    pub fn ask(&self, consumer: Consumer) -> Opinion {
        let answer = match consumer {
            Consumer::Imgbuild => self.imgbuild(),
            Consumer::Cosign2 => self.simple_only(),
            Consumer::Cosign3 => self.cosign3(),
            Consumer::Podman => match self.policy {
                Outcome::Accepted { because } => Ok(because.clone()),
                Outcome::Rejected { because } => Err(because.clone()),
            },
        };
        let accepts = answer.is_ok();
        Opinion { consumer, accepts, because: answer.unwrap_or_else(|reason| reason) }
    }

    fn imgbuild(&self) -> Result<String, String> {
        let signatures = self.records.iter().filter(|record| record.is_signature());
        let (good, bad): (Vec<_>, Vec<_>) = signatures.partition(|record| record.is_verified());
        let fits = |record: &&&Record| {
            let name = |wanted: &str| record.names.iter().any(|name| is_of(name, wanted));
            self.repository.is_none_or(|wanted| record.names.is_empty() || name(wanted))
        };
        match (good.iter().find(fits), good.first()) {
            (Some(record), _) => Ok(made_by(record)),
            (None, Some(other)) => {
                Err(format!("signed for {}, not for {}", other.names.join(", "), self.repository.unwrap_or_default()))
            }
            (None, None) => Err(reasons("there is no signature", bad.into_iter().filter_map(|it| it.refused.as_ref()))),
        }
    }

    /// cosign 2.5 knows `.sig` and asks for nothing but key and digest.
    fn simple_only(&self) -> Result<String, String> {
        let simple = || self.records.iter().filter(|record| record.form == Form::Simple);
        match simple().find(|record| record.is_verified()) {
            Some(record) => Ok(made_by(record)),
            None => {
                Err(reasons("there is no signature of the older form", simple().filter_map(|it| it.refused.as_ref())))
            }
        }
    }

    /// cosign 3 takes any bundle that verifies, also an attestation, and `.sig` only where no bundle can be read.
    fn cosign3(&self) -> Result<String, String> {
        let bundles: Vec<_> = self.records.iter().filter(|record| record.is_readable_bundle()).collect();
        if bundles.is_empty() {
            return self.simple_only();
        }
        match bundles.iter().find(|record| record.is_verified()) {
            Some(record) => Ok(made_by(record)),
            None => Err(reasons(
                "no bundle is accepted, and with bundles there the older form is not looked at",
                bundles.iter().filter_map(|record| record.refused.as_ref()),
            )),
        }
    }
}

/// Whether a signature for `name` is for this repository: podman signs with the tag, cosign without.
fn is_of(name: &str, wanted: &str) -> bool {
    let signed_for = name.parse::<Reference>().map(|found| repository(&found));
    name == wanted || signed_for.is_ok_and(|found| found == wanted)
}

fn made_by(record: &Record) -> String {
    let form = match record.form {
        Form::Simple => "signature of the older form",
        Form::Envelope => "attestation",
        Form::Bundle => "bundle",
    };
    format!("{form} by {}", record.signer.as_ref().map(ToString::to_string).unwrap_or_default())
}

fn reasons<'r>(what: &str, refused: impl Iterator<Item = &'r Refusal>) -> String {
    let mut reasons: Vec<_> = refused.map(ToString::to_string).collect();
    reasons.sort();
    reasons.dedup();
    if reasons.is_empty() { what.to_owned() } else { format!("{what}: {}", reasons.join("; ")) }
}
