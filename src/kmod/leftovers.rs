//! What a build must not leave in an image: compilers, headers, build trees, keys.
//!
//! One table, so that every deny pattern has its code in one place. Which packages and files of an image are looked
//! at is the caller's affair: usually those that were added to a base.

use std::sync::LazyLock;

use globset::{GlobBuilder, GlobMatcher};

use super::finding::{Code, Finding};

/// Packages of the build, by name.
const PACKAGES: &[&str] = &[
    "gcc",
    // Not `gcc-14-base`: it holds only documentation and comes with libgcc.
    "gcc-[0-9]",
    "gcc-[0-9][0-9]",
    "gcc-[0-9]*-linux-gnu",
    "gcc-c++",
    "g++",
    "g++-[0-9]*",
    "cpp",
    "cpp-[0-9]*",
    "clang",
    "clang-[0-9]*",
    "lld",
    "binutils",
    "binutils-*",
    "make",
    "dkms",
    "*-dkms",
    "dkms-*",
    "akmods",
    "akmod-*",
    "kmodtool",
    "kernel-devel",
    "kernel-devel-*",
    "kernel-*-devel",
    "kernel-*-devel-matched",
    "kernel-headers",
    "linux-headers-*",
    "linux-kbuild-*",
    "linux-libc-dev",
    "linux-compiler-*",
    "*-dev",
    "*-devel",
    "build-essential",
    "dpkg-dev",
    "debhelper",
    "rpm-build",
    "redhat-rpm-config",
    "mock",
    "autoconf",
    "automake",
    "libtool",
    "flex",
    "bison",
    "patch",
    "dwarves",
];

/// Files of the build, by absolute path; only executable ELF files and scripts with their executable bit count.
const PROGRAMS: &[&str] = &[
    "/usr/{bin,sbin}/{cc,c++,gcc,g++,cpp,clang,as,ld,make,gmake,dkms,akmods,akmodsbuild,pahole,rpmbuild,dpkg-buildpackage}",
    "/usr/{bin,sbin}/{gcc,g++,cpp,clang}-[0-9]*",
    "/usr/{bin,sbin}/*-linux-gnu-{gcc,g++,cpp,as,ld,gcc-[0-9]*,g++-[0-9]*,cpp-[0-9]*,ld.bfd,ld.gold}",
    "/usr/{bin,sbin}/ld.{bfd,gold,lld}",
    "/usr/{lib,libexec}/gcc/**/{cc1,cc1plus,collect2,lto1}",
    "/usr/**/{sign-file,modpost,objtool,fixdep,resolve_btfids}",
];

/// Other files of the build, each with its code.
const FILES: &[(&str, Code)] = &[
    ("/usr/src/kernels/**", Code::KernelHeaders),
    ("/usr/src/linux-headers-*/**", Code::KernelHeaders),
    ("/usr/src/linux-kbuild-*/**", Code::KernelHeaders),
    ("/usr/lib/linux-kbuild-*/**", Code::KernelHeaders),
    ("/usr/src/*/dkms.conf", Code::ModuleSources),
    ("/usr/src/akmods/**", Code::ModuleSources),
    ("/var/lib/dkms/**", Code::ModuleSources),
    ("/var/cache/akmods/**", Code::ModuleSources),
    ("/**/*.o", Code::BuildOutput),
    ("/**/*.a", Code::BuildOutput),
    ("/**/Module.symvers", Code::BuildOutput),
    ("/**/*.mod.c", Code::BuildOutput),
    ("/**/mok.{key,priv,pem}", Code::PrivateKey),
    ("/**/*.priv", Code::PrivateKey),
    ("/**/cosign.key", Code::PrivateKey),
    ("/**/signing_key.pem", Code::PrivateKey),
    ("/**/private_key.priv", Code::PrivateKey),
];

