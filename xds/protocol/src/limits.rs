//! Bounds on what a client may make the stream remember.

use std::fmt;

use crate::kind::Kind;

/// Most names in one request, in each of its lists. A full mesh gateway reconnects with tens of thousands.
pub const MAX_NAMES_PER_REQUEST: usize = 65_536;
/// Most names that one stream may subscribe to, per kind.
pub const MAX_SUBSCRIPTIONS_PER_KIND: usize = 65_536;
/// Longest resource name, version or nonce in a request, in bytes. Our own names stay below 400.
pub const MAX_NAME_BYTES: usize = 1_024;
/// Longest reason of a refusal that is kept, in bytes; the rest is cut off.
pub const MAX_NACK_MESSAGE_BYTES: usize = 2_048;

/// Bounds of one stream; the default takes the constants of this crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most names in each list of one request.
    pub names_per_request: usize,
    /// Most names that may be subscribed at a time, per kind.
    pub subscriptions_per_kind: usize,
    /// Longest name, version or nonce, in bytes.
    pub name_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            names_per_request: MAX_NAMES_PER_REQUEST,
            subscriptions_per_kind: MAX_SUBSCRIPTIONS_PER_KIND,
            name_bytes: MAX_NAME_BYTES,
        }
    }
}

/// A request that no honest client sends. The stream is to be ended with `InvalidArgument`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A list of the request has too many names.
    TooManyNames {
        /// The kind of the request.
        kind: Kind,
        /// The field of the request.
        field: &'static str,
        /// How many it has.
        count: usize,
        /// How many it may have.
        limit: usize,
    },
    /// The stream would subscribe to too many names of a kind.
    TooManySubscriptions {
        /// The kind of the request.
        kind: Kind,
        /// How many names may be subscribed.
        limit: usize,
    },
    /// A name, version or nonce is too long.
    TooLong {
        /// The kind of the request.
        kind: Kind,
        /// The field of the request.
        field: &'static str,
        /// Its length in bytes.
        bytes: usize,
        /// The longest length in bytes.
        limit: usize,
    },
    /// A name is the empty string.
    EmptyName {
        /// The kind of the request.
        kind: Kind,
        /// The field of the request.
        field: &'static str,
    },
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyNames {
                kind,
                field,
                count,
                limit,
            } => write!(
                out,
                "{field} of a {} request has {count} names, names_per_request allows {limit}; split the request",
                kind.label()
            ),
            Self::TooManySubscriptions { kind, limit } => write!(
                out,
                "too many {} names subscribed, subscriptions_per_kind allows {limit}; unsubscribe some or use `*`",
                kind.label()
            ),
            Self::TooLong {
                kind,
                field,
                bytes,
                limit,
            } => write!(
                out,
                "an item of {field} in a {} request has {bytes} bytes, name_bytes allows {limit}; shorten it",
                kind.label()
            ),
            Self::EmptyName { kind, field } => {
                write!(
                    out,
                    "an empty name in {field} of a {} request; leave it out",
                    kind.label()
                )
            }
        }
    }
}

impl std::error::Error for ProtocolError {}
