//! Calls from outside the mesh through an ingress gateway, on real Envoys: by host, over TLS, to a service here and one
//! of a peer, with intentions on who the gateway is; and that nothing in a request is believed.

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
use peerway_tests::neighbours::{export_all, mesh_gateway, service};
use peerway_tests::plain::{self, Answer, Request};
use peerway_tests::{ENVOY_ENV, OLDEST_ENVOY_ENV, TestStage};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_peerway-e2e");
/// How long a state that must come may take.
const SETTLE: Duration = Duration::from_secs(20);

/// East with a gateway at its edge, a caller inside and an `api`; west, its peer, with an `api` and a `db` of its own.
struct World {
    test: TestStage,
    east: Cluster,
    west: Cluster,
    /// The ports of the gateway: requests, requests in TLS, and bytes for west's `db`.
    plain: u16,
    secure: u16,
    bytes: u16,
    /// Where the sidecar of `web` listens for its application: east's `api`.
    inside: u16,
    envoys: Vec<Envoy>,
}

impl World {
    fn start(envoy: &str) -> Self {
        let test = TestStage::new(BINARY, envoy).unwrap();
        let east = Cluster::start(&test.stage, "east").unwrap();
        let west = Cluster::start(&test.stage, "west").unwrap();
        let inside = free_port().unwrap();
        let calls =
            format!("proxy {{ upstreams = [{{ destination_name = \"api\" local_bind_port = {inside} }}] }}");
        let mut envoys = vec![
            mesh_gateway(&west).unwrap(),
            service(&west, &test.stage, "api", "").unwrap(),
            service(&west, &test.stage, "db", "").unwrap(),
            service(&east, &test.stage, "api", "").unwrap(),
            service(&east, &test.stage, "web", &calls).unwrap(),
        ];
        let speaks = "Kind = \"service-defaults\" Name = \"api\" Protocol = \"http\"";
        for cluster in [&east, &west] {
            cluster
                .write_config(&format!("{}-api.hcl", cluster.name), speaks)
                .unwrap();
        }
        export_all(&west, &east).unwrap();
        let (plain, secure, bytes) = (free_port().unwrap(), free_port().unwrap(), free_port().unwrap());
        let registered = east
            .cli(&[
                "connect",
                "envoy",
                "-gateway=ingress",
                "-register",
                "-service=edge",
                "-address=127.0.0.1:8443",
                "-bootstrap",
            ])
            .unwrap();
        assert!(registered.contains("\"edge\""), "{registered}");
        envoys.push(east.envoy("east-edge", "-gateway=ingress").unwrap());
        for envoy in &envoys {
            envoy.wait_live(SETTLE).unwrap();
        }
        World {
            test,
            east,
            west,
            plain,
            secure,
            bytes,
            inside,
            envoys,
        }
    }

