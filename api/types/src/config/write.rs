//! From a config entry to JSON.

mod jwt_provider;
mod resolver;
pub(super) mod routing;
mod terminating_gateway;

pub(crate) use resolver::{by_locality, load_balancer, subset};
pub(crate) use routing::{route, split, weight};

use super::access_logs::put_access_logs;
use super::api_gateway::{put_api_gateway, put_inline_certificate};
use super::edge_route::{put_http_route, put_tcp_route};
use super::ingress::put_ingress;
use super::jwt_requirement::jwt_json;
use super::mesh_tls::put_mesh_tls;
use super::permission::put_verdict;
use super::tracing::put_tracing;
use super::upstreams::{put_inbound, put_upstreams};
use crate::opaque::opaque_map_to_json;
use crate::proxy::MeshGatewayJson;
use crate::sidecar::put_sidecar_settings;
use peerway_model::config::{ConfigEntry, Consumer, Meta, Pattern, ServiceIntentions, Source};
use peerway_model::name::Partition;
use peerway_model::{Namespace, ServiceName};
use serde_json::{Map, Value, json};

/// The revisions of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigIndexes {
    /// Revision that created it.
    pub create: u64,
    /// Revision that last changed it: what a `cas` is compared with.
    pub modify: u64,
}

/// The entry with Consul's field names. It can be read again with [`super::config_entry_from_json`] and is
/// the same entry then. Partition and namespace are left out where both are `default`.
pub fn config_entry_to_json(entry: &ConfigEntry, indexes: Option<ConfigIndexes>) -> Value {
    let mut out = Map::new();
    let key = entry.key();
    out.insert("Kind".to_owned(), json!(entry.kind().as_str()));
    out.insert("Name".to_owned(), json!(key.name));
    if !key.partition.is_default() || key.namespace != Namespace::default().as_str() {
        out.insert("Partition".to_owned(), json!(key.partition.as_str()));
        if entry.kind().has_namespace() {
            out.insert("Namespace".to_owned(), json!(key.namespace));
        }
    }
    match entry {
        ConfigEntry::ExportedServices(entry) => {
            let services: Vec<Value> = entry
                .services
                .iter()
                .map(|service| exported_service(&service.name, &service.namespace, &service.consumers))
                .collect();
            out.insert("Services".to_owned(), Value::Array(services));
        }
        ConfigEntry::ServiceIntentions(entry) => {
            let mut sources: Vec<&Source> = entry.sources.iter().collect();
            // Consul shows the strongest first; equal ones keep the order in which they were written.
            sources.sort_by_key(|source| std::cmp::Reverse(entry.precedence(source)));
            let sources = sources.into_iter().map(|one| source(entry, one)).collect();
            out.insert("Sources".to_owned(), Value::Array(sources));
            if let Some(jwt) = &entry.jwt {
                out.insert("JWT".to_owned(), jwt_json(jwt));
            }
        }
        ConfigEntry::Mesh(entry) => {
            if entry.mesh_destinations_only {
                out.insert(
                    "TransparentProxy".to_owned(),
                    json!({ "MeshDestinationsOnly": true }),
                );
            }
            if let Some(through) = entry.peer_through_mesh_gateways {
                out.insert(
                    "Peering".to_owned(),
                    json!({ "PeerThroughMeshGateways": through }),
                );
            }
            put_mesh_tls(&mut out, &entry.tls);
        }
        ConfigEntry::ProxyDefaults(entry) => {
            out.insert(
                "Config".to_owned(),
                Value::Object(opaque_map_to_json(&entry.config)),
            );
            put_access_logs(&mut out, &entry.access_logs);
            put_tracing(&mut out, entry.tracing.as_ref());
            by_locality(&mut out, entry.by_locality);
            out.insert(
                "MeshGateway".to_owned(),
                json!(MeshGatewayJson::from(entry.mesh_gateway)),
            );
            put_sidecar_settings(&mut out, &entry.sidecar);
        }
        ConfigEntry::ServiceDefaults(entry) => {
            if let Some(protocol) = entry.protocol {
                out.insert("Protocol".to_owned(), json!(protocol.as_str()));
            }
            out.insert(
                "MeshGateway".to_owned(),
                json!(MeshGatewayJson::from(entry.mesh_gateway)),
            );
            put_sidecar_settings(&mut out, &entry.sidecar);
            put_inbound(&mut out, &entry.inbound);
            put_upstreams(&mut out, entry);
        }
        ConfigEntry::JwtProvider(entry) => jwt_provider::jwt_provider(&mut out, entry),
        ConfigEntry::SamenessGroup(entry) => routing::sameness_group(&mut out, entry),
        ConfigEntry::ServiceResolver(entry) => resolver::service_resolver(&mut out, entry),
        ConfigEntry::ServiceRouter(entry) => {
            out.insert("Routes".to_owned(), entry.routes.iter().map(route).collect());
        }
        ConfigEntry::ServiceSplitter(entry) => {
            out.insert("Splits".to_owned(), entry.splits.iter().map(split).collect());
        }
        ConfigEntry::TerminatingGateway(entry) => {
            let services = entry.services.iter().map(terminating_gateway::linked_service);
            out.insert("Services".to_owned(), services.collect());
        }
        ConfigEntry::IngressGateway(entry) => put_ingress(&mut out, entry),
        ConfigEntry::ApiGateway(entry) => put_api_gateway(&mut out, entry),
        ConfigEntry::HttpRoute(entry) => put_http_route(&mut out, entry),
        ConfigEntry::TcpRoute(entry) => put_tcp_route(&mut out, entry),
        ConfigEntry::InlineCertificate(entry) => put_inline_certificate(&mut out, entry),
    }
    meta(&mut out, entry.meta());
    if let Some(indexes) = indexes {
        out.insert("CreateIndex".to_owned(), json!(indexes.create));
        out.insert("ModifyIndex".to_owned(), json!(indexes.modify));
    }
    Value::Object(out)
}

