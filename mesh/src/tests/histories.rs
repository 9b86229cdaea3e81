//! After any history, views that were kept up equal views built from nothing.

use super::entries;
use super::outside;
use super::render;
use super::standing::Standings;
use super::world::*;
use crate::fragment_key::FragmentKey;
use crate::{Fragment, Lets, Listener, Mesh, Policy, RouteTable, Routes, Traffic, View};
use peerway_model::config::{
    AccessLogs, Action, Balance, ByLocality, Inbound, KeySource, Limits, LoadBalancer, PassiveHealthCheck,
    PathTest, Protocol, ServiceResolver, TlsBounds, TlsVersion, UpstreamSettings, Upstreams, Verdict,
};
use peerway_model::instance::GatewayMode;
use peerway_model::{
    CheckId, CheckKey, CheckStatus, ConfigKey, ConfigKind, Instance, InstanceKey, PeerMeta, PeeringKey,
    PeeringState, ProxyMode, SidecarSettings, Upstream,
};
use peerway_state::{ChangeSet, Op, Row, RowKey, Transaction};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const SERVICES: [&str; 3] = ["api", "db", "web"];
const NODES: [&str; 2] = ["n1", "n2"];
const PEERS: [&str; 2] = ["east", "west"];
/// A peer may claim another's, or ours.
const TRUST_DOMAINS: [&str; 3] = ["east.consul", "west.consul", LOCAL_TD];
/// Where nodes and instances are: the zones of two regions, somewhere in one of them, and who knows where.
const PLACES: [&str; 5] = ["", "eu-1/a", "eu-1/b", "eu-1", "eu-2/a"];
const BY_LOCALITY: [Option<ByLocality>; 3] = [None, Some(ByLocality::Never), Some(ByLocality::Failover)];
const MODES: [Option<GatewayMode>; 3] = [None, Some(GatewayMode::Local), Some(GatewayMode::Remote)];

/// Histories that one run of the tests goes through.
const CASES: u32 = 400;
const ROOTS: &[&[&str]] = &[&["P1"], &["P1", "P2"], &[]];
const GRANTED: &[Option<&[&str]>] = &[None, Some(&["web"]), Some(&["api", "db"])];
const CONSUMERS: &[&[&str]] = &[
    &["east"],
    &["west"],
    &["east", "west"],
    &["nobody"],
    &[GROUP],
    &[GROUP],
];
/// The peers in the sameness group.
const MEMBERS: &[&[&str]] = &[&[], &["east"], &["west"], &["east", "west"]];

/// A token may name the servers of another peering, ours, or no servers at all.
const SERVER_NAMES: [&str; 4] = [
    "server.dc9.peering.east.consul",
    "server.dc9.peering.west.consul",
    "server.dc1.peering.local.consul",
    "web.default.dc1.internal.local.consul",
];
/// Some of them have the port of something else, or share the application's port in another protocol.
const EXPOSED: [(&str, u16, Protocol); 5] = [
    ("/health", 9_100, Protocol::Http),
    ("/metrics", 9_101, Protocol::Http2),
    ("/live", 20_003, Protocol::Http),
    ("/ready", 2, Protocol::Http),
    ("/up", 15_002, Protocol::Http2),
];
const DIALLED: &[&[&str]] = &[
    &[],
    &["198.51.100.9:8503"],
    &["[2001:db8::9]:8503", "198.51.100.8:8503"],
    &["server.example:8503", "198.51.100.9:8503"],
    &["not an address"],
];

#[derive(Clone, Debug)]
enum Step {
    /// Several at once.
    Commit(Vec<Op>),
    /// Commits whose changes reach the mesh in one go.
    Batch(Vec<Vec<Op>>),
    /// A commit after which the mesh is told to reload.
    Reload(Vec<Op>),
    /// Stops or starts watching the proxy of this number.
    Toggle(usize),
    /// What is held of these peers is too old, and of no others.
    Judge(BTreeSet<PeeringKey>),
}

fn proxies() -> Vec<InstanceKey> {
    NODES
        .iter()
        .flat_map(|node| {
            SERVICES
                .iter()
                .map(|service| instance_key(node, &format!("{service}-sidecar-proxy")))
                .chain(["gateway", "edge", "front", outside::GATEWAY].map(|id| instance_key(node, id)))
        })
        .collect()
}

fn one_of<T: Clone + std::fmt::Debug + 'static>(values: &'static [T]) -> proptest::sample::Select<T> {
    proptest::sample::select(values)
}

fn put(row: Row) -> Op {
    Op::Put(row)
}

fn upstreams() -> impl Strategy<Value = Vec<Upstream>> {
    let upstream = (
        one_of(&SERVICES),
        proptest::option::of(one_of(&PEERS)),
        1_u16..4,
        one_of(&MODES),
    );
    let upstream = upstream.prop_map(|(service, peer, port, mode)| Upstream {
        mesh_gateway: mode,
        ..upstream_of(service, peer, port)
    });
    proptest::collection::vec(upstream, 0..4)
}

fn upstream_of(service: &str, peer: Option<&str>, port: u16) -> Upstream {
    super::world::upstream(service, peer, port)
}

