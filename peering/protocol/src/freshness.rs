//! How fresh a stream is: when something last came, was applied, was sent and was answered, and what follows from it.

mod judge;

use crate::message::MAX_WITHHELD_TOLD;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use judge::{FRESH_FOR, Judgement};
pub use peerway_model::freshness::FreshnessState as State;

/// Most refused resources that are remembered by name; a peer that has more is broken anyway, and the count goes on.
pub const MAX_REFUSED_KEPT: usize = 100;

/// Longest reason of a NACK that is kept, in bytes; the peer chose it.
pub const MAX_REASON_BYTES: usize = 1024;

/// The other side refused something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nack {
    /// When, on the caller's monotonic clock.
    pub at: Duration,
    /// The type URL's short name, and what was refused as far as its nonce is still known.
    pub resource: String,
    /// The peer's words, cut at [`MAX_REASON_BYTES`].
    pub reason: String,
}

/// The trust bundle that was sent last, and the peer's answer to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentBundle {
    /// The nonce that it was sent with.
    pub nonce: String,
    /// What was sent.
    pub bundle: Arc<crate::OfferedBundle>,
    /// `None` until the peer answers; then whether it took it, or its reason, cut at [`MAX_REASON_BYTES`].
    pub answer: Option<Result<(), String>>,
}

/// Something that we sent and the peer refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// When the answer came, on the caller's monotonic clock.
    pub at: Duration,
    /// The store revision of the exports that it was sent for.
    pub revision: u64,
    /// The peer's words, cut at [`MAX_REASON_BYTES`].
    pub reason: String,
}

/// How far the peer has come with what is sent to it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Delivery {
    /// Everything that the peer should know as of this revision of our store was sent, or waits in order to be.
    pub sent_revision: u64,
    /// The peer has answered for everything up to this revision of our store, be it with a refusal (see
    /// [`Delivery::rejected`]). `None` until it subscribed to everything that a peer has to.
    pub acked_revision: Option<u64>,
    /// How many resources were sent and not answered yet.
    pub unanswered: usize,
    /// What the peer refused, by resource (`type "id"`), until it takes a newer version or the resource is gone. At
    /// most [`MAX_REFUSED_KEPT`].
    pub rejected: BTreeMap<String, Rejection>,
    /// How many refusals came since the start.
    pub rejected_total: u64,
}

/// A place in the order of what crossed a stream in one direction, from 1, and its moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Mark {
    /// The how-manieth resource of the stream it was.
    pub index: u64,
    /// When, on the caller's monotonic clock.
    pub at: Duration,
}

/// What became of the newest version of an imported service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is what we hold.
    Applied,
    /// It was refused, with why; what was held before still is.
    Refused(String),
    /// The operator does not want it.
    Filtered,
    /// What we hold is not what was applied, with how.
    Diverged(String),
    /// Held from before this stream; nothing came about it yet.
    Inherited,
}

/// An imported service, or the mesh face of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedService {
    /// Its newest version; `None` when nothing came about it on this stream.
    pub received: Option<Mark>,
    /// The version that is held.
    pub applied: Option<Mark>,
    /// How many instances are held.
    pub instances: usize,
    /// What became of the newest version.
    pub standing: Standing,
    /// Why the exporter cannot send it, if it says so.
    pub withheld: Option<String>,
}

/// What the importer said of an exported service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing yet.
    Waiting,
    /// It took it.
    Taken,
    /// It refused it, with why.
    Refused(String),
    /// It was never sent, with why.
    Withheld(String),
}

/// An exported service, or the mesh face of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedService {
    /// Its newest version; `None` when it could not be sent.
    pub sent: Option<Mark>,
    /// What became of it.
    pub answer: Answer,
}

/// How often everything was asked for anew because what is held had diverged. Kept from stream to stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Resync {
    /// In a row.
    pub attempts: u32,
    /// The last time.
    pub last: Option<Duration>,
    /// Since the start of the process.
    pub total: u64,
}

/// First pause between two resynchronisations; it doubles each time. The first one comes at once.
pub const RESYNC_PAUSE: Duration = Duration::from_secs(15);
/// Longest pause between two resynchronisations.
pub const MAX_RESYNC_PAUSE: Duration = Duration::from_secs(60 * 60);
/// How long nothing may be wrong until the next resynchronisation counts as the first.
pub const RESYNC_FORGOTTEN: Duration = Duration::from_secs(2 * 60 * 60);

impl Resync {
    /// Whether another one may be made at `now`.
    pub fn allowed(&self, now: Duration) -> bool {
        self.last.is_none_or(|last| {
            let doublings = self.attempts.saturating_sub(1).min(16);
            let pause = RESYNC_PAUSE.saturating_mul(1 << doublings).min(MAX_RESYNC_PAUSE);
            now.saturating_sub(last) >= pause
        })
    }