/// Files that match a pattern above and belong in an image all the same.
const HARMLESS: &[&str] = &[
    // Owned by RPM kernels themselves; the symbol list lets modules be verified later.
    "/usr/lib/modules/*/symvers.{gz,xz,zst}",
];

/// The line that begins a private key in PEM, whatever its algorithm.
const PEM_KEY: (&[u8], &[u8]) = (b"-----BEGIN ", b"PRIVATE KEY-----");

/// A file that was added to the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddedFile<'a> {
    /// Absolute path.
    pub path: &'a [u8],
    /// Permission bits; symbolic links are not files.
    pub mode: u32,
    /// Its first bytes: four tell a program; a key is found when its first line is among them.
    pub head: &'a [u8],
}

/// A finding that is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// Package name or absolute path; `*`, `?` and `**` as in artifact patterns.
    pub pattern: String,
    /// Why; printed with the report.
    pub reason: String,
}

/// A pattern of the allow list that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` in the list of allowed leftovers is not a pattern: {}", source.kind())]
pub struct AllowedError {
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub source: globset::Error,
}

/// The list of accepted findings, and which of its entries were needed.
#[derive(Debug)]
pub struct Allowances {
    entries: Vec<(GlobMatcher, Allowed, bool)>,
}

impl Allowances {
    /// Compiles the list.
    ///
    /// # Errors
    /// When a pattern is none.
    pub fn new(allowed: impl IntoIterator<Item = Allowed>) -> Result<Self, AllowedError> {
        let compile = |allowed: Allowed| match matcher(&allowed.pattern) {
            Ok(matcher) => Ok((matcher, allowed, false)),
            Err(source) => Err(AllowedError { pattern: allowed.pattern, source }),
        };
        Ok(Self { entries: allowed.into_iter().map(compile).collect::<Result<_, _>>()? })
    }

    /// Why this subject is accepted; `None` when it is not. The first entry that matches counts.
    pub fn reason(&mut self, subject: &str) -> Option<String> {
        let entry = self.entries.iter_mut().find(|(matcher, ..)| matcher.is_match(subject))?;
        entry.2 = true;
        Some(entry.1.reason.clone())
    }

    /// A finding for each entry that nothing has needed so far.
    pub fn unused(&self) -> Vec<Finding> {
        let unused = self.entries.iter().filter(|(.., used)| !used);
        let message = |allowed: &Allowed| format!("is allowed ({}) and not there", allowed.reason);
        unused
            .map(|(_, allowed, _)| finding(Code::UnusedAllowance, allowed.pattern.as_bytes(), &message(allowed)))
            .collect()
    }
}

fn matcher(pattern: &str) -> Result<GlobMatcher, globset::Error> {
    GlobBuilder::new(pattern).literal_separator(true).build().map(|glob| glob.compile_matcher())
}

/// The tables, compiled once.
struct Rules {
    packages: Vec<GlobMatcher>,
    programs: Vec<GlobMatcher>,
    files: Vec<(GlobMatcher, Code)>,
    harmless: Vec<GlobMatcher>,
}

static RULES: LazyLock<Rules> = LazyLock::new(|| {
    let one = |pattern: &&str| matcher(pattern).expect("the tables hold valid patterns");
    Rules {
        packages: PACKAGES.iter().map(one).collect(),
        programs: PROGRAMS.iter().map(one).collect(),
        files: FILES.iter().map(|(pattern, code)| (one(pattern), *code)).collect(),
        harmless: HARMLESS.iter().map(one).collect(),
    }
});

/// A finding when a package is one that only builds need, by its name.
pub fn leftover_package(name: &str) -> Option<Finding> {
    // dpkg lists packages of a foreign architecture as `name:arch`.
    let plain = name.split_once(':').map_or(name, |(name, _)| name);
    let denied = RULES.packages.iter().any(|matcher| matcher.is_match(plain));
    denied.then(|| finding(Code::BuildPackage, name.as_bytes(), "a package that only builds need"))
}

