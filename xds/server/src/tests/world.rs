//! A gate over a small cluster, and an Envoy that speaks to it without a socket.

use crate::{Gate, Parts, ProxyStatus, SecretSource};
use envoy_types::pb::envoy::config::core::v3::node::UserAgentVersionType;
use envoy_types::pb::envoy::config::core::v3::{BuildVersion, Node as EnvoyNode};
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use envoy_types::pb::envoy::r#type::v3::SemanticVersion;
use envoy_types::pb::google::rpc::Status as RpcStatus;
use parking_lot::Mutex;
use peerway_model::authority::{CaRoot, CaRoots};
use peerway_model::config::{Action, LinkedService, Outward, Pattern, TerminatingGateway};
use peerway_model::name::*;
use peerway_model::{
    ConfigEntry, Instance, InstanceKey, Leaf, Node, NodeKey, Origin, Proxy, Secret, ServiceKind, SpiffeId,
    TrustDomain, Upstream, Weights,
};
use peerway_runtime::{Drain, DrainTrigger, SystemClock, Tasks};
use peerway_state::{Row, RowKey, Transaction};
use peerway_store::{MemoryStorage, Store, open};
use peerway_xds_protocol::Kind;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

pub(crate) const PROXY: &str = "web-sidecar-proxy";
/// The Envoy cluster of the upstream.
pub(crate) const API: &str = "api.default.dc1.internal.local.consul";

/// The validation context of the upstream.
pub(crate) const ROOTS: &str = "roots~local";
/// The validation context of the callers of `web`.
pub(crate) const INBOUND: &str = "inbound~web.default.default";

/// Gives everyone the same leaf, which tests replace, but nobody those of `withheld`.
struct Leaves {
    leaf: watch::Sender<Option<Arc<Leaf>>>,
    withheld: Mutex<Vec<SpiffeId>>,
}

impl SecretSource for Leaves {
    fn subscribe(
        &self,
        _: &InstanceKey,
        identity: &SpiffeId,
        _: &[String],
    ) -> Option<watch::Receiver<Option<Arc<Leaf>>>> {
        let withheld = self.withheld.lock().contains(identity);
        (!withheld).then(|| self.leaf.subscribe())
    }
}

pub(crate) struct World {
    pub(crate) gate: Gate,
    pub(crate) store: Store,
    pub(crate) trigger: DrainTrigger,
    leaves: Arc<Leaves>,
}

impl World {
    /// A cluster with roots, the service `api` and a leaf for everyone; `web` is not registered.
    pub(crate) async fn empty(max_streams: usize) -> Self {
        let store = open(MemoryStorage::default()).unwrap();
        let leaves = Arc::new(Leaves {
            leaf: watch::channel(Some(leaf("01"))).0,
            withheld: Mutex::new(Vec::new()),
        });
        let (trigger, _) = Drain::new();
        let parts = Parts {
            reader: store.reader.clone(),
            secrets: leaves.clone(),
            tasks: Tasks::new(trigger.clone()),
            clock: SystemClock::shared(),
            node_name: NodeName::new("n1").unwrap(),
            default_intention: Action::Deny,
            stale: watch::Sender::default().subscribe(),
        };
        let gate = Gate::start_with(parts, max_streams);
        let world = World {
            gate,
            store,
            trigger,
            leaves,
        };
        world
            .put([
                roots(),
                node("n1"),
                instance("api", 8080),
                sidecar("api", 21000, None),
            ])
            .await;
        world
    }

    /// The same with `web` and its sidecar, which may dial `api`.
    pub(crate) async fn new() -> Self {
        let world = World::empty(100).await;
        world.register().await;
        world
    }

    pub(crate) async fn register(&self) {
        self.put([instance("web", 8080), sidecar("web", 20000, Some("api"))])
            .await;
    }

    pub(crate) async fn put(&self, rows: impl IntoIterator<Item = Row>) {
        let transaction = rows.into_iter().fold(Transaction::new(), Transaction::put);
        self.store.writer.commit(transaction).await.unwrap();
    }

    pub(crate) async fn delete(&self, key: RowKey) {
        self.store
            .writer
            .commit(Transaction::new().delete(key))
            .await
            .unwrap();
    }

