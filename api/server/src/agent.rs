//! `/v1/agent`: the local node and the services that are registered on it.

use crate::answer::{done, json, with_change, with_hash};
use crate::ask::{Ask, query, read_body};
use crate::blocking::{index_of, wait_limit};
use crate::refusal::Refusal;
use crate::routes::{App, Shared};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use peerway_api_types::agent::{AgentSelf, agent_self};
use peerway_api_types::catalog::AgentServiceJson;
use peerway_api_types::{ServiceRegistration, service_registration_from_json};
use peerway_model::server::SERVER_SERVICE;
use peerway_model::{
    ConfigEntry, ConfigKey, ConfigKind, Instance, InstanceId, InstanceKey, Node, NodeKey, Partition,
    ServiceKind,
};
use peerway_state::{Row, RowKey, Snapshot, Topic, Transaction};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

pub(crate) async fn about(State(app): State<App>, ask: Ask) -> Result<Response, Refusal> {
    let parts = &app.parts;
    let about = AgentSelf {
        node: &parts.node,
        version: parts.version,
        leader_address: &parts.leader_address,
        xds_plaintext: parts.ports.xds_plaintext,
        xds_tls: parts.ports.xds_tls,
        envoy_versions: parts.envoy_versions,
    };
    json(&ask, &agent_self(about))
}

/// The services of the local node by id, in all namespaces unless one is named.
pub(crate) async fn services(State(app): State<App>, ask: Ask) -> Result<Response, Refusal> {
    let filter = ask.first("filter").map(Filter::parse).transpose()?;
    let snapshot = app.parts.reader.snapshot();
    let node = app.node_key(ask.partition());
    let services: BTreeMap<String, AgentServiceJson> = snapshot
        .instances_on(&node)
        .filter(|instance| !is_server(&instance.key))
        .filter(|instance| {
            let namespace = ask.one_namespace();
            namespace.is_none_or(|namespace| instance.namespace.as_str() == namespace)
        })
        .filter(|instance| filter.as_ref().is_none_or(|filter| filter.matches(instance)))
        .map(|instance| (instance.key.id.to_string(), app.shown(&snapshot, instance)))
        .collect();
    json(&ask, &services)
}

/// One service of the local node. With `hash` the query waits until the answer has another one.
pub(crate) async fn service(
    State(app): State<App>,
    Path(id): Path<String>,
    ask: Ask,
) -> Result<Response, Refusal> {
    let key = app.instance_key(&ask, &id)?;
    let limit = wait_limit(&ask)?;
    let mut snapshot = app.newest();
    let mut service = app.hashed(&snapshot, &key)?;
    if let Some(seen) = ask.first("hash") {
        let _place = app.place()?;
        let started = app.parts.clock.monotonic();
        while service.content_hash.as_deref() == Some(seen) {
            let waited = app.parts.clock.monotonic().saturating_sub(started);
            let Some(left) = limit.checked_sub(waited).filter(|left| !left.is_zero()) else {
                break;
            };
            let before = snapshot.revision();
            let topics = |snapshot: &Snapshot| {
                let said = snapshot.instance(&key).map(|held| said_elsewhere(&held.row));
                let said = said.into_iter().flatten().map(Topic::Config);
                said.chain([Topic::Instance(key.clone())]).collect()
            };
            snapshot = app.wait_past(index_of(&snapshot), left, topics).await;
            service = app.hashed(&snapshot, &key)?;
            if snapshot.revision() == before {
                // Nothing at all was committed: the time is up, whatever the clock says.
                break;
            }
        }
    }
    let hash = service.content_hash.clone().unwrap_or_default();
    with_hash(json(&ask, &service)?, &hash)
}

pub(crate) async fn register(State(app): State<App>, ask: Ask, body: Body) -> Result<Response, Refusal> {
    let value = read_body(body).await?;
    let registration = service_registration_from_json(&value, &ask.tenancy()?).map_err(Refusal::body)?;
    unhurried(async move {
        let _turn = app.registering.lock().await;
        let snapshot = app.parts.reader.snapshot();
        let transaction = app.registering(&snapshot, &registration)?;
        let committed = app.parts.writer.commit(transaction).await?;
        Ok(with_change(done(), committed.revision))
    })
    .await
}

