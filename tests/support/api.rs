//! One interface to the Rust API and the C ABI.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::DEADLINE;
use super::grammar::{Checker, Id};
use nswatch::capi::{event as ce, options as co, watcher as cw};
use nswatch::{EventKind, Feature, Options, Policy, Watcher};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Created = 1,
    Ready,
    Detached,
    Deleted,
    DirCreated,
    DirDeleted,
    NsidNew,
    NsidDel,
    Synced,
    Overflow,
    NetnsNew,
    NetnsDel,
}

/// An event from either API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ev {
    pub kind: Kind,
    pub name: Option<Vec<u8>>,
    pub replayed: bool,
    pub time_ns: u64,
    pub dev: u64,
    pub ino: u64,
    pub cookie: u64,
    pub nsid: i32,
    pub origin: i32,
    pub portid: u32,
    pub dropped: u64,
    pub path: Option<PathBuf>,
    pub pid: i32,
}

impl Ev {
    /// The name as text, for comparisons in tests.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.name.as_deref().unwrap_or_default()).into_owned()
    }

    /// Kind, origin and nsid: what tests of nsids compare.
    pub fn id(&self) -> (Kind, i32, i32) {
        (self.kind, self.origin, self.nsid)
    }

    /// The identity of its namespace.
    pub fn netns(&self) -> Id {
        (self.dev, self.ino, self.cookie)
    }

    /// Kind and name: what most tests compare.
    pub fn brief(&self) -> (Kind, String) {
        (self.kind, self.text())
    }
}

/// The options of a watcher, for both APIs.
#[derive(Debug, Clone)]
pub struct How {
    pub source: u32,
    pub dir: PathBuf,
    pub flags: u32,
    pub rcvbuf: u32,
    pub settle_ms: u32,
    pub max_names: u32,
    /// Capacity and NSW_QUEUE_*.
    pub queue: Option<(u32, u32)>,
}

impl Default for How {
    fn default() -> Self {
        Self {
            source: cw::NSW_SOURCE_NAMED,
            dir: super::RUN_NETNS.into(),
            flags: 0,
            rcvbuf: 0,
            settle_ms: 0,
            max_names: 0,
            queue: None,
        }
    }
}

impl How {
    pub fn dir(dir: impl AsRef<Path>) -> Self {
        Self { dir: dir.as_ref().to_owned(), ..Self::default() }
    }

    pub fn nsid() -> Self {
        Self { source: cw::NSW_SOURCE_NSID, ..Self::default() }
    }

    pub fn all() -> Self {
        Self { source: cw::NSW_SOURCE_ALL, ..Self::default() }
    }

    pub fn rcvbuf(mut self, bytes: u32) -> Self {
        self.rcvbuf = bytes;
        self
    }

    pub fn flags(mut self, flags: u32) -> Self {
        self.flags = flags;
        self
    }

    pub fn max_names(mut self, names: u32) -> Self {
        self.max_names = names;
        self
    }
}

/// A watcher through either API. Errors are positive errnos.
pub trait Api: Sized {
    fn open(how: &How) -> Result<Self, i32>;
    fn fd(&self) -> RawFd;
    fn next(&mut self) -> Result<Option<Ev>, i32>;
    fn wait(&mut self, timeout: Option<Duration>) -> Result<Option<Ev>, i32>;
    fn resync(&mut self) -> Result<(), i32>;
    /// Opens the namespace of the last event returned.
    fn open_netns(&self) -> Result<OwnedFd, i32>;
    fn stat(&self, which: u32) -> u64;
}

/// The Rust API.
#[derive(Debug)]
pub struct Rust {
    pub watcher: Watcher,
    last: Option<nswatch::Event>,
}

impl Rust {
    fn converted(&mut self, event: nswatch::Result<Option<nswatch::Event>>) -> Result<Option<Ev>, i32> {
        self.last = event.map_err(|error| error.errno())?;
        Ok(self.last.as_ref().map(from_rust))
    }
}

