//! What builds leave behind, in whichever layer it is.

use super::image::{ELF, Item, Layer, Place, files, good, good_and, kernel_path, removed, status};

const PEM_KEY: &[u8] = b"-----BEGIN PRIVATE KEY-----\nMII\n";

fn program(path: &str) -> Layer {
    [(path.to_owned(), Item::Program(ELF.to_vec()))].into()
}

fn joined(layers: &[Layer]) -> Layer {
    layers.iter().flat_map(Clone::clone).collect()
}

/// gcc as its package installs it.
fn gcc() -> Layer {
    joined(&[
        program("usr/bin/gcc-14"),
        files(&[
            ("var/lib/dpkg/status", status(&["base-files", "gcc-14"]).as_bytes()),
            ("var/lib/dpkg/info/gcc-14.list", b"/.\n/usr\n/usr/bin\n/usr/bin/gcc-14\n"),
        ]),
    ])
}

#[test]
fn a_compiler_that_a_later_layer_removes_still_travels() {
    let undo = joined(&[
        removed(&["usr/bin/gcc-14", "var/lib/dpkg/info/gcc-14.list"]),
        files(&[("var/lib/dpkg/status", status(&["base-files"]).as_bytes())]),
    ]);
    let layers = [good(), vec![gcc(), undo]].concat();
    let gone = "in layer 2 (step 2); a later layer hides it, which does not take it out of the image";
    let finished = Place::new(&layers).check().says(
        11,
        &[
            &format!("LEFT001 failure: gcc-14: a package that only builds need; {gone}"),
            &format!("LEFT002 failure: /usr/bin/gcc-14: a program that only builds need; of package gcc-14; {gone}"),
        ],
    );
    assert_eq!(finished.codes(), ["LEFT001", "LEFT002"]);
}

#[test]
fn hard_links_empty_files_and_the_old_folders_are_seen() {
    let layer = joined(&[
        program("usr/bin/compiler"),
        [("usr/bin/x86_64-linux-gnu-gcc-14".to_owned(), Item::HardLink("usr/bin/compiler".to_owned()))].into(),
        files(&[("usr/src/zfs-2.3.9/dkms.conf", b"")]),
    ]);
    let finished = Place::new(&good_and(layer)).check().says(
        11,
        &[
            "LEFT002 failure: /usr/bin/x86_64-linux-gnu-gcc-14: a program that only builds need; in layer 2 (step 2)",
            "LEFT004 failure: /usr/src/zfs-2.3.9/dkms.conf: sources or build tree of a module; in layer 2 (step 2)",
        ],
    );
    assert_eq!(finished.codes(), ["LEFT002", "LEFT004"]);
    // A layer that writes to /bin, which is a link into /usr.
    let merged = [("bin".to_owned(), Item::Link("usr/bin".to_owned()))].into();
    let layers = [good(), vec![merged, program("bin/make")]].concat();
    assert_eq!(Place::new(&layers).check().says(11, &[]).codes(), ["LEFT002"]);
}

#[test]
fn headers_that_are_deleted_by_hand_are_still_in_the_package_database() {
    let headers = "linux-headers-6.12.48+deb13-amd64";
    let path = |file: &str| format!("usr/src/{headers}/{file}");
    let list: String = ["Makefile", "a.h", "b.h", "c.h"].iter().map(|file| format!("/{}\n", path(file))).collect();
    let install = joined(&[
        files(&[
            (&path("Makefile"), b"all:"),
            (&path("a.h"), b"a"),
            (&path("b.h"), b"b"),
            (&path("c.h"), b"c"),
            ("var/lib/dpkg/status", status(&["base-files", headers]).as_bytes()),
            (
                &format!("var/lib/dpkg/info/{headers}.list"),
                format!("/usr\n/usr/src\n/usr/src/{headers}\n{list}").as_bytes(),
            ),
        ]),
        [(kernel_path("build"), Item::Link(format!("/usr/src/{headers}")))].into(),
    ]);
    let with_tree = Place::new(&good_and(install.clone()))
        .check()
        .says(11, &[&format!("LEFT008 failure: /{}: leads to /usr/src/{headers}, which exists", kernel_path("build"))]);
    assert_eq!(with_tree.codes(), ["LEFT001", "LEFT003", "LEFT008"]);

    let layers = [good(), vec![install, removed(&["usr/src"])]].concat();
    let finished = Place::new(&layers).check().says(
        11,
        &[
            &format!(
                "LEFT007 failure: {headers}: is installed by the package database, and none of its files exist, \
                 as /usr/src/{headers}/Makefile"
            ),
            // Four files are one finding.
            &format!(
                "LEFT003 failure: /usr/src/{headers}/**: kernel headers, 4 files; of package {headers}; in layer 2 \
                 (step 2); a later layer hides it, which does not take it out of the image"
            ),
        ],
    );
    // The link that leads nowhere is harmless.
    assert_eq!(finished.codes(), ["LEFT001", "LEFT003", "LEFT007"]);
}

