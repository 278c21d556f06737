//! What can be said on the command line. The texts here are the help; the manual page says the same at length.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint};
use nswatch::{DEFAULT_DIR, Options, Policy, QUEUE_MAX, Watcher};

use crate::record::Kind;

const EXAMPLES: &str = "\
Examples:
  nswatch watch                          what happens in /run/netns, as it happens
  nswatch watch --json | jq -c .         the same for a program, one object a line
  nswatch watch --dir /run/docker/netns  the namespaces of Docker
  nswatch watch --source nsid            the ids that the kernel gives to peer namespaces
  nswatch list                           what there is now
  nswatch id --pid 4711                  the id that the namespace of a process has here
  nswatch exec --on ready -- ip -n {name} link set lo up
                                         a command for each namespace, as soon as it can be used

Exit status: 0 when ended by SIGINT or SIGTERM, 1 on an error, 2 on wrong usage.";

const EXEC_HELP: &str = "\
Examples:
  nswatch exec --on ready -- ip -n {name} link set lo up
  nswatch exec --on ready,deleted --no-replay -- logger -t netns -- {name}
  nswatch exec --on ready -- sh -c 'echo \"$NSWATCH_EVENT $NSWATCH_NAME $NSWATCH_INO\"'
  nswatch exec --source nsid --on nsid_del -- sh -c 'echo \"$NSWATCH_NSID is gone\"'

The command is run directly, not by a shell, one at a time and in the order of the events. \
In its environment, as far as they apply: NSWATCH_EVENT, NSWATCH_NAME, NSWATCH_DIR, NSWATCH_DEV, NSWATCH_INO, \
NSWATCH_COOKIE, NSWATCH_NSID, NSWATCH_ORIGIN, NSWATCH_PORTID, NSWATCH_DROPPED, NSWATCH_REPLAYED (1 or 0), NSWATCH_TIME_NS.";

const ID_HELP: &str = "\
An id is how the kernel calls a namespace in this one; most have none. The lines:
  --pid     PID NSID NAME
  --name    NAME NSID
  --list    NSID NAME
  --assign  NAME NSID
with \"not assigned\" for an id (in JSON: -1), and without NAME for what has no name in /run/netns.";

/// Headings over options that only one of the sources has a use for.
const NAMED: &str = "Options of --source named";
const NSID: &str = "Options of --source nsid";

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
    /// Tell the ids that the kernel has for namespaces, or assign one
    Id(IdArgs),
    /// Run a command for each event, in order
    Exec(ExecArgs),
    /// Tell what this kernel and these privileges have that not all have
    Features(FeaturesArgs),
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
    #[arg(long, help_heading = NAMED)]
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
#[command(after_help = ID_HELP)]
pub(crate) struct IdArgs {
    #[command(flatten)]
    pub(crate) subject: Subject,

    /// With --assign: the id, one that is free [default: the lowest of those]
    #[arg(long, value_name = "N", conflicts_with_all = ["pid", "name", "list"], value_parser = clap::value_parser!(i32).range(0..))]
    pub(crate) want: Option<i32>,

    /// One JSON object a line, for programs
    #[arg(long)]
    pub(crate) json: bool,
}

/// Whose id: one of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Subject {
    /// The network namespace of a process, or of a thread
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) pid: Option<i32>,

    /// The one with this name in /run/netns, or at this path if there is a / in it
    #[arg(long, value_name = "NAME", value_hint = ValueHint::AnyPath)]
    pub(crate) name: Option<OsString>,

    /// All that have one
    #[arg(long)]
    pub(crate) list: bool,

    /// As --name, and give it one; it must have none
    #[arg(long, value_name = "NAME", value_hint = ValueHint::AnyPath)]
    pub(crate) assign: Option<OsString>,
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

#[derive(Debug, Args)]
pub(crate) struct FeaturesArgs {
    /// One JSON object a line, for programs
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where events come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Source {
    /// Names in a directory, as `ip netns` makes them
    Named,
    /// Ids that the kernel assigns to peer namespaces
    Nsid,
}

/// A reader thread's queue.
#[derive(Debug, Clone, Copy)]
struct Queue {
    capacity: u32,
    policy: Policy,
}

/// What to watch: all that `watch` and `exec` have in common.
#[derive(Debug, Args)]
pub(crate) struct What {
    /// Where events come from
    #[arg(long, value_enum, default_value = "named")]
    source: Source,

    /// Start with what happens from now on, not with what exists
    #[arg(long)]
    no_replay: bool,

