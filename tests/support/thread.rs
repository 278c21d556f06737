//! Threads with fewer rights than the test. A restriction concerns one thread, so a fault strikes the library alone,
//! and one watcher can be used with and without it.

use std::collections::BTreeSet;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex};

/// Moves a value that only one thread uses at a time to another thread.
struct Lent<T>(T);

// SAFETY: `elsewhere` waits for the thread that it lends to, so no two threads use the value at once; the tested types
// promise that they may move between threads.
unsafe impl<T> Send for Lent<T> {}

impl<T> Lent<T> {
    fn take(self) -> T {
        self.0
    }
}

/// Runs `body` on a thread of its own that first gives up rights, and waits for it.
pub fn elsewhere<T>(restriction: &Restriction, body: impl FnOnce() -> T) -> T {
    let body = Lent(body);
    let result = std::thread::scope(|scope| {
        scope
            .spawn(move || {
                let body = body.take();
                restriction.apply();
                Lent(body())
            })
            .join()
    });
    given_back(result)
}

fn given_back<T>(result: std::thread::Result<Lent<T>>) -> T {
    match result {
        Ok(result) => result.take(),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// The rights that a thread gives up.
#[derive(Debug, Clone, Default)]
pub struct Restriction {
    /// Bits of capabilities 0-31 and 32-63.
    capabilities: [u32; 2],
    /// Failing system calls, each with an errno; optionally only with one value of an argument.
    failing: Vec<(libc::c_long, Option<Argument>, i32)>,
}

/// Limits a rule to the calls whose argument of this number has the value, or the bit.
#[derive(Debug, Clone, Copy)]
enum Argument {
    Is(u32, u32),
    HasBit(u32, u32),
}

impl Restriction {
    /// Gives up nothing.
    pub const fn none() -> Self {
        Self { capabilities: [0; 2], failing: Vec::new() }
    }

    /// Gives up the effective CAP_SYS_ADMIN, which fanotify requires for mount events.
    pub fn without_sys_admin() -> Self {
        Self { capabilities: [1 << 21, 0], ..Self::default() }
    }

    /// Gives up all effective capabilities: file permissions apply, root or not.
    pub fn powerless() -> Self {
        Self { capabilities: [!0, !0], ..Self::default() }
    }

    /// Makes a system call fail.
    pub fn failing(mut self, call: libc::c_long, errno: i32) -> Self {
        self.failing.push((call, None, errno));
        self
    }

    /// Makes a request of ioctl(2) fail.
    pub fn failing_ioctl(mut self, request: u32, errno: i32) -> Self {
        self.failing.push((libc::SYS_ioctl, Some(Argument::Is(1, request)), errno));
        self
    }

    /// Refuses a child in a user namespace of its own. Threads and programs still start: the C library calls clone(2)
    /// for them on some processors, and clone3(2) on others.
    pub fn failing_user_namespace(mut self, errno: i32) -> Self {
        let flags = if cfg!(target_arch = "s390x") { 1 } else { 0 };
        self.failing.push((libc::SYS_clone, Some(Argument::HasBit(flags, libc::CLONE_NEWUSER as u32)), errno));
        self
    }

    pub fn apply(&self) {
        if self.capabilities != [0, 0] {
            drop_capabilities(self.capabilities);
        }
        if !self.failing.is_empty() {
            filter(&self.failing);
        }
    }
}

fn drop_capabilities(dropped: [u32; 2]) {
    const VERSION_3: u32 = 0x2008_0522;
    let mut header = [VERSION_3, 0];
    // effective, permitted, inheritable, of the capabilities 0-31 and 32-63
    let mut sets = [[0u32; 3]; 2];
    // SAFETY: version 3 has a header of two and data of twice three numbers of 32 bits; pid 0 is this thread.
    let rc = unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), sets.as_mut_ptr()) };
    assert_eq!(rc, 0, "capget: {}", std::io::Error::last_os_error());
    sets[0][0] &= !dropped[0];
    sets[1][0] &= !dropped[1];
    // SAFETY: as above.
    let rc = unsafe { libc::syscall(libc::SYS_capset, header.as_mut_ptr(), sets.as_ptr()) };
    assert_eq!(rc, 0, "capset: {}", std::io::Error::last_os_error());
}

/// Makes system calls of this thread fail for the rest of its life.
fn filter(failing: &[(libc::c_long, Option<Argument>, i32)]) {
    let fails = |&(call, argument, errno)| (call, argument, libc::SECCOMP_RET_ERRNO | errno as u32);
    install(&failing.iter().map(fails).collect::<Vec<_>>(), libc::SECCOMP_RET_ALLOW, 0);
}

/// Makes the kernel kill this process if this thread makes any other system call.
pub fn kill_unless(allowed: &[libc::c_long]) {
    let allows: Vec<_> = allowed.iter().map(|call| (*call, None, libc::SECCOMP_RET_ALLOW)).collect();
    install(&allows, libc::SECCOMP_RET_KILL_PROCESS, 0);
}

type Way = (libc::c_long, Option<Argument>);

