//! QEMU: a whole machine with UEFI firmware, a disk and a serial console.

use crate::model::Machine;
use crate::sys::Cmd;

use super::ToolVersion;

/// The least version that works.
pub const MINIMUM: ToolVersion = ToolVersion::new(8, 0, 0);
/// Why that much is needed.
pub const MINIMUM_REASON: &str = "7.2 crashes recent kernels where there is no KVM";

/// A guest of one architecture: program, package, board and firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Guest {
    program: &'static str,
    package: &'static str,
    board: &'static str,
    firmware: Firmware,
}

/// UEFI firmware as Debian packages it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Firmware {
    /// Debian package.
    pub package: &'static str,
    /// Absolute path of the code.
    pub code: &'static str,
    /// Absolute path of code that enforces Secure Boot once a machine's variables have keys, where there is one.
    pub secure: Option<&'static str>,
    /// Absolute path of the variables that a new machine begins with; a machine writes to a copy.
    pub variables: &'static str,
}

const X86_64: Guest = Guest {
    program: "qemu-system-x86_64",
    package: "qemu-system-x86",
    board: "q35",
    firmware: Firmware {
        package: "ovmf",
        code: "/usr/share/OVMF/OVMF_CODE_4M.fd",
        secure: Some("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd"),
        variables: "/usr/share/OVMF/OVMF_VARS_4M.fd",
    },
};

const AARCH64: Guest = Guest {
    program: "qemu-system-aarch64",
    package: "qemu-system-arm",
    board: "virt",
    firmware: Firmware {
        package: "qemu-efi-aarch64",
        code: "/usr/share/AAVMF/AAVMF_CODE.fd",
        secure: None,
        variables: "/usr/share/AAVMF/AAVMF_VARS.fd",
    },
};

const RISCV64: Guest = Guest {
    program: "qemu-system-riscv64",
    package: "qemu-system-misc",
    board: "virt",
    firmware: Firmware {
        package: "qemu-efi-riscv64",
        code: "/usr/share/qemu-efi-riscv64/RISCV_VIRT_CODE.fd",
        secure: None,
        variables: "/usr/share/qemu-efi-riscv64/RISCV_VIRT_VARS.fd",
    },
};

const fn guest(machine: Machine) -> Option<Guest> {
    match machine {
        Machine::X86_64 => Some(X86_64),
        Machine::Aarch64 => Some(AARCH64),
        Machine::Riscv64 => Some(RISCV64),
        Machine::Ppc64le | Machine::S390x => None,
    }
}

/// Firmware for a machine; `None` where there is no UEFI.
pub const fn firmware(machine: Machine) -> Option<Firmware> {
    match guest(machine) {
        Some(guest) => Some(guest.firmware),
        None => None,
    }
}

/// What executes the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// The processor.
    Kvm,
    /// QEMU itself: any guest on any machine, some ten times slower.
    Tcg,
}

impl Accelerator {
    /// As QEMU names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }

    const fn processor(self) -> &'static str {
        match self {
            Self::Kvm => "host",
            Self::Tcg => "max",
        }
    }
}

/// Format of a disk image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFormat {
    /// The disk's bytes.
    Raw,
    /// QEMU's own.
    Qcow2,
}

impl DiskFormat {
    /// The format of a file that begins with these bytes (QEMU, `docs/interop/qcow2.rst`).
    pub fn of_head(head: &[u8]) -> Self {
        if head.starts_with(b"QFI\xfb") { Self::Qcow2 } else { Self::Raw }
    }

    /// As QEMU names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
        }
    }
}

/// A machine to start.
#[derive(Debug, Clone)]
pub struct Boot<'a> {
    /// Its architecture.
    pub machine: Machine,
    /// What executes it.
    pub accelerator: Accelerator,
    /// Memory in MiB.
    pub memory: u32,
    /// Processors.
    pub cpus: u32,
    /// Absolute path of the disk.
    pub disk: &'a str,
    /// Its format.
    pub format: DiskFormat,
    /// Bytes of a sector.
    pub sector: u64,
    /// Whether the guest's writes stay; else they go to a file that is gone with the machine.
    pub persist: bool,
    /// Absolute path of the firmware's variables, which are written.
    pub variables: &'a str,
    /// Whether the firmware enforces Secure Boot. The machine then goes on after a reset, because whoever enrols keys
    /// resets it.
    pub secure: bool,
}

