//! What gateways at the edge take from outside: who calls is nobody in the mesh, and the gateway speaks for itself to
//! the services behind it.

use super::cluster::named;
use super::listener::passed;
use super::routes;
use super::telemetry::telemetry;
use crate::finding::{Certificates, EdgeHost, EdgePort, EdgeTls, Leads};
use crate::fragment::{
    CallerHeader, Certificate, Chain, Direction, Http, Intake, LEAF_SECRET, Listener, RouteTable, Routes,
    ServingTls, Traffic, VirtualHost,
};
use crate::fragment_key::EdgeKey;
use crate::naming;
use crate::read::Reading;
use peerway_model::chain::Target;
use peerway_model::{ConfigEntry, ConfigKey, ServiceAddress, ServiceKey};

/// A port of a gateway; `None` when its entries do not have it, or it leads nowhere: Envoy refuses a listener without
/// chains.
pub(super) fn listener(
    reading: &mut Reading<'_>,
    address: &ServiceAddress,
    gateway: &EdgeKey,
    reporter: Option<&str>,
) -> Option<Listener> {
    let edge = reading.edge(gateway);
    let port = edge.ports.iter().find(|port| port.port == address.port)?;
    let (base, stat_prefix, traffic) = match port.protocol.is_http() {
        true => {
            let http = Http {
                protocol: port.protocol,
                caller_header: CallerHeader::Outside,
                policy: None,
                routes: Routes::Named(naming::edge_routes(port.port)),
            };
            let base = port.base.to_owned();
            (base, naming::edge_stats(port.port), Traffic::Http(http))
        }
        false => {
            let Leads::Chain(service) = &port.hosts.first()?.leads else {
                return None;
            };
            let target = end(reading, service)?;
            let cluster = named(reading, &target)?;
            let stats = naming::upstream_stats(&*reading.cluster()?, service);
            (naming::upstream_id(service), stats, passed(cluster))
        }
    };
    let inbound = reading.inbound_of(&gateway.service);
    Some(Listener {
        name: naming::listener(&base, address),
        address: address.clone(),
        direction: Direction::Outbound,
        redirected: false,
        chains: vec![Chain {
            server_names: Vec::new(),
            destinations: Vec::new(),
            tls: None,
            serving: port.tls.as_ref().map(serving),
            stat_prefix,
            traffic,
        }],
        telemetry: telemetry(reading, &gateway.service.partition, reporter),
        intake: Intake {
            max_connections: inbound.max_connections,
            exact_balance: inbound.exact_balance,
        },
    })
}

/// Where the bytes for a service end; `None` while that is requests' to decide, or nobody's.
fn end(reading: &mut Reading<'_>, service: &ServiceKey) -> Option<Target> {
    if service.origin.peer().is_some() {
        return Some(Target::of(service.clone()));
    }
    let chain = reading.chain(service)?;
    chain
        .resolver(&chain.start)
        .map(|resolver| resolver.target.clone())
}

/// Where the requests to a port of a gateway go; `None` when its entries do not have it.
pub(super) fn table(reading: &mut Reading<'_>, gateway: &EdgeKey, port: u16) -> Option<RouteTable> {
    let edge = reading.edge(gateway);
    let port = edge.ports.iter().find(|own| own.port == port)?;
    Some(RouteTable {
        name: naming::edge_routes(port.port),
        hosts: port.hosts.iter().map(|own| host(reading, port, own)).collect(),
    })
}

fn host(reading: &mut Reading<'_>, port: &EdgePort, host: &EdgeHost) -> VirtualHost {
    VirtualHost {
        name: host.name.clone(),
        domains: host.domains.clone(),
        routes: match &host.leads {
            Leads::Chain(service) => routes::led(reading, service, port.protocol),
            Leads::Rules(rules) => rules.iter().map(|rule| routes::ruled(reading, rule)).collect(),
        },
        request_headers: host.request_headers.clone(),
        response_headers: host.response_headers.clone(),
    }
}

fn serving(tls: &EdgeTls) -> ServingTls {
    ServingTls {
        certificates: match &tls.certificates {
            Certificates::Leaf => vec![LEAF_SECRET.to_owned()],
            Certificates::Own(keys) => keys.iter().map(naming::certificate).collect(),
        },
        bounds: tls.bounds.clone(),
    }
}

/// A certificate of an operator's own; `None` while it is not there.
pub(super) fn certificate(reading: &mut Reading<'_>, key: &ConfigKey) -> Option<Certificate> {
    match reading.config(key.clone())? {
        ConfigEntry::InlineCertificate(entry) => Some(Certificate {
            name: naming::certificate(key),
            chain: entry.certificate.clone(),
            key: entry.key.clone(),
        }),
        _ => None,
    }
}
