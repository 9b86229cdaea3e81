//! Which fragment: everything that it depends on besides the Snapshot, so that proxies that need the same share it.

use crate::finding::Face;
use crate::fragment::Terms;
use peerway_model::chain::Target;
use peerway_model::config::{Outward, Protocol, TlsBounds};
use peerway_model::instance::GatewayMode;
use peerway_model::name::{Partition, ProviderName};
use peerway_model::{ConfigKey, ExposedPath, Locality, PeeringKey, ServiceAddress, ServiceKey};

/// How a sidecar reaches a target.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Reach {
    /// The target.
    pub(crate) target: Target,
    /// The target that it is joined with, and its place in that row; the target itself has place 0.
    pub(crate) stands_in: Option<(usize, Target)>,
    /// How a peer is reached; not looked at for a local service.
    pub(crate) mode: GatewayMode,
    /// Where the caller is, of whom it is asked to prefer instances that are near; `None` for all others, so that they
    /// share what they need wherever they are. Always `None` for a peer's service.
    pub(crate) from: Option<Locality>,
}

/// What a mesh gateway passes calls on to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Passed {
    /// Whose calls.
    pub(crate) face: Face,
    /// The target.
    pub(crate) target: Target,
    /// Where the gateway is, as in [`Reach::from`].
    pub(crate) from: Option<Locality>,
}

/// Which gateway at the edge.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EdgeKey {
    /// The service that its instances are registered as.
    pub(crate) service: ServiceKey,
    /// Whether it is an API gateway, and an ingress gateway otherwise.
    pub(crate) is_api: bool,
}

/// Which fragment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum FragmentKey {
    /// The roots of this cluster's workloads.
    LocalRoots,
    /// The roots of one peer's workloads.
    PeerRoots(PeeringKey),
    /// The roots of everybody who may present themselves to a local service.
    InboundRoots(ServiceKey),
    /// The same, but only callers whose certificates the policy about connections may let in.
    Admitted(ServiceKey),
    /// Who may connect to a local service.
    ConnectionPolicy(ServiceKey),
    /// Who may send which requests to a local service.
    RequestPolicy(ServiceKey),
    /// Which headers of requests to a local service may come in one line only.
    LinePolicy(ServiceKey),
    /// Which tokens of requests to a local service are verified.
    TokenPolicy(ServiceKey),
    /// The server that has the keys of a provider of tokens.
    KeyServer {
        /// The partition of the provider.
        partition: Partition,
        /// The provider.
        provider: ProviderName,
    },
    /// The application behind a sidecar.
    LocalApp {
        /// IP address or host name, and port.
        address: ServiceAddress,
        /// What it speaks.
        protocol: Protocol,
        /// Milliseconds; `None` is the usual time.
        connect_timeout_ms: Option<u64>,
    },
    /// The same on a port of paths that are exposed.
    ExposedApp {
        /// IP address or host name, and port.
        address: ServiceAddress,
        /// What is spoken on that port.
        protocol: Protocol,
        /// Milliseconds; `None` is the usual time.
        connect_timeout_ms: Option<u64>,
    },
    /// Where a sidecar takes requests for a path that is exposed.
    ExposedListener {
        /// IP address and port.
        address: ServiceAddress,
        /// The partition of the sidecar, whose settings count.
        partition: Partition,
        /// What is exposed.
        path: ExposedPath,
    },
    /// The Envoy cluster of a target of an upstream's chain.
    UpstreamCluster {
        /// Which target.
        reach: Reach,
        /// Milliseconds; `None` is what the target's resolver says.
        connect_timeout_ms: Option<u64>,
        /// What the caller says about its use.
        terms: Terms,
        /// Which TLS the caller speaks.
        bounds: TlsBounds,
    },
    /// The endpoints of a target of an upstream's chain.
    UpstreamEndpoints(Reach),
    /// The Envoy cluster that joins a target with what stands in for it.
    UpstreamGroup {
        /// The target.
        target: Target,
        /// Milliseconds; `None` is what its resolver says.
        connect_timeout_ms: Option<u64>,
    },
    /// Where the requests to an upstream with a chain of its own go.
    UpstreamRoutes(ServiceKey),
    /// The Envoy cluster of a target on a gateway.
    GatewayCluster(Passed),
    /// The endpoints of a target on a gateway.
    GatewayEndpoints(Passed),
    /// Where the requests to an exported service go, on a gateway.
    GatewayRoutes(ServiceKey),
    /// The Envoy cluster of the servers behind a server name, on a gateway.
    ServersCluster {
        /// The partition of the gateway.
        partition: Partition,
        /// The server name.
        name: String,
    },
    /// Their endpoints.
    ServersEndpoints {
        /// The partition of the gateway.
        partition: Partition,
        /// The server name.
        name: String,
    },
    /// The Envoy cluster of a target outside the mesh, on a terminating gateway.
    OutsideCluster {
        /// The target.
        target: Target,
        /// How the gateway speaks to it.
        outward: Outward,
    },
    /// Its endpoints.
    OutsideEndpoints(Target),
    /// Where a terminating gateway takes calls for the services that it stands for.
    TerminatingListener {
        /// IP address and port.
        address: ServiceAddress,
        /// The service that the gateway is an instance of.
        gateway: ServiceKey,
        /// Whether the services speak before their clients do.
        server_first: bool,
        /// Who reports single requests; `None` while nobody does.
        reporter: Option<String>,
    },
    /// Where a sidecar takes calls for its service.
    PublicListener {
        /// IP address and port.
        address: ServiceAddress,
        /// The service that the sidecar stands for.
        service: ServiceKey,
        /// Whether its application speaks before its client does.
        server_first: bool,
    },
    /// Where a sidecar takes calls of its application.
    UpstreamListener {
        /// IP address and port.
        address: ServiceAddress,
        /// Local or imported.
        service: ServiceKey,
        /// The partition of the sidecar, whose settings count.
        partition: Partition,
        /// Who reports single requests; `None` while nobody does, so that callers share the listener.
        reporter: Option<String>,
        /// Whether connections are spread evenly over the threads of the proxy.
        exact_balance: bool,
    },
    /// Where a sidecar takes redirected calls of its application.
    OutboundListener {
        /// IP address and port.
        address: ServiceAddress,
        /// The partition whose services and peers it knows.
        partition: Partition,
        /// Who reports single requests; `None` while nobody does.
        reporter: Option<String>,
    },
    /// The instances of a local service that are dialled one by one.
    DirectCluster(ServiceKey),
    /// Where calls go on that are for nobody in the mesh.
    Passthrough,
    /// Whoever collects the traces of a partition.
    TraceCollector(Partition),
    /// Where a gateway takes connections.
    GatewayListener {
        /// IP address and port.
        address: ServiceAddress,
        /// The partition whose services it passes on.
        partition: Partition,
        /// Who reports single requests; `None` while nobody does.
        reporter: Option<String>,
    },
    /// A port of a gateway at the edge.
    EdgeListener {
        /// IP address and port.
        address: ServiceAddress,
        /// The gateway.
        gateway: EdgeKey,
        /// Who reports single requests; `None` while nobody does.
        reporter: Option<String>,
    },
    /// Where the requests to a port of a gateway at the edge go.
    EdgeRoutes {
        /// The gateway.
        gateway: EdgeKey,
        /// The port.
        port: u16,
    },
    /// A certificate of an operator's own.
    Certificate(ConfigKey),
}
