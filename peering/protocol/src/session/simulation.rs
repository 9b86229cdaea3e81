//! Two sessions, each with exports of its own, over a stream that is cut and made again at any moment. Messages in
//! flight are lost with the stream. After the last cut, once everything is delivered, each side holds exactly what
//! the other exports.

use super::*;
use crate::digest;
use crate::freshness::State;
use crate::message::{Content, OPERATION_UPSERT, Pulse, Response};
use crate::offer::{OfferedInstance, OfferedService};
use crate::resource::{Listed, OfferedBundle, SIDECAR_SUFFIX};
use peerway_model::Secret;
use peerway_model::peering::RemoteInfo;
use proptest::prelude::*;
use std::collections::VecDeque;

const NAMES: [&str; 3] = ["a", "b", "b-sidecar"];

/// What one cluster exports: per name nothing, or a number of instances and whether it is in the mesh.
type World = [Option<(u8, bool)>; NAMES.len()];

#[derive(Clone, Debug)]
enum Step {
    /// One side changes what it exports, and says so if it is connected.
    Change(bool, World),
    /// Up to so many messages arrive at one side.
    Deliver(bool, u8),
    /// The stream breaks and a new one is opened.
    Cut,
    /// One side loses what it holds of a service, and nobody tells it.
    Lose(bool, usize),
}

fn instances(name: &str, count: u8) -> Arc<[OfferedInstance]> {
    let one = |index| OfferedInstance {
        service: OfferedService {
            name: name.to_owned(),
            id: format!("{name}-{index}"),
            ..OfferedService::default()
        },
        ..OfferedInstance::default()
    };
    (0..count).map(one).collect()
}

fn exports(world: &World, roots: u8) -> Exports {
    let mut exports = Exports {
        bundle: Some(Arc::new(OfferedBundle {
            root_pems: vec![roots.to_string()],
            ..OfferedBundle::default()
        })),
        ..Exports::default()
    };
    let mut list = Vec::new();
    for (name, exported) in NAMES.iter().zip(world) {
        if let Some((count, mesh)) = exported {
            list.push((*name).to_owned());
            exports
                .services
                .insert((*name).to_owned(), instances(name, *count));
            if *mesh {
                let face = format!("{name}{SIDECAR_SUFFIX}");
                exports.services.insert(face.clone(), instances(&face, 1));
            }
        }
    }
    exports.list = list.into();
    exports
}

#[derive(Default)]
struct Held {
    services: BTreeMap<String, Arc<[OfferedInstance]>>,
    list: Vec<String>,
    bundle: Option<Arc<OfferedBundle>>,
}

impl Held {
    fn stored(&self) -> Stored {
        let service = |(name, instances): (&String, &Arc<[OfferedInstance]>)| {
            let stored = StoredService {
                digest: digest::of_offer(name, instances),
                instances: instances.len(),
            };
            (!instances.is_empty()).then(|| (name.clone(), stored))
        };
        Stored {
            services: self.services.iter().filter_map(service).collect(),
            bundle: self.bundle.as_ref().map(|bundle| {
                digest::of_bundle(
                    &bundle.trust_domain,
                    &bundle.exported_partition,
                    &bundle.root_pems,
                )
            }),
        }
    }

    fn apply(&mut self, resource: Resource) {
        match resource {
            Resource::ExportedService { name, instances } if instances.is_empty() => {
                self.services.remove(&name);
            }
            Resource::ExportedService { name, instances } => {
                self.services.insert(name, instances);
            }
            Resource::ExportedServiceList(names) => {
                self.services.retain(|name, _| Listed::new(&names).keeps(name));
                self.list = names.to_vec();
            }
            Resource::TrustBundle(bundle) => self.bundle = Some(bundle),
            Resource::ServerAddresses(_) => {}
        }
    }

    fn check(&self, exports: &Exports) -> Result<(), TestCaseError> {
        let expected: BTreeMap<_, _> = exports
            .services
            .iter()
            .filter(|(_, instances)| !instances.is_empty())
            .map(|(name, instances)| (name.clone(), Arc::clone(instances)))
            .collect();
        prop_assert_eq!(&self.services, &expected);
        prop_assert_eq!(self.list.as_slice(), exports.list.as_ref());
        prop_assert_eq!(&self.bundle, &exports.bundle);
        Ok(())
    }
}

