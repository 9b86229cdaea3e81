//! What gateways at the edge of the mesh let in from outside, by their entries.

use super::routes::in_mesh;
use crate::read::Reading;
use peerway_model::config::{
    EdgeTerms, HeaderEdits, IngressGateway, IngressListener, IngressService, Protocol, TlsBounds,
};
use peerway_model::{ConfigEntry, ConfigKey, ConfigKind, ServiceKey};
use std::collections::BTreeSet;

/// A gateway at the edge.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Edge {
    /// The DNS names that its certificate is made for: sorted and distinct.
    pub(crate) dns_names: Vec<String>,
    /// Its ports, which are distinct.
    pub(crate) ports: Vec<EdgePort>,
    /// The services that it calls, each with what is asked of it; the first one counts.
    pub(crate) calls: Vec<(ServiceKey, EdgeTerms)>,
}

/// A port of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EdgePort {
    pub(crate) port: u16,
    /// What is spoken.
    pub(crate) protocol: Protocol,
    /// Which TLS is spoken, if any.
    pub(crate) tls: Option<TlsBounds>,
    /// Where requests go, by their host; one for TCP.
    pub(crate) hosts: Vec<EdgeHost>,
}

/// Requests with some hosts and where they go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EdgeHost {
    /// As Envoy compares them; no two hosts of a port have one in common. Empty for TCP.
    pub(crate) domains: Vec<String>,
    /// Whose chain says where they go; distinct in a port.
    pub(crate) service: ServiceKey,
    /// Headers towards the service.
    pub(crate) request_headers: HeaderEdits,
    /// Headers towards the caller.
    pub(crate) response_headers: HeaderEdits,
}

/// Of an ingress gateway; nothing while no entry is about it.
pub(super) fn ingress(reading: &mut Reading<'_>, gateway: &ServiceKey) -> Edge {
    let kind = ConfigKind::IngressGateway;
    let key = ConfigKey::of_service(kind, &gateway.partition, &gateway.namespace, &gateway.name);
    let Some(ConfigEntry::IngressGateway(entry)) = reading.config(key) else {
        return Edge::default();
    };
    let Some(cluster) = reading.cluster() else {
        return Edge::default();
    };
    let mut edge = Edge {
        dns_names: entry.dns_names(&cluster.datacenter),
        ..Edge::default()
    };
    for listener in &entry.listeners {
        let hosts = hosts(reading, entry, listener, &mut edge.calls);
        edge.ports.push(EdgePort {
            port: listener.port,
            protocol: listener.protocol,
            tls: listener.tls_in(entry),
            hosts,
        });
    }
    edge
}

fn hosts(
    reading: &mut Reading<'_>,
    entry: &IngressGateway,
    listener: &IngressListener,
    calls: &mut Vec<(ServiceKey, EdgeTerms)>,
) -> Vec<EdgeHost> {
    let mut hosts = Vec::new();
    let mut taken = BTreeSet::new();
    let mut add = |service: ServiceKey, said: &IngressService| {
        let http = listener.protocol.is_http();
        let mut domains = match http {
            true => said.domains(&service, &entry.partition, listener.port),
            false => Vec::new(),
        };
        // One that was written counts before one that the wildcard stands for.
        domains.retain(|domain| taken.insert(domain.clone()));
        if http && domains.is_empty() {
            return;
        }
        calls.push((service.clone(), said.terms.or(&entry.defaults)));
        hosts.push(EdgeHost {
            domains,
            service,
            request_headers: said.request_headers.clone(),
            response_headers: said.response_headers.clone(),
        });
    };
    let named: BTreeSet<ServiceKey> = listener.services.iter().filter_map(IngressService::key).collect();
    for said in &listener.services {
        if let Some(service) = said.key() {
            add(service, said);
        }
    }
    for said in listener.services.iter().filter(|said| said.name.is_any()) {
        for service in in_mesh(reading, &said.partition) {
            let meant = service.namespace == said.namespace && !named.contains(&service);
            if meant && reading.protocol(&service) == listener.protocol {
                add(service, said);
            }
        }
    }
    hosts
}
