//! Views where a service speaks HTTP: requests instead of bytes, and a gateway that ends the TLS of peers.

use super::render::assert_view;
use super::world::*;
use crate::{Fragment, Http, Lets, Mesh, Policy, Traffic, View};
use peerway_model::PeeringState;
use peerway_model::config::Action::{Allow, Deny};
use peerway_model::config::{Protocol, Verdict};
use std::sync::Arc;

fn view_of(world: &World, id: &str) -> Option<Arc<View>> {
    Mesh::new(world.shared()).watch(&instance_key("n1", id))
}

/// `api`, which speaks `spoken`, with a sidecar and a gateway beside it; exported to `east`.
fn start(spoken: Protocol) -> World {
    let mut world = World::new();
    world.put([
        node(None, "n1", "10.0.0.1"),
        row(gateway("n1", 8443)),
        row(app("n1", "api", 8080)),
        row(sidecar("n1", "api", 20000, vec![])),
        peering("east", PeeringState::Active),
        bundle("east", "east.consul", &["E"]),
        protocol(Some("api"), spoken),
        exports(&[("api", &["east"])]),
        intentions(
            "api",
            &[
                ("web", None, Allow),
                ("*", Some("east"), Allow),
                ("bad", Some("east"), Deny),
            ],
        ),
    ]);
    world
}

#[test]
fn a_sidecar_is_told_by_its_gateways_who_calls_from_a_peer() {
    assert_view(
        view_of(&start(Protocol::Grpc), "api-sidecar-proxy").as_ref(),
        r#"
        identity spiffe://local.consul/ns/default/dc/dc1/svc/api
        validation roots~local local.consul="A\n"
        cluster local_app grpc static 127.0.0.1:8080 5000ms
        listener public_listener:0.0.0.0:20000 Inbound
          any -> grpc Append public_listener public_listener -> local_app as public_listener by roots~local
            as lines~api.default.default and requests~api.default.default say
        policy lines~api.default.default
            one line of []
        policy requests~api.default.default
            requests, believing local.consul/default
            east.consul/default/default/* but east.consul/default/default/bad by gateway
            local.consul/default/default/web by itself
        "#,
    );
}

#[test]
fn a_gateway_ends_the_tls_of_exactly_the_peers_that_a_service_is_exported_to() {
    let mut world = start(Protocol::Http2);
    world.put([
        peering("west", PeeringState::Active),
        bundle("west", "west.consul", &["W"]),
    ]);
    assert_view(
        view_of(&world, "gateway").as_ref(),
        r#"
        identity spiffe://local.consul/gateway/mesh/dc/dc1
        validation inbound~api.default.default east.consul="E\n" local.consul="A\n"
        validation roots~local local.consul="A\n"
        cluster exported~api.default.dc1.internal.local.consul http2 eds 5000ms eject 10%
          tls api.default.dc1.internal.local.consul by roots~local
          to spiffe://local.consul/ns/default/dc/dc1/svc/api
        endpoints exported~api.default.dc1.internal.local.consul
          10.0.0.1:20000 up 1
        listener default:0.0.0.0:8443 Unspecified
          api.default.default.east.external.local.consul -> http2 Replace named api as mesh_gateway_local_peered.api.default.default.dc1 by inbound~api.default.default
        routes api api.default -> exported~api.default.dc1.internal.local.consul
        "#,
    );
}

fn outbound(view: &View) -> Vec<Http> {
    let listeners = view.fragments.iter().filter_map(|held| match &**held {
        Fragment::Listener(listener) if listener.direction == crate::Direction::Outbound => Some(listener),
        _ => None,
    });
    let traffic = listeners.map(|listener| listener.chains[0].traffic.clone());
    traffic
        .filter_map(|traffic| match traffic {
            Traffic::Http(http) => Some(http),
            Traffic::Tcp(_) => None,
        })
        .collect()
}

#[test]
fn upstreams_speak_what_the_service_or_its_exporter_says() {
    let mut world = start(Protocol::Http);
    let db = |spoken| {
        let meta = speaks(spoken, meta("db", "us", "east.consul"));
        row(import("east", "g", "db", ("198.51.100.1", 8443), meta))
    };
    let upstreams = vec![upstream("api", None, 1), upstream("db", Some("east"), 2)];
    world.put([
        node(Some("east"), "g", "192.0.2.1"),
        db(Protocol::Grpc),
        row(sidecar("n1", "web", 20001, upstreams)),
        // What an importer says about a name of its own does not make its peer speak it.
        protocol(Some("db"), Protocol::Tcp),
    ]);
    let mut mesh = Mesh::new(world.shared());
    let view = mesh.watch(&instance_key("n1", "web-sidecar-proxy")).unwrap();
    let spoken: Vec<Protocol> = outbound(&view).iter().map(|http| http.protocol).collect();
    assert_eq!(spoken, [Protocol::Http, Protocol::Grpc]);
    let changes = world.put([db(Protocol::Tcp)]);
    mesh.update(world.shared(), &changes);
    let view = mesh.view(&instance_key("n1", "web-sidecar-proxy")).unwrap();
    assert_eq!(outbound(&view).len(), 1);
}

#[test]
fn a_service_that_begins_to_speak_http_is_treated_so_everywhere() {
    let mut world = start(Protocol::Tcp);
    let mut mesh = Mesh::new(world.shared());
    for id in ["api-sidecar-proxy", "gateway"] {
        mesh.watch(&instance_key("n1", id));
    }
    let changes = world.put([protocol(None, Protocol::Http)]);
    assert_eq!(mesh.update(world.shared(), &changes).len(), 0);
    let changes = world.put([protocol(Some("api"), Protocol::Http)]);
    assert_eq!(mesh.update(world.shared(), &changes).len(), 2);
    for id in ["api-sidecar-proxy", "gateway"] {
        let key = instance_key("n1", id);
        assert_eq!(mesh.view(&key), Mesh::new(world.shared()).watch(&key));
    }
}

#[test]
fn permissions_reach_the_sidecar_of_an_http_service_and_nobody_else() {
    let mut world = start(Protocol::Http);
    world.put([verdicts(
        "api",
        &[
            ("web", None, below("/a", Allow)),
            ("app", Some("east"), below("/a", Allow)),
            ("all", None, Verdict::Always(Allow)),
            ("none", None, below("/a", Deny)),
        ],
    )]);
    let fragments = |world: &World| view_of(world, "api-sidecar-proxy").unwrap();
    let authorization = |world: &World| {
        let view = fragments(world);
        let found = view.fragments.iter().find_map(|fragment| match &**fragment {
            Fragment::Policy(Policy {
                lets: Lets::Requests(authorization),
                ..
            }) => Some(authorization.clone()),
            _ => None,
        });
        found.unwrap()
    };
    let grants: Vec<(bool, usize)> = authorization(&world)
        .grants
        .iter()
        .map(|grant| (grant.requests == crate::Requests::All, grant.callers.len()))
        .collect();
    assert_eq!(grants, [(true, 1), (false, 2)]);
    // A service that speaks tcp has no requests, so only who may send all of them is let in.
    world.put([protocol(Some("api"), Protocol::Tcp)]);
    let text = super::render::view(&fragments(&world));
    let (_, callers) = text.split_once("Allow only\n").unwrap();
    assert_eq!(callers.trim(), "local.consul/default/default/all");
}
