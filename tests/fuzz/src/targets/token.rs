//! A peering token, as an operator pastes it and as its JSON.

use crate::Target;
use crate::world::ROOT;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use peerway_model::Secret;
use peerway_model::peering::RemoteInfo;
use peerway_peering_protocol::Token;

/// One token. A first byte below 128: the rest is its JSON; else the rest is the pasted text.
pub const TARGET: Target = Target {
    name: "peering-token",
    run,
    seeds,
};

fn run(data: &[u8]) {
    let Some((form, rest)) = data.split_first() else {
        return;
    };
    let text = if *form < 128 {
        STANDARD.encode(rest)
    } else {
        String::from_utf8_lossy(rest).into_owned()
    };
    let Ok(token) = Token::decode(&text) else { return };
    assert!(!token.addresses().is_empty());
    assert!(!token.peer_id.is_empty() && !token.establishment_secret.expose().is_empty());
    let again = Token::decode(&token.encode()).unwrap_or_else(|error| panic!("its own token: {error}"));
    assert_eq!(again.ca_pems, token.ca_pems);
    assert_eq!(again.manual_server_addresses, token.manual_server_addresses);
    assert_eq!(again.server_addresses, token.server_addresses);
    assert_eq!(again.server_name, token.server_name);
    assert_eq!(again.peer_id, token.peer_id);
    assert_eq!(again.remote, token.remote);
    assert!(
        again
            .establishment_secret
            .matches(token.establishment_secret.expose())
    );
}

fn seeds() -> Vec<Vec<u8>> {
    let token = Token {
        ca_pems: vec![ROOT.to_owned()],
        manual_server_addresses: vec!["[::1]:8503".to_owned()],
        server_addresses: vec!["10.0.0.1:8503".to_owned(), "h.example:1".to_owned()],
        server_name: "server.dc1.peering.d.consul".to_owned(),
        peer_id: "00000000-0000-4000-8000-000000000001".to_owned(),
        establishment_secret: Secret::new("00000000-0000-4000-8000-000000000002".to_owned()),
        remote: RemoteInfo {
            partition: "default".to_owned(),
            datacenter: "dc1".to_owned(),
        },
    }
    .encode();
    let json = STANDARD.decode(&token).unwrap();
    let other: &[u8] = br#"{"ca":null,"SERVERADDRESSES":["h:1"],"PeerID":"p","EstablishmentSecret":"s","Remote":null,"New":{"a":[1]}}"#;
    vec![
        [b"\xff", token.as_bytes()].concat(),
        [b"\x00", json.as_slice()].concat(),
        [b"\x00", other].concat(),
        b"\xff bnVsbA==\n".to_vec(),
        b"\x00[]".to_vec(),
    ]
}
