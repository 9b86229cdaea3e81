//! Views of sidecars.

use super::render::assert_view;
use super::world::*;
use crate::{Fragment, Mesh, View};
use peerway_model::config::Action::{Allow, Deny};
use peerway_model::config::{Meta, Pattern, ServiceIntentions, Source, Verdict};
use peerway_model::instance::{GatewayMode, Opaque, Weights};
use peerway_model::name::{Datacenter, Namespace, Partition, ServiceName};
use peerway_model::{CaRoots, CheckStatus, ConfigEntry, Instance, PeeringState, Proxy, Upstream};
use peerway_state::Row;
use std::sync::Arc;

const WEB: &str = "web-sidecar-proxy";

pub(super) fn view_of(world: &World, node: &str, id: &str) -> Option<Arc<View>> {
    Mesh::new(world.shared()).watch(&instance_key(node, id))
}

/// `web` on n1 with a sidecar that has `upstreams`.
fn web(upstreams: Vec<Upstream>) -> World {
    let mut world = World::new();
    world.put([
        node(None, "n1", "10.0.0.1"),
        row(app("n1", "web", 8080)),
        row(sidecar("n1", "web", 20000, upstreams)),
    ]);
    world
}

/// The peer `east`, which exports `db` through two gateways at `addresses`.
fn with_east(world: &mut World, addresses: [&str; 2]) {
    world.put([
        peering("east", PeeringState::Active),
        bundle("east", "east.consul", &["E"]),
        node(Some("east"), "g1", "192.0.2.1"),
        node(Some("east"), "g2", "192.0.2.2"),
        row(import(
            "east",
            "g1",
            "db",
            (addresses[0], 8443),
            meta("db", "us", "east.consul"),
        )),
        row(import(
            "east",
            "g2",
            "db",
            (addresses[1], 8443),
            meta("db", "us", "east.consul"),
        )),
    ]);
}

/// The cluster of the peered `db` and its endpoints, as text.
fn db_of(view: &View) -> String {
    let only = View {
        identity: view.identity.clone(),
        dns_names: Vec::new(),
        leaves: view.leaves.clone(),
        fragments: view
            .fragments
            .iter()
            .filter(|fragment| match &***fragment {
                Fragment::Cluster(_) | Fragment::Endpoints(_) => fragment.name().starts_with("db."),
                _ => false,
            })
            .cloned()
            .collect(),
    };
    let text = super::render::view(&only);
    text.split_once('\n')
        .map_or(String::new(), |(_, rest)| rest.to_owned())
}

