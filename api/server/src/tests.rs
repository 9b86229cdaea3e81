//! The API as a client sees it, over a store in memory and hatches that remember.

use crate::{
    EstablishRequest, Introductions, Leaves, Parts, Ports, Receipts, Revocation, Rotations, TokenIssue,
    TokenRequest, router, routes,
};
use axum::Router;
use axum::body::Body;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderMap, Method, Request, StatusCode};
use parking_lot::Mutex;
use peerway_model::config::Action;
use peerway_model::freshness::Standing;
use peerway_model::instance::PeerMeta;
use peerway_model::peering::RemoteInfo;
use peerway_model::server::server_instance;
use peerway_model::{
    CaRoot, CaRoots, Check, CheckId, CheckKey, CheckStatus, Datacenter, Failure, FailureKind, Instance,
    InstanceId, InstanceKey, Invalid, LastRefusal, Leaf, Missing, NewRoot, Node, NodeKey, NodeName, Origin,
    Partition, PeerName, PeerReceipt, Peering, PeeringKey, PeeringRole, PeeringState, Proxy, ProxyConnection,
    ProxyReceipt, ProxyReport, Receipt, ReceiptState, RefusedResource, Requester, RootKey, Rotation,
    RotationPhase, RotationStatus, Secret, ServiceKey, ServiceKind, ServiceName, SpiffeId, StreamStatus,
    Tenancy, TrustBundle, TrustDomain, Weights, WitnessKind,
};
use peerway_runtime::{Readiness, SystemClock};
use peerway_state::{Row, RowKey, Transaction};
use peerway_store::{MemoryStorage, Store, open};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt;

mod agent;
mod blocking;
mod chain;
mod config;
mod errors;
mod external;
mod intention;
mod maintenance;
mod peers;
mod receipts;
mod rotation;
mod standing;
mod status;

/// A server and what stands behind it.
struct Bench {
    router: Router,
    store: Store,
    hatches: Arc<Hatches>,
    readiness: Readiness,
}

/// Hatches that do what the test says and remember what they were asked.
struct Hatches {
    /// From when the leaf is valid, unix milliseconds.
    leaf_from: Mutex<u64>,
    /// The phase of the rotation that is under way.
    rotating: Mutex<Option<RotationPhase>>,
    /// What the next introduction fails with.
    failure: Mutex<Option<Failure>>,
    /// How often everybody is asked for a change before the peer has answered.
    looks: Mutex<usize>,
    asked: Mutex<Vec<String>>,
}

impl Hatches {
    fn outcome<T: Send + 'static>(&self, what: String, value: T) -> BoxFuture<'_, Result<T, Failure>> {
        self.asked.lock().push(what);
        let failure = self.failure.lock().take();
        async move { failure.map_or(Ok(value), Err) }.boxed()
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock())
    }
}

impl Leaves for Hatches {
    fn leaf(&self, service: &ServiceKey) -> BoxFuture<'_, Result<Arc<Leaf>, Failure>> {
        let not_before = *self.leaf_from.lock();
        let uri = format!(
            "spiffe://td.consul/ns/{}/dc/dc1/svc/{}",
            service.namespace, service.name
        );
        let leaf = Leaf {
            identity: SpiffeId::parse(&uri).unwrap(),
            chain_pem: "chain".to_owned(),
            key_pem: Secret::new("key"),
            root_id: "aa:bb".to_owned(),
            serial: "0a".to_owned(),
            not_before,
            not_after: not_before + 1000,
        };
        self.outcome(format!("leaf {service}"), Arc::new(leaf))
    }

    fn check(&self, certificate: &str, key: &Secret) -> Result<(), Invalid> {
        match certificate.contains(key.expose().lines().next_back().unwrap_or_default()) {
            true => Err(Invalid::new("PrivateKey", "is not the key of Certificate")),
            false => Ok(()),
        }
    }
}

impl Rotations for Hatches {
    fn begin(&self, new: NewRoot) -> BoxFuture<'_, Result<(), Failure>> {
        self.outcome(format!("begin {new:?}"), ())
    }

    fn cancel(&self) -> BoxFuture<'_, Result<(), Failure>> {
        self.outcome("cancel".to_owned(), ())
    }

    fn force(&self) -> BoxFuture<'_, Result<Vec<Missing>, Failure>> {
        self.outcome("force".to_owned(), vec![missing("left")])
    }

    fn status(&self) -> Result<RotationStatus, Failure> {
        let phase = *self.rotating.lock();
        Ok(RotationStatus {
            active_root: "aa:bb".to_owned(),
            key: Some(RootKey::P256),
            leaf_ttl: Duration::from_secs(72 * 3600),
            rotation: phase.map(|phase| Rotation {
                phase,
                old_root: "aa:bb".to_owned(),
                new_root: "ee:ff".to_owned(),
                started: 0,
                since: 1_000,
                switched: None,
                confirmed_peers: Default::default(),
            }),
            missing: phase
                .map(|_| missing("web-sidecar-proxy on n1"))
                .into_iter()
                .collect(),
        })
    }
}

