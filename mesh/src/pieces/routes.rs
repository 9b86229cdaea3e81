//! Where requests go. One place decides how long an answer may take: the one nearest to the caller, on whose behalf
//! the time is spent.

use super::cluster::named;
use crate::finding::EdgeRule;
use crate::fragment::{HttpRoute, Retry, RouteLeg, RouteTable, VirtualHost, WHOLE};
use crate::naming;
use crate::read::Reading;
use peerway_model::ServiceKey;
use peerway_model::chain::{Chain, Leg, Node, NodeId, Target};
use peerway_model::config::{HashPolicy, HeaderEdits, PathTest, Protocol, RouteDestination, ServiceRoute};

/// How long an answer may take (Envoy's default, said aloud), in milliseconds.
const ANSWER_TIMEOUT_MS: u64 = 15_000;
/// What every route tries again: requests of which nobody has seen anything yet.
const ALWAYS_RETRIED: [&str; 2] = ["connect-failure", "refused-stream"];
/// Envoy's reason for [`Retry::status_codes`].
const STATUS_CODES: &str = "retriable-status-codes";

/// Of an upstream's listener.
pub(super) fn upstream(service: &ServiceKey, protocol: Protocol, cluster: String) -> RouteTable {
    RouteTable::to_one(
        naming::routes(service),
        naming::virtual_host(service),
        cluster,
        usual_timeout(protocol),
    )
}

/// Of a sidecar's application, which may be given a time to answer in.
pub(super) fn public(timeout_ms: Option<u64>) -> RouteTable {
    RouteTable::to_one(
        naming::PUBLIC_LISTENER.to_owned(),
        naming::PUBLIC_LISTENER.to_owned(),
        naming::LOCAL_APP.to_owned(),
        timeout_ms,
    )
}

/// Of a path that is exposed. A request for any other one has no route and is answered with 404.
pub(super) fn exposed(name: String, path: &str, cluster: String) -> RouteTable {
    let mut table = RouteTable::to_one(name.clone(), name, cluster, Some(ANSWER_TIMEOUT_MS));
    for route in table.hosts.iter_mut().flat_map(|host| &mut host.routes) {
        route.request.path = PathTest::Exact(path.to_owned());
    }
    table
}

/// Of an upstream whose chain is more than the service. `None` while the chain contradicts itself: its listener then
/// refuses every request.
pub(super) fn chain(reading: &mut Reading<'_>, service: &ServiceKey) -> Option<RouteTable> {
    let chain = reading.chain(service)?;
    let routes = routes(reading, &chain, usual_timeout(chain.protocol));
    Some(table(service, routes))
}

/// Of a service behind a gateway at the edge, local or of a peer. Its requests are answered with 503 while nobody knows
/// the way to it.
pub(super) fn led(reading: &mut Reading<'_>, service: &ServiceKey, protocol: Protocol) -> Vec<HttpRoute> {
    let usual = usual_timeout(protocol);
    if service.origin.peer().is_some() {
        let target = Target::of(service.clone());
        return vec![HttpRoute {
            timeout_ms: usual,
            ..HttpRoute::to(one_leg(way(reading, &target)))
        }];
    }
    match reading.chain(service) {
        Some(chain) => routes(reading, &chain, usual),
        None => vec![HttpRoute::to(Vec::new())],
    }
}

