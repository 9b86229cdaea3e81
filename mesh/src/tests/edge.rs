//! Views of gateways at the edge of the mesh.

use super::entries::{
    api, certificate, http_route, ingress, let_in, port, redirect, router, splitter, tcp_route,
};
use super::render::assert_view;
use super::world::*;
use crate::{Mesh, View};
use peerway_model::config::{EdgeTerms, HeaderEdits, IngressService, Limits, Protocol};
use peerway_model::instance::GatewayMode;
use peerway_model::{PeeringState, ServiceKind};
use std::sync::Arc;

fn view_of(world: &World) -> Option<Arc<View>> {
    Mesh::new(world.shared()).watch(&instance_key("n1", "edge"))
}

/// The gateway, two services that speak HTTP and one that does not, all with sidecars, and two of a peer.
fn start() -> World {
    let mut world = World::new();
    let peered = |service: &str, spoken| {
        let meta = speaks(spoken, meta(service, "us", "east.consul"));
        row(import("east", "g", service, ("198.51.100.1", 8443), meta))
    };
    world.put([
        node(None, "n1", "10.0.0.1"),
        row(edge("n1")),
        row(sidecar("n1", "api", 20_001, vec![])),
        row(sidecar("n1", "web", 20_002, vec![])),
        row(sidecar("n1", "db", 20_003, vec![])),
        protocol(Some("api"), Protocol::Http),
        protocol(Some("web"), Protocol::Http),
        peering("east", PeeringState::Active),
        bundle("east", "east.consul", &["E"]),
        node(Some("east"), "g", "192.0.2.1"),
        peered("api", Protocol::Http),
        peered("db", Protocol::Tcp),
    ]);
    world
}

#[test]
fn without_an_entry_it_lets_nobody_in() {
    assert_view(
        view_of(&start()).as_ref(),
        "identity spiffe://local.consul/ns/default/dc/dc1/svc/edge",
    );
}

#[test]
fn requests_go_by_their_host_and_bytes_by_the_port() {
    let mut world = start();
    world.put([ingress(vec![
        port(
            8080,
            Protocol::Http,
            false,
            vec![let_in("api", &["Api.example.com"]), let_in("web", &[])],
        ),
        port(9000, Protocol::Tcp, false, vec![let_in("db", &[])]),
    ])]);
    assert_view(
        view_of(&world).as_ref(),
        r#"
        identity spiffe://local.consul/ns/default/dc/dc1/svc/edge
        validation roots~local local.consul="A\n"
        cluster api.default.dc1.internal.local.consul http eds 5000ms eject 10%
          tls api.default.dc1.internal.local.consul by roots~local
          to spiffe://local.consul/ns/default/dc/dc1/svc/api
        cluster db.default.dc1.internal.local.consul eds 5000ms eject 10%
          tls db.default.dc1.internal.local.consul by roots~local
          to spiffe://local.consul/ns/default/dc/dc1/svc/db
        cluster web.default.dc1.internal.local.consul http eds 5000ms eject 10%
          tls web.default.dc1.internal.local.consul by roots~local
          to spiffe://local.consul/ns/default/dc/dc1/svc/web
        endpoints api.default.dc1.internal.local.consul
          10.0.0.1:20001 up 1
        endpoints db.default.dc1.internal.local.consul
          10.0.0.1:20003 up 1
        endpoints web.default.dc1.internal.local.consul
          10.0.0.1:20002 up 1
        listener db:0.0.0.0:9000 Outbound
          any -> db.default.dc1.internal.local.consul as upstream.db.default.default.dc1
        listener http:0.0.0.0:8080 Outbound
          any -> http Outside named 8080 as ingress_upstream_8080
        routes 8080
          api for api.example.com,api.example.com:8080
            -> api.default.dc1.internal.local.consul 15000ms
          web for web.ingress.*
            -> web.default.dc1.internal.local.consul 15000ms
        "#,
    );
}

