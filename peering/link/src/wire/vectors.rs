//! Byte vectors that an independent encoder made from the field tables of the wire facts: tests/foreign/vectors.py.

use super::*;
use peerway_model::PeerMeta;
use peerway_peering_protocol::{Content, Message, OfferedInstance, Resource};
use prost::Message as _;
use serde_json::Value;

const VECTORS: &str = include_str!("../../../../tests/foreign/vectors.json");

struct Vector {
    name: String,
    message: String,
    wire: Vec<u8>,
    canonical: Vec<u8>,
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16).unwrap()).unwrap();
    text.as_bytes()
        .chunks(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

fn vectors() -> Vec<Vector> {
    let all: Value = serde_json::from_str(VECTORS).unwrap();
    let text = |vector: &Value, field: &str| vector[field].as_str().unwrap().to_owned();
    let read = |vector: &Value| Vector {
        name: text(vector, "name"),
        message: text(vector, "message"),
        wire: unhex(&text(vector, "wire")),
        canonical: unhex(&text(vector, "canonical")),
    };
    all.as_array().unwrap().iter().map(read).collect()
}

fn named(name: &str) -> Message {
    let vector = vectors().into_iter().find(|vector| vector.name == name);
    let vector = vector.unwrap_or_else(|| panic!("no vector is called {name:?}"));
    decode(ReplicationMessage::decode(vector.wire.as_slice()).unwrap())
}

/// What this side makes of the bytes of another one.
fn again(vector: &Vector, bytes: &[u8]) -> Vec<u8> {
    fn read<T: prost::Message + Default>(vector: &Vector, bytes: &[u8]) -> T {
        T::decode(bytes).unwrap_or_else(|error| panic!("{}: {error}", vector.name))
    }
    match vector.message.as_str() {
        "ExchangeSecretRequest" => read::<ExchangeSecretRequest>(vector, bytes).encode_to_vec(),
        "ExchangeSecretResponse" => read::<ExchangeSecretResponse>(vector, bytes).encode_to_vec(),
        "ReplicationMessage" => encode(&decode(read(vector, bytes))).encode_to_vec(),
        other => panic!("{}: no message is called {other}", vector.name),
    }
}

#[test]
fn every_message_is_read_and_written_as_the_tables_say() {
    let vectors = vectors();
    assert!(vectors.len() > 100, "only {} vectors", vectors.len());
    for vector in vectors {
        let made = again(&vector, &vector.wire);
        assert_eq!(made, vector.canonical, "{}", vector.name);
        assert_eq!(again(&vector, &made), made, "{} a second time", vector.name);
    }
}

/// The instance of the vector in which every text is the path of its own field.
fn filled() -> OfferedInstance {
    let Message::Response(response) = named("ExportedService with every field") else {
        panic!("not a response");
    };
    let Content::Resource(Resource::ExportedService { name, instances }) = response.content else {
        panic!("not a service: {:?}", response.content);
    };
    assert_eq!(name, "web");
    instances[0].clone()
}

#[test]
fn no_field_of_a_node_is_taken_for_another() {
    let node = filled().node;
    let at = |field: &str| format!("CheckServiceNode.Node.{field}");
    let pairs = |field: &str| {
        [0, 1]
            .map(|n| (at(&format!("{field}.key{n}")), at(&format!("{field}.value{n}"))))
            .into()
    };
    assert_eq!(node.id, at("ID"));
    assert_eq!(node.name, at("Node"));
    assert_eq!(node.address, at("Address"));
    assert_eq!(node.datacenter, at("Datacenter"));
    assert_eq!(node.tagged_addresses, pairs("TaggedAddresses"));
    assert_eq!(node.meta, pairs("Meta"));
}

#[test]
fn no_field_of_a_service_is_taken_for_another() {
    let service = filled().service;
    let at = |field: &str| format!("CheckServiceNode.Service.{field}");
    let list = |field: &str| vec![at(&format!("{field}[0]")), at(&format!("{field}[1]"))];
    assert_eq!(service.kind, at("Kind"));
    assert_eq!(service.id, at("ID"));
    assert_eq!(service.name, at("Service"));
    assert_eq!(service.namespace, at("EnterpriseMeta.Namespace"));
    assert_eq!(service.tags, list("Tags"));
    assert_eq!(service.address, at("Address"));
    assert_eq!(service.port, 1007);
    assert_eq!(service.weights, Some((1001, 1002)));
    assert!(service.enable_tag_override);
    let meta = [0, 1].map(|n| (at(&format!("Meta.key{n}")), at(&format!("Meta.value{n}"))));
    assert_eq!(service.meta, meta.into());
    let tagged = [0, 1].map(|n| {
        let address = at(&format!("TaggedAddresses.value{n}.Address"));
        (at(&format!("TaggedAddresses.key{n}")), (address, 1002))
    });
    assert_eq!(service.tagged_addresses, tagged.into());
    let proxy = service.proxy.unwrap();
    assert_eq!(proxy.destination, at("Proxy.DestinationServiceName"));
    assert_eq!(proxy.destination_id, at("Proxy.DestinationServiceID"));
    let meta = PeerMeta {
        sni: list("Connect.PeerMeta.SNI"),
        spiffe_ids: list("Connect.PeerMeta.SpiffeID"),
        protocol: at("Connect.PeerMeta.Protocol"),
        health: None,
    };
    assert_eq!(service.peer_meta, Some(meta));
}

#[test]
fn no_field_of_a_check_is_taken_for_another() {
    let checks = filled().checks;
    assert_eq!(checks.len(), 2);
    for (index, check) in checks.iter().enumerate() {
        let at = |field: &str| format!("CheckServiceNode.Checks[{index}].{field}");
        assert_eq!(check.node, at("Node"));
        assert_eq!(check.id, at("CheckID"));
        assert_eq!(check.name, at("Name"));
        assert_eq!(check.status, at("Status"));
        assert_eq!(check.service_id, at("ServiceID"));
        assert_eq!(check.service_name, at("ServiceName"));
    }
}

#[test]
fn no_field_of_the_envelopes_is_taken_for_another() {
    let Message::Open(open) = named("open with every field") else {
        panic!("not an open");
    };
    assert_eq!(open.peer_id, "Open.PeerID");
    assert!(open.stream_secret.matches("Open.StreamSecretID"));
    assert_eq!(open.remote.partition, "Open.Remote.Partition");
    assert_eq!(open.remote.datacenter, "Open.Remote.Datacenter");
    let Message::Request(request) = named("request with every field") else {
        panic!("not a request");
    };
    assert_eq!(request.peer_id, "Request.PeerID");
    assert_eq!(request.nonce, "Request.ResponseNonce");
    assert_eq!(request.url, "Request.ResourceURL");
    assert_eq!(request.error, Some((1001, "Request.Error.message".to_owned())));
    let Message::Response(response) = named("PeeringTrustBundle with every field") else {
        panic!("not a response");
    };
    assert_eq!(
        (response.nonce.as_str(), response.id.as_str(), response.operation),
        ("00000001", "roots", 1)
    );
    let Content::Resource(Resource::TrustBundle(bundle)) = response.content else {
        panic!("not a bundle: {:?}", response.content);
    };
    let at = |field: &str| format!("PeeringTrustBundle.{field}");
    assert_eq!(bundle.trust_domain, at("TrustDomain"));
    assert_eq!(bundle.root_pems, [at("RootPEMs[0]"), at("RootPEMs[1]")]);
    assert_eq!(bundle.exported_partition, at("ExportedPartition"));
}
