//! The command as a process; tests read its lines as they come, each within a deadline.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

use serde_json::Value;

use crate::support::DEADLINE;
use crate::support::api::{Ev, Kind};
use crate::support::grammar::Checker;

/// The command, not yet started.
pub fn nswatch(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nswatch"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub struct Running {
    pub child: Child,
    pub out: Lines,
    pub err: Lines,
    checker: Checker,
}

/// Lines read by a thread.
pub struct Lines(Receiver<Vec<u8>>);

impl Lines {
    pub fn of(stream: impl Read + Send + 'static) -> Self {
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self(lines)
    }

    fn none() -> Self {
        Self(channel().1)
    }

    /// The next line, without its end; it must come.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.recv_timeout(DEADLINE).expect("a line")
    }

    pub fn next(&self) -> String {
        String::from_utf8(self.bytes()).expect("UTF-8")
    }

    /// All lines up to the end, which must come.
    pub fn rest(&self) -> Vec<String> {
        let end = Instant::now() + DEADLINE;
        let mut rest = Vec::new();
        loop {
            match self.0.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => rest.push(String::from_utf8(line).expect("UTF-8")),
                Err(RecvTimeoutError::Disconnected) => return rest,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("no end in time; so far {} lines, last {:?}", rest.len(), rest.last())
                }
            }
        }
    }
}

/// The end of the command: exit status, remaining lines of standard output and of standard error.
pub type End = (Option<i32>, Vec<String>, Vec<String>);

impl Running {
    /// Starts it. A stream that is not a pipe has no lines here.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let out = child.stdout.take().map_or_else(Lines::none, Lines::of);
        let err = child.stderr.take().map_or_else(Lines::none, Lines::of);
        Self { child, out, err, checker: Checker::default() }
    }

    pub fn signal(&self, signal: i32) {
        // SAFETY: no pointers; the child has not been waited for, so that the pid is still its own.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0);
    }

    /// Waits until the process catches SIGUSR1, the last signal for which it sets a handler.
    pub fn until_signals_are_caught(&self) {
        self.until_caught(libc::SIGUSR1);
    }

    pub fn until_caught(&self, signal: i32) {
        let end = Instant::now() + DEADLINE;
        loop {
            let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t")).unwrap();
            if u64::from_str_radix(caught, 16).unwrap() >> (signal - 1) & 1 == 1 {
                return;
            }
            assert!(Instant::now() < end, "it never catches signal {signal}");
            std::thread::yield_now();
        }
    }

    /// The next line as JSON, which must keep the grammar of events.
    pub fn json(&mut self) -> Value {
        let line = self.out.next();
        let json: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.checker.feed(&event(&json));
        json
    }

    /// The number of names according to the events.
    pub fn names(&self) -> usize {
        self.checker.names.len()
    }

    /// The next line as JSON, which must be of this type and about this name.
    pub fn expect(&mut self, kind: &str, name: Option<&str>) -> Value {
        let json = self.json();
        assert_eq!((json["type"].as_str(), json["name"].as_str()), (Some(kind), name), "{json}");
        json
    }

    /// Reads lines until one is of this type.
    pub fn until(&mut self, kind: &str) -> Vec<Value> {
        let mut all = vec![self.json()];
        while all.last().unwrap()["type"] != kind {
            all.push(self.json());
        }
        all
    }

    /// Requests the counters until `pleases` accepts the value of one.
    pub fn counter_becomes(&self, counter: &str, pleases: impl Fn(u64) -> bool) -> u64 {
        let end = Instant::now() + DEADLINE;
        loop {
            self.signal(libc::SIGUSR1);
            let line = self.err.next();
            let value = line.split([' ', ':']).find_map(|word| word.strip_prefix(counter)?.strip_prefix('='));
            let value = value.unwrap_or_else(|| panic!("no {counter} in {line}")).parse().unwrap();
            if pleases(value) {
                return value;
            }
            assert!(Instant::now() < end, "in vain: {line}");
        }
    }

    /// Waits for the end.
    pub fn end(mut self) -> End {
        let (out, err) = (self.out.rest(), self.err.rest());
        (self.child.wait().unwrap().code(), out, err)
    }

    /// Reads from another stream than the one that the command started with.
    pub fn reading(self, stream: impl Read + Send + 'static) -> Self {
        let mut this = self;
        this.out = Lines::of(stream);
        this
    }

    /// Sends a signal and waits for the end.
    pub fn end_by(self, signal: i32) -> End {
        self.signal(signal);
        self.end()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Runs the command to its end.
pub fn ends(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> End {
    Running::start(nswatch(arguments.into_iter().map(Into::into))).end()
}

fn event(json: &Value) -> Ev {
    let number = |key: &str| json.get(key).map_or(0, |value| value.as_u64().expect(key));
    let id = |key: &str| json.get(key).map_or(-1, |value| value.as_i64().expect(key) as i32);
    let kind = match json["type"].as_str().expect("type") {
        "created" => Kind::Created,
        "ready" => Kind::Ready,
        "detached" => Kind::Detached,
        "deleted" => Kind::Deleted,
        "dir_created" => Kind::DirCreated,
        "dir_deleted" => Kind::DirDeleted,
        "nsid_new" => Kind::NsidNew,
        "nsid_del" => Kind::NsidDel,
        "synced" => Kind::Synced,
        "overflow" => Kind::Overflow,
        "netns_new" => Kind::NetnsNew,
        "netns_del" => Kind::NetnsDel,
        other => panic!("unknown to the tests: {other}"),
    };
    Ev {
        kind,
        name: name(json),
        replayed: json["replayed"].as_bool().expect("replayed"),
        time_ns: number("time_ns"),
        dev: number("dev"),
        ino: number("ino"),
        cookie: number("cookie"),
        nsid: id("nsid"),
        origin: id("origin"),
        portid: number("portid") as u32,
        dropped: number("dropped"),
        path: json.get("path").map(|path| path.as_str().expect("path").into()),
        pid: number("pid") as i32,
    }
}

/// The bytes of the name, as a program decodes them.
pub fn name(json: &Value) -> Option<Vec<u8>> {
    let Some(hex) = json.get("name_hex") else { return Some(json.get("name")?.as_str()?.as_bytes().to_vec()) };
    let hex = hex.as_str().expect("hex");
    Some((0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect())
}

/// The keys of an object.
pub fn keys(json: &Value) -> Vec<&str> {
    json.as_object().expect("an object").keys().map(String::as_str).collect()
}
