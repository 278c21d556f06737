//! The help texts below the options.

pub(crate) const EXAMPLES: &str = "\
Examples:
  nswatch watch                          changes in /run/netns
  nswatch watch --json | jq -c .         the same as JSON, one object per line
  nswatch watch --on ready --name 'lab*' only these events and names
  nswatch watch --dir /run/docker/netns  Docker's namespaces
  nswatch watch --source nsid            the nsids that the kernel assigns
  nswatch watch --source all             every namespace, with or without a name
  nswatch list                           the names
  nswatch list --all                     every namespace
  nswatch show pid:4711                  the namespace of a process
  nswatch wait blue --timeout 5          wait until the name can be opened
  nswatch id --pid 4711                  the nsid of a process's namespace
  nswatch exec --on ready -- nsenter --net={fd} ip link set lo up
                                         run a command in each usable namespace

Exit status: 0 after SIGINT or SIGTERM, 1 on an error, 2 on wrong usage, 3 when the time of --timeout is over.";

pub(crate) const EXEC_HELP: &str = "\
Examples:
  nswatch exec --on ready -- nsenter --net={fd} ip link set lo up
  nswatch exec --on ready --dir /run/netns --dir /run/docker/netns \\
      --timeout 10 -- /usr/local/sbin/setup-netns {fd}
  nswatch exec --on ready,deleted --no-replay -- logger -t netns -- {name}
  nswatch exec --on ready -- sh -c 'echo \"$NSWATCH_NAME is $NSWATCH_INO\"'
  nswatch exec --source nsid --on nsid_del -- sh -c 'echo $NSWATCH_NSID is gone'
  nswatch exec --source all -- logger -t netns 'new namespace, process {pid}'

nswatch runs the command directly, without a shell, one at a time and in the order of the events. \
{fd} becomes /proc/self/fd/N, an open descriptor of exactly the namespace of the event, even if the name leads to \
another one by then. If that namespace is gone or replaced, nswatch does not run the command for the event. \
{name}, {path} and {pid} become the values of the variables, or nothing. \
Environment variables, if they apply to the event: NSWATCH_EVENT, NSWATCH_NAME, NSWATCH_DIR, NSWATCH_FD (the N), \
NSWATCH_DEV, NSWATCH_INO, NSWATCH_COOKIE, NSWATCH_STAMP, NSWATCH_PATH, NSWATCH_PID, NSWATCH_NSID, NSWATCH_ORIGIN, \
NSWATCH_PORTID, NSWATCH_DROPPED, NSWATCH_REPLAYED (1 or 0), NSWATCH_TIME, NSWATCH_TIME_NS.";

pub(crate) const SHOW_HELP: &str = "\
WHAT is one of:
  NAME      a name in /run/netns
  PATH      a path, with a / in it; works for any name
  pid:N     a process or a thread
  nsid:N    the nsid of the namespace in this one
  cookie:N  the cookie, a number that the kernel never reuses
  ino:N     the inode number, as in net:[N]";

pub(crate) const ID_HELP: &str = "\
An nsid is the number of another namespace in this one; most namespaces have none. Output lines:
  --pid     PID NSID NAME
  --name    NAME NSID
  --list    NSID NAME
  --assign  NAME NSID
NSID is \"not assigned\" if there is none (in JSON: -1). NAME is missing if the namespace has no name in /run/netns.";

pub(crate) const WAIT_HELP: &str = "\
Examples:
  nswatch wait blue && ip -n blue link set lo up
  nswatch wait --deleted --timeout 10 blue || echo 'blue is still there'

nswatch waits for events and does not poll, even while the directory is missing. It prints nothing. \
Exit status: 0 when the name can be opened (with --deleted: is gone), 1 on an error, 2 on wrong usage, \
3 when the time is over. SIGINT and SIGTERM kill the process.";

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