/// Other calls by which the C library, or this one, does the same. Where a time had 32 bits there is another call since
/// Linux 5.1, under the same number everywhere; where there was only socketcall(2) at first, it is still in use. s390x has a
/// second fstatfs(2), too.
fn other_ways(call: libc::c_long) -> Vec<Way> {
    let other = match call {
        #[cfg(any(target_pointer_width = "32", target_arch = "s390x"))]
        libc::SYS_fstatfs => Some(libc::SYS_fstatfs64),
        #[cfg(target_pointer_width = "32")]
        libc::SYS_fcntl => Some(libc::SYS_fcntl64),
        #[cfg(all(target_pointer_width = "32", not(target_arch = "arm")))] // arm has the second one only
        libc::SYS_mmap => Some(libc::SYS_mmap2),
        _ if cfg!(not(target_pointer_width = "32")) => None,
        libc::SYS_timerfd_settime => Some(411),
        libc::SYS_ppoll => Some(414),
        libc::SYS_io_getevents => Some(416),
        libc::SYS_recvmmsg => Some(417),
        _ => None,
    };
    other.map(|number| (number, None)).into_iter().chain(by_socketcall(call)).collect()
}

#[cfg(any(target_arch = "x86", target_arch = "s390x"))]
fn by_socketcall(call: libc::c_long) -> impl Iterator<Item = Way> {
    let numbers = SOCKET_CALLS.iter().filter(move |(of_socket, _)| *of_socket == call);
    numbers.map(|(_, number)| (libc::SYS_socketcall, Some(Argument::Is(0, *number))))
}

#[cfg(not(any(target_arch = "x86", target_arch = "s390x")))]
fn by_socketcall(_call: libc::c_long) -> impl Iterator<Item = Way> {
    std::iter::empty()
}

/// The system calls of sockets, and their numbers in socketcall(2), which has send(2) and recv(2) as well.
#[cfg(any(target_arch = "x86", target_arch = "s390x"))]
const SOCKET_CALLS: [(libc::c_long, u32); 11] = [
    (libc::SYS_socket, 1),
    (libc::SYS_bind, 2),
    (libc::SYS_connect, 3),
    (libc::SYS_sendto, 9),
    (libc::SYS_recvfrom, 10),
    (libc::SYS_sendto, 11),
    (libc::SYS_recvfrom, 12),
    (libc::SYS_setsockopt, 14),
    (libc::SYS_getsockopt, 15),
    (libc::SYS_recvmsg, 17),
    (libc::SYS_recvmmsg, 19),
];

/// send(2): where the kernel has no such call, that of sendto(2).
pub const SEND: libc::c_long = if cfg!(all(target_arch = "arm", target_env = "gnu")) { 289 } else { libc::SYS_sendto };

/// fstatat(3) by its system call.
#[cfg(target_pointer_width = "32")]
pub const FSTATAT: libc::c_long = libc::SYS_fstatat64;
#[cfg(not(target_pointer_width = "32"))]
pub const FSTATAT: libc::c_long = libc::SYS_newfstatat;

/// Installs a filter on this thread for the rest of its life: an action for each rule, one for all other system calls.
fn install(rules: &[(libc::c_long, Option<Argument>, u32)], others: u32, flags: libc::c_ulong) -> libc::c_long {
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    // skips so many statements if the test fails
    let unless = |test: u32, k: u32, jf: u8| {
        let code = libc::BPF_JMP | test | libc::BPF_K;
        libc::sock_filter { code: code as u16, jt: 0, jf, k }
    };
    // struct seccomp_data: the number of the system call, …, from 16 on the arguments, 64 bits each
    let load = |at: u32| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at);
    let low_half_of = |argument: u32| 16 + 8 * argument + if cfg!(target_endian = "big") { 4 } else { 0 };
    let mut program = Vec::new();
    for &(call, argument, action) in rules {
        for (number, argument) in std::iter::once((call, argument)).chain(other_ways(call)) {
            program.push(load(0));
            program.push(unless(libc::BPF_JEQ, number as u32, if argument.is_some() { 3 } else { 1 }));
            match argument {
                Some(Argument::Is(argument, value)) => {
                    program.extend([load(low_half_of(argument)), unless(libc::BPF_JEQ, value, 1)]);
                }
                Some(Argument::HasBit(argument, bit)) => {
                    program.extend([load(low_half_of(argument)), unless(libc::BPF_JSET, bit, 1)]);
                }
                None => {}
            }
            program.push(statement(libc::BPF_RET | libc::BPF_K, action));
        }
    }
    program.push(statement(libc::BPF_RET | libc::BPF_K, others));
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: no pointers but that to the program, which the kernel copies.
    let result = unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    };
    assert!(result >= 0, "seccomp: {}", std::io::Error::last_os_error());
    result
}

/// Runs `body` on a thread of its own, and `meanwhile` just before its first system call of this kind: between two
/// steps of the library.
pub fn stopped_at<T>(call: libc::c_long, meanwhile: impl FnOnce(), body: impl FnOnce() -> T) -> T {
    stopped_once(&AtomicBool::new(true), call, meanwhile, body)
}