/// The flags of C as options of Rust.
pub fn options(how: &How) -> Options {
    let has = |flag| how.flags & flag != 0;
    let options = Options::new()
        .dir(&how.dir)
        .unwrap()
        .replay(!has(co::NSW_NO_REPLAY))
        .parent(!has(co::NSW_NO_PARENT))
        .dir_events(has(co::NSW_DIR_EVENTS))
        .all_nsid(has(co::NSW_ALL_NSID))
        .rcvbuf(how.rcvbuf)
        .prepare(has(co::NSW_PREPARE))
        .symlinks(!has(co::NSW_NO_SYMLINKS))
        .max_names(how.max_names)
        .settle(Duration::from_millis(how.settle_ms.into()));
    let options = match (has(co::NSW_MOUNT_EVENTS), has(co::NSW_NO_MOUNT_EVENTS)) {
        (true, _) => options.mount_events(true),
        (_, true) => options.mount_events(false),
        _ => options,
    };
    let policy = |policy| match policy {
        co::NSW_QUEUE_BLOCK => Policy::Block,
        co::NSW_QUEUE_DROP_NEWEST => Policy::DropNewest,
        _ => Policy::DropOldest,
    };
    match how.queue {
        Some((capacity, number)) => options.queue(capacity, policy(number)).unwrap(),
        None => options,
    }
}

impl Api for Rust {
    fn open(how: &How) -> Result<Self, i32> {
        let options = options(how);
        let watcher = match how.source {
            cw::NSW_SOURCE_NSID => Watcher::nsid(&options),
            cw::NSW_SOURCE_ALL => Watcher::all(&options),
            _ => Watcher::named(&options),
        };
        Ok(Self { watcher: watcher.map_err(|error| error.errno())?, last: None })
    }

    fn fd(&self) -> RawFd {
        self.watcher.as_raw_fd()
    }

    fn next(&mut self) -> Result<Option<Ev>, i32> {
        let event = self.watcher.next_event();
        self.converted(event)
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<Option<Ev>, i32> {
        let event = self.watcher.wait(timeout);
        self.converted(event)
    }

    fn resync(&mut self) -> Result<(), i32> {
        self.watcher.resync().map_err(|error| error.errno())
    }

    fn open_netns(&self) -> Result<OwnedFd, i32> {
        self.watcher.open_netns(self.last.as_ref().expect("no event yet")).map_err(|error| error.errno())
    }

    fn stat(&self, which: u32) -> u64 {
        let stats = self.watcher.stats();
        match which {
            cw::NSW_STAT_DELIVERED => stats.delivered,
            cw::NSW_STAT_DROPPED => stats.dropped,
            cw::NSW_STAT_OVERFLOWS => stats.overflows,
            cw::NSW_STAT_RESYNCS => stats.resyncs,
            cw::NSW_STAT_QUEUED => stats.queued,
            cw::NSW_STAT_QUEUED_MAX => stats.queued_max,
            cw::NSW_STAT_PENDING => stats.pending,
            cw::NSW_STAT_KNOWN => stats.known,
            _ => 0,
        }
    }
}

/// An event of the Rust API.
pub fn from_rust(event: &nswatch::Event) -> Ev {
    let (kind, nsid, origin, portid, dropped) = match *event.kind() {
        EventKind::Created(_) => (Kind::Created, -1, None, 0, 0),
        EventKind::Ready(..) => (Kind::Ready, -1, None, 0, 0),
        EventKind::Detached(_) => (Kind::Detached, -1, None, 0, 0),
        EventKind::Deleted(_) => (Kind::Deleted, -1, None, 0, 0),
        EventKind::DirCreated => (Kind::DirCreated, -1, None, 0, 0),
        EventKind::DirDeleted => (Kind::DirDeleted, -1, None, 0, 0),
        EventKind::NsidNew { nsid, origin, portid } => (Kind::NsidNew, nsid, origin, portid, 0),
        EventKind::NsidDel { nsid, origin } => (Kind::NsidDel, nsid, origin, 0, 0),
        EventKind::Synced => (Kind::Synced, -1, None, 0, 0),
        EventKind::Overflow { dropped } => (Kind::Overflow, -1, None, 0, dropped),
        EventKind::NetnsNew { .. } => (Kind::NetnsNew, -1, None, 0, 0),
        EventKind::NetnsDel(_) => (Kind::NetnsDel, -1, None, 0, 0),
        ref other => panic!("unknown to the tests: {other:?}"),
    };
    Ev {
        kind,
        name: event.name().map(|name| name.as_os_str().as_bytes().to_vec()),
        replayed: event.is_replayed(),
        time_ns: event.time().as_nanos() as u64,
        dev: event.netns().map_or(0, |netns| netns.dev()),
        ino: event.netns().map_or(0, |netns| netns.ino()),
        cookie: event.netns().and_then(|netns| netns.cookie()).unwrap_or(0),
        nsid,
        origin: origin.unwrap_or(-1),
        portid,
        dropped,
        path: event.path(),
        pid: event.pid().unwrap_or(0),
    }
}

/// The C ABI.
#[derive(Debug)]
pub struct C {
    handle: *mut cw::nsw_watcher,
    last: *const ce::nsw_event,
}

impl C {
    /// The message of the last failure.
    pub fn error(&self) -> String {
        // SAFETY: the handle is live, and its message lives until it is copied.
        unsafe { CStr::from_ptr(cw::nsw_error(self.handle)) }.to_str().unwrap().into()
    }

