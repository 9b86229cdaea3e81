//! What the room counts.

use peerway_model::SpiffeId;
use peerway_runtime::telemetry::{self, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use std::sync::LazyLock;

/// Leaves issued, by kind of identity.
pub(crate) static ISSUED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    telemetry::counter_vec(
        "peerway_certs_issued_leaves_total",
        "leaf certificates issued",
        &["kind"],
    )
});

/// Leaves that could not be issued.
pub(crate) static FAILED: LazyLock<IntCounter> = LazyLock::new(|| {
    telemetry::counter(
        "peerway_certs_issue_failures_total",
        "leaf certificates that could not be issued",
    )
});

/// Requests that were refused: a foreign identity, or too many of them.
pub(crate) static REFUSED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    telemetry::counter_vec(
        "peerway_certs_refusals_total",
        "requests for a leaf that were refused",
        &["reason"],
    )
});

/// Identities whose leaf is held.
pub(crate) static IDENTITIES: LazyLock<IntGauge> = LazyLock::new(|| {
    telemetry::gauge(
        "peerway_certs_identities",
        "identities whose leaf certificate is kept",
    )
});

/// The end of the active root.
pub(crate) static ROOT_EXPIRY: LazyLock<IntGauge> = LazyLock::new(|| {
    telemetry::gauge(
        "peerway_certs_root_expiry_timestamp_seconds",
        "end of the active root certificate, seconds since 1970",
    )
});

/// Rotations of the root that came to their end.
pub(crate) static ROTATIONS: LazyLock<IntCounter> = LazyLock::new(|| {
    telemetry::counter(
        "peerway_certs_rotations_total",
        "rotations of the root certificate that came to their end",
    )
});

/// The phase of the rotation that is under way.
pub(crate) static ROTATION_PHASE: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    telemetry::gauge_vec(
        "peerway_certs_rotation_info",
        "1 for the phase of the rotation that is under way",
        &["phase"],
    )
});

/// Whom the rotation waits for.
pub(crate) static ROTATION_MISSING: LazyLock<IntGauge> = LazyLock::new(|| {
    telemetry::gauge(
        "peerway_certs_missing_witnesses",
        "proxies, peers and others that the rotation under way waits for",
    )
});

/// The label of an identity's kind.
pub(crate) fn kind(identity: &SpiffeId) -> &'static str {
    match identity {
        SpiffeId::Service { .. } => "service",
        SpiffeId::MeshGateway { .. } => "mesh_gateway",
        SpiffeId::Server { .. } => "server",
    }
}
