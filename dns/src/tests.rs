//! Questions to a small cluster with a peer.

mod answers;
mod messages;
mod sockets;

use crate::{Domain, ServiceTtls, Zone};
use peerway_model::config::{
    ConfigEntry, EdgeTerms, EdgeTls, HeaderEdits, Inbound, IngressGateway, IngressListener, IngressService,
    Meta, Pattern, Protocol, ServiceDefaults, Upstreams,
};
use peerway_model::name::*;
use peerway_model::peering::RemoteInfo;
use peerway_model::{
    Check, CheckKey, CheckStatus, Instance, InstanceKey, Node, NodeKey, Origin, Peering, PeeringKey,
    PeeringRole, PeeringState, Proxy, ServiceKind, Weights,
};
use peerway_state::{Row, Snapshot, Transaction, apply};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) fn peering_key(name: &str) -> PeeringKey {
    PeeringKey {
        partition: Partition::default(),
        name: PeerName::new(name).unwrap(),
    }
}

fn node_key(peer: Option<&str>, name: &str) -> NodeKey {
    NodeKey {
        origin: peer.map_or(Origin::Local, |peer| Origin::Peer(PeerName::new(peer).unwrap())),
        partition: Partition::default(),
        name: NodeName::new(name).unwrap(),
    }
}

fn node(peer: Option<&str>, name: &str, address: &str) -> Row {
    Row::Node(Arc::new(Node {
        key: node_key(peer, name),
        id: None,
        address: address.to_owned(),
        datacenter: Datacenter::new("dc1").unwrap(),
        tagged_addresses: BTreeMap::new(),
        meta: BTreeMap::from([("rack".to_owned(), "r1".to_owned())]),
        locality: None,
    }))
}

/// An instance whose id is that of its service, on a node.
fn instance(node: NodeKey, service: &str, address: &str, port: u16, tags: &[&str]) -> Instance {
    Instance {
        key: InstanceKey {
            node,
            id: InstanceId::new(service).unwrap(),
        },
        namespace: Namespace::default(),
        service: ServiceName::new(service).unwrap(),
        kind: ServiceKind::Typical,
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        address: address.to_owned(),
        port,
        tagged_addresses: BTreeMap::new(),
        meta: BTreeMap::new(),
        weights: Weights {
            passing: 10,
            warning: 1,
        },
        enable_tag_override: false,
        proxy: None,
        gateway_config: BTreeMap::new(),
        peer_meta: None,
        locality: None,
    }
}

fn local(on: &str, service: &str, address: &str, port: u16, tags: &[&str]) -> Row {
    Row::Instance(Arc::new(instance(
        node_key(None, on),
        service,
        address,
        port,
        tags,
    )))
}

fn proxy(node: NodeKey, service: &str, port: u16) -> Row {
    let name = format!("{service}-sidecar-proxy");
    Row::Instance(Arc::new(Instance {
        kind: ServiceKind::ConnectProxy,
        proxy: Some(Proxy {
            destination: ServiceName::new(service).unwrap(),
            destination_id: Some(InstanceId::new(service).unwrap()),
            local_address: None,
            local_port: None,
            upstreams: Vec::new(),
            mesh_gateway: None,
            sidecar: Default::default(),
            config: BTreeMap::new(),
        }),
        ..instance(node, &name, "", port, &[])
    }))
}

fn check(node: NodeKey, instance: &str, status: CheckStatus) -> Row {
    Row::Check(Arc::new(Check {
        key: CheckKey {
            node,
            id: CheckId::new(instance).unwrap(),
        },
        name: String::new(),
        status,
        notes: String::new(),
        output: String::new(),
        instance: Some(InstanceId::new(instance).unwrap()),
        service: None,
    }))
}

fn peering(name: &str) -> Row {
    Row::Peering(Arc::new(Peering {
        key: peering_key(name),
        id: "00000000-0000-4000-8000-000000000001".to_owned(),
        role: PeeringRole::Dialer,
        state: PeeringState::Active,
        meta: BTreeMap::new(),
        remote_id: None,
        ca_pems: Vec::new(),
        server_name: None,
        server_addresses: Vec::new(),
        manual_addresses: Vec::new(),
        external_addresses: Vec::new(),
        remote: RemoteInfo::default(),
        deleted_at: None,
    }))
}

