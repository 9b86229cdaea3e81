//! The twin of `terminating-gateway`.

use super::super::text::Text;
use peerway_model::config::{LinkedService, Meta, Outward, Pattern, TerminatingGateway};
use peerway_model::{Namespace, Partition, ServiceName};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(in super::super) struct TerminatingGatewayRecord {
    partition: Text<Partition>,
    namespace: Text<Namespace>,
    name: Text<ServiceName>,
    #[serde(default)]
    services: Vec<LinkRecord>,
    #[serde(default, skip_serializing_if = "Meta::is_empty")]
    meta: Meta,
}

#[derive(Serialize, Deserialize)]
struct LinkRecord {
    name: Text<Pattern<ServiceName>>,
    namespace: Text<Namespace>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ca_file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cert_file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sni: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    keeps_host: bool,
}

impl From<&TerminatingGateway> for TerminatingGatewayRecord {
    fn from(entry: &TerminatingGateway) -> Self {
        let TerminatingGateway {
            partition,
            namespace,
            name,
            services,
            meta,
        } = entry;
        TerminatingGatewayRecord {
            partition: Text(partition.clone()),
            namespace: Text(namespace.clone()),
            name: Text(name.clone()),
            services: services.iter().map(LinkRecord::from).collect(),
            meta: meta.clone(),
        }
    }
}

impl From<TerminatingGatewayRecord> for TerminatingGateway {
    fn from(record: TerminatingGatewayRecord) -> Self {
        TerminatingGateway {
            partition: record.partition.0,
            namespace: record.namespace.0,
            name: record.name.0,
            services: record.services.into_iter().map(LinkedService::from).collect(),
            meta: record.meta,
        }
    }
}

impl From<&LinkedService> for LinkRecord {
    fn from(link: &LinkedService) -> Self {
        let LinkedService {
            name,
            namespace,
            outward,
        } = link;
        let Outward {
            ca_file,
            cert_file,
            key_file,
            sni,
            keeps_host,
        } = outward;
        LinkRecord {
            name: Text(name.clone()),
            namespace: Text(namespace.clone()),
            ca_file: ca_file.clone(),
            cert_file: cert_file.clone(),
            key_file: key_file.clone(),
            sni: sni.clone(),
            keeps_host: *keeps_host,
        }
    }
}

impl From<LinkRecord> for LinkedService {
    fn from(record: LinkRecord) -> Self {
        LinkedService {
            name: record.name.0,
            namespace: record.namespace.0,
            outward: Outward {
                ca_file: record.ca_file,
                cert_file: record.cert_file,
                key_file: record.key_file,
                sni: record.sni,
                keeps_host: record.keeps_host,
            },
        }
    }
}
