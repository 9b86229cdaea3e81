//! A model Envoy on the other end of a stream, driven through generated histories.
//!
//! The client is honest and as awkward as Envoy is: it refuses whole responses for one bad cluster but takes the
//! good listeners out of a bad response, drops the endpoints of a cluster that it takes anew, keeps its answer
//! about clusters back until they are warm, asks for listeners only after that, and reconnects with what it has.
//! Messages travel in order but at their own pace.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::{DeltaRequest, DeltaResponse, DeltaStream};
use crate::event::Nack;
use crate::holding::{Holding, Versioned};
use crate::kind::Kind;
use crate::limits::Limits;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
/// Far above what any of the generated histories takes; reaching it means that the two never come to rest.
const MAX_ROUNDS: usize = 2_000;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    name: &'static str,
    /// Content and version at once.
    version: String,
    child: Option<Kind>,
    /// The clusters that a listener or a route sends traffic to.
    refers_to: Vec<&'static str>,
    bad: bool,
}

impl Versioned for Item {
    fn name(&self) -> &str {
        self.name
    }
    fn version(&self) -> &str {
        &self.version
    }
    fn child(&self) -> Option<(Kind, &str)> {
        self.child.map(|kind| (kind, self.name))
    }
}

#[derive(Clone, Debug)]
enum Op {
    Hold(Holding<Item>),
    /// The oldest response reaches the client.
    ToClient,
    /// The oldest request reaches the server.
    ToServer,
    /// The client sends the subscription changes of a kind that it has collected.
    Flush(Kind),
    Reconnect,
}

#[derive(Default)]
struct Client {
    has: [BTreeMap<String, Item>; Kind::COUNT],
    subscribed: [BTreeSet<String>; Kind::COUNT],
    /// Not yet sent: names to subscribe and to unsubscribe.
    changes: [(BTreeSet<String>, BTreeSet<String>); Kind::COUNT],
    opened: [bool; Kind::COUNT],
    /// Endpoints that were answered since their cluster was taken.
    warm: BTreeSet<String>,
    /// The answer about clusters that waits for warm clusters.
    held_answer: Option<DeltaRequest>,
    /// Listeners and routes of which a version was refused: they may point to what is gone.
    outdated: BTreeSet<(Kind, String)>,
    refused_endpoints: BTreeSet<String>,
}

impl Client {
    fn request(&mut self, kind: Kind) -> DeltaRequest {
        let (subscribe, unsubscribe) = std::mem::take(&mut self.changes[kind.index()]);
        let first = !std::mem::replace(&mut self.opened[kind.index()], true);
        let known =
            |has: &BTreeMap<String, Item>| has.values().map(|i| (i.name.into(), i.version.clone())).collect();
        DeltaRequest {
            kind,
            subscribe: subscribe.into_iter().collect(),
            unsubscribe: unsubscribe.into_iter().collect(),
            initial_versions: if first {
                known(&self.has[kind.index()])
            } else {
                Vec::new()
            },
            nonce: String::new(),
            error: None,
        }
    }

    fn flush(&mut self, kind: Kind, outbox: &mut VecDeque<DeltaRequest>) {
        let opened = self.opened[kind.index()];
        // Clusters are asked for at once; listeners only when clusters are warm; the rest by name.
        let ready = kind == Kind::Cluster && !opened;
        let (subscribe, unsubscribe) = &self.changes[kind.index()];
        if ready || !subscribe.is_empty() || (opened && !unsubscribe.is_empty()) {
            let request = self.request(kind);
            outbox.push_back(request);
        }
    }

    fn watch(&mut self, kind: Kind, name: &str) {
        if self.subscribed[kind.index()].insert(name.into()) {
            self.changes[kind.index()].0.insert(name.into());
            self.changes[kind.index()].1.remove(name);
        }
    }

    fn unwatch(&mut self, kind: Kind, name: &str) {
        if self.subscribed[kind.index()].remove(name) {
            self.changes[kind.index()].0.remove(name);
            self.changes[kind.index()].1.insert(name.into());
        }
        self.has[kind.index()].remove(name);
    }

