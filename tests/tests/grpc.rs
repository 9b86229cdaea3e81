//! gRPC across peers, on real Envoys: a method of one service is open to a caller, calls stream both ways while
//! intentions change, and end soon after their caller was revoked.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "grpc/methods.rs"]
mod methods;

use anyhow::{Result, bail, ensure};
use methods::{Call, Caller};
use peerway_cli::client::Client;
use peerway_cli::demo::stage::{free_port, now, wait_for};
use peerway_cli::demo::story::{self, Scene};
use peerway_tests::{ENVOY_ENV, OLDEST_ENVOY_ENV, TestStage};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

const BINARY: &str = env!("CARGO_BIN_EXE_peerway-e2e");
const SETTLE: Duration = Duration::from_secs(20);
/// Calls that stream at the same time.
const CALLS: usize = 4;
/// Changes of other intentions meanwhile.
const CHANGES: usize = 100;
/// Callers that are let in besides meanwhile.
const GROWTH: usize = 5;
/// Over how many seconds the changes are spread; they come one right after the other unless it is set.
const SPREAD_ENV: &str = "PEERWAY_STREAM_SECONDS";

const OPEN: &str = "/demo.Chat/Talk";
const CLOSED: &str = "/demo.Chat/Erase";

/// West's api speaks gRPC; east's web dials it.
struct Stage {
    test: TestStage,
    scene: Scene,
    west: Client,
    runtime: Runtime,
    /// Messages that reached api.
    arrived: Arc<AtomicU64>,
}

fn source(name: &str, peer: Option<&str>, method: &str) -> Value {
    let permissions = json!([{"Action": "allow", "HTTP": {"PathExact": method}}]);
    match peer {
        Some(peer) => json!({"Name": name, "Peer": peer, "Permissions": permissions}),
        None => json!({"Name": name, "Permissions": permissions}),
    }
}

impl Stage {
    fn start(envoy: &str) -> Self {
        let test = TestStage::new(BINARY, envoy).unwrap();
        let scene = story::set(&test.stage).unwrap();
        let runtime = Runtime::new().unwrap();
        let (port, arrived) = methods::serve(&runtime);
        let api = format!(
            "service {{ name = \"api\" id = \"api\" address = \"127.0.0.1\" port = {port}\n\
             connect {{ sidecar_service {{ port = {} }} }} }}",
            scene.api_sidecar
        );
        scene.west.register("api-grpc.hcl", &api).unwrap();
        let west = scene.west.api().unwrap();
        let stage = Stage {
            test,
            scene,
            west,
            runtime,
            arrived,
        };
        stage.put(json!({"Kind": "service-defaults", "Name": "api", "Protocol": "grpc"}));
        stage.put(json!({"Kind": "exported-services", "Name": "default",
            "Services": [{"Name": "api", "Consumers": [{"Peer": "east"}]}]}));
        story::introduce(&stage.scene).unwrap();
        stage
    }

    /// Writes an entry in west; the id of the change.
    fn put(&self, entry: Value) -> u64 {
        let answer = self.west.put("/v1/config", &entry).unwrap().ok().unwrap();
        answer.change.unwrap()
    }

    /// Says which sources may call api.
    fn intend(&self, sources: Value) -> u64 {
        self.put(json!({"Kind": "service-intentions", "Name": "api", "Sources": sources}))
    }

    /// Waits until all proxies of west that are connected have taken a change.
    fn wait_taken(&self, change: u64) {
        wait_for("the change to be taken", SETTLE, || {
            let receipt = self
                .west
                .get(&format!("/v1/peerway/change/{change}?wait=1s"))?
                .json()?;
            let proxies = receipt["Proxies"].as_array().unwrap();
            let waiting = |one: &&Value| one["State"] != "applied" && one["State"] != "disconnected";
            match proxies.iter().find(waiting) {
                None => Ok(()),
                Some(one) => bail!("{one}"),
            }
        })
        .unwrap();
    }

    fn caller(&self) -> Caller {
        self.runtime
            .block_on(Caller::connect(self.scene.web_dials))
            .unwrap()
    }

    /// A call of an open method, as soon as one is let in.
    fn call(&self) -> Call {
        wait_for("a call to be let in", SETTLE, || {
            let call = async { Caller::connect(self.scene.web_dials).await?.call(OPEN).await };
            match self.runtime.block_on(call)? {
                Ok(call) => Ok(call),
                Err(status) => bail!("refused with status {status}"),
            }
        })
        .unwrap()
    }
}

