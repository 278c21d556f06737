//! Listing the existing namespaces, waiting for one name, and running something inside.

use std::ffi::CString;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use crate::support::nsid::anonymous;
use crate::support::thread::{Restriction, elsewhere};
use crate::support::*;
use nswatch::capi::netns::{nsw_netns, nsw_netns_wait};
use nswatch::{DEFAULT_DIR, EventKind, Netns, list_all, list_named, netns, wait_ready};

const SHORT: Option<Duration> = Some(Duration::from_millis(1));

/// Through Rust, then through C.
fn wait(name: &str, timeout: Option<Duration>) -> [Result<Option<Netns>, i32>; 2] {
    let ms = timeout.map_or(-1, |timeout| i32::try_from(timeout.as_millis()).unwrap());
    let mut found = nsw_netns { dev: 0, ino: 0, cookie: 0, stamp: 0 };
    let rust = wait_ready(name, timeout).map_err(|error| error.errno());
    let name = CString::new(name).unwrap();
    // SAFETY: a string, and room for the answer.
    let c = match unsafe { nsw_netns_wait(name.as_ptr(), ms, &mut found) } {
        1 => Ok(Some(Netns::new(found.dev, found.ino, found.cookie, found.stamp))),
        0 => Ok(None),
        errno => Err(-errno),
    };
    [rust, c]
}

#[test]
fn a_name_is_waited_for_until_it_can_be_opened() {
    sandbox();
    // nothing; the directory; a file without a mount; a path whose directories are all missing
    let stages: [(&str, &dyn Fn()); 4] = [
        ("/run/netns/blue", &|| ()),
        ("blue", &|| drop(make_dir(RUN_NETNS))),
        ("pending", &|| placeholder("/run/netns/pending")),
        ("/run/deep/below/blue", &|| ()),
    ];
    for (name, before) in stages {
        before();
        assert_eq!(wait(name, SHORT), [Ok(None); 2], "{name}");
        assert_eq!(wait(name, Some(Duration::ZERO)), [Ok(None); 2], "{name}");
        let waiting = std::thread::Builder::new().name("waiting".into());
        let waiting = waiting.spawn(move || wait_ready(name, Some(DEADLINE)).unwrap()).unwrap();
        let deadline = Instant::now() + DEADLINE;
        while !kernel::are_asleep("waiting") {
            assert!(Instant::now() < deadline, "{name}: it does not wait by sleeping");
            std::thread::yield_now();
        }
        let path = std::path::Path::new(DEFAULT_DIR).join(name);
        if name != "pending" {
            make_dir(path.parent().unwrap());
            placeholder(&path);
        }
        mount_new_netns(&path);
        let found = waiting.join().unwrap().unwrap_or_else(|| panic!("{name} is not found ready"));
        let is = Netns::for_name(&path).unwrap();
        assert!(found.same(&is), "{name}");
        for again in wait(name, None) {
            assert!(again.unwrap().unwrap().same(&is), "{name}");
        }
        unmount(&path);
        assert_eq!(wait(name, SHORT), [Ok(None); 2], "{name}");
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn invalid_waits_are_refused() {
    sandbox();
    make_dir("/run/closed");
    for (name, errno) in [
        ("", libc::EINVAL),
        ("..", libc::EINVAL),
        ("/", libc::EINVAL),
        ("../netns/blue", libc::EINVAL),
        ("/dev/null/blue", libc::ENOTDIR),
    ] {
        assert_eq!(wait(name, None), [Err(errno); 2], "{name}");
    }
    std::fs::set_permissions("/run/closed", std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    elsewhere(&Restriction::powerless(), || {
        assert_eq!(wait("/run/closed/blue", None), [Err(libc::EACCES); 2]);
    });
}

#[test]
fn existing_namespaces_are_listed() {
    sandbox();
    assert!(list_named("/run/not/there").unwrap().is_empty());
    assert_eq!(list_named("netns").unwrap_err().errno(), libc::EINVAL);
    ip_netns(&["add", "blue"]);
    placeholder("/run/netns/pending");
    let listed: Vec<String> = list_named(DEFAULT_DIR).unwrap().iter().map(ToString::to_string).collect();
    let blue = Netns::for_name("blue").unwrap();
    let mut expected = [
        "created blue (replayed)".into(),
        "created pending (replayed)".into(),
        format!("ready blue {blue} (replayed)"),
    ];
    expected.sort();
    assert_eq!(
        {
            let mut listed = listed;
            listed.sort();
            listed
        },
        expected
    );

    let all = list_all().unwrap();
    assert!(all.iter().all(|event| matches!(event.kind(), EventKind::NetnsNew { .. })));
    for wanted in [blue, Netns::for_pid(std::process::id() as i32).unwrap()] {
        assert_eq!(all.iter().filter(|event| event.netns().is_some_and(|netns| netns.same(&wanted))).count(), 1);
    }
}

#[test]
fn a_closure_runs_inside() {
    sandbox();
    let here = Netns::for_name("/proc/thread-self/ns/net").unwrap();
    let there = anonymous();
    let it = Netns::for_fd(&there).unwrap();
    let (mut seen, caller) = (None, std::thread::current().id());
    let inside = netns::enter(&there, || {
        assert_ne!(std::thread::current().id(), caller);
        seen = Some(UdpSocket::bind("0.0.0.0:0").map_err(|error| error.kind()));
        Netns::for_name("/proc/thread-self/ns/net")
    });
    assert!(inside.unwrap().unwrap().same(&it));
    assert!(seen.unwrap().is_ok());
    assert!(Netns::for_name("/proc/thread-self/ns/net").unwrap().same(&here));

    // a program that is started inside takes the same signals as outside
    let blocked = || std::process::Command::new("grep").args(["SigBlk", "/proc/self/status"]).output().unwrap().stdout;
    assert_eq!(String::from_utf8(netns::enter(&there, blocked).unwrap()), String::from_utf8(blocked()));

    let file = std::fs::File::open("/dev/null").unwrap();
    assert_eq!(netns::enter(&file, || unreachable!()).unwrap_err().errno(), libc::EINVAL);
    elsewhere(&Restriction::powerless(), || {
        let error = netns::enter(&there, || unreachable!()).unwrap_err();
        let sentence = "CAP_SYS_ADMIN is missing, in your user namespace or in the one that owns the network namespace; \
                        or a seccomp filter refuses setns(2)";
        assert_eq!(error.to_string(), format!("cannot enter the network namespace {it}: {sentence}"));
        assert_eq!(error.errno(), libc::EPERM);
    });
    let panicked = std::panic::catch_unwind(|| netns::enter(&there, || std::panic::resume_unwind(Box::new("inside"))));
    assert_eq!(*panicked.unwrap_err().downcast::<&str>().unwrap(), "inside");
    assert!(Netns::for_name("/proc/thread-self/ns/net").unwrap().same(&here));
}
