//! The container storage of one run: buildah's images and containers, apart from the machine's own.
//!
//! It lives in the run's work folder and goes with it, so nothing can be left
//! over from another run and nobody else's containers are ever touched.

use std::collections::BTreeMap;
use std::sync::Mutex;

use cap_std::fs_utf8::camino::Utf8PathBuf;

use super::audit::{Event, Verb};
use super::error::{command, diagnosed, io};
use super::{BuildError, Session};
use crate::oci::layout::REF_NAME;
use crate::oci::{Image, Layout};
use crate::sys::{Cmd, dirs, mounts};
use crate::tool::buildah::{self, Build, Storage};
use crate::tool::{apt, dnf, dpkg, unshare};

/// The one name in a lent layout.
const LENT: &str = "image";

/// An open storage.
#[derive(Debug)]
pub(super) struct Containers<'s> {
    session: &'s Session,
    root: Utf8PathBuf,
    runroot: Utf8PathBuf,
    temporary: Utf8PathBuf,
    driver: &'s str,
    /// Ids of images taken from the store, by manifest digest.
    pulled: Mutex<BTreeMap<String, String>>,
}

/// The storage driver this run uses: what the user says, else overlay where the kernel and the file system carry it.
pub(super) fn storage_driver(session: &Session) -> &str {
    if let Some(driver) = &session.settings.storage_driver {
        return driver;
    }
    // overlay cannot stand on itself, as in a container whose root is an overlay.
    if mounts::kernel_has("overlay") && !mounts::is_overlay(session.store.dir()) { "overlay" } else { "vfs" }
}

impl<'s> Containers<'s> {
    /// Makes an empty storage in the run's work folder.
    pub(super) fn open(session: &'s Session) -> Result<Self, BuildError> {
        Ok(Self {
            session,
            root: session.store.work_folder("containers/root")?,
            runroot: session.store.work_folder("containers/run")?,
            temporary: session.store.work_folder("containers/tmp")?,
            driver: storage_driver(session),
            pulled: Mutex::default(),
        })
    }

    /// The storage, for building command lines.
    pub(super) fn storage(&self) -> Storage<'_> {
        Storage {
            root: self.root.as_str(),
            runroot: self.runroot.as_str(),
            driver: self.driver,
            temporary: self.temporary.as_str(),
        }
    }

    /// The id under which the storage has this image of the store; imported when it is not there yet.
    pub(super) fn import(&self, name: &str, image: &Image) -> Result<String, BuildError> {
        let mut pulled = self.pulled.lock().expect("not poisoned");
        if let Some(id) = pulled.get(&image.digest().to_string()) {
            return Ok(id.clone());
        }
        let step = self.session.step(format!("import {name}"))?;
        let folder = self.lend(image)?;
        // buildah makes an image name of the layout's path, and refuses it when that has a component such as
        // `.imgbuild` or a capital letter: so it is run where a short path will do.
        let cmd = self.storage().pull_layout(&folder, LENT).current_dir(self.session.store.work_path().as_std_path());
        let text = self
            .session
            .runner
            .read(&cmd)
            .map_err(diagnosed(format!("importing {name} into the container storage"), &[buildah::diagnose]))?;
        let id = buildah::parse_id(&text)
            .ok_or_else(|| BuildError::BuildahOutput { command: cmd.to_string(), output: text.clone() })?;
        pulled.insert(image.digest().to_string(), id.to_owned());
        self.session.audit(Event::new(Verb::Materialize, name).digest(image.digest()))?;
        step.finish("");
        Ok(id.to_owned())
    }

    /// A layout that holds just this image, its blobs being the store's: an image that has no name yet can be
    /// imported too, and none gets one for it. Returns the folder's name in the run's work folder.
    fn lend(&self, image: &Image) -> Result<String, BuildError> {
        let name = format!("lent-{}", image.digest().digest());
        let path = self.session.store.work_folder(&name)?;
        let dir = dirs::open(&path).map_err(io("opening", &path))?;
        let mut entry = image.descriptor().clone();
        entry.set_annotations(Some([(REF_NAME.to_owned(), LENT.to_owned())].into()));
        let index = serde_json::json!({"schemaVersion": 2, "manifests": [entry]});
        let blobs = self.session.store.path().join("oci/blobs");
        let write = || {
            dir.write("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#)?;
            dir.write("index.json", index.to_string())?;
            // A second container storage of this run may have lent the same image.
            if dir.symlink_metadata("blobs").is_ok() { Ok(()) } else { dir.symlink_contents(&blobs, "blobs") }
        };
        write().map_err(io("writing", &path))?;
        Ok(name)
    }

    /// Builds without a network; every line goes to `on_line`.
    pub(super) fn build(
        &self,
        what: &str,
        build: &Build<'_>,
        on_line: &(dyn Fn(&str) + Sync),
    ) -> Result<(), BuildError> {
        let cmd = unshare::without_network(self.storage().build(build));
        self.session
            .runner
            .run_with(&cmd, on_line)
            .map_err(diagnosed(what, &[dpkg::diagnose, apt::diagnose, dnf::diagnose, buildah::diagnose]))
    }
}

impl Drop for Containers<'_> {
    fn drop(&mut self) {
        // Overlay leaves its own folder mounted on itself; what cannot be undone now is swept by the next run.
        if let Err(error) = mounts::unmount_below(self.root.as_std_path()) {
            tracing::debug!(%error, "unmounting the container storage");
        }
    }
}

/// An image of the machine's own container storage as a layout in the run's work folder.
pub(super) fn export(session: &Session, name: &str) -> Result<Layout, BuildError> {
    let folder = session.store.work_folder("exported")?;
    let cmd = Cmd::new("buildah")
        .package("buildah")
        .args(["push", "--quiet", "--format", "oci", "--"])
        .arg(name)
        .arg(format!("oci:{folder}:image"));
    session.runner.run(&cmd).map_err(command(format!("reading containers-storage:{name}")))?;
    let dir = dirs::open(&folder).map_err(super::error::io("opening", &folder))?;
    Layout::open(dir).map_err(|source| BuildError::Layout { image: name.to_owned(), what: "opening", source })
}
