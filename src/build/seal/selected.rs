//! Sealing as the last step of a build.

use super::{Built, SealRequest, SealWith, load_key, seal};
use crate::build::{BuildError, Project, Session};
use crate::config::Seal;
use crate::model::ImageLocator;
use crate::plan::{self, Selection};

/// Makes sure that the keys are there and fit their certificates, before anything is built.
///
/// # Errors
/// When they are not.
pub(in crate::build) fn check_keys(project: &Project, selection: &Selection) -> Result<(), BuildError> {
    plan::sealed(&project.definition, selection).values().try_for_each(|seal| load_key(&with(project, seal)).map(drop))
}

/// Seals the images of the selection that the definition wants sealed.
///
/// # Errors
/// As [`seal`].
pub(in crate::build) fn seal_selected(
    session: &Session,
    project: &Project,
    selection: &Selection,
) -> Result<Vec<Built>, BuildError> {
    let seal = |(target, keys): (plan::Target, &Seal)| {
        let image = ImageLocator::Store(target.image());
        seal(session, &SealRequest { image, with: with(project, keys), name: None }).map(|sealed| sealed.built)
    };
    plan::sealed(&project.definition, selection).into_iter().map(seal).collect()
}

fn with(project: &Project, seal: &Seal) -> SealWith {
    SealWith {
        key: project.resolve(&seal.key),
        certificate: project.resolve(&seal.certificate),
        kargs: seal.kargs.clone(),
    }
}
