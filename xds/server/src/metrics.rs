//! The metrics of this room.

use peerway_model::ServiceKind;
use peerway_runtime::telemetry::{
    Histogram, IntCounter, IntCounterVec, IntGaugeVec, counter, counter_vec, gauge_vec, histogram,
};
use std::sync::LazyLock;

/// Upper bounds of the time from a change to the last ACK, in seconds.
const ACK_SECONDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0,
];

pub(crate) static STREAMS: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge_vec(
        "peerway_xds_streams",
        "Streams of proxies that are registered, by kind of proxy.",
        &["kind"],
    )
});
pub(crate) static PUSHES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "peerway_xds_pushes_total",
        "Responses sent, by resource type.",
        &["type"],
    )
});
pub(crate) static ACKS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "peerway_xds_acks_total",
        "Responses accepted, by resource type.",
        &["type"],
    )
});
pub(crate) static NACKS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "peerway_xds_nacks_total",
        "Responses refused, by resource type.",
        &["type"],
    )
});
pub(crate) static CHANGE_TO_ACK: LazyLock<Histogram> = LazyLock::new(|| {
    histogram(
        "peerway_xds_change_to_ack_seconds",
        "Time from a change until a proxy that it concerns has answered for all of it.",
        &ACK_SECONDS,
    )
});
pub(crate) static ENCODES: LazyLock<IntCounter> =
    LazyLock::new(|| counter("peerway_xds_encodes_total", "Fragments translated and encoded."));

/// The label of a proxy in `peerway_xds_streams`.
pub(crate) fn proxy_kind(kind: ServiceKind) -> &'static str {
    match kind {
        ServiceKind::MeshGateway => "mesh_gateway",
        ServiceKind::TerminatingGateway => "terminating_gateway",
        ServiceKind::IngressGateway => "ingress_gateway",
        ServiceKind::ApiGateway => "api_gateway",
        ServiceKind::ConnectProxy | ServiceKind::Typical => "connect_proxy",
    }
}
