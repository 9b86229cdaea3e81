//! That what is kept comes back whole, and that what is not ours is refused.

use super::fixtures::node;
use super::rows::{key, stored};
use crate::StorageError;
use crate::record::{FORMAT, decode, decode_key, encode, encode_key};
use peerway_model::config::ProxyDefaults;
use peerway_model::instance::Opaque;
use peerway_model::{
    ConfigEntry, Instance, Partition, ProxyMode, Secret, ServiceKind, ServiceName, SidecarSettings, Upstream,
};
use peerway_state::{MAX_OPAQUE_DEPTH, Row, RowKey, StoredRow};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Field by field as the model compares them; secrets by their text.
fn is_same(one: &StoredRow, other: &StoredRow) -> bool {
    let secret = |one: &Secret, other: &Secret| one.expose() == other.expose();
    let optional = |one: &Option<Secret>, other: &Option<Secret>| match (one, other) {
        (Some(one), Some(other)) => secret(one, other),
        (one, other) => one.is_none() && other.is_none(),
    };
    let rows = match (&one.row, &other.row) {
        (Row::Roots(one), Row::Roots(other)) => one == other,
        (Row::CaKey(one), Row::CaKey(other)) => one.root_id == other.root_id && secret(&one.pem, &other.pem),
        (Row::Config(one), Row::Config(other)) => one == other,
        (Row::Peering(one), Row::Peering(other)) => one == other,
        (Row::Secrets(one_key, one), Row::Secrets(other_key, other)) => {
            one_key == other_key
                && optional(&one.establishment, &other.establishment)
                && optional(&one.pending_stream, &other.pending_stream)
                && optional(&one.active_stream, &other.active_stream)
                && one.revoked.len() == other.revoked.len()
                && one
                    .revoked
                    .iter()
                    .zip(&other.revoked)
                    .all(|(one, other)| one.accessor == other.accessor && secret(&one.secret, &other.secret))
        }
        (Row::Grants(one), Row::Grants(other)) => one == other,
        (Row::Bundle(one), Row::Bundle(other)) => one == other,
        (Row::Node(one), Row::Node(other)) => one == other,
        (Row::Instance(one), Row::Instance(other)) => one == other,
        (Row::Check(one), Row::Check(other)) => one == other,
        (Row::VirtualAddress(one), Row::VirtualAddress(other)) => one == other,
        (Row::Audit(one), Row::Audit(other)) => one == other,
        _ => false,
    };
    rows && one.create_index == other.create_index && one.modify_index == other.modify_index
}

