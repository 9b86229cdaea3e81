//! `http-route` and `tcp-route`: what the listeners of an `api-gateway` lead to.

use super::ApiListener;
use super::header_edits::HeaderEdits;
use super::host::{Host, meet};
use super::ingress_gateway::MAX_HOSTS;
use super::service_router::at_most;
use super::{Destination, MAX_ROUTES, MAX_SPLITS, Meta, PathTest, RequestMatch, RouteDestination};
use crate::Invalid;
use crate::key::{Origin, ServiceKey};
use crate::name::{Namespace, Partition, PeerName, ServiceName};
use std::collections::BTreeSet;

/// Most gateways, or listeners of them, that one route attaches itself to.
pub const MAX_PARENTS: usize = 64;
/// Most questions of one rule about a request, of which one has to be answered with yes.
pub const MAX_MATCHES: usize = 64;
/// Largest weight of a service.
pub const MAX_SERVICE_WEIGHT: u32 = 65_535;

/// What a route attaches itself to: an `api-gateway` in its own partition and namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteParent {
    /// The gateway.
    pub gateway: ServiceName,
    /// The listener of this name; `None` for all that speak what the route is about.
    pub listener: Option<String>,
}

/// A service that a route leads to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RouteService {
    /// Its name.
    pub name: ServiceName,
    /// Its namespace; for a peer's service the exporter's.
    pub namespace: Namespace,
    /// Its partition; for a peer's service that of the route.
    pub partition: Partition,
    /// The peer that exports it. Not in Consul.
    pub peer: Option<PeerName>,
    /// Its share, as a part of the weights of all; not looked at for bytes.
    pub weight: u32,
    /// Headers towards the service.
    pub request_headers: HeaderEdits,
    /// Headers towards the caller.
    pub response_headers: HeaderEdits,
}

/// Which requests go where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpRule {
    /// Of which one has to hold; empty for every request.
    pub matches: Vec<RequestMatch>,
    /// How they go there. Says nothing about where.
    pub how: RouteDestination,
    /// Where, each with its share; at least one.
    pub services: Vec<RouteService>,
}

/// Where the requests of listeners go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpRoute {
    /// The partition.
    pub partition: Partition,
    /// The namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: ServiceName,
    /// What it attaches itself to.
    pub parents: Vec<RouteParent>,
    /// What requests name as their host; empty is what the listener says.
    pub hostnames: Vec<String>,
    /// Which requests go where.
    pub rules: Vec<HttpRule>,
    /// The operator's pairs.
    pub meta: Meta,
}

/// Where the connections of listeners go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TcpRoute {
    /// The partition.
    pub partition: Partition,
    /// The namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: ServiceName,
    /// What it attaches itself to.
    pub parents: Vec<RouteParent>,
    /// The service.
    pub service: RouteService,
    /// The operator's pairs.
    pub meta: Meta,
}

impl RouteParent {
    /// Whether this is meant by it.
    pub fn is(&self, gateway: &ServiceName, listener: &str) -> bool {
        self.gateway == *gateway && self.listener.as_deref().is_none_or(|own| own == listener)
    }
}

