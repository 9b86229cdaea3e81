//! Instances that are near come first, for callers who say where they are and of services where that is asked for.

use super::entries::*;
use super::render;
use super::world::*;
use crate::{Fragment, Mesh, View};
use peerway_model::config::Action::Allow;
use peerway_model::config::{ByLocality, Protocol, ServiceResolver};
use peerway_model::{CheckStatus, PeeringState};
use std::collections::BTreeMap;
use std::sync::Arc;

const WEB: &str = "web-sidecar-proxy";
const NEAR_FIRST: Option<ByLocality> = Some(ByLocality::Failover);

/// `web` in zone a of eu-1 calls `api`, which is in both zones of the region, in another one, and on a node of which
/// nobody knows where it is.
fn start() -> World {
    let mut world = World::new();
    world.put([
        node_at("eu-1/a", "n1", "10.0.0.1"),
        node_at("eu-1/b", "n2", "10.0.0.2"),
        node_at("eu-2/a", "n3", "10.0.0.3"),
        node(None, "n4", "10.0.0.4"),
        row(sidecar("n1", "web", 20_000, vec![upstream("api", None, 9001)])),
        all_by_locality(None, Protocol::Http),
    ]);
    for node in ["n1", "n2", "n3", "n4"] {
        world.put([
            row(app(node, "api", 8080)),
            row(sidecar(node, "api", 20_001, vec![])),
        ]);
    }
    world
}

fn asks(world: &mut World, mode: Option<ByLocality>) {
    world.put([resolved(ServiceResolver {
        by_locality: mode,
        ..plain_resolver("api")
    })]);
}

fn view_of(world: &World, node: &str, id: &str) -> Arc<View> {
    Mesh::new(world.shared()).watch(&instance_key(node, id)).unwrap()
}

/// The lines of the endpoints of Envoy clusters that begin so.
fn endpoints(view: &View, begin: &str) -> Vec<String> {
    let text = render::view(view);
    let mut wanted = false;
    let mut kept = Vec::new();
    for line in text.lines() {
        if !line.starts_with(' ') {
            wanted = line.starts_with(&format!("endpoints {begin}"));
        } else if wanted {
            kept.push(line.trim().to_owned());
        }
    }
    kept
}

fn of_web(world: &World) -> Vec<String> {
    endpoints(&view_of(world, "n1", WEB), "api")
}

const SAME: [&str; 4] = [
    "10.0.0.1:20001 up 1",
    "10.0.0.2:20001 up 1",
    "10.0.0.3:20001 up 1",
    "10.0.0.4:20001 up 1",
];
const RANKED: [&str; 4] = [
    "10.0.0.1:20001 up 1 #0 eu-1/a",
    "10.0.0.2:20001 up 1 #1 eu-1/b",
    "10.0.0.3:20001 up 1 #2 eu-2/a",
    "10.0.0.4:20001 up 1 #2",
];

#[test]
fn the_resolver_counts_before_what_holds_for_all() {
    let mut world = start();
    assert_eq!(of_web(&world), SAME);
    asks(&mut world, NEAR_FIRST);
    assert_eq!(of_web(&world), RANKED);
    asks(&mut world, None);
    assert_eq!(of_web(&world), SAME);
    world.put([all_by_locality(NEAR_FIRST, Protocol::Http)]);
    assert_eq!(of_web(&world), RANKED);
    asks(&mut world, Some(ByLocality::Never));
    assert_eq!(of_web(&world), SAME);
}

#[test]
fn a_caller_who_says_nowhere_where_it_is_prefers_nothing() {
    let mut world = start();
    asks(&mut world, NEAR_FIRST);
    let web = || sidecar("n4", "web", 20_000, vec![upstream("api", None, 9001)]);
    world.put([row(web())]);
    assert_eq!(endpoints(&view_of(&world, "n4", WEB), "api"), SAME);
    // What it says itself counts before what its node does.
    world.put([row(at("eu-2", web()))]);
    assert_eq!(
        endpoints(&view_of(&world, "n4", WEB), "api"),
        [
            "10.0.0.1:20001 up 1 #1 eu-1/a",
            "10.0.0.2:20001 up 1 #1 eu-1/b",
            "10.0.0.3:20001 up 1 #0 eu-2/a",
            "10.0.0.4:20001 up 1 #1",
        ]
    );
    world.put([row(at("eu-2/a", sidecar("n1", "api", 20_001, vec![])))]);
    assert_eq!(of_web(&world)[0], "10.0.0.1:20001 up 1 #1 eu-2/a");
}

#[test]
fn health_is_told_as_ever() {
    let mut world = start();
    asks(&mut world, NEAR_FIRST);
    world.put([check(node_key(None, "n1"), Some("api"), CheckStatus::Critical)]);
    assert_eq!(of_web(&world)[0], "10.0.0.1:20001 down 1 #0 eu-1/a");
}

