//! Debian package versions, after deb-version(7).

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{significant, take_while};

/// `[epoch:]upstream[-revision]`, ordered as dpkg orders it.
///
/// Equality is dpkg's too: `1.0-1` and `0:1.00-01` are equal although they read differently.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DebVersion {
    text: String,
    epoch: u32,
    upstream: String,
    revision: String,
}

/// Text that is not a Debian package version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum DebVersionError {
    /// Nothing but white space.
    #[error("a Debian version is empty")]
    Empty,
    /// The part before the first colon.
    #[error("`{version}`: the epoch `{epoch}` is not a number up to 2147483647")]
    Epoch { version: String, epoch: String },
    /// The part between epoch and revision is missing or does not begin with a digit.
    #[error("`{version}`: the upstream version begins with a digit")]
    Upstream { version: String },
    /// A hyphen with nothing behind it.
    #[error("`{version}`: nothing follows the last hyphen")]
    Revision { version: String },
    /// A character that its part may not hold.
    #[error("`{version}`: `{character}` may not stand in the {part}")]
    Character { version: String, part: &'static str, character: char },
}

impl DebVersion {
    /// The version as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The upstream part, without epoch and revision.
    pub fn upstream(&self) -> &str {
        &self.upstream
    }
}

impl FromStr for DebVersion {
    type Err = DebVersionError;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        let text = value.trim_matches([' ', '\t']);
        if text.is_empty() {
            return Err(DebVersionError::Empty);
        }
        let (epoch, rest) = split_epoch(text)?;
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        if !upstream.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(DebVersionError::Upstream { version: text.to_owned() });
        }
        if rest.ends_with('-') {
            return Err(DebVersionError::Revision { version: text.to_owned() });
        }
        check_characters(text, "upstream version", upstream, ".+-~:")?;
        check_characters(text, "revision", revision, ".+~")?;
        Ok(Self { text: text.to_owned(), epoch, upstream: upstream.to_owned(), revision: revision.to_owned() })
    }
}

/// dpkg keeps the epoch in a C `int`, which is why the limit is what it is.
fn split_epoch(text: &str) -> Result<(u32, &str), DebVersionError> {
    let Some((epoch, rest)) = text.split_once(':') else { return Ok((0, text)) };
    let number = epoch.parse().ok().filter(|&number: &u32| i32::try_from(number).is_ok() && !epoch.starts_with('+'));
    match number {
        Some(number) => Ok((number, rest)),
        None => Err(DebVersionError::Epoch { version: text.to_owned(), epoch: epoch.to_owned() }),
    }
}

fn check_characters(text: &str, part: &'static str, value: &str, allowed: &str) -> Result<(), DebVersionError> {
    match value.chars().find(|&c| !c.is_ascii_alphanumeric() && !allowed.contains(c)) {
        Some(character) => Err(DebVersionError::Character { version: text.to_owned(), part, character }),
        None => Ok(()),
    }
}

impl TryFrom<String> for DebVersion {
    type Error = DebVersionError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<DebVersion> for String {
    fn from(version: DebVersion) -> Self {
        version.to_string()
    }
}

impl fmt::Display for DebVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Ord for DebVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| compare(self.upstream.as_bytes(), other.upstream.as_bytes()))
            .then_with(|| compare(self.revision.as_bytes(), other.revision.as_bytes()))
    }
}

