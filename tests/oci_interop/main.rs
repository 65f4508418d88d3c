//! Others read what we write and we read what they write, and all agree on how layers merge.
#![expect(clippy::disallowed_methods, reason = "runs the other programs directly, in folders of its own")]

mod listing;
mod ocidir;
mod programs;
mod store;
