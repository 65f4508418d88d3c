//! Package URLs, after the purl specification (PURL-SPECIFICATION.rst): the canonical form only.

use std::collections::BTreeMap;
use std::fmt;

/// A package URL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageUrl {
    kind: String,
    namespace: Option<String>,
    name: String,
    version: String,
    qualifiers: BTreeMap<String, String>,
}

impl PackageUrl {
    /// A package URL without qualifiers.
    pub fn new(kind: &str, namespace: Option<&str>, name: &str, version: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
            version: version.to_owned(),
            qualifiers: BTreeMap::new(),
        }
    }

    /// Adds a qualifier; an empty value is the same as none.
    #[must_use]
    pub fn qualifier(mut self, key: &str, value: &str) -> Self {
        if !value.is_empty() {
            self.qualifiers.insert(key.to_owned(), value.to_owned());
        }
        self
    }

    /// Reads one; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("pkg:")?;
        let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (kind, path) = rest.trim_start_matches('/').split_once('/')?;
        let (path, version) = match path.rsplit_once('@') {
            Some((path, version)) => (path, decode(version)?),
            None => (path, String::new()),
        };
        let (namespace, name) = match path.rsplit_once('/') {
            Some((namespace, name)) => (Some(decode(namespace)?), name),
            None => (None, path),
        };
        let mut purl = Self::new(kind, namespace.as_deref(), &decode(name)?, &version);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=')?;
            purl = purl.qualifier(key, &decode(value)?);
        }
        (!purl.name.is_empty()).then_some(purl)
    }

    /// Type, such as `deb`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Version; empty when there is none.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Value of a qualifier.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.qualifiers.get(key).map(String::as_str)
    }
}

impl fmt::Display for PackageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pkg:{}/", self.kind)?;
        for segment in self.namespace.iter().flat_map(|namespace| namespace.split('/')) {
            write!(f, "{}/", encode(segment))?;
        }
        write!(f, "{}", encode(&self.name))?;
        if !self.version.is_empty() {
            write!(f, "@{}", encode(&self.version))?;
        }
        for (number, (key, value)) in self.qualifiers.iter().enumerate() {
            write!(f, "{}{key}={}", if number == 0 { '?' } else { '&' }, encode(value))?;
        }
        Ok(())
    }
}

/// Percent-encodes all but the unreserved characters and the colon, which the specification leaves as it is.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As syft 1.18.1 wrote them.
    const REAL: [&str; 5] = [
        "pkg:deb/debian/bsdutils@1:2.41.5-0%2Bdeb13u1?arch=amd64&distro=debian-13&upstream=util-linux%402.41.5-0%2Bdeb13u1",
        "pkg:deb/debian/bash@5.2.37-2%2Bb10?arch=amd64&distro=debian-13&upstream=bash%405.2.37-2",
        "pkg:generic/linux-kernel@6.12.117%2Bdeb13-cloud-amd64",
        "pkg:deb/debian/adduser@3.152?arch=all&distro=debian-13",
        "pkg:apk/alpine/busybox@1.36.1-r29?arch=x86_64&distro=alpine-3.20.3",
    ];

    #[test]
    fn text_that_is_read_is_written_again() {
        for text in REAL {
            assert_eq!(PackageUrl::parse(text).unwrap().to_string(), text);
        }
        let purl = PackageUrl::parse(REAL[0]).unwrap();
        assert_eq!((purl.kind(), purl.name(), purl.version()), ("deb", "bsdutils", "1:2.41.5-0+deb13u1"));
        assert_eq!(purl.get("upstream"), Some("util-linux@2.41.5-0+deb13u1"));
    }

    #[test]
    fn what_is_no_package_url_is_refused() {
        for text in ["", "pkg:", "pkg:deb", "npm/x@1", "pkg:deb/x@%4", "pkg:deb/x@1?arch", "pkg:deb/@1"] {
            assert_eq!(PackageUrl::parse(text), None, "{text}");
        }
    }
}
