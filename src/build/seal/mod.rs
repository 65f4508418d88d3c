//! Sealing: an image that boots from one signed file and proves every byte it reads.
//!
//! Two layers are added. The first takes kernel and initramfs away, signs the boot loader and brings the files to
//! enrol the key with; what is then mounted has an id. The second has the signed unified kernel whose command line
//! names that id; it lies in `/boot`, which is not mounted, and so does not change it.
//!
//! The private key is read, used and forgotten: no layer, no lock and no log has it.

mod error;
mod selected;

use std::collections::BTreeMap;
use std::io::Read as _;

use cap_std::fs_utf8::camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

pub use error::SealError;
pub(super) use selected::{check_keys, seal_selected};

use super::chain::{self, Built};
use super::error::io;
use super::{BuildError, Session, disk, images};
use crate::disk::boot::{Bootable, ComposefsArgument, ComposefsId, INITRAMFS_FILES, Kind, SealPlan, Survey};
use crate::disk::composefs::{
    ComposefsError, CrateWriter, ErofsVersion, Formats, NoSink, RepositoryOptions, write_repository,
};
use crate::disk::uki::{Certificate, EnrolmentFile, Pe, SigningKey, UnifyParts, enrolment, sign, unify, verify};
use crate::disk::verity::Trees;
use crate::model::{ImageLocator, Karg, Machine, SourceDateEpoch};
use crate::oci::layer::{Metadata, Mtime, WrittenLayer};
use crate::oci::tree::Selection;
use crate::oci::{Image, ImageBuilder, ImageTree, Initramfs, LayerSource, Layout};
use crate::plan;
use crate::sys::clock::Stopwatch;
use crate::sys::dirs;

/// Annotation with the composefs id that a sealed image's unified kernel names.
pub(super) const SEALED: &str = "dev.imgbuild.sealed";

/// No key and no certificate is larger.
const MAX_KEY: u64 = 1 << 20;
/// No kernel and no initramfs is larger.
const MAX_FILE: u64 = 1 << 30;

/// What is to be sealed.
#[derive(Debug, Clone)]
pub struct SealRequest {
    /// The image, in the store.
    pub image: ImageLocator,
    /// Who seals it.
    pub with: SealWith,
    /// Name of the sealed image; `sealed/` and the image's own when absent.
    pub name: Option<String>,
}

/// Who seals, and how it boots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealWith {
    /// File with the private key, in PEM.
    pub key: Utf8PathBuf,
    /// File with its certificate, in PEM.
    pub certificate: Utf8PathBuf,
    /// Kernel arguments besides the image's own.
    pub kargs: Vec<Karg>,
}

/// An image that was sealed.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Sealed {
    /// The image that was made, or kept.
    #[serde(flatten)]
    pub built: Built,
    /// The image that was sealed.
    pub base: String,
    /// What the unified kernel boots.
    pub composefs: String,
    /// Whose certificate verifies it.
    pub signer: String,
    /// The kernel's command line, which nobody can change any more.
    pub command_line: String,
}

/// Seals an image of the store.
///
/// # Errors
/// [`SealError`] when key and certificate do not do or the image cannot be sealed; others when it cannot be read or
/// written. Nothing has its name then.
pub fn seal(session: &Session, request: &SealRequest) -> Result<Sealed, BuildError> {
    let ImageLocator::Store(base) = &request.image else {
        return Err(SealError::NotInStore { image: request.image.to_string() }.into());
    };
    let name = request.name.clone().unwrap_or_else(|| format!("{}{base}", plan::SEALED));
    if name == *base {
        return Err(SealError::SameName { name }.into());
    }
    let key = load_key(&request.with)?;
    let (layout, image) = images::open(session, &request.image)?;
    let sealing = Sealing { session, layout: &layout, base, image: &image, key: &key, kargs: &request.with.kargs };
    sealing.run(&name)
}

fn load_key(with: &SealWith) -> Result<SigningKey, BuildError> {
    let failed = |path: &Utf8Path| {
        let path = path.to_owned();
        move |source| SealError::Key { path, source }
    };
    let certificate = Certificate::from_pem(&read(&with.certificate)?).map_err(failed(&with.certificate))?;
    Ok(SigningKey::from_pem(&read(&with.key)?, certificate).map_err(failed(&with.key))?)
}

fn read(path: &Utf8Path) -> Result<Vec<u8>, BuildError> {
    let mut bytes = Vec::new();
    let file = dirs::open_file(path).map_err(io("opening", path))?;
    file.take(MAX_KEY).read_to_end(&mut bytes).map_err(io("reading", path))?;
    Ok(bytes)
}

