//! A cluster with services that have intentions, and what its proxies are told.

use crate::tokens;
use peerway_mesh::{Fragment, Mesh, View};
use peerway_model::authority::{CaRoot, CaRoots};
use peerway_model::config::{
    Action, ApiGateway, ApiListener, Consumer, EdgeTerms, EdgeTls, ExportedService, ExportedServices,
    HeaderEdits, HttpRoute, HttpRule, IngressGateway, IngressListener, IngressService, LinkedService, Meta,
    Outward, Pattern, Protocol, RouteDestination, RouteParent, RouteService, ServiceDefaults,
    ServiceIntentions, TerminatingGateway,
};
use peerway_model::name::*;
use peerway_model::peering::RemoteInfo;
use peerway_model::{
    ConfigEntry, Instance, InstanceKey, Node, NodeKey, Origin, Peering, PeeringKey, PeeringRole,
    PeeringState, Proxy, ServiceKey, ServiceKind, Tenancy, TrustBundle, TrustDomain, Weights,
};
use peerway_state::{Row, Snapshot, Transaction, apply};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const LOCAL: &str = "local.consul";
/// Peers that every service is exported to: name, trust domain, partition of their services.
pub(crate) const PEERS: [(&str, &str, &str); 2] = [
    ("east", "east.consul", "default"),
    ("west", "west.consul", "of-west"),
];
/// The gateways at the edge, an ingress and an API gateway, by names that intentions are about.
pub(crate) const EDGES: [&str; 2] = ["app", "a-b"];
/// A port of the gateways at the edge, as their entries say.
pub(crate) const EDGE_PORT: u16 = 8080;
/// The terminating gateway and its port.
pub(crate) const OUT: (&str, u16) = ("out", 9443);
/// The application behind every sidecar.
pub(crate) const APP_PORT: u16 = 8080;

/// Root certificates by trust domain; texts of any kind where nobody verifies with them.
pub(crate) type Roots = BTreeMap<String, String>;

pub(crate) struct World {
    mesh: Mesh,
}

pub(crate) fn service_key(name: &str) -> ServiceKey {
    ServiceKey::local(&Tenancy::default(), ServiceName::new(name).unwrap())
}

fn node_key() -> NodeKey {
    NodeKey {
        origin: Origin::Local,
        partition: Partition::default(),
        name: NodeName::new("n1").unwrap(),
    }
}

fn instance(id: &str, kind: ServiceKind, port: u16, proxy: Option<Proxy>) -> Row {
    Row::Instance(Arc::new(Instance {
        key: InstanceKey {
            node: node_key(),
            id: InstanceId::new(id).unwrap(),
        },
        namespace: Namespace::default(),
        service: ServiceName::new(id).unwrap(),
        kind,
        tags: Vec::new(),
        address: "127.0.0.1".to_owned(),
        port,
        tagged_addresses: BTreeMap::new(),
        meta: BTreeMap::new(),
        weights: Weights::default(),
        enable_tag_override: false,
        proxy,
        gateway_config: BTreeMap::new(),
        peer_meta: None,
        locality: None,
    }))
}

fn config(entry: ConfigEntry) -> Row {
    entry.validate().unwrap();
    Row::Config(Arc::new(entry))
}

/// The host by which a gateway at the edge knows a service.
pub(crate) fn host(edge: &str, service: &str) -> String {
    match edge {
        "app" => format!("{service}.ingress.consul"),
        _ => format!("{service}.example.com"),
    }
}

fn api() -> ConfigEntry {
    ConfigEntry::ApiGateway(ApiGateway {
        partition: Partition::default(),
        namespace: Namespace::default(),
        name: ServiceName::new(EDGES[1]).unwrap(),
        listeners: vec![ApiListener {
            name: "plain".to_owned(),
            hostname: None,
            port: EDGE_PORT,
            protocol: Protocol::Http,
            tls: None,
        }],
        meta: Meta::new(),
    })
}

