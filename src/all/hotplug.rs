//! CPU hotplug: a perf event of a processor that was offline is silently dead, even after the processor is online
//! again.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use crate::sys;

/// Room for one message of the kernel, which has at most 2 KiB.
const ROOM: usize = 4096;

/// The maximum number of messages per call.
const MESSAGES: usize = 1024;

/// The minimum duration of a suspension, more than the time to read two clocks.
const SUSPENSION: Duration = Duration::from_millis(1);

/// The processors that have gone offline or online.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Changed {
    These(Vec<u32>),
    /// Possibly any of them.
    Perhaps,
}

impl Changed {
    pub(super) const fn nothing() -> Self {
        Self::These(Vec::new())
    }

    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::nothing()
    }

    pub(super) fn has(&self, cpu: u32) -> bool {
        match self {
            Self::These(cpus) => cpus.contains(&cpu),
            Self::Perhaps => true,
        }
    }

    fn add(&mut self, cpu: u32) {
        match self {
            Self::These(cpus) if !cpus.contains(&cpu) => cpus.push(cpu),
            _ => {}
        }
    }
}

/// Receives the kernel's announcements. Without a socket, detects only wake-ups from suspension, which the kernel does
/// not announce.
#[derive(Debug)]
pub(super) struct Hotplug {
    socket: Option<OwnedFd>,
    suspended: Duration,
}

impl Hotplug {
    pub(super) fn new(socket: Option<OwnedFd>) -> Self {
        Self { socket, suspended: sys::suspended() }
    }

    pub(super) fn socket(&self) -> Option<&OwnedFd> {
        self.socket.as_ref()
    }

    /// Reads the announcements, and adds them to `changed`. An error ends the announcements.
    pub(super) fn read(&mut self, changed: &mut Changed) -> io::Result<()> {
        if has_slept(&mut self.suspended, sys::suspended()) {
            *changed = Changed::Perhaps;
        }
        let Some(socket) = &self.socket else { return Ok(()) };
        let mut buffer = [0; ROOM];
        for _ in 0..MESSAGES {
            match sys::receive(socket.as_fd(), &mut buffer) {
                Ok(received) if received.from_kernel => {
                    if let Some(cpu) = buffer.get(..received.length).and_then(cpu_in) {
                        changed.add(cpu);
                    }
                }
                Ok(_) => {}
                Err(error) => match error.raw_os_error() {
                    Some(libc::EAGAIN) => break,
                    Some(libc::ENOBUFS | libc::ENOMEM) => *changed = Changed::Perhaps,
                    _ => return Err(error),
                },
            }
        }
        Ok(())
    }

    /// Ends the announcements.
    pub(super) fn close(&mut self) -> Option<OwnedFd> {
        self.socket.take()
    }
}

/// Whether the system was suspended since the last call.
fn has_slept(known: &mut Duration, now: Duration) -> bool {
    let slept = now > *known + SUSPENSION;
    *known = now.max(*known);
    slept
}

/// The processor in a message that announces it online or offline: `online@/devices/system/cpu/cpu1`, with the same in
/// other words after a NUL.
fn cpu_in(message: &[u8]) -> Option<u32> {
    let summary = message.split(|byte| *byte == 0).next()?;
    let (action, path) = std::str::from_utf8(summary).ok()?.split_once('@')?;
    let cpu = path.strip_prefix("/devices/system/cpu/cpu")?;
    matches!(action, "online" | "offline").then(|| cpu.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_names_the_processor() {
        let message =
            b"offline@/devices/system/cpu/cpu3\0ACTION=offline\0DEVPATH=/devices/system/cpu/cpu3\0SUBSYSTEM=cpu\0";
        assert_eq!(cpu_in(message), Some(3));
        assert_eq!(cpu_in(b"online@/devices/system/cpu/cpu127\0"), Some(127));
        for other in [
            &b"add@/devices/system/cpu/cpu3\0"[..],
            b"online@/devices/system/memory/memory3\0",
            b"online@/devices/system/cpu/cpufreq\0",
            b"online@/devices/system/cpu/cpu3/cache\0",
            b"online@/devices/system/cpu/cpu99999999999\0",
            b"libudev\0\xfe\xed\xca\xfe",
            b"",
        ] {
            assert_eq!(cpu_in(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_processor_that_went_and_came_is_in_it_once() {
        let mut changed = Changed::nothing();
        assert!(changed.is_nothing() && !changed.has(3));
        changed.add(3);
        changed.add(3);
        assert_eq!(changed, Changed::These(vec![3]));
        assert!(changed.has(3) && !changed.has(4));
        changed = Changed::Perhaps;
        changed.add(3);
        assert!(changed.has(4) && !changed.is_nothing());
    }

    #[test]
    fn a_suspension_is_noticed_once() {
        let (mut known, second) = (Duration::from_secs(5), Duration::from_secs(1));
        assert!(!has_slept(&mut known, 5 * second));
        assert!(has_slept(&mut known, 7 * second));
        assert!(!has_slept(&mut known, 7 * second));
        // this thread had to wait between the two clocks
        assert!(!has_slept(&mut known, 6 * second));
        assert!(!has_slept(&mut known, 7 * second));
    }

    proptest! {
        #[test]
        fn survives_anything(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(cpu_in(&bytes), None);
        }
    }
}
