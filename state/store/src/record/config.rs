//! Twins of the config entries.

mod access_logs;
mod api_gateway;
mod chain;
mod ingress;
mod jwt_provider;
mod mesh_tls;
mod resolver;
mod terminating_gateway;
mod tracing;
mod upstreams;

use self::access_logs::AccessLogsRecord;
use self::api_gateway::{ApiGatewayRecord, HttpRouteRecord, InlineCertificateRecord, TcpRouteRecord};
use self::chain::{GroupRecord, RouterRecord, SplitterRecord};
use self::ingress::IngressRecord;
use self::jwt_provider::ProviderRecord;
use self::mesh_tls::MeshTlsRecord;
use self::resolver::ResolverRecord;
use self::terminating_gateway::TerminatingGatewayRecord;
use self::tracing::TracingRecord;
use self::upstreams::{InboundRecord, UpstreamsRecord};
use super::opaque::{ConfigMap, give_back, keep};
use super::permission::{self, PermissionRecord, RequirementRecord};
use super::sidecar::SidecarRecord;
use super::text::{Text, text};
use peerway_model::config::{
    Action, ByLocality, ConfigEntry, Consumer, ExportedService, ExportedServices, Mesh, Meta, Pattern,
    Protocol, ProxyDefaults, ServiceDefaults, ServiceIntentions, Source,
};
use peerway_model::instance::GatewayMode;
use peerway_model::{GroupName, Namespace, Partition, PeerName, ServiceName};
use serde::{Deserialize, Serialize};

/// Tagged with Consul's names of the kinds.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ConfigRecord {
    ExportedServices(ExportsRecord),
    ServiceIntentions(IntentionsRecord),
    Mesh(MeshRecord),
    ProxyDefaults(ProxyDefaultsRecord),
    ServiceDefaults(ServiceDefaultsRecord),
    SamenessGroup(GroupRecord),
    ServiceResolver(Box<ResolverRecord>),
    ServiceRouter(RouterRecord),
    ServiceSplitter(SplitterRecord),
    TerminatingGateway(TerminatingGatewayRecord),
    IngressGateway(IngressRecord),
    JwtProvider(Box<ProviderRecord>),
    ApiGateway(ApiGatewayRecord),
    HttpRoute(Box<HttpRouteRecord>),
    TcpRoute(TcpRouteRecord),
    InlineCertificate(InlineCertificateRecord),
}

impl From<&ConfigEntry> for ConfigRecord {
    fn from(entry: &ConfigEntry) -> Self {
        match entry {
            ConfigEntry::ExportedServices(entry) => ConfigRecord::ExportedServices(entry.into()),
            ConfigEntry::ServiceIntentions(entry) => ConfigRecord::ServiceIntentions(entry.into()),
            ConfigEntry::Mesh(entry) => ConfigRecord::Mesh(entry.into()),
            ConfigEntry::ProxyDefaults(entry) => ConfigRecord::ProxyDefaults(entry.into()),
            ConfigEntry::ServiceDefaults(entry) => ConfigRecord::ServiceDefaults(entry.into()),
            ConfigEntry::SamenessGroup(entry) => ConfigRecord::SamenessGroup(entry.into()),
            ConfigEntry::ServiceResolver(entry) => ConfigRecord::ServiceResolver(Box::new((&**entry).into())),
            ConfigEntry::ServiceRouter(entry) => ConfigRecord::ServiceRouter(entry.into()),
            ConfigEntry::ServiceSplitter(entry) => ConfigRecord::ServiceSplitter(entry.into()),
            ConfigEntry::TerminatingGateway(entry) => ConfigRecord::TerminatingGateway(entry.into()),
            ConfigEntry::IngressGateway(entry) => ConfigRecord::IngressGateway(entry.into()),
            ConfigEntry::JwtProvider(entry) => ConfigRecord::JwtProvider(Box::new((&**entry).into())),
            ConfigEntry::ApiGateway(entry) => ConfigRecord::ApiGateway(entry.into()),
            ConfigEntry::HttpRoute(entry) => ConfigRecord::HttpRoute(Box::new((&**entry).into())),
            ConfigEntry::TcpRoute(entry) => ConfigRecord::TcpRoute(entry.into()),
            ConfigEntry::InlineCertificate(entry) => ConfigRecord::InlineCertificate(entry.into()),
        }
    }
}

