//! The request socket. It never blocks: the kernel answers before `send` returns.
//!
//! It ignores messages whose sender address is not the kernel's.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::wire::{self, Attributes, Body, Header, Message};
use crate::error::{Error, errno_of};
use crate::sys;

/// The maximum length of a datagram from the kernel: a part of a dump is at most this long, and no longer than the
/// longest read so far. For a datagram longer than its buffer, the socket asks again with more room.
const LONGEST: usize = 32 * 1024;

/// Enough for one answer, and for an error with the request and the kernel's explanation.
const ANSWER: usize = 512;

/// Fewer requests than this are sent one by one: receiving many answers at once has a price of its own.
const MIN_BATCH: usize = 3;

/// A shorter part of a dump ended because there was no more, not because it was full.
const CERTAINLY_NOT_FULL: usize = 3072;

/// The maximum room of a part that the kernel uses for itself, and that one more nsid might not fit into.
const OVERHEAD: usize = 1536;

/// The maximum number of dumps for a list.
const MAX_DUMPS: usize = 16;

/// An nsid that no namespace has.
const NOWHERE: i32 = -1;

/// A failed request.
#[derive(Debug)]
pub(crate) struct NetlinkError {
    errno: i32,
    /// The kernel has read the request and answered with the error. If not, a system call failed, which says nothing
    /// about the subject of the request.
    answered: bool,
    /// The kernel's explanation.
    text: Option<Box<[u8]>>,
}

impl NetlinkError {
    /// An answer to a request.
    pub(crate) fn new(errno: i32) -> Self {
        Self { errno, answered: true, text: None }
    }

    /// The error number, if it is an answer.
    pub(crate) fn answer(&self) -> Option<i32> {
        self.answered.then_some(self.errno)
    }

    pub(crate) fn doing(self, doing: &'static str) -> Error {
        let error = Error::new(self.errno, doing);
        match self.text {
            Some(text) => error.on(format!("({})", String::from_utf8_lossy(&text))),
            None => error,
        }
    }
}

impl From<NetlinkError> for io::Error {
    fn from(error: NetlinkError) -> Self {
        Self::from_raw_os_error(error.errno)
    }
}

impl From<io::Error> for NetlinkError {
    fn from(error: io::Error) -> Self {
        Self { errno: errno_of(&error), answered: false, text: None }
    }
}

/// One entry of a dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) nsid: i32,
    /// The nsid that the same namespace has here, for a dump of a peer.
    pub(crate) here: Option<i32>,
}

/// The request socket.
#[derive(Debug)]
pub(crate) struct RequestSocket {
    socket: OwnedFd,
    buffer: Vec<u8>,
    seq: u32,
    strict: bool,
    /// Whether the kernel supports the quick question; `None`: not tried, and the socket has made no long read yet.
    quick: Option<bool>,
}

/// Whether the nsids of a peer can be listed: a kernel that supports the target attribute refuses this one.
pub(crate) fn try_target() -> io::Result<bool> {
    match RequestSocket::open()?.checked().list(Some(NOWHERE)) {
        Ok(_) => Ok(false),
        Err(error) => match error.answer() {
            Some(libc::EINVAL) => Ok(true),
            // the answer of a kernel without strict checks, not a shortage
            Some(libc::EOPNOTSUPP) => Ok(false),
            _ => Err(error.into()),
        },
    }
}

/// All nsids, as far as the kernel lists them.
#[derive(Debug)]
pub(crate) struct Listing {
    /// In ascending order.
    pub(crate) ids: Vec<Listed>,
    /// There may be more after this one.
    pub(crate) until: i32,
}

/// The result of one dump.
#[derive(Debug, Default)]
struct Pass {
    listed: Vec<Listed>,
    /// The kernel may have skipped something between two parts.
    gap: bool,
    /// The last nsid, if the last part may have been full.
    end: Option<i32>,
    interrupted: bool,
}

