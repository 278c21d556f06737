//! `nswatch id`: gets and assigns nsids. Each line begins with the subject.

use nswatch::{nsid, printable};

use crate::args::{IdArgs, Subject};
use crate::clock;
use crate::ending::Ending;
use crate::known::path_of;
use crate::names;
use crate::output;
use crate::record::{Field, Value, json};

/// The JSON value for no nsid, as `NSID_NOT_ASSIGNED` in C.
const NOT_ASSIGNED: i32 = -1;

pub(crate) fn run(args: &IdArgs) -> Result<(), Ending> {
    let mut lines = String::new();
    let mut print = |fields: &[Field<'_>]| lines += &if args.json { json(fields) } else { plain(fields) };
    let id = |nsid: Option<i32>| ("nsid", nsid.unwrap_or(NOT_ASSIGNED).into());
    match &args.subject {
        Subject { pid: Some(pid), .. } => {
            let nsid = nsid::get_for_pid(*pid)?;
            let name = nsid.and_then(|nsid| names::look().remove(&nsid));
            let mut fields = vec![("pid", (*pid).into()), id(nsid)];
            fields.extend(name.as_ref().map(|name| ("name", Value::Name(name))));
            print(&fields);
        }
        Subject { name: Some(name), .. } => {
            print(&[("name", Value::Name(name)), id(nsid::get_for_name(path_of(name))?)])
        }
        Subject { assign: Some(name), .. } => {
            let nsid = nsid::assign(nsid::open(path_of(name))?, args.want)?;
            print(&[("name", Value::Name(name)), id(Some(nsid))]);
        }
        // --list: clap requires one of these
        _ => {
            let nsids = nsid::list()?;
            let names = if nsids.is_empty() { names::Found::new() } else { names::look() };
            for nsid in nsids {
                let mut fields = vec![id(Some(nsid))];
                fields.extend(names.get(&nsid).map(|name| ("name", Value::Name(name))));
                print(&fields);
            }
        }
    }
    output::print(lines.as_bytes())
}

/// The values, separated by spaces, which printed names do not contain.
fn plain(fields: &[Field<'_>]) -> String {
    let words = fields.iter().map(|(key, value)| match *value {
        Value::Number(number) if *key == "nsid" && number == NOT_ASSIGNED.into() => "not assigned".into(),
        Value::Number(number) => number.to_string(),
        Value::Name(name) => printable(name),
        Value::Word(word) => word.into(),
        Value::Flag(flag) => flag.to_string(),
        Value::Time(moment) => clock::rfc3339(moment),
    });
    words.collect::<Vec<_>>().join(" ") + "\n"
}
