//! Two clusters in one process, over real TLS on loopback. All waiting is for a state that is reached.

mod cluster;
mod freshness;
mod gateways;
mod raw;
mod tokens;

use crate::fixture;
use crate::{IntroductionError, Issued, TokenOrder};
use cluster::{Cluster, imported};
use peerway_model::config::Meta;
use peerway_model::{Partition, PeeringRole, PeeringState, Requester};
use peerway_peering_protocol::Token;
use peerway_state::Snapshot;

const WEB: [&str; 2] = [
    "east/web/web-1",
    "east/web-sidecar-proxy/web-sidecar-proxy-instance-0",
];

/// `east` accepts and calls the other one `west`; `west` dials and calls the other one `east`.
async fn peered() -> (Cluster, Cluster) {
    let (east, west) = (Cluster::new("east").await, Cluster::new("west").await);
    introduce(&east, &west).await;
    (east, west)
}

async fn token(cluster: &Cluster, peer: &str) -> Result<String, IntroductionError> {
    let issued = order(cluster, peer, TokenOrder::default()).await?;
    Ok(issued.token.encode())
}

async fn order(cluster: &Cluster, peer: &str, order: TokenOrder) -> Result<Issued, IntroductionError> {
    let link = cluster.link();
    link.generate_token(peer, &Partition::default(), order, Requester::default())
        .await
}

async fn establish(cluster: &Cluster, peer: &str, token: &str) -> Result<(), IntroductionError> {
    let link = cluster.link();
    link.establish(
        peer,
        &Partition::default(),
        token,
        Meta::new(),
        Requester::default(),
    )
    .await
}

async fn delete(cluster: &Cluster, peer: &str) {
    let (link, by) = (cluster.link(), Requester::default());
    link.delete(peer, &Partition::default(), by).await.unwrap();
}

async fn introduce(east: &Cluster, west: &Cluster) {
    let token = token(east, "west").await.unwrap();
    establish(west, "east", &token).await.unwrap();
    for cluster in [east, west] {
        cluster
            .until("the bundle", |snapshot| snapshot.bundles().count() == 1)
            .await;
    }
}

