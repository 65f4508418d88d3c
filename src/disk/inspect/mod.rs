//! Reading a disk back.

mod gpt;

pub use gpt::sector_size;
