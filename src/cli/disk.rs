//! `imgbuild disk`.

use std::io::Write;

use cap_std::fs_utf8::camino::Utf8PathBuf;
use clap::{Subcommand, ValueEnum};

use super::Context;
use super::disk_verify;
use super::error::{CliError, chain};
use super::exit;
use crate::build::disk::{self, Credential, DiskFormat, DiskLayout, DiskReport, DiskRequest, MadeDisk, SectorSize};
use crate::model::{ByteSize, HostName, ImageLocator, Karg, Reference};

/// Make a bootable disk of an image, or look into one
///
/// The disk has what bootc's composefs backend expects. It is made by any user, without loop devices or mounts and
/// without running anything from the image. The same image gives the same bytes. Of a sealed image (`imgbuild seal`) it
/// is sealed: the running system proves every byte it reads. Else it is unlocked.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    make: Option<Make>,
}

/// What else can be done with disks.
#[derive(Debug, Subcommand)]
enum Command {
    /// Show the partitions of a disk, its boot files, deployments and what it boots
    Inspect(Inspect),
    Verify(disk_verify::Args),
}

#[derive(Debug, clap::Args)]
struct Make {
    /// A name in the store, oci:PATH[:REF], oci-archive:PATH[:REF], containers-storage:NAME or docker://REFERENCE
    image: String,
    /// The file to make
    #[arg(long, short, value_name = "FILE")]
    output: Utf8PathBuf,
    /// Its format [default: qcow2 for *.qcow2, else raw]
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Format>,
    /// Compress the content of a qcow2 disk
    #[arg(long)]
    compress: bool,
    /// Size of the disk, such as 20G; `auto` takes what the content needs and some room
    #[arg(long, value_name = "SIZE", default_value = "auto")]
    size: Size,
    /// Bytes of a sector of the device it is for: 512 or 4096
    #[arg(long, value_name = "BYTES", default_value_t)]
    sector_size: SectorSize,
    /// What the root file system holds; `auto` is composefs, and tells what an image lacks for it
    #[arg(long, value_enum, value_name = "LAYOUT", default_value_t)]
    layout: Layout,
    /// Further kernel argument; may be given several times
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    karg: Vec<Karg>,
    /// Put the files of this host of the project beside the image: into /etc and /var, and kernel arguments into the entry
    #[arg(long, value_name = "HOST")]
    host: Option<HostName>,
    /// A systemd credential of this disk alone: goes to /etc/credstore/NAME, readable by root; may be given several times
    #[arg(long, value_name = "NAME=FILE")]
    credential: Vec<Credential>,
    /// Where the host finds its updates, as REGISTRY/NAME[:TAG] [default: where the image is from]
    #[arg(long, value_name = "REFERENCE")]
    update_from: Option<Reference>,
    /// Put the files onto the disk from which firmware in setup mode takes the Secure Boot keys of the image's owner
    #[arg(long)]
    enrol: bool,
    /// Overwrite the file
    #[arg(long)]
    force: bool,
}

#[derive(Debug, clap::Args)]
struct Inspect {
    /// The disk: raw or qcow2
    #[arg(value_name = "FILE")]
    disk: Utf8PathBuf,
}

/// Format of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The disk's bytes, with holes
    Raw,
    /// QEMU's own
    Qcow2,
}

/// Layout of the root file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Layout {
    /// Whatever the image supports
    #[default]
    Auto,
    /// The image in a composefs repository: read-only, updated as a whole
    Composefs,
    /// The image's own files: writable, and never updated as an image
    Plain,
}

/// `auto` or a number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Size(Option<ByteSize>);

impl std::str::FromStr for Size {
    type Err = crate::model::ByteSizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "auto" { Ok(Self(None)) } else { text.parse().map(Some).map(Self) }
    }
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        match (self.command, self.make) {
            (Some(Command::Inspect(Inspect { disk })), _) => {
                let report = disk::inspect(&disk)?;
                context.print(&report, |out| show(out, &report))
            }
            (Some(Command::Verify(verify)), _) => verify.run(context),
            (None, Some(make)) => make.run(context),
            (None, None) => {
                Err(CliError::new(exit::USAGE, "error: name an image and --output, or `inspect` and a disk"))
            }
        }
    }
}

