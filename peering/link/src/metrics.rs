//! What the peering room counts. The labels `partition` and `peer` are as many as there are peerings, which only
//! operators create; they go away with the peering.

use crate::status::StreamStatus;
use peerway_model::{PeeringKey, PeeringState};
use peerway_peering_protocol::{ResourceType, State};
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
static RESYNCS: LazyLock<IntCounter> = LazyLock::new(|| {
    counter(
        "peerway_peering_resyncs_total",
        "Times that everything was asked of a peer anew because what is held had diverged.",
    )
});
static FRESHNESS: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge_vec(
        "peerway_peering_freshness_info",
        "1 for the state of what is held of a peer.",
        &["partition", "peer", "state"],
    )
});
static PROVEN_AGE: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge_vec(
        "peerway_peering_age_seconds",
        "Time since what is held of a peer was last proven to be what it exports; absent before the first proof.",
        &["partition", "peer"],
    )
});
static STALE: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge_vec(
        "peerway_peering_stale_info",
        "1 while what is held of a peer is too old, so that others stand in for its services; else absent.",
        &["partition", "peer"],
    )
});
static ITEMS: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge_vec(
        "peerway_peering_unapplied_items",
        "What is exported and not held by the other side, by reason; each is counted up to 100.",
        &["partition", "peer", "reason"],
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

pub(crate) fn resync() {
    RESYNCS.inc();
}

pub(crate) fn received() {
    MESSAGES.with_label_values(&["in"]).inc();
}

pub(crate) fn refused(kind: Option<ResourceType>) {
    let kind = kind.map_or("unknown", ResourceType::as_str);
    REFUSED.with_label_values(&[kind]).inc();
}

pub(crate) fn states(counts: &BTreeMap<&'static str, i64>) {
    for state in PeeringState::ALL {
        let count = counts.get(state.as_str()).copied().unwrap_or(0);
        PEERINGS.with_label_values(&[state.as_str()]).set(count);
    }
}

/// Which side misses what, and why.
const REASONS: [&str; 4] = ["refused", "diverged", "refused_by_peer", "withheld"];

pub(crate) fn peer(key: &PeeringKey, status: &StreamStatus) {
    let [partition, peer] = [key.partition.as_str(), key.name.as_str()];
    let labels = [partition, peer];
    CONNECTED
        .with_label_values(&labels)
        .set(i64::from(status.connected));
    let seconds = |age: Duration| i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
    if let Some(age) = status.applied_age {
        AGE.with_label_values(&labels).set(seconds(age));
    }
    let Some(judgement) = &status.judgement else {
        return;
    };
    for state in State::ALL {
        FRESHNESS
            .with_label_values(&[partition, peer, state.as_str()])
            .set(i64::from(judgement.state == state));
    }
    if let Some(age) = judgement.age {
        PROVEN_AGE.with_label_values(&labels).set(seconds(age));
    }
    let freshness = &status.freshness;
    let counts = [
        freshness.refused.len(),
        freshness.diverged.len(),
        freshness.delivery.rejected.len(),
        freshness.withheld.len(),
    ];
    for (reason, count) in REASONS.iter().zip(counts) {
        ITEMS
            .with_label_values(&[partition, peer, reason])
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

pub(crate) fn stale(key: &PeeringKey, stale: bool) {
    let labels = [key.partition.as_str(), key.name.as_str()];
    match stale {
        true => STALE.with_label_values(&labels).set(1),
        // The peering may be gone; absent already is fine.
        false => {
            let _ = STALE.remove_label_values(&labels);
        }
    }
}

pub(crate) fn forget(key: &PeeringKey) {
    let labels = [key.partition.as_str(), key.name.as_str()];
    // Absent already is fine.
    let _ = CONNECTED.remove_label_values(&labels);
    let _ = AGE.remove_label_values(&labels);
    let _ = PROVEN_AGE.remove_label_values(&labels);
    let _ = STALE.remove_label_values(&labels);
    let [partition, peer] = labels;
    for state in State::ALL {
        let _ = FRESHNESS.remove_label_values(&[partition, peer, state.as_str()]);
    }
    for reason in REASONS {
        let _ = ITEMS.remove_label_values(&[partition, peer, reason]);
    }
}
