//! Twins of what gateways at the edge let in.

use super::super::text::{Text, text};
use super::chain::EditsRecord;
use super::mesh_tls::BoundsRecord;
use super::upstreams::{LimitsRecord, PassiveRecord};
use peerway_model::config::{
    EdgeTerms, EdgeTls, IngressGateway, IngressListener, IngressService, Meta, Pattern, Protocol,
};
use peerway_model::{Namespace, Partition, PeerName, ServiceName};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(in super::super) struct IngressRecord {
    partition: Text<Partition>,
    namespace: Text<Namespace>,
    name: Text<ServiceName>,
    #[serde(default)]
    tls: TlsRecord,
    #[serde(default)]
    listeners: Vec<ListenerRecord>,
    #[serde(default)]
    defaults: TermsRecord,
    #[serde(default, skip_serializing_if = "Meta::is_empty")]
    meta: Meta,
}

#[derive(Serialize, Deserialize, Default)]
struct TlsRecord {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    enabled: bool,
    #[serde(default, skip_serializing_if = "BoundsRecord::is_default")]
    bounds: BoundsRecord,
}

#[derive(Serialize, Deserialize, Default)]
struct TermsRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limits: Option<LimitsRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    passive_health_check: Option<PassiveRecord>,
}

#[derive(Serialize, Deserialize)]
struct ListenerRecord {
    port: u16,
    protocol: Text<Protocol>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tls: Option<TlsRecord>,
    services: Vec<ServiceRecord>,
}

#[derive(Serialize, Deserialize)]
struct ServiceRecord {
    name: Text<Pattern<ServiceName>>,
    namespace: Text<Namespace>,
    partition: Text<Partition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peer: Option<Text<PeerName>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hosts: Vec<String>,
    #[serde(default, skip_serializing_if = "EditsRecord::is_empty")]
    request_headers: EditsRecord,
    #[serde(default, skip_serializing_if = "EditsRecord::is_empty")]
    response_headers: EditsRecord,
    #[serde(default)]
    terms: TermsRecord,
}

impl From<&IngressGateway> for IngressRecord {
    fn from(entry: &IngressGateway) -> Self {
        let IngressGateway {
            partition,
            namespace,
            name,
            tls,
            listeners,
            defaults,
            meta,
        } = entry;
        IngressRecord {
            partition: Text(partition.clone()),
            namespace: Text(namespace.clone()),
            name: Text(name.clone()),
            tls: tls.into(),
            listeners: listeners.iter().map(ListenerRecord::from).collect(),
            defaults: defaults.into(),
            meta: meta.clone(),
        }
    }
}

impl From<IngressRecord> for IngressGateway {
    fn from(record: IngressRecord) -> Self {
        IngressGateway {
            partition: record.partition.0,
            namespace: record.namespace.0,
            name: record.name.0,
            tls: record.tls.into(),
            listeners: record.listeners.into_iter().map(IngressListener::from).collect(),
            defaults: record.defaults.into(),
            meta: record.meta,
        }
    }
}

impl From<&EdgeTls> for TlsRecord {
    fn from(tls: &EdgeTls) -> Self {
        let EdgeTls { enabled, bounds } = tls;
        TlsRecord {
            enabled: *enabled,
            bounds: bounds.into(),
        }
    }
}

impl From<TlsRecord> for EdgeTls {
    fn from(record: TlsRecord) -> Self {
        EdgeTls {
            enabled: record.enabled,
            bounds: record.bounds.into(),
        }
    }
}

impl From<&EdgeTerms> for TermsRecord {
    fn from(terms: &EdgeTerms) -> Self {
        let EdgeTerms {
            limits,
            passive_health_check,
        } = terms;
        TermsRecord {
            limits: (*limits != Default::default()).then(|| limits.into()),
            passive_health_check: passive_health_check.as_ref().map(PassiveRecord::from),
        }
    }
}

impl From<TermsRecord> for EdgeTerms {
    fn from(record: TermsRecord) -> Self {
        EdgeTerms {
            limits: record.limits.map(Into::into).unwrap_or_default(),
            passive_health_check: record.passive_health_check.map(Into::into),
        }
    }
}

impl From<&IngressListener> for ListenerRecord {
    fn from(listener: &IngressListener) -> Self {
        let IngressListener {
            port,
            protocol,
            tls,
            services,
        } = listener;
        ListenerRecord {
            port: *port,
            protocol: Text(*protocol),
            tls: tls.as_ref().map(TlsRecord::from),
            services: services.iter().map(ServiceRecord::from).collect(),
        }
    }
}

impl From<ListenerRecord> for IngressListener {
    fn from(record: ListenerRecord) -> Self {
        IngressListener {
            port: record.port,
            protocol: record.protocol.0,
            tls: record.tls.map(EdgeTls::from),
            services: record.services.into_iter().map(IngressService::from).collect(),
        }
    }
}

impl From<&IngressService> for ServiceRecord {
    fn from(service: &IngressService) -> Self {
        let IngressService {
            name,
            namespace,
            partition,
            peer,
            hosts,
            request_headers,
            response_headers,
            terms,
        } = service;
        ServiceRecord {
            name: Text(name.clone()),
            namespace: Text(namespace.clone()),
            partition: Text(partition.clone()),
            peer: text(peer),
            hosts: hosts.clone(),
            request_headers: request_headers.into(),
            response_headers: response_headers.into(),
            terms: terms.into(),
        }
    }
}

impl From<ServiceRecord> for IngressService {
    fn from(record: ServiceRecord) -> Self {
        IngressService {
            name: record.name.0,
            namespace: record.namespace.0,
            partition: record.partition.0,
            peer: record.peer.map(|peer| peer.0),
            hosts: record.hosts,
            request_headers: record.request_headers.into(),
            response_headers: record.response_headers.into(),
            terms: record.terms.into(),
        }
    }
}
