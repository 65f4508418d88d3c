//! The kernel decision, case by case, after `tests/fixtures/kernel-scenarios.txt`; each case is also kept as
//! data and replayed, and decided again with its inputs in the reverse order.

use imgbuild::kernel::{
    Candidate, Decision, Headers, Inputs, Kernel, KernelSet, ModuleSet, NoKernel, PackageEntry, PackageVersion, Part,
    Pin, PinnedBy, Provenance, Swap, Universe, solve,
};
use imgbuild::model::{KernelRelease, KnownBad, Reach};

const SCENARIOS: &str = include_str!("fixtures/kernel-scenarios.txt");
const DEBIAN_13: [&str; 3] = [
    include_str!("fixtures/debian-13-kernels/trixie_main_Packages"),
    include_str!("fixtures/debian-13-kernels/trixie-security_main_Packages"),
    include_str!("fixtures/debian-13-kernels/trixie-backports_main_Packages"),
];

fn archive() -> Provenance {
    Provenance::Archive("archive".into())
}

/// Release and version of `[1:]KVER`; the version is the release's own text.
fn kernel(text: &str) -> (KernelRelease, PackageVersion) {
    let (epoch, release) = text.split_once(':').unwrap_or(("0", text));
    let version = match release.split_once(".x86_64") {
        Some((evr, _)) => PackageVersion::Rpm(format!("{epoch}:{evr}").parse().unwrap()),
        None => {
            let number = release.split('-').next().unwrap();
            PackageVersion::Deb(format!("{epoch}:{number}-1").parse().unwrap())
        }
    };
    (release.parse().unwrap(), version)
}

/// A base has the package version of the archive it was made from.
fn base_kernel(text: &str, universe: &[KernelSet]) -> Kernel {
    let (release, version) = kernel(text);
    let same = universe.iter().find(|set| set.release == release);
    let version = same.map_or(version, |set| set.version.clone());
    Kernel { package: format!("linux-image-{release}"), release, version, provenance: Provenance::Base }
}

fn headers(text: &str) -> Headers {
    let (release, version) = kernel(text);
    Headers { package: format!("linux-headers-{release}"), release, version, provenance: archive() }
}

fn kernel_set(text: &str) -> KernelSet {
    let (text, missing) = text.split_once('!').map_or((text, None), |(text, missing)| (text, Some(missing.to_owned())));
    let (release, version) = kernel(text);
    let packages = vec![Part { name: format!("linux-image-{release}"), version: version.clone() }];
    KernelSet { release, version, provenance: archive(), packages, missing: missing.into_iter().collect() }
}

fn debian_13(inputs: &mut Inputs) {
    let mut universe = Universe::default();
    for index in DEBIAN_13 {
        let entries = index.split("\n\n").filter_map(|stanza| {
            let field = |name: &str| stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            let (name, version, architecture) = (field("Package")?, field("Version")?, field("Architecture")?);
            Some(PackageEntry { name, version, architecture, provides: &[] })
        });
        universe.add_debs(entries, &archive()).unwrap();
    }
    inputs.headers.extend(universe.headers);
    for Kernel { release, package, version, provenance } in universe.kernels {
        let packages = vec![Part { name: package, version: version.clone() }];
        inputs.swaps.push(KernelSet { release, version, provenance, packages, missing: Default::default() });
    }
}

fn module_set(rest: &str) -> ModuleSet {
    let mut words = rest.split(' ');
    let mut set = ModuleSet::any(words.next().unwrap().parse().unwrap(), words.next().unwrap());
    for (key, value) in words.map(|word| word.split_once('=').unwrap()) {
        match key {
            "min" => set.min = Some(value.parse().unwrap()),
            "max" => set.max = Some(value.parse().unwrap()),
            "reach" => set.reach = if value == "full" { Reach::Full } else { Reach::Series },
            "kernel" => set.kernel = Some(value.parse().unwrap()),
            "arch" => set.arch = Some(value.parse().unwrap()),
            "config" => set.config = value.split(',').map(str::to_owned).collect(),
            other => panic!("{other}"),
        }
    }
    set
}

