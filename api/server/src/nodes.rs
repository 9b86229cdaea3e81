//! `/v1/catalog` by nodes: which there are, and what is on one of them.

use crate::answer::indexed;
use crate::ask::{Ask, query};
use crate::catalog::{has_node_meta, indexes_of};
use crate::refusal::Refusal;
use crate::routes::App;
use axum::extract::{Path, State};
use axum::response::Response;
use peerway_api_types::catalog::{NodeJson, ServiceJson};
use peerway_model::{NodeKey, NodeName, Origin, ServiceKind};
use peerway_state::{Snapshot, Topic};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) async fn list(State(app): State<App>, ask: Ask) -> Result<Response, Refusal> {
    let origin = ask.origin()?;
    let partition = ask.partition();
    let topics = |_: &_| vec![Topic::Nodes(origin.clone(), partition.clone())];
    let snapshot = app.watch(&ask, topics).await?;
    let nodes: Vec<NodeJson> = snapshot
        .nodes(&origin, &partition)
        .filter(|node| has_node_meta(&ask, node))
        .map(|node| NodeJson::new(node, indexes_of(node)))
        .collect();
    app.with_standing(&ask, None, indexed(&ask, &snapshot, &nodes)?)
}

/// A node and its services by id; null for one that is not there, as in Consul.
pub(crate) async fn one(
    State(app): State<App>,
    Path(name): Path<String>,
    ask: Ask,
) -> Result<Response, Refusal> {
    let (snapshot, key) = looked_at(&app, &ask, &name).await?;
    let shown = snapshot.node(&key).map(|node| {
        let services: BTreeMap<String, ServiceJson> = services(&snapshot, &key, &ask).collect();
        json!({"Node": NodeJson::new(node, indexes_of(node)), "Services": services})
    });
    answer(&app, &ask, &snapshot, shown)
}

/// The same with its services as a list.
pub(crate) async fn with_services(
    State(app): State<App>,
    Path(name): Path<String>,
    ask: Ask,
) -> Result<Response, Refusal> {
    let (snapshot, key) = looked_at(&app, &ask, &name).await?;
    let shown = snapshot.node(&key).map(|node| {
        let services: Vec<ServiceJson> = services(&snapshot, &key, &ask).map(|(_, own)| own).collect();
        json!({"Node": NodeJson::new(node, indexes_of(node)), "Services": services})
    });
    answer(&app, &ask, &snapshot, shown)
}

async fn looked_at(app: &App, ask: &Ask, name: &str) -> Result<(Arc<Snapshot>, NodeKey), Refusal> {
    let key = NodeKey {
        origin: ask.origin()?,
        partition: ask.partition(),
        name: NodeName::new(name).map_err(|error| query("node", error))?,
    };
    // Whatever is on it: there is no topic of one node's instances.
    let topics = |snapshot: &Snapshot| {
        let nodes = Topic::Nodes(key.origin.clone(), key.partition.clone());
        let on_it: Vec<Topic> = match &key.origin {
            Origin::Local => ServiceKind::ALL
                .map(|kind| Topic::Kind(kind, key.partition.clone()))
                .into(),
            Origin::Peer(_) => {
                let names = Topic::ServiceNames(key.origin.clone(), key.partition.clone());
                let each = snapshot.service_names(&key.origin, &key.partition);
                let each = each.map(|service| Topic::Service(service.clone()));
                std::iter::once(names).chain(each).collect()
            }
        };
        std::iter::once(nodes).chain(on_it).collect()
    };
    let snapshot = app.watch(ask, topics).await?;
    Ok((snapshot, key))
}

fn services<'a>(
    snapshot: &'a Snapshot,
    node: &'a NodeKey,
    ask: &'a Ask,
) -> impl Iterator<Item = (String, ServiceJson)> + 'a {
    let namespace = ask.one_namespace();
    snapshot
        .instances_on(node)
        .filter(move |own| namespace.is_none_or(|namespace| own.namespace.as_str() == namespace))
        .map(|own| (own.key.id.to_string(), ServiceJson::new(own, indexes_of(own))))
}

fn answer(app: &App, ask: &Ask, snapshot: &Snapshot, shown: Option<Value>) -> Result<Response, Refusal> {
    app.with_standing(ask, None, indexed(ask, snapshot, &shown)?)
}
