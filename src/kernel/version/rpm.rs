//! RPM package versions, after rpm-version(7).

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{significant, take_while};

/// `[epoch:]version[-release]`, ordered as rpm orders it.
///
/// Equality is rpm's too: `1.0-1` and `0:1.0-01` are equal although they read differently.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RpmVersion {
    epoch: u32,
    version: String,
    release: Option<String>,
}

/// Text that is not an RPM version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum RpmVersionError {
    /// The part before the colon.
    #[error("`{version}`: the epoch `{epoch}` is not a number up to 4294967295")]
    Epoch { version: String, epoch: String },
    /// The version, or the release after a hyphen, is missing.
    #[error("`{version}`: the {part} is empty")]
    Empty { version: String, part: &'static str },
    /// A character that neither part may hold.
    #[error("`{version}`: `{character}` may not stand in the {part}")]
    Character { version: String, part: &'static str, character: char },
}

impl RpmVersion {
    /// Puts a version together from the three tags of a package header; no epoch is the same as 0.
    ///
    /// # Errors
    /// When a part is empty or holds a character that rpm does not allow.
    pub fn new(epoch: Option<u32>, version: &str, release: &str) -> Result<Self, RpmVersionError> {
        let text = format!("{version}-{release}");
        check_part(&text, "version", version)?;
        check_part(&text, "release", release)?;
        Ok(Self { epoch: epoch.unwrap_or(0), version: version.to_owned(), release: Some(release.to_owned()) })
    }

    /// The version without epoch and release.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The release, where there is one.
    pub fn release(&self) -> Option<&str> {
        self.release.as_deref()
    }
}

impl FromStr for RpmVersion {
    type Err = RpmVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (epoch, rest) = split_epoch(text)?;
        let (version, release) = match rest.rsplit_once('-') {
            Some((version, release)) => (version, Some(release)),
            None => (rest, None),
        };
        check_part(text, "version", version)?;
        if let Some(release) = release {
            check_part(text, "release", release)?;
        }
        Ok(Self { epoch, version: version.to_owned(), release: release.map(str::to_owned) })
    }
}

fn split_epoch(text: &str) -> Result<(u32, &str), RpmVersionError> {
    let Some((epoch, rest)) = text.split_once(':') else { return Ok((0, text)) };
    // dnf prints `(none)` for a package without an epoch.
    let number = if epoch == "(none)" { Some(0) } else { epoch.parse().ok().filter(|_| !epoch.starts_with('+')) };
    match number {
        Some(number) => Ok((number, rest)),
        None => Err(RpmVersionError::Epoch { version: text.to_owned(), epoch: epoch.to_owned() }),
    }
}

fn check_part(text: &str, part: &'static str, value: &str) -> Result<(), RpmVersionError> {
    let version = || text.to_owned();
    if value.is_empty() {
        return Err(RpmVersionError::Empty { version: version(), part });
    }
    match value.chars().find(|&c| !c.is_ascii_alphanumeric() && !"._+%{}~^".contains(c)) {
        Some(character) => Err(RpmVersionError::Character { version: version(), part, character }),
        None => Ok(()),
    }
}

impl TryFrom<String> for RpmVersion {
    type Error = RpmVersionError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RpmVersion> for String {
    fn from(version: RpmVersion) -> Self {
        version.to_string()
    }
}

impl fmt::Display for RpmVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.epoch != 0 {
            write!(f, "{}:", self.epoch)?;
        }
        f.write_str(&self.version)?;
        self.release.as_ref().map_or(Ok(()), |release| write!(f, "-{release}"))
    }
}

impl Ord for RpmVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.epoch.cmp(&other.epoch).then_with(|| compare(&self.version, &other.version)).then_with(|| {
            match (&self.release, &other.release) {
                (Some(left), Some(right)) => compare(left, right),
                (left, right) => left.is_some().cmp(&right.is_some()),
            }
        })
    }
}