fn missing(name: &str) -> Missing {
    Missing {
        kind: Some(WitnessKind::Proxy),
        name: name.to_owned(),
        reason: "is not connected".to_owned(),
        loses: "calls".to_owned(),
    }
}

impl Introductions for Hatches {
    fn generate_token(&self, request: TokenRequest) -> BoxFuture<'_, Result<TokenIssue, Failure>> {
        let issue = TokenIssue {
            token: "dG9rZW4=".to_owned(),
            accessor: "accessor".to_owned(),
            expires_at: request.ttl.map(|_| 1_000),
        };
        self.outcome(format!("{request:?}"), issue)
    }

    fn establish(&self, request: EstablishRequest) -> BoxFuture<'_, Result<(), Failure>> {
        let what = format!(
            "{} {} {:?} {}",
            request.peer, request.partition, request.meta, request.token
        );
        self.outcome(what, ())
    }

    fn delete(&self, key: PeeringKey, _: Requester) -> BoxFuture<'_, Result<(), Failure>> {
        self.outcome(format!("delete {}/{}", key.partition, key.name), ())
    }

    fn revoke_token(
        &self,
        key: PeeringKey,
        which: Revocation,
        by: Requester,
    ) -> BoxFuture<'_, Result<Vec<String>, Failure>> {
        let what = format!(
            "revoke {}/{} {which:?} by {}",
            key.partition, key.name, by.program
        );
        self.outcome(what, vec!["accessor".to_owned()])
    }

    fn withheld(&self, key: &PeeringKey) -> Vec<String> {
        (key.name.as_str() == "east")
            .then(|| "db".to_owned())
            .into_iter()
            .collect()
    }

    fn status(&self, key: &PeeringKey) -> Option<StreamStatus> {
        (key.name.as_str() == "east").then(|| StreamStatus {
            state: PeeringState::Active,
            imported: vec!["api".to_owned()],
            exported: vec!["web".to_owned()],
            last_heartbeat: Some(0),
            last_receive: None,
            last_send: None,
            last_applied: None,
            last_error: None,
            freshness: None,
        })
    }

    fn standing(&self, key: &PeeringKey, service: Option<&str>) -> Option<Standing> {
        (key.name.as_str() == "east").then(|| Standing {
            state: if service == Some("api-sidecar-proxy") {
                "DIVERGED"
            } else {
                "STALE"
            },
            reason: String::new(),
            age_ms: Some(192_000),
        })
    }

    fn is_stale(&self, key: &PeeringKey) -> bool {
        key.name.as_str() == "old"
    }
}

impl Receipts for Hatches {
    fn receipt(&self, change: u64) -> Receipt {
        let mut looks = self.looks.lock();
        let state = match looks.checked_sub(1) {
            Some(left) => {
                *looks = left;
                ReceiptState::Pending
            }
            None => ReceiptState::Applied,
        };
        Receipt {
            proxies: vec![ProxyReceipt {
                proxy: proxy(),
                kind: ServiceKind::ConnectProxy,
                state: ReceiptState::Refused,
                reason: "refused it".to_owned(),
                revision: Some(change + 1),
                touched: Some(true),
                refused: vec![refused(change), refused(0)],
            }],
            peers: vec![PeerReceipt {
                peering: PeeringKey {
                    partition: Partition::default(),
                    name: PeerName::new("east").unwrap(),
                },
                state,
                reason: String::new(),
                revision: None,
            }],
        }
    }

    fn proxies(&self) -> Vec<ProxyReport> {
        vec![
            ProxyReport {
                proxy: proxy(),
                registered: Some((
                    ServiceKind::ConnectProxy,
                    ServiceKey::local(&Tenancy::default(), ServiceName::new("web").unwrap()),
                )),
                connection: Some(ProxyConnection {
                    envoy_version: "1.40.0".to_owned(),
                    since: 1_000,
                    settled: true,
                    revision: Some(3),
                    pushes: 4,
                    acks: 3,
                    nacks: 1,
                    refused: vec![refused(3)],
                    last_refusal: Some(LastRefusal {
                        kind: "listener",
                        names: vec!["l".to_owned()],
                        reason: "cannot bind".to_owned(),
                        at: 2_000,
                    }),
                }),
            },
            ProxyReport {
                proxy: proxy(),
                registered: None,
                connection: None,
            },
        ]
    }
}

fn proxy() -> InstanceKey {
    InstanceKey {
        node: local_node().key,
        id: InstanceId::new("web-sidecar-proxy").unwrap(),
    }
}

fn refused(since: u64) -> RefusedResource {
    RefusedResource {
        kind: "listener",
        name: "l".to_owned(),
        version: "1".to_owned(),
        since,
        reason: "cannot bind".to_owned(),
    }
}

/// An answer, read to its end.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        serde_json::from_str(&self.text).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    fn index(&self) -> u64 {
        self.header("x-consul-index").parse().unwrap()
    }
}

impl Bench {
    fn new() -> Self {
        Bench::with_places(None)
    }