/// Index 0 is the dialer's side, 1 the acceptor's.
struct Network {
    sessions: [Session; 2],
    inboxes: [VecDeque<Message>; 2],
    exports: [Exports; 2],
    held: [Held; 2],
    now: Duration,
    resyncs: usize,
}

fn connect() -> ([Session; 2], [VecDeque<Message>; 2]) {
    let open = Open {
        peer_id: "p".to_owned(),
        stream_secret: Secret::new("s"),
        remote: RemoteInfo::default(),
    };
    let (dialer, from_dialer) = Session::dialer(open, Terms::default(), Duration::ZERO);
    let (acceptor, from_acceptor) = Session::acceptor(Terms::default(), Duration::ZERO);
    let sent = |effects: Vec<Effect>| {
        effects
            .into_iter()
            .filter_map(|effect| match effect {
                Effect::Send(message) => Some(message),
                _ => None,
            })
            .collect()
    };
    ([dialer, acceptor], [sent(from_acceptor), sent(from_dialer)])
}

impl Network {
    fn new() -> Self {
        let (sessions, inboxes) = connect();
        let start = || exports(&[None; NAMES.len()], 0);
        let mut network = Network {
            sessions,
            inboxes,
            exports: [start(), start()],
            held: [Held::default(), Held::default()],
            now: Duration::ZERO,
            resyncs: 0,
        };
        network.announce(0);
        network.announce(1);
        network
    }

    fn announce(&mut self, side: usize) {
        let effects = self.sessions[side].set_exports(self.exports[side].clone(), 7, self.now);
        self.sessions[side].exports_are_current();
        self.act(side, effects);
    }

    fn reconnect(&mut self) {
        (self.sessions, self.inboxes) = connect();
        self.announce(0);
        self.announce(1);
    }

    fn deliver(&mut self, side: usize) -> bool {
        let Some(message) = self.inboxes[side].pop_front() else {
            return false;
        };
        let effects = self.sessions[side].on_message(message, self.now);
        self.act(side, effects);
        true
    }

    fn act(&mut self, side: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(message) => self.inboxes[1 - side].push_back(message),
                Effect::Import { ticket, resource } => {
                    self.held[side].apply(resource);
                    let answers = self.sessions[side].on_applied(ticket, Ok(()), self.now);
                    self.act(side, answers);
                }
                Effect::Verify => {
                    let stored = self.held[side].stored();
                    let more = self.sessions[side].on_verified(&stored, self.now);
                    self.act(side, more);
                }
                Effect::Resync { .. } => self.resyncs += 1,
                other => panic!("two honest sessions never get to {other:?}"),
            }
        }
    }
}

fn world() -> impl Strategy<Value = World> {
    prop::array::uniform3(prop::option::of((0_u8..3, any::<bool>())))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (any::<bool>(), world()).prop_map(|(side, world)| Step::Change(side, world)),
        4 => (any::<bool>(), 0_u8..9).prop_map(|(side, count)| Step::Deliver(side, count)),
        1 => Just(Step::Cut),
        1 => (any::<bool>(), 0..2 * NAMES.len()).prop_map(|(side, which)| Step::Lose(side, which)),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), Just("web".to_owned()), "\\PC{0,4}"]
}

