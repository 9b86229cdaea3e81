//! Findings about discovery chains: what one amounts to, and who leads to whom.

use crate::read::Reading;
use peerway_model::chain::{Chain, Entries, compile};
use peerway_model::config::SamenessGroup;
use peerway_model::name::{Namespace, Partition, ServiceName};
use peerway_model::{ConfigEntry, ConfigKey, ConfigKind, Origin, ServiceKey};
use std::collections::{BTreeMap, BTreeSet};

/// The kinds of entries that make a chain more than its service.
const KINDS: [ConfigKind; 3] = [
    ConfigKind::ServiceResolver,
    ConfigKind::ServiceRouter,
    ConfigKind::ServiceSplitter,
];

impl<'a> Entries<'a> for Reading<'a> {
    fn entry(&mut self, key: ConfigKey) -> Option<&'a ConfigEntry> {
        self.config(key)
    }

    fn groups(&mut self, partition: &Partition) -> Vec<&'a SamenessGroup> {
        let group = |entry: &'a ConfigEntry| match entry {
            ConfigEntry::SamenessGroup(group) if group.partition == *partition => Some(group),
            _ => None,
        };
        self.configs(ConfigKind::SamenessGroup)
            .into_iter()
            .filter_map(group)
            .collect()
    }
}

/// The chain of a local service; `None` when its entries contradict each other, which no write leads to.
pub(super) fn of_service(reading: &mut Reading<'_>, service: &ServiceKey) -> Option<Chain> {
    compile(reading, service).ok()
}

/// The services of a partition about whose chain an entry says something.
pub(super) fn heads(reading: &mut Reading<'_>, partition: &Partition) -> BTreeSet<ServiceKey> {
    KINDS
        .into_iter()
        .flat_map(|kind| reading.configs(kind))
        .map(ConfigEntry::key)
        .filter(|key| key.partition == *partition)
        .filter_map(|key| {
            Some(ServiceKey {
                origin: Origin::Local,
                partition: key.partition,
                namespace: Namespace::new(&key.namespace).ok()?,
                name: ServiceName::new(&key.name).ok()?,
            })
        })
        .collect()
}

/// For each service of a partition, the other ones of it whose chain may end there. What stands in for a target does
/// not count: on a gateway, where this matters, it is left out.
pub(super) fn leads(
    reading: &mut Reading<'_>,
    partition: &Partition,
) -> BTreeMap<ServiceKey, BTreeSet<ServiceKey>> {
    let mut leads: BTreeMap<ServiceKey, BTreeSet<ServiceKey>> = BTreeMap::new();
    for head in reading.heads(partition).iter() {
        let Some(chain) = reading.chain(head) else {
            continue;
        };
        for resolver in chain.resolvers() {
            let end = &resolver.target.service;
            if end != head {
                leads.entry(end.clone()).or_default().insert(head.clone());
            }
        }
    }
    leads
}
