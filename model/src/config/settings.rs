//! `mesh`, `proxy-defaults` and `service-defaults`.

use super::{AccessLogs, ByLocality, Inbound, MeshTls, Meta, Tracing, Upstreams};
use crate::Invalid;
use crate::instance::{GatewayMode, Opaque};
use crate::name::{Namespace, Partition, ServiceName};
use crate::sidecar::SidecarSettings;
use std::collections::BTreeMap;

/// The key of the protocol in `proxy-defaults` `Config`.
const PROTOCOL: &str = "protocol";

/// The protocol of a service. Everything but `tcp` is spoken as HTTP: proxies see single requests and not bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Protocol {
    /// Opaque bytes.
    #[default]
    Tcp,
    /// HTTP/1.1 towards the application.
    Http,
    /// HTTP/2 towards the application.
    Http2,
    /// gRPC, which is HTTP/2 with trailers and streams.
    Grpc,
}

impl Protocol {
    /// All protocols, in the order in which help texts list them.
    pub const ALL: [Protocol; 4] = [Protocol::Tcp, Protocol::Http, Protocol::Http2, Protocol::Grpc];

    /// Consul's text.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Http => "http",
            Protocol::Http2 => "http2",
            Protocol::Grpc => "grpc",
        }
    }

    /// The protocol of this text, or `None` when Peerway does not offer it.
    pub fn parse(text: &str) -> Option<Self> {
        Protocol::ALL
            .into_iter()
            .find(|protocol| protocol.as_str() == text)
    }

    /// Whether proxies see requests.
    pub fn is_http(self) -> bool {
        self != Protocol::Tcp
    }

    /// Whether the application is spoken to in HTTP/2.
    pub fn is_http2(self) -> bool {
        matches!(self, Protocol::Http2 | Protocol::Grpc)
    }

    /// The protocol of a service: its own defaults' before those of all proxies, else tcp (xDS facts, section 6.5).
    pub fn of_service(own: Option<&ServiceDefaults>, all: Option<&ProxyDefaults>) -> Self {
        own.and_then(|own| own.protocol)
            .or_else(|| all.and_then(ProxyDefaults::protocol))
            .unwrap_or_default()
    }
}

/// Settings of the whole mesh of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Mesh {
    /// The partition.
    pub partition: Partition,
    /// Whether transparent proxies refuse what is not a service of the mesh, instead of passing it on.
    pub mesh_destinations_only: bool,
    /// Whether peers reach this cluster's servers, and its servers those of peers, through mesh gateways; `None` is
    /// no. Only the entry of the default partition counts: servers are no part of another one.
    pub peer_through_mesh_gateways: Option<bool>,
    /// Which TLS proxies speak.
    pub tls: MeshTls,
    /// The operator's pairs.
    pub meta: Meta,
}

impl Mesh {
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        self.tls.validate().map_err(|error| error.within("TLS"))?;
        if self.peer_through_mesh_gateways == Some(true) && !self.partition.is_default() {
            return Err(Invalid::new(
                "Peering.PeerThroughMeshGateways",
                "counts for all partitions, set it in the mesh entry of partition default",
            ));
        }
        Ok(())
    }
}

/// Defaults of all proxies of a partition; the entry is named `global`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct ProxyDefaults {
    /// The partition.
    pub partition: Partition,
    /// How peers are reached.
    pub mesh_gateway: Option<GatewayMode>,
    /// Free-form: `protocol`, `local_connect_timeout_ms`, ...
    pub config: BTreeMap<String, Opaque>,
    /// What they write about connections and requests.
    pub access_logs: AccessLogs,
    /// Where they report what became of single requests; `None` for nowhere.
    pub tracing: Option<Tracing>,
    /// What holds for sidecars unless their services or they themselves say otherwise.
    pub sidecar: SidecarSettings,
    /// Whether callers prefer instances that are near, of services whose resolver does not say it.
    pub by_locality: Option<ByLocality>,
    /// The operator's pairs.
    pub meta: Meta,
}

impl ProxyDefaults {
    /// The protocol of services that do not name one, if `Config.protocol` says it.
    pub fn protocol(&self) -> Option<Protocol> {
        self.config
            .get(PROTOCOL)
            .and_then(Opaque::as_text)
            .and_then(Protocol::parse)
    }

    /// How proxies take calls for services that do not say it, by `Config`. What is not valid, and so is refused when it
    /// is written, counts for nothing.
    pub fn inbound(&self) -> Inbound {
        Inbound::of_config(&self.config).unwrap_or_default()
    }

    pub(super) fn validate(&self) -> Result<(), Invalid> {
        Inbound::of_config(&self.config).map_err(|error| error.within("Config"))?;
        self.sidecar.validate()?;
        self.access_logs
            .validate()
            .map_err(|error| error.within("AccessLogs"))?;
        if let Some(tracing) = &self.tracing {
            tracing.validate().map_err(|error| error.within("Tracing"))?;
        }
        match self.config.get(PROTOCOL) {
            Some(Opaque::Text(text)) if text.is_empty() => Ok(()),
            Some(_) if self.protocol().is_none() => {
                let offered = Protocol::ALL.map(Protocol::as_str).join(", ");
                Err(Invalid::new(
                    format!("Config.{PROTOCOL}"),
                    format!("is not a protocol, offered are {offered}"),
                ))
            }
            _ => Ok(()),
        }
    }
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
    /// How they take calls for it.
    pub inbound: Inbound,
    /// How they call others.
    pub upstreams: Upstreams,
    /// What holds for its sidecars unless they say otherwise.
    pub sidecar: SidecarSettings,
    /// The operator's pairs.
    pub meta: Meta,
}

impl ServiceDefaults {
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        self.inbound.validate()?;
        self.sidecar.validate()?;
        self.upstreams
            .validate()
            .map_err(|error| error.within("UpstreamConfig"))
    }
}
