use std::io::Write;

use super::*;

/// Two packages of the RPM universe as createrepo_c 0.17 wrote them, and one with an epoch and another base.
const PRIMARY: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<metadata xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm" packages="3">
<package type="rpm">
  <name>kernel-devel</name>
  <arch>x86_64</arch>
  <version epoch="0" ver="6.12.0" rel="124.8.1.rv10"/>
  <checksum type="sha256" pkgid="YES">1c33bca9fe4c1a0dca71c979de8df6eb5c6d18c0c7053b28abba1c596ec9f109</checksum>
  <summary>What modules for the made-up kernel are built with</summary>
  <description>For tests.</description>
  <packager></packager>
  <url></url>
  <time file="1795200908" build="1760000000"/>
  <size package="6377" installed="37" archive="588"/>
  <location href="kernel-devel-6.12.0-124.8.1.rv10.x86_64.rpm"/>
  <format>
    <rpm:license>GPL-2.0-only</rpm:license>
    <rpm:sourcerpm>kernel-6.12.0-124.8.1.rv10.src.rpm</rpm:sourcerpm>
    <rpm:header-range start="4504" end="6277"/>
    <rpm:provides>
      <rpm:entry name="installonlypkg(kernel)"/>
      <rpm:entry name="kernel-devel" flags="EQ" epoch="0" ver="6.12.0" rel="124.8.1.rv10"/>
      <rpm:entry name="kernel-devel(x86-64)" flags="EQ" epoch="0" ver="6.12.0" rel="124.8.1.rv10"/>
      <rpm:entry name="kernel-devel-uname-r" flags="EQ" epoch="0" ver="6.12.0" rel="124.8.1.rv10.x86_64"/>
    </rpm:provides>
    <file type="dir">/usr/src/kernels</file>
  </format>
</package>
<package type="rpm">
  <name>hello-dkms</name>
  <arch>noarch</arch>
  <version epoch="0" ver="1.0" rel="1.rv10"/>
  <checksum type="sha256" pkgid="YES">89e8d0f1c9cd3b66d4d47ab8bd1ea1e2dd0ff8f6a1a4e1f3c7d7e37e2f9a6bb0</checksum>
  <size package="7191" installed="633" archive="1200"/>
  <location href="hello-dkms-1.0-1.rv10.noarch.rpm"/>
  <format>
    <rpm:provides>
      <rpm:entry name="hello-dkms" flags="EQ" epoch="0" ver="1.0" rel="1.rv10"/>
    </rpm:provides>
    <rpm:requires>
      <rpm:entry name="kernel-devel"/>
    </rpm:requires>
  </format>
</package>
<package type="rpm">
  <name>a&amp;b&#43;&#x2b;</name>
  <arch>x86_64</arch>
  <version epoch="32" ver="1.0~rc1" rel="1"/>
  <checksum type="sha256" pkgid="YES">00</checksum>
  <size package="1" installed="1" archive="1"/>
  <location xml:base="https://other.example.org/" href="Packages/a&amp;b.rpm"/>
</package>
</metadata>
"#;

#[test]
fn packages_are_read() {
    let packages = parse_primary(PRIMARY.as_bytes(), |_| true).unwrap();
    assert_eq!(packages.len(), 3);
    assert_eq!(
        packages[0],
        RpmPackage {
            name: "kernel-devel".into(),
            version: "6.12.0-124.8.1.rv10".into(),
            architecture: "x86_64".into(),
            sha256: "1c33bca9fe4c1a0dca71c979de8df6eb5c6d18c0c7053b28abba1c596ec9f109".into(),
            size: 6377,
            location: "kernel-devel-6.12.0-124.8.1.rv10.x86_64.rpm".into(),
            base: None,
            built: Some(1_760_000_000),
            provides: vec![
                "installonlypkg(kernel)".into(),
                "kernel-devel = 6.12.0-124.8.1.rv10".into(),
                "kernel-devel(x86-64) = 6.12.0-124.8.1.rv10".into(),
                "kernel-devel-uname-r = 6.12.0-124.8.1.rv10.x86_64".into(),
            ],
        }
    );
    assert_eq!(packages[1].provides, ["hello-dkms = 1.0-1.rv10"], "what is required is not provided");
    assert_eq!(packages[1].built, None);
    let odd = &packages[2];
    assert_eq!((&*odd.name, &*odd.version), ("a&b++", "32:1.0~rc1-1"));
    assert_eq!((&*odd.location, odd.base.as_deref()), ("Packages/a&b.rpm", Some("https://other.example.org/")));
}

