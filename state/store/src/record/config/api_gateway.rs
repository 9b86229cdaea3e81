//! Twins of API gateways and of what attaches itself to them.

use super::super::text::{Text, text};
use super::chain::{EditsRecord, RouteRecord};
use super::mesh_tls::BoundsRecord;
use peerway_model::config::{
    ApiGateway, ApiListener, ApiTls, HttpRoute, HttpRule, InlineCertificate, Meta, Protocol, RouteParent,
    RouteService, ServiceRoute, TcpRoute,
};
use peerway_model::{Namespace, Partition, PeerName, Secret, ServiceName};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(in super::super) struct ApiGatewayRecord {
    partition: Text<Partition>,
    namespace: Text<Namespace>,
    name: Text<ServiceName>,
    #[serde(default)]
    listeners: Vec<ListenerRecord>,
    #[serde(default, skip_serializing_if = "Meta::is_empty")]
    meta: Meta,
}

#[derive(Serialize, Deserialize)]
struct ListenerRecord {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hostname: Option<String>,
    port: u16,
    protocol: Text<Protocol>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tls: Option<TlsRecord>,
}

#[derive(Serialize, Deserialize)]
struct TlsRecord {
    certificates: Vec<Text<ServiceName>>,
    #[serde(default, skip_serializing_if = "BoundsRecord::is_default")]
    bounds: BoundsRecord,
}

