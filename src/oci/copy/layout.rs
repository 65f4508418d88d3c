//! An image layout as the place where copied images go.

use std::io::{self, Read, Write};

use oci_spec::image::Descriptor;

use super::{BlobSink, BlobWriter};
use crate::oci::layout::{self, Layout, LayoutError};

/// A blob on its way into a layout, with what it has to be.
#[derive(Debug)]
pub struct LayoutBlob<'a> {
    writer: layout::BlobWriter<'a>,
    descriptor: Descriptor,
}

impl Write for LayoutBlob<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl BlobWriter for LayoutBlob<'_> {
    type Error = LayoutError;

    fn commit(self) -> Result<(), LayoutError> {
        self.writer.complete_verified_as(&self.descriptor)
    }
}

impl BlobSink for Layout {
    type Error = LayoutError;
    type Writer<'a> = LayoutBlob<'a>;

    fn has(&self, descriptor: &Descriptor) -> Result<bool, LayoutError> {
        self.has_blob(descriptor.digest())
    }

    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>, LayoutError> {
        Ok(Box::new(self.open_blob(descriptor)?))
    }

    fn writer(&self, descriptor: &Descriptor) -> Result<LayoutBlob<'_>, LayoutError> {
        Ok(LayoutBlob { writer: self.create_blob()?, descriptor: descriptor.clone() })
    }

    fn put_manifest(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<(), LayoutError> {
        let mut writer = self.create_blob()?;
        writer.write_all(bytes).map_err(LayoutError::WriteBlob)?;
        writer.complete_verified_as(descriptor)
    }
}
