//! Everything that is checked of a finished image, by one function for `check` and for builds.

mod leftovers;
mod packages;
mod report;
mod scan;
mod seal;

use std::{panic, thread};

use cap_std::fs_utf8::camino::{Utf8Path, Utf8PathBuf};
use oci_spec::image::Digest;

use super::audit::{Event, Verb};
use super::error::io;
pub use super::verify::Reported;
pub(super) use super::verify::report::counted;
use super::verify::{self, Asked, KernelReport, Material};
use super::{BuildError, Project, Session, chain, images};
use crate::config::{Allow, AllowFile, Family, KmodSet, Tier2};
use crate::kmod::{Allowances, Allowed, Certificate, Code, SignaturePolicy, Symvers};
use crate::lint::{self, LintFacts};
use crate::model::{HostName, ImageLocator, TierName};
use crate::oci::{BASE_DIGEST, Image, ImageTree, LayerSource, Layout};
use crate::plan;
use crate::sys::dirs;

use leftovers::Scope;
pub use report::{Area, CheckReport};
use scan::Scan;
pub(super) use seal::Code as SealCode;

/// No list of allowances is larger.
const MAX_ALLOW_FILE: u64 = 1 << 20;

/// How the history of a layer begins that imgbuild put on top of a tier-1 image.
const ABOVE_TIER1: [&str; 2] = ["imgbuild tier2:", "imgbuild tier3:"];

/// What the command line says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckSettings {
    /// Only what is above this image counts.
    pub against: Option<ImageLocator>,
    /// A file of accepted leftovers.
    pub allow_file: Option<Utf8PathBuf>,
}

/// What is known about how an image should be.
#[derive(Debug, Default)]
pub(super) struct Expected {
    allow: Vec<Allow>,
    modules: Option<Vec<String>>,
    certificates: Vec<Certificate>,
    symvers: Option<Symvers>,
}

impl Expected {
    /// What the definition says about a tier-2 image, or of a host on it.
    ///
    /// # Errors
    /// When the certificate cannot be read.
    pub(super) fn of_tier2(project: &Project, name: &TierName) -> Result<Self, BuildError> {
        let tier = &project.definition.tier2[name];
        let certificate = tier.signing.as_ref().map(|signing| project.resolve(&signing.certificate));
        let certificates = certificate.iter().map(|path| verify::load_certificate(path)).collect::<Result<_, _>>()?;
        let modules = Some(modules_of(project, tier));
        Ok(Self { allow: tier.allow.clone(), modules, certificates, symvers: None })
    }

    /// With the kernel's list of symbols, when the image has none itself.
    pub(super) fn symvers(self, symvers: Option<Symvers>) -> Self {
        Self { symvers, ..self }
    }

    fn allowances(&self) -> Result<Allowances, BuildError> {
        Ok(Allowances::new(self.allow.iter().map(allowed))?)
    }
}

/// An entry of the definition as the check takes it.
pub(super) fn allowed(allow: &Allow) -> Allowed {
    Allowed { pattern: allow.pattern.clone(), reason: allow.reason.clone() }
}

fn modules_of(project: &Project, tier: &Tier2) -> Vec<String> {
    let family: Family = project.definition.tier1[&tier.base].family();
    let sets = tier.modules.iter().map(|set| &project.definition.kmods[set]);
    let names = |set: &KmodSet| {
        set.verify.modules.iter().map(|module| set.built_name(family, module).to_string()).collect::<Vec<_>>()
    };
    sets.flat_map(names).collect()
}

/// An image to be examined.
pub(super) struct Subject<'a> {
    pub(super) name: &'a str,
    pub(super) image: &'a Image,
    /// Its layers.
    pub(super) layers: &'a dyn LayerSource,
    /// The first so many layers are the base's.
    pub(super) base_layers: usize,
    /// Whether private keys in those count as well.
    pub(super) keys_of_base: bool,
    pub(super) expected: &'a Expected,
}

/// What was found in an image.
#[derive(Debug)]
pub(super) struct Examined {
    pub(super) kernels: Vec<KernelReport>,
    pub(super) findings: Vec<Reported>,
    /// Whether the base would boot, as far as it matters: it is only asked where the image would not.
    base_boots: bool,
}

impl Examined {
    /// What must not be published.
    pub(super) fn failures(&self) -> Vec<Reported> {
        self.findings.iter().filter(|finding| finding.fails()).cloned().collect()
    }

    /// What must not be published and is not the base's affair: nothing above makes a base boot that does not.
    pub(super) fn own_failures(&self) -> Vec<Reported> {
        let is_own = |finding: &Reported| self.base_boots || Area::of(finding.code) != Area::Boot;
        self.failures().into_iter().filter(is_own).collect()
    }

    /// What is worth knowing, a line each.
    pub(super) fn notes(&self) -> impl Iterator<Item = String> {
        let notes = self.findings.iter().filter(|finding| !finding.fails());
        notes.map(|finding| match &finding.allowed {
            Some(reason) => format!("{} {}: {}; allowed: {reason}", finding.code, finding.subject, finding.message),
            None => format!("{} {}: {}", finding.code, finding.subject, finding.message),
        })
    }

