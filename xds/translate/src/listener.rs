//! Listeners.

use crate::dialect::Dialect;
use crate::packed::{address, millis};
use crate::{access_log, authorization, http, tls};
use envoy_types::pb::envoy::config::core::v3::{CidrRange, TrafficDirection, TransportSocket};
use envoy_types::pb::envoy::config::listener::v3::listener::ConnectionBalanceConfig;
use envoy_types::pb::envoy::config::listener::v3::listener::connection_balance_config::{
    BalanceType, ExactBalance,
};
use envoy_types::pb::envoy::config::listener::v3::{
    Filter, FilterChain, FilterChainMatch, Listener as EnvoyListener, ListenerFilter, filter, listener_filter,
};
use envoy_types::pb::envoy::extensions::filters::listener::original_dst::v3::OriginalDst;
use envoy_types::pb::envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector;
use envoy_types::pb::envoy::extensions::filters::network::connection_limit::v3::ConnectionLimit;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::ClusterSpecifier;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::{TcpProxy, UpstreamConnectMode};
use envoy_types::pb::google::protobuf::{UInt32Value, UInt64Value};
use envoy_types::util::pack_any;
use peerway_mesh::{Chain, Direction, Listener, Tcp, Telemetry, Traffic};
use peerway_model::config::Protocol;
use prost::{Message, Name};
use std::net::IpAddr;

/// How long a client may take for its TLS handshake, in milliseconds; Envoy would wait for ever.
const HANDSHAKE_TIMEOUT_MS: u64 = 15_000;
/// How many endpoints are tried for one connection. An instance that was registered a moment before it listens, or
/// that went away a moment before anybody knew, costs a retry and no call. Nothing was sent to the endpoint by then.
const CONNECT_ATTEMPTS: u32 = 4;
/// How much a client may send before the application is connected, in bytes: more waits in the kernel.
const EARLY_BYTES: u32 = 64 << 10;
/// The name of the chain that takes every connection.
const UNMATCHED: &str = "any";

/// `since` tells chains that decide about callers apart from what they were before that revision, each by its place.
pub(crate) fn listener(listener: &Listener, dialect: Dialect, since: &[u64]) -> EnvoyListener {
    let direction = match listener.direction {
        Direction::Inbound => TrafficDirection::Inbound,
        Direction::Outbound => TrafficDirection::Outbound,
        Direction::Unspecified => TrafficDirection::Unspecified,
    };
    let by_name = listener.chains.iter().any(|chain| !chain.server_names.is_empty());
    EnvoyListener {
        name: listener.name.clone(),
        address: Some(address(&listener.address)),
        filter_chains: listener
            .chains
            .iter()
            .zip(since.iter().copied().chain(std::iter::repeat(0)))
            .map(|(own, since)| chain(own, listener, dialect, since))
            .collect(),
        connection_balance_config: listener.intake.exact_balance.then_some(ConnectionBalanceConfig {
            balance_type: Some(BalanceType::ExactBalance(ExactBalance {})),
        }),
        access_log: access_log::of_listener(listener.telemetry.access_log.as_ref()),
        listener_filters: listener
            .redirected
            .then(original_destination)
            .into_iter()
            .chain(by_name.then(tls_inspector))
            .collect(),
        traffic_direction: i32::from(direction),
        ..EnvoyListener::default()
    }
}

/// When a chain decides about a caller. Envoy's RBAC filter looks at a connection only when its first bytes come, and
/// the TCP proxy behind it connects to the application before that: what an application says first would reach a
/// caller that is about to be refused.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Decided {
    /// There is nobody to decide about.
    Never,
    /// At the client's first bytes; the application is not connected before.
    AtFirstBytes,
    /// In the TLS handshake, by the names in the certificate, and again by the filter: where the application speaks
    /// first, or Envoy cannot wait. The handshake cannot leave single callers out of a wildcard, so those are refused
    /// only at their first bytes.
    AtHandshake,
}

impl Decided {
    fn of(tcp: &Tcp, dialect: Dialect) -> Self {
        match (&tcp.policy, dialect) {
            (None, _) => Decided::Never,
            (Some(_), Dialect::From1_37) if !tcp.server_first => Decided::AtFirstBytes,
            (Some(_), _) => Decided::AtHandshake,
        }
    }
}