    fn converted(&mut self, rc: i32, event: *const ce::nsw_event) -> Result<Option<Ev>, i32> {
        // the previous event is no longer borrowed
        self.last = event;
        match rc {
            1 => Ok(Some(from_c(event))),
            0 => Ok(None),
            _ => Err(-rc),
        }
    }
}

impl Api for C {
    fn open(how: &How) -> Result<Self, i32> {
        let dir = CString::new(how.dir.as_os_str().as_bytes()).unwrap();
        let mut handle = std::ptr::null_mut();
        // SAFETY: as nswatch.h requires.
        let rc = unsafe {
            let options = co::nsw_options_new();
            assert_eq!(co::nsw_options_set_dir(options, dir.as_ptr()), 0);
            assert_eq!(co::nsw_options_set_flags(options, how.flags), 0);
            assert_eq!(co::nsw_options_set_rcvbuf(options, how.rcvbuf), 0);
            assert_eq!(co::nsw_options_set_settle(options, how.settle_ms), 0);
            assert_eq!(co::nsw_options_set_max_names(options, how.max_names), 0);
            if let Some((capacity, policy)) = how.queue {
                assert_eq!(co::nsw_options_set_queue(options, capacity, policy), 0);
            }
            let rc = cw::nsw_open(how.source, options, &mut handle);
            co::nsw_options_free(options);
            rc
        };
        if rc == 0 { Ok(Self { handle, last: std::ptr::null() }) } else { Err(-rc) }
    }

    fn fd(&self) -> RawFd {
        // SAFETY: the handle is live.
        unsafe { cw::nsw_fd(self.handle) }
    }

    fn next(&mut self) -> Result<Option<Ev>, i32> {
        let mut event = std::ptr::null();
        // SAFETY: the handle is live.
        let rc = unsafe { cw::nsw_next_event(self.handle, &mut event) };
        self.converted(rc, event)
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<Option<Ev>, i32> {
        let mut event = std::ptr::null();
        let timeout = timeout.map_or(-1, |timeout| timeout.as_millis() as i32);
        // SAFETY: the handle is live.
        let rc = unsafe { cw::nsw_wait_event(self.handle, timeout, &mut event) };
        self.converted(rc, event)
    }

    fn resync(&mut self) -> Result<(), i32> {
        // SAFETY: the handle is live.
        match unsafe { cw::nsw_resync(self.handle) } {
            0 => Ok(()),
            rc => Err(-rc),
        }
    }

    fn open_netns(&self) -> Result<OwnedFd, i32> {
        // SAFETY: the handle is live and the event still borrowed.
        let fd = unsafe { cw::nsw_open_netns(self.handle, self.last) };
        // SAFETY: a result that is not negative is a new descriptor.
        if fd < 0 { Err(-fd) } else { Ok(unsafe { OwnedFd::from_raw_fd(fd) }) }
    }

    fn stat(&self, which: u32) -> u64 {
        // SAFETY: the handle is live.
        unsafe { cw::nsw_stat(self.handle, which) }
    }
}

impl Drop for C {
    fn drop(&mut self) {
        // SAFETY: the handle is live and not used any more.
        unsafe { cw::nsw_close(self.handle) }
    }
}

fn from_c(e: *const ce::nsw_event) -> Ev {
    // SAFETY: the event is borrowed from a live watcher.
    unsafe {
        let kind = match ce::nsw_event_type(e) {
            1 => Kind::Created,
            2 => Kind::Ready,
            3 => Kind::Detached,
            4 => Kind::Deleted,
            5 => Kind::DirCreated,
            6 => Kind::DirDeleted,
            7 => Kind::NsidNew,
            8 => Kind::NsidDel,
            9 => Kind::Synced,
            10 => Kind::Overflow,
            11 => Kind::NetnsNew,
            12 => Kind::NetnsDel,
            other => panic!("unknown type {other}"),
        };
        let name = ce::nsw_event_name(e);
        let name = (!name.is_null()).then(|| CStr::from_ptr(name).to_bytes().to_vec());
        let path = ce::nsw_event_path(e);
        let path = (!path.is_null()).then(|| OsStr::from_bytes(CStr::from_ptr(path).to_bytes()).into());
        assert_eq!(ce::nsw_event_name_len(e), name.as_ref().map_or(0, Vec::len));
        Ev {
            kind,
            name,
            replayed: ce::nsw_event_flags(e) & ce::NSW_EVENT_REPLAYED != 0,
            time_ns: ce::nsw_event_time_ns(e),
            dev: ce::nsw_event_dev(e),
            ino: ce::nsw_event_ino(e),
            cookie: ce::nsw_event_cookie(e),
            nsid: ce::nsw_event_nsid(e),
            origin: ce::nsw_event_origin(e),
            portid: ce::nsw_event_portid(e),
            dropped: ce::nsw_event_dropped(e),
            path,
            pid: ce::nsw_event_pid(e),
        }
    }
}

/// A watcher whose events are all checked against the grammar and logged.
pub struct Observer<A> {
    pub api: A,
    pub checker: Checker,
    pub log: Vec<Ev>,
}

impl<A: Api> Observer<A> {
    pub fn open(how: &How) -> Self {
        let api = A::open(how).unwrap_or_else(|errno| panic!("open {how:?}: errno {errno}"));
        Self { api, checker: Checker::default(), log: Vec::new() }
    }

