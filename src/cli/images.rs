//! `imgbuild images`.

use super::Context;
use super::error::CliError;
use crate::build::images;

/// List the images in the store
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let images = images::list(&context.store_path())?;
        let width = images.iter().map(|image| image.name.len()).max().unwrap_or(0);
        context.print(&images, |out| {
            images.iter().try_for_each(|image| {
                writeln!(
                    out,
                    "{:<width$}  {}  {:>10}  {} layers",
                    image.name,
                    image.digest,
                    image.size.to_string(),
                    image.layers
                )
            })
        })
    }
}
