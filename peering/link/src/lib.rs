//! Peering with I/O: dials and accepts, carries messages, exports from snapshots and imports into transactions.
//!
//! [`Link`] runs everything and is what the composition root makes; its methods are also what operators do:
//! generate a token, establish, delete. [`PeerStreamServer`] is the gRPC service to put on the peering endpoint.

mod accept;
mod admission;
mod age;
mod dial;
mod dialer;
pub mod exporter;
pub mod grpc;
mod holdings;
mod importer;
mod introduction;
mod link;
mod metrics;
mod occasion;
mod pump;
mod reach;
mod records;
mod redial;
mod report;
mod status;
mod stream;
mod table;
mod turns;
mod wire;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

pub use accept::OPEN_TIMEOUT;
pub use age::{LOOK_EVERY, MIN_STALE_AFTER, STALE_AFTER, Stale};
pub use dial::{CONNECT_TIMEOUT, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, STREAM_TIMEOUT};
pub use grpc::{MAX_MESSAGE_BYTES, PeerStreamServer};
pub use importer::MAX_NAMES_PER_PEER;
pub use introduction::order::MAX_TOKEN_TTL;
pub use introduction::{
    EXCHANGE_BUDGET, GATEWAY_EXCHANGE_BUDGET, IntroductionError, Issued, Selection, TokenOrder,
};
pub use link::{ImportPolicy, Link, LinkConfig};
pub use peerway_peering_protocol::admit::MAX_SERVICES;
pub use peerway_peering_protocol::{ImportLimits, NameFilter, NamePattern};
pub use pump::{MAX_UNANSWERED, MAX_WAITING_MESSAGES};
pub use status::StreamStatus;
pub use turns::IMPORTS_AT_ONCE;

/// The decisions of this room without I/O, for another driver than [`Link`]: the simulation in `tests/sim` puts a
/// simulated network and clock around them. Whoever commits a transaction from here starts over on a conflict, at most
/// [`MAX_CONFLICTS`](parts::MAX_CONFLICTS) times.
pub mod parts {
    pub use crate::admission::{Admitted, admit, exchange};
    pub use crate::dial::Target;
    pub use crate::importer::plan as import;
    pub use crate::introduction::claim::{Claim, Claims};
    pub use crate::introduction::issue::{revocation, token};
    pub use crate::introduction::rows::{check, deletion, established};
    pub use crate::occasion::Occasion;
    pub use crate::pump::{Pump, Setup, Task, Wish};
    pub use crate::records::{MAX_CONFLICTS, removal, terminated};
    pub use crate::redial::{HEALTHY_AFTER, Plan, Redial, concerns};
    pub use crate::table::{Handle, Table, Wanted, wanted};
    pub use crate::wire::{from_bytes, to_bytes};
}
