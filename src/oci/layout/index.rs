//! The layout's `index.json` and the small files around it.

use std::io::Read;

use cap_std::fs::{OpenOptionsExt, PermissionsExt};
use cap_std::fs_utf8::{Dir, OpenOptions};
use cap_std_ext::cap_tempfile::TempFile;
use oci_spec::image::{Descriptor, ImageIndex, ImageIndexBuilder, MediaType};

use super::super::document::{MANIFEST_LIMIT, canonical_json, parse_index};
use super::error::LayoutError;
use super::{INDEX, REF_NAME};

/// `O_NONBLOCK`, in the type the standard library wants.
const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();

pub(super) fn empty() -> ImageIndex {
    ImageIndexBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageIndex)
        .manifests(Vec::new())
        .build()
        .expect("all required fields are set")
}

pub(super) fn read(dir: &Dir) -> Result<ImageIndex, LayoutError> {
    let bytes = read_capped(dir, INDEX)?.ok_or(LayoutError::NotALayout)?;
    Ok(parse_index(&bytes, &MediaType::ImageIndex)?)
}

pub(super) fn write(dir: &Dir, index: &ImageIndex) -> Result<(), LayoutError> {
    replace(dir, INDEX, &canonical_json(index).map_err(LayoutError::Serialize)?)
}

/// Opens a regular file. A layout may come from anywhere, and opening a named pipe in it would wait for ever.
pub(super) fn open_regular(dir: &Dir, name: &str) -> std::io::Result<std::fs::File> {
    let mut options = OpenOptions::new();
    // Without effect on regular files.
    options.read(true).custom_flags(NONBLOCK);
    let file = dir.open_with(name, &options)?.into_std();
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a regular file"))
    }
}

/// A file of at most [`MANIFEST_LIMIT`] bytes; `None` when there is none.
pub(super) fn read_capped(dir: &Dir, name: &str) -> Result<Option<Vec<u8>>, LayoutError> {
    let failed = |source| LayoutError::Io { what: "reading", name: name.to_owned(), source };
    let file = match open_regular(dir, name) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    read_document(name, file).map(Some)
}

/// Reads a document to its end, if that comes before [`MANIFEST_LIMIT`].
pub(in super::super) fn read_document(name: &str, reader: impl Read) -> Result<Vec<u8>, LayoutError> {
    let failed = |source| LayoutError::Io { what: "reading", name: name.to_owned(), source };
    let mut bytes = Vec::new();
    reader.take(MANIFEST_LIMIT + 1).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() as u64 {
        size if size > MANIFEST_LIMIT => {
            Err(LayoutError::TooLarge { name: name.to_owned(), size, limit: MANIFEST_LIMIT })
        }
        _ => Ok(bytes),
    }
}

/// Puts `bytes` under `name`: complete or not at all, also after a power cut.
pub(super) fn replace(dir: &Dir, name: &str, bytes: &[u8]) -> Result<(), LayoutError> {
    let write = || {
        let mut temp = TempFile::new(dir.as_cap_std())?;
        std::io::Write::write_all(&mut temp, bytes)?;
        temp.as_file_mut().set_permissions(cap_std::fs::Permissions::from_mode(0o644))?;
        temp.as_file().sync_all()?;
        temp.replace(name)?;
        sync_dir(dir)
    };
    write().map_err(|source| LayoutError::Io { what: "writing", name: name.to_owned(), source })
}

/// Makes renames in `dir` durable. Capability folders are `O_PATH`, which cannot be synced, hence the second open.
pub(super) fn sync_dir(dir: &Dir) -> std::io::Result<()> {
    dir.open(".")?.sync_all()
}

pub(super) fn ref_name(descriptor: &Descriptor) -> Option<&str> {
    descriptor.annotations().as_ref()?.get(REF_NAME).map(String::as_str)
}

/// The grammar of `org.opencontainers.image.ref.name` (image specification, `annotations.md`): letters and digits,
/// joined by single separators, `--` or `/`.
pub(super) fn check_name(name: &str) -> Result<(), LayoutError> {
    let alnum = |c: char| c.is_ascii_alphanumeric();
    let separator = |c: char| matches!(c, '-' | '.' | '_' | ':' | '@' | '+' | '/');
    // The specification allows `--` as the only doubled separator.
    let doubled = name
        .as_bytes()
        .windows(2)
        .any(|pair| separator(char::from(pair[0])) && separator(char::from(pair[1])) && pair != b"--");
    let valid = (1..=255).contains(&name.len())
        && name.chars().all(|c| alnum(c) || separator(c))
        && name.starts_with(alnum)
        && name.ends_with(alnum)
        && !doubled;
    if valid { Ok(()) } else { Err(LayoutError::Name { name: name.to_owned() }) }
}

pub(super) fn put_named(manifests: &mut Vec<Descriptor>, name: &str, mut descriptor: Descriptor) {
    manifests.retain(|other| ref_name(other) != Some(name));
    let mut annotations = descriptor.annotations().clone().unwrap_or_default();
    annotations.insert(REF_NAME.to_owned(), name.to_owned());
    descriptor.set_annotations(Some(annotations));
    manifests.push(descriptor);
}

pub(super) fn put_unnamed(manifests: &mut Vec<Descriptor>, mut descriptor: Descriptor) {
    if let Some(annotations) = descriptor.annotations() {
        let mut annotations = annotations.clone();
        annotations.remove(REF_NAME);
        descriptor.set_annotations(Some(annotations).filter(|map| !map.is_empty()));
    }
    manifests.retain(|other| ref_name(other).is_some() || other.digest() != descriptor.digest());
    manifests.push(descriptor);
}

/// By name, then by digest, the unnamed last: the index does not depend on the order things were made in.
pub(super) fn sort(manifests: &mut [Descriptor]) {
    manifests.sort_by_cached_key(|descriptor| {
        let name = ref_name(descriptor).map(str::to_owned);
        (name.is_none(), name, descriptor.digest().to_string())
    });
}
