//! What the server says about itself.

use super::*;

#[tokio::test]
async fn the_agent_describes_itself() {
    let bench = Bench::new();
    let about = bench.get("/v1/agent/self").await.json();
    let mut keys: Vec<&String> = about.as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(
        keys,
        ["Config", "Coord", "DebugConfig", "Member", "Meta", "Stats", "xDS"]
    );
    for (at, expected) in [
        ("/Config/Datacenter", json!("dc1")),
        ("/Config/NodeName", json!("n1")),
        ("/Config/NodeID", json!("11111111-2222-3333-4444-555555555555")),
        ("/Config/Server", json!(true)),
        ("/Config/Version", json!("0.1.0")),
        ("/DebugConfig/GRPCPort", json!(8502)),
        ("/Stats/consul/leader_addr", json!("127.0.0.1:8503")),
        ("/Meta", json!({"rack": "r1"})),
        (
            "/xDS",
            json!({"SupportedProxies": {"envoy": ["1.40.0", "1.36.2"]}, "Port": 8502,
                "Ports": {"Plaintext": 8502, "TLS": -1}}),
        ),
    ] {
        assert_eq!(about.pointer(at), Some(&expected), "{at}");
    }
}

#[tokio::test]
async fn the_leader_is_this_server() {
    let bench = Bench::new();
    assert_eq!(bench.get("/v1/status/leader").await.text, "\"127.0.0.1:8503\"");
    assert_eq!(
        bench.get("/v1/status/peers").await.json(),
        json!(["127.0.0.1:8503"])
    );
}

#[tokio::test]
async fn readiness_names_what_is_waited_for() {
    let bench = Bench::new();
    assert_eq!(
        bench.get("/ready").await.json(),
        json!({"Ready": true, "WaitingFor": []})
    );
    let guard = bench.readiness.block("store");
    let answer = bench.get("/ready").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.text, "{\"Ready\":false,\"WaitingFor\":[\"store\"]}");
    guard.ready();
    assert_eq!(bench.get("/ready").await.status, StatusCode::OK);
}

#[tokio::test]
async fn metrics_count_requests_by_route() {
    let bench = Bench::new();
    bench.get("/v1/health/service/some-name").await;
    for uri in ["/metrics", "/v1/agent/metrics?format=prometheus"] {
        let answer = bench.get(uri).await;
        assert!(
            answer
                .header("content-type")
                .starts_with("text/plain; version=0.0.4")
        );
        let line = "peerway_api_requests_total{route=\"/v1/health/service/{name}\",status=\"2xx\"}";
        assert!(answer.text.contains(line), "{}", answer.text);
        assert!(!answer.text.contains("some-name"));
    }
    assert_eq!(
        bench.get("/v1/agent/metrics").await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn roots_are_shown_once_they_are_there() {
    let bench = Bench::new();
    assert_eq!(
        bench.get("/v1/connect/ca/roots").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    bench.commit(vec![roots(7)]).await;
    let expected = json!({
        "ActiveRootID": "aa:bb", "TrustDomain": "td.consul",
        "Roots": [{
            "ID": "aa:bb", "Name": "a root", "SerialNumber": 7, "SigningKeyID": "cc:dd",
            "ExternalTrustDomain": "td", "NotBefore": "1970-01-01T00:00:00Z",
            "NotAfter": "1970-01-01T00:00:01Z", "RootCert": "pem\n", "IntermediateCerts": [], "Active": true,
            "CreateIndex": 1, "ModifyIndex": 1,
        }],
    });
    for uri in ["/v1/connect/ca/roots", "/v1/agent/connect/ca/roots"] {
        assert_eq!(bench.get(uri).await.json(), expected);
    }
}

#[tokio::test]
async fn pretty_is_indented() {
    let bench = Bench::new();
    assert_eq!(
        bench.get("/v1/status/peers?pretty").await.text,
        "[\n    \"127.0.0.1:8503\"\n]"
    );
}
