//! Looking up, changing, comparing and writing trees.

use super::super::{Change, Changes, NewNode, NodeId, PathProblem, Selection, SpooledLayers, TreeError};
use super::*;
use crate::model::SourceDateEpoch;
use crate::oci::layer::{Compression, LayerError, LayerWriter, Metadata, Mtime};
use crate::oci::testing;
use crate::oci::tree::{LayerSource, NoLayers};

fn fixture() -> MemoryLayers {
    layers([
        Tar::new()
            .dir("etc")
            .file("etc/os-release", "ID=x")
            .symlink("etc/rc", "../run/rc")
            .dir("usr")
            .file("usr/z", "z"),
        Tar::new().file("etc/passwd", "root").hardlink("etc/passwd-", "etc/passwd").symlink("lib", "/usr").dir("run"),
    ])
}

fn write(tree: &ImageTree, selection: Selection<'_>, layers: &dyn LayerSource) -> Vec<u8> {
    let mut writer = LayerWriter::new(Vec::new(), Compression::None, SourceDateEpoch::from_secs(1 << 30)).unwrap();
    tree.write_layer(selection, layers, &mut writer).unwrap();
    writer.finish().unwrap().1
}

#[test]
fn lookup_stops_at_a_link_and_resolve_follows_it() {
    let layers = layers([Tar::new()
        .dir("usr")
        .file("usr/f", "x")
        .symlink("lib", "/usr")
        .symlink("up", "../../../usr/f")
        .symlink("loop", "loop")
        .symlink("dangling", "nowhere")]);
    let tree = merge(&layers).unwrap();
    let f = tree.lookup("usr/f");
    assert!(f.is_some());
    for (path, lookup, resolve) in [
        ("lib/f", f, f),
        ("/lib//./f/", f, f),
        ("", Some(NodeId::ROOT), Some(NodeId::ROOT)),
        ("lib", tree.lookup("lib"), tree.lookup("usr")),
        // Reading is as in a chroot: there is nothing above the root.
        ("up", tree.lookup("up"), f),
        ("loop", tree.lookup("loop"), None),
        ("loop/x", None, None),
        ("dangling", tree.lookup("dangling"), None),
        ("usr/f/x", None, None),
        ("missing", None, None),
        ("usr/../usr", None, None),
    ] {
        assert_eq!((tree.lookup(path), tree.resolve(path)), (lookup, resolve), "{path}");
    }
    assert_ne!(tree.lookup("lib"), tree.resolve("lib"));
}

#[test]
fn walks_parents_first_in_byte_order_of_names() {
    let layers = layers([Tar::new().file("a-b", "").dir("a").file("a/z", "").file("a/b", "").file("b", "")]);
    let tree = merge(&layers).unwrap();
    let paths =
        |walk: super::super::Walk<'_>| walk.map(|entry| String::from_utf8(entry.path).unwrap()).collect::<Vec<_>>();
    assert_eq!(paths(tree.walk()), ["", "a", "a/b", "a/z", "a-b", "b"]);
    assert_eq!(paths(tree.walk_from("a")), ["a", "a/b", "a/z"]);
    assert_eq!(paths(tree.walk_from("nowhere")), Vec::<String>::new());
}

#[test]
fn reads_files_through_links_and_caps_them() {
    let layers = fixture();
    let tree = merge(&layers).unwrap();
    assert_eq!(tree.read_file(&layers, "lib/z", 1).unwrap(), b"z");
    assert_eq!(tree.read_file(&layers, "etc/passwd-", 100).unwrap(), b"root");
    assert!(matches!(tree.read_file(&layers, "etc/os-release", 3), Err(TreeError::TooLarge { size: 4, .. })));
    for (path, problem) in
        [("etc", PathProblem::NotAFile), ("nowhere", PathProblem::NotFound), ("etc/rc", PathProblem::NotFound)]
    {
        match tree.read_file(&layers, path, 100) {
            Err(TreeError::Path { problem: found, .. }) => assert_eq!(found, problem, "{path}"),
            other => panic!("{path}: {other:?}"),
        }
    }
    let several = tree.read_files(&layers, &["etc/passwd", "etc/passwd-", "nowhere"], 100).unwrap();
    assert_eq!(several.len(), 2);
}

