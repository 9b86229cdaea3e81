//! What chains become: every field of routes, splits and resolvers.

use super::{at, cluster, golden};
use peerway_mesh::{
    Cluster, Discovery, Endpoint, Endpoints, Fragment, Health, HttpRoute, Retry, RouteLeg, RouteTable,
    VirtualHost,
};
use peerway_model::Regular;
use peerway_model::config::{
    Balance, HashOf, HashPolicy, HeaderEdits, HeaderTest, PathTest, QueryTest, RequestMatch, TextTest,
};

fn texts(pairs: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn edits(add: &[(&str, &str)], set: &[(&str, &str)], remove: &[&str]) -> HeaderEdits {
    HeaderEdits {
        add: texts(add),
        set: texts(set),
        remove: remove.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn leg(cluster: &str, weight: u32) -> RouteLeg {
    RouteLeg {
        cluster: cluster.to_owned(),
        weight,
        request_headers: HeaderEdits::default(),
        response_headers: HeaderEdits::default(),
    }
}

fn table(name: &str, routes: Vec<HttpRoute>) -> Fragment {
    Fragment::Routes(RouteTable {
        name: name.to_owned(),
        hosts: vec![VirtualHost::any(format!("{name}.default"), routes)],
    })
}

fn asking(request: RequestMatch) -> HttpRoute {
    HttpRoute {
        request,
        ..HttpRoute::to(vec![leg("api", 10_000)])
    }
}

fn regular(text: &str) -> Regular {
    Regular::new(text).unwrap()
}

fn path(path: PathTest) -> RequestMatch {
    RequestMatch {
        path,
        ..RequestMatch::default()
    }
}

#[test]
fn what_a_route_asks_of_a_request() {
    let header = |name: &str, test, invert| HeaderTest {
        name: name.to_owned(),
        test,
        invert,
    };
    let query = |name: &str, test| QueryTest {
        name: name.to_owned(),
        test,
    };
    let text = |text: &str| text.to_owned();
    golden(
        "routes_matches",
        table(
            "web",
            vec![
                asking(path(PathTest::Exact(text("/exact")))),
                asking(path(PathTest::Regex(regular("/v[0-9]+/.*")))),
                asking(RequestMatch {
                    case_insensitive: true,
                    ..path(PathTest::Prefix(text("/prefix/")))
                }),
                asking(RequestMatch {
                    methods: vec![text("GET")],
                    headers: vec![
                        header("x-present", TextTest::Present, false),
                        header("x-absent", TextTest::Present, true),
                        header("x-exact", TextTest::Exact(text("1")), false),
                        header("x-prefix", TextTest::Prefix(text("2")), false),
                        header("x-suffix", TextTest::Suffix(text("3")), true),
                        header("x-regex", TextTest::Regex(regular("4+")), false),
                    ],
                    ..RequestMatch::default()
                }),
                asking(RequestMatch {
                    methods: vec![text("PUT"), text("POST")],
                    query: vec![
                        query("present", TextTest::Present),
                        query("exact", TextTest::Exact(text("1"))),
                        query("regex", TextTest::Regex(regular("a|b"))),
                    ],
                    ..RequestMatch::default()
                }),
            ],
        ),
    );
}

#[test]
fn what_a_route_does_with_a_request() {
    golden(
        "routes_actions",
        table(
            "web",
            vec![
                HttpRoute {
                    prefix_rewrite: Some("/".to_owned()),
                    timeout_ms: Some(1_500),
                    idle_timeout_ms: Some(60_000),
                    retry: Some(Retry {
                        times: Some(5),
                        reasons: vec!["connect-failure".to_owned(), "retriable-status-codes".to_owned()],
                        status_codes: vec![401, 503],
                    }),
                    request_headers: edits(&[("x-a", "1")], &[("x-b", "2")], &["x-c"]),
                    response_headers: edits(&[], &[("x-d", "3")], &[]),
                    ..asking(path(PathTest::Prefix("/api/".to_owned())))
                },
                HttpRoute::to(vec![
                    RouteLeg {
                        request_headers: edits(&[("x-leg", "1")], &[], &[]),
                        response_headers: edits(&[], &[], &["x-secret"]),
                        ..leg("v1.api", 9_005)
                    },
                    leg("api.default.west.external.b.consul", 995),
                ]),
                HttpRoute::to(Vec::new()),
            ],
        ),
    );
}

#[test]
fn what_is_tried_again_goes_elsewhere_where_something_stands_in() {
    golden(
        "routes_elsewhere",
        table(
            "web",
            vec![HttpRoute {
                elsewhere: true,
                ..HttpRoute::to(vec![leg("api", 10_000)])
            }],
        ),
    );
}

#[test]
fn what_a_request_is_hashed_by() {
    let cookie = |name: &str, ttl_ms, session, path: Option<&str>| HashOf::Cookie {
        name: name.to_owned(),
        ttl_ms,
        session,
        path: path.map(str::to_owned),
    };
    let all = [
        (HashOf::Header("x-user".to_owned()), true),
        (HashOf::Query("user".to_owned()), false),
        (HashOf::SourceIp, false),
        (cookie("known", None, false, None), false),
        (cookie("made", Some(5_000), false, Some("/p")), false),
        (cookie("session", None, true, None), false),
    ];
    let hash = all
        .into_iter()
        .map(|(by, terminal)| HashPolicy { by, terminal })
        .collect();
    golden(
        "routes_hash",
        table(
            "web",
            vec![HttpRoute {
                hash,
                ..HttpRoute::to(vec![leg("api", 10_000)])
            }],
        ),
    );
}

#[test]
fn how_an_endpoint_is_chosen() {
    let balanced = |name: &str, balance| {
        let cluster = Cluster {
            balance: Some(balance),
            ..cluster("api", Discovery::Eds)
        };
        golden(name, Fragment::Cluster(cluster));
    };
    balanced("cluster_random", Balance::Random);
    balanced("cluster_round_robin", Balance::RoundRobin);
    balanced("cluster_maglev", Balance::Maglev);
    balanced(
        "cluster_least_request",
        Balance::LeastRequest { choices: Some(4) },
    );
    balanced(
        "cluster_ring_hash",
        Balance::RingHash {
            minimum: Some(64),
            maximum: Some(1_024),
        },
    );
}

#[test]
fn what_stands_in_is_another_cluster_with_its_own_health() {
    golden(
        "cluster_failover",
        Fragment::Cluster(cluster(
            "api",
            Discovery::Members(vec![
                "failover-target~0~api".to_owned(),
                "failover-target~1~api".to_owned(),
            ]),
        )),
    );
    golden(
        "endpoints_doubtful",
        Fragment::Endpoints(Endpoints {
            cluster: "failover-target~1~api".to_owned(),
            members: vec![Endpoint {
                health: Health::Doubtful,
                weight: 1,
                ..Endpoint::up(at("198.51.100.1", 8443))
            }],
        }),
    );
}
