//! A cluster for tests: a store, an authority, a peering endpoint over real TLS on loopback, and a link.

use crate::fixture;
use crate::{ImportPolicy, Link, LinkConfig, PeerStreamServer};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use peerway_model::{Origin, Partition, Peering, PeeringState, ServiceName, sni};
use peerway_runtime::{Drain, SystemClock, Tasks};
use peerway_state::{Row, RowKey, Snapshot, Transaction};
use peerway_store::{FeedEvent, MemoryStorage, Store, open};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tonic::service::Routes;

/// Only there so that a broken test ends; nothing is timed by it.
const PATIENCE: Duration = Duration::from_secs(60);

type Serving = Arc<Mutex<Option<Link>>>;

pub(super) struct Cluster {
    pub(super) name: &'static str,
    storage: MemoryStorage,
    imports: ImportPolicy,
    address: String,
    serving: Serving,
    /// Ends with the cluster; connections hang on it.
    endpoint: tokio::task::JoinHandle<()>,
    running: Option<Running>,
}

struct Running {
    store: Store,
    link: Link,
    tasks: Tasks,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.endpoint.abort();
    }
}

impl Cluster {
    /// A running cluster whose trust domain is `<name>.consul`.
    pub(super) async fn new(name: &'static str) -> Self {
        Cluster::on("127.0.0.1:0", name).await
    }

    /// The same, with its endpoint at this address.
    pub(super) async fn on(listen: &str, name: &'static str) -> Self {
        Cluster::with(listen, name, ImportPolicy::default()).await
    }

    /// The same, with limits.
    pub(super) async fn with_imports(name: &'static str, imports: ImportPolicy) -> Self {
        Cluster::with("127.0.0.1:0", name, imports).await
    }