fn route(service: &str) -> ConfigEntry {
    let name = ServiceName::new(service).unwrap();
    let to = RouteService {
        name: name.clone(),
        namespace: Namespace::default(),
        partition: Partition::default(),
        peer: None,
        weight: 1,
        request_headers: HeaderEdits::default(),
        response_headers: HeaderEdits::default(),
    };
    ConfigEntry::HttpRoute(Box::new(HttpRoute {
        partition: Partition::default(),
        namespace: Namespace::default(),
        name,
        parents: vec![RouteParent {
            gateway: ServiceName::new(EDGES[1]).unwrap(),
            listener: None,
        }],
        hostnames: vec![host(EDGES[1], service)],
        rules: vec![HttpRule {
            matches: Vec::new(),
            how: RouteDestination::default(),
            services: vec![to],
        }],
        meta: Meta::new(),
    }))
}

/// Stands for services by their names.
fn terminating(services: &[String]) -> ConfigEntry {
    let link = |service: &String| LinkedService {
        name: Pattern::Exact(ServiceName::new(service).unwrap()),
        namespace: Namespace::default(),
        outward: Outward::default(),
    };
    ConfigEntry::TerminatingGateway(TerminatingGateway {
        partition: Partition::default(),
        namespace: Namespace::default(),
        name: ServiceName::new(OUT.0).unwrap(),
        services: services.iter().map(link).collect(),
        meta: Meta::new(),
    })
}

/// Every service, by the host of its name.
fn edge(protocol: Protocol) -> IngressGateway {
    IngressGateway {
        partition: Partition::default(),
        namespace: Namespace::default(),
        name: ServiceName::new(EDGES[0]).unwrap(),
        tls: EdgeTls::default(),
        listeners: vec![IngressListener {
            port: EDGE_PORT,
            protocol,
            tls: None,
            services: vec![IngressService {
                name: Pattern::Any,
                namespace: Namespace::default(),
                partition: Partition::default(),
                peer: None,
                hosts: Vec::new(),
                request_headers: HeaderEdits::default(),
                response_headers: HeaderEdits::default(),
                terms: EdgeTerms::default(),
            }],
        }],
        defaults: EdgeTerms::default(),
        meta: Meta::new(),
    }
}

fn speaks(service: &str, protocol: Protocol) -> ConfigEntry {
    ConfigEntry::ServiceDefaults(ServiceDefaults {
        partition: Partition::default(),
        namespace: Namespace::default(),
        name: ServiceName::new(service).unwrap(),
        protocol: Some(protocol),
        mesh_gateway: None,
        inbound: Default::default(),
        upstreams: Default::default(),
        sidecar: Default::default(),
        meta: Meta::new(),
    })
}

