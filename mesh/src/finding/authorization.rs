//! Intentions as one flat set of callers.

use super::{ClusterIdentity, InboundPeer};
use crate::fragment::{Authorization, Caller, CallerPattern};
use crate::read::Reading;
use peerway_model::config::Action;
use peerway_model::intention::{Callers, Rule, rules_for};
use peerway_model::{ConfigEntry, ConfigKey, ConfigKind, Origin, ServiceKey};
use std::collections::BTreeSet;

pub(super) fn of_service(reading: &mut Reading<'_>, service: &ServiceKey) -> Option<Authorization> {
    let cluster = reading.cluster()?;
    let peers = reading.inbound(service);
    // Every entry that can be about the service has one of these keys, so the entries of other services are not
    // read: a namespace `*` is valid with a name `*` only.
    let (namespace, name) = (service.namespace.as_str(), service.name.as_str());
    let mut entries = Vec::new();
    for (namespace, name) in [(namespace, name), (namespace, "*"), ("*", "*")] {
        let key = ConfigKey::new(ConfigKind::ServiceIntentions, &service.partition, namespace, name);
        if let Some(ConfigEntry::ServiceIntentions(entry)) = reading.config(key) {
            entries.push(entry);
        }
    }
    Some(flatten(&rules_for(entries, service), &cluster, &peers))
}

/// Everybody that `rules` (as ordered by `rules_for`) allow, where nobody is allowed otherwise. A caller is allowed
/// exactly when the first rule about it allows, so each allowing rule stands for its callers minus those of the
/// denying rules before it. Rules about peers that are not in `peers` are left out: their callers are nobody.
pub(crate) fn flatten(rules: &[Rule], cluster: &ClusterIdentity, peers: &[InboundPeer]) -> Authorization {
    let mut denied: Vec<&Callers> = Vec::new();
    let mut callers = BTreeSet::new();
    for rule in rules {
        match rule.action {
            Action::Deny => denied.push(&rule.callers),
            Action::Allow => callers.extend(allowed(&rule.callers, &denied, cluster, peers)),
        }
    }
    Authorization {
        action: Action::Allow,
        callers: callers.into_iter().collect(),
    }
}

fn allowed(
    callers: &Callers,
    denied: &[&Callers],
    cluster: &ClusterIdentity,
    peers: &[InboundPeer],
) -> Option<Caller> {
    let include = pattern(callers, cluster, peers)?;
    let overlapping: BTreeSet<CallerPattern> = denied
        .iter()
        .filter(|denied| denied.overlaps(callers))
        .filter_map(|denied| pattern(denied, cluster, peers))
        .collect();
    if overlapping.iter().any(|denied| contains(denied, &include)) {
        return None;
    }
    let broadest = |one: &&CallerPattern| {
        !overlapping
            .iter()
            .any(|other| other != *one && contains(other, one))
    };
    let except = overlapping.iter().filter(broadest).cloned().collect();
    Some(Caller { include, except })
}

fn pattern(callers: &Callers, cluster: &ClusterIdentity, peers: &[InboundPeer]) -> Option<CallerPattern> {
    let (trust_domain, partition) = match &callers.origin {
        Origin::Local => (cluster.trust_domain.clone(), callers.partition.clone()?),
        Origin::Peer(name) => {
            let peer = peers.iter().find(|peer| peer.peering.name == *name)?;
            (peer.trust_domain.clone(), peer.exported_partition.clone())
        }
    };
    Some(CallerPattern {
        trust_domain,
        partition,
        namespace: callers.namespace.clone(),
        service: callers.name.clone(),
    })
}

fn contains(outer: &CallerPattern, inner: &CallerPattern) -> bool {
    outer.trust_domain == inner.trust_domain
        && outer.partition == inner.partition
        && outer.namespace.contains(&inner.namespace)
        && outer.service.contains(&inner.service)
}
