//! Random layers, merged by the tree and by a model that is too simple to be wrong.

use std::collections::BTreeMap;

use proptest::prelude::{Just, Strategy, prop_oneof, proptest};
use proptest::sample::select;

use super::super::Selection;
use super::*;
use crate::model::SourceDateEpoch;
use crate::oci::layer::{Compression, LayerWriter};

/// One entry of a random layer. Paths use few names, so that entries meet each other.
#[derive(Debug, Clone)]
enum Op {
    File(String, u8),
    Dir(String),
    Symlink(String),
    Whiteout(String),
    Opaque(String),
    Hardlink(String, String),
}

fn path() -> impl Strategy<Value = String> {
    proptest::collection::vec(select(&["a", "b", "c"][..]), 1..4).prop_map(|parts| parts.join("/"))
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (path(), 0u8..10).prop_map(|(path, content)| Op::File(path, content)),
        3 => path().prop_map(Op::Dir),
        // The target is never there, so that links are leaves as far as the model goes.
        1 => path().prop_map(Op::Symlink),
        2 => path().prop_map(Op::Whiteout),
        1 => prop_oneof![path(), Just(String::new())].prop_map(Op::Opaque),
    ]
}

/// Also entries the model knows nothing of.
fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![4 => op(), 1 => (path(), path()).prop_map(|(path, target)| Op::Hardlink(path, target))]
}

#[derive(Debug, Clone, PartialEq)]
enum Model {
    File(u8),
    Dir,
    Symlink,
}

type Files = BTreeMap<String, Model>;

fn is_below(path: &str, parent: &str) -> bool {
    parent.is_empty() || path.strip_prefix(parent).is_some_and(|rest| rest.starts_with('/'))
}

fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(slash, _)| &path[..slash])
}

/// Applies a layer in the words of the specification: first what it removes, then what it adds.
/// `None` when an entry has a file or link as its parent.
fn apply(files: &mut Files, ops: &[Op]) -> Option<()> {
    for op in ops {
        match op {
            Op::Whiteout(path) => files.retain(|other, _| other != path && !is_below(other, path)),
            Op::Opaque(path) => files.retain(|other, _| !is_below(other, path)),
            _ => {}
        }
    }
    for op in ops {
        let (path, new) = match op {
            Op::File(path, content) => (path, Model::File(*content)),
            Op::Dir(path) => (path, Model::Dir),
            Op::Symlink(path) => (path, Model::Symlink),
            Op::Whiteout(_) | Op::Opaque(_) | Op::Hardlink(..) => continue,
        };
        for parent in parents(path) {
            match files.entry(parent.to_owned()).or_insert(Model::Dir) {
                Model::Dir => {}
                _ => return None,
            }
        }
        if new != Model::Dir {
            files.retain(|other, _| !is_below(other, path));
        }
        files.insert(path.clone(), new);
    }
    Some(())
}

/// A layer the model is sure about: each path once, nothing below a file of the same layer, no
/// parent that is a file or link below, and no markers for paths that are files or links.
fn sensible(ops: &[Op], before: &Files) -> Vec<Op> {
    let mut kept: Vec<Op> = Vec::new();
    let path_of = |op: &Op| match op {
        Op::File(path, _) | Op::Dir(path) | Op::Symlink(path) => Some(path.clone()),
        Op::Whiteout(_) | Op::Opaque(_) | Op::Hardlink(..) => None,
    };
    let leaf_before = |path: &str| before.get(path).is_some_and(|model| *model != Model::Dir);
    for op in ops {
        let fine = match op {
            Op::Hardlink(..) => false,
            Op::Whiteout(path) => !parents(path).any(leaf_before),
            Op::Opaque(path) => !parents(path).any(leaf_before) && !leaf_before(path),
            Op::File(path, _) | Op::Dir(path) | Op::Symlink(path) => {
                !parents(path).any(leaf_before)
                    && kept.iter().filter_map(path_of).all(|other| {
                        other != *path && !is_below(&other, path) && {
                            let parent = kept.iter().find(|op| path_of(op).is_some_and(|other| is_below(path, &other)));
                            parent.is_none_or(|op| matches!(op, Op::Dir(_)))
                        }
                    })
            }
        };
        if fine {
            kept.push(op.clone());
        }
    }
    let leaves: Vec<String> = kept
        .iter()
        .filter_map(|op| match op {
            Op::File(path, _) | Op::Symlink(path) => Some(path.clone()),
            _ => None,
        })
        .collect();
    // A marker below a path that becomes a file means nothing anybody agrees on.
    kept.retain(|op| match op {
        Op::Hardlink(..) => false,
        Op::Whiteout(path) => !leaves.iter().any(|leaf| is_below(path, leaf)),
        Op::Opaque(path) => !leaves.iter().any(|leaf| is_below(path, leaf) || leaf == path),
        Op::File(path, _) | Op::Dir(path) | Op::Symlink(path) => !leaves.iter().any(|leaf| is_below(path, leaf)),
    });
    kept
}

