//! Bounds on what Envoys may cost.

use std::time::Duration;

/// Most streams that are open at a time. A server of one process cannot hold more connections with the usual limit
/// on open files.
pub const MAX_STREAMS: usize = 20_000;
/// Longest request, in bytes. A full mesh gateway reconnects with 65,536 names and versions.
pub const MAX_REQUEST_BYTES: usize = 16 * 1024 * 1024;
/// Longest `node.id`, `metadata.node_name` and `metadata.partition`, in bytes.
pub const MAX_NODE_ID_BYTES: usize = 256;
/// Responses of a stream that wait for the transport. One of each kind may be unanswered, so an honest client never
/// fills this.
pub const OUTBOUND_QUEUE: usize = 8;
/// How long a stream may stay open before it says who it is.
pub const NODE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a proxy that was refused a certificate waits until it is asked for again: what the stream was told may be
/// older or newer than what decides.
pub const LEAF_RETRY: Duration = Duration::from_secs(1);
/// Streams that wait for the pump to hear of them; more wait for a place.
pub const WATCH_QUEUE: usize = 1024;
/// How often proxies that nobody asks for any more are let go. Until then a proxy that reconnects finds all ready.
pub const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// Proxies that are published to before streams get a turn to send.
pub const PUBLISH_BATCH: usize = 64;
/// Publications that a proxy has not answered for and that are told apart; more are answered together.
pub const MAX_UNANSWERED: usize = 16;
/// Resources that a proxy refuses and that a receipt or a report names; more are left out.
pub const MAX_REFUSALS_SHOWN: usize = 16;
/// Resources of a refused response that are kept for the status; more are left out.
pub const MAX_NACK_RESOURCES: usize = 16;
