//! Measures the pure parts separately: the roster of names and the two parsers. `make bench` runs it.

use std::ffi::CString;
use std::path::PathBuf;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use nswatch::fuzzing::{self, Names};
use nswatch::{EventKind, Options, Watcher};

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

/// A directory in which so many names have come and gone, which the kernel has queued for a watcher.
struct Queued(PathBuf);

const PENDING: usize = 10_000;

impl Queued {
    fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("nswatch-parts-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn watcher(&self) -> Watcher {
        Watcher::named(&Options::new().dir(&self.0).unwrap().mount_events(false)).unwrap()
    }

    fn fill(&self) {
        let name = self.0.join("name");
        for _ in 0..PENDING / 2 {
            std::fs::write(&name, "").unwrap();
            std::fs::remove_file(&name).unwrap();
        }
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Events that are pending, by the watcher itself.
#[divan::bench(sample_count = 20)]
fn watcher(bencher: Bencher<'_, '_>) {
    let queued = Queued::new();
    let fresh = || {
        let mut watcher = queued.watcher();
        while watcher.next_event().unwrap().unwrap().kind() != &EventKind::Synced {}
        queued.fill();
        watcher
    };
    bencher.counter(ItemsCount::new(PENDING)).with_inputs(fresh).bench_local_values(|mut watcher| {
        (0..PENDING).for_each(|_| assert!(black_box(watcher.next_event().unwrap()).is_some()));
        watcher
    });
}

/// The same through a channel.
#[divan::bench(sample_count = 20)]
fn channel(bencher: Bencher<'_, '_>) {
    let queued = Queued::new();
    let fresh = || {
        let channel = queued.watcher().into_channel().unwrap();
        assert_eq!(channel.receiver().recv().unwrap().unwrap().len(), 1);
        queued.fill();
        channel
    };
    bencher.counter(ItemsCount::new(PENDING)).with_inputs(fresh).bench_local_values(|channel| {
        let mut left = PENDING;
        while left > 0 {
            left -= black_box(channel.receiver().recv().unwrap().unwrap()).len();
        }
        channel
    });
}
