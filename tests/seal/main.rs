//! Sealing: unified kernels and signatures held against the programs that others make and read them with, and images
//! and disks of them.
#![expect(clippy::disallowed_methods, reason = "the tests run programs and look at their files")]

#[path = "../../src/disk/uki/fake.rs"]
mod fake;
#[expect(dead_code, reason = "other tests use the rest")]
#[path = "../support/small_image.rs"]
mod image;
mod images;
mod programs;
mod project;

use imgbuild::disk::uki::{Certificate, SigningKey};
