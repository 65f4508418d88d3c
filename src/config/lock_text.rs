//! The text form of `imgbuild.lock`.
//!
//! Written for people who read merge requests: one package per line, sorted,
//! fields in the order one asks for them, a comma after every line so that an
//! added package changes one line. The same lock always gives the same bytes.

use std::fmt::{self, Write};
use std::sync::LazyLock;

use super::document::Document;
use super::error::ConfigErrors;
use super::lock_inputs::write_inputs;
use super::rules;
use super::shape::Shape;
use super::{
    Archive, KernelInputs, KernelLock, KernelSwap, Lock, LockedPackage, LockedTier1, LockedTier2, ModuleLock,
    PackageSet, SetupRootLock, Tier1Source,
};
use crate::model::{KnownBad, PinnedReference};

/// Name of the lock file in a project's folder.
pub const LOCK_FILE: &str = "imgbuild.lock";

const HEADER: &str =
    "# Written by `imgbuild lock`. Do not edit; after a merge conflict, take either side and lock again.\n";

static SHAPE: LazyLock<Shape> =
    LazyLock::new(|| Shape::of::<Lock>().expect("the lock's types have a shape; a test makes it"));

impl Lock {
    /// Version of the format this imgbuild reads and writes.
    pub const VERSION: u32 = 1;

    /// Reads the text of `imgbuild.lock`.
    ///
    /// # Errors
    /// When the text is not TOML, is of another version, or holds anything a lock does not; with the places.
    pub fn parse(text: &str) -> Result<Self, ConfigErrors> {
        let document = Document::parse(text).map_err(|findings| ConfigErrors::in_file(LOCK_FILE, text, findings))?;
        let root = document.root(Some(&SHAPE));
        let mut findings = Vec::new();
        match rules::unsupported_version(root) {
            Some(finding) => findings.push(finding),
            None => SHAPE.check(root, &mut findings),
        }
        let lock = if findings.is_empty() { document.into_typed(&mut findings) } else { None };
        lock.ok_or_else(|| ConfigErrors::in_file(LOCK_FILE, text, findings))
    }

    /// The text of `imgbuild.lock`: the same bytes for the same lock, whatever order its packages are in.
    pub fn to_toml(&self) -> String {
        let mut text = HEADER.to_owned();
        self.write(&mut text).expect("writing to a string cannot fail");
        text
    }

    // The patterns below name every field, so that a new one cannot be forgotten here.

    fn write(&self, out: &mut String) -> fmt::Result {
        let Self { version, source_date_epoch, known_bad, tier1, tier2 } = self;
        writeln!(out, "version = {version}\nsource-date-epoch = {}", source_date_epoch.as_secs())?;
        write_known_bad(out, known_bad)?;
        for (name, tier) in tier1 {
            write_tier1(out, &format!("tier1.{}", key(name.as_str())), tier)?;
        }
        for (name, tier) in tier2 {
            write_tier2(out, &format!("tier2.{}", key(name.as_str())), tier)?;
        }
        Ok(())
    }
}

fn write_tier1(out: &mut String, path: &str, tier: &LockedTier1) -> fmt::Result {
    let LockedTier1 { definition, kernel, source } = tier;
    writeln!(out, "\n[{path}]\ndefinition = \"{definition}\"\nkernel = \"{kernel}\"")?;
    match source {
        Tier1Source::Mirror { image, family } => {
            let PinnedReference { requested, resolved } = image;
            writeln!(out, "\n[{path}.source.mirror]\nfamily = \"{family}\"\n\n[{path}.source.mirror.image]")?;
            writeln!(out, "requested = {}\nresolved = \"{resolved}\"", quoted(&requested.to_string()))
        }
        Tier1Source::Bootstrap { packages, setup_root } => {
            let SetupRootLock { sha256 } = setup_root;
            writeln!(out, "\n[{path}.source.bootstrap.setup-root]\nsha256 = \"{sha256}\"")?;
            write_packages(out, &format!("{path}.source.bootstrap.packages"), packages)
        }
    }
}

