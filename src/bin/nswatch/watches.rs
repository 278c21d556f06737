//! The watchers behind one stream of events: one per directory, or one for another source.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nswatch::{Event, Stats, Watcher, printable};
use rustix::io::Errno;

use crate::args::What;
use crate::clock;
use crate::ending::Ending;
use crate::names::Names;
use crate::output::complain;
use crate::record::Record;

#[derive(Debug)]
pub(crate) struct Watches {
    all: Vec<Watch>,
    names: Names,
}

#[derive(Debug)]
struct Watch {
    watcher: Watcher,
    /// The directory as the user gave it; `None`: another source.
    dir: Option<Arc<Path>>,
    /// The next result of the watcher and its time, until its turn among the others.
    next: Option<(Duration, nswatch::Result<Event>)>,
}

impl Watches {
    pub(crate) fn open(what: &What, dir_events: bool) -> Result<Self, Ending> {
        let subjects = what.subjects();
        let several = subjects.len() > 1;
        let open = |dir: Option<&Path>| {
            let watcher = what.open(dir, dir_events).map_err(|error| failure(error, dir.filter(|_| several)))?;
            Ok::<_, Ending>(Watch { watcher, dir: dir.map(Arc::from), next: None })
        };
        Ok(Self { all: subjects.into_iter().map(open).collect::<Result<_, _>>()?, names: Names::default() })
    }

    /// Whether events must name their directory.
    pub(crate) fn are_several(&self) -> bool {
        self.all.len() > 1
    }

    /// The next event in the order of event times, or `None` if there is none now.
    pub(crate) fn next(&mut self) -> Result<Option<Record>, Ending> {
        let several = self.are_several();
        self.all.iter_mut().for_each(Watch::ask);
        let time = |watch: &&mut Watch| watch.next.as_ref().map(|(time, _)| *time);
        let Some(watch) = self.all.iter_mut().filter(|watch| watch.next.is_some()).min_by_key(time) else {
            return Ok(None);
        };
        match watch.next.take() {
            Some((_, Ok(event))) => Ok(Some(Record { dir: watch.dir.clone(), ..self.names.beside(event) })),
            Some((_, Err(error))) => Err(failure(error, watch.dir.as_deref().filter(|_| several))),
            None => Ok(None),
        }
    }

    /// Opens exactly the namespace of an event, as the watcher of its directory does; `None`: the event has none.
    pub(crate) fn open_netns(&self, record: &Record) -> Option<nswatch::Result<OwnedFd>> {
        if !record.kind().announces_netns() {
            return None;
        }
        let watch = self.all.iter().find(|watch| watch.dir == record.dir)?;
        Some(watch.watcher.open_netns(&record.event))
    }

    /// Readable as long as there is an event to take.
    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.all.iter().map(|watch| watch.watcher.as_fd())
    }

    /// The sum of the counters.
    pub(crate) fn stats(&self) -> Stats {
        self.all.iter().fold(Stats::default(), |mut sum, watch| {
            let stats = watch.watcher.stats();
            sum.delivered += stats.delivered;
            sum.dropped += stats.dropped;
            sum.overflows += stats.overflows;
            sum.resyncs += stats.resyncs;
            sum.queued += stats.queued;
            sum.queued_max += stats.queued_max;
            sum.pending += stats.pending;
            sum.known += stats.known;
            sum
        })
    }
}

impl Watch {
    fn ask(&mut self) {
        while self.next.is_none() {
            self.next = match self.watcher.next_event() {
                Ok(None) => return,
                Ok(Some(event)) => Some((event.time(), Ok(event))),
                Err(error) if is_passing(&error) => continue,
                Err(error) => Some((clock::monotonic(), Err(error))),
            };
        }
    }
}

/// Whether the watcher continues normally after an error.
pub(crate) fn is_passing(error: &nswatch::Error) -> bool {
    match Errno::from_raw_os_error(error.errno()) {
        Errno::INTR => true,
        // once each time that the number of names crosses the limit; the watcher continues with those that it knows
        Errno::TOOBIG => {
            complain(error);
            true
        }
        _ => false,
    }
}

/// The failure with its directory, unless the error names it.
pub(crate) fn failure(error: nswatch::Error, dir: Option<&Path>) -> Ending {
    let (text, dir) = (error.to_string(), dir.map(printable));
    // spaces stay spaces in the sentence of an error
    match dir.filter(|dir| !text.contains(&dir.replace(r"\x20", " "))) {
        Some(dir) => Ending::Failed(format!("{text} (for {dir})")),
        None => Ending::Failed(text),
    }
}
