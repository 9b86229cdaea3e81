//! One stream without its transport: the session, what is exported over it, and what waits to be sent.
//!
//! A driver carries messages, keeps time and commits what a [`Task`] asks for; everything else is decided here. There
//! are two drivers: the link's own over gRPC, and the simulation in `tests/sim`.
//!
//! What waits to be sent is kept as inner messages that share their content with the session, and encoded one at a
//! time as the transport has room. New exports are taken only when nothing waits, so a slow reader makes changes
//! coalesce instead of pile up.

use crate::exporter::Exporter;
use crate::grpc::MAX_MESSAGE_BYTES;
use crate::holdings::Holdings;
use crate::{records, wire};
use peerway_model::PeeringKey;
use peerway_peering_protocol::open::REVOKED;
use peerway_peering_protocol::{
    Code, Content, Effect, End, Freshness, Message, Open, Pace, Refusal, Resource, ResourceType, Session,
    Terms, Ticket,
};
use peerway_state::{ChangeSet, Revision, Snapshot, Topic};
use std::collections::VecDeque;
use std::time::Duration;

/// Messages that may wait for a place in the transport: a full export of the largest allowed size and as many
/// answers. A peer that lets more pile up sends without reading.
pub const MAX_WAITING_MESSAGES: usize = 8 * peerway_peering_protocol::admit::MAX_SERVICES;

/// Resources that may be unanswered at a time: twice as many as the largest peer has names, each with its mesh face. A
/// peer that lets more pile up never answers.
pub const MAX_UNANSWERED: usize = 4 * peerway_peering_protocol::admit::MAX_SERVICES;

/// What the owner of a stream wants from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Go on.
    Run,
    /// Tell the peer that the peering was deleted, and end.
    Terminate,
    /// End with this reason.
    Close(Refusal),
}

/// What a stream is made with besides its messages.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where this cluster can be dialled.
    pub addresses: Vec<String>,
    /// What is let in, and what is said.
    pub terms: Terms,
    /// Largest message that is sent, in bytes.
    pub max_message_bytes: usize,
    /// What was known of the stream before.
    pub before: Freshness,
}

impl Default for Setup {
    fn default() -> Self {
        Setup {
            addresses: Vec::new(),
            terms: Terms::default(),
            max_message_bytes: MAX_MESSAGE_BYTES,
            before: Freshness::default(),
        }
    }
}

/// What the driver must do before anything else happens on the stream.
#[derive(Debug)]
pub enum Task {
    /// Commit [`crate::parts::import`] of this and call [`Pump::imported`].
    Import {
        /// Goes back with the result.
        ticket: Ticket,
        /// As offered.
        resource: Resource,
    },
    /// Call [`Pump::verify`].
    Verify,
    /// Take note that something was refused before it came to an import.
    Refused {
        /// What it was; `None` for a type that nobody knows.
        kind: Option<ResourceType>,
        /// Why.
        reason: String,
    },
    /// Take note that what is held has diverged and is asked for anew.
    Resync {
        /// What has diverged.
        reason: String,
    },
    /// Commit [`crate::parts::terminated`].
    MarkTerminated,
    /// Drop the stream; nothing follows.
    End(End),
}

/// One stream of one peering.
pub struct Pump {
    key: PeeringKey,
    peer_id: String,
    session: Session,
    exporter: Exporter,
    holdings: Holdings,
    /// Whether the session knows what was stored when it began.
    inherited: bool,
    pace: Pace,
    /// Nothing is read for a while because the peer is too fast.
    paused: bool,
    max_message_bytes: usize,
    effects: VecDeque<Effect>,
    waiting: VecDeque<Message>,
    half_close: bool,
    /// Everything that was committed up to this revision has been noted.
    noted: Revision,
    /// Something was not imported because it came before the trust bundle.
    withheld: bool,
}

impl Pump {
    /// The dialer's side of a stream that begins with `open`, with its first messages waiting.
    pub fn dialer(key: PeeringKey, open: Open, setup: &Setup, now: Duration) -> Self {
        let peer_id = open.peer_id.clone();
        let session = Session::dialer(open, setup.terms.clone(), now);
        Pump::new(key, peer_id, session, setup, now)
    }

    /// The acceptor's side of a stream whose `Open` named `peer_id` and was admitted.
    pub fn acceptor(key: PeeringKey, peer_id: String, setup: &Setup, now: Duration) -> Self {
        let session = Session::acceptor(setup.terms.clone(), now);
        Pump::new(key, peer_id, session, setup, now)
    }

