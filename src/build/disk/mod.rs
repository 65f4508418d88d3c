//! Disks: made from an image into a file, and looked into.

mod look;
mod output;
mod source;
mod state;
pub mod verify;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use cap_std::fs_utf8::camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::error::command;
use super::preflight::{self, Needs};
use super::{BuildError, Project, Session, chain, images, seal};
use crate::disk::ALIGNMENT;
pub use crate::disk::SectorSize;
use crate::disk::assemble::{AssembleError, AssembleRequest, Assembled, ESP_SIZE, assemble, assemble_plain};
use crate::disk::boot::Check;
use crate::model::{ByteSize, HostName, ImageLocator, Karg, Machine, Reference, SourceDateEpoch, UnknownMachine};
use crate::oci::{Image, Layout};
use crate::sys::clock::Stopwatch;
use crate::sys::{Interrupt, Step, env};
pub use crate::tool::qemu::DiskFormat;
use crate::tool::{qemu_img, setpriv};

pub use look::{DiskReport, FoundBoot, inspect};
use output::{Destination, Unfinished};
pub use state::{Credential, CredentialError};

/// What is to be made.
#[derive(Debug, Clone)]
pub struct DiskRequest {
    /// The image.
    pub image: ImageLocator,
    /// The file.
    pub output: Utf8PathBuf,
    /// Its format; by its name when absent.
    pub format: Option<DiskFormat>,
    /// Whether qcow2 is compressed.
    pub compress: bool,
    /// Size of the disk; by its content when absent.
    pub size: Option<ByteSize>,
    /// Sector size of the disk.
    pub sector: SectorSize,
    /// Kernel arguments besides the image's own.
    pub kargs: Vec<Karg>,
    /// What the root file system holds.
    pub layout: DiskLayout,
    /// The host of the project it is for, when the image is one that hosts share.
    pub host: Option<HostName>,
    /// Credentials for this disk alone.
    pub credentials: Vec<Credential>,
    /// Where the host's updates come from; the image's own place in a registry when absent.
    pub update_from: Option<Reference>,
    /// Whether files that firmware takes Secure Boot keys from go onto the disk.
    pub enrol: bool,
    /// Whether a file that is there may be overwritten.
    pub overwrite: bool,
}

/// What a root file system holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DiskLayout {
    /// The image in a composefs repository; refused with the reason where the image cannot boot from one.
    #[default]
    Composefs,
    /// The image's own tree.
    Plain,
}

/// A disk that was made.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct MadeDisk {
    /// The file.
    pub disk: String,
    /// `raw` or `qcow2`.
    pub format: &'static str,
    /// Size of the disk, which the file need not have.
    pub size: ByteSize,
    /// The image as it was asked for.
    pub image: String,
    /// Digest of its manifest.
    pub digest: String,
    /// Name of the deployment; none of a plain root.
    pub composefs: Option<String>,
    /// Whether only what the image's digest covers can be read and booted.
    pub sealed: bool,
    /// Whose certificate came with the signature of the unified kernel, where it is signed.
    pub signed_by: Option<String>,
    /// Objects in its repository.
    pub objects: usize,
    /// Bytes the root file system has left.
    pub free: ByteSize,
    /// The kernel's command line.
    pub command_line: String,
    /// Whether the root partition becomes as large as the device on the first boot.
    pub grows: bool,
    /// Where the host's updates come from.
    pub update_from: String,
    /// Time it took.
    pub seconds: f64,
}

/// A disk that was not made, or not understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum DiskError {
    /// The image is none for a disk, or the disk could not be written.
    #[error("no disk of `{image}` was made")]
    Assemble { image: String, source: AssembleError },
    /// Disks are for machines.
    #[error("no disk of `{image}` can be made")]
    Machine { image: String, source: UnknownMachine },
    /// Something may depend on it.
    #[error("`{path}` is there already; --force overwrites it")]
    Exists { path: Utf8PathBuf },
    /// Only files are written.
    #[error("`{path}` is no file")]
    NotAFile { path: Utf8PathBuf },
    /// Two runs would write the same file.
    #[error("another run is writing `{path}`")]
    Busy { path: Utf8PathBuf },
    /// Its own files are in it.
    #[error(
        "`{image}` is the image of host `{host}` already; --host puts a host's files beside an image that hosts share"
    )]
    OwnImage { image: String, host: String },
    /// One of them would be lost.
    #[error("credential `{name}` is given twice, or is a file of the host too")]
    CredentialTwice { name: String },
    /// systemd would refuse it.
    #[error("credential `{name}` has more than 1 MiB")]
    CredentialSize { name: String },
    /// Only qcow2 has compression.
    #[error("a raw disk cannot be compressed; name it *.qcow2, or give --format qcow2")]
    CompressedRaw,
    /// It cannot be read back.
    #[error("`{path}` is no disk that can be read")]
    Inspect { path: Utf8PathBuf, source: crate::disk::inspect::InspectError },
    /// Not every qcow2 disk is read.
    #[error("`{path}` is a qcow2 disk that cannot be read")]
    Qcow2 { path: Utf8PathBuf, source: crate::disk::qcow2::Qcow2Error },
}

