//! Commands that only read or write text.

use std::fs;

use serde_json::Value;

use super::project::{Project, names_in};

#[test]
fn init_writes_a_project_that_is_valid_and_overwrites_nothing() {
    let project = Project::example("debian-edge");
    project.run(&["validate"]).success();
    project.write("imgbuild.toml", "# mine\n");
    let hosts = names_in(&project.file("hosts"));
    project.run(&["init"]).failure(1, &["not overwriting", "imgbuild.toml", "hosts/edge-01.toml", "fix: "]);
    assert_eq!(project.read("imgbuild.toml"), "# mine\n");
    assert_eq!(names_in(&project.file("hosts")), hosts);
}

#[test]
fn init_writes_nothing_when_one_file_is_in_the_way() {
    let project = Project::new(&[("hosts/edge-02.toml", "# mine\n")]);
    project.run(&["init", "--from", "debian-edge"]).failure(1, &["not overwriting hosts/edge-02.toml\n"]);
    assert_eq!(names_in(&project.file(".")), ["hosts"]);
}

#[test]
fn init_names_the_examples_there_are() {
    let project = Project::new(&[]);
    project.run(&["init", "--from", "debian-egde"]).failure(2, &["debian-edge", "centos-homelab", "debian-zfs"]);
    assert!(names_in(&project.file(".")).is_empty());
}

#[test]
fn every_error_of_a_definition_is_shown_with_its_place_and_the_nearest_name() {
    let project = Project::example("debian-edge");
    project.replace("imgbuild.toml", "base = \"edge\"", "base = \"egde\"\nfoo = 1");
    project.replace("hosts/edge-02.toml", "timezone", "timezon");
    project.replace("hosts/edge-02.toml", "dhcp = true", "dhcp = \"yes\"");
    project.replace("tiers/edge/tier.toml", "[\"jool\"]", "[\"jol\"]");
    let places = [
        "the definition has 5 errors",
        "[imgbuild.toml:3:8]",
        "there is no tier `egde`",
        "did you mean `edge`?",
        "[imgbuild.toml:4:1]",
        "unknown key `foo`",
        "[tiers/edge/tier.toml:5:12]",
        "did you mean `jool`?",
        "[hosts/edge-02.toml:3:1]",
        "did you mean `timezone`?",
        "[hosts/edge-02.toml:7:8]",
        "found a string",
        "──┬──",
    ];
    for arguments in [&["validate"][..], &["plan"], &["build"], &["lock"], &["tier3", "--all"]] {
        let finished = project.run(arguments).failure(3, &places);
        assert!(!finished.stderr.contains('\x1b'), "no colour when not a terminal");
    }
    assert!(!project.store().exists(), "a definition with errors is not worth a store");

    let finished = project.run(&["validate", "--json"]).code(3);
    let errors = finished.json()["errors"].as_array().unwrap().clone();
    assert_eq!(errors.len(), 5);
    assert_eq!(errors[0]["code"], "config::unknown-name");
    assert_eq!(
        (&errors[0]["file"], &errors[0]["line"], &errors[0]["column"]),
        (&"imgbuild.toml".into(), &3.into(), &8.into())
    );
}

#[test]
fn a_folder_without_a_project_is_said_to_be_none() {
    let project = Project::new(&[]);
    project.run(&["validate"]).failure(3, &["imgbuild.toml"]);
    project.run(&["-C", "nowhere", "plan"]).failure(1, &["nowhere"]);
}

#[test]
fn plan_needs_no_lock_and_says_so() {
    let project = Project::example("debian-edge");
    let finished = project.run(&["plan"]).success();
    for expected in
        ["tier1/debian", "tier2/edge  from tier1/debian", "tier3/edge-01  from tier2/edge", "not locked yet"]
    {
        assert!(finished.stdout.contains(expected), "{}", finished.stdout);
    }
    assert_eq!(finished.stderr, "");
    assert!(!project.store().exists(), "a plan is pure");

    let one = project.run(&["plan", "edge-02"]).success().stdout;
    assert!(one.contains("tier3/edge-02") && !one.contains("tier3/edge-01"), "{one}");
}

#[test]
fn plans_and_summaries_are_json_when_asked() {
    let project = Project::example("debian-edge");
    let plan = project.run(&["--json", "plan", "tier3/edge-01"]).success().json();
    assert!(plan.to_string().contains("edge-01"), "{plan}");
    let summary = project.run(&["validate", "--json"]).success().json();
    assert_eq!(summary["tier2"], Value::from(vec!["edge"]));
    assert_eq!(summary["hosts"], 2);
    let written = Project::new(&[]).run(&["init", "--json"]).success().json();
    assert!(written.as_array().unwrap().contains(&"imgbuild.toml".into()), "{written}");
}

