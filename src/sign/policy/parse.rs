//! Reading a policy as strictly as containers/image does: no unknown, repeated or empty thing, no `null`.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::document::{Fulcio, Identity, Pki, Policy, Requirement, Requirements, SignedBy, SigstoreSigned};
use super::scope::Transport;

/// No policy is larger.
const LIMIT: usize = 4 << 20;

/// A policy that a host would not read: every pull on it would fail.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum PolicyError {
    /// It is far too large.
    #[error("larger than {LIMIT} bytes")]
    TooLarge,
    /// It is not JSON of that form.
    #[error("not a policy")]
    Malformed(#[source] serde_json::Error),
    /// A value that is fine as JSON is not allowed there.
    #[error("{at}: {reason}")]
    Invalid { at: String, reason: String },
}

/// A map in which no key comes twice; serde takes the last without a word.
struct UniqueKeys<T>(BTreeMap<String, T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for UniqueKeys<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Keys<T> {
            type Value = UniqueKeys<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
                let mut map = BTreeMap::new();
                while let Some((key, value)) = access.next_entry::<String, T>()? {
                    if map.insert(key.clone(), value).is_some() {
                        return Err(de::Error::custom(format_args!("duplicate key `{key}`")));
                    }
                }
                Ok(UniqueKeys(map))
            }
        }
        deserializer.deserialize_map(Keys(std::marker::PhantomData))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    default: Requirements,
    #[serde(default)]
    transports: Option<UniqueKeys<UniqueKeys<Requirements>>>,
}

/// Reads a policy.
///
/// # Errors
/// The first thing that containers/image would refuse.
pub fn parse_policy(bytes: &[u8]) -> Result<Policy, PolicyError> {
    if bytes.len() > LIMIT {
        return Err(PolicyError::TooLarge);
    }
    let value: Value = serde_json::from_slice(bytes).map_err(PolicyError::Malformed)?;
    no_null(&value, "policy")?;
    let document: Document = serde_json::from_slice(bytes).map_err(PolicyError::Malformed)?;
    let transports = document.transports.map(|map| map.0).unwrap_or_default();
    let transports: BTreeMap<_, _> = transports.into_iter().map(|(name, scopes)| (name, scopes.0)).collect();
    let policy = Policy { default: document.default, transports };
    check(&policy)?;
    Ok(policy)
}

fn invalid(at: &str, reason: impl Into<String>) -> PolicyError {
    PolicyError::Invalid { at: at.to_owned(), reason: reason.into() }
}

fn no_null(value: &Value, at: &str) -> Result<(), PolicyError> {
    match value {
        Value::Null => Err(invalid(at, "`null` is no value here")),
        Value::Array(items) => items.iter().try_for_each(|item| no_null(item, at)),
        Value::Object(map) => map.iter().try_for_each(|(key, item)| no_null(item, &format!("{at}.{key}"))),
        _ => Ok(()),
    }
}

fn check(policy: &Policy) -> Result<(), PolicyError> {
    requirements(&policy.default, "default")?;
    for (transport, scopes) in &policy.transports {
        for (scope, wanted) in scopes {
            let at = format!("{transport}:{scope}");
            if let Some(transport) = Transport::of_name(transport).filter(|_| !scope.is_empty()) {
                transport.check_scope(scope).map_err(|reason| invalid(&at, reason))?;
            }
            requirements(wanted, &at)?;
        }
    }
    Ok(())
}

fn requirements(wanted: &Requirements, at: &str) -> Result<(), PolicyError> {
    if wanted.is_empty() {
        return Err(invalid(at, "the list of requirements is empty"));
    }
    wanted.iter().try_for_each(|requirement| match requirement {
        Requirement::InsecureAcceptAnything {} | Requirement::Reject {} => Ok(()),
        Requirement::SignedBy(signed) => signed_by(signed, at),
        Requirement::SignedBaseLayer { base_layer_identity } => identity(base_layer_identity, at),
        Requirement::SigstoreSigned(signed) => sigstore_signed(signed, at),
    })
}

/// How many of some alternatives are given; an empty text counts as none.
fn given(texts: &[&Option<String>], lists: &[&Option<Vec<String>>]) -> usize {
    let texts = texts.iter().filter(|text| text.as_ref().is_some_and(|text| !text.is_empty())).count();
    texts + lists.iter().filter(|list| list.is_some()).count()
}

