//! Taking instances and nodes out of traffic.

use super::*;

async fn statuses(bench: &Bench, uri: &str) -> Vec<(String, String)> {
    let entries = bench.get(uri).await.json();
    let text = |check: &Value, field: &str| check[field].as_str().unwrap().to_owned();
    entries
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|entry| entry["Checks"].as_array().unwrap().clone())
        .map(|check| (text(&check, "CheckID"), text(&check, "Status")))
        .collect()
}

#[tokio::test]
async fn an_instance_is_taken_out_with_its_sidecar_and_put_back() {
    let bench = Bench::new();
    bench
        .register(json!({"Name": "web", "ID": "web1", "Port": 80, "Connect": {"SidecarService": {}}}))
        .await;
    let uri = "/v1/agent/service/maintenance/web1?enable=true&reason=new+disks";
    assert_eq!(bench.put(uri, json!(null)).await.status, StatusCode::OK);
    let out = [("_service_maintenance:web1".to_owned(), "critical".to_owned())];
    for uri in ["/v1/health/service/web", "/v1/health/connect/web"] {
        assert_eq!(statuses(&bench, uri).await, out, "{uri}");
        let passing = bench.get(&format!("{uri}?passing=true")).await.json();
        assert_eq!(passing, json!([]), "{uri}");
    }
    let shown = bench.get("/v1/health/service/web").await.json();
    assert_eq!(shown[0]["Checks"][0]["Notes"], "new disks");
    let chain = bench.get("/v1/discovery-chain/web").await.json();
    assert_eq!(
        chain["Chain"]["Targets"]["web.default.default.dc1"]["Health"],
        json!({"State": "DOWN", "Reason": "none of its instances serves",
            "Healthy": 0, "Total": 1, "Weight": 0, "Draining": 1})
    );
    let uri = "/v1/agent/service/maintenance/web1?enable=false";
    assert_eq!(bench.put(uri, json!(null)).await.status, StatusCode::OK);
    assert_eq!(statuses(&bench, "/v1/health/connect/web").await, []);
}

#[tokio::test]
async fn a_node_is_taken_out_with_all_that_is_on_it() {
    let bench = Bench::new();
    bench.register(json!({"Name": "web"})).await;
    let uri = "/v1/agent/maintenance?enable=true";
    assert_eq!(bench.put(uri, json!(null)).await.status, StatusCode::OK);
    let out = [("_node_maintenance".to_owned(), "critical".to_owned())];
    assert_eq!(statuses(&bench, "/v1/health/service/web").await, out);
    let uri = "/v1/agent/maintenance?enable=false";
    assert_eq!(bench.put(uri, json!(null)).await.status, StatusCode::OK);
    assert_eq!(statuses(&bench, "/v1/health/service/web").await, []);
}

#[tokio::test]
async fn who_does_not_say_what_or_which_is_told() {
    let bench = Bench::new();
    bench.register(json!({"Name": "web"})).await;
    let long = "x".repeat(1025);
    for (uri, status, says) in [
        (
            "/v1/agent/service/maintenance/web".to_owned(),
            400,
            "enable: is needed",
        ),
        (
            "/v1/agent/maintenance?enable=perhaps".to_owned(),
            400,
            "enable: is needed",
        ),
        (
            format!("/v1/agent/maintenance?enable=true&reason={long}"),
            400,
            "reason: has 1025 bytes",
        ),
        (
            "/v1/agent/service/maintenance/db?enable=true".to_owned(),
            404,
            "service id \"db\" is not registered",
        ),
    ] {
        let answer = bench.put(&uri, json!(null)).await;
        assert_eq!(answer.status.as_u16(), status, "{uri}");
        assert!(answer.text.contains(says), "{uri}: {}", answer.text);
    }
}