fn write_tier2(out: &mut String, path: &str, tier: &LockedTier2) -> fmt::Result {
    let LockedTier2 { definition, base, kernel, modules, packages } = tier;
    writeln!(out, "\n[{path}]\ndefinition = \"{definition}\"\nbase = \"{base}\"")?;
    write_kernel(out, &format!("{path}.kernel"), kernel)?;
    for (name, module) in modules {
        let ModuleLock { version, packages } = module;
        let path = format!("{path}.modules.{}", key(name.as_str()));
        writeln!(out, "\n[{path}]\nversion = {}", quoted(version))?;
        write_packages(out, &format!("{path}.packages"), packages)?;
    }
    write_packages(out, &format!("{path}.packages"), packages)
}

fn write_known_bad(out: &mut String, known_bad: &[KnownBad]) -> fmt::Result {
    if known_bad.is_empty() {
        return Ok(());
    }
    let mut sorted: Vec<&KnownBad> = known_bad.iter().collect();
    sorted.sort();
    writeln!(out, "known-bad = [")?;
    for KnownBad { set, version, kernel, error } in sorted {
        write!(out, "  {{ set = \"{set}\", version = {}, kernel = \"{kernel}\", ", quoted(version))?;
        writeln!(out, "error = {} }},", quoted(error))?;
    }
    writeln!(out, "]")
}

fn write_kernel(out: &mut String, path: &str, kernel: &KernelLock) -> fmt::Result {
    let KernelLock { release, reason, swap, inputs: KernelInputs(inputs) } = kernel;
    writeln!(out, "\n[{path}]\nrelease = \"{release}\"\nreason = {}", quoted(reason))?;
    write_inputs(out, &format!("{path}.inputs"), inputs)?;
    let Some(KernelSwap { from, remove, packages }) = swap else { return Ok(()) };
    let remove: Vec<_> = remove.iter().map(|name| quoted(name)).collect();
    writeln!(out, "\n[{path}.swap]\nfrom = \"{from}\"\nremove = [{}]", remove.join(", "))?;
    write_packages(out, &format!("{path}.swap.packages"), packages)
}

fn write_packages(out: &mut String, path: &str, set: &PackageSet) -> fmt::Result {
    let PackageSet { packages } = set;
    if packages.is_empty() {
        return writeln!(out, "\n[{path}]\npackage = []");
    }
    let mut sorted: Vec<&LockedPackage> = packages.iter().collect();
    sorted.sort_by_key(|package| (&package.name, &package.architecture, &package.version));
    writeln!(out, "\n[{path}]\npackage = [")?;
    for package in sorted {
        let LockedPackage { name, version, architecture, sha256, size, archive, path } = package;
        write!(out, "  {{ name = {}, version = {}, ", quoted(name), quoted(version))?;
        write!(out, "architecture = {}, sha256 = \"{sha256}\", size = {size}, ", quoted(architecture))?;
        writeln!(out, "archive = {}, path = {} }},", archive_value(archive), quoted(path))?;
    }
    writeln!(out, "]")
}

fn archive_value(archive: &Archive) -> String {
    match archive {
        Archive::Machine => "\"machine\"".to_owned(),
        Archive::MachineSecurity => "\"machine-security\"".to_owned(),
        Archive::Url(url) => format!("{{ url = {} }}", quoted(url)),
    }
}

/// A key, quoted where TOML wants it.
pub(super) fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { quoted(name) }
}

