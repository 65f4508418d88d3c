//! Booting a disk in QEMU and following its console.

mod console;
mod verdict;

use std::io::{Read, Write as _};
use std::ops::ControlFlow;
use std::time::Duration;

use cap_std::fs_utf8::camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::error::{command, io};
use super::preflight::{self, Needs};
use super::{BuildError, Session};
use crate::disk::inspect::sector_size;
use crate::model::Machine;
use crate::sys::clock::Stopwatch;
use crate::sys::{CmdError, Watched, dirs};
use crate::tool::qemu::{self, Accelerator, Boot, DiskFormat};
use crate::tool::setpriv;
use console::Console;
use verdict::{Said, Verdict};

/// What the kernel prints as an EFI program, before it has a console of its own.
const SECURED: &str = "UEFI Secure Boot is enabled";

/// What to boot and what to wait for.
#[derive(Debug, Clone)]
pub struct BootRequest {
    /// The disk: raw or qcow2.
    pub disk: Utf8PathBuf,
    /// Its architecture.
    pub machine: Machine,
    /// How long what is expected may take.
    pub timeout: Duration,
    /// Text in one line of the console; by default a login prompt or the multi-user target.
    pub expect: Option<String>,
    /// Memory in MiB.
    pub memory: u32,
    /// Processors.
    pub cpus: u32,
    /// Whether the guest's writes stay on the disk.
    pub persist: bool,
    /// Whether the firmware enforces Secure Boot with the keys that the disk has for it.
    pub secure: bool,
    /// Where the console is kept; in the logs of the store when absent.
    pub log: Option<Utf8PathBuf>,
}

/// A boot that came as far as expected.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Booted {
    /// The disk.
    pub disk: String,
    /// The line that was waited for.
    pub line: String,
    /// Time from the start of the machine until then.
    pub seconds: f64,
    /// `kvm`, or `tcg` where QEMU emulates the processor.
    pub accelerator: &'static str,
    /// File with everything the console showed.
    pub console: String,
}

/// A boot that did not come as far as expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum BootError {
    /// Nothing failed visibly, but it took too long.
    #[error("`{disk}` did not show {expected} within {seconds} s{}", shown(tail, console))]
    TimedOut { disk: Utf8PathBuf, expected: String, seconds: u64, tail: Vec<String>, console: Utf8PathBuf },
    /// The console says that it failed.
    #[error("`{disk}` does not boot: {meaning}{}", shown(tail, console))]
    Down { disk: Utf8PathBuf, meaning: &'static str, tail: Vec<String>, console: Utf8PathBuf },
    /// The machine was powered off or reset before.
    #[error("`{disk}` was powered off or reset before it showed {expected}{}", shown(tail, console))]
    Ended { disk: Utf8PathBuf, expected: String, tail: Vec<String>, console: Utf8PathBuf },
    /// No firmware for such a machine.
    #[error(
        "machines of architecture {machine} have no UEFI firmware; disks are booted on x86_64, aarch64 and riscv64"
    )]
    NoFirmware { machine: Machine },
    /// None that enforces it is packaged.
    #[error("there is no firmware with Secure Boot for machines of architecture {machine}; only x86_64 has one")]
    NoSecureFirmware { machine: Machine },
    /// Nothing was enforced: the firmware has no keys.
    #[error(
        "`{disk}` was booted without Secure Boot, because the firmware found no keys on it; `imgbuild disk --enrol` puts them there\nfull console: {console}"
    )]
    NotSecure { disk: Utf8PathBuf, console: Utf8PathBuf },
}

fn shown(tail: &[String], console: &Utf8Path) -> String {
    let lines: String = tail.iter().map(|line| format!("\n  | {line}")).collect();
    format!("{lines}\nfull console: {console}")
}

/// Boots the disk and waits; every line of the console goes to `on_line`.
///
/// # Errors
/// [`BootError`] when it does not come as far as expected; others when this machine lacks QEMU or its firmware, or the
/// disk cannot be read.
pub fn boot(session: &Session, request: &BootRequest, on_line: &(dyn Fn(&str) + Sync)) -> Result<Booted, BuildError> {
    let machine = request.machine;
    preflight::require(session, &Needs::to_boot(machine))?;
    let firmware = qemu::firmware(machine).ok_or(BootError::NoFirmware { machine })?;
    if request.secure && firmware.secure.is_none() {
        return Err(BootError::NoSecureFirmware { machine }.into());
    }
    let disk = dirs::absolute(&request.disk).map_err(io("finding", &request.disk))?;
    let (format, sector) = look(&disk)?;
    let variables = copy_variables(session, firmware.variables.as_ref())?;
    let boot = Boot {
        machine,
        accelerator: accelerator(session, machine)?,
        memory: request.memory,
        cpus: request.cpus,
        disk: disk.as_str(),
        format,
        sector,
        persist: request.persist,
        variables: variables.as_str(),
        secure: request.secure,
    };
    follow(session, request, &boot, on_line)
}

/// Format and sector size of a disk image; the latter is only found out for raw ones.
fn look(disk: &Utf8Path) -> Result<(DiskFormat, u64), BuildError> {
    let mut file = dirs::open_file(disk).map_err(io("opening", disk))?;
    let mut head = Vec::new();
    Read::by_ref(&mut file).take(4).read_to_end(&mut head).map_err(io("reading", disk))?;
    let format = DiskFormat::of_head(&head);
    let sector = match format {
        DiskFormat::Raw => sector_size(&mut file).map_err(io("reading", disk))?,
        DiskFormat::Qcow2 => None,
    };
    Ok((format, sector.unwrap_or_default().bytes()))
}

