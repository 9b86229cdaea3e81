//! `mesh`, `proxy-defaults` and `service-defaults`.

use super::Meta;
use crate::instance::{GatewayMode, Opaque};
use crate::name::{Namespace, Partition, ServiceName};
use std::collections::BTreeMap;

/// The protocol of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Protocol {
    /// Opaque bytes.
    #[default]
    Tcp,
}

impl Protocol {
    /// Consul's text.
    pub fn as_str(self) -> &'static str {
        "tcp"
    }

    /// The protocol of this text, or `None` when Peerway does not offer it.
    pub fn parse(text: &str) -> Option<Self> {
        (text == "tcp").then_some(Protocol::Tcp)
    }
}

/// Settings of the whole mesh of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Mesh {
    /// The partition.
    pub partition: Partition,
    /// The operator's pairs.
    pub meta: Meta,
}

/// Defaults of all proxies of a partition; the entry is named `global`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct ProxyDefaults {
    /// The partition.
    pub partition: Partition,
    /// How peers are reached.
    pub mesh_gateway: Option<GatewayMode>,
    /// Free-form: `protocol`, `connect_timeout_ms`, ...
    pub config: BTreeMap<String, Opaque>,
    /// The operator's pairs.
    pub meta: Meta,
}

/// Defaults of one service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceDefaults {
    /// The partition.
    pub partition: Partition,
    /// The namespace.
    pub namespace: Namespace,
    /// The service.
    pub name: ServiceName,
    /// The protocol; `None` means the proxy-defaults' or tcp.
    pub protocol: Option<Protocol>,
    /// How this service's proxies reach peers.
    pub mesh_gateway: Option<GatewayMode>,
    /// The operator's pairs.
    pub meta: Meta,
}
