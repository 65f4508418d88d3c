//! Users and groups of the image as sysusers.d(5) lines.
//!
//! Packages make users by script, which leaves them only in `/etc/passwd`. A
//! host keeps its own `/etc/passwd` over updates, so a user that a later image
//! brings must also be declared where systemd-sysusers finds it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Numbers and names of an image's users and groups.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Accounts {
    users: BTreeMap<String, Passwd>,
    groups: BTreeMap<String, u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Passwd {
    uid: u32,
    gid: u32,
    gecos: String,
    home: String,
    shell: String,
}

impl Accounts {
    /// Reads passwd(5) and group(5); lines that are neither are passed over, as libc does.
    pub(crate) fn parse(passwd: &str, group: &str) -> Self {
        Self { users: passwd.lines().filter_map(user).collect(), groups: group.lines().filter_map(a_group).collect() }
    }

    /// Those that `other` does not have by that name.
    #[must_use]
    pub(crate) fn without(mut self, other: &Self) -> Self {
        self.users.retain(|name, _| !other.users.contains_key(name));
        self.groups.retain(|name, _| !other.groups.contains_key(name));
        self
    }

    /// Number of a user.
    pub(crate) fn uid(&self, name: &str) -> Option<u32> {
        self.users.get(name).map(|user| user.uid)
    }

    /// Number of a group.
    pub(crate) fn gid(&self, name: &str) -> Option<u32> {
        self.groups.get(name).copied()
    }

    /// Name of a user, or its number where it has none.
    pub(crate) fn user_name(&self, uid: u32) -> String {
        self.users.iter().find(|(_, user)| user.uid == uid).map_or_else(|| uid.to_string(), |(name, _)| name.clone())
    }

    /// Name of a group, or its number where it has none.
    pub(crate) fn group_name(&self, gid: u32) -> String {
        self.groups.iter().find(|(_, number)| **number == gid).map_or_else(|| gid.to_string(), |(name, _)| name.clone())
    }

    /// Lines for every user and group that none of the `declared` sysusers.d files names.
    pub(crate) fn undeclared<'a>(&self, declared: impl Iterator<Item = &'a str>) -> String {
        let known = declared_names(declared);
        let mut text = String::new();
        for (name, gid) in &self.groups {
            if !known.contains(&('g', name.as_str())) {
                writeln!(text, "g {name} {gid}").expect("writing to a string cannot fail");
            }
        }
        for (name, user) in &self.users {
            let Passwd { uid, gid, gecos, home, shell } = user;
            if !known.contains(&('u', name.as_str())) {
                let gecos = gecos.replace('"', "'");
                writeln!(text, "u {name} {uid}:{gid} \"{gecos}\" {home} {shell}")
                    .expect("writing to a string cannot fail");
            }
        }
        text
    }
}

fn user(line: &str) -> Option<(String, Passwd)> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, gecos, home, shell] = fields.as_slice() else { return None };
    let passwd = Passwd {
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        gecos: (*gecos).to_owned(),
        home: (*home).to_owned(),
        shell: (*shell).to_owned(),
    };
    Some(((*name).to_owned(), passwd))
}

fn a_group(line: &str) -> Option<(String, u32)> {
    let mut fields = line.split(':');
    Some((fields.next()?.to_owned(), fields.nth(1)?.parse().ok()?))
}

/// What sysusers.d lines declare; a user line declares the group of that name too.
fn declared_names<'a>(texts: impl Iterator<Item = &'a str>) -> BTreeSet<(char, &'a str)> {
    let mut known = BTreeSet::new();
    for line in texts.flat_map(str::lines) {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("u" | "u!"), Some(name)) => known.extend([('u', name), ('g', name)]),
            (Some("g"), Some(name)) => drop(known.insert(('g', name))),
            _ => {}
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declares_what_packages_made_by_script_and_nothing_twice() {
        let passwd =
            "root:x:0:0:root:/root:/bin/bash\nsshd:x:989:65534:sshd user:/run/sshd:/usr/sbin/nologin\nbroken\n";
        let group = "root:x:0:\n_ssh:x:101:\nadm:x:4:syslog\n";
        let accounts = Accounts::parse(passwd, group);
        let declared = "# basic\nu root 0 \"Super User\" /root\ng adm 4\n";
        assert_eq!(
            accounts.undeclared([declared].into_iter()),
            "g _ssh 101\nu sshd 989:65534 \"sshd user\" /run/sshd /usr/sbin/nologin\n"
        );
        let base = Accounts::parse("root:x:0:0:root:/root:/bin/bash\n", "root:x:0:\n_ssh:x:101:\n");
        assert_eq!(
            accounts.clone().without(&base).undeclared([declared].into_iter()),
            "u sshd 989:65534 \"sshd user\" /run/sshd /usr/sbin/nologin\n"
        );
        assert_eq!((accounts.uid("sshd"), accounts.gid("adm")), (Some(989), Some(4)));
        assert_eq!((accounts.user_name(989), accounts.group_name(7)), ("sshd".to_owned(), "7".to_owned()));
    }
}
