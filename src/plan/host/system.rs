//! Host name, time zone, locale and kernel arguments.

use super::HostError;
use super::entries::HostLayer;

/// Adds them.
pub(super) fn add(layer: &mut HostLayer<'_>) -> Result<(), HostError> {
    let host = layer.host;
    let hostname = host.hostname.as_ref().map_or(layer.name.as_str(), |hostname| hostname.as_str());
    layer.text("/etc/hostname", format!("{hostname}\n"))?;
    if let Some(zone) = &host.timezone {
        if !layer.base.exists(&format!("/usr/share/zoneinfo/{zone}")) {
            return Err(HostError::UnknownTimezone { host: layer.name.clone(), zone: zone.clone() });
        }
        layer.symlink("/etc/localtime", &format!("../usr/share/zoneinfo/{zone}"))?;
    }
    if let Some(locale) = &host.locale {
        layer.text("/etc/locale.conf", format!("LANG={locale}\n"))?;
    }
    if !host.kargs.is_empty() {
        layer.text("/usr/lib/bootc/kargs.d/50-imgbuild-host.toml", crate::plan::kargs_toml(&host.kargs))?;
    }
    Ok(())
}
