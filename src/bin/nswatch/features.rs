//! `nswatch features`: what this kernel and these privileges have that not all have.

use nswatch::Feature;

use crate::args::FeaturesArgs;
use crate::ending::Ending;
use crate::output;
use crate::record::{Value, json};

/// What each is good for, and what it takes.
fn purpose(feature: Feature) -> &'static str {
    match feature {
        Feature::MountEvents => "mounts told by fanotify: Linux 6.15, CAP_SYS_ADMIN over the mount namespace",
        Feature::MountPoll => "mounts told by a kernel AIO poll of mountinfo: Linux 4.18, no filter on AIO",
        Feature::Cookie => "namespaces identified by a cookie: Linux 6.18",
        Feature::MountId => "successors behind symbolic links told by the never-reused id of a mount: Linux 6.8",
        Feature::NsHandles => "one system call a name, none is opened: Linux 6.18",
        Feature::Statmount => "a new mount traced to the names it concerns: Linux 6.8",
        Feature::TargetNsid => "ids of a peer asked for: Linux 5.0, CAP_NET_ADMIN over the peer",
        Feature::AllNsid => "peers listened to: Linux 4.2, CAP_NET_BROADCAST",
        _ => "",
    }
}

pub(crate) fn run(args: &FeaturesArgs) -> Result<(), Ending> {
    let mut lines = if args.json { String::new() } else { "FEATURE       HERE  WHAT FOR\n".into() };
    // what can be found out is told even if something else cannot
    let mut failed = Ok(());
    for feature in Feature::ALL {
        let line = match feature.is_available() {
            Ok(here) if args.json => {
                json(&[("feature", Value::Word(feature.name())), ("available", Value::Flag(here))])
            }
            Ok(here) => format!("{feature:<12}  {:<4}  {}\n", if here { "yes" } else { "no" }, purpose(feature)),
            Err(error) => {
                failed = Err(error.into());
                continue;
            }
        };
        lines.push_str(&line);
    }
    output::print(lines.as_bytes())?;
    failed
}
