//! Deployments: what their records say, and what of their state is the image's.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek};

use super::boot::Boot;
use super::finding::{Area, Problem};
use super::repository::{Links, Tree};
use super::root::{Root, shown};
use super::{Verification, Wanted};
use crate::disk::inspect::ext4::{Ext4Error, FileKind};
use crate::disk::inspect::parse_origin;
use crate::disk::verity::VerityDigest;

/// Where deployments are.
const DEPLOY: &str = "state/deploy";
/// The `/var` they share.
const VAR: &str = "state/os/default/var";
/// What leads there from a deployment.
const VAR_LINK: &str = "../../os/default/var";

/// `.origin`: sections of keys and values.
#[derive(Debug, Default)]
struct Origin(BTreeMap<String, String>);

impl Origin {
    fn get(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }
}

impl<S: Read + Seek> Root<S> {
    /// Names of deployments.
    pub(super) fn deployments(&self) -> BTreeSet<VerityDigest> {
        let names = self.below(DEPLOY).into_iter().filter_map(|path| shown(&path[DEPLOY.len() + 1..]).parse().ok());
        names.collect()
    }

    pub(super) fn verify_deployments(
        &mut self,
        boot: &Boot,
        images: &BTreeMap<VerityDigest, Tree>,
        links: &Links,
        wanted: &Wanted<'_>,
        report: &mut Verification,
    ) -> Result<(), Ext4Error> {
        let deployments = self.deployments();
        if deployments.is_empty() {
            report.find(Area::Deployments, DEPLOY, Problem::No("deployment"));
        }
        for id in &deployments {
            let before = report.findings.len();
            let folder = format!("{DEPLOY}/{id}");
            if !images.contains_key(id) {
                report.find(Area::Deployments, &*folder, Problem::Missing(format!("composefs/images/{id}")));
            }
            self.verify_origin(id, boot, links, report)?;
            let var = format!("{folder}/var");
            match self.target(var.as_bytes())? {
                Some(target) if target == VAR_LINK => {}
                target => {
                    let (target, wanted) = (target.unwrap_or_default(), VAR_LINK.to_owned());
                    report.find(Area::Deployments, var, Problem::Link { target, wanted });
                }
            }
            for path in [format!("{folder}/etc"), VAR.to_owned()] {
                if !self.inode(path.as_bytes())?.is_some_and(|inode| inode.kind == FileKind::Directory) {
                    report.find(Area::Deployments, &*path, Problem::Missing(path.clone()));
                }
            }
            if report.findings.len() == before {
                report.deployments.push(id.to_string());
            }
            let Some(tree) = images.get(id) else { continue };
            self.compare_state(tree, "etc", &format!("{folder}/etc"), wanted.fresh, report)?;
            // Which of several deployments the common `/var` began with is not known.
            if deployments.len() == 1 {
                self.compare_state(tree, "var", VAR, wanted.fresh, report)?;
            }
        }
        Ok(())
    }

    fn verify_origin(
        &mut self,
        id: &VerityDigest,
        boot: &Boot,
        links: &Links,
        report: &mut Verification,
    ) -> Result<(), Ext4Error> {
        let path = format!("{DEPLOY}/{id}/{id}.origin");
        let Some(text) = self.text(path.as_bytes())? else {
            report.find(Area::Deployments, &*path, Problem::Missing(path.clone()));
            return Ok(());
        };
        let origin = Origin(parse_origin(&String::from_utf8_lossy(&text)));
        let manifest = format!("streams/oci-manifest-{}", origin.get("image.manifest_digest"));
        if !links.contains_key(&manifest) {
            report.find(Area::Deployments, &*path, Problem::Missing(format!("composefs/{manifest}")));
        }
        if origin.get("origin.container-image-reference").is_empty() {
            report.find(Area::Deployments, &*path, Problem::No("place that updates come from"));
        }
        let wanted = origin.get("boot.digest").to_owned();
        for found in boot.kernels(id).filter(|found| *found != wanted) {
            let (wanted, found) = (wanted.clone(), found.to_owned());
            report.find(Area::Deployments, &*path, Problem::OtherKernel { wanted, found });
        }
        Ok(())
    }
}