/// Whether two keys are config entries of different kinds, whose order is the one thing that differs.
fn are_kinds(one: &RowKey, other: &RowKey) -> bool {
    matches!((one, other), (RowKey::Config(one), RowKey::Config(other)) if one.kind != other.kind)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn every_row_comes_back_as_it_was(stored in stored()) {
        let bytes = encode(&stored);
        let back = decode(&bytes).unwrap();
        prop_assert!(is_same(&stored, &back), "{:?} became {:?}", stored, back);
        // A later version may write more; this one reads what it knows.
        let mut value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        add_unknown(&mut value);
        let back = decode(&serde_json::to_vec(&value).unwrap()).unwrap();
        prop_assert!(is_same(&stored, &back));
    }

    #[test]
    fn every_key_comes_back_and_sorts_as_before(one in key(), other in key()) {
        let (a, b) = (encode_key(&one), encode_key(&other));
        prop_assert_eq!(&decode_key(&a).unwrap(), &one);
        prop_assert!(std::str::from_utf8(&a).is_ok());
        prop_assert_eq!(a == b, one == other);
        if !are_kinds(&one, &other) {
            prop_assert_eq!(a.cmp(&b), one.cmp(&other));
        }
    }

    #[test]
    fn the_key_of_every_row_comes_back(stored in stored()) {
        let key = stored.row.key();
        prop_assert_eq!(decode_key(&encode_key(&key)).unwrap(), key);
    }

    #[test]
    fn a_key_has_one_spelling(bytes in proptest::collection::vec(any::<u8>(), 0..40), key in key(), at in any::<prop::sample::Index>()) {
        let mut changed = encode_key(&key);
        let index = at.index(changed.len());
        changed[index] = bytes.first().copied().unwrap_or(b'#');
        for bytes in [bytes, changed] {
            if let Ok(key) = decode_key(&bytes) {
                prop_assert_eq!(encode_key(&key), bytes);
            }
        }
    }

    #[test]
    fn no_bytes_make_decoding_panic(stored in stored(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = encode(&stored);
        let index = at.index(bytes.len());
        // Cut off, it is never a row.
        prop_assert!(decode(&bytes[..index]).is_err());
        bytes[index] = byte;
        // With one byte changed it may still be one; only the absence of a panic is certain.
        let _ = decode(&bytes);
    }
}

/// Adds a field that nobody knows to the record and to the row in it.
fn add_unknown(record: &mut serde_json::Value) {
    let unknown = serde_json::json!({"deep": [1, null]});
    record["of_a_later_version"] = unknown.clone();
    let row = record["row"].as_object_mut().unwrap();
    for (kind, row) in row.iter_mut() {
        // An entry has one more level, its own kind.
        let row = if kind == "config" {
            row.as_object_mut().unwrap().values_mut().next().unwrap()
        } else {
            row
        };
        row["of_a_later_version"] = unknown.clone();
    }
}

fn cause(bytes: &[u8]) -> String {
    match decode(bytes) {
        Err(StorageError::Corrupt { cause, .. }) => cause,
        Err(other) => unreachable!("another kind of error: {other}"),
        Ok(_) => unreachable!("it was accepted"),
    }
}

fn as_json(row: Row) -> serde_json::Value {
    let stored = StoredRow {
        row,
        create_index: 1,
        modify_index: 2,
    };
    serde_json::from_slice(&encode(&stored)).unwrap()
}

#[test]
fn the_encoding_is_the_one_that_is_written_down() {
    // Whoever changes this makes stores of earlier versions unreadable: raise FORMAT and keep a reader.
    let expected = serde_json::json!({
        "format": 1,
        "create_index": 1,
        "modify_index": 2,
        "row": {"node": {
            "key": {"partition": "default", "name": "n1"},
            "address": "10.0.0.1",
            "datacenter": "dc1",
        }},
    });
    assert_eq!(as_json(node("default", "n1", "10.0.0.1")), expected);
    let key = node("default", "n 1", "10.0.0.1").key();
    assert_eq!(encode_key(&key), b"70-node#local#default#n$201");
}

#[test]
fn a_record_of_another_format_is_refused_with_its_number() {
    let mut later = as_json(node("default", "n1", "10.0.0.1"));
    later["format"] = (FORMAT + 1).into();
    let told = cause(&serde_json::to_vec(&later).unwrap());
    assert!(told.contains("format 2") && told.contains("format 1"), "{told}");
    // Also when the rest cannot be understood either.
    let told = cause(br#"{"format": 7, "content": []}"#);
    assert!(told.contains("format 7"), "{told}");
}

#[test]
fn what_is_no_record_is_refused() {
    for bytes in [&b""[..], b"null", b"{}", b"\xff", b"{\"format\":1}"] {
        assert!(!cause(bytes).is_empty());
    }
    let mut bad_name = as_json(node("default", "n1", "10.0.0.1"));
    bad_name["row"]["node"]["key"]["partition"] = "a/b".into();
    let told = cause(&serde_json::to_vec(&bad_name).unwrap());
    assert!(told.contains("a/b"), "{told}");
}

#[test]
fn what_is_no_key_is_refused() {
    let bad: [&[u8]; 14] = [
        b"",
        b"#",
        b"10-roots#",
        b"70-node",
        b"70-node#local#default",
        b"70-node#elsewhere#default#n1",
        b"70-node#peer#West#default#n1",
        b"70-node#local#default#n1#more",
        b"80-instance#local#default#n1",
        b"40-peering#default",
        b"30-config#unknown#default#default#web",
        b"70-node#local#default#n$2",
        b"70-node#local#default#n$41",
        b"70-node#local#default#n 1",
    ];
    for bytes in bad {
        assert!(decode_key(bytes).is_err(), "{:?}", String::from_utf8_lossy(bytes));
    }
}

/// A sidecar as it was stored before anybody else could say its mode, with `more` in its proxy.
fn older_sidecar(more: &str) -> peerway_model::Proxy {
    let text = format!(
        r#"{{"format":{FORMAT},"create_index":1,"modify_index":1,"row":{{"instance":{{
            "node":{{"partition":"default","name":"n1"}},"id":"p","namespace":"default","service":"web-proxy",
            "kind":"connect-proxy","address":"","port":20000,"weights":{{"passing":1,"warning":1}},
            "enable_tag_override":false,"proxy":{{"destination":"web"{more}}}}}}}}}"#
    );
    match decode(text.as_bytes()).unwrap().row {
        Row::Instance(instance) => instance.proxy.clone().unwrap(),
        _ => unreachable!("it is an instance"),
    }
}

