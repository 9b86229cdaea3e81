//! Nodes that no agent speaks for, and gateways that stand for what is on them.

use super::*;

async fn registered(bench: &Bench, body: Value) {
    let answer = bench.put("/v1/catalog/register", body).await;
    assert_eq!((answer.status, answer.json()), (StatusCode::OK, json!(true)));
}

async fn deregistered(bench: &Bench, body: Value) {
    let answer = bench.put("/v1/catalog/deregister", body).await;
    assert_eq!((answer.status, answer.json()), (StatusCode::OK, json!(true)));
}

fn ledger() -> Value {
    json!({"Node": "db-host", "Address": "ledger.example.com", "NodeMeta": {"external-node": "true"},
        "Service": {"Service": "ledger", "ID": "ledger1", "Port": 5432, "Tags": ["primary"]},
        "Checks": [
            {"CheckID": "port", "Name": "Port", "Status": "passing", "ServiceID": "ledger1"},
            {"Name": "ping", "Status": "warning"}]})
}

#[tokio::test]
async fn where_a_node_and_what_is_on_it_are_is_shown() {
    let bench = Bench::new();
    let (zone_a, region) = (
        json!({"Region": "eu-1", "Zone": "a"}),
        json!({"Region": "eu-2", "Zone": ""}),
    );
    registered(
        &bench,
        json!({"Node": "n7", "Address": "10.0.0.7", "Locality": zone_a,
            "Service": {"Service": "ledger", "Port": 5432, "Locality": {"Region": "eu-2"}}}),
    )
    .await;
    let shown = bench.get("/v1/catalog/service/ledger").await.json();
    assert_eq!(shown[0]["ServiceLocality"], region);
    let health = bench.get("/v1/health/service/ledger").await.json();
    assert_eq!(health[0]["Node"]["Locality"], zone_a);
    assert_eq!(health[0]["Service"]["Locality"], region);
    let node = bench.get("/v1/catalog/node/n7").await.json();
    assert_eq!(node["Node"]["Locality"], zone_a);
    assert_eq!(node["Services"]["ledger"]["Locality"], region);

    let body = json!({"Name": "web", "Port": 80, "Locality": zone_a, "Connect": {"SidecarService": {}}});
    assert_eq!(
        bench.put("/v1/agent/service/register", body).await.status,
        StatusCode::OK
    );
    let services = bench.get("/v1/agent/services").await.json();
    for id in ["web", "web-sidecar-proxy"] {
        assert_eq!(services[id]["Locality"], zone_a, "{id}");
        let one = bench.get(&format!("/v1/agent/service/{id}")).await.json();
        assert_eq!(one["Locality"], zone_a, "{id}");
    }
    // What is not known is not shown.
    registered(
        &bench,
        json!({"Node": "n8", "Address": "10.0.0.8", "Service": {"Service": "plain"}}),
    )
    .await;
    let health = bench.get("/v1/health/service/plain").await.json();
    assert_eq!(
        (
            health[0]["Node"].get("Locality"),
            health[0]["Service"].get("Locality")
        ),
        (None, None)
    );
    let refused = bench
        .put(
            "/v1/catalog/register",
            json!({"Node": "n8", "Address": "10.0.0.8", "Locality": {"Zone": "a"}}),
        )
        .await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(
        refused.text.contains("Locality.Region: is required with Zone"),
        "{}",
        refused.text
    );
}

