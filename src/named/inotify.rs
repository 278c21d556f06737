//! An inotify instance, and its notices as values. The parser is pure and total: it terminates without panic for all
//! input. rustix's parser reads from descriptors only, so no fuzzer can feed it.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::inotify;
pub(crate) use rustix::fs::inotify::{ReadFlags, WatchFlags};

use crate::sys;

/// An inotify instance.
#[derive(Debug)]
pub(crate) struct Inotify(OwnedFd);

impl Inotify {
    pub(crate) fn new() -> io::Result<Self> {
        sys::above_standard(inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?).map(Self)
    }

    /// Watches an open directory; replaces the mask of an existing watch. Returns the watch descriptor.
    pub(crate) fn watch(&self, directory: BorrowedFd<'_>, mask: WatchFlags) -> io::Result<i32> {
        let watch = inotify::add_watch(&self.0, sys::proc_path(directory), mask | WatchFlags::ONLYDIR);
        watch.map_err(|error| sys::proc_error(error.into()))
    }

    /// Ends a watch, unless the kernel has ended it with its object.
    pub(crate) fn unwatch(&self, watch: i32) {
        inotify::remove_watch(&self.0, watch).ok();
    }
}

impl AsFd for Inotify {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// One `struct inotify_event`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Notice<'a> {
    /// The watch descriptor; -1 for an overflow.
    pub(crate) watch: i32,
    pub(crate) mask: ReadFlags,
    /// Empty if the notice is about the watched object itself.
    pub(crate) name: &'a CStr,
}

/// wd, mask, cookie, length: four numbers of 32 bits.
const HEADER: usize = 16;

/// Iterates over the result of one `read(2)` of an inotify descriptor. Stops at the first malformed notice.
pub(crate) fn notices(mut bytes: &[u8]) -> impl Iterator<Item = Notice<'_>> {
    std::iter::from_fn(move || {
        let [w0, w1, w2, w3, m0, m1, m2, m3, _, _, _, _, l0, l1, l2, l3] = *bytes.first_chunk::<HEADER>()?;
        let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).ok()?;
        let end = HEADER.checked_add(length)?;
        let name = bytes.get(HEADER..end)?;
        let name = if name.is_empty() { c"" } else { CStr::from_bytes_until_nul(name).ok()? };
        bytes = bytes.get(end..)?;
        let mask = ReadFlags::from_bits_retain(u32::from_ne_bytes([m0, m1, m2, m3]));
        Some(Notice { watch: i32::from_ne_bytes([w0, w1, w2, w3]), mask, name })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(wd: i32, mask: u32, name: &[u8]) -> Vec<u8> {
        let padded = if name.is_empty() { 0 } else { (name.len() + 1).next_multiple_of(16) };
        let mut bytes = Vec::new();
        bytes.extend(wd.to_ne_bytes());
        bytes.extend(mask.to_ne_bytes());
        bytes.extend(0u32.to_ne_bytes());
        bytes.extend((padded as u32).to_ne_bytes());
        bytes.extend(name);
        bytes.resize(HEADER + padded, 0);
        bytes
    }

    proptest! {
        #[test]
        fn reads_back_what_was_written(
            events in prop::collection::vec((any::<i32>(), any::<u32>(), prop::collection::vec(1..=255u8, 0..255)), 0..20),
        ) {
            let bytes: Vec<u8> = events.iter().flat_map(|(wd, mask, name)| encode(*wd, *mask, name)).collect();
            let read: Vec<_> = notices(&bytes).map(|n| (n.watch, n.mask.bits(), n.name.to_bytes().to_vec())).collect();
            prop_assert_eq!(read, events);
        }

        #[test]
        fn survives_anything(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(notices(&bytes).count() <= bytes.len() / HEADER);
        }
    }

    #[test]
    fn a_truncated_event_is_not_returned() {
        let bytes = encode(3, 0x100, b"blue");
        assert_eq!(notices(&bytes[..bytes.len() - 1]).count(), 0);
        assert_eq!(notices(&bytes).count(), 1);
    }
}
