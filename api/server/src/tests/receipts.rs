//! Ids of changes, and who has taken them.

use super::*;
use crate::MAX_SETTLING;

/// The revision of the store, which the answer must carry as the change that it was.
#[track_caller]
fn is_newest(bench: &Bench, answer: &Answer) -> u64 {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let change: u64 = answer.header("x-peerway-change").parse().unwrap();
    assert_eq!(change, bench.store.reader.snapshot().revision());
    change
}

#[tokio::test]
async fn every_write_tells_its_change() {
    let bench = Bench::new();
    let entry = json!({ "Kind": "service-defaults", "Name": "web", "Protocol": "http" });
    let register = json!({ "Name": "web", "Port": 80 });
    let first = is_newest(&bench, &bench.put("/v1/config", entry.clone()).await);
    let second = is_newest(&bench, &bench.put("/v1/agent/service/register", register).await);
    assert!(second > first);
    // Nothing changes: everybody who has taken the last change has taken this one.
    let same = is_newest(&bench, &bench.put("/v1/config", entry.clone()).await);
    assert_eq!(same, second);
    let deregister = bench.put("/v1/agent/service/deregister/web", Value::Null).await;
    assert!(is_newest(&bench, &deregister) > same);
    let deleted = bench.delete("/v1/config/service-defaults/web").await;
    let deleted = is_newest(&bench, &deleted);
    is_newest(&bench, &bench.put("/v1/config?cas=0", entry).await);
    let read = bench.get("/v1/config/service-defaults/web").await;
    assert!(
        read.headers.get("x-peerway-change").is_none(),
        "a read is no change"
    );
    let index = read.json()["ModifyIndex"].as_u64().unwrap();
    assert!(index > deleted);
    let deleted = bench
        .delete(&format!("/v1/config/service-defaults/web?cas={index}"))
        .await;
    is_newest(&bench, &deleted);

    let token = bench
        .post("/v1/peering/token", json!({ "PeerName": "east" }))
        .await;
    is_newest(&bench, &token);
    let body = json!({ "PeerName": "east", "PeeringToken": "dG9rZW4=" });
    is_newest(&bench, &bench.post("/v1/peering/establish", body).await);
    is_newest(&bench, &bench.delete("/v1/peering/east").await);
    let body = json!({ "Config": { "RotateRoot": true } });
    is_newest(&bench, &bench.put("/v1/connect/ca/configuration", body).await);
}

#[tokio::test]
async fn a_write_that_did_not_happen_has_no_change() {
    let bench = Bench::new();
    let entry = json!({ "Kind": "service-defaults", "Name": "web", "Protocol": "http" });
    let answer = bench.put("/v1/config?cas=7", entry).await;
    assert_eq!(
        (answer.text.as_str(), answer.headers.get("x-peerway-change")),
        ("false", None)
    );
    let answer = bench.delete("/v1/config/service-defaults/web?cas=7").await;
    assert_eq!(
        (answer.text.as_str(), answer.headers.get("x-peerway-change")),
        ("false", None)
    );
    let answer = bench
        .put("/v1/config", json!({ "Kind": "service-defaults" }))
        .await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.headers.get("x-peerway-change").is_none());
}

#[tokio::test]
async fn a_receipt_names_everybody() {
    let bench = Bench::new();
    bench.register(json!({ "Name": "web", "Port": 80 })).await;
    let receipt = bench.get("/v1/peerway/change/1").await.json();
    let expected = json!({
        "ID": 1,
        "Settled": true,
        "Proxies": [{
            "ID": "web-sidecar-proxy", "Node": "n1", "Partition": "default", "Kind": "connect-proxy",
            "State": "refused", "Reason": "refused it", "Revision": 2, "Touched": true,
            "Resources": [
                { "Type": "listener", "Name": "l", "Version": "1", "Since": 1, "Reason": "cannot bind" },
                { "Type": "listener", "Name": "l", "Version": "1", "Since": null, "Reason": "cannot bind" },
            ],
        }],
        "Peers": [{
            "Name": "east", "Partition": "default", "State": "applied", "Reason": "", "Revision": null,
        }],
    });
    assert_eq!(receipt, expected);
}

#[tokio::test(start_paused = true)]
async fn a_receipt_is_waited_for_until_it_is_settled_or_the_time_is_up() {
    let bench = Bench::new();
    bench.register(json!({ "Name": "web", "Port": 80 })).await;
    *bench.hatches.looks.lock() = 3;
    let receipt = bench.get("/v1/peerway/change/1").await.json();
    assert_eq!(
        (&receipt["Settled"], &receipt["Peers"][0]["State"]),
        (&json!(false), &json!("pending"))
    );
    let receipt = bench.get("/v1/peerway/change/1?wait=10m").await.json();
    assert_eq!(receipt["Settled"], true);
    *bench.hatches.looks.lock() = usize::MAX;
    let receipt = bench.get("/v1/peerway/change/1?wait=1s").await.json();
    assert_eq!(receipt["Settled"], false);
}

#[tokio::test(start_paused = true)]
async fn only_so_many_wait_for_a_receipt() {
    let bench = Bench::new();
    bench.register(json!({ "Name": "web", "Port": 80 })).await;
    *bench.hatches.looks.lock() = usize::MAX;
    let uri = "/v1/peerway/change/1?wait=10m";
    let mut waiting: Vec<_> = (0..MAX_SETTLING).map(|_| Box::pin(bench.get(uri))).collect();
    for query in &mut waiting {
        assert!(futures::poll!(query).is_pending());
    }
    let answer = bench.get(uri).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(answer.text.contains("16 queries wait"), "{}", answer.text);
    assert_eq!(bench.get("/v1/peerway/change/1").await.status, StatusCode::OK);
    waiting.clear();
    *bench.hatches.looks.lock() = 2;
    assert_eq!(bench.get(uri).await.json()["Settled"], true);
}

#[tokio::test]
async fn a_change_that_never_was_is_refused() {
    let bench = Bench::new();
    let answer = bench.get("/v1/peerway/change/99").await;
    assert_eq!(
        (answer.status, answer.text.as_str()),
        (
            StatusCode::NOT_FOUND,
            "change 99 is not known here, the newest is 0"
        )
    );
    let answer = bench.get("/v1/peerway/change/last").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.text.contains("X-Peerway-Change"), "{}", answer.text);
    bench.register(json!({ "Name": "web", "Port": 80 })).await;
    *bench.hatches.looks.lock() = 1;
    let answer = bench.get("/v1/peerway/change/1?wait=soon").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn proxies_are_listed_with_all_that_is_known() {
    let bench = Bench::new();
    let proxies = bench.get("/v1/peerway/proxies").await.json();
    assert_eq!(
        proxies[0],
        json!({
            "ID": "web-sidecar-proxy", "Node": "n1", "Partition": "default", "Registered": true,
            "Kind": "connect-proxy", "Namespace": "default", "Service": "web", "Connected": true,
            "EnvoyVersion": "1.40.0", "ConnectedSince": "1970-01-01T00:00:01Z", "Settled": true, "Revision": 3,
            "Pushes": 4, "Acks": 3, "Nacks": 1,
            "Refused": [{ "Type": "listener", "Name": "l", "Version": "1", "Since": 3, "Reason": "cannot bind" }],
            "LastNack": {
                "Type": "listener", "Names": ["l"], "Reason": "cannot bind", "At": "1970-01-01T00:00:02Z",
            },
        })
    );
    assert_eq!(
        (
            &proxies[1]["Registered"],
            &proxies[1]["Connected"],
            &proxies[1]["LastNack"]
        ),
        (&json!(false), &json!(false), &Value::Null)
    );
}
