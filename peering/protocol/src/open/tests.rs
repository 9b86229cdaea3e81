//! Tables of who may open a stream and who may exchange a secret.

use super::*;
use peerway_model::peering::RemoteInfo;
use peerway_model::{Partition, PeerName, PeeringKey};
use std::collections::BTreeMap;

const ID: &str = "6b2fbc1e-0000-4000-8000-000000000001";

fn open(secret: &str) -> Open {
    Open {
        peer_id: ID.to_owned(),
        stream_secret: Secret::new(secret),
        remote: RemoteInfo::default(),
    }
}

fn peering(role: PeeringRole, state: PeeringState) -> Peering {
    Peering {
        key: PeeringKey {
            partition: Partition::default(),
            name: PeerName::new("west").unwrap(),
        },
        id: ID.to_owned(),
        role,
        state,
        meta: BTreeMap::new(),
        remote_id: None,
        ca_pems: Vec::new(),
        server_name: None,
        server_addresses: Vec::new(),
        manual_addresses: Vec::new(),
        external_addresses: Vec::new(),
        remote: RemoteInfo::default(),
        deleted_at: None,
    }
}

fn secrets() -> PeeringSecrets {
    PeeringSecrets {
        establishment: Some(Secret::new("token")),
        pending_stream: Some(Secret::new("new")),
        active_stream: Some(Secret::new("old")),
    }
}

fn told(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accept { promote } => format!("accept {promote}"),
        Verdict::TellTerminated(refusal) => format!("tell {:?}", refusal.code),
        Verdict::Refuse(refusal) => format!("{:?}", refusal.code),
    }
}

#[test]
fn the_first_message_must_be_a_usable_open() {
    let code = |message| expect_open(message).err().map(|refusal| refusal.code);
    assert_eq!(code(None), Some(Code::InvalidArgument));
    assert_eq!(code(Some(Message::Heartbeat)), Some(Code::InvalidArgument));
    let with = |peer_id: &str| Open {
        peer_id: peer_id.to_owned(),
        ..open("old")
    };
    assert_eq!(code(Some(Message::Open(with("")))), Some(Code::InvalidArgument));
    assert_eq!(code(Some(Message::Open(with("nonsense")))), Some(Code::Internal));
    assert_eq!(code(Some(Message::Open(with(ID)))), None);
}

#[test]
fn opens_are_decided_by_the_table() {
    use PeeringRole::{Acceptor, Dialer};
    use PeeringState::{Deleting, Pending, Terminated};
    let rows = [
        (Acceptor, Pending, "old", true, "accept false"),
        (Acceptor, Pending, "new", true, "accept true"),
        (Acceptor, Pending, "token", true, "PermissionDenied"),
        (Acceptor, Pending, "", true, "PermissionDenied"),
        (Acceptor, Pending, "old", false, "Unavailable"),
        (Acceptor, Deleting, "old", true, "tell Aborted"),
        (Acceptor, Terminated, "old", true, "Aborted"),
        (Dialer, Pending, "old", true, "InvalidArgument"),
        // Who has no secret learns nothing about the role.
        (Dialer, Pending, "wrong", true, "PermissionDenied"),
    ];
    for (role, state, secret, ready, expected) in rows {
        let (peering, secrets) = (peering(role, state), secrets());
        let verdict = decide_open(&open(secret), Some((&peering, Some(&secrets))), ready);
        assert_eq!(told(&verdict), expected, "{role:?} {state:?} {secret} {ready}");
    }
    let peering = peering(Acceptor, Pending);
    assert_eq!(told(&decide_open(&open("old"), None, true)), "InvalidArgument");
    assert_eq!(
        told(&decide_open(&open("old"), Some((&peering, None)), true)),
        "Internal"
    );
    let none = PeeringSecrets::default();
    assert_eq!(
        told(&decide_open(&open(""), Some((&peering, Some(&none))), true)),
        "PermissionDenied"
    );
}

#[test]
fn a_token_is_exchanged_once() {
    let peering = peering(PeeringRole::Acceptor, PeeringState::Pending);
    let decide = |secrets: &PeeringSecrets, offered: &str| {
        decide_exchange(ID, Some(&peering), Some(secrets), offered).map_err(|refusal| refusal.code)
    };
    let before = secrets();
    assert_eq!(decide(&before, "token"), Ok(()));
    assert_eq!(decide(&before, "wrong"), Err(Code::PermissionDenied));
    assert_eq!(decide(&before, ""), Err(Code::PermissionDenied));
    let after = exchanged(&before, Secret::new("newest"));
    assert_eq!(decide(&after, "token"), Err(Code::PermissionDenied));
    assert!(after.pending_stream.as_ref().unwrap().matches("newest"));
    assert!(after.active_stream.as_ref().unwrap().matches("old"));
    let again = after_token(&after, Secret::new("second"));
    assert_eq!(decide(&again, "second"), Ok(()));

    let promoted = promoted(&after);
    assert!(promoted.active_stream.as_ref().unwrap().matches("newest"));
    assert!(promoted.pending_stream.is_none());

    let refused = |id, peering, secrets| decide_exchange(id, peering, secrets, "token").unwrap_err().code;
    assert_eq!(refused("x", Some(&peering), Some(&before)), Code::Internal);
    assert_eq!(refused(ID, None, None), Code::PermissionDenied);
    let gone = Peering {
        state: PeeringState::Deleting,
        ..peering.clone()
    };
    assert_eq!(refused(ID, Some(&gone), Some(&before)), Code::PermissionDenied);
    let dialer = Peering {
        role: PeeringRole::Dialer,
        ..peering.clone()
    };
    assert_eq!(refused(ID, Some(&dialer), Some(&before)), Code::PermissionDenied);
}
