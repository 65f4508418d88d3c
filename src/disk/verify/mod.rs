//! Proving a disk: everything that has a digest is read again and compared with it.
//!
//! Follows the chain of names from the boot entry down: the id in the command line is the digest of the EROFS image, the
//! image names an object for every file, an object's name is the digest of its content. Layers, configuration and
//! manifest are put together again from their splitstreams and compared with the digests that a registry knows them by.
//! What holds it all is proven by its own checksums ([`super::inspect`]).
//!
//! What is wrong is a [`Finding`], and the search goes on behind it; an error means that the disk could not be read.
//! Content is streamed. Memory: EROFS images and splitstreams, one at a time, and about 200 bytes for each object and
//! each file of `/state`.
//!
//! # Not proven
//! Text that nothing else repeats (titles of boot entries, `loader.conf`), and what a host may change: `/etc` and `/var`
//! are compared with the image, and what differs is told.

mod against;
mod boot;
mod deployments;
mod erofs;
mod finding;
mod objects;
mod repository;
mod root;
mod seal;
mod state;
mod streams;
mod unified;

use std::io::{self, Read, Seek, SeekFrom};

use serde::Serialize;

pub use against::Expected;
pub use finding::{Area, Finding, Problem};

use super::Window;
use super::gpt::PartitionType;
use super::inspect::ext4::{Ext4, Ext4Error};
use super::inspect::{InspectError, Table, read_table};
use root::Root;

/// What was proven, and what was found.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Verification {
    /// Partitions in the table.
    pub partitions: usize,
    /// Files of the EFI system partition whose content is that of the image or fits the deployment.
    pub boot_files: usize,
    /// Its other files: nothing says what should be in them.
    pub unproven_boot_files: Vec<String>,
    /// Boot entries whose files are there and whose image is.
    pub entries: usize,
    /// Objects whose content has the digest they are named by.
    pub objects: u64,
    /// Their bytes.
    pub object_bytes: u64,
    /// Objects with right fs-verity metadata.
    pub sealed_objects: u64,
    /// Objects that nothing refers to; an update that was interrupted leaves some.
    pub unreferenced_objects: u64,
    /// EROFS images whose objects are all there.
    pub images: usize,
    /// Files in the largest of them.
    pub files: u64,
    /// Layers, configurations and manifests, put together again.
    pub streams: usize,
    /// Deployments whose records fit.
    pub deployments: Vec<String>,
    /// Files of `/etc` and `/var` that are as the image has them.
    pub unchanged: u64,
    /// Those that are not, or that it has not, or that were removed: a host may change them.
    pub changed: Vec<String>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

impl Verification {
    fn find(&mut self, area: Area, path: impl Into<String>, problem: impl Into<Problem>) {
        self.findings.push(Finding { area, path: path.into(), problem: problem.into() });
    }
}

/// What is asked of a disk besides being whole.
#[derive(Debug, Default)]
pub struct Wanted<'w> {
    /// The image that must be on it, and nothing else.
    pub image: Option<&'w Expected>,
    /// Whether its state must be what the image has, as on a disk that was never booted.
    pub fresh: bool,
}

