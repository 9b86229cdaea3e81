//! The messages of a stream in inner types; `peering/link` turns them into protobuf and back (wire facts, section 3).

use crate::digest::Digest;
use crate::resource::Resource;
use peerway_model::Secret;
use peerway_model::peering::RemoteInfo;
use std::fmt;

/// The gRPC status codes that the protocol uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Code {
    /// Plain errors, such as a missed heartbeat.
    Unknown = 2,
    /// The message breaks the protocol or its content cannot be used.
    InvalidArgument = 3,
    /// A secret is wrong.
    PermissionDenied = 7,
    /// Wait longer before the next try.
    ResourceExhausted = 8,
    /// Another server must be asked.
    FailedPrecondition = 9,
    /// The peering is being deleted.
    Aborted = 10,
    /// This side failed.
    Internal = 13,
    /// Not ready yet.
    Unavailable = 14,
}

/// A "no" with its reason: ends a stream, or travels as a NACK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The gRPC status code.
    pub code: Code,
    /// Lower case, names the thing.
    pub message: String,
}

impl Refusal {
    /// A refusal with this code and text.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Refusal {
            code,
            message: message.into(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

/// The dialer's first message.
#[derive(Clone)]
pub struct Open {
    /// The acceptor's UUID of the peering.
    pub peer_id: String,
    /// Proves that the sender exchanged the token.
    pub stream_secret: Secret,
    /// About the dialer.
    pub remote: RemoteInfo,
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Open({})", self.peer_id)
    }
}

/// Subscribes to a type, or answers a [`Response`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// On a dialer's subscriptions the acceptor's UUID, else empty.
    pub peer_id: String,
    /// Empty subscribes; else the nonce that is answered.
    pub nonce: String,
    /// The type URL.
    pub url: String,
    /// `(gRPC code, text)`: present on a NACK.
    pub error: Option<(i32, String)>,
    /// On a subscription of a peer that sends and reads a [`Pulse`]: the version of its digests, else 0. Not in Consul.
    pub digests: u32,
    /// Asks for everything once more, as on a new stream. Only sent to a peer that understands it; without it the
    /// message is a repeated subscription, which changes nothing. Not in Consul.
    pub resync: bool,
}

/// What a heartbeat carries between two peers that announced that they understand it (see [`Request::digests`]). Old
/// peers never get one and would ignore it. Not in Consul.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Pulse {
    /// The sender's clock, to be echoed; opaque to the other side, never 0.
    pub clock: u64,
    /// The newest clock of the other side that had arrived when what the sender exports was last known to be sent: all
    /// that was exported at that moment came before this message. 0 when there is none.
    pub echo: u64,
    /// What the sender has sent over this stream; `None` when it cannot be compared.
    pub digest: Option<Digest>,
    /// Services that the sender exports and cannot send, with why; not in the digest. At most [`MAX_WITHHELD_TOLD`].
    pub withheld: Vec<(String, String)>,
}

/// Most withheld services that a [`Pulse`] names; with more there is no digest.
pub const MAX_WITHHELD_TOLD: usize = 100;

/// The payload of a [`Response`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The field was not there.
    Absent,
    /// It could not be decoded as what the URL says; the cause.
    Unreadable(String),
    /// One resource.
    Resource(Resource),
}

/// One resource on its way from the exporter to the importer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Non-empty, opaque to the importer.
    pub nonce: String,
    /// The type URL.
    pub url: String,
    /// Names the resource within its type.
    pub id: String,
    /// [`OPERATION_UPSERT`] or something that is refused.
    pub operation: i32,
    /// What it carries.
    pub content: Content,
    /// How many bytes the content had on the wire; 0 on the way out.
    pub bytes: usize,
}

/// The only operation: there is no delete.
pub const OPERATION_UPSERT: i32 = 1;

/// Any message of a stream.
#[derive(Clone, Debug)]
pub enum Message {
    /// First message of the dialer.
    Open(Open),
    /// Subscription, ACK or NACK.
    Request(Request),
    /// A resource.
    Response(Response),
    /// The sender deleted the peering.
    Terminated,
    /// The sender is alive.
    Heartbeat(Option<Pulse>),
    /// No payload, or one of a kind that this version does not know: ignored.
    Empty,
}
