//! Everything in the repository but its objects: links, splitstreams, EROFS images.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek};

use super::finding::{Area, Problem};
use super::objects::path_of;
use super::root::{Root, shown};
use super::streams::SplitStream;
use super::{Verification, erofs};
use crate::disk::composefs::{known_metadata, object_path};
use crate::disk::inspect::ext4::{Ext4Error, FileKind};
use crate::disk::verity::VerityDigest;

/// Largest EROFS image or splitstream; those of a million files have a third of it.
const LARGEST: u64 = 512 << 20;

/// Links to objects, by path below the repository.
pub(super) type Links = BTreeMap<String, VerityDigest>;

/// Files of `/etc` and `/var` of an image, by path.
pub(super) type Tree = BTreeMap<Vec<u8>, erofs::ImageFile>;

impl<S: Read + Seek> Root<S> {
    /// `meta.json` is one of those that a repository of these formats has.
    pub(super) fn verify_metadata(&mut self, report: &mut Verification) -> Result<(), Ext4Error> {
        let path = "composefs/meta.json";
        match self.text(path.as_bytes())? {
            None => report.find(Area::Images, path, Problem::Missing(path.to_owned())),
            Some(text) if known_metadata().contains(&text) => {}
            Some(_) => report.find(Area::Images, path, Problem::Damaged("it is not what a repository of SHA-512 has")),
        }
        Ok(())
    }

    /// Every link in `images` and `streams` leads to an object, or to a link that does.
    pub(super) fn verify_links(&mut self, report: &mut Verification) -> Result<Links, Ext4Error> {
        let mut links = Links::new();
        let mut tags = Vec::new();
        for path in [self.below("composefs/images"), self.below("composefs/streams")].concat() {
            let text = shown(&path);
            let name = text["composefs/".len()..].to_owned();
            let Some(target) = self.target(&path)? else {
                if !self.inode(&path)?.is_some_and(|inode| inode.kind == FileKind::Directory) {
                    report.find(Area::Images, text, Problem::Damaged("it is no link"));
                }
                continue;
            };
            if name.starts_with("streams/refs/") {
                tags.push((text, name, target));
                continue;
            }
            let digest = target.strip_prefix("../objects/").and_then(|path| path.replacen('/', "", 1).parse().ok());
            let Some(digest) = digest.filter(|digest| target == format!("../{}", object_path(digest))) else {
                report.find(Area::Images, text, Problem::Link { target, wanted: "an object".to_owned() });
                continue;
            };
            if let Some(id) = name.strip_prefix("images/").filter(|id| *id != digest.to_string()) {
                let wanted = format!("the object {id}");
                report.find(Area::Images, &*text, Problem::Link { target, wanted });
            }
            if let Some(problem) = self.refer(&digest, None) {
                report.find(Area::Images, text, problem);
            }
            links.insert(name, digest);
        }
        for (text, name, target) in tags {
            // As many steps up as there are folders below `streams`.
            let up = "../".repeat(name.matches('/').count() - 1);
            let stream = target.strip_prefix(&up).map(|stream| format!("streams/{stream}"));
            if !stream.is_some_and(|stream| links.contains_key(&stream)) {
                report.find(Area::Streams, text, Problem::Link { target, wanted: "a stream".to_owned() });
            }
        }
        Ok(links)
    }

    /// Every splitstream stands for what its name says, and what it refers to is there.
    pub(super) fn verify_streams(&mut self, links: &Links, report: &mut Verification) -> Result<(), Ext4Error> {
        for (name, digest) in links.iter().filter(|(name, _)| name.starts_with("streams/")) {
            let path = format!("composefs/{name}");
            let bytes = match self.object(digest, LARGEST) {
                Ok(Some(bytes)) => bytes,
                Ok(None) => continue,
                Err(error) if error.is_io() => return Err(error),
                Err(error) => {
                    report.find(Area::Streams, path, error);
                    continue;
                }
            };
            let before = report.findings.len();
            match SplitStream::parse(&bytes) {
                Err(problem) => report.find(Area::Streams, &*path, Problem::SplitStream(problem)),
                Ok(stream) => self.verify_stream(name, &stream, links, report)?,
            }
            report.streams += usize::from(report.findings.len() == before);
        }
        Ok(())
    }

