//! Intentions in the form of Consul's older API, one for each source (`/v1/connect/intentions/*`).

use crate::config::{jwt_json, put_verdict};
use peerway_model::config::{Action, ServiceIntentions, Source};
use peerway_model::intention::{Decision, Rule};
use serde_json::{Map, Value, json};

/// A source of an entry as an intention of its own.
pub fn intention_to_json(entry: &ServiceIntentions, source: &Source, indexes: (u64, u64)) -> Value {
    let mut out = Map::new();
    out.insert("SourceNS".to_owned(), json!(source.namespace.to_string()));
    out.insert("SourceName".to_owned(), json!(source.name.to_string()));
    match (&source.peer, &source.group) {
        (Some(peer), _) => out.insert("SourcePeer".to_owned(), json!(peer.as_str())),
        (None, Some(group)) => out.insert("SourceSamenessGroup".to_owned(), json!(group.as_str())),
        (None, None) => out.insert("SourcePartition".to_owned(), json!(source.partition.as_str())),
    };
    out.insert("DestinationNS".to_owned(), json!(entry.namespace.to_string()));
    out.insert("DestinationName".to_owned(), json!(entry.name.to_string()));
    out.insert("DestinationPartition".to_owned(), json!(entry.partition.as_str()));
    out.insert("SourceType".to_owned(), json!("consul"));
    out.insert("Description".to_owned(), json!(source.description));
    put_verdict(&mut out, &source.verdict);
    if let Some(jwt) = &entry.jwt {
        out.insert("JWT".to_owned(), jwt_json(jwt));
    }
    out.insert("Precedence".to_owned(), json!(entry.precedence(source)));
    if !entry.meta.is_empty() {
        out.insert("Meta".to_owned(), json!(entry.meta));
    }
    let (create, modify) = indexes;
    out.insert("CreateIndex".to_owned(), json!(create));
    out.insert("ModifyIndex".to_owned(), json!(modify));
    Value::Object(out)
}

/// What was decided about a call, as `/v1/connect/intentions/check` answers it: `Allowed` as Consul's clients read it,
/// and beside it why.
pub fn decision_to_json(decision: &Decision) -> Value {
    answer_to_json(
        decision.action == Action::Allow,
        decision.why.code(),
        &decision.why.to_string(),
        decision.by.as_ref(),
    )
}

/// The same for an answer that no rule gives. `reason` is a word for programs, `explanation` a clause for people, `by`
/// the rule that it is about.
pub fn answer_to_json(allowed: bool, reason: &str, explanation: &str, by: Option<&Rule>) -> Value {
    let mut out = Map::new();
    out.insert("Allowed".to_owned(), json!(allowed));
    out.insert("Reason".to_owned(), json!(reason));
    out.insert("Explanation".to_owned(), json!(explanation));
    if let Some(rule) = by {
        out.insert("DecidedBy".to_owned(), rule_to_json(rule));
    }
    Value::Object(out)
}

fn rule_to_json(rule: &Rule) -> Value {
    let mut out = Map::new();
    out.insert("SourceName".to_owned(), json!(rule.callers.name.to_string()));
    out.insert("SourceNS".to_owned(), json!(rule.callers.namespace.to_string()));
    if let Some(partition) = &rule.callers.partition {
        out.insert("SourcePartition".to_owned(), json!(partition.as_str()));
    }
    if let Some(peer) = rule.callers.peer() {
        out.insert("SourcePeer".to_owned(), json!(peer.as_str()));
    }
    out.insert("DestinationName".to_owned(), json!(rule.entry.name));
    out.insert("DestinationNS".to_owned(), json!(rule.entry.namespace));
    out.insert(
        "DestinationPartition".to_owned(),
        json!(rule.entry.partition.as_str()),
    );
    out.insert("Precedence".to_owned(), json!(rule.precedence));
    put_verdict(&mut out, &rule.verdict);
    if let Some(jwt) = &rule.jwt {
        out.insert("JWT".to_owned(), jwt_json(jwt));
    }
    Value::Object(out)
}