/// A finding when a file is one that only builds need, or a private key.
pub fn leftover_file(file: &AddedFile<'_>) -> Option<Finding> {
    if holds_key(file.head) {
        return Some(finding(Code::PrivateKey, file.path, "holds a private key"));
    }
    let path = path_text(file.path);
    if RULES.harmless.iter().any(|matcher| matcher.is_match(&*path)) {
        return None;
    }
    if let Some((_, code)) = RULES.files.iter().find(|(matcher, _)| matcher.is_match(&*path)) {
        return Some(finding(*code, file.path, describe(*code)));
    }
    let runnable = file.mode & 0o111 != 0 && (file.head.starts_with(b"\x7fELF") || file.head.starts_with(b"#!"));
    let program = runnable && RULES.programs.iter().any(|matcher| matcher.is_match(&*path));
    program.then(|| finding(Code::BuildProgram, file.path, describe(Code::BuildProgram)))
}

fn path_text(path: &[u8]) -> std::borrow::Cow<'_, str> {
    // Replacement characters cannot turn a denied name into an allowed one: the patterns are ASCII.
    String::from_utf8_lossy(path)
}

fn finding(code: Code, subject: &[u8], message: &str) -> Finding {
    Finding { code, subject: path_text(subject).into_owned(), message: message.to_owned() }
}

const fn describe(code: Code) -> &'static str {
    match code {
        Code::BuildProgram => "a program that only builds need",
        Code::KernelHeaders => "kernel headers",
        Code::ModuleSources => "sources or build tree of a module",
        Code::PrivateKey => "is named like a private key",
        _ => "output of a build",
    }
}

