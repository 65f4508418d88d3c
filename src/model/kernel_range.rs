//! How upstream projects state which kernels they support: numbers, what a bound includes, patterns.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use regex::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::KernelRelease;

/// The number a kernel's release begins with: `6.12.94` of `6.12.94+deb13-amd64`.
///
/// Only for bounds that upstream projects state; which of two kernels is newer is up to their package versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KernelNumber(Vec<u32>);

/// Text that is not a kernel's number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a kernel's number: one to four numbers with dots between them, such as 6.12 or 6.12.94")]
pub struct KernelNumberError(String);

impl KernelNumber {
    /// The number of a release; one too long to be of use has the largest value.
    pub fn of(release: &KernelRelease) -> Self {
        let text = release.as_str();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let parts = text[..end].split('.').take_while(|part| !part.is_empty()).take(4);
        Self(parts.map(|part| part.parse().unwrap_or(u32::MAX)).collect())
    }

    /// How this number stands to a bound; parts that the bound does not name are compared as `reach` says.
    pub fn against(&self, bound: &Self, reach: Reach) -> Ordering {
        let length = match reach {
            Reach::Series => bound.0.len(),
            Reach::Full => bound.0.len().max(self.0.len()),
        };
        let part = |number: &Self, index: usize| number.0.get(index).copied().unwrap_or(0);
        (0..length)
            .map(|index| part(self, index).cmp(&part(bound, index)))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }

    /// A newest kernel as [`Reach::Full`] means it, for those who read it as a series: with the three parts that
    /// every release has.
    pub fn in_full(&self) -> Self {
        let length = self.0.len().max(3);
        Self(self.0.iter().copied().chain(std::iter::repeat(0)).take(length).collect())
    }

    /// Of two newest kernels, each meaning its series, the one that admits fewer.
    pub fn lower(self, other: Self) -> Self {
        self.tighter(other, Ordering::Less)
    }

    /// Of two oldest kernels, each meaning its series, the one that admits fewer.
    pub fn higher(self, other: Self) -> Self {
        self.tighter(other, Ordering::Greater)
    }

    /// Where one begins as the other, the longer says more.
    fn tighter(self, other: Self, wanted: Ordering) -> Self {
        let differing = self.0.iter().zip(&other.0).map(|(one, two)| one.cmp(two)).find(|order| order.is_ne());
        let takes_self = differing.map_or(self.0.len() >= other.0.len(), |order| order == wanted);
        if takes_self { self } else { other }
    }

    /// Whether a kernel with this number is newer than a ceiling; a ceiling of 6.12 admits all of 6.12.
    pub fn is_above(&self, ceiling: &Self) -> bool {
        self.against(ceiling, Reach::Series).is_gt()
    }

    /// Whether a kernel with this number is older than a floor.
    pub fn is_below(&self, floor: &Self) -> bool {
        self.against(floor, Reach::Series).is_lt()
    }
}

impl FromStr for KernelNumber {
    type Err = KernelNumberError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || KernelNumberError(text.to_owned());
        let part = |part: &str| match part.starts_with('+') {
            true => Err(error()),
            false => part.parse().map_err(|_| error()),
        };
        let parts = text.split('.').map(part).collect::<Result<Vec<u32>, _>>()?;
        if parts.len() > 4 { Err(error()) } else { Ok(Self(parts)) }
    }
}

impl TryFrom<String> for KernelNumber {
    type Error = KernelNumberError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<KernelNumber> for String {
    fn from(number: KernelNumber) -> Self {
        number.to_string()
    }
}

impl fmt::Display for KernelNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&parts.join("."))
    }
}

/// A regular expression over kernel releases or machine names.
///
/// DKMS hands its patterns to bash, whose extended expressions are read the same here
/// but for back references, which no pattern needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KernelPattern(Regex);

/// Text that is not a regular expression.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("`{pattern}` is not a regular expression")]
#[expect(missing_docs, reason = "the message names the fields")]
pub struct KernelPatternError {
    pub pattern: String,
    pub source: regex::Error,
}

