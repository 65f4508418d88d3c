//! Finished images, good and bad, through `imgbuild check` and `imgbuild kmods verify`.
//!
//! Every image is a layout of a few small layers, made in the test that breaks it.
#![expect(clippy::disallowed_methods, reason = "the tests run the program and write its input")]

mod hostile;
#[path = "../support/small_image.rs"]
mod image;
mod leftovers;
mod modules;
mod output;
mod project;
