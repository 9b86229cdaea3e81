//! What is read, what is refused and with which path, and what answers look like.

use crate::config::ConfigIndexes;
use crate::{config_entry_from_json, config_entry_to_json, json_object, service_registration_from_json};
use peerway_model::config::{Action, ConfigEntry, Consumer, Pattern};
use peerway_model::instance::{GatewayMode, Opaque};
use peerway_model::{
    InstanceId, Invalid, Namespace, NodeKey, NodeName, Origin, Partition, PeerName, ServiceKind, ServiceName,
    Tenancy,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

mod answers;
mod config;
mod registration;

fn config(value: Value) -> Result<ConfigEntry, Invalid> {
    config_entry_from_json(&value, &Tenancy::default())
}

fn register(value: Value) -> Result<crate::ServiceRegistration, Invalid> {
    service_registration_from_json(&value, &Tenancy::default())
}

fn node() -> NodeKey {
    NodeKey {
        origin: Origin::Local,
        partition: Partition::default(),
        name: NodeName::new("n1").unwrap(),
    }
}

#[test]
fn a_body_is_one_json_object_without_repeated_keys() {
    assert_eq!(json_object(b" {\"a\": 1}").unwrap(), json!({"a": 1}));
    for bad in [
        &b""[..],
        b"[]",
        b"a = 1",
        b"{\"a\": 1",
        b"\xff",
        b"{\"a\":1,\"a\":2}",
        b"{} x",
    ] {
        assert!(json_object(bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
    }
    let error = json_object(b"{\"a\":\n oops}").unwrap_err().to_string();
    assert!(error.contains("line 2"), "{error}");
}
