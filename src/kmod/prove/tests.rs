use std::collections::BTreeMap;

use super::*;
use crate::kmod::inspect::fake::{self, Part};

const KVER: &str = "6.12.48+deb13-amd64";
const HELLO: &[u8] = include_bytes!("../../../tests/fixtures/modules/hello.ko");
const HELLO32: &[u8] = include_bytes!("../../../tests/fixtures/modules/hello32.ko");
const SIGNED: &[u8] = include_bytes!("../../../tests/fixtures/modules/signed.ko");
const SIGNED_KEYID: &[u8] = include_bytes!("../../../tests/fixtures/modules/signed-keyid.ko");
const THROWAWAY: &[u8] = include_bytes!("../../../tests/fixtures/modules/signed-throwaway.ko");
const EXPECTED_KEY: &[u8] = include_bytes!("../../../tests/fixtures/modules/expected.der");
const OTHER_KEY: &[u8] = include_bytes!("../../../tests/fixtures/modules/throwaway.der");

const LIST: &str = "0xcafe0001\t_printk\tvmlinux\tEXPORT_SYMBOL\t\n\
                    0xcafe0002\tgpl_only\tvmlinux\tEXPORT_SYMBOL_GPL\t\n\
                    0xcafe0003\tspaced\tvmlinux\tEXPORT_SYMBOL\tNS\n\
                    0xcafe0004\tfor_zfs\tvmlinux\tEXPORT_SYMBOL\tMODULE:zf*,spl\n";

/// A case: modules under `updates`, modules of the kernel under `kernel`.
struct Case {
    files: BTreeMap<String, Vec<u8>>,
    list: Option<Symvers>,
    firmware: Option<BTreeSet<String>>,
}

impl Case {
    fn new(modules: &[(&str, Vec<u8>)]) -> Self {
        let place = |(name, file): &(&str, Vec<u8>)| (format!("/usr/lib/modules/{KVER}/{name}"), file.clone());
        let list = Some(Symvers::parse(LIST.as_bytes()).unwrap());
        Self { files: modules.iter().map(place).collect(), list, firmware: None }
    }

    fn prove(&self, signatures: SignaturePolicy<'_>, expected: Option<&[String]>) -> Proof {
        let of = |part: &str| self.files.keys().filter(|path| path.contains(part)).cloned().collect::<Vec<_>>();
        prove(&ProofInput {
            kernel: &KVER.parse().unwrap(),
            modules: &of("/updates/"),
            in_tree: &of("/kernel/"),
            built_in: &std::collections::BTreeSet::new(),
            read: &|path| self.files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into()),
            symvers: self.list.as_ref(),
            expected,
            firmware: self.firmware.as_ref(),
            signatures,
        })
    }

    /// Findings with the path cut down to the file.
    fn findings(&self, signatures: SignaturePolicy<'_>) -> Vec<String> {
        let shown = |finding: &Finding| finding.to_string().replace(&format!("/usr/lib/modules/{KVER}/"), "");
        self.prove(signatures, None).findings.iter().map(shown).collect()
    }
}

