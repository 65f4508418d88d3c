//! The proof on all modules of a real kernel, fetched from the archive.
#![expect(clippy::disallowed_methods, reason = "fetches and unpacks a package")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use imgbuild::kmod::{Code, ProofInput, SignaturePolicy, SymbolSource, is_module_path, prove};

fn run(program: &str, arguments: &[&str], folder: &Path) -> String {
    let output = Command::new(program).args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The unpacked kernel package that the newest cloud flavour depends on.
fn kernel() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian-kernel");
    let root = folder.join("root");
    if !root.exists() {
        std::fs::create_dir_all(&folder).unwrap();
        let depends = run("apt-cache", &["depends", "linux-image-cloud-amd64"], &folder);
        let name = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: linux-image")).unwrap();
        run("apt-get", &["download", &format!("linux-image{name}")], &folder);
        run("sh", &["-c", "dpkg-deb -x linux-image*.deb root.new && mv root.new root"], &folder);
    }
    root
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            collect(&path, found);
        } else if is_module_path(path.to_str().unwrap()) {
            found.push(path);
        }
    }
}

#[test]
#[ignore = "fetches a kernel of 30 MB from the Debian archive"]
fn a_kernels_own_modules_are_proven() {
    let root = kernel();
    // Older releases have /lib beside /usr.
    let prefix = if root.join("usr/lib/modules").exists() { root.join("usr") } else { root };
    let release = std::fs::read_dir(prefix.join("lib/modules")).unwrap().next().unwrap().unwrap().file_name();
    let mut files = Vec::new();
    collect(&prefix.join("lib/modules"), &mut files);
    files.sort();
    let in_image = |path: &PathBuf| format!("/usr/{}", path.strip_prefix(&prefix).unwrap().to_str().unwrap());
    let mut paths: Vec<String> = files.iter().map(in_image).collect();
    let prove_some = |modules: &[String], in_tree: &[String], kernel: &str| {
        prove(&ProofInput {
            kernel: &kernel.parse().unwrap(),
            modules,
            in_tree,
            built_in: &std::collections::BTreeSet::new(),
            read: &|path| std::fs::read(prefix.join(path.strip_prefix("/usr/").unwrap())),
            symvers: None,
            expected: None,
            firmware: None,
            signatures: SignaturePolicy::Required,
        })
    };
    let release = release.to_str().unwrap();
    let start = Instant::now();
    let proof = prove_some(&paths, &paths, release);
    let all = start.elapsed();
    let failures: Vec<_> = proof.findings.iter().filter(|found| found.code != Code::SymbolUnproven).collect();
    assert!(failures.is_empty(), "{failures:?}");
    assert!(
        proof.facts.modules > 500 && proof.facts.symbols > 1000 && proof.facts.versions > 1000,
        "{:?}",
        proof.facts
    );
    assert_eq!(proof.facts.signers.len(), proof.facts.modules);

    // One module against all the others, which stand witness for the kernel.
    let at = paths.iter().position(|path| path.contains("/nf_conntrack.ko")).unwrap();
    let one = [paths.remove(at)];
    let start = Instant::now();
    let proof = prove_some(&one, &paths, release);
    assert!(proof.holds(), "{:?}", proof.findings);
    assert!(proof.facts.symbols > 100 && proof.facts.versions > 100, "{:?}", proof.facts);
    assert!(proof.facts.unproven < 20 && matches!(proof.facts.source, SymbolSource::InTree(_)), "{:?}", proof.facts);
    assert!(all < Duration::from_secs(60) && start.elapsed() < Duration::from_secs(60), "{all:?}");
    let failed = prove_some(&one, &paths, "1.2.3");
    assert!(failed.findings.iter().any(|found| found.code == Code::ModuleForAnotherKernel));
}
