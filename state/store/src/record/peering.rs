//! Twins of peerings, their secrets and their trust bundles.

use super::text::{Text, text};
use peerway_model::peering::{RemoteInfo, RevokedSecret};
use peerway_model::{
    Partition, PeerName, Peering, PeeringKey, PeeringRole, PeeringSecrets, PeeringState, Secret, TrustBundle,
    TrustDomain,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Serialize, Deserialize)]
pub(super) struct PeeringKeyRecord {
    partition: Text<Partition>,
    name: Text<PeerName>,
}

impl From<&PeeringKey> for PeeringKeyRecord {
    fn from(key: &PeeringKey) -> Self {
        let PeeringKey { partition, name } = key;
        PeeringKeyRecord {
            partition: Text(partition.clone()),
            name: Text(name.clone()),
        }
    }
}

impl From<PeeringKeyRecord> for PeeringKey {
    fn from(record: PeeringKeyRecord) -> Self {
        PeeringKey {
            partition: record.partition.0,
            name: record.name.0,
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct PeeringRecord {
    key: PeeringKeyRecord,
    id: String,
    role: Text<PeeringRole>,
    state: Text<PeeringState>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    meta: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    remote_id: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ca_pems: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    server_name: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    server_addresses: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    manual_addresses: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    external_addresses: Vec<String>,
    remote: RemoteRecord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deleted_at: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct RemoteRecord {
    partition: String,
    datacenter: String,
}

impl From<&Peering> for PeeringRecord {
    fn from(peering: &Peering) -> Self {
        let Peering {
            key,
            id,
            role,
            state,
            meta,
            remote_id,
            ca_pems,
            server_name,
            server_addresses,
            manual_addresses,
            external_addresses,
            remote: RemoteInfo {
                partition,
                datacenter,
            },
            deleted_at,
        } = peering;
        PeeringRecord {
            key: key.into(),
            id: id.clone(),
            role: Text(*role),
            state: Text(*state),
            meta: meta.clone(),
            remote_id: remote_id.clone(),
            ca_pems: ca_pems.clone(),
            server_name: server_name.clone(),
            server_addresses: server_addresses.clone(),
            manual_addresses: manual_addresses.clone(),
            external_addresses: external_addresses.clone(),
            remote: RemoteRecord {
                partition: partition.clone(),
                datacenter: datacenter.clone(),
            },
            deleted_at: *deleted_at,
        }
    }
}

impl From<PeeringRecord> for Peering {
    fn from(record: PeeringRecord) -> Self {
        Peering {
            key: record.key.into(),
            id: record.id,
            role: record.role.0,
            state: record.state.0,
            meta: record.meta,
            remote_id: record.remote_id,
            ca_pems: record.ca_pems,
            server_name: record.server_name,
            server_addresses: record.server_addresses,
            manual_addresses: record.manual_addresses,
            external_addresses: record.external_addresses,
            remote: RemoteInfo {
                partition: record.remote.partition,
                datacenter: record.remote.datacenter,
            },
            deleted_at: record.deleted_at,
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct SecretsRecord {
    peering: PeeringKeyRecord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    establishment: Option<Text<Secret>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pending_stream: Option<Text<Secret>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    active_stream: Option<Text<Secret>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    revoked: Vec<RevokedRecord>,
}

#[derive(Serialize, Deserialize)]
struct RevokedRecord {
    accessor: String,
    secret: Text<Secret>,
}

impl From<(&PeeringKey, &PeeringSecrets)> for SecretsRecord {
    fn from((key, secrets): (&PeeringKey, &PeeringSecrets)) -> Self {
        let PeeringSecrets {
            establishment,
            pending_stream,
            active_stream,
            revoked,
        } = secrets;
        let dead = |one: &RevokedSecret| {
            let RevokedSecret { accessor, secret } = one;
            RevokedRecord {
                accessor: accessor.clone(),
                secret: Text(secret.clone()),
            }
        };
        SecretsRecord {
            peering: key.into(),
            establishment: text(establishment),
            pending_stream: text(pending_stream),
            active_stream: text(active_stream),
            revoked: revoked.iter().map(dead).collect(),
        }
    }
}

impl From<SecretsRecord> for (PeeringKey, PeeringSecrets) {
    fn from(record: SecretsRecord) -> Self {
        let dead = |one: RevokedRecord| RevokedSecret {
            accessor: one.accessor,
            secret: one.secret.0,
        };
        let secrets = PeeringSecrets {
            establishment: record.establishment.map(|secret| secret.0),
            pending_stream: record.pending_stream.map(|secret| secret.0),
            active_stream: record.active_stream.map(|secret| secret.0),
            revoked: record.revoked.into_iter().map(dead).collect(),
        };
        (record.peering.into(), secrets)
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct BundleRecord {
    peering: PeeringKeyRecord,
    trust_domain: Text<TrustDomain>,
    exported_partition: Text<Partition>,
    root_pems: Vec<String>,
}

impl From<&TrustBundle> for BundleRecord {
    fn from(bundle: &TrustBundle) -> Self {
        let TrustBundle {
            peering,
            trust_domain,
            exported_partition,
            root_pems,
        } = bundle;
        BundleRecord {
            peering: peering.into(),
            trust_domain: Text(trust_domain.clone()),
            exported_partition: Text(exported_partition.clone()),
            root_pems: root_pems.clone(),
        }
    }
}

impl From<BundleRecord> for TrustBundle {
    fn from(record: BundleRecord) -> Self {
        TrustBundle {
            peering: record.peering.into(),
            trust_domain: record.trust_domain.0,
            exported_partition: record.exported_partition.0,
            root_pems: record.root_pems,
        }
    }
}
