//! Addresses that stand for services: a client that dials one is redirected to its sidecar, which knows the service.

use crate::key::{Origin, ServiceKey};
use siphasher::sip::SipHasher13;
use std::hash::{Hash, Hasher};
use std::net::Ipv4Addr;

/// Addresses from which those of services are taken: 240.0.0.0/4, which nobody routes (RFC 1112 section 4; Consul uses
/// the same, xDS facts section 1.5). Without the first and the last.
const FIRST: u32 = 0xf000_0001;
/// How many there are.
const COUNT: u64 = (1 << 28) - 2;
/// Keys of the hash: any fixed values do, since addresses must be the same in every process and not unguessable.
const KEYS: (u64, u64) = (0x7669_7274_7561_6c20, 0x6164_6472_6573_7365);

/// The address of a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VirtualAddress {
    /// Local or imported.
    pub service: ServiceKey,
    /// Its own: no two services have the same.
    pub address: Ipv4Addr,
}

impl VirtualAddress {
    /// The address that a service should have, or with a higher `attempt` the next one, should somebody have that. It
    /// follows from the key, so that a service that went away and came back mostly has its old one.
    pub fn candidate(service: &ServiceKey, attempt: u32) -> Ipv4Addr {
        let mut hasher = SipHasher13::new_with_keys(KEYS.0, KEYS.1);
        let peer = match &service.origin {
            Origin::Local => None,
            Origin::Peer(name) => Some(name.as_str()),
        };
        // Texts and not the types, whose derived hash may change with the compiler.
        let parts = [
            peer.unwrap_or_default(),
            service.partition.as_str(),
            service.namespace.as_str(),
            service.name.as_str(),
        ];
        peer.is_some().hash(&mut hasher);
        for part in parts {
            hasher.write(part.as_bytes());
            hasher.write_u8(0xff);
        }
        hasher.write_u32(attempt);
        let offset = u32::try_from(hasher.finish() % COUNT).unwrap_or_default();
        Ipv4Addr::from(FIRST + offset)
    }

    /// Whether an address may be one of a service.
    pub fn is_in_range(address: Ipv4Addr) -> bool {
        let address = u32::from(address);
        u64::from(address.wrapping_sub(FIRST)) < COUNT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{Namespace, Partition, PeerName, ServiceName};

    fn key(peer: Option<&str>, name: &str) -> ServiceKey {
        ServiceKey {
            origin: peer.map_or(Origin::Local, |peer| Origin::Peer(PeerName::new(peer).unwrap())),
            partition: Partition::default(),
            namespace: Namespace::default(),
            name: ServiceName::new(name).unwrap(),
        }
    }

    #[test]
    fn candidates_are_in_range_and_follow_from_the_key() {
        // Written down: another version of this program must give the same.
        assert_eq!(
            VirtualAddress::candidate(&key(None, "web"), 0).to_string(),
            "250.156.239.130"
        );
        for attempt in 0..1_000 {
            let address = VirtualAddress::candidate(&key(None, "web"), attempt);
            assert!(VirtualAddress::is_in_range(address), "{address}");
        }
        assert_ne!(
            VirtualAddress::candidate(&key(None, "web"), 0),
            VirtualAddress::candidate(&key(Some("east"), "web"), 0)
        );
    }

    #[test]
    fn the_range_is_240_without_its_ends() {
        for (text, inside) in [
            ("240.0.0.0", false),
            ("240.0.0.1", true),
            ("255.255.255.254", true),
            ("255.255.255.255", false),
            ("239.255.255.255", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(
                VirtualAddress::is_in_range(text.parse().unwrap()),
                inside,
                "{text}"
            );
        }
    }
}
