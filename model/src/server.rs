//! What a server says about itself in the catalog, as Consul's servers do: an instance of the service `consul`, with
//! the port of its peering endpoint in the metadata (wire facts, section 1.2).

use crate::instance::{Instance, Node, ServiceAddress, ServiceKind, Weights};
use crate::key::{InstanceKey, NodeKey, ServiceKey, Tenancy};
use crate::name::{InstanceId, Namespace, ServiceName};
use crate::{Datacenter, Invalid, TrustDomain};
use std::collections::BTreeMap;

/// The service that servers are instances of; it never goes to a peer.
pub const SERVER_SERVICE: &str = "consul";
/// The metadata that holds the port of the peering endpoint.
pub const META_GRPC_TLS_PORT: &str = "grpc_tls_port";

/// The key of [`SERVER_SERVICE`]: local, default partition and namespace.
///
/// # Errors
/// Never: the name is a valid one.
pub fn server_service() -> Result<ServiceKey, Invalid> {
    Ok(ServiceKey::local(
        &Tenancy::default(),
        ServiceName::new(SERVER_SERVICE)?,
    ))
}

/// The instance that a server on `node` writes about itself; its peering endpoint listens on `grpc_tls`, if it has one.
///
/// # Errors
/// Never: the names are valid ones.
pub fn server_instance(node: &NodeKey, grpc_tls: Option<u16>) -> Result<Instance, Invalid> {
    let meta = grpc_tls.map(|port| (META_GRPC_TLS_PORT.to_owned(), port.to_string()));
    Ok(Instance {
        key: InstanceKey {
            node: node.clone(),
            id: InstanceId::new(SERVER_SERVICE)?,
        },
        namespace: Namespace::default(),
        service: ServiceName::new(SERVER_SERVICE)?,
        kind: ServiceKind::Typical,
        tags: Vec::new(),
        address: String::new(),
        port: grpc_tls.unwrap_or(0),
        tagged_addresses: BTreeMap::new(),
        meta: meta.into_iter().collect(),
        weights: Weights::default(),
        enable_tag_override: false,
        proxy: None,
        gateway_config: BTreeMap::new(),
        peer_meta: None,
        locality: None,
    })
}

/// Where a server's peering endpoint is reached inside the cluster; `None` for a server without one, or with a port
/// that is none (xDS facts, section 4.7).
pub fn peering_endpoint(server: &Instance, node: &Node) -> Option<ServiceAddress> {
    let text = server.meta.get(META_GRPC_TLS_PORT)?;
    // `parse` alone would take "+80".
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse::<u16>().ok().filter(|port| digits && *port != 0)?;
    Some(ServiceAddress {
        address: server.lan_address(node).address,
        port,
    })
}

/// Datacenter and trust domain of a peering endpoint's name, `server.<dc>.peering.<trust domain>`; `None` for any
/// other text. A token names it, so it may be anything.
pub fn parse_server_name(text: &str) -> Option<(Datacenter, TrustDomain)> {
    let (datacenter, trust_domain) = text.strip_prefix("server.")?.split_once(".peering.")?;
    Some((
        Datacenter::new(datacenter).ok()?,
        TrustDomain::new(trust_domain).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{NodeName, Partition};
    use crate::{Origin, sni};

    fn node() -> Node {
        Node {
            key: NodeKey {
                origin: Origin::Local,
                partition: Partition::default(),
                name: NodeName::new("n1").unwrap(),
            },
            id: None,
            address: "10.0.0.1".to_owned(),
            datacenter: Datacenter::new("dc1").unwrap(),
            tagged_addresses: BTreeMap::from([
                ("lan".to_owned(), "10.0.0.1".to_owned()),
                ("wan".to_owned(), "192.0.2.1".to_owned()),
            ]),
            meta: BTreeMap::new(),
            locality: None,
        }
    }

    #[test]
    fn an_endpoint_is_what_the_server_wrote_on_the_nodes_inner_address() {
        let node = node();
        let server = server_instance(&node.key, Some(8503)).unwrap();
        assert_eq!(server.service_key(), server_service().unwrap());
        let at = ServiceAddress {
            address: "10.0.0.1".to_owned(),
            port: 8503,
        };
        assert_eq!(peering_endpoint(&server, &node), Some(at));
        assert_eq!(
            peering_endpoint(&server_instance(&node.key, None).unwrap(), &node),
            None
        );
        for malformed in ["", "0", "+80", "-1", "65536", "x", "80 "] {
            let mut server = server.clone();
            server
                .meta
                .insert(META_GRPC_TLS_PORT.to_owned(), malformed.to_owned());
            assert_eq!(peering_endpoint(&server, &node), None, "{malformed:?}");
        }
    }

    #[test]
    fn only_a_server_name_is_one() {
        let (dc, td) = (
            Datacenter::new("dc1").unwrap(),
            TrustDomain::new("east.consul").unwrap(),
        );
        assert_eq!(parse_server_name(&sni::peering_server(&dc, &td)), Some((dc, td)));
        for other in [
            "",
            "server.",
            "server.dc1.peering.",
            "server..peering.east.consul",
            "server.dc1.internal.east.consul",
            "web.default.dc1.internal.east.consul",
            "server.dc1.peering.*",
            "server.*.peering.east.consul",
        ] {
            assert_eq!(parse_server_name(other), None, "{other:?}");
        }
    }
}
