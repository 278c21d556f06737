//! A process passes a descriptor on and ends: the namespace lives, and is no longer where the census has found it.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};

use super::support::api::{How, Observer, Rust};
use super::support::nsid::anonymous;
use super::support::thread::{Restriction, SEND, elsewhere, stopped_at_each};
use super::support::*;
use nswatch::{Feature, Netns, nsid};

/// A process that has a descriptor of a namespace, and nothing else of it.
struct Holder(Child);

/// Those of a [`Holder`], which are read one by one.
const DESCRIPTORS: usize = 4;

impl Holder {
    fn of(path: &str) -> Self {
        let script = format!("exec 3< {path}; echo; exec cat");
        let cat = Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut cat = cat.unwrap();
        cat.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        Self(cat)
    }

    fn path(&self) -> String {
        format!("/proc/{}/fd/3", self.0.id())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// The system calls at which the descriptor is passed on: the first identification of a namespace that only a descriptor
/// shows, while the census still runs; the first question about a namespace, after it.
fn moments() -> Vec<libc::c_long> {
    let during = Feature::NsHandles.is_available().unwrap().then_some(libc::SYS_name_to_handle_at);
    during.into_iter().chain([SEND]).collect()
}

/// Runs `body` beside a process that has a descriptor of the namespace. Once `body` has read which descriptors there
/// are, another process takes it over, at the first system call `moment`.
fn passed_on<T>(kept: OwnedFd, moment: libc::c_long, body: impl FnOnce() -> T) -> T {
    let mut holder = Some(Holder::of(&format!("/proc/{}/fd/{}", std::process::id(), kept.as_raw_fd())));
    drop(kept);
    let (mut reads, mut times) = (0, 0);
    let act = |call| {
        if call == libc::SYS_readlinkat {
            reads += 1;
        } else if std::mem::take(&mut reads) >= DESCRIPTORS && times == 0 {
            let first = holder.take().unwrap();
            holder = Some(Holder::of(&first.path()));
            times += 1;
        }
    };
    // with its cookie, a namespace is opened wherever it is
    let by_place = Restriction::none().failing(libc::SYS_open_by_handle_at, libc::EPERM);
    let done = stopped_at_each(&[libc::SYS_readlinkat, moment], act, || elsewhere(&by_place, body));
    assert_eq!(times, 1, "no system call {moment} after the descriptors were read");
    done
}

#[test]
#[ignore = "alone"]
fn alone_by_nsid() {
    sandbox();
    for (nsid, moment) in (5..).zip(moments()) {
        let kept = anonymous();
        let netns = Netns::for_fd(&kept).unwrap();
        assert_eq!(nsid::assign(&kept, Some(nsid)).unwrap(), nsid);
        let found = passed_on(kept, moment, || Netns::for_nsid(nsid));
        assert!(found.unwrap().same(&netns));
    }
}

#[test]
fn an_nsid_leads_to_a_namespace_passed_on() {
    run_alone("passed_on::alone_by_nsid", &UNSEEN);
}

#[test]
#[ignore = "alone"]
fn alone_replayed() {
    sandbox();
    for moment in moments() {
        let kept = anonymous();
        let netns = kernel::netns_of(&File::from(kept.try_clone().unwrap())).unwrap();
        let watcher = passed_on(kept, moment, || Observer::<Rust>::open_synced(&How::all()));
        assert!(watcher.checker.netns.contains(&netns));
    }
}

#[test]
fn a_namespace_passed_on_is_replayed() {
    run_alone("passed_on::alone_replayed", &UNSEEN);
}