/// Of a rule of an API gateway: to its services, each by its splitter and resolver. What their routers say is not asked,
/// as the rule has chosen already.
pub(super) fn ruled(reading: &mut Reading<'_>, rule: &EdgeRule) -> HttpRoute {
    let total: u32 = rule.services.iter().map(|service| service.weight).sum();
    let mut all = HttpRoute::to(Vec::new());
    let mut streams = false;
    for said in rule.services.iter().filter(|said| said.weight > 0) {
        let service = said.key();
        streams |= reading.protocol_of_upstream(&service) == Protocol::Grpc;
        let led = match service.origin.peer() {
            Some(_) => HttpRoute::to(one_leg(way(reading, &Target::of(service)))),
            None => match reading.chain(&service) {
                Some(chain) => {
                    let next = match chain.nodes.get(&chain.start) {
                        // Its last route takes what no other one does: the service itself.
                        Some(Node::Router(steps)) => steps.last().map(|step| &step.next),
                        _ => Some(&chain.start),
                    };
                    next.map_or_else(
                        || HttpRoute::to(Vec::new()),
                        |next| to(&chain, next, &mut |leg: &Leg| way(reading, &leg.target)),
                    )
                }
                None => HttpRoute::to(Vec::new()),
            },
        };
        all.timeout_ms = all.timeout_ms.or(led.timeout_ms);
        all.elsewhere |= led.elsewhere;
        if all.hash.is_empty() {
            all.hash = led.hash;
        }
        all.legs.extend(led.legs.into_iter().map(|leg| RouteLeg {
            weight: share(leg.weight, said.weight, total),
            request_headers: said.request_headers.with(&leg.request_headers),
            response_headers: said.response_headers.with(&leg.response_headers),
            cluster: leg.cluster,
        }));
    }
    all.legs = whole(all.legs);
    let usual = if streams { None } else { Some(ANSWER_TIMEOUT_MS) };
    all.timeout_ms = all.timeout_ms.or(usual);
    let written = ServiceRoute {
        request: rule.request.clone(),
        destination: Some(rule.how.clone()),
    };
    with(&written, all)
}

/// A part of a part, of [`WHOLE`] if that is all; never 0.
fn share(leg: u32, weight: u32, total: u32) -> u32 {
    let exact = u64::from(leg) * u64::from(weight) / u64::from(total.max(1));
    u32::try_from(exact).unwrap_or(WHOLE).max(1)
}

fn one_leg(cluster: Option<String>) -> Vec<RouteLeg> {
    let leg = |cluster| RouteLeg {
        cluster,
        weight: WHOLE,
        request_headers: HeaderEdits::default(),
        response_headers: HeaderEdits::default(),
    };
    cluster.map(leg).into_iter().collect()
}

/// The routes of a chain, each of which has time to answer.
fn routes(reading: &mut Reading<'_>, chain: &Chain, usual: Option<u64>) -> Vec<HttpRoute> {
    let mut routes = each(chain, |leg| way(reading, &leg.target));
    for route in &mut routes {
        route.timeout_ms = route.timeout_ms.or(usual);
    }
    routes
}

/// The Envoy cluster that leads to a target; `None` while a peer has not said how it is dialled.
fn way(reading: &mut Reading<'_>, target: &Target) -> Option<String> {
    let cluster = named(reading, target)?;
    let known = match target.service.origin.peer() {
        None => true,
        Some(_) => super::cluster::dialled(reading, &target.service).is_some(),
    };
    known.then_some(cluster)
}

/// Of an exported service on a gateway; `None` while the cluster has no roots. Requests go to targets of this
/// partition only; a chain that says otherwise is refused when it is written.
pub(super) fn gateway(reading: &mut Reading<'_>, service: &ServiceKey) -> Option<RouteTable> {
    let identity = reading.cluster()?;
    let chain = reading.chain(service)?;
    let mut routes = each(&chain, |leg| {
        let target: &Target = &leg.target;
        let inside = target.service.origin.is_local() && target.service.partition == service.partition;
        inside.then(|| naming::exported_cluster(&identity, target))
    });
    for route in &mut routes {
        // Nothing stands in for anything on a gateway.
        route.elsewhere = false;
    }
    Some(table(service, routes))
}

/// A gRPC call may be a stream that never ends, and says its own deadline otherwise.
fn usual_timeout(protocol: Protocol) -> Option<u64> {
    (protocol != Protocol::Grpc).then_some(ANSWER_TIMEOUT_MS)
}

fn table(service: &ServiceKey, routes: Vec<HttpRoute>) -> RouteTable {
    RouteTable {
        name: naming::routes(service),
        hosts: vec![VirtualHost::any(naming::virtual_host(service), routes)],
    }
}

