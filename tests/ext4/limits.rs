//! Directories and files at the edges of the format.

use imgbuild::disk::ext4::{Node, NodeId, Tree, Writer};
use imgbuild::oci::layer::Metadata;

use crate::model::{Files, Kind};
use crate::{HASH_SEED, exact, fit, metadata, programs, prove, readers, root, written};

/// Numbers whose names of 255 digits have the same hash under [`HASH_SEED`]; made by the ignored unit test
/// `disk::ext4::hash::tests::find_collisions`.
const COLLISIONS: &[(u32, u32)] = &[
    (16_863, 24_683),
    (54_928, 54_935),
    (14_111, 85_394),
    (88_755, 127_470),
    (94_940, 140_915),
    (53_874, 144_495),
    (46_437, 147_136),
    (116_849, 182_107),
    (103_051, 187_377),
    (31_931, 210_163),
    (80_091, 247_889),
    (146_856, 254_399),
    (105_911, 267_946),
    (189_215, 276_254),
    (221_576, 284_526),
    (6160, 293_939),
    (142_107, 297_514),
    (95_883, 302_035),
    (110_216, 306_149),
    (56_438, 324_078),
    (73_702, 325_801),
    (242_140, 330_155),
    (238_268, 331_130),
    (34_394, 347_004),
    (146_468, 353_112),
    (304_582, 356_863),
    (345_320, 362_507),
    (6165, 371_199),
    (154_758, 380_110),
    (371_660, 390_220),
    (34_967, 396_774),
    (258_955, 399_023),
    (207_053, 423_638),
    (192_880, 424_276),
    (53_937, 425_766),
    (126_524, 432_749),
    (169_526, 432_925),
    (408_415, 439_741),
    (188_884, 443_426),
    (265_766, 446_358),
    (97_881, 448_157),
    (391_816, 451_720),
    (127_566, 455_578),
    (290_748, 464_506),
    (136_493, 475_366),
    (45_817, 482_425),
    (336_881, 484_836),
    (352_521, 488_935),
    (331_327, 496_261),
    (144_230, 505_997),
    (138_887, 508_111),
    (156_644, 522_516),
    (152_602, 538_539),
    (325_751, 545_478),
    (358_234, 548_818),
    (24_923, 554_349),
    (118_142, 555_343),
    (114_963, 555_480),
    (346_759, 559_251),
    (82_516, 568_842),
    (526_776, 574_446),
    (244_949, 574_571),
    (360_708, 582_842),
    (307_957, 588_931),
    (545_455, 591_193),
    (106_601, 594_709),
    (476_338, 599_542),
    (318_337, 602_015),
    (394_103, 604_036),
    (537_054, 608_874),
    (229_300, 611_837),
    (119_817, 613_598),
    (597_916, 613_798),
    (131_331, 615_220),
    (445_770, 617_827),
    (223_860, 619_980),
    (303_144, 620_018),
    (307_305, 624_207),
    (551_675, 627_980),
    (361_051, 635_603),
    (624_533, 644_111),
    (601_111, 647_389),
    (497_481, 647_405),
    (242_144, 649_293),
    (439_129, 651_960),
    (449_655, 652_824),
    (52_556, 653_872),
    (367_906, 656_390),
    (320_602, 657_083),
    (428_453, 660_009),
    (246_531, 660_995),
    (243_928, 670_903),
    (271_704, 686_787),
    (127_454, 693_624),
    (544_470, 696_531),
];

/// A root with a directory `d` of so many empty files.
fn flat(count: u32, name: impl Fn(u32) -> Vec<u8>) -> Files {
    let mut files = root();
    files.insert(b"d".to_vec(), (metadata(0o755, &[]), Kind::Directory));
    for index in 0..count {
        files.insert([b"d/", &name(index)[..]].concat(), (metadata(0o644, &[]), Kind::Fifo));
    }
    files
}

#[test]
fn directories_of_any_size_find_their_names() {
    for (count, length) in [(1, 5), (2, 255), (500, 5), (20_000, 40), (8_000, 255)] {
        let files = flat(count, |index| {
            let mut name = format!("{index:x}").into_bytes();
            name.resize(length, 0x80 | index.to_le_bytes()[0]);
            name
        });
        prove(&files, fit());
    }
}

