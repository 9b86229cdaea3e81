//! Streams against a gate over a memory store.

mod leaves;
mod receipts;
mod trust;
pub(crate) mod world;

use crate::limits::{MAX_NODE_ID_BYTES, MAX_REQUEST_BYTES};
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use peerway_state::RowKey;
use peerway_xds_protocol::Kind;
use prost::Message;
use tonic::Code;
use world::{API, Client, INBOUND, PROXY, ROOTS, World, envoy, key, sidecar, versions};

#[tokio::test]
async fn a_sidecar_gets_everything_and_is_shown() {
    let world = World::new().await;
    let mut client = Client::connect(&world.gate, envoy(PROXY, 40)).await.unwrap();
    let held = client.start().await;
    let names = |kind| held[&kind].keys().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(names(Kind::Cluster), [API, "local_app"]);
    assert_eq!(names(Kind::Endpoints), [API]);
    assert_eq!(
        names(Kind::Listener),
        ["api:127.0.0.1:5000", "public_listener:0.0.0.0:20000"]
    );
    assert_eq!(names(Kind::Secret), [INBOUND, "leaf", ROOTS]);
    client.quiet().await;
    while !world.status().settled {
        tokio::task::yield_now().await;
    }
    let status = world.status();
    assert_eq!(status.proxy, key(PROXY));
    assert_eq!(
        status.identity.unwrap().to_string(),
        "spiffe://local.consul/ns/default/dc/dc1/svc/web"
    );
    assert_eq!(
        (status.envoy_version, status.nacks, status.settled),
        ((1, 40, 4), 0, true)
    );
    assert_eq!((status.pushes, status.acks), (5, 5));
    assert!(status.change_to_ack.is_some() && status.last_nack.is_none());
}

#[tokio::test]
async fn a_change_reaches_whom_it_concerns_and_nothing_else_is_sent() {
    let world = World::new().await;
    let mut client = Client::connect(&world.gate, envoy(PROXY, 36)).await.unwrap();
    let held = client.start().await;
    client.quiet().await;
    world.put([sidecar("api", 21001, None)]).await;
    let response = client.take(Kind::Endpoints).await;
    assert_eq!(response.resources.len(), 1);
    assert_ne!(versions(&response), held[&Kind::Endpoints]);
    let any = response.resources[0].resource.clone().unwrap();
    let assignment = ClusterLoadAssignment::decode(any.value.as_slice()).unwrap();
    assert!(format!("{assignment:?}").contains("PortValue(21001)"));
    client.quiet().await;
}

#[tokio::test]
async fn a_refused_version_is_counted_and_sent_again_only_when_it_changed() {
    let world = World::new().await;
    let mut client = Client::connect(&world.gate, envoy(PROXY, 40)).await.unwrap();
    client.start().await;
    client.quiet().await;
    world.put([sidecar("api", 21001, None)]).await;
    let response = client.receive(Kind::Endpoints).await;
    client.nack(Kind::Endpoints, &response, "do not like it").await;
    client.quiet().await;
    let status = world.status();
    let nack = status.last_nack.unwrap();
    assert_eq!(
        (status.nacks, nack.kind, nack.reason.message.as_str()),
        (1, Kind::Endpoints, "do not like it")
    );
    assert_eq!(
        nack.resources,
        versions(&response).into_iter().collect::<Vec<_>>()
    );
    world.put([sidecar("api", 21002, None)]).await;
    assert_eq!(client.take(Kind::Endpoints).await.resources.len(), 1);
    client.quiet().await;
    assert_eq!(world.status().nacks, 1);
}

#[tokio::test]
async fn a_proxy_that_reconnects_with_what_it_has_gets_nothing() {
    let world = World::new().await;
    let mut client = Client::connect(&world.gate, envoy(PROXY, 40)).await.unwrap();
    let held = client.start().await;
    drop(client);
    let mut client = Client::connect(&world.gate, envoy(PROXY, 40)).await.unwrap();
    for (kind, versions) in &held {
        let wildcard = kind.is_wildcard_capable();
        let request = DeltaDiscoveryRequest {
            resource_names_subscribe: if wildcard {
                Vec::new()
            } else {
                versions.keys().cloned().collect()
            },
            initial_resource_versions: versions.clone().into_iter().collect(),
            ..Default::default()
        };
        client.send(*kind, request).await;
        if wildcard {
            // A wildcard is always answered, here with nothing new.
            let answer = client.take(*kind).await;
            assert_eq!((answer.resources.len(), answer.removed_resources.len()), (0, 0));
        }
    }
    client.quiet().await;
}

