//! Calls from outside through an API gateway, on real Envoys: by routes that attach themselves to it, over TLS with a
//! certificate of an operator's own, to services here and of a peer.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use anyhow::{bail, ensure};
use peerway_cli::demo::cluster::Cluster;
use peerway_cli::demo::envoy::Envoy;
use peerway_cli::demo::stage::{free_port, wait_for};
use peerway_tests::neighbours::{self, export_all, mesh_gateway};
use peerway_tests::openssl::self_signed;
use peerway_tests::plain::{self, Answer, Request};
use peerway_tests::{ENVOY_ENV, OLDEST_ENVOY_ENV, TestStage};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_peerway-e2e");
/// How long a state that must come may take.
const SETTLE: Duration = Duration::from_secs(20);

/// A service for requests, with its sidecar, whom those of `sources` may call.
fn service(cluster: &Cluster, test: &TestStage, name: &str, sources: &str) -> Envoy {
    let envoy = neighbours::service(cluster, &test.stage, name, "").unwrap();
    let speaks = format!("Kind = \"service-defaults\" Name = \"{name}\" Protocol = \"http\"");
    let allows = format!("Kind = \"service-intentions\" Name = \"{name}\" Sources = [{sources}]");
    for (what, text) in [("defaults", speaks), ("intentions", allows)] {
        cluster
            .write_config(&format!("{}-{name}-{what}.hcl", cluster.name), &text)
            .unwrap();
    }
    envoy
}

/// A certificate that nobody else vouches for, and its key, made by somebody else than Peerway: as HCL texts, and where
/// the certificate is.
fn certificate(test: &TestStage, host: &str) -> (String, String, PathBuf) {
    let folder = test.stage.dir();
    self_signed(folder, host, host, &format!("DNS:{host}")).unwrap();
    let at = |end: &str| folder.join(format!("{host}.{end}"));
    let text = |end: &str| std::fs::read_to_string(at(end)).unwrap().replace('\n', "\\n");
    (text("crt"), text("key"), at("crt"))
}

fn answered(port: u16, request: &Request, status: u16) -> Answer {
    let what = format!("{request:?} to be answered with {status}");
    wait_for(&what, SETTLE, || match plain::send(port, request)? {
        answer if answer.status == status => Ok(answer),
        answer => bail!("{answer:?}"),
    })
    .unwrap()
}

