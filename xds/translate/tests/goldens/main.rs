//! Each fragment kind as text, compared with the files in `tests/golden`. Run with `UPDATE_GOLDEN=1` to write them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on should fail"
)]

mod chains;
mod render;

use peerway_mesh::{
    AccessLog, Authorization, Caller, CallerHeader, CallerPattern, Chain, Cluster, Condition, Direction,
    Discovery, DownstreamTls, Endpoint, Endpoints, Fitting, Fragment, GatewayPattern, Grant, Health, Http,
    Intake, KnownBy, LEAF_SECRET, Lets, Listener, Policy, RequestAuthorization, RequestCaller, RequestPolicy,
    Requests, RouteTable, Routes, ServingTls, Tcp, Telemetry, Terms, Tracing, Traffic, UpstreamTls,
    Validation, VirtualHost,
};
use peerway_model::config::{
    HeaderCheck, HeaderCondition, HeaderEdits, HeaderName, LogFormat, LogSink, Method, PathCondition,
    Pattern, Protocol, RequestCondition, TlsBounds, ValuePart,
};
use peerway_model::name::{Namespace, Partition, ServiceName};
use peerway_model::regular::Regular;
use peerway_model::{Leaf, Locality, Secret, ServiceAddress, SpiffeId, TrustDomain};
use peerway_xds_translate::{Dialect, Resource, leaf_secret, translate, translate_since};
use std::path::PathBuf;

fn check(name: &str, resource: &Resource) {
    let text = render::any(&resource.bytes);
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        text, golden,
        "differs from {name}.txt; if that is meant, run with UPDATE_GOLDEN=1"
    );
}

fn golden(name: &str, fragment: Fragment) {
    golden_for(name, fragment, Dialect::From1_37);
}

fn golden_for(name: &str, fragment: Fragment, dialect: Dialect) {
    let resource = translate(&fragment, dialect);
    assert_eq!(resource.name, fragment.name());
    check(name, &resource);
}

fn at(address: &str, port: u16) -> ServiceAddress {
    ServiceAddress {
        address: address.to_owned(),
        port,
    }
}

fn domain(text: &str) -> TrustDomain {
    TrustDomain::new(text).unwrap()
}

fn cluster(name: &str, discovery: Discovery) -> Cluster {
    Cluster {
        name: name.to_owned(),
        connect_timeout_ms: 5_500,
        protocol: Protocol::Tcp,
        discovery,
        tls: None,
        max_ejection_percent: None,
        outside_tls: None,
        keepalive: false,
        balance: None,
        terms: Terms::default(),
    }
}

fn callers(domain: &TrustDomain, service: Option<&str>, except: Option<&str>) -> Caller {
    let pattern = |service: Option<&str>| CallerPattern {
        trust_domain: domain.clone(),
        partition: Pattern::Exact(Partition::default()),
        namespace: Pattern::Exact(Namespace::default()),
        service: service.map_or(Pattern::Any, |name| {
            Pattern::Exact(ServiceName::new(name).unwrap())
        }),
    };
    Caller {
        include: pattern(service),
        except: except.map(|name| pattern(Some(name))).into_iter().collect(),
    }
}

fn policy(name: &str, lets: Lets) -> Fragment {
    Fragment::Policy(Policy {
        name: name.to_owned(),
        lets,
    })
}

fn connections(authorization: Authorization) -> Fragment {
    policy("connections:web", Lets::Connections(authorization))
}

fn public(server_first: bool) -> Fragment {
    Fragment::Listener(Listener {
        name: "public_listener:0.0.0.0:20000".to_owned(),
        address: at("0.0.0.0", 20000),
        direction: Direction::Inbound,
        redirected: false,
        telemetry: Telemetry::default(),
        intake: Intake::default(),
        chains: vec![Chain {
            server_names: Vec::new(),
            destinations: Vec::new(),
            tls: Some(DownstreamTls {
                validation: "roots:web".to_owned(),
                admitting: Some("admitted:web".to_owned()),
                leaf: LEAF_SECRET.to_owned(),
                bounds: TlsBounds::default(),
            }),
            serving: None,
            stat_prefix: "public_listener".to_owned(),
            traffic: Traffic::Tcp(Tcp {
                policy: Some("connections:web".to_owned()),
                cluster: "local_app".to_owned(),
                server_first,
            }),
        }],
    })
}