#[test]
fn a_service_of_a_peer_is_named_like_any_other() {
    let mut world = start();
    world.put([
        ingress(vec![
            port(
                8080,
                Protocol::Http,
                false,
                vec![let_in("api", &[]), let_in("api@east", &[])],
            ),
            port(9000, Protocol::Tcp, false, vec![let_in("db@east", &[])]),
        ]),
        row(gateway("n1", 8443)),
        service_defaults("edge", Some(GatewayMode::Local)),
    ]);
    assert_view(
        view_of(&world).as_ref(),
        r#"
        identity spiffe://local.consul/ns/default/dc/dc1/svc/edge
        validation roots~local local.consul="A\n"
        validation roots~peer~default~east east.consul="E\n"
        cluster api.default.dc1.internal.local.consul http eds 5000ms eject 10%
          tls api.default.dc1.internal.local.consul by roots~local
          to spiffe://local.consul/ns/default/dc/dc1/svc/api
        cluster api.default.east.external.east.consul http eds 5000ms eject 100%
          tls api.default.default.us.external.east.consul by roots~peer~default~east
          to spiffe://east.consul/ns/default/dc/dc9/svc/api
          to spiffe://east.consul/gateway/mesh/dc/dc9
        cluster db.default.east.external.east.consul eds 5000ms eject 100%
          tls db.default.default.us.external.east.consul by roots~peer~default~east
          to spiffe://east.consul/ns/default/dc/dc9/svc/db
          to spiffe://east.consul/gateway/mesh/dc/dc9
        endpoints api.default.dc1.internal.local.consul
          10.0.0.1:20001 up 1
        endpoints api.default.east.external.east.consul
          10.0.0.1:8443 up 1
        endpoints db.default.east.external.east.consul
          10.0.0.1:8443 up 1
        listener db?peer=east:0.0.0.0:9000 Outbound
          any -> db.default.east.external.east.consul as upstream_peered.db.default.east
        listener http:0.0.0.0:8080 Outbound
          any -> http Outside named 8080 as ingress_upstream_8080
        routes 8080
          api for api.ingress.*
            -> api.default.dc1.internal.local.consul 15000ms
          api?peer=east for api.ingress.east.peer.*
            -> api.default.east.external.east.consul 15000ms
        "#,
    );
}

#[test]
fn a_redirect_leads_to_a_peer_too() {
    let mut world = start();
    world.put([
        redirect("web", "api@east"),
        ingress(vec![port(8080, Protocol::Http, false, vec![let_in("web", &[])])]),
    ]);
    assert_view(
        view_of(&world).as_ref(),
        r#"
        identity spiffe://local.consul/ns/default/dc/dc1/svc/edge
        validation roots~peer~default~east east.consul="E\n"
        cluster api.default.east.external.east.consul http eds 5000ms eject 100% keepalive
          tls api.default.default.us.external.east.consul by roots~peer~default~east
          to spiffe://east.consul/ns/default/dc/dc9/svc/api
          to spiffe://east.consul/gateway/mesh/dc/dc9
        endpoints api.default.east.external.east.consul
          198.51.100.1:8443 up 1
        listener http:0.0.0.0:8080 Outbound
          any -> http Outside named 8080 as ingress_upstream_8080
        routes 8080 web for web.ingress.* -> api.default.east.external.east.consul 15000ms
        "#,
    );
}

#[test]
fn a_wildcard_stands_for_what_speaks_the_same_and_is_not_named() {
    let mut world = start();
    let said = IngressService {
        request_headers: HeaderEdits {
            remove: ["x-a".to_owned()].into(),
            ..HeaderEdits::default()
        },
        terms: EdgeTerms {
            limits: Limits {
                max_connections: Some(7),
                ..Limits::default()
            },
            passive_health_check: None,
        },
        ..let_in("*", &[])
    };
    world.put([ingress(vec![port(
        8080,
        Protocol::Http,
        false,
        vec![said, let_in("web", &["*"])],
    )])]);
    assert_view(
        view_of(&world).as_ref(),
        r#"
        identity spiffe://local.consul/ns/default/dc/dc1/svc/edge
        validation roots~local local.consul="A\n"
        cluster api.default.dc1.internal.local.consul http eds 5000ms eject 10%
          on Terms { limits: Limits { max_connections: Some(7), max_pending_requests: None, max_concurrent_requests: None }, passive: PassiveHealthCheck { interval_ms: None, max_failures: None, enforcing_consecutive_5xx: None, max_ejection_percent: None, base_ejection_ms: None } }
          tls api.default.dc1.internal.local.consul by roots~local
          to spiffe://local.consul/ns/default/dc/dc1/svc/api
        cluster web.default.dc1.internal.local.consul http eds 5000ms eject 10%
          tls web.default.dc1.internal.local.consul by roots~local
          to spiffe://local.consul/ns/default/dc/dc1/svc/web
        endpoints api.default.dc1.internal.local.consul
          10.0.0.1:20001 up 1
        endpoints web.default.dc1.internal.local.consul
          10.0.0.1:20002 up 1
        listener http:0.0.0.0:8080 Outbound
          any -> http Outside named 8080 as ingress_upstream_8080
        routes 8080
          web
            -> web.default.dc1.internal.local.consul 15000ms
          api for api.ingress.* with HeaderEdits { add: {}, set: {}, remove: {"x-a"} }
            -> api.default.dc1.internal.local.consul 15000ms
        "#,
    );
}

