//! Which routes the listeners of an `api-gateway` have. Decided here once, for what proxies are told and for what operators
//! are told about it.

use super::{ApiGateway, ApiListener, HttpRoute, TcpRoute};
use crate::name::ServiceName;
use crate::{ConfigKey, ConfigKind, ServiceKey};
use std::collections::{BTreeMap, BTreeSet};

/// A listener with the certificates and the routes that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached<'e> {
    /// The listener.
    pub listener: &'e ApiListener,
    /// Those of its certificates that are there, in its order.
    pub certificates: Vec<ConfigKey>,
    /// Those that are not.
    pub absent: Vec<&'e ServiceName>,
    /// The routes of requests that it has, each with the hosts that are theirs here, in the order given; none for TCP.
    pub requests: Vec<(&'e HttpRoute, Vec<String>)>,
    /// The routes of connections that ask for it, in the order given, of which the first one has them; none for HTTP.
    pub connections: Vec<&'e TcpRoute>,
}

impl Attached<'_> {
    /// Whether it may be listened on: it must never speak without the TLS that it should have.
    pub fn is_secure(&self) -> bool {
        self.listener.tls.is_none() || !self.certificates.is_empty()
    }

    /// The services to which it leads, by key, each with the hosts of the requests that may go there; none while it may not
    /// be listened on.
    pub fn services(&self) -> BTreeMap<ServiceKey, BTreeSet<String>> {
        let mut services: BTreeMap<ServiceKey, BTreeSet<String>> = BTreeMap::new();
        if !self.is_secure() {
            return services;
        }
        for (route, hosts) in &self.requests {
            for service in route.rules.iter().flat_map(|rule| &rule.services) {
                let own = services.entry(service.key()).or_default();
                own.extend(hosts.iter().cloned());
            }
        }
        if let Some(first) = self.connections.first() {
            services.entry(first.service.key()).or_default();
        }
        services
    }
}

/// The listeners of a gateway in its order, with what they have of `requests` and `connections`, which are given by name.
/// `is_there` is asked about certificates.
pub fn attached<'e>(
    gateway: &'e ApiGateway,
    requests: &[&'e HttpRoute],
    connections: &[&'e TcpRoute],
    mut is_there: impl FnMut(&ConfigKey) -> bool,
) -> Vec<Attached<'e>> {
    let place = (&gateway.partition, &gateway.namespace);
    let certificate = |name: &ServiceName| {
        let (partition, namespace) = place;
        ConfigKey::of_service(ConfigKind::InlineCertificate, partition, namespace, name)
    };
    let one = |listener: &'e ApiListener| {
        let mut one = Attached {
            listener,
            certificates: Vec::new(),
            absent: Vec::new(),
            requests: Vec::new(),
            connections: Vec::new(),
        };
        for name in listener.tls.iter().flat_map(|tls| &tls.certificates) {
            let key = certificate(name);
            if is_there(&key) {
                one.certificates.push(key);
            } else {
                one.absent.push(name);
            }
        }
        let asks = |parent: &super::RouteParent| parent.is(&gateway.name, &listener.name);
        if listener.protocol.is_http() {
            let here = requests.iter().filter(|route| {
                (&route.partition, &route.namespace) == place && route.parents.iter().any(asks)
            });
            let with_hosts = here.map(|route| (*route, route.hosts_on(listener)));
            one.requests = with_hosts.filter(|(_, hosts)| !hosts.is_empty()).collect();
        } else {
            let here = connections.iter().filter(|route| {
                (&route.partition, &route.namespace) == place && route.parents.iter().any(asks)
            });
            one.connections = here.copied().collect();
        }
        one
    };
    gateway.listeners.iter().map(one).collect()
}
