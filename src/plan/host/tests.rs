//! Hosts rendered against a small fake of the image below.

use std::collections::BTreeMap;

use super::{BaseView, HostEntry, HostError, Node, Sources, layer};
use crate::config::Host;
use crate::model::UnitName;

/// A base with networkd, bash, sshd and one enabled timer.
#[derive(Default)]
struct FakeBase {
    network_manager: bool,
}

impl BaseView for FakeBase {
    fn uid(&self, name: &str) -> Option<u32> {
        (name == "root").then_some(0)
    }

    fn gid(&self, name: &str) -> Option<u32> {
        [("root", 0), ("adm", 4)].into_iter().find(|(group, _)| *group == name).map(|(_, gid)| gid)
    }

    fn canonical(&self, path: &str) -> String {
        path.strip_prefix("/home/").map_or_else(|| path.to_owned(), |rest| format!("/var/home/{rest}"))
    }

    fn exists(&self, path: &str) -> bool {
        match path {
            "/usr/lib/systemd/system/systemd-networkd.service" => !self.network_manager,
            "/usr/lib/systemd/system/NetworkManager.service" => self.network_manager,
            "/usr/bin/bash" | "/usr/share/zoneinfo/Europe/Berlin" => true,
            _ => false,
        }
    }

    fn unit(&self, name: &UnitName) -> Option<String> {
        match name.as_str() {
            "ssh.service" => Some("[Unit]\n[Install]\nWantedBy=multi-user.target\nAlias=sshd.service\n".to_owned()),
            "getty@.service" => Some("[Install]\nWantedBy=getty.target\n".to_owned()),
            "static.service" => Some("[Service]\nExecStart=/bin/true\n".to_owned()),
            _ => None,
        }
    }

    fn enablement_links(&self, name: &UnitName) -> Vec<String> {
        match name.as_str() {
            "apt-daily.timer" => vec!["/etc/systemd/system/timers.target.wants/apt-daily.timer".to_owned()],
            _ => Vec::new(),
        }
    }
}

fn render(toml: &str, base: &FakeBase) -> Result<BTreeMap<String, HostEntry>, HostError> {
    let host: Host = toml::from_str(&format!("version = 1\n{toml}")).unwrap();
    let sources = Sources::from([("keys/ops.pub".to_owned(), b"# ops\nssh-ed25519 BBBB ops\n\n".to_vec())]);
    layer(&"edge-01".parse().unwrap(), &host, base, &sources)
}

/// The whole layer as text, for reading.
fn listing(entries: &BTreeMap<String, HostEntry>) -> String {
    let mut text = String::new();
    for (path, entry) in entries {
        let what = match &entry.node {
            Node::File(bytes) => String::from_utf8_lossy(bytes).trim_end().replace('\n', "\n    | "),
            Node::Directory => "directory".to_owned(),
            Node::Symlink(target) => format!("-> {target}"),
            Node::Removed => "removed".to_owned(),
        };
        text.push_str(&format!("{path} {:04o} {}:{}\n    | {what}\n", entry.mode, entry.uid, entry.gid));
    }
    text
}

const FULL: &str = r#"
timezone = "Europe/Berlin"
locale = "C.UTF-8"
kargs = ["console=ttyS0", 'quote="x"']
[network.lan]
interface = "en*"
dhcp = true
[network.mgmt]
mac = "52:54:00:12:34:56"
address = ["192.0.2.10/24", "2001:db8::10/64"]
gateway = ["192.0.2.1"]
dns = ["192.0.2.53"]
domains = ["example.com"]
mtu = 9000
[users.ops]
uid = 1000
gecos = "Operator"
groups = ["adm"]
ssh-keys = ["ssh-ed25519 AAAA ops"]
ssh-keys-file = "keys/ops.pub"
[users.svc]
[users.root]
ssh-keys = ["ssh-ed25519 CCCC root"]
[groups.data]
gid = 2000
[[file]]
path = "/etc/motd"
content = "hi\n"
[[file]]
path = "/home/ops/note"
content = "mine\n"
mode = "0600"
owner = "ops"
group = "data"
[[directory]]
path = "/var/data dir"
[[link]]
path = "/etc/alias"
target = "motd"
[units]
enable = ["ssh.service", "getty@ttyS0.service"]
disable = ["apt-daily.timer"]
mask = ["ctrl-alt-del.target"]
"#;

#[test]
fn a_full_host_with_networkd() {
    insta::assert_snapshot!(listing(&render(FULL, &FakeBase::default()).unwrap()));
}

#[test]
fn network_manager_connections_are_private_and_have_stable_ids() {
    let entries = render(FULL, &FakeBase { network_manager: true }).unwrap();
    let only: BTreeMap<_, _> = entries.into_iter().filter(|(path, _)| path.contains("NetworkManager")).collect();
    insta::assert_snapshot!(listing(&only));
}

#[test]
fn what_does_not_fit_the_base_is_an_error_that_names_it() {
    for (toml, expected) in [
        ("[[file]]\npath = \"/etc/x\"\nowner = \"nobody-here\"", "`nobody-here` has no fixed number"),
        ("[[file]]\npath = \"/run/x\"", "lies in `/run`"),
        ("[[file]]\npath = \"/etc/hostname\"", "`/etc/hostname` is given twice"),
        ("[units]\nenable = [\"nothing.service\"]", "unit `nothing.service` is neither"),
        ("[units]\nenable = [\"static.service\"]", "has no [Install] section"),
        ("timezone = \"Mars/Base\"", "time zone `Mars/Base`"),
    ] {
        let error = render(toml, &FakeBase::default()).unwrap_err().to_string();
        assert!(error.contains(expected), "{toml}: {error}");
    }
}
