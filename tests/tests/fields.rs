//! Every field of every config entry, given to real Envoys: the cases of `xds/translate/tests/fields`, which show what a
//! field changes, are written one after the other into two peered clusters, and every proxy has to take each of them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../../xds/translate/tests/fields/base.rs"]
mod base;
#[path = "../../xds/translate/tests/fields/case.rs"]
mod case;

use anyhow::{Context, Result, bail, ensure};
use case::Case;
use peerway_api_types::{config_entry_from_json, hcl};
use peerway_cli::client::Client;
use peerway_cli::demo::cluster::Cluster;
use peerway_cli::demo::envoy::Envoy;
use peerway_cli::demo::stage::{free_port, wait_for};
use peerway_model::config::log_operator_examples;
use peerway_model::{ConfigKey, Tenancy};
use peerway_tests::{ENVOY_ENV, OLDEST_ENVOY_ENV, TestStage};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_peerway-e2e");
/// How long a state that must come may take.
const SETTLE: Duration = Duration::from_secs(60);
/// What an Envoy is still waiting for, or has not been able to do.
const UNFINISHED: [&str; 3] = [
    "listener_manager.total_listeners_warming",
    "cluster_manager.warming_clusters",
    "listener_manager.listener_create_failure",
];

/// The world of the cases and, as its peer, a cluster that exports an `api` and a `db`.
struct World {
    test: TestStage,
    local: Client,
    envoys: Vec<Envoy>,
    /// Where the files are that entries name.
    files: String,
    /// The entries of the base by their keys.
    base: Vec<(ConfigKey, Value)>,
    // Kept for what it imports.
    _peer: Cluster,
}

/// Makes the files that cases name: a certificate that vouches for itself, and its key.
fn certificate(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        ])
        .args(["-nodes", "-days", "2", "-subj", "/CN=outside"])
        .args(["-keyout", "gateway.key", "-out", "gateway.pem"])
        .current_dir(folder)
        .output()?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    std::fs::copy(folder.join("gateway.pem"), folder.join("ca.pem"))?;
    Ok(())
}

/// An entry as the API takes it, and its key.
fn entry(text: &str) -> Result<(ConfigKey, Value)> {
    let value = hcl::parse(text)?;
    let entry = config_entry_from_json(&value, &Tenancy::default())?;
    Ok((entry.key(), value))
}

fn peer(test: &TestStage) -> (Cluster, Envoy) {
    let west = Cluster::start(&test.stage, "west").unwrap();
    for name in ["api", "db"] {
        let (port, sidecar) = (free_port().unwrap(), free_port().unwrap());
        let text = format!(
            "service {{ name = \"{name}\" address = \"127.0.0.1\" port = {port} connect {{ sidecar_service {{ port = {sidecar} }} }} }}"
        );
        west.register(&format!("west-{name}.hcl"), &text).unwrap();
    }
    let port = free_port().unwrap();
    let text = format!(
        "service {{ kind = \"mesh-gateway\" name = \"mesh-gateway\" address = \"127.0.0.1\" port = {port} }}"
    );
    west.register("west-gateway.hcl", &text).unwrap();
    for (index, text) in [
        "Kind = \"service-defaults\" Name = \"api\" Protocol = \"http\"",
        "Kind = \"exported-services\" Name = \"default\" Services = [{ Name = \"*\" Consumers = [{ Peer = \"local\" }] }]",
    ]
    .into_iter()
    .enumerate()
    {
        west.write_config(&format!("west-{index}.hcl"), text).unwrap();
    }
    let gateway = west.envoy("west-gateway", "-gateway=mesh").unwrap();
    (west, gateway)
}

impl World {
    fn start(envoy: &str) -> Self {
        let test = TestStage::new(BINARY, envoy).unwrap();
        let local = Cluster::start(&test.stage, "local").unwrap();
        let (west, gateway) = peer(&test);
        let mut envoys = vec![gateway];
        for (index, text) in base::registrations(|| free_port().unwrap()).iter().enumerate() {
            local.register(&format!("local-{index}.hcl"), text).unwrap();
        }
        let token = west.cli(&["peering", "generate-token", "-name=local"]).unwrap();
        let token = format!("-peering-token={token}");
        local
            .cli(&["peering", "establish", "-name=west", &token])
            .unwrap();
        let base: Vec<_> = base::ENTRIES.map(|text| entry(text).unwrap()).into();
        let api = local.api().unwrap();
        for (_, value) in &base {
            api.put("/v1/config", value).unwrap().ok().unwrap();
        }
        for (name, namespace) in base::SERVICES {
            let id = base::id(name, namespace);
            let sidecar = format!("-proxy-id={id}-sidecar-proxy");
            envoys.push(local.envoy(&format!("local-{id}"), &sidecar).unwrap());
        }
        for gateway in base::GATEWAYS {
            let which = format!("-gateway={gateway}");
            envoys.push(local.envoy(&format!("local-{gateway}"), &which).unwrap());
        }
        for envoy in &envoys {
            envoy.wait_live(SETTLE).unwrap();
        }
        for service in ["api", "db"] {
            wait_for("what the peer exports", SETTLE, || {
                ensure!(local.imported(service, "west")? == 1, "no {service} yet");
                Ok(())
            })
            .unwrap();
        }
        let files = test.stage.dir().join("files");
        certificate(&files).unwrap();
        World {
            files: format!("{}/", files.display()),
            test,
            local: api,
            envoys,
            base,
            _peer: west,
        }
    }

