//! Questions that several rooms ask of a snapshot.

use crate::snapshot::{Snapshot, Versioned};
use peerway_model::health::{Check, CheckStatus, flatten};
use peerway_model::name::Partition;
use peerway_model::{Instance, Node, ServiceKind};

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

/// The mesh gateways of a partition with their health, by key.
pub fn gateways(snapshot: &Snapshot, partition: &Partition) -> Vec<InstanceHealth> {
    health_of(
        snapshot,
        snapshot.instances_of_kind(ServiceKind::MeshGateway, partition),
    )
}
