//! `imgbuild boot`.

use std::sync::Arc;
use std::time::Duration;

use cap_std::fs_utf8::camino::Utf8PathBuf;

use super::Context;
use super::error::CliError;
use super::ui;
use crate::build::boot::{self, BootRequest};
use crate::model::Machine;
use crate::sys::NoProgress;

/// Boot a disk in QEMU and wait for its login prompt
///
/// The machine has UEFI firmware, a disk and a serial console, which the kernel must use (console=ttyS0, or ttyAMA0 on
/// ARM). It is stopped as soon as the expected text was seen, the boot failed or time is up; it never outlives this
/// command. Without KVM the processor is emulated.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The disk: raw or qcow2
    #[arg(value_name = "FILE")]
    disk: Utf8PathBuf,
    /// Seconds to wait
    #[arg(long, value_name = "SECONDS", default_value_t = 180, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// Text to wait for, within one line of the console [default: a login prompt or the multi-user target]
    #[arg(long, value_name = "TEXT")]
    expect: Option<String>,
    /// Show the console
    #[arg(long)]
    console: bool,
    /// Memory of the machine in MiB
    #[arg(long, value_name = "MIB", default_value_t = 2048, value_parser = clap::value_parser!(u32).range(64..))]
    memory: u32,
    /// Processors of the machine
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    cpus: u32,
    /// Architecture of the disk: x86_64, aarch64 or riscv64
    #[arg(long, value_name = "ARCH", default_value_t = Machine::X86_64)]
    arch: Machine,
    /// Leave the disk as it is: what the guest writes is gone afterwards; this is the default
    #[arg(long, conflicts_with = "persist")]
    snapshot: bool,
    /// Let the guest write to the disk
    #[arg(long)]
    persist: bool,
    /// Have the firmware enforce Secure Boot with the keys that the disk has for it (`imgbuild disk --enrol`)
    #[arg(long)]
    secure_boot: bool,
    /// File to keep the console in [default: console.log among the logs of the store]
    #[arg(long, value_name = "FILE")]
    log: Option<Utf8PathBuf>,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let mut session = context.reading_session()?;
        if self.console {
            session.progress = Arc::new(NoProgress);
        }
        let show = |line: &str| {
            if self.console {
                ui::line(line);
            }
        };
        let booted = boot::boot(&session, &self.request(), &show)?;
        context.print(&booted, |out| {
            writeln!(out, "{}: `{}` after {:.1} s ({})", booted.disk, booted.line, booted.seconds, booted.accelerator)
        })
    }

    fn request(&self) -> BootRequest {
        BootRequest {
            disk: self.disk.clone(),
            machine: self.arch,
            timeout: Duration::from_secs(self.timeout),
            expect: self.expect.clone(),
            memory: self.memory,
            cpus: self.cpus,
            persist: self.persist,
            secure: self.secure_boot,
            log: self.log.clone(),
        }
    }
}