    /// What was proven, in one line.
    pub(super) fn proof(&self) -> String {
        self.kernels.iter().map(KernelReport::summary).collect::<Vec<_>>().join("; ")
    }
}

/// Checks an image, from wherever it is. `project` is the one it may have been built from.
///
/// # Errors
/// When it cannot be found or read, or a list of allowances has errors. What is wrong with it is in the report.
pub fn image(
    session: &Session,
    project: Option<&Project>,
    locator: &ImageLocator,
    settings: &CheckSettings,
) -> Result<CheckReport, BuildError> {
    let name = locator.to_string();
    let mut expected = match project.and_then(|project| Some((project, tier2_of(project, locator)?))) {
        Some((project, tier)) => Expected::of_tier2(project, &tier)?,
        None => Expected::default(),
    };
    if let Some(path) = &settings.allow_file {
        expected.allow.extend(load_allow_file(path)?);
    }
    let step = session.step(format!("read {name}"))?;
    let (layout, image) = images::open(session, locator)?;
    let base = match &settings.against {
        Some(base) => Base::given(&image, &images::open(session, base)?.1, base)?,
        None => Base::own(&layout, &image)?,
    };
    step.finish("");
    let step = session.step(format!("check {name}"))?;
    let examined = examine(
        session,
        &Subject {
            name: &name,
            image: &image,
            layers: &image.layer_source(&layout, chain::limits()),
            base_layers: base.layers,
            keys_of_base: settings.against.is_none(),
            expected: &expected,
        },
    )?;
    let report = CheckReport::new(&name, &image, base.told, examined);
    step.finish(report.summary());
    Ok(report)
}

/// Examines an image that was just written, before it gets its name.
///
/// # Errors
/// When it cannot be read, or anything about it that is not its base's affair must not be published.
pub(super) fn gate(session: &Session, subject: &Subject<'_>) -> Result<(), BuildError> {
    let name = subject.name;
    let step = session.step(format!("verify {name}"))?;
    let examined = examine(session, subject)?;
    let notes: Vec<String> = examined.notes().collect();
    notes.iter().for_each(|note| step.note(note));
    let failures = examined.own_failures();
    if !failures.is_empty() {
        return Err(BuildError::Refused { image: name.to_owned(), findings: failures });
    }
    let detail = format!("{}; one kernel, picked files present, no build tool or key added", examined.proof());
    session.audit(Event::new(Verb::Verify, name).digest(subject.image.digest()).detail(detail))?;
    let more = match notes.len() {
        0 => String::new(),
        count => format!("; {}, see imgbuild check {name}", counted(count, "note")),
    };
    step.finish(examined.proof() + &more);
    Ok(())
}

/// Reads an image and judges it: its modules, what of a build is left in any layer, its keys, whether it boots.
///
/// # Errors
/// When it cannot be read.
pub(super) fn examine(session: &Session, subject: &Subject<'_>) -> Result<Examined, BuildError> {
    let layers = subject.layers;
    let mut scan = Scan::read(&session.interrupt, layers, subject.base_layers)?;
    // Each reads all layers once more, and neither waits for the other.
    let (mut kernels, boot) = thread::scope(|scope| {
        let boot = scope.spawn(|| judge_boot(subject, &scan));
        let material = Material::of_tree(&scan.tree, layers, &session.store.work_folder("proof")?)?;
        let kernels = prove(&material, subject.expected);
        Ok::<_, BuildError>((kernels, boot.join().unwrap_or_else(|panic| panic::resume_unwind(panic))?))
    })?;
    for kernel in &mut kernels {
        kernel.findings.retain(|finding| !is_of_base(&scan, finding));
        kernel.proven = !kernel.findings.iter().any(Reported::fails);
    }
    let mut findings: Vec<Reported> =
        kernels.iter_mut().flat_map(|kernel| std::mem::take(&mut kernel.findings)).collect();
    let mut allowances = subject.expected.allowances()?;
    let history = images::history(subject.image);
    let scope = Scope { base_layers: subject.base_layers, keys_of_base: subject.keys_of_base, history: &history };
    findings.extend(leftovers::find(session, subject.name, &mut scan, layers, scope, &mut allowances)?);
    let (judged, base_boots) = boot;
    findings.extend(judged);
    findings.extend(allowances.unused().iter().map(Reported::from));
    findings.sort();
    findings.dedup();
    Ok(Examined { kernels, findings, base_boots })
}

/// What keeps the image from booting, and whether its base would boot.
fn judge_boot(subject: &Subject<'_>, scan: &Scan) -> Result<(Vec<Reported>, bool), BuildError> {
    let layers = subject.layers;
    let facts = LintFacts::of(subject.image.config());
    let failed = |source| BuildError::Lint { image: subject.name.to_owned(), source };
    let base = (subject.base_layers > 0).then_some(&scan.base);
    let mut judged: Vec<Reported> =
        lint::lint(&scan.tree, layers, &facts, base).map_err(failed)?.iter().map(Reported::from).collect();
    judged.extend(seal::judge(subject, &scan.tree, layers)?);
    let mut base_boots = true;
    if base.is_some() && judged.iter().any(Reported::fails) {
        let of_base = lint::lint(&scan.base, layers, &facts, None).map_err(failed)?;
        base_boots = !of_base.iter().map(Reported::from).any(|finding| finding.fails());
    }
    Ok((judged, base_boots))
}

