//! Places of which some address is a host name: Envoy cannot be told those as endpoints, it has to resolve them.

use crate::address;
use crate::fragment::{Endpoint, Health};
use crate::read::Reading;
use peerway_model::chain::Target;
use peerway_model::name::Partition;
use peerway_model::{Distance, Locality, ServiceAddress, ServiceKey};
use peerway_state::{InstanceHealth, mesh_face};
use std::collections::{BTreeMap, BTreeSet};

/// Most weight of one endpoint (Consul's bound).
const MAX_WEIGHT: u32 = 128;

/// Where connections go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Place {
    /// To the mesh gateways of a partition.
    Gateways(Partition),
    /// To whoever stands for a local service, or for a subset of it: sidecars and terminating gateways.
    Sidecars(Target),
    /// To the instances of a service outside the mesh, or of a subset of it.
    Outside(Target),
    /// To the gateways of the peer that exports a service.
    Exporters(ServiceKey),
}

/// Where everybody at a place is to be found, and how they are.
pub(crate) fn found(reading: &mut Reading<'_>, place: &Place) -> Vec<(ServiceAddress, InstanceHealth)> {
    let inside = |held: InstanceHealth| (held.instance.lan_address(&held.node), held);
    let outside = |held: InstanceHealth| (held.instance.wan_address(&held.node), held);
    match place {
        Place::Gateways(partition) => reading.gateways(partition).into_iter().map(inside).collect(),
        Place::Sidecars(target) => {
            let mut standing = reading.sidecars_of_target(target);
            let gateways = reading.before(&target.service);
            if !gateways.is_empty() {
                let outside = reading.outside_of_target(target);
                for gateway in gateways.iter() {
                    standing.extend(reading.terminating(gateway, &outside));
                }
            }
            standing.into_iter().map(inside).collect()
        }
        Place::Outside(target) => reading
            .outside_of_target(target)
            .into_iter()
            .map(inside)
            .collect(),
        Place::Exporters(service) => match mesh_face(service) {
            Some(face) => reading.health_of(&face).into_iter().map(outside).collect(),
            None => Vec::new(),
        },
    }
}

/// Everybody at a place, when somebody is there under a host name; `None` when all have IP addresses. All of them and
/// not only those with names: a name is no reason to lose the others.
pub(super) fn named(reading: &mut Reading<'_>, place: &Place) -> Option<Vec<Endpoint>> {
    let found = found(reading, place);
    let usable = |given: &ServiceAddress| address::ip(given).or_else(|| address::host(given));
    let members = members(&found, usable);
    let is_named = |member: &Endpoint| address::ip(&member.address).is_none();
    members.iter().any(is_named).then_some(members)
}

/// One endpoint for each address that `usable` accepts, sorted, with where it is. An address that is registered twice
/// counts as healthy when one of the registrations is, and is where one of them says that it is.
pub(crate) fn members(
    found: &[(ServiceAddress, InstanceHealth)],
    usable: impl Fn(&ServiceAddress) -> Option<ServiceAddress>,
) -> Vec<Endpoint> {
    type Merged<'a> = ((Health, u32), Option<&'a Locality>);
    let mut members: BTreeMap<ServiceAddress, Merged<'_>> = BTreeMap::new();
    for (given, held) in found {
        let Some(address) = usable(given) else {
            continue;
        };
        let weight = held.weight();
        // A weight of 0 takes an instance out (xDS facts, section 2.5).
        let health = match held.is_serving() && weight > 0 {
            true => Health::Up,
            false => Health::Down,
        };
        let (merged, at) = members.entry(address).or_default();
        *merged = (*merged).max((health, weight.clamp(1, MAX_WEIGHT)));
        *at = (*at).max(held.instance.locality_on(&held.node));
    }
    members
        .into_iter()
        .map(|(address, ((health, weight), at))| Endpoint {
            health,
            weight,
            locality: at.cloned(),
            ..Endpoint::up(address)
        })
        .collect()
}

/// Ranks these for a caller at `from` by how far they are; one who prefers nothing is not told where they are either, so
/// that nothing changes for it when that does.
pub(crate) fn seen_from(from: Option<&Locality>, members: &mut [Endpoint]) {
    let Some(from) = from else {
        for member in members {
            member.locality = None;
        }
        return;
    };
    let distance = |member: &Endpoint| from.distance(member.locality.as_ref());
    let distances: BTreeSet<Distance> = members.iter().map(distance).collect();
    for member in members {
        let own = distance(member);
        member.rank = (0..)
            .zip(&distances)
            .find(|(_, other)| **other == own)
            .map_or(0, |(rank, _)| rank);
    }
}