pub(crate) async fn deregister(
    State(app): State<App>,
    Path(id): Path<String>,
    ask: Ask,
) -> Result<Response, Refusal> {
    let key = app.instance_key(&ask, &id)?;
    unhurried(async move {
        let _turn = app.registering.lock().await;
        let snapshot = app.parts.reader.snapshot();
        app.found(&snapshot, &key)?;
        let mut transaction = Transaction::new().delete(RowKey::Instance(key.clone()));
        if let Some(sidecar) = sidecar_of(&snapshot, &key) {
            transaction = transaction.delete(RowKey::Instance(sidecar.key.clone()));
        }
        let committed = app.parts.writer.commit(transaction).await?;
        Ok(with_change(done(), committed.revision))
    })
    .await
}

/// Runs `work` to its end even when the client goes away: the turn that it holds must cover the whole commit, or
/// the next one could choose a port that is being given away.
pub(crate) async fn unhurried(
    work: impl Future<Output = Result<Response, Refusal>> + Send + 'static,
) -> Result<Response, Refusal> {
    tokio::spawn(work)
        .await
        .unwrap_or_else(|_| Err(Refusal::internal("the request was given up, see the log")))
}

impl Shared {
    pub(crate) fn node_key(&self, partition: Partition) -> NodeKey {
        NodeKey {
            partition,
            ..self.parts.node.key.clone()
        }
    }

    pub(crate) fn instance_key(&self, ask: &Ask, id: &str) -> Result<InstanceKey, Refusal> {
        Ok(InstanceKey {
            node: self.node_key(ask.partition()),
            id: InstanceId::new(id).map_err(|error| query("id", error))?,
        })
    }

    pub(crate) fn found<'a>(
        &self,
        snapshot: &'a Snapshot,
        key: &InstanceKey,
    ) -> Result<&'a Instance, Refusal> {
        let registered = snapshot.instance(key).filter(|row| !is_server(&row.key));
        registered.map(|row| &*row.row).ok_or_else(|| {
            Refusal::absent(format!(
                "service id {:?} is not registered on this node, give the id and not the name",
                key.id.as_str()
            ))
        })
    }

    fn shown(&self, snapshot: &Snapshot, instance: &Instance) -> AgentServiceJson {
        let (mut service, mut all) = (None, None);
        for key in said_elsewhere(instance) {
            match snapshot.config(&key).map(|held| &*held.row) {
                Some(ConfigEntry::ServiceDefaults(entry)) => service = Some(entry),
                Some(ConfigEntry::ProxyDefaults(entry)) => all = Some(entry),
                _ => {}
            }
        }
        AgentServiceJson::new(instance, service, all, &self.parts.node.datacenter)
    }

    fn hashed(&self, snapshot: &Snapshot, key: &InstanceKey) -> Result<AgentServiceJson, Refusal> {
        let mut service = self.shown(snapshot, self.found(snapshot, key)?);
        let text = serde_json::to_string(&service).map_err(|error| Refusal::internal(error.to_string()))?;
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        service.content_hash = Some(format!("{:016x}", hasher.finish()));
        Ok(service)
    }

    fn registering(
        &self,
        snapshot: &Snapshot,
        registration: &ServiceRegistration,
    ) -> Result<Transaction, Refusal> {
        let node = self.node_key(registration.tenancy.partition.clone());
        let sidecar = ServiceRegistration::sidecar_id(&registration.id)
            .ok()
            .map(|id| InstanceKey {
                node: node.clone(),
                id,
            });
        let kept = sidecar
            .as_ref()
            .and_then(|key| snapshot.instance(key))
            .map(|instance| instance.port)
            .filter(|port| *port != 0);
        let taken: BTreeSet<u16> = snapshot
            .instances_on(&node)
            .filter(|instance| Some(&instance.key) != sidecar.as_ref())
            .flat_map(|instance| ports_of(instance))
            .collect();
        let instances = registration
            .instances(&node, &taken, kept)
            .map_err(Refusal::body)?;
        let mut transaction = Transaction::new();
        if snapshot.node(&node).is_none() {
            let row = Node {
                key: node,
                ..self.parts.node.clone()
            };
            transaction = transaction.put(Row::Node(Arc::new(row)));
        }
        Ok(instances.into_iter().fold(transaction, |transaction, instance| {
            transaction.put(Row::Instance(Arc::new(instance)))
        }))
    }
}

