//! Tables of messages in and effects out, for both roles.

mod verify;

use super::*;
use crate::message::{Content, OPERATION_UPSERT, Response};
use crate::offer::OfferedInstance;
use crate::resource::OfferedBundle;
use peerway_model::Secret;
use peerway_model::peering::RemoteInfo;

const ID: &str = "6b2fbc1e-0000-4000-8000-000000000001";

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn open() -> Open {
    Open {
        peer_id: ID.to_owned(),
        stream_secret: Secret::new("s"),
        remote: RemoteInfo::default(),
    }
}

fn dialer() -> Session {
    Session::dialer(open(), Terms::default(), at(0)).0
}

fn acceptor() -> Session {
    Session::acceptor(Terms::default(), at(0)).0
}

fn request(kind: ResourceType, nonce: &str, error: Option<&str>) -> Message {
    Message::Request(Request {
        peer_id: String::new(),
        nonce: nonce.to_owned(),
        url: kind.url().to_owned(),
        error: error.map(|text| (3, text.to_owned())),
        digests: 0,
        resync: false,
    })
}

fn subscribe_all(session: &mut Session) -> Vec<String> {
    let mut sent = Vec::new();
    for kind in ResourceType::ALL {
        sent.extend(told(session.on_message(request(kind, "", None), at(1))));
    }
    sent
}

/// Effects in short: `nonce id count` for responses, `ack`/`nack` for answers.
fn told(effects: Vec<Effect>) -> Vec<String> {
    // What a verification does is tested on its own.
    let shown = |effect: &Effect| !matches!(effect, Effect::Verify | Effect::Refused { .. });
    effects
        .into_iter()
        .filter(shown)
        .map(|effect| match effect {
            Effect::Send(Message::Open(open)) => format!("open {}", open.peer_id),
            Effect::Send(Message::Request(request)) => {
                let kind = ResourceType::parse(&request.url).map_or("unknown", ResourceType::as_str);
                match (request.nonce.as_str(), request.error) {
                    ("", None) => format!("subscribe {kind} {}", request.peer_id),
                    (nonce, None) => format!("ack {kind} {nonce}"),
                    (nonce, Some((code, text))) => format!("nack {kind} {nonce} {code} {text}"),
                }
            }
            Effect::Send(Message::Response(response)) => {
                let count = match response.content {
                    Content::Resource(Resource::ExportedService { instances, .. }) => instances.len(),
                    Content::Resource(Resource::ExportedServiceList(names)) => names.len(),
                    Content::Resource(Resource::ServerAddresses(addresses)) => addresses.len(),
                    Content::Resource(Resource::TrustBundle(bundle)) => bundle.root_pems.len(),
                    other => panic!("{other:?}"),
                };
                format!("{} {} {count}", response.nonce, response.id)
            }
            Effect::Send(Message::Heartbeat(None)) => "heartbeat".to_owned(),
            Effect::Send(message) => format!("{message:?}"),
            Effect::Import { resource, .. } => format!("import {}", resource.id()),
            Effect::Ended(End::Graceful) => "ended".to_owned(),
            Effect::Ended(End::Failed(refusal)) => format!("failed {:?} {refusal}", refusal.code),
            other => format!("{other:?}"),
        })
        .collect()
}

fn exports(services: &[(&str, usize)], list: &[&str]) -> Exports {
    Exports {
        services: services
            .iter()
            .map(|(name, count)| {
                let instances = vec![OfferedInstance::default(); *count];
                ((*name).to_owned(), instances.into())
            })
            .collect(),
        withheld: BTreeMap::new(),
        list: list.iter().map(|name| (*name).to_owned()).collect(),
        bundle: Some(Arc::new(OfferedBundle {
            root_pems: vec!["r".to_owned()],
            ..OfferedBundle::default()
        })),
        addresses: Arc::from(["h:1".to_owned()]),
    }
}

fn response(kind: ResourceType, content: Content) -> Response {
    Response {
        nonce: "n1".to_owned(),
        url: kind.url().to_owned(),
        id: "web".to_owned(),
        operation: OPERATION_UPSERT,
        content,
        bytes: 0,
    }
}

fn web() -> Content {
    Content::Resource(Resource::ExportedService {
        name: "web".to_owned(),
        instances: Arc::from([]),
    })
}

#[test]
fn each_side_opens_in_its_own_way() {
    let (_, effects) = Session::dialer(open(), Terms::default(), at(0));
    assert_eq!(
        told(effects),
        [
            format!("open {ID}"),
            format!("subscribe exported service {ID}"),
            format!("subscribe exported service list {ID}"),
            format!("subscribe trust bundle {ID}"),
            format!("subscribe server addresses {ID}"),
        ]
    );
    let (_, effects) = Session::acceptor(Terms::default(), at(0));
    assert_eq!(
        told(effects),
        [
            "subscribe exported service ",
            "subscribe exported service list ",
            "subscribe trust bundle "
        ]
    );
}