    fn new(
        key: PeeringKey,
        peer_id: String,
        session: (Session, Vec<Effect>),
        setup: &Setup,
        now: Duration,
    ) -> Self {
        let (mut session, effects) = session;
        session.succeed(&setup.before);
        let mut pump = Pump {
            exporter: Exporter::new(key.clone(), &setup.addresses),
            holdings: Holdings::new(key.clone()),
            inherited: false,
            pace: Pace::new(setup.terms.limits.updates_per_second, now),
            paused: false,
            max_message_bytes: setup.max_message_bytes,
            key,
            peer_id,
            session,
            effects: effects.into(),
            waiting: VecDeque::new(),
            half_close: false,
            noted: 0,
            withheld: false,
        };
        pump.settle();
        pump
    }

    /// The peering.
    pub fn key(&self) -> &PeeringKey {
        &self.key
    }

    /// The acceptor's id of the introduction that this stream came from.
    pub fn peer_id(&self) -> &str {
        &self.peer_id
    }

    /// How fresh the stream is.
    pub fn freshness(&self) -> &Freshness {
        self.session.freshness()
    }

    /// The next thing to do. Ask until there is none before going on.
    pub fn next_task(&mut self) -> Option<Task> {
        self.settle();
        if let Some(effect) = self.effects.pop_front() {
            return match effect {
                Effect::Import { ticket, resource } => {
                    match &resource {
                        Resource::ExportedService { name, .. } => self.holdings.imported(name),
                        Resource::ExportedServiceList(names) => self.holdings.imported_list(names),
                        Resource::TrustBundle(_) | Resource::ServerAddresses(_) => {}
                    }
                    Some(Task::Import { ticket, resource })
                }
                Effect::Verify => Some(Task::Verify),
                Effect::Refused { kind, reason } => Some(Task::Refused { kind, reason }),
                Effect::Resync { reason } => Some(Task::Resync { reason }),
                Effect::MarkTerminated => Some(Task::MarkTerminated),
                Effect::Ended(end) => Some(Task::End(end)),
                // Both were settled above.
                Effect::Send(_) | Effect::HalfClose => None,
            };
        }
        let reason = if self.waiting.len() > MAX_WAITING_MESSAGES {
            "the peer sends without reading"
        } else if self.freshness().delivery.unanswered > MAX_UNANSWERED {
            "the peer reads without answering"
        } else {
            return None;
        };
        let refusal = Refusal::new(Code::ResourceExhausted, reason);
        Some(Task::End(End::Failed(refusal)))
    }

    /// Does what needs no driver, up to the first effect that does.
    fn settle(&mut self) {
        while let Some(effect) = self
            .effects
            .pop_front_if(|effect| matches!(effect, Effect::Send(_) | Effect::HalfClose))
        {
            match effect {
                Effect::Send(message) => self.waiting.push_back(message),
                _ => self.half_close = true,
            }
        }
    }

    /// Takes the result of an import. A failure of our own ends the stream: a NACKed resource is not sent again
    /// before it changes, but a new stream sends everything. So does the trust bundle that something had to wait for,
    /// with the code at which dialers come back fast; and a bundle that the peer's token is not for ends it as well.
    pub fn imported(&mut self, ticket: Ticket, result: Result<(), Refusal>, now: Duration) -> Option<End> {
        if let Err(refusal) = &result
            && matches!(refusal.code, Code::Unavailable | Code::PermissionDenied)
        {
            return Some(End::Failed(refusal.clone()));
        }
        match &result {
            Err(refusal) => self.withheld |= refusal.code == Code::FailedPrecondition,
            Ok(()) if self.withheld && ticket.kind() == ResourceType::TrustBundle => {
                return Some(End::Failed(Refusal::new(
                    Code::FailedPrecondition,
                    "the trust bundle has come, a new stream brings what had to wait for it",
                )));
            }
            Ok(()) => {}
        }
        let effects = self.session.on_applied(ticket, result, now);
        self.add(effects);
        None
    }

    /// Compares what is stored with what was imported, in answer to [`Task::Verify`].
    pub fn verify(&mut self, snapshot: &Snapshot, now: Duration) {
        // When it is being ended, what was imported goes, and that is as it should be.
        let live = snapshot
            .peering(&self.key)
            .is_some_and(|peering| peering.is_live());
        if !live || self.superseded(snapshot).is_some() {
            return;
        }
        let effects = self.session.on_verified(self.holdings.update(snapshot), now);
        self.add(effects);
    }

