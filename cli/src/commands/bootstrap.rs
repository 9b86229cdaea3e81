//! The configuration that an Envoy starts with: who it is and where its control plane is.

use super::observed::Observed;
use super::stat_tags::{self, Source};
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};

/// What a bootstrap needs to know.
pub struct Bootstrap {
    /// Service id of the proxy.
    pub proxy_id: String,
    /// The service that it stands for, or the gateway's own name.
    pub cluster: String,
    /// Node of the catalog that it is registered on.
    pub node_name: String,
    /// Its partition.
    pub partition: String,
    /// Its namespace.
    pub namespace: String,
    /// Name of the cluster that it lives in.
    pub datacenter: String,
    /// Where Envoy's admin interface listens.
    pub admin: SocketAddr,
    /// Where xDS is served, plaintext HTTP/2.
    pub xds: SocketAddr,
    /// What it shows of itself.
    pub observed: Observed,
}

/// Most connections that a proxy accepts before it refuses more, so that a flood cannot exhaust its memory.
const MAX_DOWNSTREAM_CONNECTIONS: u32 = 50_000;

impl Bootstrap {
    /// The bootstrap as JSON (Envoy proto `envoy.config.bootstrap.v3.Bootstrap`).
    pub fn to_json(&self) -> Value {
        let mut bootstrap = self.plain();
        if let Value::Object(members) = &mut bootstrap {
            self.observed.put(members, &address(self.admin));
        }
        bootstrap
    }

    fn plain(&self) -> Value {
        json!({
            "node": {
                "id": self.proxy_id,
                "cluster": self.cluster,
                "metadata": {
                    "node_name": self.node_name,
                    "namespace": self.namespace,
                    "partition": self.partition,
                },
            },
            "admin": { "address": address(self.admin) },
            "stats_config": stat_tags::config(&Source {
                service: &self.cluster,
                namespace: &self.namespace,
                partition: &self.partition,
                datacenter: &self.datacenter,
                tags: &self.observed.tags,
            }),
            // Most of the Envoy clusters that a gateway knows are never called. Finding the labels of statistics that
            // nobody will count takes most of the time in which Envoy takes clusters in.
            "deferred_stat_options": { "enable_deferred_creation_stats": true },
            "layered_runtime": { "layers": [{
                "name": "base",
                "static_layer": { "re2.max_program_size.error_level": 1_048_576 },
            }] },
            "overload_manager": { "resource_monitors": [{
                "name": "envoy.resource_monitors.global_downstream_max_connections",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                    "max_active_downstream_connections": MAX_DOWNSTREAM_CONNECTIONS,
                },
            }] },
            "static_resources": { "clusters": [self.control_plane()] },
            "dynamic_resources": {
                "lds_config": ads(),
                "cds_config": ads(),
                "ads_config": {
                    "api_type": "DELTA_GRPC",
                    "transport_api_version": "V3",
                    "set_node_on_first_message_only": true,
                    "grpc_services": [{ "envoy_grpc": { "cluster_name": "local_agent" } }],
                },
            },
        })
    }

    fn control_plane(&self) -> Value {
        json!({
            "name": "local_agent",
            "type": "STATIC",
            "connect_timeout": "1s",
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": { "http2_protocol_options": {
                        // Notices a control plane that vanished without closing its connections.
                        "connection_keepalive": { "interval": "30s", "timeout": "10s" },
                    } },
                },
            },
            "load_assignment": {
                "cluster_name": "local_agent",
                "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": address(self.xds) } }] }],
            },
        })
    }
}

fn ads() -> Value {
    json!({ "ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s" })
}

pub(super) fn address(addr: SocketAddr) -> Value {
    let ip = match addr.ip() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => ip.to_string(),
    };
    json!({ "socket_address": { "address": ip, "port_value": addr.port() } })
}