fn local_row() -> impl Strategy<Value = Op> {
    let node_address = one_of(&["10.0.0.1", "10.0.0.2", "node.example"]);
    prop_oneof![
        3 => (one_of(&PLACES), one_of(&NODES), node_address)
            .prop_map(|(place, name, address)| put(node_at(place, name, address))),
        1 => one_of(&NODES).prop_map(|name| Op::Delete(RowKey::Node(node_key(None, name)))),
        2 => (one_of(&NODES), one_of(&SERVICES), 1_u16..3)
            .prop_map(|(node, service, port)| put(row(app(node, service, port)))),
        6 => (one_of(&PLACES), one_of(&NODES), one_of(&SERVICES), 1_u16..3, upstreams()).prop_map(
            |(place, node, service, port, upstreams)| {
                put(row(at(place, sidecar(node, service, 20_000 + port, upstreams))))
            }
        ),
        3 => (one_of(&PLACES), one_of(&NODES), one_of(&SERVICES), said_of_sidecars(), upstreams()).prop_map(
            |(place, node, service, own, upstreams)| {
                put(row(at(place, saying(own, sidecar(node, service, 20_003, upstreams)))))
            }
        ),
        2 => (one_of(&PLACES), one_of(&NODES), 1_u16..3)
            .prop_map(|(place, node, port)| put(row(at(place, gateway(node, 8_440 + port))))),
        2 => (one_of(&PLACES), one_of(&NODES)).prop_map(|(place, node)| put(row(at(place, edge(node))))),
        2 => (one_of(&PLACES), one_of(&NODES)).prop_map(|(place, node)| put(row(at(place, front(node))))),
        2 => (one_of(&NODES), proptest::option::of(8503_u16..8505))
            .prop_map(|(node, port)| put(server(node, port))),
        1 => one_of(&NODES).prop_map(|node| Op::Delete(RowKey::Instance(instance_key(node, "consul")))),
        2 => (0..proxies().len()).prop_map(|at| Op::Delete(RowKey::Instance(proxies()[at].clone()))),
        // The id of a sidecar is reused for an application and for another service's sidecar.
        1 => (one_of(&NODES), one_of(&SERVICES), one_of(&SERVICES)).prop_map(|(node, service, other)| {
            put(row(Instance {
                key: instance_key(node, &format!("{service}-sidecar-proxy")),
                ..sidecar(node, other, 20_009, vec![])
            }))
        }),
        1 => (one_of(&NODES), one_of(&SERVICES)).prop_map(|(node, service)| {
            put(row(Instance {
                key: instance_key(node, &format!("{service}-sidecar-proxy")),
                ..app(node, service, 9)
            }))
        }),
    ]
}

fn check_row() -> impl Strategy<Value = Op> {
    let status = one_of(&[CheckStatus::Passing, CheckStatus::Warning, CheckStatus::Critical]);
    let on = prop_oneof![
        1 => Just(None),
        3 => one_of(&SERVICES).prop_map(|service| Some(format!("{service}-sidecar-proxy"))),
        2 => one_of(&SERVICES).prop_map(|service| Some(service.to_owned())),
        1 => Just(Some("gateway".to_owned())),
        1 => Just(Some(outside::GATEWAY.to_owned())),
    ];
    let whose = prop_oneof![
        2 => one_of(&NODES).prop_map(|name| node_key(None, name)),
        1 => one_of(&PEERS).prop_map(|peer| node_key(Some(peer), "g")),
    ];
    (whose, on, status, any::<bool>()).prop_map(|(node, on, status, gone)| {
        let id = CheckId::new(&format!("check:{}", on.as_deref().unwrap_or(""))).unwrap();
        if gone {
            Op::Delete(RowKey::Check(CheckKey { node, id }))
        } else {
            put(check(node, on.as_deref(), status))
        }
    })
}

fn peer_row() -> impl Strategy<Value = Op> {
    let state = prop_oneof![
        4 => Just(PeeringState::Active),
        1 => Just(PeeringState::Terminated),
    ];
    let address = one_of(&["198.51.100.1", "198.51.100.2", "gw.example"]);
    let roots = one_of(ROOTS);
    prop_oneof![
        4 => (one_of(&PEERS), state).prop_map(|(peer, state)| put(peering(peer, state))),
        3 => (one_of(&PEERS), one_of(&SERVER_NAMES), one_of(DIALLED), one_of(DIALLED))
            .prop_map(|(peer, name, addresses, manual)| put(dialling(peer, name, addresses, manual))),
        1 => one_of(&PEERS).prop_map(|peer| Op::Delete(RowKey::Peering(peering_key(peer)))),
        1 => one_of(&PEERS).prop_map(|peer| Op::ForgetImports(peering_key(peer))),
        5 => (one_of(&PEERS), one_of(&TRUST_DOMAINS), one_of(&["default", "sales"]), roots)
            .prop_map(|(peer, domain, partition, roots)| put(bundle_of(peer, domain, partition, roots))),
        1 => one_of(&PEERS).prop_map(|peer| Op::Delete(RowKey::Bundle(peering_key(peer)))),
        2 => (one_of(&PEERS), one_of(GRANTED)).prop_map(|(peer, services)| put(grants(peer, services))),
        1 => one_of(&PEERS).prop_map(|peer| Op::Delete(RowKey::Grants(peering_key(peer)))),
        3 => one_of(&PEERS).prop_map(|peer| put(node(Some(peer), "g", "192.0.2.1"))),
        5 => (one_of(&PEERS), one_of(&SERVICES), address, peer_meta())
            .prop_map(|(peer, service, address, meta)| {
                put(row(import(peer, "g", service, (address, 8443), meta)))
            }),
        2 => (one_of(&PEERS), one_of(&SERVICES))
            .prop_map(|(peer, service)| put(row(imported_app(peer, "g", service)))),
        1 => (one_of(&PEERS), one_of(&SERVICES), any::<bool>()).prop_map(|(peer, service, face)| {
            let suffix = if face { "-sidecar-proxy" } else { "" };
            Op::Delete(RowKey::Instance(InstanceKey {
                node: node_key(Some(peer), "g"),
                ..instance_key("n1", &format!("{service}{suffix}"))
            }))
        }),
    ]
}

