//! Imports an image into a composefs repository with the published crates, as bootc does: what `ci/bench-disk`
//! compares `imgbuild disk` with.
//!
//!     cargo run --release --example import-repository -- LAYOUT NAME FOLDER

use std::error::Error;
use std::sync::Arc;

use composefs::fsverity::{Algorithm, Sha512HashValue};
use composefs::repository::{Repository, RepositoryConfig};
use composefs_oci::{OciTransformOptions, PullOptions, generate_boot_image, pull};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [layout, name, folder] = arguments.as_slice() else { return Err("LAYOUT NAME FOLDER".into()) };
    let config = RepositoryConfig::new(Algorithm::SHA512).set_insecure();
    let (repository, _) = Repository::<Sha512HashValue>::init_path(rustix::fs::CWD, folder.as_str(), config)?;
    let repository = Arc::new(repository);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let options = PullOptions { bootable: true, ..PullOptions::default() };
    let result = runtime.block_on(pull(&repository, &format!("oci:{layout}:{name}"), Some("bench"), options))?;
    generate_boot_image(&repository, &result.manifest_digest, &OciTransformOptions::default())?;
    Ok(())
}