#[derive(Serialize, Deserialize)]
struct ParentRecord {
    gateway: Text<ServiceName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    listener: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub(in super::super) struct HttpRouteRecord {
    partition: Text<Partition>,
    namespace: Text<Namespace>,
    name: Text<ServiceName>,
    #[serde(default)]
    parents: Vec<ParentRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hostnames: Vec<String>,
    #[serde(default)]
    rules: Vec<RuleRecord>,
    #[serde(default, skip_serializing_if = "Meta::is_empty")]
    meta: Meta,
}

#[derive(Serialize, Deserialize)]
struct RuleRecord {
    /// Without a destination.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    matches: Vec<RouteRecord>,
    /// For every request, with a destination that says how and not where.
    how: RouteRecord,
    services: Vec<ServiceRecord>,
}

#[derive(Serialize, Deserialize)]
struct ServiceRecord {
    name: Text<ServiceName>,
    namespace: Text<Namespace>,
    partition: Text<Partition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peer: Option<Text<PeerName>>,
    weight: u32,
    #[serde(default, skip_serializing_if = "EditsRecord::is_empty")]
    request_headers: EditsRecord,
    #[serde(default, skip_serializing_if = "EditsRecord::is_empty")]
    response_headers: EditsRecord,
}

#[derive(Serialize, Deserialize)]
pub(in super::super) struct TcpRouteRecord {
    partition: Text<Partition>,
    namespace: Text<Namespace>,
    name: Text<ServiceName>,
    #[serde(default)]
    parents: Vec<ParentRecord>,
    service: ServiceRecord,
    #[serde(default, skip_serializing_if = "Meta::is_empty")]
    meta: Meta,
}

#[derive(Serialize, Deserialize)]
pub(in super::super) struct InlineCertificateRecord {
    partition: Text<Partition>,
    namespace: Text<Namespace>,
    name: Text<ServiceName>,
    certificate: String,
    key: Text<Secret>,
    #[serde(default, skip_serializing_if = "Meta::is_empty")]
    meta: Meta,
}

impl From<&ApiGateway> for ApiGatewayRecord {
    fn from(entry: &ApiGateway) -> Self {
        let ApiGateway {
            partition,
            namespace,
            name,
            listeners,
            meta,
        } = entry;
        ApiGatewayRecord {
            partition: Text(partition.clone()),
            namespace: Text(namespace.clone()),
            name: Text(name.clone()),
            listeners: listeners.iter().map(ListenerRecord::from).collect(),
            meta: meta.clone(),
        }
    }
}

impl From<ApiGatewayRecord> for ApiGateway {
    fn from(record: ApiGatewayRecord) -> Self {
        ApiGateway {
            partition: record.partition.0,
            namespace: record.namespace.0,
            name: record.name.0,
            listeners: record.listeners.into_iter().map(ApiListener::from).collect(),
            meta: record.meta,
        }
    }
}

impl From<&ApiListener> for ListenerRecord {
    fn from(listener: &ApiListener) -> Self {
        let ApiListener {
            name,
            hostname,
            port,
            protocol,
            tls,
        } = listener;
        let kept = |ApiTls { certificates, bounds }: &ApiTls| TlsRecord {
            certificates: certificates.iter().cloned().map(Text).collect(),
            bounds: bounds.into(),
        };
        ListenerRecord {
            name: name.clone(),
            hostname: hostname.clone(),
            port: *port,
            protocol: Text(*protocol),
            tls: tls.as_ref().map(kept),
        }
    }
}

impl From<ListenerRecord> for ApiListener {
    fn from(record: ListenerRecord) -> Self {
        let tls = |record: TlsRecord| ApiTls {
            certificates: record.certificates.into_iter().map(|name| name.0).collect(),
            bounds: record.bounds.into(),
        };
        ApiListener {
            name: record.name,
            hostname: record.hostname,
            port: record.port,
            protocol: record.protocol.0,
            tls: record.tls.map(tls),
        }
    }
}

impl From<&RouteParent> for ParentRecord {
    fn from(parent: &RouteParent) -> Self {
        let RouteParent { gateway, listener } = parent;
        ParentRecord {
            gateway: Text(gateway.clone()),
            listener: listener.clone(),
        }
    }
}

impl From<ParentRecord> for RouteParent {
    fn from(record: ParentRecord) -> Self {
        RouteParent {
            gateway: record.gateway.0,
            listener: record.listener,
        }
    }
}

impl From<&HttpRoute> for HttpRouteRecord {
    fn from(entry: &HttpRoute) -> Self {
        let HttpRoute {
            partition,
            namespace,
            name,
            parents,
            hostnames,
            rules,
            meta,
        } = entry;
        HttpRouteRecord {
            partition: Text(partition.clone()),
            namespace: Text(namespace.clone()),
            name: Text(name.clone()),
            parents: parents.iter().map(ParentRecord::from).collect(),
            hostnames: hostnames.clone(),
            rules: rules.iter().map(RuleRecord::from).collect(),
            meta: meta.clone(),
        }
    }
}

impl From<HttpRouteRecord> for HttpRoute {
    fn from(record: HttpRouteRecord) -> Self {
        HttpRoute {
            partition: record.partition.0,
            namespace: record.namespace.0,
            name: record.name.0,
            parents: record.parents.into_iter().map(RouteParent::from).collect(),
            hostnames: record.hostnames,
            rules: record.rules.into_iter().map(HttpRule::from).collect(),
            meta: record.meta,
        }
    }
}

impl From<&HttpRule> for RuleRecord {
    fn from(rule: &HttpRule) -> Self {
        let HttpRule {
            matches,
            how,
            services,
        } = rule;
        let asked = |request| {
            RouteRecord::from(&ServiceRoute {
                request,
                destination: None,
            })
        };
        RuleRecord {
            matches: matches.iter().cloned().map(asked).collect(),
            how: RouteRecord::from(&ServiceRoute {
                destination: Some(how.clone()),
                ..ServiceRoute::default()
            }),
            services: services.iter().map(ServiceRecord::from).collect(),
        }
    }
}

impl From<RuleRecord> for HttpRule {
    fn from(record: RuleRecord) -> Self {
        let asked = |record| ServiceRoute::from(record).request;
        HttpRule {
            matches: record.matches.into_iter().map(asked).collect(),
            how: ServiceRoute::from(record.how).destination.unwrap_or_default(),
            services: record.services.into_iter().map(RouteService::from).collect(),
        }
    }
}

impl From<&RouteService> for ServiceRecord {
    fn from(service: &RouteService) -> Self {
        let RouteService {
            name,
            namespace,
            partition,
            peer,
            weight,
            request_headers,
            response_headers,
        } = service;
        ServiceRecord {
            name: Text(name.clone()),
            namespace: Text(namespace.clone()),
            partition: Text(partition.clone()),
            peer: text(peer),
            weight: *weight,
            request_headers: request_headers.into(),
            response_headers: response_headers.into(),
        }
    }
}

impl From<ServiceRecord> for RouteService {
    fn from(record: ServiceRecord) -> Self {
        RouteService {
            name: record.name.0,
            namespace: record.namespace.0,
            partition: record.partition.0,
            peer: record.peer.map(|peer| peer.0),
            weight: record.weight,
            request_headers: record.request_headers.into(),
            response_headers: record.response_headers.into(),
        }
    }
}

impl From<&TcpRoute> for TcpRouteRecord {
    fn from(entry: &TcpRoute) -> Self {
        let TcpRoute {
            partition,
            namespace,
            name,
            parents,
            service,
            meta,
        } = entry;
        TcpRouteRecord {
            partition: Text(partition.clone()),
            namespace: Text(namespace.clone()),
            name: Text(name.clone()),
            parents: parents.iter().map(ParentRecord::from).collect(),
            service: service.into(),
            meta: meta.clone(),
        }
    }
}

impl From<TcpRouteRecord> for TcpRoute {
    fn from(record: TcpRouteRecord) -> Self {
        TcpRoute {
            partition: record.partition.0,
            namespace: record.namespace.0,
            name: record.name.0,
            parents: record.parents.into_iter().map(RouteParent::from).collect(),
            service: record.service.into(),
            meta: record.meta,
        }
    }
}

impl From<&InlineCertificate> for InlineCertificateRecord {
    fn from(entry: &InlineCertificate) -> Self {
        let InlineCertificate {
            partition,
            namespace,
            name,
            certificate,
            key,
            meta,
        } = entry;
        InlineCertificateRecord {
            partition: Text(partition.clone()),
            namespace: Text(namespace.clone()),
            name: Text(name.clone()),
            certificate: certificate.clone(),
            key: Text(key.clone()),
            meta: meta.clone(),
        }
    }
}

impl From<InlineCertificateRecord> for InlineCertificate {
    fn from(record: InlineCertificateRecord) -> Self {
        InlineCertificate {
            partition: record.partition.0,
            namespace: record.namespace.0,
            name: record.name.0,
            certificate: record.certificate,
            key: record.key.0,
            meta: record.meta,
        }
    }
}
