use super::*;
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};
use proptest::prelude::*;

fn one(bytes: &[u8]) -> Result<Message<'_>, Malformed> {
    let mut all = messages(bytes);
    let first = all.next().expect("a message");
    assert_eq!(all.next(), None);
    first
}

/// A message of any type around any payload.
fn raw(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = encode(Header { kind, flags, seq: 7, portid: 9 }, &Attributes::default());
    bytes.truncate(HEADER);
    bytes.extend(payload);
    let length = bytes.len() as u32;
    bytes[..4].copy_from_slice(&length.to_ne_bytes());
    bytes
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(((ATTRIBUTE + value.len()) as u16).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn any_attributes() -> impl Strategy<Value = Attributes> {
    (any::<Option<i32>>(), any::<Option<u32>>(), any::<Option<u32>>(), any::<Option<i32>>(), any::<Option<i32>>())
        .prop_map(|(nsid, pid, fd, target, current)| Attributes { nsid, pid, fd, target, current })
}

fn any_header() -> impl Strategy<Value = Header> {
    (RTM_NEWNSID..=RTM_GETNSID, any::<u16>(), any::<u32>(), any::<u32>())
        .prop_map(|(kind, flags, seq, portid)| Header { kind, flags, seq, portid })
}

fn expected(header: Header, attributes: Attributes) -> Message<'static> {
    let body = if header.kind == RTM_DELNSID { Body::Gone(attributes) } else { Body::Id(attributes) };
    Message { header, body }
}

fn as_oracle_attributes(attributes: &Attributes) -> Vec<NsidAttribute> {
    [
        attributes.nsid.map(NsidAttribute::Id),
        attributes.pid.map(NsidAttribute::Pid),
        attributes.fd.map(NsidAttribute::Fd),
        attributes.target.map(NsidAttribute::TargetNsid),
        attributes.current.map(NsidAttribute::CurrentNsid),
    ]
    .into_iter()
    .flatten()
    .collect()
}

proptest! {
    #[test]
    fn reads_back_what_was_written(sent in prop::collection::vec((any_header(), any_attributes()), 0..20)) {
        let bytes: Vec<u8> = sent.iter().flat_map(|(header, attributes)| encode(*header, attributes)).collect();
        let read: Result<Vec<_>, _> = messages(&bytes).collect();
        let sent: Vec<_> = sent.into_iter().map(|(header, attributes)| expected(header, attributes)).collect();
        prop_assert_eq!(read, Ok(sent));
    }

    #[test]
    fn survives_anything(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(messages(&bytes).count() <= bytes.len() / HEADER + 1);
    }

    #[test]
    fn survives_anything_in_a_message(
        kind in prop_oneof![Just(NLMSG_ERROR), Just(NLMSG_DONE), RTM_NEWNSID..=RTM_GETNSID],
        flags in any::<u16>(),
        payload in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        prop_assert_eq!(messages(&raw(kind, flags, &payload)).count(), 1);
    }

    /// Another implementation reads our messages as we meant them.
    #[test]
    fn the_oracle_reads_what_we_write(header in any_header(), attributes in any_attributes()) {
        let bytes = encode(header, &attributes);
        let read = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&bytes).unwrap();
        prop_assert_eq!(read.header.length as usize, bytes.len());
        prop_assert_eq!(read.header.message_type, header.kind);
        prop_assert_eq!(read.header.flags, header.flags);
        prop_assert_eq!(read.header.sequence_number, header.seq);
        prop_assert_eq!(read.header.port_number, header.portid);
        let NetlinkPayload::InnerMessage(
            RouteNetlinkMessage::NewNsId(read) | RouteNetlinkMessage::DelNsId(read) | RouteNetlinkMessage::GetNsId(read),
        ) = read.payload else { panic!("another kind of message") };
        prop_assert_eq!(read.attributes, as_oracle_attributes(&attributes));
    }

    /// We read another implementation's messages as it meant them.
    #[test]
    fn we_read_what_the_oracle_writes(header in any_header(), attributes in any_attributes()) {
        let mut message = NsidMessage::default();
        message.attributes = as_oracle_attributes(&attributes);
        let mut written = NetlinkMessage::new(
            Default::default(),
            NetlinkPayload::InnerMessage(match header.kind {
                RTM_NEWNSID => RouteNetlinkMessage::NewNsId(message),
                RTM_DELNSID => RouteNetlinkMessage::DelNsId(message),
                _ => RouteNetlinkMessage::GetNsId(message),
            }),
        );
        written.header.flags = header.flags;
        written.header.sequence_number = header.seq;
        written.header.port_number = header.portid;
        written.finalize();
        let mut bytes = vec![0; written.buffer_len()];
        written.serialize(&mut bytes);
        prop_assert_eq!(one(&bytes), Ok(expected(header, attributes)));
    }
}

