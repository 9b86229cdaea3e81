//! Where the connections of an Envoy cluster may go.

use super::cluster::identities_within;
use crate::address;
use crate::finding::{Face, Place, found, members};
use crate::fragment::Endpoints;
use crate::naming;
use crate::read::Reading;
use peerway_model::instance::GatewayMode;
use peerway_model::{PeeringKey, ServiceKey};

/// The endpoints of a sidecar's upstream; `None` while its Envoy cluster cannot exist or resolves host names.
pub(super) fn upstream(
    reading: &mut Reading<'_>,
    service: &ServiceKey,
    mode: GatewayMode,
) -> Option<Endpoints> {
    let Some(peer) = service.origin.peer() else {
        let cluster = naming::service_sni(&*reading.cluster()?, service);
        return at(reading, cluster, Place::Sidecars(service.clone()));
    };
    let peering = PeeringKey {
        partition: service.partition.clone(),
        name: peer.clone(),
    };
    let peer = reading.peer(&peering)?;
    let import = reading.import(service)?;
    if identities_within(&peer, &import).is_empty() {
        return None;
    }
    let cluster = naming::imported_cluster(service, Some(&peer.trust_domain))?;
    at(reading, cluster, place(service, mode))
}

/// The endpoints of a service on a gateway.
pub(super) fn gateway(reading: &mut Reading<'_>, face: Face, service: &ServiceKey) -> Option<Endpoints> {
    let (cluster, place) = match face {
        Face::Exported => (
            naming::exported_cluster(&*reading.cluster()?, service),
            Place::Sidecars(service.clone()),
        ),
        Face::Local => (
            naming::service_sni(&*reading.cluster()?, service),
            Place::Sidecars(service.clone()),
        ),
        Face::Imported => (
            reading.import(service)?.sni.clone(),
            Place::Exporters(service.clone()),
        ),
    };
    at(reading, cluster, place)
}

/// Where a sidecar dials a peer's service.
pub(super) fn place(service: &ServiceKey, mode: GatewayMode) -> Place {
    match mode {
        GatewayMode::Remote => Place::Exporters(service.clone()),
        GatewayMode::Local => Place::Gateways(service.partition.clone()),
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
