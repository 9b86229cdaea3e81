//! What gateways at the edge let in speaks what their listeners do.

use super::fixtures::World;
use crate::{Refused, RowKey, Transaction};
use peerway_model::config::{
    EdgeTerms, EdgeTls, HeaderEdits, HttpRoute, HttpRule, IngressGateway, IngressListener, IngressService,
    Meta, Pattern, Protocol, RouteDestination, RouteService, ServiceDefaults, TcpRoute,
};
use peerway_model::{ConfigEntry, ConfigKind, Namespace, Partition, PeerName, ServiceName};

fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

fn speaks(service: &str, protocol: Protocol) -> ConfigEntry {
    ConfigEntry::ServiceDefaults(ServiceDefaults {
        partition: Partition::default(),
        namespace: Namespace::default(),
        name: name(service),
        protocol: Some(protocol),
        mesh_gateway: None,
        inbound: Default::default(),
        upstreams: Default::default(),
        sidecar: Default::default(),
        meta: Meta::new(),
    })
}

fn lets_in(service: &str, peer: Option<&str>, protocol: Protocol) -> ConfigEntry {
    ConfigEntry::IngressGateway(IngressGateway {
        partition: Partition::default(),
        namespace: Namespace::default(),
        name: name("edge"),
        tls: EdgeTls::default(),
        listeners: vec![IngressListener {
            port: 80,
            protocol,
            tls: None,
            services: vec![IngressService {
                name: Pattern::Exact(name(service)),
                namespace: Namespace::default(),
                partition: Partition::default(),
                peer: peer.map(|peer| PeerName::new(peer).unwrap()),
                hosts: Vec::new(),
                request_headers: HeaderEdits::default(),
                response_headers: HeaderEdits::default(),
                terms: EdgeTerms::default(),
            }],
        }],
        defaults: EdgeTerms::default(),
        meta: Meta::new(),
    })
}

fn put(entry: ConfigEntry) -> Transaction {
    Transaction::new().put(entry.into())
}

fn refusal(world: &mut World, transaction: &Transaction) -> String {
    match world.commit(transaction) {
        Err(Refused::Invalid(invalid)) => invalid.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_service_speaks_what_the_listener_does_whichever_is_written_last() {
    let mut world = World::default();
    let here = put(lets_in("api", None, Protocol::Http));
    let error = refusal(&mut world, &here);
    assert!(
        error.starts_with("Listeners[0].Services[0]: the service"),
        "{error}"
    );
    world.commit(&put(speaks("api", Protocol::Http))).unwrap();
    world.commit(&here).unwrap();
    let error = refusal(&mut world, &put(speaks("api", Protocol::Grpc)));
    assert!(error.starts_with("Protocol: the ingress-gateway edge"), "{error}");
    let gone = speaks("api", Protocol::Http).key();
    let gone = Transaction::new().delete(RowKey::Config(gone));
    assert!(world.commit(&gone).is_err(), "it would speak TCP then");
    // What a peer's service speaks is not this cluster's to know.
    world
        .commit(&put(lets_in("api", Some("west"), Protocol::Grpc)))
        .unwrap();
    world.commit(&gone).unwrap();
}

fn route(kind: ConfigKind, service: &str) -> ConfigEntry {
    let (partition, namespace) = (Partition::default(), Namespace::default());
    let service = RouteService {
        name: name(service),
        namespace: namespace.clone(),
        partition: partition.clone(),
        peer: None,
        weight: 1,
        request_headers: HeaderEdits::default(),
        response_headers: HeaderEdits::default(),
    };
    match kind {
        ConfigKind::TcpRoute => ConfigEntry::TcpRoute(TcpRoute {
            partition,
            namespace,
            name: name("route"),
            parents: Vec::new(),
            service,
            meta: Meta::new(),
        }),
        _ => ConfigEntry::HttpRoute(Box::new(HttpRoute {
            partition,
            namespace,
            name: name("route"),
            parents: Vec::new(),
            hostnames: Vec::new(),
            rules: vec![HttpRule {
                matches: Vec::new(),
                how: RouteDestination::default(),
                services: vec![service],
            }],
            meta: Meta::new(),
        })),
    }
}

#[test]
fn routes_lead_to_what_speaks_requests_or_bytes() {
    let mut world = World::of([speaks("api", Protocol::Grpc).into()]);
    world.commit(&put(route(ConfigKind::HttpRoute, "api"))).unwrap();
    world.commit(&put(route(ConfigKind::TcpRoute, "db"))).unwrap();
    let error = refusal(&mut world, &put(route(ConfigKind::HttpRoute, "db")));
    assert!(error.starts_with("Rules[0].Services[0]: the service"), "{error}");
    let error = refusal(&mut world, &put(route(ConfigKind::TcpRoute, "api")));
    assert!(error.starts_with("Services[0]: the service"), "{error}");
    // Of whatever kind the requests are.
    world.commit(&put(speaks("api", Protocol::Http))).unwrap();
    let error = refusal(&mut world, &put(speaks("api", Protocol::Tcp)));
    assert!(error.starts_with("Protocol: the http-route route"), "{error}");
    let error = refusal(&mut world, &put(speaks("db", Protocol::Http)));
    assert!(error.starts_with("Protocol: the tcp-route route"), "{error}");
}
