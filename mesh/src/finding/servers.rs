//! Servers that are reached through mesh gateways: our own by peers, those of peers by ours (xDS facts, section 4.7).

use crate::address;
use crate::naming;
use crate::read::Reading;
use peerway_model::config::ConfigKind;
use peerway_model::name::Partition;
use peerway_model::server::{parse_server_name, peering_endpoint, server_service};
use peerway_model::{ConfigEntry, ConfigKey, PeeringRole, ServiceAddress, sni};
use std::collections::{BTreeMap, BTreeSet};

/// Servers behind one server name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerRoute {
    /// SNI and name of the Envoy cluster; lower-case, distinct from those of all services and other servers.
    pub(crate) name: String,
    /// IP addresses and host names; sorted, distinct, never empty.
    pub(crate) addresses: Vec<ServiceAddress>,
    /// Whether a host name is among them.
    pub(crate) named: bool,
    /// Whether connections leave the cluster.
    pub(crate) remote: bool,
    /// Statistics prefix.
    pub(crate) stat_prefix: String,
}

/// Our own servers first, then peers' by name. None unless the mesh entry says so, and in the default partition only:
/// servers are no part of another one.
pub(super) fn of_partition(reading: &mut Reading<'_>, partition: &Partition) -> Vec<ServerRoute> {
    if !partition.is_default() || !wanted(reading, partition) {
        return Vec::new();
    }
    let Some(cluster) = reading.cluster() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let own = sni::peering_server(&cluster.datacenter, &cluster.trust_domain);
    let stats = naming::own_servers_stats(&cluster);
    found.extend(route(own, own_addresses(reading), false, stats));
    for (name, addresses) in dialled(reading) {
        // A token says what the name is. Only that of a server, and of another cluster's, is worth a chain.
        let foreign = parse_server_name(&name).is_some_and(|(_, domain)| domain != cluster.trust_domain);
        if foreign {
            let stats = naming::peer_servers_stats(&name);
            found.extend(route(name, addresses, true, stats));
        }
    }
    let routes = reading.routes(partition);
    let taken: BTreeSet<&String> = routes.iter().flat_map(|route| &route.server_names).collect();
    found.retain(|route| !taken.contains(&route.name));
    found
}

fn wanted(reading: &mut Reading<'_>, partition: &Partition) -> bool {
    let entry = reading.config(ConfigKey::singleton(ConfigKind::Mesh, partition));
    matches!(entry, Some(ConfigEntry::Mesh(mesh)) if mesh.peer_through_mesh_gateways == Some(true))
}

/// Their health is not looked at: a server that answers is a better judge of itself.
fn own_addresses(reading: &mut Reading<'_>) -> Vec<ServiceAddress> {
    let Ok(service) = server_service() else {
        return Vec::new();
    };
    let servers = reading.health_of(&service);
    let endpoint = |server: &peerway_state::InstanceHealth| peering_endpoint(&server.instance, &server.node);
    servers.iter().filter_map(endpoint).collect()
}

/// By server name, in lower case, the addresses of the peering that was changed last among those that dial it. One on
/// its way out still counts: its end is yet to be told.
fn dialled(reading: &mut Reading<'_>) -> BTreeMap<String, Vec<ServiceAddress>> {
    let mut newest: BTreeMap<String, (u64, Vec<ServiceAddress>)> = BTreeMap::new();
    for (peering, modified) in reading.peering_records() {
        let dialled: Vec<ServiceAddress> = peering
            .dialled_addresses()
            .iter()
            .filter_map(|text| address::joined(text))
            .collect();
        let name = peering.server_name.as_ref().map(|name| name.to_ascii_lowercase());
        if let Some(name) = name
            && peering.role == PeeringRole::Dialer
            && !dialled.is_empty()
            && newest.get(&name).is_none_or(|(index, _)| modified > *index)
        {
            newest.insert(name, (modified, dialled));
        }
    }
    newest
        .into_iter()
        .map(|(name, (_, addresses))| (name, addresses))
        .collect()
}

/// One of names and IP addresses together uses all of them, where Consul would use the names only: a name is no reason
/// to lose the others.
fn route(
    name: String,
    addresses: Vec<ServiceAddress>,
    remote: bool,
    stat_prefix: String,
) -> Option<ServerRoute> {
    let usable = |given: &ServiceAddress| address::ip(given).or_else(|| address::host(given));
    let kept: BTreeSet<ServiceAddress> = addresses.iter().filter_map(usable).collect();
    let named = kept.iter().any(|kept| address::ip(kept).is_none());
    (!kept.is_empty()).then(|| ServerRoute {
        name: name.to_ascii_lowercase(),
        addresses: kept.into_iter().collect(),
        named,
        remote,
        stat_prefix,
    })
}