#[test]
fn validation() {
    let roots = |text: &str| vec![format!("{text} 1\n"), format!("{text} 2\n")];
    golden(
        "validation",
        Fragment::Validation(Validation {
            name: "roots:web".to_owned(),
            domains: vec![(domain("a.consul"), roots("a")), (domain("b.consul"), roots("b"))],
            admitted: None,
        }),
    );
}

#[test]
fn clusters() {
    golden(
        "cluster_static",
        Fragment::Cluster(cluster("local_app", Discovery::Static(at("127.0.0.1", 8080)))),
    );
    let mut peered = cluster("db.default.west.external.b.consul", Discovery::Eds);
    peered.tls = Some(UpstreamTls {
        sni: "db.default.default.east.external.b.consul".to_owned(),
        identities: vec![
            "spiffe://b.consul/ns/default/dc/dc2/svc/db".to_owned(),
            "spiffe://b.consul/gateway/mesh/dc/dc2".to_owned(),
        ],
        validation: "roots~west".to_owned(),
        bounds: TlsBounds::default(),
    });
    peered.max_ejection_percent = Some(100);
    peered.keepalive = true;
    golden("cluster_peered", Fragment::Cluster(peered));
    let mut exported = cluster("exported~db.default.dc1.internal.a.consul", Discovery::Eds);
    exported.protocol = Protocol::Grpc;
    exported.tls = Some(UpstreamTls {
        sni: "db.default.dc1.internal.a.consul".to_owned(),
        identities: vec!["spiffe://a.consul/ns/default/dc/dc1/svc/db".to_owned()],
        validation: "roots~local".to_owned(),
        bounds: TlsBounds::default(),
    });
    golden("cluster_http2", Fragment::Cluster(exported.clone()));
    exported.protocol = Protocol::Http;
    golden("cluster_http", Fragment::Cluster(exported));
    golden(
        "cluster_dns",
        Fragment::Cluster(cluster(
            "gateway",
            Discovery::Dns(vec![
                Endpoint {
                    health: Health::Up,
                    weight: 2,
                    ..Endpoint::up(at("gw1.example.com", 443))
                },
                Endpoint {
                    health: Health::Down,
                    weight: 1,
                    ..Endpoint::up(at("gw2.example.com", 444))
                },
            ]),
        )),
    );
}

#[test]
fn endpoints() {
    let members = vec![
        Endpoint {
            health: Health::Up,
            weight: 1,
            ..Endpoint::up(at("10.0.0.1", 80))
        },
        Endpoint {
            health: Health::Down,
            weight: 128,
            ..Endpoint::up(at("fd00::1", 81))
        },
    ];
    golden(
        "endpoints",
        Fragment::Endpoints(Endpoints {
            cluster: "db".to_owned(),
            members,
        }),
    );
    let at_place = |address, port, rank, region, zone| Endpoint {
        locality: Locality::of(region, zone).unwrap(),
        rank,
        ..Endpoint::up(at(address, port))
    };
    golden(
        "endpoints_by_rank",
        Fragment::Endpoints(Endpoints {
            cluster: "db".to_owned(),
            members: vec![
                at_place("10.0.0.1", 80, 0, "eu-1", "b"),
                at_place("10.0.0.2", 80, 1, "eu-2", "a"),
                at_place("10.0.0.3", 80, 0, "eu-1", ""),
                at_place("10.0.0.4", 80, 1, "", ""),
                at_place("10.0.0.5", 80, 0, "eu-1", "b"),
            ],
        }),
    );
    golden(
        "endpoints_empty",
        Fragment::Endpoints(Endpoints {
            cluster: "db".to_owned(),
            members: Vec::new(),
        }),
    );
}

