//! The flattened policy says what the reference evaluator says.

use super::world::{LOCAL_TD, pattern, peer_name, peering_key, service_key, service_name};
use crate::finding::{ClusterIdentity, Everybody, InboundPeer, flatten, flatten_requests};
use crate::{Caller, CallerPattern, Condition, GatewayPattern, Requests};
use peerway_model::config::{
    Action, HeaderCheck, HeaderCondition, HeaderName, JwtRequirement, Member, Meta, Method, PathCondition,
    Pattern, Permission, RequestCondition, ServiceIntentions, Source, ValuePart, Verdict, WantedClaim,
    WantedToken,
};
use peerway_model::instance::Opaque;
use peerway_model::intention::{Request, decide, rules_for};
use peerway_model::name::{Datacenter, Namespace, Partition};
use peerway_model::{GroupName, ProviderName, ServiceKey, TrustDomain};
use proptest::prelude::*;
use std::collections::BTreeMap;

const NAMES: [&str; 3] = ["a", "b", "c"];
const NAMESPACES: [&str; 2] = ["default", "team"];
/// The twin is another partition of east. The last one is not in scope: its bundle is not known.
const PEERS: [&str; 4] = ["east", "west", "twin", "lost"];

fn cluster() -> ClusterIdentity {
    ClusterIdentity {
        trust_domain: TrustDomain::new(LOCAL_TD).unwrap(),
        datacenter: Datacenter::new("dc1").unwrap(),
    }
}