/// The entries that say something about a sidecar; none about anything else.
fn said_elsewhere(instance: &Instance) -> Vec<ConfigKey> {
    let Some(service) = instance.destination_key() else {
        return Vec::new();
    };
    let own = ConfigKind::ServiceDefaults;
    vec![
        ConfigKey::of_service(own, &service.partition, &service.namespace, &service.name),
        ConfigKey::singleton(ConfigKind::ProxyDefaults, &service.partition),
    ]
}

/// Whether this is the row that a server writes about itself: it is in the catalog, but nobody registered it here.
pub(crate) fn is_server(key: &InstanceKey) -> bool {
    key.id.as_str() == SERVER_SERVICE
}

/// The ports that an instance listens on.
fn ports_of(instance: &Instance) -> Vec<u16> {
    let upstreams = instance.proxy.iter().flat_map(|proxy| &proxy.upstreams);
    let exposed = instance.proxy.iter().flat_map(|proxy| &proxy.sidecar.exposed);
    std::iter::once(instance.port)
        .chain(upstreams.map(|upstream| upstream.bind_port))
        .chain(exposed.map(|path| path.listener_port))
        .collect()
}

/// The sidecar that was registered with a service: it has the id that such a one gets and stands for it.
fn sidecar_of<'a>(snapshot: &'a Snapshot, service: &InstanceKey) -> Option<&'a Instance> {
    let id = ServiceRegistration::sidecar_id(&service.id).ok()?;
    let key = InstanceKey {
        node: service.node.clone(),
        id,
    };
    let sidecar = snapshot.instance(&key).map(|row| &*row.row)?;
    let stands_for = sidecar
        .proxy
        .as_ref()
        .and_then(|proxy| proxy.destination_id.as_ref());
    (sidecar.kind == ServiceKind::ConnectProxy && stands_for == Some(&service.id)).then_some(sidecar)
}

/// The part of Consul's filter language that its own command line uses here: one `Field == "value"`.
struct Filter {
    field: FilterField,
    value: String,
}

enum FilterField {
    Id,
    Kind,
    Service,
}

impl Filter {
    fn parse(text: &str) -> Result<Self, Refusal> {
        let refuse = || {
            Refusal::bad(format!(
                "filter: {text:?} is not offered yet, only one comparison of ID, Kind or Service is: Kind == \"mesh-gateway\""
            ))
        };
        let (field, value) = text.split_once("==").ok_or_else(refuse)?;
        let field = match field.trim() {
            "ID" => FilterField::Id,
            "Kind" => FilterField::Kind,
            "Service" => FilterField::Service,
            _ => return Err(refuse()),
        };
        let value = value.trim();
        let quoted = ['"', '`'].into_iter().find_map(|quote| {
            value
                .strip_prefix(quote)
                .and_then(|rest| rest.strip_suffix(quote))
                .filter(|inner| !inner.contains([quote, '\\']))
        });
        let bare = || {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            (!value.is_empty() && value.chars().all(plain)).then_some(value)
        };
        Ok(Filter {
            field,
            value: quoted.or_else(bare).ok_or_else(refuse)?.to_owned(),
        })
    }

    fn matches(&self, instance: &Instance) -> bool {
        let own = match self.field {
            FilterField::Id => instance.key.id.as_str(),
            FilterField::Kind => instance.kind.as_str(),
            FilterField::Service => instance.service.as_str(),
        };
        own == self.value
    }
}