impl From<ConfigRecord> for ConfigEntry {
    fn from(record: ConfigRecord) -> Self {
        match record {
            ConfigRecord::ExportedServices(record) => ConfigEntry::ExportedServices(record.into()),
            ConfigRecord::ServiceIntentions(record) => ConfigEntry::ServiceIntentions(record.into()),
            ConfigRecord::Mesh(record) => ConfigEntry::Mesh(record.into()),
            ConfigRecord::ProxyDefaults(record) => ConfigEntry::ProxyDefaults(record.into()),
            ConfigRecord::ServiceDefaults(record) => ConfigEntry::ServiceDefaults(record.into()),
            ConfigRecord::SamenessGroup(record) => ConfigEntry::SamenessGroup(record.into()),
            ConfigRecord::ServiceResolver(record) => ConfigEntry::ServiceResolver(Box::new((*record).into())),
            ConfigRecord::ServiceRouter(record) => ConfigEntry::ServiceRouter(record.into()),
            ConfigRecord::ServiceSplitter(record) => ConfigEntry::ServiceSplitter(record.into()),
            ConfigRecord::TerminatingGateway(record) => ConfigEntry::TerminatingGateway(record.into()),
            ConfigRecord::IngressGateway(record) => ConfigEntry::IngressGateway(record.into()),
            ConfigRecord::JwtProvider(record) => ConfigEntry::JwtProvider(Box::new((*record).into())),
            ConfigRecord::ApiGateway(record) => ConfigEntry::ApiGateway(record.into()),
            ConfigRecord::HttpRoute(record) => ConfigEntry::HttpRoute(Box::new((*record).into())),
            ConfigRecord::TcpRoute(record) => ConfigEntry::TcpRoute(record.into()),
            ConfigRecord::InlineCertificate(record) => ConfigEntry::InlineCertificate(record.into()),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct ExportsRecord {
    partition: Text<Partition>,
    #[serde(default)]
    services: Vec<ExportRecord>,
    #[serde(default, skip_serializing_if = "Meta::is_empty")]
    meta: Meta,
}

#[derive(Serialize, Deserialize)]
struct ExportRecord {
    name: Text<Pattern<ServiceName>>,
    namespace: Text<Pattern<Namespace>>,
    consumers: Vec<ConsumerRecord>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ConsumerRecord {
    Peer(Text<PeerName>),
    Partition(Text<Partition>),
    SamenessGroup(Text<GroupName>),
}

impl From<&ExportedServices> for ExportsRecord {
    fn from(entry: &ExportedServices) -> Self {
        let ExportedServices {
            partition,
            services,
            meta,
        } = entry;
        ExportsRecord {
            partition: Text(partition.clone()),
            services: services.iter().map(ExportRecord::from).collect(),
            meta: meta.clone(),
        }
    }
}

impl From<ExportsRecord> for ExportedServices {
    fn from(record: ExportsRecord) -> Self {
        ExportedServices {
            partition: record.partition.0,
            services: record.services.into_iter().map(ExportedService::from).collect(),
            meta: record.meta,
        }
    }
}

impl From<&ExportedService> for ExportRecord {
    fn from(export: &ExportedService) -> Self {
        let ExportedService {
            name,
            namespace,
            consumers,
        } = export;
        let consumer = |consumer: &Consumer| match consumer {
            Consumer::Peer(peer) => ConsumerRecord::Peer(Text(peer.clone())),
            Consumer::Partition(partition) => ConsumerRecord::Partition(Text(partition.clone())),
            Consumer::Group(group) => ConsumerRecord::SamenessGroup(Text(group.clone())),
        };
        ExportRecord {
            name: Text(name.clone()),
            namespace: Text(namespace.clone()),
            consumers: consumers.iter().map(consumer).collect(),
        }
    }
}

impl From<ExportRecord> for ExportedService {
    fn from(record: ExportRecord) -> Self {
        let consumer = |record| match record {
            ConsumerRecord::Peer(peer) => Consumer::Peer(peer.0),
            ConsumerRecord::Partition(partition) => Consumer::Partition(partition.0),
            ConsumerRecord::SamenessGroup(group) => Consumer::Group(group.0),
        };
        ExportedService {
            name: record.name.0,
            namespace: record.namespace.0,
            consumers: record.consumers.into_iter().map(consumer).collect(),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct IntentionsRecord {
    name: Text<Pattern<ServiceName>>,
    namespace: Text<Pattern<Namespace>>,
    partition: Text<Partition>,
    sources: Vec<SourceRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jwt: Option<RequirementRecord>,
    #[serde(default, skip_serializing_if = "Meta::is_empty")]
    meta: Meta,
}

#[derive(Serialize, Deserialize)]
struct SourceRecord {
    name: Text<Pattern<ServiceName>>,
    namespace: Text<Pattern<Namespace>>,
    partition: Text<Partition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peer: Option<Text<PeerName>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<Text<GroupName>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    action: Option<Text<Action>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    permissions: Vec<PermissionRecord>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    description: String,
}

impl From<&ServiceIntentions> for IntentionsRecord {
    fn from(entry: &ServiceIntentions) -> Self {
        let ServiceIntentions {
            name,
            namespace,
            partition,
            sources,
            jwt,
            meta,
        } = entry;
        IntentionsRecord {
            name: Text(name.clone()),
            namespace: Text(namespace.clone()),
            partition: Text(partition.clone()),
            sources: sources.iter().map(SourceRecord::from).collect(),
            jwt: jwt.as_ref().map(RequirementRecord::from),
            meta: meta.clone(),
        }
    }
}

impl From<IntentionsRecord> for ServiceIntentions {
    fn from(record: IntentionsRecord) -> Self {
        ServiceIntentions {
            name: record.name.0,
            namespace: record.namespace.0,
            partition: record.partition.0,
            sources: record.sources.into_iter().map(Source::from).collect(),
            jwt: record.jwt.map(Into::into),
            meta: record.meta,
        }
    }
}

impl From<&Source> for SourceRecord {
    fn from(source: &Source) -> Self {
        let Source {
            name,
            namespace,
            partition,
            peer,
            group,
            verdict,
            description,
        } = source;
        let (action, permissions) = permission::keep(verdict);
        SourceRecord {
            name: Text(name.clone()),
            namespace: Text(namespace.clone()),
            partition: Text(partition.clone()),
            peer: text(peer),
            group: text(group),
            action,
            permissions,
            description: description.clone(),
        }
    }
}

impl From<SourceRecord> for Source {
    fn from(record: SourceRecord) -> Self {
        Source {
            name: record.name.0,
            namespace: record.namespace.0,
            partition: record.partition.0,
            peer: record.peer.map(|peer| peer.0),
            group: record.group.map(|group| group.0),
            verdict: permission::give_back(record.action, record.permissions),
            description: record.description,
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct MeshRecord {
    partition: Text<Partition>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    mesh_destinations_only: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peer_through_mesh_gateways: Option<bool>,
    #[serde(default, skip_serializing_if = "MeshTlsRecord::is_default")]
    tls: MeshTlsRecord,
    #[serde(default, skip_serializing_if = "Meta::is_empty")]
    meta: Meta,
}

impl From<&Mesh> for MeshRecord {
    fn from(entry: &Mesh) -> Self {
        let Mesh {
            partition,
            mesh_destinations_only,
            peer_through_mesh_gateways,
            tls,
            meta,
        } = entry;
        MeshRecord {
            partition: Text(partition.clone()),
            mesh_destinations_only: *mesh_destinations_only,
            peer_through_mesh_gateways: *peer_through_mesh_gateways,
            tls: tls.into(),
            meta: meta.clone(),
        }
    }
}

impl From<MeshRecord> for Mesh {
    fn from(record: MeshRecord) -> Self {
        Mesh {
            partition: record.partition.0,
            mesh_destinations_only: record.mesh_destinations_only,
            peer_through_mesh_gateways: record.peer_through_mesh_gateways,
            tls: record.tls.into(),
            meta: record.meta,
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct ProxyDefaultsRecord {
    partition: Text<Partition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mesh_gateway: Option<Text<GatewayMode>>,
    #[serde(default, skip_serializing_if = "ConfigMap::is_empty")]
    config: ConfigMap,
    #[serde(default, skip_serializing_if = "AccessLogsRecord::is_default")]
    access_logs: AccessLogsRecord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tracing: Option<TracingRecord>,
    #[serde(default, skip_serializing_if = "SidecarRecord::is_default")]
    sidecar: SidecarRecord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by_locality: Option<Text<ByLocality>>,
    #[serde(default, skip_serializing_if = "Meta::is_empty")]
    meta: Meta,
}

impl From<&ProxyDefaults> for ProxyDefaultsRecord {
    fn from(entry: &ProxyDefaults) -> Self {
        let ProxyDefaults {
            partition,
            mesh_gateway,
            config,
            access_logs,
            tracing,
            sidecar,
            by_locality,
            meta,
        } = entry;
        ProxyDefaultsRecord {
            partition: Text(partition.clone()),
            mesh_gateway: text(mesh_gateway),
            config: keep(config),
            access_logs: access_logs.into(),
            tracing: tracing.as_ref().map(TracingRecord::from),
            sidecar: sidecar.into(),
            by_locality: text(by_locality),
            meta: meta.clone(),
        }
    }
}

impl From<ProxyDefaultsRecord> for ProxyDefaults {
    fn from(record: ProxyDefaultsRecord) -> Self {
        ProxyDefaults {
            partition: record.partition.0,
            mesh_gateway: record.mesh_gateway.map(|mode| mode.0),
            config: give_back(record.config),
            access_logs: record.access_logs.into(),
            tracing: record.tracing.map(Into::into),
            sidecar: record.sidecar.into(),
            by_locality: record.by_locality.map(|mode| mode.0),
            meta: record.meta,
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct ServiceDefaultsRecord {
    partition: Text<Partition>,
    namespace: Text<Namespace>,
    name: Text<ServiceName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    protocol: Option<Text<Protocol>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mesh_gateway: Option<Text<GatewayMode>>,
    #[serde(default, skip_serializing_if = "InboundRecord::is_default")]
    inbound: InboundRecord,
    #[serde(default, skip_serializing_if = "UpstreamsRecord::is_default")]
    upstreams: UpstreamsRecord,
    #[serde(default, skip_serializing_if = "SidecarRecord::is_default")]
    sidecar: SidecarRecord,
    #[serde(default, skip_serializing_if = "Meta::is_empty")]
    meta: Meta,
}

impl From<&ServiceDefaults> for ServiceDefaultsRecord {
    fn from(entry: &ServiceDefaults) -> Self {
        let ServiceDefaults {
            partition,
            namespace,
            name,
            protocol,
            mesh_gateway,
            inbound,
            upstreams,
            sidecar,
            meta,
        } = entry;
        ServiceDefaultsRecord {
            partition: Text(partition.clone()),
            namespace: Text(namespace.clone()),
            name: Text(name.clone()),
            protocol: text(protocol),
            mesh_gateway: text(mesh_gateway),
            inbound: inbound.into(),
            upstreams: upstreams.into(),
            sidecar: sidecar.into(),
            meta: meta.clone(),
        }
    }
}

impl From<ServiceDefaultsRecord> for ServiceDefaults {
    fn from(record: ServiceDefaultsRecord) -> Self {
        ServiceDefaults {
            partition: record.partition.0,
            namespace: record.namespace.0,
            name: record.name.0,
            protocol: record.protocol.map(|protocol| protocol.0),
            mesh_gateway: record.mesh_gateway.map(|mode| mode.0),
            inbound: record.inbound.into(),
            upstreams: record.upstreams.into(),
            sidecar: record.sidecar.into(),
            meta: record.meta,
        }
    }
}