impl PartialOrd for DebVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for DebVersion {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for DebVersion {}

/// Compares runs of non-digits and of digits in turn.
fn compare(mut left: &[u8], mut right: &[u8]) -> Ordering {
    while !left.is_empty() || !right.is_empty() {
        let (left_text, left_rest) = take_while(left, |byte| !byte.is_ascii_digit());
        let (right_text, right_rest) = take_while(right, |byte| !byte.is_ascii_digit());
        let (left_digits, left_rest) = take_while(left_rest, |byte| byte.is_ascii_digit());
        let (right_digits, right_rest) = take_while(right_rest, |byte| byte.is_ascii_digit());
        let order = compare_text(left_text, right_text).then_with(|| compare_digits(left_digits, right_digits));
        if order.is_ne() {
            return order;
        }
        (left, right) = (left_rest, right_rest);
    }
    Ordering::Equal
}

fn compare_text(left: &[u8], right: &[u8]) -> Ordering {
    // The end of the run takes part in the comparison: a tilde is smaller even than that.
    weights(left).cmp(weights(right))
}

fn weights(text: &[u8]) -> impl Iterator<Item = u16> {
    text.iter().map(|&byte| weight(byte)).chain([END])
}

const END: u16 = 1;

fn weight(byte: u8) -> u16 {
    match byte {
        b'~' => 0,
        letter if letter.is_ascii_alphabetic() => u16::from(letter),
        other => u16::from(other) + 0x100,
    }
}

fn compare_digits(left: &[u8], right: &[u8]) -> Ordering {
    let (left, right) = (significant(left), significant(right));
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(text: &str) -> DebVersion {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    /// The accepted spellings of dpkg's own `t-version` test and what they consist of.
    #[test]
    fn parses_what_dpkg_parses() {
        for (text, epoch, upstream, revision) in [
            ("0", 0, "0", ""),
            ("0:0", 0, "0", ""),
            ("0:0-0", 0, "0", "0"),
            ("0:0.0-0.0", 0, "0.0", "0.0"),
            ("1:0", 1, "0", ""),
            ("5:1", 5, "1", ""),
            ("0:0-0-0", 0, "0-0", "0"),
            ("0:0-0-0-0", 0, "0-0-0", "0"),
            ("0:0:0-0", 0, "0:0", "0"),
            ("0:0:0:0-0", 0, "0:0:0", "0"),
            ("0:0:0-0-0", 0, "0:0-0", "0"),
            ("0:0-0:0-0", 0, "0-0:0", "0"),
            ("0:09azAZ.-+~:-0", 0, "09azAZ.-+~:", "0"),
            ("0:0-azAZ09.+~", 0, "0", "azAZ09.+~"),
            ("  \t0:0-1", 0, "0", "1"),
            ("0:0-1\t  ", 0, "0", "1"),
            ("\t  0:0-1  \t", 0, "0", "1"),
        ] {
            let parsed = version(text);
            assert_eq!((parsed.epoch, &*parsed.upstream, &*parsed.revision), (epoch, upstream, revision), "{text:?}");
        }
    }

    #[test]
    fn refuses_what_dpkg_refuses() {
        let fixed =
            ["", "  ", "0:", "0:0 0-1", "-1:0-1", "999999999999999999999999:0-1", "a:0-0", "A:0-0", "-0", "0:-0"];
        let upstream = "!#@$%&/|\\<>()[]{};,_=*^'".chars().map(|c| format!("0:{c}a-0"));
        let inside = "!#@$%&/|\\<>()[]{};,_=*^'".chars().map(|c| format!("0:0{c}-0"));
        let revision = "!#@$%&/|\\<>()[]{}:;,_=*^'".chars().map(|c| format!("0:0-{c}"));
        let more = ["0:0-", "0:abc3-0", "0:0-0:0", "+1:0", "2147483648:1"].map(str::to_owned);
        for text in fixed.map(str::to_owned).into_iter().chain(upstream).chain(inside).chain(revision).chain(more) {
            assert!(text.parse::<DebVersion>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn every_refusal_says_what_is_wrong() {
        for (text, message) in [
            ("", "a Debian version is empty"),
            ("1-", "`1-`: nothing follows the last hyphen"),
            ("x:1", "`x:1`: the epoch `x` is not a number up to 2147483647"),
            ("1:", "`1:`: the upstream version begins with a digit"),
            ("1:1_2", "`1:1_2`: `_` may not stand in the upstream version"),
            ("0:1-a:b", "`0:1-a:b`: `:` may not stand in the revision"),
        ] {
            assert_eq!(text.parse::<DebVersion>().unwrap_err().to_string(), message);
        }
    }

    /// The comparisons of dpkg's `t-version`, the cases of apt's version list and kernels of the Debian archive;
    /// `tests/version_order.rs` asks dpkg itself.
    #[test]
    fn orders_as_dpkg_does() {
        use Ordering::{Equal, Less};
        for (left, order, right) in [
            ("0:1-1", Less, "0:2-1"),
            ("0:1-1", Less, "0:1-2"),
            ("0:0-0", Equal, "0:0-0"),
            ("0:0-00", Equal, "0:00-0"),
            ("1:2-3", Equal, "1:2-3"),
            ("0:0-0", Less, "1:0-0"),
            ("0:0-a", Less, "0:0-b"),
            ("7.6-0", Less, "7.6p2-4"),
            ("1.0-1", Less, "1.0.3-3"),
            ("1.2.2.2-2", Less, "1.3"),
            ("1.2.2", Less, "1.3"),
            ("0-pre", Less, "0-pree"),
            ("1.1.6r-1", Less, "1.1.6r2-2"),
            ("2.6b-2", Less, "2.6b2-1"),
            ("98.1p5-1", Less, "98.1-pre2-b6-2"),
            ("0.4-1", Less, "0.4a6-2"),
            ("1:3.0.5-2", Less, "1:3.0.5.1"),
            ("10.3", Less, "1:0.4"),
            ("1:1.25-4", Less, "1:1.25-8"),
            ("0:1.18.36", Equal, "1.18.36"),
            ("9:1.18.36:5.4-20", Less, "10:0.5.1-22"),
            ("9:1.18.36:5.4-20", Less, "9:1.18.37:4.3-22"),
            ("1.18.36-19", Less, "1.18.36-0.17.35-18"),
            ("1:1.2.13-3", Less, "1:1.2.13-3.1"),
            ("2.0.7pre1-4", Less, "2.0.7r-1"),
            ("0-0+", Less, "0:0-0-0"),
            ("0~", Less, "0"),
            ("0~~", Less, "0~"),
            ("0~a", Less, "0"),
            ("0~~a", Less, "0~"),
            ("1.0~rc1-1", Less, "1.0-1"),
            ("1.0-1~bpo1", Less, "1.0-1"),
            ("1.0", Less, "1.0+"),
            ("1.0a", Less, "1.0+"),
            ("1.0-1", Less, "1.0.1-1"),
            ("6.12.94-1", Less, "6.12.107-1"),
            ("6.12.115-1", Less, "6.12.115-1+deb13u1"),
            ("7.2.12-1~bpo13+1", Less, "7.2.12-1"),
            ("7.3~rc4-1~exp1", Less, "7.3.1-1"),
        ] {
            assert_eq!(version(left).cmp(&version(right)), order, "{left} against {right}");
            assert_eq!(version(right).cmp(&version(left)), order.reverse(), "{right} against {left}");
        }
    }

    proptest! {
        #[test]
        fn the_order_is_total(texts in prop::array::uniform3("([0-2]:)?[0-2][0-2a.~+]{0,5}(-[0-2a.~+]{1,3})?")) {
            let [a, b, c] = texts.map(|text| version(&text));
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            let mut sorted = [&a, &b, &c];
            sorted.sort();
            prop_assert!(sorted[0] <= sorted[1] && sorted[1] <= sorted[2] && sorted[0] <= sorted[2]);
        }

        #[test]
        fn any_text_parses_or_is_refused(text in "\\PC{0,12}") {
            if let Ok(parsed) = text.parse::<DebVersion>() {
                prop_assert_eq!(parsed.to_string().parse::<DebVersion>().unwrap(), parsed);
            }
        }
    }
}
