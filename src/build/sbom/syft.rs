//! The list of packages by syft, with what imgbuild knows about each of them.

use std::collections::BTreeSet;

use cap_std::fs_utf8::camino::Utf8PathBuf;
use serde_json::json;

use super::super::error::{command, io};
use super::super::{BuildError, Session};
use super::Scan;
use crate::oci::{Image, Layout};
use crate::sbom::{Catalogue, Scanner};
use crate::sys::dirs;
use crate::tool::{ToolVersion, syft};

/// Puts syft's list in the place of ours, when that is asked for or ours is empty and syft is there.
pub(super) fn rescan(
    session: &Session,
    scan: Scan,
    layout: &Layout,
    image: &Image,
    catalogue: &mut Catalogue,
) -> Result<Option<Scanner>, BuildError> {
    let version = match scan {
        Scan::Native => return Ok(None),
        Scan::Syft => version(session)?,
        Scan::Auto if catalogue.database.is_some() => return Ok(None),
        Scan::Auto => match version(session) {
            Ok(version) => version,
            Err(error) => {
                tracing::debug!(%error, "no package database, and no syft to look for others");
                return Ok(None);
            }
        },
    };
    let folder = only_image(session, layout, image)?;
    let temporary = session.store.work_folder("syft-tmp")?;
    let output = session
        .runner
        .read(&syft::scan(folder.as_str(), temporary.as_str()))
        .map_err(command("listing packages with syft"))?;
    let found = syft::parse_packages(&output).map_err(BuildError::SyftOutput)?;
    let found = found.into_iter().map(|package| (package.purl, package.licences));
    catalogue.replace_packages(found.collect::<BTreeSet<_>>());
    Ok(Some(Scanner { name: "syft".to_owned(), vendor: syft::VENDOR.to_owned(), version: version.to_string() }))
}

fn version(session: &Session) -> Result<ToolVersion, BuildError> {
    let output = session.runner.read(&syft::version()).map_err(command("asking syft for its version"))?;
    let version = ToolVersion::find(&output).map_err(BuildError::ToolVersion)?;
    version.at_least("syft", syft::MINIMUM, syft::MINIMUM_REASON).map_err(BuildError::ToolTooOld)
}

/// A layout with this image alone, which is what syft reads: the blobs are those of `layout`.
fn only_image(session: &Session, layout: &Layout, image: &Image) -> Result<Utf8PathBuf, BuildError> {
    let folder = session.store.work_folder("only-image")?;
    let dir = dirs::open(&folder).map_err(io("opening", &folder))?;
    let index = json!({"schemaVersion": 2, "manifests": [image.descriptor()]});
    let write = || {
        for blob in std::iter::once(image.descriptor())
            .chain([image.manifest().config()])
            .chain(image.layers().iter().map(|layer| &layer.descriptor))
        {
            dir.create_dir_all("blobs/sha256")?;
            let name = format!("blobs/sha256/{}", blob.digest().digest());
            if !dir.try_exists(&name)? {
                layout.dir().hard_link(&name, &dir, &name)?;
            }
        }
        dir.write("oci-layout", json!({"imageLayoutVersion": "1.0.0"}).to_string())?;
        dir.write("index.json", index.to_string())
    };
    write().map_err(io("writing", &folder))?;
    Ok(folder)
}
