//! Names that operators choose, each checked against the rule of the place it ends up in.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// A name that breaks its rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not a valid {kind}: {rule}")]
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
}
