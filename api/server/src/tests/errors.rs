//! What is refused: the status, the path of the field, and nothing written.

use super::*;

#[tokio::test]
async fn bodies_are_refused_with_the_path_of_the_field() {
    let bench = Bench::new();
    let cases = [
        (
            "/v1/agent/service/register",
            json!({"Name": "web", "Prot": 1}),
            "Prot: is not a known field",
        ),
        (
            "/v1/agent/service/register",
            json!({"Name": "a.b"}),
            "Name: \"a.b\" is not a valid name",
        ),
        ("/v1/agent/service/register", json!([1]), "must be a JSON object"),
        (
            "/v1/config",
            json!({"Kind": "control-plane-request-limit", "Name": "web"}),
            "Kind: unknown config entry kind",
        ),
        (
            "/v1/config",
            json!({"Kind": "service-intentions", "Name": "api", "Sources": [{"Name": "web", "Acton": "allow"}]}),
            "Sources[0].Action: is required",
        ),
    ];
    for (uri, body, expected) in cases {
        let answer = bench.put(uri, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{uri}");
        let expected = format!("the request body is refused: {expected}");
        assert!(answer.text.starts_with(&expected), "{}", answer.text);
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    let answer = bench.post("/v1/peering/token", json!({"Peer": "east"})).await;
    assert_eq!(answer.text, "the request body is refused: PeerName: is required");
    assert!(bench.hatches.asked().is_empty());
    assert_eq!(bench.store.reader.snapshot().revision(), 0);
}

#[tokio::test]
async fn bodies_that_are_no_json_say_where() {
    let bench = Bench::new();
    for (body, expected) in [
        ("", "must be a JSON object"),
        ("{\"Kind\": \"mesh\",\n \"Kind\": \"mesh\"}", "line 2"),
        ("{\"Kind\": ", "is not valid JSON"),
    ] {
        let request = request(Method::PUT, "/v1/config", Body::from(body));
        let answer = bench.send(request).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(answer.text.contains(expected), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_not_read_to_its_end() {
    let bench = Bench::new();
    let body = format!("{{\"Name\": \"{}\"}}", "x".repeat(crate::MAX_BODY_BYTES));
    let request = request(Method::PUT, "/v1/agent/service/register", Body::from(body));
    let answer = bench.send(request).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(answer.text.contains("1048576 bytes"), "{}", answer.text);
}

#[tokio::test]
async fn paths_and_methods_that_are_not_offered_say_so() {
    let bench = Bench::new();
    let answer = bench.get("/v1/kv/some/key").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.text, "/v1/kv/some/key is not offered by Peerway");
    assert_eq!(bench.get("/other").await.status, StatusCode::NOT_FOUND);
    for (method, uri, allow) in [
        (Method::POST, "/v1/agent/services", "GET,HEAD"),
        (Method::GET, "/v1/config", "PUT"),
        (Method::GET, "/v1/peering/token/", ""),
        (Method::PUT, "/v1/peering/east", "GET,HEAD,DELETE"),
        (Method::GET, "/v1/agent/service/deregister/web", "PUT"),
    ] {
        let answer = bench.send(request(method.clone(), uri, Body::empty())).await;
        if allow.is_empty() {
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {uri}");
        } else {
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {uri}");
            assert_eq!(answer.header("allow"), allow);
            assert_eq!(answer.text, format!("{method} is not offered on {uri}"));
        }
    }
}

#[tokio::test]
async fn parameters_are_refused_by_name() {
    let bench = Bench::new();
    for (uri, expected) in [
        (
            "/v1/health/service/web?index=x",
            "index: \"x\" is not a whole number",
        ),
        (
            "/v1/health/service/web?index=1&wait=soon",
            "wait: \"soon\" is not a duration",
        ),
        (
            "/v1/health/service/web?wait=-1s",
            "wait: \"-1s\" is not a duration",
        ),
        (
            "/v1/health/service/web?dc=dc2",
            "dc: \"dc2\" is not this datacenter",
        ),
        (
            "/v1/health/service/web?peer=East",
            "peer: \"East\" is not a valid peer name",
        ),
        (
            "/v1/health/service/web?filter=x",
            "filter: is not offered on /v1/health/service/web yet",
        ),
        (
            "/v1/health/service/web?partition=a.b",
            "partition: \"a.b\" is not a valid name",
        ),
        ("/v1/health/service/web?ns=a.b", "ns: \"a.b\" is not a valid name"),
        ("/v1/health/service/a.b", "service: \"a.b\" is not a valid name"),
        (
            "/v1/agent/services?peer=east",
            "peer: is not offered on /v1/agent/services",
        ),
        (
            "/v1/config/control-plane-request-limit/web",
            "Kind: unknown config entry kind \"control-plane-request-limit\"",
        ),
        ("/v1/peering/a_b", "name: \"a_b\" is not a valid peer name"),
        (
            "/v1/catalog/services?merge-central-config",
            "merge-central-config: is not offered yet",
        ),
    ] {
        let answer = bench.get(uri).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{uri}");
        assert!(answer.text.starts_with(expected), "{}", answer.text);
    }
    assert_eq!(bench.get("/v1/health/service/web?dc=dc1").await.json(), json!([]));
}

#[tokio::test]
async fn a_web_page_of_another_origin_cannot_write() {
    let bench = Bench::new();
    let from = |origin: &str| {
        Request::post("/v1/peering/token")
            .header("host", "127.0.0.1:8500")
            .header("origin", origin)
            .body(Body::from("{\"PeerName\": \"east\"}"))
            .unwrap()
    };
    for origin in ["http://evil.example", "null", "http://127.0.0.1:8501"] {
        assert_eq!(
            bench.send(from(origin)).await.status,
            StatusCode::FORBIDDEN,
            "{origin}"
        );
    }
    assert!(bench.hatches.asked().is_empty());
    assert_eq!(
        bench.send(from("http://127.0.0.1:8500")).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_store_that_has_stopped_is_unavailable() {
    let bench = Bench::new();
    let row = RowKey::Roots;
    let refused = bench
        .store
        .writer
        .commit(Transaction::new().expect(peerway_state::Expect::Present(row)))
        .await
        .unwrap_err();
    assert_eq!(
        crate::refusal::Refusal::from(refused).status,
        StatusCode::CONFLICT
    );
    let closed = crate::refusal::Refusal::from(peerway_store::CommitError::Closed);
    assert_eq!(closed.status, StatusCode::SERVICE_UNAVAILABLE);
}