    fn take(&mut self, kind: Kind, item: &Item) {
        let name = item.name;
        if !kind.is_wildcard_capable() && !self.subscribed[kind.index()].contains(name) {
            return;
        }
        match kind {
            Kind::Cluster => {
                self.has[Kind::Endpoints.index()].remove(name);
                self.warm.remove(name);
                self.watch(Kind::Endpoints, name);
                self.watch(Kind::Secret, name);
            }
            Kind::Listener => {
                self.has[Kind::Route.index()].remove(name);
                self.watch(Kind::Route, name);
                // Unlike a route, a filter is kept while its listener changes.
                self.watch(Kind::Extension, name);
            }
            Kind::Endpoints => _ = self.warm.insert(name.into()),
            _ => {}
        }
        if kind == Kind::Listener || kind == Kind::Route {
            self.outdated.remove(&(kind, name.into()));
        }
        self.has[kind.index()].insert(name.into(), item.clone());
    }

    fn drop_one(&mut self, kind: Kind, name: &str) {
        match kind {
            Kind::Cluster => {
                for user in [Kind::Listener, Kind::Route] {
                    for item in self.has[user.index()].values() {
                        let excused = self.outdated.contains(&(user, item.name.into()));
                        assert!(
                            excused || !item.refers_to.contains(&name),
                            "cluster {name} removed while {user:?} {item:?} needs it"
                        );
                    }
                }
                self.unwatch(Kind::Endpoints, name);
                self.unwatch(Kind::Secret, name);
            }
            Kind::Listener => {
                self.unwatch(Kind::Route, name);
                self.unwatch(Kind::Extension, name);
            }
            Kind::Endpoints => _ = self.warm.insert(name.into()),
            _ => {}
        }
        self.has[kind.index()].remove(name);
    }

    fn receive(&mut self, response: DeltaResponse<Item>, outbox: &mut VecDeque<DeltaRequest>) {
        let kind = response.kind;
        let bad = response.resources.iter().any(|item| item.bad);
        if kind == Kind::Listener || !bad {
            for name in &response.removed {
                self.drop_one(kind, name);
            }
            for item in response.resources.iter().filter(|item| !item.bad) {
                self.take(kind, item);
            }
        }
        for item in response.resources.iter().filter(|item| item.bad) {
            self.outdated.insert((kind, item.name.into()));
            if kind == Kind::Endpoints {
                self.refused_endpoints.insert(item.name.into());
            }
        }
        let mut answer = self.request(kind);
        answer.nonce = response.nonce;
        answer.error = bad.then(|| Nack {
            code: 13,
            message: "bad".into(),
        });
        if kind == Kind::Cluster {
            self.held_answer = Some(answer);
        } else {
            outbox.push_back(answer);
        }
        self.release(outbox);
    }

    /// Sends the answer about clusters once they are warm, and then asks for listeners.
    fn release(&mut self, outbox: &mut VecDeque<DeltaRequest>) {
        let mut clusters = self.has[Kind::Cluster.index()].keys();
        if clusters.all(|name| self.warm.contains(name) || self.refused_endpoints.contains(name))
            && let Some(answer) = self.held_answer.take()
        {
            outbox.push_back(answer);
            if !self.opened[Kind::Listener.index()] {
                let request = self.request(Kind::Listener);
                outbox.push_back(request);
            }
        }
    }

    /// A new stream: everything is asked for again, from what the client has.
    fn reconnect(&mut self, outbox: &mut VecDeque<DeltaRequest>) {
        let had_listeners = std::mem::take(&mut self.opened)[Kind::Listener.index()];
        self.held_answer = None;
        for kind in Kind::ALL {
            self.changes[kind.index()] = (self.subscribed[kind.index()].clone(), BTreeSet::new());
            if kind == Kind::Listener && had_listeners {
                let request = self.request(kind);
                outbox.push_back(request);
            } else {
                self.flush(kind, outbox);
            }
        }
    }
}

