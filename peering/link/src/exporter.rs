//! From a snapshot to everything that one peer should know (wire facts, section 5). Pure; the stream that it feeds
//! sends only what differs.

#[cfg(test)]
mod tests;

use peerway_model::config::ExportedServices;
use peerway_model::health::flatten;
use peerway_model::name::Partition;
use peerway_model::{
    CaRoots, ConfigEntry, ConfigKey, ConfigKind, Instance, Namespace, Origin, PeerMeta, PeeringKey,
    ServiceKey, ServiceKind, ServiceName, SpiffeId, sni,
};
use peerway_peering_protocol::resource::SIDECAR_SUFFIX;
use peerway_peering_protocol::{Exports, OfferedBundle, OfferedInstance};
use peerway_state::{ChangeSet, InstanceHealth, Snapshot, Topic, gateways, health_of};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Everything to export over `peering`. `addresses` is where this cluster's peering endpoint can be dialled.
///
/// The wire names a service without its namespace, so services of one name in several namespaces travel together;
/// the mesh face of such a name is that of the first namespace, `default` if it is among them.
pub fn exports(snapshot: &Snapshot, peering: &PeeringKey, addresses: &[String]) -> Exports {
    let mut exports = Exports {
        addresses: addresses.into(),
        ..Exports::default()
    };
    let Some(roots) = snapshot.roots() else {
        return exports;
    };
    exports.bundle = Some(Arc::new(bundle(roots, &peering.partition)));
    let names = exported_names(snapshot, peering);
    let gateways = gateways(snapshot, &peering.partition);
    for (name, namespaces) in &names {
        let mut instances = Vec::new();
        let mut face = None;
        for namespace in namespaces {
            let key = ServiceKey {
                origin: Origin::Local,
                partition: peering.partition.clone(),
                namespace: namespace.clone(),
                name: name.clone(),
            };
            instances.extend(typical_instances(snapshot, &key));
            if (face.is_none() || namespace.is_default()) && snapshot.proxies_of(&key).next().is_some() {
                face = Some(key);
            }
        }
        exports.services.insert(name.to_string(), instances.into());
        if let Some(key) = face {
            let meta = peer_meta(roots, &key, peering);
            let synthetic = gateways.iter().enumerate().map(|(index, gateway)| {
                let status = flatten(gateway.checks.iter().map(|check| &*check.row));
                OfferedInstance::of_gateway(
                    &gateway.node,
                    &gateway.instance,
                    status,
                    name,
                    index,
                    meta.clone(),
                )
            });
            exports
                .services
                .insert(format!("{name}{SIDECAR_SUFFIX}"), synthetic.collect());
        }
    }
    exports.list = names.keys().map(ToString::to_string).collect();
    exports
}

/// Whether a commit may have changed what [`exports`] gives. What was imported never is exported again.
pub(crate) fn concerns(changes: &ChangeSet, partition: &Partition) -> bool {
    changes.iter().any(|topic| match topic {
        Topic::Service(key) | Topic::ProxiesOf(key) => key.origin.is_local() && key.partition == *partition,
        Topic::Kind(_, own) => own == partition,
        Topic::ServiceNames(origin, own) | Topic::Nodes(origin, own) => origin.is_local() && own == partition,
        Topic::ConfigKind(kind) => *kind == ConfigKind::ExportedServices,
        Topic::Roots => true,
        _ => false,
    })
}

fn exported_names(snapshot: &Snapshot, peering: &PeeringKey) -> BTreeMap<ServiceName, BTreeSet<Namespace>> {
    let mut names: BTreeMap<ServiceName, BTreeSet<Namespace>> = BTreeMap::new();
    let key = ConfigKey::singleton(ConfigKind::ExportedServices, &peering.partition);
    let Some(ConfigEntry::ExportedServices(entry)) = snapshot.config(&key).map(|entry| &*entry.row) else {
        return names;
    };
    // Exact names count even without instances: the importer then knows that they are meant to come.
    for (namespace, name) in exact_names(entry) {
        if entry.exports_to(namespace, name, &peering.name) {
            names.entry(name.clone()).or_default().insert(namespace.clone());
        }
    }
    let registered = snapshot.service_names(&Origin::Local, &peering.partition);
    for key in registered.filter(|key| entry.exports_to(&key.namespace, &key.name, &peering.name)) {
        if snapshot.instances_of(key).any(|instance| is_typical(instance)) {
            names
                .entry(key.name.clone())
                .or_default()
                .insert(key.namespace.clone());
        }
    }
    // Such a name would be taken for the mesh face of another service.
    names.retain(|name, _| !name.as_str().ends_with(SIDECAR_SUFFIX));
    names
}

fn exact_names(entry: &ExportedServices) -> impl Iterator<Item = (&Namespace, &ServiceName)> {
    entry
        .services
        .iter()
        .filter_map(|service| Some((service.namespace.exact()?, service.name.exact()?)))
}

fn is_typical(instance: &Instance) -> bool {
    instance.kind == ServiceKind::Typical
}

/// All of them, whatever their health: that is for the importer to weigh.
fn typical_instances(snapshot: &Snapshot, key: &ServiceKey) -> Vec<OfferedInstance> {
    let instances = snapshot.instances_of(key).filter(|instance| is_typical(instance));
    let offered = |found: &InstanceHealth| {
        let status = flatten(found.checks.iter().map(|check| &*check.row));
        OfferedInstance::of_typical(&found.node, &found.instance, status)
    };
    health_of(snapshot, instances).iter().map(offered).collect()
}

/// How an importer dials the service; the peer's name in the SNI is ours for it (wire facts, section 5.5).
fn peer_meta(roots: &CaRoots, key: &ServiceKey, peering: &PeeringKey) -> PeerMeta {
    let (trust_domain, datacenter) = (roots.trust_domain.clone(), roots.datacenter.clone());
    let service = SpiffeId::Service {
        trust_domain: trust_domain.clone(),
        partition: key.partition.clone(),
        namespace: key.namespace.clone(),
        datacenter: datacenter.clone(),
        service: key.name.clone(),
    };
    let gateway = SpiffeId::MeshGateway {
        trust_domain,
        partition: key.partition.clone(),
        datacenter,
    };
    PeerMeta {
        sni: vec![sni::exported(
            &key.name,
            &key.namespace,
            &key.partition,
            &peering.name,
            &roots.trust_domain,
        )],
        spiffe_ids: vec![service.to_string(), gateway.to_string()],
        // The only protocol that Peerway offers so far.
        protocol: "tcp".to_owned(),
    }
}

fn bundle(roots: &CaRoots, partition: &Partition) -> OfferedBundle {
    OfferedBundle {
        trust_domain: roots.trust_domain.to_string(),
        root_pems: roots.roots.iter().map(|root| root.pem.clone()).collect(),
        exported_partition: if partition.is_default() {
            String::new()
        } else {
            partition.to_string()
        },
    }
}
