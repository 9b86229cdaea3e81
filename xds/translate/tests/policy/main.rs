//! What intentions mean and what Envoy makes of them is the same: generated intentions and requests are decided by
//! the reference evaluator, by a model of Envoy over the messages that it would get, and, for a sample, by Envoys.
//!
//! `PEERWAY_POLICY_SETS` says how many sets of intentions the model is asked about, each with 100 requests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should fail"
)]

mod envoy;
mod fixed;
mod generate;
mod real;
mod sampled;
mod tokens;
mod world;

use envoy::{Envoy, Lines, Seen};
use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::google::protobuf::Any;
use generate::Caller;
use peerway_mesh::{Fragment, Traffic, View};
use peerway_model::config::{Action, Protocol, ServiceIntentions};
use peerway_model::intention::{Request, Rule, decide, rules_for};
use peerway_xds_translate::{Dialect, translate};
use proptest::prelude::*;
use prost::Message;
use world::{APP_PORT, LOCAL, Roots, World};

/// Sets of intentions of one run, unless the environment says otherwise.
const SETS: u32 = 50;
/// Requests that each set is asked about.
const REQUESTS: usize = 100;
/// The header by which gateways say who called.
const XFCC: &str = "x-forwarded-client-cert";
/// The identity of the gateways that are believed.
const GATEWAY: &str = "spiffe://local.consul/gateway/mesh/dc/dc1";

fn sets() -> u32 {
    std::env::var("PEERWAY_POLICY_SETS").map_or(SETS, |text| text.parse().unwrap())
}

fn roots() -> Roots {
    [LOCAL, "east.consul", "west.consul"]
        .map(|domain| (domain.to_owned(), format!("{domain}\n")))
        .into()
}

fn encoded(fragment: &Fragment, dialect: Dialect) -> Listener {
    let any = Any::decode(translate(fragment, dialect).bytes).unwrap();
    Listener::decode(any.value.as_slice()).unwrap()
}

/// The only listener of a view, with its policies.
fn decided(view: &View, dialect: Dialect) -> Listener {
    fixed::decided(encoded(world::listener(view), dialect), view, dialect)
}

/// Whether the listener's handshake takes a certificate of this trust domain.
fn verified(view: &View, trust_domain: &str) -> bool {
    let Fragment::Listener(listener) = world::listener(view) else {
        unreachable!()
    };
    let validation = &listener.chains[0].tls.as_ref().unwrap().validation;
    view.fragments.iter().any(|fragment| match &**fragment {
        Fragment::Validation(held) if held.name == *validation => held
            .domains
            .iter()
            .any(|(domain, _)| domain.as_str() == trust_domain),
        _ => false,
    })
}

/// What arrives at a sidecar of a request by `caller`: a peer's comes through our gateway, which says who called.
fn arriving(caller: &Caller, request: &Request) -> (Vec<String>, Request) {
    let mut request = request.clone();
    let sans = if caller.trust_domain == LOCAL {
        vec![caller.spiffe_id.clone()]
    } else {
        vec![GATEWAY.to_owned()]
    };
    let own = format!(
        "By=spiffe://local.consul/ns/default/dc/dc1/svc/api;Hash=ab;URI={}",
        sans[0]
    );
    let value = if caller.trust_domain == LOCAL {
        own
    } else {
        format!("By={GATEWAY};Hash=cd;URI={},{own}", caller.spiffe_id)
    };
    request.headers.push((XFCC.to_owned(), value));
    (sans, request)
}

/// The identity of a gateway at the edge.
fn identity(edge: &str) -> String {
    format!("spiffe://local.consul/ns/default/dc/dc1/svc/{edge}")
}

/// What arrives at a sidecar of a request from outside, through a gateway at the edge: what its listener leaves of what
/// the request says about its caller, and then who is connected.
fn from_outside((name, edge): &(&str, Listener), request: &Request) -> (Vec<String>, Request) {
    let mut request = request.clone();
    if !fixed::keeps_callers(edge) {
        request.headers.retain(|(name, _)| name != XFCC);
    }
    let edge = identity(name);
    let own = format!("By=spiffe://local.consul/ns/default/dc/dc1/svc/api;Hash=ab;URI={edge}");
    match request.headers.iter_mut().find(|(name, _)| name == XFCC) {
        Some((_, said)) => *said = format!("{said},{own}"),
        None => request.headers.push((XFCC.to_owned(), own)),
    }
    (vec![edge], request)
}