fn policy(inputs: &mut Inputs, rest: &str) {
    let policy = &mut inputs.policy;
    for (key, value) in rest.split(' ').map(|word| word.split_once('=').unwrap()) {
        match key {
            "pin" => policy.pin = Some(Pin { release: value.parse().unwrap(), by: PinnedBy::Definition }),
            "ask" => policy.pin = Some(Pin { release: value.parse().unwrap(), by: PinnedBy::CommandLine }),
            "ceiling" => policy.ceiling = Some(value.parse().unwrap()),
            "floor" => policy.floor = Some(value.parse().unwrap()),
            "deny" => policy.deny = value.split(',').map(|kver| kver.parse().unwrap()).collect(),
            "swap" => policy.swap = if value == "allow" { Swap::Allow } else { Swap::PreferNewest },
            "max-age" => policy.max_age = Some(value.parse().unwrap()),
            other => panic!("{other}"),
        }
    }
}

fn known_bad(rest: &str) -> KnownBad {
    let [set, version, kernel, error] = rest.splitn(4, ' ').collect::<Vec<_>>().try_into().unwrap();
    let (version, error) = (version.to_owned(), error.to_owned());
    KnownBad { set: set.parse().unwrap(), version, kernel: kernel.parse().unwrap(), error }
}

/// Takes a line that says what there is; gives back one that says what is expected.
fn take<'a>(inputs: &mut Inputs, line: &'a str) -> Option<(&'a str, &'a str)> {
    let (word, rest) = line.split_once(' ').unwrap();
    let rest = rest.trim();
    match word {
        "universe" => debian_13(inputs),
        "base" => {
            let kernels: Vec<_> = rest.split(' ').map(|kver| base_kernel(kver, &inputs.swaps)).collect();
            inputs.base.extend(kernels);
        }
        "headers" => inputs.headers.extend(rest.split(' ').map(headers)),
        "kernels" => inputs.swaps.extend(rest.split(' ').map(kernel_set)),
        "moving" => {
            let version = inputs.base[0].version.clone();
            inputs.moving.push(Part { name: rest.to_owned(), version });
        }
        "set" => inputs.sets.push(module_set(rest)),
        "bad" => inputs.known_bad.push(known_bad(rest)),
        "config" => {
            let (kver, symbols) = rest.split_once(' ').unwrap();
            let symbols = symbols.split(' ').map(str::to_owned).collect();
            inputs.facts.entry(kver.parse().unwrap()).or_default().config = Some(symbols);
        }
        "built" => {
            let (kver, day) = rest.split_once(' ').unwrap();
            inputs.facts.entry(kver.parse().unwrap()).or_default().built = Some(day.parse().unwrap());
        }
        "today" => inputs.today = Some(rest.parse().unwrap()),
        "policy" => policy(inputs, rest),
        _ => return Some((word, rest)),
    }
    None
}

fn outcome(result: &Result<Decision, NoKernel>) -> String {
    match result {
        Ok(Decision { swap: Some(swap), kernel, .. }) => {
            let direction = serde_json::to_value(swap.direction).unwrap();
            format!("choose {} {}", kernel.release, direction.as_str().unwrap())
        }
        Ok(decision) => format!("choose {}", decision.release()),
        Err(NoKernel::BaseIsEmpty) => "fail empty".into(),
        Err(NoKernel::SeveralInBase { .. }) => "fail several".into(),
        Err(NoKernel::NoHeaders { .. }) => "fail headers".into(),
        Err(NoKernel::PinNotInBase { .. }) => "fail pin".into(),
        Err(NoKernel::Unacceptable { .. }) => "fail unacceptable".into(),
        Err(other) => panic!("{other}"),
    }
}

fn candidates(result: &Result<Decision, NoKernel>) -> &[Candidate] {
    match result {
        Ok(decision) => &decision.candidates,
        Err(error) => error.candidates(),
    }
}

