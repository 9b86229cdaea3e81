//! The flattened policy says what the reference evaluator says.

use super::world::{LOCAL_TD, pattern, peer_name, peering_key, service_key, service_name};
use crate::finding::{ClusterIdentity, InboundPeer, flatten};
use crate::{Authorization, CallerPattern};
use peerway_model::config::{Action, Meta, Pattern, ServiceIntentions, Source};
use peerway_model::intention::{decide, rules_for};
use peerway_model::name::{Datacenter, Namespace, Partition};
use peerway_model::{ServiceKey, TrustDomain};
use proptest::prelude::*;

const NAMES: [&str; 3] = ["a", "b", "c"];
const NAMESPACES: [&str; 2] = ["default", "team"];
/// The last one is not in scope: its bundle is not known.
const PEERS: [&str; 3] = ["east", "west", "lost"];

fn cluster() -> ClusterIdentity {
    ClusterIdentity {
        trust_domain: TrustDomain::new(LOCAL_TD).unwrap(),
        datacenter: Datacenter::new("dc1").unwrap(),
    }
}

fn peers() -> Vec<InboundPeer> {
    PEERS[..2]
        .iter()
        .map(|peer| InboundPeer {
            trust_domain: TrustDomain::new(&format!("{peer}.consul")).unwrap(),
            exported_partition: Partition::new(&format!("of-{peer}")).unwrap(),
            peering: peering_key(peer),
        })
        .collect()
}

/// What a caller's certificate says, or `None` when nothing vouches for it.
fn certificate(caller: &ServiceKey) -> Option<(TrustDomain, Partition)> {
    match caller.origin.peer() {
        None => Some((cluster().trust_domain, caller.partition.clone())),
        Some(name) => peers()
            .into_iter()
            .find(|peer| peer.peering.name == *name)
            .map(|peer| (peer.trust_domain, peer.exported_partition)),
    }
}

fn allows(policy: &Authorization, caller: &ServiceKey) -> bool {
    let Some((trust_domain, partition)) = certificate(caller) else {
        return false;
    };
    let is = |pattern: &CallerPattern| {
        pattern.trust_domain == trust_domain
            && pattern.partition == partition
            && pattern.namespace.matches(&caller.namespace)
            && pattern.service.matches(&caller.name)
    };
    assert_eq!(policy.action, Action::Allow);
    policy
        .callers
        .iter()
        .any(|listed| is(&listed.include) && !listed.except.iter().any(is))
}

fn namespaces(any: bool) -> impl Strategy<Value = Pattern<Namespace>> {
    let exact =
        proptest::sample::select(&NAMESPACES).prop_map(|name| Pattern::Exact(Namespace::new(name).unwrap()));
    if any {
        prop_oneof![3 => exact, 1 => Just(Pattern::Any)].boxed()
    } else {
        exact.boxed()
    }
}

/// A name and a namespace; a namespace `*` has a name `*`.
fn who() -> impl Strategy<Value = (&'static str, Pattern<Namespace>)> {
    prop_oneof![
        2 => (proptest::sample::select(&NAMES), namespaces(false)),
        1 => (Just("*"), namespaces(true)),
    ]
}

fn source() -> impl Strategy<Value = Source> {
    let peer = proptest::option::of(proptest::sample::select(&PEERS));
    let partition = proptest::sample::select(&["default", "other"][..]);
    (who(), peer, partition, any::<bool>()).prop_map(|((name, namespace), peer, partition, allow)| Source {
        name: pattern(name),
        namespace,
        partition: Partition::new(partition).unwrap(),
        peer: peer.map(peer_name),
        action: if allow { Action::Allow } else { Action::Deny },
        description: String::new(),
    })
}

fn entry() -> impl Strategy<Value = ServiceIntentions> {
    (who(), proptest::collection::vec(source(), 1..8)).prop_map(|((name, namespace), sources)| {
        ServiceIntentions {
            name: pattern(name),
            namespace,
            partition: Partition::default(),
            sources,
            meta: Meta::new(),
        }
    })
}

fn callers() -> Vec<ServiceKey> {
    let mut callers = Vec::new();
    for name in NAMES.into_iter().chain(["stranger"]) {
        for namespace in NAMESPACES.into_iter().chain(["elsewhere"]) {
            for peer in PEERS.into_iter().map(Some).chain([None]) {
                for partition in ["default", "other"] {
                    if peer.is_some() && partition == "other" {
                        continue;
                    }
                    callers.push(ServiceKey {
                        namespace: Namespace::new(namespace).unwrap(),
                        partition: Partition::new(partition).unwrap(),
                        ..service_key(name, peer)
                    });
                }
            }
        }
    }
    callers
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_policy_agrees_with_the_evaluator(entries in proptest::collection::vec(entry(), 0..5)) {
        let rules = rules_for(&entries, &service_key("a", None));
        let policy = flatten(&rules, &cluster(), &peers());
        for caller in callers() {
            let decided = decide(&rules, Action::Deny, &caller).action == Action::Allow;
            // Who cannot be identified is refused, whatever the intentions say.
            let expected = decided && certificate(&caller).is_some();
            prop_assert_eq!(allows(&policy, &caller), expected, "{} by {:?}", caller, policy);
        }
        for listed in &policy.callers {
            let matters = |except: &CallerPattern| {
                except.namespace.overlaps(&listed.include.namespace)
                    && except.service.overlaps(&listed.include.service)
                    && except.trust_domain == listed.include.trust_domain
            };
            prop_assert!(listed.except.iter().all(matters), "{:?}", listed);
        }
    }
}

#[test]
fn exclusions_are_reduced() {
    let source = |name: &str, namespace: Pattern<Namespace>, action| Source {
        name: pattern(name),
        namespace,
        partition: Partition::default(),
        peer: None,
        action,
        description: String::new(),
    };
    let default = || Pattern::Exact(Namespace::default());
    let entries = [ServiceIntentions {
        name: pattern("a"),
        namespace: default(),
        partition: Partition::default(),
        sources: vec![
            source("b", default(), Action::Deny),
            source("*", default(), Action::Deny),
            source("c", default(), Action::Allow),
            source("*", Pattern::Any, Action::Allow),
        ],
        meta: Meta::new(),
    }];
    let policy = flatten(&rules_for(&entries, &service_key("a", None)), &cluster(), &[]);
    let names: Vec<_> = policy
        .callers
        .iter()
        .map(|listed| (listed.include.service.clone(), listed.except.len()))
        .collect();
    // `b` is inside the denied `*`, so one exclusion is enough; `c` overlaps nothing of higher precedence.
    assert_eq!(names, [(Pattern::Exact(service_name("c")), 0), (Pattern::Any, 1)]);
}
