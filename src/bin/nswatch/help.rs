//! What the help says below the options.

pub(crate) const EXAMPLES: &str = "\
Examples:
  nswatch watch                          what happens in /run/netns
  nswatch watch --json | jq -c .         the same as JSON, one object a line
  nswatch watch --on ready --name 'lab*' some events, of some names
  nswatch watch --dir /run/docker/netns  the namespaces of Docker
  nswatch watch --source nsid            the nsids that the kernel assigns
  nswatch watch --source all             every namespace, with or without a name
  nswatch list                           the names now
  nswatch list --all                     every namespace now
  nswatch show pid:4711                  the namespace of a process
  nswatch wait blue --timeout 5          until that name can be opened
  nswatch id --pid 4711                  the nsid of a process's namespace
  nswatch exec --on ready -- nsenter --net={fd} ip link set lo up
                                         a command for each usable namespace

Exit status: 0 when ended by SIGINT or SIGTERM, 1 on an error, 2 on wrong usage, 3 when the time of --timeout is over.";

pub(crate) const EXEC_HELP: &str = "\
Examples:
  nswatch exec --on ready -- nsenter --net={fd} ip link set lo up
  nswatch exec --on ready --dir /run/netns --dir /run/docker/netns \\
      --timeout 10 -- /usr/local/sbin/setup-netns {fd}
  nswatch exec --on ready,deleted --no-replay -- logger -t netns -- {name}
  nswatch exec --on ready -- sh -c 'echo \"$NSWATCH_NAME is $NSWATCH_INO\"'
  nswatch exec --source nsid --on nsid_del -- sh -c 'echo $NSWATCH_NSID is gone'
  nswatch exec --source all -- logger -t netns 'process {pid} has a new one'

The command is run directly, not by a shell, one at a time and in the order of the events. \
{fd} becomes /proc/self/fd/N, an open descriptor of the very namespace that the event announced, whatever its name \
leads to by then; if that namespace is gone or replaced, the command is not run for the event. \
{name}, {path} and {pid} become the values of the variables, or nothing. \
In its environment, as far as they apply: NSWATCH_EVENT, NSWATCH_NAME, NSWATCH_DIR, NSWATCH_FD (the N), NSWATCH_DEV, \
NSWATCH_INO, NSWATCH_COOKIE, NSWATCH_STAMP, NSWATCH_PATH, NSWATCH_PID, NSWATCH_NSID, NSWATCH_ORIGIN, NSWATCH_PORTID, \
NSWATCH_DROPPED, NSWATCH_REPLAYED (1 or 0), NSWATCH_TIME, NSWATCH_TIME_NS.";

pub(crate) const SHOW_HELP: &str = "\
WHAT is one of:
  NAME      a name in /run/netns
  PATH      a path, with a / in it; any name can be given so
  pid:N     a process or a thread
  nsid:N    the number that the kernel has for the namespace in this one
  cookie:N  the number that the kernel never reuses
  ino:N     the inode number, as in net:[N]";

pub(crate) const ID_HELP: &str = "\
An nsid is the number of another namespace in this one; most namespaces have none. The lines:
  --pid     PID NSID NAME
  --name    NAME NSID
  --list    NSID NAME
  --assign  NAME NSID
with \"not assigned\" instead of NSID where there is none (in JSON: -1), and without NAME where the namespace has no name \
in /run/netns.";

pub(crate) const WAIT_HELP: &str = "\
Examples:
  nswatch wait blue && ip -n blue link set lo up
  nswatch wait --deleted --timeout 10 blue || echo 'blue is still there'

It waits for events and does not poll, also while the directory is missing. It prints nothing. \
Exit status: 0 when the name can be opened (with --deleted: is gone), 1 on an error, 2 on wrong usage, \
3 when the time is over. SIGINT and SIGTERM kill it.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_example_is_broken_in_a_narrow_terminal() {
        for help in [EXAMPLES, EXEC_HELP, SHOW_HELP, ID_HELP, WAIT_HELP] {
            let examples: Vec<_> = help.lines().filter(|line| line.starts_with(' ')).collect();
            assert!(!examples.is_empty());
            assert!(examples.iter().all(|line| line.len() <= 80), "{examples:#?}");
        }
    }
}