fn peer_meta() -> impl Strategy<Value = PeerMeta> {
    let honest =
        (one_of(&SERVICES), one_of(&TRUST_DOMAINS)).prop_map(|(service, domain)| meta(service, "us", domain));
    let sni = one_of(&[
        "web.default.dc1.internal.local.consul",
        "web.default.default.east.external.local.consul",
        "",
    ]);
    let hostile = (honest.clone(), sni).prop_map(|(honest, sni)| PeerMeta {
        sni: vec![sni.to_owned()],
        ..honest
    });
    let spoken = (honest.clone(), one_of(&["http", "http2", "grpc", "thrift", ""]));
    let spoken = spoken.prop_map(|(honest, protocol)| PeerMeta {
        protocol: protocol.to_owned(),
        ..honest
    });
    let counted = (honest.clone(), 0_u32..3).prop_map(|(honest, healthy)| with_health(healthy, 2, honest));
    prop_oneof![4 => honest, 4 => counted, 2 => spoken, 1 => hostile]
}

fn config_row() -> impl Strategy<Value = Op> {
    let names = || one_of(&["api", "db", "web", "*"]);
    let consumers = one_of(CONSUMERS);
    let action = || one_of(&[Action::Allow, Action::Deny]);
    let verdict = prop_oneof![
        3 => action().prop_map(Verdict::Always),
        1 => (one_of(&["/", "/a"]), action()).prop_map(|(path, action)| below(path, action)),
    ];
    let place = prop_oneof![
        4 => proptest::option::of(one_of(&PEERS)),
        2 => Just(Some(GROUP)),
    ];
    let source = (names(), place, verdict);
    let unique = |sources: Vec<(&'static str, Option<&'static str>, Verdict)>| {
        let sources: BTreeMap<_, _> = sources
            .into_iter()
            .map(|(name, peer, verdict)| ((name, peer), verdict))
            .collect();
        sources
            .into_iter()
            .map(|((name, peer), verdict)| (name, peer, verdict))
            .collect::<Vec<_>>()
    };
    let entry = |kind, name: &str| {
        Op::Delete(RowKey::Config(ConfigKey::new(
            kind,
            &peerway_model::Partition::default(),
            "default",
            name,
        )))
    };
    prop_oneof![
        3 => proptest::collection::vec((names(), consumers), 0..3)
            .prop_map(|services| put(exports(&services))),
        1 => Just(entry(ConfigKind::ExportedServices, "default")),
        4 => (names(), proptest::collection::vec(source, 1..5))
            .prop_map(move |(name, sources)| put(verdicts(name, &unique(sources)))),
        1 => names().prop_map(move |name| entry(ConfigKind::ServiceIntentions, name)),
        1 => one_of(&MODES).prop_map(|mode| put(proxy_defaults(mode))),
        2 => (one_of(&BY_LOCALITY), one_of(&Protocol::ALL))
            .prop_map(|(mode, spoken)| put(all_by_locality(mode, spoken))),
        1 => one_of(&[None, Some(1), Some(10_000)]).prop_map(|sampling| put(traces(sampling))),
        1 => any::<(bool, bool)>().prop_map(|(enabled, disable_listener_logs)| {
            put(logs(AccessLogs { enabled, disable_listener_logs, ..AccessLogs::default() }))
        }),
        2 => any::<bool>().prop_map(|through| put(through_gateways(through))),
        1 => (one_of(&SERVICES), one_of(&MODES))
            .prop_map(|(service, mode)| put(service_defaults(service, mode))),
        2 => (one_of(&SERVICES), one_of(&MODES), inbound(), upstream_settings(), upstream_settings(), about()).prop_map(
            |(service, mode, inbound, defaults, own, (name, peer))| {
                let overrides = vec![super::world::about(name, peer, own)];
                put(settings(service, mode, inbound, Upstreams { defaults, overrides }))
            }
        ),
        4 => (proptest::option::of(one_of(&SERVICES)), said_of_sidecars())
            .prop_map(|(service, settings)| put(said(service, settings))),
        1 => one_of(&["0", "7", "nothing"]).prop_map(|number| put(all_take(number))),
        1 => (tls_bounds(), tls_bounds()).prop_map(|(incoming, outgoing)| put(mesh_tls(incoming, outgoing))),
        2 => (one_of(&SERVICES), one_of(&Protocol::ALL))
            .prop_map(|(service, spoken)| put(protocol(Some(service), spoken))),
        1 => one_of(&Protocol::ALL).prop_map(|spoken| put(protocol(None, spoken))),
        1 => any::<bool>().prop_map(|only| put(mesh_only(only))),
        1 => one_of(&["A", "B"]).prop_map(|pem| put(roots(pem))),
    ]
}

