//! Entries that chains are made of, in few words.

use super::world::{peer_name, service_name};
use peerway_model::config::{
    ApiGateway, ApiListener, ApiTls, Destination, EdgeTerms, EdgeTls, Failover, HeaderEdits, HttpRoute,
    HttpRule, IngressGateway, IngressListener, IngressService, InlineCertificate, Member, Meta, PathTest,
    Protocol, RequestMatch, RouteDestination, RouteParent, RouteService, SamenessGroup, ServiceResolver,
    ServiceRoute, ServiceRouter, ServiceSplitter, Split, Subset, TcpRoute, TlsBounds,
};
use peerway_model::filter::Filter;
use peerway_model::name::{GroupName, Namespace, Partition, SubsetName};
use peerway_model::{ConfigEntry, Secret};
use peerway_state::Row;
use std::collections::BTreeMap;
use std::sync::Arc;

fn config(entry: ConfigEntry) -> Row {
    Row::Config(Arc::new(entry))
}

pub(super) fn subset_name(name: &str) -> SubsetName {
    SubsetName::new(name).unwrap()
}

/// `api`, `v1.api` for a subset, `api@west` for a peer's.
pub(super) fn to(text: &str) -> Destination {
    let (name, peer) = match text.split_once('@') {
        Some((name, peer)) => (name, Some(peer_name(peer))),
        None => (text, None),
    };
    let (subset, name) = match name.split_once('.') {
        Some((subset, name)) => (Some(subset_name(subset)), name),
        None => (None, name),
    };
    Destination {
        service: Some(service_name(name)),
        subset,
        peer,
        ..Destination::default()
    }
}

pub(super) fn routed(service: &str, routes: Vec<ServiceRoute>) -> Row {
    config(ConfigEntry::ServiceRouter(ServiceRouter {
        partition: Partition::default(),
        namespace: Namespace::default(),
        name: service_name(service),
        routes,
        meta: Meta::new(),
    }))
}

/// Routes by the prefix of the path.
pub(super) fn router(service: &str, routes: &[(&str, &str)]) -> Row {
    let route = |(prefix, leads): &(&str, &str)| ServiceRoute {
        request: RequestMatch {
            path: PathTest::Prefix((*prefix).to_owned()),
            ..RequestMatch::default()
        },
        destination: Some(RouteDestination {
            to: to(leads),
            ..RouteDestination::default()
        }),
    };
    routed(service, routes.iter().map(route).collect())
}

/// Shares in hundredths of a percent.
pub(super) fn splitter(service: &str, splits: &[(u32, &str)]) -> Row {
    config(ConfigEntry::ServiceSplitter(ServiceSplitter {
        partition: Partition::default(),
        namespace: Namespace::default(),
        name: service_name(service),
        splits: splits
            .iter()
            .map(|(weight, leads)| Split {
                weight: *weight,
                to: to(leads),
                request_headers: HeaderEdits::default(),
                response_headers: HeaderEdits::default(),
            })
            .collect(),
        meta: Meta::new(),
    }))
}

pub(super) fn plain_resolver(service: &str) -> ServiceResolver {
    ServiceResolver {
        partition: Partition::default(),
        namespace: Namespace::default(),
        name: service_name(service),
        default_subset: None,
        subsets: BTreeMap::new(),
        redirect: None,
        failover: BTreeMap::new(),
        connect_timeout_ms: None,
        request_timeout_ms: None,
        load_balancer: None,
        by_locality: None,
        meta: Meta::new(),
    }
}

pub(super) fn resolved(resolver: ServiceResolver) -> Row {
    config(ConfigEntry::ServiceResolver(Box::new(resolver)))
}

pub(super) fn subsets(filters: &[(&str, &str)]) -> BTreeMap<SubsetName, Subset> {
    let subset = |(name, filter): &(&str, &str)| {
        let subset = Subset {
            filter: (!filter.is_empty()).then(|| Filter::parse(filter).unwrap()),
            only_passing: false,
        };
        (subset_name(name), subset)
    };
    filters.iter().map(subset).collect()
}

/// What stands in for every subset of a service.
pub(super) fn failover(service: &str, targets: &[&str]) -> ServiceResolver {
    ServiceResolver {
        failover: BTreeMap::from([(
            "*".to_owned(),
            Failover::Targets(targets.iter().map(|leads| to(leads)).collect()),
        )]),
        ..plain_resolver(service)
    }
}

pub(super) fn redirect(service: &str, leads: &str) -> Row {
    resolved(ServiceResolver {
        redirect: Some(to(leads)),
        ..plain_resolver(service)
    })
}

/// The group of this partition and these peers.
pub(super) fn group(default: bool, peers: &[&str]) -> Row {
    config(ConfigEntry::SamenessGroup(SamenessGroup {
        partition: Partition::default(),
        name: GroupName::new("all").unwrap(),
        default_for_failover: default,
        include_local: true,
        members: peers.iter().map(|peer| Member::Peer(peer_name(peer))).collect(),
        meta: Meta::new(),
    }))
}

