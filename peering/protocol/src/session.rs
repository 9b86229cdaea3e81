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
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use crate::export::Exports;
use crate::freshness::Freshness;
use crate::message::{Code, Message, Open, Refusal, Request};
use crate::resource::{Resource, ResourceType};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use answers::Answers;
pub use import::Ticket;

/// How often a heartbeat is sent; the first one after one interval.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);
/// How long the peer may be without sending a heartbeat. Other messages do not count.
pub const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a terminated stream waits for the other side to finish. A peer that never does would hold a deleted
/// peering's task for ever.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

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
    phase: Phase,
    /// Types that the peer subscribed to.
    subscribed: BTreeSet<ResourceType>,
    /// What the peer should know; `None` until the driver has said so once.
    exports: Option<Exports>,
    /// What was sent last, by type and id.
    sent: BTreeMap<(ResourceType, String), Resource>,
    /// What was sent and not answered.
    answers: Answers,
    last_nonce: u64,
    next_heartbeat: Duration,
    freshness: Freshness,
}

impl Session {
    /// A dialer's session on a stream that was just opened, and its first messages: `open` and a subscription for
    /// each type.
    pub fn dialer(open: Open, now: Duration) -> (Self, Vec<Effect>) {
        let peer_id = open.peer_id.clone();
        let side = Side::Dialer {
            peer_id: peer_id.clone(),
        };
        let mut session = Session::new(side, now);
        let mut effects = vec![session.send(Message::Open(open))];
        session.subscribe(&ResourceType::ALL, &peer_id, &mut effects);
        (session, effects)
    }

    /// An acceptor's session on a stream whose `Open` was accepted (see [`crate::open`]), and its subscriptions.
    pub fn acceptor(now: Duration) -> (Self, Vec<Effect>) {
        let mut session = Session::new(Side::Acceptor, now);
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

    fn new(side: Side, now: Duration) -> Self {
        Session {
            side,
            phase: Phase::Running,
            subscribed: BTreeSet::new(),
            exports: None,
            sent: BTreeMap::new(),
            answers: Answers::default(),
            last_nonce: 0,
            next_heartbeat: now.saturating_add(HEARTBEAT_INTERVAL),
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
            Message::Heartbeat => {
                self.freshness.last_heartbeat = Some(now);
                Vec::new()
            }
            Message::Request(request) => self.on_request(request, now),
            Message::Response(response) => self.on_response(response),
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
            Phase::Running if self.freshness.silence(now) >= HEARTBEAT_TIMEOUT => self.fail(Refusal::new(
                Code::Unknown,
                format!(
                    "heartbeat timeout: the peer sent none for {} s",
                    HEARTBEAT_TIMEOUT.as_secs()
                ),
            )),
            Phase::Running if now >= self.next_heartbeat => {
                self.next_heartbeat = now.saturating_add(HEARTBEAT_INTERVAL);
                vec![self.send(Message::Heartbeat)]
            }
            Phase::Running => Vec::new(),
        }
    }

    /// When [`Session::on_tick`] has something to do next; `None` after the end.
    pub fn next_tick(&self) -> Option<Duration> {
        match self.phase {
            Phase::Running => {
                let heard = self.freshness.last_heartbeat.unwrap_or(self.freshness.started);
                Some(self.next_heartbeat.min(heard.saturating_add(HEARTBEAT_TIMEOUT)))
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
