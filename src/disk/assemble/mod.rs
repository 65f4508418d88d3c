//! A whole disk from an image: composefs repository, state tree, boot files, partition table, in one pass.
//!
//! Objects are written into the root file system while the layers are read. What boots is known only when all layers
//! are, and it decides how large the EFI system partition in front of the root must be; so that partition has the size
//! that is given, [`ESP_SIZE`] at first. Images whose kernels do not fit three times are rare; for them
//! [`AssembleError::EspTooSmall`] tells the size, and the disk is begun anew.
//!
//! An image turns out to be sealed only then, too: [`AssembleError::Sealed`] asks for a disk with fs-verity.
//!
//! The table is written last: until then nothing takes the target for a disk.

mod boot;
mod error;
mod files;
mod objects;
mod plain;
mod root;
mod state;
mod unified;

pub use error::AssembleError;
pub use plain::assemble_plain;
pub use state::{State, StateFile, StateKind};

use std::io::{Read, Seek, Write};

use super::boot::{BootPlan, Check, ComposefsId, Place, Source};
use super::composefs::{CrateWriter, Formats, Repository, RepositoryOptions, deployed_tag, write_repository};
use super::esp::{self, EspWriter};
use super::ext4::{self, Writer};
use super::gpt::{self, GptError, Layout, PartitionType};
use super::ids::DiskIds;
use super::verity::Trees;
use super::{ALIGNMENT, SectorSize, Window};
use crate::model::{ByteSize, HostName, Karg, Machine, SourceDateEpoch};
use crate::oci::{Image, ImageTree, LayerSource};
use boot::Boot;
use files::is_wanted;
use objects::Objects;

/// Size of the EFI system partition, where its files take no more: as bootc makes it for its older storage, room for
/// three kernels of 170 MB each.
pub const ESP_SIZE: ByteSize = ByteSize(512 << 20);

/// Name and label of the root partition, as bootc has them.
const ROOT_NAME: &str = "root";

/// The EROFS images of a disk's repository.
pub const FORMATS: Formats = Formats::V1;

/// Left free on a root file system that is as large as its content: beside twice the compressed layers, which is about
/// what an update needs that shares nothing with this image.
const FREE: u64 = 256 << 20;

/// The root file system can grow to this size without moving anything.
const GROWS_TO: ByteSize = ByteSize(16 << 40);

/// What a disk is made from.
pub struct AssembleRequest<'r> {
    /// The image.
    pub image: &'r Image,
    /// Its layers.
    pub layers: &'r dyn LayerSource,
    /// Its architecture.
    pub machine: Machine,
    /// Sector size of the disk.
    pub sector: SectorSize,
    /// Size of the disk; as small as it can be with some room when absent.
    pub size: Option<ByteSize>,
    /// Size of the EFI system partition.
    pub esp: ByteSize,
    /// Kernel arguments besides the image's own; none for an image with a unified kernel.
    pub kargs: Vec<Karg>,
    /// Whether fs-verity protects all objects, which the unified kernel of a sealed image requires.
    pub sealed: bool,
    /// Whether files that firmware takes Secure Boot keys from go onto the EFI system partition.
    pub enrol: bool,
    /// The host it is for, when the image is not the host's own: identifiers differ from host to host.
    pub host: Option<HostName>,
    /// What the disk has in `/etc` and `/var` besides the image's.
    pub state: &'r State,
    /// Where updates come from, with transport.
    pub source: String,
    /// Time of everything that is not the image's.
    pub time: SourceDateEpoch,
}

impl std::fmt::Debug for AssembleRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AssembleRequest").field("image", self.image.digest()).finish_non_exhaustive()
    }
}

/// A disk that was made.
#[derive(Debug)]
pub struct Assembled {
    /// Its partitions.
    pub layout: Layout,
    /// Name of the deployment; none of a plain root.
    pub id: Option<ComposefsId>,
    /// Objects in the repository.
    pub objects: usize,
    /// The root file system.
    pub root: ext4::Summary,
    /// The kernel's command line.
    pub command_line: String,
    /// Whose certificate came with the signature of the unified kernel, where it is signed.
    pub signer: Option<String>,
    /// Whether fs-verity must prove what is mounted.
    pub check: Check,
    /// Whether the image makes its root partition as large as the device.
    pub grows: bool,
}

/// Whether the image has systemd-repart and something that tells it what to do.
fn grows(tree: &ImageTree) -> bool {
    let has_any = |folder: &str| tree.resolve(folder).is_some_and(|id| tree.children(id).next().is_some());
    tree.resolve("usr/bin/systemd-repart").is_some() && ["usr/lib/repart.d", "etc/repart.d"].into_iter().any(has_any)
}