#[test]
fn callers_in_one_zone_share_and_where_nobody_asks_all_do() {
    let mut world = start();
    let callers = [("n1", "web"), ("n1", "db"), ("n2", "web")];
    for (node, service) in callers {
        let upstreams = vec![upstream("api", None, 9001)];
        world.put([row(sidecar(node, service, 20_000, upstreams))]);
    }
    let held = |world: &World| {
        let mut mesh = Mesh::new(world.shared());
        let of = callers.map(|(node, service)| {
            let view = mesh.watch(&instance_key(node, &format!("{service}-sidecar-proxy")));
            let view = view.unwrap();
            let mut all = view.fragments.iter();
            let found = all.find(|held| matches!(&***held, Fragment::Endpoints(_)));
            found.unwrap().clone()
        });
        [Arc::ptr_eq(&of[0], &of[1]), Arc::ptr_eq(&of[0], &of[2])]
    };
    assert_eq!(held(&world), [true, true]);
    asks(&mut world, NEAR_FIRST);
    assert_eq!(held(&world), [true, false]);
}

#[test]
fn a_subset_is_ordered_and_so_is_what_stands_in() {
    let mut world = start();
    world.put([
        row(app("n2", "db", 8080)),
        row(sidecar("n2", "db", 20_002, vec![])),
        row(app("n1", "db", 8080)),
        row(sidecar("n1", "db", 20_002, vec![])),
        resolved(ServiceResolver {
            subsets: subsets(&[("v1", "Node.Node != n1")]),
            default_subset: subsets(&[("v1", "")]).into_keys().next(),
            by_locality: NEAR_FIRST,
            ..failover("api", &["db"])
        }),
    ]);
    let view = view_of(&world, "n1", WEB);
    assert_eq!(
        endpoints(&view, "failover-target~0~v1.api"),
        [
            "10.0.0.2:20001 up 1 #0 eu-1/b",
            "10.0.0.3:20001 up 1 #1 eu-2/a",
            "10.0.0.4:20001 up 1 #1"
        ]
    );
    // Of the one that stands in nobody asks for it.
    assert_eq!(
        endpoints(&view, "failover-target~1~v1.api"),
        ["10.0.0.1:20002 up 1", "10.0.0.2:20002 up 1"]
    );
    world.put([resolved(ServiceResolver {
        by_locality: NEAR_FIRST,
        ..plain_resolver("db")
    })]);
    assert_eq!(
        endpoints(&view_of(&world, "n1", WEB), "failover-target~1~v1.api"),
        ["10.0.0.1:20002 up 1 #0 eu-1/a", "10.0.0.2:20002 up 1 #1 eu-1/b",]
    );
}

#[test]
fn a_transparent_caller_prefers_as_well_but_not_among_what_it_dials_directly() {
    let mut world = start();
    asks(&mut world, NEAR_FIRST);
    world.put([
        row(transparent(false, sidecar("n1", "web", 20_000, vec![]))),
        row(at(
            "eu-2/a",
            transparent(true, sidecar("n2", "api", 20_001, vec![])),
        )),
    ]);
    let view = view_of(&world, "n1", WEB);
    let found = endpoints(&view, "api");
    assert_eq!(found[0], RANKED[0]);
    assert_eq!(found[1], "10.0.0.2:20001 up 1 #1 eu-2/a");
    assert!(
        render::view(&view)
            .contains("cluster passthrough~api.default.dc1.internal.local.consul http original")
    );
}

#[test]
fn who_is_looked_up_by_name_is_ordered_in_the_cluster() {
    let mut world = start();
    asks(&mut world, NEAR_FIRST);
    world.put([node_at("eu-1/b", "n2", "n2.example")]);
    let text = render::view(&view_of(&world, "n1", WEB));
    let members = "dns 10.0.0.1:20001 up 1 #0 eu-1/a 10.0.0.3:20001 up 1 #2 eu-2/a \
        10.0.0.4:20001 up 1 #2 n2.example:20001 up 1 #1 eu-1/b";
    assert!(text.contains(members), "{text}");
    asks(&mut world, None);
    let text = render::view(&view_of(&world, "n1", WEB));
    assert!(
        text.contains("dns 10.0.0.1:20001 up 1 10.0.0.3:20001 up 1 "),
        "{text}"
    );
}

