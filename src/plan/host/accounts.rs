//! Users and groups for systemd-sysusers, and SSH keys where only root can change them.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::entries::{HostEntry, Node, read};
use super::{HostError, HostLayer, Sources};
use crate::config::User;
use crate::model::UserName;

/// Keys lie in files of root, so that neither a user nor a service running as one can add a key for itself.
const KEYS_FOLDER: &str = "/etc/ssh/authorized_keys.d";

/// Adds users, groups and keys.
pub(super) fn add(layer: &mut HostLayer<'_>, sources: &Sources) -> Result<(), HostError> {
    let host = layer.host;
    let mut sysusers = String::new();
    for (name, group) in &host.groups {
        let gid = group.gid.map_or_else(|| "-".to_owned(), |gid| gid.to_string());
        writeln!(sysusers, "g {name} {gid}").expect("writing to a string cannot fail");
    }
    let mut any_keys = false;
    for (name, user) in &host.users {
        let keys = keys(layer, user, sources)?;
        if name.as_str() != "root" {
            sysusers.push_str(&user_lines(layer, name, user, !keys.is_empty()));
            add_home(layer, name, user)?;
        }
        if !keys.is_empty() {
            any_keys = true;
            layer.text(&format!("{KEYS_FOLDER}/{name}"), keys)?;
        }
    }
    if any_keys {
        let text = format!("AuthorizedKeysFile .ssh/authorized_keys {KEYS_FOLDER}/%u\n");
        layer.text("/etc/ssh/sshd_config.d/40-imgbuild-keys.conf", text)?;
    }
    if !sysusers.is_empty() {
        layer.text("/usr/lib/sysusers.d/60-imgbuild-host.conf", sysusers)?;
    }
    Ok(())
}

fn home<'u>(name: &UserName, user: &'u User) -> Cow<'u, str> {
    user.home.as_ref().map_or_else(|| format!("/var/home/{name}").into(), |home| home.as_str().into())
}

/// Lines of sysusers.d(5) for one user.
fn user_lines(layer: &HostLayer<'_>, name: &UserName, user: &User, logs_in: bool) -> String {
    let id = user.uid.map_or_else(|| "-".to_owned(), |uid| uid.to_string());
    let gecos = user.gecos.as_deref().unwrap_or("-").replace('"', "'");
    let shell = user.shell.as_ref().map_or_else(|| default_shell(layer, logs_in), |shell| shell.as_str());
    let mut lines = format!("u {name} {id} \"{gecos}\" {} {shell}\n", home(name, user));
    for group in &user.groups {
        writeln!(lines, "m {name} {group}").expect("writing to a string cannot fail");
    }
    lines
}

fn default_shell(layer: &HostLayer<'_>, logs_in: bool) -> &'static str {
    match logs_in {
        true if layer.base.exists("/usr/bin/bash") => "/usr/bin/bash",
        true => "/bin/sh",
        false => "/usr/sbin/nologin",
    }
}

/// The home folder is made on the host, where the user's number is known.
fn add_home(layer: &mut HostLayer<'_>, name: &UserName, user: &User) -> Result<(), HostError> {
    let home = layer.base.canonical(&home(name, user));
    if home == "/var" || home.starts_with("/var/") {
        layer.tmpfiles.push(format!("d {home} 0700 {name} {name} -"));
        return Ok(());
    }
    // A home outside /var belongs to nobody until the user exists: root's until then.
    layer.insert(&home, HostEntry { node: Node::Directory, mode: 0o755, uid: 0, gid: 0 })
}

fn keys(layer: &HostLayer<'_>, user: &User, sources: &Sources) -> Result<String, HostError> {
    let mut keys = String::new();
    for key in &user.ssh_keys {
        keys.push_str(key.trim());
        keys.push('\n');
    }
    if let Some(path) = &user.ssh_keys_file {
        let text = String::from_utf8_lossy(read(layer.name, path, sources)?).into_owned();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            keys.push_str(line);
            keys.push('\n');
        }
    }
    Ok(keys)
}
