//! When to read records: at each record while they are few, at intervals while they are many. Pure.
//!
//! Network drivers do the same. Each read wakes a processor and the consumer, which would be one wake-up per fork in a
//! storm of forks.

use std::time::Duration;

use crate::pace::Pace;

/// The price of a read, in time until the next one: 500 a second take half a hundredth of a processor.
const PRICE: Duration = Duration::from_millis(2);

/// 100 reads in a row.
const CREDIT: Duration = Duration::from_millis(200);

/// The time between reads while there are many records.
const INTERVAL: Duration = Duration::from_millis(15);

/// The maximum number of records per interval that are read one by one.
const FEW: usize = 7;

#[derive(Debug)]
pub(super) struct Cadence {
    pace: Pace,
    /// When the next read is due, while there are many records.
    due: Option<Duration>,
    /// The number of records since the last read that was due.
    found: usize,
}

impl Cadence {
    pub(super) const fn new() -> Self {
        Self { pace: Pace::new(CREDIT), due: None, found: 0 }
    }

    /// Records a read that found `found` records; `woken`: a record caused it. Returns when the next read is due;
    /// `None`: at the next record.
    pub(super) fn looked(&mut self, now: Duration, found: usize, woken: bool) -> Option<Duration> {
        self.found += found;
        let is_busy = match self.due {
            Some(due) if now < due => return Some(due),
            Some(_) => self.found > FEW,
            None => {
                if woken || found > 0 {
                    self.pace.worked(now, PRICE);
                }
                self.pace.next() > now
            }
        };
        self.found = 0;
        self.due = is_busy.then(|| now + INTERVAL);
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const SECOND: Duration = Duration::from_secs(1);

    /// The number of reads for a second of evenly spaced records, and the longest wait of a record.
    fn looks(cadence: &mut Cadence, start: Duration, records: u32) -> (u32, Duration) {
        let (mut looks, mut longest, mut unread, mut due) = (0, Duration::ZERO, Vec::new(), None);
        let mut look = |now: Duration, unread: &mut Vec<Duration>| {
            looks += 1;
            longest = longest.max(unread.first().map_or(Duration::ZERO, |first| now - *first));
            let found = std::mem::take(unread).len();
            cadence.looked(now, found, found > 0)
        };
        for record in (0..records).map(|n| start + SECOND * n / records) {
            while let Some(moment) = due.filter(|due| *due <= record) {
                due = look(moment, &mut unread);
            }
            unread.push(record);
            if due.is_none() {
                due = look(record, &mut unread);
            }
        }
        while let Some(moment) = due {
            due = look(moment, &mut unread);
        }
        assert!(unread.is_empty());
        (looks, longest)
    }

    #[test]
    fn few_records_are_seen_at_once_and_many_at_intervals() {
        let mut cadence = Cadence::new();
        assert_eq!(cadence.looked(HOUR, 0, false), None);
        assert_eq!(looks(&mut cadence, HOUR, 450), (450, Duration::ZERO));
        for (second, records) in (2..).zip([1000, 5000, 100_000]) {
            let (looks, longest) = looks(&mut cadence, HOUR + second * SECOND, records);
            assert!((60..=300).contains(&looks), "{records}: {looks}");
            assert!(longest <= INTERVAL, "{records}: {longest:?}");
        }
        // after a storm, the first records are read at once again
        assert_eq!(looks(&mut cadence, HOUR + 20 * SECOND, 15), (15, Duration::ZERO));
    }

    #[test]
    fn a_look_in_between_ends_no_interval() {
        let mut cadence = Cadence::new();
        let due = (0..200).find_map(|_| cadence.looked(HOUR, 1, true)).unwrap();
        assert_eq!(cadence.looked(HOUR + INTERVAL / 2, 8, false), Some(due));
        assert_eq!(cadence.looked(due, 0, true), Some(due + INTERVAL), "eight were found in this interval");
        assert_eq!(cadence.looked(due + INTERVAL, 1, true), None);
    }

    proptest! {
        #[test]
        fn looks_are_bounded(gaps in prop::collection::vec(0..20_000u64, 1..400)) {
            let (mut cadence, mut now, mut count) = (Cadence::new(), HOUR, 0u32);
            for gap in gaps {
                now += Duration::from_micros(gap);
                now = cadence.looked(now, 1, true).map_or(now, |due| due.max(now));
                count += 1;
                prop_assert!(PRICE * count <= now - HOUR + CREDIT + PRICE);
            }
        }
    }
}