impl World {
    /// Services with the ports of their sidecars and applications, and some outside the mesh, all of one protocol, a mesh
    /// gateway, a terminating gateway for those outside, and gateways at the edge that let all of them in.
    #[allow(clippy::too_many_arguments, reason = "a world is made of all of this")]
    pub(crate) fn new(
        services: &[(String, u16)],
        outside: &[String],
        app_port: u16,
        gateway_port: u16,
        protocol: Protocol,
        intentions: &[ServiceIntentions],
        default: Action,
        roots: &Roots,
    ) -> Self {
        let mut rows = vec![
            Row::Roots(Arc::new(CaRoots {
                cluster_id: "local".to_owned(),
                trust_domain: TrustDomain::new(LOCAL).unwrap(),
                datacenter: Datacenter::new("dc1").unwrap(),
                roots: vec![CaRoot {
                    id: "id".to_owned(),
                    name: "root".to_owned(),
                    serial: 1,
                    key_id: "key".to_owned(),
                    pem: roots[LOCAL].clone(),
                    not_before: 0,
                    not_after: 1,
                    active: true,
                    bridges: Vec::new(),
                    handed_out: false,
                }],
                rotation: None,
            })),
            Row::Node(Arc::new(Node {
                key: node_key(),
                id: None,
                address: "127.0.0.1".to_owned(),
                datacenter: Datacenter::new("dc1").unwrap(),
                tagged_addresses: BTreeMap::new(),
                meta: BTreeMap::new(),
                locality: None,
            })),
            instance("mesh-gateway", ServiceKind::MeshGateway, gateway_port, None),
            instance(EDGES[0], ServiceKind::IngressGateway, 8443, None),
            instance(EDGES[1], ServiceKind::ApiGateway, 8443, None),
            instance(OUT.0, ServiceKind::TerminatingGateway, OUT.1, None),
            config(terminating(outside)),
        ];
        let all = services.iter().map(|(name, _)| name).chain(outside);
        if protocol.is_http() {
            rows.push(config(ConfigEntry::IngressGateway(edge(protocol))));
            rows.push(config(api()));
            rows.extend(all.clone().map(|name| config(route(name))));
        }
        rows.extend(
            outside
                .iter()
                .map(|name| instance(name, ServiceKind::Typical, app_port, None)),
        );
        rows.extend(all.map(|name| config(speaks(name, protocol))));
        for (peer, domain, partition) in PEERS {
            let key = PeeringKey {
                partition: Partition::default(),
                name: PeerName::new(peer).unwrap(),
            };
            rows.push(Row::Peering(Arc::new(Peering {
                key: key.clone(),
                id: format!("id-of-{peer}"),
                role: PeeringRole::Acceptor,
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
            })));
            rows.push(Row::Bundle(Arc::new(TrustBundle {
                peering: key,
                trust_domain: TrustDomain::new(domain).unwrap(),
                exported_partition: Partition::new(partition).unwrap(),
                root_pems: vec![roots[domain].clone()],
            })));
        }
        for (name, port) in services {
            let name = ServiceName::new(name).unwrap();
            rows.push(instance(
                &format!("{name}-sidecar"),
                ServiceKind::ConnectProxy,
                *port,
                Some(Proxy {
                    destination: name,
                    destination_id: None,
                    local_address: None,
                    local_port: Some(app_port),
                    upstreams: Vec::new(),
                    sidecar: Default::default(),
                    mesh_gateway: None,
                    config: BTreeMap::new(),
                }),
            ));
        }
        let consumers = PEERS.map(|(peer, _, _)| Consumer::Peer(PeerName::new(peer).unwrap()));
        rows.push(config(ConfigEntry::ExportedServices(ExportedServices {
            partition: Partition::default(),
            services: vec![ExportedService {
                name: Pattern::Any,
                namespace: Pattern::Exact(Namespace::default()),
                consumers: consumers.to_vec(),
            }],
            meta: Meta::new(),
        })));
        rows.extend(
            tokens::PROVIDERS.map(|name| config(ConfigEntry::JwtProvider(Box::new(tokens::provider(name))))),
        );
        rows.extend(
            intentions
                .iter()
                .map(|entry| config(ConfigEntry::ServiceIntentions(entry.clone()))),
        );
        let mut snapshot = Snapshot::default();
        let transaction = rows.into_iter().fold(Transaction::new(), Transaction::put);
        apply(&mut snapshot, &transaction, 1).unwrap();
        World {
            mesh: Mesh::with_default(Arc::new(snapshot), default),
        }
    }

    fn view(&mut self, id: &str) -> Arc<View> {
        let key = InstanceKey {
            node: node_key(),
            id: InstanceId::new(id).unwrap(),
        };
        self.mesh.watch(&key).unwrap()
    }

    /// What the sidecar of a service is told.
    pub(crate) fn sidecar(&mut self, service: &str) -> Arc<View> {
        self.view(&format!("{service}-sidecar"))
    }

    /// What a gateway at the edge is told, or the terminating gateway.
    pub(crate) fn named(&mut self, gateway: &str) -> Arc<View> {
        self.view(gateway)
    }

    /// What the gateway is told.
    pub(crate) fn gateway(&mut self) -> Arc<View> {
        self.view("mesh-gateway")
    }
}

/// The only listener of a view.
pub(crate) fn listener(view: &View) -> &Fragment {
    let mut listeners = view
        .fragments
        .iter()
        .filter(|fragment| matches!(***fragment, Fragment::Listener(_)));
    let listener = listeners.next().unwrap();
    assert!(listeners.next().is_none());
    listener
}