fn routes_lead_in(envoy: &str) {
    let test = TestStage::new(BINARY, envoy).unwrap();
    let east = Cluster::start(&test.stage, "east").unwrap();
    let west = Cluster::start(&test.stage, "west").unwrap();
    let mut envoys = vec![
        mesh_gateway(&west).unwrap(),
        service(
            &west,
            &test,
            "api",
            "{ Name = \"front\" Peer = \"east\" Action = \"allow\" }",
        ),
        service(&east, &test, "api", "{ Name = \"front\" Action = \"allow\" }"),
        service(&east, &test, "web", "{ Name = \"front\" Action = \"allow\" }"),
    ];
    export_all(&west, &east).unwrap();

    // A key that belongs to another certificate is refused before any proxy sees it.
    let (shop, key, shop_file) = certificate(&test, "shop.example.com");
    let (other, other_key, _) = certificate(&test, "other.example.com");
    let inline = |name: &str, certificate: &str, key: &str| {
        format!(
            "Kind = \"inline-certificate\" Name = \"{name}\" Certificate = \"{certificate}\" PrivateKey = \"{key}\""
        )
    };
    let error = east
        .write_config("wrong.hcl", &inline("shop", &shop, &other_key))
        .unwrap_err();
    let error = format!("{error:#}");
    assert!(
        error.contains("PrivateKey: is not the key of Certificate"),
        "{error}"
    );
    east.write_config("shop.hcl", &inline("shop", &shop, &key))
        .unwrap();
    east.write_config("other.hcl", &inline("other", &other, &other_key))
        .unwrap();
    let read = east.get("/v1/config/inline-certificate/shop").unwrap();
    assert!(
        read["PrivateKey"].is_null() && !read.to_string().contains("PRIVATE KEY"),
        "{read}"
    );

    let (plain, secure) = (free_port().unwrap(), free_port().unwrap());
    let front = format!(
        "Kind = \"api-gateway\" Name = \"front\" Listeners = [
            {{ Name = \"plain\" Port = {plain} Protocol = \"http\" }},
            {{ Name = \"secure\" Port = {secure} Protocol = \"http\" TLS {{ Certificates = [
                {{ Kind = \"inline-certificate\" Name = \"other\" }}, {{ Kind = \"inline-certificate\" Name = \"shop\" }} ] }} }} ]"
    );
    east.write_config("front.hcl", &front).unwrap();
    let parents = "Parents = [{ Kind = \"api-gateway\" Name = \"front\" }]";
    let shop_route = format!(
        "Kind = \"http-route\" Name = \"shop\" {parents} Hostnames = [\"shop.example.com\"] Rules = [
            {{ Services = [{{ Name = \"web\" }}] }},
            {{ Matches = [{{ Path {{ Match = \"prefix\" Value = \"/api\" }} }}]
               Filters {{ URLRewrite {{ Path = \"/\" }} Headers = [{{ Set {{ x-front = \"1\" }} }}] }}
               ResponseFilters {{ Headers = [{{ Set {{ x-back = \"1\" }} }}] }}
               Services = [{{ Name = \"api\" }}] }},
            {{ Matches = [{{ Path {{ Match = \"exact\" Value = \"/api/theirs\" }} }}]
               Services = [{{ Name = \"api\" Peer = \"west\" }}] }} ]"
    );
    east.write_config("shop-route.hcl", &shop_route).unwrap();
    let both = format!(
        "Kind = \"http-route\" Name = \"both\" {parents} Hostnames = [\"both.example.com\"] Rules = [
            {{ Services = [{{ Name = \"api\" }}, {{ Name = \"api\" Peer = \"west\" Weight = 3 }}] }} ]"
    );
    east.write_config("both-route.hcl", &both).unwrap();
    let registered = east
        .cli(&[
            "connect",
            "envoy",
            "-gateway=api",
            "-register",
            "-service=front",
            "-address=127.0.0.1",
            "-bootstrap",
        ])
        .unwrap();
    assert!(registered.contains("\"front\""), "{registered}");
    envoys.push(east.envoy("east-front", "-gateway=api").unwrap());
    for envoy in &envoys {
        envoy.wait_live(SETTLE).unwrap();
    }

    let ask = |path: &str| Request::get(path, "shop.example.com");
    // Whatever was written first, the rule that asks most of a request has it.
    assert_eq!(answered(plain, &ask("/"), 200).json()["service"], "east-web");
    let answer = answered(plain, &ask("/api/orders"), 200);
    assert_eq!(
        (&answer.json()["service"], &answer.json()["path"]),
        (&"east-api".into(), &"/orders".into())
    );
    assert!(
        answer.json()["headers"].to_string().contains("x-front"),
        "{answer:?}"
    );
    assert_eq!(answer.header("x-back"), Some("1"));
    assert_eq!(
        answered(plain, &ask("/api/theirs"), 200).json()["service"],
        "west-api"
    );
    answered(plain, &Request::get("/", "nobody.example.com"), 404);
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..60 {
        let answer = answered(plain, &Request::get("/", "both.example.com"), 200);
        *seen.entry(answer.json()["service"].to_string()).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), 2, "{seen:?}");

    // Of the certificates a client gets the one for the host that it asks for.
    let answer = wait_for("the certificate of the host", SETTLE, || {
        plain::over_tls(secure, "shop.example.com", &shop_file, &ask("/tls"))
    })
    .unwrap();
    assert_eq!(answer.json()["path"], "/tls");
    let wrong = plain::over_tls(secure, "other.example.com", &shop_file, &ask("/tls"));
    assert!(wrong.is_err(), "{wrong:?}");

    // Nothing is believed here either.
    for (path, status) in [("/a%2Fb", 400), ("/a%5cb", 400)] {
        answered(plain, &ask(path), status);
    }
    assert_eq!(
        answered(plain, &ask("/x/../api/../y"), 200).json()["service"],
        "east-web"
    );
    let liar = ask("/api/a").header("x-forwarded-client-cert", "URI=spiffe://x/y");
    let told = answered(plain, &liar, 200).json()["headers"].to_string();
    assert!(
        told.contains("/svc/front") && !told.contains("spiffe://x/y"),
        "{told}"
    );

    // What is said to have become of them is so.
    let conditions = |path: &str| {
        let entry = east.get(&format!("/v1/config/{path}")).unwrap();
        entry["Status"]["Conditions"].as_array().unwrap().clone()
    };
    let said = |path: &str, kind: &str| {
        let all = conditions(path);
        let found = all.iter().find(|one| one["Type"] == kind).unwrap();
        (found["Status"].clone(), found["Message"].clone())
    };
    for path in ["api-gateway/front", "http-route/shop", "http-route/both"] {
        for one in conditions(path) {
            let well = if one["Type"] == "Conflicted" {
                "False"
            } else {
                "True"
            };
            assert_eq!(one["Status"], well, "{path}: {one}");
        }
    }
    assert_eq!(
        said("http-route/shop", "Bound"),
        ("True".into(), "on plain, secure".into())
    );
    for name in ["shop", "other"] {
        let name = format!("-name={name}");
        east.cli(&["config", "delete", "-kind=inline-certificate", &name])
            .unwrap();
    }
    assert_eq!(said("api-gateway/front", "Accepted").0, "False");
    assert_eq!(
        said("http-route/shop", "Bound").1,
        format!("on plain; not on secure: port {secure} is closed, none of its certificates is there")
    );
    wait_for("the port to be closed", SETTLE, || {
        ensure!(TcpStream::connect(("127.0.0.1", secure)).is_err(), "it is open");
        Ok(())
    })
    .unwrap();
    answered(plain, &ask("/"), 200);
    test.finish().unwrap();
}

#[test]
fn routes_lead_in_from_outside() {
    routes_lead_in(ENVOY_ENV);
}

#[test]
fn routes_lead_in_from_outside_with_the_oldest_envoy() {
    routes_lead_in(OLDEST_ENVOY_ENV);
}
