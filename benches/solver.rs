//! The kernel decision among 10,000 candidates, which has to stay under 50 ms.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use imgbuild::kernel::{
    Headers, Inputs, Kernel, KernelSet, ModuleSet, PackageVersion, Part, Policy, Provenance, Swap, solve,
};

/// Ten series of a thousand builds; two sets that support only the oldest half; a base that nothing supports.
fn universe() -> Inputs {
    let archive = Provenance::Archive("archive".into());
    let mut inputs = Inputs { machine: "x86_64".into(), ..Inputs::default() };
    for build in 0..10_000_u32 {
        let number = format!("6.{}.{}", build / 1000, build % 1000);
        let release: imgbuild::model::KernelRelease = format!("{number}+deb13-amd64").parse().unwrap();
        let version = PackageVersion::Deb(format!("{number}-1").parse().unwrap());
        let package = format!("linux-headers-{release}");
        let (provenance, version2) = (archive.clone(), version.clone());
        inputs.headers.push(Headers { release: release.clone(), package, version: version2, provenance });
        let part = Part { name: format!("linux-image-{release}"), version: version.clone() };
        let (provenance, missing) = (archive.clone(), Default::default());
        inputs.swaps.push(KernelSet { release, version, provenance, packages: vec![part], missing });
    }
    inputs.base = vec![Kernel {
        release: "6.99.0+deb13-amd64".parse().unwrap(),
        package: "linux-image-6.99.0+deb13-amd64".into(),
        version: PackageVersion::Deb("6.99.0-1".parse().unwrap()),
        provenance: Provenance::Base,
    }];
    inputs.sets = ["nvidia", "zfs"]
        .map(|name| ModuleSet {
            max: Some("6.4".parse().unwrap()),
            kernel: Some(r"^6\.[0-9]+\.".parse().unwrap()),
            ..ModuleSet::any(name.parse().unwrap(), "1")
        })
        .to_vec();
    inputs.policy = Policy { swap: Swap::Allow, ..Policy::default() };
    inputs
}

fn ten_thousand_candidates(criterion: &mut Criterion) {
    let swap = universe();
    assert_eq!(solve(&swap).unwrap().release().as_str(), "6.4.999+deb13-amd64");
    let mut never = universe();
    never.policy.swap = Swap::Never;
    criterion.bench_function("swap among 10000 kernels", |bench| bench.iter(|| black_box(solve(&swap)).is_ok()));
    criterion.bench_function("refuse 10000 kernels", |bench| bench.iter(|| black_box(solve(&never)).is_err()));
}

criterion_group!(benches, ten_thousand_candidates);
criterion_main!(benches);
