//! What gateways at the edge of the mesh let in from outside, by their entries.

use super::routes::in_mesh;
use crate::naming;
use crate::read::Reading;
use peerway_model::config::{
    EdgeTerms, HeaderEdits, IngressGateway, IngressListener, IngressService, Protocol, RequestMatch,
    RouteDestination, RouteService, TlsBounds,
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
    /// What its listener is called after, for requests.
    pub(crate) base: &'static str,
    /// Which TLS is spoken, if any.
    pub(crate) tls: Option<EdgeTls>,
    /// Where requests go, by their host; one for TCP.
    pub(crate) hosts: Vec<EdgeHost>,
}

/// The TLS of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EdgeTls {
    pub(crate) certificates: Certificates,
    /// Which is spoken.
    pub(crate) bounds: TlsBounds,
}

/// What is shown to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Certificates {
    /// The gateway's leaf.
    Leaf,
    /// Those of these entries, which are there; at least one.
    Own(Vec<ConfigKey>),
}

/// Requests with some hosts and where they go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EdgeHost {
    /// Distinct in a port; empty for TCP.
    pub(crate) name: String,
    /// As Envoy compares them; no two hosts of a port have one in common. Empty for TCP.
    pub(crate) domains: Vec<String>,
    /// Headers towards the service.
    pub(crate) request_headers: HeaderEdits,
    /// Headers towards the caller.
    pub(crate) response_headers: HeaderEdits,
    /// Where they go.
    pub(crate) leads: Leads,
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Leads {
    /// As the chain of a service says.
    Chain(ServiceKey),
    /// By the first of these that takes a request.
    Rules(Vec<EdgeRule>),
}

/// Which requests go to which services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EdgeRule {
    /// Which.
    pub(crate) request: RequestMatch,
    /// How.
    pub(crate) how: RouteDestination,
    /// To whom.
    pub(crate) services: Vec<RouteService>,
}

impl EdgeHost {
    /// All services that they may go to.
    pub(crate) fn services(&self) -> Vec<ServiceKey> {
        match &self.leads {
            Leads::Chain(service) => vec![service.clone()],
            Leads::Rules(rules) => rules
                .iter()
                .flat_map(|rule| rule.services.iter().map(RouteService::key))
                .collect(),
        }
    }
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
            base: listener.protocol.as_str(),
            tls: listener.tls_in(entry).map(|bounds| EdgeTls {
                certificates: Certificates::Leaf,
                bounds,
            }),
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
            name: naming::upstream_id(&service),
            domains,
            request_headers: said.request_headers.clone(),
            response_headers: said.response_headers.clone(),
            leads: Leads::Chain(service),
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