#[test]
fn certificates_are_made_for_the_hosts_of_ports_with_tls() {
    let mut world = start();
    let secure = |services| port(8443, Protocol::Http, true, services);
    let names = |world: &World| {
        view_of(world)
            .map(|view| view.dns_names.clone())
            .unwrap_or_default()
    };
    world.put([ingress(vec![port(
        8080,
        Protocol::Http,
        false,
        vec![let_in("api", &["a.com"])],
    )])]);
    assert_eq!(names(&world), [""; 0]);
    world.put([ingress(vec![
        secure(vec![
            let_in("api", &["A.com", "*.b.com"]),
            let_in("web", &[]),
            let_in("api@east", &[]),
        ]),
        port(8080, Protocol::Http, false, vec![let_in("api", &["c.com"])]),
    ])]);
    assert_eq!(
        names(&world),
        [
            "*.b.com",
            "*.ingress.consul",
            "*.ingress.dc1.consul",
            "a.com",
            "api.ingress.east.peer.consul",
            "api.ingress.east.peer.dc1.consul",
        ]
    );
    // The registration of another kind under the name has none of it.
    world.put([row(peerway_model::Instance {
        kind: ServiceKind::Typical,
        ..edge("n1")
    })]);
    assert_view(view_of(&world).as_ref(), "nothing");
}

fn front_of(world: &World) -> Option<Arc<View>> {
    Mesh::new(world.shared()).watch(&instance_key("n1", "front"))
}

#[test]
fn routes_attach_themselves_to_an_api_gateway() {
    let mut world = start();
    world.put([
        row(front("n1")),
        // What the router says is not asked, what the splitter says is.
        router("api", &[("/x", "web")]),
        splitter("api", &[(2_500, "web"), (7_500, "api@east")]),
        api(&[
            (8090, Protocol::Http, Some("*.example.com"), &["c1", "c2"]),
            (8091, Protocol::Tcp, None, &[]),
        ]),
        certificate("c1", "A"),
        http_route(
            "r1",
            Some("l8090"),
            &["a.example.com", "b.com"],
            &[("/", &[(1, "api"), (3, "web")])],
        ),
        http_route(
            "r2",
            None,
            &[],
            &[("/a/b", &[(1, "web")]), ("/a", &[(1, "api@east")])],
        ),
        http_route("r3", None, &["a.example.com"], &[("/longer", &[(1, "web")])]),
        tcp_route("t1", "db@east"),
        tcp_route("t2", "db"),
    ]);
    assert_view(
        front_of(&world).as_ref(),
        r#"
        identity spiffe://local.consul/ns/default/dc/dc1/svc/front
        validation roots~local local.consul="A\n"
        validation roots~peer~default~east east.consul="E\n"
        certificate certificate~c1.default.default "-----BEGIN CERTIFICATE-----A"
        cluster api.default.east.external.east.consul http eds 5000ms eject 100% keepalive
          tls api.default.default.us.external.east.consul by roots~peer~default~east
          to spiffe://east.consul/ns/default/dc/dc9/svc/api
          to spiffe://east.consul/gateway/mesh/dc/dc9
        cluster db.default.east.external.east.consul eds 5000ms eject 100% keepalive
          tls db.default.default.us.external.east.consul by roots~peer~default~east
          to spiffe://east.consul/ns/default/dc/dc9/svc/db
          to spiffe://east.consul/gateway/mesh/dc/dc9
        cluster web.default.dc1.internal.local.consul http eds 5000ms eject 10%
          tls web.default.dc1.internal.local.consul by roots~local
          to spiffe://local.consul/ns/default/dc/dc1/svc/web
        endpoints api.default.east.external.east.consul
          198.51.100.1:8443 up 1
        endpoints db.default.east.external.east.consul
          198.51.100.1:8443 up 1
        endpoints web.default.dc1.internal.local.consul
          10.0.0.1:20002 up 1
        listener db?peer=east:0.0.0.0:8091 Outbound
          any -> db.default.east.external.east.consul as upstream_peered.db.default.east
        listener http:0.0.0.0:8090 Outbound
          any -> http2 Outside named 8090 as ingress_upstream_8090 serving in TLS with certificate~c1.default.default
        routes 8090
          *.example.com for *.example.com,*.example.com:8090
            Prefix("/a/b") -> web.default.dc1.internal.local.consul 15000ms
            Prefix("/a") -> api.default.east.external.east.consul 15000ms
          a.example.com for a.example.com,a.example.com:8090
            Prefix("/longer") -> web.default.dc1.internal.local.consul 15000ms
            Prefix("/") -> 625 web.default.dc1.internal.local.consul + 1875 api.default.east.external.east.consul + 7500 web.default.dc1.internal.local.consul 15000ms
        "#,
    );
}

#[test]
fn a_port_never_speaks_without_the_tls_that_it_is_told_to() {
    let mut world = start();
    world.put([
        row(front("n1")),
        api(&[(8090, Protocol::Http, None, &["c1"])]),
        http_route("r1", None, &[], &[("/", &[(1, "web")])]),
    ]);
    assert_view(
        front_of(&world).as_ref(),
        "identity spiffe://local.consul/ns/default/dc/dc1/svc/front",
    );
}