impl KernelPattern {
    /// Whether the pattern is found in the text.
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl FromStr for KernelPattern {
    type Err = KernelPatternError;

    fn from_str(pattern: &str) -> Result<Self, Self::Err> {
        Regex::new(pattern).map(Self).map_err(|source| KernelPatternError { pattern: pattern.to_owned(), source })
    }
}

impl TryFrom<String> for KernelPattern {
    type Error = KernelPatternError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<KernelPattern> for String {
    fn from(pattern: KernelPattern) -> Self {
        pattern.0.as_str().to_owned()
    }
}

impl PartialEq for KernelPattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for KernelPattern {}

impl fmt::Display for KernelPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// What a bound such as 7.2 says about 7.2.12.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// It means the series: parts it does not name are not compared. `Linux-Maximum` in OpenZFS's META.
    #[default]
    Series,
    /// It means 7.2.0: parts it does not name are zero. `BUILD_EXCLUSIVE_KERNEL_MIN` and `_MAX` of DKMS.
    Full,
}

impl JsonSchema for KernelNumber {
    fn schema_name() -> Cow<'static, str> {
        "KernelNumber".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]+(\\.[0-9]+){0,3}$",
            "description": "the number a kernel's release begins with, such as `6.12` or `6.12.94`",
        })
    }
}

impl JsonSchema for KernelPattern {
    fn schema_name() -> Cow<'static, str> {
        "KernelPattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "regex",
            "description": "a regular expression; it may match anywhere unless `^` and `$` hold it",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_what_a_release_begins_with() {
        for (release, number) in [
            ("6.12.94+deb13-amd64", "6.12.94"),
            ("6.12.0-124.8.1.el10_1.x86_64", "6.12.0"),
            ("7.3~rc4-amd64", "7.3"),
            ("6.1.0-40-amd64", "6.1.0"),
            ("7", "7"),
            ("6.12.", "6.12"),
            ("99999999999.1", "4294967295.1"),
        ] {
            assert_eq!(KernelNumber::of(&release.parse().unwrap()).to_string(), number, "{release}");
        }
    }

    #[test]
    fn what_is_not_a_number_is_refused() {
        for text in ["", "6.", ".6", "6.x", "6.12+1", "+6", "1.2.3.4.5", "6 "] {
            assert!(text.parse::<KernelNumber>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_bound_reaches_as_far_as_its_origin_means() {
        use Ordering::{Equal, Greater, Less};
        for (number, bound, series, full) in [
            ("7.2.12", "7.2", Equal, Greater),
            ("7.2.0", "7.2", Equal, Equal),
            ("7.3", "7.2", Greater, Greater),
            ("6.12", "6.12.1", Less, Less),
            ("6.9.9", "6.12", Less, Less),
            ("6.12.107", "6.12.94", Greater, Greater),
        ] {
            let [left, right] = [number, bound].map(|text| text.parse::<KernelNumber>().unwrap());
            assert_eq!(left.against(&right, Reach::Series), series, "{number} against series {bound}");
            assert_eq!(left.against(&right, Reach::Full), full, "{number} against {bound}");
        }
    }

    #[test]
    fn of_two_bounds_the_tighter_holds() {
        for (one, two, lower, higher) in [
            ("7.2", "6.12", "6.12", "7.2"),
            ("7.2", "7.2.5", "7.2.5", "7.2.5"),
            ("6.12.94", "6.12.107", "6.12.94", "6.12.107"),
            ("7", "7", "7", "7"),
        ] {
            for [left, right] in [[one, two], [two, one]] {
                let [left, right] = [left, right].map(|text| text.parse::<KernelNumber>().unwrap());
                assert_eq!(left.clone().lower(right.clone()).to_string(), lower, "{one} {two}");
                assert_eq!(left.higher(right).to_string(), higher, "{one} {two}");
            }
        }
        let number = KernelNumber::of(&"7.2.12-amd64".parse().unwrap());
        let bound: KernelNumber = "7.2".parse().unwrap();
        assert!(!number.is_above(&bound) && number.is_above(&bound.in_full()));
    }

    #[test]
    fn a_broken_pattern_is_refused_with_its_text() {
        let error = "6.(".parse::<KernelPattern>().unwrap_err();
        assert_eq!(error.to_string(), "`6.(` is not a regular expression");
    }
}
