//! How an `http-route` or a `tcp-route` stands: as a whole, and on each of its parents.

use super::looking::Looking;
use super::{condition, named};
use peerway_model::condition::{Condition, ConditionKind, Part};
use peerway_model::config::{ApiGateway, Attached, HttpRoute, Protocol, RouteParent, RouteService, TcpRoute};
use peerway_model::{ConfigEntry, ConfigKey, ConfigKind, Namespace, Partition, PeeringKey, ServiceKey};
use std::collections::BTreeSet;

pub(super) fn of_requests<'s>(looking: &mut Looking<'s>, route: &'s HttpRoute) -> Vec<Condition> {
    let said = route.rules.iter().flat_map(|rule| &rule.services);
    let services: BTreeSet<ServiceKey> = said.map(RouteService::key).collect();
    let mut all = leads(looking, &services, None);
    for parent in &route.parents {
        let place = (&route.partition, &route.namespace);
        let tell = |_: &mut Looking<'s>, one: &Attached<'s>| match one.requests.as_slice() {
            [] => Err(match &one.listener.hostname {
                Some(own) => format!("none of its hosts is {own}, which is what the listener takes"),
                None => "it has no host that the listener takes".to_owned(),
            }),
            _ => Ok(()),
        };
        all.push(bound(looking, parent, place, (&[route], &[]), tell));
    }
    all
}

pub(super) fn of_connections<'s>(looking: &mut Looking<'s>, route: &'s TcpRoute) -> Vec<Condition> {
    let service = route.service.key();
    let mut all = leads(looking, &BTreeSet::from([service.clone()]), Some(Protocol::Tcp));
    let rivals = looking.tcp_routes();
    for parent in &route.parents {
        let place = (&route.partition, &route.namespace);
        let tell = |looking: &mut Looking<'s>, one: &Attached<'s>| match one.connections.first() {
            Some(first) if first.name != route.name => Err(format!(
                "it has the tcp-route {}, which is the first by name",
                first.name
            )),
            _ => way(looking, &service),
        };
        all.push(bound(looking, parent, place, (&[], &rivals), tell));
    }
    all
}

/// What is to be said about the services that it leads to, which have to speak `wanted`; `None` for requests of whatever
/// kind.
fn leads(
    looking: &mut Looking<'_>,
    services: &BTreeSet<ServiceKey>,
    wanted: Option<Protocol>,
) -> Vec<Condition> {
    let (mut contradictory, mut absent, mut unfit) = (Vec::new(), Vec::new(), Vec::new());
    let fits = |spoken: Protocol| wanted.map_or(spoken.is_http(), |wanted| wanted == spoken);
    let needs = wanted.map_or("http, http2 or grpc", Protocol::as_str);
    for service in services {
        if let Some(peering) = peering_of(service) {
            let peer = &peering.name;
            match looking.imported(service) {
                _ if !looking.knows(&peering) => {
                    absent.push(format!("{}: peer {peer} is not known or not yet", service.name));
                }
                None => absent.push(format!("{}: peer {peer} does not export it", service.name)),
                Some(spoken) if !fits(spoken) => {
                    let spoken = spoken.as_str();
                    unfit.push(format!("{} of peer {peer} speaks {spoken}", service.name));
                }
                Some(_) => {}
            }
            continue;
        }
        match looking.chain(service) {
            Err(error) => contradictory.push(error.to_string()),
            Ok(chain) if !fits(chain.protocol) => {
                let spoken = chain.protocol.as_str();
                contradictory.push(format!("{service} speaks {spoken}, and this needs {needs}"));
            }
            Ok(chain) => {
                let mut ends = chain.targets().into_iter().map(|target| target.service);
                let somewhere = ends.any(|end| match peering_of(&end) {
                    Some(peering) => looking.knows(&peering) && looking.imported(&end).is_some(),
                    None => looking.is_met(&end),
                });
                if !somewhere {
                    absent.push(format!("{service}: nobody in the mesh answers for it"));
                }
            }
        }
    }
    let kind = ConditionKind::Accepted;
    let accepted = if services.is_empty() {
        let message = "no rule leads to a service: requests are answered with 404";
        condition(kind, false, "NoUpstreamServicesTargeted", message, None)
    } else if contradictory.is_empty() {
        condition(kind, true, "Accepted", "route is valid", None)
    } else {
        condition(
            kind,
            false,
            "InvalidDiscoveryChain",
            named(&contradictory, "; "),
            None,
        )
    };
    let kind = ConditionKind::ResolvedRefs;
    let reason = match (absent.is_empty(), unfit.is_empty()) {
        (true, true) => {
            let message = "all services are there";
            return vec![accepted, condition(kind, true, "ResolvedRefs", message, None)];
        }
        (false, _) => "BackendNotFound",
        (true, false) => "UnsupportedProtocol",
    };
    if !unfit.is_empty() {
        absent.push(format!("{}, and this needs {needs}", named(&unfit, ", ")));
    }
    vec![
        accepted,
        condition(kind, false, reason, named(&absent, "; "), None),
    ]
}

