//! Names that operators choose, each checked against the rule of the place it ends up in.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// A name that breaks its rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a valid {kind}: {rule}", value.escape_debug())]
pub struct IdentError {
    value: String,
    kind: &'static str,
    rule: &'static str,
}

/// Defines a checked string type: `FromStr` and `Deserialize` share one rule, `Display` round-trips.
macro_rules! ident {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $pattern:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdentError;

            fn from_str(value: &str) -> Result<Self, Self::Err> {
                let check: fn(&str) -> bool = $check;
                if check(value) {
                    Ok(Self(value.to_owned()))
                } else {
                    Err(IdentError { value: value.to_owned(), kind: $kind, rule: $rule })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        /// Hash and order are those of the text, so names can be looked up and joined as text.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "description": $rule })
            }
        }
    };
}

ident!(
    /// Name of a tier-1 or tier-2 image; part of its OCI reference name.
    TierName, "tier name",
    "use 1 to 63 lower-case letters, digits, `.`, `_` or `-`, beginning and ending with a letter or digit",
    "^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$", is_slug
);
ident!(
    /// Name of a project, used in image annotations.
    ProjectName, "project name",
    "use 1 to 63 lower-case letters, digits, `.`, `_` or `-`, beginning and ending with a letter or digit",
    "^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$", is_slug
);
ident!(
    /// Name of a kernel module set (a `kmods/<name>` folder).
    KmodSetName, "module set name",
    "use 1 to 63 lower-case letters, digits, `.`, `_` or `-`, beginning and ending with a letter or digit",
    "^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$", is_slug
);
ident!(
    /// Name of a host: one DNS label (RFC 1123), in lower case so that it is also a valid OCI reference component.
    HostName, "host name",
    "use one DNS label: 1 to 63 lower-case letters, digits or `-`, beginning and ending with a letter or digit",
    "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", |value| is_slug(value) && !value.contains(['.', '_'])
);
ident!(
    /// A user as systemd-sysusers accepts it in strict mode.
    UserName, "user name",
    "use 1 to 31 lower-case letters, digits, `_` or `-`, beginning with a letter or `_`",
    "^[a-z_][a-z0-9_-]{0,30}$", is_account
);
ident!(
    /// A group as systemd-sysusers accepts it in strict mode.
    GroupName, "group name",
    "use 1 to 31 lower-case letters, digits, `_` or `-`, beginning with a letter or `_`",
    "^[a-z_][a-z0-9_-]{0,30}$", is_account
);
ident!(
    /// A systemd unit with its suffix, such as `nftables.service`.
    UnitName, "unit name",
    "give the unit with its suffix, such as `sshd.service`; no `/`",
    r"^[A-Za-z0-9:_.\\@-]{1,240}\.(service|socket|target|timer|mount|automount|path|slice|swap|device|scope)$",
    is_unit
);

ident!(
    /// A package as apt or dnf takes it on its command line, possibly with a version (`name=1.2-3`).
    ///
    /// Never begins with `-`, so it cannot become an option.
    PackageName, "package name",
    "use letters, digits and `+ . _ : ~ = ^ -`, beginning with a letter or digit",
    "^[A-Za-z0-9][A-Za-z0-9+._:~=^-]*$", is_package
);
ident!(
    /// A kernel module as `modprobe` takes it: no folder, no `.ko` suffix.
    ModuleName, "module name",
    "use letters, digits, `_` and `-`, without `.ko`",
    "^[A-Za-z0-9_-]{1,56}$", |value| (1..=56).contains(&value.len()) && value.chars().all(is_word)
);
ident!(
    /// One kernel argument, such as `quiet` or `console=ttyS0,115200`.
    Karg, "kernel argument",
    "give one argument per string, without spaces or line breaks",
    r"^[!-~]+$", |value| !value.is_empty() && value.chars().all(|c| c.is_ascii_graphic())
);
ident!(
    /// Name of a network connection; part of a file name on the host.
    ConnectionName, "connection name",
    "use 1 to 63 lower-case letters, digits, `.`, `_` or `-`, beginning and ending with a letter or digit",
    "^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$", is_slug
);
ident!(
    /// Name of a package repository; part of a file name in the image.
    RepositoryName, "repository name",
    "use 1 to 63 lower-case letters, digits, `.`, `_` or `-`, beginning and ending with a letter or digit",
    "^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$", is_slug
);
ident!(
    /// A network interface or a shell pattern for several, as `Name=` in systemd.network(5).
    InterfacePattern, "interface",
    "use an interface name of at most 15 characters, or a pattern such as `en*`; no spaces or `/`",
    r"^[A-Za-z0-9_.:*?\[\]!-]{1,15}$", is_interface
);
ident!(
    /// SHA-256 of something, as `sha256sum` prints it.
    Sha256Hex, "SHA-256",
    "use 64 lower-case hexadecimal digits",
    "^[0-9a-f]{64}$", |value| value.len() == 64 && value.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
);
ident!(
    /// A static host name, possibly fully qualified: DNS labels (RFC 1123) joined by dots, at most 64 bytes (Linux).
    Hostname, "host name",
    "use DNS labels of lower-case letters, digits and `-` joined by `.`, at most 64 bytes in all",
    r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$",
    |value| value.len() <= 64 && value.split('.').all(|label| is_slug(label) && !label.contains('_'))
);

