//! Twins of the cluster's identity, its roots and their keys.

use super::text::Text;
use peerway_model::{CaKey, CaRoot, CaRoots, Datacenter, Rotation, RotationPhase, Secret, TrustDomain};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

#[derive(Serialize, Deserialize)]
pub(super) struct CaRootsRecord {
    cluster_id: String,
    trust_domain: Text<TrustDomain>,
    datacenter: Text<Datacenter>,
    roots: Vec<CaRootRecord>,
    #[serde(default)]
    rotation: Option<RotationRecord>,
}

impl From<&CaRoots> for CaRootsRecord {
    fn from(roots: &CaRoots) -> Self {
        let CaRoots {
            cluster_id,
            trust_domain,
            datacenter,
            roots,
            rotation,
        } = roots;
        CaRootsRecord {
            cluster_id: cluster_id.clone(),
            trust_domain: Text(trust_domain.clone()),
            datacenter: Text(datacenter.clone()),
            roots: roots.iter().map(CaRootRecord::from).collect(),
            rotation: rotation.as_ref().map(RotationRecord::from),
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
            rotation: record.rotation.map(Rotation::from),
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
    #[serde(default = "unknown")]
    handed_out: bool,
    #[serde(default)]
    bridges: Vec<String>,
}

/// Versions before did not write down whether they gave out leaves: they may have.
fn unknown() -> bool {
    true
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
            handed_out,
            bridges,
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
            handed_out: *handed_out,
            bridges: bridges.clone(),
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
            handed_out: record.handed_out,
            bridges: record.bridges,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct RotationRecord {
    phase: PhaseRecord,
    old_root: String,
    new_root: String,
    started: u64,
    since: u64,
    switched: Option<u64>,
    confirmed_peers: BTreeSet<String>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PhaseRecord {
    Announced,
    Confirmed,
    Switched,
    Replaced,
}

impl From<&Rotation> for RotationRecord {
    fn from(rotation: &Rotation) -> Self {
        let Rotation {
            phase,
            old_root,
            new_root,
            started,
            since,
            switched,
            confirmed_peers,
        } = rotation;
        RotationRecord {
            phase: match phase {
                RotationPhase::Announced => PhaseRecord::Announced,
                RotationPhase::Confirmed => PhaseRecord::Confirmed,
                RotationPhase::Switched => PhaseRecord::Switched,
                RotationPhase::Replaced => PhaseRecord::Replaced,
            },
            old_root: old_root.clone(),
            new_root: new_root.clone(),
            started: *started,
            since: *since,
            switched: *switched,
            confirmed_peers: confirmed_peers.clone(),
        }
    }
}

impl From<RotationRecord> for Rotation {
    fn from(record: RotationRecord) -> Self {
        Rotation {
            phase: match record.phase {
                PhaseRecord::Announced => RotationPhase::Announced,
                PhaseRecord::Confirmed => RotationPhase::Confirmed,
                PhaseRecord::Switched => RotationPhase::Switched,
                PhaseRecord::Replaced => RotationPhase::Replaced,
            },
            old_root: record.old_root,
            new_root: record.new_root,
            started: record.started,
            since: record.since,
            switched: record.switched,
            confirmed_peers: record.confirmed_peers,
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