#[test]
fn a_sidecar_with_a_local_upstream() {
    let mut world = web(vec![upstream("api", None, 5000)]);
    let weighted = Instance {
        weights: Weights {
            passing: 200,
            warning: 3,
        },
        ..sidecar("n2", "api", 20001, vec![])
    };
    world.put([
        node(None, "n2", "10.0.0.2"),
        node(None, "n3", "10.0.0.3"),
        node(None, "n4", "not a host"),
        row(weighted),
        row(sidecar("n3", "api", 20001, vec![])),
        row(sidecar("n4", "api", 20001, vec![])),
        check(
            node_key(None, "n2"),
            Some("api-sidecar-proxy"),
            CheckStatus::Warning,
        ),
        check(node_key(None, "n3"), None, CheckStatus::Critical),
        intentions("web", &[("*", None, Allow), ("api", None, Deny)]),
    ]);
    assert_view(
        view_of(&world, "n1", WEB).as_ref(),
        r#"
        identity spiffe://local.consul/ns/default/dc/dc1/svc/web
        validation admitted~web.default.default local.consul="A\n"
          takes local.consul/default/default/* but local.consul/default/default/api
        validation inbound~web.default.default local.consul="A\n"
        validation roots~local local.consul="A\n"
        cluster api.default.dc1.internal.local.consul eds 5000ms eject 10%
          tls api.default.dc1.internal.local.consul by roots~local
          to spiffe://local.consul/ns/default/dc/dc1/svc/api
        cluster local_app static 127.0.0.1:8080 5000ms
        endpoints api.default.dc1.internal.local.consul
          10.0.0.2:20001 up 3
          10.0.0.3:20001 down 1
        listener api:127.0.0.1:5000 Outbound
          any -> api.default.dc1.internal.local.consul as upstream.api.default.default.dc1
        listener public_listener:0.0.0.0:20000 Inbound
          any -> local_app as public_listener by inbound~web.default.default
            as connections~web.default.default says
        policy connections~web.default.default
            Allow only
            local.consul/default/default/* but local.consul/default/default/api
        "#,
    );
}

#[test]
fn a_host_name_of_a_sidecar_is_resolved_by_envoy_and_the_others_stay() {
    let mut world = web(vec![upstream("api", None, 5000)]);
    world.put([
        node(None, "n2", "10.0.0.2"),
        node(None, "n3", "n3.example"),
        row(sidecar("n2", "api", 20001, vec![])),
    ]);
    let dialled = |world: &World| {
        let text = super::render::view(&view_of(world, "n1", WEB).unwrap());
        let lines = text.lines().filter(|line| line.contains(" api.default"));
        lines.map(str::to_owned).collect::<Vec<_>>().join("\n")
    };
    assert!(dialled(&world).contains("endpoints"), "{}", dialled(&world));
    world.put([row(sidecar("n3", "api", 20001, vec![]))]);
    let named = dialled(&world);
    assert!(
        named.contains("dns 10.0.0.2:20001 up 1 n3.example:20001 up 1") && !named.contains("endpoints"),
        "{named}"
    );
}

#[test]
fn in_local_mode_a_host_name_of_our_gateway_is_resolved_by_envoy() {
    let mut near = upstream("db", Some("east"), 5432);
    near.mesh_gateway = Some(GatewayMode::Local);
    let mut world = web(vec![near]);
    with_east(&mut world, ["198.51.100.1", "198.51.100.2"]);
    world.put([node(None, "n2", "gw.local.example"), row(gateway("n2", 8443))]);
    let text = db_of(&view_of(&world, "n1", WEB).unwrap());
    assert!(
        text.contains("dns gw.local.example:8443 up 1") && !text.contains("endpoints"),
        "{text}"
    );
}

#[test]
fn a_peered_upstream_is_dialled_at_the_peers_gateways() {
    let mut world = web(vec![upstream("db", Some("east"), 5432)]);
    assert_view(
        view_of(&world, "n1", WEB).as_ref(),
        r#"
        identity spiffe://local.consul/ns/default/dc/dc1/svc/web
        validation admitted~web.default.default local.consul="A\n"
        validation inbound~web.default.default local.consul="A\n"
        cluster local_app static 127.0.0.1:8080 5000ms
        listener db?peer=east:127.0.0.1:5432 Outbound
          any -> db.default.east.external.unknown as upstream_peered.db.default.east
        listener public_listener:0.0.0.0:20000 Inbound
          any -> local_app as public_listener by inbound~web.default.default
            as connections~web.default.default says
        policy connections~web.default.default
            Allow only
        "#,
    );
    with_east(&mut world, ["198.51.100.1", "198.51.100.2"]);
    assert_view(
        view_of(&world, "n1", WEB).as_ref(),
        r#"
        identity spiffe://local.consul/ns/default/dc/dc1/svc/web
        validation admitted~web.default.default local.consul="A\n"
        validation inbound~web.default.default local.consul="A\n"
        validation roots~peer~default~east east.consul="E\n"
        cluster db.default.east.external.east.consul eds 5000ms eject 100% keepalive
          tls db.default.default.us.external.east.consul by roots~peer~default~east
          to spiffe://east.consul/ns/default/dc/dc9/svc/db
          to spiffe://east.consul/gateway/mesh/dc/dc9
        cluster local_app static 127.0.0.1:8080 5000ms
        endpoints db.default.east.external.east.consul
          198.51.100.1:8443 up 1
          198.51.100.2:8443 up 1
        listener db?peer=east:127.0.0.1:5432 Outbound
          any -> db.default.east.external.east.consul as upstream_peered.db.default.east
        listener public_listener:0.0.0.0:20000 Inbound
          any -> local_app as public_listener by inbound~web.default.default
            as connections~web.default.default says
        policy connections~web.default.default
            Allow only
        "#,
    );
}

#[test]
fn in_local_mode_it_is_dialled_at_our_own_gateways() {
    let mut world = web(vec![via(GatewayMode::Local, upstream("db", Some("east"), 5432))]);
    with_east(&mut world, ["198.51.100.1", "gw.east.example"]);
    let dialled = |members: &str| {
        format!(
            "cluster db.default.east.external.east.consul eds 5000ms eject 100%\n  \
             tls db.default.default.us.external.east.consul by roots~peer~default~east\n  \
             to spiffe://east.consul/ns/default/dc/dc9/svc/db\n  \
             to spiffe://east.consul/gateway/mesh/dc/dc9\n\
             endpoints db.default.east.external.east.consul{members}"
        )
    };
    assert_eq!(db_of(&view_of(&world, "n1", WEB).unwrap()), dialled(""));
    world.put([row(gateway("n1", 8443))]);
    assert_eq!(
        db_of(&view_of(&world, "n1", WEB).unwrap()),
        dialled("\n  10.0.0.1:8443 up 1")
    );
}

#[test]
fn a_host_name_of_the_peer_is_resolved_by_envoy() {
    let mut world = web(vec![upstream("db", Some("east"), 5432)]);
    with_east(&mut world, ["198.51.100.1", "gw2.east.example"]);
    let dialled = |world: &World| {
        let text = db_of(&view_of(world, "n1", WEB).unwrap());
        assert!(!text.contains("endpoints"), "{text}");
        text.lines().next().unwrap().to_owned()
    };
    let named = |hosts: &str| {
        format!("cluster db.default.east.external.east.consul dns {hosts} 5000ms eject 100% keepalive")
    };
    assert_eq!(
        dialled(&world),
        named("198.51.100.1:8443 up 1 gw2.east.example:8443 up 1")
    );
    let first = import(
        "east",
        "g1",
        "db",
        ("gw1.east.example", 8443),
        meta("db", "us", "east.consul"),
    );
    world.put([row(first)]);
    assert_eq!(
        dialled(&world),
        named("gw1.east.example:8443 up 1 gw2.east.example:8443 up 1")
    );
    world.put([check(node_key(Some("east"), "g1"), None, CheckStatus::Critical)]);
    assert_eq!(
        dialled(&world),
        named("gw1.east.example:8443 down 1 gw2.east.example:8443 up 1")
    );
}

#[test]
fn a_peered_upstream_without_identities_of_the_peer_has_no_cluster() {
    let foreign = [
        vec![],
        vec!["spiffe://local.consul/ns/default/dc/dc1/svc/db"],
        vec!["spiffe://east.consul.evil/ns/default/dc/dc1/svc/db"],
        vec!["spiffe://east.consul/agent/server/dc/dc9"],
        vec!["nonsense"],
    ];
    for ids in foreign {
        let mut world = web(vec![upstream("db", Some("east"), 5432)]);
        with_east(&mut world, ["198.51.100.1", "198.51.100.2"]);
        for gateway in ["g1", "g2"] {
            let meta = peerway_model::PeerMeta {
                spiffe_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
                ..meta("db", "us", "east.consul")
            };
            world.put([row(import("east", gateway, "db", ("198.51.100.1", 8443), meta))]);
        }
        let text = db_of(&view_of(&world, "n1", WEB).unwrap());
        assert_eq!(text, "", "{ids:?}");
    }
}

#[test]
fn a_peer_that_is_being_deleted_or_claims_our_trust_domain_is_nobody() {
    let mut world = web(vec![upstream("db", Some("east"), 5432)]);
    with_east(&mut world, ["198.51.100.1", "198.51.100.2"]);
    world.put([
        exports(&[("web", &["east"])]),
        intentions("web", &[("db", Some("east"), Allow)]),
    ]);
    let gone = |world: &World| {
        let view = view_of(world, "n1", WEB).unwrap();
        let text = super::render::view(&view);
        assert!(
            !text.contains("roots~peer") && !text.contains("east.consul"),
            "{text}"
        );
        assert!(
            text.contains("validation inbound~web.default.default local.consul=\"A\\n\"\n"),
            "{text}"
        );
        assert!(text.ends_with("Allow only"), "{text}");
    };
    let open = super::render::view(&view_of(&world, "n1", WEB).unwrap());
    assert!(open.contains("\n    east.consul/default/default/db"), "{open}");
    world.put([peering("east", PeeringState::Terminated)]);
    gone(&world);
    world.put([
        peering("east", PeeringState::Active),
        bundle("east", LOCAL_TD, &["E"]),
    ]);
    gone(&world);
    world.put([bundle("east", "east.consul", &[])]);
    gone(&world);
}

#[test]
fn the_mode_is_the_upstreams_then_the_proxys_then_the_services_then_everybodys() {
    use GatewayMode::{Local, Remote};
    let cases = [
        (None, None, None, None, Remote),
        (None, None, None, Some(Local), Local),
        (None, None, Some(Remote), Some(Local), Remote),
        (None, Some(Local), Some(Remote), Some(Remote), Local),
        (Some(Remote), Some(Local), Some(Local), Some(Local), Remote),
    ];
    for (own, of_proxy, of_service, of_all, expected) in cases {
        let mut world = web(vec![]);
        with_east(&mut world, ["198.51.100.1", "198.51.100.2"]);
        let upstream = Upstream {
            mesh_gateway: own,
            ..upstream("db", Some("east"), 5432)
        };
        let plain = sidecar("n1", "web", 20000, vec![upstream]);
        let proxy = Proxy {
            mesh_gateway: of_proxy,
            sidecar: Default::default(),
            ..plain.proxy.clone().unwrap()
        };
        world.put([
            row(Instance {
                proxy: Some(proxy),
                ..plain
            }),
            proxy_defaults(of_all),
            service_defaults("web", of_service),
            service_defaults("db", Some(Local)),
        ]);
        let text = db_of(&view_of(&world, "n1", WEB).unwrap());
        assert_eq!(text.contains("198.51.100.1"), expected == Remote, "{text}");
    }
}

#[test]
fn callers_are_vouched_for_by_the_bundles_of_the_peers_that_see_the_service() {
    let mut world = web(vec![]);
    world.put([
        peering("east", PeeringState::Active),
        peering("north", PeeringState::Active),
        peering("west", PeeringState::Pending),
        bundle("east", "east.consul", &["E1\n", "E2"]),
        bundle("west", "west.consul", &["W"]),
        bundle("north", "north.consul", &["N"]),
        exports(&[("web", &["east", "west", "unknown"]), ("api", &["north"])]),
        intentions(
            "web",
            &[
                ("*", Some("east"), Allow),
                ("bad", Some("east"), Deny),
                ("*", Some("north"), Allow),
                ("*", Some("unknown"), Allow),
            ],
        ),
    ]);
    assert_view(
        view_of(&world, "n1", WEB).as_ref(),
        r#"
        identity spiffe://local.consul/ns/default/dc/dc1/svc/web
        validation admitted~web.default.default east.consul="E1\nE2\n" local.consul="A\n" west.consul="W\n"
          takes east.consul/default/default/* but east.consul/default/default/bad
        validation inbound~web.default.default east.consul="E1\nE2\n" local.consul="A\n" west.consul="W\n"
        cluster local_app static 127.0.0.1:8080 5000ms
        listener public_listener:0.0.0.0:20000 Inbound
          any -> local_app as public_listener by inbound~web.default.default
            as connections~web.default.default says
        policy connections~web.default.default
            Allow only
            east.consul/default/default/* but east.consul/default/default/bad
        "#,
    );
}

#[test]
fn of_two_peers_with_one_trust_domain_the_later_one_is_left_out() {
    let mut world = web(vec![]);
    world.put([
        peering("zebra", PeeringState::Active),
        bundle("zebra", "same.consul", &["Z"]),
        exports(&[("web", &["aardvark", "zebra"])]),
        intentions(
            "web",
            &[("a", Some("aardvark"), Allow), ("z", Some("zebra"), Allow)],
        ),
    ]);
    let before = view_of(&world, "n1", WEB);
    world.put([
        peering("aardvark", PeeringState::Active),
        bundle("aardvark", "same.consul", &["mine"]),
    ]);
    assert_eq!(view_of(&world, "n1", WEB), before);
    let text = super::render::view(&before.unwrap());
    assert!(
        text.contains("same.consul=\"Z\\n\"") && text.ends_with("same.consul/default/default/z"),
        "{text}"
    );
}

#[test]
fn of_peers_that_are_partitions_of_one_cluster_the_older_ones_roots_vouch() {
    let mut world = web(vec![]);
    world.put([
        peering("zebra", PeeringState::Active),
        bundle("zebra", "same.consul", &["Z"]),
        exports(&[("web", &["aardvark", "zebra"])]),
        intentions(
            "web",
            &[("a", Some("aardvark"), Allow), ("z", Some("zebra"), Allow)],
        ),
    ]);
    world.put([
        peering("aardvark", PeeringState::Active),
        bundle_of("aardvark", "same.consul", "sales", &["forged"]),
    ]);
    let text = super::render::view(&view_of(&world, "n1", WEB).unwrap());
    assert!(
        text.contains("same.consul=\"Z\\n\"") && !text.contains("forged"),
        "{text}"
    );
    assert!(text.contains("same.consul/default/default/z"), "{text}");
    assert!(text.contains("same.consul/sales/default/a"), "{text}");
    // When the older one goes, the other one's callers are left, by its own roots.
    world.put([peering("zebra", PeeringState::Deleting)]);
    let text = super::render::view(&view_of(&world, "n1", WEB).unwrap());
    assert!(text.contains("same.consul=\"forged\\n\""), "{text}");
    assert!(!text.contains("same.consul/default"), "{text}");
}

#[test]
fn addresses_come_from_the_registration() {
    let mut world = World::new();
    let number = |port: &str| Opaque::Number(port.to_owned());
    let plain = sidecar(
        "n1",
        "web",
        20000,
        vec![
            upstream("api", None, 5000),
            upstream("db", None, 5000),
            upstream("no-port", None, 0),
            Upstream {
                bind_address: "::1".to_owned(),
                config: [("connect_timeout_ms".to_owned(), number("250"))].into(),
                ..upstream("api", None, 5001)
            },
            Upstream {
                config: [("connect_timeout_ms".to_owned(), number("250"))].into(),
                ..upstream("quick", None, 5002)
            },
        ],
    );
    let proxy = Proxy {
        local_address: Some("app.internal".to_owned()),
        local_port: Some(9000),
        config: [
            ("bind_address".to_owned(), Opaque::Text("127.0.0.5".to_owned())),
            ("bind_port".to_owned(), number("20005")),
        ]
        .into(),
        ..plain.proxy.clone().unwrap()
    };
    world.put([
        node(None, "n1", "10.0.0.1"),
        row(Instance {
            proxy: Some(proxy),
            ..plain
        }),
    ]);
    let view = view_of(&world, "n1", WEB).unwrap();
    let names: Vec<&str> = view
        .fragments
        .iter()
        .map(|fragment| fragment.name())
        .filter(|name| name.contains(':'))
        .collect();
    assert_eq!(
        names,
        [
            "api:127.0.0.1:5000",
            "api:::1:5001",
            "public_listener:127.0.0.5:20005",
            "quick:127.0.0.1:5002"
        ]
    );
    let text = super::render::view(&view);
    assert!(text.contains("cluster local_app dns app.internal:9000"), "{text}");
    assert!(
        text.contains("cluster api.default.dc1.internal.local.consul eds 5000ms"),
        "{text}"
    );
    assert!(
        text.contains("cluster quick.default.dc1.internal.local.consul eds 250ms"),
        "{text}"
    );
}

#[test]
fn only_registered_local_proxies_of_a_cluster_with_roots_have_a_view() {
    let mut world = web(vec![]);
    with_east(&mut world, ["198.51.100.1", "198.51.100.2"]);
    assert_eq!(view_of(&world, "n1", "web"), None);
    assert_eq!(view_of(&world, "n1", "unknown"), None);
    let imported = peerway_model::InstanceKey {
        node: node_key(Some("east"), "g1"),
        ..instance_key("n1", "db-sidecar-proxy")
    };
    assert_eq!(Mesh::new(world.shared()).watch(&imported), None);
    let mut mesh = Mesh::new(world.shared());
    assert!(mesh.watch(&instance_key("n1", WEB)).is_some());
    let changes = world.delete(peerway_state::RowKey::Roots);
    assert_eq!(
        mesh.update(world.shared(), &changes),
        [(instance_key("n1", WEB), None)]
    );
    let changes = world.put([roots("B")]);
    let changed = mesh.update(world.shared(), &changes);
    assert_eq!(changed, [(instance_key("n1", WEB), view_of(&world, "n1", WEB))]);
}

#[test]
fn intentions_on_any_name_and_any_namespace_count_too() {
    let mut world = web(vec![]);
    let entry = |name: Pattern<ServiceName>, namespace: Pattern<Namespace>, caller: &str| {
        let source = Source {
            name: pattern(caller),
            namespace: Pattern::Exact(Namespace::default()),
            partition: Partition::default(),
            peer: None,
            group: None,
            verdict: Verdict::Always(Allow),
            description: String::new(),
        };
        Row::Config(Arc::new(ConfigEntry::ServiceIntentions(ServiceIntentions {
            name,
            namespace,
            partition: Partition::default(),
            sources: vec![source],
            jwt: None,
            meta: Meta::new(),
        })))
    };
    let default = || Pattern::Exact(Namespace::default());
    let team = || Pattern::Exact(Namespace::new("team").unwrap());
    world.put([
        entry(pattern("web"), default(), "exact"),
        entry(Pattern::Any, default(), "any-name"),
        entry(Pattern::Any, Pattern::Any, "any-namespace"),
        entry(pattern("api"), default(), "other"),
        entry(Pattern::Any, team(), "elsewhere"),
    ]);
    let text = super::render::view(&view_of(&world, "n1", WEB).unwrap());
    let (_, callers) = text.split_once("Allow only\n").unwrap();
    let names: Vec<&str> = callers
        .lines()
        .map(|line| line.trim().trim_start_matches("local.consul/default/default/"))
        .collect();
    assert_eq!(names, ["any-name", "any-namespace", "exact"]);
}

/// Names of local and peered Envoy clusters have different forms, but a datacenter called `external` and a peer that
/// chooses its trust domain well make them meet.
#[test]
fn a_peer_cannot_take_the_name_of_a_local_cluster() {
    let mut world = World::new();
    let Row::Roots(plain) = roots("A") else {
        panic!("roots are roots");
    };
    let external = CaRoots {
        datacenter: Datacenter::new("external").unwrap(),
        ..(*plain).clone()
    };
    let domain = "internal-v1.local.consul";
    let local = Upstream {
        partition: Partition::new("east").unwrap(),
        ..upstream("db", None, 1)
    };
    world.put([
        Row::Roots(Arc::new(external)),
        node(None, "n1", "10.0.0.1"),
        row(sidecar(
            "n1",
            "web",
            20000,
            vec![upstream("db", Some("east"), 2), local],
        )),
        peering("east", PeeringState::Active),
        bundle("east", domain, &["E"]),
        node(Some("east"), "g1", "192.0.2.1"),
        row(import(
            "east",
            "g1",
            "db",
            ("198.51.100.1", 8443),
            meta("db", "us", domain),
        )),
    ]);
    let mut mesh = Mesh::new(world.shared());
    let view = mesh.watch(&instance_key("n1", WEB)).unwrap();
    let of_local = "cluster db.default.east.external.internal-v1.local.consul eds 5000ms eject 10%\n  \
        tls db.default.east.external.internal-v1.local.consul by roots~local\n  \
        to spiffe://local.consul/ap/east/ns/default/dc/external/svc/db\n\
        endpoints db.default.east.external.internal-v1.local.consul";
    assert_eq!(db_of(&view), of_local);
    let moved = import(
        "east",
        "g1",
        "db",
        ("198.51.100.2", 8443),
        meta("db", "us", domain),
    );
    let changes = world.put([row(moved)]);
    assert_eq!(mesh.update(world.shared(), &changes), []);
    assert_eq!(db_of(&mesh.view(&instance_key("n1", WEB)).unwrap()), of_local);
}
