//! How fresh a stream is: when something last came, was applied, was sent and was answered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

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

/// The state of a stream as seen from one side. Moments are on the monotonic clock that the caller passes in.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Freshness {
    /// When the session began.
    pub started: Duration,
    /// Last heartbeat received.
    pub last_heartbeat: Option<Duration>,
    /// Last message of any kind received.
    pub last_received: Option<Duration>,
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
    /// Resources that the peer offered and we refused, with why, until they are accepted; `type "id"`. At most
    /// [`MAX_REFUSED_KEPT`].
    pub refused: BTreeMap<String, String>,
    /// How many resources were refused since the start.
    pub refused_total: u64,
    /// The last exported service list that was applied, in the peer's order.
    pub imported: Arc<[String]>,
    /// The last exported service list that was sent.
    pub exported: Arc<[String]>,
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

    pub(crate) fn refuse(&mut self, what: String, why: String) {
        self.refused_total += 1;
        if self.refused.len() < MAX_REFUSED_KEPT || self.refused.contains_key(&what) {
            self.refused.insert(what, why);
        }
    }
}

/// Cuts `text` at a character boundary.
pub fn cut(text: &str, limit: usize) -> &str {
    match text.char_indices().find(|(at, c)| at + c.len_utf8() > limit) {
        Some((at, _)) => &text[..at],
        None => text,
    }
}
