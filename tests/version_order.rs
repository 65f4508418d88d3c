//! The version order against the programs that define it, on made-up versions.
//!
//! Needs `dpkg` and `rpm`; what is missing is named in the output and left out.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "the test asks other programs and says what it left out"
)]

use std::cmp::Ordering;
use std::io::ErrorKind;
use std::process::Command;

use imgbuild::kernel::{DebVersion, RpmVersion};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

/// Always the same versions, because a test that fails only on some days helps nobody.
fn versions(pattern: &str, count: usize) -> Vec<String> {
    let mut runner = TestRunner::deterministic();
    let strategy = proptest::string::string_regex(pattern).unwrap();
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

fn installed(program: &str) -> bool {
    match Command::new(program).arg("--version").output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            println!("left out: `{program}` is not installed");
            false
        }
        other => other.unwrap().status.success(),
    }
}

fn dpkg_says(left: &str, relation: &str, right: &str) -> bool {
    Command::new("dpkg").args(["--compare-versions", left, relation, right]).status().unwrap().success()
}

#[test]
fn dpkg_agrees() {
    if !installed("dpkg") {
        return;
    }
    let versions = versions("([01]:)?[0-9][0-2a.~+]{0,4}(-[0-2a.~+]{1,3})?", 600);
    for pair in versions.chunks_exact(2) {
        let [left, right] = [&pair[0], &pair[1]].map(|text| text.parse::<DebVersion>().unwrap());
        let relation = match left.cmp(&right) {
            Ordering::Less => "lt",
            Ordering::Equal => "eq",
            Ordering::Greater => "gt",
        };
        assert!(dpkg_says(&pair[0], relation, &pair[1]), "dpkg denies {} {relation} {}", pair[0], pair[1]);
    }
}

#[test]
fn rpm_agrees() {
    if !installed("rpm") {
        return;
    }
    let versions = versions("([01]:)?[0-2ab._~^]{1,5}-[0-2a.~^]{1,3}", 4000);
    let script: String = versions
        .chunks_exact(2)
        .map(|pair| format!("print(rpm.vercmp(\"{}\", \"{}\") .. \" \")\n", pair[0], pair[1]))
        .collect();
    let output = Command::new("rpm").args(["--eval", &format!("%{{lua:\n{script}}}")]).output().unwrap();
    let answers = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<i32> = answers.split_whitespace().map(|answer| answer.parse().unwrap()).collect();
    assert_eq!(answers.len(), versions.len() / 2);
    for (pair, answer) in versions.chunks_exact(2).zip(answers) {
        let [left, right] = [&pair[0], &pair[1]].map(|text| text.parse::<RpmVersion>().unwrap());
        assert_eq!(left.cmp(&right), answer.cmp(&0), "{} against {}", pair[0], pair[1]);
    }
}