#[test]
fn listeners() {
    let (ours, theirs) = (domain("a.c"), domain("b.c"));
    golden(
        "policy_allow_nobody",
        connections(Authorization { callers: Vec::new() }),
    );
    golden(
        "policy_allow",
        connections(Authorization {
            callers: vec![
                callers(&ours, Some("api"), None),
                callers(&ours, None, Some("bad.one".replace('.', "-").as_str())),
                callers(&theirs, Some("web"), None),
            ],
        }),
    );
    golden(
        "policy_allow_by_default",
        connections(Authorization {
            callers: vec![Caller {
                include: CallerPattern {
                    trust_domain: ours.clone(),
                    partition: Pattern::Any,
                    namespace: Pattern::Any,
                    service: Pattern::Any,
                },
                except: callers(&ours, None, Some("bad")).except,
            }],
        }),
    );
    golden(
        "policy_allow_many",
        connections(Authorization {
            callers: ["a", "b", "c"]
                .map(|name| callers(&ours, Some(name), None))
                .to_vec(),
        }),
    );
    golden("listener_public", public(false));
    // Where policy cannot wait for the client's first bytes, the handshake has to refuse whom it can.
    golden("listener_server_first", public(true));
    golden_for("listener_1_36", public(false), Dialect::From1_36);
    let admitting = |name: &str, callers| {
        let held = Validation {
            name: "admitted:web".to_owned(),
            domains: vec![(theirs.clone(), vec!["b\n".to_owned()])],
            admitted: Some(Authorization { callers }),
        };
        golden(name, Fragment::Validation(held));
    };
    admitting("validation_admitting_nobody", Vec::new());
    admitting(
        "validation_admitting",
        vec![
            callers(&theirs, Some("web"), None),
            callers(&theirs, None, Some("bad")),
        ],
    );
    // A change of policy that takes something away.
    let since = translate_since(&public(false), Dialect::From1_37, &[57]);
    check("listener_public_since", &since);
    assert_eq!(
        since.version,
        translate(&public(false), Dialect::From1_37).version
    );
    let passthrough = |names: &[&str], cluster: &str| Chain {
        server_names: names.iter().map(|name| (*name).to_owned()).collect(),
        destinations: Vec::new(),
        tls: None,
        serving: None,
        stat_prefix: format!("mesh_gateway_local_peered.{cluster}"),
        traffic: Traffic::Tcp(Tcp {
            policy: None,
            cluster: cluster.to_owned(),
            server_first: false,
        }),
    };
    golden(
        "listener_gateway",
        Fragment::Listener(Listener {
            name: "default:10.0.0.9:8443".to_owned(),
            address: at("10.0.0.9", 8443),
            direction: Direction::Unspecified,
            redirected: false,
            telemetry: Telemetry::default(),
            intake: Intake::default(),
            chains: vec![
                passthrough(&["db.one", "db.two"], "exported~db"),
                passthrough(&["web.one"], "exported~web"),
            ],
        }),
    );
    golden(
        "listener_outbound",
        Fragment::Listener(Listener {
            name: "db?peer=west:127.0.0.1:9191".to_owned(),
            address: at("127.0.0.1", 9191),
            direction: Direction::Outbound,
            redirected: false,
            telemetry: Telemetry::default(),
            intake: Intake::default(),
            chains: vec![passthrough(&[], "db.default.west.external.b.consul")],
        }),
    );
}

/// The same listener, which writes to `sink`.
fn writing(fragment: Fragment, unmatched: bool, sink: LogSink, format: LogFormat) -> Fragment {
    let Fragment::Listener(listener) = fragment else {
        panic!("only listeners write")
    };
    let access_log = Some(AccessLog {
        unmatched,
        sink,
        format,
    });
    Fragment::Listener(Listener {
        telemetry: Telemetry {
            access_log,
            tracing: None,
        },
        ..listener
    })
}

