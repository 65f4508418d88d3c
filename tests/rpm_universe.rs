//! The way from a base's package database to locked packages, on made-up RPM packages.
//!
//! Needs `rpmbuild`, `createrepo_c`, `rpm` and `dnf`; what is missing is named and the test left out.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "the test makes its fixture and names what is missing"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use imgbuild::kernel::{Decision, Inputs, NoKernel, PackageEntry, Provenance, Universe, solve};
use imgbuild::sys::{CmdError, Interrupt, Runner};
use imgbuild::tool::dnf::{self, Dnf, PrivateConfig, Repository, private_root};
use imgbuild::tool::repodata::{RpmPackage, decompressed, parse_primary, parse_repomd};
use imgbuild::tool::rpm::{Installed, Rpm, parse_installed};
use imgbuild::tool::{Problem, ToolVersion};

const KVER: &str = "6.12.0-124.8.1.rv10.x86_64";
const DATABASE: &str = "/usr/lib/sysimage/rpm";

fn missing_programs() -> Vec<&'static str> {
    let missing = |program: &&str| Command::new(program).arg("--version").output().is_err();
    ["rpmbuild", "createrepo_c", "rpm", "dnf"].into_iter().filter(missing).collect()
}

/// The universe and one private root over one of its repositories.
struct Bench {
    folder: tempfile::TempDir,
    runner: Runner,
}

impl Bench {
    fn new(repository: &str) -> Option<Self> {
        let missing = missing_programs();
        if !missing.is_empty() {
            println!("left out: not installed: {}", missing.join(", "));
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rpm-universe/make.sh");
        let made = Command::new(script).arg("stubs").arg(folder.path().join("universe")).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let bench = Self { folder, runner: Runner::new(None, "test", Interrupt::default()) };
        bench.make_private_root(&bench.path(&format!("universe/repos/{repository}")));
        Some(bench)
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// What the build room does: the base's package database, and two files of configuration.
    fn make_private_root(&self, repository: &str) {
        let database = format!("lock/{}{DATABASE}", private_root::ROOT);
        fs::create_dir_all(self.path(&database)).unwrap();
        fs::create_dir_all(self.path(&format!("lock/{}", private_root::HOME))).unwrap();
        for file in fs::read_dir(self.path(&format!("universe/root{DATABASE}"))).unwrap() {
            let file = file.unwrap();
            let target = PathBuf::from(self.path(&database)).join(file.file_name());
            fs::copy(file.path(), target).unwrap();
        }
        let url = format!("file://{repository}");
        let repositories = [Repository { id: "universe", url: &url, key: None }];
        let config =
            dnf::private_config(&PrivateConfig { repositories: &repositories, more: None, variables: None }).unwrap();
        fs::write(self.path(&format!("lock/{}", private_root::CONFIG)), config).unwrap();
        fs::write(self.path(&format!("lock/{}", private_root::MACROS)), dnf::rpm_macros(DATABASE).unwrap()).unwrap();
    }

    fn installed(&self) -> Vec<Installed> {
        let root = self.path("universe/root");
        let output = self.runner.read(&Rpm { root: &root, database: DATABASE }.installed()).unwrap();
        parse_installed(&output).unwrap()
    }

    fn on_offer(&self, keep: impl FnMut(&RpmPackage) -> bool) -> Vec<RpmPackage> {
        let lock = self.path("lock");
        self.runner.run(&Dnf { folder: &lock, release: "10", architecture: "x86_64" }.make_cache()).unwrap();
        let cache = fs::read_dir(self.path(&format!("lock/{}", private_root::CACHE))).unwrap();
        let folder = cache
            .map(|entry| entry.unwrap())
            .find(|entry| dnf::cached_repository(entry.file_name().to_str().unwrap()) == Some("universe"))
            .unwrap()
            .path();
        let primary = parse_repomd(&fs::read(folder.join("repodata/repomd.xml")).unwrap()).unwrap();
        let name = primary.rsplit('/').next().unwrap();
        let file = fs::File::open(folder.join("repodata").join(name)).unwrap();
        parse_primary(decompressed(name, file).unwrap(), keep).unwrap()
    }

    /// The names of the fetched files, sorted.
    fn fetch(&self, packages: &[&str], without: &[&str]) -> Result<Vec<String>, CmdError> {
        let lock = self.path("lock");
        let dnf = Dnf { folder: &lock, release: "10", architecture: "x86_64" };
        let into = self.path("packages");
        self.runner.run(&dnf.fetch(packages.iter().copied(), without, &into))?;
        let names = fs::read_dir(into).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        Ok(names)
    }

    fn choose(&self) -> Result<Decision, NoKernel> {
        let mut universe = Universe::default();
        for package in self.installed() {
            let provides: Vec<&str> = package.provides.iter().map(String::as_str).collect();
            let entry = entry(&package.name, &package.version, &package.architecture, &provides);
            universe.add_rpms([entry], &Provenance::Base).unwrap();
        }
        let base = std::mem::take(&mut universe.kernels);
        for package in self.on_offer(|package| package.name.starts_with("kernel")) {
            let provides: Vec<&str> = package.provides.iter().map(String::as_str).collect();
            let entry = entry(&package.name, &package.version, &package.architecture, &provides);
            universe.add_rpms([entry], &Provenance::Archive("universe".into())).unwrap();
        }
        solve(&Inputs { base, headers: universe.headers, ..Inputs::default() })
    }
}

fn entry<'a>(name: &'a str, version: &'a str, architecture: &'a str, provides: &'a [&'a str]) -> PackageEntry<'a> {
    PackageEntry { name, version, architecture, provides }
}

