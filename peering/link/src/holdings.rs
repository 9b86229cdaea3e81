//! What is stored of one peer, as digests: brought up to date at the cost of what changed.

use peerway_model::{Origin, PeeringKey, ServiceKey, ServiceName};
use peerway_peering_protocol::{Listed, Stored, StoredService, digest};
use peerway_state::{ChangeSet, Snapshot, Topic, health_of};
use std::collections::BTreeSet;

/// The digests of the services of one peer.
pub(crate) struct Holdings {
    peering: PeeringKey,
    origin: Origin,
    stored: Stored,
    /// Names to look at again; `None` means all.
    stale: Option<BTreeSet<ServiceName>>,
}

impl Holdings {
    /// Holdings that have not been looked at yet.
    pub(crate) fn new(peering: PeeringKey) -> Self {
        Holdings {
            origin: Origin::Peer(peering.name.clone()),
            peering,
            stored: Stored::default(),
            stale: None,
        }
    }

    /// Anything may have changed.
    pub(crate) fn reload(&mut self) {
        self.stale = None;
    }

    /// Takes note of a commit, and says whether it may have changed something. A change of a node or a check touches
    /// the services on it as well.
    pub(crate) fn note(&mut self, changes: &ChangeSet) -> bool {
        let Some(stale) = &mut self.stale else {
            return true;
        };
        for topic in changes.iter() {
            if let Topic::Service(key) = topic
                && key.origin == self.origin
                && key.partition == self.peering.partition
            {
                stale.insert(key.name.clone());
            }
        }
        !stale.is_empty()
    }

    /// Something was imported, or should have been: the commit may have done less than it was meant to.
    pub(crate) fn imported(&mut self, service: &str) {
        if let (Some(stale), Ok(name)) = (&mut self.stale, ServiceName::new(service)) {
            stale.insert(name);
        }
    }

    /// A list was imported: what it does not keep should be gone.
    pub(crate) fn imported_list(&mut self, names: &[String]) {
        let listed = Listed::new(names);
        let gone = self.stored.services.keys().filter(|name| !listed.keeps(name));
        if let Some(stale) = &mut self.stale {
            stale.extend(gone.filter_map(|name| ServiceName::new(name).ok()));
        }
    }

    /// What is stored now.
    pub(crate) fn update(&mut self, snapshot: &Snapshot) -> &Stored {
        let stale = self.stale.replace(BTreeSet::new());
        match &stale {
            Some(stale) => {
                for name in stale {
                    self.stored.services.remove(name.as_str());
                }
            }
            None => self.stored.services.clear(),
        }
        if stale.as_ref().is_none_or(|stale| !stale.is_empty()) {
            let services = snapshot.service_names(&self.origin, &self.peering.partition);
            let meant = |key: &&ServiceKey| stale.as_ref().is_none_or(|stale| stale.contains(&key.name));
            for key in services.filter(meant) {
                add(&mut self.stored, snapshot, key);
            }
        }
        self.stored.bundle = snapshot.bundle(&self.peering).map(|bundle| {
            digest::of_bundle(
                bundle.trust_domain.as_str(),
                bundle.exported_partition.as_str(),
                &bundle.root_pems,
            )
        });
        &self.stored
    }
}

/// The wire names a service without its namespace, so all namespaces count together.
fn add(stored: &mut Stored, snapshot: &Snapshot, key: &ServiceKey) {
    let found = health_of(snapshot, snapshot.instances_of(key));
    let rows = found.iter().map(|one| {
        let own = one
            .checks
            .iter()
            .find(|check| check.instance.as_ref() == Some(&one.instance.key.id));
        (&*one.node.row, &*one.instance.row, own.map(|check| &*check.row))
    });
    let digest = digest::of_rows(key.name.as_str(), rows);
    let entry = stored.services.entry(key.name.to_string());
    let held = entry.or_insert(StoredService {
        digest: 0,
        instances: 0,
    });
    held.digest = held.digest.wrapping_add(digest);
    held.instances += found.len();
}
