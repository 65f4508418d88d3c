//! Every field of every file, in both directions.
//!
//! The values name all fields of their types, so a new field does not compile
//! until it is given here; it then has to be in the text as well, because the
//! two are compared key by key.

use std::fmt::Debug;

use imgbuild::config::{
    Allow, AptBuild, Artifact, Bootstrap, Directory, DnfBuild, Family, FileEntry, Group, Host, KernelPolicy, KmodBuild,
    KmodSet, Link, Mirror, Network, OpenTransport, Policy, PolicyAllow, Project, Publish, Repository, Seal, Signing,
    Supports, SwapPolicy, Tier1, Tier2, Units, User, Verify,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

fn x<T: std::str::FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().expect("a valid value")
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// No field is left at nothing, or the comparison would prove nothing about it.
fn assert_filled(value: &Value, at: &str) {
    match value {
        Value::Null => panic!("`{at}` is not set"),
        Value::Array(items) => {
            assert!(!items.is_empty(), "`{at}` is empty");
            items.iter().for_each(|item| assert_filled(item, at));
        }
        Value::Object(entries) => {
            assert!(!entries.is_empty(), "`{at}` is empty");
            entries.iter().for_each(|(key, item)| assert_filled(item, &format!("{at}.{key}")));
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, value: &T, text: &str) {
    let serialized = serde_json::to_value(value).expect("it serializes");
    assert_filled(&serialized, name);
    let written: toml::Table = toml::from_str(text).expect("it is TOML");
    assert_eq!(serde_json::to_value(written).expect("TOML fits JSON"), serialized, "{name}");
    assert_eq!(toml::from_str::<T>(text).as_ref(), Ok(value), "{name}, read");
    let again = toml::to_string(value).expect("it serializes");
    assert_eq!(toml::from_str::<T>(&again).as_ref(), Ok(value), "{name}, written and read");
}

#[test]
fn project() {
    let value = Project {
        version: 1,
        name: x("demo"),
        architecture: some("amd64"),
        base: Some(x("edge")),
        tiers: "images".to_owned(),
        kmods: "modules".to_owned(),
        hosts: "machines".to_owned(),
        labels: [("org.opencontainers.image.vendor".to_owned(), "Example".to_owned())].into(),
        publish: Some(Publish { to: "registry.example.com/fleet".to_owned() }),
        policy: Some(Policy {
            keys: vec!["keys/fleet.pub".to_owned()],
            open_transports: vec![OpenTransport::ContainersStorage, OpenTransport::Dir],
            bootc: true,
            allow: vec![PolicyAllow {
                repository: "registry.example.com/mirror/tool".to_owned(),
                keys: vec!["keys/upstream.pub".to_owned()],
                unsigned: false,
                reason: some("everything an entry can say"),
                mirrors: some("quay.io/upstream/tool"),
            }],
        }),
    };
    check("project", &value, include_str!("data/full/project.toml"));
}

#[test]
fn tier1() {
    let bootstrap = Bootstrap {
        suite: "trixie".to_owned(),
        updates: vec!["trixie-security".to_owned()],
        components: vec!["main".to_owned(), "contrib".to_owned()],
        mirror: some("https://example.org/debian"),
        security_mirror: some("https://example.org/debian-security"),
        keyring: some("archive.gpg"),
        kernel: x("linux-image-amd64"),
        packages: vec![x("systemd")],
        exclude: vec!["/usr/share/man/*".to_owned()],
        include: vec!["/usr/share/man/man1/*".to_owned()],
        kargs: vec![x("quiet")],
        initramfs_drivers: vec![x("erofs")],
    };
    let value = Tier1 {
        version: 1,
        tier: 1,
        description: some("everything a tier-1 file can say, in one file"),
        mirror: Some(Mirror { image: x("docker://quay.io/centos-bootc/centos-bootc:stream10"), family: Family::Dnf }),
        bootstrap: Some(bootstrap),
        labels: [("a".to_owned(), "b".to_owned())].into(),
    };
    check("tier1", &value, include_str!("data/full/tier1.toml"));
}

#[test]
fn tier2() {
    let repository = Repository {
        url: "https://example.org/debian".to_owned(),
        suite: some("stable"),
        components: vec!["main".to_owned()],
        key: some("site.asc"),
        unsigned: true,
    };
    let value = Tier2 {
        version: 1,
        tier: 2,
        description: some("everything a tier-2 file can say"),
        base: x("debian"),
        modules: vec![x("zfs")],
        packages: vec![x("curl")],
        repositories: [(x("site"), repository)].into(),
        kernel: KernelPolicy {
            pin: Some(x("6.12.48+deb13-cloud-amd64")),
            ceiling: Some(x("6.12")),
            floor: Some(x("6.1.20")),
            deny: vec![x("6.12.47+deb13-cloud-amd64")],
            max_age: Some(90),
            swap: SwapPolicy::PreferNewest,
        },
        signing: Some(Signing { key: "signing.key".to_owned(), certificate: "signing.pem".to_owned() }),
        seal: Some(Seal {
            key: "seal.key".to_owned(),
            certificate: "seal.pem".to_owned(),
            kargs: vec!["quiet".parse().unwrap()],
            per_host: true,
        }),
        labels: [("a".to_owned(), "b".to_owned())].into(),
        allow: vec![Allow { pattern: "/usr/share/bcc/**".to_owned(), reason: "bcc compiles at run time".to_owned() }],
    };
    check("tier2", &value, include_str!("data/full/tier2.toml"));
}

#[test]
fn kmod() {
    let apt = AptBuild {
        packages: vec![x("hello-dkms")],
        components: vec!["contrib".to_owned()],
        dkms: "hello".to_owned(),
        install: vec![x("hello-tools")],
        renamed: [(x("hello"), x("hello-current"))].into(),
    };
    let dnf = DnfBuild {
        packages: vec![x("hello-dkms")],
        dkms: "hello".to_owned(),
        install: vec![x("hello")],
        renamed: [(x("hello"), x("hello-el"))].into(),
    };
    let artifact = Artifact {
        kind: imgbuild::model::ArtifactKind::Kmod,
        from: some("${dkms}/hello.ko*"),
        package: Some(x("hello")),
        to: some("/usr/lib/modules/${kver}/extra/"),
        mode: Some(x("0644")),
        min: Some(1),
        max: Some(2),
        optional: true,
        family: Some(Family::Apt),
    };
    let value = KmodSet {
        version: 1,
        name: x("hello"),
        description: some("everything a module set can say"),
        license: "GPL-2.0-only".to_owned(),
        redistributable: false,
        build: KmodBuild { apt: Some(apt), dnf: Some(dnf) },
        supports: Supports {
            version: some("1.0"),
            min: Some(x("4.18")),
            max: Some(x("7.2")),
            reach: imgbuild::model::Reach::Full,
            kernel: Some(x("^[67]\\.")),
            arch: Some(x("^x86_64$")),
            config: vec!["CONFIG_NET".to_owned(), "!CONFIG_PREEMPT_RT".to_owned()],
        },
        artifacts: vec![artifact],
        verify: Verify {
            modules: vec![x("hello")],
            load: vec![x("hello")],
            options: [(x("hello"), "greeting=moin".to_owned())].into(),
        },
    };
    check("kmod", &value, include_str!("data/full/kmod.toml"));
    assert_eq!(value.built_name(Family::Apt, &x("hello")).as_str(), "hello-current");
    assert_eq!(value.built_name(Family::Dnf, &x("other")).as_str(), "other");
}

#[test]
fn host() {
    let network = Network {
        interface: Some(x("en*")),
        mac: Some(x("52:54:00:12:34:56")),
        dhcp: true,
        address: vec![x("192.0.2.10/24")],
        gateway: vec![x("192.0.2.1")],
        dns: vec![x("2001:db8::53")],
        domains: vec![x("example.org")],
        mtu: Some(9000),
    };
    let user = User {
        uid: Some(1000),
        gecos: some("Ada"),
        home: Some(x("/var/home/ada")),
        shell: Some(x("/bin/bash")),
        groups: vec![x("wheel")],
        ssh_keys: vec!["ssh-ed25519 AAAA ada".to_owned()],
        ssh_keys_file: some("hosts/ada.pub"),
    };
    let file = FileEntry {
        path: x("/etc/motd"),
        content: some("hello\n"),
        source: some("hosts/motd"),
        mode: x("0600"),
        owner: "ada".to_owned(),
        group: "wheel".to_owned(),
    };
    let directory =
        Directory { path: x("/srv/data"), mode: x("2770"), owner: "ada".to_owned(), group: "wheel".to_owned() };
    let value = Host {
        version: 1,
        base: Some(x("edge")),
        description: some("everything a host can say"),
        hostname: Some(x("edge-01.example.org")),
        timezone: some("Europe/Berlin"),
        locale: some("C.UTF-8"),
        kargs: vec![x("quiet")],
        network: [(x("lan"), network)].into(),
        users: [(x("ada"), user)].into(),
        groups: [(x("wheel"), Group { gid: Some(10) })].into(),
        files: vec![file],
        directories: vec![directory],
        links: vec![Link { path: x("/etc/data"), target: "/srv/data".to_owned() }],
        units: Units { enable: vec![x("a.service")], disable: vec![x("b.timer")], mask: vec![x("c.socket")] },
        containerfile: some("hosts/Containerfile"),
        labels: [("a".to_owned(), "b".to_owned())].into(),
    };
    check("host", &value, include_str!("data/full/host.toml"));
}