    fn verify_stream(
        &mut self,
        name: &str,
        stream: &SplitStream<'_>,
        links: &Links,
        report: &mut Verification,
    ) -> Result<(), Ext4Error> {
        let path = format!("composefs/{name}");
        let Some((kind, digest)) = name.trim_start_matches("streams/").split_once("-sha256:") else {
            report.find(Area::Streams, path, Problem::SplitStream("its name has no digest"));
            return Ok(());
        };
        let wanted_kind = match kind {
            "oci-layer" => b"ocilayer",
            "oci-config" => b"ociconfg",
            "oci-manifest" => b"ocimanif",
            _ => &[0; 8],
        };
        if stream.kind != *wanted_kind {
            report.find(Area::Streams, &*path, Problem::SplitStream("it is of another kind than its name says"));
        }
        for digest in stream.objects.iter().chain(&stream.streams) {
            if let Some(problem) = self.refer(digest, None) {
                report.find(Area::Streams, &*path, problem);
            }
        }
        for (name, index) in &stream.named {
            // A configuration also names the EROFS images that were made of it.
            let link = match (name.strip_prefix("config:"), stream.streams.get(*index)) {
                (Some(config), _) => format!("streams/oci-config-{config}"),
                (None, Some(image)) if name.starts_with("composefs.image") => format!("images/{image}"),
                (None, _) => format!("streams/oci-layer-{name}"),
            };
            if links.get(&link).is_none() || links.get(&link) != stream.streams.get(*index) {
                report.find(Area::Streams, &*path, Problem::Reference { name: name.clone() });
            }
        }
        let found = stream.sha256::<Ext4Error>(&mut |digest, out| {
            let Some(object) = self.objects.get(digest).filter(|object| object.proven) else { return Ok(0) };
            let inode = self.ext4.inode(object.inode)?;
            self.ext4.copy(&inode, 0, inode.size, out).map(|()| inode.size)
        });
        match found {
            Ok(Ok(found)) if found == digest => {}
            Ok(Ok(found)) => report.find(Area::Streams, path, Problem::OtherContent { found }),
            Ok(Err(problem)) => report.find(Area::Streams, path, Problem::SplitStream(problem)),
            Err(error) if error.is_io() => return Err(error),
            Err(_) => report.find(Area::Streams, path, Problem::SplitStream("it is longer than it says")),
        }
        Ok(())
    }

    /// Every object that an EROFS image names is there. Keeps what `/etc` and `/var` of the images in `kept` should be.
    pub(super) fn verify_images(
        &mut self,
        links: &Links,
        kept: &BTreeSet<VerityDigest>,
        report: &mut Verification,
    ) -> Result<BTreeMap<VerityDigest, Tree>, Ext4Error> {
        let mut images = BTreeMap::new();
        for digest in links.iter().filter(|(name, _)| name.starts_with("images/")).map(|(_, digest)| digest) {
            let bytes = match self.object(digest, LARGEST) {
                Ok(Some(bytes)) => bytes,
                Ok(None) => continue,
                Err(error) if error.is_io() => return Err(error),
                Err(error) => {
                    report.find(Area::Images, path_of(digest), error);
                    continue;
                }
            };
            let before = report.findings.len();
            let (mut tree, mut files) = (Tree::new(), 0);
            let walked = erofs::walk(&bytes, &mut |path, file| {
                files += 1;
                if let erofs::Content::Object(object) = &file.content
                    && let Some(problem) = self.refer(object, Some(file.size))
                {
                    report.find(Area::Images, shown(path), problem);
                }
                let is_state = [&b"etc/"[..], b"var/"].iter().any(|folder| path.starts_with(folder));
                if kept.contains(digest) && (is_state || matches!(path, b"etc" | b"var")) {
                    tree.insert(path.to_vec(), file.clone());
                }
            });
            if let Err(reason) = walked {
                report.find(Area::Images, path_of(digest), Problem::Erofs { reason });
            }
            report.files = report.files.max(files);
            report.images += usize::from(report.findings.len() == before);
            images.insert(*digest, tree);
        }
        Ok(images)
    }
}
