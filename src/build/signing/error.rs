//! What can go wrong around keys, signatures and policies.

use cap_std::fs_utf8::camino::Utf8PathBuf;

use crate::sign::policy::{PolicyError, TargetError};
use crate::sign::{IdentityError, KeyError, SignError, TokenError};

/// Signing, verifying or judging by a policy failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum SigningError {
    #[error("`{path}` is no key that can be used")]
    Key { path: Utf8PathBuf, source: KeyError },
    #[error("asking for the passphrase of `{path}`; IMGBUILD_KEY_PASSPHRASE gives it without a terminal")]
    Ask { path: Utf8PathBuf, source: std::io::Error },
    #[error("`{path}`")]
    Identity { path: Utf8PathBuf, source: IdentityError },
    #[error("SIGSTORE_ID_TOKEN is not set; in .gitlab-ci.yml: `id_tokens: {{SIGSTORE_ID_TOKEN: {{aud: sigstore}}}}`")]
    NoToken,
    #[error("nobody would issue a certificate for the token in SIGSTORE_ID_TOKEN")]
    Token(#[source] TokenError),
    #[error("the two passphrases differ")]
    PassphrasesDiffer,
    #[error("`{path}` is there already; keys are never overwritten")]
    KeyExists { path: Utf8PathBuf },
    #[error("drawing random bytes")]
    Random(#[source] std::io::Error),
    #[error("`{image}`")]
    Sign { image: String, source: SignError },
    #[error(
        "`{image}`: signatures are read and written only in the store and in oci: layouts; copy it to one together with what refers to it (`oras cp -r`)"
    )]
    NotInALayout { image: String },
    #[error("`{image}`: it must be told which image of the layout; there are: {}", names.join(", "))]
    NotOneImage { image: String, names: Vec<String> },
    #[error(
        "`{image}`: a signature says for which repository it is; give --repository, or `to` in [publish] of imgbuild.toml"
    )]
    NoRepository { image: String },
    #[error("`{text}` is no repository with its registry, without a tag")]
    Repository { text: String },
    #[error("`{path}` is no policy: every pull on a host with it would fail")]
    Policy { path: Utf8PathBuf, source: PolicyError },
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error("imgbuild.toml has no [policy]")]
    NoPolicy,
    #[error("the policy that was made is not one that hosts read")]
    OwnPolicy(#[source] PolicyError),
    #[error("`{host}` writes `{path}` itself, which [policy] makes; remove one of them")]
    PolicyFileTwice { host: String, path: String },
    #[error("`{image}` is no image that this project builds from its lock: how it was made is not known")]
    NoProvenance { image: String },
    #[error("`{image}` was built from another lock than the one here; build it again, then attest")]
    OtherLock { image: String },
}

impl SigningError {
    /// Whether somebody was asked and stopped the program instead.
    pub(in crate::build) fn is_interruption(&self) -> bool {
        matches!(self, Self::Ask { source, .. } if source.kind() == std::io::ErrorKind::Interrupted)
    }
}