    async fn with(listen: &str, name: &'static str, imports: ImportPolicy) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let roots = fixture::roots(name, &authority.pem());
        let server_name = sni::peering_server(&roots.datacenter, &roots.trust_domain);
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![server_name]).unwrap();
        let leaf = leaf.signed_by(&key, &authority).unwrap();
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut tls = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], private)
            .unwrap();
        tls.alpn_protocols = vec![b"h2".to_vec()];

        let listener = TcpListener::bind(listen).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serving = Serving::default();
        let endpoint = tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(tls)), serving.clone()));
        let mut cluster = Cluster {
            name,
            storage: MemoryStorage::default(),
            imports,
            address,
            serving,
            endpoint,
            running: None,
        };
        cluster.start();
        let node = fixture::node(Origin::Local, name);
        let gateway = fixture::mesh_gateway(&node.key, "gw-1");
        cluster
            .commit(
                Transaction::new()
                    .put(Row::Roots(Arc::new(roots)))
                    .put(Row::Node(Arc::new(node)))
                    .put(Row::Instance(Arc::new(gateway))),
            )
            .await;
        cluster
    }

    /// Starts from what the storage keeps.
    pub(super) fn start(&mut self) {
        let store = open(self.storage.clone()).unwrap();
        let (trigger, _) = Drain::new();
        let tasks = Tasks::new(trigger);
        let config = LinkConfig {
            server_addresses: vec![self.address.clone()],
            imports: self.imports.clone(),
            ..LinkConfig::default()
        };
        let (reader, writer) = (store.reader.clone(), store.writer.clone());
        let link = Link::new(config, reader, writer, SystemClock::shared(), tasks.clone());
        link.start();
        *self.serving.lock() = Some(link.clone());
        self.running = Some(Running { store, link, tasks });
    }

    /// Stops everything but the storage and the listening socket.
    pub(super) async fn stop(&mut self) {
        *self.serving.lock() = None;
        let Running { store, link, tasks } = self.running.take().unwrap();
        let report = tasks.shutdown(PATIENCE).await;
        assert!(report.is_clean(), "{report:?}");
        drop(link);
        // Returns only when nobody holds a writer any more, a stream for example.
        let closing = tokio::task::spawn_blocking(|| store.close());
        tokio::time::timeout(PATIENCE, closing).await.unwrap().unwrap();
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub(super) fn link(&self) -> &Link {
        &self.running().link
    }

    /// Where its peering endpoint listens.
    pub(super) fn address(&self) -> String {
        self.address.clone()
    }

    pub(super) fn reader(&self) -> peerway_store::Reader {
        self.running().store.reader.clone()
    }

    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.running().store.reader.snapshot()
    }

    pub(super) async fn commit(&self, transaction: Transaction) {
        self.running().store.writer.commit(transaction).await.unwrap();
    }

    /// Waits until the snapshot is as asked for.
    pub(super) async fn until(&self, what: &str, reached: impl Fn(&Snapshot) -> bool) {
        let mut feed = self.running().store.reader.feed();
        let waiting = async {
            while !reached(&feed.snapshot()) {
                assert!(!matches!(feed.next().await, FeedEvent::Closed));
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            let held = imported(&self.snapshot());
            panic!("{}: waited in vain for: {what}; holds {held:?}", self.name);
        }
    }

    /// Waits for what is not in the store.
    pub(super) async fn until_true(&self, what: &str, reached: impl Fn() -> bool) {
        let waiting = async {
            while !reached() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(waited.is_ok(), "{}: waited in vain for: {what}", self.name);
    }

    /// Waits until an operator sees this state.
    pub(super) async fn until_state(&self, state: PeeringState) {
        let waiting = async {
            loop {
                let seen = self.peering().map(|peering| self.link().state(&peering));
                if seen == Some(state) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            let status = self.peering().map(|peering| self.link().status(&peering.key));
            panic!("{}: waited in vain for {state:?}: {status:?}", self.name);
        }
    }

    pub(super) async fn until_imported(&self, expected: &[&str]) {
        let what = format!("imports {expected:?}");
        self.until(&what, |snapshot| imported(snapshot) == expected).await;
    }

    /// Registers an instance of a service with its sidecar.
    pub(super) async fn register(&self, service: &str, id: &str) {
        let node = fixture::node(Origin::Local, self.name).key;
        let transaction = Transaction::new()
            .put(Row::Instance(Arc::new(fixture::instance(&node, service, id))))
            .put(Row::Instance(Arc::new(fixture::sidecar(&node, service))));
        self.commit(transaction).await;
    }

    pub(super) async fn deregister(&self, service: &str, id: &str) {
        let node = fixture::node(Origin::Local, self.name).key;
        let key = fixture::instance(&node, service, id).key;
        self.commit(Transaction::new().delete(RowKey::Instance(key)))
            .await;
    }

    pub(super) async fn export(&self, names: &[&str], peer: &str) {
        let entry = Row::Config(Arc::new(fixture::export(names, peer)));
        self.commit(Transaction::new().put(entry)).await;
    }

    pub(super) async fn group(&self, peers: &[&str]) {
        let entry = Row::Config(Arc::new(fixture::group(peers)));
        self.commit(Transaction::new().put(entry)).await;
    }

    /// The only peering, if there is one.
    pub(super) fn peering(&self) -> Option<Peering> {
        self.snapshot()
            .peerings()
            .next()
            .map(|row| Peering::clone(&row.row))
    }
}

/// Ids of all imported instances, as `peer/service/id`.
pub(super) fn imported(snapshot: &Snapshot) -> Vec<String> {
    let partition = Partition::default();
    let mut held = Vec::new();
    for peering in snapshot.peerings() {
        let origin = Origin::Peer(peering.key.name.clone());
        for service in snapshot.service_names(&origin, &partition) {
            for instance in snapshot.instances_of(service) {
                let name: &ServiceName = &instance.service;
                held.push(format!("{}/{name}/{}", peering.key.name, instance.key.id));
            }
        }
    }
    held
}

/// Serves whatever link is there when a connection comes; connections end when it is replaced.
async fn serve(listener: TcpListener, tls: TlsAcceptor, serving: Serving) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let Some(link) = serving.lock().clone() else {
            continue;
        };
        let stop = link.tasks().watch();
        let tls = tls.clone();
        connections.spawn(async move {
            let Ok(stream) = tls.accept(stream).await else {
                return;
            };
            let service = TowerToHyperService::new(Routes::new(PeerStreamServer::new(link)).prepare());
            let builder = auto::Builder::new(TokioExecutor::new()).http2_only();
            let connection = builder.serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                // A dialer that goes away is no error of ours.
                _ = connection => {}
                () = stop.signaled() => {}
            }
        });
    }
}
