//! Processors that go offline and come back. `ci/kernels/run` runs this in its guests, which own their processors.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use super::support::api::{Api, How, Kind, Observer, Rust};
use super::support::*;

/// A process in a network namespace of its own, made on one processor, and the pipe that it writes to.
struct Born(Child, #[allow(dead_code)] BufReader<ChildStdout>);

impl Born {
    fn on(cpu: usize) -> Self {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "echo made; exec cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        // SAFETY: all zeroes is an empty set; the closure allocates nothing.
        unsafe {
            use std::os::unix::process::CommandExt;
            let mut only: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(cpu, &mut only);
            command.pre_exec(move || match libc::sched_setaffinity(0, size_of_val(&only), &only) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        // kept: without a reader the process may end
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, "made\n");
        Self(child, stdout)
    }

    fn namespace(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.0.id()).into()
    }
}

impl Drop for Born {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

#[test]
#[ignore = "takes a processor offline"]
fn a_processor_that_comes_back_is_listened_to() {
    sandbox();
    let last = std::thread::available_parallelism().unwrap().get() - 1;
    assert!(last > 0, "needs two processors");
    let mut watcher = Observer::<Rust>::open_synced(&How::all());
    for _ in 0..2 {
        let born = Born::on(last);
        watcher.until_netns(Kind::NetnsNew, kernel::netns(born.namespace()).unwrap());
        for (synced, state) in (watcher.checker.synced..).zip(["0", "1"]) {
            std::fs::write(format!("/sys/devices/system/cpu/cpu{last}/online"), state).unwrap();
            // the changes meanwhile are unknown: an overflow, and a new census
            while watcher.checker.synced == synced {
                watcher.next();
            }
        }
    }
    let born = Born::on(last);
    let event = watcher.until_netns(Kind::NetnsNew, kernel::netns(born.namespace()).unwrap());
    assert!(!event.replayed && watcher.api.open_netns().is_ok());
}
