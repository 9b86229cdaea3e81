//! What a proxy needs that dials others.

use super::calling::Asked;
use crate::fragment_key::{FragmentKey, Reach};
use crate::read::Reading;
use peerway_model::chain::{Target, by_locality};
use peerway_model::config::ByLocality;
use peerway_model::instance::GatewayMode;
use peerway_model::{Locality, PeeringKey, ServiceAddress, ServiceKey};
use std::collections::BTreeSet;

/// Fragments and what must not be in them twice.
#[derive(Default)]
pub(super) struct Keys {
    /// Who reports single requests.
    pub(super) reporter: Option<String>,
    /// Distinct, in the order in which they were added.
    pub(super) list: Vec<FragmentKey>,
    seen: BTreeSet<FragmentKey>,
    bound: BTreeSet<ServiceAddress>,
    /// Targets whose Envoy cluster is in the list: it has one name, so the first one's mode and timeout count.
    dialled: BTreeSet<Target>,
    /// Upstreams whose routes are in the list.
    routed: BTreeSet<ServiceKey>,
}

impl Keys {
    /// None yet, of a proxy whose single requests are reported by `reporter`.
    pub(super) fn new(reporter: Option<String>) -> Self {
        Keys {
            reporter,
            ..Keys::default()
        }
    }

    /// Adds a fragment unless it is there already.
    pub(super) fn add(&mut self, key: FragmentKey) {
        if self.seen.insert(key.clone()) {
            self.list.push(key);
        }
    }

    /// Takes an address; false when another listener has it. Envoy refuses a second listener on an address.
    pub(super) fn bind(&mut self, address: &ServiceAddress) -> bool {
        self.bound.insert(address.clone())
    }

    /// What it takes to reach all that the chain of a service leads to, unless it is there already.
    pub(super) fn add_ends(&mut self, service: &ServiceKey, asked: &Asked, reading: &mut Reading<'_>) {
        if service.origin.peer().is_some() {
            self.add_target(&Target::of(service.clone()), &[], asked, reading);
            return;
        }
        let Some(chain) = reading.chain(service) else {
            return;
        };
        for resolver in chain.resolvers() {
            self.add_target(&resolver.target, &resolver.settings.failover, asked, reading);
        }
    }

    /// The same, and where its requests go, for one who dials it at an address of its own.
    pub(super) fn add_dialled(&mut self, service: ServiceKey, asked: &Asked, reading: &mut Reading<'_>) {
        self.add_ends(&service, asked, reading);
        if service.origin.peer().is_some() {
            return;
        }
        let Some(chain) = reading.chain(&service) else {
            return;
        };
        if chain.protocol.is_http() && !chain.is_default() && self.routed.insert(service.clone()) {
            self.add(FragmentKey::UpstreamRoutes(service));
        }
    }

    /// What it takes to reach a target, and what stands in for it.
    fn add_target(&mut self, target: &Target, failover: &[Target], asked: &Asked, reading: &mut Reading<'_>) {
        if !self.dialled.insert(target.clone()) {
            return;
        }
        if failover.is_empty() {
            self.add_reach(target.clone(), None, asked, reading);
            return;
        }
        self.add(FragmentKey::UpstreamGroup {
            target: target.clone(),
            connect_timeout_ms: asked.connect_timeout_ms,
        });
        for (nth, member) in std::iter::once(target).chain(failover).enumerate() {
            self.add_reach(member.clone(), Some((nth, target.clone())), asked, reading);
        }
    }

    fn add_reach(
        &mut self,
        target: Target,
        stands_in: Option<(usize, Target)>,
        asked: &Asked,
        reading: &mut Reading<'_>,
    ) {
        let (roots, mode) = match target.service.origin.peer() {
            None => (FragmentKey::LocalRoots, GatewayMode::Remote),
            Some(peer) => {
                let peering = PeeringKey {
                    partition: target.service.partition.clone(),
                    name: peer.clone(),
                };
                (FragmentKey::PeerRoots(peering), asked.mode)
            }
        };
        self.add(roots);
        let reach = Reach {
            from: preferring(asked.from.as_ref(), &target, reading),
            target,
            stands_in,
            mode,
        };
        self.add(FragmentKey::UpstreamCluster {
            reach: reach.clone(),
            connect_timeout_ms: asked.connect_timeout_ms,
            terms: asked.terms,
            bounds: asked.bounds.clone(),
        });
        self.add(FragmentKey::UpstreamEndpoints(reach));
    }
}

/// Where a caller is, if those instances of a target are preferred that are near. Nothing else is looked up for callers
/// who do not say where they are.
pub(super) fn preferring(
    own: Option<&Locality>,
    target: &Target,
    reading: &mut Reading<'_>,
) -> Option<Locality> {
    let own = own?;
    (by_locality(reading, &target.service) == Some(ByLocality::Failover)).then(|| own.clone())
}