#[test]
fn a_directory_of_120000_names_has_an_index_of_two_levels() {
    let files = flat(120_000, |index| format!("{index:0>32}").into_bytes());
    let image = written(&files, fit());
    programs::check(&image.path);
    crate::model::compare("ext4-view", &files, &readers::view(&image.path));
    let answer = programs::debugfs(&image.path, &["htree_dump /d".to_owned()]);
    let answer = String::from_utf8_lossy(&answer[0]).into_owned();
    assert!(answer.contains("Indirect levels: 1"), "{}", &answer[..500]);
}

#[test]
fn names_of_one_hash_are_found() {
    let number = |index: u32| {
        let (first, second) = COLLISIONS[index as usize / 2];
        if index.is_multiple_of(2) { first } else { second }
    };
    let name = |index| format!("{:0>255}", number(index));
    let files = flat(2 * u32::try_from(COLLISIONS.len()).unwrap(), |index| name(index).into_bytes());
    let image = prove(&files, fit());
    let seed = HASH_SEED.map(|byte| format!("{byte:02x}")).concat();
    let seed = [&seed[..8], &seed[8..12], &seed[12..16], &seed[16..20], &seed[20..]].join("-");
    let commands: Vec<_> = (0..2).map(|index| format!("dx_hash -h half_md4 -s {seed} {}", name(index))).collect();
    let hashes = programs::debugfs(&image.path, &commands);
    let major = |answer: &[u8]| String::from_utf8_lossy(answer).split(" is ").nth(1).map(|hash| hash[..10].to_owned());
    assert_eq!(major(&hashes[0]), major(&hashes[1]), "the table is for another seed");
}

#[test]
fn more_than_65000_subdirectories_are_not_counted() {
    let own = Metadata::with_mode(0o755);
    for (count, links) in [(64_998, "65000"), (64_999, "1")] {
        let mut tree = Tree::new(&own);
        let parent = tree.add(NodeId::ROOT, b"d", &own, Node::Directory).unwrap();
        for index in 0..count {
            tree.add(parent, format!("{index}").as_bytes(), &own, Node::Directory).unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ext4");
        let writer = Writer::new(std::fs::File::create(&path).unwrap(), fit()).unwrap();
        writer.finish(tree).unwrap();
        programs::check(&path);
        let stat = programs::debugfs(&path, &["stat /d".to_owned()]);
        assert!(String::from_utf8_lossy(&stat[0]).contains(&format!("Links: {links} ")), "{count}");
    }
}

#[test]
fn a_file_may_have_65000_names() {
    let mut files = root();
    files.insert(b"d".to_vec(), (metadata(0o755, &[]), Kind::Directory));
    files.insert(b"a".to_vec(), (metadata(0o644, &[]), Kind::File(b"content".to_vec())));
    for index in 1..65_000 {
        files.insert(format!("d/{index}").into_bytes(), (Metadata::default(), Kind::Link(b"a".to_vec())));
    }
    let image = written(&files, fit());
    programs::check(&image.path);
    let stat = programs::debugfs(&image.path, &["stat /a".to_owned(), "ncheck -c 12".to_owned()]);
    assert!(String::from_utf8_lossy(&stat[0]).contains("Links: 65000 "));
}

#[test]
fn a_file_over_many_groups_goes_around_their_heads() {
    let mut writer = Writer::new(std::io::Cursor::new(Vec::new()), fit()).unwrap();
    let error = writer.begin(1 << 44).unwrap_err().to_string();
    assert_eq!(error, "a file of 17592186044416 bytes is too large; the most is 17592186040320");

    let mut files = root();
    let bytes: Vec<u8> = (0..150_000_000_u32 / 4).flat_map(|i| i.to_le_bytes()).collect();
    files.insert(b"a".to_vec(), (metadata(0o644, &[]), Kind::File(bytes.clone())));
    files.insert(b"b".to_vec(), (metadata(0o644, &[]), Kind::Sealed(bytes)));
    prove(&files, exact(1 << 30));
}