#[test]
fn edits_do_what_they_say() {
    let layers = fixture();
    let mut tree = merge(&layers).unwrap();
    let mode = Metadata::with_mode;
    tree.insert_file("lib/new/f", *b"new", mode(0o600)).unwrap();
    tree.insert_file("etc/passwd", *b"mine", mode(0o644)).unwrap();
    tree.insert_symlink("etc/l", "x", mode(0o777)).unwrap();
    tree.insert_dir("etc", mode(0o700)).unwrap();
    tree.insert("null", NewNode::CharDevice { major: 1, minor: 3 }, mode(0o666)).unwrap();
    tree.link("etc/os-release", "etc/other").unwrap();
    tree.rename("run", "usr/run").unwrap();
    assert!(tree.remove("usr/z").unwrap());
    assert!(!tree.remove("usr/z").unwrap());
    assert_eq!(
        show(&tree, &layers),
        "etc(700)/ etc/l(777)>x etc/os-release=ID=x etc/other=ID=x etc/passwd=mine etc/passwd-=root etc/rc>../run/rc \
         lib>/usr null(666)c%1:3 usr/ usr/new/ usr/new/f(600)=new usr/run/"
    );
    let links = |path| tree.node(tree.lookup(path).unwrap()).links();
    assert_eq!((links("etc/other"), links("etc/passwd-"), links("etc/passwd")), (2, 1, 1));
}

#[test]
fn edits_refuse_what_would_lose_something() {
    let layers = fixture();
    let mut tree = merge(&layers).unwrap();
    let before = show(&tree, &layers);
    let mode = || Metadata::with_mode(0o644);
    for (what, result, expected) in [
        ("file over directory", tree.insert_file("etc", *b"", mode()).map(drop), PathProblem::IsADirectory),
        ("directory over file", tree.insert_dir("usr/z", mode()).map(drop), PathProblem::Exists),
        ("directory over link", tree.insert_dir("lib", mode()).map(drop), PathProblem::Exists),
        ("below a file", tree.insert_file("usr/z/f", *b"", mode()).map(drop), PathProblem::NotADirectory),
        ("root", tree.remove("/").map(drop), PathProblem::Root),
        ("move into itself", tree.rename("usr", "lib/usr"), PathProblem::IntoItself),
        ("move over something", tree.rename("usr/z", "etc/passwd"), PathProblem::Exists),
        ("move nothing", tree.rename("nowhere", "x"), PathProblem::NotFound),
        ("link a directory", tree.link("etc", "x"), PathProblem::LinkToDirectory),
    ] {
        match result {
            Err(TreeError::Path { problem, .. }) => assert_eq!(problem, expected, "{what}"),
            other => panic!("{what}: {other:?}"),
        }
    }
    assert!(matches!(
        tree.insert_file("../x", *b"", mode()),
        Err(TreeError::Path { problem: PathProblem::Name(_), .. })
    ));
    assert_eq!(show(&tree, &layers), before);
}

#[test]
fn removed_nodes_are_used_again() {
    let mut tree = ImageTree::new();
    for _ in 0..10 {
        for name in ["d/a", "d/b", "d/c"] {
            tree.insert_file(name, *b"x", Metadata::default()).unwrap();
        }
        tree.remove("d").unwrap();
    }
    assert_eq!(tree.node_slots(), 5, "root, d and three files");
}

#[test]
fn a_written_tree_reads_back_as_itself_and_twice_as_the_same_bytes() {
    let layers = fixture();
    let mut tree = merge(&layers).unwrap();
    tree.metadata_mut("usr/z").unwrap().mtime = Mtime { seconds: 7, nanos: 8 };
    let bytes = write(&tree, Selection::Whole, &layers);
    assert_eq!(bytes, write(&tree, Selection::Whole, &layers));
    let again_layers = MemoryLayers::new([bytes.clone()]);
    let again = merge(&again_layers).unwrap();
    assert_eq!(show(&again, &again_layers), show(&tree, &layers));
    assert!(tree.diff(&layers, &again, &again_layers).unwrap().is_empty());
    assert_eq!(again.notes().iter().next(), None);
    assert_eq!(again.node(again.lookup("etc/passwd").unwrap()).links(), 2);

    let folder = tempfile::tempdir().unwrap();
    let dir = testing::open(folder.path());
    assert_eq!(write(&tree, Selection::Whole, &SpooledLayers::new(&layers, &dir)), bytes);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "no litter");
}

fn changes(list: &[(&str, Change)]) -> Vec<(String, Change)> {
    list.iter().map(|(path, change)| ((*path).to_owned(), *change)).collect()
}

fn listed(changes: &Changes) -> Vec<(String, Change)> {
    changes.iter().map(|(path, change)| (String::from_utf8_lossy(path).into_owned(), *change)).collect()
}

