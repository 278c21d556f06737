//! Measures the events of a Rust channel against those of the watcher itself, in turns. Prints a line as benches/floor does:
//! `make bench` puts it into its report.

use std::path::PathBuf;
use std::time::Instant;

use nswatch::{EventKind, Options, Watcher};

const PENDING: usize = 10_000;
const ROUNDS: usize = 20;
const TARGET: f64 = 500.0;

/// A directory in which so many names have come and gone, which the kernel has queued for a watcher.
struct Queued(PathBuf);

impl Queued {
    fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("nswatch-channel-{}", std::process::id()));
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

/// Events per millisecond.
fn rate(began: Instant) -> f64 {
    PENDING as f64 / began.elapsed().as_secs_f64() / 1e3
}

fn by_watcher(queued: &Queued) -> f64 {
    let mut watcher = queued.watcher();
    while watcher.next_event().unwrap().unwrap().kind() != &EventKind::Synced {}
    queued.fill();
    let began = Instant::now();
    for _ in 0..PENDING {
        assert!(watcher.next_event().unwrap().is_some());
    }
    rate(began)
}

fn by_channel(queued: &Queued) -> f64 {
    let channel = queued.watcher().into_channel().unwrap();
    assert_eq!(channel.receiver().recv().unwrap().unwrap().len(), 1);
    queued.fill();
    let (mut left, began) = (PENDING, Instant::now());
    while left > 0 {
        left -= channel.receiver().recv().unwrap().unwrap().len();
    }
    rate(began)
}

fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * q) as usize]
}

fn main() {
    let queued = Queued::new();
    let (mut channel, mut watcher, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        channel.push(by_channel(&queued));
        watcher.push(by_watcher(&queued));
        ratios.push(channel[channel.len() - 1] / watcher[watcher.len() - 1]);
    }
    let median = quantile(&channel, 0.5);
    println!(
        "Rust: events through a channel, against the watcher itself\tevents/ms\t{median:.1}\t{:.1}\t{:.1}\t{:.1}\t{:.2}\t\
         >= {TARGET:.0} events/ms\t{}",
        quantile(&channel, 0.99),
        quantile(&watcher, 0.5),
        quantile(&watcher, 0.99),
        quantile(&ratios, 0.5),
        if median >= TARGET { "met" } else { "MISSED" },
    );
}
