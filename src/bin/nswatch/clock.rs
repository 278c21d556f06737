//! The wall-clock time of an event, from its `CLOCK_MONOTONIC` time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use tz::{TimeZone, UtcDateTime};

/// Now, by `CLOCK_MONOTONIC`, to compare with the times of events.
pub(crate) fn monotonic() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Converts a `CLOCK_MONOTONIC` time by the present setting of the wall clock.
fn since_epoch(moment: Duration) -> Duration {
    let look = |_| {
        let (before, wall, after) = (monotonic(), SystemTime::now(), monotonic());
        (after.saturating_sub(before), before, wall)
    };
    // an interruption between the two readings makes the second one late
    let (_, monotonic, wall) = (0..3).map(look).min().unwrap_or_else(|| look(0));
    wall.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(monotonic.saturating_sub(moment))
}

/// A `CLOCK_MONOTONIC` time in RFC 3339 form, in UTC with microseconds, by the present setting of the wall clock.
pub(crate) fn rfc3339(moment: Duration) -> String {
    format_utc(since_epoch(moment))
}

/// The last second of RFC 3339: years have four digits.
const LAST: u64 = 253_402_300_799;

fn format_utc(since_epoch: Duration) -> String {
    const DAY: u64 = 24 * 60 * 60;
    /// The days from 1 March of year 0 to the epoch.
    const TO_EPOCH: u64 = 719_468;
    /// From March on, so that the leap day is the last day of the year.
    const MONTHS: [u64; 11] = [31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 31];
    let seconds = since_epoch.as_secs().min(LAST);
    let (day, second) = (seconds / DAY + TO_EPOCH, seconds % DAY);
    let (cycle, day) = (day / 146_097, day % 146_097);
    // the last century of a cycle has a day more, and so has the last of four years
    let century = (day / 36_524).min(3);
    let day = day - century * 36_524;
    let (four, day) = (day / 1_461, day % 1_461);
    let year = (day / 365).min(3);
    let (mut month, mut day) = (3, day - year * 365);
    for length in MONTHS {
        if day < length {
            break;
        }
        (month, day) = (month + 1, day - length);
    }
    let year = 400 * cycle + 100 * century + 4 * four + year;
    let (year, month) = if month > 12 { (year + 1, month - 12) } else { (year, month) };
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let micros = since_epoch.subsec_micros();
    format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z", day + 1)
}

#[derive(Debug)]
pub(crate) struct Clock {
    zone: TimeZone,
}

impl Clock {
    /// The clock of the time zone in `TZ`, or of the system; UTC if neither is available.
    pub(crate) fn local() -> Self {
        let zone = match std::env::var("TZ") {
            Ok(name) => TimeZone::from_posix_tz(&name),
            Err(_) => TimeZone::local(),
        };
        Self { zone: zone.unwrap_or_else(|_| TimeZone::utc()) }
    }

    /// A `CLOCK_MONOTONIC` time as `HH:MM:SS.mmm`.
    pub(crate) fn wall(&self, moment: Duration) -> String {
        self.format(since_epoch(moment))
    }

    fn format(&self, since_epoch: Duration) -> String {
        let seconds = i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX);
        let offset = self.zone.find_local_time_type(seconds).map_or(0, |kind| i64::from(kind.ut_offset()));
        match UtcDateTime::from_timespec(seconds.saturating_add(offset), since_epoch.subsec_nanos()) {
            Ok(t) => {
                let millis = t.nanoseconds() / 1_000_000;
                format!("{:02}:{:02}:{:02}.{millis:03}", t.hour(), t.minute(), t.second())
            }
            Err(_) => "--:--:--.---".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_time_in_utc() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00"),
            (68_169_599, "1972-02-28T23:59:59"),
            (68_169_600, "1972-02-29T00:00:00"),
            (68_256_000, "1972-03-01T00:00:00"),
            (946_684_799, "1999-12-31T23:59:59"),
            (951_782_400, "2000-02-29T00:00:00"),
            (951_868_800, "2000-03-01T00:00:00"),
            (1_735_603_200, "2024-12-31T00:00:00"),
            (4_107_542_399, "2100-02-28T23:59:59"),
            (4_107_542_400, "2100-03-01T00:00:00"),
            (LAST, "9999-12-31T23:59:59"),
            (LAST + 1, "9999-12-31T23:59:59"),
            (u64::MAX, "9999-12-31T23:59:59"),
        ] {
            assert_eq!(format_utc(Duration::new(seconds, 1_234_999)), format!("{expected}.001234Z"));
        }
    }

    proptest! {
        #[test]
        fn every_day_is_that_of_another_calendar(seconds in 0..=LAST, micros in 0..1_000_000_u32) {
            let expected = UtcDateTime::from_timespec(seconds as i64, micros * 1000).unwrap().to_string();
            let expected = expected.replace("000Z", "Z");
            prop_assert_eq!(format_utc(Duration::new(seconds, micros * 1000)), expected);
        }
    }

    #[test]
    fn now_is_now() {
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = since_epoch(monotonic());
        let after = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        // the test reads the two clocks one after the other
        let slack = Duration::from_millis(10);
        assert!(before - slack <= now && now <= after + slack, "{before:?} {now:?} {after:?}");
        let second = Duration::from_secs(1);
        assert!(since_epoch(monotonic() - second) < after - second / 2);
    }

    #[test]
    fn summer_and_winter() {
        let clock = Clock { zone: TimeZone::from_posix_tz("CET-1CEST,M3.5.0,M10.5.0/3").unwrap() };
        assert_eq!(clock.format(Duration::from_millis(1_736_899_200_007)), "01:00:00.007"); // 2025-01-15
        assert_eq!(clock.format(Duration::from_millis(1_752_537_600_120)), "02:00:00.120"); // 2025-07-15
    }
}
