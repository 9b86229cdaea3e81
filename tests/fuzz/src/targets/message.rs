//! One message of a peering, through the importer.

use crate::Target;
use crate::world::{ITS_TRUST_DOMAIN, ROOT, WORLD, attack};
use peerway_peering_link::parts::{from_bytes, to_bytes};
use peerway_peering_protocol::message::OPERATION_UPSERT;
use peerway_peering_protocol::{Content, Message, OfferedBundle, Resource, Response};
use serde_json::Value;
use std::sync::Arc;

/// One message.
pub const TARGET: Target = Target {
    name: "peering-message",
    run,
    seeds,
};

/// The byte vectors of the wire, made by an independent encoder.
const VECTORS: &str = include_str!("../../../foreign/vectors.json");

fn run(data: &[u8]) {
    let Ok(message) = from_bytes(data) else { return };
    let written = to_bytes(&message);
    let again = from_bytes(&written).expect("what was written cannot be read");
    assert_eq!(to_bytes(&again), written, "written twice, two forms");
    if let Some(resource) = resource_of(&message) {
        let _ = attack(&mut WORLD.clone(), resource);
    }
}

fn resource_of(message: &Message) -> Option<&Resource> {
    match message {
        Message::Response(Response {
            content: Content::Resource(resource),
            ..
        }) => Some(resource),
        _ => None,
    }
}

/// The resource that a message carries.
pub fn resource(data: &[u8]) -> Option<Resource> {
    resource_of(&from_bytes(data).ok()?).cloned()
}

/// The wire form of a response with this resource.
pub fn response(resource: Resource) -> Vec<u8> {
    to_bytes(&Message::Response(Response {
        nonce: "00000001".to_owned(),
        url: resource.kind().url().to_owned(),
        id: resource.id().to_owned(),
        operation: OPERATION_UPSERT,
        content: Content::Resource(resource),
        bytes: 0,
    }))
}

/// The vectors, and what they lack: a bundle that is taken.
pub fn seeds() -> Vec<Vec<u8>> {
    let all: Value = serde_json::from_str(VECTORS).unwrap();
    let wires = all.as_array().unwrap().iter();
    let mut seeds: Vec<Vec<u8>> = wires
        .filter(|vector| vector["message"] == "ReplicationMessage")
        .map(|vector| unhex(vector["wire"].as_str().unwrap()))
        .collect();
    seeds.push(response(Resource::TrustBundle(Arc::new(OfferedBundle {
        trust_domain: ITS_TRUST_DOMAIN.to_owned(),
        root_pems: vec![ROOT.to_owned()],
        exported_partition: String::new(),
    }))));
    seeds
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap() as u8;
    text.as_bytes()
        .chunks(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}
