use super::*;
use crate::sign::SigningKey;

const OWN: &str = "registry.example.com/fleet";

fn trust() -> TrustPolicy {
    let key = |seed| SigningKey::from_seed(&[seed; 32]).unwrap().public().clone();
    TrustPolicy {
        scopes: [
            (OWN.to_owned(), Trust::Signed { keys: vec![key(1), key(2)], mirrors: None }),
            (
                "registry.example.com/mirror/tool".to_owned(),
                Trust::Signed { keys: vec![key(3)], mirrors: Some("quay.io/upstream/tool".to_owned()) },
            ),
            ("docker.io/library/alpine".to_owned(), Trust::Unsigned),
        ]
        .into(),
        open_transports: vec!["containers-storage".to_owned()],
        bootc: true,
    }
}

#[test]
fn what_is_rendered_reads_back_as_it_was_meant() {
    let files = trust().files();
    let policy = &files.iter().find(|file| file.path == POLICY_PATH).unwrap().content;
    assert_eq!(parse_policy(policy.as_bytes()).unwrap(), trust().policy());
    let shown: Vec<_> = files.iter().map(|file| format!("== {}\n{}", file.path, file.content)).collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn the_most_specific_scope_decides() {
    let policy = trust().policy();
    for (image, rule) in [
        ("docker://registry.example.com/fleet/tier3/edge:1", r#"transports.docker."registry.example.com/fleet""#),
        ("registry.example.com/fleetx/a", "default"),
        ("docker://alpine", r#"transports.docker."docker.io/library/alpine""#),
        ("docker://ghcr.io/x/y@sha256:0000000000000000000000000000000000000000000000000000000000000000", "default"),
        ("oci:/srv/layout:tag", r#"transports.oci."""#),
        ("dir:/srv/x", r#"transports.dir."""#),
        ("containers-storage:localhost/x:1", r#"transports.containers-storage."""#),
        ("docker-archive:/x.tar", "default"),
    ] {
        assert_eq!(decide(&policy, &image.parse().unwrap()).rule, rule, "{image}");
    }
    for wrong in ["oci:relative", "ostree:/x", "docker:x", "docker://UPPER/x:y:z"] {
        assert!(wrong.parse::<Target>().is_err(), "{wrong}");
    }
}

#[test]
fn a_wildcard_covers_whole_domains_only() {
    let text = r#"{"default":[{"type":"reject"}],"transports":{"docker":{"*.example.com":[{"type":"insecureAcceptAnything"}]}}}"#;
    let policy = parse_policy(text.as_bytes()).unwrap();
    for (image, covered) in [
        ("a.example.com:5000/x", true),
        ("a.b.example.com/x", true),
        ("example.com/x", false),
        ("badexample.com/x", false),
    ] {
        assert_eq!(decide(&policy, &image.parse().unwrap()).rule != "default", covered, "{image}");
    }
}

#[test]
fn what_the_host_would_refuse_is_refused() {
    let whole = |requirement: &str| format!(r#"{{"default":[{requirement}]}}"#);
    let docker = |scope: &str| {
        format!(r#"{{"default":[{{"type":"reject"}}],"transports":{{"{scope}":[{{"type":"reject"}}]}}}}}}"#)
    };
    let sigstore = |fields: &str| whole(&format!(r#"{{"type":"sigstoreSigned",{fields}}}"#));
    for (what, text, message) in [
        ("nothing", "{}".to_owned(), "missing field `default`"),
        ("unknown field", r#"{"default":[{"type":"reject"}],"x":1}"#.to_owned(), "unknown field `x`"),
        ("trailing", r#"{"default":[{"type":"reject"}]} x"#.to_owned(), "trailing"),
        ("empty list", r#"{"default":[]}"#.to_owned(), "empty"),
        ("unknown type", whole(r#"{"type":"trustMe"}"#), "unknown variant `trustMe`"),
        ("field too many", whole(r#"{"type":"reject","x":1}"#), "unknown field `x`"),
        ("field twice", whole(r#"{"type":"reject","type":"reject"}"#), "duplicate"),
        ("field of bookworm's future", sigstore(r#""keyPath":"/k","newField":true"#), "unknown field `newField`"),
        ("no key", sigstore(r#""signedIdentity":{"type":"matchRepository"}"#), "exactly one"),
        ("two keys", sigstore(r#""keyPath":"/k","keyData":"eA==""#), "exactly one"),
        ("no keys", sigstore(r#""keyPaths":[]"#), "empty"),
        ("empty path", sigstore(r#""keyPath":"""#), "exactly one"),
        ("null", sigstore(r#""keyPath":"/k","signedIdentity":null"#), "null"),
        ("identity", sigstore(r#""keyPath":"/k","signedIdentity":{"type":"matchAll"}"#), "matchAll"),
        (
            "identity's field",
            sigstore(r#""keyPath":"/k","signedIdentity":{"type":"matchRepository","x":1}"#),
            "unknown field",
        ),
        (
            "no tag",
            sigstore(
                r#""keyPath":"/k","signedIdentity":{"type":"exactReference","dockerReference":"h.example:5000/a"}"#,
            ),
            "neither tag nor digest",
        ),
        ("fulcio without log", sigstore(r#""fulcio":{"caPath":"/c","oidcIssuer":"i","subjectEmail":"e"}"#), "Rekor"),
        ("key type", whole(r#"{"type":"signedBy","keyType":"pgp","keyPath":"/k"}"#), "keyType"),
        ("relative scope", docker(r#"dir":{"srv"#), "absolute"),
        ("scope /", docker(r#"oci":{"/"#), "canonical"),
        ("scope twice", docker(r#"docker":{"a":[{"type":"reject"}],"a"#), "duplicate key `a`"),
        ("store", docker(r#"containers-storage":{"x"#), "store"),
    ] {
        let error = parse_policy(text.as_bytes()).expect_err(what);
        let shown =
            format!("{error}: {}", std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default());
        assert!(shown.contains(message), "{what}: {shown}");
    }
    let fine = docker(r#"futureTransport":{"anything"#);
    assert!(parse_policy(fine.as_bytes()).is_ok(), "transports that are not known here are somebody else's");
}
