//! Views of terminating gateways, and of those who call what is behind them.

use super::entries;
use super::render::assert_view;
use super::world::*;
use crate::{Chain, DownstreamTls, Fragment, Http, Mesh, Tcp, Traffic, View};
use peerway_model::config::{
    Action, LinkedService, Meta, Outward, Pattern, Protocol, ServiceResolver, TerminatingGateway,
};
use peerway_model::instance::Opaque;
use peerway_model::name::{Namespace, Partition};
use peerway_model::{
    CheckStatus, ConfigEntry, ConfigKey, ConfigKind, Instance, PeeringState, ServiceKey, ServiceKind,
};
use peerway_state::{Row, RowKey};
use std::sync::Arc;

/// The name of the gateway, and the id of its instances.
pub(super) const GATEWAY: &str = "out";
/// Ways to speak to a service outside: plain, TLS, TLS with a name, TLS with a name and a certificate; the host kept.
pub(super) const OUTWARD: [&str; 5] = ["", "tls", "sni", "shows", "keeps"];

fn outward(text: &str) -> Outward {
    let file = |name: &str| Some(format!("/etc/outside/{name}.pem"));
    let sni = || Some("db.example".to_owned());
    match text {
        "tls" => Outward {
            ca_file: file("ca"),
            ..Outward::default()
        },
        "sni" => Outward {
            sni: sni(),
            ..outward("tls")
        },
        "shows" => Outward {
            cert_file: file("cert"),
            key_file: file("key"),
            ..outward("sni")
        },
        "keeps" => Outward {
            keeps_host: true,
            ..Outward::default()
        },
        _ => Outward::default(),
    }
}

pub(super) fn entry(links: &[(&str, &str)]) -> Row {
    let link = |(name, how): &(&str, &str)| LinkedService {
        name: match *name {
            "*" => Pattern::Any,
            name => Pattern::Exact(service_name(name)),
        },
        namespace: Namespace::default(),
        outward: outward(how),
    };
    Row::Config(Arc::new(ConfigEntry::TerminatingGateway(TerminatingGateway {
        partition: Partition::default(),
        namespace: Namespace::default(),
        name: service_name(GATEWAY),
        services: links.iter().map(link).collect(),
        meta: Meta::new(),
    })))
}

pub(super) fn entry_key() -> ConfigKey {
    let kind = ConfigKind::TerminatingGateway;
    ConfigKey::new(kind, &Partition::default(), "default", GATEWAY)
}

/// The gateway on `node`.
pub(super) fn gateway(node: &str, port: u16, server_first: bool) -> Instance {
    let config = server_first.then(|| ("server_first".to_owned(), Opaque::Bool(true)));
    Instance {
        kind: ServiceKind::TerminatingGateway,
        gateway_config: config.into_iter().collect(),
        ..app(node, GATEWAY, port)
    }
}

/// An instance outside, registered on `node`.
pub(super) fn instance(node: &str, service: &str, address: &str) -> Instance {
    Instance {
        address: address.to_owned(),
        ..app(node, service, 5432)
    }
}

fn view_of(world: &World, id: &str) -> Option<Arc<View>> {
    Mesh::new(world.shared()).watch(&instance_key("n1", id))
}

/// A gateway in front of `db`, and `web` that calls it.
fn start() -> World {
    let mut world = World::new();
    world.put([
        node(None, "n1", "10.0.0.1"),
        node(None, "n2", "10.0.0.2"),
        row(instance("n1", "db", "10.0.0.7")),
        row(gateway("n1", 9443, false)),
        entry(&[("db", "")]),
        row(app("n1", "web", 8080)),
        row(sidecar("n1", "web", 20000, vec![upstream("db", None, 9000)])),
        intentions("db", &[("web", None, Action::Allow)]),
    ]);
    world
}

#[test]
fn a_gateway_shows_the_certificate_of_the_service_and_lets_in_whom_its_intentions_do() {
    let world = start();
    assert_view(
        view_of(&world, GATEWAY).as_ref(),
        r#"
        identity spiffe://local.consul/ns/default/dc/dc1/svc/out
        leaf leaf~db.default.default spiffe://local.consul/ns/default/dc/dc1/svc/db
        validation admitted~db.default.default local.consul="A\n"
          takes local.consul/default/default/web
        validation inbound~db.default.default local.consul="A\n"
        cluster db.default.dc1.internal.local.consul eds 5000ms eject 10% keepalive
        endpoints db.default.dc1.internal.local.consul
          10.0.0.7:5432 up 1
        listener default:0.0.0.0:9443 Unspecified
          db.default.dc1.internal.local.consul -> db.default.dc1.internal.local.consul as upstream.db.default.default.dc1 by inbound~db.default.default with leaf~db.default.default
            as connections~db.default.default says
        policy connections~db.default.default
            Allow only
            local.consul/default/default/web
        "#,
    );
}