    /// Waits until proxies that connect are given all that was committed: what was taken up before a proxy came has no
    /// change of its own that brought it.
    pub(crate) async fn taken_up(&self) {
        let newest = self.store.reader.snapshot().revision();
        while self.gate.shared.pump.published() < newest {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn rotate(&self, serial: &str) {
        self.leaves.leaf.send_replace(Some(leaf(serial)));
    }

    /// Gives nobody the leaves of these services.
    pub(crate) fn withhold(&self, services: &[&str]) {
        let id = |name: &&str| {
            SpiffeId::parse(&format!("spiffe://local.consul/ns/default/dc/dc1/svc/{name}")).unwrap()
        };
        *self.leaves.withheld.lock() = services.iter().map(id).collect();
    }

    /// The only proxy that is connected.
    pub(crate) fn status(&self) -> ProxyStatus {
        let mut all = self.gate.statuses();
        assert_eq!(all.len(), 1);
        all.remove(0)
    }
}

fn leaf(serial: &str) -> Arc<Leaf> {
    Arc::new(Leaf {
        identity: SpiffeId::parse("spiffe://local.consul/ns/default/dc/dc1/svc/web").unwrap(),
        chain_pem: "certificate\n".to_owned(),
        key_pem: Secret::new("key\n"),
        root_id: "id".to_owned(),
        serial: serial.to_owned(),
        not_before: 0,
        not_after: 1,
    })
}

pub(crate) fn roots() -> Row {
    Row::Roots(Arc::new(CaRoots {
        cluster_id: "local".to_owned(),
        trust_domain: TrustDomain::new("local.consul").unwrap(),
        datacenter: Datacenter::new("dc1").unwrap(),
        roots: vec![CaRoot {
            id: "id".to_owned(),
            name: "root".to_owned(),
            serial: 1,
            key_id: "key".to_owned(),
            pem: "root\n".to_owned(),
            not_before: 0,
            not_after: 1,
            active: true,
            handed_out: false,
            bridges: Vec::new(),
        }],
        rotation: None,
    }))
}

fn node_key(name: &str) -> NodeKey {
    NodeKey {
        origin: Origin::Local,
        partition: Partition::default(),
        name: NodeName::new(name).unwrap(),
    }
}

fn node(name: &str) -> Row {
    Row::Node(Arc::new(Node {
        key: node_key(name),
        id: None,
        address: "10.0.0.1".to_owned(),
        datacenter: Datacenter::new("dc1").unwrap(),
        tagged_addresses: BTreeMap::new(),
        meta: BTreeMap::new(),
        locality: None,
    }))
}

pub(crate) fn key(id: &str) -> InstanceKey {
    InstanceKey {
        node: node_key("n1"),
        id: InstanceId::new(id).unwrap(),
    }
}

fn plain(id: &str, kind: ServiceKind, port: u16) -> Instance {
    Instance {
        key: key(id),
        namespace: Namespace::default(),
        service: ServiceName::new(id).unwrap(),
        kind,
        tags: Vec::new(),
        address: String::new(),
        port,
        tagged_addresses: BTreeMap::new(),
        meta: BTreeMap::new(),
        weights: Weights::default(),
        enable_tag_override: false,
        proxy: None,
        gateway_config: BTreeMap::new(),
        peer_meta: None,
        locality: None,
    }
}

pub(crate) fn instance(id: &str, port: u16) -> Row {
    Row::Instance(Arc::new(plain(id, ServiceKind::Typical, port)))
}

/// A terminating gateway with this id and name.
pub(crate) fn terminating(id: &str) -> Row {
    Row::Instance(Arc::new(plain(id, ServiceKind::TerminatingGateway, 9443)))
}

/// What the gateway of this name stands for.
pub(crate) fn links(gateway: &str, services: &[&str]) -> Row {
    let link = |name: &&str| LinkedService {
        name: Pattern::Exact(ServiceName::new(name).unwrap()),
        namespace: Namespace::default(),
        outward: Outward::default(),
    };
    Row::Config(Arc::new(ConfigEntry::TerminatingGateway(TerminatingGateway {
        partition: Partition::default(),
        namespace: Namespace::default(),
        name: ServiceName::new(gateway).unwrap(),
        services: services.iter().map(link).collect(),
        meta: BTreeMap::new(),
    })))
}

/// The sidecar of `service`; its port is what its callers' endpoints say.
pub(crate) fn sidecar(service: &str, port: u16, upstream: Option<&str>) -> Row {
    copy("", service, port, upstream)
}

/// Another sidecar like [`sidecar`], with the id `<service>-sidecar-proxy<suffix>`.
pub(crate) fn copy(suffix: &str, service: &str, port: u16, upstream: Option<&str>) -> Row {
    let upstreams = upstream.map(|name| Upstream {
        name: ServiceName::new(name).unwrap(),
        namespace: Namespace::default(),
        partition: Partition::default(),
        peer: None,
        bind_address: String::new(),
        bind_port: 5000,
        mesh_gateway: None,
        config: BTreeMap::new(),
    });
    let name = format!("{service}-sidecar-proxy");
    Row::Instance(Arc::new(Instance {
        key: key(&format!("{name}{suffix}")),
        proxy: Some(Proxy {
            destination: ServiceName::new(service).unwrap(),
            destination_id: Some(InstanceId::new(service).unwrap()),
            local_address: None,
            local_port: None,
            upstreams: upstreams.into_iter().collect(),
            mesh_gateway: None,
            sidecar: Default::default(),
            config: BTreeMap::new(),
        }),
        ..plain(
            &format!("{service}-sidecar-proxy"),
            ServiceKind::ConnectProxy,
            port,
        )
    }))
}

pub(crate) fn envoy(id: &str, minor: u32) -> EnvoyNode {
    let version = SemanticVersion {
        major_number: 1,
        minor_number: minor,
        patch: 4,
    };
    EnvoyNode {
        id: id.to_owned(),
        user_agent_name: "envoy".to_owned(),
        user_agent_version_type: Some(UserAgentVersionType::UserAgentBuildVersion(BuildVersion {
            version: Some(version),
            metadata: None,
        })),
        ..EnvoyNode::default()
    }
}

/// A client that says only what it is told to.
pub(crate) struct Client {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
    node: Option<EnvoyNode>,
    probes: usize,
}

impl Client {
    pub(crate) async fn connect(gate: &Gate, node: EnvoyNode) -> Result<Self, Status> {
        let (requests, queue) = mpsc::channel(16);
        let mut client = AggregatedDiscoveryServiceClient::new(gate.service());
        let responses = client
            .delta_aggregated_resources(ReceiverStream::new(queue))
            .await?
            .into_inner();
        Ok(Client {
            requests,
            responses,
            node: Some(node),
            probes: 0,
        })
    }

    pub(crate) async fn send(&mut self, kind: Kind, request: DeltaDiscoveryRequest) {
        let request = DeltaDiscoveryRequest {
            node: self.node.take(),
            type_url: kind.type_url().to_owned(),
            ..request
        };
        self.requests.send(request).await.unwrap();
    }

    pub(crate) async fn subscribe(&mut self, kind: Kind, names: &[&str]) {
        let resource_names_subscribe = names.iter().map(|name| (*name).to_owned()).collect();
        self.send(
            kind,
            DeltaDiscoveryRequest {
                resource_names_subscribe,
                ..Default::default()
            },
        )
        .await;
    }

    /// The next response, which must be of this kind.
    pub(crate) async fn receive(&mut self, kind: Kind) -> DeltaDiscoveryResponse {
        let response = self
            .responses
            .message()
            .await
            .unwrap()
            .expect("the stream goes on");
        assert_eq!(response.type_url, kind.type_url());
        response
    }

    pub(crate) async fn ack(&mut self, kind: Kind, response: &DeltaDiscoveryResponse) {
        let response_nonce = response.nonce.clone();
        self.send(
            kind,
            DeltaDiscoveryRequest {
                response_nonce,
                ..Default::default()
            },
        )
        .await;
    }

    pub(crate) async fn nack(&mut self, kind: Kind, response: &DeltaDiscoveryResponse, reason: &str) {
        let error_detail = Some(RpcStatus {
            code: 13,
            message: reason.to_owned(),
            ..Default::default()
        });
        let response_nonce = response.nonce.clone();
        self.send(
            kind,
            DeltaDiscoveryRequest {
                response_nonce,
                error_detail,
                ..Default::default()
            },
        )
        .await;
    }

    /// Receives and accepts.
    pub(crate) async fn take(&mut self, kind: Kind) -> DeltaDiscoveryResponse {
        let response = self.receive(kind).await;
        self.ack(kind, &response).await;
        response
    }

    /// Sees to it that everything said so far was heard, and that nothing else came in answer: asks for endpoints
    /// that do not exist, which must be what comes next.
    pub(crate) async fn quiet(&mut self) {
        self.probes += 1;
        let name = format!("probe-{}", self.probes);
        self.subscribe(Kind::Endpoints, &[&name]).await;
        let response = self.take(Kind::Endpoints).await;
        assert_eq!(
            (response.removed_resources, response.resources.len()),
            (vec![name], 0)
        );
    }

    /// How the stream ends.
    pub(crate) async fn end(mut self) -> Result<(), Status> {
        while self.responses.message().await?.is_some() {}
        Ok(())
    }

    /// Asks for everything as an Envoy does and accepts it all. Returns names and versions by kind.
    pub(crate) async fn start(&mut self) -> BTreeMap<Kind, BTreeMap<String, String>> {
        let mut held = BTreeMap::new();
        self.subscribe(Kind::Cluster, &[]).await;
        held.insert(Kind::Cluster, versions(&self.take(Kind::Cluster).await));
        self.subscribe(Kind::Endpoints, &[API]).await;
        held.insert(Kind::Endpoints, versions(&self.take(Kind::Endpoints).await));
        self.subscribe(Kind::Secret, &["leaf", ROOTS, INBOUND]).await;
        held.insert(Kind::Secret, versions(&self.take(Kind::Secret).await));
        self.subscribe(Kind::Listener, &[]).await;
        held.insert(Kind::Listener, versions(&self.take(Kind::Listener).await));
        held
    }
}

pub(crate) fn versions(response: &DeltaDiscoveryResponse) -> BTreeMap<String, String> {
    response
        .resources
        .iter()
        .map(|resource| (resource.name.clone(), resource.version.clone()))
        .collect()
}
