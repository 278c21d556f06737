//! Messages: words, separated by NUL bytes, and descriptors. Names are any bytes except NUL.

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

/// The maximum size of a message in bytes. A path has at most 4095.
const SIZE: usize = 1 << 16;

/// The maximum number of descriptors in a message.
const DESCRIPTORS: usize = 2;

/// A request as received.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) text: Vec<u8>,
    pub(super) fds: Vec<OwnedFd>,
    /// It was longer, or had more descriptors, than any valid request.
    pub(super) is_cut: bool,
}

impl Request {
    pub(super) fn words(&self) -> Vec<&OsStr> {
        self.text.split(|byte| *byte == 0).map(OsStr::from_bytes).collect()
    }
}

/// An answer.
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

    /// `key=value`, with any bytes as the value.
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
                "cannot serve: standard input is not a Unix socket of a client, see nswatch(1)".into(),
            )),
        }
    }

    /// Receives the next request. `None`: the client has closed its end.
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
            // the buffer has room for one
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