/// Whether a line that begins a PEM private key is among the first bytes.
fn holds_key(head: &[u8]) -> bool {
    let (begin, end) = PEM_KEY;
    head.split(|&byte| byte == b'\n').any(|line| {
        let line = line.trim_ascii();
        line.starts_with(begin) && line.ends_with(end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ELF: &[u8] = b"\x7fELF";

    fn code(path: &str, mode: u32, head: &[u8]) -> Option<&'static str> {
        let finding = leftover_file(&AddedFile { path: path.as_bytes(), mode, head })?;
        assert_eq!(finding.subject, path);
        Some(finding.code.as_str())
    }

    #[test]
    fn packages() {
        for (name, denied) in [
            ("gcc", true),
            ("gcc-14", true),
            ("gcc-14-x86-64-linux-gnu", true),
            ("gcc-14-base", false),
            ("gcc-c++", true),
            ("binutils-x86-64-linux-gnu", true),
            ("make", true),
            ("dkms", true),
            ("zfs-dkms", true),
            ("akmod-nvidia", true),
            ("kernel-devel", true),
            ("kernel-devel-matched", true),
            ("kernel-rt-devel", true),
            ("kernel-headers", true),
            ("linux-headers-6.12.48+deb13-amd64", true),
            ("linux-kbuild-6.12.48+deb13", true),
            ("libc6-dev", true),
            ("libc6-dev:i386", true),
            ("zlib-devel", true),
            ("gcc-libs", false),
            ("libgcc-s1", false),
            ("libgcc", false),
            ("makedumpfile", false),
            ("kernel-core", false),
            ("kernel-modules", false),
            ("linux-image-6.12.48+deb13-amd64", false),
            ("udev", false),
            ("libdevmapper1.02.1", false),
            ("zfsutils-linux", false),
            ("patchutils", false),
        ] {
            let code = leftover_package(name).map(|finding| finding.code);
            assert_eq!(code, denied.then_some(Code::BuildPackage), "{name}");
        }
    }

    #[test]
    fn files() {
        for (path, mode, head, expected) in [
            ("/usr/bin/x86_64-linux-gnu-gcc-14", 0o755, ELF, Some("LEFT002")),
            ("/usr/bin/gcc-14", 0o755, ELF, Some("LEFT002")),
            ("/usr/bin/make", 0o755, ELF, Some("LEFT002")),
            ("/usr/sbin/dkms", 0o755, b"#!/bin/bash", Some("LEFT002")),
            ("/usr/libexec/gcc/x86_64-linux-gnu/14/cc1", 0o755, ELF, Some("LEFT002")),
            ("/usr/lib/linux-tools/scripts/sign-file", 0o755, ELF, Some("LEFT002")),
            ("/usr/share/bash-completion/completions/make", 0o644, b"# bash", None),
            ("/usr/bin/make", 0o644, b"just notes", None),
            ("/usr/bin/ldd", 0o755, b"#!/bin/bash", None),
            ("/usr/bin/as-tree", 0o755, ELF, None),
            ("/usr/src/kernels/6.12.0-1.el10.x86_64/Makefile", 0o644, b"", Some("LEFT003")),
            ("/usr/src/linux-headers-6.12.48+deb13-amd64/Makefile", 0o644, b"", Some("LEFT003")),
            ("/usr/src/zfs-2.3.9/dkms.conf", 0o644, b"", Some("LEFT004")),
            ("/var/lib/dkms/zfs/2.3.9/build/make.log", 0o644, b"", Some("LEFT004")),
            ("/usr/lib/modules/1/build/zfs.o", 0o644, ELF, Some("LEFT005")),
            ("/usr/lib/x86_64-linux-gnu/libzfs.a", 0o644, b"!<arch>", Some("LEFT005")),
            ("/usr/lib/modules/1/Module.symvers", 0o644, b"", Some("LEFT005")),
            ("/usr/lib/modules/1/symvers.gz", 0o644, b"", None),
            ("/usr/lib/modules/1/extra/zfs.ko.xz", 0o644, b"", None),
            ("/usr/lib/x86_64-linux-gnu/libzfs.so.6", 0o644, ELF, None),
            ("/var/lib/shim-signed/mok/mok.key", 0o600, b"\x30\x82", Some("LEFT006")),
            ("/etc/pki/tls/server.pem", 0o600, b"-----BEGIN PRIVATE KEY-----\nMII", Some("LEFT006")),
            ("/etc/ssh/host", 0o600, b"-----BEGIN OPENSSH PRIVATE KEY-----\r\nb3", Some("LEFT006")),
            ("/opt/bag.pem", 0o600, b"Bag Attributes\n-----BEGIN RSA PRIVATE KEY-----\nMII", Some("LEFT006")),
            ("/etc/pki/tls/cert.pem", 0o644, b"-----BEGIN CERTIFICATE-----\nMII", None),
            ("/usr/share/doc/keys.txt", 0o644, b"a -----BEGIN PRIVATE KEY----- looks so", None),
        ] {
            assert_eq!(code(path, mode, head), expected, "{path}");
        }
    }

    #[test]
    fn what_is_allowed_has_a_reason_and_what_is_not_needed_any_more_is_told() {
        let allow = |pattern: &str| Allowed { pattern: pattern.into(), reason: "bcc compiles at run time".into() };
        let mut allowances = Allowances::new([allow("clang"), allow("/usr/src/kernels/**"), allow("llvm*")]).unwrap();
        let reason = Some("bcc compiles at run time".to_owned());
        for (subject, allowed) in
            [("clang", &reason), ("/usr/src/kernels/1/Makefile", &reason), ("make", &None), ("/usr/bin/clang", &None)]
        {
            assert_eq!(allowances.reason(subject), *allowed, "{subject}");
        }
        let unused: Vec<String> = allowances.unused().iter().map(ToString::to_string).collect();
        assert_eq!(unused, ["LEFT009 llvm*: is allowed (bcc compiles at run time) and not there"]);
        assert_eq!(Allowances::new([allow("{")]).unwrap_err().pattern, "{");
    }
}
