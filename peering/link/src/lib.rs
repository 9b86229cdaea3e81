//! Peering with I/O: dials and accepts, carries messages, exports from snapshots and imports into transactions.
//!
//! [`Link`] runs everything and is what the composition root makes; its methods are also what operators do:
//! generate a token, establish, delete. [`PeerStreamServer`] is the gRPC service to put on the peering endpoint.

mod accept;
mod dial;
mod dialer;
pub mod exporter;
pub mod grpc;
mod importer;
mod introduction;
mod link;
mod metrics;
mod records;
mod status;
mod stream;
mod wire;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

pub use accept::OPEN_TIMEOUT;
pub use dial::{CONNECT_TIMEOUT, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, STREAM_TIMEOUT};
pub use grpc::{MAX_MESSAGE_BYTES, PeerStreamServer};
pub use importer::MAX_NAMES_PER_PEER;
pub use introduction::{EXCHANGE_BUDGET, IntroductionError};
pub use link::{Link, LinkConfig};
pub use status::StreamStatus;
pub use stream::MAX_WAITING_MESSAGES;