impl DiskError {
    /// Whether the image is what is in the way.
    pub fn is_unbootable(&self) -> bool {
        use AssembleError::{Initramfs, Unbootable, Unified, UnifiedSection, UnifiedSignature};
        let Self::Assemble { source, .. } = self else { return false };
        let unified = matches!(source, Unified { .. } | UnifiedSection { .. } | UnifiedSignature { .. });
        unified || matches!(source, Unbootable(_) | Initramfs { .. })
    }
}

/// Makes a disk of an image. The project is that of the request's host.
///
/// # Errors
/// [`DiskError`] when the image is none to boot or does not fit, or the file may not be written; others when the image
/// cannot be found or read, or this machine lacks `qemu-img`. Nothing is left then.
pub fn make(session: &Session, project: Option<&Project>, request: &DiskRequest) -> Result<MadeDisk, BuildError> {
    let watch = Stopwatch::start();
    let format = request.format.unwrap_or_else(|| format_of_name(&request.output));
    if request.compress && format == DiskFormat::Raw {
        return Err(DiskError::CompressedRaw.into());
    }
    if format == DiskFormat::Qcow2 {
        preflight::require(session, &Needs::to_convert())?;
    }
    let destination = Destination::new(&request.output, request.overwrite)?;
    let step = session.step(format!("read {}", request.image))?;
    let (layout, image) = images::open(session, &request.image)?;
    step.finish("");
    let raw = destination.unfinished(if format == DiskFormat::Raw { "" } else { ".raw" })?;
    let step = session.step(format!("assemble {}", request.output))?;
    let assembled = assemble_into(session, &step, &raw, project, request, &layout, &image)?;
    step.finish(format!("{} objects", assembled.objects));
    match format {
        DiskFormat::Raw => raw.publish()?,
        DiskFormat::Qcow2 => convert(session, &destination, &raw, request.compress)?,
    }
    Ok(MadeDisk {
        disk: request.output.to_string(),
        format: format.name(),
        size: ByteSize(assembled.layout.size()),
        image: request.image.to_string(),
        digest: image.digest().to_string(),
        composefs: assembled.id.map(|id| id.to_string()),
        grows: assembled.grows,
        sealed: assembled.check == Check::Required && assembled.signer.is_some(),
        signed_by: assembled.signer,
        objects: assembled.objects,
        free: assembled.root.free,
        command_line: assembled.command_line,
        update_from: source(request),
        seconds: watch.elapsed().as_secs_f64(),
    })
}

fn format_of_name(path: &Utf8Path) -> DiskFormat {
    if path.extension() == Some("qcow2") { DiskFormat::Qcow2 } else { DiskFormat::Raw }
}

