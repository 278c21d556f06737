//! `nswatch watch`: one line an event, for people or for programs.

use crate::args::WatchArgs;
use crate::ending::Ending;
use crate::output;
use crate::record::Record;
use crate::session::Session;
use crate::text::Painter;

pub(crate) fn run(args: &WatchArgs) -> Result<(), Ending> {
    let mut session = Session::with_reader(&args.what, args.dir_events)?;
    let several_dirs = session.watches().are_several();
    let painter = Painter::for_stdout(several_dirs);
    let line = |record: &Record| if args.json { record.json(several_dirs) } else { painter.line(record) };
    let ending = report(&mut session, line);
    if args.stats {
        output::counters(&session.watches().stats());
    }
    Err(ending)
}

/// Reports events until there is a reason to end.
fn report(session: &mut Session, line: impl Fn(&Record) -> String) -> Ending {
    loop {
        if let Err(ending) = session.next().and_then(|record| session.write(&line(&record))) {
            return ending;
        }
    }
}