    /// Opens and takes all replayed events.
    pub fn open_synced(how: &How) -> Self {
        let mut this = Self::open(how);
        this.until(Kind::Synced, "");
        this
    }

    fn note(&mut self, event: &Ev) {
        self.checker.feed(event);
        self.log.push(event.clone());
    }

    /// The next event, without waiting.
    pub fn now(&mut self) -> Option<Ev> {
        self.try_now().unwrap_or_else(|errno| panic!("next: errno {errno}"))
    }

    /// The same, where an error is expected.
    pub fn try_now(&mut self) -> Result<Option<Ev>, i32> {
        let event = self.api.next()?;
        event.iter().for_each(|event| self.note(event));
        Ok(event)
    }

    /// Expects that each of some calls fails with this errno, so that an error loses nothing. On a slow machine the
    /// library delays the probe that fails, and its descriptor is not readable for so long.
    pub fn keeps_failing(&mut self, errno: i32) {
        for _ in 0..3 {
            loop {
                match self.try_now() {
                    Err(error) => break assert_eq!(error, errno),
                    Ok(event) => assert_eq!(event, None),
                }
                assert!(readable(self.api.fd(), DEADLINE), "not readable, so nothing would retry");
            }
            assert!(readable(self.api.fd(), DEADLINE), "not readable, so nothing would retry");
        }
    }

    /// All events that can be taken without waiting.
    pub fn drain(&mut self) -> Vec<Ev> {
        std::iter::from_fn(|| self.now()).collect()
    }

    /// Takes all events up to this error; nothing follows the error.
    pub fn drain_to_error(&mut self, errno: i32) {
        let end = Instant::now() + DEADLINE;
        loop {
            match self.try_now() {
                Err(error) => break assert_eq!(error, errno),
                Ok(Some(_)) => {}
                Ok(None) => assert!(readable(self.api.fd(), DEADLINE) && Instant::now() < end, "no error in time"),
            }
        }
        self.expect_nothing();
    }

    /// Waits for the next event.
    pub fn next(&mut self) -> Ev {
        let event = self.api.wait(Some(DEADLINE)).unwrap_or_else(|errno| panic!("wait: errno {errno}"));
        let event = event.unwrap_or_else(|| panic!("no event in time; so far: {:#?}", self.briefs()));
        self.note(&event);
        event
    }

    /// Waits for this event and returns it; earlier events stay in the log. Each has a deadline: a slow machine takes long
    /// for those of a storm.
    pub fn until(&mut self, kind: Kind, name: &str) -> Ev {
        const MOST: usize = 1_000_000;
        for _ in 0..MOST {
            let event = self.next();
            if event.brief() == (kind, name.to_owned()) {
                return event;
            }
        }
        panic!("{kind:?} {name:?} was not reported, but {MOST} other events");
    }

    /// Waits for exactly these events, in this order.
    pub fn expect(&mut self, expected: &[(Kind, &str)]) -> Vec<Ev> {
        expected
            .iter()
            .map(|&(kind, name)| {
                let event = self.next();
                assert_eq!(event.brief(), (kind, name.to_owned()), "so far: {:#?}", self.briefs());
                event
            })
            .collect()
    }

    /// Waits for exactly these events, in any order: the filesystem decides the order of a scan.
    pub fn expect_unordered(&mut self, expected: &[(Kind, &str)]) {
        let mut expected: Vec<_> = expected.iter().map(|&(kind, name)| (kind, name.to_owned())).collect();
        let mut events: Vec<_> = expected.iter().map(|_| self.next().brief()).collect();
        expected.sort();
        events.sort();
        assert_eq!(events, expected, "so far: {:#?}", self.briefs());
    }

