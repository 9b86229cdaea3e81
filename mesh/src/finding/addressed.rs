//! Services that can be dialled at an address.

use crate::address;
use crate::read::Reading;
use peerway_model::name::Partition;
use peerway_model::{Instance, ServiceKey};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// A service of the mesh and where it may be dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Addressed {
    /// Local or imported.
    pub(crate) key: ServiceKey,
    /// Stands for the service.
    pub(crate) virtual_address: Ipv4Addr,
    /// Of its instances that let themselves be dialled, one by one.
    pub(crate) instances: Arc<BTreeSet<IpAddr>>,
}

/// All services of a partition and its peers that have an address, local ones first.
pub(super) fn of_partition(reading: &mut Reading<'_>, partition: &Partition) -> Vec<Addressed> {
    let all = reading.virtual_addresses();
    all.into_iter()
        .filter(|own| own.service.partition == *partition)
        .map(|own| Addressed {
            key: own.service.clone(),
            virtual_address: own.address,
            instances: match own.service.origin.is_local() {
                true => reading.dialled_directly(&own.service),
                // Nobody here can reach the instances of a peer.
                false => Arc::default(),
            },
        })
        .collect()
}

/// Addresses of the instances of a local service that let themselves be dialled.
pub(super) fn directly(reading: &mut Reading<'_>, service: &ServiceKey) -> BTreeSet<IpAddr> {
    let sidecars = reading.sidecars_of(service);
    sidecars
        .iter()
        .filter(|held| lets_itself_be_dialled(&held.instance, service, reading))
        .filter_map(|held| address::ip_text(&held.instance.lan_address(&held.node).address))
        .filter_map(|text| text.parse().ok())
        .collect()
}

fn lets_itself_be_dialled(sidecar: &Instance, service: &ServiceKey, reading: &mut Reading<'_>) -> bool {
    let Some(proxy) = &sidecar.proxy else {
        return false;
    };
    let transparent = reading.sidecar_settings(&proxy.sidecar, service).transparent();
    transparent.is_some_and(|transparent| transparent.dialed_directly)
}
