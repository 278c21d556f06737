//! The tokio reactor, which waits for descriptors on behalf of a runtime.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

use super::Epoll;

/// The registration of an epoll instance with the reactor of its runtime.
#[derive(Debug)]
pub(crate) struct Registration(AsyncFd<Arc<Epoll>>);

impl AsRawFd for Epoll {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl Registration {
    /// Panics outside a runtime.
    #[track_caller]
    pub(crate) fn new(epoll: Arc<Epoll>) -> io::Result<Self> {
        // SAFETY: an Epoll has the same open descriptor for life, and the registration keeps it alive without giving it
        // away.
        let registered = unsafe { AsyncFd::register_with_interest(epoll, Interest::READABLE) };
        // only the cause, which has an errno
        registered.map(Self).map_err(|error| error.into_parts().1)
    }

    /// Ready if the descriptor was readable since the last `clear_ready`, by which the caller states that it is
    /// exhausted. An error: the runtime has shut down.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<AsyncFdReadyGuard<'_, Arc<Epoll>>>> {
        self.0.poll_read_ready(cx)
    }
}
