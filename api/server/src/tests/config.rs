//! Config entries.

use super::*;

fn exports(peer: &str) -> Value {
    json!({"Kind": "exported-services", "Name": "default",
        "Services": [{"Name": "web", "Consumers": [{"Peer": peer}]}]})
}

#[tokio::test]
async fn an_entry_is_written_read_listed_and_deleted() {
    let bench = Bench::new();
    assert_eq!(bench.put("/v1/config", exports("east")).await.json(), json!(true));
    let mut expected = exports("east");
    expected["CreateIndex"] = json!(1);
    expected["ModifyIndex"] = json!(1);
    let path = "/v1/config/exported-services/default";
    assert_eq!(bench.get(path).await.json(), expected);
    assert_eq!(
        bench.get("/v1/config/exported-services").await.json(),
        json!([expected])
    );
    assert_eq!(bench.get("/v1/config/mesh").await.json(), json!([]));
    assert_eq!(bench.delete(path).await.json(), json!({}));
    assert_eq!(bench.delete(path).await.json(), json!({}));
    let gone = bench.get(path).await;
    assert_eq!((gone.status, gone.index()), (StatusCode::NOT_FOUND, 3));
    assert!(
        gone.text.contains("exported-services \"default\" does not exist"),
        "{}",
        gone.text
    );
}

#[tokio::test]
async fn compare_and_set_writes_only_what_was_seen() {
    let bench = Bench::new();
    let path = "/v1/config/exported-services/default";
    for (uri, peer, expected) in [
        ("/v1/config?cas=7", "a", false),
        ("/v1/config?cas=0", "b", true),
        ("/v1/config?cas=0", "c", false),
        ("/v1/config?cas=1", "d", true),
        ("/v1/config?cas=1", "e", false),
    ] {
        assert_eq!(
            bench.put(uri, exports(peer)).await.json(),
            json!(expected),
            "{uri} {peer}"
        );
    }
    let entry = bench.get(path).await.json();
    assert_eq!(entry["Services"][0]["Consumers"][0]["Peer"], "d");
    let index = entry["ModifyIndex"].as_u64().unwrap();
    assert_eq!(
        bench.delete(&format!("{path}?cas={}", index + 1)).await.json(),
        json!(false)
    );
    assert_eq!(
        bench.delete(&format!("{path}?cas={index}")).await.json(),
        json!(true)
    );
    assert_eq!(bench.get(path).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn entries_live_in_their_partition_and_namespace() {
    let bench = Bench::new();
    let intentions = json!({"Kind": "service-intentions", "Name": "*", "Namespace": "*",
        "Sources": [{"Name": "web", "Action": "deny"}]});
    let uri = "/v1/config?partition=billing";
    assert_eq!(bench.put(uri, intentions).await.json(), json!(true));
    let path = "/v1/config/service-intentions/*";
    assert_eq!(bench.get(path).await.status, StatusCode::NOT_FOUND);
    let found = bench.get(&format!("{path}?partition=billing&ns=*")).await.json();
    assert_eq!(
        (&found["Partition"], &found["Namespace"]),
        (&json!("billing"), &json!("*"))
    );
    assert_eq!(bench.get("/v1/config/service-intentions").await.json(), json!([]));
    let listed = bench
        .get("/v1/config/service-intentions?partition=billing")
        .await
        .json();
    assert_eq!(listed, json!([found]));
}
