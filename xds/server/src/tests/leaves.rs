//! Which certificates a gateway gets that stands for others.

use super::world::{Client, World, envoy, instance, links, terminating, versions};
use peerway_model::CaRoot;
use peerway_xds_protocol::Kind;

const API: &str = "leaf~api.default.default";
const DB: &str = "leaf~db.default.default";

async fn world() -> World {
    let world = World::empty(10).await;
    world
        .put([
            instance("db", 5432),
            terminating("out"),
            links("out", &["api", "db"]),
        ])
        .await;
    world.taken_up().await;
    world
}

fn names(response: &envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryResponse) -> Vec<String> {
    versions(response).into_keys().collect()
}

#[tokio::test]
async fn a_gateway_gets_the_leaves_of_what_it_stands_for_and_no_others() {
    let world = world().await;
    let mut client = Client::connect(&world.gate, envoy("out", 40)).await.unwrap();
    client.subscribe(Kind::Secret, &["leaf", API, DB]).await;
    let all = client.take(Kind::Secret).await;
    assert_eq!(names(&all), ["leaf", API, DB]);
    world.rotate("02");
    assert_eq!(names(&client.take(Kind::Secret).await), ["leaf", API, DB]);
    world.put([links("out", &["db"])]).await;
    let gone = client.take(Kind::Secret).await;
    assert_eq!(
        (gone.removed_resources, gone.resources.len()),
        (vec![API.to_owned()], 0)
    );
    client.quiet().await;
}

#[tokio::test]
async fn what_is_withheld_is_asked_for_again() {
    let world = world().await;
    world.withhold(&["db"]);
    let mut client = Client::connect(&world.gate, envoy("out", 40)).await.unwrap();
    client.subscribe(Kind::Secret, &["leaf", API, DB]).await;
    let some = client.take(Kind::Secret).await;
    assert_eq!(names(&some), ["leaf", API]);
    assert_eq!(
        world.status().revision,
        None,
        "without it the gateway does not serve all"
    );
    world.withhold(&[]);
    assert_eq!(names(&client.take(Kind::Secret).await), [DB]);
}

#[tokio::test]
async fn a_root_is_used_when_every_leaf_is_of_it() {
    let world = world().await;
    let mut client = Client::connect(&world.gate, envoy("out", 40)).await.unwrap();
    client.subscribe(Kind::Secret, &[API, DB]).await;
    let all = client.receive(Kind::Secret).await;
    assert_eq!(names(&all), [API, DB]);
    let root = |id: &str| CaRoot {
        id: id.to_owned(),
        name: "root".to_owned(),
        serial: 1,
        key_id: "key".to_owned(),
        pem: format!("{id}\n"),
        not_before: 0,
        not_after: 1,
        active: true,
        handed_out: false,
        bridges: Vec::new(),
    };
    let renewed = || {
        let mut all = world.gate.trusts(&root("old"), &root("id"));
        all.remove(0).renewed
    };
    assert!(renewed().unwrap_err().starts_with("has not taken leaf~"));
    client.ack(Kind::Secret, &all).await;
    client.quiet().await;
    assert_eq!(renewed(), Ok(()));
    let other = world.gate.trusts(&root("id"), &root("other")).remove(0);
    assert!(other.renewed.is_err());
}