#[test]
fn traces() {
    let outbound = http(
        Protocol::Http,
        CallerHeader::Remove,
        Routes::Named("r".to_owned()),
    );
    let Fragment::Listener(listener) = requests(Direction::Outbound, &[], None, outbound) else {
        panic!("a listener")
    };
    golden(
        "listener_traces",
        Fragment::Listener(Listener {
            telemetry: Telemetry {
                tracing: Some(Tracing {
                    service: "web".to_owned(),
                    sampling: 25,
                }),
                ..Telemetry::default()
            },
            ..listener
        }),
    );
}

#[test]
fn access_logs() {
    let bytes = || public(false);
    let routes = || Routes::Named("r".to_owned());
    let outbound = http(Protocol::Http, CallerHeader::Remove, routes());
    let outbound = requests(Direction::Outbound, &[], None, outbound);
    let text = LogFormat::Text("%PROTOCOL% %RESPONSE_CODE%".to_owned());
    golden(
        "listener_logs_to_a_file",
        writing(
            bytes(),
            true,
            LogSink::File("/var/log/envoy.log".to_owned()),
            text,
        ),
    );
    // One member each: what has several is in another order in every process.
    let json = LogFormat::Json("{ \"a\": { \"b\": [\"%PROTOCOL%\", 1, true, null] } }".to_owned());
    golden(
        "listener_logs_json",
        writing(outbound.clone(), false, LogSink::Stderr, json),
    );
    let usual = translate(
        &writing(outbound, false, LogSink::Stdout, LogFormat::Usual),
        Dialect::From1_37,
    );
    let manager = render::manager(&usual.bytes);
    assert_eq!(manager.access_log.len(), 1);
    let text = format!("{:?}", manager.access_log[0]);
    assert!(text.contains("envoy.access_loggers.stdout"), "{text}");
}

fn table(name: &str, cluster: &str, timeout_ms: Option<u64>) -> RouteTable {
    RouteTable::to_one(
        name.to_owned(),
        format!("{name}.default"),
        cluster.to_owned(),
        timeout_ms,
    )
}

fn http(protocol: Protocol, caller_header: CallerHeader, routes: Routes) -> Http {
    Http {
        protocol,
        caller_header,
        policy: None,
        routes,
    }
}

/// A listener with one chain for requests.
fn requests(direction: Direction, server_names: &[&str], validation: Option<&str>, http: Http) -> Fragment {
    Fragment::Listener(Listener {
        name: "listener:10.0.0.9:8443".to_owned(),
        address: at("10.0.0.9", 8443),
        direction,
        redirected: false,
        telemetry: Telemetry::default(),
        intake: Intake::default(),
        chains: vec![Chain {
            server_names: server_names.iter().map(|name| (*name).to_owned()).collect(),
            destinations: Vec::new(),
            tls: validation.map(|validation| DownstreamTls {
                validation: validation.to_owned(),
                admitting: None,
                leaf: LEAF_SECRET.to_owned(),
                bounds: TlsBounds::default(),
            }),
            serving: None,
            stat_prefix: "stats".to_owned(),
            traffic: Traffic::Http(http),
        }],
    })
}

