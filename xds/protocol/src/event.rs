//! What a stream reports: events for logs and metrics, and a status for people.

use crate::kind::Kind;
use crate::limits::MAX_NACK_MESSAGE_BYTES;

/// Why a client refused a response: its `error_detail`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nack {
    /// The gRPC status code that the client gave.
    pub code: i32,
    /// The client's words. Kept up to [`MAX_NACK_MESSAGE_BYTES`].
    pub message: String,
}

impl Nack {
    /// The same with a bounded message: these bytes come from the client and are kept.
    pub(crate) fn bounded(mut self) -> Self {
        let end = self.message.floor_char_boundary(MAX_NACK_MESSAGE_BYTES);
        self.message.truncate(end);
        self
    }
}

/// What a request meant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The first request of a kind arrived.
    Opened {
        /// The kind.
        kind: Kind,
        /// Whether everything of the kind is asked for.
        wildcard: bool,
        /// How many resources the client says that it has from an earlier stream.
        known: usize,
    },
    /// The client took a response.
    Acked {
        /// The kind of the response.
        kind: Kind,
        /// Its nonce.
        nonce: String,
        /// Name and version of what it carried.
        names: Vec<(String, String)>,
        /// The names that it removed or reported as absent.
        removed: Vec<String>,
    },
    /// The client refused a response.
    Nacked {
        /// The kind of the response.
        kind: Kind,
        /// Its nonce.
        nonce: String,
        /// Name and version of what it carried.
        names: Vec<(String, String)>,
        /// The names that it removed or reported as absent.
        removed: Vec<String>,
        /// The client's reason.
        reason: Nack,
        /// `false`: the response had several parts, which are now retried one by one to find the bad one.
        /// `true`: it had one part, which is the refused one and is not sent again until it changes.
        isolated: bool,
    },
    /// The request answers a response that is not the outstanding one. Its subscription changes still counted.
    StaleNonce {
        /// The kind of the request.
        kind: Kind,
        /// The nonce that the client gave.
        nonce: String,
        /// The refusal it carried, if any.
        reason: Option<Nack>,
    },
}

/// A resource version that the client refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The resource.
    pub name: String,
    /// The version that was refused.
    pub version: String,
    /// The client's reason.
    pub reason: Nack,
}

/// The outstanding response of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InFlightStatus {
    /// Its nonce.
    pub nonce: String,
    /// Name and version of what it carries.
    pub names: Vec<(String, String)>,
    /// The names that it removes or reports as absent.
    pub removed: Vec<String>,
}

/// Where one kind of a stream stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindStatus {
    /// The kind.
    pub kind: Kind,
    /// Whether everything of the kind is subscribed.
    pub wildcard: bool,
    /// The names that are subscribed one by one, in order.
    pub subscribed: Vec<String>,
    /// The response that waits for an answer.
    pub in_flight: Option<InFlightStatus>,
    /// Name and version of what the client took last, in order of name.
    pub accepted: Vec<(String, String)>,
    /// What the client refuses and would still be sent if it did not, in order of name.
    pub refused: Vec<Refusal>,
    /// How many resources wait to be retried one by one after a refused response.
    pub suspects: usize,
}

/// Where a stream stands: one entry for each kind that the client has asked for, in sending order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamStatus {
    /// By kind.
    pub kinds: Vec<KindStatus>,
}
