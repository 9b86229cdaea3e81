//! A whole peering stream: messages, ticks and changed exports in any order, imports applied as they come.

use crate::chunks::{join, split};
use crate::targets::message;
use crate::world::{WORLD, attack};
use crate::{Target, chunks::Chunk};
use peerway_model::Secret;
use peerway_model::peering::RemoteInfo;
use peerway_peering_link::parts::{from_bytes, to_bytes};
use peerway_peering_protocol::freshness::MAX_REFUSED_KEPT;
use peerway_peering_protocol::{Effect, Exports, Message, OfferedBundle, Open, Session, Stored, Terms};
use std::sync::Arc;
use std::time::Duration;

/// One stream.
pub const TARGET: Target = Target {
    name: "peering-stream",
    run,
    seeds,
};

/// Messages that the peer's stream may ask of us for one of its own: an answer, or everything that is exported.
const MOST_EFFECTS: usize = 64;

fn run(data: &[u8]) {
    let Some((role, rest)) = data.split_first() else {
        return;
    };
    let mut now = Duration::ZERO;
    let (mut session, opening) = if role % 2 == 0 {
        Session::acceptor(Terms::default(), now)
    } else {
        let open = Open {
            peer_id: "id".to_owned(),
            stream_secret: Secret::new("secret".to_owned()),
            remote: RemoteInfo::default(),
        };
        Session::dialer(open, Terms::default(), now)
    };
    assert!(!opening.is_empty());
    let mut snapshot = WORLD.clone();
    for Chunk { tag, bytes } in split(rest).take(64) {
        let effects = match tag % 8 {
            0 => {
                now += Duration::from_secs(u64::from(tag) + bytes.len() as u64);
                session.on_tick(now)
            }
            1 => session.set_exports(exports(bytes), snapshot.revision(), now),
            2 if tag == 2 => session.terminate(now),
            3 if tag == 3 => session.on_end(),
            _ => match from_bytes(bytes) {
                Ok(message) => session.on_message(message, now),
                Err(_) => continue,
            },
        };
        assert!(
            effects.len() <= MOST_EFFECTS,
            "{} effects of one step",
            effects.len()
        );
        let mut ended = false;
        for effect in effects {
            assert!(!ended, "something follows the end");
            match effect {
                Effect::Send(message) => check_sent(&message),
                Effect::Import { ticket, resource } => {
                    let result = attack(&mut snapshot, &resource);
                    for effect in session.on_applied(ticket, result, now) {
                        if let Effect::Send(message) = effect {
                            check_sent(&message);
                        }
                    }
                }
                Effect::Verify => {
                    for effect in session.on_verified(&Stored::default(), now) {
                        match effect {
                            Effect::Send(message) => check_sent(&message),
                            Effect::Ended(_) => ended = true,
                            _ => {}
                        }
                    }
                }
                Effect::Ended(_) => ended = true,
                Effect::MarkTerminated
                | Effect::HalfClose
                | Effect::Refused { .. }
                | Effect::Resync { .. } => {}
            }
        }
        assert!(session.freshness().refused.len() <= MAX_REFUSED_KEPT);
        if ended {
            assert!(session.next_tick().is_none());
            return;
        }
    }
}

/// What is said can be read by the other side.
fn check_sent(message: &Message) {
    let bytes = to_bytes(message);
    assert_eq!(to_bytes(&from_bytes(&bytes).unwrap()), bytes);
}

/// Some exports: each byte is a service, its high bit whether it has instances.
fn exports(bytes: &[u8]) -> Exports {
    let names = bytes.iter().take(8).map(|byte| format!("s{}", byte % 16));
    let list: Vec<String> = names.collect();
    Exports {
        services: list.iter().map(|name| (name.clone(), Arc::from([]))).collect(),
        withheld: Default::default(),
        list: list.into(),
        bundle: bytes.first().map(|byte| {
            Arc::new(OfferedBundle {
                trust_domain: format!("own{byte}.consul"),
                ..OfferedBundle::default()
            })
        }),
        addresses: Arc::from(["h:1".to_owned()]),
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let messages = message::seeds();
    let with_role = |role: u8, steps: Vec<(u8, &[u8])>| [vec![role], join(steps)].concat();
    let all = |role| with_role(role, messages.iter().map(|bytes| (7, bytes.as_slice())).collect());
    let mut seeds: Vec<Vec<u8>> = messages
        .chunks(8)
        .flat_map(|some| {
            let mut steps: Vec<(u8, &[u8])> = some.iter().map(|bytes| (5, bytes.as_slice())).collect();
            steps.insert(1, (1, b"abc"));
            steps.push((1, b"b"));
            steps.push((0, b"0123456789"));
            [with_role(0, steps.clone()), with_role(1, steps)]
        })
        .collect();
    seeds.extend([
        all(0),
        all(1),
        with_role(0, vec![(2, b"")]),
        with_role(1, vec![(3, b"")]),
    ]);
    seeds.push(with_role(1, vec![(248, b""); 12]));
    seeds
}
