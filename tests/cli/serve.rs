//! `nswatch serve`: the messages that bindings/go writes and reads without cgo, and invalid ones.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};

use nswatch::Feature;
use rustix::cmsg_space;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use crate::running::{Running, ends, nswatch};
use crate::support::*;

const EBADMSG: &str = "74";

/// The command, and our end of its socket.
struct Served {
    child: Child,
    socket: Option<OwnedFd>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.socket = None;
        let ended = self.child.wait().unwrap();
        // the first failure is the one to report
        assert!(std::thread::panicking() || ended.code() == Some(0), "the other end is closed: {ended}");
    }
}

fn pair(kind: SocketType) -> (OwnedFd, OwnedFd) {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap();
    set_socket_timeout(&ours, Timeout::Recv, Some(DEADLINE)).unwrap();
    (ours, theirs)
}

impl Served {
    fn start(arguments: &[&str]) -> Self {
        let (ours, theirs) = pair(SocketType::SEQPACKET);
        let child = nswatch([&["serve"], arguments].concat()).stdin(theirs).stdout(Stdio::null()).spawn().unwrap();
        let served = Self { child, socket: Some(ours) };
        assert_eq!(served.receive().0, ["nswatch", env!("CARGO_PKG_VERSION")]);
        served
    }

    fn socket(&self) -> &OwnedFd {
        self.socket.as_ref().unwrap()
    }

    fn send(&self, text: &[u8], fds: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(8))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            assert!(control.push(SendAncillaryMessage::ScmRights(fds)));
        }
        sendmsg(self.socket(), &[IoSlice::new(text)], &mut control, SendFlags::NOSIGNAL).unwrap();
    }

    fn receive(&self) -> (Vec<String>, Vec<OwnedFd>) {
        let mut text = vec![0; 1 << 16];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(8))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC;
        let length = recvmsg(self.socket(), &mut [IoSliceMut::new(&mut text)], &mut control, flags).unwrap().bytes;
        let rights = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        });
        let fds = rights.flatten().collect();
        let words = text[..length].split(|byte| *byte == 0);
        (words.map(|word| String::from_utf8_lossy(word).into_owned()).collect(), fds)
    }

    fn ask(&self, words: &[&str]) -> Vec<String> {
        self.send(words.join("\0").as_bytes(), &[]);
        self.receive().0
    }

    fn ask_with_fd(&self, words: &[&str]) -> OwnedFd {
        self.send(words.join("\0").as_bytes(), &[]);
        let (words, mut fds) = self.receive();
        assert_eq!((words, fds.len()), (vec!["ok".into()], 1));
        fds.remove(0)
    }

    /// Asserts that the answer is an error with this number and its two sentences.
    fn refuses(&self, text: &[u8], fds: &[BorrowedFd<'_>], errno: &str) {
        self.send(text, fds);
        let (words, fds) = self.receive();
        let shown = String::from_utf8_lossy(&text[..text.len().min(100)]).into_owned();
        assert_eq!((words.len(), &*words[0], &*words[1], fds.len()), (4, "error", errno, 0), "{shown:?}: {words:?}");
        assert!(words[2].starts_with("cannot ") && !words[3].is_empty(), "{shown:?}: {words:?}");
    }
}

fn value<'a>(words: &'a [String], key: &str) -> Option<&'a str> {
    words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

