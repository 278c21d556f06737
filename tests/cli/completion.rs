//! Runs the scripts of `nswatch completions` in their shells.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use crate::running::{Lines, Running, ends};
use crate::support::*;
use crate::terminal;

const SCRIPT: &str = "/run/completions";

/// Makes names in two directories, and a script for the shell.
fn set_up(shell: &str) {
    sandbox();
    for path in ["/run/netns/blue", "/run/netns/black", "/run/netns/red", "/run/d/brown", "/run/a.file"] {
        make_dir(std::path::Path::new(path).parent().unwrap());
        placeholder(path);
    }
    let (code, script, _) = ends(["completions", shell]);
    assert_eq!(code, Some(0));
    std::fs::write(SCRIPT, script.join("\n") + "\n").unwrap();
}

/// The completions of the last word, sorted.
fn offered(shell: &str, script: &str, words: &[&str]) -> Vec<String> {
    let mut command = Command::new(shell);
    command.args(["-c", script, shell]).args(words).env("HOME", "/run").current_dir("/run");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (code, mut lines, errors) = Running::start(command).end();
    assert_eq!((code, errors), (Some(0), vec![]), "{words:?}");
    lines.retain(|line| !line.is_empty());
    lines.sort();
    lines
}

/// Calls the registered function as readline does; a `=` is a word to it.
const BASH: &str = r#"
    compopt() { :; }
    . /run/completions
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
    function=$(complete -p nswatch | sed 's/.* -F \([^ ]*\).*/\1/')
    "$function" nswatch "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    printf '%s\n' "${COMPREPLY[@]}"
"#;

fn bash(line: &str) -> Vec<String> {
    let words: Vec<_> = line.split(' ').collect();
    offered("bash", BASH, &[&["nswatch"], &words[..]].concat())
}

/// What users of every shell see.
fn names_and_types(offered: impl Fn(&str) -> Vec<String>) {
    for line in ["wait b", "show b", "id --name b", "id --assign b", "watch --name b", "wait --deleted b"] {
        assert_eq!(offered(line), ["black", "blue"], "{line}");
    }
    assert_eq!(offered("wait --dir /run/d b"), ["brown"]);
    assert_eq!(offered("watch --dir /run/d --dir /run/netns --name b"), ["black", "blue", "brown"]);
    assert_eq!(offered("watch --on nsid"), ["nsid_del", "nsid_new"]);
    assert_eq!(offered("exec --on ready,det"), ["ready,detached"]);
    assert_eq!(
        offered("exec --on ready,deleted,d"),
        ["dir_created", "dir_deleted", "detached"].map(|kind| format!("ready,deleted,{kind}")).sorted()
    );
    assert_eq!(offered("watch --color al"), ["always"]);
    assert_eq!(offered("watch --sou"), ["--source"]);
    assert_eq!(offered("wait --del"), ["--deleted"]);
    // commands, then their arguments
    assert!(offered("exec --on ready -- nsent").contains(&"nsenter".to_owned()));
    assert_eq!(offered("exec -- cat /run/a.f"), ["/run/a.file"]);
}

trait Sorted {
    fn sorted(self) -> Vec<String>;
}

impl<const N: usize> Sorted for [String; N] {
    fn sorted(mut self) -> Vec<String> {
        self.sort();
        self.into()
    }
}

#[test]
fn in_bash() {
    if is_missing("bash") {
        return;
    }
    set_up("bash");
    names_and_types(bash);
    assert_eq!(bash("watch --name = b"), ["black", "blue"]);
    assert_eq!(bash("watch --name ="), ["black", "blue", "red"]);
    assert_eq!(bash("watch --dir = /run/d --name = b"), ["brown"]);
    assert_eq!(bash("watch --on = ready,det"), ["ready,detached"]);
    assert_eq!(bash("watch --color = al"), ["always"]);
    // not a name: bash completes it by itself
    assert_eq!(bash("wait /run/net"), [""; 0]);
    assert!(bash("").contains(&"watch".to_owned()));
}