/// A call that exchanges messages until it is told to stop; how many it has sent.
fn talk(stage: &Stage, mut call: Call, stop: &Arc<AtomicBool>) -> JoinHandle<Result<u64>> {
    let stop = Arc::clone(stop);
    stage.runtime.spawn(async move {
        while !stop.load(Ordering::Acquire) {
            call.exchange().await?;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        call.finish().await
    })
}

fn a_method_is_open_and_its_calls_stream_on(envoy: &str) {
    let stage = Stage::start(envoy);
    stage.intend(json!([source("web", Some("east"), OPEN)]));
    drop(stage.call());

    // Another method of the same service: an answer in gRPC's words.
    let mut caller = stage.caller();
    let refused = stage.runtime.block_on(caller.call(CLOSED)).unwrap();
    assert_eq!(refused.err().as_deref(), Some("7"), "PERMISSION_DENIED");
    // The connection goes on.
    let call = stage.runtime.block_on(caller.call(OPEN)).unwrap().unwrap();

    let before = stage.arrived.load(Ordering::Relaxed) - 1;
    let stop = Arc::new(AtomicBool::new(false));
    let mut calls = vec![talk(&stage, call, &stop)];
    while calls.len() < CALLS {
        let call = stage.runtime.block_on(caller.call(OPEN)).unwrap().unwrap();
        calls.push(talk(&stage, call, &stop));
    }
    let spread: u64 = std::env::var(SPREAD_ENV).map_or(0, |text| text.parse().unwrap());
    let pause = Duration::from_secs(spread) / u32::try_from(CHANGES).unwrap();
    // A neighbour with a sidecar, so that its intentions are somebody's.
    let neighbour = format!(
        "service {{ name = \"db\" address = \"127.0.0.1\" port = 1\n connect {{ sidecar_service {{ port = {} }} }} }}",
        free_port().unwrap()
    );
    stage.scene.west.register("db.hcl", &neighbour).unwrap();
    let begun = now();
    let mut last = 0;
    for number in 0..CHANGES {
        let action = if number % 2 == 0 { "deny" } else { "allow" };
        last = stage.put(json!({"Kind": "service-intentions", "Name": "db", "Sources": [
            {"Name": "web", "Peer": "east", "Action": action},
            {"Name": format!("caller-{number}"), "Action": "allow"}]}));
        std::thread::sleep(pause);
    }
    stage.wait_taken(last);
    // Those of the service itself as well, as long as nobody loses anything.
    let mut sources = vec![source("web", Some("east"), OPEN)];
    for number in 0..GROWTH {
        sources.push(source(&format!("caller-{number}"), None, CLOSED));
        stage.wait_taken(stage.intend(json!(sources)));
    }
    let elapsed = begun.elapsed();
    stop.store(true, Ordering::Release);
    let mut sent = 0;
    for call in calls {
        let count = stage.runtime.block_on(call).unwrap().unwrap();
        assert!(count > 1, "{count} messages");
        sent += count;
    }
    let arrived = stage.arrived.load(Ordering::Relaxed) - before;
    assert_eq!(arrived, sent, "what came back had arrived");
    println!(
        "{CALLS} calls exchanged {sent} messages each way in {:.1} s under {CHANGES} changes",
        elapsed.as_secs_f64()
    );
    stage.test.finish().unwrap();
}

#[test]
fn a_method_is_open_and_its_calls_stream_on_with_the_newest_envoy() {
    a_method_is_open_and_its_calls_stream_on(ENVOY_ENV);
}

#[test]
fn a_method_is_open_and_its_calls_stream_on_with_the_oldest_envoy() {
    a_method_is_open_and_its_calls_stream_on(OLDEST_ENVOY_ENV);
}

/// Whoever loses its permission is cut off within Envoy's drain time, in the middle of a call.
#[test]
fn a_call_ends_when_its_caller_is_revoked() {
    let stage = Stage::start(ENVOY_ENV);
    stage.intend(json!([source("web", Some("east"), OPEN)]));
    let mut call = stage.call();
    let begun = now();
    stage.intend(json!([{"Name": "web", "Peer": "east", "Action": "deny"}]));
    wait_for("new calls to be refused", SETTLE, || {
        let again = async { Caller::connect(stage.scene.web_dials).await?.call(OPEN).await };
        match stage.runtime.block_on(again)? {
            Err(status) => {
                ensure!(status == "7", "status {status}");
                Ok(())
            }
            Ok(_) => bail!("it is let in"),
        }
    })
    .unwrap();
    let refused = begun.elapsed();
    let ended = stage.runtime.block_on(async {
        tokio::time::timeout(SETTLE, async {
            loop {
                if let Err(error) = call.exchange().await {
                    return error;
                }
            }
        })
        .await
    });
    println!(
        "new calls were refused after {:.2} s, the open one ended after {:.2} s: {:#}",
        refused.as_secs_f64(),
        begun.elapsed().as_secs_f64(),
        ended.unwrap()
    );
    stage.test.finish().unwrap();
}