    /// Lets `api` in on both ports for requests, west's as `theirs`, and west's `db` on that for bytes.
    fn open(&self) {
        let World {
            plain, secure, bytes, ..
        } = self;
        let text = format!(
            "Kind = \"ingress-gateway\" Name = \"edge\" Listeners = [
                {{ Port = {plain} Protocol = \"http\" Services = [
                    {{ Name = \"api\" Hosts = [\"ours.example.com\"]
                        ResponseHeaders {{ Set {{ x-edge = \"yes\" }} }} }},
                    {{ Name = \"api\" Peer = \"west\" Hosts = [\"*.theirs.example.com\"] }} ] }},
                {{ Port = {secure} Protocol = \"http\" TLS {{ Enabled = true }} Services = [
                    {{ Name = \"api\" Hosts = [\"ours.example.com\"] }} ] }},
                {{ Port = {bytes} Services = [{{ Name = \"db\" Peer = \"west\" }}] }}
            ]"
        );
        self.east.write_config("edge.hcl", &text).unwrap();
    }

    fn allow(cluster: &Cluster, service: &str, sources: &str) {
        let text = format!("Kind = \"service-intentions\" Name = \"{service}\" Sources = [{sources}]");
        let file = format!("{}-{service}-intentions.hcl", cluster.name);
        cluster.write_config(&file, &text).unwrap();
    }

    /// Waits until a request is answered with this status.
    fn answered(port: u16, request: &Request, status: u16) -> Answer {
        let what = format!("{request:?} to be answered with {status}");
        wait_for(&what, SETTLE, || match plain::send(port, request)? {
            answer if answer.status == status => Ok(answer),
            answer => bail!("{answer:?}"),
        })
        .unwrap()
    }

    /// The root certificate of east, in a file.
    fn root(&self) -> PathBuf {
        let roots = self.east.get("/v1/connect/ca/roots").unwrap();
        let pem = roots["Roots"][0]["RootCert"].as_str().unwrap();
        self.test.stage.write("east-root.pem", pem).unwrap().into()
    }
}

fn ours(path: &str) -> Request {
    Request::get(path, "ours.example.com")
}

/// The values of a header that arrived.
fn arrived(answer: &Answer, name: &str) -> Vec<String> {
    let body = answer.json();
    let headers = body["headers"].as_array().unwrap();
    let own = headers.iter().filter(|header| header[0] == name);
    own.map(|header| header[1].as_str().unwrap().to_owned()).collect()
}

fn calls_come_in(envoy: &str) {
    let world = World::start(envoy);
    World::allow(&world.east, "api", "{ Name = \"web\" Action = \"allow\" }");
    world.open();
    // Nobody said that the gateway may call.
    World::answered(world.plain, &ours("/"), 403);
    World::allow(
        &world.east,
        "api",
        "{ Name = \"web\" Action = \"allow\" }, { Name = \"edge\" Action = \"allow\" }",
    );
    let answer = World::answered(world.plain, &ours("/hello"), 200);
    assert_eq!(answer.json()["service"], "east-api");
    assert_eq!(answer.header("x-edge"), Some("yes"));
    let with_port = Request::get("/", &format!("OURS.example.com:{}", world.plain));
    World::answered(world.plain, &with_port, 200);
    for host in ["theirs.example.com", "api", "api.ingress.consul"] {
        World::answered(world.plain, &Request::get("/", host), 404);
    }

    // A service of the peer: its exporter knows who calls.
    let theirs = Request::get("/hello", "any.theirs.example.com");
    World::answered(world.plain, &theirs, 403);
    World::allow(
        &world.west,
        "api",
        "{ Name = \"edge\" Peer = \"east\" Action = \"allow\" }",
    );
    let answer = World::answered(world.plain, &theirs, 200);
    assert_eq!(answer.json()["service"], "west-api");
    World::allow(
        &world.west,
        "db",
        "{ Name = \"edge\" Peer = \"east\" Action = \"allow\" }",
    );
    let answer = World::answered(world.bytes, &Request::get("/", "whatever"), 200);
    assert_eq!(answer.json()["service"], "west-db");

    // TLS: the certificate is for the host, whoever calls has none.
    let root = world.root();
    let seen = wait_for("a certificate for the host", SETTLE, || {
        plain::over_tls(world.secure, "ours.example.com", &root, &ours("/tls"))
    })
    .unwrap();
    assert_eq!(seen.json()["path"], "/tls");
    let wrong = plain::over_tls(world.secure, "other.example.com", &root, &ours("/tls"));
    assert!(wrong.is_err(), "{wrong:?}");

    nothing_is_believed(&world);
    the_api_says_so(&world);
    for envoy in &world.envoys {
        envoy.has_rejected_nothing().unwrap();
    }
    world.test.finish().unwrap();
}

/// A request gets past the gateway exactly as it would past a sidecar, and what it says about itself is left behind.
fn nothing_is_believed(world: &World) {
    let ports = [world.plain, world.inside];
    for (path, read) in [
        ("/a/../b", "/b"),
        ("//a///b", "/a/b"),
        ("/./a", "/a"),
        ("/a/%2e%2e/b", "/b"),
    ] {
        for port in ports {
            let answer = World::answered(port, &ours(path), 200);
            assert_eq!(answer.json()["path"], read, "{path} on {port}");
        }
    }
    for path in ["/a%2Fb", "/a%2fb", "/a%5cb"] {
        for port in ports {
            World::answered(port, &ours(path), 400);
        }
    }
    for port in ports {
        World::answered(port, &ours("/").header("x_team", "blue"), 400);
    }
    // Whoever is connected is the gateway, and nobody else.
    let gateway = "spiffe://local/gateway/mesh/dc/east";
    let forged = format!("By={gateway};Hash=ab;URI=spiffe://local/ns/default/dc/east/svc/web");
    let liar = ours("/")
        .header("x-forwarded-client-cert", &forged)
        .header("x-envoy-max-retries", "9")
        .header("x-envoy-upstream-rq-timeout-ms", "1")
        .header("x-forwarded-for", "203.0.113.9");
    let answer = World::answered(world.plain, &liar, 200);
    let told = arrived(&answer, "x-forwarded-client-cert");
    let [told] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert!(told.ends_with("/svc/edge") && !told.contains(','), "{told}");
    assert_eq!(arrived(&answer, "x-envoy-max-retries"), [""; 0]);
    let from = arrived(&answer, "x-forwarded-for");
    let added = from[0].strip_prefix("203.0.113.9,");
    assert!(added.is_some_and(|address| !address.contains(',')), "{from:?}");
    // With no way in, a forged caller changes nothing.
    World::allow(&world.east, "api", "{ Name = \"web\" Action = \"allow\" }");
    World::answered(world.plain, &liar, 403);
}

/// What Consul's clients ask for.
fn the_api_says_so(world: &World) {
    let rows = world.east.get("/v1/catalog/gateway-services/edge").unwrap();
    let seen: Vec<(&Value, &Value, &Value)> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            assert_eq!(row["Gateway"]["Name"], "edge");
            assert_eq!(row["GatewayKind"], "ingress-gateway");
            (&row["Service"]["Name"], &row["Service"]["Peer"], &row["Port"])
        })
        .collect();
    assert_eq!(seen.len(), 4, "{rows}");
    assert_eq!(seen[0], (&"api".into(), &Value::Null, &world.plain.into()));
    assert_eq!(seen[3], (&"db".into(), &"west".into(), &world.bytes.into()));
    assert_eq!(rows[0]["Hosts"], serde_json::json!(["ours.example.com"]));
    let health = |path: &str| world.east.get(&format!("/v1/health/ingress/{path}")).unwrap();
    assert_eq!(health("api")[0]["Service"]["ID"], "edge");
    assert_eq!(health("api?peer=west")[0]["Service"]["Kind"], "ingress-gateway");
    assert_eq!(health("db").as_array().unwrap().len(), 0);
}

#[test]
fn calls_come_in_from_outside() {
    calls_come_in(ENVOY_ENV);
}

#[test]
fn calls_come_in_from_outside_with_the_oldest_envoy() {
    calls_come_in(OLDEST_ENVOY_ENV);
}

/// A port that is taken away is closed, and the services behind it stay what they are.
#[test]
fn ports_come_and_go_with_the_entry() {
    let world = World::start(ENVOY_ENV);
    World::allow(&world.east, "api", "{ Name = \"*\" Action = \"allow\" }");
    world.open();
    World::answered(world.plain, &ours("/"), 200);
    world
        .east
        .cli(&["config", "delete", "-kind=ingress-gateway", "-name=edge"])
        .unwrap();
    wait_for("the port to be closed", SETTLE, || {
        ensure!(plain::send(world.plain, &ours("/")).is_err(), "it answers");
        Ok(())
    })
    .unwrap();
    World::answered(world.inside, &ours("/"), 200);
    world.test.finish().unwrap();
}