struct World {
    stream: DeltaStream<Item>,
    holding: Holding<Item>,
    client: Client,
    to_client: VecDeque<DeltaResponse<Item>>,
    to_server: VecDeque<DeltaRequest>,
    /// By kind: the unanswered response, seen from the server.
    outstanding: [Option<String>; Kind::COUNT],
    /// What was said, for the reader of a failure.
    history: Vec<String>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            stream: DeltaStream::new(Limits::default()),
            holding: Holding::default(),
            client: Client::default(),
            to_client: VecDeque::new(),
            to_server: VecDeque::new(),
            outstanding: Default::default(),
            history: Vec::new(),
        };
        world.client.flush(Kind::Cluster, &mut world.to_server);
        world
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Hold(holding) => {
                self.history.push(format!("holding {}", described(&holding)));
                self.holding = holding.clone();
                self.stream.set_holding(holding);
                self.pump();
            }
            Op::ToClient => {
                if let Some(response) = self.to_client.pop_front() {
                    self.history
                        .push(format!("client gets {:?} {}", response.kind, response.nonce));
                    self.client.receive(response, &mut self.to_server);
                }
            }
            Op::ToServer => {
                if let Some(request) = self.to_server.pop_front() {
                    self.history.push(format!("server gets {request:?}"));
                    let slot = &mut self.outstanding[request.kind.index()];
                    if slot.as_ref() == Some(&request.nonce) {
                        *slot = None;
                    }
                    self.stream.on_request(request).expect("within the limits");
                    self.pump();
                }
            }
            Op::Flush(kind) => self.client.flush(kind, &mut self.to_server),
            Op::Reconnect => {
                self.history.push("reconnect".into());
                self.stream = DeltaStream::new(Limits::default());
                self.stream.set_holding(self.holding.clone());
                self.to_client.clear();
                self.to_server.clear();
                self.outstanding = Default::default();
                self.client.reconnect(&mut self.to_server);
            }
        }
        self.check_answered();
    }

    /// When the stream says that all of the newest holding is answered, the client has it, but for what it refuses
    /// and for what it has not asked for yet.
    fn check_answered(&self) {
        if self.stream.answered() < self.stream.holding_number() {
            return;
        }
        for status in self.stream.status().kinds {
            let has = &self.client.has[status.kind.index()];
            for wanted in self.holding.iter(status.kind).filter(|item| !item.bad) {
                let asked = status.wildcard || status.subscribed.iter().any(|name| name == wanted.name);
                let wants =
                    status.wildcard || self.client.subscribed[status.kind.index()].contains(wanted.name);
                assert!(
                    !asked || !wants || has.get(wanted.name) == Some(wanted),
                    "{:?} {wanted:?} counts as answered: {:#?}",
                    status.kind,
                    self.history
                );
            }
            for item in has.values().filter(|_| status.wildcard) {
                assert!(
                    self.holding.get(status.kind, item.name).is_some(),
                    "the removal of {:?} {item:?} counts as answered: {:#?}",
                    status.kind,
                    self.history
                );
            }
        }
    }

    fn pump(&mut self) {
        for response in self.stream.next_responses() {
            let kind = response.kind;
            let names: Vec<_> = response
                .resources
                .iter()
                .map(|item| (item.name, &item.version))
                .collect();
            self.history.push(format!(
                "server sends {kind:?} {} {names:?} removed {:?}",
                response.nonce, response.removed
            ));
            if matches!(kind, Kind::Listener | Kind::Route) && !response.resources.is_empty() {
                let filters = (kind == Kind::Listener).then_some(Kind::Extension);
                let always = [Kind::Secret, Kind::Cluster, Kind::Endpoints];
                for below in always.into_iter().chain(filters) {
                    assert!(
                        self.outstanding[below.index()].is_none(),
                        "{kind:?} sent while {below:?} is unanswered"
                    );
                }
                for (user, name) in response
                    .resources
                    .iter()
                    .flat_map(|i| i.refers_to.iter().map(move |n| (i, n)))
                {
                    let wanted = self
                        .holding
                        .get(Kind::Cluster, name)
                        .expect("holdings are consistent");
                    assert!(
                        wanted.bad || self.client.has[Kind::Cluster.index()].contains_key(*name),
                        "{user:?} sent before its cluster {name}"
                    );
                }
            }
            let before = self.outstanding[kind.index()].replace(response.nonce.clone());
            assert_eq!(before, None, "two unanswered responses of {kind:?}");
            assert!(
                self.stream.next_responses().is_empty(),
                "everything comes at once"
            );
            self.to_client.push_back(response);
        }
    }

    /// Delivers everything until both sides rest.
    fn settle(&mut self) {
        for _ in 0..MAX_ROUNDS {
            for kind in Kind::ALL {
                self.apply(Op::Flush(kind));
            }
            if self.to_client.is_empty() && self.to_server.is_empty() {
                assert!(
                    self.client.held_answer.is_none(),
                    "the client waits for ever: {:#?}",
                    self.history
                );
                assert!(
                    self.stream.is_settled() && self.stream.answered() == self.stream.holding_number(),
                    "at rest but not settled: {:#?}",
                    self.history
                );
                return;
            }
            self.apply(Op::ToClient);
            self.apply(Op::ToServer);
        }
        panic!("no end in sight: {:#?}", self.history);
    }

    /// What the client has equals the holding restricted to its subscriptions, but for what it refuses.
    fn check(&self) {
        for kind in Kind::ALL {
            if !self.client.opened[kind.index()] {
                continue;
            }
            let has = &self.client.has[kind.index()];
            for item in has.values() {
                let wanted = self.holding.get(kind, item.name);
                assert!(
                    wanted.is_some_and(|wanted| wanted.bad || wanted == item),
                    "{kind:?} {item:?} kept, wanted {wanted:?}"
                );
            }
            for wanted in self.holding.iter(kind).filter(|item| !item.bad) {
                let asked =
                    kind.is_wildcard_capable() || self.client.subscribed[kind.index()].contains(wanted.name);
                assert!(
                    !asked || has.contains_key(wanted.name),
                    "{kind:?} {wanted:?} missing"
                );
            }
        }
    }
}