#[test]
fn a_watcher_and_its_descriptor() {
    sandbox();
    make_dir("/run/netns");
    let served = Served::start(&[]);
    let fd = served.ask_with_fd(&["open", "source=named", "dir=/run/netns", "no-replay", "no-mount-events"]);
    let is_readable = || {
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        poll(&mut fds, Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
    };
    assert_eq!((served.ask(&["next"]), is_readable()), (vec!["none".into()], false));
    ip_netns(&["add", "blue"]);
    assert!(is_readable());
    let created = served.ask(&["next"]);
    assert_eq!(created[..3], ["event", "type=created", "replayed=0"]);
    assert_eq!((value(&created, "name"), value(&created, "path")), (Some("blue"), Some("/run/netns/blue")));
    let ready = served.ask(&["next"]);
    let (dev, ino, cookie) = kernel::netns("/run/netns/blue").unwrap();
    for (key, number) in [("dev", dev), ("ino", ino), ("cookie", cookie)] {
        assert_eq!(value(&ready, key), Some(&*number.to_string()), "{key} of {ready:?}");
    }
    assert_eq!((served.ask(&["next"]), is_readable()), (vec!["none".into()], false));
    assert_eq!(served.ask(&["resync"]), ["ok"]);
    assert_eq!(served.ask(&["next"])[..3], ["event", "type=synced", "replayed=0"]);
    let stats = served.ask(&["stats"]);
    assert_eq!(
        (stats.len(), &stats[..5], &stats[8]),
        (9, &["ok", "3", "0", "0", "1"].map(String::from)[..], &"1".into())
    );
    let stamp = value(&ready, "stamp").unwrap();
    let [dev, ino, cookie] = [dev, ino, cookie].map(|number| number.to_string());
    let identity = [&*dev, &*ino, &*cookie, stamp];
    let opened = served.ask_with_fd(&[&["netns-open"], &identity[..], &["/run/netns/blue"]].concat());
    assert_eq!(kernel::netns_of(&File::from(opened)), kernel::netns("/run/netns/blue"));
    assert_eq!(served.ask(&[&["netns-same"], &identity[..], &identity[..]].concat()), ["ok", "1"]);
    assert_eq!(served.ask(&[&["netns-same"], &identity[..], &["1", "2", "3", "4"]].concat()), ["ok", "0"]);
}

#[test]
fn descriptors_are_queried() {
    sandbox();
    ip_netns(&["add", "blue"]);
    ip_netns(&["set", "blue", "7"]);
    let served = Served::start(&[]);
    let blue = File::open("/run/netns/blue").unwrap();
    let here = File::open("/proc/thread-self/ns/net").unwrap();
    let ask = |text: &[u8], fds: &[BorrowedFd<'_>]| {
        served.send(text, fds);
        served.receive().0
    };
    let (_, ino, _) = kernel::netns("/run/netns/blue").unwrap();
    assert_eq!(value(&ask(b"netns\0fd", &[blue.as_fd()]), "ino"), Some(&*ino.to_string()));
    assert_eq!(ask(b"nsid\0fd", &[blue.as_fd()]), ["ok", "7"]);
    assert_eq!(ask(b"nsid-seen-from", &[here.as_fd(), blue.as_fd()]), ["ok", "7"]);
    assert_eq!(ask(b"nsid\0name\0blue", &[]), ["ok", "7"]);
    assert_eq!(ask(b"nsids", &[]), ["ok", "7"]);
    served.refuses(b"nsid-assign\08", &[blue.as_fd()], &libc::EEXIST.to_string());
    for feature in Feature::ALL {
        let there = u8::from(feature.is_available().unwrap()).to_string();
        assert_eq!(served.ask(&["feature", &(feature as u32).to_string()]), ["ok", &there], "{feature}");
    }
}

#[test]
fn errors_keep_their_number_and_their_sentence() {
    sandbox();
    let served = Served::start(&[]);
    let error = served.ask(&["netns", "name", "red"]);
    assert_eq!(error[..2], ["error", &libc::ENOENT.to_string()]);
    assert!(error[2].starts_with("cannot identify the network namespace red: "), "{error:?}");
    let expected = [
        (&b"open\0dir=relative"[..], libc::EINVAL),
        (b"open\0source=nsid\0dir-events", libc::EINVAL),
        (b"open\0mount-events\0no-mount-events", libc::EINVAL),
        (b"open\0queue=0,block", libc::EINVAL),
        (b"open\0queue=1,", libc::EINVAL),
        (b"open\0dir=/run/missing\0no-parent", libc::ENOENT),
        (b"nsid\0pid\x000", libc::EINVAL),
        (b"netns-open\x001\x001\x000\x000\0/proc/self/ns/net", libc::ESTALE),
        (b"feature\x0099", libc::EINVAL),
    ];
    for (request, errno) in expected {
        served.refuses(request, &[], &errno.to_string());
    }
}

#[test]
fn garbage_is_refused_and_does_no_harm() {
    sandbox();
    let served = Served::start(&[]);
    let noise: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte; 1 + usize::from(byte) * 7]).collect();
    let words: [&[u8]; 24] = [
        b"\0",
        b"OPEN",
        b"open\0",
        b"open\0source=",
        b"open\0source=named\0settle=-1",
        b"open\0settle=4294967296",
        b"open\0no-such",
        b"open\0max-names",
        b"next",
        b"next\0x",
        b"resync",
        b"stats",
        b"netns",
        b"netns\0fd",
        b"netns\0pid",
        b"netns\0pid\0x",
        b"netns\0uid\x000",
        b"netns-open\x001\x002\x003",
        b"netns-same\x001",
        b"nsid-seen-from",
        b"nsid-assign\x001",
        b"nsid-translate\x00\xff\x001",
        b"feature\0",
        b"nsids\0nsids",
    ];
    for text in noise.iter().map(Vec::as_slice).chain(words) {
        served.refuses(text, &[], EBADMSG);
    }
    // only the beginning is valid
    served.refuses(&[&b"explain\0"[..], &[b'0'; 1 << 16]].concat(), &[], EBADMSG);
    assert_eq!(served.ask(&["explain", "000"]), ["ok", "success"]);
    let here = File::open("/proc/thread-self/ns/net").unwrap();
    served.refuses(b"netns\0fd", &[here.as_fd(); 5], EBADMSG);
    served.refuses(b"nsid-seen-from", &[here.as_fd()], EBADMSG);
    served.ask_with_fd(&["open"]);
    served.refuses(b"open", &[], EBADMSG);
    // and no descriptor stays open: the command closes those it received
    let fds = || std::fs::read_dir(format!("/proc/{}/fd", served.child.id())).unwrap().count();
    let before = fds();
    for _ in 0..100 {
        served.refuses(b"rubbish", &[here.as_fd()], EBADMSG);
    }
    assert_eq!(fds(), before);
    assert_eq!(served.ask(&["next"])[..2], ["event", "type=synced"]);
}