#[test]
fn a_key_in_a_lower_layer_is_published_with_the_image_and_the_worst_there_is() {
    let key = "var/lib/shim-signed/mok/mok.key";
    let layers = [good(), vec![joined(&[files(&[(key, b"\x30\x82")]), gcc()]), removed(&[key])]].concat();
    let finished = Place::new(&layers).check().says(
        12,
        &["LEFT006 failure: /var/lib/shim-signed/mok/mok.key: is named like a private key; in layer 2 (step 2); \
           a later layer hides it, which does not take it out of the image"],
    );
    assert_eq!(finished.codes(), ["LEFT006", "LEFT001", "LEFT002"]);
    // By its content, under whatever name, and replaced by something else in the next layer.
    let layers = [good(), vec![files(&[("etc/x.txt", PEM_KEY)]), files(&[("etc/x.txt", b"harmless")])]].concat();
    assert_eq!(Place::new(&layers).check().says(12, &[]).codes(), ["LEFT006"]);
}

#[test]
fn only_what_is_above_the_base_counts_when_one_is_given() {
    let base = good_and(joined(&[gcc(), files(&[("etc/base.pem", PEM_KEY)])]));
    let place = Place::new(&[base.clone(), vec![files(&[("usr/share/note", b"x")])]].concat());
    place.add("base", &base);
    assert_eq!(place.check().says(12, &[]).codes(), ["LEFT006", "LEFT001", "LEFT002"]);
    let against = &["check", "IMAGE", "--against", "BASE"][..];
    let finished = place.run(against).says(0, &["4 layers, judged is what is above oci:layout:base"]);
    assert_eq!(finished.codes(), [""; 0]);

    let place = Place::new(&[base.clone(), vec![program("usr/bin/make")]].concat());
    place.add("base", &base);
    let finished = place
        .run(against)
        .says(11, &["LEFT002 failure: /usr/bin/make: a program that only builds need; in layer 3 (step 3)"]);
    assert_eq!(finished.codes(), ["LEFT002"]);

    let place = Place::new(&good());
    place.add("base", &base);
    let refused = place.run(against).says(1, &[]);
    assert!(refused.stderr.contains("the image is not built on `oci:layout:base`"), "{}", refused.stderr);
}

#[test]
fn what_is_allowed_is_reported_with_its_reason() {
    let place = Place::new(&good_and(gcc()));
    let allow = |entries: &[(&str, &str)]| {
        let text: String = entries
            .iter()
            .map(|(pattern, reason)| format!("[[allow]]\npattern = \"{pattern}\"\nreason = \"{reason}\"\n"))
            .collect();
        place.write("allow.toml", text.as_bytes());
        place.run(&["check", "IMAGE", "--allow-file", "allow.toml"])
    };
    let finished = allow(&[("gcc-*", "bcc compiles at run time"), ("/usr/bin/gcc-*", "the same")])
        .says(0, &["allowed: bcc compiles at run time", "allowed: the same", "passed, 2 notes"]);
    assert_eq!(finished.codes(), ["LEFT001", "LEFT002"]);
    let finished = allow(&[("gcc-14", "why"), ("/usr/bin/gcc-14", "why"), ("clang", "was here once")])
        .says(0, &["LEFT009 note: clang: is allowed (was here once) and not there"]);
    assert_eq!(finished.codes(), ["LEFT001", "LEFT002", "LEFT009"]);
    assert_eq!(allow(&[("gcc-14", "only the package")]).says(11, &[]).codes(), ["LEFT001", "LEFT002"]);
    let refused = allow(&[("gcc-14", " ")]).says(1, &[]);
    assert!(refused.stderr.contains("`gcc-14` is allowed without a reason"), "{}", refused.stderr);
}
