//! Writes the sample `imgbuild.lock` of this example: a lock's shape, with made-up checksums.
//!
//! Run from the repository's top level. Checksums are the SHA-256 of the package's path, sizes are made from them.

use std::error::Error;

use cap_std::ambient_authority;
use cap_std::fs_utf8::Dir;
use cap_std_ext::dirext::CapStdExtDirExtUtf8;
use imgbuild::config::{
    Archive, Builtin, Definition, Family, KernelLock, LOCK_FILE, Lock, LockedPackage, LockedTier1, LockedTier2,
    ModuleLock, PackageSet, Tier1Source,
};
use imgbuild::kernel::{Headers, Inputs, Kernel, ModuleSet, PackageVersion, Part, Provenance, solve};
use imgbuild::model::{KmodSetName, PinnedReference, Sha256Hex, SourceDateEpoch, TierName};
use imgbuild::plan::decision;
use sha2::{Digest, Sha256};

const KERNEL: &str = "6.12.0-145.el10.x86_64";
const OPENZFS: &str = "http://download.zfsonlinux.org/epel/10/x86_64/";
const NVIDIA: &str = "https://developer.download.nvidia.com/compute/cuda/repos/rhel10/x86_64/";
const CONTAINERS: &str = "https://nvidia.github.io/libnvidia-container/stable/rpm/x86_64/";
const EPEL: &str = "https://dl.fedoraproject.org/pub/epel/10/Everything/x86_64/";

/// Name, version, architecture, repository (none: the image's own).
type Row = (&'static str, &'static str, &'static str, Option<&'static str>);

const BUILDER: &[Row] = &[
    ("dkms", "3.2.2-1.el10", "noarch", Some(EPEL)),
    ("elfutils-libelf-devel", "0.193-1.el10", "x86_64", None),
    ("gcc", "14.3.1-2.1.el10", "x86_64", None),
    ("kernel-devel", "6.12.0-145.el10", "x86_64", None),
    ("make", "1:4.4.1-9.el10", "x86_64", None),
];
const ZFS: &[Row] = &[
    ("libnvpair3", "2.3.4-1.el10", "x86_64", Some(OPENZFS)),
    ("libuutil3", "2.3.4-1.el10", "x86_64", Some(OPENZFS)),
    ("libzfs6", "2.3.4-1.el10", "x86_64", Some(OPENZFS)),
    ("libzpool6", "2.3.4-1.el10", "x86_64", Some(OPENZFS)),
    ("zfs", "2.3.4-1.el10", "x86_64", Some(OPENZFS)),
    ("zfs-dkms", "2.3.4-1.el10", "noarch", Some(OPENZFS)),
];
const DRIVER: &[Row] = &[("kmod-nvidia-open-dkms", "3:580.105.08-1.el10", "noarch", Some(NVIDIA))];
const TOOLS: &[Row] = &[("lsof", "4.98.0-7.el10", "x86_64", None), ("smartmontools", "1:7.4-8.el10", "x86_64", None)];
const GPU_TOOLS: &[Row] = &[
    ("libnvidia-container-tools", "1.18.0-1", "x86_64", Some(CONTAINERS)),
    ("nvidia-container-toolkit", "1.18.0-1", "x86_64", Some(CONTAINERS)),
    ("nvidia-driver-cuda", "3:580.105.08-1.el10", "x86_64", Some(NVIDIA)),
    ("nvidia-modprobe", "3:580.105.08-1.el10", "x86_64", Some(NVIDIA)),
    ("nvidia-persistenced", "3:580.105.08-1.el10", "x86_64", Some(NVIDIA)),
];

fn sha256(text: &str) -> Sha256Hex {
    let hex: String = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    hex.parse().expect("32 bytes in hexadecimal")
}

fn package(&(name, version, architecture, repository): &Row) -> LockedPackage {
    let version_in_file = version.split_once(':').map_or(version, |(_, rest)| rest);
    let path = format!("Packages/{}/{name}-{version_in_file}.{architecture}.rpm", &name[..1]);
    let sha256 = sha256(&path);
    let size = u64::from_str_radix(&sha256.as_str()[..5], 16).expect("hexadecimal digits");
    LockedPackage {
        name: name.to_owned(),
        version: version.to_owned(),
        architecture: architecture.to_owned(),
        sha256,
        size,
        archive: repository.map_or(Archive::Machine, |url| Archive::Url(url.to_owned())),
        path,
    }
}

