//! Listeners.

use super::telemetry::{reporter, telemetry};
use super::{cluster, routes, servers};
use crate::finding::{ClusterIdentity, Decides, Route};
use crate::fragment::{
    CallerHeader, Chain, Direction, DownstreamTls, Http, Intake, LEAF_SECRET, Listener, RequestPolicy,
    RouteTable, Routes, Tcp, Traffic,
};
use crate::naming;
use crate::read::Reading;
use Led::{Broken, Ends, Requests};
use peerway_model::chain::Target;
use peerway_model::config::{Protocol, TlsBounds};
use peerway_model::name::Partition;
use peerway_model::{ExposedPath, PeeringKey, ServiceAddress, ServiceKey};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Where a sidecar takes calls for its service: mTLS, then who may call, then the application.
pub(super) fn public(
    reading: &mut Reading<'_>,
    address: &ServiceAddress,
    service: &ServiceKey,
    server_first: bool,
) -> Option<Listener> {
    let inbound = reading.inbound_of(service);
    let to = Behind {
        leaf: LEAF_SECRET.to_owned(),
        cluster: naming::LOCAL_APP.to_owned(),
        server_first,
        routes: routes::public(inbound.request_timeout_ms),
    };
    let (tls, traffic) = deciding(reading, service, to)?;
    let reporter = reporter(reading, service);
    Some(Listener {
        name: naming::listener(naming::PUBLIC_LISTENER, address),
        address: address.clone(),
        direction: Direction::Inbound,
        redirected: false,
        chains: vec![Chain {
            server_names: Vec::new(),
            destinations: Vec::new(),
            tls: Some(tls),
            serving: None,
            stat_prefix: naming::PUBLIC_LISTENER.to_owned(),
            traffic,
        }],
        telemetry: telemetry(reading, &service.partition, reporter.as_deref()),
        intake: Intake {
            max_connections: inbound.max_connections,
            exact_balance: inbound.exact_balance,
        },
    })
}

/// Where a sidecar takes requests for one path from outside the mesh: of anybody, without a certificate and whatever
/// intentions say, but nothing else than this path gets through. Such requests are no part of a trace: they come at all
/// times and from nobody who has one.
pub(super) fn exposed(
    reading: &mut Reading<'_>,
    address: &ServiceAddress,
    partition: &Partition,
    exposed: &ExposedPath,
) -> Listener {
    let name = naming::exposed_filter(&exposed.path, address.port);
    let cluster = naming::exposed_cluster(exposed.local_port, exposed.protocol);
    Listener {
        name: naming::exposed_listener(&exposed.path, address),
        address: address.clone(),
        direction: Direction::Inbound,
        redirected: false,
        chains: vec![Chain {
            server_names: Vec::new(),
            destinations: Vec::new(),
            tls: None,
            serving: None,
            stat_prefix: name.clone(),
            traffic: Traffic::Http(Http {
                protocol: exposed.protocol,
                caller_header: CallerHeader::Outside,
                policy: None,
                routes: Routes::Inline(routes::exposed(name, &exposed.path, cluster)),
            }),
        }],
        telemetry: telemetry(reading, partition, None),
        intake: Intake::default(),
    }
}

/// What is behind a chain that decides about callers.
pub(super) struct Behind {
    /// The name of the secret with the service's leaf.
    pub(super) leaf: String,
    /// The Envoy cluster of the application.
    pub(super) cluster: String,
    /// Whether it speaks before its client does.
    pub(super) server_first: bool,
    /// Where its requests go, if it takes any.
    pub(super) routes: RouteTable,
}

