//! A disk beside the image it should have been made of.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek};

use super::Verification;
use super::finding::{Area, Problem};
use super::objects::path_of;
use super::repository::Links;
use super::root::Root;
use crate::disk::composefs::Repository;
use crate::disk::inspect::ext4::Ext4Error;
use crate::disk::verity::VerityDigest;

/// What the layers of an image say must be on its disk.
#[derive(Debug, Clone)]
pub struct Expected {
    ids: BTreeSet<VerityDigest>,
    objects: BTreeMap<VerityDigest, u64>,
    /// Path and target.
    links: BTreeMap<String, String>,
}

impl Expected {
    /// Of the repository that was computed from the layers.
    pub fn of(repository: &Repository) -> Self {
        Self {
            ids: repository.ids.values().copied().collect(),
            objects: repository.objects.clone(),
            links: repository.links.iter().map(|link| (link.path.clone(), link.target.clone())).collect(),
        }
    }
}

impl<S: Read + Seek> Root<S> {
    /// Every object and link of the image is there, and nothing else.
    pub(super) fn compare(
        &mut self,
        expected: &Expected,
        links: &Links,
        report: &mut Verification,
    ) -> Result<(), Ext4Error> {
        for id in self.deployments().difference(&expected.ids) {
            let wanted = expected.ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
            let problem = Problem::OtherImage { wanted, found: id.to_string() };
            report.find(Area::Image, format!("state/deploy/{id}"), problem);
        }
        for (digest, size) in &expected.objects {
            if let Some(problem) = self.refer(digest, Some(*size)) {
                report.find(Area::Image, path_of(digest), problem);
            }
        }
        let extra = self.objects.keys().filter(|digest| !expected.objects.contains_key(digest));
        extra.for_each(|digest| report.find(Area::Image, path_of(digest), Problem::Extra));
        for (path, target) in &expected.links {
            let place = format!("composefs/{path}");
            if self.target(place.as_bytes())?.as_ref() != Some(target) {
                report.find(Area::Image, place, Problem::Missing(format!("{path} -> {target}")));
            }
        }
        for path in links.keys().filter(|path| !expected.links.contains_key(*path)) {
            report.find(Area::Image, format!("composefs/{path}"), Problem::Extra);
        }
        Ok(())
    }
}
