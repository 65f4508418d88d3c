//! A sink that keeps everything, for tests.

use std::collections::BTreeMap;
use std::io;

use super::place::ObjectSink;
use crate::disk::verity::{Seal, VerityDigest};

/// Objects by digest. Panics at a call out of turn.
#[derive(Debug, Default)]
pub(super) struct MemorySink {
    current: Option<(u64, Vec<u8>)>,
    pub(super) objects: BTreeMap<VerityDigest, Vec<u8>>,
    pub(super) trees: BTreeMap<VerityDigest, Vec<u8>>,
    pub(super) discarded: usize,
}

impl ObjectSink for MemorySink {
    fn begin(&mut self, size: u64) -> io::Result<()> {
        assert!(self.current.replace((size, Vec::new())).is_none());
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.current.as_mut().unwrap().1.extend_from_slice(bytes);
        Ok(())
    }

    fn end(&mut self, object: &Seal) -> io::Result<()> {
        let (size, bytes) = self.current.take().unwrap();
        assert_eq!(size, bytes.len() as u64);
        self.trees.insert(object.digest, object.tree.clone());
        assert!(self.objects.insert(object.digest, bytes).is_none(), "{} came twice", object.digest);
        Ok(())
    }

    fn discard(&mut self) -> io::Result<()> {
        self.discarded += 1;
        self.current.take().unwrap();
        Ok(())
    }
}