fn let_in(name: Pattern<ServiceName>, peer: Option<&str>) -> IngressService {
    IngressService {
        name,
        namespace: Namespace::default(),
        partition: Partition::default(),
        peer: peer.map(|peer| PeerName::new(peer).unwrap()),
        hosts: Vec::new(),
        request_headers: HeaderEdits::default(),
        response_headers: HeaderEdits::default(),
        terms: EdgeTerms::default(),
    }
}

/// Lets in `web`, `db` of `west` and whatever of this cluster is in the mesh.
fn edge() -> Row {
    let named = |name: &str| Pattern::Exact(ServiceName::new(name).unwrap());
    let services = vec![
        let_in(named("web"), None),
        let_in(named("db"), Some("west")),
        let_in(Pattern::Any, None),
    ];
    Row::Config(Arc::new(ConfigEntry::IngressGateway(IngressGateway {
        partition: Partition::default(),
        namespace: Namespace::default(),
        name: ServiceName::new("edge").unwrap(),
        tls: EdgeTls::default(),
        listeners: vec![IngressListener {
            port: 8080,
            protocol: Protocol::Http,
            tls: None,
            services,
        }],
        defaults: EdgeTerms::default(),
        meta: Meta::new(),
    })))
}

/// What a wildcard of a listener for HTTP stands for.
fn speaks_http(service: &str) -> Row {
    Row::Config(Arc::new(ConfigEntry::ServiceDefaults(ServiceDefaults {
        partition: Partition::default(),
        namespace: Namespace::default(),
        name: ServiceName::new(service).unwrap(),
        protocol: Some(Protocol::Http),
        mesh_gateway: None,
        inbound: Inbound::default(),
        upstreams: Upstreams::default(),
        sidecar: Default::default(),
        meta: Meta::new(),
    })))
}

/// `web` has three instances that differ in address and health, `api` a sidecar, `west` exports `db`.
pub(crate) fn world() -> Snapshot {
    let n = |name: &str| node_key(None, name);
    let w = |name: &str| node_key(Some("west"), name);
    let rows = [
        peering("west"),
        node(None, "n1", "10.0.0.1"),
        node(None, "n2", "10.0.0.2"),
        node(None, "rack.six", "fd00::6"),
        node(None, "alias", "outside.example.com"),
        node(None, "no label", "10.0.0.9"),
        // On its node, elsewhere with a warning, and not serving.
        local("n1", "web", "", 80, &["v1", "v1.2"]),
        local("n2", "web", "10.0.0.22", 81, &["v2"]),
        check(n("n2"), "web", CheckStatus::Warning),
        local("rack.six", "web", "", 82, &["v1"]),
        check(n("rack.six"), "web", CheckStatus::Critical),
        local("n1", "gone", "", 83, &[]),
        check(n("n1"), "gone", CheckStatus::Critical),
        local("rack.six", "six", "", 84, &[]),
        local("n1", "named", "ext.example.com", 85, &[]),
        local("n1", "mixed", "ext.example.com", 86, &[]),
        local("n2", "mixed", "", 86, &[]),
        local("n1", "Big_One", "", 87, &[]),
        local("no label", "odd", "", 88, &[]),
        local("n1", "node", "", 89, &[]),
        local("n1", "api", "", 90, &[]),
        proxy(n("n1"), "api", 21000),
        speaks_http("api"),
        speaks_http("gone"),
        speaks_http("web"),
        edge(),
        Row::Instance(Arc::new(Instance {
            kind: ServiceKind::IngressGateway,
            ..instance(n("n2"), "edge", "203.0.113.1", 443, &[])
        })),
        node(Some("west"), "n1", "192.0.2.1"),
        Row::Instance(Arc::new(instance(w("n1"), "db", "", 5432, &["primary"]))),
        proxy(w("n1"), "db", 8443),
    ];
    let mut snapshot = Snapshot::default();
    let transaction = rows.into_iter().fold(Transaction::new(), Transaction::put);
    apply(&mut snapshot, &transaction, 1).unwrap();
    snapshot
}

pub(crate) fn zone() -> Zone {
    Zone {
        alt_domain: Some(Domain::new("mesh.test").unwrap()),
        node_ttl: 7,
        service_ttl: ServiceTtls::new([("*".to_owned(), 3), ("we*".to_owned(), 5), ("db".to_owned(), 9)]),
        ..Zone::new(
            Domain::new("consul").unwrap(),
            Datacenter::new("dc1").unwrap(),
            NodeName::new("n1").unwrap(),
        )
    }
}
