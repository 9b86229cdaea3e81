//! The shape of answers.

use crate::peering::{PeeringJson, establish_body_from_json, token_body_from_json};
use peerway_model::peering::RemoteInfo;
use peerway_model::{Partition, PeerName, Peering, PeeringKey, PeeringRole, PeeringState, StreamStatus};
use serde_json::{json, to_value};

fn peering(state: PeeringState) -> Peering {
    Peering {
        key: PeeringKey {
            partition: Partition::default(),
            name: PeerName::new("east").unwrap(),
        },
        id: "u1".to_owned(),
        role: PeeringRole::Dialer,
        state,
        meta: [("k".to_owned(), "v".to_owned())].into(),
        remote_id: Some("u2".to_owned()),
        ca_pems: vec!["pem".to_owned()],
        server_name: Some("server.dc2.peering.x".to_owned()),
        server_addresses: vec!["10.0.0.1:8503".to_owned()],
        manual_addresses: vec!["10.9.9.9:1".to_owned()],
        external_addresses: vec!["10.8.8.8:1".to_owned()],
        remote: RemoteInfo {
            partition: String::new(),
            datacenter: "dc2".to_owned(),
        },
        deleted_at: None,
    }
}

fn status(state: PeeringState) -> StreamStatus {
    StreamStatus {
        state,
        imported: vec!["api".to_owned()],
        exported: vec![],
        last_heartbeat: Some(1_700_000_000_000),
        last_receive: None,
        last_send: Some(1_700_000_000_250),
        last_applied: None,
        last_error: None,
        freshness: None,
    }
}

#[test]
fn a_peering_shows_its_stream_and_no_manual_address() {
    let record = peering(PeeringState::Establishing);
    let shown = to_value(PeeringJson::new(
        &record,
        Some(&status(PeeringState::Active)),
        true,
        3,
        9,
    ))
    .unwrap();
    assert_eq!(
        shown,
        json!({
            "ID": "u1", "Name": "east", "Meta": {"k": "v"}, "State": "ACTIVE", "PeerID": "u2",
            "PeerCAPems": ["pem"], "PeerServerName": "server.dc2.peering.x",
            "PeerServerAddresses": ["10.0.0.1:8503"],
            "StreamStatus": {
                "ImportedServices": ["api"], "ExportedServices": [],
                "LastHeartbeat": "2023-11-14T22:13:20Z", "LastReceive": null,
                "LastSend": "2023-11-14T22:13:20.25Z", "LastApplied": null, "LastError": null,
            },
            "CreateIndex": 3, "ModifyIndex": 9,
            "Remote": {"Partition": "", "Datacenter": "dc2"},
        })
    );
}

#[test]
fn a_terminated_peering_is_not_shown_as_active() {
    let record = peering(PeeringState::Terminated);
    let shown = to_value(PeeringJson::new(
        &record,
        Some(&status(PeeringState::Active)),
        true,
        3,
        9,
    ))
    .unwrap();
    assert_eq!(shown["State"], "TERMINATED");
    let unknown = to_value(PeeringJson::new(
        &peering(PeeringState::Pending),
        None,
        true,
        3,
        9,
    ))
    .unwrap();
    assert_eq!(unknown["State"], "PENDING");
    assert_eq!(unknown["StreamStatus"]["ImportedServices"], json!([]));
}

#[test]
fn peering_bodies_are_read_and_refused_with_paths() {
    let default = Partition::default();
    let token = token_body_from_json(
        &json!({"PeerName": "east", "Meta": {"a": "b"}, "ServerExternalAddresses": ["h:1"]}),
        &default,
    )
    .unwrap();
    assert_eq!((token.peer.as_str(), token.external_addresses.len()), ("east", 1));
    let body = establish_body_from_json(&json!({"peername": "east", "PeeringToken": "abc"}), &default);
    assert!(body.is_ok_and(|body| body.token.matches("abc")));
    for (body, expected) in [
        (json!({}), "PeerName: is required"),
        (
            json!({"PeerName": "East"}),
            "PeerName: \"East\" is not a valid peer name",
        ),
        (
            json!({"Peer": "east", "PeerName": "east"}),
            "Peer: is not a known field",
        ),
        (
            json!({"PeerName": "east", "Meta": {"a b": "c"}}),
            "Meta: key \"a b\"",
        ),
    ] {
        let error = token_body_from_json(&body, &default).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{body} {error}");
    }
    let missing = establish_body_from_json(&json!({"PeerName": "east"}), &default)
        .err()
        .map(|error| error.to_string());
    assert_eq!(missing.as_deref(), Some("PeeringToken: is required"));
}