#[test]
fn a_subscription_unlocks_its_type_and_an_empty_list_is_sent() {
    let mut session = acceptor();
    assert!(session.set_exports(exports(&[], &[]), 7, at(0)).is_empty());
    assert_eq!(
        subscribe_all(&mut session),
        [
            "00000001 exported-service-list 0",
            "00000002 roots 1",
            "00000003 server-addrs 1"
        ]
    );
    // A repeated subscription is an ACK.
    assert!(
        session
            .on_message(request(ResourceType::TrustBundle, "", None), at(1))
            .is_empty()
    );
}

#[test]
fn nothing_is_sent_before_the_driver_said_what() {
    let mut session = acceptor();
    assert!(subscribe_all(&mut session).is_empty());
    assert_eq!(
        session
            .set_exports(exports(&[("web", 1)], &["web"]), 7, at(2))
            .len(),
        5
    );
}

#[test]
fn addresses_go_to_dialers_only_and_never_empty() {
    let mut session = dialer();
    session.set_exports(exports(&[], &[]), 7, at(0));
    assert_eq!(
        subscribe_all(&mut session),
        ["00000001 exported-service-list 0", "00000002 roots 1"]
    );
    let mut session = acceptor();
    subscribe_all(&mut session);
    let empty = Exports {
        addresses: Arc::from([]),
        ..exports(&[], &[])
    };
    assert_eq!(
        told(session.set_exports(empty, 7, at(1))),
        ["00000001 exported-service-list 0", "00000002 roots 1"]
    );
}

#[test]
fn only_changes_are_sent_and_removals_follow_their_rules() {
    let mut session = dialer();
    subscribe_all(&mut session);
    let first = exports(&[("web", 2), ("web-sidecar-proxy", 1)], &["web"]);
    assert_eq!(
        told(session.set_exports(first.clone(), 7, at(2))),
        [
            "00000001 web 2",
            "00000002 web-sidecar-proxy 1",
            "00000003 exported-service-list 1",
            "00000004 roots 1"
        ]
    );
    assert!(session.set_exports(first.clone(), 7, at(3)).is_empty());
    // Equal content behind other pointers is no change either.
    assert!(
        session
            .set_exports(
                exports(&[("web", 2), ("web-sidecar-proxy", 1)], &["web"]),
                7,
                at(3)
            )
            .is_empty()
    );
    assert_eq!(session.freshness().last_sent, Some(at(2)));
    // A NACK is recorded, not retried.
    session.on_message(
        request(ResourceType::ExportedService, "00000001", Some("no")),
        at(4),
    );
    let nack = session.freshness().last_nack.clone().unwrap();
    assert_eq!((nack.at, nack.reason.as_str()), (at(4), "no"));
    assert!(session.set_exports(first.clone(), 7, at(5)).is_empty());
    // Leaving the mesh set is told by an empty service, leaving the export only by the list.
    assert_eq!(
        told(session.set_exports(exports(&[], &[]), 7, at(6))),
        ["00000005 web-sidecar-proxy 0", "00000006 exported-service-list 0"]
    );
    assert_eq!(
        told(session.set_exports(first, 7, at(7))),
        [
            "00000007 web 2",
            "00000008 web-sidecar-proxy 1",
            "00000009 exported-service-list 1"
        ]
    );
    assert_eq!(session.freshness().exported.as_ref(), ["web"]);
}

#[test]
fn a_service_that_left_the_mesh_while_no_stream_was_up_is_taken_back() {
    let mut session = acceptor();
    subscribe_all(&mut session);
    let sent = told(session.set_exports(exports(&[("web", 1)], &["db", "web"]), 7, at(2)));
    assert_eq!(
        sent[..4],
        [
            "00000001 db 0",
            "00000002 db-sidecar-proxy 0",
            "00000003 web 1",
            "00000004 web-sidecar-proxy 0"
        ]
    );
}

