//! The records of a perf event, as values. The parser is pure and total: it terminates without panic for all input.

use super::births::Hint;

const PERF_RECORD_LOST: u32 = 2;
const PERF_RECORD_NAMESPACES: u32 = 16;

/// Type, flags, length: 32, 16 and 16 bits.
const HEADER: usize = 8;

/// Before the namespaces: pid and tid of 32 bits, and the number of namespaces.
const TASK: usize = 16;

/// Device and inode number. The network namespace is the first.
const NAMESPACE: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Record {
    Hint(Hint),
    /// The number of records lost before this one.
    Lost(u64),
    Other,
    /// An impossible length: the rest is unknown.
    Malformed,
}

/// Iterates over the bytes of a ring. Ends after the first malformed record.
pub(crate) fn records(mut bytes: &[u8]) -> impl Iterator<Item = Record> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let record = next(&mut bytes);
        if record.is_none() {
            bytes = &[];
        }
        Some(record.unwrap_or(Record::Malformed))
    })
}

fn next(bytes: &mut &[u8]) -> Option<Record> {
    let [k0, k1, k2, k3, _, _, l0, l1] = *bytes.first_chunk::<HEADER>()?;
    let (record, rest) = bytes.split_at_checked(u16::from_ne_bytes([l0, l1]).into())?;
    let body = record.get(HEADER..)?;
    *bytes = rest;
    match u32::from_ne_bytes([k0, k1, k2, k3]) {
        PERF_RECORD_NAMESPACES => {
            let count = number(body, TASK - 8)?;
            let fits = count.checked_mul(NAMESPACE as u64)?.checked_add(TASK as u64)? <= body.len() as u64;
            if !fits || count == 0 {
                return None;
            }
            let task = |at: usize| Some(i32::from_ne_bytes(*body.get(at..)?.first_chunk()?).max(0));
            let (pid, tid) = (task(0)?, task(4)?);
            let ino = number(body, TASK + 8)?;
            // -1: the task has ended already; no inode: it has no namespaces any more
            Some(if ino == 0 { Record::Other } else { Record::Hint(Hint { ino, pid, tid }) })
        }
        // an id, then the number of lost records
        PERF_RECORD_LOST => number(body, 8).map(Record::Lost),
        _ => Some(Record::Other),
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(record: Record, more: &[u64]) -> Vec<u8> {
        let (kind, numbers) = match record {
            Record::Hint(Hint { ino, pid, tid }) => {
                let task = u64::from_ne_bytes([pid.to_ne_bytes(), tid.to_ne_bytes()].concat().try_into().unwrap());
                let namespaces = more.iter().flat_map(|ino| [4, *ino]);
                let count = 1 + more.len() as u64;
                (PERF_RECORD_NAMESPACES, [task, count, 4, ino].into_iter().chain(namespaces).collect())
            }
            Record::Lost(count) => (PERF_RECORD_LOST, vec![77, count]),
            Record::Other | Record::Malformed => (3, more.to_vec()),
        };
        let mut bytes = kind.to_ne_bytes().to_vec();
        bytes.extend([0, 0]);
        bytes.extend(((HEADER + 8 * numbers.len()) as u16).to_ne_bytes());
        bytes.extend(numbers.iter().flat_map(|number: &u64| number.to_ne_bytes()));
        bytes
    }

    fn any_record() -> impl Strategy<Value = Record> {
        prop_oneof![
            (1..=u64::MAX, 0..=i32::MAX, 0..=i32::MAX).prop_map(|(ino, pid, tid)| Record::Hint(Hint { ino, pid, tid })),
            any::<u64>().prop_map(Record::Lost),
            Just(Record::Other),
        ]
    }

    proptest! {
        #[test]
        fn reads_back_what_was_written(
            records in prop::collection::vec((any_record(), prop::collection::vec(any::<u64>(), 0..8)), 0..20),
        ) {
            let bytes: Vec<u8> = records.iter().flat_map(|(record, more)| encode(*record, more)).collect();
            let read: Vec<_> = super::records(&bytes).collect();
            let written: Vec<_> = records.into_iter().map(|(record, _)| record).collect();
            prop_assert_eq!(read, written);
        }

        #[test]
        fn what_is_cut_off_is_malformed(record in any_record(), cut in 1..8usize) {
            let bytes = encode(record, &[1, 2]);
            let read: Vec<_> = records(&bytes[..bytes.len() - cut]).collect();
            prop_assert_eq!(read, [Record::Malformed]);
        }

        #[test]
        fn survives_anything(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(records(&bytes).count() <= bytes.len() / HEADER + 1);
        }
    }

    #[test]
    fn a_record_of_no_namespaces_or_of_more_than_fit_is_malformed() {
        let hint = Record::Hint(Hint { ino: 5, pid: 6, tid: 7 });
        for count in [0, 2, u64::MAX] {
            let mut bytes = encode(hint, &[]);
            bytes[16..24].copy_from_slice(&u64::to_ne_bytes(count));
            assert_eq!(records(&bytes).collect::<Vec<_>>(), [Record::Malformed], "{count}");
        }
    }

    #[test]
    fn a_task_that_has_ended_has_no_number() {
        let bytes = encode(Record::Hint(Hint { ino: 5, pid: -1, tid: -1 }), &[]);
        assert_eq!(records(&bytes).collect::<Vec<_>>(), [Record::Hint(Hint { ino: 5, pid: 0, tid: 0 })]);
        let bytes = encode(Record::Hint(Hint { ino: 0, pid: 6, tid: 7 }), &[]);
        assert_eq!(records(&bytes).collect::<Vec<_>>(), [Record::Other]);
    }
}
