//! One peering stream as a state machine: messages, ticks and changed exports in, effects out (wire facts,
//! section 3). Both roles are the same machine; they differ in who opens, what they subscribe to and who must
//! half-close.
//!
//! Memory is bounded by the caller: the session keeps shared references to what it sent, and hands each received
//! resource out at once as [`Effect::Import`]. The driver must apply it and call [`Session::on_applied`] before it
//! reads the next message; that is the whole flow control, the transport's window does the rest.

mod answers;
mod export;
mod import;
mod ledger;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
mod verify;

use crate::export::Exports;
use crate::freshness::{Freshness, Mark};
use crate::limits::ImportLimits;
use crate::message::{Code, Message, Open, Refusal, Request};
use crate::resource::{Resource, ResourceType};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use answers::Answers;
pub use import::Ticket;
use ledger::Ledger;
pub use verify::{RESYNC_INTERVAL, Stored, StoredService, UNSENT_FOR};

/// How often a heartbeat is sent; the first one after one interval.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);
/// How long the peer may be without sending a heartbeat. Other messages do not count.
pub const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a terminated stream waits for the other side to finish. A peer that never does would hold a deleted
/// peering's task for ever.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// What this side lets in, and what it says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Terms {
    /// How much is imported.
    pub limits: ImportLimits,
    /// Says nothing that Consul does not say: no digests are sent or asked for.
    pub plain: bool,
}

/// Which side of the stream this is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Side {
    /// The acceptor's UUID, as dialled with.
    Dialer {
        peer_id: String,
    },
    Acceptor,
}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// After a `Terminated` in either direction: do not reconnect.
    Graceful,
    /// Otherwise. An acceptor answers with this status; a dialer reconnects.
    Failed(Refusal),
}

/// What the driver must do, in order.
#[derive(Debug)]
pub enum Effect {
    /// Send this message.
    Send(Message),
    /// Validate and apply this resource, then call [`Session::on_applied`] with the ticket.
    Import {
        /// Goes back with the result.
        ticket: Ticket,
        /// As offered; see [`crate::admit`].
        resource: Resource,
    },
    /// Something was refused before it came to an import; it is answered.
    Refused {
        /// What it was; `None` for a type that nobody knows.
        kind: Option<ResourceType>,
        /// Why.
        reason: String,
    },
    /// Find out what is stored of the peer and call [`Session::on_verified`].
    Verify,
    /// What is held has diverged, and everything is asked for anew: take note of it.
    Resync {
        /// What has diverged.
        reason: String,
    },
    /// The peer deleted the peering: remove what was imported and mark the record as terminated.
    MarkTerminated,
    /// Close the sending direction, keep reading.
    HalfClose,
    /// The stream is over: drop it. Nothing follows.
    Ended(End),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// `Terminated` was sent or received; whatever still comes is discarded.
    Draining {
        since: Duration,
    },
    Ended,
}

/// The state of one stream, from its opening to its end.
#[derive(Debug)]
pub struct Session {
    side: Side,
    terms: Terms,
    phase: Phase,
    /// Types that the peer subscribed to.
    subscribed: BTreeSet<ResourceType>,
    /// What the peer should know; `None` until the driver has said so once.
    exports: Option<Exports>,
    /// What was sent last, by type and id.
    sent: BTreeMap<(ResourceType, String), Sent>,
    /// Services that cannot be sent, with why.
    withheld: BTreeMap<String, String>,
    /// What was sent and not answered.
    answers: Answers,
    last_nonce: u64,
    next_heartbeat: Duration,
    /// Silence counts from here: since then what came could have been read.
    listening_since: Duration,
    /// When everything was last sent because the peer asked.
    resent: Option<Duration>,
    /// What came of the peer's services.
    ledger: Ledger,
    /// The digest of the list that was applied.
    list: Option<u64>,
    /// The digest of the bundle that was applied.
    bundle: Option<u64>,
    /// Since when something is listed that did not come.
    unsent_since: Option<Duration>,
    /// The newest clock of the peer that came in a pulse.
    heard_clock: u64,
    /// The newest one that had come when all exports were sent.
    certified: u64,
    /// All that the peer had sent when it sent a pulse has come, and nothing else.
    whole: bool,
    /// What the next verification proves.
    to_prove: Option<Duration>,
    /// When the per-service reports are to be renewed.
    report_due: Option<Duration>,
    freshness: Freshness,
}

