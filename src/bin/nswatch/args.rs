//! The command line. The comments on options are the help texts; the manual page has the details.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint};
use nswatch::{DEFAULT_DIR, Options, Watcher};

use crate::colour::When;
use crate::glob::Glob;
use crate::help::{EXAMPLES, EXEC_HELP, ID_HELP, SHOW_HELP, WAIT_HELP};
use crate::numbers::{Queue, positive_seconds, queue, seconds, whole};
use crate::record::Kind;
use crate::show::Wanted;
use crate::source::Source;
use crate::wait::Target;

/// Headings over the options of one source.
const NAMED: &str = "Options of --source named";
const NSID: &str = "Options of --source nsid";

/// Watch Linux network namespaces appear, become usable and disappear
#[derive(Debug, Parser)]
#[command(name = "nswatch", version, after_help = EXAMPLES, max_term_width = 80)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print events, one per line, until SIGINT or SIGTERM
    Watch(WatchArgs),
    /// List the names with their namespaces, or why a name is not usable; with --all, every namespace
    List(ListArgs),
    /// Print everything known about one namespace
    Show(ShowArgs),
    /// Wait until a name can be opened, or is gone
    Wait(WaitArgs),
    /// Print the nsids of namespaces, or assign one
    Id(IdArgs),
    /// Run a command for each event, in order
    Exec(ExecArgs),
    /// Show which optional features are available here
    Features(FeaturesArgs),
    /// Serve a program that cannot link the library, over a socket on standard input
    #[command(hide = true)]
    Serve(ServeArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    pub(crate) what: What,

    /// Print JSON, one object per line
    #[arg(long)]
    pub(crate) json: bool,

    /// When to use colour
    #[arg(long, value_name = "WHEN", value_enum, default_value = "auto")]
    pub(crate) color: When,

    /// Print only events about names that match the pattern, with *, ?, [a-z] and [!a-z] as in the shell
    #[arg(long, value_name = "GLOB", value_parser = OsStringValueParser::new().try_map(|text| Glob::read(text.as_bytes())))]
    pub(crate) name: Option<Glob>,

    /// Exit with status 0 after N events
    #[arg(long, value_name = "N", value_hint = ValueHint::Other, allow_negative_numbers = true, value_parser = whole("N is a number of events", 1..=u64::MAX))]
    pub(crate) count: Option<u64>,

    /// Exit with status 3 after SECONDS
    #[arg(long, value_name = "SECONDS", value_hint = ValueHint::Other, allow_negative_numbers = true, value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,

    /// Also report when the directory itself appears and disappears
    #[arg(long, help_heading = NAMED)]
    pub(crate) dir_events: bool,

    /// Print counters to standard error at exit; SIGUSR1 prints them at any time
    #[arg(long)]
    pub(crate) stats: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// List every network namespace that you can see, with or without a name, and its contents
    #[arg(long, conflicts_with_all = ["dirs", "no_symlinks", "max_names"])]
    pub(crate) all: bool,

    /// The directory of names, an absolute path; may be repeated [default: /run/netns]. For a directory that others may
    /// write to, see --no-symlinks
    #[arg(long = "dir", value_name = "PATH", value_hint = ValueHint::DirPath)]
    pub(crate) dirs: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) limits: Limits,

    /// Print JSON, one object per line
    #[arg(long)]
    pub(crate) json: bool,

    /// When to use colour
    #[arg(long, value_name = "WHEN", value_enum, default_value = "auto")]
    pub(crate) color: When,
}

#[derive(Debug, Args)]
#[command(after_help = SHOW_HELP)]
pub(crate) struct ShowArgs {
    /// The namespace: NAME, PATH, pid:N, nsid:N, cookie:N or ino:N
    #[arg(value_name = "WHAT", value_hint = ValueHint::AnyPath, value_parser = OsStringValueParser::new().try_map(Wanted::read))]
    pub(crate) what: Wanted,

    /// Print JSON, one object on one line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = WAIT_HELP)]
pub(crate) struct WaitArgs {
    /// The name; with a / in it, a path
    #[arg(value_name = "NAME", value_hint = ValueHint::AnyPath, value_parser = OsStringValueParser::new().try_map(Target::read))]
    pub(crate) target: Target,

    /// Exit with status 3 after SECONDS
    #[arg(long, value_name = "SECONDS", value_hint = ValueHint::Other, allow_negative_numbers = true, value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,

    /// Wait until the name is gone
    #[arg(long)]
    pub(crate) deleted: bool,

    /// The directory of the name, an absolute path; it need not exist yet [default: /run/netns]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = ID_HELP)]
pub(crate) struct IdArgs {
    #[command(flatten)]
    pub(crate) subject: Subject,

    /// With --assign: the nsid to assign, a free one [default: the lowest free one]
    #[arg(long, value_name = "N", value_hint = ValueHint::Other, allow_negative_numbers = true, conflicts_with_all = ["pid", "name", "list"], value_parser = whole("N is an nsid", 0..=i32::MAX))]
    pub(crate) want: Option<i32>,