#[tokio::test]
async fn an_external_service_is_registered_with_its_node_and_checks_and_taken_off_again() {
    let bench = Bench::new();
    registered(&bench, ledger()).await;
    let shown = bench.get("/v1/catalog/service/ledger").await.json();
    let own = &shown[0];
    assert_eq!(
        (
            &own["Node"],
            &own["Address"],
            &own["ServiceID"],
            &own["ServicePort"]
        ),
        (
            &json!("db-host"),
            &json!("ledger.example.com"),
            &json!("ledger1"),
            &json!(5432)
        )
    );
    assert_eq!(own["NodeMeta"], json!({"external-node": "true"}));
    let checks = |entries: &Value| -> Vec<(String, String)> {
        let checks = entries[0]["Checks"].as_array().unwrap();
        let text = |check: &Value, field: &str| check[field].as_str().unwrap().to_owned();
        checks
            .iter()
            .map(|check| (text(check, "CheckID"), text(check, "Status")))
            .collect()
    };
    let pair = |id: &str, status: &str| (id.to_owned(), status.to_owned());
    let health = bench.get("/v1/health/service/ledger").await.json();
    assert_eq!(
        checks(&health),
        [pair("ping", "warning"), pair("port", "passing")]
    );

    let nodes = bench
        .get("/v1/catalog/nodes?node-meta=external-node:true")
        .await
        .json();
    assert_eq!(nodes.as_array().unwrap().len(), 1);
    assert_eq!(
        (&nodes[0]["Node"], &nodes[0]["Address"]),
        (&json!("db-host"), &json!("ledger.example.com"))
    );
    let node = bench.get("/v1/catalog/node/db-host").await.json();
    assert_eq!(node["Node"], nodes[0]);
    assert_eq!(node["Services"]["ledger1"]["Service"], "ledger");
    let node = bench.get("/v1/catalog/node-services/db-host").await.json();
    assert_eq!(node["Services"][0]["ID"], "ledger1");
    for uri in ["/v1/catalog/node/nobody", "/v1/catalog/node-services/nobody"] {
        let answer = bench.get(uri).await;
        assert_eq!(
            (answer.status, answer.json()),
            (StatusCode::OK, json!(null)),
            "{uri}"
        );
    }

    // A check alone, and the node as it was.
    registered(
        &bench,
        json!({"Node": "db-host", "Address": "10.0.0.9", "SkipNodeUpdate": true,
            "Check": {"CheckID": "port", "ServiceID": "ledger1"}}),
    )
    .await;
    let health = bench.get("/v1/health/service/ledger").await.json();
    assert_eq!(
        checks(&health),
        [pair("ping", "warning"), pair("port", "critical")]
    );
    assert_eq!(health[0]["Node"]["Address"], "ledger.example.com");
    assert_eq!(
        bench.get("/v1/health/service/ledger?passing=true").await.json(),
        json!([])
    );

    deregistered(&bench, json!({"Node": "db-host", "CheckID": "port"})).await;
    let health = bench.get("/v1/health/service/ledger").await.json();
    assert_eq!(checks(&health), [pair("ping", "warning")]);
    deregistered(&bench, json!({"Node": "db-host", "ServiceID": "ledger1"})).await;
    assert_eq!(bench.get("/v1/catalog/service/ledger").await.json(), json!([]));
    registered(&bench, ledger()).await;
    deregistered(&bench, json!({"Node": "db-host"})).await;
    assert_eq!(bench.get("/v1/catalog/service/ledger").await.json(), json!([]));
    // What is not there is gone already.
    deregistered(&bench, json!({"Node": "db-host"})).await;
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused_by_field() {
    let bench = Bench::new();
    bench.register(json!({"Name": "web"})).await;
    let with = |field: &str, value: Value| {
        let mut body = ledger();
        body[field] = value;
        body
    };
    let own = local_node();
    let (name, address) = (own.key.name.as_str(), own.address.as_str());
    for (body, says) in [
        (json!({"Address": "10.0.0.1"}), "Node: is required"),
        (json!({"Node": "a"}), "Address: is required"),
        (
            with("Datacenter", json!("dc9")),
            "Datacenter: is \"dc9\", this cluster is dc1",
        ),
        (with("ID", json!("a")), "ID: is not a UUID"),
        (with("Address", json!("a b")), "Address: "),
        (with("Node", json!(name)), "Address: is not that of"),
        (
            with("PeerName", json!("east")),
            "PeerName: is set on imported nodes only",
        ),
        (
            with("Service", json!({"Service": "consul"})),
            "Service.Service: is \"consul\"",
        ),
        (
            with("Service", json!({"Name": "a"})),
            "Service.Service: is required",
        ),
        (
            with(
                "Service",
                json!({"Service": "a", "Kind": "connect-proxy", "Proxy": {"DestinationServiceName": "b"}}),
            ),
            "Service.Port: is required",
        ),
        (
            with(
                "Service",
                json!({"Service": "a", "Connect": {"SidecarService": {}}}),
            ),
            "Service.Connect.SidecarService: is for /v1/agent/service/register",
        ),
        (
            with("Checks", json!([{"Name": "a", "ServiceID": "b"}])),
            "Checks.ServiceID: is \"b\", which is not registered",
        ),
        (
            with("Checks", json!([{"Name": "a"}, {"CheckID": "a"}])),
            "Checks: has the check id \"a\" twice",
        ),
        (
            with("Checks", json!([{"Name": "a", "Status": "maintenance"}])),
            "Checks[0].Status: ",
        ),
        (
            with(
                "Checks",
                json!([{"Name": "a", "Definition": {"HTTP": "http://a"}}]),
            ),
            "Checks[0].Definition: ",
        ),
        (
            with("Check", json!({"Name": "a", "Node": "b"})),
            "Check.Node: is not the node",
        ),
        (with("Sevice", json!({})), "Sevice: is not a known field"),
    ] {
        let answer = bench.put("/v1/catalog/register", body.clone()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(answer.text.contains(says), "{body}: {}", answer.text);
    }
    for (body, says) in [
        (json!({}), "Node: is required"),
        (json!({"Node": name}), "Node: is this server's own node"),
        (
            json!({"Node": name, "ServiceID": "consul"}),
            "ServiceID: is this server itself",
        ),
        (
            json!({"Node": name, "Service": "web"}),
            "Service: is not a known field",
        ),
    ] {
        let answer = bench.put("/v1/catalog/deregister", body.clone()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(answer.text.contains(says), "{body}: {}", answer.text);
    }
    // On the server's own node services may come and go.
    registered(
        &bench,
        json!({"Node": name, "Address": address, "Service": {"Service": "cache"}}),
    )
    .await;
    assert_eq!(
        bench.get("/v1/agent/services").await.json()["cache"]["Service"],
        "cache"
    );
    deregistered(&bench, json!({"Node": name, "ServiceID": "cache"})).await;
    assert_eq!(bench.get("/v1/agent/services").await.json()["cache"], json!(null));
}

async fn linked(bench: &Bench, services: Value) {
    let entry = json!({"Kind": "terminating-gateway", "Name": "out", "Services": services});
    assert_eq!(bench.put("/v1/config", entry).await.json(), json!(true));
}

#[tokio::test]
async fn a_gateway_is_listed_for_what_it_stands_for() {
    let bench = Bench::new();
    registered(&bench, ledger()).await;
    bench
        .register(json!({"Name": "out", "Kind": "terminating-gateway", "Port": 9443}))
        .await;
    bench
        .register(json!({"Name": "web", "Connect": {"SidecarService": {}}}))
        .await;
    let none = bench.get("/v1/catalog/gateway-services/out").await;
    assert_eq!((none.status, none.json()), (StatusCode::OK, json!([])));
    assert_eq!(bench.get("/v1/health/connect/ledger").await.json(), json!([]));
    let state =
        |chain: &Value| chain["Chain"]["Targets"]["ledger.default.default.dc1"]["Health"]["State"].clone();
    assert_eq!(
        state(&bench.get("/v1/discovery-chain/ledger").await.json()),
        "ABSENT"
    );

    linked(
        &bench,
        json!([{"Name": "*", "CAFile": "/ca.pem"}, {"Name": "mail"}]),
    )
    .await;
    let shown = bench.get("/v1/catalog/gateway-services/out").await.json();
    let revisions = |of: &Value| (of["CreateIndex"].clone(), of["ModifyIndex"].clone());
    let (created, modified) = revisions(&shown[0]);
    assert_eq!(
        shown,
        json!([
            {"Gateway": {"Name": "out"}, "Service": {"Name": "ledger"}, "GatewayKind": "terminating-gateway",
                "CAFile": "/ca.pem", "FromWildcard": true, "CreateIndex": created, "ModifyIndex": modified},
            {"Gateway": {"Name": "out"}, "Service": {"Name": "mail"}, "GatewayKind": "terminating-gateway",
                "CreateIndex": created, "ModifyIndex": modified}])
    );
    for uri in ["/v1/health/connect/ledger", "/v1/catalog/connect/ledger"] {
        let met = bench.get(uri).await.json();
        assert_eq!(met.as_array().unwrap().len(), 1, "{uri}: {met}");
    }
    let met = bench.get("/v1/health/connect/ledger?passing=true").await.json();
    assert_eq!(met[0]["Service"]["Kind"], "terminating-gateway");
    assert_eq!(state(&bench.get("/v1/discovery-chain/ledger").await.json()), "UP");
    assert_eq!(
        bench.get("/v1/catalog/connect/web").await.json()[0]["ServiceKind"],
        "connect-proxy"
    );

    // What the gateway stands for is down, so it is no way to it.
    registered(
        &bench,
        json!({"Node": "db-host", "Address": "ledger.example.com", "Check": {"Name": "ping"}}),
    )
    .await;
    let met = bench.get("/v1/health/connect/ledger?passing=true").await.json();
    assert_eq!(met, json!([]));
    assert_eq!(
        state(&bench.get("/v1/discovery-chain/ledger").await.json()),
        "DOWN"
    );
}