#[test]
fn a_diff_applied_to_the_base_gives_the_tree() {
    use Change::{Added, Metadata as Meta, Removed, Replaced};
    let base_layers = layers([Tar::new()
        .dir("d")
        .file("d/same", "1")
        .file("d/content", "1")
        .file("d/mode", "1")
        .file("d/gone", "1")
        .dir("gone")
        .file("gone/f", "")
        .file("tofile", "x")
        .dir("todir")
        .file("todir/f", "")
        .symlink("l", "a")
        .file("h1", "x")
        .hardlink("h2", "h1")
        .file("h3", "x")
        .file("s1", "y")
        .hardlink("s2", "s1")]);
    let base = merge(&base_layers).unwrap();
    let mut tree = base.clone();
    let plain = || Metadata::with_mode(0o644);
    tree.insert_file("d/content", *b"2", plain()).unwrap();
    // The same content from another place is no change.
    tree.insert_file("d/same", *b"1", plain()).unwrap();
    tree.metadata_mut("d/mode").unwrap().mode = 0o600;
    tree.remove("d/gone").unwrap();
    tree.remove("gone").unwrap();
    tree.remove("tofile").unwrap();
    tree.insert_file("tofile/f", *b"", plain()).unwrap();
    tree.remove("todir").unwrap();
    tree.insert_file("todir", *b"z", plain()).unwrap();
    tree.insert_symlink("l", "b", plain()).unwrap();
    tree.insert_file("n/f", *b"n", plain()).unwrap();
    tree.link("h1", "h4").unwrap();
    tree.insert_file("s2", *b"y", plain()).unwrap();
    let diff = tree.diff(&base_layers, &base, &base_layers).unwrap();
    assert_eq!(
        listed(&diff),
        changes(&[
            ("d/content", Replaced),
            ("d/gone", Removed),
            ("d/mode", Meta),
            ("gone", Removed),
            ("h1", Replaced),
            ("h2", Replaced),
            ("h4", Added),
            ("l", Replaced),
            ("n", Added),
            ("n/f", Added),
            ("s1", Replaced),
            ("s2", Replaced),
            ("todir", Replaced),
            ("tofile", Replaced),
            ("tofile/f", Added),
        ])
    );
    let upper = write(&tree, Selection::Changes(&diff), &base_layers);
    let lower = {
        let mut bytes = Vec::new();
        base_layers.open(0).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    };
    let both = MemoryLayers::new([lower, upper]);
    let applied = merge(&both).unwrap();
    assert!(applied.diff(&both, &tree, &base_layers).unwrap().is_empty(), "{}", show(&applied, &both));
    assert!(tree.diff(&base_layers, &tree, &base_layers).unwrap().is_empty());
}

#[test]
fn a_layer_that_changed_since_it_was_merged_is_noticed() {
    struct Lying(MemoryLayers);
    impl LayerSource for Lying {
        fn count(&self) -> usize {
            self.0.count()
        }
        fn diff_id(&self, layer: usize) -> Option<&crate::model::DiffId> {
            self.0.diff_id(layer)
        }
        fn open(&self, layer: usize) -> Result<Box<dyn Read + Send + '_>, LayerError> {
            let reader = crate::oci::VerifiedReader::of_digest(self.0.open(layer)?, crate::oci::sha256(b"another"));
            Ok(Box::new(reader?))
        }
    }
    let lying = Lying(fixture());
    let tree = merge(&lying.0).unwrap();
    assert!(matches!(ImageTree::from_layers(&lying, &MergePolicy::default()), Err(TreeError::Layer { layer: 0, .. })));
    assert!(matches!(
        tree.read_file(&lying, "usr/z", 10),
        Err(TreeError::Layer { layer: 0, source: LayerError::Verify(_) })
    ));
    let mut writer = LayerWriter::new(Vec::new(), Compression::None, SourceDateEpoch::from_secs(0)).unwrap();
    assert!(matches!(tree.write_layer(Selection::Whole, &lying, &mut writer), Err(TreeError::Layer { layer: 0, .. })));
}

#[test]
fn content_is_shown_while_merging() {
    let layers = fixture();
    let mut seen = Vec::new();
    ImageTree::from_layers_with(&layers, &MergePolicy::default(), &mut |layer, entry, content| {
        let mut text = String::new();
        content.read_to_string(&mut text)?;
        seen.push((layer, String::from_utf8_lossy(&entry.path).into_owned(), text));
        Ok(())
    })
    .unwrap();
    let expected = [(0, "etc/os-release", "ID=x"), (0, "usr/z", "z"), (1, "etc/passwd", "root")];
    assert_eq!(seen, expected.map(|(layer, path, text)| (layer, path.to_owned(), text.to_owned())));
    let failing = ImageTree::from_layers_with(&layers, &MergePolicy::default(), &mut |_, _, _| {
        Err(std::io::Error::other("full"))
    });
    assert!(matches!(failing, Err(TreeError::Sink { .. })));
}

#[test]
fn an_empty_tree_is_a_root_directory() {
    let bytes = write(&ImageTree::new(), Selection::Whole, &NoLayers);
    assert_eq!(bytes.len(), 512 + 1024);
    let layers = MemoryLayers::new([bytes]);
    assert_eq!(show(&merge(&layers).unwrap(), &layers), "");
}

#[test]
fn a_million_files_fit_in_the_memory_promised() {
    use super::super::node::{Dentry, Node};
    // Table slot, and a B-tree node of eleven slots that is half full after sorted insertion.
    let slot = std::mem::size_of::<Node>();
    let name = 2 * (std::mem::size_of::<Box<[u8]>>() + std::mem::size_of::<Dentry>());
    assert!(slot + name <= 150, "{slot} + {name}");
}
