//! What is read, what is refused and with which path, and what answers look like.

use crate::config::ConfigIndexes;
use crate::{config_entry_from_json, config_entry_to_json, json_object, service_registration_from_json};
use peerway_model::ConfigKind;
use peerway_model::config::{Action, ConfigEntry, Consumer, Pattern, Verdict};
use peerway_model::instance::{GatewayMode, Opaque};
use peerway_model::{
    Instance, InstanceId, Invalid, Locality, Namespace, NodeKey, NodeName, Origin, Partition, PeerName,
    ProxyMode, ServiceKind, ServiceName, SidecarSettings, Tenancy,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

mod answers;
mod api_gateway;
mod chains;
mod config;
mod ingress;
mod permissions;
mod registration;
mod tokens;

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

/// Any JSON value, with keys that are likely to be known.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z*]{0,6}".prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    let keys = [
        "Name",
        "name",
        "Kind",
        "Sources",
        "Services",
        "Consumers",
        "Peer",
        "Action",
        "Proxy",
        "Upstreams",
        "Connect",
        "SidecarService",
        "Meta",
        "Config",
        "MeshGateway",
        "Mode",
        "Weights",
        "Passing",
        "Port",
        "TaggedAddresses",
        "Tags",
        "Check",
        "Checks",
        "protocol",
        "DestinationName",
        "LocalBindPort",
        "Routes",
        "Match",
        "HTTP",
        "Header",
        "Exact",
        "PathPrefix",
        "Destination",
        "RequestTimeout",
        "Splits",
        "Weight",
        "Subsets",
        "Filter",
        "Failover",
        "Targets",
        "Service",
        "Redirect",
        "LoadBalancer",
        "Policy",
        "HashPolicies",
        "Members",
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(proptest::sample::select(keys.to_vec()), inner, 0..6).prop_map(
                |members| Value::Object(
                    members
                        .into_iter()
                        .map(|(key, value)| (key.to_owned(), value))
                        .collect()
                )
            ),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_panics_and_what_is_taken_is_valid(mut value in any_json(), kind in 0_usize..10) {
        if let (Some(object), Some(kind)) = (value.as_object_mut(), ConfigKind::ALL.get(kind)) {
            object.insert("Kind".to_owned(), json!(kind.as_str()));
        }
        if let Ok(entry) = config(value.clone()) {
            prop_assert!(entry.validate().is_ok());
            let written = config_entry_to_json(&entry, None);
            prop_assert_eq!(config_entry_from_json(&written, &Tenancy::default()), Ok(entry));
        }
        if let Ok(service) = register(value) {
            for instance in service.instances(&node(), &BTreeSet::new(), None).unwrap() {
                prop_assert_eq!(instance.kind == ServiceKind::ConnectProxy, instance.proxy.is_some());
            }
        }
    }
}