fn is_slug(value: &str) -> bool {
    let alnum = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (1..=63).contains(&value.len())
        && value.chars().all(|c| alnum(c) || matches!(c, '.' | '_' | '-'))
        && value.starts_with(alnum)
        && value.ends_with(alnum)
}

fn is_account(value: &str) -> bool {
    (1..=31).contains(&value.len())
        && value.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && value.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'))
}

fn is_unit(value: &str) -> bool {
    const SUFFIXES: [&str; 11] =
        ["service", "socket", "target", "timer", "mount", "automount", "path", "slice", "swap", "device", "scope"];
    let Some((stem, suffix)) = value.rsplit_once('.') else { return false };
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '.' | '\\' | '@' | '-');
    (1..=240).contains(&stem.len()) && stem.chars().all(allowed) && SUFFIXES.contains(&suffix)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

fn is_package(value: &str) -> bool {
    value.starts_with(|c: char| c.is_ascii_alphanumeric())
        && value.chars().all(|c| c.is_ascii_alphanumeric() || "+._:~=^-".contains(c))
}

fn is_interface(value: &str) -> bool {
    // 15 is IFNAMSIZ without its final zero byte.
    (1..=15).contains(&value.len()) && value.chars().all(|c| c.is_ascii_alphanumeric() || "_.:*?[]!-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rule_of_their_destination() {
        for (text, tier, host, user) in [
            ("edge", true, true, true),
            ("edge-01", true, true, true),
            ("a.b", true, false, false),
            ("_svc", false, false, true),
            ("-x", false, false, false),
            ("Edge", false, false, false),
            ("", false, false, false),
            ("../etc", false, false, false),
        ] {
            assert_eq!(text.parse::<TierName>().is_ok(), tier, "tier {text:?}");
            assert_eq!(text.parse::<HostName>().is_ok(), host, "host {text:?}");
            assert_eq!(text.parse::<UserName>().is_ok(), user, "user {text:?}");
        }
    }

    #[test]
    fn unit_names_need_a_known_suffix() {
        for (text, ok) in [
            ("sshd.service", true),
            ("getty@tty1.service", true),
            ("sshd", false),
            ("a/b.service", false),
            (".service", false),
            ("x.conf", false),
        ] {
            assert_eq!(text.parse::<UnitName>().is_ok(), ok, "{text:?}");
        }
    }

    /// One row per type: texts that are names and texts that are not.
    #[test]
    fn each_type_keeps_its_rule() {
        fn check<T: FromStr>(good: &[&str], bad: &[&str]) {
            for text in good {
                assert!(text.parse::<T>().is_ok(), "{text:?}");
            }
            for text in bad {
                assert!(text.parse::<T>().is_err(), "{text:?}");
            }
        }
        check::<PackageName>(
            &["gcc", "libstdc++6", "zfs-dkms=2.3.9-1", "kernel-core-6.12.0"],
            &["", "-y", "a b", "a;b"],
        );
        check::<ModuleName>(&["zfs", "nvidia-drm", "nvidia_uvm"], &["", "zfs.ko", "extra/zfs"]);
        check::<Karg>(&["quiet", "console=ttyS0,115200"], &["", "a b", "a\nb", "a\tb"]);
        check::<ConnectionName>(&["lan", "lan.10"], &["", "../lan", "Lan"]);
        check::<InterfacePattern>(&["en*", "eth0.10"], &["", "eth 0", "averylonginterfacename", "a/b"]);
        check::<Sha256Hex>(&[&"0a".repeat(32)], &["", &"0A".repeat(32), &"0a".repeat(31)]);
        check::<Hostname>(
            &["edge", "edge-01.example.org"],
            &["", ".", "a..b", "-a", "A.example", "a_b", &"a.".repeat(40)],
        );
    }
}
