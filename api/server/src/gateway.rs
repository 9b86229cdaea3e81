//! Services behind gateways, and the gateways before a service.

use crate::answer::indexed;
use crate::ask::Ask;
use crate::catalog::{indexes_of, service_key};
use crate::health::entries;
use crate::refusal::Refusal;
use crate::routes::App;
use axum::extract::{Path, State};
use axum::response::Response;
use peerway_api_types::catalog::GatewayServiceJson;
use peerway_model::config::{IngressListener, IngressService};
use peerway_model::{ConfigEntry, ConfigKey, ConfigKind, Partition, ServiceKey, ServiceKind};
use peerway_state::{
    InstanceHealth, Snapshot, Topic, attached_to, health_of, ingress_gateways_before, is_meant,
    linked_services,
};
use std::collections::BTreeSet;

/// What makes API gateways lead to services.
const ATTACHING: [ConfigKind; 3] = [
    ConfigKind::HttpRoute,
    ConfigKind::InlineCertificate,
    ConfigKind::TcpRoute,
];

/// What depends on what is registered, and on what services speak: the services that `*` stands for.
fn meant_by_wildcards(partition: &Partition) -> Vec<Topic> {
    let registered = [ServiceKind::Typical, ServiceKind::ConnectProxy];
    let registered = registered.map(|kind| Topic::Kind(kind, partition.clone()));
    let kinds = [
        ConfigKind::ServiceDefaults,
        ConfigKind::ProxyDefaults,
        ConfigKind::TerminatingGateway,
    ];
    registered
        .into_iter()
        .chain(kinds.map(Topic::ConfigKind))
        .collect()
}

/// The services behind a gateway; none for a name that no entry of a gateway has.
pub(crate) async fn services(
    State(app): State<App>,
    Path(name): Path<String>,
    ask: Ask,
) -> Result<Response, Refusal> {
    let gateway = service_key(&ask, &name)?;
    let kinds = [
        ConfigKind::IngressGateway,
        ConfigKind::TerminatingGateway,
        ConfigKind::ApiGateway,
    ];
    let keys =
        kinds.map(|kind| ConfigKey::of_service(kind, &gateway.partition, &gateway.namespace, &gateway.name));
    let topics = |snapshot: &Snapshot| {
        let mut partitions = BTreeSet::from([gateway.partition.clone()]);
        if let Some(ConfigEntry::IngressGateway(entry)) = snapshot.config(&keys[0]).map(|held| &*held.row) {
            let services = entry.listeners.iter().flat_map(|listener| &listener.services);
            partitions.extend(services.map(|service| service.partition.clone()));
        }
        let entries = keys.iter().cloned().map(Topic::Config);
        entries
            .chain(partitions.iter().flat_map(meant_by_wildcards))
            .chain(ATTACHING.map(Topic::ConfigKind))
            .collect()
    };
    let snapshot = app.watch(&ask, topics).await?;
    let mut rows: Vec<GatewayServiceJson> = Vec::new();
    for held in keys.iter().filter_map(|key| snapshot.config(key)) {
        let indexes = indexes_of(held);
        match &*held.row {
            ConfigEntry::IngressGateway(entry) => {
                for listener in &entry.listeners {
                    let all = let_in(&snapshot, listener);
                    rows.extend(all.iter().map(|(service, said)| {
                        GatewayServiceJson::ingress(&gateway, service, listener, said, indexes)
                    }));
                }
            }
            ConfigEntry::TerminatingGateway(entry) => {
                let all = linked_services(&snapshot, entry);
                rows.extend(all.into_iter().map(|(service, link)| {
                    GatewayServiceJson::terminating(&gateway, &service, link, indexes)
                }));
            }
            ConfigEntry::ApiGateway(entry) => {
                for one in attached_to(&snapshot, entry) {
                    let all = one.services().into_iter();
                    rows.extend(all.map(|(service, hosts)| {
                        GatewayServiceJson::api(&gateway, &service, one.listener, hosts, indexes)
                    }));
                }
            }
            _ => {}
        }
    }
    indexed(&ask, &snapshot, &rows)
}

/// The ingress gateways that let a service in.
pub(crate) async fn ingress(
    State(app): State<App>,
    Path(name): Path<String>,
    ask: Ask,
) -> Result<Response, Refusal> {
    let key = service_key(&ask, &name)?;
    let topics = |snapshot: &Snapshot| {
        let mut topics = meant_by_wildcards(&key.partition);
        topics.push(Topic::ConfigKind(ConfigKind::IngressGateway));
        topics.extend(
            ingress_gateways_before(snapshot, &key)
                .into_iter()
                .map(Topic::Service),
        );
        topics
    };
    let snapshot = app.watch(&ask, topics).await?;
    let found: Vec<InstanceHealth> = ingress_gateways_before(&snapshot, &key)
        .iter()
        .flat_map(|gateway| {
            let instances = snapshot.instances_of(gateway);
            health_of(
                &snapshot,
                instances.filter(|instance| instance.kind == ServiceKind::IngressGateway),
            )
        })
        .collect();
    indexed(&ask, &snapshot, &entries(&ask, &found))
}

/// The services that a listener lets in: those that are named, then those that a wildcard stands for.
fn let_in<'a>(snapshot: &Snapshot, listener: &'a IngressListener) -> Vec<(ServiceKey, &'a IngressService)> {
    let mut all: Vec<(ServiceKey, &IngressService)> = listener
        .services
        .iter()
        .filter_map(|said| Some((said.key()?, said)))
        .collect();
    let named: BTreeSet<ServiceKey> = all.iter().map(|(key, _)| key.clone()).collect();
    for said in listener.services.iter().filter(|said| said.name.is_any()) {
        let sidecars = snapshot.instances_of_kind(ServiceKind::ConnectProxy, &said.partition);
        let mut served: BTreeSet<ServiceKey> =
            sidecars.filter_map(|sidecar| sidecar.destination_key()).collect();
        for held in snapshot.configs(ConfigKind::TerminatingGateway) {
            if let ConfigEntry::TerminatingGateway(entry) = &*held.row
                && entry.partition == said.partition
            {
                served.extend(linked_services(snapshot, entry).into_keys());
            }
        }
        let more = served
            .into_iter()
            .filter(|service| !named.contains(service) && is_meant(snapshot, listener, said, service));
        all.extend(more.map(|service| (service, said)));
    }
    all
}
