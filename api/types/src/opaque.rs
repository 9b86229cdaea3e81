//! Free-form configuration: kept as given, except for what would change the meaning of the rest.

use peerway_model::Invalid;
use peerway_model::config::Protocol;
use peerway_model::instance::Opaque;
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;

/// Keys that replace what Peerway generates. Peerway does not offer them, and keeping them in silence would
/// leave an operator with a listener that is not the one that was asked for.
const ESCAPE_HATCHES: [&str; 5] = [
    "envoy_public_listener_json",
    "envoy_listener_json",
    "envoy_cluster_json",
    "envoy_local_cluster_json",
    "envoy_listener_tracing_json",
];

/// Keys of a `Config` of all proxies that Peerway understands; the others are kept for other tools.
pub(crate) const UNDERSTOOD: [&str; 5] = [
    "balance_inbound_connections",
    "local_connect_timeout_ms",
    "local_request_timeout_ms",
    "max_inbound_connections",
    "protocol",
];

/// The value as the model keeps it; numbers keep their text.
pub fn opaque_from_json(value: &Value) -> Opaque {
    match value {
        Value::Null => Opaque::Null,
        Value::Bool(flag) => Opaque::Bool(*flag),
        Value::Number(number) => Opaque::Number(number.to_string()),
        Value::String(text) => Opaque::Text(text.clone()),
        Value::Array(elements) => Opaque::List(elements.iter().map(opaque_from_json).collect()),
        Value::Object(members) => Opaque::Map(
            members
                .iter()
                .map(|(key, value)| (key.clone(), opaque_from_json(value)))
                .collect(),
        ),
    }
}

/// The value as JSON. A number that is not one in JSON, which nobody can have given, becomes a text.
pub fn opaque_to_json(value: &Opaque) -> Value {
    match value {
        Opaque::Null => Value::Null,
        Opaque::Bool(flag) => Value::Bool(*flag),
        Opaque::Number(text) => text
            .parse::<Number>()
            .map_or_else(|_| Value::String(text.clone()), Value::Number),
        Opaque::Text(text) => Value::String(text.clone()),
        Opaque::List(elements) => Value::Array(elements.iter().map(opaque_to_json).collect()),
        Opaque::Map(members) => Value::Object(opaque_map_to_json(members)),
    }
}

/// The members as a JSON object.
pub fn opaque_map_to_json(members: &BTreeMap<String, Opaque>) -> Map<String, Value> {
    members
        .iter()
        .map(|(key, value)| (key.clone(), opaque_to_json(value)))
        .collect()
}

/// What a `Config` belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConfigOf {
    /// The entry `proxy-defaults`, where a protocol holds for every service that names none.
    AllProxies,
    /// A registered proxy or upstream: it cannot have a protocol of its own, because both ends of a call and the
    /// gateways between them have to agree on it.
    Registration,
}

/// The members of a `Config`.
///
/// # Errors
/// When it names a protocol where none can be chosen, or replaces what Peerway generates.
pub(crate) fn config_from(
    members: Vec<(&str, String, &Value)>,
    of: ConfigOf,
) -> Result<BTreeMap<String, Opaque>, Invalid> {
    let mut config = BTreeMap::new();
    for (key, at, value) in members {
        let folded = key.to_ascii_lowercase();
        if ESCAPE_HATCHES.contains(&folded.as_str()) {
            return Err(Invalid::new(at, "is not offered yet, remove it"));
        }
        if folded == "protocol" {
            check_protocol(&at, value, of)?;
            config.insert(folded, opaque_from_json(value));
            continue;
        }
        config.insert(key.to_owned(), opaque_from_json(value));
    }
    Ok(config)
}

fn check_protocol(at: &str, value: &Value, of: ConfigOf) -> Result<(), Invalid> {
    match (value.as_str(), of) {
        (Some("tcp" | ""), _) => Ok(()),
        (Some(text), ConfigOf::AllProxies) if Protocol::parse(text).is_some() => Ok(()),
        (Some(other), ConfigOf::AllProxies) => {
            let offered = Protocol::ALL.map(Protocol::as_str).join(", ");
            Err(Invalid::new(
                at,
                format!("protocol {other:?} is not offered, use one of {offered}"),
            ))
        }
        (Some(other), ConfigOf::Registration) => Err(Invalid::new(
            at,
            format!(
                "protocol {other:?} is not offered here, write it as Protocol of the service's service-defaults"
            ),
        )),
        (None, _) => Err(Invalid::new(at, "must be a text, for example \"tcp\"")),
    }
}
