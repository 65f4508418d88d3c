//! `imgbuild inspect`.

use std::io::Write;

use super::Context;
use super::error::{CliError, chain};
use super::exit;
use crate::build::images::{self, ImageDetails};
use crate::model::ImageLocator;

/// Show an image: configuration, layers, kernel, packages
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A name in the store, oci:PATH[:REF], oci-archive:PATH[:REF], containers-storage:NAME or docker://REFERENCE
    image: String,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let locator: ImageLocator = self.image.parse().map_err(|error| CliError::new(exit::USAGE, chain(&error)))?;
        let session = context.reading_session()?;
        let details = images::inspect(&session, &locator)?;
        context.print(&details, |out| show(out, &details))
    }
}

fn show(out: &mut dyn Write, details: &ImageDetails) -> std::io::Result<()> {
    writeln!(out, "image         {}", details.image)?;
    writeln!(out, "digest        {}", details.digest)?;
    writeln!(out, "platform      {}", details.platform)?;
    details.created.iter().try_for_each(|created| writeln!(out, "created       {created}"))?;
    details.sbom.iter().try_for_each(|sbom| writeln!(out, "sbom          {sbom}"))?;
    writeln!(out, "kernels       {}", details.kernels.join(", "))?;
    writeln!(out, "packages      {}", details.packages)?;
    writeln!(out, "files         {}", details.files)?;
    for (name, value) in &details.labels {
        writeln!(out, "label         {name}={value}")?;
    }
    for (number, layer) in details.layers.iter().enumerate() {
        writeln!(out, "layer {number:<7} {}  {:>10}  {}", layer.digest, layer.size.to_string(), layer.created_by)?;
    }
    details.notes.iter().try_for_each(|note| writeln!(out, "note          {note}"))
}