/// The same for the first such call while `armed` is set, by the thread or one that it has started.
pub fn stopped_once<T>(
    armed: &AtomicBool,
    call: libc::c_long,
    meanwhile: impl FnOnce(),
    body: impl FnOnce() -> T,
) -> T {
    let mut meanwhile = Some(meanwhile);
    let act = |_| {
        if let Some(act) = meanwhile.take_if(|_| armed.load(Ordering::Acquire)) {
            act();
        }
    };
    let result = stopped_at_each(&[call], act, body);
    assert!(meanwhile.is_none(), "it has ended without that system call");
    result
}

/// Runs `body` on a thread of its own, and `act` just before each of these system calls.
pub fn stopped_at_each<T>(calls: &[libc::c_long], mut act: impl FnMut(libc::c_long), body: impl FnOnce() -> T) -> T {
    let body = Lent(body);
    let (sender, stops) = std::sync::mpsc::channel();
    let rules: Vec<_> = calls.iter().map(|call| (*call, None, libc::SECCOMP_RET_USER_NOTIF)).collect();
    let result = std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            let body = body.take();
            let stops = install(&rules, libc::SECCOMP_RET_ALLOW, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER);
            // SAFETY: a new descriptor that nothing else owns.
            sender.send(unsafe { OwnedFd::from_raw_fd(stops as i32) }).unwrap();
            Lent(body())
        });
        let stops = stops.recv().unwrap();
        while let Some((stop, call)) = next_stop(&stops) {
            act(call);
            go_on(&stops, stop);
        }
        thread.join()
    });
    given_back(result)
}

/// Makes Landlock refuse this thread to open a directory for reading; `false`: no Landlock (Linux 5.13).
pub fn hide_directories() -> bool {
    const CREATE_RULESET: libc::c_long = 444;
    const RESTRICT_SELF: libc::c_long = 446;
    const READ_DIR: u64 = 1 << 3;
    let handled = READ_DIR;
    // SAFETY: the kernel reads as many bytes as are stated; no rule permits anything.
    unsafe {
        let ruleset = libc::syscall(CREATE_RULESET, &raw const handled, size_of_val(&handled), 0) as i32;
        if ruleset < 0 {
            return false;
        }
        let ruleset = OwnedFd::from_raw_fd(ruleset);
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::syscall(RESTRICT_SELF, ruleset.as_raw_fd(), 0), 0);
    }
    true
}

/// Records every system call of this thread, and of the threads it starts, while `recording` is set.
pub fn record(calls: &Arc<Mutex<BTreeSet<libc::c_long>>>, recording: &Arc<AtomicBool>) {
    let (calls, recording) = (Arc::clone(calls), Arc::clone(recording));
    let listener = Arc::new(AtomicI32::new(-1));
    let published = Arc::clone(&listener);
    std::thread::spawn(move || {
        // polls: the recorded thread could not make the call that wakes this one, since each call waits to be recorded
        while published.load(Ordering::Acquire) < 0 {
            std::thread::yield_now();
        }
        // SAFETY: a new descriptor that nothing else owns.
        let stops = unsafe { OwnedFd::from_raw_fd(published.load(Ordering::Acquire)) };
        while let Some((stop, call)) = next_stop(&stops) {
            if recording.load(Ordering::Acquire) {
                calls.lock().unwrap().insert(call);
            }
            go_on(&stops, stop);
        }
    });
    let stops = install(&[], libc::SECCOMP_RET_USER_NOTIF, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER);
    listener.store(stops as i32, Ordering::Release);
}

/// The next stop, and its system call. `None`: the thread has ended.
fn next_stop(stops: &OwnedFd) -> Option<(u64, libc::c_long)> {
    let mut poll = libc::pollfd { fd: stops.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: the kernel requires zeroes there.
    let mut stop: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: one pollfd; and the kernel fills in `stop`, whose size is in the number of the request.
    unsafe {
        assert_eq!(libc::poll(&mut poll, 1, -1), 1);
        if poll.revents & libc::POLLIN == 0 {
            return None;
        }
        assert_eq!(libc::ioctl(stops.as_raw_fd(), request::<libc::seccomp_notif>(0), &mut stop), 0);
    }
    Some((stop.id, stop.data.nr.into()))
}

fn go_on(stops: &OwnedFd, id: u64) {
    let flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;
    let mut answer = libc::seccomp_notif_resp { id, val: 0, error: 0, flags };
    // SAFETY: the kernel reads `answer`, whose size is in the number of the request.
    let rc = unsafe { libc::ioctl(stops.as_raw_fd(), request::<libc::seccomp_notif_resp>(1), &mut answer) };
    assert_eq!(rc, 0, "{}", std::io::Error::last_os_error());
}

/// `SECCOMP_IOWR`.
fn request<T>(number: u32) -> libc::Ioctl {
    (3 << 30 | (size_of::<T>() as u32) << 16 | u32::from(b'!') << 8 | number) as libc::Ioctl
}
