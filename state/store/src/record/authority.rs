//! Twins of the cluster's identity, its roots and their keys.

use super::text::Text;
use peerway_model::{CaKey, CaRoot, CaRoots, Datacenter, Secret, TrustDomain};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(super) struct CaRootsRecord {
    cluster_id: String,
    trust_domain: Text<TrustDomain>,
    datacenter: Text<Datacenter>,
    roots: Vec<CaRootRecord>,
}

impl From<&CaRoots> for CaRootsRecord {
    fn from(roots: &CaRoots) -> Self {
        let CaRoots {
            cluster_id,
            trust_domain,
            datacenter,
            roots,
        } = roots;
        CaRootsRecord {
            cluster_id: cluster_id.clone(),
            trust_domain: Text(trust_domain.clone()),
            datacenter: Text(datacenter.clone()),
            roots: roots.iter().map(CaRootRecord::from).collect(),
        }
    }
}

impl From<CaRootsRecord> for CaRoots {
    fn from(record: CaRootsRecord) -> Self {
        CaRoots {
            cluster_id: record.cluster_id,
            trust_domain: record.trust_domain.0,
            datacenter: record.datacenter.0,
            roots: record.roots.into_iter().map(CaRoot::from).collect(),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct CaRootRecord {
    id: String,
    name: String,
    serial: u64,
    key_id: String,
    pem: String,
    not_before: u64,
    not_after: u64,
    active: bool,
}

impl From<&CaRoot> for CaRootRecord {
    fn from(root: &CaRoot) -> Self {
        let CaRoot {
            id,
            name,
            serial,
            key_id,
            pem,
            not_before,
            not_after,
            active,
        } = root;
        CaRootRecord {
            id: id.clone(),
            name: name.clone(),
            serial: *serial,
            key_id: key_id.clone(),
            pem: pem.clone(),
            not_before: *not_before,
            not_after: *not_after,
            active: *active,
        }
    }
}

impl From<CaRootRecord> for CaRoot {
    fn from(record: CaRootRecord) -> Self {
        CaRoot {
            id: record.id,
            name: record.name,
            serial: record.serial,
            key_id: record.key_id,
            pem: record.pem,
            not_before: record.not_before,
            not_after: record.not_after,
            active: record.active,
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct CaKeyRecord {
    root_id: String,
    pem: Text<Secret>,
}

impl From<&CaKey> for CaKeyRecord {
    fn from(key: &CaKey) -> Self {
        let CaKey { root_id, pem } = key;
        CaKeyRecord {
            root_id: root_id.clone(),
            pem: Text(pem.clone()),
        }
    }
}

impl From<CaKeyRecord> for CaKey {
    fn from(record: CaKeyRecord) -> Self {
        CaKey {
            root_id: record.root_id,
            pem: record.pem.0,
        }
    }
}