/// Verifies a whole disk.
///
/// # Errors
/// When it cannot be read. What is wrong with it is no error.
pub fn verify<S: Read + Seek>(disk: &mut S, wanted: &Wanted<'_>) -> Result<Verification, InspectError> {
    let mut report = Verification::default();
    let table = match read_table(disk) {
        Ok(table) => table,
        Err(error) => return found(error, Area::Table, &mut report).map(|()| report),
    };
    check_table(disk, &table, &mut report)?;
    let esp = table.partitions.iter().find(|partition| partition.kind == PartitionType::Esp);
    let machine = table.partitions.iter().find_map(|partition| match partition.kind {
        PartitionType::Root(machine) => Some(machine),
        _ => None,
    });
    let mut boot = boot::Boot::default();
    match esp {
        None => report.find(Area::Boot, "", Problem::No("EFI system partition")),
        Some(esp) => match boot::read(disk, esp, machine, &mut report) {
            Ok(read) => boot = read,
            Err(error) => found(error, Area::Boot, &mut report)?,
        },
    }
    let root = table.partitions.iter().find(|partition| matches!(partition.kind, PartitionType::Root(_)));
    let Some(root) = root else {
        report.find(Area::FileSystem, "", Problem::No("root partition"));
        return Ok(report);
    };
    let window = Window::new(&mut *disk, root.start, root.size);
    match verify_root(window, boot, wanted, &mut report) {
        Ok(()) => Ok(report),
        Err(Ext4Error::Io(error)) => found(error.into(), Area::FileSystem, &mut report).map(|()| report),
        Err(error) => {
            report.find(Area::FileSystem, "", error);
            Ok(report)
        }
    }
}

/// What is wrong with the disk becomes a finding; a failure to read it stays an error.
fn found(error: InspectError, area: Area, report: &mut Verification) -> Result<(), InspectError> {
    match error {
        InspectError::Read(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(InspectError::Read(error)),
        other => {
            let text = said(&other);
            report.find(area, "", if area == Area::Table { Problem::Table(text) } else { Problem::Esp(text) });
            Ok(())
        }
    }
}

fn said(error: &InspectError) -> String {
    match error {
        InspectError::Read(_) => "the disk ends too early".to_owned(),
        other => other.to_string(),
    }
}

/// Both copies, and the entry in front that keeps other programs from taking the disk for an empty one.
fn check_table<S: Read + Seek>(disk: &mut S, table: &Table, report: &mut Verification) -> Result<(), InspectError> {
    report.partitions = table.partitions.len();
    if let Some(damage) = table.damage {
        report.find(Area::Table, "", Problem::Damaged(damage));
    }
    let mut sector = [0; 512];
    disk.seek(SeekFrom::Start(0))?;
    disk.read_exact(&mut sector)?;
    // One partition of type 0xee from sector 1 to the end (UEFI specification, 5.2.3).
    let sectors = u32::try_from(table.size / table.sector.bytes() - 1).unwrap_or(u32::MAX);
    let entry = [&[0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0], &sectors.to_le_bytes()[..]].concat();
    let alone = sector[462..510].iter().all(|byte| *byte == 0);
    if sector[446..462] != entry || !alone || sector[510..] != [0x55, 0xaa] {
        report.find(Area::Table, "", Problem::Damaged("the protective MBR is damaged"));
    }
    Ok(())
}

fn verify_root<S: Read + Seek>(
    partition: Window<S>,
    mut boot: boot::Boot,
    wanted: &Wanted<'_>,
    report: &mut Verification,
) -> Result<(), Ext4Error> {
    let mut ext4 = Ext4::open(partition)?;
    match ext4.check_spare() {
        Err(error) if error.is_io() => return Err(error),
        Err(error) => report.find(Area::FileSystem, "", error),
        Ok(()) => {}
    }
    let mut root = Root::collect(ext4, report)?;
    boot.add_root(&mut root)?;
    if !root.has_repository() {
        boot.verify_plain(&mut root, report)?;
        if wanted.image.is_some() {
            report.find(Area::Image, "composefs", Problem::No("repository that could be compared with the image"));
        }
        return Ok(());
    }
    root.hash_objects(report)?;
    root.verify_metadata(report)?;
    let links = root.verify_links(report)?;
    root.verify_streams(&links, report)?;
    let kept = root.deployments().union(&boot.ids()).copied().collect();
    let images = root.verify_images(&links, &kept, report)?;
    root.verify_deployments(&boot, &images, &links, wanted, report)?;
    boot.verify(&mut root, &images, report)?;
    root.count_unreferenced(report);
    if let Some(expected) = wanted.image {
        root.compare(expected, &links, report)?;
    }
    Ok(())
}