#[test]
fn no_name_is_expanded_by_bash() {
    if is_missing("bash") {
        return;
    }
    set_up("bash");
    let name = "b'\"$(touch pwned)`touch pwned`\n;touch pwned;*\u{1b}[2J";
    let name = [name.as_bytes(), b"\xff"].concat();
    let path = std::path::Path::new(RUN_NETNS).join(OsStr::from_bytes(&name));
    std::fs::remove_dir_all(RUN_NETNS).unwrap();
    make_dir(RUN_NETNS);
    placeholder(path);
    let reply = bash("wait b");
    assert_eq!(reply.len(), 1, "{reply:#?}");
    assert!(!reply[0].chars().any(char::is_control), "{reply:#?}");
    // the shell reads the completed line
    let read = Command::new("bash").args(["-c", &format!("printf %s {}", reply[0])]).output().unwrap();
    assert_eq!(read.stdout, name);
    assert!(!std::path::Path::new("/run/pwned").exists());
}

fn is_missing(shell: &str) -> bool {
    let missing = Command::new(shell).args(["-c", "true"]).status().is_err();
    if missing {
        skipped(&format!("requires {shell}: ci/install-deps"));
    }
    missing
}

#[test]
fn in_fish() {
    if is_missing("fish") {
        return;
    }
    set_up("fish");
    let script = "source /run/completions; complete -C $argv[2]";
    names_and_types(|line| {
        let offered = offered("fish", script, &[&format!("nswatch {line}")]);
        offered.iter().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
    });
}

#[test]
fn in_zsh() {
    if is_missing("zsh") {
        return;
    }
    set_up("zsh");
    // Tab completes the line, and the command prints its arguments
    let (master, slave) = terminal();
    let mut command = Command::new("setsid");
    command.args(["--ctty", "zsh", "-f", "-i"]).env("TERM", "dumb").env("HOME", "/run").current_dir("/run");
    let [stdin, stdout] = [slave.try_clone().unwrap(), slave.try_clone().unwrap()];
    let _zsh = Running::start({
        command.stdin(stdin).stdout(stdout).stderr(slave);
        command
    });
    let mut keys = File::from(master);
    let lines = Lines::of(keys.try_clone().unwrap());
    let begin = "PS1= PS2= RPS1=; setopt noautomenu nobeep; autoload -U compinit && compinit -D -u; . /run/completions
        nswatch() { print -r -- \"CALLED WITH ${(j: :)${(q)@}}\" }\n";
    keys.write_all(begin.as_bytes()).unwrap();
    let mut called = |line: &str| {
        keys.write_all(format!("nswatch {line}\t\n").as_bytes()).unwrap();
        loop {
            let line = lines.next();
            if let Some((_, words)) = line.trim_end().rsplit_once("CALLED WITH ") {
                if !words.contains("${(j") {
                    return words.to_owned();
                }
            }
        }
    };
    for (line, expected) in [
        ("wait blu", "wait blue"),
        ("show re", "show red"),
        ("id --name blu", "id --name blue"),
        ("id --assign blu", "id --assign blue"),
        ("watch --name blu", "watch --name blue"),
        ("watch --name=blu", "watch --name=blue"),
        ("wait --dir /run/d b", "wait --dir /run/d brown"),
        ("watch --on rea", "watch --on ready"),
        ("watch --on ready,det", "watch --on ready,detached"),
        ("exec --on ready,deleted,ov", "exec --on ready,deleted,overflow"),
        ("watch --color al", "watch --color always"),
        ("wait --del", "wait --deleted"),
        ("exec --on ready -- nsente", "exec --on ready -- nsenter"),
        ("exec -- cat /run/a.f", "exec -- cat /run/a.file"),
    ] {
        assert_eq!(called(line).trim_end(), expected, "{line}");
    }
}
