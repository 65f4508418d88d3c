//! Enabling, disabling and masking units: the links `systemctl` would make, and presets that agree with them.

use std::fmt::Write as _;

use super::{HostError, HostLayer, Node};
use crate::model::UnitName;

/// Where the image ships its units.
const VENDOR: &str = "/usr/lib/systemd/system";
/// Where links of this host go.
const LOCAL: &str = "/etc/systemd/system";

/// Adds links and presets.
pub(super) fn add(layer: &mut HostLayer<'_>) -> Result<(), HostError> {
    let units = &layer.host.units;
    for unit in &units.enable {
        enable(layer, unit)?;
    }
    for unit in &units.disable {
        for link in layer.base.enablement_links(unit) {
            layer.remove(&link)?;
        }
    }
    for unit in &units.mask {
        layer.symlink(&format!("{LOCAL}/{unit}"), "/dev/null")?;
    }
    // systemd applies presets on the first boot; without these lines it would undo the links above.
    let mut presets = String::new();
    for (verb, list) in [("enable", &units.enable), ("disable", &units.disable), ("disable", &units.mask)] {
        for unit in list {
            writeln!(presets, "{verb} {unit}").expect("writing to a string cannot fail");
        }
    }
    if !presets.is_empty() {
        layer.text("/usr/lib/systemd/system-preset/10-imgbuild-host.preset", presets)?;
    }
    Ok(())
}

fn enable(layer: &mut HostLayer<'_>, unit: &UnitName) -> Result<(), HostError> {
    let (text, target) = unit_text(layer, unit)
        .ok_or_else(|| HostError::UnknownUnit { host: layer.name.clone(), unit: unit.clone() })?;
    let links = install_links(unit, &text);
    if links.is_empty() {
        return Err(HostError::NotInstallable { host: layer.name.clone(), unit: unit.clone() });
    }
    for link in links {
        // The image may have it enabled already, or another unit may share an alias.
        if !layer.base.exists(&link) && !layer.entries().contains_key(&link) {
            layer.symlink(&link, &target)?;
        }
    }
    Ok(())
}

/// The unit's text and path, from this host's own files or from the image below.
fn unit_text(layer: &HostLayer<'_>, unit: &UnitName) -> Option<(String, String)> {
    let file = template_of(unit).unwrap_or_else(|| unit.to_string());
    for folder in [LOCAL, VENDOR] {
        let path = format!("{folder}/{file}");
        if let Some(Node::File(bytes)) = layer.entries().get(&path).map(|entry| &entry.node) {
            return Some((String::from_utf8_lossy(bytes).into_owned(), path));
        }
    }
    let text = layer.base.unit(&file.parse().ok()?)?;
    Some((text, format!("{VENDOR}/{file}")))
}

/// `getty@.service` for `getty@tty1.service`.
pub fn template_of(unit: &UnitName) -> Option<String> {
    let (stem, rest) = unit.as_str().split_once('@')?;
    let (instance, suffix) = rest.rsplit_once('.')?;
    (!instance.is_empty()).then(|| format!("{stem}@.{suffix}"))
}

/// The links that [Install] asks for (systemd.unit(5)).
fn install_links(unit: &UnitName, text: &str) -> Vec<String> {
    let mut links = Vec::new();
    for (key, value) in install_section(text) {
        for word in value.split_whitespace() {
            match key {
                "WantedBy" => links.push(format!("{LOCAL}/{word}.wants/{unit}")),
                "RequiredBy" => links.push(format!("{LOCAL}/{word}.requires/{unit}")),
                "UpheldBy" => links.push(format!("{LOCAL}/{word}.upholds/{unit}")),
                "Alias" if word != unit.as_str() => links.push(format!("{LOCAL}/{word}")),
                _ => {}
            }
        }
    }
    links.sort();
    links.dedup();
    links
}

fn install_section(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines()
        .map(str::trim)
        .skip_while(|line| *line != "[Install]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.starts_with(['#', ';']))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim(), value.trim()))
}
