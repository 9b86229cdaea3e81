//! What API gateways lead to, by their entries and by those that attach themselves to them.

use super::edge::{Certificates, Edge, EdgeHost, EdgePort, EdgeRule, EdgeTls, Leads};
use crate::read::Reading;
use peerway_model::config::{
    ApiGateway, ApiListener, EdgeTerms, HeaderEdits, HttpRoute, PathTest, Protocol, RequestMatch, TcpRoute,
    port_forms,
};
use peerway_model::{ConfigEntry, ConfigKey, ConfigKind, ServiceKey};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Nothing while no entry is about it.
pub(super) fn api(reading: &mut Reading<'_>, gateway: &ServiceKey) -> Edge {
    let key = |kind| ConfigKey::of_service(kind, &gateway.partition, &gateway.namespace, &gateway.name);
    let Some(ConfigEntry::ApiGateway(entry)) = reading.config(key(ConfigKind::ApiGateway)) else {
        return Edge::default();
    };
    let requests: Vec<&HttpRoute> = reading
        .configs(ConfigKind::HttpRoute)
        .into_iter()
        .filter_map(|entry| match entry {
            ConfigEntry::HttpRoute(route) => Some(&**route),
            _ => None,
        })
        .filter(|route| (&route.partition, &route.namespace) == (&entry.partition, &entry.namespace))
        .collect();
    let bytes: Vec<&TcpRoute> = reading
        .configs(ConfigKind::TcpRoute)
        .into_iter()
        .filter_map(|entry| match entry {
            ConfigEntry::TcpRoute(route) => Some(route),
            _ => None,
        })
        .filter(|route| (&route.partition, &route.namespace) == (&entry.partition, &entry.namespace))
        .collect();
    let mut edge = Edge::default();
    let mut called = BTreeSet::new();
    for listener in &entry.listeners {
        let hosts = match listener.protocol.is_http() {
            true => hosts(entry, listener, &requests),
            false => connections(entry, listener, &bytes),
        };
        let Some(tls) = tls(reading, entry, listener) else {
            continue;
        };
        for service in hosts.iter().flat_map(EdgeHost::services) {
            if called.insert(service.clone()) {
                edge.calls.push((service, EdgeTerms::default()));
            }
        }
        edge.ports.push(EdgePort {
            port: listener.port,
            // Clients may speak HTTP/2 as well, whatever the services do.
            protocol: match listener.protocol.is_http() {
                true => Protocol::Http2,
                false => Protocol::Tcp,
            },
            base: Protocol::Http.as_str(),
            tls,
            hosts,
        });
    }
    edge
}

/// The TLS of a listener; `None` while it should speak it and has no certificate: it must never speak without.
fn tls(reading: &mut Reading<'_>, entry: &ApiGateway, listener: &ApiListener) -> Option<Option<EdgeTls>> {
    let Some(said) = &listener.tls else {
        return Some(None);
    };
    let kind = ConfigKind::InlineCertificate;
    let keys = said
        .certificates
        .iter()
        .map(|name| ConfigKey::of_service(kind, &entry.partition, &entry.namespace, name));
    let there: Vec<ConfigKey> = keys.filter(|key| reading.config(key.clone()).is_some()).collect();
    if there.is_empty() {
        return None;
    }
    Some(Some(EdgeTls {
        certificates: Certificates::Own(there),
        bounds: said.bounds.clone(),
    }))
}

/// Where connections go: the first route has them.
fn connections(entry: &ApiGateway, listener: &ApiListener, routes: &[&TcpRoute]) -> Vec<EdgeHost> {
    let is_here = |route: &&&TcpRoute| {
        route
            .parents
            .iter()
            .any(|parent| parent.is(&entry.name, &listener.name))
    };
    routes
        .iter()
        .find(is_here)
        .map(|route| EdgeHost {
            name: String::new(),
            domains: Vec::new(),
            request_headers: HeaderEdits::default(),
            response_headers: HeaderEdits::default(),
            leads: Leads::Chain(route.service.key()),
        })
        .into_iter()
        .collect()
}

/// Where requests go, by host: the rules of all routes that have it, the one that asks most of a request first.
fn hosts(entry: &ApiGateway, listener: &ApiListener, routes: &[&HttpRoute]) -> Vec<EdgeHost> {
    let mut rules: BTreeMap<String, Vec<EdgeRule>> = BTreeMap::new();
    for route in routes {
        if !route
            .parents
            .iter()
            .any(|parent| parent.is(&entry.name, &listener.name))
        {
            continue;
        }
        for host in route.hosts_on(listener) {
            let own = rules.entry(host).or_default();
            for rule in &route.rules {
                let any = [RequestMatch::default()];
                let matches = if rule.matches.is_empty() {
                    &any
                } else {
                    &*rule.matches
                };
                own.extend(matches.iter().map(|request| EdgeRule {
                    request: request.clone(),
                    how: rule.how.clone(),
                    services: rule.services.clone(),
                }));
            }
        }
    }
    rules
        .into_iter()
        .map(|(host, mut rules)| {
            // Stable: of two that ask the same the first one written counts, by the name of its route.
            rules.sort_by_key(|rule| Reverse(asked(&rule.request)));
            EdgeHost {
                domains: port_forms(std::slice::from_ref(&host), listener.port),
                name: host,
                request_headers: HeaderEdits::default(),
                response_headers: HeaderEdits::default(),
                leads: Leads::Rules(rules),
            }
        })
        .collect()
}

/// How much is asked of a request: a whole path before a part of one, the longer part before the shorter; then a method,
/// then the number of headers, then that of parameters.
fn asked(request: &RequestMatch) -> (bool, usize, bool, bool, usize, usize) {
    let (whole, length, pattern) = match &request.path {
        PathTest::Any => (false, 0, false),
        PathTest::Exact(path) => (true, path.len(), false),
        PathTest::Prefix(path) => (false, path.len(), false),
        PathTest::Regex(path) => (false, path.as_str().len(), true),
    };
    let method = !request.methods.is_empty();
    (
        whole,
        length,
        pattern,
        method,
        request.headers.len(),
        request.query.len(),
    )
}
