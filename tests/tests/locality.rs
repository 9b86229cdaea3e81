//! Instances that are near come first on real Envoys: calls stay in the caller's zone, go on to its region when nobody is
//! left there, then anywhere, then to what stands in for the service, and come back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use anyhow::{Context, Result, bail};
use peerway_cli::demo::cluster::Cluster;
use peerway_cli::demo::envoy::Envoy;
use peerway_cli::demo::stage::{free_port, wait_for};
use peerway_tests::{ENVOY_ENV, OLDEST_ENVOY_ENV, TestStage};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_peerway-e2e");
/// How long a state that must come may take.
const SETTLE: Duration = Duration::from_secs(20);
/// How many calls in a row have to go to one place.
const CALLS: usize = 30;
/// The instances of `api` by id, and where they say that they are: the first is where its node is.
const PLACES: [(&str, &str); 3] = [
    ("near", ""),
    ("region", "locality { region = \"eu-1\" zone = \"b\" }"),
    ("far", "locality { region = \"eu-2\" zone = \"a\" }"),
];
/// What stands in for `api`.
const SPARE: &str = "spare";

struct Scene {
    test: TestStage,
    cluster: Cluster,
    web: Envoy,
    upstream: u16,
    _others: Vec<Envoy>,
}

/// One call over a connection of its own; who answered it.
fn call(port: u16, user: usize) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(SETTLE))?;
    let request = format!("GET / HTTP/1.1\r\nhost: api\r\nx-user: {user}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, rest) = answer.split_once("\"service\":\"").context(answer.clone())?;
    let (name, _) = rest.split_once('"').context(answer.clone())?;
    Ok(name.to_owned())
}

fn serve(test: &TestStage, cluster: &Cluster, service: &str, id: &str, place: &str) -> Envoy {
    let (port, sidecar) = (free_port().unwrap(), free_port().unwrap());
    let listen = format!("-listen=127.0.0.1:{port}");
    let args = ["echo".to_owned(), listen, format!("-name={id}")];
    test.stage.start(&format!("echo-{id}"), &args).unwrap();
    let text = format!(
        "service {{\n name = \"{service}\"\n id = \"{id}\"\n address = \"127.0.0.1\"\n port = {port}\n {place}\n \
         connect {{ sidecar_service {{ port = {sidecar} }} }}\n}}"
    );
    cluster.register(&format!("{id}.hcl"), &text).unwrap();
    cluster.envoy(id, &format!("-sidecar-for={id}")).unwrap()
}

impl Scene {
    /// A server in zone a of eu-1, on whose node `web` and the first instance of `api` are.
    fn start(envoy: &str, protocol: &str) -> Self {
        let test = TestStage::new(BINARY, envoy).unwrap();
        let settings = "default_intention_policy = \"allow\"\nlocality { region = \"eu-1\" zone = \"a\" }\n";
        let cluster = Cluster::start_with(&test.stage, "home", settings).unwrap();
        for service in ["api", SPARE] {
            let text = format!("Kind = \"service-defaults\" Name = \"{service}\" Protocol = \"{protocol}\"");
            cluster
                .write_config(&format!("{service}-defaults.hcl"), &text)
                .unwrap();
        }
        let mut others: Vec<Envoy> = PLACES
            .iter()
            .map(|(id, place)| serve(&test, &cluster, "api", id, place))
            .collect();
        others.push(serve(&test, &cluster, SPARE, SPARE, ""));
        let (upstream, sidecar) = (free_port().unwrap(), free_port().unwrap());
        let text = format!(
            "service {{\n name = \"web\"\n port = 9\n connect {{ sidecar_service {{\n port = {sidecar}\n proxy {{ upstreams = \
             [{{ destination_name = \"api\" local_bind_port = {upstream} }}] }}\n}} }}\n}}"
        );
        cluster.register("web.hcl", &text).unwrap();
        let web = cluster.envoy("web", "-sidecar-for=web").unwrap();
        Scene {
            test,
            cluster,
            web,
            upstream,
            _others: others,
        }
    }

    fn says(&self, text: &str) {
        self.cluster.write_config("entry.hcl", text).unwrap();
    }

    fn maintain(&self, enable: bool, id: &str) {
        let switch = if enable { "-enable" } else { "-disable" };
        self.cluster
            .cli(&["maint", switch, &format!("-service={id}")])
            .unwrap();
    }

    /// Waits until calls are answered by `id`, one after the other: what entries say takes a moment, and in it a call may
    /// fail, when the Envoy cluster of a service becomes one that joins others.
    fn settles_on(&self, id: &str) {
        wait_for(&format!("calls to go to {id}"), SETTLE, || {
            for user in 0..CALLS {
                match call(self.upstream, user)? {
                    found if found == id => {}
                    found => bail!("one was answered by {found}"),
                }
            }
            Ok(())
        })
        .unwrap();
    }