#[test]
fn a_file_generated_from_the_lock_needs_one() {
    let project = Project::example("debian-edge");
    project.run(&["render", "tier2", "edge"]).failure(1, &["`tier2/edge` is not in the lock", "`imgbuild lock`"]);
    project.run(&["render", "tier2", "egde"]).failure(2, &["did you mean `edge`?"]);
}

#[test]
fn the_recorded_lock_renders_and_plans_without_any_program() {
    let project = Project::example("centos-homelab").with_fakes(&[]);
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/centos-homelab/imgbuild.lock");
    fs::copy(sample, project.file("imgbuild.lock")).unwrap();
    let plan = project.run(&["plan", "--locked"]).success().stdout;
    assert!(plan.contains("tier2/base-zfs") && !plan.contains("not locked yet"), "{plan}");
}

#[test]
fn targets_that_do_not_exist_are_named_with_the_nearest() {
    let project = Project::example("debian-edge");
    for (arguments, nearest) in [
        (&["plan", "edge01"][..], "did you mean `edge-01`?"),
        (&["build", "edge-1"], "no host is called `edge-1`; did you mean `edge-01`?"),
        (&["tier3", "edge-03"], "did you mean `edge-0"),
        (&["tier2", "edg"], "did you mean `edge`?"),
        (&["tier1", "debain"], "did you mean `debian`?"),
        (&["lock", "--update", "debain"], "did you mean `debian`?"),
    ] {
        project.run(arguments).failure(2, &[nearest]);
    }
    project.run(&["plan", "nothing-like-it"]).failure(2, &["no host or tier is called `nothing-like-it`\n"]);
    project.run(&["tier3"]).failure(2, &["<HOSTS|--all>"]);
    project.run(&["inspect", "ftp:/x"]).failure(2, &["unknown transport `ftp`"]);
    assert!(!project.store().exists(), "a wrong command line leaves nothing behind");
}

/// The example with its recorded lock, whose definition then changed.
#[test]
fn drift_is_refused_and_named_under_locked() {
    let project = Project::example("centos-homelab").with_fakes(&[]);
    project.run(&["plan", "--locked"]).failure(5, &["`tier1/centos` is not in the lock", "run `imgbuild lock`"]);
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/centos-homelab/imgbuild.lock");
    fs::copy(sample, project.file("imgbuild.lock")).unwrap();
    project.run(&["plan", "--locked"]).success();
    let before = project.read("imgbuild.lock");
    project.replace("tiers/base-zfs/tier.toml", "packages = [", "packages = [\"new\", ");
    let drift = "the definition of `tier2/base-zfs` changed after it was locked";
    let finished = project.run(&["plan", "--locked"]).failure(5, &[drift]);
    assert!(!finished.stderr.contains("`tier2/base-zfs-nvidia`"), "{}", finished.stderr);
    assert_eq!(project.read("imgbuild.lock"), before);
}

#[test]
fn a_lock_that_cannot_be_read_is_shown_with_its_place() {
    let project = Project::example("debian-edge");
    project.write("imgbuild.lock", "version = 1\nsource-date-epoch = \"soon\"\n");
    project.run(&["plan"]).failure(3, &["[imgbuild.lock:2:21]"]);
}

#[test]
fn completions_are_generated_for_every_shell() {
    let project = Project::new(&[]);
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = project.run(&["completions", shell]).success().stdout;
        for command in subcommands(&project) {
            assert!(script.contains(&command), "{shell}: {command}");
        }
    }
}

#[test]
fn every_subcommand_has_a_page_and_the_main_one_lists_exit_codes_and_variables() {
    let project = Project::new(&[]);
    project.run(&["man", "pages"]).success();
    let pages = names_in(&project.file("pages"));
    for command in subcommands(&project) {
        assert!(pages.contains(&format!("imgbuild-{command}.1")), "{command}: {pages:?}");
    }
    for nested in ["imgbuild-audit-verify.1", "imgbuild-kmods-verify.1", "imgbuild-render-tier2.1"] {
        assert!(pages.contains(&nested.to_owned()), "{pages:?}");
    }
    let main = project.read("pages/imgbuild.1");
    for expected in ["Exit codes", "130: stopped by a signal", "IMGBUILD_STORE", "SOURCE_DATE_EPOCH"] {
        assert!(main.contains(expected), "{expected}: {main}");
    }
    for page in &pages {
        let text = project.read(&format!("pages/{page}"));
        assert!(
            text.starts_with(".ie") && text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"),
            "{page}: {text}"
        );
    }
}

/// The commands that the help lists.
fn subcommands(project: &Project) -> Vec<String> {
    let help = project.run(&["--help"]).success().stdout;
    let list = help.split_once("Commands:\n").unwrap().1.split_once("\n\n").unwrap().0;
    let names = list.lines().filter_map(|line| line.split_whitespace().next());
    let names: Vec<_> = names.filter(|name| *name != "help").map(str::to_owned).collect();
    assert!(names.len() >= 20, "{names:?}");
    names
}