    /// The state after one more.
    #[must_use]
    pub fn made(&self, now: Duration) -> Self {
        let forgotten = self
            .last
            .is_some_and(|last| now.saturating_sub(last) >= RESYNC_FORGOTTEN);
        Resync {
            attempts: if forgotten {
                1
            } else {
                self.attempts.saturating_add(1)
            },
            last: Some(now),
            total: self.total + 1,
        }
    }
}

/// The state of a stream as seen from one side. Moments are on the monotonic clock that the caller passes in.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Freshness {
    /// When the session began.
    pub started: Duration,
    /// Last heartbeat received.
    pub last_heartbeat: Option<Duration>,
    /// Last message of any kind received.
    pub last_received: Option<Duration>,
    /// Last resource received.
    pub received: Mark,
    /// Last resource applied; its index is that of its arrival.
    pub applied: Mark,
    /// Last resource sent.
    pub sent: Mark,
    /// Last resource applied.
    pub last_applied: Option<Duration>,
    /// Last resource sent.
    pub last_sent: Option<Duration>,
    /// Last ACK or subscription received.
    pub last_ack: Option<Duration>,
    /// Last NACK received.
    pub last_nack: Option<Nack>,
    /// How far the peer has come with what is sent to it.
    pub delivery: Delivery,
    /// The trust bundle that was sent last.
    pub bundle: Option<SentBundle>,
    /// Whether the peer sends and reads pulses.
    pub digests: bool,
    /// Whether everything that the peer lists has come and was dealt with.
    pub synced: bool,
    /// What we hold is proven to be what the peer exported at this moment, or, with a peer that knows no pulses, seems
    /// to be.
    pub proven: Option<Duration>,
    /// The peer's digest is not that of what came from it.
    pub digest_differs: bool,
    /// What we hold that is not what was applied, with how, by resource. At most [`MAX_REFUSED_KEPT`].
    pub diverged: BTreeMap<String, String>,
    /// How often a divergence was found since the start.
    pub divergences_total: u64,
    /// How often everything was asked for anew.
    pub resync: Resync,
    /// Services that the peer exports and cannot send, with why. At most [`MAX_WITHHELD_TOLD`].
    pub withheld_by_peer: BTreeMap<String, String>,
    /// Services that we export and cannot send, with why. At most [`MAX_REFUSED_KEPT`].
    pub withheld: BTreeMap<String, String>,
    /// Resources that the peer offered and we refused, with why, until they are accepted or gone; `type "id"`. At most
    /// [`MAX_REFUSED_KEPT`].
    pub refused: BTreeMap<String, String>,
    /// How many resources were refused since the start.
    pub refused_total: u64,
    /// The last exported service list that was applied, in the peer's order, without what the operator does not want.
    pub imported: Arc<[String]>,
    /// The last exported service list that was sent.
    pub exported: Arc<[String]>,
    /// Every service that came or is held, mesh faces included. At most a second behind the rest.
    pub services_in: Arc<BTreeMap<String, ImportedService>>,
    /// Every service that is exported, mesh faces included. At most a second behind the rest.
    pub services_out: Arc<BTreeMap<String, ExportedService>>,
    /// Messages received since the start.
    pub messages_in: u64,
    /// Messages sent since the start.
    pub messages_out: u64,
}

impl Freshness {
    /// How long ago the peer was last heard of by a heartbeat, or since the start.
    pub fn silence(&self, now: Duration) -> Duration {
        now.saturating_sub(self.last_heartbeat.unwrap_or(self.started))
    }

    /// How long ago a resource was last applied; `None` before the first.
    pub fn age(&self, now: Duration) -> Option<Duration> {
        self.last_applied.map(|at| now.saturating_sub(at))
    }

    /// What a new stream of the same peering goes on from.
    pub fn legacy(&self) -> Self {
        Freshness {
            proven: self.proven,
            resync: self.resync,
            divergences_total: self.divergences_total,
            ..Freshness::default()
        }
    }

    pub(crate) fn refuse(&mut self, what: String, why: String) {
        self.refused_total += 1;
        if self.refused.len() < MAX_REFUSED_KEPT || self.refused.contains_key(&what) {
            self.refused.insert(what, why);
        }
    }

    pub(crate) fn withhold(&mut self, id: &str, why: &str) {
        if self.withheld.len() < MAX_REFUSED_KEPT || self.withheld.contains_key(id) {
            self.withheld.insert(id.to_owned(), why.to_owned());
        }
    }

    /// Takes what the peer says that it cannot send.
    pub(crate) fn peer_withholds(&mut self, withheld: Vec<(String, String)>) {
        self.withheld_by_peer = withheld
            .into_iter()
            .take(MAX_WITHHELD_TOLD)
            .map(|(id, why)| {
                (
                    cut(&id, MAX_REASON_BYTES).to_owned(),
                    cut(&why, MAX_REASON_BYTES).to_owned(),
                )
            })
            .collect();
    }
}

/// Cuts `text` at a character boundary.
pub fn cut(text: &str, limit: usize) -> &str {
    match text.char_indices().find(|(at, c)| at + c.len_utf8() > limit) {
        Some((at, _)) => &text[..at],
        None => text,
    }
}