/// Adds to the nsids, which stay in ascending order, the kernel's order, each once.
fn add(listed: &mut Vec<Listed>, one: Listed) {
    match listed.last() {
        Some(last) if last.nsid >= one.nsid => {
            if let Err(at) = listed.binary_search_by_key(&one.nsid, |listed| listed.nsid) {
                listed.insert(at, one);
            }
        }
        _ => listed.push(one),
    }
}

impl RequestSocket {
    /// Opens a socket in the present namespace of the calling thread. One system call: a whole request takes four.
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self { socket: sys::rtnetlink()?, buffer: vec![0; ANSWER], seq: 0, strict: false, quick: None })
    }

    /// Makes the kernel check requests strictly and explain its errors (Linux 4.20 and 4.12, tried), and blocks
    /// messages of other senders. A socket for one request does not need that.
    pub(crate) fn checked(mut self) -> Self {
        sys::connect_to_kernel(self.socket.as_fd());
        let on = |option| sys::set_option(self.socket.as_fd(), libc::SOL_NETLINK, option, 1);
        // without it, an error is only a number
        on(libc::NETLINK_EXT_ACK).ok();
        self.strict = on(libc::NETLINK_GET_STRICT_CHK).is_ok();
        self
    }

    /// Gets the nsid of a namespace here.
    pub(crate) fn get(&mut self, whose: Attributes) -> Result<Option<i32>, NetlinkError> {
        let answer = self.request(wire::RTM_GETNSID, 0, whose)?;
        Ok(answer.nsid.filter(|nsid| *nsid >= 0))
    }

    /// Whether a living namespace has the nsid here.
    pub(crate) fn exists(&mut self, nsid: i32) -> Result<bool, NetlinkError> {
        match self.get(self.existence(nsid)) {
            Ok(found) => Ok(found.is_some()),
            Err(error) => error.answer().and_then(|errno| self.existence_by(errno)).ok_or(error),
        }
    }

    /// The request whether a living namespace has the nsid here. To return an nsid, the kernel searches all of them. So
    /// the quick request also names an impossible target: the kernel refuses that once it has found the namespace.
    fn existence(&self, nsid: i32) -> Attributes {
        Attributes { nsid: Some(nsid), target: self.is_quick().then_some(NOWHERE), ..Attributes::default() }
    }

    /// The answer to [`existence`](Self::existence) for an error number, if it is one.
    fn existence_by(&self, errno: i32) -> Option<bool> {
        match errno {
            libc::ENOENT => Some(false),
            libc::EINVAL if self.is_quick() => Some(true),
            _ => None,
        }
    }

    fn is_quick(&self) -> bool {
        self.quick == Some(true)
    }

    /// Those of the nsids that a living namespace has here, in the same order. Sends many requests in a datagram, and
    /// receives many answers at once.
    pub(crate) fn living(&mut self, nsids: &[i32]) -> Result<Vec<i32>, NetlinkError> {
        let mut found = Vec::new();
        for some in nsids.chunks(sys::MANY) {
            if some.len() < MIN_BATCH {
                for nsid in some {
                    if self.exists(*nsid)? {
                        found.push(*nsid);
                    }
                }
                continue;
            }
            let first = self.seq.wrapping_add(1);
            let mut requests = Vec::new();
            for nsid in some {
                requests.extend(self.encode(wire::RTM_GETNSID, 0, &self.existence(*nsid)));
            }
            sys::send_to_kernel(self.socket.as_fd(), &requests)?;
            let mut answers: Vec<Option<Result<bool, i32>>> = vec![None; some.len()];
            let mut buffer = vec![0; ANSWER * sys::MANY];
            while answers.contains(&None) {
                sys::receive_many::<{ sys::MANY }>(self.socket.as_fd(), &mut buffer, |received, bytes| {
                    if !received.from_kernel {
                        return;
                    }
                    for message in wire::messages(bytes).flatten() {
                        let which = message.header.seq.wrapping_sub(first) as usize;
                        if let Some(answer) = answers.get_mut(which) {
                            *answer = Some(match message.body {
                                Body::Id(Attributes { nsid, .. }) => Ok(nsid.is_some_and(|nsid| nsid >= 0)),
                                Body::Failed { errno, .. } => self.existence_by(errno).ok_or(errno),
                                _ => Err(libc::EIO),
                            });
                        }
                    }
                })?;
            }
            for (nsid, answer) in some.iter().zip(answers) {
                if answer.unwrap_or(Ok(false)).map_err(NetlinkError::new)? {
                    found.push(*nsid);
                }
            }
        }
        Ok(found)
    }

    /// Assigns this nsid to the namespace behind `fd`; -1: the lowest free one.
    pub(crate) fn assign(&mut self, fd: u32, nsid: i32) -> Result<(), NetlinkError> {
        let attributes = Attributes { nsid: Some(nsid), fd: Some(fd), ..Attributes::default() };
        self.request(wire::RTM_NEWNSID, wire::NLM_F_ACK, attributes).map(drop)
    }

    /// Encodes a request with a new sequence number.
    fn encode(&mut self, kind: u16, flags: u16, attributes: &Attributes) -> Vec<u8> {
        self.seq = self.seq.wrapping_add(1);
        let header = Header { kind, flags: flags | wire::NLM_F_REQUEST, seq: self.seq, portid: 0 };
        wire::encode(header, attributes)
    }

    fn send(&mut self, kind: u16, flags: u16, attributes: &Attributes) -> io::Result<()> {
        let request = self.encode(kind, flags, attributes);
        sys::send_to_kernel(self.socket.as_fd(), &request)
    }

    /// Sends one request and returns its answer. The kernel answers before `send` returns.
    fn request(&mut self, kind: u16, flags: u16, attributes: Attributes) -> Result<Attributes, NetlinkError> {
        loop {
            self.send(kind, flags, &attributes)?;
            loop {
                let received = sys::receive(self.socket.as_fd(), &mut self.buffer)?;
                if !received.from_kernel {
                    continue;
                }
                if received.length > self.buffer.len() {
                    self.buffer.resize(received.length, 0);
                    break;
                }
                let seq = self.seq;
                let mut answers = wire::messages(self.buffer.get(..received.length).unwrap_or_default());
                match answers.find(|answer| answer.is_ok_and(|answer| answer.header.seq == seq)) {
                    Some(Ok(Message { body: Body::Id(answer), .. })) => return Ok(answer),
                    Some(Ok(Message { body: Body::Failed { errno: 0, .. }, .. })) => return Ok(Attributes::default()),
                    Some(Ok(Message { body: Body::Failed { errno, text }, .. })) => {
                        return Err(NetlinkError { errno, answered: true, text: text.map(Box::from) });
                    }
                    Some(_) => return Err(NetlinkError::new(libc::EIO)),
                    // the answer to an abandoned request
                    None => {}
                }
            }
        }
    }

    /// The nsids here, or in the peer `target` with those that the same namespaces have here, as far as the kernel
    /// lists them.
    ///
    /// A dump can lack nsids in two ways, and the kernel reports neither. It continues a dump by *position*: if an
    /// earlier nsid went in the meantime, the dump lacks one. So if the next part does not start with the next number,
    /// this requests the dump again, until two agree. And newer kernels (6.18 is one) end a dump after its first part:
    /// at most 1158 nsids, or 134 on a socket without a long read. So the first read is a long one, and if the last
    /// part may have been full, the listing has an end, after which there may be more.
    pub(crate) fn list(&mut self, target: Option<i32>) -> Result<Listing, NetlinkError> {
        if target.is_some() && !self.strict {
            // an older kernel would ignore the target, and list the own nsids
            return Err(NetlinkError::new(libc::EOPNOTSUPP));
        }
        self.buffer.resize(LONGEST, 0);
        if self.quick.is_none() {
            // a kernel that supports this refuses for another reason; it also remembers the longest read, which any
            // answer sets
            self.quick = Some(self.strict);
            self.quick = Some(self.strict && matches!(self.exists(NOWHERE), Ok(false)));
        }
        let dumped = self.agreeing_dumps(target);
        // so that a thousand watchers do not keep a thousand long buffers
        self.buffer.truncate(ANSWER);
        self.buffer.shrink_to_fit();
        dumped.map(|(ids, end)| Listing { ids, until: end.unwrap_or(i32::MAX) })
    }

    /// The nsids of a complete dump, in ascending order; and the last one, if there may be more after it.
    fn agreeing_dumps(&mut self, target: Option<i32>) -> Result<(Vec<Listed>, Option<i32>), NetlinkError> {
        let mut passes: Vec<Pass> = Vec::new();
        for _ in 0..MAX_DUMPS {
            let pass = match self.dump(target) {
                // older kernels could not lock both namespaces just now; or an abandoned dump is still running
                Err(error) if matches!(error.errno, libc::EAGAIN | libc::EBUSY) => {
                    self.discard();
                    continue;
                }
                pass => pass?,
            };
            if pass.interrupted {
                continue;
            }
            if !pass.gap || passes.last().is_some_and(|before| before.listed == pass.listed) {
                return Ok((pass.listed, pass.end));
            }
            passes.push(pass);
        }
        // the nsids change faster than the kernel lists them: a stable one is in one of two dumps
        let end = passes.last().ok_or_else(|| NetlinkError::new(libc::EAGAIN))?.end;
        let mut listed = Vec::new();
        for other in passes.into_iter().rev().take(2).flat_map(|pass| pass.listed) {
            // the nsids after the end are not known yet
            if end.is_none_or(|end| other.nsid <= end) {
                add(&mut listed, other);
            }
        }
        Ok((listed, end))
    }

    fn dump(&mut self, target: Option<i32>) -> Result<Pass, NetlinkError> {
        // then one part is waiting
        self.discard();
        self.send(wire::RTM_GETNSID, wire::NLM_F_DUMP, &Attributes { target, ..Attributes::default() })?;
        let mut pass = Pass::default();
        loop {
            // a full part fills the kernel's room for it: 32 KiB, or 4 if no more was free; 0: unknown
            let room = sys::waiting(self.socket.as_fd()).unwrap_or(0);
            let may_be_full = |length| length > CERTAINLY_NOT_FULL && length + OVERHEAD > room;
            let received = match sys::receive(self.socket.as_fd(), &mut self.buffer) {
                Ok(received) if !received.from_kernel => continue,
                Ok(received) => received,
                Err(error) => {
                    self.discard();
                    return Err(error.into());
                }
            };
            if received.length > self.buffer.len() {
                self.buffer.resize(received.length, 0);
                pass.interrupted = true;
                continue;
            }
            for message in wire::messages(self.buffer.get(..received.length).unwrap_or_default()) {
                let Ok(message) = message else {
                    pass.interrupted = true;
                    continue;
                };
                if message.header.seq != self.seq {
                    continue;
                }
                pass.interrupted |= message.header.is_interrupted();
                match message.body {
                    Body::Id(Attributes { nsid: Some(nsid), current, .. }) => {
                        pass.gap |= pass.end.take().is_some_and(|last| last.checked_add(1) != Some(nsid));
                        add(&mut pass.listed, Listed { nsid, here: current.filter(|current| *current >= 0) });
                    }
                    Body::Done { errno: 0 } => {
                        if may_be_full(received.length) {
                            pass.end = pass.listed.last().map(|listed| listed.nsid);
                        }
                        return Ok(pass);
                    }
                    Body::Done { errno } | Body::Failed { errno, .. } => return Err(NetlinkError::new(errno)),
                    Body::Overrun => pass.interrupted = true,
                    _ => {}
                }
            }
            if may_be_full(received.length) {
                pass.end = pass.listed.last().map(|listed| listed.nsid);
            }
        }
    }

    /// Discards the answers to abandoned requests.
    fn discard(&mut self) {
        while sys::receive(self.socket.as_fd(), &mut self.buffer).is_ok() {}
    }
}
