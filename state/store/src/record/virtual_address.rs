//! The twin of a virtual address.

use super::text::Text;
use peerway_model::{Namespace, Origin, Partition, PeerName, ServiceKey, ServiceName, VirtualAddress};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

#[derive(Serialize, Deserialize)]
pub(super) struct VirtualAddressRecord {
    /// Absent for a local service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peer: Option<Text<PeerName>>,
    partition: Text<Partition>,
    namespace: Text<Namespace>,
    service: Text<ServiceName>,
    address: Ipv4Addr,
}

impl From<&VirtualAddress> for VirtualAddressRecord {
    fn from(own: &VirtualAddress) -> Self {
        let VirtualAddress {
            service:
                ServiceKey {
                    origin,
                    partition,
                    namespace,
                    name,
                },
            address,
        } = own;
        VirtualAddressRecord {
            peer: match origin {
                Origin::Local => None,
                Origin::Peer(peer) => Some(Text(peer.clone())),
            },
            partition: Text(partition.clone()),
            namespace: Text(namespace.clone()),
            service: Text(name.clone()),
            address: *address,
        }
    }
}

impl From<VirtualAddressRecord> for VirtualAddress {
    fn from(record: VirtualAddressRecord) -> Self {
        VirtualAddress {
            service: ServiceKey {
                origin: record.peer.map_or(Origin::Local, |peer| Origin::Peer(peer.0)),
                partition: record.partition.0,
                namespace: record.namespace.0,
                name: record.service.0,
            },
            address: record.address,
        }
    }
}
