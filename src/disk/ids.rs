//! Every identifier of a disk, derived from what the disk is made of.
//!
//! Random identifiers would make two disks of the same image differ; fixed ones
//! would make two disks in one machine indistinguishable. So they are hashes of
//! the image's digest and the host's name:
//!
//! ```text
//! SHA-256( "imgbuild disk identifier 1" 00
//!          length(image) image  length(host) host  length(purpose) purpose )
//! ```
//!
//! with lengths as 8 bytes, little endian. The first 16 bytes become a UUID of
//! version 8, which [RFC 9562] leaves to applications: bits 48 to 51 are set to
//! 8 and bits 64 and 65 to the variant, the other 122 stay. The FAT serial number
//! is the first 4 bytes. Changing anything here changes every disk.
//!
//! [RFC 9562]: https://www.rfc-editor.org/rfc/rfc9562#section-5.8

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::model::{Digest, HostName};

const DOMAIN: &[u8] = b"imgbuild disk identifier 1\0";

/// Where the identifiers of one disk come from.
#[derive(Debug, Clone)]
pub struct DiskIds {
    seed: Sha256,
}

impl DiskIds {
    /// The identifiers of the disk of `image`, for `host` where it is made for one.
    pub fn new(image: &Digest, host: Option<&HostName>) -> Self {
        let mut seed = Sha256::new();
        seed.update(DOMAIN);
        add(&mut seed, image.as_ref());
        add(&mut seed, host.map_or("", |host| host.as_str()));
        Self { seed }
    }

    /// GUID of the disk, in the partition table's header.
    pub fn disk(&self) -> Uuid {
        self.uuid("disk")
    }

    /// GUID of the partition with this name.
    pub fn partition(&self, name: &str) -> Uuid {
        self.uuid(&format!("partition {name}"))
    }

    /// UUID of the file system on the partition with this name.
    pub fn file_system(&self, name: &str) -> Uuid {
        self.uuid(&format!("file system {name}"))
    }

    /// Seed of the directory hashes of the file system on the partition with this name.
    pub fn hash_seed(&self, name: &str) -> Uuid {
        self.uuid(&format!("hash seed {name}"))
    }

    /// Serial number of the FAT file system on the partition with this name.
    pub fn fat_serial(&self, name: &str) -> u32 {
        let [a, b, c, d, ..] = self.hash(&format!("FAT serial {name}"));
        u32::from_le_bytes([a, b, c, d])
    }

    fn uuid(&self, purpose: &str) -> Uuid {
        let mut head = [0; 16];
        head.copy_from_slice(&self.hash(purpose)[..16]);
        uuid::Builder::from_custom_bytes(head).into_uuid()
    }

    fn hash(&self, purpose: &str) -> [u8; 32] {
        let mut hash = self.seed.clone();
        add(&mut hash, purpose);
        hash.finalize().into()
    }
}

/// With its length in front, so that no two lists of texts hash alike.
fn add(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn ids(digit: char, host: Option<&str>) -> DiskIds {
        let image: Digest = format!("sha256:{}", digit.to_string().repeat(64)).parse().unwrap();
        DiskIds::new(&image, host.map(|host| host.parse().unwrap()).as_ref())
    }

    #[test]
    fn values_never_change() {
        // Made with Python's hashlib and struct from the formula above.
        let ids = ids('a', Some("edge-1"));
        assert_eq!(ids.disk().to_string(), "e1ec3d63-b374-8e50-8894-ac5727cdc847");
        assert_eq!(ids.partition("root").to_string(), "0323f66d-c525-83e8-a906-6cfe17648479");
        assert_eq!(format!("{:08x}", ids.fat_serial("EFI-SYSTEM")), "61a9ee0e");
    }

    #[test]
    fn each_purpose_image_and_host_has_its_own() {
        let mut seen = BTreeSet::new();
        for ids in [ids('a', None), ids('b', None), ids('a', Some("x")), ids('a', Some("y"))] {
            let all = [
                ids.disk(),
                ids.partition("root"),
                ids.partition("EFI-SYSTEM"),
                ids.file_system("root"),
                ids.hash_seed("root"),
            ];
            for uuid in all {
                assert_eq!((uuid.get_version_num(), uuid.get_variant()), (8, uuid::Variant::RFC4122));
                assert!(seen.insert(uuid), "{uuid}");
            }
        }
    }
}
