//! Spacing out the full looks that others can provoke. Pure.
//!
//! Who may rename the directory, or fill the queue, makes the watcher look at every name. Such looks take a quarter of a
//! processor at most. After a pause the next one is not delayed, nor are several short ones in a row. A look in which the
//! process was stopped, or waited for a disk, has taken no processor and delays nothing.

use std::time::Duration;

/// What a look costs in time until the next one, in times of what it took.
const PRICE: u32 = 4;

/// How much may be owed when a look begins: 100 ms of looks in a row.
const CREDIT: Duration = Duration::from_millis(400);

#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// When everything is paid for.
    paid: Duration,
}

impl Pace {
    /// When the next look may begin.
    pub(crate) fn next(&self) -> Duration {
        self.paid.saturating_sub(CREDIT)
    }

    /// A look that began at this moment took so much of a processor.
    pub(crate) fn looked(&mut self, begun: Duration, took: Duration) {
        self.paid = self.paid.max(begun).saturating_add(took.saturating_mul(PRICE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn the_first_look_is_not_delayed_and_the_next_one_is() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::default();
        assert!(pace.next() <= HOUR);
        pace.looked(HOUR, second);
        assert_eq!(pace.next(), HOUR + 4 * second - CREDIT);
        // after a pause it is as if there had been none
        let later = HOUR + 10 * second;
        assert!(pace.next() <= later);
        pace.looked(later, second);
        assert_eq!(pace.next(), later + 4 * second - CREDIT);
    }

    proptest! {
        #[test]
        fn looks_take_a_quarter_of_the_time(lengths in prop::collection::vec(0..2_000_000u64, 1..200)) {
            let (mut pace, mut now, mut looked) = (Pace::default(), HOUR, Duration::ZERO);
            for length in lengths.into_iter().map(Duration::from_micros) {
                now = now.max(pace.next());
                prop_assert!(looked * PRICE <= now - HOUR + CREDIT);
                pace.looked(now, length);
                now += length;
                looked += length;
            }
        }
    }
}