    fn with_places(places: Option<usize>) -> Self {
        let store = open(MemoryStorage::default()).unwrap();
        let hatches = Arc::new(Hatches {
            leaf_from: Mutex::new(5_000),
            rotating: Mutex::new(None),
            failure: Mutex::new(None),
            looks: Mutex::new(0),
            asked: Mutex::new(Vec::new()),
        });
        let readiness = Readiness::new();
        let parts = Parts {
            reader: store.reader.clone(),
            writer: store.writer.clone(),
            clock: SystemClock::shared(),
            node: local_node(),
            version: "0.1.0",
            envoy_versions: &["1.40.0", "1.36.2"],
            default_intention: Action::Deny,
            leader_address: "127.0.0.1:8503".to_owned(),
            ports: Ports {
                xds_plaintext: Some(8502),
                xds_tls: None,
            },
            readiness: readiness.clone(),
            leaves: hatches.clone(),
            rotations: hatches.clone(),
            introductions: hatches.clone(),
            receipts: hatches.clone(),
        };
        let router = match places {
            None => router(parts),
            Some(places) => routes::with_places(parts, places),
        };
        Bench {
            router,
            store,
            hatches,
            readiness,
        }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        send(self.router.clone(), request).await
    }

    async fn get(&self, uri: &str) -> Answer {
        self.send(request(Method::GET, uri, Body::empty())).await
    }

    async fn put(&self, uri: &str, body: Value) -> Answer {
        self.send(request(Method::PUT, uri, Body::from(body.to_string())))
            .await
    }

    async fn post(&self, uri: &str, body: Value) -> Answer {
        self.send(request(Method::POST, uri, Body::from(body.to_string())))
            .await
    }

    async fn delete(&self, uri: &str) -> Answer {
        self.send(request(Method::DELETE, uri, Body::empty())).await
    }

    async fn register(&self, body: Value) {
        let answer = self.put("/v1/agent/service/register", body).await;
        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, ""));
    }

    async fn commit(&self, rows: Vec<Row>) {
        let transaction = rows.into_iter().fold(Transaction::new(), Transaction::put);
        self.store.writer.commit(transaction).await.unwrap();
    }
}

fn request(method: Method, uri: &str, body: Body) -> Request<Body> {
    Request::builder().method(method).uri(uri).body(body).unwrap()
}

async fn send(router: Router, request: Request<Body>) -> Answer {
    let response = router.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    Answer {
        status: parts.status,
        headers: parts.headers,
        text: String::from_utf8(bytes.to_vec()).unwrap(),
    }
}

fn local_node() -> Node {
    Node {
        key: NodeKey {
            origin: Origin::Local,
            partition: Partition::default(),
            name: NodeName::new("n1").unwrap(),
        },
        id: Some("11111111-2222-3333-4444-555555555555".to_owned()),
        address: "127.0.0.1".to_owned(),
        datacenter: Datacenter::new("dc1").unwrap(),
        tagged_addresses: BTreeMap::new(),
        meta: BTreeMap::from([("rack".to_owned(), "r1".to_owned())]),
        locality: None,
    }
}

fn check(node: &NodeKey, id: &str, status: CheckStatus, instance: Option<&Instance>) -> Row {
    Row::Check(Arc::new(Check {
        key: CheckKey {
            node: node.clone(),
            id: CheckId::new(id).unwrap(),
        },
        name: "a check".to_owned(),
        status,
        notes: String::new(),
        output: "out".to_owned(),
        instance: instance.map(|instance| instance.key.id.clone()),
        service: instance.map(|instance| (instance.namespace.clone(), instance.service.clone())),
    }))
}

fn peering(name: &str) -> Row {
    Row::Peering(Arc::new(Peering {
        key: PeeringKey {
            partition: Partition::default(),
            name: PeerName::new(name).unwrap(),
        },
        id: format!("id-of-{name}"),
        role: PeeringRole::Acceptor,
        state: PeeringState::Pending,
        meta: BTreeMap::new(),
        remote_id: None,
        ca_pems: Vec::new(),
        server_name: None,
        server_addresses: Vec::new(),
        manual_addresses: Vec::new(),
        external_addresses: Vec::new(),
        remote: RemoteInfo::default(),
        deleted_at: None,
    }))
}

/// How the services of a peer are known.
fn bundle(peer: &str) -> Row {
    Row::Bundle(Arc::new(TrustBundle {
        peering: PeeringKey {
            partition: Partition::default(),
            name: PeerName::new(peer).unwrap(),
        },
        trust_domain: TrustDomain::new(&format!("{peer}.consul")).unwrap(),
        exported_partition: Partition::default(),
        root_pems: vec!["root".to_owned()],
    }))
}

fn roots(serial: u64) -> Row {
    Row::Roots(Arc::new(CaRoots {
        cluster_id: "td".to_owned(),
        trust_domain: TrustDomain::new("td.consul").unwrap(),
        datacenter: Datacenter::new("dc1").unwrap(),
        roots: vec![CaRoot {
            id: "aa:bb".to_owned(),
            name: "a root".to_owned(),
            serial,
            key_id: "cc:dd".to_owned(),
            pem: "pem\n".to_owned(),
            not_before: 0,
            not_after: 1_000,
            active: true,
            handed_out: false,
            bridges: Vec::new(),
        }],
        rotation: None,
    }))
}