    /// Read ahead in a thread, into a queue of at most N events; POLICY is what happens when it is full: block
    /// [default], drop-newest or drop-oldest
    #[arg(long, value_name = "N[,POLICY]", value_parser = queue)]
    queue: Option<Queue>,

    /// The directory whose entries are the names, an absolute path; it need not exist yet [default: /run/netns]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::DirPath, help_heading = NAMED)]
    dir: Option<PathBuf>,

    /// Report unmounts and new mounts of known names as they happen, even where each mount costs a look at every name
    /// [default: where it does not]
    #[arg(long, help_heading = NAMED)]
    mount_events: bool,

    /// Do not report unmounts and new mounts of known names
    #[arg(long, help_heading = NAMED, conflicts_with = "mount_events")]
    no_mount_events: bool,

    /// Tell what has become of a name MS milliseconds after its first change, and nothing if that is nothing
    #[arg(long, value_name = "MS", help_heading = NAMED)]
    settle: Option<u32>,

    /// Also tell what happens in peer namespaces; needs CAP_NET_BROADCAST
    #[arg(long, help_heading = NSID)]
    all_nsid: bool,
}

impl What {
    /// The directory whose entries are the names, if names are watched.
    pub(crate) fn dir(&self) -> Option<&Path> {
        (self.source == Source::Named).then(|| self.dir.as_deref().unwrap_or(DEFAULT_DIR.as_ref()))
    }

    pub(crate) fn open(&self, dir_events: bool) -> nswatch::Result<Watcher> {
        let mut options = Options::new()
            .replay(!self.no_replay)
            .dir_events(dir_events)
            .settle(Duration::from_millis(self.settle.unwrap_or(0).into()))
            .all_nsid(self.all_nsid);
        if self.mount_events || self.no_mount_events {
            options = options.mount_events(self.mount_events);
        }
        if let Some(dir) = self.dir() {
            options = options.dir(dir)?;
        }
        if let Some(Queue { capacity, policy }) = self.queue {
            options = options.queue(capacity, policy)?;
        }
        match self.source {
            Source::Named => Watcher::named(&options),
            Source::Nsid => Watcher::nsid(&options),
        }
    }

    /// What was asked of a source that cannot do it.
    fn misplaced(&self, others: impl IntoIterator<Item = (bool, String)>) -> Option<String> {
        let (source, own): (_, &[_]) = match self.source {
            Source::Named => ("named", &[(self.all_nsid, "--all-nsid")]),
            Source::Nsid => (
                "nsid",
                &[
                    (self.dir.is_some(), "--dir"),
                    (self.mount_events, "--mount-events"),
                    (self.no_mount_events, "--no-mount-events"),
                    (self.settle.is_some(), "--settle"),
                ],
            ),
        };
        let own = own.iter().map(|(given, option)| (*given, (*option).to_owned()));
        let (_, option) = own.chain(others).find(|(given, _)| *given)?;
        Some(format!("the argument '{option}' cannot be used with '--source {source}'"))
    }
}

/// `N[,POLICY]`
fn queue(text: &str) -> Result<Queue, String> {
    let (capacity, policy) = text.split_once(',').unwrap_or((text, "block"));
    let policy = match policy {
        "block" => Policy::Block,
        "drop-newest" => Policy::DropNewest,
        "drop-oldest" => Policy::DropOldest,
        _ => return Err("the policy is block, drop-newest or drop-oldest".into()),
    };
    match capacity.parse() {
        Ok(capacity @ 1..=QUEUE_MAX) => Ok(Queue { capacity, policy }),
        _ => Err(format!("N is a number from 1 to {QUEUE_MAX}")),
    }
}

impl Cli {
    /// What was said on the command line. Ends the process where that is wrong, or a question.
    pub(crate) fn read() -> Self {
        let cli = Self::parse();
        // what clap has no words for: whether an option applies depends on the value of another
        let (subcommand, misplaced) = match &cli.command {
            Command::Watch(args) => {
                let dir_events = args.dir_events && args.what.source != Source::Named;
                ("watch", args.what.misplaced([(dir_events, "--dir-events".into())]))
            }
            Command::Exec(args) => {
                let on =
                    args.on.iter().map(|kind| (!kind.comes_from(args.what.source), format!("--on {}", kind.name())));
                ("exec", args.what.misplaced(on))
            }
            _ => return cli,
        };
        let mut command = Self::command();
        // gives the subcommands the names that their usage begins with
        command.build();
        if let Some((why, command)) = misplaced.zip(command.find_subcommand_mut(subcommand)) {
            command.error(ErrorKind::ArgumentConflict, why).exit();
        }
        cli
    }
}