fn check(name: &str, result: &Result<Decision, NoKernel>, word: &str, rest: &str) {
    let contains = |text: &str| assert!(text.contains(rest), "{name}: {rest:?} is not in {text:?}");
    match word {
        "choose" | "fail" => assert_eq!(outcome(result), format!("{word} {rest}"), "{name}: {result:#?}"),
        "against" => {
            let (kver, reason) = rest.split_once(' ').unwrap();
            let row = candidates(result).iter().find(|row| row.release.as_str() == kver);
            let found = row.unwrap_or_else(|| panic!("{name}: {kver}")).rejection.as_ref();
            assert_eq!(found.map(ToString::to_string).as_deref(), Some(reason), "{name}: {kver}");
        }
        "fix" => contains(&result.as_ref().unwrap_err().fix().unwrap()),
        "reason" => contains(&result.as_ref().unwrap().reason),
        "caveat" => contains(&result.as_ref().unwrap().caveats.join("\n")),
        "blame" => {
            let blame = result.as_ref().unwrap_err().blame();
            let found = blame.iter().any(|blame| format!("{} {}", blame.set, blame.without) == rest);
            assert!(found, "{name}: {rest} is not in {blame:?}");
        }
        other => panic!("{name}: {other}"),
    }
}

fn reversed(inputs: &Inputs) -> Inputs {
    let mut inputs = inputs.clone();
    inputs.base.reverse();
    inputs.headers.reverse();
    inputs.swaps.reverse();
    inputs.sets.reverse();
    inputs.known_bad.reverse();
    inputs.moving.reverse();
    inputs
}

#[test]
fn every_scenario_is_decided_and_explained_as_written() {
    let body = SCENARIOS.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    let cases: Vec<_> = body.split("\n[").map(str::trim).filter(|case| !case.is_empty()).collect();
    assert!(cases.len() >= 40, "{} cases", cases.len());
    for case in cases {
        let (name, lines) = case.trim_start_matches('[').split_once("]\n").unwrap();
        let mut inputs = Inputs { machine: "x86_64".into(), ..Inputs::default() };
        let lines = lines.lines().filter(|line| !line.is_empty());
        let expected: Vec<_> = lines.filter_map(|line| take(&mut inputs, line)).collect();
        let result = solve(&inputs);
        assert!(expected.iter().any(|(word, _)| matches!(*word, "choose" | "fail")), "{name}: expects nothing");
        expected.iter().for_each(|(word, rest)| check(name, &result, word, rest));
        assert_eq!(solve(&reversed(&inputs)), result, "{name}: the order of the inputs matters");

        let kept = serde_json::to_string(&(&inputs, &result)).unwrap();
        let (inputs, told): (Inputs, Result<Decision, NoKernel>) = serde_json::from_str(&kept).unwrap();
        assert_eq!(solve(&inputs), told, "{name}: cannot be replayed");
        let unexplained = candidates(&told).iter().filter(|row| row.rejection.is_none()).count();
        assert_eq!(unexplained, usize::from(told.is_ok()), "{name}: not every candidate is explained");
    }
}

#[test]
fn a_swap_is_told_as_one_transaction_and_a_table() {
    let mut inputs = Inputs { machine: "x86_64".into(), ..Inputs::default() };
    for line in [
        "base 6.12.107+deb13-amd64",
        "headers 6.12.107+deb13-amd64 6.12.94+deb13-amd64",
        "kernels 6.12.94+deb13-amd64",
        "set zfs 2.3.9 max=6.12.100",
        "policy swap=allow",
    ] {
        assert_eq!(take(&mut inputs, line), None);
    }
    let expected = "\
6.12.94+deb13-amd64: the newest acceptable kernel, a downgrade from the base's 6.12.107+deb13-amd64 (zfs 2.3.9 supports kernels up to 6.12.100), with headers on offer (linux-headers-6.12.94+deb13-amd64 0:6.12.94+deb13-1)
downgrade in one transaction:
  - linux-image-6.12.107+deb13-amd64 0:6.12.107+deb13-1
  + linux-image-6.12.94+deb13-amd64 0:6.12.94+deb13-1
  kernel                version             in base  headers  packages  against it
  6.12.107+deb13-amd64  0:6.12.107+deb13-1  yes      yes      -         zfs 2.3.9 supports kernels up to 6.12.100
  6.12.94+deb13-amd64   0:6.12.94+deb13-1   -        yes      yes";
    assert_eq!(solve(&inputs).unwrap().to_string(), expected);
}
