//! What a peer offers and what an importer holds, in one form that can be compared: a hash for each service, and the
//! whole of it where that is not enough.

use crate::cluster::{Cluster, addresses};
use crate::random::hash;
use crate::rows;
use peerway_model::{Check, Instance, InstanceKey, Invalid, Node, NodeKey, Origin, Partition};
use peerway_peering_link::exporter;
use peerway_peering_protocol::{Import, ImportScope, Resource};
use peerway_state::Snapshot;
use std::collections::{BTreeMap, BTreeSet};

/// The services of one peer by name, with their instances and checks, and the nodes of those.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) services: BTreeMap<String, BTreeMap<InstanceKey, (Instance, Option<Check>)>>,
    pub(crate) nodes: BTreeMap<NodeKey, Node>,
    pub(crate) roots: Vec<String>,
    pub(crate) list: Vec<String>,
}

impl Content {
    /// A hash for each service that has instances.
    pub(crate) fn hashes(&self) -> BTreeMap<String, u64> {
        let with_instances = self.services.iter().filter(|(_, held)| !held.is_empty());
        with_instances
            .map(|(name, held)| (name.clone(), hash(0, &format!("{held:?}"))))
            .collect()
    }

    /// Leaves out services, and nodes that nothing is left on.
    pub(crate) fn leave_out(&mut self, leave: impl Fn(&str) -> bool) {
        self.services.retain(|name, _| !leave(name));
        let used: BTreeSet<&NodeKey> = self
            .services
            .values()
            .flat_map(|held| held.keys().map(|key| &key.node))
            .collect();
        self.nodes.retain(|key, _| used.contains(key));
    }

    /// How many services there are; one and its mesh face count once.
    pub(crate) fn service_count(&self) -> usize {
        let service = |name: &String| name.strip_suffix("-sidecar-proxy").unwrap_or(name).to_owned();
        let names: BTreeSet<String> = self.services.keys().map(service).collect();
        names.len()
    }

    /// In a few words, for a report.
    pub(crate) fn summary(&self) -> String {
        let mut words = Vec::new();
        for (name, held) in &self.services {
            let ids: Vec<String> = held
                .iter()
                .map(|(key, (instance, check))| {
                    let status = check.as_ref().map_or("", |check| check.status.as_str());
                    format!("{}:{}{status}", key.id, instance.port)
                })
                .collect();
            words.push(format!("{name}[{}]", ids.join(" ")));
        }
        let nodes: Vec<&str> = self.nodes.values().map(|node| node.address.as_str()).collect();
        let roots = hash(0, &self.roots.join("\n")) & 0xffff;
        format!("{} nodes {nodes:?} roots {roots:04x}", words.join(" "))
    }
}

/// What cluster `from` exports to cluster `to`, as `to` would store it.
pub(crate) fn offered(from: &Cluster, to: usize) -> Result<Content, Invalid> {
    let at_exporter = rows::peering(to)?;
    let exports = exporter::exports(&from.snapshot, &at_exporter, &addresses(from.index));
    let (peering, own) = (rows::peering(from.index)?, rows::trust_domain(to)?);
    let scope = ImportScope {
        peering: &peering,
        own_trust_domain: &own,
        peer_trust_domain: None,
        has_bundle: false,
        others: &[],
    };
    let mut content = Content {
        list: exports.list.to_vec(),
        roots: exports
            .bundle
            .iter()
            .flat_map(|bundle| bundle.root_pems.clone())
            .collect(),
        ..Content::default()
    };
    for (name, instances) in &exports.services {
        let resource = Resource::ExportedService {
            name: name.clone(),
            instances: instances.clone(),
        };
        let admitted = scope
            .admit(&resource)
            .map_err(|refusal| Invalid::new("an export of ours is refused", refusal.message))?;
        let Import::Service { instances, .. } = admitted else {
            continue;
        };
        for one in instances {
            content.nodes.insert(one.node.key.clone(), one.node);
            let held = content.services.entry(name.clone()).or_default();
            held.insert(one.instance.key.clone(), (one.instance, one.check));
        }
    }
    Ok(content)
}

/// What `snapshot` holds of cluster `from`.
pub(crate) fn held(snapshot: &Snapshot, from: usize) -> Result<Content, Invalid> {
    let peering = rows::peering(from)?;
    let (origin, partition) = (Origin::Peer(peering.name.clone()), Partition::default());
    let mut content = Content::default();
    for service in snapshot.service_names(&origin, &partition) {
        let held = content.services.entry(service.name.to_string()).or_default();
        for instance in snapshot.instances_of(service) {
            let mut checks = snapshot
                .checks_on(&instance.key.node)
                .filter(|check| check.instance.as_ref() == Some(&instance.key.id));
            let check = checks.next().map(|check| Check::clone(&check.row));
            held.insert(instance.key.clone(), (Instance::clone(&instance.row), check));
        }
    }
    for node in snapshot.nodes(&origin, &partition) {
        content.nodes.insert(node.key.clone(), Node::clone(&node.row));
    }
    if let Some(bundle) = snapshot.bundle(&peering) {
        content.roots = bundle.root_pems.clone();
    }
    Ok(content)
}
