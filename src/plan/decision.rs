//! The kernel decision as the lock keeps it: put into words of the lock, read back, made again.

use crate::config::{KernelInputs, KernelLock, Lock};
use crate::kernel::{Decision, Inputs, NoKernel, solve};

/// Inputs of a decision that the lock holds and this imgbuild cannot read.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("the lock's inputs of the kernel decision cannot be read")]
pub struct KeptError(#[from] toml::de::Error);

/// The inputs as one tier keeps them: without the failed builds, which the lock keeps once for all tiers.
pub fn keep(inputs: &Inputs) -> KernelInputs {
    let own = Inputs { known_bad: Vec::new(), ..inputs.clone() };
    KernelInputs(toml::Table::try_from(own).expect("inputs have text keys and whole numbers"))
}

/// The inputs of a locked decision, with what the lock knows of failed builds today.
///
/// # Errors
/// When they are not inputs.
pub fn kept(lock: &Lock, kernel: &KernelLock) -> Result<Inputs, KeptError> {
    let KernelInputs(table) = &kernel.inputs;
    let inputs: Inputs = table.clone().try_into()?;
    Ok(Inputs { known_bad: lock.known_bad.clone(), ..inputs })
}

/// Decides again from what the lock holds.
///
/// # Errors
/// When the inputs cannot be read; that no kernel is acceptable is an answer.
pub fn replay(lock: &Lock, kernel: &KernelLock) -> Result<Result<Decision, NoKernel>, KeptError> {
    Ok(solve(&kept(lock, kernel)?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::kernel::{Headers, Kernel, KernelFacts, KernelSet, ModuleSet, PackageVersion, Part, Policy, Provenance};
    use crate::model::KnownBad;

    fn inputs() -> Inputs {
        let release = |build: u8| format!("6.12.0-{build}.el10.x86_64").parse::<crate::model::KernelRelease>().unwrap();
        let version = |build: u8| PackageVersion::Rpm(format!("6.12.0-{build}.el10").parse().unwrap());
        let archive = Provenance::Archive("baseos".into());
        let kernel = Kernel {
            release: release(1),
            package: "kernel-core".into(),
            version: version(1),
            provenance: Provenance::Base,
        };
        let offer = |build: u8| Headers {
            release: release(build),
            package: "kernel-devel".into(),
            version: version(build),
            provenance: archive.clone(),
        };
        let facts = KernelFacts { config: Some(BTreeSet::from(["CONFIG_NET".to_owned()])), built: Some(20_000) };
        Inputs {
            machine: "x86_64".into(),
            base: vec![kernel],
            moving: vec![Part { name: "kernel-tools".into(), version: version(1) }],
            headers: vec![offer(1), offer(2)],
            swaps: vec![KernelSet {
                release: release(2),
                version: version(2),
                provenance: archive.clone(),
                packages: vec![Part { name: "kernel-core".into(), version: version(2) }],
                missing: BTreeSet::from(["kernel-modules".to_owned()]),
            }],
            facts: [(release(1), facts)].into(),
            sets: vec![ModuleSet {
                max: Some("7.2".parse().unwrap()),
                kernel: Some("^6".parse().unwrap()),
                ..ModuleSet::any("zfs".parse().unwrap(), "2.3.9")
            }],
            policy: Policy { max_age: Some(90), ..Policy::default() },
            today: Some(20_010),
            ..Inputs::default()
        }
    }

    fn lock(inputs: &Inputs, known_bad: Vec<KnownBad>) -> (Lock, KernelLock) {
        let decision = solve(inputs).unwrap();
        let kernel = KernelLock {
            release: decision.release().clone(),
            reason: decision.reason,
            swap: None,
            inputs: keep(inputs),
        };
        let source_date_epoch = crate::model::SourceDateEpoch::from_secs(0);
        (Lock { version: 1, source_date_epoch, known_bad, tier1: [].into(), tier2: [].into() }, kernel)
    }

    #[test]
    fn what_was_kept_is_what_was_put_in() {
        let (lock, kernel) = lock(&inputs(), Vec::new());
        assert_eq!(kept(&lock, &kernel).unwrap(), inputs());
        assert_eq!(replay(&lock, &kernel).unwrap(), solve(&inputs()));
    }

    #[test]
    fn a_build_that_failed_since_changes_the_answer() {
        let bad = KnownBad {
            set: "zfs".parse().unwrap(),
            version: "2.3.9".into(),
            kernel: "6.12.0-1.el10.x86_64".parse().unwrap(),
            error: "error: it broke".into(),
        };
        let (lock, kernel) = lock(&inputs(), vec![bad]);
        let error = replay(&lock, &kernel).unwrap().unwrap_err();
        assert!(error.to_string().contains("did not build before: error: it broke"), "{error}");
    }

    #[test]
    fn inputs_of_something_else_are_refused() {
        let (lock, mut kernel) = lock(&inputs(), Vec::new());
        kernel.inputs.0.insert("kernels".into(), toml::Value::from(3));
        assert!(kept(&lock, &kernel).is_err());
    }
}