fn exported_service(
    name: &Pattern<ServiceName>,
    namespace: &Pattern<Namespace>,
    consumers: &[Consumer],
) -> Value {
    let mut out = Map::new();
    out.insert("Name".to_owned(), json!(name.to_string()));
    if !is_default(namespace) {
        out.insert("Namespace".to_owned(), json!(namespace.to_string()));
    }
    let consumers = consumers
        .iter()
        .map(|consumer| match consumer {
            Consumer::Peer(peer) => json!({ "Peer": peer.as_str() }),
            Consumer::Partition(partition) => json!({ "Partition": partition.as_str() }),
            Consumer::Group(group) => json!({ "SamenessGroup": group.as_str() }),
        })
        .collect();
    out.insert("Consumers".to_owned(), Value::Array(consumers));
    Value::Object(out)
}

fn source(entry: &ServiceIntentions, source: &Source) -> Value {
    let mut out = Map::new();
    out.insert("Name".to_owned(), json!(source.name.to_string()));
    put_verdict(&mut out, &source.verdict);
    if let Some(peer) = &source.peer {
        out.insert("Peer".to_owned(), json!(peer.as_str()));
    }
    if let Some(group) = &source.group {
        out.insert("SamenessGroup".to_owned(), json!(group.as_str()));
    }
    let spelt = !is_default(&source.namespace)
        || !is_default(&entry.namespace)
        || source.partition != entry.partition
        || entry.partition != Partition::default();
    if spelt {
        out.insert("Namespace".to_owned(), json!(source.namespace.to_string()));
        if source.peer.is_none() && source.group.is_none() {
            out.insert("Partition".to_owned(), json!(source.partition.as_str()));
        }
    }
    out.insert("Precedence".to_owned(), json!(entry.precedence(source)));
    out.insert("Type".to_owned(), json!("consul"));
    if !source.description.is_empty() {
        out.insert("Description".to_owned(), json!(source.description));
    }
    Value::Object(out)
}

fn is_default(namespace: &Pattern<Namespace>) -> bool {
    namespace.exact().is_some_and(Namespace::is_default)
}

fn meta(out: &mut Map<String, Value>, meta: &Meta) {
    if !meta.is_empty() {
        out.insert("Meta".to_owned(), json!(meta));
    }
}