    /// Waits until a call is answered by `id`, and then every call has to be.
    fn all_go_to(&self, id: &str) {
        println!("calls go to {id}");
        wait_for(&format!("a call to reach {id}"), SETTLE, || {
            match call(self.upstream, 0)? {
                found if found == id => Ok(()),
                found => bail!("it was {found}"),
            }
        })
        .unwrap();
        for user in 0..CALLS {
            let found = call(self.upstream, user).unwrap_or_else(|error| panic!("call {user}: {error}"));
            assert_eq!(found, id, "call {user}");
        }
    }

    /// Waits until web's sidecar ranks the endpoints of `api` so.
    fn ranked(&self, expected: [&str; 3]) {
        wait_for("the endpoints to be ranked", SETTLE, || match self.places() {
            found if found == expected => Ok(()),
            found => bail!("they are {found:?}"),
        })
        .unwrap();
    }

    /// Waits until calls reach all instances of `api`.
    fn spread(&self) {
        let mut missing: Vec<&str> = PLACES.iter().map(|(id, _)| *id).collect();
        let mut user = 0;
        wait_for("calls to reach everybody", SETTLE, || {
            user += 1;
            let found = call(self.upstream, user)?;
            missing.retain(|id| *id != found);
            match missing.as_slice() {
                [] => Ok(()),
                missing => bail!("nobody has reached {missing:?}"),
            }
        })
        .unwrap();
    }

    /// The zones and regions of the endpoints of `api` with their priorities, as web's sidecar knows them; sorted.
    fn places(&self) -> Vec<String> {
        let all = self.web.ask("/clusters").unwrap();
        let field = |address: &str, name: &str| {
            let begin = format!("{address}::{name}::");
            let found = all.lines().find_map(|line| line.strip_prefix(&begin));
            found.unwrap_or_default().to_owned()
        };
        let mut places: Vec<String> = all
            .lines()
            .filter(|line| line.contains("api.default.dc") || line.contains("api.default.home."))
            .filter_map(|line| line.strip_suffix("::hostname::"))
            .map(|address| {
                let (region, zone) = (field(address, "region"), field(address, "zone"));
                format!("{} {region}/{zone}", field(address, "priority"))
            })
            .collect();
        places.sort();
        places
    }
}

/// Takes one instance after the other out, the nearest first, and lets them come back the other way round.
fn walk(scene: &Scene, last: Option<&str>) {
    let order: Vec<&str> = PLACES.iter().map(|(id, _)| *id).collect();
    scene.settles_on(order[0]);
    let mut gone = Vec::new();
    for (id, next) in order.iter().zip(order.iter().skip(1).copied().chain(last)) {
        scene.maintain(true, id);
        gone.push(*id);
        scene.all_go_to(next);
    }
    for id in gone.into_iter().rev() {
        scene.maintain(false, id);
        scene.all_go_to(id);
    }
}

fn near_first(envoy: &str, protocol: &str, balance: &str) {
    let scene = Scene::start(envoy, protocol);
    scene.spread();
    scene.says(&format!(
        "Kind = \"service-resolver\" Name = \"api\" {balance} PrioritizeByLocality {{ Mode = \"failover\" }}"
    ));
    scene.ranked(["0 eu-1/a", "1 eu-1/b", "2 eu-2/a"]);
    walk(&scene, None);
    // Ranks are left out where nobody is.
    scene.maintain(true, "region");
    scene.all_go_to("near");
    scene.maintain(true, "near");
    scene.all_go_to("far");
    scene.maintain(false, "region");
    scene.all_go_to("region");
    scene.maintain(false, "near");
    scene.all_go_to("near");

    // What stands in comes after all instances, wherever they are.
    scene.says(&format!(
        "Kind = \"service-resolver\" Name = \"api\" {balance} PrioritizeByLocality {{ Mode = \"failover\" }} \
         Failover = {{ \"*\" = {{ Service = \"{SPARE}\" }} }}"
    ));
    walk(&scene, Some(SPARE));

    // What holds for all counts where the resolver says nothing, and only there.
    scene.says("Kind = \"proxy-defaults\" Name = \"global\" PrioritizeByLocality { Mode = \"failover\" }");
    scene.says("Kind = \"service-resolver\" Name = \"api\" PrioritizeByLocality { Mode = \"none\" }");
    scene.ranked(["0 /", "0 /", "0 /"]);
    scene.spread();
    scene
        .cluster
        .cli(&["config", "delete", "-kind=service-resolver", "-name=api"])
        .unwrap();
    scene.settles_on("near");
    scene.test.finish().unwrap();
}

#[test]
fn connections_go_to_those_that_are_near() {
    near_first(OLDEST_ENVOY_ENV, "tcp", "");
}

#[test]
fn requests_go_to_those_that_are_near_however_they_are_hashed() {
    let hashed = "LoadBalancer { Policy = \"ring_hash\" HashPolicies = [{ Field = \"header\" FieldValue = \"x-user\" }] }";
    near_first(ENVOY_ENV, "http", hashed);
}