    /// Waits for exactly these events about nsids here, in this order.
    pub fn expect_ids(&mut self, expected: &[(Kind, i32)]) -> Vec<Ev> {
        expected
            .iter()
            .map(|&(kind, nsid)| {
                let event = self.next();
                assert_eq!(event.id(), (kind, -1, nsid), "so far: {:#?}", self.log);
                event
            })
            .collect()
    }

    /// Waits for this event about an nsid in a namespace (-1: here).
    pub fn until_id(&mut self, kind: Kind, origin: i32, nsid: i32) -> Ev {
        let end = Instant::now() + DEADLINE;
        loop {
            let event = self.next();
            if event.id() == (kind, origin, nsid) {
                return event;
            }
            assert!(Instant::now() < end, "{kind:?} {origin} {nsid} was not reported; so far: {:#?}", self.log);
        }
    }

    /// Waits for this event about a namespace and returns it. Other tests make and kill namespaces meanwhile.
    pub fn until_netns(&mut self, kind: Kind, netns: Id) -> Ev {
        let end = Instant::now() + DEADLINE;
        loop {
            let event = self.next();
            if (event.kind, event.netns()) == (kind, netns) {
                return event;
            }
            assert!(Instant::now() < end, "{kind:?} {netns:?} was not reported; so far: {:#?}", self.log);
        }
    }

    /// Whether a namespace exists according to the events.
    pub fn believes(&self, netns: Id) -> bool {
        self.checker.netns.contains(&netns)
    }

    /// The nsids here according to the events.
    pub fn believed_ids(&self) -> Vec<i32> {
        self.checker.nsids.iter().filter(|(origin, _)| *origin == -1).map(|(_, nsid)| *nsid).collect()
    }

    /// Asserts that neither the descriptor nor the call reports an event.
    ///
    /// Without mount events a kernel worker notices mounts: one that concerns no name may wake the watcher a moment
    /// after the call.
    pub fn expect_nothing(&mut self) {
        let late = !Feature::MountEvents.is_available().unwrap_or(true);
        for _ in 0..if late { 10 } else { 1 } {
            assert_eq!(self.drain().iter().map(Ev::brief).collect::<Vec<_>>(), []);
            if !readable(self.api.fd(), Duration::ZERO) {
                return;
            }
        }
        panic!("readable, but no event follows");
    }

    /// Resyncs; returns the events before the final `Synced`.
    pub fn resync(&mut self) -> Vec<Ev> {
        self.api.resync().unwrap_or_else(|errno| panic!("resync: errno {errno}"));
        let before = self.log.len();
        self.until(Kind::Synced, "");
        let events = self.log[before..self.log.len() - 1].to_vec();
        // other tests make and kill namespaces all the time, and those events may have been pending
        let is_replayed = |event: &Ev| event.replayed || matches!(event.kind, Kind::NetnsNew | Kind::NetnsDel);
        assert!(events.iter().all(is_replayed), "reported by a resync, but not as replayed: {events:#?}");
        events
    }

    /// Asserts that the events add up to the kernel's state.
    pub fn expect_truth(&self, dir: impl AsRef<Path>) {
        assert_eq!(self.checker.believed(), super::kernel::names(dir), "so far: {:#?}", self.briefs());
    }

    pub fn briefs(&self) -> Vec<(Kind, String)> {
        self.log.iter().map(Ev::brief).collect()
    }
}

/// Whether `fd` polls readable within `timeout`.
pub fn readable(fd: RawFd, timeout: Duration) -> bool {
    let mut entry = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one entry is passed and counted as one.
    let rc = unsafe { libc::poll(&mut entry, 1, timeout.as_millis() as i32) };
    assert!(rc >= 0, "poll: {}", std::io::Error::last_os_error());
    rc == 1
}

/// Gives up an [`OwnedFd`] for a raw call.
pub fn raw(fd: OwnedFd) -> RawFd {
    fd.into_raw_fd()
}

/// Makes two tests of one body: one through Rust, one through C.
#[macro_export]
macro_rules! both {
    ($($(#[$attribute:meta])* $name:ident)*) => {
        mod rust {
            $($(#[$attribute])* #[test] fn $name() { super::$name::<$crate::support::api::Rust>() })*
        }
        mod c {
            $($(#[$attribute])* #[test] fn $name() { super::$name::<$crate::support::api::C>() })*
        }
    };
}
