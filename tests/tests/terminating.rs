//! Services outside the mesh behind a terminating gateway, on real Envoys: called by local sidecars and by those of a
//! peer, as bytes and as requests, by address and by host name, with TLS towards the service; and by nobody whom its
//! intentions do not let in.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "terminating/outside.rs"]
mod outside;
#[path = "terminating/scene.rs"]
mod scene;

use peerway_tests::{ENVOY_ENV, OLDEST_ENVOY_ENV};
use scene::{Heard, LINKS, Scene};

/// What may be done with `pages`: read what is below `/open`.
const READERS: &str =
    r#"Permissions = [{ Action = "allow" HTTP { PathPrefix = "/open" Methods = ["GET"] } }]"#;

fn open_to_readers(peer: &str) -> String {
    format!(r#"{{ Name = "web" {peer} {READERS} }}"#)
}

fn local_callers(envoy: &str) {
    let scene = Scene::start(envoy);
    // Nobody may call what no intention speaks of.
    for service in ["bytes", "vault"] {
        scene.west_hears("web", service, &Heard::Nothing);
    }
    scene.west_asks("web", "/open", 403);

    scene.intend("bytes", r#"{ Name = "web" Action = "allow" }"#);
    scene.west_hears("web", "bytes", &Heard::Back);
    scene.west_hears("other", "bytes", &Heard::Nothing);

    scene.intend("pages", &open_to_readers(""));
    let answer = scene.west_asks("web", "/open/page", 200);
    assert_eq!(answer["service"], "outside");
    // It is registered under a host name, and told that one and not the one that the caller used.
    assert!(
        scene::header(&answer, "host").starts_with("localhost"),
        "{answer}"
    );
    scene.west_asks("web", "/closed", 403);
    scene.west_asks("other", "/open/page", 403);

    // TLS towards the service, which has to be who the entry says.
    scene.intend("vault", r#"{ Name = "web" Action = "allow" }"#);
    scene.west_hears("web", "vault", &Heard::Reversed);
    scene.west_hears("other", "vault", &Heard::Nothing);
    // Who loses the one keeps what is open to the other.
    let mut open = scene.connected("web", "bytes");
    scene.intend("vault", r#"{ Name = "web" Action = "deny" }"#);
    scene.west_hears("web", "vault", &Heard::Nothing);
    scene.drained();
    assert_eq!(scene::heard(&mut open).unwrap(), Heard::Back);
    scene.intend("vault", r#"{ Name = "web" Action = "allow" }"#);
    scene.west_hears("web", "vault", &Heard::Reversed);
    let strict = LINKS.replace("vault.example", "bank.example");
    assert_ne!(strict, LINKS);
    scene.link(&strict);
    scene.west_hears("web", "vault", &Heard::Nothing);
    // Without a name in the entry it has to be one of the addresses that it is registered with.
    let by_address = LINKS.replace(r#"SNI = "vault.example""#, "");
    scene.link(&by_address);
    scene.west_hears("web", "vault", &Heard::Reversed);
    scene.move_vault("localhost");
    scene.west_hears("web", "vault", &Heard::Nothing);
    scene.link(LINKS);
    scene.west_hears("web", "vault", &Heard::Reversed);
    // And the service wants to know who the gateway is.
    let shown = r#"CertFile = "FILES/gateway.pem" KeyFile = "FILES/gateway.key""#;
    scene.link(&LINKS.replace(shown, ""));
    scene.west_hears("web", "vault", &Heard::Nothing);
    scene.link(LINKS);
    scene.west_hears("web", "vault", &Heard::Reversed);

    // Whoever has no certificate of the mesh gets no answer, whatever name is asked for.
    scene.strangers_are_refused("bytes");

    let listed = scene.west.get("/v1/catalog/gateway-services/out").unwrap();
    let names: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["Service"]["Name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["bytes", "pages", "vault"]);
    assert_eq!(listed[2]["SNI"], "vault.example");
    let streams = r#"peerway_xds_streams{kind="terminating_gateway"}"#;
    assert_eq!(scene.west.metric(streams).unwrap(), 1.0);
    let met = scene.west.get("/v1/health/connect/bytes").unwrap();
    assert_eq!(met[0]["Service"]["Kind"], "terminating-gateway");

    // What is taken out of the entry is closed, and nothing else; a connection that is open ends.
    scene.link(&LINKS.replace(r#"{ Name = "bytes" },"#, ""));
    scene.west_hears("web", "bytes", &Heard::Nothing);
    assert!(scene::ends(&mut open));
    scene.west_asks("web", "/open/page", 200);
    scene
        .west
        .cli(&["config", "delete", "-kind=terminating-gateway", "-name=out"])
        .unwrap();
    scene.west_hears("web", "vault", &Heard::Nothing);
    scene.finish();
}

fn callers_of_a_peer(envoy: &str) {
    let scene = Scene::start(envoy);
    scene.introduce();
    scene.east_hears("web", "bytes", &Heard::Nothing);
    scene.intend("bytes", r#"{ Name = "web" Peer = "east" Action = "allow" }"#);
    scene.east_hears("web", "bytes", &Heard::Back);
    scene.east_hears("other", "bytes", &Heard::Nothing);
    // Somebody of the same name here is somebody else.
    scene.west_hears("web", "bytes", &Heard::Nothing);

    scene.intend("pages", &open_to_readers(r#"Peer = "east""#));
    let answer = scene.east_asks("web", "/open/page", 200);
    assert_eq!(answer["service"], "outside");
    scene.east_asks("web", "/closed", 403);
    scene.east_asks("other", "/open/page", 403);
    scene.west_asks("web", "/open/page", 403);

    scene.link(&LINKS.replace(r#"{ Name = "bytes" },"#, ""));
    scene.east_hears("web", "bytes", &Heard::Nothing);
    scene.east_asks("web", "/open/page", 200);
    // All that have no sidecar.
    scene.link(r#"{ Name = "*" }"#);
    scene.east_hears("web", "bytes", &Heard::Back);
    scene.east_asks("web", "/open/page", 200);
    scene.finish();
}

#[test]
fn local_callers_reach_what_is_outside() {
    local_callers(ENVOY_ENV);
}

#[test]
fn local_callers_reach_what_is_outside_with_the_oldest_envoy() {
    local_callers(OLDEST_ENVOY_ENV);
}

#[test]
fn callers_of_a_peer_reach_what_is_outside() {
    callers_of_a_peer(ENVOY_ENV);
}

#[test]
fn callers_of_a_peer_reach_what_is_outside_with_the_oldest_envoy() {
    callers_of_a_peer(OLDEST_ENVOY_ENV);
}