fn module(info: &[&str], parts: &[Part<'_>]) -> Vec<u8> {
    let vermagic = format!("vermagic={KVER} SMP preempt mod_unload modversions ");
    let info: Vec<&str> = info.iter().copied().chain([vermagic.as_str()]).collect();
    fake::linked(&info, 1280, parts)
}

/// A module of the kernel itself.
fn in_tree() -> (&'static str, Vec<u8>) {
    ("kernel/dummy.ko", module(&["license=GPL"], &[Part::Import("_printk"), Part::Version("_printk", 0xcafe_0001)]))
}

#[test]
fn a_module_that_fits_is_proven() {
    let case = Case::new(&[in_tree(), ("updates/hello.ko", HELLO.to_vec())]);
    let proof = case.prove(SignaturePolicy::Optional, Some(&["hello".to_owned()]));
    assert_eq!(proof.findings, []);
    assert!(proof.holds());
    assert_eq!(
        proof.facts,
        Facts {
            modules: 1,
            source: SymbolSource::List(4),
            modversions: Some(true),
            symbols: 1,
            unproven: 0,
            versions: 1,
            layout_size: Some(1280),
            signers: BTreeMap::new(),
        }
    );
}

/// What gcc and the assembler make of a module's source is read as the kernel reads it.
#[test]
fn the_symbols_of_a_compiled_module_are_read() {
    let info = inspect(HELLO).unwrap();
    let import = |name: &str, weak| crate::kmod::Import { name: name.into(), weak };
    assert_eq!(info.imports, [import("_printk", false), import("optional", true)]);
    let [export] = &info.exports[..] else { panic!("{:?}", info.exports) };
    assert_eq!((export.name.as_str(), export.gpl_only, export.crc), ("hello_world", true, Some(0x1234_5678)));
    assert_eq!(export.namespace.as_deref(), Some("HELLO"));
    assert_eq!(info.versions, Some([("_printk".to_owned(), 0xcafe_0001)].into()));
    assert_eq!(info.layout_size, Some(1280));
}

#[test]
fn each_fault_is_found() {
    use Part::{Export, ExtVersion, Import, Version};
    let gpl = &["license=GPL", "depends="][..];
    let printk = Version("_printk", 0xcafe_0001);
    for (file, expected) in [
        (
            module(gpl, &[Import("gone"), printk]),
            "KMOD008 updates/zfs.ko: needs `gone`, which neither the kernel nor a module here exports",
        ),
        (
            module(gpl, &[Version("_printk", 0xcafe_0009)]),
            "KMOD009 updates/zfs.ko: built against `_printk` 0xcafe0009, exported is 0xcafe0001",
        ),
        (
            module(gpl, &[ExtVersion("_printk", 0xcafe_0008)]),
            "KMOD009 updates/zfs.ko: built against `_printk` 0xcafe0008, exported is 0xcafe0001",
        ),
        (module(gpl, &[Import("_printk")]), "KMOD010 updates/zfs.ko: has no symbol versions, the kernel has"),
        (
            module(&["license=CDDL"], &[Import("gpl_only"), printk]),
            "KMOD013 updates/zfs.ko: uses `gpl_only`, which is for GPL modules, under the licence `CDDL`",
        ),
        (
            module(gpl, &[Import("spaced"), printk]),
            "KMOD014 updates/zfs.ko: uses `spaced` without importing its namespace `NS`",
        ),
        (
            module(&["license=GPL", "depends=spl"], &[printk]),
            "KMOD015 updates/zfs.ko: depends on `spl`, which is not there",
        ),
        (HELLO32.to_vec(), "KMOD004 updates/zfs.ko: a 32-bit ELF file"),
        (HELLO[..200].to_vec(), "KMOD004 updates/zfs.ko: the table of sections at byte"),
        (
            fake::linked(
                &["license=GPL", &format!("vermagic={KVER} SMP preempt mod_unload modversions ")],
                1216,
                &[printk],
            ),
            "KMOD012 updates/zfs.ko: its module structure has 1216 bytes, the kernel's own modules have 1280",
        ),
        (
            fake::linked(&["license=GPL", "vermagic=6.12.50 SMP preempt mod_unload modversions "], 1280, &[printk]),
            "KMOD003 updates/zfs.ko: built for 6.12.50, the pinned kernel is 6.12.48+deb13-amd64",
        ),
        (
            zstd::encode_all(HELLO, 1).unwrap(),
            "KMOD019 updates/zfs.ko: is zstd, the kernel's own modules are uncompressed",
        ),
        (xz(HELLO), "KMOD019 updates/zfs.ko: compressed by xz with check Crc64; the kernel knows only CRC32"),
    ] {
        let found = Case::new(&[in_tree(), ("updates/zfs.ko", file)]).findings(SignaturePolicy::Optional);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{found:?} instead of {expected}");
    }
    // Nothing is wrong with these.
    for file in [
        module(&["license=GPL", "import_ns=NS"], &[Import("spaced"), printk]),
        module(gpl, &[Import("for_zfs"), printk]),
        module(gpl, &[Export("mine", 7), Version("mine", 7)]),
    ] {
        assert_eq!(Case::new(&[in_tree(), ("updates/zfs.ko", file)]).findings(SignaturePolicy::Optional), [""; 0]);
    }
}

/// As Debian does it with NVIDIA's drivers, several versions of which may be installed.
#[test]
fn a_renamed_file_still_is_the_module_that_others_depend_on() {
    let printk = Part::Version("_printk", 0xcafe_0001);
    let case = Case::new(&[
        in_tree(),
        ("updates/nvidia-current.ko", module(&["license=GPL", "name=nvidia"], &[printk])),
        ("updates/nvidia-current-drm.ko", module(&["license=GPL", "name=nvidia_drm", "depends=nvidia"], &[printk])),
    ]);
    assert_eq!(case.findings(SignaturePolicy::Optional), [""; 0]);
}

fn xz(data: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut options = lzma_rust2::XzOptions::with_preset(1);
    options.set_check_sum_type(lzma_rust2::CheckType::Crc64);
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    writer.write_all(data).unwrap();
    writer.finish().unwrap()
}

#[test]
fn signatures_are_verified() {
    let keys = [Certificate::parse(EXPECTED_KEY).unwrap()];
    let mut changed = SIGNED.to_vec();
    let at = changed.windows(11).position(|text| text == b"name=hello\0").unwrap();
    changed[at + 5] = b'j';
    for (file, expected) in [
        (SIGNED.to_vec(), None),
        (SIGNED_KEYID.to_vec(), None),
        (HELLO.to_vec(), Some("KMOD016 updates/hello.ko: has no signature")),
        (THROWAWAY.to_vec(), Some("KMOD017 updates/hello.ko: signed by throwaway module key, serial ")),
        (changed, Some("KMOD018 updates/hello.ko: signed by expected module key, serial ")),
        (
            fake::signed(HELLO.to_vec(), 64),
            Some("KMOD018 updates/hello.ko: has a signature, but it is no PKCS#7 message"),
        ),
    ] {
        let found = Case::new(&[in_tree(), ("updates/hello.ko", file)]).findings(SignaturePolicy::SignedBy(&keys));
        assert_eq!(found.len(), usize::from(expected.is_some()), "{found:?}");
        assert!(found.iter().zip(expected).all(|(found, expected)| found.starts_with(expected)), "{found:?}");
    }
    let other = [Certificate::parse(OTHER_KEY).unwrap()];
    let case = Case::new(&[in_tree(), ("updates/hello.ko", THROWAWAY.to_vec())]);
    assert_eq!(case.findings(SignaturePolicy::SignedBy(&other)), [""; 0]);
    assert_eq!(case.findings(SignaturePolicy::Required), [""; 0]);
}

#[test]
fn without_a_list_the_kernels_modules_stand_witness() {
    let versions = &[Part::Import("_printk"), Part::Version("_printk", 0xcafe_0002), Part::Import("unseen")];
    let mut case = Case::new(&[in_tree(), ("updates/zfs.ko", module(&["license=GPL"], versions))]);
    case.list = None;
    assert_eq!(
        case.findings(SignaturePolicy::Optional),
        [
            "KMOD009 updates/zfs.ko: built against `_printk` 0xcafe0002, exported is 0xcafe0001",
            "KMOD022 updates/zfs.ko: the kernel's exports are unknown, and none of its modules uses `unseen`",
        ]
    );
}

#[test]
fn the_surroundings_are_checked() {
    let firmware = module(&["license=GPL", "firmware=a/1.bin", "firmware=a/2.bin", "firmware=b/*.bin"], &[]);
    let mut case = Case::new(&[in_tree(), ("updates/dummy.ko", firmware)]);
    case.firmware = Some(["a/1.bin.xz".to_owned(), "b/x.bin".to_owned()].into());
    assert_eq!(
        case.findings(SignaturePolicy::Optional),
        [
            "KMOD020 updates/dummy.ko: asks for `a/2.bin`",
            "KMOD021 updates/dummy.ko: has the name of the kernel's own kernel/dummy.ko",
        ]
    );
    // The list of another kernel is not used, and said to be wrong.
    case.firmware = None;
    case.list = Some(Symvers::parse(LIST.replace("0xcafe0001", "0xcafe0011").as_bytes()).unwrap());
    assert!(
        case.findings(SignaturePolicy::Optional)[1].starts_with("KMOD023 kernel/dummy.ko: has `_printk` in version")
    );
    let alone = Case::new(&[("updates/hello.ko", HELLO.to_vec())]);
    let found = alone.findings(SignaturePolicy::Optional);
    assert_eq!(found, [format!("KMOD024 {KVER}: has no module of its own that could be read")]);
    assert!(alone.prove(SignaturePolicy::Optional, None).holds());
    let proof = alone.prove(SignaturePolicy::Optional, Some(&["zfs".to_owned()]));
    assert_eq!(proof.findings[..2].iter().map(|found| found.code.as_str()).collect::<Vec<_>>(), ["KMOD001", "KMOD002"]);
}

proptest::proptest! {
    #[test]
    fn hostile_modules_never_panic(
        changes in proptest::collection::vec((proptest::prelude::any::<proptest::sample::Index>(), proptest::prelude::any::<u8>()), 1..12),
    ) {
        let mut file = SIGNED.to_vec();
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        let keys = [Certificate::parse(EXPECTED_KEY).unwrap()];
        let case = Case::new(&[in_tree(), ("updates/hello.ko", file)]);
        let proof = case.prove(SignaturePolicy::SignedBy(&keys), None);
        proptest::prop_assert!(proof.facts.modules <= 1);
    }
}
