//! Envoy clusters.

use crate::packed::{millis, number};
use crate::{endpoints, source, tls};
use envoy_types::pb::envoy::config::cluster::v3::circuit_breakers::Thresholds;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, CommonLbConfig, CustomClusterType, DiscoveryType, DnsLookupFamily,
    EdsClusterConfig, LbConfig, LbPolicy, LeastRequestLbConfig, RingHashLbConfig,
};
use envoy_types::pb::envoy::config::cluster::v3::{
    CircuitBreakers, Cluster as EnvoyCluster, OutlierDetection, UpstreamConnectionOptions,
};
use envoy_types::pb::envoy::config::core::v3::{Http2ProtocolOptions, TcpKeepalive};
use envoy_types::pb::envoy::extensions::clusters::aggregate::v3::ClusterConfig as Aggregate;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::explicit_http_config::ProtocolConfig;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::{
    ExplicitHttpConfig, UpstreamProtocolOptions,
};
use envoy_types::pb::envoy::r#type::v3::Percent;
use envoy_types::pb::google::protobuf::UInt64Value;
use envoy_types::util::pack_any;
use peerway_mesh::{Cluster, Discovery};
use peerway_model::config::{Balance, Limits, PassiveHealthCheck};

/// Envoy's key of what an Envoy cluster speaks.
const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
/// How often ejected endpoints are looked at, in milliseconds.
const EJECTION_SWEEP_MS: u64 = 1_000;
/// How long an endpoint is ejected that was not before; each time in a row adds as much again. In milliseconds.
const FIRST_EJECTION_MS: u64 = 2_000;
/// Longest ejection, in milliseconds.
const LONGEST_EJECTION_MS: u64 = 30_000;
/// Idle time before the first probe of a connection that leaves the cluster, in seconds.
const KEEPALIVE_TIME_SECONDS: u32 = 60;
/// Time between two probes, in seconds.
const KEEPALIVE_INTERVAL_SECONDS: u32 = 10;
/// Probes without an answer after which a connection is given up.
const KEEPALIVE_PROBES: u32 = 3;

pub(crate) fn cluster(cluster: &Cluster) -> EnvoyCluster {
    let mut message = EnvoyCluster {
        name: cluster.name.clone(),
        connect_timeout: Some(millis(cluster.connect_timeout_ms)),
        circuit_breakers: limits(&cluster.terms.limits),
        outlier_detection: cluster
            .max_ejection_percent
            .map(|percent| outliers(percent, &cluster.terms.passive)),
        transport_socket: cluster
            .tls
            .as_ref()
            .map(|own| tls::upstream(own, cluster.protocol))
            .or_else(|| {
                let outside = cluster.outside_tls.as_ref();
                outside.map(|own| tls::outside(own, cluster.protocol))
            }),
        upstream_connection_options: cluster.keepalive.then(keepalive),
        ..EnvoyCluster::default()
    };
    if cluster.protocol.is_http2() {
        // Without it Envoy speaks HTTP/1.1, whatever the other side would understand.
        message
            .typed_extension_protocol_options
            .insert(HTTP_OPTIONS.to_owned(), pack_any(http2()));
    }
    let discovery = match &cluster.discovery {
        Discovery::Static(to) => {
            message.load_assignment = Some(endpoints::single(&cluster.name, to));
            DiscoveryType::Static
        }
        Discovery::Eds => {
            message.eds_cluster_config = Some(EdsClusterConfig {
                eds_config: Some(source::ads()),
                ..EdsClusterConfig::default()
            });
            message.common_lb_config = Some(no_panic());
            DiscoveryType::Eds
        }
        Discovery::OriginalDestination => {
            message.lb_policy = i32::from(LbPolicy::ClusterProvided);
            DiscoveryType::OriginalDst
        }
        Discovery::Members(members) => {
            // Envoy looks at the endpoints of all of them in order, and takes one of the first that has any which are
            // well. Each keeps its own TLS, so what stands in may be anybody.
            message.cluster_discovery_type = Some(ClusterDiscoveryType::ClusterType(CustomClusterType {
                name: "envoy.clusters.aggregate".to_owned(),
                typed_config: Some(pack_any(Aggregate {
                    clusters: members.clone(),
                })),
            }));
            message.common_lb_config = Some(no_panic());
            message.lb_policy = i32::from(LbPolicy::ClusterProvided);
            return message;
        }
        Discovery::DnsOnDemand(to) => {
            message.load_assignment = Some(endpoints::single(&cluster.name, to));
            message.dns_lookup_family = i32::from(DnsLookupFamily::All);
            DiscoveryType::LogicalDns
        }
        Discovery::Dns(members) => {
            // All of them: a cluster of the type LOGICAL_DNS takes one, and is refused with two.
            message.load_assignment = Some(endpoints::assigned(&cluster.name, members));
            message.common_lb_config = Some(no_panic());
            // Both families, raced: neither an IPv4-only nor an IPv6-only gateway is out of reach.
            message.dns_lookup_family = i32::from(DnsLookupFamily::All);
            DiscoveryType::StrictDns
        }
    };
    message.cluster_discovery_type = Some(ClusterDiscoveryType::Type(i32::from(discovery)));
    if let Some(rule) = cluster.balance {
        balance(&mut message, rule);
    }
    message
}