fn peers() -> Vec<InboundPeer> {
    [("east", "east"), ("west", "west"), ("east", "twin")]
        .map(|(cluster, peer)| InboundPeer {
            trust_domain: TrustDomain::new(&format!("{cluster}.consul")).unwrap(),
            exported_partition: Partition::new(&format!("of-{peer}")).unwrap(),
            peering: peering_key(peer),
            voucher: peering_key(cluster),
        })
        .to_vec()
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

fn among(callers: &[Caller], caller: &ServiceKey) -> bool {
    let Some((trust_domain, partition)) = certificate(caller) else {
        return false;
    };
    let is = |pattern: &CallerPattern| {
        pattern.trust_domain == trust_domain
            && pattern.partition.matches(&partition)
            && pattern.namespace.matches(&caller.namespace)
            && pattern.service.matches(&caller.name)
    };
    callers
        .iter()
        .any(|listed| is(&listed.include) && !listed.except.iter().any(is))
}

fn passes(requests: &Requests, request: &Request) -> bool {
    let fits = |condition: &Condition, action| {
        let carried = |one_of: &Vec<crate::Token>| {
            one_of.iter().any(|token| {
                assert_eq!(token.issuer, format!("issuer of {}", token.provider));
                let wanted = WantedToken {
                    provider: token.provider.clone(),
                    claims: token.claims.clone(),
                };
                JwtRequirement { tokens: vec![wanted] }.is_met_by(&request.tokens)
            })
        };
        condition.tokens.iter().all(carried)
            && request.fits(&Permission {
                action,
                http: condition.http.clone(),
                jwt: None,
            })
    };
    match requests {
        Requests::All => true,
        Requests::Fitting(fitting) => fitting.iter().any(|one| {
            fits(&one.fits, Action::Allow) && !one.except.iter().any(|except| fits(except, Action::Deny))
        }),
    }
}

fn action() -> impl Strategy<Value = Action> {
    any::<bool>().prop_map(|allow| if allow { Action::Allow } else { Action::Deny })
}

/// Conditions on few things, so that generated requests often fulfil some of them.
fn condition() -> impl Strategy<Value = RequestCondition> {
    let path = prop_oneof![
        Just(PathCondition::Exact("/a/b".to_owned())),
        Just(PathCondition::Prefix("/a".to_owned())),
        Just(PathCondition::Prefix("/".to_owned())),
    ];
    let test = prop_oneof![
        Just(HeaderCheck::Present),
        Just(HeaderCheck::Value {
            part: ValuePart::Whole,
            text: "admin".to_owned(),
            ignore_case: false,
        }),
    ];
    let header = (test, any::<bool>()).prop_map(|(test, invert)| HeaderCondition {
        name: HeaderName::new("x-role").unwrap(),
        test,
        invert,
    });
    let methods =
        proptest::collection::btree_set(proptest::sample::select(&[Method::Get, Method::Put]), 0..2);
    (
        proptest::option::of(path),
        proptest::collection::vec(header, 0..2),
        methods,
    )
        .prop_map(|(path, headers, methods)| RequestCondition {
            path,
            headers,
            methods,
        })
}

/// Tokens of a provider that is there or of one that is not, with or without a claim.
fn jwt() -> impl Strategy<Value = Option<JwtRequirement>> {
    let name = prop_oneof![8 => Just("idp"), 4 => Just("other"), 1 => Just("gone")];
    let claim = |value: &str| WantedClaim {
        path: vec!["role".to_owned()],
        value: value.to_owned(),
    };
    let claims = prop_oneof![
        Just(vec![]),
        Just(vec![claim("admin")]),
        Just(vec![claim("user")])
    ];
    let token = (name, claims).prop_map(|(name, claims)| WantedToken {
        provider: ProviderName::new(name).unwrap(),
        claims,
    });
    proptest::option::weighted(
        0.3,
        proptest::collection::vec(token, 1..3).prop_map(|tokens| JwtRequirement { tokens }),
    )
}

fn verdict() -> impl Strategy<Value = Verdict> {
    let permission =
        (action(), condition(), jwt()).prop_map(|(action, http, jwt)| Permission { action, http, jwt });
    prop_oneof![
        action().prop_map(Verdict::Always),
        proptest::collection::vec(permission, 1..4).prop_map(Verdict::ByRequest),
    ]
}

/// Every request that the conditions can tell from others, without several lines of a header.
fn requests() -> Vec<Request> {
    let mut requests = Vec::new();
    for method in ["GET", "PUT"] {
        for path in ["/a/b", "/a/b?x", "/ab", "/c"] {
            for role in [None, Some("admin"), Some("other")] {
                requests.push(Request {
                    method: method.to_owned(),
                    path: path.to_owned(),
                    headers: role
                        .map(|role| ("X-Role".to_owned(), role.to_owned()))
                        .into_iter()
                        .collect(),
                    tokens: BTreeMap::new(),
                });
            }
        }
    }
    let plain = requests.clone();
    for request in plain.into_iter().step_by(2) {
        for (provider, role) in [("idp", "admin"), ("idp", "user"), ("other", "admin")] {
            let claims = BTreeMap::from([("role".to_owned(), Opaque::Text(role.to_owned()))]);
            requests.push(Request {
                tokens: BTreeMap::from([(ProviderName::new(provider).unwrap(), claims)]),
                ..request.clone()
            });
        }
    }
    requests
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
    let place = prop_oneof![
        4 => proptest::option::of(proptest::sample::select(&PEERS)).prop_map(|peer| (peer, None)),
        1 => proptest::sample::select(&["near", "far", "gone"][..]).prop_map(|group| (None, Some(group))),
    ];
    let partition = proptest::sample::select(&["default", "other"][..]);
    (who(), place, partition, verdict()).prop_map(|((name, namespace), (peer, group), partition, verdict)| {
        Source {
            name: pattern(name),
            namespace,
            partition: Partition::new(partition).unwrap(),
            peer: peer.map(peer_name),
            group: group.map(|group| GroupName::new(group).unwrap()),
            verdict,
            description: String::new(),
        }
    })
}

/// The groups that sources name; one of them is not there.
fn members(group: &GroupName) -> Vec<Member> {
    let partition = |name| Member::Partition(Partition::new(name).unwrap());
    let peer = |name| Member::Peer(peer_name(name));
    match group.as_str() {
        "near" => vec![partition("default"), peer("east")],
        "far" => vec![peer("east"), peer("twin"), peer("lost"), partition("other")],
        _ => Vec::new(),
    }
}

fn entry() -> impl Strategy<Value = ServiceIntentions> {
    (who(), proptest::collection::vec(source(), 1..8), jwt()).prop_map(|((name, namespace), sources, jwt)| {
        ServiceIntentions {
            name: pattern(name),
            namespace,
            partition: Partition::default(),
            sources,
            jwt,
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
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_policy_agrees_with_the_evaluator(
        entries in proptest::collection::vec(entry(), 0..5),
        default in action(),
    ) {
        let rules = rules_for(&entries, &service_key("a", None), |name| name.as_str() != "gone", members);
        let (cluster, peers) = (cluster(), peers());
        let everybody = Everybody {
            cluster: &cluster,
            peers: &peers,
            default,
            issuers: BTreeMap::from([("idp", "issuer of idp"), ("other", "issuer of other")]),
        };
        let connections = flatten(&rules, &everybody);
        let gateways = GatewayPattern { trust_domain: cluster.trust_domain.clone(), partition: Partition::default() };
        let policy = flatten_requests(&rules, &everybody, gateways);
        for caller in callers() {
            // Who cannot be identified is refused, whatever the intentions say.
            let known = certificate(&caller).is_some();
            let decided = decide(&rules, default, &caller, None).action == Action::Allow;
            prop_assert_eq!(
                among(&connections.callers, &caller), decided && known, "{} by {:?}", caller, connections
            );
            for request in requests() {
                let decided = decide(&rules, default, &caller, Some(&request)).action == Action::Allow;
                let passed = policy.grants.iter().any(|grant| {
                    let callers: Vec<Caller> = grant.callers.iter().map(|held| held.caller.clone()).collect();
                    among(&callers, &caller) && passes(&grant.requests, &request)
                });
                prop_assert_eq!(passed, decided && known, "{} with {:?} by {:?}", caller, request, policy);
            }
        }
        let granted = policy.grants.iter().flat_map(|grant| &grant.callers).map(|held| &held.caller);
        for listed in connections.callers.iter().chain(granted) {
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
        group: None,
        verdict: Verdict::Always(action),
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
        jwt: None,
        meta: Meta::new(),
    }];
    let everybody = Everybody {
        cluster: &cluster(),
        peers: &[],
        default: Action::Deny,
        issuers: BTreeMap::new(),
    };
    let policy = flatten(
        &rules_for(&entries, &service_key("a", None), |_| true, |_| Vec::new()),
        &everybody,
    );
    let names: Vec<_> = policy
        .callers
        .iter()
        .map(|listed| (listed.include.service.clone(), listed.except.len()))
        .collect();
    // `b` is inside the denied `*`, so one exclusion is enough; `c` overlaps nothing of higher precedence.
    assert_eq!(names, [(Pattern::Exact(service_name("c")), 0), (Pattern::Any, 1)]);
}
