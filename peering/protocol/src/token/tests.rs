//! Tokens that survive a round trip, and texts that are no tokens.

use super::*;
use crate::pem::tests::certificate;
use proptest::prelude::*;
use serde_json::{Value, json};

const TD: &str = "11111111-2222-3333-4444-555555555555.consul";

fn sample() -> Value {
    json!({
        "CA": [certificate(1)],
        "ManualServerAddresses": null,
        "ServerAddresses": ["10.0.0.5:8503"],
        "ServerName": format!("server.dc1.peering.{TD}"),
        "PeerID": "6b2fbc1e-0000-4000-8000-000000000001",
        "EstablishmentSecret": "s",
        "Remote": {"Partition": "", "Datacenter": "dc1", "Locality": null}
    })
}

fn encoded(value: &Value) -> String {
    STANDARD.encode(value.to_string())
}

fn error(value: &Value) -> String {
    match Token::decode(&encoded(value)) {
        Ok(_) => panic!("accepted: {value}"),
        Err(error) => error.to_string(),
    }
}

fn with(key: &str, value: Value) -> Value {
    let mut sample = sample();
    sample[key] = value;
    sample
}

#[test]
fn every_key_is_written_and_empty_lists_are_null() {
    let token = Token::decode(&encoded(&sample())).unwrap();
    let written: Value = serde_json::from_slice(&STANDARD.decode(token.encode()).unwrap()).unwrap();
    assert_eq!(written, sample());
    let token = Token {
        ca_pems: Vec::new(),
        ..token
    };
    let text = String::from_utf8(STANDARD.decode(token.encode()).unwrap()).unwrap();
    assert!(
        text.starts_with(r#"{"CA":null,"ManualServerAddresses":null,"ServerAddresses":["#),
        "{text}"
    );
    assert!(
        text.ends_with(r#""Remote":{"Partition":"","Datacenter":"dc1","Locality":null}}"#),
        "{text}"
    );
}

#[test]
fn reading_is_lenient() {
    let mut other = with("Unknown", json!({"a": 1}));
    let object = other.as_object_mut().unwrap();
    let id = object.remove("PeerID").unwrap();
    object.insert("peerid".to_owned(), id);
    object.remove("Remote");
    object.remove("ManualServerAddresses");
    let mut text = encoded(&other);
    text.insert_str(20, "\r\n");
    text.push('\n');
    let token = Token::decode(&text).unwrap();
    assert_eq!(token.peer_id, "6b2fbc1e-0000-4000-8000-000000000001");
    assert_eq!(token.remote, RemoteInfo::default());
    assert!(
        Token::decode(&encoded(&with("CA", Value::Null)))
            .unwrap()
            .ca_pems
            .is_empty()
    );
}

#[test]
fn manual_addresses_win() {
    let token = Token::decode(&encoded(&with("ManualServerAddresses", json!(["[::1]:1"])))).unwrap();
    assert_eq!(token.addresses(), ["[::1]:1"]);
}

#[test]
fn each_bad_field_is_named_with_its_cure() {
    for (key, value, says) in [
        ("CA", json!(["nonsense"]), "CA[0] is not the PEM text"),
        ("CA", json!("x"), "CA is not a list"),
        ("CA", json!([1]), "CA holds something"),
        ("CA", json!(vec![certificate(1); 33]), "CA has 33 entries"),
        ("ServerAddresses", json!([]), "ServerAddresses holds no address"),
        ("ServerAddresses", json!(["::1:8503"]), "without brackets"),
        ("ServerAddresses", json!(["h:0"]), "\"h:0\" needs a port"),
        (
            "ManualServerAddresses",
            json!(["h"]),
            "ManualServerAddresses entry \"h\" has no port",
        ),
        ("ServerName", json!(""), "ServerName is empty"),
        ("ServerName", json!(7), "ServerName is not a text"),
        ("ServerName", json!("x".repeat(513)), "ServerName is longer"),
        ("PeerID", json!(""), "PeerID is empty"),
        ("EstablishmentSecret", json!(""), "EstablishmentSecret is empty"),
        ("Remote", json!([]), "Remote is not an object"),
    ] {
        let error = error(&with(key, value));
        assert!(
            error.contains(says) && error.contains("generate a new token"),
            "{error}"
        );
    }
}

#[test]
fn each_broken_text_has_its_own_words() {
    let whole = encoded(&sample());
    assert_eq!(Token::decode(" \n").err(), Some(TokenError::Empty));
    assert_eq!(Token::decode("not base64!").err(), Some(TokenError::NotBase64));
    assert_eq!(Token::decode("aGVsbG8=").err(), Some(TokenError::NotAToken));
    assert_eq!(Token::decode("bnVsbA==").err(), Some(TokenError::NotAToken));
    let long = "A".repeat(MAX_TOKEN_BYTES + 4);
    assert_eq!(Token::decode(&long).err(), Some(TokenError::TooLong(long.len())));
    for cut in [whole.len() - 5, whole.len() / 2, 9, 8] {
        assert_eq!(
            Token::decode(&whole[..cut]).err(),
            Some(TokenError::CutShort),
            "{cut}"
        );
    }
}

proptest! {
    #[test]
    fn a_token_survives_encoding(
        roots in prop::collection::vec(any::<u8>(), 0..4),
        addresses in prop::collection::vec("[a-z]{1,9}:[1-9][0-9]{0,3}", 1..4),
        manual in prop::collection::vec("[a-z]{1,9}:[1-9][0-9]{0,3}", 0..3),
        texts in prop::array::uniform5("\\PC{1,20}"),
    ) {
        let [server_name, peer_id, secret, partition, datacenter] = texts;
        let token = Token {
            ca_pems: roots.into_iter().map(certificate).collect(),
            manual_server_addresses: manual,
            server_addresses: addresses,
            server_name,
            peer_id,
            establishment_secret: Secret::new(secret.clone()),
            remote: RemoteInfo { partition, datacenter },
        };
        let back = match Token::decode(&token.encode()) {
            Ok(back) => back,
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        prop_assert_eq!(&back.ca_pems, &token.ca_pems);
        prop_assert_eq!(&back.manual_server_addresses, &token.manual_server_addresses);
        prop_assert_eq!(&back.server_addresses, &token.server_addresses);
        prop_assert_eq!(&back.server_name, &token.server_name);
        prop_assert_eq!(&back.peer_id, &token.peer_id);
        prop_assert!(back.establishment_secret.matches(&secret));
        prop_assert_eq!(&back.remote, &token.remote);
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Token::decode(&text);
        let _ = Token::decode(&STANDARD.encode(bytes));
    }
}
