//! Layouts as image sources: in a folder, and in a tar file (`oci-archive:`).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};

use oci_spec::image::{Descriptor, Digest, ImageIndex, MediaType};

use super::digest::{VerifyError, sha256, sha256_hex};
use super::document::{DocumentKind, own_media_type, parse_index};
use super::file_range::FileRange;
use super::layer::{EntryKind, LayerError, TarReader, UnpackLimits};
use super::layout::{Layout, LayoutError, REF_NAME, attached_to, check_marker, read_document};
use super::source::{ImageSource, RawManifest};

/// A source that cannot give what was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum SourceError {
    /// The layout refused.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The archive is no tar file we can read.
    #[error("reading the archive")]
    Archive(#[source] LayerError),
    /// There is no such name, or there are several images and none was named.
    #[error("no image `{}`; there are: {}", wanted.as_deref().unwrap_or("(unnamed)"), names.join(", "))]
    NoSuchImage { wanted: Option<String>, names: Vec<String> },
}

/// One image, or all blobs, of a layout in a folder.
#[derive(Debug, Clone)]
pub struct LayoutSource<'a> {
    layout: &'a Layout,
    reference: Option<String>,
}

impl<'a> LayoutSource<'a> {
    /// The image named `reference`; without one the layout must hold exactly one.
    pub fn new(layout: &'a Layout, reference: Option<String>) -> Self {
        Self { layout, reference }
    }
}

impl ImageSource for LayoutSource<'_> {
    type Error = SourceError;

    fn manifest(&self, digest: Option<&Digest>) -> Result<RawManifest, SourceError> {
        let index = self.layout.index()?;
        if let Some(digest) = digest {
            sha256_hex(digest).map_err(LayoutError::from)?;
            let file = self.layout.blob_reader(digest)?;
            return raw_manifest(file, &index, digest);
        }
        let descriptor = choose(&index, self.reference.as_deref())?;
        let bytes = self.layout.read_document(descriptor)?;
        Ok(RawManifest { bytes, media_type: descriptor.media_type().clone(), digest: descriptor.digest().clone() })
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>, SourceError> {
        Ok(Box::new(self.layout.blob_file(descriptor)?))
    }
}

/// The entry of an index that a reference names; without one, the only image there is.
fn choose<'a>(index: &'a ImageIndex, reference: Option<&str>) -> Result<&'a Descriptor, SourceError> {
    let name = |entry: &'a Descriptor| entry.annotations().as_ref()?.get(REF_NAME).map(String::as_str);
    // Signatures and whatever else refers to an image are not what somebody means who names none.
    let is_image =
        |entry: &'a Descriptor| entry.artifact_type().is_none() && name(entry).and_then(attached_to).is_none();
    let manifests = || index.manifests().iter().filter(|entry| is_document(entry));
    let mut found = manifests().filter(|entry| match reference {
        Some(_) => name(entry) == reference,
        None => is_image(entry),
    });
    match (found.next(), found.next()) {
        (Some(entry), None) => Ok(entry),
        _ => Err(SourceError::NoSuchImage {
            wanted: reference.map(str::to_owned),
            names: manifests().map(|entry| name(entry).unwrap_or("(unnamed)").to_owned()).collect(),
        }),
    }
}

fn is_document(entry: &Descriptor) -> bool {
    DocumentKind::of_media_type(entry.media_type()).is_some()
}

/// Reads a document of which only the digest is known, and finds out what it is.
fn raw_manifest(reader: impl Read, index: &ImageIndex, digest: &Digest) -> Result<RawManifest, SourceError> {
    let bytes = read_document(digest.as_ref(), reader)?;
    let found = sha256(&bytes);
    if found != *digest {
        return Err(LayoutError::from(VerifyError::Digest { expected: digest.clone(), found }).into());
    }
    let listed = index.manifests().iter().find(|entry| entry.digest() == digest);
    let media_type = match listed {
        Some(entry) => entry.media_type().clone(),
        None => own_media_type(&bytes).map_err(LayoutError::from)?,
    };
    Ok(RawManifest { bytes, media_type, digest: found })
}

