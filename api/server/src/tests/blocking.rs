//! Blocking queries: they wake on what concerns them, and on nothing else.

use super::*;
use futures::poll;
use std::pin::pin;

/// The query, already waiting.
macro_rules! waiting {
    ($name:ident, $bench:expr, $uri:expr) => {
        let mut $name = pin!($bench.get($uri));
        assert!(poll!(&mut $name).is_pending(), "answered at once");
    };
}
pub(super) use waiting;

#[tokio::test]
async fn a_query_wakes_on_a_relevant_change_only() {
    let bench = Bench::new();
    bench.register(json!({"Name": "web", "Port": 1})).await;
    let index = bench.get("/v1/health/service/web").await.index();
    let uri = format!("/v1/health/service/web?index={index}&wait=10m");
    waiting!(query, bench, &uri);
    bench.register(json!({"Name": "other"})).await;
    bench.put("/v1/config", json!({"Kind": "mesh"})).await;
    assert!(
        poll!(&mut query).is_pending(),
        "woken by a change that does not concern it"
    );
    bench.register(json!({"Name": "web", "Port": 2})).await;
    let answer = query.await;
    assert!(answer.index() > index);
    assert_eq!(answer.json()[0]["Service"]["Port"], 2);
}

#[tokio::test]
async fn a_change_between_two_queries_is_not_lost_and_an_irrelevant_one_does_not_spin() {
    let bench = Bench::new();
    bench.register(json!({"Name": "web"})).await;
    let index = bench.get("/v1/health/service/web").await.index();
    bench.register(json!({"Name": "other"})).await;
    let uri = format!("/v1/health/service/web?index={index}");
    {
        waiting!(query, bench, &uri);
        assert!(poll!(&mut query).is_pending());
    }
    // A removal leaves no row behind that could tell.
    bench.put("/v1/agent/service/deregister/web", json!({})).await;
    let answer = bench.get(&uri).now_or_never().unwrap();
    assert_eq!(answer.json(), json!([]));
    let uri = format!("/v1/health/service/web?index={}", answer.index());
    waiting!(query, bench, &uri);
    bench.register(json!({"Name": "web"})).await;
    assert_eq!(query.await.json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_empty_store_can_be_waited_on_too() {
    let bench = Bench::new();
    let index = bench.get("/v1/catalog/services").await.index();
    assert!(index > 0);
    let uri = format!("/v1/catalog/services?index={index}");
    {
        waiting!(_query, bench, &uri);
    }
    bench.register(json!({"Name": "web"})).await;
    let answer = bench.get(&uri).now_or_never().unwrap();
    assert_eq!(answer.json(), json!({"web": []}));
}

#[tokio::test]
async fn an_index_of_the_past_or_the_future_does_not_wait() {
    let bench = Bench::new();
    bench.register(json!({"Name": "web"})).await;
    for index in ["0", "1", "99999"] {
        let uri = format!("/v1/health/service/web?index={index}");
        let answer = bench.get(&uri).now_or_never().unwrap();
        assert_eq!(answer.index(), 2, "{index}");
    }
}

#[tokio::test]
async fn every_blocking_route_wakes_on_its_own_topic() {
    let bench = Bench::new();
    bench.commit(vec![roots(1), peering("east")]).await;
    bench
        .register(json!({"Name": "web", "Connect": {"SidecarService": {}}}))
        .await;
    bench
        .put("/v1/config", json!({"Kind": "service-defaults", "Name": "web"}))
        .await;
    let touch: [(&str, Row); 8] = [
        ("/v1/connect/ca/roots", roots(2)),
        ("/v1/agent/connect/ca/roots", roots(3)),
        ("/v1/peerings", peering("north")),
        ("/v1/peering/east", changed(peering("east"))),
        ("/v1/config/mesh", mesh()),
        ("/v1/catalog/services", node_check("c1")),
        ("/v1/catalog/service/web", node_check("c2")),
        ("/v1/health/connect/web", node_check("c3")),
    ];
    for (path, row) in touch {
        let index = bench.get(path).await.index();
        let uri = format!("{path}?index={index}");
        waiting!(query, bench, &uri);
        // Of no concern to any of them.
        let defaults =
            json!({"Kind": "service-defaults", "Name": "web", "Meta": {"for": path.replace('/', "-")}});
        assert_eq!(bench.put("/v1/config", defaults).await.json(), json!(true));
        assert!(poll!(&mut query).is_pending(), "{path}");
        bench.commit(vec![row]).await;
        let answer = query.await;
        assert_eq!(answer.status, StatusCode::OK, "{path} {}", answer.text);
        assert!(answer.index() > index, "{path}");
    }
}

fn changed(row: Row) -> Row {
    let Row::Peering(peering) = row else {
        panic!("not a peering");
    };
    Row::Peering(Arc::new(Peering {
        state: PeeringState::Establishing,
        ..(*peering).clone()
    }))
}

fn mesh() -> Row {
    Row::Config(Arc::new(peerway_model::ConfigEntry::Mesh(
        peerway_model::config::Mesh::default(),
    )))
}

fn node_check(id: &str) -> Row {
    check(&local_node().key, id, CheckStatus::Passing, None)
}

#[tokio::test(start_paused = true)]
async fn a_query_ends_when_its_time_is_up() {
    let bench = Bench::new();
    bench.register(json!({"Name": "web"})).await;
    let index = bench.get("/v1/health/service/web").await.index();
    let started = tokio::time::Instant::now();
    let uri = format!("/v1/health/service/web?index={index}&wait=30s");
    assert_eq!(bench.get(&uri).await.index(), index);
    assert_eq!(started.elapsed().as_secs(), 30);
    let uri = format!("/v1/health/service/web?index={index}&wait=5h");
    assert_eq!(bench.get(&uri).await.index(), index);
    assert_eq!(started.elapsed().as_secs(), 630);
    let uri = format!("/v1/health/service/web?index={index}");
    assert_eq!(bench.get(&uri).await.index(), index);
    assert_eq!(started.elapsed().as_secs(), 930);
}

#[tokio::test]
async fn a_hash_is_waited_past() {
    let bench = Bench::new();
    bench.register(json!({"Name": "web", "Port": 1})).await;
    let first = bench.get("/v1/agent/service/web").await;
    let hash = first.header("x-consul-contenthash").to_owned();
    let uri = format!("/v1/agent/service/web?hash={hash}");
    {
        waiting!(query, bench, &uri);
        // A check touches the instance and changes nothing of the answer.
        bench.commit(vec![node_check("c1")]).await;
        assert!(poll!(&mut query).is_pending());
        bench.register(json!({"Name": "web", "Port": 2})).await;
        let answer = query.await;
        assert_eq!(answer.json()["Port"], 2);
        assert_ne!(answer.header("x-consul-contenthash"), hash);
    }
    assert!(
        bench.get(&uri).now_or_never().is_some(),
        "another hash does not wait"
    );
    let hash = bench
        .get("/v1/agent/service/web")
        .await
        .header("x-consul-contenthash")
        .to_owned();
    let uri = format!("/v1/agent/service/web?hash={hash}");
    waiting!(query, bench, &uri);
    bench.put("/v1/agent/service/deregister/web", json!({})).await;
    assert_eq!(query.await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_leaf_is_waited_past_until_the_roots_change() {
    let bench = Bench::new();
    bench.commit(vec![roots(1)]).await;
    let first = bench.get("/v1/agent/connect/ca/leaf/web").await;
    assert_eq!(
        first.json(),
        json!({
            "SerialNumber": "0a", "CertPEM": "chain", "PrivateKeyPEM": "key", "Service": "web",
            "ServiceURI": "spiffe://td.consul/ns/default/dc/dc1/svc/web",
            "ValidAfter": "1970-01-01T00:00:05Z", "ValidBefore": "1970-01-01T00:00:06Z",
            "CreateIndex": 5000, "ModifyIndex": 5000,
        })
    );
    assert_eq!(first.index(), 5000);
    let uri = "/v1/agent/connect/ca/leaf/web?index=5000";
    waiting!(query, bench, uri);
    *bench.hatches.leaf_from.lock() = 9000;
    bench.commit(vec![roots(2)]).await;
    assert_eq!(query.await.index(), 9000);
    assert!(bench.get(uri).now_or_never().is_some());
    assert_eq!(bench.hatches.asked()[0], "leaf default/default/web");
}

#[tokio::test]
async fn only_so_many_queries_wait() {
    let bench = Bench::with_places(Some(1));
    let index = bench.get("/v1/peerings").await.index();
    let uri = format!("/v1/peerings?index={index}");
    {
        waiting!(_query, bench, &uri);
        let second = bench.get(&uri).await;
        assert_eq!(second.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(bench.get("/v1/peerings").await.status, StatusCode::OK);
    }
    // The first has gone away and left its place.
    waiting!(_query, bench, &uri);
}

/// A lost wake-up would leave the follower waiting for minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_sees_the_last_of_many_changes() {
    let bench = Arc::new(Bench::new());
    let writer = tokio::spawn({
        let bench = bench.clone();
        async move {
            for port in 1..=300 {
                bench.register(json!({"Name": "other", "Port": port})).await;
                bench.register(json!({"Name": "web", "Port": port})).await;
                bench.put("/v1/agent/service/deregister/web", json!({})).await;
            }
            bench.register(json!({"Name": "web", "Port": 60_000})).await;
        }
    });
    let mut index = 0;
    loop {
        let uri = format!("/v1/health/service/web?index={index}&wait=10m");
        let answer = bench.get(&uri).await;
        assert!(answer.index() >= index);
        index = answer.index();
        if answer.json().pointer("/0/Service/Port") == Some(&json!(60_000)) {
            break;
        }
    }
    writer.await.unwrap();
}
