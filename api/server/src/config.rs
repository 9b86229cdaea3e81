//! `/v1/config`: config entries.

use crate::answer::{absent, indexed, json, with_change};
use crate::ask::{Ask, read_body};
use crate::refusal::Refusal;
use crate::routes::{App, Shared};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use peerway_api_types::config::{ConfigIndexes, put_status};
use peerway_api_types::{config_entry_from_json, config_entry_to_json};
use peerway_model::condition::Condition;
use peerway_model::{ConfigEntry, ConfigKey, ConfigKind, Namespace};
use peerway_state::{
    Expect, Refused, Revision, Row, RowKey, Snapshot, Topic, Transaction, Versioned, standing,
    stands_by_others,
};
use peerway_store::CommitError;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Answers `true`, or `false` when a `cas` found another modify index.
pub(crate) async fn write(State(app): State<App>, ask: Ask, body: Body) -> Result<Response, Refusal> {
    let value = read_body(body).await?;
    let entry = config_entry_from_json(&value, &ask.tenancy()?).map_err(Refusal::body)?;
    if let ConfigEntry::InlineCertificate(own) = &entry {
        let checked = app.parts.leaves.check(&own.certificate, &own.key);
        checked.map_err(Refusal::body)?;
    }
    let row_key = RowKey::Config(entry.key());
    let transaction = match ask.number("cas")? {
        None => Transaction::new(),
        Some(0) => Transaction::new().expect(Expect::Absent(row_key)),
        Some(index) => Transaction::new().expect(Expect::Modified(row_key, index)),
    };
    let written = commit(&app, transaction.put(Row::Config(Arc::new(entry)))).await?;
    answer(&ask, written)
}

pub(crate) async fn list(
    State(app): State<App>,
    Path(kind): Path<String>,
    ask: Ask,
) -> Result<Response, Refusal> {
    let kind = parse_kind(&kind)?;
    let partition = ask.partition();
    let wanted = |entry: &&Versioned<ConfigEntry>| {
        let key = entry.key();
        let namespace = ask.one_namespace();
        key.partition == partition && namespace.is_none_or(|namespace| key.namespace == namespace)
    };
    let topics = |snapshot: &Snapshot| {
        let mut read = BTreeSet::from([Topic::ConfigKind(kind)]);
        if stands_by_others(kind) {
            let entries = snapshot.configs(kind).filter(wanted);
            read.extend(entries.flat_map(|entry| standing(snapshot, &entry.key()).topics));
        }
        read.into_iter().collect()
    };
    let snapshot = app.watch(&ask, topics).await?;
    let entries: Vec<Value> = snapshot
        .configs(kind)
        .filter(wanted)
        .map(|entry| shown(entry, &standing(&snapshot, &entry.key()).conditions))
        .collect();
    indexed(&ask, &snapshot, &entries)
}

pub(crate) async fn read(
    State(app): State<App>,
    Path((kind, name)): Path<(String, String)>,
    ask: Ask,
) -> Result<Response, Refusal> {
    let key = key_of(&ask, &kind, &name)?;
    let topics = |snapshot: &Snapshot| standing(snapshot, &key).topics.into_iter().collect();
    let snapshot = app.watch(&ask, topics).await?;
    match snapshot.config(&key) {
        Some(entry) => {
            let conditions = standing(&snapshot, &key).conditions;
            indexed(&ask, &snapshot, &shown(entry, &conditions))
        }
        None => Ok(absent(
            &snapshot,
            format!("config entry {kind} {name:?} does not exist"),
        )),
    }
}

/// Answers `{}` whether the entry was there or not; with `cas` whether it was deleted.
pub(crate) async fn delete(
    State(app): State<App>,
    Path((kind, name)): Path<(String, String)>,
    ask: Ask,
) -> Result<Response, Refusal> {
    let row_key = RowKey::Config(key_of(&ask, &kind, &name)?);
    match ask.number("cas")? {
        None => {
            let deleted = commit(&app, Transaction::new().delete(row_key)).await?;
            let empty = json(&ask, &Map::new())?;
            Ok(match deleted {
                Some(change) => with_change(empty, change),
                None => empty,
            })
        }
        Some(index) => {
            let transaction = Transaction::new().expect(Expect::Modified(row_key.clone(), index));
            answer(&ask, commit(&app, transaction.delete(row_key)).await?)
        }
    }
}

/// The change, or `None` when a condition did not hold.
async fn commit(app: &Shared, transaction: Transaction) -> Result<Option<Revision>, Refusal> {
    match app.parts.writer.commit(transaction).await {
        Ok(committed) => Ok(Some(committed.revision)),
        Err(CommitError::Refused(Refused::Conflict { .. })) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether it was written, with the change.
fn answer(ask: &Ask, written: Option<Revision>) -> Result<Response, Refusal> {
    let response = json(ask, &written.is_some())?;
    Ok(match written {
        Some(change) => with_change(response, change),
        None => response,
    })
}

fn shown(entry: &Versioned<ConfigEntry>, conditions: &[Condition]) -> Value {
    let indexes = ConfigIndexes {
        create: entry.create_index,
        modify: entry.modify_index,
    };
    let mut shown = config_entry_to_json(entry, Some(indexes));
    put_status(&mut shown, conditions);
    shown
}

fn parse_kind(text: &str) -> Result<ConfigKind, Refusal> {
    ConfigKind::parse(text).map_err(|error| Refusal::bad(error.to_string()))
}

fn key_of(ask: &Ask, kind: &str, name: &str) -> Result<ConfigKey, Refusal> {
    let kind = parse_kind(kind)?;
    let default = Namespace::default();
    let namespace = match kind.has_namespace() {
        true => ask.namespace_text(),
        false => default.as_str(),
    };
    Ok(ConfigKey::new(kind, &ask.partition(), namespace, name))
}
