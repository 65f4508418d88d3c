//! The unpack policy, row by row: cases on which engines differ, each with the tree that comes out or the reason for refusing.

use super::super::{Duplicates, PathProblem, TreeError};
use super::*;
use crate::oci::layer::{LayerError, NameProblem, TarProblem};

/// What should come of a row.
enum Outcome {
    /// This tree, without a note.
    Plain(&'static str),
    /// This tree, with this note.
    Noted(&'static str, NoteKind),
    /// No tree, because of this.
    Refused(Reason),
}

#[derive(Debug, PartialEq)]
enum Reason {
    Path(PathProblem),
    Name(NameProblem),
    Tar(TarProblem),
}

fn reason(error: TreeError) -> Reason {
    match error {
        TreeError::Entry { problem, .. } => Reason::Path(problem),
        TreeError::Layer { source: LayerError::Name { problem, .. }, .. } => Reason::Name(problem),
        TreeError::Layer { source: LayerError::Header { problem, .. }, .. } => Reason::Tar(problem),
        error => panic!("{error}"),
    }
}

fn check(rows: impl IntoIterator<Item = (&'static str, Vec<Tar>, Outcome)>) {
    for (name, tars, outcome) in rows {
        let layers = layers(tars);
        let merged = merge(&layers);
        match outcome {
            Outcome::Plain(expected) => {
                let tree = merged.unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!(show(&tree, &layers), expected, "{name}");
                assert_eq!(tree.notes().iter().next(), None, "{name}");
            }
            Outcome::Noted(expected, note) => {
                let tree = merged.unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!(show(&tree, &layers), expected, "{name}");
                assert!(has_note(&tree, &note), "{name}: {:?}", tree.notes());
            }
            Outcome::Refused(expected) => assert_eq!(reason(merged.expect_err(name)), expected, "{name}"),
        }
    }
}

use Outcome::{Noted, Plain, Refused};

fn t() -> Tar {
    Tar::new()
}

#[test]
fn symbolic_links_as_parents() {
    let run = || t().dir("run").dir("var");
    check([
        (
            "var/run -> /run below, upper writes var/run/f",
            vec![run().symlink("var/run", "/run"), t().file("var/run/f", "x")],
            Plain("run/ run/f=x var/ var/run>/run"),
        ),
        (
            "var/run -> ../run",
            vec![run().symlink("var/run", "../run"), t().file("var/run/f", "x")],
            Plain("run/ run/f=x var/ var/run>../run"),
        ),
        (
            "the same within one layer",
            vec![run().symlink("var/run", "/run").file("var/run/f", "x")],
            Plain("run/ run/f=x var/ var/run>/run"),
        ),
        (
            "symlink that climbs out, written through",
            vec![t().dir("a").symlink("a/l", "../../../../../../../../tmp/E"), t().file("a/l/f", "x")],
            Refused(Reason::Path(PathProblem::Escape)),
        ),
        ("symlink that climbs out, never followed", vec![t().symlink("l", "../../tmp/E")], Plain("l>../../tmp/E")),
        (
            "absolute symlink, target missing",
            vec![t().symlink("l", "/tmp/E"), t().file("l/f", "x")],
            Noted("l>/tmp/E tmp/ tmp/E/ tmp/E/f=x", NoteKind::ImpliedParent),
        ),
        (
            "a link to itself as a parent",
            vec![t().symlink("l", "l"), t().file("l/f", "x")],
            Refused(Reason::Path(PathProblem::Loop)),
        ),
        (
            "a file as a parent",
            vec![t().file("f", "x"), t().file("f/g", "x")],
            Refused(Reason::Path(PathProblem::NotADirectory)),
        ),
        (
            "directory over symlink to directory",
            vec![t().dir("d").file("d/f", "x").symlink("l", "d"), t().dir("l").file("l/g", "y")],
            Plain("d/ d/f=x l/ l/g=y"),
        ),
    ]);
}

#[test]
fn names() {
    check([
        ("name a/../../..", vec![t().file("a/../../..", "x")], Refused(Reason::Name(NameProblem::DotDot))),
        ("name /abs", vec![t().file("/abs", "x")], Plain("abs=x")),
        ("entry . is a symlink", vec![t().symlink(".", "/etc")], Refused(Reason::Name(NameProblem::Root))),
        ("missing parents p/q/r", vec![t().file("p/q/r", "x")], Noted("p/ p/q/ p/q/r=x", NoteKind::ImpliedParent)),
        ("regular file named tf/", vec![t().file("tf/", "x")], Plain("tf=x")),
        ("empty name", vec![t().raw(b"", b'0', 0, |_| {})], Refused(Reason::Name(NameProblem::Empty))),
        (
            "300-byte component",
            vec![t().pax(&[(b"path", &[b'x'; 300])]).file("f", "")],
            Refused(Reason::Name(NameProblem::ComponentTooLong)),
        ),
        ("newline in a name", vec![t().file("a\nb", "x")], Plain("a\nb=x")),
        (
            "PAX size -1",
            vec![t().pax(&[(b"size", b"-1")]).file("f", "")],
            Refused(Reason::Tar(TarProblem::PaxValue("size".into()))),
        ),
    ]);
}

#[test]
fn names_are_bytes() {
    let layers = layers([t().raw(b"a\xff\xfe", b'0', 0, |_| {})]);
    let tree = merge(&layers).unwrap();
    assert_eq!(
        tree.children(super::super::NodeId::ROOT).map(|child| child.name.to_vec()).collect::<Vec<_>>(),
        [b"a\xff\xfe"]
    );
}

#[test]
fn a_120_level_path_is_kept() {
    let path = vec!["d"; 120].join("/");
    let layers = layers([t().pax(&[(b"path", path.as_bytes())]).file("f", "x")]);
    assert!(merge(&layers).unwrap().lookup(&path).is_some());
}

#[test]
fn links_below_links_do_not_make_trees_without_end() {
    let deep = vec!["d"; 400].join("/");
    let target = format!("/{deep}");
    let below = format!("l/{deep}/f");
    let layers = layers([t()
        .pax(&[(b"linkpath", target.as_bytes())])
        .symlink("l", "x")
        .pax(&[(b"path", below.as_bytes())])
        .file("f", "")]);
    assert_eq!(reason(merge(&layers).unwrap_err()), Reason::Path(PathProblem::TooDeep));
}

#[test]
fn kinds_replace_each_other() {
    let lower = || t().dir("d").file("d/f", "x").file("f", "y").symlink("l", "d");
    check([
        ("symlink over directory", vec![lower(), t().symlink("d", "f")], Plain("d>f f=y l>d")),
        ("file over directory", vec![lower(), t().file("d", "z")], Plain("d=z f=y l>d")),
        ("directory over file", vec![lower(), t().dir("f").file("f/g", "z")], Plain("d/ d/f=x f/ f/g=z l>d")),
        ("file over symlink", vec![lower(), t().file("l", "z")], Plain("d/ d/f=x f=y l=z")),
        (
            "directory over directory changes attributes only",
            vec![lower(), t().raw(b"d", b'5', 0, |block| block[100..107].copy_from_slice(b"0000700"))],
            Plain("d(700)/ d/f=x f=y l>d"),
        ),
        (
            "directory after what is in it",
            vec![t().file("d/f", "x").raw(b"d", b'5', 0, |block| block[100..107].copy_from_slice(b"0000700"))],
            Noted("d(700)/ d/f=x", NoteKind::ImpliedParent),
        ),
        (
            "root directory",
            vec![t().raw(b"./", b'5', 0, |block| block[100..107].copy_from_slice(b"0000700")).file("f", "x")],
            Plain("f=x"),
        ),
    ]);
}

#[test]
fn whiteouts() {
    let lower = || t().dir("d").file("d/f", "x").file("d/g", "y").file("f", "z");
    check([
        ("whiteout", vec![lower(), t().whiteout("d/.wh.f")], Plain("d/ d/g=y f=z")),
        ("whiteout of a directory", vec![lower(), t().whiteout(".wh.d")], Plain("f=z")),
        ("opaque first", vec![lower(), t().whiteout("d/.wh..wh..opq").file("d/n", "new")], Plain("d/ d/n=new f=z")),
        ("opaque last", vec![lower(), t().file("d/n", "new").whiteout("d/.wh..wh..opq")], Plain("d/ d/n=new f=z")),
        (
            "opaque last, after a file of the same name as below",
            vec![lower(), t().file("d/f", "new").whiteout("d/.wh..wh..opq")],
            Plain("d/ d/f=new f=z"),
        ),
        (
            "opaque keeps subdirectories of its own layer, without what was in them",
            vec![
                t().dir("d").dir("d/s").file("d/s/old", ""),
                t().dir("d/s").file("d/s/new", "").whiteout("d/.wh..wh..opq"),
            ],
            Plain("d/ d/s/ d/s/new="),
        ),
        ("opaque root", vec![lower(), t().file("n", "new").whiteout(".wh..wh..opq")], Plain("n=new")),
        (
            "opaque below a path that was a symlink, marker first",
            vec![
                t().dir("t").file("t/f", "x").symlink("d", "t"),
                t().whiteout("d/.wh..wh..opq").dir("d").file("d/n", "y"),
            ],
            Noted("d/ d/n=y t/ t/f=x", NoteKind::ImpliedParent),
        ),
        (
            "opaque below a path that was a symlink, directory first",
            vec![
                t().dir("t").file("t/f", "x").symlink("d", "t"),
                t().dir("d").whiteout("d/.wh..wh..opq").file("d/n", "y"),
            ],
            Plain("d/ d/n=y t/ t/f=x"),
        ),
        (
            "file f then .wh.f in the same layer",
            vec![lower(), t().file("f", "new").whiteout(".wh.f")],
            Plain("d/ d/f=x d/g=y f=new"),
        ),
        (
            ".wh.f then file f in the same layer",
            vec![lower(), t().whiteout(".wh.f").file("f", "new")],
            Plain("d/ d/f=x d/g=y f=new"),
        ),
        (
            "directory, file in it, then its whiteout in the same layer",
            vec![lower(), t().dir("d").file("d/n", "new").whiteout(".wh.d")],
            Plain("d/ d/n=new f=z"),
        ),
        ("bare .wh.", vec![lower(), t().whiteout(".wh.")], Refused(Reason::Name(NameProblem::BareWhiteout))),
        ("d/.wh..", vec![lower(), t().whiteout("d/.wh..")], Refused(Reason::Name(NameProblem::DotWhiteout))),
        ("d/.wh...", vec![lower(), t().whiteout("d/.wh...")], Refused(Reason::Name(NameProblem::DotWhiteout))),
        (
            "whiteout through symlinked parent",
            vec![lower().symlink("l", "/d"), t().whiteout("l/.wh.f")],
            Plain("d/ d/g=y f=z l>/d"),
        ),
        (
            "whiteout through a parent that climbs out",
            vec![lower().symlink("l", "../d"), t().whiteout("l/.wh.f")],
            Refused(Reason::Path(PathProblem::Escape)),
        ),
        (
            "whiteout of a symlink takes the link",
            vec![lower().symlink("l", "d"), t().whiteout(".wh.l")],
            Plain("d/ d/f=x d/g=y f=z"),
        ),
        (
            "whiteout in missing directory",
            vec![lower(), t().whiteout("m/.wh.f")],
            Noted("d/ d/f=x d/g=y f=z", NoteKind::IdleWhiteout),
        ),
        (
            "opaque in missing directory",
            vec![lower(), t().whiteout("m/.wh..wh..opq")],
            Noted("d/ d/f=x d/g=y f=z", NoteKind::IdleWhiteout),
        ),
        (".wh.f as a directory", vec![lower(), t().dir(".wh.f")], Refused(Reason::Name(NameProblem::WhiteoutType))),
        (
            ".wh..wh.plnk/1.2",
            vec![lower(), t().dir(".wh..wh.plnk").file(".wh..wh.plnk/1.2", "x").file(".wh..wh.orph", "")],
            Noted("d/ d/f=x d/g=y f=z", NoteKind::AufsLeftover),
        ),
    ]);
}

#[test]
fn a_whiteout_leaves_an_implied_parent_of_its_own_layer_without_the_old_attributes() {
    let secret = t().raw(b"d", b'5', 0, |block| block[100..107].copy_from_slice(b"0000700"));
    check([("d/n, .wh.d", vec![secret.file("d/f", ""), t().file("d/n", "").whiteout(".wh.d")], Plain("d/ d/n="))]);
}

#[test]
fn hard_links() {
    check([
        ("within a layer", vec![t().file("a", "x").hardlink("b", "a")], Plain("a=x b=x")),
        ("with a leading slash", vec![t().file("a", "x").hardlink("b", "/a")], Plain("a=x b=x")),
        (
            "hardlink to lower layer",
            vec![t().file("a", "x"), t().hardlink("b", "a")],
            Noted("a=x b=x", NoteKind::CrossLayerLink),
        ),
        ("forward hardlink", vec![t().hardlink("b", "a").file("a", "x")], Noted("a=x b=x", NoteKind::ForwardLink)),
        (
            "forward hardlink to a forward hardlink",
            vec![t().hardlink("c", "b").hardlink("b", "a").file("a", "x")],
            Noted("a=x b=x c=x", NoteKind::ForwardLink),
        ),
        ("missing hardlink", vec![t().hardlink("b", "a")], Refused(Reason::Path(PathProblem::LinkTargetMissing))),
        (
            "hardlinks to each other",
            vec![t().hardlink("b", "a").hardlink("a", "b")],
            Refused(Reason::Path(PathProblem::LinkTargetMissing)),
        ),
        ("escaping hardlink", vec![t().hardlink("b", "../../etc/shadow")], Refused(Reason::Name(NameProblem::DotDot))),
        (
            "hardlink through an escaping symlink",
            vec![t().symlink("l", "../../etc").hardlink("b", "l/shadow")],
            Refused(Reason::Path(PathProblem::Escape)),
        ),
        (
            "hardlink to a directory",
            vec![t().dir("d").hardlink("b", "d")],
            Refused(Reason::Path(PathProblem::LinkToDirectory)),
        ),
        (
            "hardlink to itself",
            vec![t().file("a", "x").hardlink("a", "a")],
            Refused(Reason::Path(PathProblem::LinkToItself)),
        ),
        (
            "hardlink to a symlink to /etc/shadow",
            vec![t().dir("etc").file("etc/shadow", "x").symlink("s", "/etc/shadow").hardlink("b", "s")],
            Plain("b>/etc/shadow etc/ etc/shadow=x s>/etc/shadow"),
        ),
        (
            "a, b hardlinked; upper rewrites b",
            vec![t().file("a", "x").hardlink("b", "a"), t().file("b", "y")],
            Plain("a=x b=y"),
        ),
        (
            "a, b hardlinked; upper removes a",
            vec![t().file("a", "x").hardlink("b", "a"), t().whiteout(".wh.a")],
            Plain("b=x"),
        ),
        (
            "hardlink over the directory its target is in",
            vec![t().dir("d").file("d/f", "x"), t().hardlink("d", "d/f")],
            Noted("d=x", NoteKind::CrossLayerLink),
        ),
    ]);
}

#[test]
fn duplicates_within_a_layer() {
    let rows = [
        ("duplicate file", t().file("f", "1").file("f", "2"), "f=2"),
        ("directory then symlink, same name", t().dir("d").file("d/f", "x").symlink("d", "t"), "d>t"),
        ("file then directory", t().file("d", "x").dir("d"), "d/"),
        ("directory twice", t().dir("d").file("d/f", "x").dir("d"), "d/ d/f=x"),
        ("hardlink over a file", t().file("a", "x").file("b", "y").hardlink("b", "a"), "a=x b=x"),
    ];
    let strict = MergePolicy { duplicates: Duplicates::Refuse, ..MergePolicy::default() };
    for (name, tar, expected) in rows {
        check([(name, vec![tar.clone()], Noted(expected, NoteKind::Duplicate))]);
        let error = ImageTree::from_layers(&layers([tar]), &strict).expect_err(name);
        assert_eq!(reason(error), Reason::Path(PathProblem::Duplicate), "{name}");
    }
}

#[test]
fn special_files_are_kept() {
    let device = |flag, major: u8, minor: u8| {
        move |tar: Tar, name: &[u8]| {
            tar.raw(name, flag, 0, |block| {
                block[329..345].copy_from_slice(format!("{major:07}\0{minor:07}\0").as_bytes());
            })
        }
    };
    let tar = device(b'4', 7, 1)(t(), b"block");
    let tar = device(b'3', 1, 3)(tar, b"char").raw(b"fifo", b'6', 0, |_| {});
    let tar = tar.raw(b"suid", b'0', 0, |block| block[100..107].copy_from_slice(b"0004755"));
    let capability: &[u8] = b"\x01\0\0\x02\0\x20\0\0";
    let tar = tar.pax(&[(b"SCHILY.xattr.security.capability", capability)]).file("ping", "x");
    let layers = layers([tar]);
    let tree = merge(&layers).unwrap();
    assert_eq!(show(&tree, &layers), "blockb%7:1 charc%1:3 fifo| ping=x suid(4755)=");
    let ping = tree.node(tree.lookup("ping").unwrap());
    assert_eq!(ping.metadata().xattrs.get(b"security.capability"), Some(capability));
}

#[test]
fn what_an_overlay_would_misread_is_kept_and_noted() {
    let tar = t().pax(&[(b"SCHILY.xattr.trusted.overlay.opaque", b"y")]).dir("d").raw(b"w", b'3', 0, |_| {});
    let layers = layers([tar]);
    let tree = merge(&layers).unwrap();
    assert_eq!(show(&tree, &layers), "d/ wc%0:0");
    assert!(has_note(&tree, &NoteKind::OverlayXattr(crate::oci::layer::Lossy::from(&b"trusted.overlay.opaque"[..]))));
    assert!(has_note(&tree, &NoteKind::OverlayWhiteout));
}

#[test]
fn a_hostile_number_of_notes_is_counted_and_not_kept() {
    let tar = (0..10_005).fold(t(), |tar, _| tar.whiteout("m/.wh.f"));
    let tree = merge(&layers([tar])).unwrap();
    assert_eq!((tree.notes().iter().count(), tree.notes().more()), (10_000, 5));
}

#[test]
fn layers_made_to_be_slow_are_not() {
    // Each would take minutes if its cost were the product of what it has.
    let many = |make: &dyn Fn(Tar, usize) -> Tar| (0..20_000).fold(t().dir("d"), make);
    let files = many(&|tar, i| tar.file(&format!("d/{i}"), ""));
    let markers = many(&|tar, i| tar.file(&format!("d/n{i}"), "")).unfinished();
    let markers = [markers, t().whiteout("d/.wh..wh..opq").whiteout(".wh.d").unfinished().repeat(20_000)].concat();
    let layers = MemoryLayers::new([files.end(), markers]);
    assert_eq!(merge(&layers).unwrap().walk().count(), 20_002);

    for forwards in [true, false] {
        let link = |tar: Tar, i: usize| tar.hardlink(&format!("l{i}"), &format!("l{}", i + 1));
        let chain = if forwards { (0..20_000).fold(t(), link) } else { (0..20_000).rev().fold(t(), link) };
        let layers = layers_of(chain.file("l20000", "x"));
        let tree = merge(&layers).unwrap();
        assert_eq!(tree.node(tree.lookup("l0").unwrap()).links(), 20_001);
    }
}

fn layers_of(tar: Tar) -> MemoryLayers {
    layers([tar])
}

#[test]
fn the_deepest_tree_there_may_be_is_whited_out() {
    let path = vec!["d"; 512].join("/");
    let layers = layers([t().pax(&[(b"path", path.as_bytes())]).file("f", "x"), t().whiteout(".wh.d").file("g", "")]);
    assert_eq!(show(&merge(&layers).unwrap(), &layers), "g=");
}
