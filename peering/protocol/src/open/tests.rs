//! Tables of who may open a stream and who may exchange a secret.

use super::*;
use crate::{Tokens, Which};
use peerway_model::peering::{RemoteInfo, RevokedSecret};
use peerway_model::{Partition, PeerName, PeeringKey, TokenBounds};
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
        revoked: vec![
            RevokedSecret {
                accessor: "r1".to_owned(),
                secret: Secret::new("dead token"),
            },
            RevokedSecret {
                accessor: "r2".to_owned(),
                secret: Secret::new("dead stream"),
            },
        ],
    }
}

fn told(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accept { promote } => format!("accept {promote}"),
        Verdict::TellTerminated(refusal) => format!("tell {:?}", refusal.code),
        Verdict::Refuse(Denial {
            refusal,
            about: Some((accessor, cause)),
        }) => format!("{:?} {accessor} {}", refusal.code, cause.as_str()),
        Verdict::Refuse(denial) => format!("{:?}", denial.refusal.code),
    }
}

#[test]
fn the_first_message_must_be_a_usable_open() {
    let code = |message| expect_open(message).err().map(|refusal| refusal.code);
    assert_eq!(code(None), Some(Code::InvalidArgument));
    assert_eq!(code(Some(Message::Heartbeat(None))), Some(Code::InvalidArgument));
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
        (
            Acceptor,
            Pending,
            "dead stream",
            true,
            "PermissionDenied r2 revoked",
        ),
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
        let verdict = decide_open(&open(secret), Some(found(&peering, &secrets)), ready);
        assert_eq!(told(&verdict), expected, "{role:?} {state:?} {secret} {ready}");
    }
    let peering = peering(Acceptor, Pending);
    assert_eq!(told(&decide_open(&open("old"), None, true)), "InvalidArgument");
    let bare = Found {
        peering: &peering,
        secrets: None,
        grants: None,
    };
    assert_eq!(told(&decide_open(&open("old"), Some(bare), true)), "Internal");
    let none = PeeringSecrets::default();
    assert_eq!(
        told(&decide_open(&open(""), Some(found(&peering, &none)), true)),
        "PermissionDenied"
    );
}

fn found<'a>(peering: &'a Peering, secrets: &'a PeeringSecrets) -> Found<'a> {
    Found {
        peering,
        secrets: Some(secrets),
        grants: None,
    }
}

fn grant(accessor: &str) -> TokenGrant {
    TokenGrant {
        accessor: accessor.to_owned(),
        made_at: 0,
        expires_at: Some(1_000),
        request_id: None,
        bounds: TokenBounds::default(),
        proven: false,
    }
}

#[test]
fn a_token_is_for_its_datacenter_whichever_secret_it_became() {
    let (peering, secrets) = (peering(PeeringRole::Acceptor, PeeringState::Pending), secrets());
    let bound = |accessor: &str, datacenter: &str| {
        let mut grant = grant(accessor);
        grant.bounds.datacenter = Some(datacenter.to_owned());
        Some(grant)
    };
    let grants = PeeringGrants {
        pending_stream: bound("p", "dc2"),
        active_stream: bound("a", "dc1"),
        ..PeeringGrants::new(peering.key.clone())
    };
    let found = Found {
        peering: &peering,
        secrets: Some(&secrets),
        grants: Some(&grants),
    };
    for (secret, says, expected) in [
        ("old", "dc1", "accept false"),
        ("old", "dc2", "PermissionDenied a datacenter"),
        ("new", "dc2", "accept true"),
        ("new", "dc1", "PermissionDenied p datacenter"),
        ("new", "", "PermissionDenied p datacenter"),
    ] {
        let mut open = open(secret);
        says.clone_into(&mut open.remote.datacenter);
        assert_eq!(
            told(&decide_open(&open, Some(found), true)),
            expected,
            "{secret} {says}"
        );
    }
    let mut liar = open("new");
    liar.remote.datacenter = "x".repeat(10_000);
    let Verdict::Refuse(denial) = decide_open(&liar, Some(found), true) else {
        panic!("accepted");
    };
    assert!(denial.refusal.message.len() < 500, "{}", denial.refusal.message);
}

#[test]
fn a_token_is_exchanged_once() {
    let peering = peering(PeeringRole::Acceptor, PeeringState::Pending);
    let key = peering.key.clone();
    let before = Tokens {
        secrets: secrets(),
        grants: PeeringGrants {
            establishment: Some(grant("t")),
            ..PeeringGrants::new(key)
        },
    };
    let decide = |tokens: &Tokens, offered: &str, now: u64| {
        let found = Found {
            peering: &peering,
            secrets: Some(&tokens.secrets),
            grants: Some(&tokens.grants),
        };
        decide_exchange(ID, Some(found), offered, now).map_err(|denial| {
            (
                denial.refusal.code,
                denial.about.map(|(accessor, cause)| (accessor, cause.as_str())),
            )
        })
    };
    let unknown = || Err((Code::PermissionDenied, None));
    let known = |accessor: &str, cause| Err((Code::PermissionDenied, Some((accessor.to_owned(), cause))));
    assert_eq!(decide(&before, "token", 999), Ok(()));
    assert_eq!(decide(&before, "token", 1_000), known("t", "expired"));
    assert_eq!(decide(&before, "wrong", 999), unknown());
    // Whoever has not got the token does not learn that it has expired.
    assert_eq!(decide(&before, "wrong", 1_000), unknown());
    assert_eq!(decide(&before, "", 999), unknown());
    assert_eq!(decide(&before, "dead token", 999), known("r1", "revoked"));
    let after = before.clone().exchanged(Secret::new("newest"), 1);
    assert_eq!(decide(&after, "token", 2), unknown());
    let again = after.issued(Secret::new("second"), grant("s"), 2);
    assert_eq!(decide(&again, "second", 2), Ok(()));
    let (revoked, _) = again.revoked(Which::All, 3);
    assert_eq!(decide(&revoked, "second", 4), known("s", "revoked"));

    let refused = |id, found| decide_exchange(id, found, "token", 1).unwrap_err().refusal.code;
    assert_eq!(
        refused("x", Some(found(&peering, &before.secrets))),
        Code::Internal
    );
    assert_eq!(refused(ID, None), Code::PermissionDenied);
    let gone = Peering {
        state: PeeringState::Deleting,
        ..peering.clone()
    };
    assert_eq!(
        refused(ID, Some(found(&gone, &before.secrets))),
        Code::PermissionDenied
    );
    let dialer = Peering {
        role: PeeringRole::Dialer,
        ..peering.clone()
    };
    assert_eq!(
        refused(ID, Some(found(&dialer, &before.secrets))),
        Code::PermissionDenied
    );
}
