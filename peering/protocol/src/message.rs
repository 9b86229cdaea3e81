//! The messages of a stream in inner types; `peering/link` turns them into protobuf and back (wire facts, section 3).

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
}

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
    Heartbeat,
    /// No payload, or one of a kind that this version does not know: ignored.
    Empty,
}