#[test]
fn requests_are_classified() {
    use ResourceType::TrustBundle;
    for (message, says) in [
        (
            request(TrustBundle, "1", None),
            "failed InvalidArgument the first request for trust bundle must not have a nonce",
        ),
        (
            request(TrustBundle, "", Some("x")),
            "failed InvalidArgument the first request for trust bundle must not be a NACK",
        ),
        (
            Message::Request(Request {
                peer_id: String::new(),
                nonce: String::new(),
                url: "x".to_owned(),
                error: None,
                digests: 0,
                resync: false,
            }),
            "failed InvalidArgument subscription to the unknown resource type \"x\"",
        ),
    ] {
        for mut session in [acceptor(), dialer()] {
            assert_eq!(told(session.on_message(message.clone(), at(1))), [says]);
            assert_eq!(session.next_tick(), None);
            assert!(session.on_message(Message::Heartbeat(None), at(2)).is_empty());
            assert!(session.on_end().is_empty());
        }
    }
    let other = |peer_id: &str| {
        Message::Request(Request {
            peer_id: peer_id.to_owned(),
            nonce: String::new(),
            url: TrustBundle.url().to_owned(),
            error: None,
            digests: 0,
            resync: false,
        })
    };
    assert!(acceptor().on_message(other("x"), at(1)).is_empty());
    assert!(dialer().on_message(other(ID), at(1)).is_empty());
    assert_eq!(dialer().on_message(other("x"), at(1)).len(), 1);
}

#[test]
fn every_response_is_answered() {
    let kind = ResourceType::ExportedService;
    let whole = response(kind, web());
    let table = [
        (
            Response {
                nonce: String::new(),
                ..whole.clone()
            },
            "nack exported service  3 exported service \"web\" came without a nonce",
        ),
        (
            Response {
                url: "u".to_owned(),
                ..whole.clone()
            },
            "nack unknown n1 3 unknown resource type \"u\"",
        ),
        (
            Response {
                operation: 0,
                ..whole.clone()
            },
            "nack exported service n1 3 exported service \"web\" came with the unsupported operation 0",
        ),
        (
            response(kind, Content::Absent),
            "nack exported service n1 3 exported service \"web\" came without content",
        ),
        (
            response(kind, Content::Unreadable("x".to_owned())),
            "nack exported service n1 13 exported service \"web\" refused: x",
        ),
        (
            response(ResourceType::TrustBundle, web()),
            "nack trust bundle n1 13 trust bundle \"web\" refused: it holds exported service",
        ),
    ];
    for (message, says) in table {
        assert_eq!(
            told(dialer().on_message(Message::Response(message), at(1))),
            [says]
        );
    }
    let addresses = Content::Resource(Resource::ServerAddresses(Arc::from([])));
    let message = Message::Response(response(ResourceType::ServerAddresses, addresses));
    assert_eq!(
        told(dialer().on_message(message.clone(), at(1))),
        ["import server-addrs"]
    );
    assert!(told(acceptor().on_message(message, at(1)))[0].starts_with("nack server addresses"));

    let mut session = dialer();
    let import = |session: &mut Session, now| {
        let mut effects = session.on_message(Message::Response(whole.clone()), at(now));
        let Some(Effect::Import { ticket, .. }) = effects.pop() else {
            panic!("no import");
        };
        ticket
    };
    let ticket = import(&mut session, 3);
    let refusal = Refusal::new(Code::Internal, "disk full");
    assert_eq!(
        told(session.on_applied(ticket, Err(refusal), at(4))),
        ["nack exported service n1 13 disk full"]
    );
    assert_eq!(session.freshness().last_applied, None);
    assert_eq!(
        session.freshness().refused["exported service \"web\""],
        "disk full"
    );
    let ticket = import(&mut session, 5);
    assert_eq!(
        told(session.on_applied(ticket, Ok(()), at(6))),
        ["ack exported service n1"]
    );
    assert!(session.freshness().refused.is_empty());
    assert_eq!(session.freshness().age(at(8)), Some(at(2)));
}

#[test]
fn heartbeats_are_sent_and_only_heartbeats_keep_the_stream() {
    let mut session = dialer();
    assert_eq!(session.next_tick(), Some(at(15)));
    assert!(session.on_tick(at(14)).is_empty());
    assert_eq!(told(session.on_tick(at(15))), ["heartbeat"]);
    assert_eq!(session.next_tick(), Some(at(30)));
    assert!(told(session.on_message(Message::Heartbeat(None), at(20))).is_empty());
    session.on_message(request(ResourceType::TrustBundle, "", None), at(130));
    assert_eq!(told(session.on_tick(at(139))), ["heartbeat"]);
    assert_eq!(session.next_tick(), Some(at(140)));
    assert_eq!(
        told(session.on_tick(at(140))),
        ["failed Unknown heartbeat timeout: the peer sent none for 120 s"]
    );
    assert!(session.on_tick(at(141)).is_empty());
}

