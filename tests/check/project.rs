//! Images of a project: what its definition promises is asked of them.

use super::image::{Item, Place, files, good, good_and, kernel_path};

const TIER: &str = "tiers/edge/tier.toml";

/// The example project with these images in its store; tier 2 wants the modules of jool.
fn project(layers: &[super::image::Layer]) -> Place {
    let place = Place::new(&good());
    place.run(&["--project", "project", "init", "--from", "debian-edge"]).says(0, &[]);
    place.add_to("project/.imgbuild/oci", "tier2/edge", layers);
    place
}

fn check(place: &Place) -> super::image::Finished {
    place.run(&["--project", "project", "check", "tier2/edge"])
}

#[test]
fn exactly_the_modules_of_the_definition_must_be_there() {
    let finished = check(&project(&good())).says(
        10,
        &[
            "KMOD001 failure: jool: expected, but not in the image",
            "KMOD002 failure: /usr/lib/modules/6.12.48+deb13-amd64/updates/hello.ko: not an expected module",
        ],
    );
    assert_eq!(finished.codes(), ["KMOD001", "KMOD001", "KMOD001", "KMOD002"]);
}

#[test]
fn what_the_definition_allows_is_reported_as_allowed() {
    let make = [("usr/bin/make".to_owned(), Item::Program(b"\x7fELF".to_vec()))].into();
    let place = project(&good_and(make));
    let tier = std::fs::read_to_string(place.path("project").join(TIER)).unwrap();
    assert!(check(&place).codes().contains(&"LEFT002"));
    let allow = "\n[[allow]]\npattern = \"/usr/bin/make\"\nreason = \"the operators' runbooks are makefiles\"\n";
    place.write(&format!("project/{TIER}"), (tier + allow).as_bytes());
    let finished = check(&place).says(10, &["allowed: the operators' runbooks are makefiles"]);
    assert!(finished.stdout.contains("LEFT002"), "{}", finished.stdout);
    // Of another image of the same content the definition says nothing.
    place.run(&["--project", "project", "check", "oci:project/.imgbuild/oci:tier2/edge"]).says(11, &[]);
}

#[test]
fn the_certificate_of_the_definition_must_have_signed_the_modules() {
    const FIXTURES: [(&[u8], &str); 3] = [
        (include_bytes!("../fixtures/modules/hello.ko"), "KMOD016"),
        (include_bytes!("../fixtures/modules/signed-throwaway.ko"), "KMOD017"),
        (include_bytes!("../fixtures/modules/signed.ko"), ""),
    ];
    for (module, code) in FIXTURES {
        let place = project(&good_and(files(&[(&kernel_path("updates/hello.ko"), module)])));
        let tier = std::fs::read_to_string(place.path("project").join(TIER)).unwrap();
        let signing = "\n[signing]\nkey = \"module.key\"\ncertificate = \"module.der\"\n";
        place.write(&format!("project/{TIER}"), (tier + signing).as_bytes());
        place.write("project/module.der", include_bytes!("../fixtures/modules/expected.der"));
        let finished = check(&place).says(10, &[]);
        let found: Vec<&str> =
            finished.codes().into_iter().filter(|found| ["KMOD016", "KMOD017"].contains(found)).collect();
        assert_eq!(found.concat(), code, "{}", finished.stdout);
    }
}

#[test]
fn of_an_image_built_on_another_in_the_store_the_base_is_not_judged() {
    let place = Place::new(&good());
    let make = || [("usr/bin/make".to_owned(), Item::Program(b"\x7fELF".to_vec()))].into();
    let base = [good(), vec![make()]].concat();
    place.add_to("store/oci", "tier1/base", &base);
    place.add_on("store/oci", "tier1/base", "tier2/site", &[files(&[("usr/share/a", b"a")])]);
    place.add_on("store/oci", "tier2/site", "tier3/host", &[files(&[("etc/b", b"b")])]);
    let check = |image: &str| place.run(&["--store", "store", "check", image]);
    check("tier1/base").says(11, &["3 layers, all of them judged"]);
    check("tier2/site").says(0, &["4 layers, judged is what is above its own tier 1"]);
    check("tier3/host").says(0, &["5 layers, judged is what is above its own tier 1"]);
    // A module of the base is proven all the same.
    let broken = files(&[(&kernel_path("updates/hello.ko"), b"broken")]);
    place.add_to("store/oci", "tier1/broken", &good_and(broken));
    place.add_on("store/oci", "tier1/broken", "tier2/broken", &[files(&[("usr/share/a", b"a")])]);
    assert_eq!(check("tier2/broken").says(10, &[]).codes(), ["KMOD004"]);
}
