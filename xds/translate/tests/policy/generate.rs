//! Generated intentions, callers and requests: few names and values, so that they often meet.

use crate::tokens;
use crate::world::{LOCAL, PEERS};
use peerway_model::config::{
    Action, HeaderCheck, HeaderCondition, HeaderName, JwtRequirement, Meta, Method, PathCondition, Pattern,
    Permission, RequestCondition, ServiceIntentions, Source, ValuePart, Verdict, WantedToken,
};
use peerway_model::intention::Request;
use peerway_model::name::{Namespace, Partition, PeerName, ProviderName, ServiceName};
use peerway_model::regular::Regular;
use peerway_model::{Origin, ServiceKey};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::BTreeSet;

const NAMES: [&str; 3] = ["web", "app", "a-b"];
const NAMESPACES: [&str; 2] = ["default", "team"];
const PARTITIONS: [&str; 2] = ["default", "other"];
/// The last one is not exported to, so nothing vouches for its callers.
const SOURCE_PEERS: [&str; 3] = ["east", "west", "lost"];
const HEADERS: [&str; 3] = ["x-role", "x-team", "x-id"];
const PATHS: [&str; 6] = ["/", "/a", "/a/b", "/admin", "/pkg.Api/Get", "/a.b"];
const EXPRESSIONS: [&str; 5] = ["/a.*", "/(a|b)/[0-9]+", "(?i)/ADMIN", "/[^/]*", "/a\\.b"];
const TEXTS: [&str; 6] = ["admin", "adm", "a", "in", "admin,user", "a b"];
const VALUE_EXPRESSIONS: [&str; 4] = ["a.*", "(?i)ADMIN|user", "[a-z]+", "\\d{1,3}"];
const VALUES: [&str; 9] = [
    "admin",
    "ADMIN",
    "Administrator",
    "a",
    "user",
    "admin,user",
    "",
    "a b",
    "12",
];
const ASKED: [&str; 10] = [
    "/",
    "/a",
    "/a/b",
    "/a/1",
    "/admin",
    "/ADMIN",
    "/a/b?x=/admin",
    "/b/7",
    "/pkg.Api/Get",
    "/axb",
];

/// Few choices as a strategy.
fn one_of<T: Clone + std::fmt::Debug + 'static>(values: &'static [T]) -> impl Strategy<Value = T> {
    select(values)
}

pub(crate) fn action() -> impl Strategy<Value = Action> {
    one_of(&[Action::Allow, Action::Deny])
}

fn name_pattern(name: &str) -> Pattern<ServiceName> {
    match name {
        "*" => Pattern::Any,
        name => Pattern::Exact(ServiceName::new(name).unwrap()),
    }
}

/// A name and a namespace; a namespace `*` has a name `*`.
fn who() -> impl Strategy<Value = (Pattern<ServiceName>, Pattern<Namespace>)> {
    let exact = |name: &str| Pattern::Exact(Namespace::new(name).unwrap());
    prop_oneof![
        4 => (one_of(&NAMES), one_of(&NAMESPACES)).prop_map(move |(name, ns)| (name_pattern(name), exact(ns))),
        2 => one_of(&NAMESPACES).prop_map(move |ns| (Pattern::Any, exact(ns))),
        1 => Just((Pattern::Any, Pattern::Any)),
    ]
}

fn regular(texts: &'static [&'static str]) -> impl Strategy<Value = Regular> {
    one_of(texts).prop_map(|text| Regular::new(text).unwrap())
}

fn header() -> impl Strategy<Value = HeaderCondition> {
    let part = one_of(&[
        ValuePart::Whole,
        ValuePart::Start,
        ValuePart::End,
        ValuePart::Anywhere,
    ]);
    let value =
        (part, one_of(&TEXTS), any::<bool>()).prop_map(|(part, text, ignore_case)| HeaderCheck::Value {
            part,
            text: text.to_owned(),
            ignore_case,
        });
    let test = prop_oneof![
        1 => Just(HeaderCheck::Present),
        4 => value,
        2 => regular(&VALUE_EXPRESSIONS).prop_map(HeaderCheck::Regex),
    ];
    (one_of(&HEADERS), test, any::<bool>()).prop_map(|(name, test, invert)| HeaderCondition {
        name: HeaderName::new(name).unwrap(),
        test,
        invert,
    })
}

fn condition() -> impl Strategy<Value = RequestCondition> {
    let path = prop_oneof![
        one_of(&PATHS).prop_map(|path| PathCondition::Exact(path.to_owned())),
        one_of(&PATHS).prop_map(|path| PathCondition::Prefix(path.to_owned())),
        regular(&EXPRESSIONS).prop_map(PathCondition::Regex),
    ];
    let methods = btree_set(one_of(&[Method::Get, Method::Post, Method::Delete]), 0..3);
    (option::of(path), vec(header(), 0..3), methods)
        .prop_map(|(path, headers, methods)| RequestCondition {
            path,
            headers,
            methods,
        })
        .prop_filter("a condition has to say something", |condition| {
            !condition.is_empty()
        })
}

fn verdict(permissions: bool) -> BoxedStrategy<Verdict> {
    let always = action().prop_map(Verdict::Always);
    if !permissions {
        return always.boxed();
    }
    let permission = (action(), condition(), tokens::wanted(0.3))
        .prop_map(|(action, http, jwt)| Permission { action, http, jwt });
    prop_oneof![
        1 => always,
        2 => vec(permission, 1..5).prop_map(Verdict::ByRequest),
    ]
    .boxed()
}

