//! Times as FAT has them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::model::SourceDateEpoch;

/// Date and time as the two words of an entry: two-second steps from 1980 to 2107, here in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FatTime {
    /// Years since 1980 in 7 bits, month in 4, day in 5.
    pub(super) date: u16,
    /// Hours in 5 bits, minutes in 6, pairs of seconds in 5.
    pub(super) time: u16,
}

impl FatTime {
    const FIRST: Self = Self::new(1980, [1, 1, 0, 0, 0]);
    const LAST: Self = Self::new(2107, [12, 31, 23, 59, 58]);

    /// Month, day, hour, minute and second of a year that FAT has.
    const fn new(year: u16, [month, day, hour, minute, second]: [u16; 5]) -> Self {
        Self { date: (year - 1980) << 9 | month << 5 | day, time: hour << 11 | minute << 5 | (second / 2) }
    }

    /// The nearest to `time`.
    pub(super) fn of(time: SourceDateEpoch) -> Self {
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let Ok(instant) = Timestamp::from_second(seconds) else { return Self::LAST };
        let utc = instant.to_zoned(TimeZone::UTC);
        let parts = [utc.month(), utc.day(), utc.hour(), utc.minute(), utc.second()];
        match u16::try_from(utc.year()) {
            Ok(year @ 1980..=2107) => Self::new(year, parts.map(|part| part.unsigned_abs().into())),
            Ok(year) if year > 2107 => Self::LAST,
            _ => Self::FIRST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_become_the_nearest_that_fat_has() {
        let of = |seconds| FatTime::of(SourceDateEpoch::from_secs(seconds));
        assert_eq!(of(0), FatTime { date: 0x21, time: 0 });
        // 2023-11-14 22:13:21
        assert_eq!(of(1_700_000_001), FatTime { date: 43 << 9 | 11 << 5 | 14, time: 22 << 11 | 13 << 5 | 10 });
        assert_eq!(of(u64::MAX), FatTime { date: 0xff9f, time: 0xbf7d });
    }
}
