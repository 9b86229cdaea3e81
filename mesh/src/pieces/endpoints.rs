//! Where the connections of an Envoy cluster may go.

use super::cluster::{dialled, reached};
use crate::address;
use crate::finding::{Face, Place, found, members};
use crate::fragment::Endpoints;
use crate::fragment_key::Reach;
use crate::naming;
use crate::read::Reading;
use peerway_model::ServiceKey;
use peerway_model::chain::Target;
use peerway_model::instance::GatewayMode;

/// The endpoints of a target on a sidecar; `None` while its Envoy cluster cannot exist or resolves host names.
pub(super) fn upstream(reading: &mut Reading<'_>, reach: &Reach) -> Option<Endpoints> {
    if reach.target.service.origin.peer().is_some() {
        dialled(reading, &reach.target.service)?;
    }
    let cluster = reached(reading, reach)?;
    at(reading, cluster, place(&reach.target, reach.mode))
}

/// The endpoints of a target on a gateway.
pub(super) fn gateway(reading: &mut Reading<'_>, face: Face, target: &Target) -> Option<Endpoints> {
    let cluster = match face {
        Face::Exported => naming::exported_cluster(&*reading.cluster()?, target),
        Face::Imported => reading.import(&target.service)?.sni.clone(),
    };
    at(reading, cluster, place(target, GatewayMode::Remote))
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

/// Everybody at `place`; `None` where the Envoy cluster resolves host names and knows them by itself.
fn at(reading: &mut Reading<'_>, cluster: String, place: Place) -> Option<Endpoints> {
    if reading.hosts(place.clone()).is_some() {
        return None;
    }
    Some(Endpoints {
        cluster,
        members: members(&found(reading, &place), address::ip),
    })
}
