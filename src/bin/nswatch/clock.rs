//! The wall-clock time of an event: the library tells `CLOCK_MONOTONIC`, people want to read a clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use tz::{TimeZone, UtcDateTime};

/// This moment of `CLOCK_MONOTONIC`, to be compared with the times of events.
pub(crate) fn monotonic() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

#[derive(Debug)]
pub(crate) struct Clock {
    zone: TimeZone,
}

impl Clock {
    /// The clock of the time zone in `TZ`, or of the system; UTC where neither can be had.
    pub(crate) fn local() -> Self {
        let zone = match std::env::var("TZ") {
            Ok(name) => TimeZone::from_posix_tz(&name),
            Err(_) => TimeZone::local(),
        };
        Self { zone: zone.unwrap_or_else(|_| TimeZone::utc()) }
    }

    /// `HH:MM:SS.mmm` of a moment of `CLOCK_MONOTONIC`.
    pub(crate) fn wall(&self, moment: Duration) -> String {
        let wall = SystemTime::now() - monotonic().saturating_sub(moment);
        self.format(wall.duration_since(UNIX_EPOCH).unwrap_or_default())
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
    use super::*;

    #[test]
    fn summer_and_winter() {
        let clock = Clock { zone: TimeZone::from_posix_tz("CET-1CEST,M3.5.0,M10.5.0/3").unwrap() };
        assert_eq!(clock.format(Duration::from_millis(1_736_899_200_007)), "01:00:00.007"); // 2025-01-15
        assert_eq!(clock.format(Duration::from_millis(1_752_537_600_120)), "02:00:00.120"); // 2025-07-15
    }
}
