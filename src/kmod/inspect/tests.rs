use std::io::Write;

use lzma_rust2::{CheckType, XzOptions, XzWriter};
use proptest::prelude::*;

use super::compress::decompress_up_to;
use super::*;

const RELEASE: &str = "6.12.48+deb13-amd64";

fn rich() -> Vec<u8> {
    fake::module(&[
        "version=2.3.9-1",
        "license=CDDL",
        "license=Dual BSD/GPL",
        "firmware=nvidia/550.163.01/gsp_ga10x.bin",
        "firmware=nvidia/550.163.01/gsp_tu10x.bin",
        "srcversion=C0FFEE",
        "depends=spl,znvpair",
        "name=zfs",
        "vermagic=6.12.48+deb13-amd64 SMP preempt mod_unload modversions ",
        "no-equals-sign",
        "",
    ])
}

fn xz(data: &[u8], check: CheckType, dictionary: u32) -> Vec<u8> {
    let mut options = XzOptions::with_preset(1);
    options.set_check_sum_type(check);
    options.lzma_options.dict_size = dictionary;
    let mut writer = XzWriter::new(Vec::new(), options).unwrap();
    writer.write_all(data).unwrap();
    writer.finish().unwrap()
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(data).unwrap();
    writer.finish().unwrap()
}

#[test]
fn reads_what_a_module_says_about_itself() {
    let info = inspect(&rich()).unwrap();
    assert_eq!(
        info,
        ModuleInfo {
            compression: Compression::None,
            name: Some("zfs".into()),
            vermagic: Some(Vermagic { release: RELEASE.into(), flags: "SMP preempt mod_unload modversions".into() }),
            depends: vec!["spl".into(), "znvpair".into()],
            licenses: vec!["CDDL".into(), "Dual BSD/GPL".into()],
            firmware: vec!["nvidia/550.163.01/gsp_ga10x.bin".into(), "nvidia/550.163.01/gsp_tu10x.bin".into()],
            version: Some("2.3.9-1".into()),
            srcversion: Some("C0FFEE".into()),
            aliases: vec![],
            softdeps: vec![],
            in_tree: false,
            namespaces: vec![],
            imports: vec![],
            exports: vec![],
            versions: None,
            layout_size: None,
            signature: None,
        }
    );
}

#[test]
fn the_kernels_own_modules_say_so() {
    assert!(inspect(&fake::module(&["intree=Y"])).unwrap().in_tree);
    assert!(!inspect(&fake::module(&["license=GPL"])).unwrap().in_tree);
}

#[test]
fn an_empty_depends_is_no_dependency() {
    assert_eq!(inspect(&fake::module(&["depends="])).unwrap().depends, Vec::<String>::new());
}

#[test]
fn every_compression_gives_the_same_module() {
    let plain = rich();
    for (file, compression) in [
        (plain.clone(), Compression::None),
        (gzip(&plain), Compression::Gzip),
        (zstd::encode_all(&plain[..], 3).unwrap(), Compression::Zstd),
        (xz(&plain, CheckType::Crc32, 1 << 20), Compression::Xz(XzCheck::Crc32)),
        (xz(&plain, CheckType::Crc64, 1 << 20), Compression::Xz(XzCheck::Crc64)),
        (xz(&plain, CheckType::Sha256, 1 << 20), Compression::Xz(XzCheck::Sha256)),
        (xz(&plain, CheckType::None, 1 << 20), Compression::Xz(XzCheck::None)),
    ] {
        let info = inspect(&file).unwrap_or_else(|error| panic!("{compression:?}: {error}"));
        assert_eq!(info.compression, compression);
        assert_eq!(info.name.as_deref(), Some("zfs"));
    }
}