/// An image layout in a tar file, read in place.
#[derive(Debug)]
pub struct ArchiveSource {
    file: File,
    /// Where each regular file begins and ends.
    files: BTreeMap<Vec<u8>, (u64, u64)>,
    index: ImageIndex,
    reference: Option<String>,
}

impl ArchiveSource {
    /// Reads the archive's table of contents and index. `reference` as for [`LayoutSource::new`].
    ///
    /// # Errors
    /// When it is no uncompressed tar file, or does not hold a layout.
    pub fn open(file: File, reference: Option<String>) -> Result<Self, SourceError> {
        let files = list(&file).map_err(SourceError::Archive)?;
        let read = |name: &str| match files.get(name.as_bytes()) {
            Some(&(start, end)) => Ok(read_document(name, FileRange::new(&file, start, end))?),
            None => Err(SourceError::from(LayoutError::NotALayout)),
        };
        check_marker(&read("oci-layout")?)?;
        let index = parse_index(&read("index.json")?, &MediaType::ImageIndex).map_err(LayoutError::from)?;
        Ok(Self { file, files, index, reference })
    }

    /// Everything `index.json` lists.
    pub fn index(&self) -> &ImageIndex {
        &self.index
    }

    fn blob_range(&self, digest: &Digest) -> Result<(u64, u64), LayoutError> {
        let path = format!("blobs/sha256/{}", sha256_hex(digest)?);
        let range = self.files.get(path.as_bytes()).copied();
        range.ok_or_else(|| LayoutError::MissingBlob { digest: digest.clone() })
    }
}

/// The regular files of a tar file; the last of several with one name counts.
fn list(file: &File) -> Result<BTreeMap<Vec<u8>, (u64, u64)>, LayerError> {
    // An archive is as large as all its layers: only names and counts are capped.
    let limits = UnpackLimits { entry_bytes: u64::MAX, layer_bytes: u64::MAX, ..UnpackLimits::default() };
    let mut tar = TarReader::new(io::BufReader::with_capacity(64 << 10, FileRange::to_end(file, 0)), limits);
    let mut files = BTreeMap::new();
    while let Some(entry) = tar.next_entry()? {
        if let EntryKind::File { size } = entry.kind {
            files.insert(entry.path, (entry.offset, entry.offset + size));
        }
    }
    Ok(files)
}

impl ImageSource for ArchiveSource {
    type Error = SourceError;

    fn manifest(&self, digest: Option<&Digest>) -> Result<RawManifest, SourceError> {
        let digest = match digest {
            Some(digest) => digest,
            None => choose(&self.index, self.reference.as_deref())?.digest(),
        };
        let (start, end) = self.blob_range(digest)?;
        raw_manifest(FileRange::new(&self.file, start, end), &self.index, digest)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>, SourceError> {
        let (start, end) = self.blob_range(descriptor.digest())?;
        let (expected, found) = (descriptor.size(), end - start);
        if expected != found {
            let digest = descriptor.digest().clone();
            return Err(LayoutError::from(VerifyError::Size { digest, expected, found }).into());
        }
        Ok(Box::new(FileRange::new(&self.file, start, end)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, Tar};
    use super::*;
    use serde_json::json;

    struct Image {
        manifest: String,
        descriptor: Descriptor,
        layer: Descriptor,
    }

    fn image() -> Image {
        let layer = Descriptor::new(MediaType::ImageLayer, 5, sha256(b"layer"));
        let config = Descriptor::new(MediaType::ImageConfig, 2, sha256(b"{}"));
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]}).to_string();
        let descriptor = Descriptor::new(MediaType::ImageManifest, manifest.len() as u64, sha256(manifest.as_bytes()));
        Image { manifest, descriptor, layer }
    }

    fn index(image: &Image, names: &[&str]) -> String {
        let entries: Vec<_> = names
            .iter()
            .map(|name| {
                let mut entry = json!(image.descriptor);
                entry["annotations"] = json!({REF_NAME: name});
                entry
            })
            .collect();
        json!({"schemaVersion": 2, "manifests": entries}).to_string()
    }