/// Whether a finding says that a module of the base is not one of ours: nobody promised that it is.
fn is_of_base(scan: &Scan, finding: &Reported) -> bool {
    let promised = [Code::ModuleUnexpected, Code::Unsigned, Code::UnknownSigner, Code::SignatureUnverifiable];
    let content = |tree: &ImageTree| tree.node(tree.resolve(&finding.subject)?).content().cloned();
    promised.iter().any(|code| code.as_str() == finding.code)
        && content(&scan.base).is_some()
        && content(&scan.base) == content(&scan.tree)
}

fn prove(material: &Material, expected: &Expected) -> Vec<KernelReport> {
    let signatures = match expected.certificates.as_slice() {
        [] => SignaturePolicy::Optional,
        some => SignaturePolicy::SignedBy(some),
    };
    let symvers = expected.symvers.as_ref();
    let asked = Asked { all: false, expected: expected.modules.as_deref(), symvers, signatures };
    verify::prove_all(material, None, asked).iter().map(KernelReport::from).collect()
}

/// The tier-2 image of the project that an image of its store is, or stands on.
fn tier2_of(project: &Project, locator: &ImageLocator) -> Option<TierName> {
    let ImageLocator::Store(name) = locator else { return None };
    // What seals an image adds nothing that the definition says anything about.
    let name = name.strip_prefix(plan::SEALED).unwrap_or(name);
    let tier = match name.split_once('/')? {
        ("tier2", tier) => tier.parse().ok()?,
        ("tier3", host) => return tier2_of_host(project, &host.parse().ok()?),
        _ => return None,
    };
    project.definition.tier2.contains_key(&tier).then_some(tier)
}

/// The tier-2 image that a host stands on.
pub(super) fn tier2_of_host(project: &Project, host: &HostName) -> Option<TierName> {
    let base = project.definition.hosts.get(host)?.base.as_ref();
    let tier = base.or(project.definition.project.base.as_ref())?;
    project.definition.tier2.contains_key(tier).then(|| tier.clone())
}

fn load_allow_file(path: &Utf8Path) -> Result<Vec<Allow>, BuildError> {
    let read = || {
        let mut text = String::new();
        let file = dirs::open_file(path)?;
        std::io::Read::read_to_string(&mut std::io::Read::take(file, MAX_ALLOW_FILE), &mut text).map(|_| text)
    };
    let text = read().map_err(io("reading", path))?;
    AllowFile::parse(&text).map_err(|source| BuildError::AllowFile { path: path.to_owned(), source: Box::new(source) })
}

/// Layers that are not this image's own.
struct Base {
    layers: usize,
    /// How that is known.
    told: Option<String>,
}

impl Base {
    /// The layers an image has in common with the one it was built on.
    fn given(image: &Image, base: &Image, locator: &ImageLocator) -> Result<Self, BuildError> {
        if !stands_on(image, base) {
            return Err(BuildError::NotOnThatBase { base: locator.to_string() });
        }
        Ok(Self { layers: base.layers().len(), told: Some(locator.to_string()) })
    }

    /// The layers of the tier-1 image an image of ours stands on: as the store has it, else as the history tells.
    fn own(layout: &Layout, image: &Image) -> Result<Self, BuildError> {
        let mut below = None;
        let mut digest = base_digest(image);
        while let Some(found) = digest.map(|digest| chain::find_digest(layout, &digest)).transpose()?.flatten() {
            digest = base_digest(&found);
            below = Some(found);
        }
        if let Some(base) = below.filter(|base| base_digest(base).is_none() && stands_on(image, base)) {
            return Ok(Self { layers: base.layers().len(), told: Some("its own tier 1".to_owned()) });
        }
        let history = images::history(image);
        let first = history.iter().position(|said| ABOVE_TIER1.iter().any(|start| said.starts_with(start)));
        Ok(match first.filter(|layers| *layers > 0 && base_digest(image).is_some()) {
            Some(layers) => Self { layers, told: Some("its own tier 1, by its history".to_owned()) },
            None => Self { layers: 0, told: None },
        })
    }
}

/// The image that an image says it was built on.
fn base_digest(image: &Image) -> Option<Digest> {
    image.manifest().annotations().as_ref()?.get(BASE_DIGEST)?.parse().ok()
}

fn stands_on(image: &Image, base: &Image) -> bool {
    let below = base.layers().iter().map(|layer| &layer.diff_id);
    base.layers().len() <= image.layers().len()
        && below.eq(image.layers().iter().map(|layer| &layer.diff_id).take(base.layers().len()))
}
