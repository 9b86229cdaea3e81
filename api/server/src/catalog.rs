//! `/v1/catalog`: which services there are, and where.

use crate::answer::indexed;
use crate::ask::{Ask, query};
use crate::refusal::Refusal;
use crate::routes::App;
use axum::extract::{Path, State};
use axum::response::Response;
use peerway_api_types::catalog::{CatalogServiceJson, Indexes};
use peerway_model::{ConfigKind, Instance, Node, Origin, ServiceKey, ServiceKind, ServiceName};
use peerway_state::{FACE_SUFFIX, Snapshot, Topic, Versioned, gateways_before, met_at};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) async fn services(State(app): State<App>, ask: Ask) -> Result<Response, Refusal> {
    let origin = ask.origin()?;
    let tenancy = ask.tenancy()?;
    let topics = |snapshot: &Snapshot| match &origin {
        // Tags show too, so any instance counts; by kind, that is a handful of topics.
        Origin::Local => ServiceKind::ALL
            .into_iter()
            .map(|kind| Topic::Kind(kind, tenancy.partition.clone()))
            .collect(),
        Origin::Peer(_) => {
            let names = Topic::ServiceNames(origin.clone(), tenancy.partition.clone());
            let each = snapshot
                .service_names(&origin, &tenancy.partition)
                .map(|key| Topic::Service(key.clone()));
            std::iter::once(names).chain(each).collect()
        }
    };
    let snapshot = app.watch(&ask, topics).await?;
    let mut tags_of: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for key in snapshot.service_names(&origin, &tenancy.partition) {
        if key.namespace != tenancy.namespace {
            continue;
        }
        for instance in snapshot.instances_of(key) {
            let matches = snapshot
                .node(&instance.key.node)
                .is_some_and(|node| has_node_meta(&ask, node));
            if matches {
                let tags = instance.row.tags.iter().map(String::as_str);
                tags_of.entry(key.name.as_str()).or_default().extend(tags);
            }
        }
    }
    app.with_standing(&ask, None, indexed(&ask, &snapshot, &tags_of)?)
}

pub(crate) async fn service(
    State(app): State<App>,
    Path(name): Path<String>,
    ask: Ask,
) -> Result<Response, Refusal> {
    let key = service_key(&ask, &name)?;
    let snapshot = app.watch(&ask, |_| vec![Topic::Service(key.clone())]).await?;
    let rows: Vec<CatalogServiceJson> = snapshot
        .instances_of(&key)
        .filter(|instance| has_tags(&ask, instance))
        .filter_map(|instance| {
            let node = snapshot.node(&instance.key.node)?;
            has_node_meta(&ask, node).then(|| CatalogServiceJson::new(instance, node, indexes_of(instance)))
        })
        .collect();
    app.with_standing(&ask, Some(key.name.as_str()), indexed(&ask, &snapshot, &rows)?)
}

/// Where a service is reached by the mesh: its sidecars and the terminating gateways that it is behind.
pub(crate) async fn connect(
    State(app): State<App>,
    Path(name): Path<String>,
    ask: Ask,
) -> Result<Response, Refusal> {
    let key = service_key(&ask, &name)?;
    let snapshot = app.watch(&ask, |snapshot| met_at_topics(snapshot, &key)).await?;
    let rows: Vec<CatalogServiceJson> = met_at(&snapshot, &key)
        .iter()
        .filter(|found| has_tags(&ask, &found.instance) && has_node_meta(&ask, &found.node))
        .map(|found| CatalogServiceJson::new(&found.instance, &found.node, indexes_of(&found.instance)))
        .collect();
    let face = format!("{}{FACE_SUFFIX}", key.name);
    app.with_standing(&ask, Some(&face), indexed(&ask, &snapshot, &rows)?)
}

/// What [`met_at`] depends on.
pub(crate) fn met_at_topics(snapshot: &Snapshot, service: &ServiceKey) -> Vec<Topic> {
    let gateways = gateways_before(snapshot, service).into_iter().map(Topic::Service);
    [
        Topic::ProxiesOf(service.clone()),
        Topic::Service(service.clone()),
        Topic::ConfigKind(ConfigKind::TerminatingGateway),
    ]
    .into_iter()
    .chain(gateways)
    .collect()
}

/// The service of this name where the client looks.
pub(crate) fn service_key(ask: &Ask, name: &str) -> Result<ServiceKey, Refusal> {
    let tenancy = ask.tenancy()?;
    Ok(ServiceKey {
        origin: ask.origin()?,
        partition: tenancy.partition,
        namespace: tenancy.namespace,
        name: ServiceName::new(name).map_err(|error| query("service", error))?,
    })
}

/// Whether an instance has every `tag` that is asked for; Consul compares without case.
pub(crate) fn has_tags(ask: &Ask, instance: &Instance) -> bool {
    ask.all("tag")
        .filter(|tag| !tag.is_empty())
        .all(|tag| instance.tags.iter().any(|own| own.eq_ignore_ascii_case(tag)))
}

/// Whether a node has every `node-meta` (`key:value`) that is asked for.
pub(crate) fn has_node_meta(ask: &Ask, node: &Node) -> bool {
    ask.all("node-meta").all(|pair| {
        let (key, value) = pair.split_once(':').unwrap_or((pair, ""));
        node.meta.get(key).is_some_and(|own| own == value)
    })
}

/// The revisions of a row.
pub(crate) fn indexes_of<T>(row: &Versioned<T>) -> Indexes {
    Indexes {
        create_index: row.create_index,
        modify_index: row.modify_index,
    }
}
