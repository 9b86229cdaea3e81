//! A message to the DNS server.

use crate::Target;
use crate::world::{ATTACKER, WORLD, peering};
use domain::base::iana::Rtype;
use domain::base::{Message, MessageBuilder, Name};
use domain::rdata::AllRecordData;
use peerway_dns::{Domain, Known, MAX_UDP_BYTES, Transport, Zone, respond};
use peerway_model::{Datacenter, NodeName};
use std::collections::BTreeSet;

/// One message. The first byte says how it comes (odd: over TCP), of which peers what is held is too old, how answers
/// are cut, and in which order they are.
pub const TARGET: Target = Target {
    name: "dns-message",
    run,
    seeds,
};

fn run(data: &[u8]) {
    let Some((form, message)) = data.split_first() else {
        return;
    };
    let transport = match form & 1 {
        0 => Transport::Udp,
        _ => Transport::Tcp,
    };
    let mut stale = BTreeSet::new();
    if form & 2 != 0 {
        stale.insert(peering(ATTACKER));
    }
    let zone = Zone {
        alt_domain: Some(Domain::new("mesh.test").unwrap()),
        udp_answer_limit: usize::from((form >> 2) & 3),
        enable_truncate: form & 16 != 0,
        ..Zone::new(
            Domain::new("consul").unwrap(),
            Datacenter::new("dc1").unwrap(),
            NodeName::new("n1").unwrap(),
        )
    };
    let known = Known {
        snapshot: &WORLD,
        zone: &zone,
        stale: &stale,
    };
    let Some(reply) = respond(known, message, transport, u64::from(form >> 5)) else {
        return;
    };
    let most = match transport {
        Transport::Udp => MAX_UDP_BYTES,
        Transport::Tcp => usize::from(u16::MAX),
    };
    assert!(reply.bytes.len() <= most, "{} bytes", reply.bytes.len());
    let answer = Message::from_slice(&reply.bytes).expect("no message");
    assert!(answer.header().qr());
    assert_eq!(answer.header().id().to_be_bytes(), message[..2]);
    let asked = answer.sole_question().ok();
    for record in answer.iter() {
        let (record, _) = record.expect("a record that cannot be read");
        let record = record
            .to_any_record::<AllRecordData<_, _>>()
            .expect("data that cannot be read");
        assert!(asked.is_some() || record.rtype() == Rtype::OPT);
    }
    if let (Some(asked), Ok(answers)) = (asked, answer.answer()) {
        for record in answers.flatten() {
            assert_eq!(record.owner(), asked.qname(), "an answer to something else");
        }
    }
    // An answer is not answered, or two servers might never stop.
    assert!(respond(known, &reply.bytes, transport, 0).is_none());
}

fn seeds() -> Vec<Vec<u8>> {
    let names = [
        "web.service.consul",
        "v1.web.service.default.ns.default.ap.dc1.dc.consul",
        "_web._tcp.service.consul",
        "web.connect.consul",
        "web.virtual.consul",
        "web.virtual.them.consul",
        "web.service.them.peer.mesh.test",
        "n1.node.them.peer.consul",
        "0a000001.addr.dc1.consul",
        "fd000000000000000000000000000001.addr.consul",
        "consul",
        "example.com",
    ];
    let types = [
        Rtype::A,
        Rtype::AAAA,
        Rtype::SRV,
        Rtype::ANY,
        Rtype::TXT,
        Rtype::NS,
    ];
    let mut seeds = Vec::new();
    for (index, name) in names.into_iter().enumerate() {
        let mut builder = MessageBuilder::new_vec().question();
        let rtype = types[index % types.len()];
        builder.push((Name::vec_from_str(name).unwrap(), rtype)).unwrap();
        let mut builder = builder.additional();
        if index % 2 == 0 {
            builder
                .opt(|opt| {
                    opt.set_udp_payload_size(1232);
                    Ok(())
                })
                .unwrap();
        }
        let mut seed = vec![u8::try_from(index * 37 % 256).unwrap()];
        seed.extend(builder.finish());
        seeds.push(seed);
    }
    seeds
}
