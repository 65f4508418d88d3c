//! Modules that do not fit, through both commands.

use super::image::{HELLO, KVER, Layer, Place, cpio, files, good, good_and, kernel_path, removed, xz};

const HELLO32: &[u8] = include_bytes!("../fixtures/modules/hello32.ko");
const SIGNED: &[u8] = include_bytes!("../fixtures/modules/signed.ko");
const THROWAWAY: &[u8] = include_bytes!("../fixtures/modules/signed-throwaway.ko");
const EXPECTED_KEY: &[u8] = include_bytes!("../fixtures/modules/expected.der");

const MODULE: &str = "/usr/lib/modules/6.12.48+deb13-amd64/updates/hello.ko";

/// A layer that replaces the one module.
fn module(bytes: &[u8]) -> Layer {
    files(&[(&kernel_path("updates/hello.ko"), bytes)])
}

/// The module as it would be for another kernel, of a release of the same length.
fn built_for(release: &str) -> Vec<u8> {
    let at = HELLO.windows(KVER.len()).position(|window| window == KVER.as_bytes()).unwrap();
    let mut bytes = HELLO.to_vec();
    bytes[at..at + KVER.len()].copy_from_slice(release.as_bytes());
    bytes
}

#[test]
fn a_module_that_fits_is_proven_by_both_commands() {
    let place = Place::new(&good());
    let proven = place.verify().says(
        0,
        &[
            "kernel 6.12.48+deb13-amd64",
            "symbols    1 known from the kernel's list of 2, 0 unproven",
            "versions   1 compared",
            "structure  1280 bytes",
            "initramfs  1 modules compared",
            &format!("module     {MODULE} (not signed)"),
            "proved 1 module for 6.12.48+deb13-amd64: 1 symbol, 1 version",
        ],
    );
    assert_eq!(proven.codes(), [""; 0]);
    let checked = place.check().says(0, &["2 layers, all of them judged", "passed, 0 notes"]);
    assert_eq!((checked.codes(), checked.boot_codes()), (vec![], vec![]));
}

#[test]
fn each_fault_of_a_module_is_found_in_the_image() {
    let mut damaged = xz(HELLO);
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x55;
    let packed = good_and(
        files(&[
            (&kernel_path("updates/hello.ko.xz"), &damaged),
            (&kernel_path("modules.dep"), b"updates/hello.ko.xz:\n"),
        ])
        .into_iter()
        .chain(removed(&[&kernel_path("updates/hello.ko")]))
        .collect(),
    );
    for (layers, code, message) in [
        (
            good_and(module(&built_for("6.12.50+deb13-amd64"))),
            "KMOD003",
            "built for 6.12.50+deb13-amd64, the pinned kernel is 6.12.48+deb13-amd64",
        ),
        (good_and(module(&HELLO[..200])), "KMOD004", "the table of sections at byte"),
        (good_and(module(HELLO32)), "KMOD004", "a 32-bit ELF file"),
        (packed, "KMOD004", "xz data is damaged"),
        (
            good_and(files(&[(&kernel_path("modules.dep"), b"kernel/lib/dummy.ko:\n")])),
            "KMOD026",
            "is not in modules.dep",
        ),
        (
            good_and(files(&[(&kernel_path("modules.dep"), b"updates/hello.ko: updates/gone.ko\n")])),
            "KMOD027",
            "needs /usr/lib/modules/6.12.48+deb13-amd64/updates/gone.ko after modules.dep, which is not there",
        ),
        (good_and(files(&[(&kernel_path("symvers.gz"), b"noise")])), "KMOD033", "line 1 is not"),
        (
            good_and(files(&[(&kernel_path("initramfs.img"), &cpio(&[(&kernel_path("updates/hello.ko"), SIGNED)]))])),
            "KMOD028",
            "is not the same in /usr/lib/modules/6.12.48+deb13-amd64/initramfs.img",
        ),
        (
            good_and(files(&[(&kernel_path("initramfs.img"), &cpio(&[("lib/modules/6.1.0/a.ko", HELLO)]))])),
            "KMOD028",
            "is in /usr/lib/modules/6.12.48+deb13-amd64/initramfs.img, which is for 6.12.48+deb13-amd64",
        ),
        (
            good_and(files(&[("usr/lib/dracut/dracut.conf.d/50-root.conf", b"add_drivers+=\" hello ext4 \"\n")])),
            "KMOD029",
            "has no `hello`, which /usr/lib/dracut/dracut.conf.d/50-root.conf asks for",
        ),
        (
            good_and(files(&[(&kernel_path("initramfs.img"), &cpio(&[("init", b"x")])[..100])])),
            "KMOD030",
            "cut short, or its compressed data is damaged",
        ),
    ] {
        let place = Place::new(&layers);
        for finished in [place.verify(), place.check()] {
            let finished = finished.says(10, &[]);
            assert_eq!(finished.codes(), [code], "{}", finished.stdout);
            assert!(finished.stdout.contains(message), "{message}: {}", finished.stdout);
        }
    }
}

