//! Byte vectors of every message, both ways.

use super::messages::{self as wire, Payload};
use super::*;
use peerway_model::peering::RemoteInfo;
use peerway_model::{HealthSummary, PeerMeta, Secret};
use peerway_peering_protocol::{
    Content, Message, OfferedBundle, OfferedCheck, OfferedInstance, OfferedNode, OfferedProxy,
    OfferedService, Open, Request, Resource, ResourceType, Response,
};
use prost::Message as _;
use std::sync::Arc;

fn bytes(message: &Message) -> Vec<u8> {
    encode(message).encode_to_vec()
}

fn back(bytes: &[u8]) -> Message {
    decode(ReplicationMessage::decode(bytes).unwrap())
}

/// A length-delimited field, for vectors written by hand.
fn field(number: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::encode_varint(u64::from(number) << 3 | 2, &mut bytes);
    prost::encoding::encode_varint(payload.len() as u64, &mut bytes);
    bytes.extend(payload);
    bytes
}

/// An integer field.
fn number(number: u8, value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::encode_varint(u64::from(number) << 3, &mut bytes);
    prost::encoding::encode_varint(value, &mut bytes);
    bytes
}

#[test]
fn the_constant_messages_are_those_of_the_facts() {
    assert_eq!(bytes(&Message::Heartbeat(None)), [0x2a, 0x00]);
    assert_eq!(bytes(&Message::Terminated), [0x22, 0x00]);
    assert!(matches!(back(&[0x2a, 0x00]), Message::Heartbeat(None)));
    assert!(matches!(back(&[0x22, 0x00]), Message::Terminated));
    assert!(matches!(back(&[]), Message::Empty));
    // An unknown payload, and an unknown field inside a known one.
    assert!(matches!(back(&[0x32, 0x01, 0x41]), Message::Empty));
    assert!(matches!(
        back(&[0x2a, 0x02, 0x50, 0x01]),
        Message::Heartbeat(None)
    ));
}

#[test]
fn open_has_its_fields_in_place() {
    let open = Message::Open(Open {
        peer_id: "id".to_owned(),
        stream_secret: Secret::new("sec"),
        remote: RemoteInfo {
            partition: String::new(),
            datacenter: "dc1".to_owned(),
        },
    });
    let expected = [
        0x0a, 0x10, 0x0a, 0x02, b'i', b'd', 0x12, 0x03, b's', b'e', b'c', 0x1a, 0x05, 0x12, 0x03, b'd', b'c',
        b'1',
    ];
    assert_eq!(bytes(&open), expected);
    let Message::Open(open) = back(&expected) else {
        panic!("not an open");
    };
    assert!(open.stream_secret.matches("sec"));
    assert_eq!(open.remote.datacenter, "dc1");
}

#[test]
fn a_nack_carries_its_error_in_field_five() {
    let nack = Message::Request(Request {
        peer_id: String::new(),
        nonce: "1".to_owned(),
        url: "u".to_owned(),
        error: Some((3, "no".to_owned())),
        digests: 0,
        resync: false,
    });
    let expected = [
        0x12, 0x0e, 0x12, 0x01, b'1', 0x1a, 0x01, b'u', 0x2a, 0x06, 0x08, 0x03, 0x12, 0x02, b'n', b'o',
    ];
    assert_eq!(bytes(&nack), expected);
    let Message::Request(request) = back(&expected) else {
        panic!("not a request");
    };
    assert_eq!(request.error, Some((3, "no".to_owned())));
}

fn sample() -> OfferedInstance {
    OfferedInstance {
        node: OfferedNode {
            name: "n".to_owned(),
            datacenter: "d".to_owned(),
            ..OfferedNode::default()
        },
        service: OfferedService {
            kind: "connect-proxy".to_owned(),
            id: "i".to_owned(),
            name: "s".to_owned(),
            port: 80,
            tagged_addresses: [("wan".to_owned(), ("a".to_owned(), 1))].into(),
            weights: Some((1, 2)),
            proxy: Some(OfferedProxy {
                destination: "x".to_owned(),
                destination_id: "y".to_owned(),
            }),
            peer_meta: Some(PeerMeta {
                sni: vec!["sni".to_owned()],
                spiffe_ids: vec!["sp".to_owned()],
                protocol: "tcp".to_owned(),
                health: None,
            }),
            ..OfferedService::default()
        },
        checks: vec![OfferedCheck {
            id: "c".to_owned(),
            name: "o".to_owned(),
            status: "passing".to_owned(),
            node: "n".to_owned(),
            service_id: "i".to_owned(),
            service_name: "s".to_owned(),
        }],
    }
}

