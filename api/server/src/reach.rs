//! Whether calls may go to a target of a chain, as the proxies decide it, and why not.

use crate::parts::Introductions;
use peerway_api_types::chain::{TargetHealth, TargetState};
use peerway_model::chain::Target;
use peerway_model::{ConfigEntry, ConfigKey, ConfigKind, HealthSummary, PeeringKey, ServiceKey};
use peerway_state::{
    InstanceHealth, Snapshot, Topic, answering, gateways_before, health_of, imported_health, mesh_face,
    summary,
};

/// What the answer depends on besides the entries of the chain and the clock.
pub(crate) fn topics(snapshot: &Snapshot, target: &Target) -> Vec<Topic> {
    let service = &target.service;
    let mut topics = vec![Topic::Service(service.clone())];
    match service.origin.peer() {
        None => {
            topics.push(Topic::ProxiesOf(service.clone()));
            topics.push(Topic::ConfigKind(ConfigKind::TerminatingGateway));
            topics.extend(gateways_before(snapshot, service).into_iter().map(Topic::Service));
        }
        Some(_) => {
            topics.extend(mesh_face(service).map(Topic::Service));
            let peering = peering(service);
            topics.extend(peering.map(Topic::Bundle));
            topics.push(Topic::Peerings);
        }
    }
    topics
}

/// How a target is.
pub(crate) fn health(snapshot: &Snapshot, peers: &dyn Introductions, target: &Target) -> TargetHealth {
    match peering(&target.service) {
        None => local(snapshot, target),
        Some(peering) => imported(snapshot, peers, &target.service, &peering),
    }
}

fn peering(service: &ServiceKey) -> Option<PeeringKey> {
    Some(PeeringKey {
        partition: service.partition.clone(),
        name: service.origin.peer()?.clone(),
    })
}

fn local(snapshot: &Snapshot, target: &Target) -> TargetHealth {
    let service = &target.service;
    let kind = ConfigKind::ServiceResolver;
    let key = ConfigKey::of_service(kind, &service.partition, &service.namespace, &service.name);
    let subset = match snapshot.config(&key).map(|held| &*held.row) {
        Some(ConfigEntry::ServiceResolver(resolver)) => {
            target.subset.as_ref().and_then(|name| resolver.subsets.get(name))
        }
        _ => None,
    };
    let counted = summary(&answering(snapshot, target, subset));
    let (state, reason) = match counted {
        HealthSummary { total: 0, .. } => (TargetState::Absent, "it has no instance in the mesh"),
        HealthSummary { healthy: 0, .. } => (TargetState::Down, "none of its instances serves"),
        _ => (TargetState::Up, ""),
    };
    TargetHealth {
        state,
        reason: reason.to_owned(),
        summary: Some(counted),
        age_ms: None,
    }
}

fn imported(
    snapshot: &Snapshot,
    peers: &dyn Introductions,
    service: &ServiceKey,
    peering: &PeeringKey,
) -> TargetHealth {
    let face = mesh_face(service);
    let gateways = face.as_ref().map_or(Vec::new(), |face| {
        health_of(snapshot, snapshot.instances_of(face))
    });
    let serves = |gateway: &InstanceHealth| gateway.is_serving() && gateway.weight() > 0;
    let counted = imported_health(snapshot, service);
    let name = face.as_ref().map(|face| face.name.as_str());
    let standing = peers.standing(peering, name);
    let known = snapshot.peering(peering).is_some_and(|record| record.is_live());
    let (state, reason) = if !known {
        (TargetState::Absent, "there is no such peering, it is skipped")
    } else if gateways.is_empty() || snapshot.bundle(peering).is_none() {
        (
            TargetState::Absent,
            "the peer does not export it into the mesh, it is skipped",
        )
    } else if !gateways.iter().any(serves) {
        (TargetState::Down, "none of the peer's mesh gateways serves")
    } else if counted.is_some_and(|counted| counted.healthy == 0) {
        (TargetState::Down, "none of the instances at the peer serves")
    } else if peers.is_stale(peering) {
        (TargetState::Stale, "what is held of the peer is too old")
    } else {
        (TargetState::Up, "")
    };
    TargetHealth {
        state,
        reason: reason.to_owned(),
        summary: counted,
        age_ms: standing.and_then(|standing| standing.age_ms),
    }
}