#[test]
fn gateways_prefer_what_is_near_to_them() {
    let mut world = start();
    asks(&mut world, NEAR_FIRST);
    world.put([
        peering("east", PeeringState::Active),
        bundle("east", "east.consul", &["R"]),
        exports(&[("api", &["east"])]),
        intentions("api", &[("*", Some("east"), Allow)]),
        row(gateway("n2", 8443)),
        row(edge("n3")),
        ingress(vec![port(
            8_080,
            Protocol::Http,
            false,
            vec![let_in("api", &["a.example.com"])],
        )]),
        row(front("n2")),
        api(&[(8_090, Protocol::Http, None, &[])]),
        http_route("r1", None, &[], &[("/", &[(1, "api")])]),
    ]);
    let in_b = [
        "10.0.0.1:20001 up 1 #1 eu-1/a",
        "10.0.0.2:20001 up 1 #0 eu-1/b",
        "10.0.0.3:20001 up 1 #2 eu-2/a",
        "10.0.0.4:20001 up 1 #2",
    ];
    assert_eq!(endpoints(&view_of(&world, "n2", "gateway"), "exported~api"), in_b);
    assert_eq!(endpoints(&view_of(&world, "n2", "front"), "api"), in_b);
    assert_eq!(
        endpoints(&view_of(&world, "n3", "edge"), "api")[2],
        "10.0.0.3:20001 up 1 #0 eu-2/a"
    );
}

#[test]
fn of_peers_nobody_knows_where_they_are() {
    let mut world = start();
    world.put([
        all_by_locality(NEAR_FIRST, Protocol::Tcp),
        row(sidecar(
            "n1",
            "web",
            20_000,
            vec![upstream("api", Some("east"), 9001)],
        )),
        peering("east", PeeringState::Active),
        bundle("east", "east.consul", &["R"]),
        node(Some("east"), "g", "192.0.2.1"),
        row(import(
            "east",
            "g",
            "api",
            ("198.51.100.1", 8443),
            meta("api", "us", "east.consul"),
        )),
    ]);
    assert_eq!(of_web(&world), ["198.51.100.1:8443 up 1"]);
    world.put([resolved(ServiceResolver {
        by_locality: NEAR_FIRST,
        ..failover("api", &["api@east"])
    })]);
    world.put([row(sidecar(
        "n1",
        "web",
        20_000,
        vec![upstream("api", None, 9001)],
    ))]);
    let view = view_of(&world, "n1", WEB);
    assert_eq!(endpoints(&view, "failover-target~0~api"), RANKED);
    assert_eq!(
        endpoints(&view, "failover-target~1~api"),
        ["198.51.100.1:8443 up 1"]
    );
}

#[test]
fn a_terminating_gateway_is_where_it_runs() {
    let mut world = start();
    world.put([
        row(super::outside::instance("n3", "legacy", "10.0.0.7")),
        row(super::outside::gateway("n2", 9_443, false)),
        super::outside::entry(&[("legacy", "")]),
        row(sidecar("n1", "web", 20_000, vec![upstream("legacy", None, 9001)])),
        all_by_locality(NEAR_FIRST, Protocol::Tcp),
    ]);
    assert_eq!(
        endpoints(&view_of(&world, "n1", WEB), "legacy"),
        ["10.0.0.2:9443 up 1 #0 eu-1/b"]
    );
}

/// Of what is told to a proxy before and after a node has moved.
#[test]
fn only_those_are_told_that_a_node_has_moved_who_prefer_what_is_near() {
    for (mode, expected) in [(None, 0), (NEAR_FIRST, 1)] {
        let mut world = start();
        asks(&mut world, mode);
        let mut mesh = Mesh::new(world.shared());
        mesh.watch(&instance_key("n1", WEB)).unwrap();
        let changes = world.put([node_at("eu-1/a", "n3", "10.0.0.3")]);
        assert_eq!(mesh.update(world.shared(), &changes).len(), expected, "{mode:?}");
        // The caller itself moves.
        let changes = world.put([node_at("eu-2/a", "n1", "10.0.0.1")]);
        assert_eq!(mesh.update(world.shared(), &changes).len(), expected, "{mode:?}");
    }
}

/// An address that two registrations have is where one of them says.
#[test]
fn an_address_that_is_registered_twice_is_somewhere() {
    let mut world = start();
    asks(&mut world, NEAR_FIRST);
    let twice = |node: &str, place: &str| {
        let mut own = at(place, sidecar(node, "api", 20_001, vec![]));
        own.address = "10.0.0.9".to_owned();
        row(own)
    };
    world.put([twice("n3", ""), twice("n4", "")]);
    let found: BTreeMap<String, usize> =
        of_web(&world)
            .into_iter()
            .fold(BTreeMap::new(), |mut found, line| {
                *found.entry(line).or_default() += 1;
                found
            });
    assert_eq!(found["10.0.0.9:20001 up 1 #2 eu-2/a"], 1, "{found:?}");
    assert_eq!(found.len(), 3, "{found:?}");
}
