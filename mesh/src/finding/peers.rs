//! Findings about peers: which are live, who they are, and whose workloads a service may meet.

use crate::read::Reading;
use peerway_model::config::ConfigKind;
use peerway_model::name::{Partition, PeerName};
use peerway_model::{ConfigEntry, ConfigKey, PeeringKey, ServiceKey, TrustDomain};
use std::collections::{BTreeMap, BTreeSet};

/// Who a live peer is, as its trust bundle says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerIdentity {
    /// Never our own.
    pub(crate) trust_domain: TrustDomain,
    /// The partition that its services live in.
    pub(crate) exported_partition: Partition,
    /// The revision since which there has been a bundle.
    pub(crate) since: u64,
}

/// A peer whose workloads may present themselves to a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InboundPeer {
    /// Its trust domain. Distinct in a list together with the partition.
    pub(crate) trust_domain: TrustDomain,
    /// The partition that its services live in.
    pub(crate) exported_partition: Partition,
    /// Its peering.
    pub(crate) peering: PeeringKey,
    /// The peering whose roots vouch for the trust domain, the same for all of it.
    pub(crate) voucher: PeeringKey,
}

/// The roots of a bundle, each ending in a newline.
pub(crate) fn pems<'t>(texts: impl IntoIterator<Item = &'t String>) -> Vec<String> {
    texts
        .into_iter()
        .map(|pem| pem.trim_end())
        .filter(|pem| !pem.is_empty())
        .map(|pem| format!("{pem}\n"))
        .collect()
}

pub(super) fn consumers(reading: &mut Reading<'_>, service: &ServiceKey) -> Vec<PeeringKey> {
    let key = ConfigKey::singleton(ConfigKind::ExportedServices, &service.partition);
    let Some(ConfigEntry::ExportedServices(exports)) = reading.config(key) else {
        return Vec::new();
    };
    let exports = exports.exports(|group| reading.members(&service.partition, group));
    let to = |peer: &&PeerName| exports.to(&service.namespace, &service.name, peer);
    exports
        .peers()
        .into_iter()
        .filter(to)
        .map(|peer| PeeringKey {
            partition: service.partition.clone(),
            name: peer.clone(),
        })
        .filter(|key| {
            let live = reading.peering(key).is_some_and(|peering| peering.is_live());
            // What a peer must not see it must not call either, should it guess the name.
            live && reading.may_see(key, service)
        })
        .collect()
}

pub(super) fn peer(reading: &mut Reading<'_>, peering: &PeeringKey) -> Option<PeerIdentity> {
    if !reading.peering(peering)?.is_live() {
        return None;
    }
    let (bundle, since) = reading.bundle(peering)?;
    let ours = reading.cluster()?;
    // A peer that claims our trust domain would vouch for our own workloads.
    let usable = bundle.trust_domain != ours.trust_domain && !pems(&bundle.root_pems).is_empty();
    usable.then(|| PeerIdentity {
        trust_domain: bundle.trust_domain.clone(),
        exported_partition: bundle.exported_partition.clone(),
        since,
    })
}

/// Policies know callers by trust domain and partition, so two peers with the same of both could not be told apart: the
/// one whose bundle is there for longer stays, the other's callers are nobody. Peers may be partitions of one cluster;
/// then the roots of the oldest vouch for all, so that a peer which only says that it is one cannot make up callers.
pub(super) fn inbound(reading: &mut Reading<'_>, service: &ServiceKey) -> Vec<InboundPeer> {
    let mut claims: Vec<(u64, InboundPeer)> = Vec::new();
    let mut consumers: BTreeSet<PeeringKey> = reading.consumers(service).iter().cloned().collect();
    // Whoever sees a service is led to wherever its chain ends.
    for head in reading
        .leads(&service.partition)
        .get(service)
        .into_iter()
        .flatten()
    {
        consumers.extend(reading.consumers(head).iter().cloned());
    }
    for peering in &consumers {
        if let Some(peer) = reading.peer(peering) {
            let inbound = InboundPeer {
                trust_domain: peer.trust_domain.clone(),
                exported_partition: peer.exported_partition.clone(),
                peering: peering.clone(),
                voucher: peering.clone(),
            };
            claims.push((peer.since, inbound));
        }
    }
    claims.sort_by(|(a_since, a), (b_since, b)| (a_since, &a.peering).cmp(&(b_since, &b.peering)));
    let mut vouchers = BTreeMap::new();
    let mut kept = BTreeMap::new();
    for (_, mut inbound) in claims {
        let voucher = vouchers
            .entry(inbound.trust_domain.clone())
            .or_insert_with(|| inbound.peering.clone());
        inbound.voucher = voucher.clone();
        let identity = (inbound.trust_domain.clone(), inbound.exported_partition.clone());
        kept.entry(identity).or_insert(inbound);
    }
    kept.into_values().collect()
}