/// The id of what of an image is mounted, computed from its layers.
///
/// # Errors
/// When they cannot be read, or it is no image to be mounted.
pub(super) fn composefs_id(image: &Image, layers: &dyn LayerSource) -> Result<ComposefsId, ComposefsError> {
    let nothing = |_: &[u8]| false;
    let options = RepositoryOptions { formats: Formats::V1, trees: Trees::Drop, keep: &nothing, tags: Vec::new() };
    let repository = write_repository(image, layers, &CrateWriter, &options, &mut NoSink)?;
    let id = repository.ids[&ErofsVersion::V1].to_string();
    Ok(id.parse().expect("a digest of 128 hexadecimal digits"))
}

struct Sealing<'s> {
    session: &'s Session,
    layout: &'s Layout,
    base: &'s str,
    image: &'s Image,
    key: &'s SigningKey,
    kargs: &'s [Karg],
}

type Files = BTreeMap<Vec<u8>, Vec<u8>>;

/// What is known once the image was read.
struct Prepared {
    tree: ImageTree,
    plan: SealPlan,
    bootable: Bootable,
    files: Files,
}

impl Sealing<'_> {
    fn run(&self, name: &str) -> Result<Sealed, BuildError> {
        let watch = Stopwatch::start();
        let inputs = self.inputs();
        if let Some(image) = chain::reusable(self.session, self.layout, name, &inputs)? {
            return self.kept(name, &image, &watch);
        }
        let step = self.session.step(format!("seal {}", self.base))?;
        let Prepared { mut tree, plan, bootable, files } = self.prepare()?;
        let builder = ImageBuilder::on(self.image, self.time()).base_name(self.base);
        let exchanged = self.layer(self.image, &mut tree, |tree| self.exchange(tree, &plan, &files))?;
        let builder = builder.layer(&exchanged, "imgbuild seal: no loose kernel, a signed boot loader");
        let without = self.unnamed(&builder)?;
        let id = self.id(&without)?;
        let line = bootable.sealed_options(&id, self.kargs);
        let unified = self.unify(&plan, &files, &line)?;
        let mut tree = chain::tree_of(&without.layer_source(self.layout, chain::limits()))?;
        let kernel = self.layer(&without, &mut tree, |tree| {
            tree.insert_file(&plan.unified, unified, self.metadata(0o644)).map(drop).map_err(Into::into)
        })?;
        let builder = builder.layer(&kernel, "imgbuild seal: a unified kernel").annotation(SEALED, id.to_string());
        // It gets its name once its id turns out to be the one that its kernel names.
        let found = self.id(&self.unnamed(&builder)?)?;
        if found != id {
            return Err(SealError::IdMoved { expected: id, found }.into());
        }
        let sealed = chain::finish(self.session, self.layout, name, builder, &inputs)?;
        step.finish(sealed.digest().to_string());
        self.told(Built::of(name, &sealed, watch.elapsed(), false), &id, line)
    }

    /// An image that was sealed with the same before.
    fn kept(&self, name: &str, image: &Image, watch: &Stopwatch) -> Result<Sealed, BuildError> {
        let layers = image.layer_source(self.layout, chain::limits());
        let tree = chain::tree_of(&layers)?;
        let unsealed = || SealError::Unified { image: name.to_owned() };
        let survey = Survey::of(&tree, self.machine()?);
        let path = survey.uki().ok_or_else(unsealed)?;
        let program = tree.read_file(&layers, path, MAX_FILE)?;
        let line = Pe::parse(&program).ok().and_then(|program| program.section(".cmdline")).ok_or_else(unsealed)?;
        let line = String::from_utf8_lossy(line).into_owned();
        let id = ComposefsArgument::find(&line).ok_or_else(unsealed)?.id;
        self.told(Built::of(name, image, watch.elapsed(), true), &id, line)
    }

    fn machine(&self) -> Result<Machine, BuildError> {
        let parsed = self.image.config().architecture().to_string().parse();
        parsed.map_err(|source| SealError::Machine { image: self.base.to_owned(), source }.into())
    }

    /// Everything that decides the sealed image.
    fn inputs(&self) -> String {
        let kargs: Vec<_> = self.kargs.iter().map(ToString::to_string).collect();
        let certificate = self.key.certificate().fingerprint();
        chain::inputs_key(&("seal", self.image.digest().to_string(), certificate, kargs, self.time().as_secs()))
    }

    fn time(&self) -> SourceDateEpoch {
        disk::time(self.image)
    }

    fn metadata(&self, mode: u16) -> Metadata {
        let seconds = i64::try_from(self.time().as_secs()).unwrap_or_default();
        Metadata { mtime: Mtime::from_seconds(seconds), ..Metadata::with_mode(mode) }
    }

    /// Reads what sealing takes, and makes sure that the image boots.
    fn prepare(&self) -> Result<Prepared, BuildError> {
        let unsealable = |source| SealError::Unbootable { image: self.base.to_owned(), source };
        let layers = self.image.layer_source(self.layout, chain::limits());
        let tree = chain::tree_of(&layers)?;
        let survey = Survey::of(&tree, self.machine()?);
        let plan = SealPlan::new(&survey).map_err(unsealable)?;
        let mut wanted = plan.files();
        wanted.extend(survey.texts());
        let files = tree.read_files(&layers, &wanted, MAX_FILE)?;
        let initramfs = Initramfs::read(&files[&plan.initramfs], &INITRAMFS_FILES).map_err(|source| {
            let image = self.base.to_owned();
            SealError::Initramfs { image, source }
        })?;
        let bootable = Bootable::new(&survey, &files, Some(&initramfs), Kind::Composefs, None).map_err(unsealable)?;
        Ok(Prepared { tree, plan, bootable, files })
    }

    /// What is mounted: without kernel and initramfs, with a boot loader of our own signature.
    fn exchange(&self, tree: &mut ImageTree, plan: &SealPlan, files: &Files) -> Result<(), BuildError> {
        for path in [&plan.vmlinuz, &plan.initramfs] {
            tree.remove(path)?;
        }
        let loader = sign(&files[&plan.boot_loader], self.key)
            .map_err(|source| SealError::Signature { what: format!("the boot loader of `{}`", self.base), source })?;
        tree.insert_file(&plan.signed_boot_loader, loader, self.metadata(0o644))?;
        let Some(folder) = &plan.enrolment else { return Ok(()) };
        let updates = enrolment(self.key, self.time());
        let updates = updates
            .map_err(|source| SealError::Signature { what: "the files to enrol the key with".to_owned(), source })?;
        for EnrolmentFile { name, bytes } in updates {
            tree.insert_file(format!("{folder}/{name}"), bytes, self.metadata(0o644))?;
        }
        Ok(())
    }

    /// What `change` does to an image's tree, as a layer.
    fn layer(
        &self,
        image: &Image,
        tree: &mut ImageTree,
        change: impl FnOnce(&mut ImageTree) -> Result<(), BuildError>,
    ) -> Result<WrittenLayer, BuildError> {
        let layers = image.layer_source(self.layout, chain::limits());
        let before = tree.clone();
        change(tree)?;
        let changes = tree.diff(&layers, &before, &layers)?;
        chain::write_layer(self.layout, tree, Selection::Changes(&changes), &layers, self.time())
    }

    /// The image as it is so far; what has no name is gone with the next `gc`.
    fn unnamed(&self, builder: &ImageBuilder) -> Result<Image, BuildError> {
        let failed = |source| BuildError::Layout { image: self.base.to_owned(), what: "sealing", source };
        let descriptor = builder.clone().write(self.layout).map_err(failed)?;
        Ok(Image::load(self.layout, &descriptor, None)?)
    }

    fn id(&self, image: &Image) -> Result<ComposefsId, BuildError> {
        let id = composefs_id(image, &image.layer_source(self.layout, chain::limits()));
        self.session.interrupt.check()?;
        Ok(id.map_err(|source| SealError::Composefs { image: self.base.to_owned(), source })?)
    }

    fn unify(&self, plan: &SealPlan, files: &Files, line: &str) -> Result<Vec<u8>, BuildError> {
        let image = unify(&UnifyParts {
            stub: &files[&plan.stub],
            os_release: plan.os_release.as_ref().map_or(&[][..], |path| &files[path]),
            command_line: line,
            release: &plan.release,
            initramfs: &files[&plan.initramfs],
            kernel: &files[&plan.vmlinuz],
        });
        let image = image.map_err(|source| SealError::Unify { image: self.base.to_owned(), source })?;
        let signed = sign(&image, self.key).and_then(|signed| {
            // What leaves this machine is what was proven, not what was meant.
            verify(&signed, self.key.certificate()).map(|()| signed)
        });
        let what = format!("the unified kernel of `{}`", self.base);
        Ok(signed.map_err(|source| SealError::Signature { what, source })?)
    }

    fn told(&self, built: Built, id: &ComposefsId, command_line: String) -> Result<Sealed, BuildError> {
        Ok(Sealed {
            built,
            base: self.base.to_owned(),
            composefs: id.to_string(),
            signer: self.key.certificate().subject(),
            command_line,
        })
    }
}
