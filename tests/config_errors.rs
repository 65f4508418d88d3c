//! Every way a definition can be wrong, as the operator sees it.

use std::collections::BTreeSet;

use cap_std::ambient_authority;
use cap_std::fs_utf8::Dir;
use imgbuild::config::{Builtin, ConfigErrors, Definition};
use miette::{GraphicalReportHandler, GraphicalTheme};

type Files<'a> = &'a [(&'a str, &'a str)];

const PROJECT: (&str, &str) = ("imgbuild.toml", "version = 1\nname = \"demo\"\nbase = \"debian\"\n");
const KMOD_PATH: &str = "kmods/hello/kmod.toml";
const HOST_PATH: &str = "hosts/edge-01.toml";
const TIER_PATH: &str = "tiers/site/tier.toml";

const KMOD_HEAD: &str = "version = 1
name = \"hello\"
license = \"GPL-2.0-only\"
build.apt = { packages = [\"hello-dkms\"], dkms = \"hello\" }
verify.modules = [\"hello\"]
";

fn load(files: Files<'_>) -> Result<Definition, ConfigErrors> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = Dir::open_ambient_dir(folder.path().to_str().expect("UTF-8"), ambient_authority()).expect("it opens");
    for (path, text) in files {
        if let Some((parent, _)) = path.rsplit_once('/') {
            dir.create_dir_all(parent).expect("created");
        }
        dir.write(path, text).expect("written");
    }
    Definition::load(&dir, &Builtin::compiled())
}

fn render(errors: &ConfigErrors) -> String {
    let mut text = String::new();
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_width(120);
    handler.render_report(&mut text, errors).expect("rendering to a string");
    text
}

fn errors(files: Files<'_>) -> ConfigErrors {
    match load(files) {
        Ok(_) => panic!("it loads: {files:?}"),
        Err(errors) => errors,
    }
}

fn codes(errors: &ConfigErrors) -> Vec<&'static str> {
    errors.iter().map(|error| error.kind().code()).collect()
}

/// A host with these lines after its version.
fn host(lines: &str) -> String {
    format!("version = 1\n{lines}")
}

struct Case {
    name: &'static str,
    codes: &'static [&'static str],
    files: Vec<(&'static str, String)>,
}

fn case(name: &'static str, codes: &'static [&'static str], files: &[(&'static str, String)]) -> Case {
    Case { name, codes, files: files.to_vec() }
}

fn host_case(name: &'static str, codes: &'static [&'static str], lines: &str) -> Case {
    case(name, codes, &[(HOST_PATH, host(lines))])
}

fn kmod_case(name: &'static str, codes: &'static [&'static str], lines: &str) -> Case {
    case(name, codes, &[(KMOD_PATH, format!("{KMOD_HEAD}{lines}"))])
}

fn tier_case(name: &'static str, codes: &'static [&'static str], lines: &str) -> Case {
    case(name, codes, &[(TIER_PATH, format!("version = 1\n{lines}"))])
}

const KEY_BODY: &str = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW";

fn cases() -> Vec<Case> {
    let mut cases = shape_cases();
    cases.extend(host_cases());
    cases.extend(kmod_cases());
    cases.extend(tier_cases());
    cases.extend(file_cases());
    cases.extend(policy_cases());
    cases
}

fn shape_cases() -> Vec<Case> {
    vec![
        host_case("syntax", &["config::syntax"], "timezone = \"Europe/Berlin\nkargs = []\n"),
        host_case("duplicate_key", &["config::syntax"], "kargs = []\nkargs = [\"quiet\"]\n"),
        host_case("unsupported_version", &["config::unsupported-version"], "")
            .with(HOST_PATH, "version = 7\nnew-key = 1\n"),
        host_case("unknown_key_near", &["config::unknown-key"], "time-zone = \"Europe/Berlin\"\n"),
        host_case("unknown_key_far", &["config::unknown-key"], "[users.ada]\npassword = \"x\"\n"),
        host_case("unknown_key_for_required", &["config::unknown-key"], "[[link]]\npaht = \"/a\"\ntarget = \"b\"\n"),
        host_case("missing_key", &["config::missing-key"], "[[link]]\npath = \"/etc/a\"\n"),
        case(
            "missing_key_of_file",
            &["config::missing-key"],
            &[("imgbuild.toml", "# demo\nname = \"demo\"\n".to_owned())],
        ),
        host_case("wrong_type_string", &["config::wrong-type"], "description = 5\n"),
        host_case("wrong_type_array", &["config::wrong-type"], "kargs = \"quiet\"\n"),
        host_case("wrong_type_table", &["config::wrong-type"], "units = [\"sshd.service\"]\n"),
        host_case(
            "wrong_type_boolean",
            &["config::wrong-type"],
            "[network.lan]\ninterface = \"en*\"\ndhcp = \"yes\"\n",
        ),
        host_case("integer_out_of_range", &["config::bad-value"], "[users.ada]\nuid = -1\n"),
        host_case("bad_map_key", &["config::bad-value"], "[users.Ada]\nuid = 1000\n"),
        kmod_case("bad_choice", &["config::bad-value"], "[[artifact]]\nkind = \"module\"\npackage = \"hello\"\n"),
    ]
}

impl Case {
    fn with(mut self, path: &'static str, text: &str) -> Self {
        self.files.retain(|(known, _)| *known != path);
        self.files.push((path, text.to_owned()));
        self
    }
}

fn policy_cases() -> Vec<Case> {
    const HEAD: &str = "version = 1\nname = \"demo\"\nbase = \"debian\"\n";
    const PUBLISH: &str = "[publish]\nto = \"registry.example.com/fleet\"\n";
    let project = |name, codes, lines: &str| case(name, codes, &[("imgbuild.toml", format!("{HEAD}{lines}"))]);
    let policy = |name, codes, lines: &str| {
        project(name, codes, &format!("{PUBLISH}[policy]\nkeys = [\"fleet.pub\"]\n[[policy.allow]]\n{lines}"))
    };
    vec![
        project("policy_without_publish", &["config::missing-key"], "[policy]\nkeys = [\"fleet.pub\"]\n"),
        project("policy_without_keys", &["config::bad-value"], &format!("{PUBLISH}[policy]\nkeys = []\n")),
        project("publish_to_a_tag", &["config::bad-value"], "[publish]\nto = \"registry.example.com/fleet:1\"\n"),
        policy(
            "policy_of_a_whole_registry",
            &["config::bad-value"],
            "repository = \"docker.io\"\nkeys = [\"a.pub\"]\n",
        ),
        policy(
            "policy_of_a_short_name",
            &["config::bad-value"],
            "repository = \"library/alpine\"\nkeys = [\"a.pub\"]\n",
        ),
        policy(
            "policy_of_ones_own",
            &["config::duplicate"],
            "repository = \"registry.example.com/fleet\"\nkeys = [\"a.pub\"]\n",
        ),
        policy("policy_without_a_way", &["config::neither-key"], "repository = \"docker.io/library/alpine\"\n"),
        policy(
            "policy_without_a_reason",
            &["config::missing-key"],
            "repository = \"docker.io/library/alpine\"\nunsigned = true\n",
        ),
        policy(
            "policy_with_both_ways",
            &["config::exclusive-keys"],
            "repository = \"docker.io/library/alpine\"\nunsigned = true\nkeys = [\"a.pub\"]\n",
        ),
    ]
}

fn host_cases() -> Vec<Case> {
    let key = format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{KEY_BODY}\n-----END OPENSSH PRIVATE KEY-----\n");
    vec![
        host_case("relative_path", &["config::bad-value"], "[[file]]\npath = \"etc/motd\"\ncontent = \"hi\"\n"),
        host_case(
            "bad_mode",
            &["config::bad-value"],
            "[[file]]\npath = \"/etc/motd\"\ncontent = \"hi\"\nmode = \"0689\"\n",
        ),
        host_case("karg_with_space", &["config::bad-value"], "kargs = [\"quiet splash\"]\n"),
        host_case("karg_with_line_break", &["config::bad-value"], "kargs = [\"quiet\\nsplash\"]\n"),
        host_case(
            "bad_address",
            &["config::bad-value"],
            "[network.lan]\ninterface = \"en*\"\naddress = [\"192.0.2.300/24\"]\n",
        ),
        host_case(
            "bad_gateway",
            &["config::bad-value"],
            "[network.lan]\ninterface = \"en*\"\ndhcp = true\ngateway = [\"fe80::g\"]\n",
        ),
        host_case(
            "gateway_without_address",
            &["config::missing-key"],
            "[network.lan]\ninterface = \"en*\"\ngateway = [\"192.0.2.1\"]\n",
        ),
        host_case("bad_mac", &["config::bad-value"], "[network.lan]\nmac = \"52:54:00:12:34\"\n"),
        host_case("bad_mtu", &["config::bad-value"], "[network.lan]\ninterface = \"en*\"\nmtu = 15\n"),
        host_case(
            "exclusive_keys",
            &["config::exclusive-keys"],
            "[[file]]\npath = \"/etc/motd\"\ncontent = \"hi\"\nsource = \"motd\"\n",
        )
        .with("motd", "hi"),
        host_case("neither_key", &["config::neither-key"], "[network.lan]\ndhcp = true\n"),
        host_case(
            "duplicate_path",
            &["config::duplicate"],
            "[[file]]\npath = \"/etc/a\"\ncontent = \"\"\n\n[[link]]\npath = \"/etc/a\"\ntarget = \"b\"\n",
        ),
        host_case("duplicate_uid", &["config::duplicate"], "[users.ada]\nuid = 1000\n[users.grace]\nuid = 1000\n"),
        host_case(
            "unit_with_two_states",
            &["config::duplicate"],
            "[units]\nenable = [\"a.service\"]\nmask = [\"a.service\"]\n",
        ),
        host_case(
            "owner_without_number",
            &["config::bad-value"],
            "[users.ada]\n\n[[directory]]\npath = \"/srv/ada\"\nowner = \"ada\"\n",
        ),
        host_case("ssh_key_is_none", &["config::bad-value"], "[users.ada]\nssh-keys = [\"ada@example\"]\n"),
        host_case(
            "ssh_keys_file_with_other_lines",
            &["config::bad-value"],
            "[users.ada]\nssh-keys-file = \"ada.pub\"\n",
        )
        .with("ada.pub", "# Ada\nssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ ada\nada@example\n"),
        host_case(
            "missing_file",
            &["config::missing-file"],
            "[[file]]\npath = \"/etc/motd\"\nsource = \"files/motd\"\n",
        ),
        host_case(
            "path_out_of_project",
            &["config::bad-value"],
            "[[file]]\npath = \"/etc/motd\"\nsource = \"../motd\"\n",
        ),
        host_case("unreadable", &["config::unreadable"], "[[file]]\npath = \"/etc/motd\"\nsource = \"files\"\n")
            .with("files/motd", ""),
        host_case(
            "secret_inline",
            &["config::secret"],
            &format!("[[file]]\npath = \"/etc/key\"\ncontent = '''\n{key}'''\n"),
        ),
        host_case(
            "secret_hash",
            &["config::secret"],
            &format!("[[file]]\npath = \"/etc/shadow\"\ncontent = \"root:$5$salt${}:20000::::::\"\n", "b".repeat(43)),
        ),
        host_case(
            "secret_instead_of_ssh_key",
            &["config::secret"],
            &format!("[users.ada]\nssh-keys = [\"\"\"{key}\"\"\"]\n"),
        ),
        host_case("secret_in_source", &["config::secret"], "[[file]]\npath = \"/etc/key\"\nsource = \"files/key\"\n")
            .with("files/key", &format!("# deploy key\n{key}")),
    ]
}

fn kmod_cases() -> Vec<Case> {
    let kmod = |text: &str| [(KMOD_PATH, text.to_owned())];
    vec![
        case(
            "folder_name",
            &["config::folder-name"],
            &kmod(&KMOD_HEAD.replace("name = \"hello\"", "name = \"hallo\"")),
        ),
        case(
            "no_family",
            &["config::neither-key"],
            &kmod(&KMOD_HEAD.replace("build.apt = { packages = [\"hello-dkms\"], dkms = \"hello\" }", "build = {}")),
        ),
        case("package_is_an_option", &["config::bad-value"], &kmod(&KMOD_HEAD.replace("hello-dkms", "--force-yes"))),
        kmod_case(
            "from_and_package",
            &["config::exclusive-keys"],
            "[[artifact]]\nkind = \"bin\"\nfrom = \"/usr/bin/hello\"\npackage = \"hello\"\nto = \"/usr/bin/\"\n",
        ),
        kmod_case(
            "neither_from_nor_package",
            &["config::neither-key"],
            "[[artifact]]\nkind = \"bin\"\nto = \"/usr/bin/\"\n",
        ),
        kmod_case(
            "from_without_to",
            &["config::missing-key"],
            "[[artifact]]\nkind = \"bin\"\nfrom = \"/usr/bin/hello\"\n",
        ),
        kmod_case(
            "relative_pattern",
            &["config::bad-value"],
            "[[artifact]]\nkind = \"bin\"\nfrom = \"usr/bin/*\"\nto = \"/usr/bin/\"\n",
        ),
        kmod_case(
            "broken_pattern",
            &["config::bad-value"],
            "[[artifact]]\nkind = \"bin\"\nfrom = \"/usr/bin/[a\"\nto = \"/usr/bin/\"\n",
        ),
        kmod_case(
            "unknown_placeholder",
            &["config::unknown-name"],
            "[[artifact]]\nkind = \"bin\"\nfrom = \"/lib/modules/${kvers}/a\"\nto = \"/usr/bin/\"\n",
        ),
        kmod_case(
            "destination",
            &["config::destination"],
            "[[artifact]]\nkind = \"bin\"\nfrom = \"/usr/bin/hello\"\nto = \"/opt/hello/\"\n",
        ),
        kmod_case(
            "destination_of_the_administrator",
            &["config::bad-value"],
            "[[artifact]]\nkind = \"bin\"\nfrom = \"/usr/bin/hello\"\nto = \"/usr/local/bin/\"\n",
        ),
        kmod_case(
            "min_above_max",
            &["config::min-above-max"],
            "[[artifact]]\nkind = \"bin\"\nfrom = \"/usr/bin/hello\"\nto = \"/usr/bin/\"\nmin = 3\nmax = 2\n",
        ),
        kmod_case(
            "supports",
            &["config::bad-value", "config::bad-value", "config::bad-value", "config::bad-value"],
            "[supports]\nmin = \"7.2\"\nmax = \"6.12\"\nkernel = \"6.(\"\narch = \"x86_64\"\nconfig = [\"CONFIG_NET\", \"NET\", \"!CONFIG_\"]\n",
        ),
        kmod_case("unknown_module", &["config::unknown-name"], "verify.load = [\"helo\"]\n"),
    ]
}

fn tier_cases() -> Vec<Case> {
    let second = "tier = 2\nbase = \"debian\"\n";
    vec![
        tier_case("tier_number", &["config::tier-number"], "tier = 3\nbase = \"debian\"\n"),
        tier_case("tier_number_missing", &["config::missing-key"], "base = \"debian\"\n"),
        tier_case("key_of_other_tier", &["config::unknown-key"], &format!("{second}bootstrap = {{}}\n")),
        tier_case("neither_mirror_nor_bootstrap", &["config::neither-key"], "tier = 1\n"),
        tier_case(
            "unknown_transport",
            &["config::bad-value"],
            "tier = 1\nmirror = { image = \"ostree://x\", family = \"dnf\" }\n",
        ),
        tier_case(
            "security_mirror",
            &["config::missing-key"],
            "tier = 1\n[bootstrap]\nsuite = \"trixie\"\nupdates = [\"trixie-security\"]\nkernel = \"linux-image-amd64\"\npackages = []\nmirror = \"https://example.org/debian\"\n",
        ),
        tier_case(
            "kernel_policy",
            &["config::bad-value", "config::bad-value"],
            &format!(
                "{second}[kernel]\npin = \"6.12.94+deb13-amd64\"\ndeny = [\"6.12.94+deb13-amd64\"]\nfloor = \"6.12.100\"\nceiling = \"6.1\"\n"
            ),
        ),
        tier_case(
            "bad_kernel_number",
            &["config::bad-value"],
            &format!("{second}kernel = {{ ceiling = \"6.12+deb13\" }}\n"),
        ),
        tier_case("unknown_base_tier", &["config::unknown-name"], "tier = 2\nbase = \"debain\"\n"),
        tier_case("base_is_tier_2", &["config::base-tier"], "tier = 2\nbase = \"other\"\n")
            .with("tiers/other/tier.toml", "version = 1\ntier = 2\nbase = \"debian\"\n"),
        tier_case("unknown_module_set", &["config::unknown-name"], &format!("{second}modules = [\"zsf\"]\n")),
        tier_case(
            "allowed_without_reason",
            &["config::bad-value", "config::bad-value", "config::missing-key"],
            &format!(
                "{second}[[allow]]\npattern = \"{{\"\nreason = \"because\"\n[[allow]]\npattern = \"make\"\nreason = \" \"\n\
                 [[allow]]\npattern = \"gcc\"\n"
            ),
        ),
        tier_case("family", &["config::family"], "tier = 2\nbase = \"centos\"\nmodules = [\"jool\"]\n"),
        tier_case(
            "repository_without_key",
            &["config::neither-key"],
            &format!("{second}[repositories.site]\nurl = \"https://example.org/x\"\n"),
        ),
        tier_case(
            "repository_address",
            &["config::bad-value"],
            &format!("{second}[repositories.site]\nurl = \"example.org/x\"\nunsigned = true\n"),
        ),
        tier_case(
            "missing_repository_key",
            &["config::missing-file"],
            &format!("{second}[repositories.site]\nurl = \"https://example.org/x\"\nkey = \"site.asc\"\n"),
        ),
        case("unknown_base_of_host", &["config::unknown-name"], &[(HOST_PATH, host("base = \"warehouse\"\n"))]),
    ]
}

fn file_cases() -> Vec<Case> {
    let project = |lines: &str| ("imgbuild.toml", format!("version = 1\nname = \"demo\"\n{lines}"));
    vec![
        case("no_base", &["config::no-base"], &[project(""), (HOST_PATH, host(""))]),
        case("architecture", &["config::bad-value"], &[project("architecture = \"x86_64\"\n")]),
        case("named_folder_is_missing", &["config::missing-file"], &[project("hosts = \"machines\"\n")]),
        case("file_name", &["config::file-name"], &[("hosts/Edge_01.toml", host(""))]),
        case("stray_file", &["config::file-name"], &[("tiers/site.toml", host(""))]),
        case("empty_folder", &["config::missing-file"], &[("tiers/site/README.md", String::new())]),
        case(
            "duplicate_host_name",
            &["config::duplicate"],
            &[
                ("hosts/a.toml", host("hostname = \"edge.example.org\"\n")),
                ("hosts/b.toml", host("hostname = \"edge.example.org\"\n")),
            ],
        ),
    ]
}

/// Adds `imgbuild.toml` where the case has none.
fn complete(case: &Case) -> Vec<(&str, &str)> {
    let own = case.files.iter().map(|(path, text)| (*path, text.as_str()));
    let project = (!case.files.iter().any(|(path, _)| *path == PROJECT.0)).then_some(PROJECT);
    project.into_iter().chain(own).collect()
}

#[test]
fn each_kind_of_error_shows_its_place_and_its_remedy() {
    for case in cases() {
        let errors = errors(&complete(&case));
        assert_eq!(codes(&errors), case.codes, "{}: {}", case.name, render(&errors));
        insta::assert_snapshot!(case.name, render(&errors));
    }
}

#[test]
fn every_code_has_a_case() {
    let source = include_str!("../src/config/error.rs");
    let known: BTreeSet<&str> = source.split('"').filter(|text| text.starts_with("config::")).collect();
    let shown: BTreeSet<&str> = cases().iter().flat_map(|case| case.codes).copied().collect();
    assert_eq!(shown, known);
}

#[test]
fn all_errors_of_all_files_come_at_once() {
    let files = [
        ("imgbuild.toml", "version = 1\nname = \"Demo\"\nbase = \"debain\"\nlabel = {}\n"),
        (
            TIER_PATH,
            "version = 1\ntier = 2\nbase = \"debian\"\nmodules = [\"jool\", \"jool\", \"zsf\"]\npackages = \"curl\"\n",
        ),
        (
            HOST_PATH,
            "version = 1\nkargs = [\"a b\", 5]\n\n[[file]]\npath = \"etc/x\"\nmod = \"0644\"\n\n[users.ada]\nuid = \"1000\"\n",
        ),
    ];
    let errors = errors(&files);
    insta::assert_snapshot!("all_at_once", render(&errors));
    let files: BTreeSet<&str> = errors.iter().map(|error| error.file()).collect();
    assert_eq!(files.len(), 3);
    assert_eq!(errors.iter().count(), 12);
}

#[test]
fn without_a_project_file_the_folder_is_the_error() {
    insta::assert_snapshot!("no_project", render(&errors(&[])));
}

#[test]
fn no_rendered_error_shows_a_secret() {
    for case in cases().iter().filter(|case| case.name.starts_with("secret")) {
        let text = render(&errors(&complete(case)));
        assert!(!text.contains(KEY_BODY) && !text.contains(&"b".repeat(43)), "{text}");
    }
}

#[test]
fn machines_get_code_place_and_help() {
    let errors = errors(&[PROJECT, (HOST_PATH, "version = 1\ntime-zone = \"Europe/Berlin\"\n")]);
    let json = serde_json::to_string_pretty(&errors.iter().collect::<Vec<_>>()).expect("it serializes");
    insta::assert_snapshot!("as_json", json);
}

#[test]
fn a_projects_own_files_win_over_built_in_ones_and_unused_ones_stay_out() {
    let tier = "version = 1\ntier = 1\nmirror = { image = \"oci:base\", family = \"apt\" }\n";
    let definition = load(&[PROJECT, ("tiers/debian/tier.toml", tier)]).expect("it loads");
    assert_eq!(definition.tier1.len(), 1);
    assert!(definition.tier1.values().all(|tier| tier.mirror.is_some()));
    assert!(definition.kmods.is_empty());
}