/// Port 20003 is that of a public listener.
fn said_of_sidecars() -> impl Strategy<Value = SidecarSettings> {
    let mode = one_of(&[None, Some(ProxyMode::Direct), Some(ProxyMode::Transparent)]);
    let port = one_of(&[None, Some(15_002), Some(20_003)]);
    let exposed = proptest::sample::subsequence(EXPOSED.to_vec(), 0..3);
    (mode, port, any::<bool>(), exposed, one_of(&[8_080, 8_081])).prop_map(
        |(mode, outbound_port, dialed_directly, paths, local_port)| SidecarSettings {
            mode,
            outbound_port,
            dialed_directly,
            exposed: paths
                .into_iter()
                .map(|(path, port, protocol)| exposed_path(path, local_port, port, protocol))
                .collect(),
        },
    )
}

fn about() -> impl Strategy<Value = (&'static str, Option<&'static str>)> {
    (one_of(&SERVICES), proptest::option::of(one_of(&PEERS)))
}

fn inbound() -> impl Strategy<Value = Inbound> {
    (
        one_of(&[None, Some(7)]),
        one_of(&[None, Some(1_000)]),
        any::<bool>(),
    )
        .prop_map(|(max_connections, timeout_ms, exact_balance)| Inbound {
            max_connections,
            connect_timeout_ms: timeout_ms,
            request_timeout_ms: timeout_ms,
            exact_balance,
        })
}

fn upstream_settings() -> impl Strategy<Value = UpstreamSettings> {
    let limits = one_of(&[None, Some(1), Some(2)]);
    (limits, one_of(&[None, Some(30)]), one_of(&MODES), any::<bool>()).prop_map(
        |(max_connections, max_ejection_percent, mesh_gateway, exact_balance)| UpstreamSettings {
            connect_timeout_ms: max_connections.map(u64::from),
            limits: max_connections.map(|_| Limits {
                max_connections,
                ..Limits::default()
            }),
            passive_health_check: max_ejection_percent.map(|_| PassiveHealthCheck {
                max_ejection_percent,
                ..PassiveHealthCheck::default()
            }),
            mesh_gateway,
            exact_balance,
        },
    )
}

fn tls_bounds() -> impl Strategy<Value = TlsBounds> {
    one_of(&[None, Some(TlsVersion::V1_3)]).prop_map(|min| TlsBounds {
        min,
        ..TlsBounds::default()
    })
}

/// Entries of chains, some of which a world refuses because of the others.
fn chain_row() -> impl Strategy<Value = Op> {
    let leads = || {
        one_of(&[
            "api", "db", "web", "v1.api", "v2.web", "api@east", "db@west", "web@east",
        ])
    };
    let kind = one_of(&[
        ConfigKind::ServiceResolver,
        ConfigKind::ServiceRouter,
        ConfigKind::ServiceSplitter,
    ]);
    let share = one_of(&[0_u32, 1, 5_000, 9_999, 10_000]);
    let named = || {
        let filter = one_of(&["", "Service.Port == 20001", "x in Service.Tags"]);
        (one_of(&["v1", "v2"]), filter)
    };
    prop_oneof![
        3 => (one_of(&SERVICES), leads(), leads()).prop_map(|(service, one, other)| {
            put(entries::router(service, &[("/a", one), ("/b", other)]))
        }),
        3 => (one_of(&SERVICES), leads(), leads(), share).prop_map(|(service, one, other, share)| {
            put(entries::splitter(service, &[(share, one), (10_000 - share, other)]))
        }),
        1 => (one_of(&SERVICES), leads()).prop_map(|(service, other)| put(entries::redirect(service, other))),
        3 => (one_of(&SERVICES), leads(), leads(), one_of(&BY_LOCALITY)).prop_map(
            |(service, one, other, by_locality)| {
                put(entries::resolved(ServiceResolver {
                    by_locality,
                    ..entries::failover(service, &[one, other])
                }))
            }
        ),
        2 => (one_of(&SERVICES), one_of(&BY_LOCALITY)).prop_map(|(service, by_locality)| {
            put(entries::resolved(ServiceResolver {
                by_locality,
                ..entries::plain_resolver(service)
            }))
        }),
        3 => (
            one_of(&SERVICES),
            proptest::collection::vec(named(), 0..3),
            any::<bool>(),
            one_of(&BY_LOCALITY),
        ).prop_map(
            |(service, filters, default, by_locality)| {
                let subsets = entries::subsets(&filters);
                let default_subset = subsets.keys().next().filter(|_| default).cloned();
                put(entries::resolved(ServiceResolver {
                    subsets,
                    default_subset,
                    load_balancer: Some(LoadBalancer {
                        balance: Some(Balance::Maglev),
                        hash: Vec::new(),
                    }),
                    by_locality,
                    ..entries::plain_resolver(service)
                }))
            }
        ),
        4 => (one_of(&[false, false, true]), one_of(MEMBERS))
            .prop_map(|(default, peers)| put(entries::group(default, peers))),
        2 => (one_of(&SERVICES), kind).prop_map(|(service, kind)| {
            let partition = peerway_model::Partition::default();
            Op::Delete(RowKey::Config(ConfigKey::new(kind, &partition, "default", service)))
        }),
    ]
}