/// The machine's own copy: it writes to it, and two machines may run.
fn copy_variables(session: &Session, from: &Utf8Path) -> Result<Utf8PathBuf, BuildError> {
    let folder = session.store.work_folder("boot")?;
    let path = folder.join("variables.fd");
    let mut source = dirs::open_file(from).map_err(io("opening", from))?;
    let mut target = dirs::create_file(&path).map_err(io("creating", &path))?;
    std::io::copy(&mut source, &mut target).map_err(io("writing", &path))?;
    Ok(path)
}

/// The processor's own help where it is of any: a device file alone says little, so it is tried.
fn accelerator(session: &Session, machine: Machine) -> Result<Accelerator, BuildError> {
    let native = machine.name() == std::env::consts::ARCH;
    let Some(probe) = qemu::kvm_works(machine).filter(|_| native && dirs::exists("/dev/kvm".as_ref())) else {
        return Ok(Accelerator::Tcg);
    };
    match session.runner.run(&setpriv::dying_with_starter(probe)) {
        Ok(()) => Ok(Accelerator::Kvm),
        // Inside another virtual machine QEMU may not just fail but crash.
        Err(CmdError::Failed { .. }) => Ok(Accelerator::Tcg),
        Err(error) => Err(command("trying KVM")(error)),
    }
}

/// Where the console is kept: the logs of a store that stays, else beside the machine's temporary files.
fn console_path(session: &Session, request: &BootRequest) -> Utf8PathBuf {
    let default = || match session.store.is_temporary() {
        false => session.store.logs_path().join("console.log"),
        true => dirs::temporary().join(format!("imgbuild-console-{}.log", session.store.run_id())),
    };
    request.log.clone().unwrap_or_else(default)
}

fn follow(
    session: &Session,
    request: &BootRequest,
    boot: &Boot<'_>,
    on_line: &(dyn Fn(&str) + Sync),
) -> Result<Booted, BuildError> {
    let kept = console_path(session, request);
    let log = dirs::create_file(&kept).map_err(io("creating", &kept))?;
    let cmd = boot.run().ok_or(BootError::NoFirmware { machine: boot.machine })?;
    let accelerator = boot.accelerator.name();
    let step = session.step(format!("boot {} ({accelerator})", request.disk))?;
    let show = |line: &str| {
        step.note(line);
        on_line(line);
    };
    let verdict = Verdict::new(request.expect.as_deref());
    let mut follower = Follower::new(&verdict, log, &show);
    let cmd = setpriv::dying_with_starter(cmd);
    let watched = session.runner.watch(&cmd, request.timeout, &mut |bytes| follower.see(bytes));
    let watched = watched.map_err(command("running QEMU"))?;
    let secured = follower.secured;
    let (decided, tail) = follower.finish().map_err(io("writing", &kept))?;
    let (disk, expected) = (request.disk.clone(), verdict.expectation());
    Err(match (decided, watched) {
        (Some(Decision { said: Said::Up, .. }), _) if request.secure && !secured => {
            BootError::NotSecure { disk, console: kept }
        }
        (Some(Decision { said: Said::Up, line, after }), _) => {
            step.finish(format!("`{line}`"));
            let (disk, console) = (disk.into_string(), kept.into_string());
            return Ok(Booted { disk, line, seconds: after.as_secs_f64(), accelerator, console });
        }
        (Some(Decision { said: Said::Down(meaning), .. }), _) => BootError::Down { disk, meaning, tail, console: kept },
        (None, Watched::Ended) => BootError::Ended { disk, expected, tail, console: kept },
        (None, _) => BootError::TimedOut { disk, expected, seconds: request.timeout.as_secs(), tail, console: kept },
    }
    .into())
}

/// The line that decided.
struct Decision {
    said: Said,
    line: String,
    after: Duration,
}

/// Keeps, shows and judges what the console says.
struct Follower<'a> {
    verdict: &'a Verdict,
    log: std::fs::File,
    show: &'a (dyn Fn(&str) + Sync),
    console: Console,
    watch: Stopwatch,
    decided: Option<Decision>,
    /// Whether the kernel was told that Secure Boot is on.
    secured: bool,
    unwritten: Option<std::io::Error>,
}

impl<'a> Follower<'a> {
    fn new(verdict: &'a Verdict, log: std::fs::File, show: &'a (dyn Fn(&str) + Sync)) -> Self {
        let (console, watch) = (Console::default(), Stopwatch::start());
        Self { verdict, log, show, console, watch, decided: None, secured: false, unwritten: None }
    }

    fn see(&mut self, bytes: &[u8]) -> ControlFlow<()> {
        if let Err(error) = self.log.write_all(bytes) {
            self.unwritten = Some(error);
            return ControlFlow::Break(());
        }
        let mut lines = Vec::new();
        self.console.feed(bytes, &mut |line| lines.push(line.to_owned()));
        lines.iter().for_each(|line| (self.show)(line));
        lines.push(self.console.open_line());
        self.secured |= lines.iter().any(|line| line.contains(SECURED));
        if self.decided.is_none() {
            let decision = |line: String| {
                let said = self.verdict.of(&line)?;
                Some(Decision { said, line: line.trim().to_owned(), after: self.watch.elapsed() })
            };
            self.decided = lines.into_iter().find_map(decision);
        }
        if self.decided.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// What decided, and the last lines; or why the console could not be kept.
    fn finish(self) -> std::io::Result<(Option<Decision>, Vec<String>)> {
        if let Some(error) = self.unwritten {
            return Err(error);
        }
        // A prompt, or the line that decided before it was complete.
        let open = Some(self.console.open_line()).filter(|line| !line.trim().is_empty());
        open.iter().for_each(|line| (self.show)(line));
        Ok((self.decided, self.console.tail()))
    }
}
