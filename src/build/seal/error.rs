//! Why an image was not sealed.

use cap_std::fs_utf8::camino::Utf8PathBuf;

use crate::disk::boot::{ComposefsId, Unbootable};
use crate::disk::composefs::ComposefsError;
use crate::disk::uki::{KeyError, SignatureError, UnifyError};
use crate::model::UnknownMachine;
use crate::oci::InitramfsError;

/// An image that was not sealed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum SealError {
    /// Layers are added to what is there.
    #[error("`{image}` is not in the store; only images of the store are sealed")]
    NotInStore { image: String },
    /// What was sealed would be gone.
    #[error("the sealed image needs another name than `{name}`")]
    SameName { name: String },
    /// Key and certificate do not do.
    #[error("`{path}` seals nothing")]
    Key { path: Utf8PathBuf, source: KeyError },
    /// Nobody makes firmware for it.
    #[error("`{image}` cannot be sealed")]
    Machine { image: String, source: UnknownMachine },
    /// It would not boot, or lacks what sealing takes.
    #[error("`{image}` cannot be sealed")]
    Unbootable { image: String, source: Unbootable },
    /// The initramfs decides whether the image boots.
    #[error("the initramfs of `{image}` cannot be read")]
    Initramfs { image: String, source: InitramfsError },
    /// The id of what is mounted cannot be computed.
    #[error("the composefs id of `{image}` cannot be computed")]
    Composefs { image: String, source: ComposefsError },
    /// Kernel and stub do not go together.
    #[error("no unified kernel can be made of `{image}`")]
    Unify { image: String, source: UnifyError },
    /// Something could not be signed.
    #[error("{what} could not be signed")]
    Signature { what: String, source: SignatureError },
    /// It was sealed by something else.
    #[error("`{image}` has no unified kernel that names its id")]
    Unified { image: String },
    /// A fault of this program.
    #[error("the sealed image has the id {found} instead of {expected}: this is a fault of imgbuild")]
    IdMoved { expected: ComposefsId, found: ComposefsId },
}

impl SealError {
    /// Whether the image is what is in the way.
    pub fn is_unbootable(&self) -> bool {
        matches!(self, Self::Unbootable { .. } | Self::Initramfs { .. } | Self::Machine { .. })
    }
}
