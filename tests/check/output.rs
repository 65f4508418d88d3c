//! The forms of a result: words, JSON, JUnit.

use super::image::{HELLO, Item, Place, files, good, good_and, kernel_path};

#[test]
fn json_has_every_finding_with_its_fix() {
    let place = Place::new(&good_and([("usr/bin/make".to_owned(), Item::Program(b"\x7fELF".to_vec()))].into()));
    let checked = place.run(&["check", "IMAGE", "--json"]).says(11, &[]);
    let report: serde_json::Value = serde_json::from_str(&checked.stdout).unwrap();
    assert_eq!(report["passed"], false);
    assert_eq!(report["kernels"][0]["facts"]["symbols"], 1);
    let finding = &report["findings"]["leftovers"][0];
    assert_eq!((&finding["code"], &finding["subject"]), (&"LEFT002".into(), &"/usr/bin/make".into()));
    assert!(finding["fix"].as_str().unwrap().starts_with("keep it in the builder stage"));

    let verified = Place::new(&good()).run(&["kmods", "verify", "IMAGE", "--json"]).says(0, &[]);
    let report: serde_json::Value = serde_json::from_str(&verified.stdout).unwrap();
    assert_eq!(report["kernels"][0]["proven"], true);
    assert_eq!(report["kernels"][0]["facts"]["symbol-list"], 2);
}

#[test]
fn junit_has_a_case_per_module_and_per_code() {
    let place = Place::new(&good_and(files(&[(&kernel_path("updates/a<b>.ko"), &HELLO[..100])])));
    place.run(&["kmods", "verify", "IMAGE", "--junit", "out/modules.xml"]).says(10, &[]);
    let text = std::fs::read_to_string(place.path("out/modules.xml")).unwrap();
    let (suites, cases, failures) = counts(&text);
    assert_eq!((suites, cases, failures), (1, 2, 1), "{text}");
    assert!(text.contains("updates/a&lt;b&gt;.ko"), "{text}");

    place.run(&["check", "IMAGE", "--junit", "check.xml"]).says(10, &[]);
    let text = std::fs::read_to_string(place.path("check.xml")).unwrap();
    let (suites, cases, failures) = counts(&text);
    assert_eq!((suites, failures), (4, 2), "{text}");
    assert!(cases > 80, "{text}");
}

/// Suites, cases and failures, read by a parser, so that what is not XML fails.
fn counts(text: &str) -> (usize, usize, usize) {
    let mut reader = quick_xml::Reader::from_str(text);
    let mut counts = (0, 0, 0);
    loop {
        match reader.read_event().unwrap() {
            quick_xml::events::Event::Eof => return counts,
            quick_xml::events::Event::Start(element) | quick_xml::events::Event::Empty(element) => {
                match element.name().as_ref() {
                    "testsuite" => counts.0 += 1,
                    "testcase" => counts.1 += 1,
                    "failure" => counts.2 += 1,
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

#[test]
fn codes_are_explained() {
    let place = Place::new(&good());
    place.run(&["explain", "left006"]).says(0, &["LEFT006: a private key is in the image (failure)"]);
    let all = place
        .run(&["explain"])
        .says(0, &["KMOD009  failure  a symbol has another version than the module was built against"]);
    assert!(all.stdout.lines().count() > 40);
    let unknown = place.run(&["explain", "LEFT06"]).says(2, &[]);
    assert!(unknown.stderr.contains("there is no code `LEFT06`; did you mean LEFT006"), "{}", unknown.stderr);
}
