//! What a settings file lists is there when the server is ready, and what an operator changed stays changed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use peerway_cli::client::Client;
use peerway_cli::demo::stage::{Process, free_port, wait_for};
use peerway_tests::{ENVOY_ENV, TestStage};
use serde_json::{Value, json};
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_peerway-e2e");

/// Starts a server and waits until it is ready.
fn start(test: &TestStage, args: &[String], http: u16) -> (Process, Client) {
    let process = test.stage.start("server", args).unwrap();
    let client = Client::new(&format!("127.0.0.1:{http}")).unwrap();
    let ready = wait_for("the server to be ready", Duration::from_secs(20), || {
        client.get("/ready")?.ok()
    });
    assert!(ready.is_ok(), "{}", process.tail(10));
    (process, client)
}

fn get(client: &Client, path: &str) -> Value {
    client.get(path).unwrap().json().unwrap()
}

#[test]
fn listed_entries_and_services_are_written_once() {
    let test = TestStage::new(BINARY, ENVOY_ENV).unwrap();
    let http = free_port().unwrap();
    let text = format!(
        "data_dir = {:?}\nports {{ http = {http} grpc = -1 grpc_tls = {} dns = -1 }}\n\
         config_entries {{ bootstrap = [{{ Kind = \"service-defaults\" Name = \"api\" Protocol = \"tcp\" }}] }}\n\
         service {{ name = \"api\" port = 9001 connect {{ sidecar_service {{}} }} }}\n\
         service {{ name = \"db\" port = 9002 connect {{ sidecar_service {{}} }} }}\n",
        test.stage.dir().join("data").display().to_string(),
        free_port().unwrap()
    );
    let file = test.stage.write("server.hcl", &text).unwrap();
    let args = ["server".to_owned(), "--config-file".to_owned(), file];

    let (process, client) = start(&test, &args, http);
    let services = get(&client, "/v1/agent/services");
    let port = |id: &str| services[id]["Port"].as_u64().unwrap();
    assert_eq!(services.as_object().unwrap().len(), 4, "{services}");
    assert_ne!(port("api-sidecar-proxy"), port("db-sidecar-proxy"));
    assert_eq!(get(&client, "/v1/config/service-defaults/api")["Protocol"], "tcp");
    let changed = json!({ "Kind": "service-defaults", "Name": "api", "MeshGateway": { "Mode": "local" } });
    client.put("/v1/config", &changed).unwrap().ok().unwrap();
    assert!(process.stop().unwrap().success(), "{}", process.tail(10));

    let (process, client) = start(&test, &args, http);
    let after = get(&client, "/v1/agent/services");
    for (id, service) in services.as_object().unwrap() {
        assert_eq!(after[id]["Port"], service["Port"], "the port of {id} stays");
    }
    assert_eq!(
        after["api-sidecar-proxy"]["Proxy"]["MeshGateway"]["Mode"],
        "local"
    );
    let entry = get(&client, "/v1/config/service-defaults/api");
    assert_eq!(
        entry["MeshGateway"]["Mode"], "local",
        "an entry that exists is not written again"
    );
    assert!(process.stop().unwrap().success());
}

#[test]
fn a_list_with_a_mistake_starts_nothing_and_names_the_item() {
    let test = TestStage::new(BINARY, ENVOY_ENV).unwrap();
    let text = "ports { http = 0 grpc = 0 grpc_tls = 0 dns = 0 }\nservices = [{ name = \"a\" port = 1 }, { name = \"b.c\" port = 2 }]";
    let file = test.stage.write("server.hcl", text).unwrap();
    let error = test
        .stage
        .run(&["server", "-dev", "-config-file", &file])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("services[1]: ") && error.contains("\"b.c\""),
        "{error}"
    );
}