/// A service behind an ingress gateway: `api`, `api@west` for a peer's, `*` for all of them.
pub(super) fn let_in(text: &str, hosts: &[&str]) -> IngressService {
    let (name, peer) = match text.split_once('@') {
        Some((name, peer)) => (name, Some(peer_name(peer))),
        None => (text, None),
    };
    IngressService {
        name: super::world::pattern(name),
        namespace: Namespace::default(),
        partition: Partition::default(),
        peer,
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        request_headers: HeaderEdits::default(),
        response_headers: HeaderEdits::default(),
        terms: EdgeTerms::default(),
    }
}

/// A port of an ingress gateway.
pub(super) fn port(
    port: u16,
    protocol: Protocol,
    tls: bool,
    services: Vec<IngressService>,
) -> IngressListener {
    let tls = tls.then(|| EdgeTls {
        enabled: true,
        ..EdgeTls::default()
    });
    IngressListener {
        port,
        protocol,
        tls,
        services,
    }
}

/// What the gateway `edge` lets in.
pub(super) fn ingress(listeners: Vec<IngressListener>) -> Row {
    config(ConfigEntry::IngressGateway(IngressGateway {
        partition: Partition::default(),
        namespace: Namespace::default(),
        name: service_name("edge"),
        tls: EdgeTls::default(),
        listeners,
        defaults: EdgeTerms::default(),
        meta: Meta::new(),
    }))
}

/// A listener of the gateway `front`: port, protocol, host and certificates. It is called `l<port>`.
pub(super) type Listener<'a> = (u16, Protocol, Option<&'a str>, &'a [&'a str]);

/// The gateway `front`.
pub(super) fn api(listeners: &[Listener<'_>]) -> Row {
    let listener = |(port, protocol, host, certificates): &Listener<'_>| ApiListener {
        name: format!("l{port}"),
        hostname: host.map(str::to_owned),
        port: *port,
        protocol: *protocol,
        tls: (!certificates.is_empty()).then(|| ApiTls {
            certificates: certificates.iter().map(|name| service_name(name)).collect(),
            bounds: TlsBounds::default(),
        }),
    };
    config(ConfigEntry::ApiGateway(ApiGateway {
        partition: Partition::default(),
        namespace: Namespace::default(),
        name: service_name("front"),
        listeners: listeners.iter().map(listener).collect(),
        meta: Meta::new(),
    }))
}

fn route_service((weight, text): &(u32, &str)) -> RouteService {
    let to = to(text);
    RouteService {
        name: to.service.unwrap(),
        namespace: Namespace::default(),
        partition: Partition::default(),
        peer: to.peer,
        weight: *weight,
        request_headers: HeaderEdits::default(),
        response_headers: HeaderEdits::default(),
    }
}

fn parent(listener: Option<&str>) -> RouteParent {
    RouteParent {
        gateway: service_name("front"),
        listener: listener.map(str::to_owned),
    }
}

/// Rules by the prefix of the path: `(weight, service)` each.
pub(super) type Rule<'a> = (&'a str, &'a [(u32, &'a str)]);

/// A route on `front`, or a listener of it.
pub(super) fn http_route(name: &str, listener: Option<&str>, hosts: &[&str], rules: &[Rule<'_>]) -> Row {
    let rule = |(path, services): &Rule<'_>| HttpRule {
        matches: vec![RequestMatch {
            path: PathTest::Prefix((*path).to_owned()),
            ..RequestMatch::default()
        }],
        how: RouteDestination::default(),
        services: services.iter().map(route_service).collect(),
    };
    config(ConfigEntry::HttpRoute(Box::new(HttpRoute {
        partition: Partition::default(),
        namespace: Namespace::default(),
        name: service_name(name),
        parents: vec![parent(listener)],
        hostnames: hosts.iter().map(|host| (*host).to_owned()).collect(),
        rules: rules.iter().map(rule).collect(),
        meta: Meta::new(),
    })))
}

/// A route for bytes on `front`.
pub(super) fn tcp_route(name: &str, service: &str) -> Row {
    config(ConfigEntry::TcpRoute(TcpRoute {
        partition: Partition::default(),
        namespace: Namespace::default(),
        name: service_name(name),
        parents: vec![parent(None)],
        service: route_service(&(1, service)),
        meta: Meta::new(),
    }))
}

/// A certificate that nobody reads.
pub(super) fn certificate(name: &str, text: &str) -> Row {
    config(ConfigEntry::InlineCertificate(InlineCertificate {
        partition: Partition::default(),
        namespace: Namespace::default(),
        name: service_name(name),
        certificate: format!("-----BEGIN CERTIFICATE-----{text}"),
        key: Secret::new("-----BEGIN PRIVATE KEY-----"),
        meta: Meta::new(),
    }))
}