/// What is let in from outside; a world refuses what does not speak what the listener does.
fn edge_row() -> impl Strategy<Value = Op> {
    let service = || {
        let names = one_of(&["api", "db", "web", "*", "api@east", "db@west", "web@east"]);
        let hosts: &[&[&str]] = &[
            &[],
            &["a.example.com"],
            &["a.example.com", "*.example.com"],
            &["*"],
        ];
        (names, proptest::sample::select(hosts.to_vec())).prop_map(|(name, hosts)| {
            let hosts = if name == "*" { &[] } else { hosts };
            entries::let_in(name, hosts)
        })
    };
    let http = (one_of(&[8_080_u16, 8_081]), one_of(&Protocol::ALL), any::<bool>());
    let http = (http, proptest::collection::vec(service(), 1..4))
        .prop_map(|((port, spoken, tls), services)| entries::port(port, spoken, tls, services));
    let tcp = one_of(&["api", "db", "web", "api@east", "db@west"])
        .prop_map(|name| entries::port(8_082, Protocol::Tcp, false, vec![entries::let_in(name, &[])]));
    let listener = prop_oneof![3 => http, 1 => tcp];
    let partition = peerway_model::Partition::default();
    let gone = ConfigKey::new(ConfigKind::IngressGateway, &partition, "default", "edge");
    prop_oneof![
        5 => proptest::collection::vec(listener, 0..3).prop_map(|listeners| put(entries::ingress(listeners))),
        1 => Just(Op::Delete(RowKey::Config(gone))),
    ]
}

/// Providers of tokens and intentions that ask for some. A world refuses a provider's end while it is named, and two of
/// one issuer on one destination.
fn token_row() -> impl Strategy<Value = Op> {
    let names = || one_of(&["idp", "other"]);
    let issuer = one_of(&["https://one", "https://two"]);
    let uri = one_of(&[
        None,
        Some("https://idp.example.com/keys"),
        Some("http://192.0.2.7:8080/keys"),
    ]);
    let asked = (
        one_of(&["api", "web", "*"]),
        names(),
        one_of(&["web", "*"]),
        any::<bool>(),
    );
    prop_oneof![
        3 => (names(), issuer, uri).prop_map(|(name, issuer, uri)| put(provider(name, issuer, uri))),
        1 => names().prop_map(|name| {
            let partition = peerway_model::Partition::default();
            let name = peerway_model::ProviderName::new(name).unwrap();
            Op::Delete(RowKey::Config(ConfigKey::of_provider(&partition, &name)))
        }),
        4 => asked.prop_map(|(destination, name, source, whole)| {
            let permitted = |verdict| match verdict {
                Verdict::ByRequest(mut permissions) if !whole => {
                    permissions[0].jwt = Some(token_of(name));
                    Verdict::ByRequest(permissions)
                }
                other => other,
            };
            let verdict = match destination {
                "*" => Verdict::Always(Action::Allow),
                _ => permitted(below("/", Action::Allow)),
            };
            let row = verdicts(destination, &[(source, None, verdict)]);
            put(if whole { asking(name, row) } else { row })
        }),
    ]
}

/// API gateways, and what attaches itself to them.
fn api_row() -> impl Strategy<Value = Op> {
    let hosts: &[&[&str]] = &[
        &[],
        &["a.example.com"],
        &["a.example.com", "*.example.com"],
        &["b.com"],
    ];
    let host = one_of(&[None, Some("a.example.com"), Some("*.example.com")]);
    let certificates: &[&[&str]] = &[&[], &["c1"], &["c1", "c2"]];
    let listener = (host, proptest::sample::select(certificates.to_vec()));
    let leads = || one_of(&["api", "db", "web", "api@east", "db@west"]);
    let section = one_of(&[None, Some("l8090"), Some("nobody")]);
    let rule = (one_of(&["/", "/a", "/a/b"]), leads(), leads(), 0_u32..3);
    let kind = one_of(&[
        (ConfigKind::ApiGateway, "front"),
        (ConfigKind::HttpRoute, "r1"),
        (ConfigKind::HttpRoute, "r2"),
        (ConfigKind::TcpRoute, "t1"),
        (ConfigKind::InlineCertificate, "c1"),
    ]);
    prop_oneof![
        2 => listener.prop_map(|(host, certificates)| put(entries::api(&[
            (8_090, Protocol::Http, host, certificates),
            (8_091, Protocol::Tcp, None, &[]),
        ]))),
        4 => (one_of(&["r1", "r2"]), section, proptest::sample::select(hosts.to_vec()), rule).prop_map(
            |(name, section, hosts, (path, one, other, weight))| {
                let services = [(1, one), (weight, other)];
                let services = if one == other { &services[..1] } else { &services[..] };
                put(entries::http_route(name, section, hosts, &[(path, services)]))
            }
        ),
        1 => (one_of(&["t1", "t2"]), leads()).prop_map(|(name, to)| put(entries::tcp_route(name, to))),
        2 => (one_of(&["c1", "c2"]), one_of(&["A", "B"])).prop_map(|(name, text)| put(entries::certificate(name, text))),
        1 => kind.prop_map(|(kind, name)| {
            let partition = peerway_model::Partition::default();
            Op::Delete(RowKey::Config(ConfigKey::new(kind, &partition, "default", name)))
        }),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => chain_row(),
        3 => edge_row(),
        4 => api_row(),
        6 => local_row(),
        3 => check_row(),
        4 => outside_row(),
        2 => token_row(),
        6 => peer_row(),
        4 => config_row(),
        1 => Just(Op::Delete(RowKey::Roots)),
        1 => one_of(&["A", "B"]).prop_map(|pem| put(roots(pem))),
    ]
}