/// mTLS for a service and then who may call, the same wherever callers meet it. `None` without a policy: it must never
/// be open.
pub(super) fn deciding(
    reading: &mut Reading<'_>,
    service: &ServiceKey,
    behind: Behind,
) -> Option<(DownstreamTls, Traffic)> {
    let decides = reading.authorization(service)?;
    let bounds = reading.tls(&service.partition).incoming;
    let asks = !reading.tokens(service).is_empty();
    Some(match &*decides {
        Decides::Connections(_) => {
            let tcp = Tcp {
                policy: Some(naming::connection_policy(service)),
                cluster: behind.cluster,
                server_first: behind.server_first,
            };
            let tls = DownstreamTls {
                validation: naming::inbound_roots(service),
                admitting: Some(naming::admitted(service)),
                leaf: behind.leaf,
                bounds,
            };
            (tls, Traffic::Tcp(tcp))
        }
        // Peers' callers come through our gateways, never by themselves. So nobody but our own authority vouches for
        // who connects, and a peer's certificate is refused in the handshake, whatever SNI brought it here.
        Decides::Requests { .. } => {
            let http = Http {
                protocol: reading.protocol(service),
                caller_header: CallerHeader::Append,
                policy: Some(RequestPolicy {
                    lines: naming::line_policy(service),
                    tokens: asks.then(|| naming::token_policy(service)),
                    requests: naming::request_policy(service),
                }),
                routes: Routes::Inline(behind.routes),
            };
            let tls = DownstreamTls {
                validation: naming::LOCAL_ROOTS.to_owned(),
                admitting: None,
                leaf: behind.leaf,
                bounds,
            };
            (tls, Traffic::Http(http))
        }
    })
}

/// Where a sidecar takes calls of its application. It is there from the start, also while the Envoy cluster is not:
/// connections are then closed, and the application sees a refusal from the mesh and not from its own machine.
pub(super) fn upstream(
    reading: &mut Reading<'_>,
    address: &ServiceAddress,
    service: &ServiceKey,
    partition: &Partition,
    reporter: Option<&str>,
) -> Option<Listener> {
    let identity = reading.cluster()?;
    let traffic = led(reading, &identity, service)?;
    Some(Listener {
        name: naming::listener(&naming::upstream_id(service), address),
        address: address.clone(),
        direction: Direction::Outbound,
        redirected: false,
        chains: vec![outwards(&identity, service, traffic, Vec::new())],
        telemetry: telemetry(reading, partition, reporter),
        intake: Intake::default(),
    })
}

/// Calls of an application for a service, which it dialled at one of `destinations` or, where that is empty, anywhere.
fn outwards(
    identity: &ClusterIdentity,
    service: &ServiceKey,
    traffic: Traffic,
    destinations: Vec<IpAddr>,
) -> Chain {
    Chain {
        server_names: Vec::new(),
        destinations,
        tls: None,
        serving: None,
        stat_prefix: naming::upstream_stats(identity, service),
        traffic,
    }
}

/// Where the calls of a service go, by its chain.
fn led(reading: &mut Reading<'_>, identity: &ClusterIdentity, service: &ServiceKey) -> Option<Traffic> {
    let protocol = reading.protocol_of_upstream(service);
    Some(match chain_of(reading, service) {
        // Nothing is known to be meant, so every call is refused.
        Broken => passed(naming::service_sni(identity, service)),
        Requests => Traffic::Http(Http {
            protocol,
            caller_header: CallerHeader::Remove,
            policy: None,
            routes: Routes::Named(naming::routes(service)),
        }),
        Ends(target) => {
            let cluster = cluster::named(reading, &target)?;
            to_one(service, protocol, cluster)
        }
    })
}

/// All calls of a service to one Envoy cluster.
fn to_one(service: &ServiceKey, protocol: Protocol, cluster: String) -> Traffic {
    match protocol {
        Protocol::Tcp => passed(cluster),
        protocol => Traffic::Http(Http {
            protocol,
            caller_header: CallerHeader::Remove,
            policy: None,
            routes: Routes::Inline(routes::upstream(service, protocol, cluster)),
        }),
    }
}

/// What the calls of an upstream amount to.
enum Led {
    /// To nothing: the entries contradict each other. No Envoy cluster of the upstream is there then.
    Broken,
    /// To routes of its own.
    Requests,
    /// All of them to one target.
    Ends(Target),
}

fn chain_of(reading: &mut Reading<'_>, service: &ServiceKey) -> Led {
    // The chain of a peer's service is the exporter's.
    if service.origin.peer().is_some() {
        return Ends(Target::of(service.clone()));
    }
    match reading.chain(service) {
        None => Broken,
        Some(chain) if chain.is_default() => Ends(Target::of(service.clone())),
        Some(chain) if chain.protocol.is_http() => Requests,
        Some(chain) => match chain.resolver(&chain.start) {
            Some(resolver) => Ends(resolver.target.clone()),
            None => Broken,
        },
    }
}