#[test]
fn a_request_has_the_kernels_layout() {
    let header = Header { kind: RTM_GETNSID, flags: NLM_F_REQUEST, seq: 1, portid: 0 };
    let bytes = encode(header, &Attributes { nsid: Some(-1), ..Attributes::default() });
    let mut wanted = Vec::new();
    wanted.extend(28u32.to_ne_bytes());
    wanted.extend([90u16, 1].map(u16::to_ne_bytes).concat());
    wanted.extend([1u32, 0].map(u32::to_ne_bytes).concat());
    wanted.extend([0; 4]);
    wanted.extend([8u16, 1].map(u16::to_ne_bytes).concat());
    wanted.extend([0xff; 4]);
    assert_eq!(bytes, wanted);
}

#[test]
fn unknown_attributes_are_skipped_and_padded_ones_read() {
    let mut payload = vec![0; 4];
    payload.extend(attribute(77, b"what is this"));
    payload.extend(attribute(78, b"odd"));
    payload.extend(attribute(NETNSA_NSID | 0x8000, &3i32.to_ne_bytes()));
    let message = raw(RTM_NEWNSID, 0, &payload);
    let read = one(&message).unwrap();
    assert_eq!(read.body, Body::Id(Attributes { nsid: Some(3), ..Attributes::default() }));
}

#[test]
fn wrong_lengths_are_refused() {
    let good = encode(
        Header { kind: RTM_NEWNSID, ..Header::default() },
        &Attributes { nsid: Some(3), ..Attributes::default() },
    );
    assert!(one(&good).is_ok());
    for length in 0..HEADER as u32 {
        let mut bytes = good.clone();
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        assert_eq!(one(&bytes), Err(Malformed), "a length of {length}");
    }
    for cut in 1..good.len() {
        assert_eq!(one(&good[..cut]), Err(Malformed), "cut to {cut} bytes");
    }
    for length in [0u16, 1, 3, 4, 5, 7, 9, 100] {
        let mut bytes = good.clone();
        bytes[20..22].copy_from_slice(&length.to_ne_bytes());
        assert_eq!(one(&bytes), Err(Malformed), "an attribute of {length} bytes");
    }
    assert_eq!(one(&raw(RTM_NEWNSID, 0, &[])), Err(Malformed));
}

#[test]
fn a_message_malformed_inside_does_not_hide_the_next() {
    let mut bytes = raw(RTM_NEWNSID, 0, &[0, 0, 0, 0, 9, 0, 1, 0]);
    bytes.extend(raw(NLMSG_DONE, 0, &[]));
    let read: Vec<_> = messages(&bytes).collect();
    assert_eq!(read.len(), 2);
    assert_eq!(read[0], Err(Malformed));
    assert_eq!(read[1].unwrap().body, Body::Done { errno: 0 });
}

#[test]
fn errors_with_the_kernels_explanation() {
    let request = encode(
        Header { kind: RTM_NEWNSID, ..Header::default() },
        &Attributes { nsid: Some(3), fd: Some(4), ..Attributes::default() },
    );
    let failed = |capped: bool| {
        let mut payload = (-libc::EEXIST).to_ne_bytes().to_vec();
        payload.extend(if capped { &request[..HEADER] } else { &request });
        payload.extend(attribute(2, &20u32.to_ne_bytes()));
        payload.extend(attribute(NLMSGERR_ATTR_MSG, b"already used\0"));
        raw(NLMSG_ERROR, NLM_F_ACK_TLVS | if capped { NLM_F_CAPPED } else { 0 }, &payload)
    };
    let wanted = Body::Failed { errno: libc::EEXIST, text: Some(b"already used") };
    assert_eq!(one(&failed(true)).unwrap().body, wanted);
    assert_eq!(one(&failed(false)).unwrap().body, wanted);

    let mut plain = (-libc::EEXIST).to_ne_bytes().to_vec();
    plain.extend(&request);
    let plain = raw(NLMSG_ERROR, 0, &plain);
    assert_eq!(one(&plain).unwrap().body, Body::Failed { errno: libc::EEXIST, text: None });
    let done = raw(NLMSG_DONE, 0, &(-libc::EACCES).to_ne_bytes());
    assert_eq!(one(&done).unwrap().body, Body::Done { errno: libc::EACCES });
    assert_eq!(one(&raw(NLMSG_DONE, 0, &5i32.to_ne_bytes())), Err(Malformed));
    assert_eq!(one(&raw(NLMSG_OVERRUN, 0, &[])).unwrap().body, Body::Overrun);
    assert_eq!(one(&raw(NLMSG_NOOP, 0, &[])).unwrap().body, Body::Other);
}

#[test]
fn an_interrupted_dump_is_seen_in_any_of_its_messages() {
    assert!(one(&raw(NLMSG_DONE, 0x12, &[])).unwrap().header.is_interrupted());
    assert!(!one(&raw(NLMSG_DONE, 0x2, &[])).unwrap().header.is_interrupted());
}
