//! Whether what is kept beside an image is a signature or attestation of it, made by one of the given keys.

use oci_spec::image::Digest;
use serde::{Serialize, Serializer};
use sigstore_types::bundle::SignatureContent;
use sigstore_types::{Bundle, DsseEnvelope};

use super::attached::{Attached, SimpleSignature};
use super::bundle::{Maker, SIGNATURE, maker};
use super::dsse::{DsseError, open_envelope};
use super::error::SignError;
use super::identity::{Found, TrustedIdentity};
use super::key::PublicKey;
use super::simple::Payload;
use super::statement::Statement;
use crate::oci::Layout;

/// The form something signed is kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// Simple signing, under the tag `….sig`.
    Simple,
    /// An envelope, under the tag `….att`.
    Envelope,
    /// A bundle that refers to the image.
    Bundle,
}

impl Form {
    /// As it is shown in lists.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Envelope => "envelope",
            Self::Bundle => "bundle",
        }
    }
}

/// One signature or attestation and what it is worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Record {
    /// Digest of the artifact, or of the layer where several share a tag.
    #[serde(serialize_with = "as_text")]
    pub digest: Digest,
    /// How it is kept.
    pub form: Form,
    /// What is said about the image; that of a signature is [`SIGNATURE`] in either form.
    pub predicate_type: Option<String>,
    /// The repositories it was meant for, as far as it says.
    pub names: Vec<String>,
    /// Who made it, when it is one of those asked for.
    pub signer: Option<Signer>,
    /// Why it proves nothing.
    #[serde(serialize_with = "as_optional_text")]
    pub refused: Option<Refusal>,
}

/// Who made something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signer {
    /// Who has the key with this fingerprint.
    Key(String),
    /// Somebody for whom an issuer vouched.
    Identity {
        /// The subject of the certificate.
        subject: String,
        /// The address of the issuer.
        issuer: String,
    },
}

impl std::fmt::Display for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key(fingerprint) => write!(f, "key {fingerprint}"),
            Self::Identity { subject, issuer } => write!(f, "{subject} of {issuer}"),
        }
    }
}

/// Whose signatures are asked for: any of them.
#[derive(Debug, Default)]
pub struct Signers {
    /// Keys.
    pub keys: Vec<PublicKey>,
    /// An identity.
    pub identity: Option<TrustedIdentity>,
}

impl From<Vec<PublicKey>> for Signers {
    fn from(keys: Vec<PublicKey>) -> Self {
        Self { keys, identity: None }
    }
}

/// Why something proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum Refusal {
    /// It is damaged.
    #[error("cannot be read: {reason}")]
    Unreadable { reason: String },
    /// There is no signature in it.
    #[error("holds no signature")]
    NoSignature,
    /// It was made by an identity.
    #[error("made with a certificate, not with a key")]
    Certificate,
    /// It was made by an identity, in a form in which that is not verified here.
    #[error("made with a certificate in the older form, which is not evaluated")]
    OldCertificate,
    /// It was not made by the identity that is wanted, or does not prove it.
    #[error("not by the identity that is wanted: {reason}")]
    Identity { reason: String },
    /// None of the keys made it.
    #[error("made by none of the keys")]
    NoKey,
    /// It is about something else.
    #[error("is about {found}")]
    OtherImage { found: String },
}

fn as_text<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(digest)
}

#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn as_optional_text<S: Serializer>(refusal: &Option<Refusal>, serializer: S) -> Result<S::Ok, S::Error> {
    match refusal {
        Some(refusal) => serializer.collect_str(refusal),
        None => serializer.serialize_none(),
    }
}

impl Record {
    /// Whether one of the keys made it about this image.
    pub fn is_verified(&self) -> bool {
        self.refused.is_none()
    }

    /// Whether it is a signature, not an attestation.
    pub fn is_signature(&self) -> bool {
        self.predicate_type.as_deref() == Some(SIGNATURE)
    }

    /// Whether it can be read as a bundle at all: what decides for cosign 3 where to look.
    pub(super) fn is_readable_bundle(&self) -> bool {
        self.form == Form::Bundle && !matches!(self.refused, Some(Refusal::Unreadable { .. }))
    }

    fn new(digest: &Digest, form: Form, judged: Judged) -> Self {
        let Judged { predicate_type, names, result } = judged;
        let (signer, refused) = match result {
            Ok(signer) => (Some(signer), None),
            Err(refusal) => (None, Some(refusal)),
        };
        Self { digest: digest.clone(), form, predicate_type, names, signer, refused }
    }
}

/// What was found out about one of them.
#[derive(Debug)]
struct Judged {
    predicate_type: Option<String>,
    names: Vec<String>,
    result: Result<Signer, Refusal>,
}

