//! What config entries must amount to together. A single entry can be valid and still lead in a circle with others,
//! so the chains that a transaction may have changed are compiled before it counts; deletes are no exception.

use crate::change::{ChangeSet, Topic};
use crate::read::exports_of;
use crate::snapshot::Snapshot;
use crate::transaction::Refused;
use peerway_model::chain::{Chain, Entries, compile};
use peerway_model::config::{Destination, Exports, Failover, Member, SamenessGroup, ServiceResolver};
use peerway_model::{
    ConfigEntry, ConfigKey, ConfigKind, Invalid, Namespace, Origin, Partition, ServiceKey, ServiceName,
};
use std::collections::{BTreeMap, BTreeSet};

impl<'s> Entries<'s> for &'s Snapshot {
    fn entry(&mut self, key: ConfigKey) -> Option<&'s ConfigEntry> {
        let snapshot: &'s Snapshot = self;
        snapshot.config(&key).map(|held| &*held.row)
    }

    fn groups(&mut self, partition: &Partition) -> Vec<&'s SamenessGroup> {
        let snapshot: &'s Snapshot = self;
        let groups = snapshot.configs(ConfigKind::SamenessGroup);
        let group = |entry: &'s ConfigEntry| match entry {
            ConfigEntry::SamenessGroup(group) if group.partition == *partition => Some(group),
            _ => None,
        };
        groups.filter_map(|held| group(&held.row)).collect()
    }
}

/// The compiled chain of a service of this cluster.
///
/// # Errors
/// What [`compile`] refuses. Writes that would lead there are refused, but what a storage kept is taken as it is.
pub fn chain_of(snapshot: &Snapshot, service: &ServiceKey) -> Result<Chain, Invalid> {
    let mut entries = snapshot;
    compile(&mut entries, service)
}

/// Refuses a state in which a chain that `changes` may be about cannot be compiled, or may not be exported.
pub(super) fn check(next: &Snapshot, changes: &ChangeSet) -> Result<(), Refused> {
    let changed: Vec<&ConfigKey> = changes
        .iter()
        .filter_map(|topic| match topic {
            Topic::Config(key) if concerns_chains(key.kind) => Some(key),
            _ => None,
        })
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    for key in &changed {
        one_default(next, key).map_err(Refused::Invalid)?;
    }
    let heads = Heads::of(next);
    for service in heads.affected(&changed) {
        let chain = chain_of(next, &service).map_err(Refused::Invalid)?;
        exportable(next, &chain).map_err(Refused::Invalid)?;
    }
    Ok(())
}

/// Two groups that both stand in for everything would leave it to chance which one does.
fn one_default(next: &Snapshot, key: &ConfigKey) -> Result<(), Invalid> {
    let mut entries = next;
    let defaults: Vec<&SamenessGroup> = entries
        .groups(&key.partition)
        .into_iter()
        .filter(|group| group.default_for_failover)
        .collect();
    match defaults.as_slice() {
        [one, other, ..] if key.kind == ConfigKind::SamenessGroup => Err(Invalid::new(
            "DefaultForFailover",
            format!(
                "the sameness-groups {} and {} of partition {} both have it, leave it to one",
                one.name, other.name, key.partition
            ),
        )),
        _ => Ok(()),
    }
}

fn concerns_chains(kind: ConfigKind) -> bool {
    match kind {
        ConfigKind::ExportedServices
        | ConfigKind::ProxyDefaults
        | ConfigKind::SamenessGroup
        | ConfigKind::ServiceDefaults
        | ConfigKind::ServiceResolver
        | ConfigKind::ServiceRouter
        | ConfigKind::ServiceSplitter => true,
        ConfigKind::ApiGateway
        | ConfigKind::HttpRoute
        | ConfigKind::IngressGateway
        | ConfigKind::InlineCertificate
        | ConfigKind::TcpRoute
        | ConfigKind::JwtProvider
        | ConfigKind::Mesh
        | ConfigKind::ServiceIntentions
        | ConfigKind::TerminatingGateway => false,
    }
}

/// The services about whose chain an entry says something, and who leads to whom.
struct Heads {
    services: BTreeSet<ServiceKey>,
    led_to_by: BTreeMap<ServiceKey, BTreeSet<ServiceKey>>,
}

