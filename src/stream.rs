//! A watcher in a program that is driven by tokio.
//!
//! The stream owns a watcher and its registration with the runtime's reactor, and nothing else: no thread, no timer, no
//! queue. What it must get right is the one thing in which the reactor differs from `poll(2)`: it remembers that a
//! descriptor was readable until the stream clears that, and waits for edges. So the stream clears it only when the
//! watcher has returned `None`.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use crate::error::{Doing, Error, Result};
use crate::event::Event;
use crate::sys::Registration;
use crate::watcher::Watcher;

/// The events of a watcher as a stream, woken by the reactor of tokio. Made by [`Watcher::into_stream`].
///
/// [`next`](Self::next) is all that most programs need; it is also a [`Stream`], for combinators. Both are cancel-safe:
/// an event is taken from the watcher in the moment in which it is handed out, so a branch of `select!` that loses
/// takes none with it.
///
/// It yields errors as the watcher does. One [that is final](Error::is_final) is the last item. After another it goes
/// on where it stopped; while that which caused it stands, the next item is the same error at once, so do not ignore
/// them in a loop.
///
/// Dropping it closes the watcher.
///
/// # Examples
/// A loop that waits for something else as well. (It runs: a stream needs no privilege, and the directory need not
/// exist.)
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
    /// The error that is the end has been returned.
    over: bool,
}

impl Watcher {
    /// Registers the watcher with the tokio runtime that the caller is in, to be a stream of events there.
    ///
    /// # Errors
    /// `EMFILE`, `ENOMEM`, `ENOSPC`: a limit was reached (`ENOSPC`: `fs.epoll.max_user_watches`).
    ///
    /// # Panics
    /// If it is called outside a runtime, or in one without `enable_io`, as everything of tokio does that waits for a
    /// descriptor.
    #[track_caller]
    pub fn into_stream(self) -> Result<EventStream> {
        let reactor = Registration::new(self.pollable()).doing("register the watcher with the runtime")?;
        Ok(EventStream { reactor, watcher: self, over: false })
    }
}

impl EventStream {
    /// Waits for the next event. `None`: no event can come any more.
    ///
    /// # Errors
    /// As [`Watcher::next_event`]; and `ECANCELED`: the runtime that the stream was made in has shut down.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Event>> {
        std::future::poll_fn(|cx| self.poll_event(cx)).await
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Event>>> {
        while !self.over {
            // takes part in the budget of the task: a storm of events does not keep the other tasks from running
            let Ok(mut readable) = ready!(self.reactor.poll_readable(cx)) else {
                self.over = true;
                let gone = Error::new(libc::ECANCELED, "wait for an event");
                return Poll::Ready(Some(Err(gone.because("the tokio runtime of the stream has shut down").last())));
            };
            match self.watcher.next_event() {
                Ok(Some(event)) => return Poll::Ready(Some(Ok(event))),
                // does nothing if the reactor has learned of another edge since it answered
                Ok(None) => readable.clear_ready(),
                Err(error) => {
                    self.over = error.is_final();
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        Poll::Ready(None)
    }

    /// The watcher, to open a namespace or to look at the counters.
    pub fn get_ref(&self) -> &Watcher {
        &self.watcher
    }

    /// As [`Watcher::resync`]. What it finds comes through the stream.
    ///
    /// # Errors
    /// As [`Watcher::resync`].
    pub fn resync(&mut self) -> Result<()> {
        self.watcher.resync()
    }

    /// Takes the watcher back from the runtime, with all that has not been handed out.
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
