//! The messages with their field numbers. Names follow the wire facts.

use std::collections::BTreeMap;
use std::fmt;

/// Hides a field that holds a secret.
macro_rules! silent {
    ($type:ident) => {
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($type), "(..)"))
            }
        }
    };
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct ExchangeSecretRequest {
    #[prost(string, tag = "1")]
    pub(crate) peer_id: String,
    #[prost(string, tag = "2")]
    pub(crate) establishment_secret: String,
}
silent!(ExchangeSecretRequest);

#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct ExchangeSecretResponse {
    #[prost(string, tag = "1")]
    pub(crate) stream_secret: String,
}
silent!(ExchangeSecretResponse);

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ReplicationMessage {
    #[prost(oneof = "Payload", tags = "1, 2, 3, 4, 5")]
    pub(crate) payload: Option<Payload>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Payload {
    #[prost(message, tag = "1")]
    Open(Open),
    #[prost(message, tag = "2")]
    Request(Request),
    #[prost(message, tag = "3")]
    Response(Response),
    #[prost(message, tag = "4")]
    Terminated(Nothing),
    #[prost(message, tag = "5")]
    Heartbeat(Heartbeat),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Nothing {}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct Open {
    #[prost(string, tag = "1")]
    pub(crate) peer_id: String,
    #[prost(string, tag = "2")]
    pub(crate) stream_secret_id: String,
    #[prost(message, optional, tag = "3")]
    pub(crate) remote: Option<RemoteInfo>,
}
silent!(Open);

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RemoteInfo {
    #[prost(string, tag = "1")]
    pub(crate) partition: String,
    #[prost(string, tag = "2")]
    pub(crate) datacenter: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Request {
    #[prost(string, tag = "1")]
    pub(crate) peer_id: String,
    #[prost(string, tag = "2")]
    pub(crate) response_nonce: String,
    #[prost(string, tag = "3")]
    pub(crate) resource_url: String,
    #[prost(message, optional, tag = "5")]
    pub(crate) error: Option<Status>,
    /// Not in Consul, like the next: see the protocol's `Request`.
    #[prost(uint32, tag = "8503")]
    pub(crate) digests: u32,
    #[prost(bool, tag = "8504")]
    pub(crate) resync: bool,
}

/// Empty in Consul, which ignores what else is in it.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Heartbeat {
    #[prost(message, optional, tag = "8503")]
    pub(crate) pulse: Option<Pulse>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Pulse {
    #[prost(uint64, tag = "1")]
    pub(crate) clock: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) echo: u64,
    #[prost(message, optional, tag = "3")]
    pub(crate) digest: Option<Digest>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) withheld: Vec<Withheld>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Digest {
    #[prost(fixed64, tag = "1")]
    pub(crate) services: u64,
    #[prost(fixed64, tag = "2")]
    pub(crate) list: u64,
    #[prost(fixed64, tag = "3")]
    pub(crate) bundle: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Withheld {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(string, tag = "2")]
    pub(crate) reason: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Status {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Response {
    #[prost(string, tag = "1")]
    pub(crate) nonce: String,
    #[prost(string, tag = "2")]
    pub(crate) resource_url: String,
    #[prost(string, tag = "3")]
    pub(crate) resource_id: String,
    #[prost(message, optional, tag = "4")]
    pub(crate) resource: Option<Any>,
    /// An enum on the wire; unknown values must survive to be refused by number.
    #[prost(int32, tag = "5")]
    pub(crate) operation: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Any {
    #[prost(string, tag = "1")]
    pub(crate) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) value: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ExportedServiceList {
    #[prost(string, repeated, tag = "1")]
    pub(crate) services: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ExportedService {
    #[prost(message, repeated, tag = "1")]
    pub(crate) nodes: Vec<CheckServiceNode>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TrustBundle {
    #[prost(string, tag = "1")]
    pub(crate) trust_domain: String,
    #[prost(string, repeated, tag = "4")]
    pub(crate) root_pems: Vec<String>,
    #[prost(string, tag = "5")]
    pub(crate) exported_partition: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ServerAddresses {
    #[prost(string, repeated, tag = "1")]
    pub(crate) addresses: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct CheckServiceNode {
    #[prost(message, optional, tag = "1")]
    pub(crate) node: Option<Node>,
    #[prost(message, optional, tag = "2")]
    pub(crate) service: Option<NodeService>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) checks: Vec<HealthCheck>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Node {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(string, tag = "2")]
    pub(crate) node: String,
    #[prost(string, tag = "3")]
    pub(crate) address: String,
    #[prost(string, tag = "4")]
    pub(crate) datacenter: String,
    #[prost(btree_map = "string, string", tag = "5")]
    pub(crate) tagged_addresses: BTreeMap<String, String>,
    #[prost(btree_map = "string, string", tag = "6")]
    pub(crate) meta: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct NodeService {
    #[prost(string, tag = "1")]
    pub(crate) kind: String,
    #[prost(string, tag = "2")]
    pub(crate) id: String,
    #[prost(string, tag = "3")]
    pub(crate) service: String,
    #[prost(string, repeated, tag = "4")]
    pub(crate) tags: Vec<String>,
    #[prost(string, tag = "5")]
    pub(crate) address: String,
    #[prost(btree_map = "string, string", tag = "6")]
    pub(crate) meta: BTreeMap<String, String>,
    #[prost(int32, tag = "7")]
    pub(crate) port: i32,
    #[prost(message, optional, tag = "8")]
    pub(crate) weights: Option<Weights>,
    #[prost(bool, tag = "9")]
    pub(crate) enable_tag_override: bool,
    #[prost(message, optional, tag = "11")]
    pub(crate) proxy: Option<ConnectProxyConfig>,
    #[prost(message, optional, tag = "12")]
    pub(crate) connect: Option<ServiceConnect>,
    #[prost(btree_map = "string, message", tag = "15")]
    pub(crate) tagged_addresses: BTreeMap<String, ServiceAddress>,
    #[prost(message, optional, tag = "16")]
    pub(crate) enterprise_meta: Option<EnterpriseMeta>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ServiceAddress {
    #[prost(string, tag = "1")]
    pub(crate) address: String,
    #[prost(int32, tag = "2")]
    pub(crate) port: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Weights {
    #[prost(int32, tag = "1")]
    pub(crate) passing: i32,
    #[prost(int32, tag = "2")]
    pub(crate) warning: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct EnterpriseMeta {
    #[prost(string, tag = "1")]
    pub(crate) namespace: String,
    #[prost(string, tag = "2")]
    pub(crate) partition: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ConnectProxyConfig {
    #[prost(string, tag = "1")]
    pub(crate) destination_service_name: String,
    #[prost(string, tag = "2")]
    pub(crate) destination_service_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ServiceConnect {
    #[prost(message, optional, tag = "4")]
    pub(crate) peer_meta: Option<PeeringServiceMeta>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PeeringServiceMeta {
    #[prost(string, repeated, tag = "1")]
    pub(crate) sni: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(crate) spiffe_id: Vec<String>,
    #[prost(string, tag = "3")]
    pub(crate) protocol: String,
    /// Not in Consul.
    #[prost(message, optional, tag = "8505")]
    pub(crate) health: Option<HealthSummary>,
}

/// Not in Consul.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct HealthSummary {
    #[prost(uint32, tag = "1")]
    pub(crate) healthy: u32,
    #[prost(uint32, tag = "2")]
    pub(crate) total: u32,
    #[prost(uint32, tag = "3")]
    pub(crate) weight: u32,
    #[prost(uint32, tag = "4")]
    pub(crate) draining: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct HealthCheck {
    #[prost(string, tag = "1")]
    pub(crate) node: String,
    #[prost(string, tag = "2")]
    pub(crate) check_id: String,
    #[prost(string, tag = "3")]
    pub(crate) name: String,
    #[prost(string, tag = "4")]
    pub(crate) status: String,
    #[prost(string, tag = "7")]
    pub(crate) service_id: String,
    #[prost(string, tag = "8")]
    pub(crate) service_name: String,
    #[prost(message, optional, tag = "13")]
    pub(crate) enterprise_meta: Option<EnterpriseMeta>,
}