#[test]
fn what_cannot_be_known_is_a_note() {
    let lz4 = Place::new(&good_and(files(&[(&kernel_path("initramfs.img"), b"\x02\x21\x4c\x18lz4")])));
    let unread = lz4.check().says(0, &["passed, 2 notes"]);
    assert_eq!((unread.codes(), unread.boot_codes()), (vec!["KMOD031"], vec!["BOOT019"]));
    let none = Place::new(&good_and(removed(&[&kernel_path("initramfs.img")])));
    let none = none.check().says(13, &[]);
    assert_eq!((none.codes(), none.boot_codes()), (vec!["KMOD031"], vec!["BOOT017"]));
    for (layer, code) in [
        (files(&[("usr/lib/modules-load.d/x.conf", b"# all of them\nhello\next4\nnowhere\n")]), "KMOD032"),
        (
            files(&[
                (&kernel_path("updates/dummy.ko"), HELLO),
                (&kernel_path("modules.dep"), b"updates/dummy.ko:\nupdates/hello.ko:\n"),
            ]),
            "KMOD021",
        ),
    ] {
        let finished = Place::new(&good_and(layer)).check().says(0, &["passed, 1 note"]);
        assert_eq!(finished.codes(), [code], "{}", finished.stdout);
    }
}

#[test]
fn of_two_kernels_each_must_have_the_modules() {
    let other = built_for("6.12.50+deb13-amd64");
    let second = "usr/lib/modules/6.12.50+deb13-amd64";
    let layer = files(&[
        (&format!("{second}/vmlinuz"), b"MZ"),
        (&format!("{second}/kernel/lib/dummy.ko"), &other),
        (&format!("{second}/modules.dep"), b"kernel/lib/dummy.ko:\n"),
        (&format!("{second}/initramfs.img"), &cpio(&[("init", b"x")])),
    ]);
    let place = Place::new(&good_and(layer));
    let line =
        "KMOD034 failure: 6.12.50+deb13-amd64: has no `hello`, which kernel 6.12.48+deb13-amd64 of the same image has";
    place.check().says(10, &[line]);
    place.verify().says(10, &[line]);
    place.run(&["kmods", "verify", "IMAGE", "--kernel", KVER]).says(0, &[]);
    let unknown = place.run(&["kmods", "verify", "IMAGE", "--kernel", "1.2.3"]).says(1, &[]);
    assert!(unknown.stderr.contains("has no kernel modules for 1.2.3"), "{}", unknown.stderr);
}

#[test]
fn a_module_for_a_kernel_that_is_not_there_is_misplaced() {
    let path = "usr/lib/modules/6.12.50+deb13-amd64/updates/hello.ko";
    Place::new(&good_and(files(&[(path, HELLO)])))
        .verify()
        .says(10, &[&format!("KMOD005 failure: /{path}: there is no kernel 6.12.50+deb13-amd64 in the image")]);
}

#[test]
fn signatures_are_judged_as_asked() {
    let place = Place::new(&good());
    place.write("expected.der", EXPECTED_KEY);
    let unsigned = format!("KMOD016 failure: {MODULE}: has no signature");
    place.run(&["kmods", "verify", "IMAGE", "--require-signatures"]).says(10, &[&unsigned]);
    place.run(&["kmods", "verify", "IMAGE", "--certificate", "expected.der"]).says(10, &[&unsigned]);
    let missing = place.run(&["kmods", "verify", "IMAGE", "--certificate", "layout/index.json"]).says(1, &[]);
    assert!(missing.stderr.contains("`layout/index.json` is no certificate in PEM or DER"), "{}", missing.stderr);

    let place = Place::new(&good_and(module(SIGNED)));
    place.write("expected.der", EXPECTED_KEY);
    place.write("expected.pem", pem(EXPECTED_KEY).as_bytes());
    for key in ["expected.der", "expected.pem"] {
        place.run(&["kmods", "verify", "IMAGE", "--certificate", key, "--require-signatures"]).says(0, &[]);
    }
    let place = Place::new(&good_and(module(THROWAWAY)));
    place.write("expected.der", EXPECTED_KEY);
    place.run(&["kmods", "verify", "IMAGE", "--require-signatures"]).says(0, &[]);
    let finished = place.run(&["kmods", "verify", "IMAGE", "--certificate", "expected.der"]).says(10, &[]);
    assert_eq!(finished.codes(), ["KMOD017"]);
}

fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

#[test]
fn a_folder_is_proven_like_an_image() {
    let place = Place::new(&good());
    for root in ["root/usr", "package"] {
        let file = |name: &str| format!("{root}/lib/modules/{KVER}/{name}");
        place.write(&file("kernel/lib/dummy.ko"), HELLO);
        place.write(&file("updates/hello.ko"), HELLO);
    }
    for folder in ["./root", "./package"] {
        let finished = place.run(&["kmods", "verify", folder]).says(0, &[&format!("module     {MODULE} (not signed)")]);
        // There is no list of symbols, and no index, as in a package.
        assert_eq!(finished.codes(), [""; 0], "{}", finished.stdout);
        place.run(&["kmods", "verify", folder, "--all"]).says(0, &[]);
    }
    assert!(!place.path(".imgbuild").exists(), "nothing was written");
    // An unpacked root may have absolute links.
    std::os::unix::fs::symlink("/usr/lib", place.path("root/lib")).unwrap();
    place.run(&["kmods", "verify", "./root"]).says(0, &[]);
    let empty = place.run(&["kmods", "verify", "./layout"]).says(1, &[]);
    assert!(empty.stderr.contains("`./layout` has no kernel modules"), "{}", empty.stderr);
}
