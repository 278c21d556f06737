//! The messages: words, with a NUL byte between each two, and descriptors. Names are any bytes but NUL.

use std::ffi::OsStr;
use std::fmt::Display;
use std::io::{IoSlice, IoSliceMut, stdin};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::cmsg_space;
use rustix::io::Errno;
use rustix::net::sockopt::socket_type;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketType, recvmsg, sendmsg,
};

use crate::ending::Ending;

/// The most bytes of a message. A path has 4095.
const SIZE: usize = 1 << 16;

/// The most descriptors of a message.
const DESCRIPTORS: usize = 2;

/// A request as it came.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) text: Vec<u8>,
    pub(super) fds: Vec<OwnedFd>,
    /// It was longer, or had more descriptors, than any request has.
    pub(super) is_cut: bool,
}

impl Request {
    pub(super) fn words(&self) -> Vec<&OsStr> {
        self.text.split(|byte| *byte == 0).map(OsStr::from_bytes).collect()
    }
}

/// What goes back.
#[derive(Debug)]
pub(super) struct Answer {
    text: Vec<u8>,
    fd: Option<OwnedFd>,
}

impl Answer {
    pub(super) fn new(word: &str) -> Self {
        Self { text: word.into(), fd: None }
    }

    pub(super) fn word(mut self, word: impl Display) -> Self {
        self.text.push(0);
        self.text.extend_from_slice(word.to_string().as_bytes());
        self
    }

    /// `key=value`
    pub(super) fn field(self, key: &str, value: impl Display) -> Self {
        self.word(format_args!("{key}={value}"))
    }

    /// The same with any bytes as the value.
    pub(super) fn name(self, key: &str, name: &OsStr) -> Self {
        let mut named = self.field(key, "");
        named.text.extend_from_slice(name.as_bytes());
        named
    }

    pub(super) fn with_fd(mut self, fd: OwnedFd) -> Self {
        self.fd = Some(fd);
        self
    }
}

/// Standard input.
#[derive(Debug)]
pub(super) struct Socket(std::io::Stdin);

impl Socket {
    pub(super) fn of_stdin() -> Result<Self, Ending> {
        let socket = Self(stdin());
        match socket_type(&socket.0) {
            Ok(SocketType::SEQPACKET) => Ok(socket),
            _ => Err(Ending::Failed(
                "cannot serve: standard input is not a Unix socket of a program that asks, see nswatch(1)".into(),
            )),
        }
    }

    /// The next request. `None`: the other end is closed.
    pub(super) fn receive(&self) -> Result<Option<Request>, Ending> {
        let mut text = vec![0; SIZE];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let flags = RecvFlags::CMSG_CLOEXEC;
            match recvmsg(&self.0, &mut [IoSliceMut::new(&mut text)], &mut control, flags) {
                Err(Errno::INTR) => {}
                Err(Errno::CONNRESET) => return Ok(None),
                received => break received,
            }
        };
        let received = received.map_err(|error| Ending::failed("read a request", error.into()))?;
        let rights = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        });
        let fds: Vec<_> = rights.flatten().collect();
        let is_cut = received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
        text.truncate(received.bytes);
        Ok((!text.is_empty()).then_some(Request { text, fds, is_cut }))
    }

    pub(super) fn send(&self, answer: &Answer) -> Result<(), Ending> {
        let fds: Vec<BorrowedFd<'_>> = answer.fd.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            // there is room for the one
            control.push(SendAncillaryMessage::ScmRights(&fds));
        }
        loop {
            match sendmsg(&self.0, &[IoSlice::new(&answer.text)], &mut control, SendFlags::NOSIGNAL) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::PIPE | Errno::CONNRESET) => return Err(Ending::NobodyReads),
                Err(error) => return Err(Ending::failed("write an answer", error.into())),
            }
        }
    }
}
