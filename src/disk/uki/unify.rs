//! A unified kernel image from its parts.
//!
//! <https://uapi-group.org/specifications/specs/unified_kernel_image/>. Sections are appended to systemd's stub in the
//! order and at the addresses that systemd's own `ukify` gives them.

use super::pe::{Pe, PeError, SECTION_HEADER, optional};
use super::sbat;

/// Section flags: initialised data or code, to be read only (PE specification, "Section Flags").
const DATA: u32 = 0x4000_0040;
const CODE: u32 = 0x4000_0020;

/// What a unified image is made of.
#[derive(Debug, Clone, Copy)]
pub struct UnifyParts<'a> {
    /// systemd's stub.
    pub stub: &'a [u8],
    /// os-release(5) of the image.
    pub os_release: &'a [u8],
    /// The kernel's command line.
    pub command_line: &'a str,
    /// The kernel's release, as `uname -r` prints it.
    pub release: &'a str,
    /// The initramfs.
    pub initramfs: &'a [u8],
    /// The kernel.
    pub kernel: &'a [u8],
}

/// No unified image can be made of these parts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum UnifyError {
    /// The stub is none.
    #[error("systemd's stub cannot be used")]
    Stub(#[source] PeError),
    /// The kernel is no EFI program, which the stub has to start.
    #[error("the kernel cannot be started by UEFI")]
    Kernel(#[source] PeError),
    /// Stub and kernel are for different machines.
    #[error("the kernel is for EFI machine type {kernel:#06x}, and the stub for {stub:#06x}")]
    Machine { stub: u16, kernel: u16 },
    /// Something of that name is in it already, such as in a unified image.
    #[error("the stub has a section `{name}` already")]
    Present { name: &'static str },
    /// No room for the headers of further sections, or for the list of revocation generations.
    #[error("the stub has no room for {what}")]
    Room { what: &'static str },
    /// More than the format can say.
    #[error("kernel and initramfs are larger than 4 GiB together")]
    Size,
}

/// Puts a unified image together; it is not signed, and a signature of the stub is left out.
///
/// # Errors
/// When stub or kernel cannot be used or do not go together.
pub fn unify(parts: &UnifyParts<'_>) -> Result<Vec<u8>, UnifyError> {
    let stub = Pe::parse(parts.stub).map_err(UnifyError::Stub)?;
    let kernel = Pe::parse(parts.kernel).map_err(UnifyError::Kernel)?;
    if stub.machine() != kernel.machine() {
        return Err(UnifyError::Machine { stub: stub.machine(), kernel: kernel.machine() });
    }
    let sections = [
        (".osrel", parts.os_release, DATA),
        (".cmdline", parts.command_line.as_bytes(), DATA),
        (".uname", parts.release.as_bytes(), DATA),
        (".linux", parts.kernel, CODE),
        (".initrd", parts.initramfs, DATA),
    ];
    let mut image = Growing::new(&stub)?;
    image.merge_sbat(&stub, &kernel)?;
    for (name, content, flags) in sections {
        if stub.section(name).is_some() {
            return Err(UnifyError::Present { name });
        }
        image.append(name, content, flags)?;
    }
    image.finish(&stub)
}

/// A program to which sections are added.
struct Growing {
    file: Vec<u8>,
    /// Where the next section's header goes, and where headers end.
    header: usize,
    headers_end: usize,
    count: u16,
    /// First address of memory that no section has.
    address: u32,
    code: u32,
    data: u32,
    section_alignment: u32,
    file_alignment: u32,
}

impl Growing {
    fn new(stub: &Pe<'_>) -> Result<Self, UnifyError> {
        let unsigned = stub.unsigned().map_err(UnifyError::Stub)?;
        // Refused now rather than when the result is signed.
        stub.digest().map_err(UnifyError::Stub)?;
        let last = stub.sections().last().ok_or(UnifyError::Room { what: "sections" })?;
        let ends = stub.sections().iter().map(|section| section.virtual_address.checked_add(section.virtual_size));
        let mut address = 0;
        for end in ends {
            address = address.max(end.ok_or(UnifyError::Size)?);
        }
        Ok(Self {
            file: unsigned.to_vec(),
            header: last.header + SECTION_HEADER,
            headers_end: stub.headers(),
            count: u16::try_from(stub.sections().len()).map_err(|_| UnifyError::Size)?,
            address,
            code: stub.field(optional::SIZE_OF_CODE),
            data: stub.field(optional::SIZE_OF_DATA),
            section_alignment: stub.field(optional::SECTION_ALIGNMENT),
            file_alignment: stub.field(optional::FILE_ALIGNMENT),
        })
    }

    /// The stub's list stays where it is and takes in the kernel's.
    fn merge_sbat(&mut self, stub: &Pe<'_>, kernel: &Pe<'_>) -> Result<(), UnifyError> {
        let own = stub.sections().iter().find(|section| section.name() == b".sbat");
        let (Some(own), Some(theirs)) = (own, kernel.section(".sbat")) else { return Ok(()) };
        let list = sbat::merged(own.content(), theirs);
        let room = UnifyError::Room { what: "the kernel's `.sbat`" };
        let length = u32::try_from(list.len()).map_err(|_| room.clone())?;
        if length > own.raw_size {
            return Err(room);
        }
        let (start, end) = (own.raw_offset as usize, (own.raw_offset + own.raw_size) as usize);
        self.file[start..end].fill(0);
        self.file[start..start + list.len()].copy_from_slice(&list);
        // In memory a section has at least the page that it begins.
        put(&mut self.file, own.header + 8, length);
        Ok(())
    }

    fn append(&mut self, name: &str, content: &[u8], flags: u32) -> Result<(), UnifyError> {
        // Whatever else is between the headers and the first section is not ours to overwrite.
        let room =
            self.file.get(self.header..self.header + SECTION_HEADER).filter(|room| room.iter().all(|byte| *byte == 0));
        if room.is_none() || self.header + SECTION_HEADER > self.headers_end {
            return Err(UnifyError::Room { what: "further sections" });
        }
        let size = u32::try_from(content.len()).map_err(|_| UnifyError::Size)?;
        let address = aligned(self.address, self.section_alignment)?;
        let raw_size = aligned(size, self.file_alignment)?;
        let offset = aligned(u32::try_from(self.file.len()).map_err(|_| UnifyError::Size)?, self.file_alignment)?;
        let end = offset.checked_add(raw_size).ok_or(UnifyError::Size)?;
        let mut header = [0; SECTION_HEADER];
        header[..name.len()].copy_from_slice(name.as_bytes());
        for (at, number) in [(8, size), (12, address), (16, raw_size), (20, offset), (36, flags)] {
            put(&mut header, at, number);
        }
        self.file[self.header..self.header + SECTION_HEADER].copy_from_slice(&header);
        self.file.resize(offset as usize, 0);
        self.file.extend_from_slice(content);
        self.file.resize(end as usize, 0);
        self.header += SECTION_HEADER;
        self.count += 1;
        self.address = address.checked_add(size).ok_or(UnifyError::Size)?;
        let sum = if flags == CODE { &mut self.code } else { &mut self.data };
        *sum = sum.checked_add(size).ok_or(UnifyError::Size)?;
        Ok(())
    }

    fn finish(mut self, stub: &Pe<'_>) -> Result<Vec<u8>, UnifyError> {
        let image = aligned(self.address, self.section_alignment)?;
        let count = stub.section_count_at();
        self.file[count..count + 2].copy_from_slice(&self.count.to_le_bytes());
        let fields = [
            (optional::SIZE_OF_CODE, self.code),
            (optional::SIZE_OF_DATA, self.data),
            (optional::SIZE_OF_IMAGE, image),
            // Nobody computes it for EFI programs.
            (optional::CHECKSUM, 0),
        ];
        for (field, number) in fields {
            put(&mut self.file, stub.field_at(field), number);
        }
        if let Some(entry) = stub.certificate_entry() {
            self.file[entry..entry + 8].fill(0);
        }
        Ok(self.file)
    }
}

fn aligned(number: u32, alignment: u32) -> Result<u32, UnifyError> {
    number.checked_next_multiple_of(alignment).ok_or(UnifyError::Size)
}

fn put(bytes: &mut [u8], at: usize, number: u32) {
    bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
}