#[test]
fn callers_dial_the_gateway_as_if_it_were_the_service() {
    let mut world = start();
    let expected = |members: &str| {
        format!(
            "cluster db.default.dc1.internal.local.consul eds 5000ms eject 10%
               tls db.default.dc1.internal.local.consul by roots~local
               to spiffe://local.consul/ns/default/dc/dc1/svc/db
             endpoints db.default.dc1.internal.local.consul{members}"
        )
    };
    let shown = |world: &World| {
        let view = view_of(world, "web-sidecar-proxy").unwrap();
        let own = View {
            fragments: view
                .fragments
                .iter()
                .filter(|held| held.name().starts_with("db.default"))
                .cloned()
                .collect(),
            ..View::clone(&view)
        };
        let text = super::render::view(&own);
        let lines: Vec<&str> = text.lines().skip(1).map(str::trim).collect();
        lines.join("\n")
    };
    let assert_shown = |world: &World, members: &str| {
        let expected = expected(members);
        let lines: Vec<&str> = expected.lines().map(str::trim).collect();
        assert_eq!(shown(world), lines.join("\n"));
    };
    assert_shown(&world, "\n10.0.0.1:9443 up 1");
    // A gateway is no better than what it stands for.
    world.put([check(node_key(None, "n1"), Some("db"), CheckStatus::Critical)]);
    assert_shown(&world, "\n10.0.0.1:9443 down 1");
    world.put([row(instance("n2", "db", "10.0.0.8"))]);
    assert_shown(&world, "\n10.0.0.1:9443 up 1");
    world.put([check(node_key(None, "n1"), Some(GATEWAY), CheckStatus::Critical)]);
    assert_shown(&world, "\n10.0.0.1:9443 down 1");
    world.put([entry(&[])]);
    assert_shown(&world, "");
}

