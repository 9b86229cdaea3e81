//! Services outside the mesh, as the terminating gateway that stands for them knows them.

use super::cluster::{MAX_EJECTION_PERCENT, connect_timeout, discovery};
use super::listener::{Behind, deciding};
use super::telemetry::telemetry;
use super::{endpoints as places, policy};
use crate::address;
use crate::finding::{ClusterIdentity, Face, Place, found, members};
use crate::fragment::{
    Chain, Cluster, Direction, Endpoints, HttpRoute, Intake, Listener, OutsideName, OutsideTls, RouteTable,
    Terms, VirtualHost,
};
use crate::naming;
use crate::read::Reading;
use peerway_model::chain::{Target, settings_alone};
use peerway_model::config::{Outward, Protocol, TrustedCa};
use peerway_model::{ServiceAddress, ServiceKey};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// What a service is dialled as: itself, and each subset that its resolver names.
pub(crate) fn targets(reading: &mut Reading<'_>, service: &ServiceKey) -> Vec<Target> {
    let mut targets = vec![Target::of(service.clone())];
    if let Some(resolver) = reading.resolver(service) {
        targets.extend(resolver.subsets.keys().map(|subset| Target {
            service: service.clone(),
            subset: Some(subset.clone()),
        }));
    }
    targets
}

/// The instances of a target outside the mesh.
pub(super) fn cluster(reading: &mut Reading<'_>, target: &Target, outward: &Outward) -> Option<Cluster> {
    let identity = reading.cluster()?;
    let protocol = reading.protocol(&target.service);
    let settings = settings_alone(reading, target);
    let outside_tls = origination(reading, target, outward);
    let balance = settings
        .load_balancer
        .as_ref()
        .and_then(|balancer| balancer.balance);
    Some(Cluster {
        name: naming::target_sni(&identity, target),
        connect_timeout_ms: connect_timeout(None, &settings),
        protocol,
        discovery: discovery(reading, Place::Outside(target.clone()), None),
        tls: None,
        outside_tls,
        max_ejection_percent: Some(MAX_EJECTION_PERCENT),
        keepalive: true,
        // Bytes have nothing to be hashed by.
        balance: balance.filter(|balance| protocol.is_http() || !balance.is_hash()),
        terms: Terms::default(),
    })
}

/// TLS with a service that somebody vouches for.
fn origination(reading: &mut Reading<'_>, target: &Target, outward: &Outward) -> Option<Box<OutsideTls>> {
    let roots = TrustedCa::File(outward.ca_file.clone()?);
    let names = match &outward.sni {
        Some(sni) => vec![OutsideName::Host(sni.clone())],
        None => {
            let found = found(reading, &Place::Outside(target.clone()));
            let usable = |given: &ServiceAddress| address::ip(given).or_else(|| address::host(given));
            let names: BTreeSet<OutsideName> = members(&found, usable)
                .into_iter()
                .map(|member| match member.address.address.parse::<IpAddr>() {
                    Ok(ip) => OutsideName::Ip(ip),
                    Err(_) => OutsideName::Host(member.address.address),
                })
                .collect();
            names.into_iter().collect()
        }
    };
    Some(Box::new(OutsideTls {
        roots,
        certificate: outward.cert_file.clone().zip(outward.key_file.clone()),
        sni: outward.sni.clone(),
        names,
        bounds: reading.tls(&target.service.partition).outgoing,
    }))
}

/// `None` as well when Envoy resolves their names.
pub(super) fn endpoints(reading: &mut Reading<'_>, target: &Target) -> Option<Endpoints> {
    let name = naming::target_sni(&*reading.cluster()?, target);
    places::at(reading, name, Place::Outside(target.clone()), None)
}

/// Where a terminating gateway takes calls: one chain for each target, chosen by the server names that stand for it and
/// by nothing else, and shut to whoever the intentions of the service do not let in. `None` while it stands for nobody:
/// Envoy refuses a listener without chains.
pub(super) fn listener(
    reading: &mut Reading<'_>,
    address: &ServiceAddress,
    gateway: &ServiceKey,
    server_first: bool,
    reporter: Option<&str>,
) -> Option<Listener> {
    let identity = reading.cluster()?;
    let mut chains = Vec::new();
    let mut taken = BTreeSet::new();
    for (service, outward) in reading.links(gateway).iter() {
        for target in targets(reading, service) {
            // Envoy compares in lower case, and refuses two chains with one name.
            let names: BTreeSet<String> = server_names(reading, &identity, &target)
                .into_iter()
                .map(|name| name.to_ascii_lowercase())
                .filter(|name| taken.insert(name.clone()))
                .collect();
            if names.is_empty() {
                continue;
            }
            let behind = Behind {
                leaf: naming::leaf(service),
                cluster: naming::target_sni(&identity, &target),
                server_first,
                routes: routes(reading, &target, outward),
            };
            let Some((tls, traffic)) = deciding(reading, service, behind) else {
                continue;
            };
            chains.push(Chain {
                server_names: names.into_iter().collect(),
                destinations: Vec::new(),
                tls: Some(tls),
                serving: None,
                stat_prefix: naming::upstream_stats(&identity, service),
                traffic,
            });
        }
    }
    (!chains.is_empty()).then(|| Listener {
        name: naming::listener(naming::GATEWAY_BIND, address),
        address: address.clone(),
        direction: Direction::Unspecified,
        redirected: false,
        chains,
        telemetry: telemetry(reading, &gateway.partition, reporter),
        intake: Intake::default(),
    })
}

/// The name by which sidecars and mesh gateways of this cluster dial a target. Bytes of peers pass a mesh gateway as they
/// are, so these come with the names that the gateway passes on to it.
fn server_names(reading: &mut Reading<'_>, identity: &ClusterIdentity, target: &Target) -> Vec<String> {
    let mut names = vec![naming::target_sni(identity, target)];
    if policy::callers(reading, &target.service).is_some() {
        let routes = reading.routes(&target.service.partition);
        let passed = routes.iter().filter(|route| {
            route.face == Face::Exported
                && route.protocol == Protocol::Tcp
                && route.targets.first() == Some(target)
        });
        names.extend(passed.flat_map(|route| route.server_names.iter().cloned()));
    }
    names
}

/// Where requests to a target go.
fn routes(reading: &mut Reading<'_>, target: &Target, outward: &Outward) -> RouteTable {
    let service = &target.service;
    let cluster = reading
        .cluster()
        .map(|identity| naming::target_sni(&identity, target))
        .unwrap_or_default();
    let timeout_ms = reading.inbound_of(service).request_timeout_ms;
    let named = reading.hosts(Place::Outside(target.clone())).is_some();
    let hash = settings_alone(reading, target)
        .load_balancer
        .map(|balancer| balancer.hash)
        .unwrap_or_default();
    let table = RouteTable::to_one(
        naming::routes(service),
        naming::virtual_host(service),
        cluster,
        timeout_ms,
    );
    let hosts = table.hosts.into_iter().map(|host| VirtualHost {
        routes: host
            .routes
            .into_iter()
            .map(|route| HttpRoute {
                rewrites_host: named && !outward.keeps_host,
                hash: hash.clone(),
                ..route
            })
            .collect(),
        ..host
    });
    RouteTable {
        hosts: hosts.collect(),
        ..table
    }
}
