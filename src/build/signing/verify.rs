//! Verifying an image offline, and asking everybody who might.

use std::collections::BTreeMap;
use std::io::Read as _;

use cap_std::fs_utf8::camino::{Utf8Path, Utf8PathBuf};
use oci_spec::image::Digest;
use serde::Serialize;

use super::error::SigningError;
use super::policy::load_policy;
use super::{failed, keys, open, repository_of};
use crate::build::audit::{Event, Verb};
use crate::build::error::io;
use crate::build::{BuildError, Project, Session};
use crate::model::{ImageLocator, Reference};
use crate::oci::Layout;
use crate::sign::policy::{Identity, Outcome, Policy, Requirement, SigstoreSigned, Target, decide};
use crate::sign::{self, Consumer, Opinion, PublicKey, Question, Record, Signers, TrustedIdentity, WantedIdentity};
use crate::sys::dirs;

/// No trusted root is larger.
const ROOT_LIMIT: u64 = 4 << 20;

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct VerifySettings {
    /// Any of these must have signed.
    pub keys: Vec<PublicKey>,
    /// Or this identity.
    pub identity: Option<IdentityRule>,
    /// A policy as hosts have it; its keys count where no others are given.
    pub policy: Option<Utf8PathBuf>,
    /// Where the paths of keys in the policy begin: the root of a host's files.
    pub root: Utf8PathBuf,
    /// The repository or reference the image is taken from.
    pub reference: Option<String>,
    /// Who must accept it; empty stands for this program alone.
    pub consumers: Vec<Consumer>,
    /// Attestations of these types must be there.
    pub attestations: Vec<String>,
}

/// An identity that is trusted.
#[derive(Debug, Clone)]
pub struct IdentityRule {
    /// File with the authorities and logs that may vouch for it.
    pub trusted_root: Utf8PathBuf,
    /// Who.
    pub wanted: WantedIdentity,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// As it was asked for.
    pub image: String,
    /// Digest of its manifest.
    pub digest: String,
    /// The repository it is taken from, where that is known.
    pub repository: Option<String>,
    /// Everything beside it.
    pub records: Vec<Record>,
    /// What everybody says.
    pub opinions: Vec<Opinion>,
    /// Who must accept it.
    pub required: Vec<Consumer>,
    /// Attestations that must be there, and whether they are.
    pub attestations: BTreeMap<String, bool>,
}

impl Report {
    /// Whether everybody accepts it who must, and everything is attested that must be.
    pub fn is_accepted(&self) -> bool {
        let accepts = |wanted: &Consumer| self.opinions.iter().any(|said| said.consumer == *wanted && said.accepts);
        self.required.iter().all(accepts) && self.attestations.values().all(|there| *there)
    }
}

/// Verifies an image in the store or in a layout. Nothing is asked of any network.
///
/// # Errors
/// When the image, a key or the policy cannot be read. That it is not signed as asked is in the report.
pub fn verify(
    session: &Session,
    project: Option<&Project>,
    locator: &ImageLocator,
    settings: &VerifySettings,
) -> Result<Report, BuildError> {
    let step = session.step(format!("verify {locator}"))?;
    let (layout, image) = open(session, locator)?;
    let subject = Subject::new(project, locator, &layout, image.digest(), settings)?;
    let signers = subject.signers()?;
    let records = sign::judge(&layout, image.digest(), &signers).map_err(failed(locator))?;
    let outcome = subject.podman(&records)?;
    let question = Question { records: &records, repository: subject.repository.as_deref(), policy: &outcome };
    let opinions: Vec<_> = Consumer::ALL.into_iter().map(|consumer| question.ask(consumer)).collect();
    let attested = |wanted: &String| {
        let type_ = sign::predicate_type(wanted);
        let is_it = |record: &Record| record.is_verified() && record.predicate_type.as_deref() == Some(type_);
        (type_.to_owned(), records.iter().any(is_it))
    };
    let attestations = settings.attestations.iter().map(attested).collect();
    let required = match settings.consumers.as_slice() {
        [] => vec![Consumer::Imgbuild],
        named => named.to_vec(),
    };
    let digest = image.digest().to_string();
    let repository = subject.repository.clone();
    let report = Report { image: locator.to_string(), digest, repository, records, opinions, required, attestations };
    let verdict = if report.is_accepted() { "accepted" } else { "refused" };
    session.audit(Event::new(Verb::Verify, locator.to_string()).digest(image.digest()).detail(verdict))?;
    step.finish(verdict);
    Ok(report)
}

/// An image and what it is held against.
struct Subject<'a> {
    locator: &'a ImageLocator,
    layout: &'a Layout,
    image: &'a Digest,
    settings: &'a VerifySettings,
    policy: Option<Policy>,
    repository: Option<String>,
    target: Option<Target>,
}