/// The routes of a chain. `cluster` is the Envoy cluster of a leg, or `None` where there is no way to it.
fn each(chain: &Chain, mut cluster: impl FnMut(&Leg) -> Option<String>) -> Vec<HttpRoute> {
    match chain.nodes.get(&chain.start) {
        Some(Node::Router(steps)) => steps
            .iter()
            .map(|step| with(&step.route, to(chain, &step.next, &mut cluster)))
            .collect(),
        _ => vec![to(chain, &chain.start, &mut cluster)],
    }
}

/// Every request to where the chain goes on.
fn to(chain: &Chain, next: &NodeId, cluster: &mut impl FnMut(&Leg) -> Option<String>) -> HttpRoute {
    let legs = chain.legs(next);
    let settings = |leg: &Leg| {
        chain
            .resolver(&NodeId::Resolver(leg.target.clone()))
            .map(|resolver| &resolver.settings)
    };
    // A route has one timeout and one way of hashing, whatever it leads to: those of the first leg that has any.
    let timeout_ms = legs
        .iter()
        .find_map(|leg| settings(leg).and_then(|settings| settings.request_timeout_ms));
    let hash = legs
        .iter()
        .filter_map(|leg| settings(leg)?.load_balancer.as_ref())
        .map(|balancer| &balancer.hash)
        .find(|hash| !hash.is_empty());
    let hash: Vec<HashPolicy> = hash.cloned().unwrap_or_default();
    let elsewhere = legs
        .iter()
        .any(|leg| settings(leg).is_some_and(|settings| !settings.failover.is_empty()));
    let legs = legs
        .iter()
        .filter_map(|leg| {
            Some(RouteLeg {
                cluster: cluster(leg)?,
                weight: leg.weight,
                request_headers: leg.request_headers.clone(),
                response_headers: leg.response_headers.clone(),
            })
        })
        .collect();
    HttpRoute {
        timeout_ms,
        elsewhere,
        hash,
        ..HttpRoute::to(whole(legs))
    }
}

/// Gives the share of legs to which there is no way to the others, in proportion: the caller's requests are answered
/// where they can be.
fn whole(mut legs: Vec<RouteLeg>) -> Vec<RouteLeg> {
    let sum: u32 = legs.iter().map(|leg| leg.weight).sum();
    if sum == WHOLE || sum == 0 {
        return legs;
    }
    for leg in &mut legs {
        leg.weight = (leg.weight * WHOLE / sum).max(1);
    }
    let given: u32 = legs.iter().map(|leg| leg.weight).sum();
    if let Some(largest) = legs.iter_mut().max_by_key(|leg| leg.weight) {
        largest.weight = (largest.weight + WHOLE).saturating_sub(given);
    }
    legs
}

/// The route as written, to where it leads.
fn with(written: &ServiceRoute, led: HttpRoute) -> HttpRoute {
    let mut route = HttpRoute {
        request: written.request.clone(),
        ..led
    };
    if let Some(destination) = &written.destination {
        route.prefix_rewrite.clone_from(&destination.prefix_rewrite);
        route.timeout_ms = destination.request_timeout_ms.or(route.timeout_ms);
        route.idle_timeout_ms = destination.idle_timeout_ms;
        route.retry = retry(destination);
        route.request_headers.clone_from(&destination.request_headers);
        route.response_headers.clone_from(&destination.response_headers);
    }
    route
}

fn retry(destination: &RouteDestination) -> Option<Retry> {
    let says_something = destination.num_retries.is_some()
        || destination.retry_on_connect_failure
        || !destination.retry_on.is_empty()
        || !destination.retry_on_status_codes.is_empty();
    if !says_something {
        return None;
    }
    let mut reasons: Vec<String> = ALWAYS_RETRIED.map(str::to_owned).to_vec();
    let codes = (!destination.retry_on_status_codes.is_empty()).then_some(STATUS_CODES);
    for reason in destination.retry_on.iter().map(String::as_str).chain(codes) {
        if !reasons.iter().any(|known| known == reason) {
            reasons.push(reason.to_owned());
        }
    }
    Some(Retry {
        times: destination.num_retries,
        reasons,
        status_codes: destination.retry_on_status_codes.clone(),
    })
}
