//! Services outside the mesh and the terminating gateways that stand for them.

use crate::read::{InstanceHealth, health_of, narrow, sidecars, sidecars_of_target};
use crate::snapshot::{Snapshot, Versioned};
use peerway_model::chain::Target;
use peerway_model::config::{ConfigEntry, ConfigKind, LinkedService, Subset, TerminatingGateway};
use peerway_model::name::{Namespace, ServiceName};
use peerway_model::{Instance, InstanceKey, Origin, ServiceKey, ServiceKind, SpiffeId};
use std::collections::{BTreeMap, BTreeSet};

/// The instances of a service outside the mesh that a target is: those that are registered without being anybody's
/// proxy, of which a subset takes some. `subset` is as in [`sidecars_of_target`].
pub fn outside_of_target(
    snapshot: &Snapshot,
    target: &Target,
    subset: Option<&Subset>,
) -> Vec<InstanceHealth> {
    let all = snapshot.instances_of(&target.service);
    let mut found = health_of(
        snapshot,
        all.filter(|instance| instance.kind == ServiceKind::Typical),
    );
    narrow(&mut found, target, subset);
    found
}

/// Who is dialled for a service: its sidecars and the terminating gateways that it is behind.
pub fn met_at(snapshot: &Snapshot, service: &ServiceKey) -> Vec<InstanceHealth> {
    let mut found = sidecars(snapshot, service);
    let gateways = gateways_before(snapshot, service);
    if !gateways.is_empty() {
        let outside = outside_of_target(snapshot, &Target::of(service.clone()), None);
        for gateway in &gateways {
            found.extend(terminating(snapshot, gateway, &outside));
        }
    }
    found
}

/// The instances of a terminating gateway at which a target is reached that is among `outside`, by key. While there are
/// some and none of them serves, the gateway is no better than the first of them: what it stands for is not there.
pub fn terminating(
    snapshot: &Snapshot,
    gateway: &ServiceKey,
    outside: &[InstanceHealth],
) -> Vec<InstanceHealth> {
    let all = snapshot.instances_of(gateway);
    let mut found = health_of(
        snapshot,
        all.filter(|instance| instance.kind == ServiceKind::TerminatingGateway),
    );
    if let Some(first) = outside.first()
        && !outside.iter().any(InstanceHealth::is_serving)
    {
        for held in &mut found {
            held.checks.extend(first.checks.iter().cloned());
        }
    }
    found
}

/// Who answers calls for a target: its sidecars, and the instances outside the mesh that terminating gateways pass calls on
/// to, or these gateways while none of them serves. `subset` is as in [`sidecars_of_target`].
pub fn answering(snapshot: &Snapshot, target: &Target, subset: Option<&Subset>) -> Vec<InstanceHealth> {
    let mut found = sidecars_of_target(snapshot, target, subset);
    let gateways: Vec<InstanceHealth> = gateways_before(snapshot, &target.service)
        .iter()
        .flat_map(|gateway| terminating(snapshot, gateway, &[]))
        .collect();
    if gateways.iter().any(InstanceHealth::is_serving) {
        found.extend(outside_of_target(snapshot, target, subset));
    } else {
        found.extend(gateways);
    }
    found
}

/// Whether a service is registered and nobody is its sidecar: what `*` in the entry of a terminating gateway means.
pub fn is_bare(snapshot: &Snapshot, service: &ServiceKey) -> bool {
    let is = |kind| move |instance: &Versioned<Instance>| instance.kind == kind;
    snapshot.instances_of(service).any(is(ServiceKind::Typical))
        && !snapshot.proxies_of(service).any(is(ServiceKind::ConnectProxy))
}

/// Whether a terminating gateway stands for a service, as its entry says.
fn links(snapshot: &Snapshot, gateway: &TerminatingGateway, service: &ServiceKey) -> bool {
    service.origin.is_local()
        && gateway.partition == service.partition
        && gateway
            .link(&service.namespace, &service.name)
            .is_some_and(|link| !link.name.is_any() || is_bare(snapshot, service))
}

fn terminating_entries(snapshot: &Snapshot) -> impl Iterator<Item = &TerminatingGateway> {
    let entries = snapshot.configs(ConfigKind::TerminatingGateway);
    entries.filter_map(|held| match &*held.row {
        ConfigEntry::TerminatingGateway(entry) => Some(entry),
        _ => None,
    })
}

/// The terminating gateways that a service is behind, as their entries say, by key.
pub fn gateways_before(snapshot: &Snapshot, service: &ServiceKey) -> BTreeSet<ServiceKey> {
    terminating_entries(snapshot)
        .filter(|entry| links(snapshot, entry, service))
        .map(gateway_key)
        .collect()
}

/// The service that the instances of a terminating gateway are of.
pub fn gateway_key(entry: &TerminatingGateway) -> ServiceKey {
    ServiceKey {
        origin: Origin::Local,
        partition: entry.partition.clone(),
        namespace: entry.namespace.clone(),
        name: entry.name.clone(),
    }
}

/// The services that a terminating gateway stands for, each with what its entry says about it, by key.
pub fn linked_services<'a>(
    snapshot: &'a Snapshot,
    entry: &'a TerminatingGateway,
) -> BTreeMap<ServiceKey, &'a LinkedService> {
    let key = |namespace: &Namespace, name: &ServiceName| ServiceKey {
        origin: Origin::Local,
        partition: entry.partition.clone(),
        namespace: namespace.clone(),
        name: name.clone(),
    };
    let mut linked = BTreeMap::new();
    for link in &entry.services {
        if let Some(name) = link.name.exact() {
            linked.insert(key(&link.namespace, name), link);
        }
    }
    if entry.services.iter().any(|link| link.name.is_any()) {
        for service in snapshot.service_names(&Origin::Local, &entry.partition) {
            if !linked.contains_key(service)
                && let Some(link) = entry.link(&service.namespace, &service.name)
                && is_bare(snapshot, service)
            {
                linked.insert(service.clone(), link);
            }
        }
    }
    linked
}

/// Whether an Envoy that runs for `proxy` may show the certificate of `identity`: a sidecar that of its service, a mesh
/// gateway that of the gateways of its partition, a gateway at the edge its own, a terminating gateway its own and those of the services that its entry
/// links. Whether the identity is one of this cluster is for the authority to judge.
pub fn may_show(snapshot: &Snapshot, proxy: &InstanceKey, identity: &SpiffeId) -> bool {
    let Some(instance) = snapshot.instance(proxy) else {
        return false;
    };
    if !proxy.node.origin.is_local() {
        return false;
    }
    let service = match identity {
        SpiffeId::Service {
            partition,
            namespace,
            service,
            ..
        } => ServiceKey {
            origin: Origin::Local,
            partition: partition.clone(),
            namespace: namespace.clone(),
            name: service.clone(),
        },
        SpiffeId::MeshGateway { partition, .. } => {
            return instance.kind == ServiceKind::MeshGateway && *partition == proxy.node.partition;
        }
        SpiffeId::Server { .. } => return false,
    };
    match instance.kind {
        ServiceKind::ConnectProxy => instance.destination_key() == Some(service),
        ServiceKind::IngressGateway | ServiceKind::ApiGateway => instance.service_key() == service,
        ServiceKind::TerminatingGateway => {
            let own = instance.service_key();
            own == service || gateways_before(snapshot, &service).contains(&own)
        }
        ServiceKind::Typical | ServiceKind::MeshGateway => false,
    }
}
