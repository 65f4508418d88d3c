//! Network connections, in the language of whatever manages the network in the image below.

use std::fmt::Write as _;

use super::entries::{HostEntry, Node};
use super::{HostError, HostLayer};
use crate::config::Network;
use crate::model::hex;

/// Adds every connection of the host.
pub(super) fn add(layer: &mut HostLayer<'_>) -> Result<(), HostError> {
    let host = layer.host;
    for (name, network) in &host.network {
        if layer.base.exists("/usr/lib/systemd/system/systemd-networkd.service") {
            layer.text(&format!("/etc/systemd/network/20-{name}.network"), networkd(network))?;
        } else if layer.base.exists("/usr/lib/systemd/system/NetworkManager.service") {
            let path = format!("/etc/NetworkManager/system-connections/{name}.nmconnection");
            let node = Node::File(keyfile(layer.name.as_str(), name.as_str(), network).into_bytes());
            // NetworkManager ignores connections that anybody but root can read.
            layer.insert(&path, HostEntry { node, mode: 0o600, uid: 0, gid: 0 })?;
        } else {
            return Err(HostError::NoNetworkManager { host: layer.name.clone(), name: name.to_string() });
        }
    }
    Ok(())
}

/// systemd.network(5).
fn networkd(network: &Network) -> String {
    let mut text = String::from("[Match]\n");
    let mut put = |key: &str, value: &str| writeln!(text, "{key}={value}").expect("writing to a string cannot fail");
    match (&network.interface, &network.mac) {
        (_, Some(mac)) => put("MACAddress", &mac.to_string()),
        (interface, None) => put("Name", interface.as_ref().map_or("*", |pattern| pattern.as_str())),
    }
    if let Some(mtu) = network.mtu {
        put("\n[Link]\nMTUBytes", &mtu.to_string());
    }
    put("\n[Network]\nDHCP", if network.dhcp { "yes" } else { "no" });
    put("IPv6AcceptRA", if network.dhcp { "yes" } else { "no" });
    for (key, values) in [
        ("Address", texts(&network.address)),
        ("Gateway", texts(&network.gateway)),
        ("DNS", texts(&network.dns)),
        ("Domains", texts(&network.domains)),
    ] {
        values.iter().for_each(|value| put(key, value));
    }
    text
}

/// nm-settings-keyfile(5).
fn keyfile(host: &str, name: &str, network: &Network) -> String {
    let mut text = format!("[connection]\nid={name}\nuuid={}\ntype=ethernet\n", uuid(host, name));
    let mut put = |line: String| writeln!(text, "{line}").expect("writing to a string cannot fail");
    match (&network.interface, &network.mac) {
        (Some(interface), None) if interface.as_str().contains('*') => {
            put(format!("\n[match]\ninterface-name={interface};"))
        }
        (Some(interface), None) => put(format!("interface-name={interface}")),
        _ => {}
    }
    put("\n[ethernet]".to_owned());
    if let Some(mac) = &network.mac {
        put(format!("mac-address={mac}"));
    }
    if let Some(mtu) = network.mtu {
        put(format!("mtu={mtu}"));
    }
    for (section, is_family) in [("ipv4", is_v4 as fn(&str) -> bool), ("ipv6", is_v6)] {
        put(format!("\n[{section}]"));
        let of_family = |values: Vec<String>| values.into_iter().filter(|value| is_family(value)).collect::<Vec<_>>();
        let addresses = of_family(texts(&network.address));
        let method = match (network.dhcp, addresses.is_empty()) {
            (true, _) => "auto",
            (false, false) => "manual",
            (false, true) => "disabled",
        };
        put(format!("method={method}"));
        for (number, address) in (1..).zip(&addresses) {
            put(format!("address{number}={address}"));
        }
        if let Some(gateway) = of_family(texts(&network.gateway)).first() {
            put(format!("gateway={gateway}"));
        }
        for (key, values) in [("dns", of_family(texts(&network.dns))), ("dns-search", texts(&network.domains))] {
            if !values.is_empty() {
                put(format!("{key}={};", values.join(";")));
            }
        }
    }
    text
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

fn is_v4(address: &str) -> bool {
    !address.contains(':')
}

fn is_v6(address: &str) -> bool {
    address.contains(':')
}

/// A version-8 (custom) UUID of RFC 9562 from host and connection name: stable over rebuilds, different on each host.
fn uuid(host: &str, name: &str) -> String {
    use sha2::{Digest as _, Sha256};
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Sha256::digest(format!("imgbuild network\0{host}\0{name}"))[..16]);
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let text = hex(&bytes);
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}
