//! Wrong input, and what an operator is told.

use peerway_cli::demo::cluster::Cluster;
use peerway_cli::demo::stage::free_port;
use peerway_tests::{ENVOY_ENV, TestStage};
use serde_json::json;
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_peerway-e2e");
const SETTLE: Duration = Duration::from_secs(20);

/// What a command says when it is refused.
fn refusal(cluster: &Cluster, args: &[&str]) -> String {
    match cluster.cli(args) {
        Ok(said) => panic!("{args:?} was taken: {said}"),
        Err(error) => format!("{error:#}"),
    }
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
}

#[test]
fn tokens_that_do_not_fit_are_refused_with_the_cure() {
    let test = TestStage::new(BINARY, ENVOY_ENV).unwrap();
    let west = Cluster::start(&test.stage, "west").unwrap();
    let east = Cluster::start(&test.stage, "east").unwrap();
    let north = Cluster::start(&test.stage, "north").unwrap();
    let establish = |cluster: &Cluster, name: &str, token: &str| {
        refusal(
            cluster,
            &[
                "peering",
                "establish",
                &format!("-name={name}"),
                "-peering-token",
                token,
            ],
        )
    };

    let token = west.cli(&["peering", "generate-token", "-name=east"]).unwrap();
    says(
        &establish(&west, "self", &token),
        &["cannot create a peering within the same cluster"],
    );
    let cut = token.get(..token.len() / 2).unwrap();
    says(&establish(&east, "west", cut), &["token"]);
    says(&establish(&east, "west", "not base64!"), &["token"]);
    says(&establish(&east, "West_1", &token), &["peer name"]);
    assert_eq!(
        east.get("/v1/peerings").unwrap(),
        json!([]),
        "a refused token leaves nothing behind"
    );

    east.cli(&["peering", "establish", "-name=west", "-peering-token", &token])
        .unwrap();
    east.wait_peering("west", "ACTIVE", SETTLE).unwrap();
    says(
        &establish(&north, "west", &token),
        &["a new peering token must be generated"],
    );
    let role = refusal(&east, &["peering", "generate-token", "-name=west"]);
    says(&role, &["west", "already"]);
    let newer = west.cli(&["peering", "generate-token", "-name=north"]).unwrap();
    let newest = west.cli(&["peering", "generate-token", "-name=north"]).unwrap();
    says(
        &establish(&north, "west-2", &newer),
        &["a new peering token must be generated"],
    );
    north
        .cli(&["peering", "establish", "-name=west-2", "-peering-token", &newest])
        .unwrap();
    north.wait_peering("west-2", "ACTIVE", SETTLE).unwrap();
}

#[test]
fn config_entries_and_services_are_refused_by_field() {
    let test = TestStage::new(BINARY, ENVOY_ENV).unwrap();
    let west = Cluster::start(&test.stage, "west").unwrap();
    let write = |text: &str| {
        let path = test.stage.write("entry.hcl", text).unwrap();
        refusal(&west, &["config", "write", &path])
    };
    says(
        &write("Kind = \"exported-service\"\nName = \"default\""),
        &["Kind", "exported-service", "service-intentions"],
    );
    says(
        &write(
            "Kind = \"service-intentions\"\nName = \"api\"\nSources = [{ Name = \"web\" Acton = \"allow\" }]",
        ),
        &["Sources[0].Acton"],
    );
    says(
        &write(
            "Kind = \"service-intentions\"\nName = \"api\"\nSources = [{ Name = \"we.b\" Action = \"allow\" }]",
        ),
        &["Sources[0].Name", "we.b"],
    );
    says(&write("Kind = "), &["line 1"]);
    let path = test
        .stage
        .write("service.hcl", "service {\n name = \"a/b\"\n port = 1\n}")
        .unwrap();
    says(
        &refusal(&west, &["services", "register", &path]),
        &["Name", "a/b"],
    );
    let path = test
        .stage
        .write("service.hcl", "service {\n name = \"ab\"\n prot = 1\n}")
        .unwrap();
    says(&refusal(&west, &["services", "register", &path]), &["prot"]);
    assert_eq!(
        west.get("/v1/agent/services").unwrap(),
        json!({}),
        "nothing was half written"
    );
    let answer = west.api().unwrap().get("/v1/acl/tokens").unwrap();
    assert_eq!(answer.status, 404);
    says(&answer.body, &["not offered"]);
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let test = TestStage::new(BINARY, ENVOY_ENV).unwrap();
    let west = Cluster::start(&test.stage, "west").unwrap();
    let data = test.stage.dir().join("west-data").display().to_string();
    let ports = || {
        let free = || free_port().unwrap();
        format!(
            "ports {{ http = {} grpc = {} grpc_tls = {} dns = -1 }}",
            free(),
            free(),
            free()
        )
    };
    let start = |name: &str, text: &str| {
        let path = test.stage.write(name, text).unwrap();
        match test.stage.run(&["server", "-config-file", &path]) {
            Ok(said) => panic!("the server ran: {said}"),
            Err(error) => error.to_string(),
        }
    };
    let in_use = start(
        "in-use.hcl",
        &format!("datacenter = \"west\"\ndata_dir = {data:?}\n{}", ports()),
    );
    says(&in_use, &["in use by another process", &data]);
    let other = test.stage.dir().join("other-data").display().to_string();
    let port = west.http.port();
    let taken = start(
        "taken.hcl",
        &format!(
            "data_dir = {other:?}\nports {{ http = {port} grpc = -1 grpc_tls = {} }}",
            free_port().unwrap()
        ),
    );
    says(&taken, &["ports.http", &port.to_string(), "another process"]);
    says(
        &start("unknown.hcl", "data_dir = \"x\"\nprots {}"),
        &["unknown.hcl", "prots", "unknown setting"],
    );
    west.process.stop();
    let renamed = start(
        "renamed.hcl",
        &format!("datacenter = \"south\"\ndata_dir = {data:?}\n{}", ports()),
    );
    says(&renamed, &["datacenter", "west", "south"]);
}

#[test]
fn a_missing_envoy_or_proxy_is_named() {
    let test = TestStage::new(BINARY, ENVOY_ENV).unwrap();
    let west = Cluster::start(&test.stage, "west").unwrap();
    says(
        &refusal(&west, &["connect", "envoy", "-sidecar-for=api"]),
        &["no sidecar is registered", "api"],
    );
    west.register(
        "api.hcl",
        "service {\n name = \"api\"\n port = 1\n connect { sidecar_service {} }\n}",
    )
    .unwrap();
    says(
        &refusal(
            &west,
            &[
                "connect",
                "envoy",
                "-sidecar-for=api",
                "-envoy-binary=no-such-envoy",
            ],
        ),
        &["cannot find Envoy", "no-such-envoy", "-envoy-binary"],
    );
    says(
        &refusal(
            &west,
            &["connect", "envoy", "-gateway=mesh", "-proxy-id=api-sidecar-proxy"],
        ),
        &["mesh gateway"],
    );
    let printed = west
        .cli(&["connect", "envoy", "-sidecar-for=api", "-bootstrap"])
        .unwrap();
    let bootstrap: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(bootstrap["node"]["id"], "api-sidecar-proxy");
    west.process.stop();
    says(
        &refusal(&west, &["peering", "list"]),
        &["cannot reach", "is a server running there"],
    );
}
