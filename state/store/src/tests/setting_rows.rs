//! Generated settings of services and meshes, with every field in use.

use super::rows::{gateway_mode, namespace, partition, peer_name, service_name};
use peerway_model::config::{
    CipherSuite, Inbound, Limits, MeshTls, PassiveHealthCheck, TlsBounds, TlsVersion, UpstreamOverride,
    UpstreamSettings, Upstreams,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

pub(super) fn inbound() -> impl Strategy<Value = Inbound> {
    (
        any::<Option<u32>>(),
        any::<Option<u64>>(),
        any::<Option<u64>>(),
        any::<bool>(),
    )
        .prop_map(
            |(max_connections, connect_timeout_ms, request_timeout_ms, exact_balance)| Inbound {
                max_connections,
                connect_timeout_ms,
                request_timeout_ms,
                exact_balance,
            },
        )
}

pub(super) fn limits() -> impl Strategy<Value = Limits> {
    any::<[Option<u32>; 3]>().prop_map(
        |[max_connections, max_pending_requests, max_concurrent_requests]| Limits {
            max_connections,
            max_pending_requests,
            max_concurrent_requests,
        },
    )
}

pub(super) fn passive_health_check() -> impl Strategy<Value = PassiveHealthCheck> {
    (any::<[Option<u64>; 2]>(), any::<[Option<u32>; 3]>()).prop_map(
        |(
            [interval_ms, base_ejection_ms],
            [max_failures, enforcing_consecutive_5xx, max_ejection_percent],
        )| PassiveHealthCheck {
            interval_ms,
            max_failures,
            enforcing_consecutive_5xx,
            max_ejection_percent,
            base_ejection_ms,
        },
    )
}

fn upstream_settings() -> impl Strategy<Value = UpstreamSettings> {
    (
        any::<Option<u64>>(),
        option::of(limits()),
        option::of(passive_health_check()),
        option::of(gateway_mode()),
        any::<bool>(),
    )
        .prop_map(
            |(connect_timeout_ms, limits, passive_health_check, mesh_gateway, exact_balance)| {
                UpstreamSettings {
                    connect_timeout_ms,
                    limits,
                    passive_health_check,
                    mesh_gateway,
                    exact_balance,
                }
            },
        )
}

fn upstream_override() -> impl Strategy<Value = UpstreamOverride> {
    (
        service_name(),
        namespace(),
        partition(),
        option::of(peer_name()),
        upstream_settings(),
    )
        .prop_map(|(name, namespace, partition, peer, settings)| UpstreamOverride {
            name,
            namespace,
            partition,
            peer,
            settings,
        })
}

pub(super) fn upstreams() -> impl Strategy<Value = Upstreams> {
    (upstream_settings(), vec(upstream_override(), 0..3))
        .prop_map(|(defaults, overrides)| Upstreams { defaults, overrides })
}

pub(super) fn bounds() -> impl Strategy<Value = TlsBounds> {
    let version = || option::of(select(TlsVersion::ALL.to_vec()));
    let ciphers = subsequence(CipherSuite::ALL.to_vec(), 0..=CipherSuite::ALL.len());
    (version(), version(), ciphers).prop_map(|(min, max, ciphers)| TlsBounds { min, max, ciphers })
}

pub(super) fn mesh_tls() -> impl Strategy<Value = MeshTls> {
    (bounds(), bounds()).prop_map(|(incoming, outgoing)| MeshTls { incoming, outgoing })
}