#[test]
fn termination_drains_and_dialers_half_close() {
    let mut session = dialer();
    assert_eq!(
        told(session.on_message(Message::Terminated, at(1))),
        ["MarkTerminated", "HalfClose"]
    );
    assert!(session.on_message(Message::Terminated, at(1)).is_empty());
    assert!(session.set_exports(exports(&[], &[]), 7, at(1)).is_empty());
    assert_eq!(told(session.on_end()), ["ended"]);

    let mut session = dialer();
    assert_eq!(told(session.terminate(at(1))), ["Terminated", "HalfClose"]);
    assert!(
        session
            .on_message(
                Message::Response(response(ResourceType::ExportedService, web())),
                at(2)
            )
            .is_empty()
    );
    assert_eq!(told(session.on_end()), ["ended"]);

    let mut session = acceptor();
    assert_eq!(
        told(session.on_message(Message::Terminated, at(1))),
        ["MarkTerminated"]
    );
    assert_eq!(session.next_tick(), Some(at(11)));
    assert!(session.on_tick(at(10)).is_empty());
    assert_eq!(told(session.on_tick(at(11))), ["ended"]);

    let mut session = acceptor();
    assert_eq!(told(session.terminate(at(1))), ["Terminated"]);
    assert!(session.terminate(at(1)).is_empty());
    // Applied after the end came: nobody is left to hear the answer.
    let mut late = acceptor();
    let mut effects = late.on_message(
        Message::Response(response(ResourceType::ExportedService, web())),
        at(1),
    );
    late.terminate(at(1));
    let Some(Effect::Import { ticket, .. }) = effects.pop() else {
        panic!("no import");
    };
    assert!(late.on_applied(ticket, Ok(()), at(2)).is_empty());

    assert_eq!(
        told(dialer().on_end()),
        ["failed Unknown the stream ended without the peering being deleted"]
    );
    assert!(dialer().on_message(Message::Empty, at(1)).is_empty());
    assert!(dialer().on_message(Message::Open(open()), at(1)).is_empty());
}

/// Sets exports at a revision and returns the nonces of what was sent, by resource id.
fn sent_at(session: &mut Session, exports: Exports, revision: u64) -> BTreeMap<String, String> {
    let effects = session.set_exports(exports, revision, at(revision));
    effects
        .into_iter()
        .map(|effect| match effect {
            Effect::Send(Message::Response(response)) => (response.id, response.nonce),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn what_a_peer_has_answered_for_is_known_by_revision() {
    let mut session = acceptor();
    let progress = |session: &Session| {
        let delivery = &session.freshness().delivery;
        (
            delivery.sent_revision,
            delivery.acked_revision,
            delivery.unanswered,
        )
    };
    let first = sent_at(&mut session, exports(&[("web", 1)], &["web"]), 3);
    assert!(first.is_empty());
    assert_eq!(progress(&session), (3, None, 0), "nobody subscribed");
    subscribe_all(&mut session);
    // The service, its mesh face, the list, the roots and the addresses.
    assert_eq!(progress(&session), (3, Some(2), 5));
    for nonce in 1..=5 {
        let nonce = format!("{nonce:08x}");
        session.on_message(request(ResourceType::ExportedService, &nonce, None), at(4));
    }
    assert_eq!(progress(&session), (3, Some(3), 0));
    session.exports_hold(6);
    assert_eq!(progress(&session), (6, Some(6), 0), "nothing had to be sent");

    let seventh = sent_at(&mut session, exports(&[("web", 2)], &["web"]), 7);
    let eighth = sent_at(&mut session, exports(&[("web", 3)], &["web"]), 8);
    assert_eq!(progress(&session), (8, Some(6), 1));
    let kind = ResourceType::ExportedService;
    // An answer to an older version says nothing about the newer one.
    session.on_message(request(kind, &seventh["web"], None), at(8));
    assert_eq!(progress(&session), (8, Some(6), 1));
    session.on_message(request(kind, &eighth["web"], Some("too many")), at(9));
    assert_eq!(progress(&session), (8, Some(8), 0), "answered, if not well");
    let rejected = session.freshness().delivery.rejected.clone();
    let rejection = &rejected["exported service \"web\""];
    assert_eq!((rejection.revision, rejection.reason.as_str()), (8, "too many"));
    assert_eq!(
        session.freshness().last_nack.as_ref().unwrap().resource,
        "exported service \"web\""
    );

    let ninth = sent_at(&mut session, exports(&[("web", 1)], &["web"]), 9);
    session.on_message(request(kind, &ninth["web"], None), at(9));
    assert!(
        session.freshness().delivery.rejected.is_empty(),
        "a newer version is fine"
    );
    let tenth = sent_at(&mut session, exports(&[("web", 4)], &["web"]), 10);
    session.on_message(request(kind, &tenth["web"], Some("no")), at(10));
    sent_at(&mut session, exports(&[], &[]), 11);
    let delivery = &session.freshness().delivery;
    assert!(delivery.rejected.is_empty(), "it is not exported any more");
    assert_eq!(delivery.rejected_total, 2);
}