/// Terminating gateways, what they stand for, and instances of it under all kinds of addresses.
fn outside_row() -> impl Strategy<Value = Op> {
    let link = (one_of(&["api", "db", "web", "*"]), one_of(&outside::OUTWARD));
    let links = proptest::collection::btree_map(
        one_of(&["api", "db", "web", "*"]),
        one_of(&outside::OUTWARD),
        0..3,
    );
    let address = one_of(&["10.0.0.7", "10.0.0.8", "api.example", "not an address"]);
    prop_oneof![
        3 => (one_of(&NODES), 1_u16..3, any::<bool>())
            .prop_map(|(node, port, first)| put(row(outside::gateway(node, 9_440 + port, first)))),
        4 => links.prop_map(|links| put(outside::entry(&links.into_iter().collect::<Vec<_>>()))),
        2 => link.prop_map(|link| put(outside::entry(&[link]))),
        1 => Just(Op::Delete(RowKey::Config(outside::entry_key()))),
        3 => (one_of(&NODES), one_of(&SERVICES), address)
            .prop_map(|(node, service, address)| put(row(outside::instance(node, service, address)))),
        1 => (one_of(&NODES), one_of(&SERVICES))
            .prop_map(|(node, service)| Op::Delete(RowKey::Instance(instance_key(node, service)))),
    ]
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    proptest::collection::vec(op(), 1..4)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        16 => ops().prop_map(Step::Commit),
        2 => proptest::collection::vec(ops(), 2..4).prop_map(Step::Batch),
        1 => ops().prop_map(Step::Reload),
        2 => (0..proxies().len()).prop_map(Step::Toggle),
        2 => proptest::collection::btree_set(one_of(&PEERS).prop_map(peering_key), 0..3).prop_map(Step::Judge),
    ]
}

/// Everything needed for most of the views to be there, so that histories start in the middle.
fn furnish(world: &mut World) {
    world.put([
        node_at("eu-1/a", "n1", "10.0.0.1"),
        node_at("eu-1/b", "n2", "10.0.0.2"),
        row(gateway("n1", 8443)),
        server("n1", Some(8503)),
        through_gateways(true),
        row(sidecar(
            "n1",
            "web",
            20_000,
            vec![upstream_of("api", None, 1), upstream_of("db", Some("east"), 2)],
        )),
        row(sidecar("n2", "api", 20_000, vec![])),
        row(edge("n1")),
        row(front("n1")),
        entries::api(&[
            (8_090, Protocol::Http, None, &[]),
            (8_091, Protocol::Tcp, None, &[]),
        ]),
        entries::http_route("r1", None, &[], &[("/", &[(1, "db@east")])]),
        entries::tcp_route("t1", "web"),
        peering("east", PeeringState::Active),
        bundle("east", "east.consul", &["P1"]),
        node(Some("east"), "g", "192.0.2.1"),
        row(import(
            "east",
            "g",
            "db",
            ("198.51.100.1", 8443),
            meta("db", "us", "east.consul"),
        )),
        entries::group(false, &["east"]),
        exports(&[("api", &["east", "west"]), ("web", &[GROUP])]),
        entries::ingress(vec![
            entries::port(
                8_080,
                Protocol::Http,
                true,
                vec![entries::let_in("db@east", &["db.example.com"])],
            ),
            entries::port(8_081, Protocol::Tcp, false, vec![entries::let_in("web", &[])]),
        ]),
        intentions("api", &[("*", Some("east"), Action::Allow)]),
    ]);
    world.put([
        row(outside::instance("n1", "db", "10.0.0.7")),
        row(outside::gateway("n1", 9_443, false)),
        outside::entry(&[("db", "")]),
    ]);
}

/// One transaction for each op, so that a refused one (an instance without its node, say) does not undo the others.
fn commit(world: &mut World, ops: &[Op], changes: &mut ChangeSet) {
    let together = ops.iter().cloned().fold(Transaction::new(), Transaction::op);
    match world.apply(&together) {
        Ok(touched) => changes.merge(&touched),
        Err(_) => {
            for op in ops {
                if let Ok(touched) = world.apply(&Transaction::new().op(op.clone())) {
                    changes.merge(&touched);
                }
            }
        }
    }
}

type Views = BTreeMap<InstanceKey, Option<Arc<View>>>;

