//! Taking a service instance, or the local node with all of its instances, out of traffic: a check says so, which
//! outranks all others.

use crate::answer::{done, with_change};
use crate::ask::{Ask, query};
use crate::refusal::Refusal;
use crate::routes::{App, Shared};
use axum::extract::{Path, State};
use axum::response::Response;
use peerway_model::health::{NODE_MAINTENANCE, SERVICE_MAINTENANCE};
use peerway_model::{Check, CheckId, CheckKey, CheckStatus, NodeKey};
use peerway_state::{Row, RowKey, Transaction};
use std::sync::Arc;

/// Longest reason, in bytes.
const MAX_REASON_BYTES: usize = 1024;
/// The reason of those who give none.
const NO_REASON: &str = "taken out without a reason";

/// One instance.
pub(crate) async fn service(
    State(app): State<App>,
    Path(id): Path<String>,
    ask: Ask,
) -> Result<Response, Refusal> {
    let key = app.instance_key(&ask, &id)?;
    let snapshot = app.parts.reader.snapshot();
    let instance = app.found(&snapshot, &key)?;
    let check = Check {
        name: "Service Maintenance Mode".to_owned(),
        instance: Some(key.id.clone()),
        service: Some((instance.namespace.clone(), instance.service.clone())),
        ..check(&key.node, &format!("{SERVICE_MAINTENANCE}{id}"), reason(&ask)?)?
    };
    app.switch(&ask, check).await
}

/// The local node.
pub(crate) async fn node(State(app): State<App>, ask: Ask) -> Result<Response, Refusal> {
    let node = app.node_key(ask.partition());
    if app.parts.reader.snapshot().node(&node).is_none() {
        return Err(Refusal::absent(
            "nothing is registered on this node in the partition",
        ));
    }
    let check = Check {
        name: "Node Maintenance Mode".to_owned(),
        ..check(&node, NODE_MAINTENANCE, reason(&ask)?)?
    };
    app.switch(&ask, check).await
}

fn reason(ask: &Ask) -> Result<String, Refusal> {
    let reason = ask.first("reason").filter(|text| !text.is_empty());
    let reason = reason.unwrap_or(NO_REASON);
    if reason.len() > MAX_REASON_BYTES {
        return Err(Refusal::bad(format!(
            "reason: has {} bytes, at most {MAX_REASON_BYTES} are allowed",
            reason.len()
        )));
    }
    Ok(reason.to_owned())
}

fn check(node: &NodeKey, id: &str, notes: String) -> Result<Check, Refusal> {
    Ok(Check {
        key: CheckKey {
            node: node.clone(),
            id: CheckId::new(id).map_err(|error| query("id", error))?,
        },
        name: String::new(),
        status: CheckStatus::Critical,
        notes,
        output: String::new(),
        instance: None,
        service: None,
    })
}

impl Shared {
    /// Writes the check, or removes it, as is asked for.
    async fn switch(&self, ask: &Ask, check: Check) -> Result<Response, Refusal> {
        let transaction = match ask.first("enable") {
            Some("true" | "1") => Transaction::new().put(Row::Check(Arc::new(check))),
            Some("false" | "0") => Transaction::new().delete(RowKey::Check(check.key)),
            _ => return Err(Refusal::bad("enable: is needed, true or false")),
        };
        let committed = self.parts.writer.commit(transaction).await?;
        Ok(with_change(done(), committed.revision))
    }
}
