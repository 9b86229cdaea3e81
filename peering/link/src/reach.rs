//! By which addresses servers reach each other: straight, or through mesh gateways when the mesh entry says so (wire
//! facts, section 7). TLS is between the servers either way; a gateway passes bytes.

use crate::introduction::IntroductionError;
use peerway_model::instance::ServiceAddress;
use peerway_model::name::Partition;
use peerway_model::{ConfigEntry, ConfigKey, ConfigKind, Peering, ServiceKind};
use peerway_peering_protocol::address;
use peerway_peering_protocol::token::MAX_ADDRESSES;
use peerway_state::{InstanceHealth, Snapshot, Topic, gateways};

/// Whether peers and servers meet through mesh gateways.
pub(crate) fn through_gateways(snapshot: &Snapshot) -> bool {
    let entry = snapshot.config(&mesh_entry());
    matches!(
        entry.map(|held| &*held.row),
        Some(ConfigEntry::Mesh(mesh)) if mesh.peer_through_mesh_gateways == Some(true)
    )
}

/// Whether a commit may have changed what this module answers.
pub(crate) fn concerns(topic: &Topic) -> bool {
    match topic {
        Topic::Config(key) => *key == mesh_entry(),
        Topic::Kind(ServiceKind::MeshGateway, partition) => partition.is_default(),
        _ => false,
    }
}

fn mesh_entry() -> ConfigKey {
    ConfigKey::singleton(ConfigKind::Mesh, &Partition::default())
}

/// Where peers dial this cluster: `own`, or its mesh gateways. Empty while there is no such address; then nothing may
/// be said to a peer, which would lose the last one that it has.
pub(crate) fn advertised(snapshot: &Snapshot, own: &[String]) -> Vec<String> {
    if through_gateways(snapshot) {
        gateway_addresses(snapshot, |gateway| gateway.instance.wan_address(&gateway.node))
    } else {
        own.to_vec()
    }
}

/// As [`advertised`], for a token.
///
/// # Errors
/// When there is no address, with the cure.
pub(crate) fn for_token(snapshot: &Snapshot, own: &[String]) -> Result<Vec<String>, IntroductionError> {
    let addresses = advertised(snapshot, own);
    if !addresses.is_empty() {
        return Ok(addresses);
    }
    Err(IntroductionError::Unavailable(if through_gateways(snapshot) {
        "the mesh entry sets Peering.PeerThroughMeshGateways, but no mesh gateway with an address and a port is registered: register one, or set it to false".to_owned()
    } else {
        "this cluster has no address that a peer could dial: configure the peering endpoint or give ServerExternalAddresses".to_owned()
    }))
}

/// Where the servers of a peer are dialled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ways {
    /// Our own mesh gateways, which pass on to the peer by the name of its servers; empty unless the mesh entry says
    /// so. They come first.
    pub(crate) gateways: Vec<String>,
    /// The peer itself.
    pub(crate) remote: Vec<String>,
}

impl Ways {
    /// The ways to the servers of a peer that is at `remote`.
    pub(crate) fn to(snapshot: &Snapshot, remote: &[String]) -> Self {
        Ways {
            gateways: if through_gateways(snapshot) {
                gateway_addresses(snapshot, |gateway| gateway.instance.lan_address(&gateway.node))
            } else {
                Vec::new()
            },
            remote: remote.to_vec(),
        }
    }

    /// The ways to the peer of a peering that dials.
    pub(crate) fn of(snapshot: &Snapshot, peering: &Peering) -> Self {
        Ways::to(snapshot, peering.dialled_addresses())
    }

    /// All of them, in the order in which they are tried.
    pub(crate) fn all(&self) -> impl Iterator<Item = &String> + Clone {
        self.gateways.iter().chain(&self.remote)
    }
}

/// The gateways that have an address, by key, and no more than a token may hold.
fn gateway_addresses(
    snapshot: &Snapshot,
    address: impl Fn(&InstanceHealth) -> ServiceAddress,
) -> Vec<String> {
    let mut addresses: Vec<String> = Vec::new();
    for gateway in gateways(snapshot, &Partition::default()) {
        let ServiceAddress { address: host, port } = address(&gateway);
        let joined = address::join(&host, port);
        if address::split(&joined).is_ok() && !addresses.contains(&joined) {
            addresses.push(joined);
        }
    }
    addresses.truncate(MAX_ADDRESSES);
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{World, mesh_gateway, node, through_mesh_gateways};
    use peerway_model::Instance;
    use peerway_model::instance::TAG_WAN;
    use peerway_model::key::Origin;
    use peerway_state::Row;
    use std::sync::Arc;

    fn texts(addresses: &[&str]) -> Vec<String> {
        addresses.iter().map(|&text| text.to_owned()).collect()
    }

    fn gateway(world: &mut World, id: &str, lan: &str, wan: Option<(&str, u16)>) {
        let key = node(Origin::Local, "us").key;
        let mut gateway = Instance {
            address: lan.to_owned(),
            ..mesh_gateway(&key, id)
        };
        gateway.tagged_addresses.clear();
        if let Some((address, port)) = wan {
            let address = address.to_owned();
            gateway
                .tagged_addresses
                .insert(TAG_WAN.to_owned(), ServiceAddress { address, port });
        }
        world.put([Row::Instance(Arc::new(gateway))]);
    }

    #[test]
    fn gateways_stand_for_servers_only_when_the_mesh_entry_says_so() {
        let mut us = World::new("us");
        us.put([Row::Node(Arc::new(node(Origin::Local, "us")))]);
        let own = texts(&["10.0.0.1:8503"]);
        assert_eq!(for_token(&us.snapshot, &own), Ok(own.clone()));
        assert!(for_token(&us.snapshot, &[]).is_err());

        us.put([through_mesh_gateways(true)]);
        assert_eq!(advertised(&us.snapshot, &own), texts(&[]));
        let refused = for_token(&us.snapshot, &own).unwrap_err().to_string();
        assert!(refused.contains("register one, or set it to false"), "{refused}");
        let remote = texts(&["198.51.100.1:8503"]);
        let ways = Ways::to(&us.snapshot, &remote);
        assert_eq!(ways.all().cloned().collect::<Vec<_>>(), remote);

        gateway(&mut us, "g1", "10.0.0.9", Some(("2001:db8::1", 443)));
        gateway(&mut us, "g2", "fd00::9", Some(("gw.example.com", 0)));
        gateway(&mut us, "g3", "", None);
        gateway(&mut us, "g4", "not a host", None);
        let wan = texts(&["[2001:db8::1]:443", "gw.example.com:8443", "10.0.0.1:8443"]);
        assert_eq!(for_token(&us.snapshot, &own), Ok(wan));
        let ways = Ways::to(&us.snapshot, &remote);
        assert_eq!(
            ways.gateways,
            texts(&["10.0.0.9:8443", "[fd00::9]:8443", "10.0.0.1:8443"])
        );
        assert_eq!(ways.all().last(), remote.last());

        us.put([through_mesh_gateways(false)]);
        assert_eq!(for_token(&us.snapshot, &own), Ok(own));
        assert_eq!(Ways::to(&us.snapshot, &remote).gateways, texts(&[]));
    }
}