impl Make {
    fn run(self, context: &Context) -> Result<(), CliError> {
        let image: ImageLocator = self.image.parse().map_err(|error| CliError::new(exit::USAGE, chain(&error)))?;
        let request = DiskRequest {
            image,
            output: self.output,
            format: self.format.map(|format| match format {
                Format::Raw => DiskFormat::Raw,
                Format::Qcow2 => DiskFormat::Qcow2,
            }),
            compress: self.compress,
            size: self.size.0,
            sector: self.sector_size,
            kargs: self.karg,
            layout: match self.layout {
                Layout::Auto | Layout::Composefs => DiskLayout::Composefs,
                Layout::Plain => DiskLayout::Plain,
            },
            host: self.host,
            credentials: self.credential,
            update_from: self.update_from,
            enrol: self.enrol,
            overwrite: self.force,
        };
        let project = request.host.is_some().then(|| context.project()).transpose()?;
        let made = disk::make(&context.reading_session()?, project.as_ref(), &request)?;
        context.print(&made, |out| show_made(out, &made))
    }
}

fn show_made(out: &mut dyn Write, made: &MadeDisk) -> std::io::Result<()> {
    writeln!(out, "disk          {}  ({}, {}, {} free)", made.disk, made.format, made.size, made.free)?;
    writeln!(out, "image         {}  {}", made.image, made.digest)?;
    match &made.composefs {
        Some(id) => writeln!(out, "composefs     {id}  ({} objects)", made.objects)?,
        None => writeln!(out, "composefs     no: the image's own files, which no update replaces")?,
    }
    writeln!(out, "command line  {}", made.command_line)?;
    let grows = if made.grows {
        "with its device, on the first boot"
    } else {
        "no: the image has no systemd-repart with a definition"
    };
    writeln!(out, "grows         {grows}")?;
    writeln!(out, "updates from  {}", made.update_from)?;
    writeln!(out, "sealed        {}", sealed(made.sealed, made.signed_by.as_deref()))
}

fn sealed(sealed: bool, signer: Option<&str>) -> String {
    match (sealed, signer) {
        (true, Some(signer)) => format!("yes, signed by {signer}"),
        (true, None) => "yes".to_owned(),
        (false, _) => "no: unlocked".to_owned(),
    }
}

fn show(out: &mut dyn Write, report: &DiskReport) -> std::io::Result<()> {
    let table = &report.content.table;
    let (size, sector, guid) = (ByteSize(table.size), table.sector, &table.guid);
    writeln!(out, "disk          {}  ({size}, sectors of {sector} bytes, {guid})", report.disk)?;
    table.damage.iter().try_for_each(|damage| writeln!(out, "damaged       {damage}"))?;
    for partition in &table.partitions {
        let (number, start, size) = (partition.number, ByteSize(partition.start), ByteSize(partition.size));
        let (name, kind) = (&partition.name, partition.kind);
        writeln!(out, "partition {number:<3} {name:<12} {kind:<16} from {start}, {size}")?;
    }
    if let Some(esp) = &report.content.esp {
        writeln!(out, "boot files    {}, {} of {} free", esp.files.len(), ByteSize(esp.free), ByteSize(esp.capacity))?;
        esp.files
            .iter()
            .try_for_each(|file| writeln!(out, "  {:>10}  {}", ByteSize(file.size).to_string(), file.path))?;
    }
    if let Some(root) = &report.content.root {
        let (size, free) = (ByteSize(root.size), ByteSize(root.free));
        writeln!(out, "root          {size}, {free} free, {} files, {}", root.files, root.uuid)?;
        if root.objects > 0 {
            writeln!(out, "repository    {} objects, {}", root.objects, ByteSize(root.object_bytes))?;
        }
        for deployment in &root.deployments {
            writeln!(out, "deployment    {}", deployment.id)?;
            writeln!(out, "  manifest    {}", deployment.manifest)?;
            writeln!(out, "  updates     {}", deployment.source)?;
            writeln!(out, "  kernel      {}  ({})", deployment.boot_digest, deployment.boot_type)?;
        }
    }
    report.content.unread_root.iter().try_for_each(|reason| writeln!(out, "root          not read: {reason}"))?;
    for boot in &report.boots {
        writeln!(out, "boots         {}", boot.title)?;
        boot.composefs.iter().try_for_each(|id| writeln!(out, "  composefs   {id}"))?;
        writeln!(out, "  sealed      {}", sealed(boot.sealed, boot.signed_by.as_deref()))?;
        boot.problem.iter().try_for_each(|problem| writeln!(out, "  kernel      {problem}"))?;
        boot.missing.iter().try_for_each(|path| writeln!(out, "  missing     {path}"))?;
    }
    Ok(())
}