#[test]
fn redirected_calls() {
    let passed = |cluster: &str| {
        Traffic::Tcp(Tcp {
            policy: None,
            cluster: cluster.to_owned(),
            server_first: false,
        })
    };
    let chain = |destinations: &[&str], cluster: &str| Chain {
        server_names: Vec::new(),
        destinations: destinations.iter().map(|text| text.parse().unwrap()).collect(),
        tls: None,
        serving: None,
        stat_prefix: cluster.to_owned(),
        traffic: passed(cluster),
    };
    let listener = Listener {
        name: "outbound_listener:127.0.0.1:15001".to_owned(),
        address: at("127.0.0.1", 15001),
        direction: Direction::Outbound,
        redirected: true,
        telemetry: Telemetry::default(),
        intake: Intake::default(),
        chains: vec![
            chain(&["240.0.0.7"], "api"),
            chain(&["10.0.0.2", "fd00::2"], "passthrough~api"),
            chain(&[], "original-destination"),
        ],
    };
    golden("listener_redirected", Fragment::Listener(listener));
    golden(
        "cluster_original_destination",
        Fragment::Cluster(cluster("original-destination", Discovery::OriginalDestination)),
    );
}

fn request_authorization(callers: Vec<(Caller, KnownBy)>) -> RequestAuthorization {
    RequestAuthorization {
        gateways: GatewayPattern {
            trust_domain: domain("a.c"),
            partition: Partition::default(),
        },
        grants: vec![Grant {
            requests: Requests::All,
            callers: callers
                .into_iter()
                .map(|(caller, known_by)| RequestCaller { caller, known_by })
                .collect(),
        }],
    }
}

/// One grant with every kind of condition, on both sides.
fn request_grants() -> RequestAuthorization {
    let value = |part, text: &str, ignore_case| HeaderCheck::Value {
        part,
        text: text.to_owned(),
        ignore_case,
    };
    let regular = |text: &str| Regular::new(text).unwrap();
    let tests = [
        HeaderCheck::Present,
        value(ValuePart::Whole, "whole", false),
        value(ValuePart::Start, "start", true),
        value(ValuePart::End, "end", false),
        value(ValuePart::Anywhere, "anywhere", true),
        HeaderCheck::Regex(regular("a|b")),
    ];
    let headers: Vec<HeaderCondition> = [false, true]
        .into_iter()
        .flat_map(|invert| {
            tests.iter().map(move |test| HeaderCondition {
                name: HeaderName::new("x-a").unwrap(),
                test: test.clone(),
                invert,
            })
        })
        .collect();
    let condition = |path, headers: &[HeaderCondition], methods: &[Method]| Condition {
        http: RequestCondition {
            path: Some(path),
            headers: headers.to_vec(),
            methods: methods.iter().copied().collect(),
        },
        tokens: Vec::new(),
    };
    let fitting = vec![
        Fitting {
            fits: condition(
                PathCondition::Exact("/exact".to_owned()),
                &headers,
                &[Method::Get, Method::Put],
            ),
            except: Vec::new(),
        },
        Fitting {
            fits: condition(PathCondition::Prefix("/prefix".to_owned()), &[], &[]),
            except: vec![condition(
                PathCondition::Regex(regular("/.*\\.png")),
                &headers,
                &[Method::Delete],
            )],
        },
    ];
    let (ours, theirs) = (domain("a.c"), domain("b.c"));
    let caller = |caller, known_by| RequestCaller { caller, known_by };
    RequestAuthorization {
        grants: vec![
            Grant {
                requests: Requests::All,
                callers: vec![caller(callers(&ours, Some("boss"), None), KnownBy::Certificate)],
            },
            Grant {
                requests: Requests::Fitting(fitting),
                callers: vec![
                    caller(callers(&ours, Some("web"), None), KnownBy::Certificate),
                    caller(callers(&theirs, Some("web"), None), KnownBy::Gateway),
                    caller(callers(&theirs, Some("app"), None), KnownBy::Gateway),
                ],
            },
        ],
        ..request_authorization(Vec::new())
    }
}

fn public_http(protocol: Protocol) -> Fragment {
    let routes = Routes::Inline(table("public_listener", "local_app", None));
    let http = Http {
        policy: Some(RequestPolicy {
            lines: "lines:web".to_owned(),
            tokens: None,
            requests: "requests:web".to_owned(),
        }),
        ..http(protocol, CallerHeader::Append, routes)
    };
    requests(Direction::Inbound, &[], Some("roots~local"), http)
}

