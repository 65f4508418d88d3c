//! Unified kernel images: an EFI program with kernel, initramfs and command line in it, and signatures that UEFI's
//! Secure Boot takes.
//!
//! [`Pe`] reads EFI programs, [`unify`] puts a unified image together from the image's own systemd stub, [`sign`] and
//! [`verify`] are Authenticode, and [`enrolment`] makes the files that a firmware in setup mode takes a key from.
//! All of it is bytes in, bytes out, and the same each time: RSA with PKCS#1 v1.5 padding needs no randomness, and
//! nothing is dated but where the caller gives the time.
//!
//! What is read may be anybody's: every number is bounded by the file's length before it is used.
//!
//! Follows Microsoft's PE specification, its note "Windows Authenticode Portable Executable Signature Format", the
//! UEFI specification (32.2 on signatures, 8.2.2 on variables) and the UAPI group's specification of unified images.
//! Only PE32+ is there, because no machine that boots these images has 32-bit firmware.

mod authenticode;
mod enrol;
mod key;
mod message;
mod pe;
mod sbat;
mod unify;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

pub use authenticode::{SignatureError, sign, signer, verify};
pub use enrol::{EnrolmentFile, enrolment};
pub use key::{Certificate, KeyError, SigningKey};
pub use pe::{Pe, PeError, Section};
pub use unify::{UnifyError, UnifyParts, unify};