impl PartialOrd for RpmVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for RpmVersion {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for RpmVersion {}

/// One segment of a version. rpm's comparison is the lexicographic order of these,
/// with the end as an endless row of [`Segment::End`]; the order of the variants is the rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment<'a> {
    /// `~`: before the release it leads up to.
    Tilde,
    /// Nothing left.
    End,
    /// `^`: after the release it follows, before the next one.
    Caret,
    /// ASCII letters.
    Letters(&'a [u8]),
    /// A number: count of significant digits, then the digits.
    Number(usize, &'a [u8]),
}

/// The `rpmvercmp` of rpm, over one version or release.
fn compare(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    loop {
        let (left_segment, left_rest) = next_segment(left);
        let (right_segment, right_rest) = next_segment(right);
        let order = left_segment.cmp(&right_segment);
        if order.is_ne() || left_segment == Segment::End {
            return order;
        }
        (left, right) = (left_rest, right_rest);
    }
}

fn next_segment(text: &[u8]) -> (Segment<'_>, &[u8]) {
    // Everything else only separates: `2.0`, `2_0` and `2..0` are the same.
    let (_, text) = take_while(text, |byte| !byte.is_ascii_alphanumeric() && byte != b'~' && byte != b'^');
    match text.first() {
        None => (Segment::End, text),
        Some(b'~') => (Segment::Tilde, &text[1..]),
        Some(b'^') => (Segment::Caret, &text[1..]),
        Some(byte) if byte.is_ascii_digit() => {
            let (digits, rest) = take_while(text, |byte| byte.is_ascii_digit());
            let digits = significant(digits);
            (Segment::Number(digits.len(), digits), rest)
        }
        Some(_) => {
            let (letters, rest) = take_while(text, |byte| byte.is_ascii_alphabetic());
            (Segment::Letters(letters), rest)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(text: &str) -> RpmVersion {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Each case of rpm's own `rpmvercmp.at`, stated once; the test looks from both sides.
    const CASES: &[(&str, Ordering, &str)] = {
        use Ordering::{Equal, Greater, Less};
        &[
            ("1.0", Equal, "1.0"),
            ("1.0", Less, "2.0"),
            ("2.0.1", Equal, "2.0.1"),
            ("2.0", Less, "2.0.1"),
            ("2.0.1a", Equal, "2.0.1a"),
            ("2.0.1a", Greater, "2.0.1"),
            ("5.5p1", Equal, "5.5p1"),
            ("5.5p1", Less, "5.5p2"),
            ("5.5p10", Equal, "5.5p10"),
            ("5.5p1", Less, "5.5p10"),
            ("10xyz", Less, "10.1xyz"),
            ("xyz10", Equal, "xyz10"),
            ("xyz10", Less, "xyz10.1"),
            ("xyz.4", Equal, "xyz.4"),
            ("xyz.4", Less, "8"),
            ("xyz.4", Less, "2"),
            ("5.5p2", Less, "5.6p1"),
            ("5.6p1", Less, "6.5p1"),
            ("6.0.rc1", Greater, "6.0"),
            ("10b2", Greater, "10a1"),
            ("10a2", Less, "10b2"),
            ("1.0aa", Equal, "1.0aa"),
            ("1.0a", Less, "1.0aa"),
            ("10.0001", Equal, "10.0001"),
            ("10.0001", Equal, "10.1"),
            ("10.0001", Less, "10.0039"),
            ("4.999.9", Less, "5.0"),
            ("20101121", Equal, "20101121"),
            ("20101121", Less, "20101122"),
            ("2_0", Equal, "2_0"),
            ("2.0", Equal, "2_0"),
            ("a", Equal, "a"),
            ("a+", Equal, "a+"),
            ("a+", Equal, "a_"),
            ("+a", Equal, "+a"),
            ("+a", Equal, "_a"),
            ("+_", Equal, "+_"),
            ("_+", Equal, "+_"),
            ("_+", Equal, "_+"),
            ("+", Equal, "_"),
            ("1.0~rc1", Equal, "1.0~rc1"),
            ("1.0~rc1", Less, "1.0"),
            ("1.0~rc1", Less, "1.0~rc2"),
            ("1.0~rc1~git123", Equal, "1.0~rc1~git123"),
            ("1.0~rc1~git123", Less, "1.0~rc1"),
            ("1.0^", Equal, "1.0^"),
            ("1.0^", Greater, "1.0"),
            ("1.0^git1", Equal, "1.0^git1"),
            ("1.0^git1", Greater, "1.0"),
            ("1.0^git1", Less, "1.0^git2"),
            ("1.0^git1", Less, "1.01"),
            ("1.0^20160101", Equal, "1.0^20160101"),
            ("1.0^20160101", Less, "1.0.1"),
            ("1.0^20160101^git1", Equal, "1.0^20160101^git1"),
            ("1.0^20160102", Greater, "1.0^20160101^git1"),
            ("1.0~rc1^git1", Equal, "1.0~rc1^git1"),
            ("1.0~rc1^git1", Greater, "1.0~rc1"),
            ("1.0^git1~pre", Equal, "1.0^git1~pre"),
            ("1.0^git1", Greater, "1.0^git1~pre"),
            // rpm keeps these as known oddities.
            ("1b.fc17", Equal, "1b.fc17"),
            ("1b.fc17", Less, "1.fc17"),
            ("1g.fc17", Equal, "1g.fc17"),
            ("1g.fc17", Greater, "1.fc17"),
        ]
    };

    #[test]
    fn orders_as_rpmvercmp_does() {
        for &(left, order, right) in CASES {
            assert_eq!(compare(left, right), order, "{left} against {right}");
            assert_eq!(compare(right, left), order.reverse(), "{right} against {left}");
        }
    }

    #[test]
    fn characters_outside_ascii_only_separate() {
        for (left, right) in [("1.1.α", "1.1.β"), ("1.1.αα", "1.1.α"), ("1.1.ββ", "1.1.αα")] {
            assert_eq!(compare(left, right), Ordering::Equal);
        }
    }

    #[test]
    fn epoch_then_version_then_release() {
        use Ordering::{Equal, Less};
        for (left, order, right) in [
            ("9:1.0-1", Less, "10:0.1-1"),
            ("1.0-1", Equal, "0:1.0-1"),
            ("1.0-1", Equal, "(none):1.0-1"),
            ("1.0-2", Less, "1.0-10"),
            ("1.0", Less, "1.0-1"),
            ("6.12.0-55.9.1.el10_0", Less, "6.12.0-124.8.1.el10_1"),
            ("6.12.0-124.8.1.el10_1", Less, "6.12.0-124.13.1.el10_1"),
            ("6.17.0~rc3-1.fc43", Less, "6.17.0-1.fc43"),
            ("6.17.12-300.fc43", Less, "6.18.5-200.fc43"),
        ] {
            assert_eq!(version(left).cmp(&version(right)), order, "{left} against {right}");
            assert_eq!(version(right).cmp(&version(left)), order.reverse(), "{right} against {left}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_version() {
        for (text, message) in [
            ("", "``: the version is empty"),
            ("1.0-", "`1.0-`: the release is empty"),
            ("-1", "`-1`: the version is empty"),
            ("x:1.0-1", "`x:1.0-1`: the epoch `x` is not a number up to 4294967295"),
            ("4294967296:1", "`4294967296:1`: the epoch `4294967296` is not a number up to 4294967295"),
            ("1.0-2-3", "`1.0-2-3`: `-` may not stand in the version"),
            ("1/0-1", "`1/0-1`: `/` may not stand in the version"),
        ] {
            assert_eq!(text.parse::<RpmVersion>().unwrap_err().to_string(), message);
        }
    }

    proptest! {
        #[test]
        fn the_order_is_total(texts in prop::array::uniform3("([0-2]:)?[0-2ab._~^]{1,6}(-[0-2a.~^]{1,3})?")) {
            let [a, b, c] = texts.map(|text| version(&text));
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            let mut sorted = [&a, &b, &c];
            sorted.sort();
            prop_assert!(sorted[0] <= sorted[1] && sorted[1] <= sorted[2] && sorted[0] <= sorted[2]);
        }

        #[test]
        fn any_text_parses_or_is_refused(text in "\\PC{0,12}") {
            if let Ok(parsed) = text.parse::<RpmVersion>() {
                prop_assert_eq!(parsed.to_string().parse::<RpmVersion>().unwrap(), parsed);
            }
        }
    }
}
