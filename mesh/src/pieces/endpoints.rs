//! Where the connections of an Envoy cluster may go.

use super::cluster::identities_within;
use crate::address;
use crate::finding::{Face, mesh_face};
use crate::fragment::{Endpoint, Endpoints};
use crate::naming;
use crate::read::Reading;
use peerway_model::health::CheckStatus;
use peerway_model::instance::GatewayMode;
use peerway_model::{PeeringKey, ServiceAddress, ServiceKey};
use peerway_state::InstanceHealth;
use std::collections::BTreeMap;

/// Most weight of one endpoint (Consul's bound).
const MAX_WEIGHT: u32 = 128;

/// The endpoints of a sidecar's upstream; `None` while its Envoy cluster cannot exist or resolves a host name.
pub(super) fn upstream(
    reading: &mut Reading<'_>,
    service: &ServiceKey,
    mode: GatewayMode,
) -> Option<Endpoints> {
    let Some(peer) = service.origin.peer() else {
        let cluster = naming::service_sni(&*reading.cluster()?, service);
        return Some(sidecars(reading, service, cluster));
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
    match mode {
        GatewayMode::Remote => imported(reading, service, cluster),
        GatewayMode::Local => Some(Endpoints {
            cluster,
            members: inside(&reading.gateways(&service.partition)),
        }),
    }
}

/// The endpoints of a service on a gateway.
pub(super) fn gateway(reading: &mut Reading<'_>, face: Face, service: &ServiceKey) -> Option<Endpoints> {
    match face {
        Face::Exported => {
            let cluster = naming::exported_cluster(&*reading.cluster()?, service);
            Some(sidecars(reading, service, cluster))
        }
        Face::Local => {
            let cluster = naming::service_sni(&*reading.cluster()?, service);
            Some(sidecars(reading, service, cluster))
        }
        Face::Imported => {
            let cluster = reading.import(service)?.sni.clone();
            imported(reading, service, cluster)
        }
    }
}

fn sidecars(reading: &mut Reading<'_>, service: &ServiceKey, cluster: String) -> Endpoints {
    Endpoints {
        cluster,
        members: inside(&reading.sidecars_of(service)),
    }
}

fn imported(reading: &mut Reading<'_>, service: &ServiceKey, cluster: String) -> Option<Endpoints> {
    if reading.import(service)?.host.is_some() {
        return None;
    }
    let gateways = reading.health_of(&mesh_face(service)?);
    let addressed = gateways
        .iter()
        .map(|gateway| (gateway.instance.wan_address(&gateway.node), gateway));
    Some(Endpoints {
        cluster,
        members: members(addressed),
    })
}

fn inside(instances: &[InstanceHealth]) -> Vec<Endpoint> {
    members(
        instances
            .iter()
            .map(|held| (held.instance.lan_address(&held.node), held)),
    )
}

/// One endpoint for each IP address, sorted; other addresses cannot be endpoints. An address that is registered
/// twice counts as healthy when one of the registrations is.
fn members<'a>(addressed: impl Iterator<Item = (ServiceAddress, &'a InstanceHealth)>) -> Vec<Endpoint> {
    let mut members: BTreeMap<ServiceAddress, (bool, u32)> = BTreeMap::new();
    for (address, held) in addressed {
        let Some(address) = address::ip(&address) else {
            continue;
        };
        let weight = match held.status() {
            CheckStatus::Passing => held.instance.weights.passing,
            _ => held.instance.weights.warning,
        };
        // A weight of 0 takes an instance out (xDS facts, section 2.5).
        let healthy = held.is_serving() && weight > 0;
        let merged = members.entry(address).or_default();
        *merged = (*merged).max((healthy, weight.clamp(1, MAX_WEIGHT)));
    }
    members
        .into_iter()
        .map(|(address, (healthy, weight))| Endpoint {
            address,
            healthy,
            weight,
        })
        .collect()
}
