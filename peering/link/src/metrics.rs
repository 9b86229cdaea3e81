//! What the peering room counts. The labels `partition` and `peer` are as many as there are peerings, which only
//! operators create; they go away with the peering.

use peerway_model::{PeeringKey, PeeringState};
use peerway_peering_protocol::ResourceType;
use peerway_runtime::telemetry::{counter, counter_vec, gauge_vec};
use prometheus::{IntCounter, IntCounterVec, IntGaugeVec};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

static MESSAGES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "peerway_peering_messages_total",
        "Messages on peering streams, by direction.",
        &["direction"],
    )
});
static REFUSED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "peerway_peering_refused_resources_total",
        "Resources from peers that were not imported, by type.",
        &["type"],
    )
});
static TOO_BIG: LazyLock<IntCounter> = LazyLock::new(|| {
    counter(
        "peerway_peering_oversized_resources_total",
        "Resources that were not exported because one message cannot hold them.",
    )
});
static PEERINGS: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge_vec(
        "peerway_peering_peerings",
        "Peerings by state, as an operator sees it.",
        &["state"],
    )
});
static CONNECTED: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge_vec(
        "peerway_peering_connected_streams",
        "1 while the stream of a peering is connected, else 0.",
        &["partition", "peer"],
    )
});
static AGE: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge_vec(
        "peerway_peering_last_applied_age_seconds",
        "Time since something from a peer was last applied; absent before the first.",
        &["partition", "peer"],
    )
});

pub(crate) fn sent() {
    MESSAGES.with_label_values(&["out"]).inc();
}

pub(crate) fn too_big() {
    TOO_BIG.inc();
}

pub(crate) fn received() {
    MESSAGES.with_label_values(&["in"]).inc();
}

pub(crate) fn refused(kind: ResourceType) {
    REFUSED.with_label_values(&[kind.as_str()]).inc();
}

pub(crate) fn states(counts: &BTreeMap<&'static str, i64>) {
    for state in PeeringState::ALL {
        let count = counts.get(state.as_str()).copied().unwrap_or(0);
        PEERINGS.with_label_values(&[state.as_str()]).set(count);
    }
}

pub(crate) fn peer(key: &PeeringKey, connected: bool, age: Option<Duration>) {
    let labels = [key.partition.as_str(), key.name.as_str()];
    CONNECTED.with_label_values(&labels).set(i64::from(connected));
    if let Some(age) = age {
        AGE.with_label_values(&labels)
            .set(i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
    }
}

pub(crate) fn forget(key: &PeeringKey) {
    let labels = [key.partition.as_str(), key.name.as_str()];
    // Absent already is fine.
    let _ = CONNECTED.remove_label_values(&labels);
    let _ = AGE.remove_label_values(&labels);
}