    /// Written the way `skopeo copy … oci-archive:` does: with `./` in front or not.
    fn archive(image: &Image, names: &[&str], prefix: &str) -> File {
        let blob = |digest: &Digest| format!("{prefix}blobs/sha256/{}", digest.digest());
        let bytes = Tar::new()
            .dir(&format!("{prefix}blobs/"))
            .file(&blob(image.descriptor.digest()), &image.manifest)
            .file(&blob(image.layer.digest()), "layer")
            .file(&format!("{prefix}index.json"), &index(image, names))
            .file(&format!("{prefix}oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#)
            .end();
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, &bytes).unwrap();
        file
    }

    #[test]
    fn an_archive_gives_manifests_and_blobs() {
        let image = image();
        for prefix in ["", "./"] {
            let source = ArchiveSource::open(archive(&image, &["a", "b"], prefix), Some("b".into())).unwrap();
            let manifest = source.manifest(None).unwrap();
            assert_eq!(manifest.bytes, image.manifest.as_bytes());
            assert_eq!(manifest.media_type, MediaType::ImageManifest);
            assert_eq!(source.manifest(Some(image.descriptor.digest())).unwrap(), manifest);
            let mut layer = String::new();
            source.blob(&image.layer).unwrap().read_to_string(&mut layer).unwrap();
            assert_eq!(layer, "layer");
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        let image = image();
        let open = |reference: Option<&str>| {
            ArchiveSource::open(archive(&image, &["a", "b"], ""), reference.map(str::to_owned)).unwrap()
        };
        for reference in [None, Some("c")] {
            let error = open(reference).manifest(None).unwrap_err().to_string();
            assert!(error.ends_with("there are: a, b"), "{error}");
        }
        let source = open(Some("a"));
        let absent = Descriptor::new(MediaType::ImageLayer, 3, sha256(b"abc"));
        assert!(matches!(source.blob(&absent), Err(SourceError::Layout(LayoutError::MissingBlob { .. }))));
        let wrong_size = Descriptor::new(MediaType::ImageLayer, 4, image.layer.digest().clone());
        assert!(matches!(source.blob(&wrong_size), Err(SourceError::Layout(LayoutError::Verify(_)))));
    }

    #[test]
    fn a_manifest_with_another_digest_is_refused() {
        let mut image = image();
        image.manifest = image.manifest.replace('5', "6");
        let source = ArchiveSource::open(archive(&image, &["a"], ""), None).unwrap();
        assert!(matches!(source.manifest(None), Err(SourceError::Layout(LayoutError::Verify(_)))));
    }

    #[test]
    fn a_tar_file_that_is_no_layout_is_refused() {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, &Tar::new().file("f", "x").end()).unwrap();
        assert!(matches!(ArchiveSource::open(file, None), Err(SourceError::Layout(LayoutError::NotALayout))));
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, &[b'x'; 2000]).unwrap();
        assert!(matches!(ArchiveSource::open(file, None), Err(SourceError::Archive(_))));
    }

    #[test]
    fn a_layout_gives_the_same() {
        let (_folder, layout) = testing::layout();
        let image = image();
        layout.write_blob(image.manifest.as_bytes(), MediaType::ImageManifest).unwrap();
        layout.write_blob(b"layer", MediaType::ImageLayer).unwrap();
        layout.tag("a", image.descriptor.clone()).unwrap();
        let source = LayoutSource::new(&layout, None);
        let manifest = source.manifest(None).unwrap();
        assert_eq!(manifest.bytes, image.manifest.as_bytes());
        assert_eq!(source.manifest(Some(image.descriptor.digest())).unwrap(), manifest);
        assert_eq!(io::copy(&mut source.blob(&image.layer).unwrap(), &mut io::sink()).unwrap(), 5);
        assert!(LayoutSource::new(&layout, Some("b".into())).manifest(None).is_err());
    }
}
