//! Messages as bytes: what is answered, how much of it, and what is not.

use super::{world, zone};
use crate::{Known, MAX_UDP_BYTES, MIN_UDP_BYTES, Reply, Transport, Zone, respond};
use domain::base::iana::{Class, Opcode, OptRcode, Rcode, Rtype};
use domain::base::message_builder::AdditionalBuilder;
use domain::base::{Message, MessageBuilder, Name};
use peerway_state::{Snapshot, Transaction, apply};
use std::collections::BTreeSet;

/// A question, with how many bytes the asker takes over UDP if it says so.
pub(crate) fn asked(name: &str, rtype: Rtype, udp_bytes: Option<u16>) -> Vec<u8> {
    let mut builder = builder(name, rtype, Class::IN);
    if let Some(bytes) = udp_bytes {
        builder
            .opt(|opt| {
                opt.set_udp_payload_size(bytes);
                Ok(())
            })
            .unwrap();
    }
    builder.finish()
}

fn builder(name: &str, rtype: Rtype, class: Class) -> AdditionalBuilder<Vec<u8>> {
    let mut builder = MessageBuilder::new_vec().question();
    builder.header_mut().set_id(0x1234);
    builder.header_mut().set_rd(true);
    let name = Name::vec_from_str(name).unwrap();
    builder.push((name, rtype, class)).unwrap();
    builder.additional()
}

fn reply(snapshot: &Snapshot, zone: &Zone, bytes: &[u8], transport: Transport) -> Option<Reply> {
    let known = Known {
        snapshot,
        zone,
        stale: &BTreeSet::new(),
    };
    respond(known, bytes, transport, 1)
}

fn message(bytes: &[u8], transport: Transport) -> Message<Vec<u8>> {
    let reply = reply(&world(), &zone(), bytes, transport).expect("no answer");
    Message::from_octets(reply.bytes).unwrap()
}

/// A cluster with `count` instances of `many`, each at an address of its own.
fn many(count: u16) -> Snapshot {
    let mut snapshot = world();
    let rows = (0..count).flat_map(|index| {
        let [high, low] = index.to_be_bytes();
        let name = format!("m{index}");
        [
            super::node(None, &name, &format!("10.1.{high}.{low}")),
            super::local(&name, "many", "", 80, &[]),
        ]
    });
    let transaction = rows.fold(Transaction::new(), Transaction::put);
    apply(&mut snapshot, &transaction, 2).unwrap();
    snapshot
}

#[test]
fn an_answer_says_whose_it_is_and_to_what() {
    let question = asked("Web.Service.consul", Rtype::A, None);
    for transport in [Transport::Udp, Transport::Tcp] {
        let message = message(&question, transport);
        let header = message.header();
        assert_eq!(header.id(), 0x1234);
        assert!(header.qr() && header.aa() && header.rd() && !header.ra() && !header.tc());
        assert_eq!(header.rcode(), Rcode::NOERROR);
        let repeated = message.sole_question().unwrap();
        // As it was spelt: some resolvers hide a secret in the case.
        assert_eq!(
            repeated.qname().iter().next().unwrap().as_slice(),
            b"Web",
            "{}",
            repeated.qname()
        );
        assert_eq!(message.header_counts().ancount(), 2);
        assert!(message.opt().is_none());
    }
}

#[test]
fn what_does_not_fit_is_cut_and_said_to_be() {
    let (snapshot, all) = (
        many(400),
        Zone {
            udp_answer_limit: 0,
            ..zone()
        },
    );
    let mut counts = Vec::new();
    for (udp_bytes, limit) in [
        (None, MIN_UDP_BYTES),
        (Some(100), MIN_UDP_BYTES),
        (Some(1232), 1232),
        (Some(u16::MAX), MAX_UDP_BYTES),
    ] {
        for rtype in [Rtype::A, Rtype::SRV] {
            let question = asked("many.service.consul", rtype, udp_bytes);
            let reply = reply(&snapshot, &all, &question, Transport::Udp).unwrap();
            assert!(reply.bytes.len() <= limit, "{} of {limit}", reply.bytes.len());
            let message = Message::from_octets(reply.bytes).unwrap();
            assert!(message.header().tc(), "{udp_bytes:?}");
            assert_eq!(message.opt().is_some(), udp_bytes.is_some());
            if rtype == Rtype::A {
                counts.push(message.header_counts().ancount());
            }
        }
    }
    // Each as many as there is room for.
    assert_eq!(counts, [29, 29, 74, 253]);
    let question = asked("many.service.consul", Rtype::A, None);
    let reply = reply(&snapshot, &all, &question, Transport::Tcp).unwrap();
    let message = Message::from_octets(reply.bytes).unwrap();
    assert!(!message.header().tc());
    assert_eq!(message.header_counts().ancount(), 400);
}

