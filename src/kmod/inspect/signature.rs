//! The signature appended to a module, after the kernel's `include/linux/module_signature.h`.

use super::InspectError;

/// Last bytes of a signed module.
const MAGIC: &[u8] = b"~Module signature appended~\n";

/// Length of the kernel's `struct module_signature`, which stands before [`MAGIC`].
const TRAILER: usize = 12;

/// Where the appended signature lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignatureTail {
    /// Length of the module without it; what is signed.
    pub signed_bytes: u64,
    /// Length of the signature itself, the bytes after those.
    pub signature_bytes: u64,
    /// `id_type` of the trailer: 2 for PKCS#7, the only one kernels accept today.
    pub id_type: u8,
}

/// Takes the signature off a decompressed module.
pub(super) fn split(module: &[u8]) -> Result<(&[u8], Option<SignatureTail>), InspectError> {
    let Some(rest) = module.strip_suffix(MAGIC) else { return Ok((module, None)) };
    let present = rest.len() as u64;
    let damaged = |claimed| InspectError::Signature { claimed, present };
    let (rest, trailer) = rest.split_last_chunk::<TRAILER>().ok_or(damaged(TRAILER as u64))?;
    let [_algo, _hash, id_type, signer, key_id, _, _, _, length @ ..] = *trailer;
    // For PKCS#7 the lengths of signer and key id are zero; older kernels stored both in front of the signature.
    let claimed = u64::from(u32::from_be_bytes(length)) + u64::from(signer) + u64::from(key_id);
    let signed = usize::try_from(claimed).ok().and_then(|claimed| rest.len().checked_sub(claimed));
    let signed = signed.ok_or(damaged(claimed))?;
    let tail = SignatureTail { signed_bytes: signed as u64, signature_bytes: claimed, id_type };
    Ok((&rest[..signed], Some(tail)))
}