fn balance(message: &mut EnvoyCluster, rule: Balance) {
    let policy = match rule {
        Balance::Random => LbPolicy::Random,
        Balance::RoundRobin => LbPolicy::RoundRobin,
        Balance::Maglev => LbPolicy::Maglev,
        Balance::LeastRequest { choices } => {
            message.lb_config = choices.map(|count| {
                LbConfig::LeastRequestLbConfig(LeastRequestLbConfig {
                    choice_count: Some(number(count)),
                    ..LeastRequestLbConfig::default()
                })
            });
            LbPolicy::LeastRequest
        }
        Balance::RingHash { minimum, maximum } => {
            message.lb_config = Some(LbConfig::RingHashLbConfig(RingHashLbConfig {
                minimum_ring_size: minimum.map(|value| UInt64Value { value }),
                maximum_ring_size: maximum.map(|value| UInt64Value { value }),
                ..RingHashLbConfig::default()
            }));
            LbPolicy::RingHash
        }
    };
    message.lb_policy = i32::from(policy);
}

/// Takes endpoints out that fail, and gives them another chance soon: with Envoy's default of 30 s the restart of a
/// peer's only gateway, which takes one, would cost its callers half a minute. Who fails again waits longer each time.
fn outliers(max_ejection_percent: u32, asked: &PassiveHealthCheck) -> OutlierDetection {
    let first = asked.base_ejection_ms.unwrap_or(FIRST_EJECTION_MS);
    OutlierDetection {
        max_ejection_percent: Some(number(max_ejection_percent)),
        interval: Some(millis(asked.interval_ms.unwrap_or(EJECTION_SWEEP_MS))),
        base_ejection_time: Some(millis(first)),
        // Envoy refuses a longest ejection that is shorter than the first.
        max_ejection_time: Some(millis(LONGEST_EJECTION_MS.max(first))),
        consecutive_5xx: asked.max_failures.map(number),
        enforcing_consecutive_5xx: asked.enforcing_consecutive_5xx.map(number),
        ..OutlierDetection::default()
    }
}

/// `None` where nothing is said: Envoy has limits of its own.
fn limits(asked: &Limits) -> Option<CircuitBreakers> {
    if *asked == Limits::default() {
        return None;
    }
    let Limits {
        max_connections,
        max_pending_requests,
        max_concurrent_requests,
    } = *asked;
    Some(CircuitBreakers {
        thresholds: vec![Thresholds {
            max_connections: max_connections.map(number),
            max_pending_requests: max_pending_requests.map(number),
            max_requests: max_concurrent_requests.map(number),
            ..Thresholds::default()
        }],
        ..CircuitBreakers::default()
    })
}

fn http2() -> HttpProtocolOptions {
    HttpProtocolOptions {
        upstream_protocol_options: Some(UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig {
            protocol_config: Some(ProtocolConfig::Http2ProtocolOptions(
                Http2ProtocolOptions::default(),
            )),
        })),
        ..HttpProtocolOptions::default()
    }
}

/// Never sends to endpoints that are known to be bad, however few are left: their health is the verdict of checks
/// and not a guess of this proxy. It counts at once: Envoy would keep a verdict from its workers for a second when
/// there was another one a moment before.
fn no_panic() -> CommonLbConfig {
    CommonLbConfig {
        healthy_panic_threshold: Some(Percent { value: 0.0 }),
        update_merge_window: Some(millis(0)),
        ..CommonLbConfig::default()
    }
}

fn keepalive() -> UpstreamConnectionOptions {
    UpstreamConnectionOptions {
        tcp_keepalive: Some(TcpKeepalive {
            keepalive_probes: Some(number(KEEPALIVE_PROBES)),
            keepalive_time: Some(number(KEEPALIVE_TIME_SECONDS)),
            keepalive_interval: Some(number(KEEPALIVE_INTERVAL_SECONDS)),
        }),
        ..UpstreamConnectionOptions::default()
    }
}