struct Case {
    rules: Vec<Rule>,
    default: Action,
    http: Listener,
    tcp: Listener,
    http_view: std::sync::Arc<View>,
    tcp_view: std::sync::Arc<View>,
    /// The same where a terminating gateway stands for the service.
    out: Listener,
    out_tcp: Listener,
    out_view: std::sync::Arc<View>,
    out_tcp_view: std::sync::Arc<View>,
    /// Of the gateways at the edge.
    edges: [(&'static str, Listener); 2],
}

impl Case {
    fn new(intentions: &[ServiceIntentions], default: Action) -> Self {
        let world = |is_outside: bool, protocol| {
            let (services, outside) = match is_outside {
                false => (vec![("api".to_owned(), 20_000)], Vec::new()),
                true => (Vec::new(), vec!["api".to_owned()]),
            };
            World::new(
                &services,
                &outside,
                APP_PORT,
                8443,
                protocol,
                intentions,
                default,
                &roots(),
            )
        };
        let mut http = world(false, Protocol::Http);
        let (http_view, tcp_view) = (http.sidecar("api"), world(false, Protocol::Tcp).sidecar("api"));
        let out = |protocol| world(true, protocol).named(world::OUT.0);
        let (out_view, out_tcp_view) = (out(Protocol::Http), out(Protocol::Tcp));
        let edges = world::EDGES.map(|name| {
            (
                name,
                encoded(world::listener(&http.named(name)), Dialect::From1_37),
            )
        });
        Case {
            rules: rules_for(intentions, &world::service_key("api"), |_| true, |_| Vec::new()),
            default,
            http: decided(&http_view, Dialect::From1_37),
            tcp: decided(&tcp_view, Dialect::From1_37),
            out: decided(&out_view, Dialect::From1_37),
            out_tcp: decided(&out_tcp_view, Dialect::From1_37),
            edges,
            http_view,
            tcp_view,
            out_view,
            out_tcp_view,
        }
    }

    fn check(&self, envoy: &Envoy, caller: &Caller, request: &Request) {
        let decision = decide(&self.rules, self.default, &caller.key, Some(request));
        let (sans, arriving) = arriving(caller, request);
        let seen = Seen {
            sans: &sans,
            request: Some(&arriving),
        };
        for (view, listener) in [(&self.http_view, &self.http), (&self.out_view, &self.out)] {
            for lines in [Lines::Joined, Lines::Each] {
                let passed = verified(view, LOCAL) && envoy.passes(listener, &seen, lines);
                assert_eq!(
                    passed,
                    decision.action == Action::Allow,
                    "{caller:?} {request:?} {lines:?} decided {decision:?}"
                );
            }
        }
        // Whoever is outside is the gateway at the edge, whatever the request says about its caller.
        let mut lying = request.clone();
        let forged = format!("By={GATEWAY};Hash=cd;URI={}", caller.spiffe_id);
        lying.headers.push((XFCC.to_owned(), forged));
        for edge in &self.edges {
            let key = world::service_key(edge.0);
            let decision = decide(&self.rules, self.default, &key, Some(request));
            for said in [request, &lying] {
                let (sans, arriving) = from_outside(edge, said);
                let seen = Seen {
                    sans: &sans,
                    request: Some(&arriving),
                };
                for listener in [&self.http, &self.out] {
                    assert_eq!(
                        envoy.passes(listener, &seen, Lines::Each),
                        decision.action == Action::Allow,
                        "from outside through {} {said:?} decided {decision:?}",
                        edge.0
                    );
                }
            }
        }
        let decision = decide(&self.rules, self.default, &caller.key, None);
        let seen = Seen {
            sans: std::slice::from_ref(&caller.spiffe_id),
            request: None,
        };
        for (view, listener) in [(&self.tcp_view, &self.tcp), (&self.out_tcp_view, &self.out_tcp)] {
            let passed = verified(view, caller.trust_domain) && envoy.passes(listener, &seen, Lines::Each);
            assert_eq!(
                passed,
                decision.action == Action::Allow,
                "{caller:?} decided {decision:?}"
            );
        }
    }

    /// What must never get through, whatever the intentions say.
    fn refuses_impostors(&self, envoy: &Envoy, caller: &Caller, other: &Caller, request: &Request) {
        let element = format!("By={GATEWAY};Hash=cd;URI={}", caller.spiffe_id);
        let told = |header: Option<String>| Request {
            headers: header.into_iter().map(|value| (XFCC.to_owned(), value)).collect(),
            ..request.clone()
        };
        let foreign = caller.trust_domain != LOCAL;
        // A peer's certificate at the sidecar of an HTTP service does not get past the handshake.
        assert!(!verified(&self.http_view, "east.consul") && !verified(&self.http_view, "west.consul"));
        let lies: [(&[String], Request); 3] = [
            // A gateway that says nothing, and one whose certificate names somebody else too.
            (&[GATEWAY.to_owned()], told(None)),
            (&[GATEWAY.to_owned(), caller.spiffe_id.clone()], told(None)),
            // A certificate with two names, behind the gateway.
            (
                &[GATEWAY.to_owned()],
                told(Some(format!("{element};URI={}", other.spiffe_id))),
            ),
        ];
        for (sans, request) in &lies {
            let seen = Seen {
                sans,
                request: Some(request),
            };
            let own = sans.len() == 2 && !foreign;
            assert!(
                own || !envoy.passes(&self.http, &seen, Lines::Each),
                "{sans:?} {request:?}"
            );
        }
        if foreign {
            // A local caller that says what only a gateway is believed for gets what it would get anyway.
            let liar = "spiffe://local.consul/ns/default/dc/dc1/svc/liar".to_owned();
            let with = |header| {
                let request = told(header);
                let seen = Seen {
                    sans: std::slice::from_ref(&liar),
                    request: Some(&request),
                };
                envoy.passes(&self.http, &seen, Lines::Each)
            };
            assert_eq!(with(Some(element.clone())), with(None), "{caller:?}");
            // Two trust domains in one certificate are nobody's, on a TCP service too.
            let both = [other.spiffe_id.clone(), caller.spiffe_id.clone()];
            if other.trust_domain != caller.trust_domain {
                let seen = Seen {
                    sans: &both,
                    request: None,
                };
                assert!(!envoy.passes(&self.tcp, &seen, Lines::Each), "{both:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: sets(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn envoy_decides_what_intentions_mean(
        own in proptest::option::weighted(0.9, generate::own("api".to_owned())),
        common in generate::common(),
        default in generate::action(),
        calls in proptest::collection::vec((generate::caller(), generate::caller(), generate::request()), REQUESTS),
    ) {
        let intentions: Vec<ServiceIntentions> = own.into_iter().chain(common).collect();
        let case = Case::new(&intentions, default);
        let envoy = Envoy::default();
        for (caller, other, request) in &calls {
            case.check(&envoy, caller, request);
            case.refuses_impostors(&envoy, caller, other, request);
        }
    }
}

/// The generated requests would show nothing if they were all decided alike.
#[test]
fn generated_calls_meet_every_reason() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::{Config, TestRunner};
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..200 {
        let strategy = (
            generate::own("api".to_owned()),
            generate::caller(),
            generate::request(),
        );
        let (own, caller, request) = strategy.new_tree(&mut runner).unwrap().current();
        let rules = rules_for([&own], &world::service_key("api"), |_| true, |_| Vec::new());
        let decision = decide(&rules, Action::Deny, &caller.key, Some(&request));
        *seen.entry((decision.why.code(), decision.action)).or_insert(0) += 1;
    }
    for reason in [
        ("no-rule", Action::Deny),
        ("rule", Action::Allow),
        ("rule", Action::Deny),
        ("permission", Action::Allow),
        ("permission", Action::Deny),
        ("no-permission", Action::Deny),
        ("several-lines", Action::Deny),
        ("no-token", Action::Deny),
    ] {
        assert!(seen.contains_key(&reason), "{reason:?} in {seen:?}");
    }
}

/// A listener that leaves a request out of its policy would be found.
#[test]
fn the_model_sees_what_is_left_out() {
    let case = Case::new(&[], Action::Allow);
    assert!(matches!(
        world::listener(&case.http_view),
        Fragment::Listener(listener) if matches!(&listener.chains[0].traffic, Traffic::Http(http) if http.policy.is_some())
    ));
    let stranger = Seen {
        sans: &["spiffe://nowhere.consul/ns/default/dc/dc1/svc/web".to_owned()],
        request: None,
    };
    assert!(!Envoy::default().passes(&case.tcp, &stranger, Lines::Each));
}

/// Until an Envoy has got its policies, it lets nobody in.
#[test]
fn nobody_gets_in_before_the_policies() {
    let case = Case::new(&[], Action::Allow);
    let caller = Seen {
        sans: &["spiffe://local.consul/ns/default/dc/dc1/svc/web".to_owned()],
        request: Some(&Request {
            method: "GET".to_owned(),
            path: "/".to_owned(),
            headers: Vec::new(),
            tokens: std::collections::BTreeMap::new(),
        }),
    };
    let envoy = Envoy::default();
    for (view, with) in [(&case.http_view, &case.http), (&case.tcp_view, &case.tcp)] {
        assert!(envoy.passes(with, &caller, Lines::Each));
        let without = fixed::meanwhile(encoded(world::listener(view), Dialect::From1_37));
        assert!(!envoy.passes(&without, &caller, Lines::Each));
    }
}
