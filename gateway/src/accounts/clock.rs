//! The time as limits and budgets see it: a monotonic instant, and the UTC day
//! and month.

use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

pub(super) use crate::clock::unix_millis;

/// One moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) instant: Instant,
    /// Days since 1970.
    pub(super) day: i64,
    /// Months since year 0.
    pub(super) month: i64,
    pub(super) to_next_day: Duration,
    pub(super) to_next_month: Duration,
}

impl Now {
    /// This moment.
    pub(super) fn get() -> Self {
        Self::of(Instant::now(), SystemTime::now())
    }

    fn of(instant: Instant, time: SystemTime) -> Self {
        let seconds = unix_millis(time).div_euclid(1000);
        let today = civil(seconds);
        let first = today.date().first_of_month();
        let day = seconds.div_euclid(86_400);
        let next_month = day + i64::from(first.days_in_month()) - i64::from(today.day()) + 1;
        let until = |day: i64| Duration::from_secs((day * 86_400 - seconds).max(1) as u64);
        Self {
            instant,
            day,
            month: i64::from(today.year()) * 12 + i64::from(today.month()),
            to_next_day: until(day + 1),
            to_next_month: until(next_month),
        }
    }

    /// When the day began, in milliseconds since 1970.
    pub(super) fn day_start(&self) -> i64 {
        self.day * 86_400_000
    }

    /// When the month began, in milliseconds since 1970.
    pub(super) fn month_start(&self) -> i64 {
        let (year, month) = (
            (self.month - 1).div_euclid(12),
            (self.month - 1).rem_euclid(12) + 1,
        );
        date_millis(Date::constant(year as i16, month as i8, 1))
    }

    /// `seconds` after the start of January 1970, for tests.
    #[cfg(test)]
    pub(super) fn at(seconds: u64) -> Self {
        use std::sync::OnceLock;
        static START: OnceLock<Instant> = OnceLock::new();
        let passed = Duration::from_secs(seconds);
        let start = *START.get_or_init(Instant::now);
        Self::of(start + passed, SystemTime::UNIX_EPOCH + passed)
    }
}

/// The start of `date` in UTC, in milliseconds since 1970.
pub(super) fn date_millis(date: Date) -> i64 {
    date.to_zoned(TimeZone::UTC)
        .map_or(0, |zoned| zoned.timestamp().as_millisecond())
}

fn civil(seconds: i64) -> DateTime {
    let timestamp = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    TimeZone::UTC.to_datetime(timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_months_are_those_of_the_calendar() {
        let start = Now::at(0);
        assert_eq!((start.day_start(), start.month_start()), (0, 0));
        assert_eq!(start.to_next_month, Duration::from_secs(31 * 86_400));
        // 29 February 2024, noon.
        let leap = Now::at(1_709_208_000);
        assert_eq!(leap.to_next_day, Duration::from_secs(43_200));
        assert_eq!(leap.to_next_month, Duration::from_secs(43_200));
        assert_eq!(leap.month_start(), 1_706_745_600_000);
        let march = Now::at(1_709_208_000 + 43_200);
        assert_eq!(march.month, leap.month + 1);
        assert_eq!(march.day_start(), march.month_start());
    }
}