impl RouteService {
    /// The service.
    pub fn key(&self) -> ServiceKey {
        ServiceKey {
            origin: self.peer.clone().map_or(Origin::Local, Origin::Peer),
            partition: self.partition.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }

    fn validate(&self, partition: &Partition) -> Result<(), Invalid> {
        if self.peer.is_some() && self.partition != *partition {
            return Err(Invalid::new(
                "Partition",
                "does not go together with Peer, a peering belongs to the partition of the route",
            ));
        }
        if self.weight > MAX_SERVICE_WEIGHT {
            return Err(Invalid::new(
                "Weight",
                format!("must be at most {MAX_SERVICE_WEIGHT}"),
            ));
        }
        self.request_headers
            .validate()
            .map_err(|error| error.within("Filters.Headers"))?;
        self.response_headers
            .validate()
            .map_err(|error| error.within("ResponseFilters.Headers"))
    }
}

impl HttpRule {
    fn validate(&self, partition: &Partition) -> Result<(), Invalid> {
        at_most("Matches", self.matches.len(), MAX_MATCHES)?;
        for (index, request) in self.matches.iter().enumerate() {
            let at = format!("Matches[{index}]");
            request.validate().map_err(|error| as_match(error).within(&at))?;
            if self.how.prefix_rewrite.is_some()
                && !matches!(request.path, PathTest::Exact(_) | PathTest::Prefix(_))
            {
                return Err(Invalid::new(
                    format!("{at}.Path"),
                    "needs to be exact or a prefix, for URLRewrite replaces it",
                ));
            }
        }
        if self.how.prefix_rewrite.is_some() && self.matches.is_empty() {
            return Err(Invalid::new(
                "Matches",
                "needs one with a Path that is exact or a prefix, for URLRewrite replaces it",
            ));
        }
        if self.how.to != Destination::default() {
            return Err(Invalid::new("Filters", "says where requests go, Services do"));
        }
        self.how.validate().map_err(as_filter)?;
        if self.services.is_empty() {
            return Err(Invalid::new("Services", "needs at least one service"));
        }
        at_most("Services", self.services.len(), MAX_SPLITS)?;
        let mut seen = BTreeSet::new();
        for (index, service) in self.services.iter().enumerate() {
            let at = format!("Services[{index}]");
            service.validate(partition).map_err(|error| error.within(&at))?;
            if !seen.insert(service.key()) {
                return Err(Invalid::new(
                    at,
                    "is a service that this rule has already, add its Weight there",
                ));
            }
        }
        if self.services.iter().all(|service| service.weight == 0) {
            return Err(Invalid::new("Services", "needs one with a Weight above 0"));
        }
        Ok(())
    }
}

/// A refusal of a question about a request by the names that it has here.
fn as_match(error: Invalid) -> Invalid {
    let path = error.path.as_str();
    let renamed = if path.starts_with("Path") {
        "Path.Value".to_owned()
    } else if path.starts_with("Methods") {
        "Method".to_owned()
    } else {
        let path = path
            .replace("QueryParam[", "Query[")
            .replace("Header[", "Headers[");
        match path.rsplit_once('.') {
            Some((before, "Exact" | "Prefix" | "Suffix")) => format!("{before}.Value"),
            _ => path,
        }
    };
    Invalid::new(renamed, error.problem)
}

/// A refusal of how requests go by the names that it has here.
fn as_filter(error: Invalid) -> Invalid {
    let path = error.path.as_str();
    let renamed = match path.split(['.', '[']).next().unwrap_or_default() {
        "PrefixRewrite" => "Filters.URLRewrite.Path".to_owned(),
        "RequestTimeout" | "IdleTimeout" => format!("Filters.TimeoutFilter.{path}"),
        "RequestHeaders" => path.replacen("RequestHeaders", "Filters.Headers", 1),
        "ResponseHeaders" => path.replacen("ResponseHeaders", "ResponseFilters.Headers", 1),
        _ => format!("Filters.RetryFilter.{path}"),
    };
    Invalid::new(renamed, error.problem)
}

fn parents(parents: &[RouteParent]) -> Result<(), Invalid> {
    at_most("Parents", parents.len(), MAX_PARENTS)?;
    let mut seen = BTreeSet::new();
    for (index, parent) in parents.iter().enumerate() {
        if !seen.insert(parent) {
            return Err(Invalid::new(
                format!("Parents[{index}]"),
                "is given more than once",
            ));
        }
    }
    Ok(())
}

impl HttpRoute {
    /// The hosts of requests that a listener may take and that this route is about; none when there are none.
    pub fn hosts_on(&self, listener: &ApiListener) -> Vec<String> {
        let taken = listener.hostname.as_deref().unwrap_or("*");
        if self.hostnames.is_empty() {
            return vec![taken.to_ascii_lowercase()];
        }
        let mut hosts: Vec<String> = self.hostnames.iter().filter_map(|own| meet(own, taken)).collect();
        hosts.sort();
        hosts.dedup();
        hosts
    }

    pub(super) fn validate(&self) -> Result<(), Invalid> {
        parents(&self.parents)?;
        at_most("Hostnames", self.hostnames.len(), MAX_HOSTS)?;
        let mut seen = BTreeSet::new();
        for (index, hostname) in self.hostnames.iter().enumerate() {
            let at = format!("Hostnames[{index}]");
            Host::parse(hostname).map_err(|error| error.within(&at))?;
            if !seen.insert(hostname.to_ascii_lowercase()) {
                return Err(Invalid::new(at, format!("{hostname:?} is given more than once")));
            }
        }
        at_most("Rules", self.rules.len(), MAX_ROUTES)?;
        for (index, rule) in self.rules.iter().enumerate() {
            rule.validate(&self.partition)
                .map_err(|error| error.within(&format!("Rules[{index}]")))?;
        }
        Ok(())
    }
}

impl TcpRoute {
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        parents(&self.parents)?;
        self.service
            .validate(&self.partition)
            .map_err(|error| error.within("Services[0]"))
    }
}
