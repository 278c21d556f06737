//! A watcher on tokio.
//!
//! The stream owns a watcher and its registration with the runtime's reactor: no thread, no timer, no queue. The
//! reactor differs from `poll(2)` in one way: it remembers that a descriptor was readable until the stream clears that,
//! and waits for edges. So the stream clears it only when the watcher has returned `None`.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use crate::error::{Doing, Error, Result};
use crate::event::Event;
use crate::sys::Registration;
use crate::watcher::Watcher;

/// The events of a watcher as a stream, woken by the tokio reactor. Made by [`Watcher::into_stream`].
///
/// Most programs need only [`next`](Self::next); for combinators, this is also a [`Stream`]. Both are cancel-safe: they
/// take an event from the watcher only when they return it, so a branch of `select!` that loses takes none with it.
///
/// It yields errors as the watcher does. A [final error](Error::is_final) is the last item. After another error it
/// continues where it stopped. While the cause persists, the next item is the same error at once: do not ignore errors
/// in a loop.
///
/// Dropping it closes the watcher.
///
/// # Examples
/// A loop that waits for something else as well. (This example runs: a stream requires no privilege, and the directory
/// need not exist.)
///
/// ```
/// use nswatch::{EventKind, Options, Watcher};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// let mut events = Watcher::named(&Options::new().dir("/run/nowhere")?)?.into_stream()?;
/// let asked_to_stop = std::future::pending::<()>(); // tokio::signal::ctrl_c(), for one
/// tokio::pin!(asked_to_stop);
/// loop {
///     tokio::select! {
///         event = events.next() => match event.transpose()? {
///             Some(event) if *event.kind() == EventKind::Synced => break,
///             Some(event) => println!("{event}"),
///             None => break,
///         },
///         () = &mut asked_to_stop => break,
///     }
/// }
/// assert_eq!(events.get_ref().stats().delivered, 1);
/// # Ok(()) })
/// # }
/// ```
#[derive(Debug)]
pub struct EventStream {
    reactor: Registration,
    watcher: Watcher,
    /// The final error has been returned.
    over: bool,
}

impl Watcher {
    /// Registers the watcher with the tokio runtime of the caller, and makes it a stream of events.
    ///
    /// # Errors
    /// `EMFILE`, `ENOMEM`, `ENOSPC`: a limit is reached (`ENOSPC`: `fs.epoll.max_user_watches`).
    ///
    /// # Panics
    /// Outside a runtime, or in one without `enable_io`, as every tokio function that waits for a descriptor.
    #[track_caller]
    pub fn into_stream(self) -> Result<EventStream> {
        let reactor = Registration::new(self.pollable()).doing("register the watcher with the runtime")?;
        Ok(EventStream { reactor, watcher: self, over: false })
    }
}

impl EventStream {
    /// Waits for the next event. `None`: no event will come any more.
    ///
    /// # Errors
    /// As [`Watcher::next_event`]; and `ECANCELED`: the runtime of the stream has shut down.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Event>> {
        std::future::poll_fn(|cx| self.poll_event(cx)).await
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Event>>> {
        while !self.over {
            // takes part in the task budget: a storm of events does not starve other tasks
            let Ok(mut readable) = ready!(self.reactor.poll_readable(cx)) else {
                self.over = true;
                let gone = Error::new(libc::ECANCELED, "wait for an event");
                return Poll::Ready(Some(Err(gone.because("the tokio runtime of the stream has shut down").last())));
            };
            match self.watcher.next_event() {
                Ok(Some(event)) => return Poll::Ready(Some(Ok(event))),
                // does nothing if the reactor has seen another edge since
                Ok(None) => readable.clear_ready(),
                Err(error) => {
                    self.over = error.is_final();
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        Poll::Ready(None)
    }

    /// The watcher, to open a namespace or to read the counters.
    pub fn get_ref(&self) -> &Watcher {
        &self.watcher
    }

    /// As [`Watcher::resync`]. The differences come through the stream.
    ///
    /// # Errors
    /// As [`Watcher::resync`].
    pub fn resync(&mut self) -> Result<()> {
        self.watcher.resync()
    }

    /// Takes the watcher back from the runtime, with all pending events.
    pub fn into_inner(self) -> Watcher {
        self.watcher
    }
}

impl Stream for EventStream {
    type Item = Result<Event>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_event(cx)
    }
}
