//! Measures the pure parts separately: the roster of names and the two parsers. `make bench` runs it.

use std::ffi::CString;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use nswatch::fuzzing::{self, Names};

fn main() {
    divan::main();
}

const MANY: usize = 1000;

fn names(prefix: &str, count: usize) -> Vec<CString> {
    (0..count).filter_map(|n| CString::new(format!("{prefix}-{n:05}")).ok()).collect()
}

/// Names that appear, become namespaces and disappear, among that many others.
#[divan::bench(args = [10, 1000, 10_000])]
fn roster(bencher: Bencher<'_, '_>, known: usize) {
    let mut roster = Names::default();
    roster.come(&names("known", known));
    let new = names("new", MANY);
    bencher.counter(ItemsCount::new(MANY)).bench_local(move || {
        assert_eq!(roster.come(black_box(&new)) + roster.go(black_box(&new)), 3 * MANY);
    });
}

/// Reads of inotify: 16 bytes of header, 16 of name.
#[divan::bench]
fn inotify(bencher: Bencher<'_, '_>) {
    let mut bytes = Vec::new();
    for n in 0..MANY {
        for number in [1, 0x100, 0, 16u32] {
            bytes.extend(number.to_ne_bytes());
        }
        bytes.extend(format!("name-{n:05}\0\0\0\0\0\0").bytes());
    }
    bencher.counter(ItemsCount::new(MANY)).bench(|| fuzzing::inotify(black_box(&bytes)));
}

/// Nsid notifications: decoded, encoded and compared.
#[divan::bench]
fn nsid(bencher: Bencher<'_, '_>) {
    let bytes: Vec<u8> = (0..MANY as i32).flat_map(fuzzing::notification).collect();
    bencher.counter(ItemsCount::new(MANY)).bench(|| fuzzing::nsid(black_box(&bytes)));
}