/// Prints the version; read with [`ToolVersion::find`]. `None` for machines without UEFI.
pub fn version(machine: Machine) -> Option<Cmd> {
    guest(machine).map(|guest| program(&guest).arg("--version"))
}

/// Succeeds when KVM really works, which the device's presence does not say: starts nothing and quits.
pub fn kvm_works(machine: Machine) -> Option<Cmd> {
    let guest = guest(machine)?;
    let cmd = program(&guest).opt("-machine", guest.board).opt("-accel", "kvm").opt("-cpu", "host");
    Some(bare(cmd).arg("-S").opt("-monitor", "stdio").stdin("quit\n"))
}

fn program(guest: &Guest) -> Cmd {
    Cmd::new(guest.program).package(guest.package)
}

/// Nothing of what QEMU adds by itself, and no configuration of this machine's.
fn bare(cmd: Cmd) -> Cmd {
    cmd.args(["-nodefaults", "-no-user-config"]).opt("-display", "none")
}

impl Boot<'_> {
    /// Runs the machine with its first serial port on standard output, until it is stopped, powered off or reset.
    /// `None` where there is no such firmware.
    pub fn run(&self) -> Option<Cmd> {
        let guest = guest(self.machine)?;
        let Firmware { code, secure, .. } = guest.firmware;
        let (code, board) = match self.secure {
            // Only system management mode may write to the variables then; it does not survive suspending to memory.
            true => (secure?, format!("{},smm=on", guest.board)),
            false => (code, guest.board.to_owned()),
        };
        let only = |cmd: Cmd| match self.secure {
            true => cmd
                .opt("-global", "driver=cfi.pflash01,property=secure,value=on")
                .opt("-global", "ICH9-LPC.disable_s3=1"),
            false => cmd.arg("-no-reboot"),
        };
        let cmd = bare(program(&guest))
            .opt("-machine", board)
            .opt("-accel", self.accelerator.name())
            .opt("-cpu", self.accelerator.processor())
            .opt("-m", self.memory.to_string())
            .opt("-smp", self.cpus.to_string());
        let cmd = only(cmd)
            .opt("-drive", flash(0, code, true))
            .opt("-drive", flash(1, self.variables, false))
            .opt("-drive", self.drive())
            .opt("-device", self.device())
            // Without it a guest may wait for randomness.
            .opt("-device", "virtio-rng-pci")
            .opt("-chardev", "stdio,id=console,signal=off")
            .opt("-serial", "chardev:console");
        Some(cmd)
    }

    fn drive(&self) -> String {
        let snapshot = if self.persist { "off" } else { "on" };
        let (format, path) = (self.format.name(), escaped(self.disk));
        format!("if=none,id=disk,format={format},snapshot={snapshot},file={path}")
    }

    fn device(&self) -> String {
        let sector = self.sector;
        format!("virtio-blk-pci,drive=disk,bootindex=0,logical_block_size={sector},physical_block_size={sector}")
    }
}

fn flash(unit: u8, path: &str, readonly: bool) -> String {
    let readonly = if readonly { "on" } else { "off" };
    format!("if=pflash,unit={unit},format=raw,readonly={readonly},file={}", escaped(path))
}

/// A comma ends a value, two are one.
fn escaped(path: &str) -> String {
    path.replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines() {
        let boot = Boot {
            machine: Machine::X86_64,
            accelerator: Accelerator::Tcg,
            memory: 2048,
            cpus: 2,
            disk: "/d/a,b.raw",
            format: DiskFormat::Raw,
            sector: 512,
            persist: false,
            variables: "/w/vars.fd",
            secure: false,
        };
        let arm = Boot {
            machine: Machine::Aarch64,
            accelerator: Accelerator::Kvm,
            format: DiskFormat::of_head(b"QFI\xfb\0\0\0\x03"),
            sector: 4096,
            persist: true,
            ..boot.clone()
        };
        let secure = Boot { secure: true, ..boot.clone() };
        let lines = [version(Machine::X86_64), kvm_works(Machine::X86_64), boot.run(), arm.run(), secure.run()];
        insta::assert_snapshot!(lines.map(|cmd| cmd.unwrap().to_string()).join("\n"));
        assert!(Boot { secure: true, ..arm }.run().is_none());
        assert!(version(Machine::S390x).is_none() && firmware(Machine::Ppc64le).is_none());
    }
}
