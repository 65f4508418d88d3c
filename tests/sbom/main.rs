//! From layers to a document that the official schemas accept.

mod support;

use std::collections::BTreeMap;

use imgbuild::model::Tier;
use imgbuild::oci::sha256;
use imgbuild::sbom::{
    ArchiveFacts, ArchiveKey, BelowFacts, DatabaseError, ImageFacts, ModuleSetFacts, Sbom, SbomError, SbomFormat,
    Scanner, serial_of,
};
use serde_json::Value;

use support::{Huge, Layers, catalogue, facts, problems};

const OS: &[u8] = b"ID=debian\nVERSION_ID=13\nNAME=\"Debian GNU/Linux\"\nHOME_URL=\"https://www.debian.org/\"\n";

const STATUS: &str = "\
Package: libc6
Status: install ok installed
Source: glibc
Architecture: amd64
Version: 2.41-12+deb13u4
Maintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>
Homepage: https://www.gnu.org/software/libc/libc.html

Package: linux-image-6.1.0-1-amd64
Status: install ok installed
Architecture: amd64
Version: 6.1.1-1
Maintainer: Kernel Team <kernel@example.org>
";

const BASH: &str = "
Package: bash
Status: install ok installed
Architecture: amd64
Version: 5.2.37-2+b10
Source: bash (5.2.37-2)
Maintainer: Matthias Klose <doko@debian.org>
Depends: libc6 (>= 2.38), not-there
Homepage: not an address
";

const COPYRIGHT: &[u8] = b"Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n\
    Files: *\nLicense: GPL-3+ or Artistic, and Weird_Thing\n";

const DKMS: &str = "usr/lib/modules/6.1.0-1-amd64/updates/dkms/tool.ko.xz";

/// Two tiers: a kernel, a module of it and two packages; then a third package and a compiled module.
fn layers() -> Layers {
    let both = format!("{STATUS}{BASH}");
    Layers::new(&[
        &[
            ("etc/os-release", OS),
            ("usr/lib/sysimage/dpkg/status", STATUS.as_bytes()),
            ("usr/lib/modules/6.1.0-1-amd64/vmlinuz", b"kernel"),
            ("usr/lib/modules/6.1.0-1-amd64/kernel/base.ko", b"module base"),
        ],
        &[
            ("usr/lib/sysimage/dpkg/status", both.as_bytes()),
            ("usr/share/doc/bash/copyright", COPYRIGHT),
            (DKMS, b"module tool base"),
        ],
    ])
}

fn two_tiers() -> ImageFacts {
    let mut facts = facts("tier2/edge", 2);
    facts.layers[0].tier = Some(Tier::Base);
    facts.layers[1].tier = Some(Tier::Modules);
    facts.layers[1].module_set = Some("tool".to_owned());
    facts.below = vec![BelowFacts { name: "tier1/debian".to_owned(), digest: sha256(b"below") }];
    let key = |name: &str, version: &str| ArchiveKey {
        name: name.to_owned(),
        version: version.to_owned(),
        architecture: "amd64".to_owned(),
    };
    let archive = |name: &str| ArchiveFacts {
        file_name: format!("{name}.deb"),
        sha256: "11".repeat(32),
        sha512: Some("22".repeat(64)),
    };
    facts.archives = BTreeMap::from([(key("bash", "5.2.37-2+b10"), archive("bash"))]);
    facts.module_sets = vec![ModuleSetFacts {
        name: "tool".to_owned(),
        version: "1.2".to_owned(),
        kernel: "6.1.0-1-amd64".parse().unwrap(),
        packages: vec![
            (key("gcc", "14.2"), archive("gcc")),
            (key("linux-headers-6.1.0-1-amd64", "6.1.1-1"), archive("headers")),
            (key("tool-dkms", "1.2-3"), archive("tool-dkms")),
        ],
    }];
    facts
}

fn document(facts: &ImageFacts, layers: &Layers, format: SbomFormat) -> Value {
    let bytes = Sbom::new(facts, &catalogue(layers).unwrap()).to_json(format).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn component<'d>(document: &'d Value, name: &str) -> &'d Value {
    document["components"].as_array().unwrap().iter().find(|component| component["name"] == name).unwrap()
}

fn property<'d>(component: &'d Value, name: &str) -> Option<&'d str> {
    let mut all = component["properties"].as_array()?.iter();
    all.find(|property| property["name"] == name)?["value"].as_str()
}

fn depends_on<'d>(document: &'d Value, reference: &Value) -> Vec<&'d str> {
    let mut all = document["dependencies"].as_array().unwrap().iter();
    let edges = &all.find(|entry| entry["ref"] == *reference).unwrap()["dependsOn"];
    edges.as_array().into_iter().flatten().map(|to| to.as_str().unwrap()).collect()
}