impl Session {
    /// A dialer's session on a stream that was just opened, and its first messages: `open` and a subscription for
    /// each type.
    pub fn dialer(open: Open, terms: Terms, now: Duration) -> (Self, Vec<Effect>) {
        let peer_id = open.peer_id.clone();
        let side = Side::Dialer {
            peer_id: peer_id.clone(),
        };
        let mut session = Session::new(side, terms, now);
        let mut effects = vec![session.send(Message::Open(open))];
        session.subscribe(&ResourceType::ALL, &peer_id, &mut effects);
        (session, effects)
    }

    /// An acceptor's session on a stream whose `Open` was accepted (see [`crate::open`]), and its subscriptions.
    pub fn acceptor(terms: Terms, now: Duration) -> (Self, Vec<Effect>) {
        let mut session = Session::new(Side::Acceptor, terms, now);
        let mut effects = Vec::new();
        // Never server addresses: storing them would turn the acceptor into a dialer.
        let kinds = [
            ResourceType::ExportedService,
            ResourceType::ExportedServiceList,
            ResourceType::TrustBundle,
        ];
        session.subscribe(&kinds, "", &mut effects);
        (session, effects)
    }

    fn new(side: Side, terms: Terms, now: Duration) -> Self {
        Session {
            side,
            terms,
            phase: Phase::Running,
            subscribed: BTreeSet::new(),
            exports: None,
            sent: BTreeMap::new(),
            withheld: BTreeMap::new(),
            answers: Answers::default(),
            last_nonce: 0,
            next_heartbeat: now.saturating_add(HEARTBEAT_INTERVAL),
            listening_since: now,
            resent: None,
            ledger: Ledger::default(),
            list: None,
            bundle: None,
            unsent_since: None,
            heard_clock: 0,
            certified: 0,
            whole: false,
            to_prove: None,
            report_due: None,
            freshness: Freshness {
                started: now,
                ..Freshness::default()
            },
        }
    }

    /// Takes a received message.
    pub fn on_message(&mut self, message: Message, now: Duration) -> Vec<Effect> {
        self.freshness.messages_in += 1;
        self.freshness.last_received = Some(now);
        if self.phase != Phase::Running {
            return Vec::new();
        }
        match message {
            Message::Heartbeat(pulse) => self.on_heartbeat(pulse, now),
            Message::Request(request) => self.on_request(request, now),
            Message::Response(response) => self.on_response(response, now),
            Message::Terminated => self.on_terminated(now),
            // Consul ignores both in the middle of a stream, and so must whoever wants to extend the protocol.
            Message::Open(_) | Message::Empty => Vec::new(),
        }
    }

    /// Takes the clean end of what the peer sends.
    pub fn on_end(&mut self) -> Vec<Effect> {
        match self.phase {
            Phase::Running => self.fail(Refusal::new(
                Code::Unknown,
                "the stream ended without the peering being deleted",
            )),
            Phase::Draining { .. } => self.end(End::Graceful),
            Phase::Ended => Vec::new(),
        }
    }

    /// Does what is due at `now`: heartbeats and timeouts. Call it at [`Session::next_tick`] or more often.
    pub fn on_tick(&mut self, now: Duration) -> Vec<Effect> {
        match self.phase {
            Phase::Ended => Vec::new(),
            Phase::Draining { since } if now.saturating_sub(since) >= DRAIN_TIMEOUT => {
                self.end(End::Graceful)
            }
            Phase::Draining { .. } => Vec::new(),
            Phase::Running if now >= self.silent_at() => self.fail(Refusal::new(
                Code::Unknown,
                format!(
                    "heartbeat timeout: the peer sent none for {} s",
                    HEARTBEAT_TIMEOUT.as_secs()
                ),
            )),
            Phase::Running => {
                let mut effects = Vec::new();
                if self.report_due.is_some_and(|due| now >= due) {
                    self.report_due = None;
                    effects.push(Effect::Verify);
                }
                if now >= self.next_heartbeat {
                    self.next_heartbeat = now.saturating_add(HEARTBEAT_INTERVAL);
                    let pulse = self.pulse(now);
                    effects.push(self.send(Message::Heartbeat(pulse)));
                }
                effects
            }
        }
    }