    /// Print JSON, one object per line
    #[arg(long)]
    pub(crate) json: bool,
}

/// The namespace whose nsid to print: one of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Subject {
    /// Of the network namespace of a process or thread
    #[arg(long, value_name = "PID", value_hint = ValueHint::Other, allow_negative_numbers = true, value_parser = whole("PID is the number of a process", 1..=i32::MAX))]
    pub(crate) pid: Option<i32>,

    /// Of a name in /run/netns; with a / in it, of a path
    #[arg(long, value_name = "NAME", value_hint = ValueHint::AnyPath)]
    pub(crate) name: Option<OsString>,

    /// Print all assigned nsids
    #[arg(long)]
    pub(crate) list: bool,

    /// As --name, and assign an nsid; fails if there is one already
    #[arg(long, value_name = "NAME", value_hint = ValueHint::AnyPath)]
    pub(crate) assign: Option<OsString>,
}

#[derive(Debug, Args)]
#[command(after_help = EXEC_HELP)]
pub(crate) struct ExecArgs {
    #[command(flatten)]
    pub(crate) what: What,

    /// Stop a command after SECONDS: SIGTERM to it and its children, SIGKILL 5 seconds later
    #[arg(long, value_name = "SECONDS", value_hint = ValueHint::Other, allow_negative_numbers = true, value_parser = positive_seconds)]
    pub(crate) timeout: Option<Duration>,

    /// The command and its arguments. {name} becomes the name of the event, {fd} a path to its namespace, {pid} a
    /// process in it
    #[arg(last = true, required = true, value_name = "CMD", value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<OsString>,
}

impl ExecArgs {
    /// Whether to run the command for events of this type.
    pub(crate) fn is_for(&self, kind: Kind) -> bool {
        self.what.asks_for(kind).unwrap_or(kind == self.what.source.news())
    }

    /// The error for `{fd}` when no event has a namespace.
    fn without_namespace(&self) -> Option<String> {
        let asked = self.command.iter().any(|word| word.as_bytes().windows(4).any(|part| part == b"{fd}"));
        let announced = Kind::value_variants().iter().any(|kind| kind.announces_netns() && self.is_for(*kind));
        (asked && !announced).then(|| match self.what.source {
            Source::Nsid => "'{fd}' is a namespace, but '--source nsid' reports numbers".into(),
            source => format!("'{{fd}}' requires the event '{0}': add '{0}' to '--on'", source.news().name()),
        })
    }
}

#[derive(Debug, Args)]
pub(crate) struct FeaturesArgs {
    /// Print JSON, one object per line
    #[arg(long)]
    pub(crate) json: bool,

    /// When to use colour
    #[arg(long, value_name = "WHEN", value_enum, default_value = "auto")]
    pub(crate) color: When,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Drop all capabilities except these, a mask as in /proc/PID/status
    #[arg(long, value_name = "MASK", value_parser = |text: &str| u64::from_str_radix(text, 16))]
    pub(crate) capabilities: Option<u64>,
}

/// Limits for a directory that others may write to.
#[derive(Debug, Args)]
pub(crate) struct Limits {
    /// For a directory that others may write to: never follow a name that is a symbolic link, and follow links on the
    /// way to the directory only if root owns them
    #[arg(long, help_heading = NAMED)]
    pub(crate) no_symlinks: bool,

    /// The maximum number of names (directories do not count); with --source all, of namespaces [default: 1048576]
    #[arg(long, value_name = "N", value_hint = ValueHint::Other, allow_negative_numbers = true, value_parser = whole("N is a number of names", 1..=u32::MAX))]
    pub(crate) max_names: Option<u32>,
}

impl Limits {
    pub(crate) fn apply(&self, options: Options) -> Options {
        options.symlinks(!self.no_symlinks).max_names(self.max_names.unwrap_or(0))
    }
}

/// What to watch: the options that `watch` and `exec` share.
#[derive(Debug, Args)]
pub(crate) struct What {
    /// The source of events
    #[arg(long, value_enum, default_value = "named")]
    source: Source,

    /// The event types, separated by commas [default: for watch all types; for exec ready, nsid_new or netns_new,
    /// depending on the source]
    #[arg(long, value_name = "EVENT", value_delimiter = ',')]
    on: Vec<Kind>,

    /// Do not replay what exists: start with the next change
    #[arg(long)]
    no_replay: bool,

    /// Read ahead in a thread, into a queue of at most N events. POLICY applies when it is full: block [default],
    /// drop-newest or drop-oldest
    #[arg(long, value_name = "N[,POLICY]", value_hint = ValueHint::Other, allow_negative_numbers = true, value_parser = queue)]
    queue: Option<Queue>,

    /// The directory of names, an absolute path; it need not exist yet; may be repeated [default: /run/netns]. For a
    /// directory that others may write to, see --no-symlinks
    #[arg(long = "dir", value_name = "PATH", value_hint = ValueHint::DirPath, help_heading = NAMED)]
    dirs: Vec<PathBuf>,

    /// Report unmounts and new mounts of known names as they happen, even if each mount requires a probe of every name
    /// [default: only if it does not]
    #[arg(long, help_heading = NAMED)]
    mount_events: bool,