#[test]
fn both_versions_obey_the_official_schemas() {
    let mut with_scanner = two_tiers();
    with_scanner.scanner =
        Some(Scanner { name: "syft".to_owned(), vendor: "anchore".to_owned(), version: "1.18.1".to_owned() });
    let empty = Layers::new(&[&[("etc/hostname", b"x")]]);
    for (facts, layers) in [(two_tiers(), layers()), (with_scanner, layers()), (facts("x", 1), empty)] {
        for format in [SbomFormat::CycloneDx15, SbomFormat::CycloneDx16] {
            let document = document(&facts, &layers, format);
            assert_eq!(problems(&document), Vec::<String>::new(), "{format}");
            let mut broken = document.clone();
            broken["metadata"]["component"]["type"] = "nonsense".into();
            assert!(!problems(&broken).is_empty(), "the schema is really asked");
        }
    }
}

#[test]
fn the_same_image_is_the_same_bytes() {
    let bytes = || Sbom::new(&two_tiers(), &catalogue(&layers()).unwrap()).to_json(SbomFormat::default()).unwrap();
    assert_eq!(bytes(), bytes());
    let document: Value = serde_json::from_slice(&bytes()).unwrap();
    let serial = serial_of(&sha256(b"tier2/edge"));
    assert_eq!(document["serialNumber"], format!("urn:uuid:{serial}"));
    assert_eq!(serial.get_version_num(), 5);
    assert_eq!(document["metadata"]["timestamp"], "2023-11-14T22:13:20Z");
    assert_eq!(document["metadata"]["lifecycles"][0]["phase"], "build");
}

#[test]
fn a_package_tells_where_it_came_from() {
    let document = document(&two_tiers(), &layers(), SbomFormat::CycloneDx16);
    let bash = component(&document, "bash");
    assert_eq!(bash["purl"], "pkg:deb/debian/bash@5.2.37-2%2Bb10?arch=amd64&distro=debian-13&upstream=bash%405.2.37-2");
    assert_eq!(bash["licenses"][0]["expression"], "(GPL-3.0-or-later OR Artistic-1.0-Perl) AND LicenseRef-Weird-Thing");
    assert_eq!(bash["supplier"]["name"], "Debian GNU/Linux");
    assert_eq!(bash["authors"][0]["name"], "Matthias Klose");
    assert_eq!(bash["hashes"][1]["alg"], "SHA-512");
    assert_eq!(bash["externalReferences"], Value::Null, "what is no address is no reference");
    assert_eq!(property(bash, "imgbuild:tier"), Some("2"));
    assert_eq!(property(bash, "imgbuild:layer"), Some(sha256(&[1]).to_string().as_str()));
    assert_eq!(property(bash, "bsi:component:filename"), Some("bash.deb"));
    let libc = component(&document, "libc6");
    assert_eq!(property(libc, "imgbuild:tier"), Some("1"), "the layer that had it first");
    assert_eq!(libc["licenses"][0]["license"]["name"], "NOASSERTION");
    assert_eq!(libc["hashes"], Value::Null, "nobody knows how it was fetched");
    assert_eq!(depends_on(&document, &bash["bom-ref"]), [libc["bom-ref"].as_str().unwrap()]);
}

#[test]
fn kernels_and_modules_are_listed_and_linked() {
    let document = document(&two_tiers(), &layers(), SbomFormat::CycloneDx16);
    let (kernel, base, tool) =
        (component(&document, "linux-kernel"), component(&document, "base"), component(&document, "tool"));
    assert_eq!(base["type"], "device-driver");
    assert_eq!(base["licenses"][0]["expression"], "GPL-2.0-only");
    assert_eq!((&base["version"], &tool["version"]), (&Value::from("6.1.0-1-amd64"), &Value::from("1.2")));
    assert_eq!(property(tool, "imgbuild:module:set"), Some("tool"));
    assert_eq!(property(tool, "imgbuild:path"), Some(format!("/{DKMS}").as_str()));
    assert_eq!(tool["supplier"]["name"], "Example");
    let expected = [kernel["bom-ref"].as_str().unwrap(), base["bom-ref"].as_str().unwrap()];
    assert_eq!(depends_on(&document, &tool["bom-ref"]), expected);
    let image = component(&document, "linux-image-6.1.0-1-amd64");
    assert_eq!(depends_on(&document, &image["bom-ref"]), [kernel["bom-ref"].as_str().unwrap()]);

    let formula = &document["formulation"][0];
    let roles: Vec<_> =
        formula["components"].as_array().unwrap().iter().map(|c| property(c, "imgbuild:role")).collect();
    assert_eq!(roles, [Some("tool"), Some("headers"), Some("source")]);
    let output = &formula["workflows"][0]["outputs"][0]["resource"]["ref"];
    assert_eq!(*output, tool["bom-ref"]);
}

#[test]
fn tiers_are_linked_and_a_host_does_not_repeat_modules() {
    let mut facts = two_tiers();
    let link = format!("urn:cdx:{}/1", serial_of(&sha256(b"below")));
    let whole = document(&facts, &layers(), SbomFormat::CycloneDx16);
    let references = &whole["metadata"]["component"]["externalReferences"];
    assert_eq!(references[0], serde_json::json!({"type": "bom", "url": link}));
    facts.linked_layers = 1;
    let linked = document(&facts, &layers(), SbomFormat::CycloneDx16);
    let drivers = |document: &Value| {
        let all = document["components"].as_array().unwrap().iter();
        all.filter(|component| component["type"] == "device-driver").count()
    };
    assert_eq!((drivers(&whole), drivers(&linked)), (2, 1));
    assert_eq!(problems(&linked), Vec::<String>::new());
}

