//! Questions that several rooms ask of a snapshot.

use crate::snapshot::{Snapshot, Versioned};
use peerway_model::chain::Target;
use peerway_model::config::{Exports, Member, Subset};
use peerway_model::health::{Check, CheckStatus, flatten};
use peerway_model::name::{GroupName, Partition};
use peerway_model::{
    ConfigEntry, ConfigKey, ConfigKind, HealthSummary, Instance, InstanceKey, Node, ServiceKey, ServiceKind,
    ServiceName,
};

/// What the name of a synthetic service that stands for the sidecars of an exported one ends in (wire facts,
/// section 5.3).
pub const FACE_SUFFIX: &str = "-sidecar-proxy";

/// An instance with its node and its checks (the node's included).
#[derive(Clone)]
pub struct InstanceHealth {
    /// The instance.
    pub instance: Versioned<Instance>,
    /// Its node.
    pub node: Versioned<Node>,
    /// The node's checks, then the instance's, each by id.
    pub checks: Vec<Versioned<Check>>,
}

impl InstanceHealth {
    /// The one status that the checks amount to; passing without checks.
    pub fn status(&self) -> CheckStatus {
        flatten(self.checks.iter().map(|check| &*check.row)).unwrap_or(CheckStatus::Passing)
    }

    /// The weight that it has in its status; 0 takes it out (xDS facts, section 2.5).
    pub fn weight(&self) -> u32 {
        match self.status() {
            CheckStatus::Passing => self.instance.weights.passing,
            _ => self.instance.weights.warning,
        }
    }

    /// Whether traffic may go there: passing or warning.
    pub fn is_serving(&self) -> bool {
        self.status() <= CheckStatus::Warning
    }
}

/// The instances with their nodes and checks, in the order given.
pub fn health_of<'a>(
    snapshot: &'a Snapshot,
    instances: impl IntoIterator<Item = &'a Versioned<Instance>>,
) -> Vec<InstanceHealth> {
    instances
        .into_iter()
        .filter_map(|instance| {
            let node = snapshot.node(&instance.key.node)?.clone();
            let (of_node, of_instance): (Vec<_>, Vec<_>) = snapshot
                .checks_on(&instance.key.node)
                .filter(|check| check.instance.is_none() || check.instance.as_ref() == Some(&instance.key.id))
                .cloned()
                .partition(|check| check.instance.is_none());
            let checks = of_node.into_iter().chain(of_instance).collect();
            Some(InstanceHealth {
                instance: instance.clone(),
                node,
                checks,
            })
        })
        .collect()
}

/// The sidecars that stand for a service, by key, each with the checks of the instance that it stands for among its own:
/// a sidecar whose application does not serve is no better. Consul has a check of the sidecar's own for that, which is
/// an alias of the others.
pub fn sidecars(snapshot: &Snapshot, service: &ServiceKey) -> Vec<InstanceHealth> {
    let proxies = snapshot
        .proxies_of(service)
        .filter(|proxy| proxy.kind == ServiceKind::ConnectProxy);
    let mut sidecars = health_of(snapshot, proxies);
    for sidecar in &mut sidecars {
        let id = sidecar
            .instance
            .proxy
            .as_ref()
            .and_then(|proxy| proxy.destination_id.clone());
        let Some(id) = id.filter(|id| *id != sidecar.instance.key.id) else {
            continue;
        };
        let node = &sidecar.instance.key.node;
        let application = InstanceKey {
            node: node.clone(),
            id,
        };
        let its_own = snapshot
            .instance(&application)
            .is_some_and(|found| found.service_key() == *service);
        if its_own {
            let checks = snapshot.checks_on(node);
            let of_application = checks.filter(|check| check.instance.as_ref() == Some(&application.id));
            sidecar.checks.extend(of_application.cloned());
        }
    }
    sidecars
}

/// The sidecars that a target is: those of its service, or those that its subset takes. A subset is asked about the
/// sidecar, whose tags and pairs are those of its service unless its registration says otherwise (xDS facts, section
/// 4.5). `subset` is what the resolver of the service says about the one that the target names, if it knows it.
pub fn sidecars_of_target(
    snapshot: &Snapshot,
    target: &Target,
    subset: Option<&Subset>,
) -> Vec<InstanceHealth> {
    let mut found = sidecars(snapshot, &target.service);
    narrow(&mut found, target, subset);
    found
}

/// Leaves those that the subset of a target takes.
pub(crate) fn narrow(found: &mut Vec<InstanceHealth>, target: &Target, subset: Option<&Subset>) {
    if target.subset.is_none() {
        return;
    }
    // A subset that nobody knows is nobody.
    let Some(subset) = subset else {
        found.clear();
        return;
    };
    found.retain(|held| {
        let chosen = subset
            .filter
            .as_ref()
            .is_none_or(|filter| filter.holds(&held.instance, &held.node));
        chosen && (!subset.only_passing || held.status() == CheckStatus::Passing)
    });
}

/// How all of these are, in numbers.
pub fn summary<'a>(found: impl IntoIterator<Item = &'a InstanceHealth>) -> HealthSummary {
    found.into_iter().fold(HealthSummary::default(), |sum, one| {
        sum.with(one.status(), one.weight())
    })
}

/// The synthetic service that carries how an exported one is dialled; `None` when its name would be too long for one.
pub fn mesh_face(service: &ServiceKey) -> Option<ServiceKey> {
    let name = ServiceName::new(&format!("{}{FACE_SUFFIX}", service.name)).ok()?;
    Some(ServiceKey {
        name,
        ..service.clone()
    })
}

/// How the instances of an imported service are: as its exporter says, else as the instances are that it sent, as an
/// exporter does that is not Peerway. `None` when nothing is known. Depends on the instances of the service and on
/// those of its mesh face.
pub fn imported_health(snapshot: &Snapshot, service: &ServiceKey) -> Option<HealthSummary> {
    service.origin.peer()?;
    let said = mesh_face(service).and_then(|face| {
        let mut gateways = snapshot.instances_of(&face);
        gateways.find_map(|gateway| gateway.peer_meta.as_ref()?.health)
    });
    said.or_else(|| {
        let counted = summary(&health_of(snapshot, snapshot.instances_of(service)));
        (counted.total > 0).then_some(counted)
    })
}

/// The members of a sameness group, in order; none of one that is not there.
pub fn members_of(snapshot: &Snapshot, partition: &Partition, group: &GroupName) -> Vec<Member> {
    let group = snapshot.config(&ConfigKey::of_group(partition, group));
    match group.map(|held| &*held.row) {
        Some(ConfigEntry::SamenessGroup(group)) => group.ordered().collect(),
        _ => Vec::new(),
    }
}

/// Which services of a partition go to which peers; `None` while no entry says it.
pub fn exports_of<'s>(snapshot: &'s Snapshot, partition: &Partition) -> Option<Exports<'s>> {
    let key = ConfigKey::singleton(ConfigKind::ExportedServices, partition);
    match snapshot.config(&key).map(|held| &*held.row) {
        Some(ConfigEntry::ExportedServices(entry)) => {
            Some(entry.exports(|group| members_of(snapshot, partition, group)))
        }
        _ => None,
    }
}

/// The mesh gateways of a partition with their health, by key.
pub fn gateways(snapshot: &Snapshot, partition: &Partition) -> Vec<InstanceHealth> {
    health_of(
        snapshot,
        snapshot.instances_of_kind(ServiceKind::MeshGateway, partition),
    )
}
