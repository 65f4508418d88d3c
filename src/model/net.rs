//! Addresses as network configuration has them.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An address of an interface with the length of its network prefix, such as `192.0.2.10/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpPrefix {
    address: IpAddr,
    length: u8,
}

/// Text that is not an address with prefix length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an address with prefix length: use `192.0.2.10/24` or `2001:db8::10/64`")]
pub struct IpPrefixError(String);

impl IpPrefix {
    /// The address itself, host bits included.
    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// Length of the network prefix in bits: at most 32 for IPv4 and 128 for IPv6.
    pub const fn length(self) -> u8 {
        self.length
    }
}

impl FromStr for IpPrefix {
    type Err = IpPrefixError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (address, length) = text.split_once('/')?;
            let address: IpAddr = address.parse().ok()?;
            let digits = length.bytes().all(|b| b.is_ascii_digit());
            let length: u8 = length.parse().ok()?;
            let bits = if address.is_ipv4() { 32 } else { 128 };
            (digits && length <= bits).then_some(Self { address, length })
        };
        parse().ok_or_else(|| IpPrefixError(text.to_owned()))
    }
}

impl fmt::Display for IpPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// A hardware address (EUI-48), printed in lower case with colons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddress([u8; 6]);

/// Text that is not a hardware address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a hardware address: use six pairs of hexadecimal digits, such as `52:54:00:12:34:56`")]
pub struct MacAddressError(String);

impl FromStr for MacAddress {
    type Err = MacAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let pair = |part: &str| {
            let hex = part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
            u8::from_str_radix(part, 16).ok().filter(|_| hex)
        };
        let parts: Option<Vec<u8>> = text.split([':', '-']).map(pair).collect();
        parts.and_then(|parts| parts.try_into().ok()).map(Self).ok_or_else(|| MacAddressError(text.to_owned()))
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

macro_rules! as_text {
    ($name:ident, $schema:tt) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
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
                json_schema!($schema)
            }
        }
    };
}

as_text!(IpPrefix, {
    "type": "string",
    "pattern": "^[0-9A-Fa-f:.]+/[0-9]{1,3}$",
    "description": "an address with prefix length, such as `192.0.2.10/24`",
});
as_text!(MacAddress, {
    "type": "string",
    "pattern": "^[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}$",
    "description": "a hardware address, such as `52:54:00:12:34:56`",
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_fit_their_family() {
        for (text, ok) in [
            ("192.0.2.10/24", true),
            ("2001:db8::10/64", true),
            ("192.0.2.10", false),
            ("192.0.2.10/33", false),
            ("192.0.2.256/24", false),
            ("2001:db8::10/129", false),
            ("192.0.2.10/+4", false),
            ("", false),
        ] {
            assert_eq!(text.parse::<IpPrefix>().is_ok(), ok, "{text:?}");
        }
        assert_eq!("2001:DB8:0::10/64".parse::<IpPrefix>().unwrap().to_string(), "2001:db8::10/64");
    }

    #[test]
    fn hardware_addresses_are_six_pairs() {
        for (text, ok) in [
            ("52:54:00:12:34:56", true),
            ("52-54-00-12-34-5A", true),
            ("52:54:00:12:34", false),
            ("52:54:00:12:34:5g", false),
            ("5:54:00:12:34:56", false),
            ("525400123456", false),
        ] {
            assert_eq!(text.parse::<MacAddress>().is_ok(), ok, "{text:?}");
        }
        assert_eq!("52-54-00-12-34-5A".parse::<MacAddress>().unwrap().to_string(), "52:54:00:12:34:5a");
    }
}