fn chain(chain: &Chain, listener: &Listener, dialect: Dialect, since: u64) -> FilterChain {
    let telemetry = &listener.telemetry;
    let (last, socket) = match &chain.traffic {
        Traffic::Tcp(tcp) => {
            let decided = Decided::of(tcp, dialect);
            let admitting = decided == Decided::AtHandshake;
            let socket = socket(chain, Protocol::Tcp, admitting);
            (bytes(tcp, &chain.stat_prefix, telemetry, decided), socket)
        }
        Traffic::Http(http) => {
            let manager = http::manager(http, &chain.stat_prefix, telemetry);
            let socket = socket(chain, http.protocol, false);
            (
                vec![filter("envoy.filters.network.http_connection_manager", manager)],
                socket,
            )
        }
    };
    let decides = match &chain.traffic {
        Traffic::Tcp(tcp) => tcp.policy.is_some(),
        Traffic::Http(http) => http.policy.is_some(),
    };
    let mut filters: Vec<Filter> = listener.intake.max_connections.map(at_most).into_iter().collect();
    filters.extend(last);
    let chosen = !chain.server_names.is_empty() || !chain.destinations.is_empty();
    let first = chain.server_names.first().cloned();
    let first = first.or_else(|| chain.destinations.first().map(ToString::to_string));
    let mut name = first.unwrap_or_else(|| UNMATCHED.to_owned());
    if decides && since != 0 {
        name = format!("{name}~{since}");
    }
    FilterChain {
        // Not the place in the list: Envoy drains the connections of a chain that was renamed, and a new neighbour
        // is no reason for that. No two chains of a listener match the same name.
        name,
        filter_chain_match: chosen.then(|| FilterChainMatch {
            server_names: chain.server_names.clone(),
            prefix_ranges: chain.destinations.iter().map(exactly).collect(),
            ..FilterChainMatch::default()
        }),
        filters,
        transport_socket_connect_timeout: socket.as_ref().map(|_| millis(HANDSHAKE_TIMEOUT_MS)),
        transport_socket: socket,
        ..FilterChain::default()
    }
}

/// How a chain ends TLS; `None` passes bytes through.
fn socket(chain: &Chain, protocol: Protocol, admitting: bool) -> Option<TransportSocket> {
    match (&chain.tls, &chain.serving) {
        (Some(own), _) => Some(tls::downstream(own, protocol, admitting)),
        (None, Some(own)) => Some(tls::serving(own, protocol)),
        (None, None) => None,
    }
}

/// The one builder of TCP chains: who may pass always comes before where it goes.
fn bytes(tcp: &Tcp, stat_prefix: &str, telemetry: &Telemetry, decided: Decided) -> Vec<Filter> {
    let mut filters = Vec::new();
    if let Some(policy) = &tcp.policy {
        filters.push(Filter {
            name: policy.clone(),
            config_type: Some(filter::ConfigType::ConfigDiscovery(
                authorization::discovered_connections(),
            )),
        });
    }
    let mut proxy = TcpProxy {
        stat_prefix: stat_prefix.to_owned(),
        cluster_specifier: Some(ClusterSpecifier::Cluster(tcp.cluster.clone())),
        max_connect_attempts: Some(UInt32Value {
            value: CONNECT_ATTEMPTS,
        }),
        access_log: access_log::of_chain(telemetry.access_log.as_ref()),
        ..TcpProxy::default()
    };
    if decided == Decided::AtFirstBytes {
        proxy.upstream_connect_mode = i32::from(UpstreamConnectMode::OnDownstreamData);
        proxy.max_early_data_bytes = Some(UInt32Value { value: EARLY_BYTES });
    }
    filters.push(filter("envoy.filters.network.tcp_proxy", proxy));
    filters
}

/// Closes connections beyond so many.
fn at_most(connections: u32) -> Filter {
    filter(
        "envoy.filters.network.connection_limit",
        ConnectionLimit {
            stat_prefix: "inbound_connection_limit".to_owned(),
            max_connections: Some(UInt64Value {
                value: u64::from(connections),
            }),
            ..ConnectionLimit::default()
        },
    )
}

fn filter<M: Message + Name>(name: &str, config: M) -> Filter {
    Filter {
        name: name.to_owned(),
        config_type: Some(filter::ConfigType::TypedConfig(pack_any(config))),
    }
}

/// A range of one address.
fn exactly(address: &IpAddr) -> CidrRange {
    CidrRange {
        address_prefix: address.to_string(),
        prefix_len: Some(UInt32Value {
            value: if address.is_ipv4() { 32 } else { 128 },
        }),
    }
}

/// Asks the kernel where a redirected connection was going.
fn original_destination() -> ListenerFilter {
    ListenerFilter {
        name: "envoy.filters.listener.original_dst".to_owned(),
        config_type: Some(listener_filter::ConfigType::TypedConfig(pack_any(
            OriginalDst::default(),
        ))),
        ..ListenerFilter::default()
    }
}

fn tls_inspector() -> ListenerFilter {
    ListenerFilter {
        name: "envoy.filters.listener.tls_inspector".to_owned(),
        config_type: Some(listener_filter::ConfigType::TypedConfig(pack_any(
            TlsInspector::default(),
        ))),
        ..ListenerFilter::default()
    }
}