fn source(permissions: bool) -> impl Strategy<Value = Source> {
    let peer = option::of(one_of(&SOURCE_PEERS));
    (who(), one_of(&PARTITIONS), peer, verdict(permissions)).prop_map(
        |((name, namespace), partition, peer, verdict)| Source {
            name,
            namespace,
            partition: Partition::new(partition).unwrap(),
            peer: peer.map(|peer| PeerName::new(peer).unwrap()),
            group: None,
            verdict,
            description: String::new(),
        },
    )
}

/// An entry on a destination, with each source once.
fn entry(
    name: Pattern<ServiceName>,
    namespace: Pattern<Namespace>,
) -> impl Strategy<Value = ServiceIntentions> {
    (vec(source(!name.is_any()), 1..8), tokens::wanted(0.15)).prop_map(move |(sources, jwt)| {
        let mut seen = BTreeSet::new();
        let partition = |source: &Source| source.peer.is_none().then(|| source.partition.clone());
        ServiceIntentions {
            name: name.clone(),
            namespace: namespace.clone(),
            partition: Partition::default(),
            sources: sources
                .into_iter()
                .filter(|source| {
                    seen.insert((
                        source.peer.clone(),
                        partition(source),
                        source.namespace.clone(),
                        source.name.clone(),
                    ))
                })
                .collect(),
            jwt,
            meta: Meta::new(),
        }
    })
}

/// The intentions on a service alone.
pub(crate) fn own(service: String) -> impl Strategy<Value = ServiceIntentions> {
    entry(name_pattern(&service), Pattern::Exact(Namespace::default()))
}

/// Sources that let `web` of these peers, or of this cluster, send everything.
pub(crate) fn webs(peers: &[Option<&str>]) -> Vec<Source> {
    let source = |peer: &Option<&str>| Source {
        name: name_pattern("web"),
        namespace: Pattern::Exact(Namespace::default()),
        partition: Partition::default(),
        peer: peer.map(|peer| PeerName::new(peer).unwrap()),
        group: None,
        verdict: Verdict::Always(Action::Allow),
        description: String::new(),
    };
    peers.iter().map(source).collect()
}

/// Lets `name` of this cluster send everything, without a token.
pub(crate) fn let_in(entry: &mut ServiceIntentions, name: &str) {
    entry.jwt = None;
    let mut sources = webs(&[None]);
    sources[0].name = name_pattern(name);
    let is_it = |source: &Source| source.peer.is_none() && source.name == name_pattern(name);
    entry.sources.retain(|source| !is_it(source));
    entry.sources.append(&mut sources);
}

/// Lets everybody of this cluster's partition and of the peers in who has a token of this provider, and nobody else.
pub(crate) fn let_in_with_token(entry: &mut ServiceIntentions, provider: &str) {
    let wanted = WantedToken {
        provider: ProviderName::new(provider).unwrap(),
        claims: Vec::new(),
    };
    entry.jwt = Some(JwtRequirement { tokens: vec![wanted] });
    entry.sources = webs(&[None, Some(PEERS[0].0), Some(PEERS[1].0)]);
    for source in &mut entry.sources {
        (source.name, source.namespace) = (Pattern::Any, Pattern::Any);
    }
}

/// Those on all services.
pub(crate) fn common() -> impl Strategy<Value = Vec<ServiceIntentions>> {
    let default = Pattern::Exact(Namespace::default());
    (
        option::of(entry(Pattern::Any, default)),
        option::of(entry(Pattern::Any, Pattern::Any)),
    )
        .prop_map(|(named, any)| named.into_iter().chain(any).collect())
}

/// Somebody who calls.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Caller {
    pub(crate) key: ServiceKey,
    /// In the certificate.
    pub(crate) spiffe_id: String,
    /// Of its authority.
    pub(crate) trust_domain: &'static str,
}

pub(crate) fn caller() -> impl Strategy<Value = Caller> {
    let name = one_of(&["web", "app", "a-b", "axb", "stranger"]);
    let namespace = one_of(&["default", "team", "elsewhere"]);
    let home = prop_oneof![
        one_of(&PARTITIONS).prop_map(|partition| (None, LOCAL, partition)),
        one_of(&PEERS).prop_map(|(peer, domain, partition)| (Some(peer), domain, partition)),
    ];
    // Peers may have any number of datacenters.
    let datacenter = one_of(&["dc1", "dc2"]);
    (name, namespace, home, datacenter).prop_map(|(name, namespace, (peer, domain, partition), dc)| {
        let spelt = match partition {
            "default" => String::new(),
            other => format!("/ap/{other}"),
        };
        Caller {
            key: ServiceKey {
                origin: peer.map_or(Origin::Local, |peer| Origin::Peer(PeerName::new(peer).unwrap())),
                partition: Partition::new(if peer.is_some() { "default" } else { partition }).unwrap(),
                namespace: Namespace::new(namespace).unwrap(),
                name: ServiceName::new(name).unwrap(),
            },
            spiffe_id: format!("spiffe://{domain}{spelt}/ns/{namespace}/dc/{dc}/svc/{name}"),
            trust_domain: domain,
        }
    })
}

pub(crate) fn request() -> impl Strategy<Value = Request> {
    let header = (one_of(&HEADERS), one_of(&VALUES));
    (
        one_of(&["GET", "GET", "POST", "DELETE", "PUT"]),
        one_of(&ASKED),
        vec(header, 0..4),
        tokens::carried(),
    )
        .prop_map(|(method, path, headers, tokens)| Request {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: headers
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            tokens,
        })
}