/// A basic string, on one line whatever it holds.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, proptest};

    use super::*;

    const INPUTS: &str = r#"
        machine = "x86_64"
        today = 20000
        moving = []
        headers = [{ release = "6.12.47" }, { version = { deb = "6.12.48-1" }, release = "6.12.48+deb13-amd64" }]
        swaps = [{ packages = [{ version = "1", name = "b" }], release = "6.12.48+deb13-amd64", missing = ["c"] }]
        facts = { "6.12.48+deb13-amd64" = { config = ["CONFIG_A"] } }
        policy = { swap = "allow", deny = [] }
    "#;

    fn package(name: &str, archive: Archive) -> LockedPackage {
        LockedPackage {
            name: name.to_owned(),
            version: "1:2.0-1+b1".to_owned(),
            architecture: "amd64".to_owned(),
            sha256: "0a".repeat(32).parse().unwrap(),
            size: 4096,
            archive,
            path: format!("pool/main/{name}.deb"),
        }
    }

    fn lock() -> Lock {
        let digest = format!("sha256:{}", "1b".repeat(32));
        let mirror = Tier1Source::Mirror {
            image: PinnedReference {
                requested: "docker://quay.io/centos-bootc/centos-bootc:stream10".parse().unwrap(),
                resolved: digest.parse().unwrap(),
            },
            family: super::super::Family::Dnf,
        };
        let set = PackageSet { packages: vec![package("a", Archive::Machine), package("b", Archive::MachineSecurity)] };
        let bootstrap = Tier1Source::Bootstrap {
            packages: set.clone(),
            setup_root: SetupRootLock { sha256: "2c".repeat(32).parse().unwrap() },
        };
        let tier1 = |source| LockedTier1 {
            definition: "3d".repeat(32).parse().unwrap(),
            kernel: "6.12.48+deb13-cloud-amd64".parse().unwrap(),
            source,
        };
        let url = PackageSet { packages: vec![package("c", Archive::Url("http://example.org/debian".to_owned()))] };
        let tier2 = LockedTier2 {
            definition: "4e".repeat(32).parse().unwrap(),
            base: "5f".repeat(32).parse().unwrap(),
            kernel: KernelLock {
                release: "6.12.48+deb13-cloud-amd64".parse().unwrap(),
                reason: "the base's own kernel; \"headers\" for it exist".to_owned(),
                swap: Some(KernelSwap {
                    from: "6.12.47+deb13-cloud-amd64".parse().unwrap(),
                    remove: vec!["linux-image-6.12.47+deb13-cloud-amd64".to_owned()],
                    packages: PackageSet { packages: vec![package("linux-image", Archive::Machine)] },
                }),
                inputs: KernelInputs(toml::from_str(INPUTS).unwrap()),
            },
            modules: [("jool".parse().unwrap(), ModuleLock { version: "4.1.13".to_owned(), packages: url })].into(),
            packages: PackageSet::default(),
        };
        Lock {
            version: Lock::VERSION,
            known_bad: vec![KnownBad {
                set: "jool".parse().unwrap(),
                version: "4.1.13".to_owned(),
                kernel: "6.12.49+deb13-cloud-amd64".parse().unwrap(),
                error: "main.c:7: error: too few arguments to \"f\"".to_owned(),
            }],
            source_date_epoch: crate::model::SourceDateEpoch::from_secs(1_760_000_000),
            tier1: [("centos".parse().unwrap(), tier1(mirror)), ("debian.13".parse().unwrap(), tier1(bootstrap))]
                .into(),
            tier2: [("edge".parse().unwrap(), tier2)].into(),
        }
    }

    #[test]
    fn the_text_is_readable_and_reads_back() {
        let text = lock().to_toml();
        insta::assert_snapshot!(text);
        assert_eq!(Lock::parse(&text).unwrap(), lock());
    }

    #[test]
    fn packages_are_sorted_whatever_order_they_came_in() {
        let mut shuffled = lock();
        for tier in shuffled.tier1.values_mut() {
            if let Tier1Source::Bootstrap { packages, .. } = &mut tier.source {
                packages.packages.reverse();
            }
        }
        assert_ne!(shuffled, lock());
        assert_eq!(shuffled.to_toml(), lock().to_toml());
    }

    #[test]
    fn a_corrupt_lock_says_where() {
        let text = lock().to_toml();
        for (from, to, code) in [
            ("version = 1\n", "version = 2\n", "config::unsupported-version"),
            ("size = 4096", "size = \"big\"", "config::wrong-type"),
            (&"0a".repeat(32), "0a0a", "config::bad-value"),
            ("archive = \"machine\"", "archive = \"mashine\"", "config::bad-value"),
            (", path = ", ", pth = ", "config::unknown-key"),
            ("reason = ", "<<<<<<< HEAD\nreason = ", "config::syntax"),
        ] {
            let broken = text.replacen(from, to, 1);
            assert_ne!(broken, text, "{from}");
            let errors = Lock::parse(&broken).unwrap_err();
            let error = errors.iter().next().unwrap();
            assert_eq!(error.kind().code(), code);
            let line = broken.lines().nth(error.position().unwrap().line - 1).unwrap();
            assert!(line.contains(to.split('\n').next().unwrap().trim()), "{line}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn any_text_survives(text in any::<String>()) {
            let mut lock = lock();
            lock.tier2.values_mut().for_each(|tier| tier.kernel.reason.clone_from(&text));
            let value = toml::Value::from(text.clone());
            lock.tier2.values_mut().for_each(|tier| drop(tier.kernel.inputs.0.insert(text.clone(), value.clone())));
            assert_eq!(Lock::parse(&lock.to_toml()).unwrap(), lock);
        }
    }
}
