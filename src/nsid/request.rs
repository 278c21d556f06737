//! The socket that asks. It never blocks: the kernel answers before the question is sent.
//!
//! What did not come from the kernel is not looked at: the sender is told by its address.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::wire::{self, Attributes, Body, Header, Message};
use crate::error::{Error, errno_of};
use crate::sys;

/// The longest datagram of the kernel: a part of a dump, which it makes no longer than the longest read so far, and
/// never longer than this. What is longer than its buffer is asked for again, with more room.
pub(super) const LONGEST: usize = 32 * 1024;

/// Enough for one answer, and for an error around a request with the kernel's words on it.
const ANSWER: usize = 512;

/// Up to so many questions are asked one by one: to receive many answers at once has a price of its own.
const FEW: usize = 3;

/// Below this a part of a dump ended because there was no more, not because it was full.
const CERTAINLY_NOT_FULL: usize = 3072;

/// After so many ids that nobody has, no more are looked for.
const GAP: i32 = 1024;

/// How often a dump is asked for at most.
const TRIES: usize = 16;

/// No namespace has this id.
const NOWHERE: i32 = -1;

/// Why a question was not answered.
#[derive(Debug)]
pub(crate) struct NetlinkError {
    pub(crate) errno: i32,
    /// The kernel's words on it.
    text: Option<String>,
}

impl NetlinkError {
    pub(crate) fn new(errno: i32) -> Self {
        Self { errno, text: None }
    }

    pub(crate) fn doing(self, doing: &'static str) -> Error {
        let error = Error::new(self.errno, doing);
        match self.text {
            Some(text) => error.on(format!("({text})")),
            None => error,
        }
    }
}

impl From<io::Error> for NetlinkError {
    fn from(error: io::Error) -> Self {
        Self::new(errno_of(&error))
    }
}

/// One entry of a dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) nsid: i32,
    /// The id that the same namespace has in the asker's, if the dump was of another.
    pub(crate) here: Option<i32>,
}

/// The socket that asks.
#[derive(Debug)]
pub(crate) struct RequestSocket {
    socket: OwnedFd,
    buffer: Vec<u8>,
    seq: u32,
    strict: bool,
    /// Whether there is a quick question for what exists; `None`: not tried, and nothing has been read yet that is long.
    quick: Option<bool>,
}