fn assemble_into(
    session: &Session,
    step: &Step,
    output: &Unfinished<'_>,
    project: Option<&Project>,
    request: &DiskRequest,
    layout: &Layout,
    image: &Image,
) -> Result<Assembled, BuildError> {
    let name = || request.image.to_string();
    let layers = image.layer_source(layout, chain::limits());
    let (state, kargs) = state::gather(project, request, image, &layers)?;
    let architecture = image.config().architecture().to_string();
    let mut wanted = AssembleRequest {
        image,
        layers: &layers,
        machine: architecture.parse::<Machine>().map_err(|source| DiskError::Machine { image: name(), source })?,
        sector: request.sector,
        size: request.size,
        esp: ESP_SIZE,
        kargs,
        // What others sealed turns out to be so.
        sealed: image.manifest().annotations().as_ref().is_some_and(|all| all.contains_key(seal::SEALED)),
        enrol: request.enrol,
        host: request.host.clone(),
        state: &state,
        source: source(request),
        time: time(image),
    };
    loop {
        let mut target = Watched { file: output.file(), interrupt: &session.interrupt, step };
        let assembled = match request.layout {
            DiskLayout::Composefs => assemble(&mut target, &wanted),
            DiskLayout::Plain => assemble_plain(&mut target, &wanted),
        };
        match assembled {
            // Large kernels: once more from the beginning, now that it is known how large they are.
            Err(AssembleError::EspTooSmall { needed, given }) if given == ESP_SIZE => {
                output.file().set_len(0).map_err(super::error::io("emptying", output.path()))?;
                wanted.esp = ByteSize(needed.0.next_multiple_of(ALIGNMENT));
            }
            Err(AssembleError::Sealed) if !wanted.sealed => {
                output.file().set_len(0).map_err(super::error::io("emptying", output.path()))?;
                wanted.sealed = true;
            }
            other => return Ok(other.map_err(|source| DiskError::Assemble { image: name(), source })?),
        }
    }
}

fn convert(session: &Session, to: &Destination, raw: &Unfinished<'_>, compress: bool) -> Result<(), BuildError> {
    let converted = to.unfinished("")?;
    let step = session.step("convert to qcow2")?;
    let cmd = qemu_img::to_qcow2(raw.path().as_str(), converted.path().as_str(), compress);
    session.runner.run(&setpriv::dying_with_starter(cmd)).map_err(command("converting to qcow2"))?;
    step.finish("");
    converted.publish()
}

/// Where bootc looks for updates: the registry the image is from, else one that does not exist, with a name that tells
/// which image it was.
fn source(request: &DiskRequest) -> String {
    match (&request.update_from, &request.image) {
        (Some(reference), _) | (None, ImageLocator::Registry(reference)) => format!("docker://{reference}"),
        (None, ImageLocator::ContainersStorage(name)) => format!("containers-storage:{name}"),
        (None, ImageLocator::Store(name)) => format!("docker://localhost/{name}"),
        (None, ImageLocator::OciLayout { reference, .. } | ImageLocator::OciArchive { reference, .. }) => {
            format!("docker://localhost/{}", reference.as_deref().unwrap_or("image"))
        }
    }
}

/// The user's, else when the image was made.
pub(super) fn time(image: &Image) -> SourceDateEpoch {
    let given = env::SOURCE_DATE_EPOCH.get().and_then(|text| text.parse().ok());
    let made = || SourceDateEpoch::parse_rfc3339(image.config().created().as_deref()?);
    given.or_else(made).unwrap_or(SourceDateEpoch::from_secs(0))
}

/// A file that stops being written when the user wants to stop, and tells how much was.
struct Watched<'w> {
    file: &'w File,
    interrupt: &'w Interrupt,
    step: &'w Step,
}

impl Read for Watched<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read(buf)
    }
}

impl Write for Watched<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.interrupt.check().map_err(io::Error::other)?;
        let written = self.file.write(bytes)?;
        self.step.advance(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for Watched<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_come_from_where_the_image_is() {
        let of = |image: &str, update_from: Option<&str>| {
            source(&DiskRequest {
                image: image.parse().unwrap(),
                output: Utf8PathBuf::new(),
                format: None,
                compress: false,
                size: None,
                sector: SectorSize::default(),
                kargs: Vec::new(),
                layout: DiskLayout::default(),
                host: None,
                credentials: Vec::new(),
                update_from: update_from.map(|text| text.parse().unwrap()),
                enrol: false,
                overwrite: false,
            })
        };
        for (image, expected) in [
            ("docker://registry.example/os:1", "docker://registry.example/os:1"),
            ("tier3/edge-01", "docker://localhost/tier3/edge-01"),
            ("oci:some/folder:os", "docker://localhost/os"),
            ("oci-archive:file", "docker://localhost/image"),
            ("containers-storage:localhost/os", "containers-storage:localhost/os"),
        ] {
            assert_eq!(of(image, None), expected);
            assert_eq!(of(image, Some("registry.example/other:2")), "docker://registry.example/other:2");
        }
    }

    #[test]
    fn the_name_tells_the_format() {
        for (name, format) in [("a.qcow2", DiskFormat::Qcow2), ("a.raw", DiskFormat::Raw), ("a", DiskFormat::Raw)] {
            assert_eq!(format_of_name(name.as_ref()), format, "{name}");
        }
    }
}