#[test]
fn policies_about_requests() {
    let requests = |authorization| policy("requests:web", Lets::Requests(authorization));
    let nobody = RequestAuthorization {
        grants: Vec::new(),
        ..request_authorization(Vec::new())
    };
    golden("policy_requests_nobody", requests(nobody));
    golden("policy_requests_permissions", requests(request_grants()));
    let (ours, theirs) = (domain("a.c"), domain("b.c"));
    golden(
        "policy_requests",
        requests(request_authorization(vec![
            (callers(&ours, Some("api"), None), KnownBy::Certificate),
            (callers(&theirs, None, Some("bad")), KnownBy::Gateway),
        ])),
    );
    let names = ["x-a", "x-b"].map(|text| HeaderName::new(text).unwrap());
    golden(
        "policy_lines",
        policy("lines:web", Lets::SingleLines(names.to_vec())),
    );
    golden(
        "policy_lines_none",
        policy("lines:web", Lets::SingleLines(Vec::new())),
    );
}

#[test]
fn listeners_of_requests() {
    golden("http_public", public_http(Protocol::Http));
    golden("http_public_grpc", public_http(Protocol::Grpc));
    golden(
        "http_gateway",
        requests(
            Direction::Unspecified,
            &["db.one"],
            Some("inbound~db"),
            http(
                Protocol::Http2,
                CallerHeader::Replace,
                Routes::Named("db".to_owned()),
            ),
        ),
    );
    let outbound = |protocol, timeout| {
        let routes = Routes::Inline(table(
            "db?peer=west",
            "db.default.west.external.b.consul",
            timeout,
        ));
        let http = http(protocol, CallerHeader::Remove, routes);
        requests(Direction::Outbound, &[], None, http)
    };
    golden("http_outbound", outbound(Protocol::Http, Some(15_000)));
    golden("http_outbound_grpc", outbound(Protocol::Grpc, None));
}

#[test]
fn routes() {
    golden("routes", Fragment::Routes(table("db", "exported~db", None)));
}

/// A port of a gateway at the edge: no certificate is asked for, and no request is believed.
#[test]
fn edges() {
    for (name, bounds) in [("edge", None), ("edge_tls", Some(TlsBounds::default()))] {
        let routes = Routes::Named("8080".to_owned());
        let fragment = requests(
            Direction::Outbound,
            &[],
            None,
            http(Protocol::Http2, CallerHeader::Outside, routes),
        );
        let Fragment::Listener(mut listener) = fragment else {
            unreachable!()
        };
        listener.chains[0].serving = bounds.map(|bounds| ServingTls {
            certificates: vec![LEAF_SECRET.to_owned()],
            bounds,
        });
        golden(&format!("listener_{name}"), Fragment::Listener(listener));
    }
    let host = |name: &str, domains: &[&str], edits: HeaderEdits| VirtualHost {
        name: name.to_owned(),
        domains: domains.iter().map(|domain| (*domain).to_owned()).collect(),
        request_headers: edits.clone(),
        response_headers: edits,
        ..table("8080", name, None).hosts.remove(0)
    };
    let edits = HeaderEdits {
        set: [("x-a".to_owned(), "1".to_owned())].into(),
        remove: ["x-b".to_owned()].into(),
        ..HeaderEdits::default()
    };
    golden(
        "routes_edge",
        Fragment::Routes(RouteTable {
            name: "8080".to_owned(),
            hosts: vec![
                host("web", &["web.ingress.*"], HeaderEdits::default()),
                host("api", &["a.example.com", "a.example.com:8080"], edits),
            ],
        }),
    );
}

