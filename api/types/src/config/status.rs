//! The `Status` of an entry: what has become of it.

use peerway_model::condition::{Condition, Part};
use peerway_model::{ConfigKey, Namespace};
use serde_json::{Map, Value, json};

/// Adds `Status` with Consul's field names to an entry that is an object; without conditions nothing. There is no
/// `LastTransitionTime`: conditions are computed when they are read, and nobody has written down since when they are so.
pub fn put_status(entry: &mut Value, conditions: &[Condition]) {
    if let Value::Object(out) = entry
        && !conditions.is_empty()
    {
        let conditions: Vec<Value> = conditions.iter().map(condition).collect();
        out.insert("Status".to_owned(), json!({ "Conditions": conditions }));
    }
}

fn condition(condition: &Condition) -> Value {
    let Condition {
        kind,
        holds,
        reason,
        message,
        part,
    } = condition;
    let mut out = Map::new();
    out.insert("Type".to_owned(), json!(kind.as_str()));
    let status = if *holds { "True" } else { "False" };
    out.insert("Status".to_owned(), json!(status));
    out.insert("Reason".to_owned(), json!(reason));
    out.insert("Message".to_owned(), json!(message));
    if let Some(part) = part {
        out.insert("Resource".to_owned(), resource(part));
    }
    Value::Object(out)
}

fn resource(part: &Part) -> Value {
    let Part { entry, section } = part;
    let ConfigKey {
        kind,
        partition,
        namespace,
        name,
    } = entry;
    let mut out = Map::new();
    out.insert("Kind".to_owned(), json!(kind.as_str()));
    out.insert("Name".to_owned(), json!(name));
    let section = section.as_deref().unwrap_or_default();
    out.insert("SectionName".to_owned(), json!(section));
    if !partition.is_default() || namespace != Namespace::default().as_str() {
        out.insert("Partition".to_owned(), json!(partition.as_str()));
        out.insert("Namespace".to_owned(), json!(namespace));
    }
    Value::Object(out)
}