fn tar(ops: &[Op]) -> Tar {
    ops.iter().fold(Tar::new(), |tar, op| match op {
        Op::File(path, content) => tar.file(path, &content.to_string()),
        Op::Dir(path) => tar.dir(path),
        Op::Symlink(path) => tar.symlink(path, "/nowhere"),
        Op::Whiteout(path) => match path.rsplit_once('/') {
            Some((parent, name)) => tar.whiteout(&format!("{parent}/.wh.{name}")),
            None => tar.whiteout(&format!(".wh.{path}")),
        },
        Op::Hardlink(path, target) => tar.hardlink(path, target),
        Op::Opaque(path) => tar.whiteout(format!("{path}/.wh..wh..opq").trim_start_matches('/')),
    })
}

fn show_model(files: &Files) -> String {
    // Component by component, as the tree walks.
    let mut sorted: Vec<_> = files.iter().collect();
    sorted.sort_by_key(|(path, _)| path.split('/').map(str::to_owned).collect::<Vec<_>>());
    let words = sorted.into_iter().map(|(path, model)| match model {
        Model::File(content) => format!("{path}={content}"),
        Model::Dir => format!("{path}/"),
        Model::Symlink => format!("{path}>/nowhere"),
    });
    words.collect::<Vec<_>>().join(" ")
}

proptest! {
    #[test]
    fn merging_equals_the_model(raw in proptest::collection::vec(proptest::collection::vec(op(), 0..12), 1..5)) {
        let mut files = Files::new();
        let mut tars = Vec::new();
        for ops in &raw {
            let ops = sensible(ops, &files);
            apply(&mut files, &ops).expect("sensible layers apply");
            tars.push(tar(&ops));
        }
        let layers = layers(tars);
        let tree = merge(&layers).unwrap();
        assert_eq!(show(&tree, &layers), show_model(&files));

        let write = || {
            let mut writer = LayerWriter::new(Vec::new(), Compression::None, SourceDateEpoch::from_secs(0)).unwrap();
            tree.write_layer(Selection::Whole, &layers, &mut writer).unwrap();
            writer.finish().unwrap().1
        };
        assert_eq!(write(), write());
        let again_layers = MemoryLayers::new([write()]);
        let again = merge(&again_layers).unwrap();
        assert_eq!(show(&again, &again_layers), show(&tree, &layers));
    }

    /// Any entries at all, sensible or not: no panic, and whatever is accepted can be written and read back.
    #[test]
    fn any_layers_are_refused_or_written_back(raw in proptest::collection::vec(proptest::collection::vec(any_op(), 0..12), 1..5)) {
        let layers = layers(raw.iter().map(|ops| tar(ops)));
        let Ok(tree) = merge(&layers) else { return Ok(()) };
        let mut writer = LayerWriter::new(Vec::new(), Compression::None, SourceDateEpoch::from_secs(0)).unwrap();
        tree.write_layer(Selection::Whole, &layers, &mut writer).unwrap();
        let again_layers = MemoryLayers::new([writer.finish().unwrap().1]);
        let again = merge(&again_layers).unwrap();
        assert_eq!(show(&again, &again_layers), show(&tree, &layers));
        assert!(tree.diff(&layers, &again, &again_layers).unwrap().is_empty());
    }

    /// The change between any two trees, applied to the first, gives the second.
    #[test]
    fn a_diff_is_what_it_takes(first in proptest::collection::vec(any_op(), 0..15), second in proptest::collection::vec(any_op(), 0..15)) {
        let (base_layers, new_layers) = (layers([tar(&first)]), layers([tar(&second)]));
        let (Ok(base), Ok(new)) = (merge(&base_layers), merge(&new_layers)) else { return Ok(()) };
        let diff = new.diff(&new_layers, &base, &base_layers).unwrap();
        let mut writer = LayerWriter::new(Vec::new(), Compression::None, SourceDateEpoch::from_secs(0)).unwrap();
        new.write_layer(Selection::Changes(&diff), &new_layers, &mut writer).unwrap();
        let both = MemoryLayers::new([tar(&first).end(), writer.finish().unwrap().1]);
        let applied = merge(&both).unwrap();
        assert_eq!(show(&applied, &both), show(&new, &new_layers));
        assert!(applied.diff(&both, &new, &new_layers).unwrap().is_empty());
    }
}
