//! Receipts of changes, and the proxies as an operator sees them.

use crate::moment::rfc3339;
use peerway_model::{
    InstanceKey, LastRefusal, PeerReceipt, ProxyReceipt, ProxyReport, Receipt, RefusedResource,
};
use serde::Serialize;

/// The answer of `GET /v1/peerway/change/:id`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReceiptJson {
    #[serde(rename = "ID")]
    id: u64,
    settled: bool,
    proxies: Vec<ProxyReceiptJson>,
    peers: Vec<PeerReceiptJson>,
}

/// The instance that a proxy is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct InstanceJson {
    #[serde(rename = "ID")]
    id: String,
    node: String,
    partition: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ProxyReceiptJson {
    #[serde(flatten)]
    instance: InstanceJson,
    kind: &'static str,
    state: &'static str,
    reason: String,
    revision: Option<u64>,
    touched: Option<bool>,
    resources: Vec<RefusedJson>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RefusedJson {
    r#type: &'static str,
    name: String,
    version: String,
    since: Option<u64>,
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct PeerReceiptJson {
    name: String,
    partition: String,
    state: &'static str,
    reason: String,
    revision: Option<u64>,
}

impl ReceiptJson {
    /// What has become of the change with this id.
    pub fn new(id: u64, receipt: &Receipt) -> Self {
        ReceiptJson {
            id,
            settled: receipt.is_settled(),
            proxies: receipt.proxies.iter().map(ProxyReceiptJson::from).collect(),
            peers: receipt.peers.iter().map(PeerReceiptJson::from).collect(),
        }
    }
}

impl From<&InstanceKey> for InstanceJson {
    fn from(key: &InstanceKey) -> Self {
        InstanceJson {
            id: key.id.to_string(),
            node: key.node.name.to_string(),
            partition: key.node.partition.to_string(),
        }
    }
}

impl From<&ProxyReceipt> for ProxyReceiptJson {
    fn from(receipt: &ProxyReceipt) -> Self {
        ProxyReceiptJson {
            instance: InstanceJson::from(&receipt.proxy),
            kind: receipt.kind.as_str(),
            state: receipt.state.as_str(),
            reason: receipt.reason.clone(),
            revision: receipt.revision,
            touched: receipt.touched,
            resources: receipt.refused.iter().map(RefusedJson::from).collect(),
        }
    }
}

impl From<&RefusedResource> for RefusedJson {
    fn from(refused: &RefusedResource) -> Self {
        RefusedJson {
            r#type: refused.kind,
            name: refused.name.clone(),
            version: refused.version.clone(),
            since: (refused.since > 0).then_some(refused.since),
            reason: refused.reason.clone(),
        }
    }
}

impl From<&PeerReceipt> for PeerReceiptJson {
    fn from(receipt: &PeerReceipt) -> Self {
        PeerReceiptJson {
            name: receipt.peering.name.to_string(),
            partition: receipt.peering.partition.to_string(),
            state: receipt.state.as_str(),
            reason: receipt.reason.clone(),
            revision: receipt.revision,
        }
    }
}

/// An item of the answer of `GET /v1/peerway/proxies`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProxyJson {
    #[serde(flatten)]
    instance: InstanceJson,
    registered: bool,
    kind: Option<&'static str>,
    namespace: Option<String>,
    service: Option<String>,
    connected: bool,
    envoy_version: Option<String>,
    connected_since: Option<String>,
    settled: bool,
    revision: Option<u64>,
    pushes: u64,
    acks: u64,
    nacks: u64,
    refused: Vec<RefusedJson>,
    last_nack: Option<LastNackJson>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct LastNackJson {
    r#type: &'static str,
    names: Vec<String>,
    reason: String,
    at: Option<String>,
}

impl From<&ProxyReport> for ProxyJson {
    fn from(report: &ProxyReport) -> Self {
        let registered = report.registered.as_ref();
        let connection = report.connection.as_ref();
        ProxyJson {
            instance: InstanceJson::from(&report.proxy),
            registered: registered.is_some(),
            kind: registered.map(|(kind, _)| kind.as_str()),
            namespace: registered.map(|(_, service)| service.namespace.to_string()),
            service: registered.map(|(_, service)| service.name.to_string()),
            connected: connection.is_some(),
            envoy_version: connection.map(|connection| connection.envoy_version.clone()),
            connected_since: connection.and_then(|connection| rfc3339(connection.since)),
            settled: connection.is_some_and(|connection| connection.settled),
            revision: connection.and_then(|connection| connection.revision),
            pushes: connection.map_or(0, |connection| connection.pushes),
            acks: connection.map_or(0, |connection| connection.acks),
            nacks: connection.map_or(0, |connection| connection.nacks),
            refused: connection
                .map(|connection| connection.refused.iter().map(RefusedJson::from).collect())
                .unwrap_or_default(),
            last_nack: connection.and_then(|connection| connection.last_refusal.as_ref().map(Into::into)),
        }
    }
}

impl From<&LastRefusal> for LastNackJson {
    fn from(refusal: &LastRefusal) -> Self {
        LastNackJson {
            r#type: refusal.kind,
            names: refusal.names.clone(),
            reason: refusal.reason.clone(),
            at: rfc3339(refusal.at),
        }
    }
}
