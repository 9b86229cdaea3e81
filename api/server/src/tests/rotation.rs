//! The authority's configuration and its rotation.

use super::*;
use serde_json::json;

#[tokio::test]
async fn a_rotation_begins_with_another_key_or_by_request_and_not_by_writing_back_what_was_read() {
    let bench = Bench::new();
    let read = bench.get("/v1/connect/ca/configuration").await;
    // The bench has no roots.
    assert_eq!(read.status, StatusCode::SERVICE_UNAVAILABLE);
    bench
        .store
        .writer
        .commit(Transaction::new().put(roots(1)))
        .await
        .unwrap();
    let read = bench.get("/v1/connect/ca/configuration").await.json();
    assert_eq!(read["Provider"], "consul");
    assert_eq!(read["Config"]["LeafCertTTL"], "72h0m0s");
    assert_eq!(read["Config"]["PrivateKeyBits"], 256);
    let same = bench
        .put("/v1/connect/ca/configuration", read.clone())
        .await
        .json();
    assert_eq!(same["Phase"], "none");
    assert!(bench.hatches.asked().is_empty());

    let mut other = read;
    other["Config"]["PrivateKeyBits"] = json!(384);
    bench.put("/v1/connect/ca/configuration", other).await.json();
    assert_eq!(bench.hatches.asked(), ["begin P384"]);
    let body = json!({ "Config": { "RotateRoot": true }, "ForceWithoutCrossSigning": true });
    bench
        .put("/v1/connect/ca/configuration", body.clone())
        .await
        .json();
    assert_eq!(bench.hatches.asked(), ["begin P256"], "nothing to force yet");

    *bench.hatches.rotating.lock() = Some(RotationPhase::Announced);
    let forced = bench.put("/v1/connect/ca/configuration", body).await.json();
    assert_eq!(bench.hatches.asked(), ["force"]);
    assert_eq!(forced["LeftBehind"][0]["Name"], "left");
    let progress = bench.get("/v1/peerway/ca/rotation").await.json();
    assert_eq!(progress["Phase"], "announced");
    assert_eq!(progress["NewRootID"], "ee:ff");
    assert_eq!(progress["Missing"][0]["Reason"], "is not connected");
    assert_eq!(progress["Since"], "1970-01-01T00:00:01Z");
}

#[tokio::test]
async fn what_cannot_be_set_here_is_refused() {
    let bench = Bench::new();
    let body = json!({ "Config": { "LeafCertTTL": "1h" } });
    let answer = bench.put("/v1/connect/ca/configuration", body).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(
        answer
            .text
            .contains("leaf_cert_ttl in the server's configuration"),
        "{}",
        answer.text
    );
    *bench.hatches.failure.lock() = Some(Failure::new(FailureKind::Conflict, "under way"));
    let body = json!({ "Config": { "RotateRoot": true } });
    let answer = bench.put("/v1/connect/ca/configuration", body).await;
    assert_eq!(
        (answer.status, answer.text.as_str()),
        (StatusCode::CONFLICT, "under way")
    );
}
