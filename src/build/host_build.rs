//! A host's Containerfile, run on top of its files for what files cannot express.

use super::chain::{self, Built};
use super::containers::Containers;
use super::conventions::Stage;
use super::error::io;
use super::tier2::layers;
use super::{BuildError, Project, Session, check};
use crate::model::HostName;
use crate::oci::{Image, ImageBuilder, Layout};
use crate::sys::HardLimits;
use crate::sys::clock::Stopwatch;
use crate::sys::dirs;
use crate::tool::buildah::{Build, Isolation, Output, parse_id};

/// Builds `containerfile` on the host's image and puts its changes on top as one layer.
///
/// The file begins with `ARG BASE` and `FROM ${BASE}`; its build context is the folder it lies in.
pub(super) fn build(
    session: &Session,
    project: &Project,
    layout: &Layout,
    host: &HostName,
    image: &Image,
    containerfile: &str,
) -> Result<Built, BuildError> {
    let watch = Stopwatch::start();
    let name = format!("tier3/{host}");
    let containers = Containers::open(session)?;
    let base_id = containers.import(&name, image)?;
    let work = session.store.work_folder(&format!("host-{host}"))?;
    let id_file = work.join("id");
    let file = project.resolve(containerfile);
    let step = session.step(format!("run {containerfile} for {name}"))?;
    let build = Build {
        containerfile: file.as_str(),
        context: file.parent().map_or(".", |folder| folder.as_str()),
        target: "",
        output: Output::Image { id_file: id_file.as_str() },
        isolation: Isolation::Chroot,
        mounts: &[],
        arguments: &[("BASE", &base_id)],
        secrets: &[],
        epoch: project.epoch(),
        limits: HardLimits::own(),
    };
    containers.build(&format!("running {containerfile} for {name}"), &build, &|line| step.note(line))?;
    step.finish("");
    let dir = dirs::open(&work).map_err(io("opening", &work))?;
    let text = dir.read_to_string("id").map_err(io("reading", &id_file))?;
    let id = parse_id(&text)
        .ok_or_else(|| BuildError::BuildahOutput { command: "buildah build".to_owned(), output: text.clone() })?;
    let added = layers::extract(session, &containers, id, &work.join("image"), image)?;
    let builder = ImageBuilder::on(image, project.epoch()).base_name(&name);
    let created_by = format!("imgbuild tier3 {host}: {containerfile}");
    let builder = layers::merge(layout, image, &added, Stage::Host, project.epoch(), builder, &created_by)?;
    let key = chain::inputs_key(&(image.digest().to_string(), project.read(containerfile)?));
    let descriptor = chain::write(layout, &name, builder, &key)?;
    let finished = Image::load(layout, &descriptor, None)?;
    verify(session, project, layout, host, image, &finished)?;
    chain::name_all(session, layout, &[(name.clone(), descriptor)])?;
    Ok(Built::of(&name, &finished, watch.elapsed(), false))
}

/// The same gate as for tier 2: a Containerfile can do anything.
fn verify(
    session: &Session,
    project: &Project,
    layout: &Layout,
    host: &HostName,
    base: &Image,
    image: &Image,
) -> Result<(), BuildError> {
    let expected = match check::tier2_of_host(project, host) {
        Some(tier) => check::Expected::of_tier2(project, &tier)?,
        None => check::Expected::default(),
    };
    let subject = check::Subject {
        name: &format!("tier3/{host}"),
        image,
        layers: &image.layer_source(layout, chain::limits()),
        base_layers: base.layers().len(),
        keys_of_base: false,
        expected: &expected,
    };
    check::gate(session, &subject)
}