#[test]
fn the_health_behind_a_gateway_is_a_field_that_others_do_not_know() {
    let mut offer = sample();
    let health = HealthSummary {
        healthy: 2,
        total: 4,
        weight: 7,
        draining: 1,
    };
    offer.service.peer_meta.as_mut().unwrap().health = Some(health);
    let response = |offer: OfferedInstance| {
        Message::Response(Response {
            nonce: "1".to_owned(),
            url: ResourceType::ExportedService.url().to_owned(),
            id: "s".to_owned(),
            operation: 1,
            content: Content::Resource(Resource::ExportedService {
                name: "s".to_owned(),
                instances: Arc::from([offer]),
            }),
            bytes: 0,
        })
    };
    let encoded = bytes(&response(offer.clone()));
    let known = [number(1, 2), number(2, 4), number(3, 7), number(4, 1)].concat();
    let mut tagged = Vec::new();
    prost::encoding::encode_varint(8505 << 3 | 2, &mut tagged);
    tagged.push(u8::try_from(known.len()).unwrap());
    tagged.extend(known);
    assert!(encoded.windows(tagged.len()).any(|part| part == tagged));
    let Message::Response(response) = back(&encoded) else {
        panic!("not a response");
    };
    let expected = Resource::ExportedService {
        name: "s".to_owned(),
        instances: Arc::from([offer]),
    };
    assert_eq!(response.content, Content::Resource(expected));
}

#[test]
fn an_exported_service_has_its_fields_in_place() {
    let node = [field(2, b"n"), field(4, b"d")].concat();
    let service = [
        field(1, b"connect-proxy"),
        field(2, b"i"),
        field(3, b"s"),
        number(7, 80),
        field(8, &[number(1, 1), number(2, 2)].concat()),
        field(11, &[field(1, b"x"), field(2, b"y")].concat()),
        field(
            12,
            &field(4, &[field(1, b"sni"), field(2, b"sp"), field(3, b"tcp")].concat()),
        ),
        field(
            15,
            &[
                field(1, b"wan"),
                field(2, &[field(1, b"a"), number(2, 1)].concat()),
            ]
            .concat(),
        ),
        field(16, b""),
    ]
    .concat();
    let check = [
        field(1, b"n"),
        field(2, b"c"),
        field(3, b"o"),
        field(4, b"passing"),
        field(7, b"i"),
        field(8, b"s"),
        field(13, b""),
    ]
    .concat();
    let exported = field(
        1,
        &[field(1, &node), field(2, &service), field(3, &check)].concat(),
    );
    let url = ResourceType::ExportedService.url();
    let any = [field(1, url.as_bytes()), field(2, &exported)].concat();
    let response = [
        field(1, b"00000001"),
        field(2, url.as_bytes()),
        field(3, b"s"),
        field(4, &any),
        number(5, 1),
    ]
    .concat();
    let inner = Response {
        nonce: "00000001".to_owned(),
        url: url.to_owned(),
        id: "s".to_owned(),
        operation: 1,
        content: Content::Resource(Resource::ExportedService {
            name: "s".to_owned(),
            instances: Arc::from([sample()]),
        }),
        bytes: 0,
    };
    assert_eq!(bytes(&Message::Response(inner.clone())), field(3, &response));
    let Message::Response(decoded) = back(&field(3, &response)) else {
        panic!("not a response");
    };
    assert!(decoded.bytes > 100);
    assert_eq!(
        decoded,
        Response {
            bytes: decoded.bytes,
            ..inner
        }
    );
}

fn response(resource: Resource) -> Message {
    Message::Response(Response {
        nonce: "1".to_owned(),
        url: resource.kind().url().to_owned(),
        id: resource.id().to_owned(),
        operation: 1,
        content: Content::Resource(resource),
        bytes: 0,
    })
}