    /// When the peer will have been silent for too long.
    fn silent_at(&self) -> Duration {
        let heard = self.freshness.last_heartbeat.unwrap_or(self.freshness.started);
        heard.max(self.listening_since).saturating_add(HEARTBEAT_TIMEOUT)
    }

    /// Nothing was read until now, on purpose: that is not the peer's silence.
    pub fn listens_again(&mut self, now: Duration) {
        self.listening_since = now;
    }

    /// When [`Session::on_tick`] has something to do next; `None` after the end.
    pub fn next_tick(&self) -> Option<Duration> {
        match self.phase {
            Phase::Running => {
                let due = self.next_heartbeat.min(self.silent_at());
                Some(self.report_due.map_or(due, |report| report.min(due)))
            }
            Phase::Draining { since } => Some(since.saturating_add(DRAIN_TIMEOUT)),
            Phase::Ended => None,
        }
    }

    /// Tells the peer that the peering was deleted here. The stream then drains; see [`Effect::Ended`].
    pub fn terminate(&mut self, now: Duration) -> Vec<Effect> {
        if self.phase != Phase::Running {
            return Vec::new();
        }
        let mut effects = vec![self.send(Message::Terminated)];
        self.drain(now, &mut effects);
        effects
    }

    /// How fresh the stream is.
    pub fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    fn on_terminated(&mut self, now: Duration) -> Vec<Effect> {
        let mut effects = vec![Effect::MarkTerminated];
        self.drain(now, &mut effects);
        effects
    }

    /// A dialer half-closes, whoever terminated: a Consul acceptor waits for that before it returns.
    fn drain(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        self.phase = Phase::Draining { since: now };
        self.sent.clear();
        self.answers = Answers::default();
        self.exports = None;
        if matches!(self.side, Side::Dialer { .. }) {
            effects.push(Effect::HalfClose);
        }
    }

    fn subscribe(&mut self, kinds: &[ResourceType], peer_id: &str, effects: &mut Vec<Effect>) {
        for kind in kinds {
            effects.push(self.send(Message::Request(Request {
                peer_id: peer_id.to_owned(),
                nonce: String::new(),
                url: kind.url().to_owned(),
                error: None,
                digests: if self.terms.plain {
                    0
                } else {
                    crate::digest::VERSION
                },
                resync: false,
            })));
        }
    }

    fn send(&mut self, message: Message) -> Effect {
        self.freshness.messages_out += 1;
        Effect::Send(message)
    }

    fn fail(&mut self, refusal: Refusal) -> Vec<Effect> {
        self.end(End::Failed(refusal))
    }

    fn end(&mut self, end: End) -> Vec<Effect> {
        self.phase = Phase::Ended;
        self.sent.clear();
        self.answers = Answers::default();
        self.exports = None;
        vec![Effect::Ended(end)]
    }

    fn running(&self) -> bool {
        self.phase == Phase::Running
    }
}

/// A resource that was sent.
#[derive(Debug)]
struct Sent {
    resource: Resource,
    /// Of a service; see [`crate::digest`].
    digest: u64,
    mark: Mark,
    /// It is the peer's turn to forget it, or to get it once more.
    again: bool,
}

/// A resource in reports: `type "id"`.
fn name_of(kind: ResourceType, id: &str) -> String {
    format!("{} {id:?}", kind.as_str())
}

/// Whether two resources are the same; shared content is not walked.
fn same(a: &Resource, b: &Resource) -> bool {
    let shared = match (a, b) {
        (Resource::ExportedService { instances: a, .. }, Resource::ExportedService { instances: b, .. }) => {
            Arc::ptr_eq(a, b)
        }
        (Resource::TrustBundle(a), Resource::TrustBundle(b)) => Arc::ptr_eq(a, b),
        _ => false,
    };
    shared || a == b
}