fn described(holding: &Holding<Item>) -> String {
    let items = Kind::ALL
        .into_iter()
        .flat_map(|kind| holding.iter(kind).map(move |item| (kind, item)));
    items
        .map(|(kind, item)| format!("{}:{}@{} ", kind.label(), item.name, item.version))
        .collect()
}

/// The state of one name in one kind: absent, or a version, and rarely a bad one.
fn version() -> impl Strategy<Value = Option<(u8, bool)>> {
    prop_oneof![
        2 => Just(None),
        5 => (0_u8..3).prop_map(|version| Some((version, false))),
        1 => (0_u8..2).prop_map(|version| Some((version, true))),
    ]
}

fn holdings() -> impl Strategy<Value = Holding<Item>> {
    let names = || proptest::array::uniform4((version(), any::<[bool; 4]>()));
    (names(), names(), names(), names(), names(), names()).prop_map(
        |(secrets, clusters, endpoints, filters, listeners, routes)| {
            let present: Vec<&'static str> = NAMES
                .into_iter()
                .zip(&clusters)
                .filter(|(_, (v, _))| v.is_some())
                .map(|(name, _)| name)
                .collect();
            let mut builder = Holding::builder();
            for (kind, states) in Kind::ALL
                .into_iter()
                .zip([secrets, clusters, endpoints, filters, listeners, routes])
            {
                for (name, (state, refers)) in NAMES.into_iter().zip(states) {
                    let Some((number, bad)) = state else { continue };
                    let user = matches!(kind, Kind::Listener | Kind::Route);
                    let refers_to: Vec<&'static str> = NAMES
                        .into_iter()
                        .zip(refers)
                        .filter(|(name, refers)| user && *refers && present.contains(name))
                        .map(|(name, _)| name)
                        .collect();
                    let child = match kind {
                        Kind::Cluster => Some(Kind::Endpoints),
                        Kind::Listener => Some(Kind::Route),
                        _ => None,
                    };
                    let version = format!("{number}{}{}", refers_to.concat(), if bad { "!" } else { "" });
                    builder.insert(
                        kind,
                        Item {
                            name,
                            version,
                            child,
                            refers_to,
                            bad,
                        },
                    );
                }
            }
            builder.build()
        },
    )
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        3 => holdings().prop_map(Op::Hold),
        8 => Just(Op::ToClient),
        8 => Just(Op::ToServer),
        4 => (0..Kind::COUNT).prop_map(|at| Op::Flush(Kind::ALL[at])),
        1 => Just(Op::Reconnect),
    ];
    proptest::collection::vec(op, 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_awkward_client_comes_to_hold_what_it_should(ops in ops(), last in holdings()) {
        let mut world = World::new();
        for op in ops {
            world.apply(op);
        }
        world.apply(Op::Hold(last));
        world.settle();
        world.check();
    }

    /// Whatever came before, a stream comes to rest again without a new holding or a reconnect to wake it.
    #[test]
    fn a_stream_cannot_deadlock(rounds in proptest::collection::vec((holdings(), ops()), 1..6)) {
        let mut world = World::new();
        for (holding, ops) in rounds {
            world.apply(Op::Hold(holding));
            for op in ops.into_iter().filter(|op| !matches!(op, Op::Hold(_))) {
                world.apply(op);
            }
            world.settle();
            world.check();
        }
    }
}
