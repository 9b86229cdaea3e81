//! Calls of services that speak HTTP, within a cluster and across peers, on real Envoys: what arrives, what is refused,
//! and that nobody can pass for another caller.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "http/scene.rs"]
mod scene;

use anyhow::bail;
use peerway_cli::demo::stage::wait_for;
use peerway_tests::{ENVOY_ENV, OLDEST_ENVOY_ENV};
use scene::{Http, SETTLE, get, request};

/// The value of `x-forwarded-client-cert` that api's application got with a request, by elements.
fn told(answer: &scene::Answer) -> Vec<String> {
    let headers = answer.json()["headers"].clone();
    let values: Vec<String> = headers
        .as_array()
        .unwrap()
        .iter()
        .filter(|header| header[0] == "x-forwarded-client-cert")
        .map(|header| header[1].as_str().unwrap().to_owned())
        .collect();
    assert!(values.len() <= 1, "{values:?}");
    values
        .iter()
        .flat_map(|value| value.split(','))
        .map(str::to_owned)
        .collect()
}

/// Checks one element: who wrote it about whom, and nothing else in it.
fn says(element: &str, by: &str, about: &str) {
    let parts: Vec<&str> = element.split(';').collect();
    let [writer, hash, name] = parts.as_slice() else {
        panic!("{element}");
    };
    let hash = hash.strip_prefix("Hash=").unwrap();
    assert!(
        hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()),
        "{element}"
    );
    assert_eq!(
        (*writer, *name),
        (&*format!("By={by}"), &*format!("URI={about}")),
        "{element}"
    );
}

