//! Sealing, held against the programs that others sign and read unified images with.

#[path = "../../src/disk/uki/fake.rs"]
#[expect(dead_code, reason = "unit tests use all of it")]
mod fake;
mod programs;

use imgbuild::disk::uki::{Certificate, SigningKey};
