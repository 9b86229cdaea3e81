//! Views of sidecars and gateways where a service is more than its instances.

use super::entries::*;
use super::render::view;
use super::world::*;
use crate::{Mesh, View};
use peerway_model::PeeringState;
use peerway_model::config::Action::Allow;
use peerway_model::config::{
    Balance, HashOf, HashPolicy, LoadBalancer, PathTest, Protocol, RequestMatch, RouteDestination,
    ServiceResolver, ServiceRoute,
};
use peerway_model::instance::Instance;
use peerway_model::name::SubsetName;
use std::collections::BTreeMap;
use std::sync::Arc;

fn view_of(world: &World, id: &str) -> Option<Arc<View>> {
    Mesh::new(world.shared()).watch(&instance_key("n1", id))
}

/// The lines of a view that begin so, with what belongs to them.
fn lines(view: Option<&Arc<View>>, begin: &[&str]) -> String {
    let text = view.map_or(String::new(), |view| super::render::view(view));
    let mut wanted = false;
    let kept = text.lines().filter(|line| {
        if !line.starts_with(' ') {
            wanted = begin.iter().any(|begin| line.starts_with(begin));
        }
        wanted
    });
    kept.collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn assert_lines(found: &str, expected: &str) {
    let expected: Vec<&str> = expected
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let found: Vec<&str> = found.lines().map(str::trim).collect();
    assert_eq!(found, expected, "found:\n{}", found.join("\n"));
}

fn versioned(node: &str, service: &str, port: u16, version: &str) -> Instance {
    Instance {
        meta: BTreeMap::from([("version".to_owned(), version.to_owned())]),
        ..sidecar(node, service, port, vec![])
    }
}

/// `web` calls `api`, whose instances have two versions; the peers `east` and `west` have an `api` too.
fn start(spoken: Protocol) -> World {
    let mut world = World::new();
    world.put([
        node(None, "n1", "10.0.0.1"),
        node(None, "n2", "10.0.0.2"),
        row(sidecar("n1", "web", 20000, vec![upstream("api", None, 9001)])),
        row(versioned("n1", "api", 20001, "1")),
        row(versioned("n2", "api", 20002, "2")),
        protocol(None, spoken),
    ]);
    for (peer, address) in [("east", "198.51.100.1"), ("west", "198.51.100.2")] {
        let domain = format!("{peer}.consul");
        world.put([
            peering(peer, PeeringState::Active),
            bundle(peer, &domain, &["R"]),
            node(Some(peer), "g", "192.0.2.1"),
            row(import(
                peer,
                "g",
                "api",
                (address, 8443),
                meta("api", "us", &domain),
            )),
        ]);
    }
    world
}

fn by_version() -> BTreeMap<SubsetName, peerway_model::config::Subset> {
    subsets(&[
        ("v1", "Service.Meta.version == 1"),
        ("v2", "Service.Meta.version == 2"),
    ])
}

#[test]
fn requests_are_routed_and_split_to_subsets_and_peers() {
    let mut world = start(Protocol::Http);
    world.put([
        resolved(ServiceResolver {
            subsets: by_version(),
            connect_timeout_ms: Some(700),
            request_timeout_ms: Some(3_000),
            ..plain_resolver("api")
        }),
        splitter("api", &[(9_000, "v1.api"), (1_000, "api@east")]),
        router("api", &[("/two", "v2.api"), ("/far", "api@west")]),
    ]);
    let found = view_of(&world, "web-sidecar-proxy");
    assert_lines(
        &lines(
            found.as_ref(),
            &["cluster", "endpoints", "listener api", "routes"],
        ),
        r#"
        cluster api.default.east.external.east.consul eds 700ms eject 100% keepalive
          tls api.default.default.us.external.east.consul by roots~peer~default~east
          to spiffe://east.consul/ns/default/dc/dc9/svc/api
          to spiffe://east.consul/gateway/mesh/dc/dc9
        cluster api.default.west.external.west.consul eds 700ms eject 100% keepalive
          tls api.default.default.us.external.west.consul by roots~peer~default~west
          to spiffe://west.consul/ns/default/dc/dc9/svc/api
          to spiffe://west.consul/gateway/mesh/dc/dc9
        cluster v1.api.default.dc1.internal.local.consul http eds 700ms eject 10%
          tls v1.api.default.dc1.internal.local.consul by roots~local
          to spiffe://local.consul/ns/default/dc/dc1/svc/api
        cluster v2.api.default.dc1.internal.local.consul http eds 700ms eject 10%
          tls v2.api.default.dc1.internal.local.consul by roots~local
          to spiffe://local.consul/ns/default/dc/dc1/svc/api
        endpoints api.default.east.external.east.consul
          198.51.100.1:8443 up 1
        endpoints api.default.west.external.west.consul
          198.51.100.2:8443 up 1
        endpoints v1.api.default.dc1.internal.local.consul
          10.0.0.1:20001 up 1
        endpoints v2.api.default.dc1.internal.local.consul
          10.0.0.2:20002 up 1
        listener api:127.0.0.1:9001 Outbound
          any -> http Remove named api as upstream.api.default.default.dc1
        routes api api.default
          Prefix("/two") -> v2.api.default.dc1.internal.local.consul 3000ms
          Prefix("/far") -> api.default.west.external.west.consul 3000ms
          -> 9000 v1.api.default.dc1.internal.local.consul + 1000 api.default.east.external.east.consul 3000ms
        "#,
    );
    // A peer that is not known has no share; what is left answers for it.
    world.delete(peerway_state::RowKey::Bundle(peering_key("east")));
    assert_lines(
        &lines(view_of(&world, "web-sidecar-proxy").as_ref(), &["routes"]),
        r#"
        routes api api.default
          Prefix("/two") -> v2.api.default.dc1.internal.local.consul 3000ms
          Prefix("/far") -> api.default.west.external.west.consul 3000ms
          -> v1.api.default.dc1.internal.local.consul 3000ms
        "#,
    );
}

#[test]
fn what_a_route_says_goes_with_its_requests() {
    let mut world = start(Protocol::Http);
    let balancer = LoadBalancer {
        balance: Some(Balance::Maglev),
        hash: vec![HashPolicy {
            by: HashOf::Header("x-user".to_owned()),
            terminal: false,
        }],
    };
    world.put([
        routed(
            "api",
            vec![ServiceRoute {
                request: RequestMatch {
                    path: PathTest::Exact("/a".to_owned()),
                    ..RequestMatch::default()
                },
                destination: Some(RouteDestination {
                    prefix_rewrite: Some("/b".to_owned()),
                    request_timeout_ms: Some(250),
                    num_retries: Some(2),
                    retry_on: vec!["5xx".to_owned()],
                    retry_on_status_codes: vec![429],
                    ..RouteDestination::default()
                }),
            }],
        ),
        resolved(ServiceResolver {
            load_balancer: Some(balancer),
            ..plain_resolver("api")
        }),
    ]);
    let found = view_of(&world, "web-sidecar-proxy");
    assert_lines(
        &lines(found.as_ref(), &["cluster api", "routes"]),
        r#"
        cluster api.default.dc1.internal.local.consul http eds 5000ms eject 10%
          balance Maglev
          tls api.default.dc1.internal.local.consul by roots~local
          to spiffe://local.consul/ns/default/dc/dc1/svc/api
        routes api api.default
          Exact("/a") -> api.default.dc1.internal.local.consul 250ms as /b retry Some(2) ["connect-failure", "refused-stream", "5xx", "retriable-status-codes"] [429] hash Header("x-user")
          -> api.default.dc1.internal.local.consul 15000ms hash Header("x-user")
        "#,
    );
}

#[test]
fn bytes_follow_redirects() {
    let mut world = start(Protocol::Tcp);
    world.put([redirect("api", "api@west")]);
    let found = view_of(&world, "web-sidecar-proxy");
    assert_lines(
        &lines(found.as_ref(), &["endpoints", "listener api", "routes"]),
        r#"
        endpoints api.default.west.external.west.consul
          198.51.100.2:8443 up 1
        listener api:127.0.0.1:9001 Outbound
          any -> api.default.west.external.west.consul as upstream.api.default.default.dc1
        "#,
    );
}

#[test]
fn a_target_and_what_stands_in_for_it_are_one_cluster() {
    let mut world = start(Protocol::Tcp);
    world.put([resolved(failover("api", &["api@west", "api@east"]))]);
    let found = view_of(&world, "web-sidecar-proxy");
    assert_lines(
        &lines(found.as_ref(), &["cluster", "endpoints", "listener api"]),
        r#"
        cluster api.default.dc1.internal.local.consul of failover-target~0~api.default.dc1.internal.local.consul failover-target~1~api.default.dc1.internal.local.consul failover-target~2~api.default.dc1.internal.local.consul 5000ms
        cluster failover-target~0~api.default.dc1.internal.local.consul eds 5000ms eject 100%
          tls api.default.dc1.internal.local.consul by roots~local
          to spiffe://local.consul/ns/default/dc/dc1/svc/api
        cluster failover-target~1~api.default.dc1.internal.local.consul eds 5000ms eject 100% keepalive
          tls api.default.default.us.external.west.consul by roots~peer~default~west
          to spiffe://west.consul/ns/default/dc/dc9/svc/api
          to spiffe://west.consul/gateway/mesh/dc/dc9
        cluster failover-target~2~api.default.dc1.internal.local.consul eds 5000ms eject 100% keepalive
          tls api.default.default.us.external.east.consul by roots~peer~default~east
          to spiffe://east.consul/ns/default/dc/dc9/svc/api
          to spiffe://east.consul/gateway/mesh/dc/dc9
        endpoints failover-target~0~api.default.dc1.internal.local.consul
          10.0.0.1:20001 up 1
          10.0.0.2:20002 up 1
        endpoints failover-target~1~api.default.dc1.internal.local.consul
          198.51.100.2:8443 up 1
        endpoints failover-target~2~api.default.dc1.internal.local.consul
          198.51.100.1:8443 up 1
        listener api:127.0.0.1:9001 Outbound
          any -> api.default.dc1.internal.local.consul as upstream.api.default.default.dc1
        "#,
    );
}

#[test]
fn a_default_group_stands_in_for_every_service() {
    let mut world = start(Protocol::Tcp);
    let named = |world: &World| lines(view_of(world, "web-sidecar-proxy").as_ref(), &["cluster api"]);
    let alone = named(&world);
    world.put([group(false, &["west"])]);
    assert_eq!(named(&world), alone);
    world.put([group(true, &["west"])]);
    assert_lines(
        &named(&world),
        "cluster api.default.dc1.internal.local.consul of failover-target~0~api.default.dc1.internal.local.consul \
         failover-target~1~api.default.dc1.internal.local.consul 5000ms",
    );
}

#[test]
fn a_gateway_routes_the_requests_of_peers_by_the_exporters_chain() {
    let mut world = start(Protocol::Http);
    world.put([
        row(gateway("n1", 8443)),
        row(app("n2", "other", 8080)),
        row(sidecar("n2", "other", 20003, vec![])),
        resolved(ServiceResolver {
            subsets: by_version(),
            ..plain_resolver("api")
        }),
        // Nothing but a name: it has no instance.
        splitter("front", &[(2_500, "v1.api"), (7_500, "other")]),
        exports(&[("front", &["east"]), ("other", &["west"])]),
        intentions("other", &[("*", Some("east"), Allow), ("*", Some("west"), Allow)]),
    ]);
    let found = view_of(&world, "gateway");
    assert_lines(
        &lines(
            found.as_ref(),
            &[
                "cluster exported",
                "endpoints exported",
                "listener",
                "routes",
                "validation",
            ],
        ),
        r#"
        validation inbound~front.default.default east.consul="R\n" local.consul="A\n"
        validation inbound~other.default.default east.consul="R\n" local.consul="A\n" west.consul="R\n"
        validation roots~local local.consul="A\n"
        cluster exported~other.default.dc1.internal.local.consul http eds 5000ms eject 10%
          tls other.default.dc1.internal.local.consul by roots~local
          to spiffe://local.consul/ns/default/dc/dc1/svc/other
        cluster exported~v1.api.default.dc1.internal.local.consul http eds 5000ms eject 10%
          tls v1.api.default.dc1.internal.local.consul by roots~local
          to spiffe://local.consul/ns/default/dc/dc1/svc/api
        endpoints exported~other.default.dc1.internal.local.consul
          10.0.0.2:20003 up 1
        endpoints exported~v1.api.default.dc1.internal.local.consul
          10.0.0.1:20001 up 1
        listener default:0.0.0.0:8443 Unspecified
          front.default.default.east.external.local.consul -> http Replace named front as mesh_gateway_local_peered.front.default.default.dc1 by inbound~front.default.default
          other.default.default.west.external.local.consul -> http Replace named other as mesh_gateway_local_peered.other.default.default.dc1 by inbound~other.default.default
          api.default.default.us.external.east.consul -> api.default.default.us.external.east.consul as mesh_gateway_local.default
          api.default.default.us.external.west.consul -> api.default.default.us.external.west.consul as mesh_gateway_local.default
        routes front front.default -> 2500 exported~v1.api.default.dc1.internal.local.consul + 7500 exported~other.default.dc1.internal.local.consul
        routes other other.default -> exported~other.default.dc1.internal.local.consul
        "#,
    );
    // Whoever sees the front is led to the other, whose policy has to know them.
    let callers = Mesh::new(world.shared()).watch(&instance_key("n2", "other-sidecar-proxy"));
    let text = callers.map_or(String::new(), |found| view(&found));
    assert!(
        text.contains("east.consul/default/default/* by gateway"),
        "{text}"
    );
}

#[test]
fn a_target_without_instances_is_an_explicit_nowhere() {
    let mut world = start(Protocol::Http);
    world.put([splitter("api", &[(5_000, "api"), (5_000, "nobody")])]);
    let found = view_of(&world, "web-sidecar-proxy");
    assert_lines(
        &lines(found.as_ref(), &["endpoints nobody"]),
        "endpoints nobody.default.dc1.internal.local.consul",
    );
}
