//! The bytes of rtnetlink's nsid messages, both ways. Pure and total: reading terminates without panic for all input.
//!
//! What it accepts, it interprets as the kernel does: it checks lengths and alignment, skips unknown attributes, and
//! reads nsids as *signed* numbers. It cannot verify the sender, whose address is not in the bytes (a header can be
//! forged): [`super::listener`] and [`super::request`] do that.

pub(crate) const RTM_NEWNSID: u16 = 88;
pub(crate) const RTM_DELNSID: u16 = 89;
pub(crate) const RTM_GETNSID: u16 = 90;

const NLMSG_NOOP: u16 = libc::NLMSG_NOOP as u16;
const NLMSG_ERROR: u16 = libc::NLMSG_ERROR as u16;
const NLMSG_DONE: u16 = libc::NLMSG_DONE as u16;
const NLMSG_OVERRUN: u16 = libc::NLMSG_OVERRUN as u16;

pub(crate) const NLM_F_REQUEST: u16 = libc::NLM_F_REQUEST as u16;
pub(crate) const NLM_F_ACK: u16 = libc::NLM_F_ACK as u16;
pub(crate) const NLM_F_DUMP: u16 = libc::NLM_F_DUMP as u16;
const NLM_F_DUMP_INTR: u16 = libc::NLM_F_DUMP_INTR as u16;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;

const NETNSA_NSID: u16 = 1;
const NETNSA_PID: u16 = 2;
const NETNSA_FD: u16 = 3;
const NETNSA_TARGET_NSID: u16 = 4;
const NETNSA_CURRENT_NSID: u16 = 5;

const NLMSGERR_ATTR_MSG: u16 = 1;
/// The mask of an attribute's type without the two flag bits.
const TYPE: u16 = 0x3fff;

/// `struct nlmsghdr`: length, type, flags, sequence number, port.
const HEADER: usize = 16;
/// `struct rtgenmsg`, one byte, with its padding.
const GENERAL: usize = 4;
/// `struct nlattr`: length, type.
const ATTRIBUTE: usize = 4;

/// The parts of a header that the library uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) seq: u32,
    pub(crate) portid: u32,
}

impl Header {
    /// The dump of this message is inconsistent: request it again.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.flags & NLM_F_DUMP_INTR != 0
    }
}

/// The attributes of an nsid message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    /// Signed: -1 means no nsid.
    pub(crate) nsid: Option<i32>,
    pub(crate) pid: Option<u32>,
    pub(crate) fd: Option<u32>,
    pub(crate) target: Option<i32>,
    pub(crate) current: Option<i32>,
}

/// The contents of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body<'a> {
    /// An nsid was assigned; or the answer to a question. Both have the same type; on kernels of 2015 the answer has
    /// that of the question.
    Id(Attributes),
    /// The namespace with the nsid is gone.
    Gone(Attributes),
    /// The request failed; with 0, it succeeded.
    Failed { errno: i32, text: Option<&'a [u8]> },
    /// A dump ended; with a number other than 0, it failed.
    Done { errno: i32 },
    /// Data was lost.
    Overrun,
    /// Not for us.
    Other,
}

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) header: Header,
    pub(crate) body: Body<'a>,
}

/// Malformed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Writes one message.
pub(crate) fn encode(header: Header, attributes: &Attributes) -> Vec<u8> {
    let values = [
        (NETNSA_NSID, attributes.nsid.map(i32::to_ne_bytes)),
        (NETNSA_PID, attributes.pid.map(u32::to_ne_bytes)),
        (NETNSA_FD, attributes.fd.map(u32::to_ne_bytes)),
        (NETNSA_TARGET_NSID, attributes.target.map(i32::to_ne_bytes)),
        (NETNSA_CURRENT_NSID, attributes.current.map(i32::to_ne_bytes)),
    ];
    let each = ATTRIBUTE + 4;
    let length = HEADER + GENERAL + each * values.iter().filter(|(_, value)| value.is_some()).count();
    let mut bytes = Vec::with_capacity(length);
    bytes.extend((length as u32).to_ne_bytes());
    bytes.extend(header.kind.to_ne_bytes());
    bytes.extend(header.flags.to_ne_bytes());
    bytes.extend(header.seq.to_ne_bytes());
    bytes.extend(header.portid.to_ne_bytes());
    bytes.extend([0; GENERAL]);
    for (kind, value) in values {
        if let Some(value) = value {
            bytes.extend((each as u16).to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(value);
        }
    }
    bytes
}

/// Iterates over the messages of one datagram. A malformed payload does not hide the next message; after an impossible
/// length, the iteration ends with [`Malformed`].
pub(crate) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Result<Message<'_>, Malformed>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let Some((header, payload, rest)) = split_message(bytes) else {
            bytes = &[];
            return Some(Err(Malformed));
        };
        bytes = rest;
        Some(body(&header, payload).map(|body| Message { header, body }))
    })
}

