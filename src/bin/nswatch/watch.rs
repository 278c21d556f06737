//! `nswatch watch`: one line per event, for people or for programs.

use std::os::unix::ffi::OsStrExt;

use crate::args::WatchArgs;
use crate::ending::Ending;
use crate::output;
use crate::record::{Kind, Record};
use crate::session::Session;
use crate::text::Painter;

pub(crate) fn run(args: &WatchArgs) -> Result<(), Ending> {
    let asked = |kind| args.what.asks_for(kind) == Some(true);
    let dir_events = args.dir_events || asked(Kind::DirCreated) || asked(Kind::DirDeleted);
    let mut session = Session::with_reader(&args.what, dir_events, args.timeout)?;
    let several_dirs = session.watches().are_several();
    let painter = Painter::new(args.color, several_dirs);
    let line = |record: &Record| if args.json { record.json(several_dirs) } else { painter.line(record) };
    let ending = report(&mut session, args, line);
    if args.stats {
        output::counters(&session.watches().stats());
    }
    ending
}

/// Prints events until the requested count, or another reason to end.
fn report(session: &mut Session, args: &WatchArgs, line: impl Fn(&Record) -> String) -> Result<(), Ending> {
    let mut left = args.count;
    while left != Some(0) {
        let record = session.next()?;
        if args.wants(&record) {
            session.write(&line(&record))?;
            left = left.map(|left| left - 1);
        }
    }
    Ok(())
}

impl WatchArgs {
    /// Whether to print the event. `--name` excludes events without a name, unless `--on` names their type.
    fn wants(&self, record: &Record) -> bool {
        let asked = self.what.asks_for(record.kind());
        let by_name = match (&self.name, &record.name) {
            (None, _) => true,
            (Some(glob), Some(name)) => glob.matches(name.as_bytes()),
            (Some(_), None) => asked.is_some() && !record.kind().is_about_a_name(),
        };
        by_name && asked.unwrap_or(true)
    }
}