fn url() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(&ResourceType::ALL[..]).prop_map(|kind| kind.url().to_owned()),
        1 => text(),
    ]
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        Just(Content::Absent),
        text().prop_map(Content::Unreadable),
        (text(), 0_u8..3).prop_map(|(name, count)| {
            let instances = instances(&name, count);
            Content::Resource(Resource::ExportedService { name, instances })
        }),
        prop::collection::vec(text(), 0..3)
            .prop_map(|names| Content::Resource(Resource::ExportedServiceList(names.into()))),
        Just(Content::Resource(Resource::TrustBundle(Arc::default()))),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        4 => (text(), text(), url(), prop::option::of((any::<i32>(), text()))).prop_map(
            |(peer_id, nonce, url, error)| Message::Request(Request { peer_id, nonce, url, error, digests: 1, resync: true })
        ),
        4 => (text(), url(), text(), prop_oneof![3 => Just(OPERATION_UPSERT), 1 => any::<i32>()], content()).prop_map(
            |(nonce, url, id, operation, content)| Message::Response(Response { nonce, url, id, operation, content, bytes: 1 })
        ),
        1 => Just(Message::Heartbeat(None)),
        1 => (any::<u64>(), any::<u64>(), any::<u64>(), text()).prop_map(|(clock, echo, services, name)| {
            let digest = Some(digest::Digest { services, ..digest::Digest::default() });
            Message::Heartbeat(Some(Pulse { clock, echo, digest, withheld: vec![(name, String::new())] }))
        }),
        1 => Just(Message::Empty),
        1 => Just(Message::Terminated),
    ]
}

proptest! {
    #[test]
    fn after_healing_each_side_holds_what_the_other_exports(steps in prop::collection::vec(step(), 0..60)) {
        let mut network = Network::new();
        for (turn, step) in steps.into_iter().enumerate() {
            match step {
                Step::Change(side, world) => {
                    let side = usize::from(side);
                    network.exports[side] = exports(&world, (turn % 3) as u8);
                    network.announce(side);
                }
                Step::Deliver(side, count) => {
                    for _ in 0..count {
                        network.deliver(usize::from(side));
                    }
                }
                Step::Cut => network.reconnect(),
                Step::Lose(side, which) => {
                    let name = NAMES[which % NAMES.len()];
                    let face = if which < NAMES.len() { "" } else { SIDECAR_SUFFIX };
                    network.held[usize::from(side)].services.remove(&format!("{name}{face}"));
                }
            }
        }
        while network.deliver(0) || network.deliver(1) {}
        for beat in 1..=6 {
            network.now = HEARTBEAT_INTERVAL * beat;
            for side in 0..2 {
                network.sessions[side].exports_are_current();
                let effects = network.sessions[side].on_tick(network.now);
                network.act(side, effects);
            }
            while network.deliver(0) || network.deliver(1) {}
        }
        for side in 0..2 {
            let judged = network.sessions[side].freshness().judge(None, network.now);
            prop_assert_eq!(judged.state, State::Active, "{}", judged.reason);
            network.held[side].check(&network.exports[1 - side])?;
            let freshness = network.sessions[side].freshness();
            prop_assert_eq!(freshness.imported.as_ref(), network.exports[1 - side].list.as_ref());
            prop_assert_eq!(freshness.exported.as_ref(), network.exports[side].list.as_ref());
        }
    }

    #[test]
    fn no_message_panics_and_nothing_follows_the_end(
        dials in any::<bool>(),
        messages in prop::collection::vec((message(), any::<bool>()), 0..40),
    ) {
        let open = Open { peer_id: "p".to_owned(), stream_secret: Secret::new("s"), remote: RemoteInfo::default() };
        let mut session = if dials { Session::dialer(open, Terms::default(), Duration::ZERO).0 } else { Session::acceptor(Terms::default(), Duration::ZERO).0 };
        let mut ended = false;
        for (turn, (message, good)) in messages.into_iter().enumerate() {
            let now = Duration::from_secs(turn as u64 * 7);
            let mut effects = session.set_exports(exports(&[Some((1, true)), None, None], turn as u8), 7, now);
            effects.extend(session.on_message(message, now));
            effects.extend(session.on_tick(now));
            let mut queue = VecDeque::from(effects);
            while let Some(effect) = queue.pop_front() {
                prop_assert!(!ended, "{:?} after the end", effect);
                match effect {
                    Effect::Import { ticket, .. } => {
                        let result = if good { Ok(()) } else { Err(Refusal::new(Code::Internal, "no")) };
                        queue.extend(session.on_applied(ticket, result, now));
                    }
                    Effect::Verify => queue.extend(session.on_verified(&Stored::default(), now)),
                    Effect::Ended(_) => ended = true,
                    _ => {}
                }
            }
            prop_assert_eq!(session.next_tick().is_none(), ended);
        }
    }
}