/// Where a sidecar takes calls that were redirected to it: those for a service's virtual address go where its chain
/// leads, those for an instance that lets itself be dialled to that one, all others on to where they were going, unless
/// the mesh is told to keep to itself.
pub(super) fn outbound(
    reading: &mut Reading<'_>,
    address: &ServiceAddress,
    partition: &Partition,
    reporter: Option<&str>,
) -> Option<Listener> {
    let identity = reading.cluster()?;
    let mut chains = Vec::new();
    // Envoy refuses two chains that match the same address. Virtual ones are distinct; of two services that have
    // instances at one address the first one has it.
    let mut taken = BTreeSet::new();
    for service in reading.addressed(partition).iter() {
        if !is_known(reading, &service.key) {
            continue;
        }
        let Some(traffic) = led(reading, &identity, &service.key) else {
            continue;
        };
        let own = vec![IpAddr::V4(service.virtual_address)];
        chains.push(outwards(&identity, &service.key, traffic, own));
        let instances: Vec<IpAddr> = service
            .instances
            .iter()
            .filter(|address| taken.insert(**address))
            .copied()
            .collect();
        if !instances.is_empty() {
            let cluster = naming::passthrough(&identity, &service.key);
            let protocol = reading.protocol_of_upstream(&service.key);
            let traffic = to_one(&service.key, protocol, cluster);
            chains.push(outwards(&identity, &service.key, traffic, instances));
        }
    }
    if !reading.keeps_to_itself(partition) {
        chains.push(Chain {
            server_names: Vec::new(),
            destinations: Vec::new(),
            tls: None,
            serving: None,
            stat_prefix: naming::PASSTHROUGH.to_owned(),
            traffic: passed(naming::PASSTHROUGH.to_owned()),
        });
    }
    (!chains.is_empty()).then(|| Listener {
        name: naming::listener(naming::OUTBOUND_LISTENER, address),
        address: address.clone(),
        direction: Direction::Outbound,
        redirected: true,
        chains,
        telemetry: telemetry(reading, partition, reporter),
        intake: Intake::default(),
    })
}

/// Whether the peer of a service, if it has one, has said who it is.
fn is_known(reading: &mut Reading<'_>, service: &ServiceKey) -> bool {
    let Some(peer) = service.origin.peer() else {
        return true;
    };
    let peering = PeeringKey {
        partition: service.partition.clone(),
        name: peer.clone(),
    };
    reading.peer(&peering).is_some()
}

/// Where a gateway takes connections. There is no chain without server names: which SNIs work is spelt out, chain by
/// chain, and a connection with any other SNI, or none, is closed. A catch-all that forwards to "the cluster named
/// like the SNI" would let callers pick among everything that the gateway knows. `None` while nothing is let through:
/// Envoy refuses a listener without chains.
pub(super) fn gateway(
    reading: &mut Reading<'_>,
    address: &ServiceAddress,
    partition: &Partition,
    reporter: Option<&str>,
) -> Option<Listener> {
    let bounds = reading.tls(partition).incoming;
    let routes = reading.routes(partition);
    let mut chains: Vec<Chain> = routes.iter().map(|route| gateway_chain(route, &bounds)).collect();
    chains.extend(reading.servers(partition).iter().map(servers::chain));
    (!chains.is_empty()).then(|| Listener {
        name: naming::listener(naming::GATEWAY_BIND, address),
        address: address.clone(),
        direction: Direction::Unspecified,
        redirected: false,
        chains,
        telemetry: telemetry(reading, partition, reporter),
        intake: Intake::default(),
    })
}

fn gateway_chain(route: &Route, bounds: &TlsBounds) -> Chain {
    let (tls, traffic) = match route.protocol {
        Protocol::Tcp => (None, passed(route.cluster.clone())),
        protocol => {
            let tls = DownstreamTls {
                validation: naming::inbound_roots(&route.service),
                admitting: None,
                leaf: LEAF_SECRET.to_owned(),
                bounds: bounds.clone(),
            };
            let http = Http {
                protocol,
                caller_header: CallerHeader::Replace,
                // The sidecar decides, by what the gateway tells it.
                policy: None,
                routes: Routes::Named(naming::routes(&route.service)),
            };
            (Some(tls), Traffic::Http(http))
        }
    };
    Chain {
        server_names: route.server_names.clone(),
        destinations: Vec::new(),
        tls,
        serving: None,
        stat_prefix: route.stat_prefix.clone(),
        traffic,
    }
}

/// Bytes of nobody in particular, passed on.
pub(super) fn passed(cluster: String) -> Traffic {
    Traffic::Tcp(Tcp {
        policy: None,
        cluster,
        server_first: false,
    })
}
