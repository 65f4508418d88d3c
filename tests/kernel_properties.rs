//! What holds of the kernel decision on any universe.

use imgbuild::kernel::{
    Candidate, Decision, Headers, Inputs, Kernel, KernelSet, ModuleSet, NoKernel, PackageVersion, Part, Policy,
    Provenance, Swap, solve,
};
use imgbuild::model::{KernelRelease, KnownBad};
use proptest::prelude::*;

fn archive(number: u8) -> Provenance {
    Provenance::Archive(format!("archive-{number}"))
}

fn kernel(build: u8) -> (KernelRelease, PackageVersion) {
    let evr = format!("6.{}.0-{build}.el10", build / 4);
    (format!("{evr}.x86_64").parse().unwrap(), PackageVersion::Rpm(evr.parse().unwrap()))
}

fn headers(build: u8, number: u8) -> Headers {
    let (release, version) = kernel(build);
    Headers { release, package: "kernel-devel".into(), version, provenance: archive(number) }
}

fn kernel_set(build: u8, complete: bool) -> KernelSet {
    let (release, version) = kernel(build);
    let packages = vec![Part { name: "kernel-core".into(), version: version.clone() }];
    let missing = if complete { None } else { Some("kernel-modules".to_owned()) };
    KernelSet { release, version, provenance: archive(0), packages, missing: missing.into_iter().collect() }
}

prop_compose! {
    fn universes()(
        base in 1_u8..20,
        offers in prop::collection::vec((1_u8..20, 0_u8..3), 0..20),
        kernels in prop::collection::vec((1_u8..20, any::<bool>()), 0..20),
        max in prop::option::of(0_u8..6),
        bad in prop::collection::vec(1_u8..20, 0..6),
        deny in prop::collection::btree_set(1_u8..20, 0..3),
        swap in prop::sample::select(vec![Swap::Never, Swap::Allow, Swap::PreferNewest]),
    ) -> Inputs {
        let (release, version) = kernel(base);
        let set = |name: &str| ModuleSet::any(name.parse().unwrap(), "1.0");
        let max = max.map(|minor| format!("6.{minor}").parse().unwrap());
        let error = "error: it broke".to_owned();
        let known = |build: u8| KnownBad {
            set: "nvidia".parse().unwrap(), version: "1.0".into(), kernel: kernel(build).0, error: error.clone(),
        };
        Inputs {
            machine: "x86_64".into(),
            base: vec![Kernel { release, package: "kernel-core".into(), version, provenance: Provenance::Base }],
            headers: offers.into_iter().map(|(build, number)| headers(build, number)).collect(),
            swaps: kernels.into_iter().map(|(build, complete)| kernel_set(build, complete)).collect(),
            sets: vec![ModuleSet { max, ..set("zfs") }, set("nvidia")],
            known_bad: bad.into_iter().map(known).collect(),
            policy: Policy { swap, deny: deny.into_iter().map(|b| kernel(b).0).collect(), ..Policy::default() },
            ..Inputs::default()
        }
    }
}

fn candidates(result: &Result<Decision, NoKernel>) -> &[Candidate] {
    match result {
        Ok(decision) => &decision.candidates,
        Err(error) => error.candidates(),
    }
}

fn choice(result: &Result<Decision, NoKernel>) -> Option<&KernelRelease> {
    result.as_ref().ok().map(Decision::release)
}

proptest! {
    #[test]
    fn the_chosen_kernel_can_be_built_for(inputs in universes()) {
        let Ok(decision) = solve(&inputs) else { return Ok(()) };
        prop_assert!(inputs.headers.iter().any(|offer| offer.release == *decision.release()));
        prop_assert_eq!(&decision.headers.release, decision.release());
        prop_assert!(!inputs.policy.deny.contains(decision.release()));
        prop_assert!(!inputs.known_bad.iter().any(|bad| bad.kernel == *decision.release()));
        let in_base = inputs.base[0].release == *decision.release();
        let complete = |set: &KernelSet| set.release == *decision.release() && set.missing.is_empty();
        prop_assert!(in_base || (inputs.policy.swap != Swap::Never && inputs.swaps.iter().any(complete)));
        prop_assert_eq!(decision.swap.is_some(), !in_base);
    }

    #[test]
    fn every_candidate_is_there_once_and_explained(inputs in universes()) {
        let result = solve(&inputs);
        let rows = candidates(&result);
        for release in inputs.headers.iter().map(|h| &h.release).chain(inputs.swaps.iter().map(|k| &k.release)) {
            prop_assert_eq!(rows.iter().filter(|row| row.release == *release).count(), 1);
        }
        prop_assert_eq!(rows.iter().filter(|row| row.rejection.is_none()).count(), usize::from(result.is_ok()));
        prop_assert!(rows.is_sorted_by(|left, right| left.version() >= right.version()));
        if let Err(error) = &result {
            prop_assert!(error.fix().is_some_and(|fix| !fix.is_empty()));
        }
    }

    #[test]
    fn the_order_of_the_inputs_is_nothing(
        (inputs, shuffled) in universes().prop_flat_map(|inputs| {
            let lists = (
                Just(inputs.headers.clone()).prop_shuffle(),
                Just(inputs.swaps.clone()).prop_shuffle(),
                Just(inputs.known_bad.clone()).prop_shuffle(),
                Just(inputs.sets.clone()).prop_shuffle(),
            );
            (Just(inputs), lists)
        })
    ) {
        let (headers, swaps, known_bad, sets) = shuffled;
        prop_assert_eq!(solve(&Inputs { headers, swaps, known_bad, sets, ..inputs.clone() }), solve(&inputs));
    }

    /// A denied kernel, newer than all, with headers and packages: it is looked at and changes nothing.
    #[test]
    fn a_rejected_candidate_changes_nothing(inputs in universes()) {
        let before = solve(&inputs);
        let mut more = inputs.clone();
        more.headers.push(headers(200, 0));
        more.swaps.push(kernel_set(200, true));
        more.policy.deny.insert(kernel(200).0);
        let after = solve(&more);
        prop_assert_eq!(choice(&after), choice(&before));
        prop_assert_eq!(candidates(&after).len(), candidates(&before).len() + 1);
        prop_assert_eq!(&candidates(&after)[1..], candidates(&before));
    }

    #[test]
    fn what_was_kept_can_be_replayed(inputs in universes()) {
        let kept = serde_json::to_string(&inputs).unwrap();
        prop_assert_eq!(solve(&serde_json::from_str(&kept).unwrap()), solve(&inputs));
    }
}