/// Writes the disk. `target` reads as zeros, is empty or is a device that was discarded; it is as long as the disk
/// afterwards.
///
/// # Errors
/// Any [`AssembleError`]; what was written until then is no disk.
pub fn assemble<S>(target: &mut S, request: &AssembleRequest<'_>) -> Result<Assembled, AssembleError>
where
    S: Read + Write + Seek + Send,
{
    let disk = Disk { request, ids: DiskIds::new(request.image.digest(), request.host.as_ref()) };
    let mut objects = Objects::new(disk.root_writer(&mut *target)?, request.sealed);
    let mut repository = disk.write_repository(&mut objects)?;
    let boot = disk.plan_boot(&repository)?;
    let root = disk.write_root(objects, &mut repository, &boot)?;
    let layout = disk.layout(root.size.0)?;
    disk.write_esp(&mut *target, &layout, &repository, &boot)?;
    layout.write(&mut *target)?;
    let Boot { id, command_line, signer, check, .. } = boot;
    let grows = grows(&repository.root);
    Ok(Assembled { layout, id: Some(id), objects: repository.objects.len(), root, command_line, signer, check, grows })
}

struct Disk<'r> {
    request: &'r AssembleRequest<'r>,
    ids: DiskIds,
}

impl Disk<'_> {
    fn layout(&self, root: u64) -> Result<Layout, AssembleError> {
        self.layout_of(root, self.request.size)
    }

    fn layout_of(&self, root: u64, size: Option<ByteSize>) -> Result<Layout, AssembleError> {
        let partition = |name: &str, kind, size, grows| gpt::Request {
            name: name.to_owned(),
            kind,
            guid: self.ids.partition(name),
            size,
            grows,
        };
        let partitions = vec![
            partition(esp::LABEL, PartitionType::Esp, self.request.esp.0, false),
            partition(ROOT_NAME, PartitionType::Root(self.request.machine), root, true),
        ];
        let layout = Layout::new(self.request.sector, self.ids.disk(), partitions, size.map(|size| size.0));
        layout.map_err(|error| match error {
            GptError::TooSmall { needed, size } => {
                AssembleError::TooSmall { needed: ByteSize(needed), given: ByteSize(size) }
            }
            other => other.into(),
        })
    }

    /// The root file system, which begins where its partition will.
    fn root_writer<S: Write + Seek>(&self, target: S) -> Result<Writer<Window<S>>, AssembleError> {
        let root = |layout: &Layout| {
            let partition = layout.partition(ROOT_NAME).expect("it was asked for");
            (partition.start, partition.size)
        };
        let (start, exactly) = match self.layout(ALIGNMENT) {
            Ok(layout) => (root(&layout).0, self.request.size.map(|_| root(&layout).1)),
            // Going on finds out how much is needed: the file system counts what it has no room for.
            Err(AssembleError::TooSmall { .. }) => (self.request.esp.0, Some(ALIGNMENT)),
            Err(error) => return Err(error),
        };
        let (size, length) = match exactly {
            Some(size) => (ext4::Size::Exact(ByteSize(size)), size),
            None => (ext4::Size::Fit { free: self.free() }, i64::MAX.unsigned_abs() - start),
        };
        let uuid = self.ids.file_system(ROOT_NAME).into_bytes();
        let seed = self.ids.hash_seed(ROOT_NAME).into_bytes();
        let parameters = ext4::Parameters {
            label: ROOT_NAME.into(),
            grows_to: GROWS_TO,
            verity: true,
            ..ext4::Parameters::new(size, uuid, seed, self.request.time)
        };
        Ok(Writer::new(Window::new(target, start, length), parameters)?)
    }

    fn free(&self) -> ByteSize {
        let layers = self.request.image.layers().iter().map(|layer| layer.descriptor.size());
        ByteSize(FREE + 2 * layers.sum::<u64>())
    }

    fn write_repository<S>(&self, objects: &mut Objects<S>) -> Result<Repository, AssembleError>
    where
        S: Write + Seek + Send,
    {
        let AssembleRequest { image, layers, .. } = self.request;
        let options = RepositoryOptions {
            formats: FORMATS,
            trees: if self.request.sealed { Trees::Keep } else { Trees::Drop },
            keep: &is_wanted,
            tags: vec![deployed_tag(image.digest())],
        };
        Ok(write_repository(image, *layers, &CrateWriter, &options, objects)?)
    }

    fn write_esp<S: Write + Seek>(
        &self,
        target: S,
        layout: &Layout,
        repository: &Repository,
        boot: &Boot,
    ) -> Result<(), AssembleError> {
        self.write_esp_files(target, layout, &boot.plan, &|source| boot.files.source(repository, source))
    }

    fn write_esp_files<'f, S: Write + Seek>(
        &self,
        target: S,
        layout: &Layout,
        plan: &'f BootPlan,
        bytes_of: &dyn Fn(&'f Source) -> Result<&'f [u8], AssembleError>,
    ) -> Result<(), AssembleError> {
        let partition = layout.partition(esp::LABEL).expect("it was asked for");
        let mut esp = EspWriter::new(
            target,
            &esp::Parameters {
                sector: self.request.sector,
                start: partition.start,
                size: partition.size,
                serial: self.ids.fat_serial(esp::LABEL),
                time: self.request.time,
            },
        )?;
        for file in &plan.files {
            if let Place::Esp(path) = &file.place {
                let bytes = bytes_of(&file.source)?;
                esp.add(path, bytes.len() as u64, &mut &bytes[..])?;
            }
        }
        Ok(esp.finish()?)
    }
}
