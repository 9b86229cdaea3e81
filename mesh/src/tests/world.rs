//! Small worlds to look at, in few words.

use peerway_model::authority::{CaRoot, CaRoots};
use peerway_model::config::{
    AccessLogs, Action, ByLocality, Consumer, ExportedService, ExportedServices, Inbound, JwtProvider,
    JwtRequirement, KeyDiscovery, KeySet, KeySource, KeyUri, Mesh as MeshEntry, MeshTls, Meta, PathCondition,
    Pattern, Permission, Protocol, ProxyDefaults, RemoteKeys, RequestCondition, ServiceDefaults,
    ServiceIntentions, Source, TlsBounds, Tracing, UpstreamOverride, UpstreamSettings, Upstreams, Verdict,
    WantedToken,
};
use peerway_model::grant::AllowedService;
use peerway_model::instance::{GatewayMode, Opaque, TAG_WAN};
use peerway_model::name::*;
use peerway_model::peering::RemoteInfo;
use peerway_model::server::server_instance;
use peerway_model::{
    Check, CheckKey, CheckStatus, ConfigEntry, ExposedPath, HealthSummary, Instance, InstanceKey, Locality,
    Node, NodeKey, Origin, PeerMeta, Peering, PeeringGrants, PeeringKey, PeeringRole, PeeringState, Proxy,
    ProxyMode, ServiceAddress, ServiceKey, ServiceKind, SidecarSettings, Tenancy, TokenBounds, TokenGrant,
    TrustBundle, TrustDomain, Upstream, Weights,
};
use peerway_state::{ChangeSet, Refused, Row, RowKey, Snapshot, Transaction, apply};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) const LOCAL_TD: &str = "local.consul";

/// A snapshot and what changed on the way to it.
#[derive(Default)]
pub(super) struct World {
    pub(super) snapshot: Snapshot,
    revision: u64,
}

impl World {
    /// A cluster with roots and nothing else.
    pub(super) fn new() -> Self {
        let mut world = World::default();
        world.put([roots("A")]);
        world
    }

    pub(super) fn put(&mut self, rows: impl IntoIterator<Item = Row>) -> ChangeSet {
        let transaction = rows.into_iter().fold(Transaction::new(), Transaction::put);
        self.apply(&transaction).unwrap()
    }

    pub(super) fn delete(&mut self, key: RowKey) -> ChangeSet {
        self.apply(&Transaction::new().delete(key)).unwrap()
    }

    pub(super) fn apply(&mut self, transaction: &Transaction) -> Result<ChangeSet, Refused> {
        let applied = apply(&mut self.snapshot, transaction, self.revision + 1)?;
        self.revision = self.snapshot.revision();
        Ok(applied.changes)
    }

    pub(super) fn shared(&self) -> Arc<Snapshot> {
        Arc::new(self.snapshot.clone())
    }
}

pub(super) fn service_name(name: &str) -> ServiceName {
    ServiceName::new(name).unwrap()
}

pub(super) fn peer_name(name: &str) -> PeerName {
    PeerName::new(name).unwrap()
}

pub(super) fn service_key(name: &str, peer: Option<&str>) -> ServiceKey {
    match peer {
        None => ServiceKey::local(&Tenancy::default(), service_name(name)),
        Some(peer) => ServiceKey::imported(peer_name(peer), &Tenancy::default(), service_name(name)),
    }
}

pub(super) fn peering_key(name: &str) -> PeeringKey {
    PeeringKey {
        partition: Partition::default(),
        name: peer_name(name),
    }
}

pub(super) fn node_key(peer: Option<&str>, name: &str) -> NodeKey {
    NodeKey {
        origin: peer.map_or(Origin::Local, |peer| Origin::Peer(peer_name(peer))),
        partition: Partition::default(),
        name: NodeName::new(name).unwrap(),
    }
}

pub(super) fn instance_key(node: &str, id: &str) -> InstanceKey {
    InstanceKey {
        node: node_key(None, node),
        id: InstanceId::new(id).unwrap(),
    }
}

