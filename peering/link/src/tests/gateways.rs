//! Servers that meet through mesh gateways.

use super::cluster::Cluster;
use super::{Token, establish, introduce, token};
use crate::IntroductionError;
use crate::fixture::{mesh_gateway, node, through_mesh_gateways};
use peerway_model::{Instance, Origin, PeeringState};
use peerway_state::{Row, RowKey, Snapshot, Transaction};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

async fn set_through_gateways(cluster: &Cluster, through: bool) {
    cluster
        .commit(Transaction::new().put(through_mesh_gateways(through)))
        .await;
}

/// The only mesh gateway of a cluster; it listens at `at`.
fn gateway_row(cluster: &Cluster, at: &str) -> Row {
    let (address, port) = at.rsplit_once(':').unwrap();
    let key = node(Origin::Local, cluster.name).key;
    Row::Instance(Arc::new(Instance {
        address: address.to_owned(),
        port: port.parse().unwrap(),
        ..mesh_gateway(&key, "gw-1")
    }))
}

fn dialled(snapshot: &Snapshot) -> Vec<String> {
    let peering = snapshot.peerings().next();
    peering.map_or_else(Vec::new, |peering| peering.server_addresses.clone())
}

/// A port that nobody listens on.
async fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Plays a mesh gateway: passes bytes on to `to`, but only once the record of the peering names a server, which is how
/// a real one learns of it.
struct Relay {
    at: String,
    task: JoinHandle<()>,
}

impl Relay {
    async fn new(at: &str, to: &str, reader: peerway_store::Reader) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let (at, to) = (listener.local_addr().unwrap().to_string(), to.to_owned());
        let task = tokio::spawn(async move {
            let mut passing = JoinSet::new();
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let snapshot = reader.snapshot();
                if !snapshot.peerings().any(|peering| peering.server_name.is_some()) {
                    continue;
                }
                let to = to.clone();
                passing.spawn(async move {
                    let mut far = TcpStream::connect(to).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        Relay { at, task }
    }

    /// Cuts what it carries.
    async fn stop(self) -> String {
        self.task.abort();
        let _ = self.task.await;
        self.at
    }
}

async fn until_connected(cluster: &Cluster) {
    let key = cluster.peering().unwrap().key;
    let state = || cluster.link().state(&cluster.peering().unwrap());
    let waiting = async {
        while state() != PeeringState::Active {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let limit = std::time::Duration::from_secs(60);
    let reached = tokio::time::timeout(limit, waiting).await;
    assert!(reached.is_ok(), "{:?}", cluster.link().status(&key));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acceptor_gives_its_gateways_addresses_and_follows_every_change() {
    let (east, west) = (Cluster::new("east").await, Cluster::new("west").await);
    introduce(&east, &west).await;
    let direct = dialled(&west.snapshot());
    assert_eq!(direct, [east.address()]);

    set_through_gateways(&east, true).await;
    west.until("the gateway", |snapshot| dialled(snapshot) == ["203.0.113.1:443"])
        .await;
    let text = token(&east, "west").await.unwrap();
    assert_eq!(
        Token::decode(&text).unwrap().server_addresses,
        ["203.0.113.1:443"]
    );

    // Without a gateway nothing is said: the dialer would lose the last address that it has.
    let key = mesh_gateway(&node(Origin::Local, "east").key, "gw-1").key;
    east.commit(Transaction::new().delete(RowKey::Instance(key)))
        .await;
    east.register("web", "web-1").await;
    east.export(&["web"], "west").await;
    west.until("web", |snapshot| super::imported(snapshot) == ["east/web/web-1"])
        .await;
    assert_eq!(dialled(&west.snapshot()), ["203.0.113.1:443"]);
    let error = token(&east, "west").await.unwrap_err();
    assert!(matches!(&error, IntroductionError::Unavailable(text) if text.contains("register one")));

    set_through_gateways(&east, false).await;
    west.until("the server again", |snapshot| dialled(snapshot) == direct)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialer_that_can_reach_nothing_but_its_own_gateway_is_served() {
    let (mut east, west) = (Cluster::new("east").await, Cluster::new("west").await);
    let relay = Relay::new("127.0.0.1:0", &east.address(), west.reader()).await;
    set_through_gateways(&west, true).await;
    west.commit(Transaction::new().put(gateway_row(&west, &relay.at)))
        .await;
    let mut given = Token::decode(&token(&east, "west").await.unwrap()).unwrap();
    let unreachable = nowhere().await;
    given.manual_server_addresses = vec![unreachable.clone()];
    establish(&west, "east", &given.encode()).await.unwrap();
    until_connected(&west).await;

    // The gateway is gone for a while, then the server.
    let at = relay.stop().await;
    let key = west.peering().unwrap().key;
    while west.link().status(&key).connected {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let _relay = Relay::new(&at, &east.address(), west.reader()).await;
    until_connected(&west).await;
    east.stop().await;
    east.start();
    until_connected(&west).await;
    east.register("web", "web-1").await;
    east.export(&["web"], "west").await;
    west.until("web", |snapshot| super::imported(snapshot).len() == 2)
        .await;
    assert_eq!(west.peering().unwrap().manual_addresses, [unreachable]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_does_not_answer_is_passed_over() {
    let (east, west) = (Cluster::new("east").await, Cluster::new("west").await);
    set_through_gateways(&west, true).await;
    west.commit(Transaction::new().put(gateway_row(&west, &nowhere().await)))
        .await;
    let text = token(&east, "west").await.unwrap();
    establish(&west, "east", &text).await.unwrap();
    until_connected(&west).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_announced_to_gateways_is_taken_back_when_nothing_comes_of_it() {
    let (east, west) = (Cluster::new("east").await, Cluster::new("west").await);
    set_through_gateways(&west, true).await;
    let relay = Relay::new("127.0.0.1:0", &east.address(), west.reader()).await;
    west.commit(Transaction::new().put(gateway_row(&west, &relay.at)))
        .await;
    let spent = token(&east, "west").await.unwrap();
    let good = token(&east, "west").await.unwrap();
    let error = establish(&west, "east", &spent).await.unwrap_err();
    assert!(matches!(error, IntroductionError::PermissionDenied(_)), "{error}");
    assert_eq!(west.peering(), None);

    establish(&west, "east", &good).await.unwrap();
    until_connected(&west).await;
    let before = west.peering();
    let mut lost = Token::decode(&spent).unwrap();
    lost.server_addresses = vec![nowhere().await];
    let error = establish(&west, "east", &lost.encode()).await.unwrap_err();
    assert!(matches!(error, IntroductionError::PermissionDenied(_)), "{error}");
    assert_eq!(west.peering(), before);
    until_connected(&west).await;
}