fn problem(error: &CmdError) -> Option<Problem> {
    match error {
        CmdError::Failed { tail, .. } => dnf::diagnose(tail),
        _ => None,
    }
}

#[test]
fn the_base_kernel_is_chosen_and_its_headers_are_fetched() {
    let Some(bench) = Bench::new("full") else { return };
    let version = ToolVersion::find(&bench.runner.read(&dnf::version()).unwrap()).unwrap();
    assert!(version >= dnf::MINIMUM && version < dnf::BELOW, "{version}");

    let decision = bench.choose().unwrap();
    assert_eq!(decision.release().as_str(), KVER);
    assert_eq!(decision.on_offer()[0].as_str(), "6.17.0~rc3-1.rv10.x86_64");

    let headers = format!("kernel-devel-uname-r = {KVER}");
    let fetched = bench.fetch(&["hello-dkms", &headers], &["kernel", "kernel-core"]).unwrap();
    assert_eq!(
        fetched,
        [
            "dkms-3.2.2-1.rv10.x86_64.rpm",
            "gcc-14.2.0-1.rv10.x86_64.rpm",
            "hello-dkms-1.0-1.rv10.noarch.rpm",
            "kernel-devel-6.12.0-124.8.1.rv10.x86_64.rpm",
            "make-4.4.1-1.rv10.x86_64.rpm",
        ]
    );
    // Each fetched file is one of the metadata's, which has the checksum for the lock.
    let offers = bench.on_offer(|_| true);
    for name in fetched {
        let offer = offers.iter().find(|offer| offer.location == name).unwrap();
        assert_eq!(fs::metadata(bench.path(&format!("packages/{name}"))).unwrap().len(), offer.size);
        assert_eq!(offer.sha256.len(), 64);
    }
}

#[test]
fn what_the_base_has_is_not_fetched() {
    let Some(bench) = Bench::new("full") else { return };
    let matched = format!("kernel-devel-matched-{}", KVER.trim_end_matches(".x86_64"));
    // The base's own kernel satisfies what may not be installed.
    let fetched = bench.fetch(&[&matched], &["kernel", "kernel-core"]).unwrap();
    assert_eq!(
        fetched,
        ["kernel-devel-6.12.0-124.8.1.rv10.x86_64.rpm", "kernel-devel-matched-6.12.0-124.8.1.rv10.x86_64.rpm"]
    );
}

/// Once another kernel is noted in the copy of the database, what needs it is resolved as if it were there.
#[test]
fn a_replaced_kernel_is_what_everything_is_resolved_against() {
    let Some(bench) = Bench::new("full") else { return };
    bench.on_offer(|_| false);
    let other = "6.12.0-55.9.1.rv10";
    let kernel = ["kernel", "kernel-core", "kernel-tools"].map(|name| format!("{name}-{other}"));
    let files = bench.fetch(&kernel.each_ref().map(String::as_str), &[]).unwrap();
    assert_eq!(files, kernel.map(|name| format!("{name}.x86_64.rpm")));

    let root = bench.path(&format!("lock/{}", private_root::ROOT));
    let rpm = Rpm { root: &root, database: DATABASE };
    let files = files.iter().map(|file| bench.path(&format!("packages/{file}")));
    bench.runner.run(&rpm.replace_in_database(files)).unwrap();
    let installed = parse_installed(&bench.runner.read(&rpm.installed()).unwrap()).unwrap();
    let kernels = installed.iter().filter(|package| package.name.starts_with("kernel"));
    let versions: Vec<_> = kernels.map(|package| (package.name.as_str(), package.version.as_str())).collect();
    assert_eq!(versions, [("kernel", other), ("kernel-core", other), ("kernel-tools", other)]);

    fs::remove_dir_all(bench.path("packages")).unwrap();
    let matched = format!("kernel-devel-matched-{other}");
    let fetched = bench.fetch(&[&matched], &["kernel", "kernel-core"]).unwrap();
    assert_eq!(fetched.len(), 2, "{fetched:?}");
}

#[test]
fn headers_that_drifted_away_are_told_by_direction() {
    for (repository, expected) in
        [("older", "the base is newer than all headers"), ("newer", "the base is older than all headers")]
    {
        let Some(bench) = Bench::new(repository) else { return };
        let fix = bench.choose().unwrap_err().fix().unwrap();
        assert!(fix.starts_with(expected), "{repository}: {fix}");
    }
}

#[test]
fn failures_of_dnf_are_recognised() {
    let Some(bench) = Bench::new("full") else { return };
    bench.on_offer(|_| false);
    let failure = |packages: &[&str], without: &[&str]| problem(&bench.fetch(packages, without).unwrap_err()).unwrap();
    assert_eq!(failure(&["nonsense"], &[]), Problem::UnknownPackage { package: "nonsense".into() });
    assert_eq!(failure(&["-nonsense"], &[]), Problem::UnknownPackage { package: "-nonsense".into() });
    // A second kernel may not come in by the back door.
    let other = "kernel-devel-matched-6.12.0-124.13.1.rv10";
    let Problem::Unsatisfiable { explanation } = failure(&[other], &["kernel", "kernel-core"]) else { panic!() };
    assert!(explanation.contains("kernel-core-6.12.0-124.13.1.rv10.x86_64"), "{explanation}");

    fs::remove_dir_all(bench.path(&format!("lock/{}", private_root::CACHE))).unwrap();
    fs::remove_dir_all(bench.path("universe/repos/full/repodata")).unwrap();
    let failure = problem(&bench.fetch(&["make"], &[]).unwrap_err());
    assert!(matches!(&failure, Some(Problem::Unreachable { uri, .. }) if uri == "universe"), "{failure:?}");
}
