//! imgbuild: from a definition in git to signed, bootable, air-gap-installable hosts.
//!
//! The rooms and the one direction in which they may see each other are
//! described in `ARCHITECTURE.md` and enforced by `tests/architecture.rs`.

pub mod build;
pub mod cli;
pub mod config;
pub mod disk;
pub mod kernel;
pub mod kmod;
pub mod lint;
pub mod model;
pub mod oci;
pub mod plan;
pub mod sbom;
pub mod sign;
pub mod sys;
pub mod tool;
