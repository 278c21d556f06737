//! `nswatch watch`: one line an event, for people or for programs.

use crate::args::WatchArgs;
use crate::ending::Ending;
use crate::output;
use crate::record::Record;
use crate::session::Session;
use crate::text::Painter;

pub(crate) fn run(args: &WatchArgs) -> Result<(), Ending> {
    let mut session = Session::with_reader(|| args.what.open(args.dir_events))?;
    let painter = Painter::for_stdout();
    let ending = tell(&mut session, |record| if args.json { record.json() } else { painter.line(record) });
    if args.stats {
        output::counters(&session.watcher().stats());
    }
    Err(ending)
}

/// Tells events until there is a reason to end.
fn tell(session: &mut Session, line: impl Fn(&Record) -> String) -> Ending {
    loop {
        if let Err(ending) = session.next().and_then(|record| session.tell(&line(&record))) {
            return ending;
        }
    }
}