pub(super) fn roots(pem: &str) -> Row {
    Row::Roots(Arc::new(CaRoots {
        cluster_id: "local".to_owned(),
        trust_domain: TrustDomain::new(LOCAL_TD).unwrap(),
        datacenter: Datacenter::new("dc1").unwrap(),
        roots: vec![CaRoot {
            id: "id".to_owned(),
            name: "root".to_owned(),
            serial: 1,
            key_id: "key".to_owned(),
            pem: format!("{pem}\n"),
            not_before: 0,
            not_after: 1,
            active: true,
            handed_out: false,
            bridges: Vec::new(),
        }],
        rotation: None,
    }))
}

pub(super) fn node(peer: Option<&str>, name: &str, address: &str) -> Row {
    Row::Node(Arc::new(Node {
        key: node_key(peer, name),
        id: None,
        address: address.to_owned(),
        datacenter: Datacenter::new("dc1").unwrap(),
        tagged_addresses: BTreeMap::new(),
        meta: BTreeMap::new(),
        locality: None,
    }))
}

fn plain(node: NodeKey, id: &str, service: &str, kind: ServiceKind, port: u16) -> Instance {
    Instance {
        key: InstanceKey {
            node,
            id: InstanceId::new(id).unwrap(),
        },
        namespace: Namespace::default(),
        service: service_name(service),
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

pub(super) fn proxy(destination: &str) -> Proxy {
    Proxy {
        destination: service_name(destination),
        destination_id: None,
        local_address: None,
        local_port: None,
        upstreams: Vec::new(),
        mesh_gateway: None,
        sidecar: SidecarSettings::default(),
        config: BTreeMap::new(),
    }
}

/// The application `service` on `node`, with the id of its name.
pub(super) fn app(node: &str, service: &str, port: u16) -> Instance {
    plain(node_key(None, node), service, service, ServiceKind::Typical, port)
}

/// The application `service` of a peer, as imported, with the id of its name: the node named `node` must be there.
pub(super) fn imported_app(peer: &str, node: &str, service: &str) -> Instance {
    plain(
        node_key(Some(peer), node),
        service,
        service,
        ServiceKind::Typical,
        8080,
    )
}

/// What the peer says about dialling, with how the instances are.
pub(super) fn with_health(healthy: u32, total: u32, meta: PeerMeta) -> PeerMeta {
    PeerMeta {
        health: Some(HealthSummary {
            healthy,
            total,
            weight: healthy,
            draining: 0,
        }),
        ..meta
    }
}

/// The sidecar of [`app`], with the id `<service>-sidecar-proxy`.
pub(super) fn sidecar(node: &str, service: &str, port: u16, upstreams: Vec<Upstream>) -> Instance {
    let name = format!("{service}-sidecar-proxy");
    Instance {
        proxy: Some(Proxy {
            destination_id: Some(InstanceId::new(service).unwrap()),
            upstreams,
            ..proxy(service)
        }),
        ..plain(
            node_key(None, node),
            &name,
            &name,
            ServiceKind::ConnectProxy,
            port,
        )
    }
}

pub(super) fn exposed_path(
    path: &str,
    local_port: u16,
    listener_port: u16,
    protocol: Protocol,
) -> ExposedPath {
    ExposedPath {
        path: path.to_owned(),
        local_port,
        listener_port,
        protocol,
    }
}

/// What a sidecar says itself to which calls are redirected.
pub(super) fn redirected(dialed_directly: bool) -> SidecarSettings {
    SidecarSettings {
        mode: Some(ProxyMode::Transparent),
        dialed_directly,
        ..SidecarSettings::default()
    }
}

/// The same, but calls are redirected to it.
pub(super) fn transparent(dialed_directly: bool, sidecar: Instance) -> Instance {
    saying(redirected(dialed_directly), sidecar)
}

/// The gateway on `node`, with the id `gateway`.
pub(super) fn gateway(node: &str, port: u16) -> Instance {
    plain(
        node_key(None, node),
        "gateway",
        "mesh-gateway",
        ServiceKind::MeshGateway,
        port,
    )
}

/// The ingress gateway on `node`, with the id `edge`, of that name.
pub(super) fn edge(node: &str) -> Instance {
    plain(
        node_key(None, node),
        "edge",
        "edge",
        ServiceKind::IngressGateway,
        8443,
    )
}

/// The API gateway on `node`, with the id `front`, of that name.
pub(super) fn front(node: &str) -> Instance {
    plain(node_key(None, node), "front", "front", ServiceKind::ApiGateway, 0)
}

pub(super) fn upstream(service: &str, peer: Option<&str>, port: u16) -> Upstream {
    Upstream {
        name: service_name(service),
        namespace: Namespace::default(),
        partition: Partition::default(),
        peer: peer.map(peer_name),
        bind_address: String::new(),
        bind_port: port,
        mesh_gateway: None,
        config: BTreeMap::new(),
    }
}

/// Whether transparent proxies refuse what is not in the mesh.
pub(super) fn mesh_only(mesh_destinations_only: bool) -> Row {
    Row::Config(Arc::new(ConfigEntry::Mesh(peerway_model::config::Mesh {
        mesh_destinations_only,
        ..Default::default()
    })))
}

pub(super) fn via(mode: GatewayMode, upstream: Upstream) -> Upstream {
    Upstream {
        mesh_gateway: Some(mode),
        ..upstream
    }
}

/// `eu-1/a`, a region and a zone of it; the zone may be left out, and nothing is nowhere.
pub(super) fn place(text: &str) -> Option<Locality> {
    let (region, zone) = text.split_once('/').unwrap_or((text, ""));
    Locality::of(region, zone).unwrap()
}

/// The instance at a [`place`].
pub(super) fn at(text: &str, instance: Instance) -> Instance {
    Instance {
        locality: place(text),
        ..instance
    }
}

/// A local node at a [`place`].
pub(super) fn node_at(text: &str, name: &str, address: &str) -> Row {
    match node(None, name, address) {
        Row::Node(node) => Row::Node(Arc::new(Node {
            locality: place(text),
            ..Node::clone(&node)
        })),
        other => other,
    }
}

/// Whether those that are near are preferred, of services that do not say it.
pub(super) fn all_by_locality(by_locality: Option<ByLocality>, protocol: Protocol) -> Row {
    config(ConfigEntry::ProxyDefaults(ProxyDefaults {
        config: BTreeMap::from([("protocol".to_owned(), Opaque::Text(protocol.as_str().to_owned()))]),
        by_locality,
        ..ProxyDefaults::default()
    }))
}

pub(super) fn row(instance: Instance) -> Row {
    Row::Instance(Arc::new(instance))
}

/// What the peer says about dialling `service`, when it knows us as `us`.
pub(super) fn meta(service: &str, us: &str, trust_domain: &str) -> PeerMeta {
    PeerMeta {
        sni: vec![format!("{service}.default.default.{us}.external.{trust_domain}")],
        spiffe_ids: vec![
            format!("spiffe://{trust_domain}/ns/default/dc/dc9/svc/{service}"),
            format!("spiffe://{trust_domain}/gateway/mesh/dc/dc9"),
        ],
        protocol: "tcp".to_owned(),
        health: None,
    }
}

/// A gateway of `peer` behind which `service` is, as imported: the node named `node` must be there.
pub(super) fn import(peer: &str, node: &str, service: &str, wan: (&str, u16), meta: PeerMeta) -> Instance {
    let name = format!("{service}-sidecar-proxy");
    let wan = ServiceAddress {
        address: wan.0.to_owned(),
        port: wan.1,
    };
    Instance {
        proxy: Some(proxy(service)),
        tagged_addresses: BTreeMap::from([(TAG_WAN.to_owned(), wan)]),
        peer_meta: Some(meta),
        ..plain(
            node_key(Some(peer), node),
            &name,
            &name,
            ServiceKind::ConnectProxy,
            1,
        )
    }
}

pub(super) fn check(node: NodeKey, instance: Option<&str>, status: CheckStatus) -> Row {
    Row::Check(Arc::new(Check {
        key: CheckKey {
            node,
            id: CheckId::new(&format!("check:{}", instance.unwrap_or(""))).unwrap(),
        },
        name: String::new(),
        status,
        notes: String::new(),
        output: String::new(),
        instance: instance.map(|id| InstanceId::new(id).unwrap()),
        service: None,
    }))
}

pub(super) fn peering(name: &str, state: PeeringState) -> Row {
    Row::Peering(Arc::new(Peering {
        key: peering_key(name),
        id: format!("id-of-{name}"),
        role: PeeringRole::Dialer,
        state,
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

/// A peering that dials servers of this name.
pub(super) fn dialling(peer: &str, server_name: &str, addresses: &[&str], manual: &[&str]) -> Row {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    match peering(peer, PeeringState::Active) {
        Row::Peering(record) => Row::Peering(Arc::new(Peering {
            server_name: Some(server_name.to_owned()),
            server_addresses: texts(addresses),
            manual_addresses: texts(manual),
            ..Peering::clone(&record)
        })),
        other => other,
    }
}

/// What a server on `node` writes about itself.
pub(super) fn server(node: &str, grpc_tls: Option<u16>) -> Row {
    row(server_instance(&node_key(None, node), grpc_tls).unwrap())
}

/// The mesh entry that says whether servers are reached through mesh gateways.
pub(super) fn through_gateways(through: bool) -> Row {
    config(ConfigEntry::Mesh(MeshEntry {
        peer_through_mesh_gateways: Some(through),
        ..MeshEntry::default()
    }))
}

/// A token of `peer` that lets it see `services` only.
pub(super) fn grants(peer: &str, services: Option<&[&str]>) -> Row {
    let allowed = |name: &&str| AllowedService::parse(name).unwrap();
    Row::Grants(Arc::new(PeeringGrants {
        active_stream: Some(TokenGrant {
            accessor: "accessor".to_owned(),
            made_at: 0,
            expires_at: None,
            request_id: None,
            bounds: TokenBounds {
                services: services.map(|services| services.iter().map(allowed).collect()),
                ..TokenBounds::default()
            },
            proven: false,
        }),
        ..PeeringGrants::new(peering_key(peer))
    }))
}

pub(super) fn bundle(peer: &str, trust_domain: &str, pems: &[&str]) -> Row {
    bundle_of(peer, trust_domain, "default", pems)
}

/// The bundle of a peer that is one partition of its cluster.
pub(super) fn bundle_of(peer: &str, trust_domain: &str, partition: &str, pems: &[&str]) -> Row {
    Row::Bundle(Arc::new(TrustBundle {
        peering: peering_key(peer),
        trust_domain: TrustDomain::new(trust_domain).unwrap(),
        exported_partition: Partition::new(partition).unwrap(),
        root_pems: pems.iter().map(|pem| (*pem).to_owned()).collect(),
    }))
}

pub(super) fn pattern(name: &str) -> Pattern<ServiceName> {
    match name {
        "*" => Pattern::Any,
        name => Pattern::Exact(service_name(name)),
    }
}

fn config(entry: ConfigEntry) -> Row {
    Row::Config(Arc::new(entry))
}

/// A peer, or [`GROUP`].
fn consumer(peer: &str) -> Consumer {
    match peer {
        GROUP => Consumer::Group(GroupName::new("all").unwrap()),
        peer => Consumer::Peer(peer_name(peer)),
    }
}

pub(super) fn exports(services: &[(&str, &[&str])]) -> Row {
    let services = services.iter().map(|(name, peers)| ExportedService {
        name: pattern(name),
        namespace: Pattern::Exact(Namespace::default()),
        consumers: peers.iter().map(|peer| consumer(peer)).collect(),
    });
    config(ConfigEntry::ExportedServices(ExportedServices {
        partition: Partition::default(),
        services: services.collect(),
        meta: Meta::new(),
    }))
}

pub(super) fn intentions(destination: &str, sources: &[(&str, Option<&str>, Action)]) -> Row {
    let sources: Vec<_> = sources
        .iter()
        .map(|(name, peer, action)| (*name, *peer, Verdict::Always(*action)))
        .collect();
    verdicts(destination, &sources)
}

/// One permission with this action, for requests below `path`.
pub(super) fn below(path: &str, action: Action) -> Verdict {
    let http = RequestCondition {
        path: Some(PathCondition::Prefix(path.to_owned())),
        ..RequestCondition::default()
    };
    let permission = Permission {
        action,
        http,
        jwt: None,
    };
    Verdict::ByRequest(vec![permission])
}

/// A token of this provider.
pub(super) fn token_of(provider: &str) -> JwtRequirement {
    JwtRequirement {
        tokens: vec![WantedToken {
            provider: ProviderName::new(provider).unwrap(),
            claims: Vec::new(),
        }],
    }
}

/// The same intentions, but everybody needs a token.
pub(super) fn asking(provider: &str, intentions: Row) -> Row {
    match intentions {
        Row::Config(entry) => match ConfigEntry::clone(&entry) {
            ConfigEntry::ServiceIntentions(entry) => {
                config(ConfigEntry::ServiceIntentions(ServiceIntentions {
                    jwt: Some(token_of(provider)),
                    ..entry
                }))
            }
            other => config(other),
        },
        other => other,
    }
}

/// A provider of tokens, whose keys are at `uri` or at hand.
pub(super) fn provider(name: &str, issuer: &str, uri: Option<&str>) -> Row {
    let keys = match uri {
        None => KeySource::Local(KeySet::new("{}").unwrap()),
        Some(uri) => KeySource::Remote(Box::new(RemoteKeys {
            uri: KeyUri::new(uri).unwrap(),
            request_timeout_ms: None,
            cache_ms: None,
            fetch_early: false,
            retries: None,
            discovery: KeyDiscovery::default(),
            connect_timeout_ms: None,
            trusted: None,
        })),
    };
    config(ConfigEntry::JwtProvider(Box::new(JwtProvider {
        partition: Partition::default(),
        name: ProviderName::new(name).unwrap(),
        issuer: issuer.to_owned(),
        audiences: Vec::new(),
        keys,
        locations: Vec::new(),
        forwarding: None,
        clock_skew_seconds: 30,
        cache_size: 0,
        meta: Meta::new(),
    })))
}

/// Stands for a peer where the members of the sameness group `all` are meant (see [`super::entries::group`]).
pub(super) const GROUP: &str = "@all";

/// Intentions on a service: who, of which peer, and what happens.
pub(super) fn verdicts(destination: &str, sources: &[(&str, Option<&str>, Verdict)]) -> Row {
    let sources = sources.iter().map(|(name, peer, verdict)| Source {
        name: pattern(name),
        namespace: Pattern::Exact(Namespace::default()),
        partition: Partition::default(),
        peer: peer.filter(|peer| *peer != GROUP).map(peer_name),
        group: (*peer == Some(GROUP)).then(|| GroupName::new("all").unwrap()),
        verdict: verdict.clone(),
        description: String::new(),
    });
    config(ConfigEntry::ServiceIntentions(ServiceIntentions {
        name: pattern(destination),
        namespace: Pattern::Exact(Namespace::default()),
        partition: Partition::default(),
        sources: sources.collect(),
        jwt: None,
        meta: Meta::new(),
    }))
}

/// The protocol of one service, or of all that have none of their own.
pub(super) fn protocol(service: Option<&str>, protocol: Protocol) -> Row {
    match service {
        None => config(ConfigEntry::ProxyDefaults(ProxyDefaults {
            config: BTreeMap::from([("protocol".to_owned(), Opaque::Text(protocol.as_str().to_owned()))]),
            ..ProxyDefaults::default()
        })),
        Some(service) => config(ConfigEntry::ServiceDefaults(ServiceDefaults {
            partition: Partition::default(),
            namespace: Namespace::default(),
            name: service_name(service),
            protocol: Some(protocol),
            mesh_gateway: None,
            inbound: Inbound::default(),
            upstreams: Upstreams::default(),
            sidecar: SidecarSettings::default(),
            meta: Meta::new(),
        })),
    }
}

pub(super) fn speaks(protocol: Protocol, meta: PeerMeta) -> PeerMeta {
    PeerMeta {
        protocol: protocol.as_str().to_owned(),
        ..meta
    }
}

pub(super) fn proxy_defaults(mode: Option<GatewayMode>) -> Row {
    config(ConfigEntry::ProxyDefaults(ProxyDefaults {
        mesh_gateway: mode,
        ..ProxyDefaults::default()
    }))
}

/// Whom all proxies report single requests to.
pub(super) fn traces(sampling: Option<u32>) -> Row {
    config(ConfigEntry::ProxyDefaults(ProxyDefaults {
        tracing: sampling.map(|sampling| Tracing {
            collector: ServiceAddress {
                address: "collector.example.com".to_owned(),
                port: 4317,
            },
            sampling,
        }),
        ..ProxyDefaults::default()
    }))
}

/// What all proxies write.
pub(super) fn logs(access_logs: AccessLogs) -> Row {
    config(ConfigEntry::ProxyDefaults(ProxyDefaults {
        access_logs,
        ..ProxyDefaults::default()
    }))
}

pub(super) fn service_defaults(service: &str, mode: Option<GatewayMode>) -> Row {
    settings(service, mode, Inbound::default(), Upstreams::default())
}

/// How the proxies of a service take calls and call others.
pub(super) fn settings(
    service: &str,
    mode: Option<GatewayMode>,
    inbound: Inbound,
    upstreams: Upstreams,
) -> Row {
    config(ConfigEntry::ServiceDefaults(ServiceDefaults {
        partition: Partition::default(),
        namespace: Namespace::default(),
        name: service_name(service),
        protocol: None,
        mesh_gateway: mode,
        inbound,
        upstreams,
        sidecar: SidecarSettings::default(),
        meta: Meta::new(),
    }))
}

/// What is said about the sidecars of a service; about all of them without one.
pub(super) fn said(service: Option<&str>, sidecar: SidecarSettings) -> Row {
    config(match service {
        None => ConfigEntry::ProxyDefaults(ProxyDefaults {
            sidecar,
            ..ProxyDefaults::default()
        }),
        Some(service) => ConfigEntry::ServiceDefaults(ServiceDefaults {
            partition: Partition::default(),
            namespace: Namespace::default(),
            name: service_name(service),
            protocol: None,
            mesh_gateway: None,
            inbound: Inbound::default(),
            upstreams: Upstreams::default(),
            sidecar,
            meta: Meta::new(),
        }),
    })
}

/// A sidecar with what it says itself.
pub(super) fn saying(own: SidecarSettings, sidecar: Instance) -> Instance {
    let proxy = sidecar.proxy.clone().map(|proxy| Proxy {
        sidecar: own,
        ..proxy
    });
    Instance { proxy, ..sidecar }
}

/// How all proxies take calls: a number, or what is none.
pub(super) fn all_take(number: &str) -> Row {
    let keys = ["max_inbound_connections", "local_connect_timeout_ms"];
    config(ConfigEntry::ProxyDefaults(ProxyDefaults {
        config: keys
            .map(|key| (key.to_owned(), Opaque::Text(number.to_owned())))
            .into(),
        ..ProxyDefaults::default()
    }))
}

/// What is said about one upstream, local or a peer's.
pub(super) fn about(service: &str, peer: Option<&str>, settings: UpstreamSettings) -> UpstreamOverride {
    UpstreamOverride {
        name: service_name(service),
        namespace: Namespace::default(),
        partition: Partition::default(),
        peer: peer.map(peer_name),
        settings,
    }
}

/// Which TLS all proxies speak.
pub(super) fn mesh_tls(incoming: TlsBounds, outgoing: TlsBounds) -> Row {
    config(ConfigEntry::Mesh(MeshEntry {
        tls: MeshTls { incoming, outgoing },
        ..MeshEntry::default()
    }))
}