fn split_message(bytes: &[u8]) -> Option<(Header, &[u8], &[u8])> {
    let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, p0, p1, p2, p3] = *bytes.first_chunk::<HEADER>()?;
    let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).ok()?;
    let payload = bytes.get(HEADER..length)?;
    let header = Header {
        kind: u16::from_ne_bytes([k0, k1]),
        flags: u16::from_ne_bytes([f0, f1]),
        seq: u32::from_ne_bytes([s0, s1, s2, s3]),
        portid: u32::from_ne_bytes([p0, p1, p2, p3]),
    };
    Some((header, payload, after(bytes, length)?))
}

/// The bytes after an item of this length. The padding of the last item may be missing.
fn after(bytes: &[u8], length: usize) -> Option<&[u8]> {
    Some(bytes.get(length.checked_next_multiple_of(4)?..).unwrap_or_default())
}

#[inline]
fn body<'a>(header: &Header, payload: &'a [u8]) -> Result<Body<'a>, Malformed> {
    match header.kind {
        RTM_NEWNSID | RTM_GETNSID => ids(payload).map(Body::Id),
        RTM_DELNSID => ids(payload).map(Body::Gone),
        NLMSG_ERROR => failure(header.flags, payload).ok_or(Malformed),
        NLMSG_DONE if payload.is_empty() => Ok(Body::Done { errno: 0 }),
        NLMSG_DONE => errno(payload).map(|errno| Body::Done { errno }).ok_or(Malformed),
        NLMSG_OVERRUN => Ok(Body::Overrun),
        NLMSG_NOOP => Ok(Body::Other),
        _ => Ok(Body::Other),
    }
}

#[inline]
fn ids(payload: &[u8]) -> Result<Attributes, Malformed> {
    let mut found = Attributes::default();
    if payload.is_empty() {
        return Err(Malformed);
    }
    for attribute in attributes(after(payload, 1).unwrap_or_default()) {
        let (kind, value) = attribute?;
        match kind {
            NETNSA_NSID => found.nsid = Some(i32::from_ne_bytes(number(value)?)),
            NETNSA_PID => found.pid = Some(u32::from_ne_bytes(number(value)?)),
            NETNSA_FD => found.fd = Some(u32::from_ne_bytes(number(value)?)),
            NETNSA_TARGET_NSID => found.target = Some(i32::from_ne_bytes(number(value)?)),
            NETNSA_CURRENT_NSID => found.current = Some(i32::from_ne_bytes(number(value)?)),
            _ => {}
        }
    }
    Ok(found)
}

fn number(value: &[u8]) -> Result<[u8; 4], Malformed> {
    value.try_into().map_err(|_| Malformed)
}

/// The error number at the start of a payload; the kernel sends it negated.
fn errno(payload: &[u8]) -> Option<i32> {
    i32::from_ne_bytes(*payload.first_chunk()?).checked_neg().filter(|errno| *errno >= 0)
}

/// `struct nlmsgerr`: the error, its request (without payload if capped), extended acknowledgement.
fn failure(flags: u16, payload: &[u8]) -> Option<Body<'_>> {
    let errno = errno(payload)?;
    let request = payload.get(4..)?;
    let length = usize::try_from(u32::from_ne_bytes(*request.first_chunk()?)).ok()?.max(HEADER);
    let text = (flags & NLM_F_ACK_TLVS != 0)
        .then(|| after(request, if flags & NLM_F_CAPPED != 0 { HEADER } else { length }))
        .flatten()
        .and_then(|extended| {
            let said = |attribute| matches!(attribute, Ok((NLMSGERR_ATTR_MSG, _)));
            attributes(extended).find(|attribute| said(*attribute))?.ok()
        })
        // the text ends with a NUL
        .and_then(|(_, text)| text.split(|byte| *byte == 0).next());
    Some(Body::Failed { errno, text })
}

/// Iterates over attributes: type and value.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = Result<(u16, &[u8]), Malformed>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let split = || {
            let [l0, l1, k0, k1] = *bytes.first_chunk::<ATTRIBUTE>()?;
            let length = usize::from(u16::from_ne_bytes([l0, l1]));
            let value = bytes.get(ATTRIBUTE..length)?;
            Some((u16::from_ne_bytes([k0, k1]) & TYPE, value, after(bytes, length)?))
        };
        let Some((kind, value, rest)) = split() else {
            bytes = &[];
            return Some(Err(Malformed));
        };
        bytes = rest;
        Some(Ok((kind, value)))
    })
}

#[cfg(test)]
mod tests;