#[test]
fn over_udp_few_are_enough() {
    let snapshot = many(10);
    let question = asked("many.service.consul", Rtype::SRV, Some(4096));
    for (enable_truncate, tc) in [(false, false), (true, true)] {
        let zone = Zone {
            enable_truncate,
            ..zone()
        };
        let udp = reply(&snapshot, &zone, &question, Transport::Udp).unwrap();
        let udp = Message::from_octets(udp.bytes).unwrap();
        assert_eq!(udp.header_counts().ancount(), 3);
        // Addresses of those three and of no others, and OPT.
        assert_eq!(udp.header_counts().arcount(), 4);
        assert_eq!(udp.header().tc(), tc);
        let tcp = reply(&snapshot, &zone, &question, Transport::Tcp).unwrap();
        let tcp = Message::from_octets(tcp.bytes).unwrap();
        assert_eq!(tcp.header_counts().ancount(), 10);
        assert!(!tcp.header().tc());
    }
}

#[test]
fn what_is_not_offered_is_said_by_code() {
    let other = |class| builder("web.service.consul", Rtype::A, class).finish();
    let mut update = asked("web.service.consul", Rtype::A, None);
    Message::from_octets(&mut update[..])
        .unwrap()
        .header_mut()
        .set_opcode(Opcode::UPDATE);
    let mut two = MessageBuilder::new_vec().question();
    for name in ["web.service.consul", "api.service.consul"] {
        two.push((Name::vec_from_str(name).unwrap(), Rtype::A)).unwrap();
    }
    let cases = [
        (update, Rcode::NOTIMP, "not_offered"),
        (other(Class::CH), Rcode::REFUSED, "refused"),
        (other(Class::ANY), Rcode::NOERROR, "answered"),
        (two.finish(), Rcode::FORMERR, "malformed"),
        (MessageBuilder::new_vec().finish(), Rcode::FORMERR, "malformed"),
        (asked("consul", Rtype::AXFR, None), Rcode::REFUSED, "refused"),
        (asked("example.com", Rtype::A, None), Rcode::REFUSED, "refused"),
        (
            asked("x.service.consul", Rtype::A, None),
            Rcode::NXDOMAIN,
            "nxdomain",
        ),
        (
            asked("web.service.consul", Rtype::AAAA, None),
            Rcode::NOERROR,
            "nodata",
        ),
        // A type that nobody has heard of is one that a name has no records of.
        (
            asked("web.service.consul", Rtype::from_int(65280), None),
            Rcode::NOERROR,
            "nodata",
        ),
    ];
    for (bytes, rcode, outcome) in cases {
        let reply = reply(&world(), &zone(), &bytes, Transport::Udp).unwrap();
        let message = Message::from_octets(&reply.bytes[..]).unwrap();
        assert_eq!(message.header().rcode(), rcode);
        assert_eq!(reply.outcome, outcome);
    }
}

#[test]
fn a_newer_edns_is_told_which_one_we_speak() {
    let mut builder = builder("web.service.consul", Rtype::A, Class::IN);
    builder
        .opt(|opt| {
            opt.set_version(1);
            Ok(())
        })
        .unwrap();
    let message = message(&builder.finish(), Transport::Udp);
    assert_eq!(message.opt_rcode(), OptRcode::BADVERS);
    assert_eq!(message.opt().unwrap().version(), 0);
    assert_eq!(message.header_counts().ancount(), 0);
}

#[test]
fn what_cannot_be_a_question_gets_no_answer_and_what_is_broken_is_said_to_be() {
    let (snapshot, zone) = (world(), zone());
    let question = asked("web.service.consul", Rtype::A, Some(1232));
    let answer = reply(&snapshot, &zone, &question, Transport::Udp).unwrap();
    assert!(reply(&snapshot, &zone, &answer.bytes, Transport::Udp).is_none());
    for len in 0..question.len() {
        let cut = reply(&snapshot, &zone, &question[..len], Transport::Udp);
        match cut {
            None => assert!(len < 12),
            Some(cut) => {
                assert_eq!(cut.outcome, "malformed", "{len}");
                let message = Message::from_octets(&cut.bytes[..]).unwrap();
                assert_eq!(message.header().id(), 0x1234);
            }
        }
    }
    // A name that points at itself.
    let mut turning = question[..12].to_vec();
    turning.extend([0xc0, 12, 0, 1, 0, 1]);
    turning[11] = 0;
    let turning = reply(&snapshot, &zone, &turning, Transport::Udp).unwrap();
    assert_eq!(turning.outcome, "malformed");
}
