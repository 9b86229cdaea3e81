//! Upkeep of the indexes, and the topics that a row touches.

use super::Work;
use crate::change::Topic;
use imbl::{OrdMap, OrdSet};
use peerway_model::{
    CheckKey, ConfigKey, Instance, InstanceId, InstanceKey, NodeKey, PeeringKey, ServiceKey,
};

impl Work {
    /// Moves an instance from the places that `before` had in the indexes to those of `after`, and touches the topics
    /// of both. Either is `None` when there is no such instance before or after.
    pub(super) fn reindex(&mut self, before: Option<&Instance>, after: Option<&Instance>) {
        let Some(key) = after.or(before).map(|instance| instance.key.clone()) else {
            return;
        };
        let (was, is) = (
            before.map(Instance::service_key),
            after.map(Instance::service_key),
        );
        if was != is {
            if let Some(service) = was {
                remove(&mut self.next.by_service, &service, &key);
                self.touch_name_unless_listed(&service);
            }
            if let Some(service) = is {
                self.touch_name_unless_listed(&service);
                add(&mut self.next.by_service, service, &key);
            }
        }
        self.stands_or_stood([before, after]);
        self.was_registered([before, after]);
        let destination = |instance: Option<&Instance>| instance.and_then(Instance::destination_key);
        relist(
            &mut self.next.by_destination,
            &key,
            destination(before),
            destination(after),
        );
        let kind = |instance: Option<&Instance>| {
            let instance = instance.filter(|instance| instance.key.node.origin.is_local())?;
            Some((instance.kind, instance.key.node.partition.clone()))
        };
        relist(&mut self.next.by_kind, &key, kind(before), kind(after));
        for instance in [before, after].into_iter().flatten() {
            self.touch_instance(instance);
        }
    }

    /// The list of names changes only with the first and the last instance of a service.
    fn touch_name_unless_listed(&mut self, service: &ServiceKey) {
        if !self.next.by_service.contains_key(service) {
            self.changes.touch(Topic::ServiceNames(
                service.origin.clone(),
                service.partition.clone(),
            ));
        }
    }

    pub(super) fn touch_instance(&mut self, instance: &Instance) {
        self.changes.touch(Topic::Instance(instance.key.clone()));
        self.changes.touch(Topic::Service(instance.service_key()));
        if let Some(destination) = instance.destination_key() {
            self.changes.touch(Topic::ProxiesOf(destination));
        }
        if instance.key.node.origin.is_local() {
            self.changes
                .touch(Topic::Kind(instance.kind, instance.key.node.partition.clone()));
        }
    }

    pub(super) fn touch_node(&mut self, node: &NodeKey) {
        self.changes
            .touch(Topic::Nodes(node.origin.clone(), node.partition.clone()));
        let instances: Vec<_> = self.next.instances_on(node).map(|row| row.row.clone()).collect();
        for instance in instances {
            self.touch_instance(&instance);
        }
    }

    pub(super) fn touch_checked(&mut self, check: &CheckKey, instance: Option<&InstanceId>) {
        match instance {
            Some(id) => {
                let key = InstanceKey {
                    node: check.node.clone(),
                    id: id.clone(),
                };
                if let Some(instance) = self.next.instances.get(&key).map(|held| held.row.clone()) {
                    self.touch_instance(&instance);
                }
            }
            None => self.touch_node(&check.node),
        }
    }

    pub(super) fn touch_config(&mut self, key: &ConfigKey) {
        self.was_named(key);
        self.changes.touch(Topic::Config(key.clone()));
        self.changes.touch(Topic::ConfigKind(key.kind));
    }

    pub(super) fn touch_peering(&mut self, key: &PeeringKey) {
        self.changes.touch(Topic::Peering(key.clone()));
        self.changes.touch(Topic::Peerings);
    }

    pub(super) fn touch_grant(&mut self, key: &PeeringKey) {
        self.changes.touch(Topic::Grant(key.clone()));
        self.changes.touch(Topic::Grants);
    }

    pub(super) fn touch_bundle(&mut self, key: &PeeringKey) {
        self.changes.touch(Topic::Bundle(key.clone()));
        self.changes.touch(Topic::Bundles);
    }
}

fn relist<K: Ord + Clone>(
    index: &mut OrdMap<K, OrdSet<InstanceKey>>,
    key: &InstanceKey,
    was: Option<K>,
    is: Option<K>,
) {
    if was == is {
        return;
    }
    if let Some(at) = was {
        remove(index, &at, key);
    }
    if let Some(at) = is {
        add(index, at, key);
    }
}

fn add<K: Ord + Clone>(index: &mut OrdMap<K, OrdSet<InstanceKey>>, at: K, key: &InstanceKey) {
    let mut keys = index.get(&at).cloned().unwrap_or_default();
    keys.insert(key.clone());
    index.insert(at, keys);
}

fn remove<K: Ord + Clone>(index: &mut OrdMap<K, OrdSet<InstanceKey>>, at: &K, key: &InstanceKey) {
    let Some(mut keys) = index.get(at).cloned() else {
        return;
    };
    keys.remove(key);
    if keys.is_empty() {
        index.remove(at);
    } else {
        index.insert(at.clone(), keys);
    }
}
