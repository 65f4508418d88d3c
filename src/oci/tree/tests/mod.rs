//! Tests of the merged tree.

mod model;
mod operations;
mod policy;

use std::collections::BTreeMap;
use std::io::Read;

use super::super::testing::{MemoryLayers, Tar};
use super::{ImageTree, Kind, MergePolicy, NoteKind, TreeError};

fn merge(layers: &MemoryLayers) -> Result<ImageTree, TreeError> {
    ImageTree::from_layers(layers, &MergePolicy::default())
}

/// Contents of all regular files, by number.
fn contents(tree: &ImageTree, layers: &MemoryLayers) -> BTreeMap<super::NodeId, Vec<u8>> {
    let mut contents = BTreeMap::new();
    let read = |visit: super::Visit<'_>| {
        let mut bytes = Vec::new();
        visit.content.read_to_end(&mut bytes)?;
        assert!(contents.insert(visit.id, bytes).is_none(), "shown twice");
        Ok(())
    };
    tree.visit_contents(layers, |_, _| true, read).unwrap();
    contents
}

/// The whole tree in one line: `d/`, `f=content`, `l>target`, `p|`, `c%1:3`, `b%8:0`; another mode than usual as `f(4755)=`.
fn show(tree: &ImageTree, layers: &MemoryLayers) -> String {
    let contents = contents(tree, layers);
    let mut words = Vec::new();
    for entry in tree.walk().skip(1) {
        let name = String::from_utf8_lossy(&entry.path).into_owned();
        let mode = match (entry.node.kind(), entry.node.metadata().mode) {
            (Kind::Directory(_), 0o755) | (_, 0o644) => String::new(),
            (_, mode) => format!("({mode:o})"),
        };
        let rest = match entry.node.kind() {
            Kind::Directory(_) => "/".to_owned(),
            Kind::File(_) => format!("={}", String::from_utf8_lossy(&contents[&entry.id])),
            Kind::Symlink(target) => format!(">{}", String::from_utf8_lossy(target)),
            Kind::CharDevice { major, minor } => format!("c%{major}:{minor}"),
            Kind::BlockDevice { major, minor } => format!("b%{major}:{minor}"),
            Kind::Fifo => "|".to_owned(),
        };
        words.push(format!("{name}{mode}{rest}"));
    }
    words.join(" ")
}

fn has_note(tree: &ImageTree, wanted: &NoteKind) -> bool {
    tree.notes().iter().any(|note| note.kind == *wanted)
}

fn layers(tars: impl IntoIterator<Item = Tar>) -> MemoryLayers {
    MemoryLayers::new(tars.into_iter().map(Tar::end))
}
