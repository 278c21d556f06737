//! Numbers on the command line. An error states what would be valid.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use nswatch::{Policy, QUEUE_MAX};

/// A reader thread's queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Queue {
    pub(crate) capacity: u32,
    pub(crate) policy: Policy,
}

/// Parses whole numbers; `what` describes them.
pub(crate) fn whole<T>(what: &'static str, range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: FromStr + PartialOrd + Display + Clone,
{
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("{what}, from {} to {}", range.start(), range.end()))
    }
}

/// Parses `SECONDS`, possibly with a fraction.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    some_seconds(text).ok_or_else(|| SECONDS.replace("{}", "0"))
}

/// Parses `SECONDS` greater than 0.
pub(crate) fn positive_seconds(text: &str) -> Result<Duration, String> {
    let duration = some_seconds(text).filter(|duration| !duration.is_zero());
    duration.ok_or_else(|| SECONDS.replace("from {}", "more than 0 and up"))
}

const SECONDS: &str = "SECONDS is a number without a unit, as 2 or 0.5, from {} to 4294967294";

fn some_seconds(text: &str) -> Option<Duration> {
    let duration = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.filter(|duration| duration.as_secs() < u64::from(u32::MAX))
}

/// `N[,POLICY]`
pub(crate) fn queue(text: &str) -> Result<Queue, String> {
    let (capacity, policy) = text.split_once(',').unwrap_or((text, "block"));
    let policy = match policy {
        "block" => Policy::Block,
        "drop-newest" => Policy::DropNewest,
        "drop-oldest" => Policy::DropOldest,
        _ => return Err("POLICY is block, drop-newest or drop-oldest".into()),
    };
    let capacity = whole("N is a number of events", 1..=QUEUE_MAX)(capacity)?;
    Ok(Queue { capacity, policy })
}