impl Judged {
    fn refused(refusal: Refusal) -> Self {
        Self { predicate_type: None, names: Vec::new(), result: Err(refusal) }
    }
}

/// Judges everything that is kept beside an image.
///
/// # Errors
/// When the layout cannot be read. What proves nothing is no error.
pub fn judge(layout: &Layout, image: &Digest, signers: &Signers) -> Result<Vec<Record>, SignError> {
    let attached = Attached::read(layout, image)?;
    let simple =
        attached.simple.iter().map(|found| Record::new(&found.digest, Form::Simple, signature(found, image, signers)));
    let envelopes = attached.envelopes.iter().map(|(digest, envelope)| {
        let judged = match envelope {
            Ok(found) => statement(found, image, &signers.keys),
            Err(reason) => Judged::refused(Refusal::Unreadable { reason: reason.clone() }),
        };
        Record::new(digest, Form::Envelope, judged)
    });
    let bundles = attached.bundles.iter().map(|(digest, found)| {
        let judged = match found {
            Ok(found) => bundle(found, image, signers),
            Err(reason) => Judged::refused(Refusal::Unreadable { reason: reason.clone() }),
        };
        Record::new(digest, Form::Bundle, judged)
    });
    Ok(simple.chain(envelopes).chain(bundles).collect())
}

fn signature(found: &SimpleSignature, image: &Digest, signers: &Signers) -> Judged {
    let payload = match &found.payload {
        Ok(payload) => payload,
        Err(reason) => return Judged::refused(Refusal::Unreadable { reason: reason.clone() }),
    };
    let Some(said) = Payload::parse(payload) else {
        return Judged::refused(Refusal::Unreadable { reason: "not a signature of an image".to_owned() });
    };
    let made_by = |signature: &Vec<u8>| signers.keys.iter().find(|key| key.verifies(payload, signature));
    let result = match &found.signature {
        None => Err(Refusal::NoSignature),
        Some(signature) => match made_by(signature) {
            None if found.has_certificate && signers.identity.is_some() => Err(Refusal::OldCertificate),
            None if found.has_certificate => Err(Refusal::Certificate),
            None => Err(Refusal::NoKey),
            Some(_) if said.image() != image.to_string() => Err(Refusal::OtherImage { found: said.image().to_owned() }),
            Some(key) => Ok(Signer::Key(key.fingerprint())),
        },
    };
    Judged { predicate_type: Some(SIGNATURE.to_owned()), names: vec![said.reference().to_owned()], result }
}

fn bundle(found: &Bundle, image: &Digest, signers: &Signers) -> Judged {
    let SignatureContent::DsseEnvelope(envelope) = &found.content else {
        return Judged::refused(Refusal::OtherImage { found: "a file, not an image".to_owned() });
    };
    let judged = statement(envelope, image, &signers.keys);
    if judged.result != Err(Refusal::NoKey) || maker(found) == Maker::Key {
        return judged;
    }
    let result = match &signers.identity {
        None => Err(Refusal::Certificate),
        Some(identity) => identity
            .verify(found, image)
            .map(|Found { subject, issuer }| Signer::Identity { subject, issuer })
            .map_err(|reason| Refusal::Identity { reason }),
    };
    Judged { result, ..judged }
}

fn statement(envelope: &DsseEnvelope, image: &Digest, keys: &[PublicKey]) -> Judged {
    let opened = open_envelope(envelope, keys);
    // What nobody vouches for is still shown, as a claim.
    let said = match Statement::parse(envelope.payload.as_bytes()) {
        Ok(said) => said,
        Err(error) => return Judged::refused(Refusal::Unreadable { reason: error.to_string() }),
    };
    let names = said.names_of(image);
    let result = match opened {
        Err(_) if envelope.signature.sig.is_empty() => Err(Refusal::NoSignature),
        Err(DsseError::NoKey) => Err(Refusal::NoKey),
        Err(error @ DsseError::PayloadType { .. }) => Err(Refusal::Unreadable { reason: error.to_string() }),
        Ok(_) if names.is_none() => Err(Refusal::OtherImage { found: about(&said) }),
        Ok((_, key)) => Ok(Signer::Key(key.fingerprint())),
    };
    let names = names.unwrap_or_default().into_iter().filter(|name| !name.is_empty()).map(str::to_owned).collect();
    Judged { predicate_type: Some(said.predicate_type), names, result }
}

fn about(statement: &Statement) -> String {
    let digests = statement.subject.iter().flat_map(|subject| &subject.digest);
    let text: Vec<_> = digests.take(3).map(|(algorithm, hex)| format!("{algorithm}:{hex}")).collect();
    if text.is_empty() { "nothing".to_owned() } else { text.join(", ") }
}