/// Every connection manager is as strict as any other, whatever it is for.
#[test]
fn all_kinds_of_listeners_harden_requests_alike() {
    let mut seen = Vec::new();
    for protocol in [Protocol::Http, Protocol::Http2, Protocol::Grpc] {
        for caller_header in [
            CallerHeader::Remove,
            CallerHeader::Replace,
            CallerHeader::Outside,
            CallerHeader::Append,
        ] {
            let routes = Routes::Named("db".to_owned());
            let fragment = requests(
                Direction::Inbound,
                &[],
                Some("roots"),
                http(protocol, caller_header, routes),
            );
            let manager = render::manager(&translate(&fragment, Dialect::From1_36).bytes);
            let common = manager.common_http_protocol_options.unwrap();
            seen.push((
                manager.normalize_path.map(|set| set.value),
                manager.merge_slashes,
                manager.path_with_escaped_slashes_action,
                common.headers_with_underscores_action,
                common.max_headers_count.map(|most| most.value),
                manager.max_request_headers_kb.map(|most| most.value),
                manager.request_headers_timeout.map(|time| time.seconds),
                manager.stream_idle_timeout.map(|time| time.seconds),
            ));
            let certificate = manager.forward_client_cert_details;
            let details = manager.set_current_client_cert_details;
            match caller_header {
                CallerHeader::Remove | CallerHeader::Outside => {
                    assert_eq!((certificate, details), (0, None));
                    // Nobody outside orders our proxies about.
                    let ignores = !manager.early_header_mutation_extensions.is_empty();
                    assert_eq!(ignores, caller_header == CallerHeader::Outside);
                    assert_eq!(manager.use_remote_address.is_some(), ignores);
                }
                CallerHeader::Replace | CallerHeader::Append => {
                    assert_eq!(
                        certificate,
                        if caller_header == CallerHeader::Append {
                            2
                        } else {
                            3
                        }
                    );
                    let details = details.unwrap();
                    assert!(details.uri && !details.cert && !details.chain && !details.dns);
                    assert_eq!(details.subject, None);
                }
            }
        }
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
    assert_eq!(
        seen[0],
        (Some(true), true, 2, 1, Some(100), Some(60), Some(10), Some(300))
    );
}

fn leaf(serial: &str, key: &str) -> Leaf {
    Leaf {
        identity: SpiffeId::parse("spiffe://a.consul/ns/default/dc/dc1/svc/web").unwrap(),
        chain_pem: "certificate\n".to_owned(),
        key_pem: Secret::new(key),
        root_id: "id".to_owned(),
        serial: serial.to_owned(),
        not_before: 1,
        not_after: 2,
    }
}

#[test]
fn leaf_as_a_secret() {
    check("leaf", &leaf_secret(&leaf("01:02", "not a key\n")));
}

#[test]
fn a_leafs_version_is_its_serial_number_and_nothing_prints_its_key() {
    let first = leaf_secret(&leaf("01:02", "hidden"));
    assert_eq!(first.version, leaf_secret(&leaf("01:02", "other")).version);
    assert_ne!(first.version, leaf_secret(&leaf("01:03", "hidden")).version);
    assert!(!format!("{first:?}").contains("hidden"));
}

#[test]
fn versions_are_the_same_in_every_process_and_tell_fragments_apart() {
    let version = |fragment: Fragment| translate(&fragment, Dialect::From1_36).version;
    let empty = |name: &str| {
        version(Fragment::Endpoints(Endpoints {
            cluster: name.to_owned(),
            members: Vec::new(),
        }))
    };
    assert_eq!(empty("a"), empty("a"));
    assert_ne!(empty("a"), empty("b"));
    assert_ne!(
        empty("a"),
        version(Fragment::Cluster(cluster("a", Discovery::Eds)))
    );
    // Written down: a hash that changed from process to process would differ here.
    let written =
        std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/version.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/version.txt"),
            empty("a"),
        )
        .unwrap();
    } else {
        assert_eq!(
            written.unwrap(),
            empty("a"),
            "raise TRANSLATION only when bytes change; then UPDATE_GOLDEN=1"
        );
    }
}
