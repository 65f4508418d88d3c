//! The one time that reaches an artifact.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Seconds since 1970-01-01T00:00:00Z that stand for "when this was made".
///
/// Every time written into an image is this value or older, as the
/// [reproducible-builds specification](https://reproducible-builds.org/specs/source-date-epoch/)
/// asks. Never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SourceDateEpoch(u64);

/// Text that is not a count of seconds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a whole number of seconds since 1970")]
pub struct SourceDateEpochError(String);

impl SourceDateEpoch {
    /// The latest second that still has a four-digit year in every time zone.
    const MAX: u64 = 253_402_207_200;

    /// From seconds since the epoch; later than the year 9999 is clamped to its end.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(if seconds > Self::MAX { Self::MAX } else { seconds })
    }

    /// Seconds since the epoch.
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// The older of this time and `seconds`: what a file's time becomes in a layer.
    pub fn clamp(self, seconds: u64) -> u64 {
        seconds.min(self.0)
    }

    /// From RFC 3339 text, whole seconds; a time before 1970 becomes 1970, and what is no time nothing.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let seconds = text.parse::<jiff::Timestamp>().ok()?.as_second();
        Some(Self::from_secs(u64::try_from(seconds).unwrap_or(0)))
    }

    /// RFC 3339, in UTC, without fraction, as the image specification wants it in `created`.
    pub fn to_rfc3339(self) -> String {
        let seconds = i64::try_from(self.0).expect("at most MAX, which fits");
        jiff::Timestamp::from_second(seconds).expect("at most the year 9999").to_string()
    }
}

impl FromStr for SourceDateEpoch {
    type Err = SourceDateEpochError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self::from_secs).map_err(|_| SourceDateEpochError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read() {
        let parse = |text: &str| SourceDateEpoch::parse_rfc3339(text).map(SourceDateEpoch::as_secs);
        assert_eq!(parse(&SourceDateEpoch::from_secs(1_700_000_000).to_rfc3339()), Some(1_700_000_000));
        assert_eq!(parse("2023-11-15T00:13:20.9+02:00"), Some(1_700_000_000));
        assert_eq!((parse("1969-12-31T00:00:00Z"), parse("yesterday")), (Some(0), None));
    }

    #[test]
    fn prints_rfc3339_up_to_the_last_representable_second() {
        assert_eq!(SourceDateEpoch::from_secs(0).to_rfc3339(), "1970-01-01T00:00:00Z");
        assert_eq!(SourceDateEpoch::from_secs(u64::MAX).to_rfc3339(), "9999-12-30T22:00:00Z");
    }
}