    /// Writes the entries of a case; the change of the last one, and how to undo them.
    fn write(&self, case: &Case) -> Result<(u64, Vec<ConfigKey>)> {
        let mut keys = Vec::new();
        let mut change = None;
        for text in case.world.iter().chain([&case.entry]) {
            let (key, value) = entry(&text.replace(base::FILES, &self.files))?;
            change = self.local.put("/v1/config", &value)?.ok()?.change;
            // One that is written again goes when it would have gone before.
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys.reverse();
        Ok((change.context("a write tells its change")?, keys))
    }

    /// Puts back what the base says under these keys.
    fn undo(&self, keys: &[ConfigKey]) -> Result<()> {
        for key in keys {
            match self.base.iter().find(|(own, _)| own == key) {
                Some((_, value)) => self.local.put("/v1/config", value)?.ok()?,
                None => self.local.delete(&path_of(key))?.ok()?,
            };
        }
        Ok(())
    }

    /// Waits until every proxy has answered; how many had something to take. It fails when one refused it.
    fn taken(&self, change: u64) -> Result<usize> {
        let receipt = wait_for("every proxy to answer", SETTLE, || {
            let receipt: Value = self.local.get(&format!("/v1/peerway/change/{change}"))?.json()?;
            let proxies = receipt["Proxies"].as_array().context("no proxies")?;
            let waiting = proxies.iter().find(|proxy| proxy["State"] == "pending");
            ensure!(waiting.is_none(), "{receipt}");
            let all = base::SERVICES.len() + base::GATEWAYS.len();
            ensure!(proxies.len() == all, "{receipt}");
            Ok(receipt)
        })?;
        let proxies = receipt["Proxies"].as_array().context("no proxies")?;
        for proxy in proxies {
            if proxy["State"] != "applied" {
                bail!("{proxy}");
            }
        }
        Ok(proxies.iter().filter(|proxy| proxy["Touched"] == true).count())
    }
}

fn path_of(key: &ConfigKey) -> String {
    let (kind, name) = (key.kind.as_str(), &key.name);
    let (partition, namespace) = (&key.partition, &key.namespace);
    format!("/v1/config/{kind}/{name}?partition={partition}&ns={namespace}").replace('*', "%2A")
}

/// Envoys that are done with everything.
fn settled(envoys: &[Envoy]) {
    wait_for("Envoys to be done with everything", SETTLE, || {
        for envoy in envoys {
            for name in UNFINISHED {
                let count = envoy.sum(name)?;
                ensure!(count == 0, "{name} of {} is {count}", envoy.process.name());
            }
        }
        Ok(())
    })
    .unwrap();
}

/// Every operator that access logs may have.
fn every_log_operator() -> Case {
    let format = log_operator_examples().join(" ");
    let entry = json!({"Kind": "proxy-defaults", "Name": "global",
        "AccessLogs": {"Enabled": true, "TextFormat": format}});
    let text = format!("why\n[entry]\n{entry}\n[changes]\nsidecar of web");
    Case::parse("proxy-defaults", "every operator of access logs", &text).unwrap()
}

fn envoys_take_every_case(envoy: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../xds/translate/tests/fields");
    let mut cases = case::all(&folder).unwrap();
    cases.push(every_log_operator());
    let world = World::start(envoy);
    let mut refused = Vec::new();
    for case in &cases {
        let name = format!("{}/{}", case.kind, case.field);
        let taken = world.write(case).and_then(|(change, keys)| {
            let touched = world.taken(change)?;
            world.undo(&keys).context("when it was undone")?;
            Ok(touched)
        });
        let proxies = ["sidecar of", "out: ", "edge: ", "front: "];
        let told = |line: &str| proxies.iter().any(|proxy| line.contains(proxy));
        let changes = case.changes.lines().any(told);
        match taken {
            Err(problem) => refused.push(format!("{name}: {problem:#}")),
            Ok(0) if changes => refused.push(format!("{name}: no proxy had anything to take")),
            Ok(_) => {}
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    settled(&world.envoys);
    world.test.finish().unwrap();
}

#[test]
fn envoys_take_every_field() {
    envoys_take_every_case(ENVOY_ENV);
}

#[test]
fn the_oldest_envoys_take_every_field() {
    envoys_take_every_case(OLDEST_ENVOY_ENV);
}
