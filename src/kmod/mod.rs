//! Module manifests, checks of built `.ko` files, and what must not be left behind.
//!
//! May not run processes.