/// Whether the ids of a peer can be asked for: a kernel that looks at the target refuses.
pub(crate) fn try_target() -> io::Result<bool> {
    match RequestSocket::open()?.checked().list(Some(NOWHERE)) {
        Ok(_) => Ok(false),
        Err(NetlinkError { errno: libc::EINVAL, .. }) => Ok(true),
        // what is told where the kernel does not check strictly, not a shortage
        Err(NetlinkError { errno: libc::EOPNOTSUPP, .. }) => Ok(false),
        Err(NetlinkError { errno, .. }) => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// All ids, as far as they could be had.
#[derive(Debug)]
pub(crate) struct Listing {
    /// In ascending order.
    pub(crate) ids: Vec<Listed>,
    /// There may be more after this one.
    pub(crate) until: i32,
}

/// What one pass of a dump brought.
#[derive(Debug, Default)]
struct Pass {
    listed: Vec<Listed>,
    /// Between two parts something may have been passed over.
    gap: bool,
    /// The last id, if the last part may have been full.
    end: Option<i32>,
    interrupted: bool,
}

/// Keeps the ids in ascending order, which is that in which the kernel lists them, and each once.
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
    /// Asks the namespace that the calling thread is in now. No more than one system call: a question costs four.
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self { socket: sys::rtnetlink()?, buffer: vec![0; ANSWER], seq: 0, strict: false, quick: None })
    }

    /// Has the kernel check what it is asked, and say what it does not like (Linux 4.12 and 4.20, tried).
    pub(crate) fn checked(mut self) -> Self {
        let on = |option| sys::set_option(self.socket.as_fd(), libc::SOL_NETLINK, option, 1);
        // without it there is only the number of the error
        on(libc::NETLINK_EXT_ACK).ok();
        self.strict = on(libc::NETLINK_GET_STRICT_CHK).is_ok();
        self
    }

    /// Which id the namespace has here.
    pub(crate) fn get(&mut self, whose: Attributes) -> Result<Option<i32>, NetlinkError> {
        let answer = self.ask(wire::RTM_GETNSID, 0, whose)?;
        Ok(answer.nsid.filter(|nsid| *nsid >= 0))
    }

    /// Whether a living namespace has the id here.
    pub(crate) fn exists(&mut self, nsid: i32) -> Result<bool, NetlinkError> {
        match self.get(self.whether(nsid)) {
            Ok(found) => Ok(found.is_some()),
            Err(refusal) => self.refused(refusal.errno).ok_or(refusal),
        }
    }

    /// Asks whether a living namespace has the id here, as quickly as can be. To tell an id the kernel goes through
    /// all; so it is asked to tell that in a namespace which cannot be, to which it comes when it has found the one.
    fn whether(&self, nsid: i32) -> Attributes {
        Attributes { nsid: Some(nsid), target: self.is_quick().then_some(NOWHERE), ..Attributes::default() }
    }

    /// What a refusal to answer [`whether`](Self::whether) says, if it is an answer.
    fn refused(&self, errno: i32) -> Option<bool> {
        match errno {
            libc::ENOENT => Some(false),
            libc::EINVAL if self.is_quick() => Some(true),
            _ => None,
        }
    }

    fn is_quick(&self) -> bool {
        self.quick == Some(true)
    }

    /// The same of several, in their order: so many questions in a datagram, so many answers received at once.
    pub(crate) fn each_exists(&mut self, nsids: &[i32]) -> Result<Vec<bool>, NetlinkError> {
        let mut found = Vec::with_capacity(nsids.len());
        for some in nsids.chunks(sys::MANY) {
            if some.len() < FEW {
                for nsid in some {
                    found.push(self.exists(*nsid)?);
                }
                continue;
            }
            let first = self.seq.wrapping_add(1);
            let mut questions = Vec::new();
            for nsid in some {
                questions.extend(self.question(wire::RTM_GETNSID, 0, &self.whether(*nsid)));
            }
            sys::send_to_kernel(self.socket.as_fd(), &questions)?;
            let mut answers: Vec<Option<Result<bool, i32>>> = vec![None; some.len()];
            let mut buffer = vec![0; ANSWER * sys::MANY];
            while answers.contains(&None) {
                sys::receive_many(self.socket.as_fd(), &mut buffer, |received, bytes| {
                    if !received.from_kernel {
                        return;
                    }
                    for message in wire::messages(bytes).flatten() {
                        let which = message.header.seq.wrapping_sub(first) as usize;
                        if let Some(answer) = answers.get_mut(which) {
                            *answer = Some(match message.body {
                                Body::Id(Attributes { nsid, .. }) => Ok(nsid.is_some_and(|nsid| nsid >= 0)),
                                Body::Failed { errno, .. } => self.refused(errno).ok_or(errno),
                                _ => Err(libc::EIO),
                            });
                        }
                    }
                })?;
            }
            for answer in answers.into_iter().flatten() {
                found.push(answer.map_err(NetlinkError::new)?);
            }
        }
        Ok(found)
    }

    /// Gives the namespace behind `fd` this id; -1: the lowest that is free.
    pub(crate) fn assign(&mut self, fd: u32, nsid: i32) -> Result<(), NetlinkError> {
        let attributes = Attributes { nsid: Some(nsid), fd: Some(fd), ..Attributes::default() };
        self.ask(wire::RTM_NEWNSID, wire::NLM_F_ACK, attributes).map(drop)
    }

    fn question(&mut self, kind: u16, flags: u16, attributes: &Attributes) -> Vec<u8> {
        self.seq = self.seq.wrapping_add(1);
        let header = Header { kind, flags: flags | wire::NLM_F_REQUEST, seq: self.seq, portid: 0 };
        wire::encode(header, attributes)
    }

    fn send(&mut self, kind: u16, flags: u16, attributes: &Attributes) -> io::Result<()> {
        let question = self.question(kind, flags, attributes);
        sys::send_to_kernel(self.socket.as_fd(), &question)
    }

    /// One answer to one question. The kernel answers before the question's `send` returns.
    fn ask(&mut self, kind: u16, flags: u16, attributes: Attributes) -> Result<Attributes, NetlinkError> {
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
                        let text = text.map(|text| String::from_utf8_lossy(text).into_owned());
                        return Err(NetlinkError { errno, text });
                    }
                    Some(_) => return Err(NetlinkError::new(libc::EIO)),
                    // the answer to a question that was given up
                    None => {}
                }
            }
        }
    }

    /// All ids here; or in the peer `target`, with those that the same namespaces have here.
    ///
    /// The kernel says of no dump that it is not whole, but it may not be, in two ways. It goes on with a dump by
    /// *position*: if an id before it went in the meantime, it passes over one. So where the next part does not follow
    /// on at once, the dump is asked for again, until two are the same. And newer kernels (6.18 is one) end it after
    /// the first part, however much there is: at most 1158 ids, on a socket that has never read much only 134. So the
    /// first read is a long one, and where the last part may have been full the ids after it are asked for.
    pub(crate) fn list(&mut self, target: Option<i32>) -> Result<Listing, NetlinkError> {
        if target.is_some() && !self.strict {
            // an older kernel would not look at the target, and list what is here
            return Err(NetlinkError::new(libc::EOPNOTSUPP));
        }
        match self.list_part(target)? {
            Listing { ids, until } if target.is_none() && until != i32::MAX => self.beyond(ids, until),
            listing => Ok(listing),
        }
    }

    /// The same, as far as one dump reaches.
    pub(crate) fn list_part(&mut self, target: Option<i32>) -> Result<Listing, NetlinkError> {
        self.buffer.resize(LONGEST, 0);
        if self.quick.is_none() {
            // who finds what cannot be has another reason to refuse; and the kernel remembers the longest read, for
            // which any answer will do, and none
            self.quick = Some(self.strict);
            self.quick = Some(self.strict && matches!(self.exists(NOWHERE), Ok(false)));
        }
        let agreed = self.agreed(target);
        // not to be kept by each of a thousand watchers
        self.buffer.truncate(ANSWER);
        self.buffer.shrink_to_fit();
        agreed.map(|(ids, end)| Listing { ids, until: end.unwrap_or(i32::MAX) })
    }

    /// What a dump lists, in ascending order; and the last id, if there may be more after it.
    fn agreed(&mut self, target: Option<i32>) -> Result<(Vec<Listed>, Option<i32>), NetlinkError> {
        let mut passes: Vec<Pass> = Vec::new();
        for _ in 0..TRIES {
            let pass = match self.dump(target) {
                // older kernels could not lock both namespaces just now; or a dump that was given up is not over
                Err(NetlinkError { errno: libc::EAGAIN | libc::EBUSY, .. }) => {
                    self.flush();
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
        // it changes faster than it can be asked: what is there all the time is in one of two
        let end = passes.last().ok_or_else(|| NetlinkError::new(libc::EAGAIN))?.end;
        let mut listed = Vec::new();
        for other in passes.into_iter().rev().take(2).flat_map(|pass| pass.listed) {
            // what comes after the end is not known yet
            if end.is_none_or(|end| other.nsid <= end) {
                add(&mut listed, other);
            }
        }
        Ok((listed, end))
    }

    /// The ids after the last one that was listed. The kernel gives the lowest that is free: they are close together.
    fn beyond(&mut self, mut ids: Vec<Listed>, last: i32) -> Result<Listing, NetlinkError> {
        let (mut until, mut end) = (last, last);
        while until < end.saturating_add(GAP) {
            let next: Vec<i32> = (until..i32::MAX).map(|nsid| nsid + 1).take(sys::MANY).collect();
            until = until.saturating_add(sys::MANY as i32);
            for (nsid, exists) in next.iter().zip(self.each_exists(&next)?) {
                if exists {
                    ids.push(Listed { nsid: *nsid, here: None });
                    end = *nsid;
                }
            }
        }
        Ok(Listing { ids, until })
    }

    fn dump(&mut self, target: Option<i32>) -> Result<Pass, NetlinkError> {
        self.send(wire::RTM_GETNSID, wire::NLM_F_DUMP, &Attributes { target, ..Attributes::default() })?;
        let mut pass = Pass::default();
        loop {
            let received = match sys::receive(self.socket.as_fd(), &mut self.buffer) {
                Ok(received) if !received.from_kernel => continue,
                Ok(received) => received,
                Err(error) => {
                    self.flush();
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
                        if received.length > CERTAINLY_NOT_FULL {
                            pass.end = pass.listed.last().map(|listed| listed.nsid);
                        }
                        return Ok(pass);
                    }
                    Body::Done { errno } | Body::Failed { errno, .. } => return Err(NetlinkError::new(errno)),
                    Body::Overrun => pass.interrupted = true,
                    _ => {}
                }
            }
            if received.length > CERTAINLY_NOT_FULL {
                pass.end = pass.listed.last().map(|listed| listed.nsid);
            }
        }
    }

    /// Throws away what is left of questions that were given up.
    fn flush(&mut self) {
        while sys::receive(self.socket.as_fd(), &mut self.buffer).is_ok() {}
    }
}