fn packages(groups: &[&[Row]]) -> PackageSet {
    PackageSet { packages: groups.iter().copied().flatten().map(package).collect() }
}

/// What the decision is made from: three sets of headers, and the sets' own ranges.
fn inputs(definition: &Definition, sets: &[(&str, &str)]) -> Inputs {
    let version = |release: &str| {
        let version = release.trim_end_matches(".x86_64").parse().expect("a version of an RPM package");
        PackageVersion::Rpm(version)
    };
    let headers = |release: &str| Headers {
        release: release.parse().expect("a kernel release"),
        package: "kernel-devel".to_owned(),
        version: version(release),
        provenance: Provenance::Archive("baseos".to_owned()),
    };
    let set = |&(name, version): &(&str, &str)| {
        let name: KmodSetName = name.parse().expect("a module set name");
        let supports = definition.kmods[&name].supports.clone();
        ModuleSet { arch: supports.arch, ..ModuleSet::any(name, version) }
    };
    Inputs {
        machine: "x86_64".to_owned(),
        base: vec![Kernel {
            release: KERNEL.parse().expect("a kernel release"),
            package: "kernel-core".to_owned(),
            version: version(KERNEL),
            provenance: Provenance::Base,
        }],
        moving: vec![Part { name: "kernel-core".to_owned(), version: version(KERNEL) }],
        headers: ["6.12.0-139.el10.x86_64", KERNEL, "6.12.0-152.el10.x86_64"].map(headers).to_vec(),
        sets: sets.iter().map(set).collect(),
        ..Inputs::default()
    }
}

fn kernel(inputs: &Inputs) -> Option<KernelLock> {
    let decision = solve(inputs).ok()?;
    let (release, reason) = (decision.release().clone(), decision.reason);
    Some(KernelLock { release, reason, swap: None, inputs: decision::keep(inputs) })
}

fn module(set: &str, version: &str, rows: &[Row]) -> (KmodSetName, ModuleLock) {
    let lock = ModuleLock { version: version.to_owned(), packages: packages(&[BUILDER, rows]) };
    (set.parse().expect("a module set name"), lock)
}

fn record(definition: &Definition) -> Option<Lock> {
    let all = definition;
    let name = |text: &str| text.parse::<TierName>().ok();
    let centos = name("centos")?;
    let tier1 = LockedTier1 {
        definition: definition.tier1_digest(&centos)?,
        kernel: KERNEL.parse().ok()?,
        source: Tier1Source::Mirror {
            image: PinnedReference {
                requested: definition.tier1.get(&centos)?.mirror.as_ref()?.image.clone(),
                resolved: format!("sha256:{}", sha256("centos-bootc:stream10")).parse().ok()?,
            },
            family: Family::Dnf,
        },
    };
    let zfs = || module("zfs", "2.3.4", ZFS);
    let nvidia = || module("nvidia-open", "580.105.08", DRIVER);
    let tier2 = |tier: &str, modules: Vec<(KmodSetName, ModuleLock)>, packages: PackageSet| {
        let name = name(tier)?;
        let definition = definition.tier2_digest(&name)?;
        let sets: Vec<_> = modules.iter().map(|(set, lock)| (set.as_str(), lock.version.as_str())).collect();
        let kernel = kernel(&inputs(all, &sets))?;
        let modules = modules.into_iter().collect();
        Some((name, LockedTier2 { definition, base: tier1.digest(), kernel, modules, packages }))
    };
    let entries = [
        tier2("base-zfs", vec![zfs()], packages(&[TOOLS]))?,
        tier2("base-zfs-nvidia", vec![zfs(), nvidia()], packages(&[TOOLS, GPU_TOOLS]))?,
    ];
    Some(Lock {
        version: Lock::VERSION,
        source_date_epoch: SourceDateEpoch::from_secs(1_760_000_000),
        known_bad: Vec::new(),
        tier1: [(centos, tier1)].into(),
        tier2: entries.into(),
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let dir = Dir::open_ambient_dir("examples/centos-homelab", ambient_authority())?;
    let definition = Definition::load(&dir, &Builtin::compiled())?;
    let lock = record(&definition).ok_or("the example has other tiers than this program knows")?;
    dir.atomic_write(LOCK_FILE, lock.to_toml())?;
    Ok(())
}