fn value(message: &Message) -> Vec<u8> {
    match encode(message).payload {
        Some(Payload::Response(response)) => response.resource.unwrap().value,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_other_resources_have_their_fields_in_place() {
    let bundle = response(Resource::TrustBundle(Arc::new(OfferedBundle {
        trust_domain: "td".to_owned(),
        root_pems: vec!["p".to_owned(), "q".to_owned()],
        exported_partition: "e".to_owned(),
    })));
    let fields = [field(1, b"td"), field(4, b"p"), field(4, b"q"), field(5, b"e")].concat();
    assert_eq!(value(&bundle), fields);
    let list = response(Resource::ExportedServiceList(Arc::from(["a".to_owned()])));
    assert_eq!(value(&list), field(1, b"a"));
    // An empty list is content all the same.
    let empty = response(Resource::ExportedServiceList(Arc::from([])));
    assert_eq!(value(&empty), b"");
    let addresses = response(Resource::ServerAddresses(Arc::from(["h:1".to_owned()])));
    assert_eq!(value(&addresses), field(1, b"h:1"));
    for message in [bundle, list, empty, addresses] {
        let again = back(&bytes(&message));
        let (Message::Response(before), Message::Response(after)) = (message, again) else {
            panic!("not a response");
        };
        let bytes = after.bytes;
        assert_eq!(Response { bytes, ..before }, after);
    }
}

#[test]
fn what_cannot_be_read_says_why() {
    let read = |url: &str, any: Option<wire::Any>| {
        let response = wire::Response {
            resource_url: url.to_owned(),
            resource: any,
            ..wire::Response::default()
        };
        let message = ReplicationMessage {
            payload: Some(Payload::Response(response)),
        };
        match decode(message) {
            Message::Response(response) => response.content,
            other => panic!("{other:?}"),
        }
    };
    let url = ResourceType::ExportedService.url();
    let any = |type_url: &str, value: &[u8]| {
        Some(wire::Any {
            type_url: type_url.to_owned(),
            value: value.to_vec(),
        })
    };
    assert_eq!(read(url, None), Content::Absent);
    assert!(matches!(read(url, any("other", b"")), Content::Unreadable(_)));
    assert!(matches!(read(url, any(url, &[0xff])), Content::Unreadable(_)));
    let Content::Unreadable(cause) = read(url, any(url, &field(1, b""))) else {
        panic!("read a node without a node");
    };
    assert_eq!(cause, "Nodes[0] lacks its Node or its Service");
    assert!(matches!(read("unknown", any("unknown", b"")), Content::Absent));
}

#[test]
fn secrets_are_not_printed() {
    let open = Message::Open(Open {
        peer_id: "id".to_owned(),
        stream_secret: Secret::new("hush"),
        remote: RemoteInfo::default(),
    });
    assert!(!format!("{open:?} {:?}", encode(&open)).contains("hush"));
}

#[test]
fn what_is_not_in_consul_is_where_consul_ignores_it() {
    use peerway_peering_protocol::Pulse;
    use peerway_peering_protocol::digest::Digest;
    let pulse = Pulse {
        clock: 1,
        echo: 2,
        digest: Some(Digest {
            services: 3,
            list: 4,
            bundle: 5,
        }),
        withheld: vec![("web".to_owned(), "x".to_owned())],
    };
    let own = [
        number(1, 1),
        number(2, 2),
        field(
            3,
            &[
                [&[0x09_u8][..], &3_u64.to_le_bytes()].concat(),
                [&[0x11_u8][..], &4_u64.to_le_bytes()].concat(),
                [&[0x19_u8][..], &5_u64.to_le_bytes()].concat(),
            ]
            .concat(),
        ),
        field(4, &[field(1, b"web"), field(2, b"x")].concat()),
    ]
    .concat();
    // Field 8503 of an otherwise empty heartbeat.
    let expected = field(
        5,
        &[&[0xba, 0x93, 0x04, u8::try_from(own.len()).unwrap()][..], &own].concat(),
    );
    assert_eq!(bytes(&Message::Heartbeat(Some(pulse.clone()))), expected);
    let Message::Heartbeat(Some(decoded)) = back(&expected) else {
        panic!("no pulse");
    };
    assert_eq!(decoded, pulse);

    let subscription = Message::Request(Request {
        peer_id: String::new(),
        nonce: String::new(),
        url: "u".to_owned(),
        error: None,
        digests: 1,
        resync: true,
    });
    // Fields 8503 and 8504 of a request.
    let expected = [
        0x12, 0x0b, 0x1a, 0x01, b'u', 0xb8, 0x93, 0x04, 0x01, 0xc0, 0x93, 0x04, 0x01,
    ];
    assert_eq!(bytes(&subscription), expected);
    let Message::Request(request) = back(&expected) else {
        panic!("not a request");
    };
    assert_eq!((request.digests, request.resync), (1, true));
}

#[test]
fn the_estimate_of_a_size_is_never_too_small() {
    let mut offer = sample();
    for count in [0, 1, 60] {
        offer.service.tags = (0..count).map(|index| format!("tag-{index}")).collect();
        offer.node.meta = (0..count)
            .map(|index| (format!("k{index}"), String::new()))
            .collect();
        let resource = Resource::ExportedService {
            name: "s".to_owned(),
            instances: std::iter::repeat_n(offer.clone(), 1 + 10 * count).collect(),
        };
        let exact = bytes(&response(resource.clone())).len();
        assert!(resource.at_most_bytes() + 256 >= exact, "{count}: {exact}");
        assert!(resource.at_most_bytes() < 10 * exact, "{count}: {exact}");
    }
}
