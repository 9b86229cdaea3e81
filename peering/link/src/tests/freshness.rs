//! What is said of a peering while something is not as it should be.

use super::cluster::{Cluster, imported};
use super::{WEB, introduce};
use crate::{ImportPolicy, fixture};
use peerway_model::{Origin, PeeringState};
use peerway_peering_protocol::{ImportLimits, NameFilter, NamePattern};
use peerway_state::{Row, Transaction};
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_no_message_can_hold_is_withheld_by_name() {
    let (east, west) = (Cluster::new("east").await, Cluster::new("west").await);
    introduce(&east, &west).await;
    east.register("web", "web-1").await;
    east.export(&["web"], "west").await;
    west.until_imported(&WEB).await;
    west.until_state(PeeringState::Active).await;

    let node = fixture::node(Origin::Local, "east").key;
    let mut transaction = Transaction::new();
    for index in 0..150 {
        let mut instance = fixture::instance(&node, "web", &format!("big-{index:03}"));
        instance.tags = vec!["x".repeat(1_000); 64];
        transaction = transaction.put(Row::Instance(Arc::new(instance)));
    }
    east.commit(transaction).await;
    // The importer is told, keeps what it has, and does not call it fresh.
    west.until_state(PeeringState::Failing).await;
    let key = west.peering().unwrap().key;
    let standing = west.link().standing(&key, Some("web")).unwrap();
    assert_eq!(standing.state, "DIVERGED");
    assert!(standing.reason.contains("cannot be split"), "{}", standing.reason);
    let face = west.link().standing(&key, Some("web-sidecar-proxy")).unwrap();
    assert_eq!(face.state, "ACTIVE", "calls go on: {}", face.reason);
    assert_eq!(imported(&west.snapshot()), WEB);
    let report = east.link().status(&east.peering().unwrap().key).report().unwrap();
    let exported = report.exports.iter().find(|one| one.name == "web").unwrap();
    assert_eq!(exported.state, "WITHHELD", "{exported:?}");

    for index in 0..150 {
        east.deregister("web", &format!("big-{index:03}")).await;
    }
    west.until_state(PeeringState::Active).await;
    east.until_state(PeeringState::Active).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_and_the_filter_refuse_by_name_and_touch_no_other_peer() {
    let limits = ImportLimits {
        max_services: 1,
        filter: NameFilter {
            include: Vec::new(),
            exclude: vec![NamePattern::parse("secret-*").unwrap()],
        },
        ..ImportLimits::default()
    };
    let policy = ImportPolicy {
        peers: [(fixture::peering("east"), limits)].into(),
        ..ImportPolicy::default()
    };
    let east = Cluster::new("east").await;
    let west = Cluster::with_imports("west", policy).await;
    introduce(&east, &west).await;
    east.register("secret-db", "secret-1").await;
    east.register("web", "web-1").await;
    east.export(&["secret-db", "web"], "west").await;
    west.until_imported(&WEB).await;
    west.until_state(PeeringState::Active).await;
    let key = west.peering().unwrap().key;
    assert_eq!(
        west.link().standing(&key, Some("secret-db")).unwrap().state,
        "FILTERED"
    );
    assert_eq!(west.link().status(&key).imported_services, ["web"]);

    east.register("zoo", "zoo-1").await;
    east.export(&["secret-db", "web", "zoo"], "west").await;
    west.until_state(PeeringState::Failing).await;
    let status = west.link().status(&key);
    let refused = &status.refused[0];
    assert_eq!(refused.0, "exported service \"zoo\"");
    assert!(
        refused.1.contains("2 services") && refused.1.contains("peering.imports.max_services"),
        "{refused:?}"
    );
    assert_eq!(imported(&west.snapshot()), WEB);
    // The exporter is told a moment later.
    let known = east.peering().unwrap().key;
    let report = || east.link().status(&known).report().unwrap();
    east.until_true("what the peer refuses", || {
        let refused = report().refused_by_peer;
        refused.iter().any(|(what, _)| what.contains("zoo"))
    })
    .await;
    let report = report();
    let zoo = report.exports.iter().find(|one| one.name == "zoo");
    assert!(
        zoo.is_none_or(|zoo| zoo.state == "REFUSED" || zoo.state == "SENT"),
        "{zoo:?}"
    );

    // When there is room again it comes by itself.
    east.export(&["zoo"], "west").await;
    west.until_imported(&[
        "east/zoo/zoo-1",
        "east/zoo-sidecar-proxy/zoo-sidecar-proxy-instance-0",
    ])
    .await;
    west.until_state(PeeringState::Active).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_of_a_peer_that_is_gone_is_not_called_fresh() {
    let (mut east, west) = (Cluster::new("east").await, Cluster::new("west").await);
    introduce(&east, &west).await;
    east.register("web", "web-1").await;
    east.export(&["web"], "west").await;
    west.until_imported(&WEB).await;
    west.until_state(PeeringState::Active).await;
    east.stop().await;
    west.until_state(PeeringState::Failing).await;
    let key = west.peering().unwrap().key;
    let standing = west.link().standing(&key, Some("web")).unwrap();
    assert_eq!(standing.state, "FAILING");
    assert!(
        !standing.reason.is_empty() && standing.age_ms.is_some(),
        "{standing:?}"
    );
    assert_eq!(imported(&west.snapshot()), WEB);
    east.start();
    west.until_state(PeeringState::Active).await;
    assert_eq!(west.link().standing(&key, Some("web")).unwrap().state, "ACTIVE");
}
