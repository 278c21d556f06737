//! Limits the rate of work that others can provoke. Pure.
//!
//! Each piece of work has a price, in time until the next one. After a pause the next one starts at once, and so do
//! several short ones in a row, up to the credit.

use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Pace {
    /// The maximum debt at which a piece of work may begin.
    credit: Duration,
    /// When all work is paid for.
    paid: Duration,
}

impl Pace {
    pub(crate) const fn new(credit: Duration) -> Self {
        Self { credit, paid: Duration::ZERO }
    }

    /// When the next piece of work may begin.
    pub(crate) fn next(&self) -> Duration {
        self.paid.saturating_sub(self.credit)
    }

    /// Records work that began at `begun` and its price.
    pub(crate) fn worked(&mut self, begun: Duration, price: Duration) {
        self.paid = self.paid.max(begun).saturating_add(price);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CREDIT: Duration = Duration::from_millis(400);
    const PRICE: u32 = 4;
    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn the_first_one_is_not_delayed_and_the_next_one_is() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(CREDIT);
        assert!(pace.next() <= HOUR);
        pace.worked(HOUR, PRICE * second);
        assert_eq!(pace.next(), HOUR + 4 * second - CREDIT);
        // after a pause, the state is as new
        let later = HOUR + 10 * second;
        assert!(pace.next() <= later);
        pace.worked(later, PRICE * second);
        assert_eq!(pace.next(), later + 4 * second - CREDIT);
    }

    proptest! {
        #[test]
        fn at_a_price_of_four_they_take_a_quarter_of_the_time(lengths in prop::collection::vec(0..2_000_000u64, 1..200)) {
            let (mut pace, mut now, mut looked) = (Pace::new(CREDIT), HOUR, Duration::ZERO);
            for length in lengths.into_iter().map(Duration::from_micros) {
                now = now.max(pace.next());
                prop_assert!(looked * PRICE <= now - HOUR + CREDIT);
                pace.worked(now, PRICE * length);
                now += length;
                looked += length;
            }
        }
    }
}