#[tokio::test]
async fn an_unregistered_proxy_is_served_once_it_is_and_keeps_what_it_has_after() {
    let world = World::empty(100).await;
    let mut client = Client::connect(&world.gate, envoy(PROXY, 40)).await.unwrap();
    client.subscribe(Kind::Cluster, &[]).await;
    while world.gate.statuses().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.status().identity, None);
    world.register().await;
    assert_eq!(client.take(Kind::Cluster).await.resources.len(), 2);

    world.delete(RowKey::Instance(key(PROXY))).await;
    while world.status().identity.is_some() {
        tokio::task::yield_now().await;
    }
    client.quiet().await;
    world.put([sidecar("web", 20000, None)]).await;
    let response = client.take(Kind::Cluster).await;
    assert_eq!(
        response.removed_resources,
        [API],
        "what it no longer needs goes when it is registered again"
    );
}

#[tokio::test]
async fn a_new_leaf_is_sent_alone() {
    let world = World::new().await;
    let mut client = Client::connect(&world.gate, envoy(PROXY, 40)).await.unwrap();
    let held = client.start().await;
    client.quiet().await;
    world.rotate("02");
    let response = client.take(Kind::Secret).await;
    assert_eq!(versions(&response).into_keys().collect::<Vec<_>>(), ["leaf"]);
    assert_ne!(versions(&response)["leaf"], held[&Kind::Secret]["leaf"]);
    client.quiet().await;
}

#[tokio::test]
async fn who_cannot_be_served_is_told_why() {
    let world = World::new().await;
    let mut strange = envoy("x", 40);
    strange.user_agent_version_type = None;
    for (node, code, text) in [
        (
            envoy(PROXY, 35),
            Code::InvalidArgument,
            "envoy 1.35 is too old, run 1.36 or later",
        ),
        (envoy("", 40), Code::InvalidArgument, "node.id: must not be empty"),
        (
            envoy(&"x".repeat(MAX_NODE_ID_BYTES + 1), 40),
            Code::ResourceExhausted,
            "257 bytes",
        ),
        (
            strange,
            Code::InvalidArgument,
            "user_agent_build_version is missing",
        ),
    ] {
        let mut client = Client::connect(&world.gate, node).await.unwrap();
        client.subscribe(Kind::Cluster, &[]).await;
        let status = client.end().await.unwrap_err();
        assert_eq!(status.code(), code);
        assert!(status.message().contains(text), "{}", status.message());
    }
    assert!(world.gate.statuses().is_empty());
}

#[tokio::test]
async fn requests_are_held_to_their_limits() {
    let world = World::new().await;
    let mut client = Client::connect(&world.gate, envoy(PROXY, 40)).await.unwrap();
    let request = DeltaDiscoveryRequest {
        response_nonce: "x".repeat(MAX_REQUEST_BYTES + 1),
        ..Default::default()
    };
    client.send(Kind::Cluster, request).await;
    assert_eq!(client.end().await.unwrap_err().code(), Code::ResourceExhausted);

    let mut client = Client::connect(&world.gate, envoy(PROXY, 40)).await.unwrap();
    client.subscribe(Kind::Cluster, &[&"x".repeat(100_000)]).await;
    let status = client.end().await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("100000 bytes"), "{}", status.message());
}

#[tokio::test]
async fn only_so_many_streams_are_open_at_a_time() {
    let world = World::empty(1).await;
    let client = Client::connect(&world.gate, envoy(PROXY, 40)).await.unwrap();
    let status = Client::connect(&world.gate, envoy("other", 40))
        .await
        .err()
        .unwrap();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(
        status.message().starts_with("1 streams are open"),
        "{}",
        status.message()
    );
    drop(client);
    while Client::connect(&world.gate, envoy("other", 40)).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_drain_ends_streams_without_an_error() {
    let world = World::new().await;
    let mut client = Client::connect(&world.gate, envoy(PROXY, 40)).await.unwrap();
    client.start().await;
    world.trigger.begin();
    client.end().await.unwrap();
}

#[tokio::test]
async fn the_state_of_the_world_is_refused_in_words() {
    let world = World::new().await;
    let mut client = AggregatedDiscoveryServiceClient::new(world.gate.service());
    let status = client
        .stream_aggregated_resources(tokio_stream::empty())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(status.message().contains("DELTA_GRPC"));
}