fn well_formed(view: &View) {
    let places: Vec<_> = view
        .fragments
        .iter()
        .map(|held| (held.kind(), held.name()))
        .collect();
    assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "{places:?}");
    assert!(
        view.leaves.windows(2).all(|pair| pair[0].0 < pair[1].0),
        "{:?}",
        view.leaves
    );
    let mut addresses = BTreeSet::new();
    for fragment in &view.fragments {
        match &**fragment {
            Fragment::Cluster(cluster) => {
                assert!(cluster.tls.is_none() || cluster.outside_tls.is_none());
                if let Some(tls) = &cluster.tls {
                    assert!(!tls.identities.is_empty() && !tls.sni.is_empty());
                    assert!(places.contains(&(crate::FragmentKind::Validation, &tls.validation)));
                }
                let listed = places.contains(&(crate::FragmentKind::Endpoints, &cluster.name));
                assert_eq!(
                    listed,
                    cluster.discovery == crate::Discovery::Eds,
                    "{}",
                    cluster.name
                );
            }
            Fragment::Endpoints(endpoints) => {
                assert!(
                    places.contains(&(crate::FragmentKind::Cluster, &endpoints.cluster)),
                    "{}",
                    endpoints.cluster
                );
                let ranks: BTreeSet<u32> = endpoints.members.iter().map(|member| member.rank).collect();
                assert!(ranks.iter().zip(0..).all(|(rank, nth)| *rank == nth), "{ranks:?}");
                let mut seen = BTreeSet::new();
                for member in &endpoints.members {
                    assert!(member.address.address.parse::<std::net::IpAddr>().is_ok());
                    assert!(seen.insert(&member.address) && (1..=128).contains(&member.weight));
                }
            }
            Fragment::Listener(listener) => {
                assert!(addresses.insert(&listener.address) && !listener.chains.is_empty());
                let names: Vec<_> = listener
                    .chains
                    .iter()
                    .flat_map(|chain| &chain.server_names)
                    .collect();
                assert_eq!(
                    names.iter().collect::<BTreeSet<_>>().len(),
                    names.len(),
                    "{names:?}"
                );
                let dialled: Vec<_> = listener
                    .chains
                    .iter()
                    .flat_map(|chain| &chain.destinations)
                    .collect();
                let distinct: BTreeSet<_> = dialled.iter().collect();
                assert_eq!(distinct.len(), dialled.len(), "{dialled:?}");
                for chain in &listener.chains {
                    let validations = places
                        .iter()
                        .filter(|(kind, _)| *kind == crate::FragmentKind::Validation);
                    if let Some(tls) = &chain.tls {
                        let mut names = validations.map(|(_, name)| *name);
                        assert!(names.any(|name| name == tls.validation), "{}", tls.validation);
                        let shown = view.leaves.iter().any(|(name, _)| *name == tls.leaf);
                        assert!(shown || tls.leaf == crate::LEAF_SECRET, "{}", tls.leaf);
                    }
                    for name in chain.serving.iter().flat_map(|serving| &serving.certificates) {
                        let certificate = (crate::FragmentKind::Certificate, name.as_str());
                        assert!(
                            name == crate::LEAF_SECRET || places.contains(&certificate),
                            "{name}"
                        );
                    }
                    let policies: Vec<&String> = match &chain.traffic {
                        Traffic::Tcp(tcp) => tcp.policy.iter().collect(),
                        Traffic::Http(http) => {
                            let named = http.policy.iter();
                            named
                                .flat_map(|policy| {
                                    [&policy.lines, &policy.requests]
                                        .into_iter()
                                        .chain(&policy.tokens)
                                })
                                .collect()
                        }
                    };
                    for name in policies {
                        assert!(places.contains(&(crate::FragmentKind::Policy, name)), "{name}");
                    }
                    if let Some(name) = chain.tls.as_ref().and_then(|tls| tls.admitting.as_ref()) {
                        assert!(
                            places.contains(&(crate::FragmentKind::Validation, name)),
                            "{name}"
                        );
                    }
                    if let Traffic::Http(http) = &chain.traffic {
                        assert!(http.protocol.is_http());
                        match &http.routes {
                            Routes::Named(name) => {
                                assert!(places.contains(&(crate::FragmentKind::Routes, name)), "{name}");
                            }
                            Routes::Inline(table) => leads_to_the_application(listener, table, &places),
                        }
                    }
                }
            }
            Fragment::Routes(table) => {
                let mut domains: Vec<&String> = table.hosts.iter().flat_map(|host| &host.domains).collect();
                let named: BTreeSet<&String> = table.hosts.iter().map(|host| &host.name).collect();
                assert_eq!(named.len(), table.hosts.len(), "{table:?}");
                let count = domains.len();
                domains.sort();
                domains.dedup();
                assert_eq!(domains.len(), count, "{table:?}");
                for route in table.hosts.iter().flat_map(|host| &host.routes) {
                    let sum: u32 = route.legs.iter().map(|leg| leg.weight).sum();
                    assert!(route.legs.is_empty() || sum == crate::WHOLE, "{route:?}");
                    for leg in &route.legs {
                        assert!(
                            places.contains(&(crate::FragmentKind::Cluster, &leg.cluster)),
                            "{leg:?}"
                        );
                    }
                }
            }
            Fragment::Validation(validation) => {
                assert!(validation.domains.windows(2).all(|pair| pair[0].0 < pair[1].0));
                assert!(validation.domains.iter().all(|(_, pems)| !pems.is_empty()));
            }
            Fragment::Policy(policy) => tokens_can_be_verified(policy, &places),
            Fragment::Certificate(_) => {}
        }
    }
}