fn signed_by(signed: &SignedBy, at: &str) -> Result<(), PolicyError> {
    const KINDS: [&str; 4] = ["GPGKeys", "signedByGPGKeys", "X509Certificates", "signedByX509CAs"];
    if !KINDS.contains(&signed.key_type.as_str()) {
        return Err(invalid(at, format!("unknown keyType `{}`", signed.key_type)));
    }
    if given(&[&signed.key_path, &signed.key_data], &[&signed.key_paths]) != 1 {
        return Err(invalid(at, "give exactly one of keyPath, keyPaths and keyData"));
    }
    signed.signed_identity.iter().try_for_each(|wanted| identity(wanted, at))
}

fn sigstore_signed(signed: &SigstoreSigned, at: &str) -> Result<(), PolicyError> {
    let SigstoreSigned { key_path, key_paths, key_data, key_datas, fulcio, pki, .. } = signed;
    let authorities = usize::from(fulcio.is_some()) + usize::from(pki.is_some());
    if given(&[key_path, key_data], &[key_paths, key_datas]) + authorities != 1 {
        return Err(invalid(at, "give exactly one of keyPath, keyPaths, keyData, keyDatas, fulcio and pki"));
    }
    let lists = [key_paths, key_datas, &signed.rekor_public_key_paths, &signed.rekor_public_key_datas];
    if lists.iter().any(|list| list.as_ref().is_some_and(Vec::is_empty)) {
        return Err(invalid(at, "a list of keys is empty"));
    }
    let rekor = given(
        &[&signed.rekor_public_key_path, &signed.rekor_public_key_data],
        &[&signed.rekor_public_key_paths, &signed.rekor_public_key_datas],
    );
    match rekor {
        0 if fulcio.is_some() => return Err(invalid(at, "fulcio asks for a public key of Rekor")),
        1 if pki.is_some() => return Err(invalid(at, "pki takes no public key of Rekor")),
        0 | 1 => {}
        _ => return Err(invalid(at, "give at most one of the four public keys of Rekor")),
    }
    fulcio.iter().try_for_each(|fulcio| check_fulcio(fulcio, at))?;
    pki.iter().try_for_each(|pki| check_pki(pki, at))?;
    signed.signed_identity.iter().try_for_each(|wanted| identity(wanted, at))
}

fn check_fulcio(fulcio: &Fulcio, at: &str) -> Result<(), PolicyError> {
    if given(&[&fulcio.ca_path, &fulcio.ca_data], &[]) != 1 {
        return Err(invalid(at, "fulcio: give one of caPath and caData"));
    }
    if fulcio.oidc_issuer.is_empty() || fulcio.subject_email.is_empty() {
        return Err(invalid(at, "fulcio: oidcIssuer and subjectEmail must not be empty"));
    }
    Ok(())
}

fn check_pki(pki: &Pki, at: &str) -> Result<(), PolicyError> {
    if given(&[&pki.ca_roots_path, &pki.ca_roots_data], &[]) != 1 {
        return Err(invalid(at, "pki: give one of caRootsPath and caRootsData"));
    }
    if given(&[&pki.ca_intermediates_path, &pki.ca_intermediates_data], &[]) > 1 {
        return Err(invalid(at, "pki: give at most one of caIntermediatesPath and caIntermediatesData"));
    }
    if given(&[&pki.subject_email, &pki.subject_hostname], &[]) == 0 {
        return Err(invalid(at, "pki: give subjectEmail, subjectHostname or both"));
    }
    Ok(())
}

fn identity(wanted: &Identity, at: &str) -> Result<(), PolicyError> {
    let named = |text: &str| text.parse::<crate::model::Reference>().is_ok();
    let reason = match wanted {
        Identity::ExactReference { docker_reference } if !named(docker_reference) => "dockerReference is no reference",
        // A tag or digest stands behind the last slash.
        Identity::ExactReference { docker_reference }
            if !docker_reference.rsplit('/').next().unwrap_or_default().contains([':', '@']) =>
        {
            "dockerReference has neither tag nor digest"
        }
        Identity::ExactRepository { docker_repository } if !named(docker_repository) => {
            "dockerRepository is no repository"
        }
        Identity::RemapIdentity { prefix, signed_prefix } if prefix.is_empty() || signed_prefix.is_empty() => {
            "prefix and signedPrefix must not be empty"
        }
        _ => return Ok(()),
    };
    Err(invalid(at, reason))
}
