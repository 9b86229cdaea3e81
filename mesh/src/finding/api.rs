//! What API gateways lead to, by their entries and by those that attach themselves to them.

use super::edge::{Certificates, Edge, EdgeHost, EdgePort, EdgeRule, EdgeTls, Leads};
use crate::read::Reading;
use peerway_model::config::{
    Attached, EdgeTerms, HeaderEdits, HttpRoute, PathTest, Protocol, RequestMatch, TcpRoute, attached,
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
        .collect();
    let bytes: Vec<&TcpRoute> = reading
        .configs(ConfigKind::TcpRoute)
        .into_iter()
        .filter_map(|entry| match entry {
            ConfigEntry::TcpRoute(route) => Some(route),
            _ => None,
        })
        .collect();
    let mut edge = Edge::default();
    let mut called = BTreeSet::new();
    let is_there = |key: &ConfigKey| reading.config(key.clone()).is_some();
    for one in attached(entry, &requests, &bytes, is_there) {
        if !one.is_secure() {
            continue;
        }
        let listener = one.listener;
        let hosts = match listener.protocol.is_http() {
            true => hosts(&one),
            false => connections(&one),
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
            tls: listener.tls.as_ref().map(|said| EdgeTls {
                certificates: Certificates::Own(one.certificates.clone()),
                bounds: said.bounds.clone(),
            }),
            hosts,
        });
    }
    edge
}

/// Where connections go: the first route has them.
fn connections(one: &Attached<'_>) -> Vec<EdgeHost> {
    let first = one.connections.first().map(|route| EdgeHost {
        name: String::new(),
        domains: Vec::new(),
        request_headers: HeaderEdits::default(),
        response_headers: HeaderEdits::default(),
        leads: Leads::Chain(route.service.key()),
    });
    first.into_iter().collect()
}

/// Where requests go, by host: the rules of all routes that have it, the one that asks most of a request first.
fn hosts(one: &Attached<'_>) -> Vec<EdgeHost> {
    let mut rules: BTreeMap<&str, Vec<EdgeRule>> = BTreeMap::new();
    for (route, hosts) in &one.requests {
        for host in hosts {
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
            let host = host.to_owned();
            EdgeHost {
                domains: port_forms(std::slice::from_ref(&host), one.listener.port),
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
