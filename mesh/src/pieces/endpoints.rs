//! Where the connections of an Envoy cluster may go.

use super::cluster::{dialled, reached};
use crate::address;
use crate::finding::{Face, Place, found, members, seen_from};
use crate::fragment::{Endpoints, Health};
use crate::fragment_key::{Passed, Reach};
use crate::naming;
use crate::read::Reading;
use peerway_model::chain::Target;
use peerway_model::instance::GatewayMode;
use peerway_model::{Locality, PeeringKey, ServiceKey};

/// The endpoints of a target on a sidecar; `None` while its Envoy cluster cannot exist or resolves host names.
pub(super) fn upstream(reading: &mut Reading<'_>, reach: &Reach) -> Option<Endpoints> {
    if reach.target.service.origin.peer().is_some() {
        dialled(reading, &reach.target.service)?;
    }
    let cluster = reached(reading, reach)?;
    let place = place(&reach.target, reach.mode);
    let mut endpoints = at(reading, cluster, place, reach.from.as_ref())?;
    let best = best(reading, reach);
    for member in &mut endpoints.members {
        member.health = member.health.min(best);
    }
    Some(endpoints)
}

/// How the endpoints of a target are at best, whatever the checks of the gateways say that they are: as is known of what
/// is behind these. Only of a target that something stands in for, or that does so itself: where there is nowhere else
/// to go, a call is worth a try.
pub(super) fn best(reading: &mut Reading<'_>, reach: &Reach) -> Health {
    let service: &ServiceKey = &reach.target.service;
    let (Some(peer), Some(_)) = (service.origin.peer(), &reach.stands_in) else {
        return Health::Up;
    };
    let peering = PeeringKey {
        partition: service.partition.clone(),
        name: peer.clone(),
    };
    if !reading.serves(service) {
        Health::Down
    } else if reading.is_stale(&peering) {
        Health::Doubtful
    } else {
        Health::Up
    }
}

/// The endpoints of a target on a gateway.
pub(super) fn gateway(reading: &mut Reading<'_>, passed: &Passed) -> Option<Endpoints> {
    let Passed { face, target, from } = passed;
    let cluster = match face {
        Face::Exported => naming::exported_cluster(&*reading.cluster()?, target),
        Face::Imported => reading.import(&target.service)?.sni.clone(),
    };
    at(
        reading,
        cluster,
        place(target, GatewayMode::Remote),
        from.as_ref(),
    )
}

/// Where a target is dialled.
pub(super) fn place(target: &Target, mode: GatewayMode) -> Place {
    let service: &ServiceKey = &target.service;
    match (service.origin.peer(), mode) {
        (None, _) => Place::Sidecars(target.clone()),
        (Some(_), GatewayMode::Remote) => Place::Exporters(service.clone()),
        (Some(_), GatewayMode::Local) => Place::Gateways(service.partition.clone()),
    }
}

/// Everybody at `place` as a caller at `from` sees them; `None` where the Envoy cluster resolves host names and knows them
/// by itself.
pub(super) fn at(
    reading: &mut Reading<'_>,
    cluster: String,
    place: Place,
    from: Option<&Locality>,
) -> Option<Endpoints> {
    if reading.hosts(place.clone()).is_some() {
        return None;
    }
    let mut members = members(&found(reading, &place), address::ip);
    seen_from(from, &mut members);
    Some(Endpoints { cluster, members })
}