#[test]
fn what_a_layer_removes_is_not_listed() {
    let layers = Layers::new(&[
        &[("var/lib/dpkg/status", STATUS.as_bytes()), ("usr/lib/modules/6.1.0-1-amd64/a.ko", b"module a")],
        &[("var/lib/dpkg/status", BASH.as_bytes()), ("usr/lib/modules/6.1.0-1-amd64/.wh.a.ko", b"")],
    ]);
    let catalogue = catalogue(&layers).unwrap();
    let names: Vec<_> = catalogue.packages.iter().map(|installed| installed.package.name.as_str()).collect();
    assert_eq!(names, ["bash"]);
    assert_eq!(catalogue.modules, []);
}

#[test]
fn an_image_without_package_database_has_an_sbom_that_says_so() {
    let layers = Layers::new(&[&[("etc/hostname", b"x")]]);
    let document = document(&facts("bare", 1), &layers, SbomFormat::CycloneDx16);
    assert_eq!(document["components"].as_array().map(Vec::len), Some(0));
    assert_eq!(document["compositions"][0]["aggregate"], "unknown");
    assert_eq!(document["metadata"]["lifecycles"][0]["phase"], "post-build");
}

#[test]
fn every_kind_of_database_is_read() {
    let fixture = |name: &str| std::fs::read(format!("tests/fixtures/package-databases/{name}")).unwrap();
    let apk = b"P:musl\nV:1.2.5-r1\nA:x86_64\nL:MIT\n\n";
    for (path, content, count) in [
        ("usr/lib/sysimage/rpm/rpmdb.sqlite", fixture("rpmdb.sqlite"), 42),
        ("var/lib/rpm/Packages.db", fixture("Packages.db"), 42),
        ("lib/apk/db/installed", apk.to_vec(), 1),
        ("var/lib/dpkg/status.d/base", BASH.as_bytes().to_vec(), 1),
    ] {
        let layers = Layers::new(&[&[(path, content.as_slice())]]);
        let catalogue = catalogue(&layers).unwrap();
        assert_eq!(catalogue.packages.len(), count, "{path}");
        assert_eq!(catalogue.database.as_deref(), Some(path));
        let document = document(&facts("x", 1), &layers, SbomFormat::CycloneDx16);
        assert_eq!(problems(&document), Vec::<String>::new(), "{path}");
    }
}

#[test]
fn a_file_larger_than_any_of_its_kind_is_refused_and_takes_no_memory() {
    let error = catalogue(&Huge("var/lib/dpkg/status", 300 << 20)).unwrap_err();
    assert!(
        matches!(&error, SbomError::TooLarge { path, size, .. } if path == "var/lib/dpkg/status" && *size == 300 << 20),
        "{error:?}"
    );
    // Of other files nothing depends on.
    for path in ["usr/share/doc/x/copyright", "etc/os-release", "usr/lib/modules/6.1.0-1-amd64/x.ko"] {
        let catalogue = catalogue(&Huge(path, 300 << 20)).unwrap();
        assert!(catalogue.packages.is_empty() && catalogue.modules.is_empty() && catalogue.os.is_none());
    }
}

#[test]
fn a_damaged_database_is_an_error_that_names_it() {
    let sqlite = std::fs::read("tests/fixtures/package-databases/rpmdb.sqlite").unwrap();
    for (path, content) in [
        ("var/lib/dpkg/status", &b"Package: a\nVersion: 1\nArchitecture: all\n\n\xff\xfe\0\0\n"[..]),
        ("usr/share/rpm/rpmdb.sqlite", &sqlite[..5000]),
        ("usr/share/rpm/Packages.db", b"RpmP"),
        ("lib/apk/db/installed", b"P:a\nnonsense\n"),
    ] {
        let error = catalogue(&Layers::new(&[&[(path, content)]])).unwrap_err();
        assert!(matches!(&error, SbomError::Database { path: found, .. } if found == path), "{path}: {error:?}");
    }
    let log = [("usr/share/rpm/rpmdb.sqlite", sqlite.as_slice()), ("usr/share/rpm/rpmdb.sqlite-wal", &[0; 64])];
    let error = catalogue(&Layers::new(&[&log])).unwrap_err();
    assert!(matches!(&error, SbomError::Database { .. }), "{error:?}");
    let missing = b"Package: a\nArchitecture: all\nStatus: install ok installed\n";
    let error = catalogue(&Layers::new(&[&[("var/lib/dpkg/status", missing)]])).unwrap_err();
    let problem = DatabaseError::Missing { package: "a".to_owned(), field: "Version" };
    assert!(matches!(&error, SbomError::Database { source, .. } if *source == problem), "{error:?}");
}
