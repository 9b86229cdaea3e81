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
    assert_eq!(bench.hatches.asked(), ["begin Made(P384)"]);
    let body = json!({ "Config": { "RotateRoot": true }, "ForceWithoutCrossSigning": true });
    bench
        .put("/v1/connect/ca/configuration", body.clone())
        .await
        .json();
    assert_eq!(
        bench.hatches.asked(),
        ["begin Made(P256)"],
        "nothing to force yet"
    );

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

#[tokio::test]
async fn a_root_is_brought_and_its_key_is_seen_nowhere() {
    let bench = Bench::new();
    let body = json!({
        "Config": { "RootCert": "a root", "PrivateKey": "a-private-key", "PrivateKeyType": "ec", "PrivateKeyBits": 256 },
    });
    let answer = bench.put("/v1/connect/ca/configuration", body.clone()).await;
    assert!(!answer.text.contains("a-private-key"), "{}", answer.text);
    assert_eq!(bench.hatches.asked(), ["begin Brought(BroughtRoot)"]);
    let read = bench.get("/v1/connect/ca/configuration").await;
    assert!(!read.text.contains("a-private-key"), "{}", read.text);

    // Forcing with a root in hand steps to that root and to no other.
    *bench.hatches.rotating.lock() = Some(RotationPhase::Announced);
    let mut force = body;
    force["ForceWithoutCrossSigning"] = json!(true);
    *bench.hatches.failure.lock() = Some(Failure::new(FailureKind::Conflict, "under way"));
    let refused = bench.put("/v1/connect/ca/configuration", force.clone()).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert_eq!(bench.hatches.asked(), ["begin Brought(BroughtRoot)"]);
    bench.put("/v1/connect/ca/configuration", force).await.json();
    assert_eq!(bench.hatches.asked(), ["begin Brought(BroughtRoot)", "force"]);
}

#[tokio::test]
async fn a_rotation_is_cancelled() {
    let bench = Bench::new();
    let answer = bench.delete("/v1/peerway/ca/rotation").await;
    assert_eq!(answer.json()["Phase"], "none");
    assert_eq!(bench.hatches.asked(), ["cancel"]);
    *bench.hatches.failure.lock() = Some(Failure::new(FailureKind::Conflict, "signs already"));
    let answer = bench.delete("/v1/peerway/ca/rotation").await;
    assert_eq!(
        (answer.status, answer.text.as_str()),
        (StatusCode::CONFLICT, "signs already")
    );
}