#[test]
fn the_signature_is_seen_and_taken_off() {
    let module = rich();
    let length = module.len() as u64;
    let info = inspect(&fake::signed(module.clone(), 700)).unwrap();
    let tail = SignatureTail {
        signed_bytes: length,
        signature_bytes: 700,
        id_type: 2,
        content: Err(SignatureError::Malformed),
    };
    assert_eq!(info.signature, Some(tail));

    let mut lying = fake::signed(module, 700);
    let at = lying.len() - 28 - 4;
    lying[at..at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
    assert!(matches!(inspect(&lying), Err(InspectError::Signature { .. })));
    assert!(matches!(inspect(b"~Module signature appended~\n"), Err(InspectError::Signature { .. })));
}

#[test]
fn what_is_no_module_is_told_apart() {
    let with = |at: usize, byte: u8| {
        let mut file = rich();
        file[at] = byte;
        file
    };
    let sections_past_the_end = || {
        let mut file = rich();
        file[0x3c..0x3e].copy_from_slice(&0xfffe_u16.to_le_bytes());
        file
    };
    for (file, expected) in [
        (b"Subject: tutor.ko".to_vec(), "not an ELF file"),
        (Vec::new(), "not an ELF file"),
        (b"\x7fELF".to_vec(), "not an ELF file"),
        (with(4, 1), "a 32-bit ELF file"),
        (with(5, 3), "ELF byte order 3 does not exist"),
        (with(0x10, 3), "ELF type 3 instead of a relocatable object"),
        (fake::object(&[(".text", b"")]), "there is no .modinfo section"),
        (rich()[..64].to_vec(), "the table of sections at byte"),
        (sections_past_the_end(), "the table of sections at byte"),
        (gzip(&rich())[..60].to_vec(), "gzip data is damaged"),
        (xz(&rich(), CheckType::Crc32, 1 << 20)[..60].to_vec(), "xz data is damaged"),
        (zstd::encode_all(&rich()[..], 3).unwrap()[..60].to_vec(), "zstd data is damaged"),
    ] {
        let error = inspect(&file).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error} instead of {expected}");
    }
}

/// The header can hold neither number of a module with 65,000 function sections; the first section does.
#[test]
fn counts_in_the_first_section_are_read() {
    let mut file = rich();
    let table = usize::try_from(u64::from_le_bytes(file[0x28..0x30].try_into().unwrap())).unwrap();
    let count = file[0x3c];
    file[0x3c..0x40].copy_from_slice(&[0, 0, 0xff, 0xff]);
    file[table + 0x20] = count;
    file[table + 0x28] = count - 1;
    assert_eq!(inspect(&file).unwrap().name.as_deref(), Some("zfs"));
}

#[test]
fn a_bomb_is_stopped_at_the_limit() {
    let zeros = vec![0; 3 << 20];
    for bomb in
        [gzip(&zeros), zstd::encode_all(&zeros[..], 1).unwrap(), xz(&zeros, CheckType::Crc32, 1 << 20), zeros.clone()]
    {
        assert!(bomb.len() < 1 << 16 || bomb == zeros);
        let error = decompress_up_to(&bomb, 1 << 20).unwrap_err();
        assert!(matches!(error, InspectError::TooLarge { limit: 1_048_576 }), "{error}");
    }
}

#[test]
fn a_dictionary_as_large_as_memory_is_refused() {
    // The size of the dictionary stands in the block header whether or not it is used.
    let file = xz(&rich(), CheckType::Crc32, 1 << 30);
    let error = inspect(&file).unwrap_err();
    assert!(matches!(&error, InspectError::Decompress { compression: Compression::Xz(_), .. }), "{error}");
}

proptest! {
    /// Damage anywhere ends in an answer or an error; so does a file of any other content.
    #[test]
    fn hostile_files_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        packing in 0..4_u8,
    ) {
        let plain = fake::signed(rich(), 64);
        let mut file = match packing {
            0 => plain,
            1 => gzip(&plain),
            2 => zstd::encode_all(&plain[..], 1).unwrap(),
            _ => xz(&plain, CheckType::Crc32, 1 << 16),
        };
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        let _ = inspect(&file).is_ok();
        let cut = cut.index(file.len());
        let _ = inspect(&file[..cut]).is_ok();
    }
}
