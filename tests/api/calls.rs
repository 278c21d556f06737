//! Calls the functions of the C ABI in any order, with any options, NULL and garbage, in children of fork(2), in two
//! threads at once and in a cancelled one. Nothing may crash, hang, leak, or return what nswatch.h does not allow. The
//! fuzzer `calls` finds the bytes; `corpus.rs` replays those worth keeping.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::ptr::{null, null_mut};
use std::sync::LazyLock;

use nswatch::capi::{about::*, event::*, netns::*, nsid::*, options::*, watcher::*};

/// The directory that this process works in.
static DIR: LazyLock<PathBuf> = LazyLock::new(|| {
    let dir = std::env::temp_dir().join(format!("nswatch-calls-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
});

/// The objects of a program: one of each kind, so that use after close shows.
struct Machine<'a> {
    code: std::slice::Iter<'a, u8>,
    options: *mut nsw_options,
    watcher: *mut nsw_watcher,
    /// Borrowed from `watcher`.
    event: *const nsw_event,
    /// The identity in an event, the one found last, or garbage.
    netns: nsw_netns,
}

const GARBAGE: nsw_netns = nsw_netns { dev: 1, ino: 2, cookie: 3, stamp: 4 };

fn numbers(netns: &nsw_netns) -> [u64; 4] {
    [netns.dev, netns.ino, netns.cookie, netns.stamp]
}

impl Machine<'_> {
    fn byte(&mut self) -> Option<u8> {
        self.code.next().copied()
    }

    fn number(&mut self) -> Option<u32> {
        let small = self.byte()?;
        Some(match small {
            250.. => u32::MAX - u32::from(255 - small),
            240..=249 => 1 << (u32::from(small - 240) * 3),
            _ => small.into(),
        })
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        let length = self.byte()? as usize % 40;
        Some((0..length).map_while(|_| self.byte()).filter(|byte| *byte != 0).collect())
    }

    /// A short path, the watched one, garbage, or NULL.
    fn path(&mut self) -> Option<Option<CString>> {
        let path = match self.byte()? % 6 {
            0 => return Some(None),
            1 => DIR.join("netns"),
            2 => DIR.join("netns/../link/deeper"),
            3 => DIR.clone(),
            4 => DIR.join("x".repeat(self.byte()? as usize * 20)),
            _ => return Some(CString::new(self.bytes()?).ok()),
        };
        Some(CString::new(path.into_os_string().into_encoded_bytes()).ok())
    }

    fn step(&mut self) -> Option<()> {
        let op = self.byte()?;
        // one call in eight gets a NULL
        let null_watcher = op & 0xe0 == 0xe0;
        let watcher = if null_watcher { null_mut() } else { self.watcher };
        let options = if null_watcher { null_mut() } else { self.options };
        // SAFETY: as nswatch.h requires: every pointer is NULL or live, events are borrowed as long as it allows.
        unsafe {
            match op {
                216 => return self.in_child(),
                217 => return self.in_two_threads(),
                218 => return self.in_cancelled_thread(),
                _ => {}
            }
            match op % 20 {
                0 => {
                    nsw_options_free(self.options);
                    self.options = nsw_options_new();
                }
                1 => expect(nsw_options_set_flags(options, self.number()?), &[0, -libc::EINVAL]),
                2 => {
                    let path = self.path()?;
                    let path = path.as_ref().map_or(null::<c_char>(), |path| path.as_ptr());
                    expect(nsw_options_set_dir(options, path), &[0, -libc::EINVAL]);
                }
                3 => expect(nsw_options_set_settle(options, self.number()?), &[0, -libc::EINVAL]),
                4 => {
                    // a thread for each watcher is slow: seldom
                    let (capacity, policy) = (self.number()?, self.number()?);
                    if self.byte()? < 16 || capacity == 0 || policy > 3 {
                        expect(nsw_options_set_queue(options, capacity, policy), &[0, -libc::EINVAL]);
                    }
                }
                5 => {
                    let set = if op & 0x20 == 0 { nsw_options_set_rcvbuf } else { nsw_options_set_max_names };
                    expect(set(options, self.number()?), &[0, -libc::EINVAL]);
                }
                6 | 7 => {
                    self.close();
                    let source = if op & 0x20 == 0 { NSW_SOURCE_NAMED } else { self.number()? };
                    let rc = nsw_open(source, self.options, &mut self.watcher);
                    if rc != 0 {
                        assert!(self.watcher.is_null(), "{rc}: written to");
                        expect(
                            rc,
                            &[
                                libc::EINVAL,
                                libc::ENOENT,
                                libc::ENOTDIR,
                                libc::EACCES,
                                libc::ELOOP,
                                libc::E2BIG,
                                libc::ENAMETOOLONG,
                                libc::EPERM,
                                libc::EAGAIN,
                            ]
                            .map(|errno: c_int| -errno),
                        );
                    }
                }
                8 => {
                    let written = if null_watcher { null_mut() } else { &mut self.event };
                    let rc = nsw_next_event(self.watcher, written);
                    self.given(rc, null_watcher);
                }
                9 => {
                    let rc = nsw_wait_event(self.watcher, 0, &mut self.event);
                    self.given(rc, false);
                }
                10 => expect(nsw_resync(watcher), &[0, -libc::EINVAL, -libc::ENOENT]),
                11 => {
                    let fd = nsw_open_netns(watcher, if op & 0x20 == 0 { self.event } else { null() });
                    match fd {
                        0.. => drop(OwnedFd::from_raw_fd(fd)),
                        _ => expect(
                            fd,
                            &[libc::EINVAL, libc::ENOENT, libc::ESTALE, libc::EACCES, libc::EPERM, libc::EOPNOTSUPP]
                                .map(|errno: c_int| -errno),
                        ),
                    }
                }
                12 => {
                    let number = self.number()?;
                    std::hint::black_box(nsw_stat(watcher, number));
                    // some text, whatever happened before
                    for sentence in [nsw_error(watcher), nsw_options_error(options)] {
                        assert!(CStr::from_ptr(sentence).to_str().is_ok());
                    }
                }
                13 => expect_fd(nsw_fd(watcher), watcher.is_null()),
                14 => self.close(),
                15 => {
                    let number = self.number()? as i32;
                    assert!(!nsw_strerror(number).is_null());
                    assert!(!nsw_event_type_name(number as u32).is_null());
                    expect(nsw_open(NSW_SOURCE_NAMED, self.options, null_mut()), &[-libc::EINVAL]);
                }
                16 => self.ask(null_watcher)?,
                17 => self.identify(null_watcher)?,
                18 => self.open_identity(null_watcher)?,
                _ => self.happen()?,
            }
        }
        Some(())
    }

    /// A child of fork(2) uses and closes the watcher, which must not harm it here. (A panic there would go on here.)
    fn in_child(&mut self) -> Option<()> {
        let refused = if self.watcher.is_null() { -libc::EINVAL } else { -libc::ECHILD };
        // SAFETY: as nswatch.h requires; the child ends at once.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                let mut good = nsw_fd(self.watcher) >= 0 || self.watcher.is_null();
                std::hint::black_box(nsw_stat(self.watcher, NSW_STAT_KNOWN));
                for _ in 0..2 {
                    let mut event = null();
                    good &= nsw_next_event(self.watcher, &mut event) == refused;
                    good &= nsw_wait_event(self.watcher, -1, &mut event) == refused;
                    good &= nsw_open_netns(self.watcher, self.event) == refused;
                    good &= nsw_resync(self.watcher) == refused && event.is_null();
                }
                nsw_close(self.watcher);
                libc::_exit(if good { 0 } else { 1 });
            }
            let mut status = -1;
            assert_eq!(libc::waitpid(child, &mut status, 0), child);
            assert_eq!(status, 0, "the child failed");
        }
        Some(())
    }

    /// Two threads call at once. Afterwards nothing is borrowed.
    fn in_two_threads(&mut self) -> Option<()> {
        let (what, watcher) = (self.byte()?, self.watcher as usize);
        let call = move |what: u8| {
            let (watcher, mut event) = (watcher as *mut nsw_watcher, null());
            for _ in 0..4 {
                // SAFETY: as nswatch.h requires.
                let rc = unsafe {
                    std::hint::black_box((nsw_stat(watcher, NSW_STAT_QUEUED), nsw_fd(watcher)));
                    match what % 3 {
                        0 => nsw_next_event(watcher, &mut event),
                        1 => nsw_wait_event(watcher, 0, &mut event),
                        _ => nsw_resync(watcher),
                    }
                };
                expect(rc, &[0, 1, -libc::EBUSY, -libc::EINVAL, -libc::ENOENT]);
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(move || call(what));
            call(what / 3);
        });
        self.event = null();
        Some(())
    }

    /// A thread calls after it was cancelled: pthread_cancel(3) waits, and the calls work as usual.
    fn in_cancelled_thread(&mut self) -> Option<()> {
        extern "C" fn body(watcher: *mut c_void) -> *mut c_void {
            let mut event = null();
            // SAFETY: as nswatch.h requires. After the calls nothing meets the cancellation.
            unsafe {
                pthread_cancel(libc::pthread_self());
                let rc = [
                    nsw_next_event(watcher.cast(), &mut event),
                    nsw_resync(watcher.cast()),
                    nsw_wait_event(watcher.cast(), 0, &mut event),
                ];
                pthread_setcancelstate(1, null_mut());
                let good = rc.iter().all(|rc| [0, 1, -libc::EINVAL, -libc::ENOENT].contains(rc));
                std::ptr::without_provenance_mut(good.into())
            }
        }
        let (mut thread, mut result) = (std::mem::MaybeUninit::uninit(), null_mut());
        // SAFETY: the thread ends before this one goes on.
        unsafe {
            assert_eq!(libc::pthread_create(thread.as_mut_ptr(), null(), body, self.watcher.cast()), 0);
            assert_eq!(libc::pthread_join(thread.assume_init(), &mut result), 0);
        }
        // PTHREAD_CANCELED is -1
        assert_eq!(result as isize, 1);
        self.event = null();
        Some(())
    }

    /// Identifies anything; a failure stores nothing.
    fn identify(&mut self, nowhere: bool) -> Option<()> {
        let (which, number) = (self.byte()?, self.number()? as i32);
        let path = self.path()?;
        let path = path.as_ref().map_or(null::<c_char>(), |path| path.as_ptr());
        let mut found = GARBAGE;
        let out = if nowhere { null_mut() } else { &raw mut found };
        // SAFETY: as nswatch.h requires: every pointer is NULL or live, and so is the event.
        let rc = unsafe {
            match which % 6 {
                0 => nsw_event_netns(self.event, out),
                1 => nsw_netns_for_fd(number, out),
                2 => nsw_netns_for_pid(number, out),
                3 => nsw_netns_for_pidfd(number, out),
                4 => nsw_netns_for_name(path, out),
                // scans all processes: seldom
                _ if number < 16 => nsw_netns_for_nsid(number, out),
                _ => match nsw_netns_wait(path, 0, out) {
                    0 => {
                        assert_eq!(numbers(&found), numbers(&GARBAGE), "written to");
                        return Some(());
                    }
                    1 => 0,
                    errno => errno,
                },
            }
        };
        match rc {
            0 => {
                assert!(!nowhere && found.ino != 0);
                self.netns = found;
            }
            _ => {
                assert_eq!(numbers(&found), numbers(&GARBAGE), "{rc}: written to");
                explained(rc);
            }
        }
        Some(())
    }

    /// Opens the identity found last, or one made of the bytes of the program.
    fn open_identity(&mut self, nothing: bool) -> Option<()> {
        match self.byte()? % 8 {
            0 => self.netns = GARBAGE,
            1 => self.netns.cookie = self.number()?.into(),
            2 => self.netns.ino = self.number()?.into(),
            _ => {}
        }
        let path = self.path()?;
        let path = path.as_ref().map_or(null::<c_char>(), |path| path.as_ptr());
        let netns = if nothing { null() } else { &raw const self.netns };
        // SAFETY: as nswatch.h requires: every pointer is NULL or live.
        unsafe {
            match nsw_netns_open(netns, path) {
                fd @ 0.. => drop(OwnedFd::from_raw_fd(fd)),
                rc => explained(rc),
            }
            match nsw_netns_is_alive(netns) {
                0 | 1 => assert!(!nothing),
                rc => explained(rc),
            }
            let same = if nothing { -libc::EINVAL } else { 1 };
            assert_eq!(nsw_netns_same(netns, netns), same);
        }
        Some(())
    }

    /// Asks for the nsids of anything; a failure stores nothing, and nsw_strerror() explains it.
    fn ask(&mut self, nowhere: bool) -> Option<()> {
        const UNTOUCHED: i32 = 0x5eed;
        let (which, number, other) = (self.byte()?, self.number()? as i32, self.number()? as i32);
        let path = self.path()?;
        let path = path.as_ref().map_or(null::<c_char>(), |path| path.as_ptr());
        let mut answer = UNTOUCHED;
        let out = if nowhere { null_mut() } else { &raw mut answer };
        let (mut list, mut count) = ([UNTOUCHED; 4], 0);
        // SAFETY: as nswatch.h requires: every pointer is NULL or live, and the list has room for four.
        unsafe {
            let rc = match which % 8 {
                0 => nsid_get_for_pid(number, out),
                1 => nsid_get_for_fd(number, out),
                2 => nsid_get_for_name(path, out),
                3 => nsid_assign(number, other, out),
                4 => nsid_translate(number, other, out),
                5 => nsid_get_for_pidfd(number, out),
                6 => nsid_get_as_seen_from(number, other, out),
                _ => {
                    let rc = nsid_list(list.as_mut_ptr(), which as usize % 5, &mut count);
                    assert!(rc != 0 || list.iter().skip((which as usize % 5).min(count)).all(|id| *id == UNTOUCHED));
                    rc
                }
            };
            match rc {
                0 => assert!(!nowhere || which % 8 == 7),
                _ => {
                    assert_eq!(answer, UNTOUCHED, "{rc}");
                    explained(rc);
                }
            }
        }
        Some(())
    }

    fn given(&mut self, rc: c_int, nowhere: bool) {
        match rc {
            1 => {
                assert!(!nowhere && !self.watcher.is_null());
                self.read_event();
            }
            0 => self.event = null(),
            _ => {
                expect(rc, &[-libc::EINVAL, -libc::ENOENT, -libc::E2BIG]);
                // a call with NULL does nothing and ends no borrow; any other ends it
                if !nowhere {
                    self.event = null();
                }
            }
        }
    }

    fn read_event(&self) {
        let e = self.event;
        // SAFETY: the event has just been given out.
        unsafe {
            assert!((1..=12).contains(&nsw_event_type(e)));
            let name = nsw_event_name(e);
            let length = if name.is_null() { 0 } else { libc::strlen(name) };
            assert_eq!(nsw_event_name_len(e), length);
            assert!(nsw_event_type(e) == NSW_EVENT_NETNS_NEW || nsw_event_path(e).is_null() == name.is_null());
            assert!(nsw_event_type(e) == NSW_EVENT_NETNS_NEW || nsw_event_pid(e) == 0);
            std::hint::black_box((nsw_event_dev(e), nsw_event_ino(e), nsw_event_cookie(e), nsw_event_time_ns(e)));
            std::hint::black_box((nsw_event_nsid(e), nsw_event_origin(e), nsw_event_portid(e), nsw_event_dropped(e)));
        }
    }

    /// Changes something in the directory.
    fn happen(&mut self) -> Option<()> {
        let netns = DIR.join("netns");
        let name = netns.join(["a", "b", "\u{e9}"][self.byte()? as usize % 3]);
        // either result will do
        drop(match self.byte()? % 8 {
            0 => std::fs::create_dir(&netns),
            1 => std::fs::remove_dir_all(&netns),
            2 => std::fs::rename(&netns, DIR.join("away")),
            3 => std::fs::rename(DIR.join("away"), &netns),
            4 => symlink("/proc/self/ns/net", &name),
            5 => symlink("netns", DIR.join("link")),
            6 => std::fs::remove_file(&name),
            _ => std::fs::File::create(&name).map(drop),
        });
        Some(())
    }

    fn close(&mut self) {
        // SAFETY: live or NULL, and not used any more; so is the event.
        unsafe { nsw_close(self.watcher) };
        self.watcher = null_mut();
        self.event = null();
    }
}

fn expect(rc: c_int, allowed: &[c_int]) {
    assert!(allowed.contains(&rc), "{rc}");
}

/// An error, for which nsw_strerror() has a message.
fn explained(rc: c_int) {
    // SAFETY: static text.
    let text = unsafe { std::ffi::CStr::from_ptr(nsw_strerror(rc)) };
    assert!(rc < 0 && !text.to_bytes().starts_with(b"unexpected error"), "{rc}");
}

fn expect_fd(fd: c_int, none: bool) {
    assert_eq!(fd < 0, none, "{fd}");
}

unsafe extern "C" {
    // pthread.h; the crate libc lacks them
    fn pthread_cancel(thread: libc::pthread_t) -> c_int;
    fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
}

pub(crate) fn run(code: &[u8]) {
    let mut machine =
        Machine { code: code.iter(), options: nsw_options_new(), watcher: null_mut(), event: null(), netns: GARBAGE };
    while machine.step().is_some() {}
    machine.close();
    // SAFETY: live and not used any more.
    unsafe { nsw_options_free(machine.options) };
    drop(std::fs::remove_dir_all(DIR.join("netns")).and(std::fs::remove_dir_all(DIR.join("away"))));
}
