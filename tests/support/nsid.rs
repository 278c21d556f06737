//! Namespaces with and without nsids, and hand-written netlink messages: nothing here uses the library.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::{run, unshare};

/// A network namespace that only the descriptor keeps alive.
pub fn anonymous() -> OwnedFd {
    let maker = std::thread::spawn(|| {
        unshare(libc::CLONE_NEWNET).unwrap();
        let namespace = File::open("/proc/thread-self/ns/net").unwrap();
        (namespace.into(), format!("/proc/self/task/{}/ns/net", rustix::thread::gettid()))
    });
    let (namespace, of_maker) = maker.join().unwrap();
    // a moment later than its end, the thread leaves the namespace
    while std::fs::read_link(&of_maker).is_ok() {
        std::thread::yield_now();
    }
    namespace
}

/// Runs a closure in another network namespace, on a thread of its own.
pub fn inside<T: Send>(namespace: &OwnedFd, body: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let body = || {
            enter(namespace);
            body()
        };
        scope.spawn(body).join().unwrap()
    })
}

/// Moves the calling thread into another network namespace.
pub fn enter(namespace: &OwnedFd) {
    // SAFETY: no pointers.
    let rc = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
    assert_eq!(rc, 0, "{}", std::io::Error::last_os_error());
}

/// The nsids among these that the kernel has, also where `ip netns list-id` shows only the first 134.
pub fn living(ids: impl Iterator<Item = i32>) -> Vec<i32> {
    let raw = Raw::new();
    ids.filter(|nsid| {
        raw.send(0, &message(90, 1, &[(1, *nsid)]));
        u16_at(&raw.receive(), 4) == 88
    })
    .collect()
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

/// The nsid of a namespace in that of the calling thread; -1: none.
pub fn id_of(namespace: &OwnedFd) -> i32 {
    let raw = Raw::new();
    raw.send(0, &message(90, 1, &[(3, namespace.as_raw_fd())]));
    let bytes = raw.receive();
    // the first attribute of the answer is NETNSA_NSID
    assert_eq!((u16_at(&bytes, 4), u16_at(&bytes, 22)), (88, 1), "no id in the answer");
    i32::from_ne_bytes([bytes[24], bytes[25], bytes[26], bytes[27]])
}

/// The nsids in the calling thread's namespace, by `ip netns list-id`.
pub fn list_id() -> Vec<i32> {
    let mut ids: Vec<i32> = run("ip", &["netns", "list-id"])
        .lines()
        .map(|line| line.split_whitespace().nth(1).unwrap().parse().unwrap())
        .collect();
    ids.sort_unstable();
    ids
}

/// A netlink socket of a known port.
pub struct Raw {
    socket: OwnedFd,
    pub portid: u32,
}

impl Raw {
    pub fn new() -> Self {
        // SAFETY: no pointers; the result is checked before it is owned; all structures are plain numbers.
        unsafe {
            let fd = libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE);
            assert!(fd >= 0);
            let mut address: libc::sockaddr_nl = std::mem::zeroed();
            address.nl_family = libc::AF_NETLINK as u16;
            let mut size = size_of_val(&address) as libc::socklen_t;
            assert_eq!(libc::bind(fd, (&raw const address).cast(), size), 0);
            assert_eq!(libc::getsockname(fd, (&raw mut address).cast(), &mut size), 0);
            Self { socket: OwnedFd::from_raw_fd(fd), portid: address.nl_pid }
        }
    }

    /// Sends a message to a port; 0 is the kernel.
    pub fn send(&self, to: u32, message: &[u8]) {
        assert_eq!(self.send_to(to, 0, message), Ok(()));
    }

    /// Sends a message to all listeners of the nsid group, and to the kernel.
    pub fn multicast(&self, message: &[u8]) {
        assert_eq!(self.send_to(0, NSID_GROUP, message), Ok(()));
    }

    /// Sends a message to a port and to groups; returns the errno of a failure.
    pub fn send_to(&self, to: u32, groups: u32, message: &[u8]) -> Result<(), i32> {
        // SAFETY: the address and the message are as long as stated.
        let n = unsafe {
            let mut address: libc::sockaddr_nl = std::mem::zeroed();
            address.nl_family = libc::AF_NETLINK as u16;
            (address.nl_pid, address.nl_groups) = (to, groups);
            let size = size_of_val(&address) as libc::socklen_t;
            let (bytes, length) = (message.as_ptr().cast(), message.len());
            libc::sendto(self.socket.as_raw_fd(), bytes, length, 0, (&raw const address).cast(), size)
        };
        if n == message.len() as isize { Ok(()) } else { Err(std::io::Error::last_os_error().raw_os_error().unwrap()) }
    }

    fn receive(&self) -> [u8; 512] {
        let mut bytes = [0u8; 512];
        // SAFETY: the kernel writes at most as many bytes as there is room for.
        let n = unsafe { libc::recv(self.socket.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        assert!(n >= 20, "no answer");
        bytes
    }

    /// The error number in the kernel's acknowledgement.
    pub fn acknowledged(&self) -> i32 {
        let bytes = self.receive();
        assert_eq!(u16_at(&bytes, 4), 2, "no acknowledgement: {bytes:?}");
        -i32::from_ne_bytes([bytes[16], bytes[17], bytes[18], bytes[19]])
    }

    /// Assigns an nsid to a namespace by netlink; returns the error number.
    pub fn assign(&self, namespace: &OwnedFd, nsid: i32) -> i32 {
        self.send(0, &message(88, 1 | 4, &[(1, nsid), (3, namespace.as_raw_fd())]));
        self.acknowledged()
    }
}

/// An nsid message with the header port 0.
pub fn message(kind: u16, flags: u16, attributes: &[(u16, i32)]) -> Vec<u8> {
    let length = 20 + 8 * attributes.len();
    let mut bytes = Vec::new();
    bytes.extend((length as u32).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([0; 4]);
    for (kind, value) in attributes {
        bytes.extend(8u16.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value.to_ne_bytes());
    }
    bytes
}

/// The nsid group, as a mask.
const NSID_GROUP: u32 = 1 << 27;

/// The ports of the route sockets of this namespace, and whether each is in the nsid group.
pub fn ports() -> Vec<(u32, bool)> {
    let table = std::fs::read_to_string("/proc/thread-self/net/netlink").unwrap();
    table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|row| row[1] == "0" && row[2] != "0")
        .map(|row| (row[2].parse().unwrap(), u32::from_str_radix(row[3], 16).unwrap() & NSID_GROUP != 0))
        .collect()
}

/// The number of a descriptor.
pub fn number(fd: &OwnedFd) -> RawFd {
    fd.as_raw_fd()
}

/// Calls a function with an nsid out-parameter, which a failure must not change. Errors are positive errnos.
pub fn out_id(call: impl FnOnce(&mut i32) -> i32) -> Result<i32, i32> {
    let mut out = 123_456;
    match call(&mut out) {
        0 => Ok(out),
        rc => {
            assert!(rc < 0 && out == 123_456, "rc {rc}, out {out}");
            Err(-rc)
        }
    }
}
