//! What can be said on the command line. The texts here are the help; the manual page says the same at length.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use nswatch::{DEFAULT_DIR, Options, Watcher};

use crate::record::Kind;

const EXAMPLES: &str = "\
Examples:
  nswatch watch                          what happens in /run/netns, as it happens
  nswatch watch --json | jq -c .         the same for a program, one object a line
  nswatch watch --dir /run/docker/netns  the namespaces of Docker
  nswatch list                           what there is now
  nswatch exec --on ready -- ip -n {name} link set lo up
                                         a command for each namespace, as soon as it can be used

Exit status: 0 when ended by SIGINT or SIGTERM, 1 on an error, 2 on wrong usage.";

const EXEC_HELP: &str = "\
Examples:
  nswatch exec --on ready -- ip -n {name} link set lo up
  nswatch exec --on ready,deleted --no-replay -- logger -t netns -- {name}
  nswatch exec --on ready -- sh -c 'echo \"$NSWATCH_EVENT $NSWATCH_NAME $NSWATCH_INO\"'

The command is run directly, not by a shell, one at a time and in the order of the events. \
In its environment, as far as they apply: NSWATCH_EVENT, NSWATCH_NAME, NSWATCH_DIR, NSWATCH_DEV, NSWATCH_INO, \
NSWATCH_NS_ID, NSWATCH_DROPPED, NSWATCH_REPLAYED (1 or 0), NSWATCH_TIME_NS.";

/// Watch Linux network namespaces come, become usable and go
#[derive(Debug, Parser)]
#[command(name = "nswatch", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Tell what happens, one line an event, until SIGINT or SIGTERM
    Watch(WatchArgs),
    /// Tell which names there are now, and the namespace that each refers to
    List(ListArgs),
    /// Run a command for each event, in order
    Exec(ExecArgs),
    /// Print a completion script for a shell
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    pub(crate) what: What,

    /// One JSON object a line, for programs
    #[arg(long)]
    pub(crate) json: bool,

    /// Also tell when the directory itself comes and goes
    #[arg(long)]
    pub(crate) dir_events: bool,

    /// Print the counters to standard error at exit; SIGUSR1 prints them at any time
    #[arg(long)]
    pub(crate) stats: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The directory whose entries are the names, an absolute path [default: /run/netns]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,

    /// One JSON object a line, for programs
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = EXEC_HELP)]
pub(crate) struct ExecArgs {
    /// The events to run the command for, separated by commas
    #[arg(long, value_name = "EVENT", value_delimiter = ',', required = true)]
    pub(crate) on: Vec<Kind>,

    #[command(flatten)]
    pub(crate) what: What,

    /// The command and its arguments; {name} becomes the name that the event is about
    #[arg(last = true, required = true, value_name = "CMD", value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<OsString>,
}

/// Where events come from.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Source {
    /// Names in a directory, as `ip netns` makes them
    Named,
}

/// What to watch: all that `watch` and `exec` have in common.
#[derive(Debug, Args)]
pub(crate) struct What {
    /// Where events come from
    #[arg(long, value_enum, default_value = "named")]
    source: Source,

    /// The directory whose entries are the names, an absolute path; it need not exist yet
    #[arg(long, value_name = "PATH", default_value = DEFAULT_DIR, value_hint = ValueHint::DirPath)]
    dir: PathBuf,

    /// Start with what happens from now on, not with what exists
    #[arg(long)]
    no_replay: bool,
}

impl What {
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn open(&self, dir_events: bool) -> nswatch::Result<Watcher> {
        let options = Options::new().dir(&self.dir)?.replay(!self.no_replay).dir_events(dir_events);
        match self.source {
            Source::Named => Watcher::named(&options),
        }
    }
}