/// What is exposed leads to a cluster that is there, and only by one path.
fn leads_to_the_application(listener: &Listener, table: &RouteTable, places: &[(crate::FragmentKind, &str)]) {
    if !listener.name.starts_with("exposed_path_") {
        return;
    }
    for route in table.hosts.iter().flat_map(|host| &host.routes) {
        assert!(matches!(route.request.path, PathTest::Exact(_)), "{route:?}");
        assert_eq!(route.legs.len(), 1, "{route:?}");
        let cluster = &route.legs[0].cluster;
        assert!(cluster.starts_with("exposed_cluster_"), "{cluster}");
        assert!(
            places.contains(&(crate::FragmentKind::Cluster, cluster)),
            "{cluster}"
        );
    }
}

/// The servers that have the keys are there, and no two providers have one issuer.
fn tokens_can_be_verified(policy: &Policy, places: &[(crate::FragmentKind, &str)]) {
    let Lets::Tokens(providers) = &policy.lets else {
        return;
    };
    let issuers: BTreeSet<&String> = providers.iter().map(|own| &own.issuer).collect();
    assert_eq!(issuers.len(), providers.len());
    for provider in providers {
        let server = format!("{}{}", crate::KEY_SERVER_PREFIX, provider.name);
        let there = places.contains(&(crate::FragmentKind::Cluster, &server));
        assert_eq!(there, matches!(provider.keys, KeySource::Remote(_)), "{server}");
    }
}

/// Fragments that stay equal stay the same allocation.
fn shares(before: &Held, after: &Held) {
    for (key, fragment) in after {
        if let Some(before) = before.get(key)
            && before == fragment
        {
            assert!(Arc::ptr_eq(before, fragment), "{key:?}");
        }
    }
}

type Held = BTreeMap<FragmentKey, Arc<Fragment>>;

fn run(steps: &[Step]) {
    let mut world = World::new();
    furnish(&mut world);
    let mut mesh = Mesh::new(world.shared());
    let mut stale = BTreeSet::new();
    let mut standings = Standings::of(&world.snapshot);
    let mut views: Views = BTreeMap::new();
    for key in proxies() {
        let view = mesh.watch(&key);
        views.insert(key, view);
    }
    for step in steps {
        let held: Held = mesh.held().collect();
        let mut changes = ChangeSet::default();
        let changed = match step {
            Step::Commit(ops) => {
                commit(&mut world, ops, &mut changes);
                mesh.update(world.shared(), &changes)
            }
            Step::Batch(batches) => {
                for ops in batches {
                    commit(&mut world, ops, &mut changes);
                }
                mesh.update(world.shared(), &changes)
            }
            Step::Reload(ops) => {
                commit(&mut world, ops, &mut changes);
                mesh.reload(world.shared())
            }
            Step::Toggle(at) => {
                let key = proxies()[*at].clone();
                if views.remove(&key).is_some() {
                    mesh.unwatch(&key);
                } else {
                    let view = mesh.watch(&key);
                    views.insert(key, view);
                }
                Vec::new()
            }
            Step::Judge(peers) => {
                stale.clone_from(peers);
                mesh.judge(peers.clone())
            }
        };
        let standing = Standings::of(&world.snapshot);
        standing.woken(&standings, &changes);
        standings = standing;
        let mut fresh = Mesh::new(world.shared());
        fresh.judge(stale.clone());
        let mut differing: Vec<(InstanceKey, Option<Arc<View>>)> = Vec::new();
        for (key, before) in &views {
            let (kept, built) = (mesh.view(key), fresh.watch(key));
            let text = |view: &Option<Arc<View>>| view.as_ref().map(|view| render::view(view));
            assert_eq!(text(&kept), text(&built), "{key:?} after {step:?}");
            assert_eq!(kept, built, "{key:?} after {step:?}");
            if kept != *before {
                differing.push((key.clone(), kept.clone()));
            } else if let (Some(kept), Some(before)) = (&kept, before) {
                assert!(Arc::ptr_eq(kept, before), "{key:?} after {step:?}");
            }
            if let Some(kept) = &kept {
                well_formed(kept);
                if key.id.as_str() == "front" {
                    standings.agree_with(kept);
                }
            }
        }
        assert_eq!(changed, differing, "after {step:?}");
        shares(&held, &mesh.held().collect());
        for (key, view) in changed {
            views.insert(key, view);
        }
        let (kept, built) = (mesh.stats(), fresh.stats());
        assert_eq!(
            (kept.proxies, kept.fragments, kept.findings),
            (built.proxies, built.fragments, built.findings),
            "something is kept that nobody needs, after {step:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn upkeep_equals_building_from_nothing(steps in proptest::collection::vec(step(), 1..40)) {
        run(&steps);
    }
}

#[test]
fn unrelated_proxies_are_not_told() {
    let mut world = World::new();
    furnish(&mut world);
    let mut mesh = Mesh::new(world.shared());
    for key in proxies() {
        mesh.watch(&key);
    }
    let changes = world.put([check(
        node_key(None, "n2"),
        Some("api-sidecar-proxy"),
        CheckStatus::Critical,
    )]);
    let told: Vec<InstanceKey> = mesh
        .update(world.shared(), &changes)
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    assert_eq!(
        told,
        [
            instance_key("n1", "gateway"),
            instance_key("n1", "web-sidecar-proxy")
        ]
    );
    assert_eq!(mesh.reload(world.shared()), []);
}
