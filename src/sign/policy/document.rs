//! The document as types. Its keys are fixed by containers-policy.json(5).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What all of a scope's images must fulfil: every one of them.
pub type Requirements = Vec<Requirement>;

/// A whole policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// For what no transport has a rule.
    pub default: Requirements,
    /// Rules by transport and scope; the scope `""` is the transport's own default.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub transports: BTreeMap<String, BTreeMap<String, Requirements>>,
}

/// One requirement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Requirement {
    /// Any image is run.
    InsecureAcceptAnything {},
    /// No image is run.
    Reject {},
    /// Signed with OpenPGP, or at least said so: not evaluated here.
    SignedBy(SignedBy),
    /// The base layer is signed: containers/image does not implement it and refuses every image.
    SignedBaseLayer {
        /// Who the base layer's signature must be for.
        base_layer_identity: Identity,
    },
    /// Signed as sigstore does, in the older form.
    SigstoreSigned(Box<SigstoreSigned>),
}

/// Fields of `signedBy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignedBy {
    pub key_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_paths: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_data: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_identity: Option<Identity>,
}

/// Fields of `sigstoreSigned`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the manual page describes the fields")]
pub struct SigstoreSigned {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_paths: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_data: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_datas: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fulcio: Option<Fulcio>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pki: Option<Pki>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rekor_public_key_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rekor_public_key_paths: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rekor_public_key_data: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rekor_public_key_datas: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_identity: Option<Identity>,
}

/// Certificates of a Fulcio.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fulcio {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_data: Option<String>,
    pub oidc_issuer: String,
    pub subject_email: String,
}

/// Certificates of one's own authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pki {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_roots_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_roots_data: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_intermediates_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_intermediates_data: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_hostname: Option<String>,
}

/// Which name the signature must be for.
///
/// cosign signs a repository without a tag. Of these only [`Identity::MatchRepository`] and
/// [`Identity::ExactRepository`] ever accept such a signature; the others, the default among them, ask for a tag or
/// digest in it (containers/image, `policy_reference_match.go`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the manual page describes the fields")]
pub enum Identity {
    /// The image's, tag or digest included.
    MatchExact {},
    /// The image's with its tag; for an image by digest its repository, when the signature names a tag or digest.
    MatchRepoDigestOrExact {},
    /// The image's repository.
    MatchRepository {},
    /// This one.
    ExactReference { docker_reference: String },
    /// This repository.
    ExactRepository { docker_repository: String },
    /// The image's after replacing the beginning, else as [`Identity::MatchRepoDigestOrExact`].
    RemapIdentity { prefix: String, signed_prefix: String },
}