impl<'a> Subject<'a> {
    fn new(
        project: Option<&Project>,
        locator: &'a ImageLocator,
        layout: &'a Layout,
        image: &'a Digest,
        settings: &'a VerifySettings,
    ) -> Result<Self, BuildError> {
        let given = settings.reference.as_deref();
        let reference: Option<Reference> = match given {
            Some(text) => Some(text.parse().map_err(|_| SigningError::Repository { text: text.to_owned() })?),
            None => repository_of(project, locator, None)?.and_then(|repository| repository.parse().ok()),
        };
        let repository = reference.as_ref().map(|found| format!("{}/{}", found.registry(), found.repository()));
        let target = reference.map(Target::registry);
        let policy = settings.policy.as_deref().map(load_policy).transpose()?;
        Ok(Self { locator, layout, image, settings, policy, repository, target })
    }

    fn signers(&self) -> Result<Signers, BuildError> {
        let identity = self.settings.identity.as_ref().map(load_identity).transpose()?;
        Ok(Signers { keys: self.keys()?, identity })
    }

    /// The keys given, else those of the rule that a host would go by.
    fn keys(&self) -> Result<Vec<PublicKey>, BuildError> {
        let asked = !self.settings.keys.is_empty() || self.settings.identity.is_some();
        let (Some(policy), Some(target), false) = (&self.policy, &self.target, asked) else {
            return Ok(self.settings.keys.clone());
        };
        let mut found = Vec::new();
        for requirement in decide(policy, target).requirements {
            if let Requirement::SigstoreSigned(signed) = requirement {
                found.extend(rule_keys(signed, &self.settings.root)?.unwrap_or_default());
            }
        }
        Ok(found)
    }

    /// What podman would say: by the policy, else by one that asks for these keys.
    fn podman(&self, records: &[Record]) -> Result<Outcome, BuildError> {
        // Without a name for the image, it is asked whether podman would take it under the name it was signed for.
        let signed_for = || records.iter().find(|record| record.is_verified())?.names.first()?.parse().ok();
        let Some(target) = self.target.clone().or_else(|| signed_for().map(Target::registry)) else {
            let because =
                "there is no accepted signature of the older form (tag sha256-….sig), and podman reads no other";
            return Ok(Outcome::Rejected { because: because.to_owned() });
        };
        let Some(policy) = &self.policy else {
            return strict_policy(&target, records);
        };
        decide(policy, &target).evaluate(&target, |signed| match rule_keys(signed, &self.settings.root)? {
            Ok(keys) => Ok(Ok(sign::judge(self.layout, self.image, &keys.into()).map_err(failed(self.locator))?)),
            Err(reason) => Ok(Err(reason)),
        })
    }
}

fn load_identity(rule: &IdentityRule) -> Result<TrustedIdentity, BuildError> {
    let path = &rule.trusted_root;
    let mut bytes = Vec::new();
    let file = dirs::open_file(path).map_err(io("opening the trusted root", path))?;
    file.take(ROOT_LIMIT).read_to_end(&mut bytes).map_err(io("reading the trusted root", path))?;
    let failed = |source| SigningError::Identity { path: path.clone(), source };
    Ok(TrustedIdentity::new(&bytes, rule.wanted.clone()).map_err(failed)?)
}

/// The policy that this program writes: any of the keys, for the repository the image is taken from.
fn strict_policy(target: &Target, records: &[Record]) -> Result<Outcome, BuildError> {
    let signed = SigstoreSigned { signed_identity: Some(Identity::MatchRepository {}), ..SigstoreSigned::default() };
    let requirements = vec![Requirement::SigstoreSigned(Box::new(signed))];
    let policy = Policy { default: requirements, transports: BTreeMap::new() };
    decide(&policy, target).evaluate(target, |_| Ok(Ok(records.to_vec())))
}

/// The keys of a rule; words where they are of a kind that is not verified here.
fn rule_keys(signed: &SigstoreSigned, root: &Utf8Path) -> Result<Result<Vec<PublicKey>, String>, BuildError> {
    if signed.fulcio.is_some() || signed.pki.is_some() {
        return Ok(Err("the rule asks for a certificate, which is not evaluated here".to_owned()));
    }
    let paths = signed.key_path.iter().chain(signed.key_paths.iter().flatten());
    let paths: Vec<_> = paths.map(|path| root.join(path.trim_start_matches('/'))).collect();
    let mut found = keys::load_public(&paths)?;
    for data in signed.key_data.iter().chain(signed.key_datas.iter().flatten()) {
        use base64::Engine as _;
        let pem = base64::prelude::BASE64_STANDARD.decode(data).unwrap_or_default();
        found.push(keys::public_key(Utf8Path::new("keyData"), &pem)?);
    }
    Ok(Ok(found))
}