#[test]
fn an_entry_for_all_means_those_that_have_no_sidecar() {
    let mut world = start();
    world.put([
        entry(&[("*", "tls"), ("mail", "")]),
        row(app("n2", "cache", 1)),
        row(sidecar("n2", "cache", 20001, vec![])),
    ]);
    let linked = |world: &World| -> Vec<String> {
        let view = view_of(world, GATEWAY).unwrap();
        view.leaves.iter().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(
        linked(&world),
        ["leaf~db.default.default", "leaf~mail.default.default"]
    );
    world.delete(RowKey::Instance(instance_key("n2", "cache-sidecar-proxy")));
    assert_eq!(
        linked(&world),
        [
            "leaf~cache.default.default",
            "leaf~db.default.default",
            "leaf~mail.default.default"
        ]
    );
    world.delete(RowKey::Config(entry_key()));
    let nothing = "identity spiffe://local.consul/ns/default/dc/dc1/svc/out";
    assert_view(view_of(&world, GATEWAY).as_ref(), nothing);
}

#[test]
fn what_speaks_http_is_judged_by_requests_and_told_its_own_host() {
    let mut world = start();
    world.put([
        protocol(Some("db"), Protocol::Http),
        row(instance("n1", "db", "db.example")),
        entry(&[("db", "tls")]),
    ]);
    let cluster = r"
        cluster db.default.dc1.internal.local.consul http dns db.example:5432 up 1 5000ms eject 10% keepalive
          outside tls None by /etc/outside/ca.pem
          to Host(NAME)";
    let listener = r"
        listener default:0.0.0.0:9443 Unspecified
          db.default.dc1.internal.local.consul -> http Append db db.default -> db.default.dc1.internal.local.consul for its host as upstream.db.default.default.dc1 by roots~local with leaf~db.default.default
            as lines~db.default.default and requests~db.default.default say";
    let text = super::render::view(&view_of(&world, GATEWAY).unwrap());
    let lines = |text: &str| {
        text.lines()
            .map(|line| line.trim().to_owned())
            .filter(|l| !l.is_empty())
            .collect::<Vec<_>>()
    };
    let found = lines(&text);
    for expected in [cluster.replace("NAME", "\"db.example\""), listener.to_owned()] {
        let expected = lines(&expected);
        assert!(
            found.windows(expected.len()).any(|part| part == expected),
            "{text}"
        );
    }
    world.put([entry(&[("db", "keeps")])]);
    let text = super::render::view(&view_of(&world, GATEWAY).unwrap());
    assert!(
        !text.contains("for its host") && !text.contains("outside tls"),
        "{text}"
    );
}

#[test]
fn bytes_of_peers_come_by_the_name_that_the_mesh_gateway_passes_on() {
    let mut world = start();
    world.put([
        row(super::world::gateway("n1", 8443)),
        peering("east", PeeringState::Active),
        bundle("east", "east.consul", &["E"]),
        exports(&[("db", &["east"]), ("store", &["east"])]),
        entries::redirect("store", "v1.db"),
        entries::resolved(ServiceResolver {
            subsets: entries::subsets(&[("v1", "")]),
            ..entries::plain_resolver("db")
        }),
    ]);
    let names = |world: &World, id: &str| -> Vec<Vec<String>> {
        let view = view_of(world, id).unwrap();
        let listeners = view.fragments.iter().filter_map(|held| match &**held {
            Fragment::Listener(listener) => Some(listener),
            _ => None,
        });
        listeners
            .flat_map(|listener| listener.chains.iter().map(|chain| chain.server_names.clone()))
            .collect()
    };
    let (own, led) = (
        "db.default.default.east.external.local.consul",
        "store.default.default.east.external.local.consul",
    );
    assert_eq!(names(&world, "gateway"), [[own], [led]]);
    assert_eq!(
        names(&world, GATEWAY),
        [
            ["db.default.dc1.internal.local.consul", own],
            [led, "v1.db.default.dc1.internal.local.consul"].map(|name| name),
        ]
        .map(|mut names| {
            names.sort_unstable();
            names
        })
    );
    let text = super::render::view(&view_of(&world, "gateway").unwrap());
    assert!(
        text.contains("endpoints exported~db.default.dc1.internal.local.consul\n  10.0.0.1:9443 up 1"),
        "{text}"
    );
    // Requests are looked at on the way: the mesh gateway calls for itself, by the name that everybody here uses.
    world.put([protocol(None, Protocol::Http)]);
    assert_eq!(
        names(&world, GATEWAY),
        [
            ["db.default.dc1.internal.local.consul"],
            ["v1.db.default.dc1.internal.local.consul"]
        ]
    );
}

#[test]
fn callers_are_decided_about_as_by_a_sidecar() {
    let mut world = start();
    world.put([row(app("n2", "db", 1)), row(sidecar("n2", "db", 20001, vec![]))]);
    for spoken in [Protocol::Tcp, Protocol::Http, Protocol::Http2, Protocol::Grpc] {
        world.put([protocol(Some("db"), spoken)]);
        let mut mesh = Mesh::new(world.shared());
        let mut chain = |node: &str, id: &str| -> Chain {
            let view = mesh.watch(&instance_key(node, id)).unwrap();
            let inbound = view.fragments.iter().find_map(|held| match &**held {
                Fragment::Listener(listener) => listener.chains.iter().find(|chain| chain.tls.is_some()),
                _ => None,
            });
            inbound.unwrap().clone()
        };
        let (own, outside) = (chain("n2", "db-sidecar-proxy"), chain("n1", GATEWAY));
        // Whose certificate is shown, and where it goes on, differ; who is let in does not.
        let expected = Chain {
            tls: own.tls.map(|tls| DownstreamTls {
                leaf: "leaf~db.default.default".to_owned(),
                ..tls
            }),
            traffic: match (own.traffic, &outside.traffic) {
                (Traffic::Tcp(own), Traffic::Tcp(outside)) => Traffic::Tcp(Tcp {
                    cluster: outside.cluster.clone(),
                    ..own
                }),
                (Traffic::Http(own), Traffic::Http(outside)) => Traffic::Http(Http {
                    routes: outside.routes.clone(),
                    ..own
                }),
                (own, _) => own,
            },
            ..outside.clone()
        };
        assert_eq!(outside, expected, "{spoken:?}");
    }
}

#[test]
fn only_linked_services_may_be_shown() {
    let mut world = start();
    let identity = |name: &str| peerway_model::SpiffeId::Service {
        trust_domain: peerway_model::TrustDomain::new(LOCAL_TD).unwrap(),
        partition: Partition::default(),
        namespace: Namespace::default(),
        datacenter: peerway_model::Datacenter::new("dc1").unwrap(),
        service: service_name(name),
    };
    let shows = |world: &World, id: &str, name: &str| {
        peerway_state::may_show(&world.snapshot, &instance_key("n1", id), &identity(name))
    };
    assert!(shows(&world, GATEWAY, "db") && shows(&world, GATEWAY, GATEWAY));
    assert!(!shows(&world, GATEWAY, "web") && !shows(&world, "web-sidecar-proxy", "db"));
    assert!(shows(&world, "web-sidecar-proxy", "web") && !shows(&world, "db", "db"));
    let virtual_address = |world: &World| {
        let db: ServiceKey = service_key("db", None);
        world.snapshot.virtual_address(&db).is_some()
    };
    assert!(virtual_address(&world));
    world.put([entry(&[("mail", "")])]);
    assert!(!shows(&world, GATEWAY, "db") && !virtual_address(&world));
    world.put([entry(&[("*", "")])]);
    assert!(shows(&world, GATEWAY, "db") && virtual_address(&world));
    world.put([row(sidecar("n2", "db", 20000, vec![]))]);
    assert!(!shows(&world, GATEWAY, "db") && virtual_address(&world));
}