fn calls_cross_peers(envoy: &str, protocol: &str, version: &str) {
    let http = Http::start(envoy, protocol);
    http.west_intention(r#"{ Name = "web" Peer = "east" Action = "allow" }"#);
    let answer = http.wait_web(200);
    assert_eq!(answer.json()["version"], version);
    let elements = told(&answer);
    assert_eq!(elements.len(), 2, "{elements:?}");
    says(&elements[0], &http.gateway_id(), &http.id("east", "web"));
    says(&elements[1], &http.id("west", "api"), &http.gateway_id());

    // Whoever is not listed is refused by api's sidecar, with an answer and not with a broken connection.
    http.wait_other(403);
    let before = http.scene.api.denied().unwrap();
    let refused = http.other(&get("/hello"));
    if protocol == "grpc" {
        let refused = http.other(&get("/hello").header("content-type", "application/grpc"));
        assert_eq!(refused.header("grpc-status"), Some("7"), "{refused:?}");
    }
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(http.scene.api.denied().unwrap() > before);

    // What an application says about its caller reaches nobody.
    let forged = format!("By={};Hash=ab;URI={}", http.gateway_id(), http.id("east", "web"));
    let refused = http.other(&get("/hello").header("x-forwarded-client-cert", &forged));
    assert_eq!(refused.status, 403, "{refused:?}");
    let answer = http.web(&get("/hello").header("x-forwarded-client-cert", "URI=spiffe://x/y"));
    assert_eq!((answer.status, told(&answer).len()), (200, 2), "{answer:?}");
    http.finish();
}

#[test]
fn http_calls_cross_peers() {
    calls_cross_peers(ENVOY_ENV, "http", "HTTP/1.1");
}

#[test]
fn http2_calls_cross_peers() {
    calls_cross_peers(ENVOY_ENV, "http2", "HTTP/2.0");
}

/// Trap 1: with XFCC dropped for gRPC, no caller of a peer could ever be known.
#[test]
fn grpc_calls_cross_peers() {
    calls_cross_peers(ENVOY_ENV, "grpc", "HTTP/2.0");
}

#[test]
fn grpc_calls_cross_peers_with_the_oldest_envoy() {
    calls_cross_peers(OLDEST_ENVOY_ENV, "grpc", "HTTP/2.0");
}

/// Nobody is who they are not, with sidecars of their own or without: here the callers are plain TLS clients with
/// leaves that their clusters gave them.
fn nobody_passes_for_another(envoy: &str) {
    let http = Http::start(envoy, "http");
    http.west_intention(r#"{ Name = "web" Peer = "east" Action = "allow" }"#);
    http.wait_web(200);
    let forged = format!("By={};Hash=ab;URI={}", http.gateway_id(), http.id("east", "web"));
    let plain = get("/hello");
    let liar = get("/hello").header("x-forwarded-client-cert", &forged);
    let (exported, internal) = (http.exported_sni(), http.internal_sni());

    // A peer's caller at our gateway: what it says about itself is replaced by what its certificate says.
    let other = http.leaf("east", "other");
    assert_eq!(other.send(http.gateway(), &exported, &liar).unwrap().status, 403);
    let web = http.leaf("east", "web");
    let answer = web.send(http.gateway(), &exported, &liar).unwrap();
    assert_eq!(answer.status, 200);
    says(&told(&answer)[0], &http.gateway_id(), &http.id("east", "web"));

    // A local caller at the sidecar: it may write what only a gateway is believed for.
    http.west().register("spy");
    let spy = http.leaf("west", "spy");
    assert_eq!(spy.send(http.sidecar(), &internal, &liar).unwrap().status, 403);

    // Trap 4: a peer's certificate at the sidecar itself is refused before it can say anything.
    let refused = || http.scene.api.sum("ssl.fail_verify_error");
    let before = refused().unwrap();
    assert!(web.send(http.sidecar(), &internal, &plain).is_none());
    wait_for(
        "api's sidecar to refuse the certificate",
        SETTLE,
        || match refused()? {
            now if now > before => Ok(()),
            now => bail!("{now} failures"),
        },
    )
    .unwrap();
    // Our gateway does not even bring it there under the SNI that only we use, whoever asks.
    let before = refused().unwrap();
    for somebody in [&web, &spy] {
        let unknown = || http.scene.west_gateway.sum("no_filter_chain_match");
        let turned_away = unknown().unwrap();
        assert!(somebody.send(http.gateway(), &internal, &plain).is_none());
        wait_for(
            "west's gateway to turn the connection away",
            SETTLE,
            || match unknown()? {
                now if now > turned_away => Ok(()),
                now => bail!("{now} turned away"),
            },
        )
        .unwrap();
    }
    assert_eq!(refused().unwrap(), before);

    // The same ways are open to whom they are meant for, so the refusals above were decisions.
    http.west_intention(
        r#"{ Name = "web" Peer = "east" Action = "allow" }, { Name = "spy" Action = "allow" }"#,
    );
    wait_for("spy to be let in", SETTLE, || {
        match spy
            .send(http.sidecar(), &internal, &plain)
            .map(|answer| answer.status)
        {
            Some(200) => Ok(()),
            other => bail!("{other:?}"),
        }
    })
    .unwrap();
    let answer = spy.send(http.sidecar(), &internal, &plain).unwrap();
    assert_eq!(answer.status, 200);
    says(
        told(&answer).last().unwrap(),
        &http.id("west", "api"),
        &http.id("west", "spy"),
    );
    http.finish();
}

#[test]
fn nobody_passes_for_another_caller() {
    nobody_passes_for_another(ENVOY_ENV);
}

#[test]
fn nobody_passes_for_another_caller_with_the_oldest_envoy() {
    nobody_passes_for_another(OLDEST_ENVOY_ENV);
}

/// A path has one spelling when policy reads it, and none that the application would read differently.
#[test]
fn requests_are_put_straight_on_their_way() {
    let http = Http::start(ENVOY_ENV, "http");
    http.west_intention(r#"{ Name = "web" Peer = "east" Action = "allow" }"#);
    http.wait_web(200);
    for (asked, arrives) in [
        ("/a/../b", "/b"),
        ("//a///b", "/a/b"),
        ("/a/./b", "/a/b"),
        ("/%61", "/a"),
    ] {
        let answer = http.web(&get(asked));
        assert_eq!(answer.json()["path"], arrives, "{asked}");
    }
    for refused in ["/a%2fb", "/a%5cb", "/a%2Fb"] {
        assert_eq!(http.web(&get(refused)).status, 400, "{refused}");
    }
    let underscore = http.web(&get("/").header("x_role", "admin"));
    assert_eq!(underscore.status, 400, "{underscore:?}");
    let orders = http
        .leaf("east", "web")
        .send(
            http.gateway(),
            &http.exported_sni(),
            &get("/").header("x-envoy-upstream-alt-stat-name", "mine"),
        )
        .unwrap();
    assert_eq!(orders.status, 200);
    assert_eq!(http.scene.west_gateway.stats("mine").unwrap().len(), 0);
    http.finish();
}

/// Permissions across peers: what each request is answered with, and that no number, order or case of header lines,
/// nor another spelling of a path, gets around one.
fn permissions_decide_request_by_request(envoy: &str) {
    let http = Http::start(envoy, "http");
    http.west_intention(
        r#"{ Name = "web" Peer = "east" Permissions = [
            { Action = "deny" HTTP { Header = [{ Name = "X-Role" Contains = "ADMIN" IgnoreCase = true }] } },
            { Action = "deny" HTTP { PathPrefix = "/secret" } },
            { Action = "deny" HTTP { PathPrefix = "/tenant" Header = [{ Name = "x-tenant" Exact = "a" Invert = true }] } },
            { Action = "allow" HTTP { PathPrefix = "/team" Header = [{ Name = "x-team" Exact = "blue" }] } },
            { Action = "allow" HTTP { PathPrefix = "/tenant" Methods = ["GET"] } },
            { Action = "allow" HTTP { PathExact = "/hello" Methods = ["GET", "PUT"] } },
        ] }"#,
    );
    http.wait_web(200);
    let cases = [
        (200, get("/hello?x=/secret")),
        (200, request("PUT", "/hello")),
        (403, request("POST", "/hello")),
        (403, request("DELETE", "/hello")),
        (403, get("/hello/")),
        (403, get("/HELLO")),
        (403, get("/other")),
        (200, get("/x/../hello")),
        (200, get("//hello")),
        (200, get("/h%65llo")),
        (403, get("/secret")),
        (403, get("/team/../secret").header("x-team", "blue")),
        (403, get("/team//../..//secret").header("x-team", "blue")),
        (403, get("/team/%2e%2e/secret").header("x-team", "blue")),
        (400, get("/team%2f..%2fsecret").header("x-team", "blue")),
        // What allows: one line, the whole value.
        (200, get("/team").header("x-team", "blue")),
        (200, get("/team").header("X-TEAM", "blue")),
        (403, get("/team")),
        (403, get("/team").header("x-team", "Blue")),
        (403, get("/team").header("x-team", "blue,red")),
        (403, get("/team").header("x-team", "blue").header("x-team", "red")),
        (403, get("/team").header("x-team", "red").header("X-Team", "blue")),
        (
            403,
            get("/team").header("x-team", "blue").header("x-team", "blue"),
        ),
        // What denies: wherever it stands, and however many lines there are.
        (200, get("/hello").header("x-role", "user")),
        (403, get("/hello").header("x-role", "sysadmins")),
        (
            403,
            get("/hello").header("x-role", "user").header("x-role", "admin"),
        ),
        (
            403,
            get("/hello").header("x-role", "admin").header("x-role", "user"),
        ),
        (
            403,
            get("/hello").header("x-role", "user").header("x-role", "guest"),
        ),
        // An inverted condition that denies is not got around by leaving the header out.
        (200, get("/tenant").header("x-tenant", "a")),
        (403, get("/tenant").header("x-tenant", "b")),
        (403, get("/tenant")),
        (
            403,
            get("/tenant").header("x-tenant", "a").header("x-tenant", "b"),
        ),
        (400, get("/hello").header("x_role", "admin")),
        (400, get("/hello").header("x-odd", "a\0b")),
        (400, get("/hello\0")),
    ];
    let web = http.leaf("east", "web");
    for (status, request) in &cases {
        // Through web's own sidecar, and by a client of its own making at the gateway.
        assert_eq!(http.web(request).status, *status, "{request:?}");
        let answer = web.send(http.gateway(), &http.exported_sni(), request);
        assert_eq!(answer.map(|answer| answer.status), Some(*status), "{request:?}");
    }
    // The same permissions for a caller of the same cluster, at the sidecar itself.
    http.west().register("near");
    http.west_intention(
        r#"{ Name = "near" Permissions = [{ Action = "allow" HTTP { PathPrefix = "/team" Header = [{ Name = "x-team" Exact = "blue" }] } }] }"#,
    );
    http.wait_web(403);
    let near = http.leaf("west", "near");
    let ask = |request| {
        let answer = near.send(http.sidecar(), &http.internal_sni(), &request);
        answer.map(|answer| answer.status)
    };
    assert_eq!(ask(get("/team").header("x-team", "blue")), Some(200));
    assert_eq!(ask(get("/team").header("x-team", "red")), Some(403));
    assert_eq!(
        ask(get("/team").header("x-team", "blue").header("x-team", "red")),
        Some(403)
    );
    assert_eq!(ask(get("/hello")), Some(403));
    http.finish();
}

#[test]
fn permissions_decide_requests() {
    permissions_decide_request_by_request(ENVOY_ENV);
}

#[test]
fn permissions_decide_requests_with_the_oldest_envoy() {
    permissions_decide_request_by_request(OLDEST_ENVOY_ENV);
}