    /// Takes effects of the session. What is too long to be sent must be known before anything else is said.
    fn add(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            if let Effect::Send(Message::Response(response)) = &effect
                && let Content::Resource(resource @ Resource::ExportedService { .. }) = &response.content
                && resource.at_most_bytes() > self.max_message_bytes
            {
                let bytes = wire::to_bytes(&Message::Response(response.clone())).len();
                if bytes > self.max_message_bytes {
                    let why = format!(
                        "it takes {bytes} bytes and cannot be split, at most {} can be sent in one message; register fewer instances under one name",
                        self.max_message_bytes
                    );
                    self.session.withhold(&response.nonce, &response.id, why);
                    continue;
                }
            }
            self.effects.push_back(effect);
        }
    }

    /// When the next message may be read, if not now: a peer that sends faster than it may has to wait.
    pub fn reads_at(&mut self, now: Duration) -> Option<Duration> {
        let ready = self.pace.ready_at(now);
        self.paused |= ready.is_some();
        ready
    }

    /// Takes a received message.
    pub fn received(&mut self, message: Message, now: Duration) {
        if std::mem::take(&mut self.paused) {
            self.session.listens_again(now);
        }
        if let Message::Response(response) = &message {
            self.pace.spend(response.bytes, now);
        }
        let effects = self.session.on_message(message, now);
        self.add(effects);
    }

    /// Takes the clean end of what the peer sends.
    pub fn ended(&mut self) {
        let effects = self.session.on_end();
        self.add(effects);
    }

    /// Takes a failure of the transport, or the status that the other side ended with. While terminating that is as
    /// good an end as any.
    pub fn broken(&mut self, refusal: Refusal) -> End {
        match self.session.on_end().pop() {
            Some(Effect::Ended(End::Graceful)) => End::Graceful,
            _ => End::Failed(refusal),
        }
    }

    /// Does what is due at `now`.
    pub fn tick(&mut self, now: Duration) {
        if self.paused {
            self.session.listens_again(now);
        }
        if !self.exporter.is_stale() {
            self.session.exports_are_current();
        }
        let effects = self.session.on_tick(now);
        self.add(effects);
    }

    /// When [`Pump::tick`] has something to do; `None` after the end.
    pub fn next_tick(&self) -> Option<Duration> {
        self.session.next_tick()
    }

    /// Does what the owner wants.
    pub fn obey(&mut self, wish: &Wish, now: Duration) -> Option<End> {
        match wish {
            Wish::Run => None,
            Wish::Terminate => {
                let effects = self.session.terminate(now);
                self.add(effects);
                None
            }
            Wish::Close(refusal) => Some(End::Failed(refusal.clone())),
        }
    }

    /// Takes note of commits up to `revision`, which `snapshot` has, and perhaps more. Returns the end when the stream
    /// is not of the peering any more.
    pub fn committed(
        &mut self,
        changes: &ChangeSet,
        revision: Revision,
        snapshot: &Snapshot,
        now: Duration,
    ) -> Option<End> {
        self.exporter.note(changes);
        if self.holdings.note(changes) {
            self.session.report_soon(now);
        }
        self.noted = self.noted.max(revision);
        if !self.exporter.is_stale() {
            self.session.exports_hold(self.noted);
        }
        if changes.touches(&Topic::Peering(self.key.clone()))
            || changes.touches(&Topic::Secrets(self.key.clone()))
        {
            self.superseded(snapshot)
        } else {
            None
        }
    }

    /// Anything may have changed. Returns the end as [`Pump::committed`] does. Also to be called once at the start:
    /// the peering may have changed since the stream was admitted or planned.
    pub fn reload(&mut self, snapshot: &Snapshot) -> Option<End> {
        self.exporter.reload();
        self.holdings.reload();
        if !std::mem::replace(&mut self.inherited, true) {
            self.session.inherit(self.holdings.update(snapshot));
        }
        self.noted = self.noted.max(snapshot.revision());
        self.superseded(snapshot)
    }

    /// A peering can be deleted and made again, or established anew, under the same name. What still arrives on a
    /// stream of the former one is no business of the new one.
    fn superseded(&self, snapshot: &Snapshot) -> Option<End> {
        match snapshot.peering(&self.key) {
            Some(peering) if records::is_revoked(snapshot, peering) => {
                Some(End::Failed(Refusal::new(Code::PermissionDenied, REVOKED)))
            }
            Some(peering) if records::introduced_as(peering) == Some(&self.peer_id) => None,
            _ => Some(End::Failed(Refusal::new(
                Code::Aborted,
                "the peering was deleted or established anew",
            ))),
        }
    }

    /// Whether [`Pump::export`] should be called now.
    pub fn wants_export(&self) -> bool {
        self.exporter.is_stale() && self.waiting.is_empty()
    }

    /// Finds out what the peer should know now, and sends what differs.
    pub fn export(&mut self, snapshot: &Snapshot, now: Duration) {
        if let Some(exports) = self.exporter.update(snapshot) {
            let effects = self.session.set_exports(exports, self.noted, now);
            self.session.exports_are_current();
            self.add(effects);
        }
    }

    /// How many messages wait to be sent; at most [`MAX_WAITING_MESSAGES`] when there is no task.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The next message to send.
    pub fn take(&mut self) -> Option<Message> {
        self.waiting.pop_front()
    }

    /// The transport takes nothing any more; what it has to say about that comes in.
    pub fn discard_waiting(&mut self) {
        self.waiting.clear();
    }

    /// Whether the sending direction is to be closed now.
    pub fn closes(&self) -> bool {
        self.half_close && self.waiting.is_empty()
    }
}