#[test]
fn a_sidecar_of_an_older_version_is_what_it_was() {
    assert_eq!(older_sidecar("").sidecar, SidecarSettings::default());
    let redirected = older_sidecar(r#","transparent":{"outbound_port":15002,"dialed_directly":true}"#);
    assert_eq!(
        redirected.sidecar,
        SidecarSettings {
            mode: Some(ProxyMode::Transparent),
            outbound_port: Some(15_002),
            dialed_directly: true,
            exposed: Vec::new(),
        }
    );
}

#[test]
fn the_deepest_configuration_that_is_accepted_comes_back() {
    let nested = |levels: usize| {
        let deep = (1..levels).fold(Opaque::Number("1.0".to_owned()), |inner, level| {
            if level % 2 == 0 {
                Opaque::List(vec![inner])
            } else {
                Opaque::Map(BTreeMap::from([("in".to_owned(), inner)]))
            }
        });
        BTreeMap::from([("deep".to_owned(), deep)])
    };
    let config = nested(MAX_OPAQUE_DEPTH);
    let defaults = ProxyDefaults {
        config: config.clone(),
        ..Default::default()
    };
    let instance = Instance {
        key: peerway_model::InstanceKey {
            node: super::fixtures::node_key("default", "n1"),
            id: peerway_model::InstanceId::new("i1").unwrap(),
        },
        namespace: Default::default(),
        service: ServiceName::new("web-proxy").unwrap(),
        kind: ServiceKind::ConnectProxy,
        tags: Vec::new(),
        address: String::new(),
        port: 0,
        tagged_addresses: BTreeMap::new(),
        meta: BTreeMap::new(),
        weights: Default::default(),
        enable_tag_override: false,
        proxy: Some(peerway_model::Proxy {
            destination: ServiceName::new("web").unwrap(),
            destination_id: None,
            local_address: None,
            local_port: None,
            upstreams: vec![Upstream {
                name: ServiceName::new("api").unwrap(),
                namespace: Default::default(),
                partition: Partition::default(),
                peer: None,
                bind_address: String::new(),
                bind_port: 0,
                mesh_gateway: None,
                config,
            }],
            mesh_gateway: None,
            sidecar: Default::default(),
            config: BTreeMap::new(),
        }),
        gateway_config: BTreeMap::new(),
        peer_meta: None,
        locality: None,
    };
    let rows = [
        Row::Config(Arc::new(ConfigEntry::ProxyDefaults(defaults))),
        // The place where configuration lies deepest in a row.
        Row::Instance(Arc::new(instance)),
    ];
    for row in rows {
        let stored = StoredRow {
            row,
            create_index: 1,
            modify_index: 1,
        };
        assert!(is_same(&stored, &decode(&encode(&stored)).unwrap()));
    }
}
