//! Resolving a tier 2 with dnf.

use super::super::kernels::KernelPin;
use super::super::{BuildError, Project, Session};
use crate::config::{LockedPackage, LockedTier1, LockedTier2, Tier2};
use crate::model::TierName;

pub(super) fn resolve(
    _: &Session,
    _: &Project,
    name: &TierName,
    _: &Tier2,
    _: &LockedTier1,
    _: Option<&KernelPin>,
) -> Result<LockedTier2, BuildError> {
    Err(BuildError::NoDnf { tier: name.clone() })
}

pub(super) fn ensure(_: &Session, _: &Project, _: &Tier2, _: &[&LockedPackage]) -> Result<(), BuildError> {
    Ok(())
}
