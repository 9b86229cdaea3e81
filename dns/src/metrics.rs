//! The metrics of this room.

use peerway_runtime::telemetry::{IntCounterVec, IntGauge, counter_vec, gauge};
use std::sync::LazyLock;

pub(crate) static QUERIES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "peerway_dns_queries_total",
        "Questions, by how they came and what came of them.",
        &["transport", "outcome"],
    )
});
pub(crate) static CONNECTIONS: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge(
        "peerway_dns_connections",
        "Connections over which questions may come.",
    )
});