#[test]
fn only_what_is_wanted_is_kept() {
    let names = parse_primary(PRIMARY.as_bytes(), |package| package.name.ends_with("-devel")).unwrap();
    assert_eq!(names.iter().map(|package| &*package.name).collect::<Vec<_>>(), ["kernel-devel"]);
}

#[test]
fn damage_is_noticed() {
    let changed = |from: &str, to: &str| PRIMARY.replacen(from, to, 1);
    for (text, expected) in [
        (changed(r#"packages="3""#, r#"packages="4""#), "the metadata lists 3 packages and should list 4"),
        (
            changed(r#"checksum type="sha256""#, r#"checksum type="sha""#),
            "package `kernel-devel` is identified by sha;",
        ),
        (changed(r#"package="6377""#, r#"package="many""#), "package `kernel-devel`: size `many` is not a number"),
        (changed("<arch>x86_64</arch>", ""), "package `kernel-devel` has no architecture"),
        (changed("<name>kernel-devel</name>", ""), "package `` has no name"),
        (changed("</name>", "</nome>"), "the metadata is not readable XML"),
        (PRIMARY[..900].to_owned(), "the metadata is not readable XML"),
        (PRIMARY[..PRIMARY.find("</package>").unwrap()].to_owned(), "package `kernel-devel` has no end"),
        (PRIMARY[..PRIMARY.find("<package").unwrap()].to_owned(), "the metadata lists 0 packages and should list 3"),
        (String::new(), "the file is no list of packages"),
        ("<html>Sign in to the network</html>".to_owned(), "the file is no list of packages"),
    ] {
        let error = parse_primary(text.as_bytes(), |_| true).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error} instead of {expected}");
    }
}

#[test]
fn every_compression_is_read() {
    let gzip = || {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(PRIMARY.as_bytes()).unwrap();
        writer.finish().unwrap()
    };
    let xz = || {
        let mut writer = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
        writer.write_all(PRIMARY.as_bytes()).unwrap();
        writer.finish().unwrap()
    };
    for (name, file) in [
        ("0123-primary.xml", PRIMARY.as_bytes().to_vec()),
        ("0123-primary.xml.gz", gzip()),
        ("0123-primary.xml.xz", xz()),
        ("0123-primary.xml.zst", zstd::encode_all(PRIMARY.as_bytes(), 1).unwrap()),
    ] {
        let packages = parse_primary(decompressed(name, &file[..]).unwrap(), |_| true).unwrap();
        assert_eq!(packages.len(), 3, "{name}");
    }
    let error = decompressed("primary.sqlite.bz2", &b""[..]).err().map(|error| error.to_string());
    assert_eq!(error.as_deref(), Some("the metadata file `primary.sqlite.bz2` is compressed in an unknown way"));
}

#[test]
fn the_place_of_primary_is_found() {
    let repomd = r#"<?xml version="1.0" encoding="UTF-8"?>
<repomd xmlns="http://linux.duke.edu/metadata/repo" xmlns:rpm="http://linux.duke.edu/metadata/rpm">
  <revision>1760000000</revision>
  <data type="filelists">
    <location href="repodata/1-filelists.xml.zst"/>
  </data>
  <data type="primary">
    <checksum type="sha256">77fe</checksum>
    <location href="repodata/77fe-primary.xml.zst"/>
  </data>
</repomd>
"#;
    assert_eq!(parse_repomd(repomd.as_bytes()).unwrap(), "repodata/77fe-primary.xml.zst");
    assert!(matches!(parse_repomd(b"<repomd/>"), Err(RepodataError::NoPrimary)));
    assert!(matches!(parse_repomd(b""), Err(RepodataError::NoPrimary)));
    assert!(matches!(parse_repomd(b"<a></b>"), Err(RepodataError::Xml { .. })));
}