fn has_state(state: PeeringState) -> impl Fn(&Snapshot) -> bool {
    move |snapshot| {
        snapshot
            .peerings()
            .next()
            .is_some_and(|peering| peering.state == state)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_arrives_and_what_is_not_goes() {
    let (east, west) = peered().await;
    let (acceptor, dialer) = (east.peering().unwrap(), west.peering().unwrap());
    assert_eq!(
        (acceptor.role, dialer.role),
        (PeeringRole::Acceptor, PeeringRole::Dialer)
    );
    assert_eq!(dialer.remote_id, Some(acceptor.id.clone()));
    assert_eq!(
        (
            acceptor.remote.datacenter.as_str(),
            dialer.remote.datacenter.as_str()
        ),
        ("west", "east")
    );
    assert_eq!(
        (acceptor.state, dialer.state),
        (PeeringState::Pending, PeeringState::Establishing)
    );
    for cluster in [&east, &west] {
        cluster.until_state(PeeringState::Active).await;
    }

    east.register("web", "web-1").await;
    assert!(imported(&west.snapshot()).is_empty());
    east.export(&["web"], "west").await;
    west.until_imported(&WEB).await;
    east.register("web", "web-2").await;
    west.until("web-2", |snapshot| imported(snapshot).len() == 3)
        .await;
    east.deregister("web", "web-2").await;
    west.until_imported(&WEB).await;

    // The other direction, at the same time.
    west.register("db", "db-1").await;
    west.export(&["*"], "east").await;
    east.until("db", |snapshot| imported(snapshot).len() == 2).await;

    east.export(&[], "west").await;
    west.until_imported(&[]).await;
    assert_eq!(imported(&east.snapshot()).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_group_gets_follows_its_members() {
    let (east, west) = peered().await;
    east.register("web", "web-1").await;
    east.register("db", "db-1").await;
    east.group(&[]).await;
    east.export(&["web"], fixture::GROUP).await;
    east.group(&["west"]).await;
    west.until_imported(&WEB).await;
    east.group(&["nobody"]).await;
    west.until_imported(&[]).await;
    east.group(&["nobody", "west"]).await;
    west.until_imported(&WEB).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_imported_proxy_says_how_to_dial() {
    let (east, west) = peered().await;
    east.register("web", "web-1").await;
    east.export(&["web"], "west").await;
    west.until_imported(&WEB).await;
    let snapshot = west.snapshot();
    let partition = Partition::default();
    let peering = west.peering().unwrap();
    let origin = peerway_model::Origin::Peer(peering.key.name.clone());
    let service = snapshot
        .service_names(&origin, &partition)
        .find(|service| service.name.as_str() == "web-sidecar-proxy")
        .unwrap();
    let proxy = snapshot.instances_of(service).next().unwrap();
    let meta = proxy.peer_meta.as_ref().unwrap();
    assert_eq!(meta.sni, ["web.default.default.west.external.east.consul"]);
    let node = snapshot.node(&proxy.key.node).unwrap();
    let at = proxy.wan_address(node);
    assert_eq!((at.address.as_str(), at.port), ("203.0.113.1", 443));
    let bundle = snapshot.bundle(&peering.key).unwrap();
    assert_eq!(bundle.root_pems, peering.ca_pems);

    let status = west.link().status(&peering.key);
    assert!(
        status.connected && status.last_applied.is_some() && status.refused.is_empty(),
        "{status:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn either_side_may_restart_and_nothing_is_missed() {
    let (mut east, mut west) = peered().await;
    east.register("web", "web-1").await;
    east.export(&["web"], "west").await;
    west.until_imported(&WEB).await;

    west.stop().await;
    east.register("web", "web-2").await;
    west.start();
    west.until("web-2", |snapshot| imported(snapshot).len() == 3)
        .await;

    east.stop().await;
    // Cut off: what was imported stays.
    assert_eq!(imported(&west.snapshot()).len(), 3);
    west.register("db", "db-1").await;
    west.export(&["db"], "east").await;
    east.start();
    east.deregister("web", "web-2").await;
    west.until_imported(&WEB).await;
    east.until("db", |snapshot| imported(snapshot).len() == 2).await;

    // What was taken back while the other side was down goes too, the mesh face included.
    west.stop().await;
    east.export(&[], "west").await;
    west.start();
    west.until_imported(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_on_the_accepting_side_is_told() {
    let (east, west) = peered().await;
    east.register("web", "web-1").await;
    east.export(&["web"], "west").await;
    west.until_imported(&WEB).await;

    delete(&east, "west").await;
    west.until("termination", has_state(PeeringState::Terminated))
        .await;
    assert!(imported(&west.snapshot()).is_empty());
    assert_eq!(west.snapshot().bundles().count(), 0);
    east.until("no record", |snapshot| snapshot.peerings().next().is_none())
        .await;

    // It stays until an operator deletes it here too, and then the clusters can meet again.
    delete(&west, "east").await;
    west.until("no record", |snapshot| snapshot.peerings().next().is_none())
        .await;
    introduce(&east, &west).await;
    west.until_imported(&WEB).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_on_the_dialling_side_is_told() {
    let (east, west) = peered().await;
    west.register("db", "db-1").await;
    west.export(&["db"], "east").await;
    east.until("db", |snapshot| imported(snapshot).len() == 2).await;

    delete(&west, "east").await;
    east.until("termination", has_state(PeeringState::Terminated))
        .await;
    assert!(imported(&east.snapshot()).is_empty());
    west.until("no record", |snapshot| snapshot.peerings().next().is_none())
        .await;
    delete(&east, "west").await;
    east.until("no record", |snapshot| snapshot.peerings().next().is_none())
        .await;
    // Once more is fine.
    delete(&east, "west").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_renews_a_peering_without_losing_it() {
    let (mut east, west) = peered().await;
    let second = token(&east, "west").await.unwrap();
    establish(&west, "east", &second).await.unwrap();
    // The running stream went on; the next one uses the new secret, which promotes it.
    east.register("web", "web-1").await;
    east.export(&["web"], "west").await;
    west.until_imported(&WEB).await;
    east.stop().await;
    east.start();
    let key = east.peering().unwrap().key;
    east.until("promotion", |snapshot| {
        snapshot
            .secrets(&key)
            .is_some_and(|secrets| secrets.pending_stream.is_none())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_wrong_introduction_says_its_cure() {
    let (east, west) = (Cluster::new("east").await, Cluster::new("west").await);
    let first = token(&east, "west").await.unwrap();
    let second = token(&east, "west").await.unwrap();
    let told = |result: Result<(), IntroductionError>, says: &str| {
        let error = result.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        error
    };
    use IntroductionError::{Conflict, Invalid, PermissionDenied, Unavailable};

    let error = told(
        establish(&west, "east", &first).await,
        "a new peering token must be generated",
    );
    assert!(matches!(error, PermissionDenied(_)));
    let error = told(
        establish(&west, "east", &second[..second.len() - 5]).await,
        "cut short",
    );
    assert!(matches!(error, Invalid(_)));
    let error = told(establish(&west, "East", &second).await, "valid peer name");
    assert!(matches!(error, Invalid(_)));
    let error = told(establish(&east, "other", &second).await, "this very cluster");
    assert!(matches!(error, Conflict(_)));
    let error = told(establish(&east, "west", &second).await, "this very cluster");
    assert!(matches!(error, Conflict(_)));
    assert_eq!(west.peering(), None);

    establish(&west, "east", &second).await.unwrap();
    let error = told(establish(&west, "east", &second).await, "used already");
    assert!(matches!(error, PermissionDenied(_)));
    let error = told(establish(&west, "twice", &second).await, "already the peer east");
    assert!(matches!(error, Conflict(_)));
    let error = token(&west, "east").await.unwrap_err();
    assert!(
        error.to_string().contains("was established with a token"),
        "{error}"
    );
    let third = token(&west, "north").await.unwrap();
    let error = told(establish(&east, "west", &third).await, "waits to be dialled");
    assert!(matches!(error, Conflict(_)));

    let nowhere = TokenOrder {
        external_addresses: vec!["nowhere".to_owned()],
        ..TokenOrder::default()
    };
    let told = |result: Result<Issued, IntroductionError>, says: &str| {
        let error = result.map(|_| ()).unwrap_err();
        assert!(
            error.to_string().contains(says) && matches!(error, Invalid(_)),
            "{error}"
        );
    };
    told(
        order(&west, "x", nowhere).await,
        "ServerExternalAddresses[0]: \"nowhere\" has no port",
    );
    let meta = TokenOrder {
        meta: Meta::from([("consul-x".to_owned(), String::new())]),
        ..TokenOrder::default()
    };
    told(order(&west, "x", meta).await, "Meta");
    let never = TokenOrder {
        ttl: Some(std::time::Duration::ZERO),
        ..TokenOrder::default()
    };
    told(order(&west, "x", never).await, "TTL: is 0 s");
    let nothing = TokenOrder {
        bounds: peerway_model::TokenBounds {
            services: Some(std::collections::BTreeSet::new()),
            ..peerway_model::TokenBounds::default()
        },
        ..TokenOrder::default()
    };
    told(order(&west, "x", nothing).await, "AllowedServices: is empty");

    // A token of a cluster that is gone.
    let mut lost = Token::decode(&third).unwrap();
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    lost.server_addresses = vec![gone.local_addr().unwrap().to_string()];
    drop(gone);
    lost.server_name = "server.lost.peering.lost.consul".to_owned();
    let told = |result: Result<(), IntroductionError>, says: &str| {
        let error = result.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        error
    };
    let error = told(
        establish(&west, "lost", &lost.encode()).await,
        "could not be reached",
    );
    assert!(matches!(error, Unavailable(_)));
    // One whose endpoint is not who the token says.
    lost.server_addresses = Token::decode(&second).unwrap().server_addresses;
    let error = told(establish(&west, "lost", &lost.encode()).await, "certificate");
    assert!(matches!(error, Unavailable(_)));
    // One without TLS.
    lost.ca_pems.clear();
    let error = told(
        establish(&west, "lost", &lost.encode()).await,
        "does not peer without TLS",
    );
    assert!(matches!(error, Invalid(_)));
}