#[test]
fn capabilities_are_given_up() {
    sandbox();
    let served = Served::start(&["--capabilities", "0"]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", served.child.id())).unwrap();
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert!(status.contains(&format!("{set}:\t0000000000000000\n")), "{status}");
    }
    assert_eq!(served.ask(&["feature", &(Feature::AllNsid as u32).to_string()]), ["ok", "0"]);
}

#[test]
fn only_the_end_of_the_socket_ends_it() {
    sandbox();
    let served = Served::start(&[]);
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT] {
        // SAFETY: our own child, which has not been waited for.
        assert_eq!(unsafe { libc::kill(served.child.id() as i32, signal) }, 0);
    }
    assert_eq!(served.ask(&["nsids"]), ["ok"]);
}

#[test]
fn it_is_in_no_help_and_no_completion() {
    sandbox();
    for words in [&["--help"][..], &["completions", "bash"], &["completions", "zsh"], &["completions", "fish"]] {
        let (code, lines, _) = ends(words);
        assert_eq!((code, lines.iter().find(|line| line.contains("serve"))), (Some(0), None), "{words:?}");
    }
}

#[test]
fn only_a_socket_is_served() {
    sandbox();
    let stream: OwnedFd = UnixStream::pair().unwrap().0.into();
    for input in [Stdio::null(), Stdio::from(stream)] {
        let mut command = nswatch(["serve"]);
        command.stdin(input);
        let (code, lines, errors) = Running::start(command).end();
        assert_eq!((code, lines.len()), (Some(1), 0));
        assert!(errors[0].starts_with("nswatch: cannot serve: standard input is not a Unix socket"), "{errors:?}");
    }
    for mask in ["", "xyz", "10000000000000000"] {
        let (code, _, errors) = Running::start(nswatch(["serve", "--capabilities", mask])).end();
        assert_eq!(code, Some(2), "{errors:?}");
    }
}