/// What is to be said about a parent in `place`. `routes` are those that are looked at; `tell` is asked about listeners that
/// are meant and speak what the route is about, and says what keeps the route off one.
fn bound<'s>(
    looking: &mut Looking<'s>,
    parent: &RouteParent,
    place: (&Partition, &Namespace),
    routes: (&[&'s HttpRoute], &[&'s TcpRoute]),
    tell: impl Fn(&mut Looking<'s>, &Attached<'s>) -> Result<(), String>,
) -> Condition {
    let kind = ConditionKind::Bound;
    let entry = ConfigKey::of_service(ConfigKind::ApiGateway, place.0, place.1, &parent.gateway);
    let part = Part {
        entry: entry.clone(),
        section: parent.listener.clone(),
    };
    let Some(ConfigEntry::ApiGateway(gateway)) = looking.config(entry) else {
        let message = format!("there is no api-gateway {}", parent.gateway);
        return condition(kind, false, "GatewayNotFound", message, Some(part));
    };
    let is_about_requests = !routes.0.is_empty();
    let (mut on, mut off) = (Vec::new(), Vec::new());
    let listeners = looking.attached(gateway, routes.0, routes.1);
    for one in meant(&listeners, gateway, parent) {
        let listener = one.listener;
        let problem = if listener.protocol.is_http() != is_about_requests {
            if parent.listener.is_none() {
                // It was not asked for by name: it is simply not for this route.
                continue;
            }
            Err(format!("the listener speaks {}", listener.protocol.as_str()))
        } else {
            match tell(looking, one) {
                Ok(()) if !one.is_secure() => Err(format!(
                    "port {} is closed, none of its certificates is there",
                    listener.port
                )),
                said => said,
            }
        };
        match problem {
            Ok(()) => on.push(listener.name.as_str()),
            Err(problem) => off.push(format!("{}: {problem}", listener.name)),
        }
    }
    let (on, off) = (named(&on, ", "), named(&off, "; "));
    match (on.as_str(), off.as_str()) {
        ("", "") => {
            let message = match &parent.listener {
                Some(name) => format!("api-gateway {} has no listener {name}", gateway.name),
                None => format!(
                    "api-gateway {} has no listener that speaks {}",
                    gateway.name,
                    if is_about_requests { "http" } else { "tcp" }
                ),
            };
            condition(kind, false, "FailedToBind", message, Some(part))
        }
        ("", off) => condition(kind, false, "FailedToBind", format!("not on {off}"), Some(part)),
        (on, "") => condition(kind, true, "Bound", format!("on {on}"), Some(part)),
        (on, off) => condition(kind, true, "Bound", format!("on {on}; not on {off}"), Some(part)),
    }
}

fn meant<'a, 's>(
    listeners: &'a [Attached<'s>],
    gateway: &'a ApiGateway,
    parent: &'a RouteParent,
) -> impl Iterator<Item = &'a Attached<'s>> {
    listeners
        .iter()
        .filter(|one| parent.is(&gateway.name, &one.listener.name))
}

/// Whether the connections for a service have an end, without which their port is closed; what keeps them from it.
/// Those for a peer's service have one: nobody answers there while the peer is not known.
fn way(looking: &mut Looking<'_>, service: &ServiceKey) -> Result<(), String> {
    if !service.origin.is_local() {
        return Ok(());
    }
    match looking.chain(service) {
        Ok(chain) if chain.resolver(&chain.start).is_some() => Ok(()),
        _ => Err(format!(
            "the port is closed, what is said about {service} has no place for connections"
        )),
    }
}

fn peering_of(service: &ServiceKey) -> Option<PeeringKey> {
    Some(PeeringKey {
        partition: service.partition.clone(),
        name: service.origin.peer()?.clone(),
    })
}
