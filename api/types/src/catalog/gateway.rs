//! What a gateway is linked to, as `/v1/catalog/gateway-services` shows it.

use super::Indexes;
use peerway_model::config::{ApiListener, IngressListener, IngressService, LinkedService};
use peerway_model::{ServiceKey, ServiceKind};
use serde::Serialize;

/// A service by its name, with its tenancy where that is worth saying.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct NamedJson {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<String>,
    /// Not in Consul.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
}

impl From<&ServiceKey> for NamedJson {
    fn from(key: &ServiceKey) -> Self {
        let spelt = !(key.namespace.is_default() && key.partition.is_default());
        NamedJson {
            name: key.name.to_string(),
            namespace: spelt.then(|| key.namespace.to_string()),
            partition: spelt.then(|| key.partition.to_string()),
            peer: key.origin.peer().map(ToString::to_string),
        }
    }
}

/// One of `/v1/catalog/gateway-services/:gateway`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GatewayServiceJson {
    gateway: NamedJson,
    service: NamedJson,
    gateway_kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hosts: Vec<String>,
    #[serde(rename = "CAFile", skip_serializing_if = "Option::is_none")]
    ca_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cert_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_file: Option<String>,
    #[serde(rename = "SNI", skip_serializing_if = "Option::is_none")]
    sni: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    from_wildcard: bool,
    #[serde(flatten)]
    indexes: Indexes,
}

impl GatewayServiceJson {
    /// A service that a terminating gateway stands for.
    pub fn terminating(
        gateway: &ServiceKey,
        service: &ServiceKey,
        link: &LinkedService,
        indexes: Indexes,
    ) -> Self {
        GatewayServiceJson {
            gateway: gateway.into(),
            service: service.into(),
            gateway_kind: ServiceKind::TerminatingGateway.as_str(),
            port: None,
            protocol: None,
            hosts: Vec::new(),
            ca_file: link.outward.ca_file.clone(),
            cert_file: link.outward.cert_file.clone(),
            key_file: link.outward.key_file.clone(),
            sni: link.outward.sni.clone(),
            from_wildcard: link.name.is_any(),
            indexes,
        }
    }

    /// A service that an ingress gateway lets in on the port of `listener`, as `said` there.
    pub fn ingress(
        gateway: &ServiceKey,
        service: &ServiceKey,
        listener: &IngressListener,
        said: &IngressService,
        indexes: Indexes,
    ) -> Self {
        GatewayServiceJson {
            gateway: gateway.into(),
            service: service.into(),
            gateway_kind: ServiceKind::IngressGateway.as_str(),
            port: Some(listener.port),
            protocol: Some(listener.protocol.as_str()),
            hosts: said.hosts.clone(),
            ca_file: None,
            cert_file: None,
            key_file: None,
            sni: None,
            from_wildcard: said.name.is_any(),
            indexes,
        }
    }

    /// A service to which a listener of an API gateway leads, of requests with these hosts.
    pub fn api(
        gateway: &ServiceKey,
        service: &ServiceKey,
        listener: &ApiListener,
        hosts: impl IntoIterator<Item = String>,
        indexes: Indexes,
    ) -> Self {
        GatewayServiceJson {
            gateway: gateway.into(),
            service: service.into(),
            gateway_kind: ServiceKind::ApiGateway.as_str(),
            port: Some(listener.port),
            protocol: Some(listener.protocol.as_str()),
            hosts: hosts.into_iter().collect(),
            ca_file: None,
            cert_file: None,
            key_file: None,
            sni: None,
            from_wildcard: false,
            indexes,
        }
    }
}