impl Heads {
    fn of(next: &Snapshot) -> Self {
        let mut heads = Heads {
            services: BTreeSet::new(),
            led_to_by: BTreeMap::new(),
        };
        for kind in [
            ConfigKind::ServiceRouter,
            ConfigKind::ServiceSplitter,
            ConfigKind::ServiceResolver,
        ] {
            for held in next.configs(kind) {
                let Some(service) = service_of(&held.key()) else {
                    continue;
                };
                for to in leads_to(next, &held.row, &service) {
                    heads.led_to_by.entry(to).or_default().insert(service.clone());
                }
                heads.services.insert(service);
            }
        }
        heads
    }

    /// The heads whose chain can go through one of `changed`, and the changed ones themselves.
    fn affected(&self, changed: &[&ConfigKey]) -> BTreeSet<ServiceKey> {
        let mut open: Vec<ServiceKey> = Vec::new();
        for key in changed {
            match service_of(key) {
                Some(service) => open.push(service),
                None => {
                    let there = |service: &&ServiceKey| service.partition == key.partition;
                    open.extend(self.services.iter().filter(there).cloned());
                }
            }
        }
        let mut reached = BTreeSet::new();
        while let Some(service) = open.pop() {
            if let Some(from) = self.led_to_by.get(&service) {
                open.extend(from.iter().filter(|from| !reached.contains(*from)).cloned());
            }
            reached.insert(service);
        }
        reached.intersection(&self.services).cloned().collect()
    }
}

fn service_of(key: &ConfigKey) -> Option<ServiceKey> {
    if !key.kind.has_namespace() {
        return None;
    }
    Some(ServiceKey {
        origin: Origin::Local,
        partition: key.partition.clone(),
        namespace: Namespace::new(&key.namespace).ok()?,
        name: ServiceName::new(&key.name).ok()?,
    })
}

fn leads_to(next: &Snapshot, entry: &ConfigEntry, own: &ServiceKey) -> Vec<ServiceKey> {
    let to = |to: &Destination| ServiceKey {
        origin: to.peer.clone().map_or(Origin::Local, Origin::Peer),
        partition: to.partition.clone().unwrap_or_else(|| own.partition.clone()),
        namespace: to.namespace.clone().unwrap_or_else(|| own.namespace.clone()),
        name: to.service.clone().unwrap_or_else(|| own.name.clone()),
    };
    match entry {
        ConfigEntry::ServiceRouter(router) => router
            .routes
            .iter()
            .filter_map(|route| route.destination.as_ref())
            .map(|destination| to(&destination.to))
            .collect(),
        ConfigEntry::ServiceSplitter(splitter) => splitter.splits.iter().map(|split| to(&split.to)).collect(),
        ConfigEntry::ServiceResolver(resolver) => {
            let mut services: Vec<ServiceKey> = resolver.redirect.iter().map(to).collect();
            for failover in resolver.failover.values() {
                match failover {
                    Failover::Targets(targets) => services.extend(targets.iter().map(to)),
                    Failover::Group(_) => services.extend(counterparts(next, resolver, own)),
                }
            }
            services
        }
        _ => Vec::new(),
    }
}

/// The services of the same name in the other partitions that groups of this one name.
fn counterparts(next: &Snapshot, resolver: &ServiceResolver, own: &ServiceKey) -> Vec<ServiceKey> {
    let mut entries = next;
    entries
        .groups(&resolver.partition)
        .into_iter()
        .flat_map(SamenessGroup::ordered)
        .filter_map(|member| match member {
            Member::Partition(partition) => Some(ServiceKey {
                partition,
                ..own.clone()
            }),
            Member::Peer(_) => None,
        })
        .collect()
}

/// Refuses a chain of an exported service that leaves its partition (wire facts, section 9): our gateways would pass
/// one cluster's callers on to another, of which neither has agreed to anything. What stands in for a target may be
/// elsewhere; gateways leave it out.
fn exportable(next: &Snapshot, chain: &Chain) -> Result<(), Invalid> {
    let service = &chain.service;
    let goes = |exports: Exports<'_>| {
        let mut peers = exports.peers().into_iter();
        peers.any(|peer| exports.to(&service.namespace, &service.name, peer))
    };
    if !exports_of(next, &service.partition).is_some_and(goes) {
        return Ok(());
    }
    for resolver in chain.resolvers() {
        let target = &resolver.target.service;
        if target.origin != Origin::Local || target.partition != service.partition {
            return Err(Invalid::new(
                "",
                format!(
                    "the service {service} is exported to a peer, so its chain may not lead to {target}, which is \
                     not in its partition"
                ),
            ));
        }
    }
    Ok(())
}
