//! Small parts of the document, each made the same way everywhere.

use std::collections::BTreeMap;

use cyclonedx_bom::external_models::normalized_string::NormalizedString;
use cyclonedx_bom::external_models::uri::{Purl, Uri};
use cyclonedx_bom::models::component::{Classification, Component};
use cyclonedx_bom::models::external_reference::{ExternalReference, ExternalReferenceType, ExternalReferences};
use cyclonedx_bom::models::hash::{Hash, HashAlgorithm, HashValue, Hashes};
use cyclonedx_bom::models::license::{LicenseChoice, Licenses};
use cyclonedx_bom::models::organization::{OrganizationalContact, OrganizationalEntity};
use cyclonedx_bom::models::property::{Properties, Property};

use super::super::catalogue::Digests;
use super::super::licence;
use super::super::purl::PackageUrl;
use super::facts::LayerFacts;

/// Properties under construction: sorted by name.
pub(super) type Pairs = BTreeMap<String, String>;

pub(super) fn component(kind: Classification, reference: &str, name: &str, version: &str) -> Component {
    Component::new(kind, name, version, Some(reference.to_owned()))
}

pub(super) fn purl(url: &PackageUrl) -> Option<Purl> {
    // It never fails: the crate only wraps the text.
    url.to_string().parse().ok()
}

pub(super) fn hashes(sha256: Option<&str>, sha512: Option<&str>) -> Option<Hashes> {
    let hash = |alg, content: &str| Hash { alg, content: HashValue(content.to_owned()) };
    let both =
        [sha256.map(|hex| hash(HashAlgorithm::SHA_256, hex)), sha512.map(|hex| hash(HashAlgorithm::SHA_512, hex))];
    let all: Vec<Hash> = both.into_iter().flatten().collect();
    (!all.is_empty()).then_some(Hashes(all))
}

pub(super) fn digests(digests: &Digests) -> Option<Hashes> {
    hashes(Some(&digests.sha256), Some(&digests.sha512))
}

pub(super) fn licences(expression: &str) -> Licenses {
    // Not an identifier of the list, so it cannot be an expression.
    let choice = match expression {
        licence::UNKNOWN => LicenseChoice::license(licence::UNKNOWN),
        expression => LicenseChoice::expression(expression),
    };
    Licenses(vec![choice])
}

pub(super) fn properties(pairs: Pairs) -> Option<Properties> {
    let all: Vec<Property> = pairs.into_iter().map(|(name, value)| Property::new(name, &value)).collect();
    (!all.is_empty()).then_some(Properties(all))
}

/// Which layer, and which tier with it, brought something.
pub(super) fn origin(pairs: &mut Pairs, layers: &[LayerFacts], layer: usize) {
    let Some(facts) = layers.get(layer) else { return };
    pairs.insert("imgbuild:layer".to_owned(), facts.digest.to_string());
    if let Some(tier) = facts.tier {
        pairs.insert("imgbuild:tier".to_owned(), tier.number().to_string());
    }
}

/// What BSI TR-03183-2 wants to know of a deployed file, in its own taxonomy.
pub(super) fn bsi(pairs: &mut Pairs, file: &str, executable: bool, archive: bool) {
    let mut set = |name: &str, value: &str| pairs.insert(format!("bsi:component:{name}"), value.to_owned());
    set("filename", file);
    set("executable", if executable { "executable" } else { "non-executable" });
    set("archive", if archive { "archive" } else { "no archive" });
    set("structured", if archive { "structured" } else { "unstructured" });
}

/// An organisation with its page and a contact of the form `Name <address>`.
pub(super) fn organisation(name: &str, url: Option<&str>, contact: Option<&str>) -> OrganizationalEntity {
    let mut entity = OrganizationalEntity::new(NormalizedString::new(name).as_ref());
    entity.url = url.filter(|url| is_web(url)).map(|url| vec![Uri::new(url)]);
    entity.contact = contact.filter(|text| !is_web(text)).map(|contact| vec![self::contact(contact)]);
    entity
}

/// A person or team of the form `Name <address>`.
pub(super) fn contact(text: &str) -> OrganizationalContact {
    let (name, address) = match text.split_once('<') {
        Some((name, rest)) => (name.trim(), rest.split('>').next().map(str::trim)),
        None if text.contains('@') => ("", Some(text.trim())),
        None => (text.trim(), None),
    };
    let mut contact = OrganizationalContact::new(name, address.filter(|address| is_mail(address)));
    contact.name = contact.name.filter(|name| !name.is_empty());
    contact
}

/// Name of a maintainer without the address.
pub(super) fn person(text: &str) -> &str {
    text.split('<').next().unwrap_or(text).trim().trim_matches('"')
}

fn is_mail(text: &str) -> bool {
    let well_formed = |part: &str| !part.is_empty() && !part.contains(char::is_whitespace);
    text.split_once('@').is_some_and(|(user, host)| well_formed(user) && well_formed(host) && !host.contains('@'))
}

/// Whether it can stand where the schema wants an address.
pub(super) fn is_web(text: &str) -> bool {
    (text.starts_with("https://") || text.starts_with("http://"))
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte))
}

pub(super) fn references(list: Vec<(ExternalReferenceType, String)>) -> Option<ExternalReferences> {
    let all: Vec<_> = list.into_iter().map(|(kind, url)| ExternalReference::new(kind, Uri::new(&url))).collect();
    (!all.is_empty()).then_some(ExternalReferences(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contacts_are_read_as_people_write_them() {
        let shown = |text: &str| {
            let contact = contact(text);
            (contact.name.map(String::from), contact.email.map(String::from))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(shown("A Team <team@example.org>"), (some("A Team"), some("team@example.org")));
        assert_eq!(shown("team@example.org"), (None, some("team@example.org")));
        assert_eq!(shown("A Team"), (some("A Team"), None));
        assert_eq!(shown("A <not an address>"), (some("A"), None));
    }

    #[test]
    fn only_web_addresses_are_references() {
        assert!(is_web("https://example.org/a?b=c#d"));
        for text in ["example.org", "https://a b", "https://{x}", "ftp://x", ""] {
            assert!(!is_web(text), "{text}");
        }
    }
}