    /// Do not report unmounts and new mounts of known names
    #[arg(long, help_heading = NAMED, conflicts_with = "mount_events")]
    no_mount_events: bool,

    #[command(flatten)]
    limits: Limits,

    /// Debounce: report the net change of a name MS milliseconds after its first change
    #[arg(long, value_name = "MS", value_hint = ValueHint::Other, allow_negative_numbers = true, help_heading = NAMED, value_parser = whole("MS is a number of milliseconds without a unit", 0..=u32::MAX))]
    settle: Option<u32>,

    /// Also report events in peer namespaces; requires CAP_NET_BROADCAST
    #[arg(long, help_heading = NSID)]
    all_nsid: bool,
}

impl What {
    /// Whether the user named this type in --on; `None`: there is no --on.
    pub(crate) fn asks_for(&self, kind: Kind) -> Option<bool> {
        (!self.on.is_empty()).then(|| self.on.contains(&kind))
    }

    /// The subject of each watcher: a directory, or `None` for another source.
    pub(crate) fn subjects(&self) -> Vec<Option<&Path>> {
        match self.source {
            Source::Named => directories(&self.dirs).map(Some).collect(),
            Source::Nsid | Source::All => vec![None],
        }
    }

    /// Opens the watcher of one of the [`subjects`](Self::subjects).
    pub(crate) fn open(&self, dir: Option<&Path>, dir_events: bool) -> nswatch::Result<Watcher> {
        let mut options = Options::new()
            .replay(!self.no_replay)
            .dir_events(dir_events)
            .settle(Duration::from_millis(self.settle.unwrap_or(0).into()))
            .all_nsid(self.all_nsid);
        options = self.limits.apply(options);
        if self.mount_events || self.no_mount_events {
            options = options.mount_events(self.mount_events);
        }
        if let Some(dir) = dir {
            options = options.dir(dir)?;
        }
        if let Some(Queue { capacity, policy }) = self.queue {
            options = options.queue(capacity, policy)?;
        }
        match self.source {
            Source::Named => Watcher::named(&options),
            Source::Nsid => Watcher::nsid(&options),
            Source::All => Watcher::all(&options),
        }
    }

    /// The error for an option or event type that requires another source.
    fn misplaced(&self, others: &[(bool, &str, &[Source])]) -> Option<String> {
        use Source::{All, Named, Nsid};
        let source = self.source;
        // each with the sources that support it
        let own: [(bool, &str, &[Source]); 7] = [
            (!self.dirs.is_empty(), "--dir", &[Named]),
            (self.mount_events, "--mount-events", &[Named]),
            (self.no_mount_events, "--no-mount-events", &[Named]),
            (self.limits.no_symlinks, "--no-symlinks", &[Named]),
            (self.limits.max_names.is_some(), "--max-names", &[Named, All]),
            (self.settle.is_some(), "--settle", &[Named]),
            (self.all_nsid, "--all-nsid", &[Nsid]),
        ];
        let mut options = own.iter().chain(others).filter(|(given, _, sources)| *given && !sources.contains(&source));
        if let Some((_, option, sources)) = options.next() {
            let sources: Vec<_> = sources.iter().map(|source| source.option()).collect();
            return Some(format!("'{option}' requires {}", sources.join(" or ")));
        }
        let kind = self.on.iter().find(|kind| !kind.comes_from(source))?;
        let required = Source::value_variants().iter().find(|source| kind.comes_from(**source))?;
        Some(format!("'--on {}' requires {}", kind.name(), required.option()))
    }
}

/// The given directories, or the default directory of `ip netns`.
pub(crate) fn directories(given: &[PathBuf]) -> impl Iterator<Item = &Path> {
    let default = given.is_empty().then_some(Path::new(DEFAULT_DIR));
    given.iter().map(PathBuf::as_path).chain(default)
}

impl Cli {
    /// Parses the command line. Exits on wrong usage, and for --help and --version.
    pub(crate) fn read() -> Self {
        let cli = Self::parse();
        // clap cannot express that an option depends on the value of another one
        let (subcommand, misplaced) = match &cli.command {
            Command::Watch(args) => {
                let others: [(bool, &str, &[Source]); 2] = [
                    (args.dir_events, "--dir-events", &[Source::Named]),
                    (args.name.is_some(), "--name", &[Source::Named, Source::Nsid]),
                ];
                ("watch", args.what.misplaced(&others))
            }
            Command::Exec(args) => ("exec", args.what.misplaced(&[]).or_else(|| args.without_namespace())),
            Command::Wait(args) => {
                let both = args.dir.is_some() && args.target.is_path();
                ("wait", both.then(|| "the argument '--dir' cannot be used with a path".into()))
            }
            _ => return cli,
        };
        let mut command = Self::command();
        // sets the subcommand names for the usage line
        command.build();
        if let Some((why, command)) = misplaced.zip(command.find_subcommand_mut(subcommand)) {
            command.error(ErrorKind::ArgumentConflict, why).exit();
        }
        cli
    }
}
