//! When to ask again, and how long to wait before.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;

use super::error::{Again, Failure, RegistryError};

/// How patient the client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// How often one request is sent at most, the first time included.
    pub attempts: u32,
    /// Pause after the first failure; it doubles after each further one.
    pub first_pause: Duration,
    /// No pause of our own choosing is longer.
    pub longest_pause: Duration,
    /// A registry that asks for a longer pause than this is an error.
    pub longest_asked: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 5,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
            longest_asked: Duration::from_secs(120),
        }
    }
}

/// A transfer that got this many bytes further has earned its attempts back:
/// a large layer over a poor line may break off many times.
const EARNED_BY: u64 = 1 << 20;

/// Counts the failures of one request.
#[derive(Debug)]
pub(super) struct Attempts {
    policy: Retry,
    failed: u32,
    advanced: u64,
}

impl Attempts {
    pub(super) fn new(policy: Retry) -> Self {
        Self { policy, failed: 0, advanced: 0 }
    }

    /// Attempts made so far, counting one that has just failed.
    pub(super) fn made(&self) -> u32 {
        self.failed
    }

    /// Notes that `bytes` more have arrived.
    pub(super) fn advance(&mut self, bytes: u64) {
        self.advanced += bytes;
        if self.advanced >= EARNED_BY {
            self.advanced = 0;
            self.failed = 0;
        }
    }

    /// How long to wait before the next attempt, or the error to give up with.
    pub(super) fn pause_after(&mut self, failure: Failure, registry: &str) -> Result<Duration, RegistryError> {
        self.failed += 1;
        match failure.again {
            Again::After(wait) if wait > self.policy.longest_asked => {
                Err(RegistryError::RateLimited { registry: registry.to_owned(), wait })
            }
            Again::Never => Err(failure.error),
            _ if self.failed >= self.policy.attempts => Err(self.counted(failure.error)),
            Again::After(wait) => Ok(wait),
            Again::Later => Ok(self.own_pause()),
        }
    }

    fn own_pause(&self) -> Duration {
        let doubled = 2_u32.saturating_pow(self.failed.saturating_sub(1));
        self.policy.first_pause.saturating_mul(doubled).min(self.policy.longest_pause)
    }

    /// The final error says how often it was tried.
    fn counted(&self, mut error: RegistryError) -> RegistryError {
        if let RegistryError::Unreachable { attempts, .. } | RegistryError::BlobCut { attempts, .. } = &mut error {
            *attempts = self.failed;
        }
        error
    }
}

/// Parses `Retry-After` (RFC 9110 §10.2.3): seconds, or a date that is compared with the answer's own `Date`,
/// so that no clock is asked.
pub(super) fn parse_retry_after(value: &str, date: Option<&str>) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let parser = DateTimeParser::new();
    let until = parser.parse_timestamp(value.trim()).ok()?;
    let now = parser.parse_timestamp(date?.trim()).ok()?;
    u64::try_from(until.as_second() - now.as_second()).ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(again: Again) -> Failure {
        let error = RegistryError::BlobCut { target: "x".into(), offset: 0, size: 1, attempts: 0, source: None };
        Failure { error, again }
    }

    #[test]
    fn pauses_double_up_to_the_limit_and_then_end() {
        let policy = Retry {
            attempts: 5,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(3),
            ..Retry::default()
        };
        let mut attempts = Attempts::new(policy);
        let pauses: Vec<_> =
            (0..4).map(|_| attempts.pause_after(failure(Again::Later), "r").unwrap().as_secs()).collect();
        assert_eq!(pauses, [1, 2, 3, 3]);
        let error = attempts.pause_after(failure(Again::Later), "r").unwrap_err();
        assert!(matches!(error, RegistryError::BlobCut { attempts: 5, .. }), "{error}");
    }

    #[test]
    fn some_failures_end_at_once() {
        let mut attempts = Attempts::new(Retry::default());
        assert!(attempts.pause_after(failure(Again::Never), "r").is_err());
        let hours = Again::After(Duration::from_secs(6 * 3600));
        let error = Attempts::new(Retry::default()).pause_after(failure(hours), "r").unwrap_err();
        assert!(error.to_string().contains("21600"), "{error}");
    }

    #[test]
    fn progress_earns_attempts_back() {
        let mut attempts = Attempts::new(Retry { attempts: 2, ..Retry::default() });
        for _ in 0..10 {
            attempts.pause_after(failure(Again::Later), "r").unwrap();
            attempts.advance(EARNED_BY);
        }
        attempts.advance(EARNED_BY - 1);
        attempts.pause_after(failure(Again::Later), "r").unwrap();
        assert!(attempts.pause_after(failure(Again::Later), "r").is_err());
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        for (value, date, seconds) in [
            ("7", None, Some(7)),
            (" 0 ", None, Some(0)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", date, Some(60)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", date, None),
            ("Sun, 06 Nov 1994 08:50:37 GMT", None, None),
            ("soon", date, None),
            ("-1", None, None),
        ] {
            assert_eq!(parse_retry_after(value, date).map(|wait| wait.as_secs()), seconds, "{value:?}");
        }
    }
}
