//! Sealing as the last step of a build.

use std::collections::BTreeMap;

use super::{Built, SealRequest, SealWith, load_key, seal};
use crate::build::{BuildError, Project, Session};
use crate::config::Seal;
use crate::model::ImageLocator;
use crate::plan::Selection;

/// Makes sure that the keys are there and fit their certificates, before anything is built.
///
/// # Errors
/// When they are not.
pub(in crate::build) fn check_keys(project: &Project, selection: &Selection) -> Result<(), BuildError> {
    wanted(project, selection).values().try_for_each(|with| load_key(with).map(drop))
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
    let seal = |(image, with)| {
        let request = SealRequest { image: ImageLocator::Store(image), with, name: None };
        seal(session, &request).map(|sealed| sealed.built)
    };
    wanted(project, selection).into_iter().map(seal).collect()
}

/// Images to be sealed, by name: tiers, or the hosts on them.
fn wanted(project: &Project, selection: &Selection) -> BTreeMap<String, SealWith> {
    let definition = &project.definition;
    let of_tier = |name| definition.tier2.get(name).and_then(|tier| tier.seal.as_ref());
    let tiers = selection.tier2.iter().filter_map(|name| Some((format!("tier2/{name}"), of_tier(name)?)));
    let tiers = tiers.filter(|(_, seal)| !seal.per_host);
    let hosts = selection
        .hosts
        .iter()
        .filter_map(|host| Some((format!("tier3/{host}"), definition.base_of(host).and_then(of_tier)?)));
    let hosts = hosts.filter(|(_, seal)| seal.per_host);
    tiers.chain(hosts).map(|(image, seal)| (image, with(project, seal))).collect()
}

fn with(project: &Project, seal: &Seal) -> SealWith {
    SealWith {
        key: project.resolve(&seal.key),
        certificate: project.resolve(&seal.certificate),
        kargs: seal.kargs.clone(),
    }
}
