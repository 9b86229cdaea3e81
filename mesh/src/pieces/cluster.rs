//! Envoy clusters.

use super::endpoints;
use crate::finding::{ClusterIdentity, Face, Import, PeerIdentity, Place, seen_from};
use crate::fragment::{Cluster, Discovery, Endpoint, Terms, UpstreamTls};
use crate::fragment_key::{Passed, Reach};
use crate::naming;
use crate::read::Reading;
use peerway_model::chain::{DEFAULT_CONNECT_TIMEOUT_MS, Settings, Target, settings, settings_alone};
use peerway_model::config::{MAX_CONNECT_TIMEOUT_MS, Protocol, TlsBounds};
use peerway_model::instance::GatewayMode;
use peerway_model::{Locality, PeeringKey, ServiceAddress, ServiceKey, SpiffeId};
use std::sync::Arc;

/// Most endpoints of one service that outlier detection may eject (Envoy's default), in percent.
pub(super) const MAX_EJECTION_PERCENT: u32 = 10;
/// The same towards a peer: the health behind its gateways is not known here (xDS facts, section 2.4).
const MAX_PEER_EJECTION_PERCENT: u32 = 100;

/// The application behind a sidecar, at one of its ports.
pub(super) fn local_app(
    name: String,
    address: &ServiceAddress,
    protocol: Protocol,
    connect_timeout_ms: Option<u64>,
) -> Cluster {
    let discovery = match crate::address::ip(address) {
        Some(address) => Discovery::Static(address),
        None => Discovery::Dns(vec![Endpoint::up(address.clone())]),
    };
    Cluster {
        name,
        connect_timeout_ms: connect_timeout_ms.unwrap_or(DEFAULT_CONNECT_TIMEOUT_MS),
        protocol,
        discovery,
        tls: None,
        max_ejection_percent: None,
        outside_tls: None,
        keepalive: false,
        balance: None,
        terms: Terms::default(),
    }
}

/// The one instance of a local service that a client dialled, with mTLS: whoever has taken its address since does not
/// pass for it.
pub(super) fn direct(reading: &mut Reading<'_>, service: &ServiceKey) -> Option<Cluster> {
    let cluster = reading.cluster()?;
    Some(Cluster {
        name: naming::passthrough(&cluster, service),
        protocol: reading.protocol(service),
        tls: Some(to_sidecar(
            &cluster,
            &Target::of(service.clone()),
            reading.tls(&service.partition).outgoing,
        )),
        ..passthrough()
    })
}

/// Whatever a client dialled.
pub(super) fn passthrough() -> Cluster {
    Cluster {
        name: naming::PASSTHROUGH.to_owned(),
        connect_timeout_ms: DEFAULT_CONNECT_TIMEOUT_MS,
        protocol: Protocol::Tcp,
        discovery: Discovery::OriginalDestination,
        tls: None,
        max_ejection_percent: None,
        outside_tls: None,
        keepalive: false,
        balance: None,
        terms: Terms::default(),
    }
}

/// A target of an upstream of a sidecar.
pub(super) fn upstream(
    reading: &mut Reading<'_>,
    reach: &Reach,
    connect_timeout_ms: Option<u64>,
    terms: Terms,
    bounds: &TlsBounds,
) -> Option<Cluster> {
    let target = &reach.target;
    let name = reached(reading, reach)?;
    let (protocol, tls, percent) = match target.service.origin.peer() {
        None => {
            let tls = to_sidecar(&*reading.cluster()?, target, bounds.clone());
            // With something to stand in, all of them may be out.
            let percent = match reach.stands_in {
                None => MAX_EJECTION_PERCENT,
                Some(_) => MAX_PEER_EJECTION_PERCENT,
            };
            let percent = terms.passive.max_ejection_percent.unwrap_or(percent);
            (reading.protocol(&target.service), tls, percent)
        }
        Some(peer) => {
            let peering = PeeringKey {
                partition: target.service.partition.clone(),
                name: peer.clone(),
            };
            let (import, identities) = dialled(reading, &target.service)?;
            let tls = UpstreamTls {
                sni: import.sni.clone(),
                identities,
                validation: naming::peer_roots(&peering),
                bounds: bounds.clone(),
            };
            (import.protocol, tls, MAX_PEER_EJECTION_PERCENT)
        }
    };
    let settings = settings_alone(reading, target);
    Some(Cluster {
        name,
        connect_timeout_ms: connect_timeout(connect_timeout_ms, &settings),
        protocol,
        discovery: upstream_discovery(reading, reach),
        tls: Some(tls),
        max_ejection_percent: Some(percent),
        outside_tls: None,
        keepalive: target.service.origin.peer().is_some() && reach.mode == GatewayMode::Remote,
        balance: settings.load_balancer.and_then(|balancer| balancer.balance),
        terms,
    })
}

/// A target and what stands in for it, as one.
pub(super) fn group(
    reading: &mut Reading<'_>,
    target: &Target,
    connect_timeout_ms: Option<u64>,
) -> Option<Cluster> {
    let name = naming::target_sni(&*reading.cluster()?, target);
    let settings = settings(reading, target).ok()?;
    let members = (0..=settings.failover.len())
        .map(|nth| naming::failover_member(nth, &name))
        .collect();
    Some(Cluster {
        name,
        connect_timeout_ms: connect_timeout(connect_timeout_ms, &settings),
        protocol: reading.protocol(&target.service),
        discovery: Discovery::Members(members),
        tls: None,
        max_ejection_percent: None,
        outside_tls: None,
        keepalive: false,
        balance: None,
        terms: Terms::default(),
    })
}

