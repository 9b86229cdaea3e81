//! Who vouches for whom.

use super::policy;
use crate::finding::pems;
use crate::fragment::Validation;
use crate::naming;
use crate::read::Reading;
use peerway_model::{CaRoots, PeeringKey, ServiceKey, TrustDomain};
use std::collections::BTreeMap;

/// This cluster's own workloads.
pub(super) fn local(reading: &mut Reading<'_>) -> Option<Validation> {
    let roots = reading.roots()?;
    Some(Validation {
        name: naming::LOCAL_ROOTS.to_owned(),
        domains: vec![(roots.trust_domain.clone(), local_pems(roots))],
        admitted: None,
    })
}

/// One peer's workloads and nobody else's: our own roots must not vouch for a peer's server.
pub(super) fn peer(reading: &mut Reading<'_>, peering: &PeeringKey) -> Option<Validation> {
    let domain = peer_domain(reading, peering)?;
    Some(Validation {
        name: naming::peer_roots(peering),
        domains: vec![domain],
        admitted: None,
    })
}

/// Local workloads and those of every peer that the service is exported to.
pub(super) fn inbound(reading: &mut Reading<'_>, service: &ServiceKey) -> Option<Validation> {
    let roots = reading.roots()?;
    let mut domains = BTreeMap::from([(roots.trust_domain.clone(), local_pems(roots))]);
    for peer in reading.inbound(service).iter() {
        if let Some((domain, pems)) = peer_domain(reading, &peer.voucher) {
            // Partitions of one cluster have one voucher. What comes second must never replace another's roots.
            domains.entry(domain).or_insert(pems);
        }
    }
    Some(Validation {
        name: naming::inbound_roots(service),
        domains: domains.into_iter().collect(),
        admitted: None,
    })
}

/// The same, of those that the policy about connections to the service may let in.
pub(super) fn admitted(reading: &mut Reading<'_>, service: &ServiceKey) -> Option<Validation> {
    let callers = policy::callers(reading, service)?;
    Some(Validation {
        name: naming::admitted(service),
        admitted: Some(callers),
        ..inbound(reading, service)?
    })
}

fn peer_domain(reading: &mut Reading<'_>, peering: &PeeringKey) -> Option<(TrustDomain, Vec<String>)> {
    let peer = reading.peer(peering)?;
    let (bundle, _) = reading.bundle(peering)?;
    Some((peer.trust_domain.clone(), pems(&bundle.root_pems)))
}

fn local_pems(roots: &CaRoots) -> Vec<String> {
    pems(roots.roots.iter().map(|root| &root.pem))
}
