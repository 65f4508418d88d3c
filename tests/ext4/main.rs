//! File systems written by us, as the programs of e2fsprogs see them.
#![expect(clippy::disallowed_methods, reason = "tests run e2fsprogs and write scratch files")]

mod programs;

use std::fs::File;
use std::path::Path;

use imgbuild::disk::ext4::{Parameters, Size, Tree, Writer};
use imgbuild::model::{ByteSize, SourceDateEpoch};
use imgbuild::oci::layer::Metadata;

const UUID: [u8; 16] = *b"0123456789abcdef";
const HASH_SEED: [u8; 16] = *b"seed of the hash";

fn parameters(size: Size) -> Parameters {
    Parameters::new(size, UUID, HASH_SEED, SourceDateEpoch::from_secs(1_700_000_000))
}

fn writer(path: &Path, parameters: Parameters) -> Writer<File> {
    Writer::new(File::create(path).unwrap(), parameters).unwrap()
}

#[test]
fn an_empty_file_system_is_clean_at_any_size() {
    let folder = tempfile::tempdir().unwrap();
    for mib in [1, 4, 8, 100, 127, 128, 129, 130, 384, 1024, 2050, 20_000, 300_000] {
        let path = folder.path().join("ext4");
        let metadata = Metadata::with_mode(0o755);
        let writer = writer(&path, parameters(Size::Exact(ByteSize(mib << 20))));
        writer.finish(Tree::new(&metadata)).unwrap();
        programs::check(&path);
    }
}
