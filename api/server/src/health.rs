//! `/v1/health`: instances with their nodes and checks.

use crate::answer::indexed;
use crate::ask::Ask;
use crate::catalog::{has_node_meta, has_tags, indexes_of, met_at_topics, service_key};
use crate::refusal::Refusal;
use crate::routes::App;
use axum::extract::{Path, State};
use axum::response::Response;
use peerway_api_types::catalog::{CheckJson, HealthEntryJson, NodeJson, ServiceJson};
use peerway_model::CheckStatus;
use peerway_state::{FACE_SUFFIX, InstanceHealth, Topic, health_of, met_at};

/// The instances of a service.
pub(crate) async fn service(
    State(app): State<App>,
    Path(name): Path<String>,
    ask: Ask,
) -> Result<Response, Refusal> {
    let key = service_key(&ask, &name)?;
    let snapshot = app.watch(&ask, |_| vec![Topic::Service(key.clone())]).await?;
    let found = health_of(&snapshot, snapshot.instances_of(&key));
    let answer = indexed(&ask, &snapshot, &entries(&ask, &found))?;
    app.with_standing(&ask, Some(key.name.as_str()), answer)
}

/// The sidecars of a service and the terminating gateways that it is behind, with the checks of what they stand for
/// among their own; for a peer's service what it is dialled at.
pub(crate) async fn connect(
    State(app): State<App>,
    Path(name): Path<String>,
    ask: Ask,
) -> Result<Response, Refusal> {
    let key = service_key(&ask, &name)?;
    let snapshot = app.watch(&ask, |snapshot| met_at_topics(snapshot, &key)).await?;
    let found = met_at(&snapshot, &key);
    let answer = indexed(&ask, &snapshot, &entries(&ask, &found))?;
    let face = format!("{}{FACE_SUFFIX}", key.name);
    app.with_standing(&ask, Some(&face), answer)
}

pub(crate) fn entries(ask: &Ask, found: &[InstanceHealth]) -> Vec<HealthEntryJson> {
    let passing_only = ask.is_set("passing");
    found
        .iter()
        .filter(|entry| !passing_only || entry.status() == CheckStatus::Passing)
        .filter(|entry| has_tags(ask, &entry.instance) && has_node_meta(ask, &entry.node))
        .map(entry_of)
        .collect()
}

fn entry_of(entry: &InstanceHealth) -> HealthEntryJson {
    HealthEntryJson {
        node: NodeJson::new(&entry.node, indexes_of(&entry.node)),
        service: ServiceJson::new(&entry.instance, indexes_of(&entry.instance)),
        checks: entry
            .checks
            .iter()
            .map(|check| {
                let tags: &[String] = match check.instance {
                    Some(_) => &entry.instance.tags,
                    None => &[],
                };
                CheckJson::new(check, tags, indexes_of(check))
            })
            .collect(),
    }
}
