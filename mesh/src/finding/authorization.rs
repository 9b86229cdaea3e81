//! Intentions as one flat set of callers.

use super::{ClusterIdentity, InboundPeer, Policy};
use crate::fragment::{
    Authorization, Caller, CallerPattern, GatewayPattern, KnownBy, RequestAuthorization, RequestCaller,
};
use crate::read::Reading;
use peerway_model::config::Action;
use peerway_model::intention::{Callers, Rule, rules_for};
use peerway_model::{ConfigEntry, ConfigKey, ConfigKind, Origin, ServiceKey};
use std::collections::BTreeSet;

pub(super) fn of_service(reading: &mut Reading<'_>, service: &ServiceKey) -> Option<Policy> {
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
    let rules = rules_for(entries, service);
    Some(if reading.protocol(service).is_http() {
        let gateways = GatewayPattern {
            trust_domain: cluster.trust_domain.clone(),
            partition: service.partition.clone(),
        };
        Policy::Requests(flatten_requests(&rules, &cluster, &peers, gateways))
    } else {
        Policy::Connections(flatten(&rules, &cluster, &peers))
    })
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

/// The same for requests. A local caller is known by its certificate; one of a peer, whose TLS ends at our gateway, by
/// the gateway's word (xDS facts, section 3.7).
pub(crate) fn flatten_requests(
    rules: &[Rule],
    cluster: &ClusterIdentity,
    peers: &[InboundPeer],
    gateways: GatewayPattern,
) -> RequestAuthorization {
    let callers = flatten(rules, cluster, peers).callers;
    let request = |caller: Caller| RequestCaller {
        known_by: if caller.include.trust_domain == cluster.trust_domain {
            KnownBy::Certificate
        } else {
            KnownBy::Gateway
        },
        caller,
    };
    RequestAuthorization {
        gateways,
        callers: callers.into_iter().map(request).collect(),
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
