//! Roots and leaf certificates in answers.

use crate::moment::rfc3339;
use peerway_model::name::ServiceName;
use peerway_model::{CaRoots, Leaf};
use serde::Serialize;

/// The answer of `/v1/agent/connect/ca/roots` and `/v1/connect/ca/roots`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RootsJson {
    #[serde(rename = "ActiveRootID")]
    active_root_id: String,
    trust_domain: String,
    roots: Vec<RootJson>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RootJson {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    serial_number: u64,
    #[serde(rename = "SigningKeyID")]
    signing_key_id: String,
    external_trust_domain: String,
    not_before: Option<String>,
    not_after: Option<String>,
    root_cert: String,
    intermediate_certs: Vec<String>,
    active: bool,
    create_index: u64,
    modify_index: u64,
}

impl RootsJson {
    /// `roots`, which are one row, with its revisions.
    pub fn new(roots: &CaRoots, create_index: u64, modify_index: u64) -> Self {
        RootsJson {
            active_root_id: roots.active().map(|root| root.id.clone()).unwrap_or_default(),
            trust_domain: roots.trust_domain.to_string(),
            roots: roots
                .roots
                .iter()
                .map(|root| RootJson {
                    id: root.id.clone(),
                    name: root.name.clone(),
                    serial_number: root.serial,
                    signing_key_id: root.key_id.clone(),
                    external_trust_domain: roots.cluster_id.clone(),
                    not_before: rfc3339(root.not_before),
                    not_after: rfc3339(root.not_after),
                    root_cert: root.pem.clone(),
                    intermediate_certs: root.bridges.clone(),
                    active: root.active,
                    create_index,
                    modify_index,
                })
                .collect(),
        }
    }
}

/// The answer of `/v1/agent/connect/ca/leaf/:service`. No `Debug`: it holds the private key.
#[derive(Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LeafJson {
    serial_number: String,
    #[serde(rename = "CertPEM")]
    cert_pem: String,
    #[serde(rename = "PrivateKeyPEM")]
    private_key_pem: String,
    service: String,
    #[serde(rename = "ServiceURI")]
    service_uri: String,
    valid_after: Option<String>,
    valid_before: Option<String>,
    create_index: u64,
    modify_index: u64,
}

impl LeafJson {
    /// `leaf` of `service`; `index` is the number that a blocking query waits past.
    pub fn new(leaf: &Leaf, service: &ServiceName, index: u64) -> Self {
        LeafJson {
            serial_number: leaf.serial.clone(),
            cert_pem: leaf.chain_pem.clone(),
            private_key_pem: leaf.key_pem.expose().to_owned(),
            service: service.to_string(),
            service_uri: leaf.identity.to_string(),
            valid_after: rfc3339(leaf.not_before),
            valid_before: rfc3339(leaf.not_after),
            create_index: index,
            modify_index: index,
        }
    }
}
