//! The answer of `/v1/agent/self`: as much as Consul's clients and its bootstrap command look at.

use peerway_model::Node;
use serde_json::{Value, json};

/// What the agent says about itself.
#[derive(Clone, Copy, Debug)]
pub struct AgentSelf<'a> {
    /// The local node.
    pub node: &'a Node,
    /// The version of this program.
    pub version: &'a str,
    /// `host:port` that `/v1/status/leader` names.
    pub leader_address: &'a str,
    /// The port of xDS without TLS; `None` when it is off.
    pub xds_plaintext: Option<u16>,
    /// The port of xDS with TLS; `None` when it is off.
    pub xds_tls: Option<u16>,
    /// The Envoy versions that are supported, newest first.
    pub envoy_versions: &'a [&'a str],
}

/// The answer, with exactly the top-level keys that Consul has (client facts, section 2).
pub fn agent_self(about: AgentSelf<'_>) -> Value {
    let node = about.node;
    let id = node.id.clone().unwrap_or_default();
    let name = node.key.name.as_str();
    let datacenter = node.datacenter.as_str();
    // Consul says -1 for a port that is off.
    let port = |port: Option<u16>| port.map_or(-1, i64::from);
    json!({
        "Config": {
            "Datacenter": datacenter,
            "PrimaryDatacenter": datacenter,
            "NodeName": name,
            "NodeID": id,
            "Partition": node.key.partition.as_str(),
            "Server": true,
            "Version": about.version,
        },
        "Coord": null,
        "DebugConfig": {
            "GRPCPort": port(about.xds_plaintext),
            "GRPCTLSPort": port(about.xds_tls),
        },
        "Member": {
            "Name": name,
            "Addr": node.address,
            "Status": 1,
            "Tags": { "dc": datacenter, "id": id, "role": "consul" },
        },
        "Meta": node.meta,
        "Stats": {
            "agent": { "version": about.version },
            "consul": {
                "leader": "true",
                "leader_addr": about.leader_address,
                "known_datacenters": "1",
                "server": "true",
            },
        },
        "xDS": {
            "SupportedProxies": { "envoy": about.envoy_versions },
            "Port": port(about.xds_plaintext),
            "Ports": {
                "Plaintext": port(about.xds_plaintext),
                "TLS": port(about.xds_tls),
            },
        },
    })
}