pub(super) fn connect_timeout(given: Option<u64>, settings: &Settings) -> u64 {
    given
        .or(settings.connect_timeout_ms)
        .map_or(DEFAULT_CONNECT_TIMEOUT_MS, |ms| ms.min(MAX_CONNECT_TIMEOUT_MS))
}

/// The name of the Envoy cluster of a target; `None` while it cannot be known.
pub(super) fn reached(reading: &mut Reading<'_>, reach: &Reach) -> Option<String> {
    match &reach.stands_in {
        Some((nth, of)) => {
            let base = naming::target_sni(&*reading.cluster()?, of);
            Some(naming::failover_member(*nth, &base))
        }
        None => named(reading, &reach.target),
    }
}

/// The name of the Envoy cluster that calls of a target go to, which may join others; for one of a peer it stands for
/// nothing as long as the peer is unknown.
pub(super) fn named(reading: &mut Reading<'_>, target: &Target) -> Option<String> {
    match target.service.origin.peer() {
        None => Some(naming::target_sni(&*reading.cluster()?, target)),
        Some(peer) => {
            let peering = PeeringKey {
                partition: target.service.partition.clone(),
                name: peer.clone(),
            };
            let peer = reading.peer(&peering);
            naming::imported_cluster(&target.service, peer.as_ref().map(|peer| &peer.trust_domain))
        }
    }
}

/// mTLS to the sidecars of a local service.
fn to_sidecar(cluster: &ClusterIdentity, target: &Target, bounds: TlsBounds) -> UpstreamTls {
    let service = &target.service;
    let identity = SpiffeId::Service {
        trust_domain: cluster.trust_domain.clone(),
        partition: service.partition.clone(),
        namespace: service.namespace.clone(),
        datacenter: cluster.datacenter.clone(),
        service: service.name.clone(),
    };
    UpstreamTls {
        sni: naming::target_sni(cluster, target),
        identities: vec![identity.to_string()],
        validation: naming::LOCAL_ROOTS.to_owned(),
        bounds,
    }
}

/// How a peer's service is dialled. Only with everything that it takes to know whom one talks to: an Envoy cluster
/// without identities would accept every workload of the peer.
pub(super) fn dialled(reading: &mut Reading<'_>, service: &ServiceKey) -> Option<(Arc<Import>, Vec<String>)> {
    let peering = PeeringKey {
        partition: service.partition.clone(),
        name: service.origin.peer()?.clone(),
    };
    let peer = reading.peer(&peering)?;
    let import = reading.import(service)?;
    let identities = identities_within(&peer, &import);
    (!identities.is_empty()).then_some((import, identities))
}

/// By name when somebody at `place` has a host name, since endpoints are IP addresses. What is resolved is told as a caller
/// at `from` sees it.
pub(super) fn discovery(reading: &mut Reading<'_>, place: Place, from: Option<&Locality>) -> Discovery {
    match reading.hosts(place) {
        Some(hosts) => {
            let mut members = hosts.to_vec();
            seen_from(from, &mut members);
            Discovery::Dns(members)
        }
        None => Discovery::Eds,
    }
}

/// The same for a target on a sidecar. What an Envoy cluster resolves by itself comes with it, and so does its health.
fn upstream_discovery(reading: &mut Reading<'_>, reach: &Reach) -> Discovery {
    let place = endpoints::place(&reach.target, reach.mode);
    let mut found = discovery(reading, place, reach.from.as_ref());
    if let Discovery::Dns(members) = &mut found {
        let best = endpoints::best(reading, reach);
        for member in members {
            member.health = member.health.min(best);
        }
    }
    found
}

/// Those identities of an imported service that its peer's roots can vouch for: of a service or a gateway in the
/// peer's own trust domain. In the peer's order, which has the service first.
pub(super) fn identities_within(peer: &PeerIdentity, import: &Import) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for uri in &import.spiffe_ids {
        let fits = SpiffeId::parse(uri).is_ok_and(|id| {
            !matches!(id, SpiffeId::Server { .. }) && *id.trust_domain() == peer.trust_domain
        });
        if fits && !kept.contains(uri) {
            kept.push(uri.clone());
        }
    }
    kept
}

/// A target on a gateway. Bytes pass through, TLS is between the two sidecars; but where the gateway looks at the
/// requests for an exported service, it ended the peer's TLS and speaks to the sidecar for itself.
pub(super) fn gateway(reading: &mut Reading<'_>, passed: &Passed) -> Option<Cluster> {
    let Passed { face, target, from } = passed;
    let service = &target.service;
    let name = match face {
        Face::Exported => naming::exported_cluster(&*reading.cluster()?, target),
        Face::Imported => reading.import(service)?.sni.clone(),
    };
    let mut protocol = Protocol::Tcp;
    let mut settings = Settings::default();
    if *face == Face::Exported {
        protocol = reading.protocol(service);
        settings = settings_alone(reading, target);
    }
    let tls = match protocol.is_http() {
        true => {
            let bounds = reading.tls(&service.partition).outgoing;
            Some(to_sidecar(&*reading.cluster()?, target, bounds))
        }
        false => None,
    };
    let balance = settings
        .load_balancer
        .as_ref()
        .and_then(|balancer| balancer.balance);
    Some(Cluster {
        name,
        connect_timeout_ms: connect_timeout(None, &settings),
        protocol,
        discovery: discovery(
            reading,
            endpoints::place(target, GatewayMode::Remote),
            from.as_ref(),
        ),
        tls,
        max_ejection_percent: Some(MAX_EJECTION_PERCENT),
        outside_tls: None,
        keepalive: *face == Face::Imported,
        // Bytes have nothing to be hashed by.
        balance: balance.filter(|balance| protocol.is_http() || !balance.is_hash()),
        terms: Terms::default(),
    })
}
