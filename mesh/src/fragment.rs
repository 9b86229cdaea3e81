//! The pieces that views are made of: plain data, comparable and hashable, in Peerway's words.

mod authorization;
mod routes;

pub use authorization::{
    Authorization, Caller, CallerPattern, Condition, Fitting, GatewayPattern, Grant, KnownBy, Lets, Policy,
    RequestAuthorization, RequestCaller, Requests, Token,
};
pub use routes::{HttpRoute, Retry, RouteLeg, RouteTable, VirtualHost, WHOLE};

use peerway_model::config::{
    Balance, Limits, LogFormat, LogSink, PassiveHealthCheck, Protocol, TlsBounds, TrustedCa,
};
use peerway_model::{Locality, Secret, ServiceAddress, SpiffeId, TrustDomain};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

/// The name of the secret that holds a proxy's own leaf. The same for every proxy, so that clusters and listeners
/// that refer to it can be shared; each proxy gets its own content.
pub const LEAF_SECRET: &str = "leaf";

/// The name of the Envoy cluster that traces go to, in views with listeners that report any.
pub const TRACE_COLLECTOR: &str = "trace_collector";

/// What the names of Envoy clusters of servers that have the keys of tokens begin with; the name of the provider follows
/// (xDS facts, section 1.3).
pub const KEY_SERVER_PREFIX: &str = "jwks_cluster_";

/// Everything that one proxy must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Whose leaf the secret [`LEAF_SECRET`] holds.
    pub identity: SpiffeId,
    /// The DNS names that the leaf is made for besides: sorted and distinct, from entries and never from what a proxy says.
    pub dns_names: Vec<String>,
    /// Whose leaves it gets besides, by the names of the secrets that hold them; sorted and distinct. Of services
    /// outside the mesh that the proxy stands for.
    pub leaves: Arc<[(String, SpiffeId)]>,
    /// Sorted by kind and name; no two have the same.
    pub fragments: Vec<Arc<Fragment>>,
}

/// What a fragment becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FragmentKind {
    /// A validation context, delivered as a secret.
    Validation,
    /// A certificate with its key, delivered as a secret.
    Certificate,
    /// An Envoy cluster.
    Cluster,
    /// The endpoints of an Envoy cluster.
    Endpoints,
    /// A listener.
    Listener,
    /// Where requests go, delivered by name to the listeners that refer to it.
    Routes,
    /// Who may call, delivered by name to the listeners that refer to it.
    Policy,
}

/// One piece of a view; becomes one Envoy resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Fragment {
    /// A validation context, delivered as a secret.
    Validation(Validation),
    /// A certificate with its key, delivered as a secret.
    Certificate(Certificate),
    /// An Envoy cluster.
    Cluster(Cluster),
    /// The endpoints of an Envoy cluster.
    Endpoints(Endpoints),
    /// A listener.
    Listener(Listener),
    /// Where requests go.
    Routes(RouteTable),
    /// Who may call.
    Policy(Policy),
}

impl Fragment {
    /// What it becomes.
    pub fn kind(&self) -> FragmentKind {
        match self {
            Fragment::Validation(_) => FragmentKind::Validation,
            Fragment::Certificate(_) => FragmentKind::Certificate,
            Fragment::Cluster(_) => FragmentKind::Cluster,
            Fragment::Endpoints(_) => FragmentKind::Endpoints,
            Fragment::Listener(_) => FragmentKind::Listener,
            Fragment::Routes(_) => FragmentKind::Routes,
            Fragment::Policy(_) => FragmentKind::Policy,
        }
    }

    /// The name of the resource.
    pub fn name(&self) -> &str {
        match self {
            Fragment::Validation(validation) => &validation.name,
            Fragment::Certificate(certificate) => &certificate.name,
            Fragment::Cluster(cluster) => &cluster.name,
            Fragment::Endpoints(endpoints) => &endpoints.cluster,
            Fragment::Listener(listener) => &listener.name,
            Fragment::Routes(table) => &table.name,
            Fragment::Policy(policy) => &policy.name,
        }
    }
}

/// A certificate of an operator's own.
#[derive(Clone)]
pub struct Certificate {
    /// The name of the secret.
    pub name: String,
    /// PEM: the certificate, then those that lead to a root.
    pub chain: String,
    /// PEM.
    pub key: Secret,
}

/// Without the key.
impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({}, {})", self.name, self.chain)
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.chain == other.chain && self.key.matches(other.key.expose())
    }
}

impl Eq for Certificate {}

/// Without the key, so that a version tells nothing of it: a certificate belongs to one key.
impl Hash for Certificate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.name, &self.chain).hash(state);
    }
}

/// Which roots may vouch for which trust domain. A certificate is verified only against the roots of its own
/// trust domain (xDS facts, section 3.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Validation {
    /// The name of the secret.
    pub name: String,
    /// Trust domains, sorted and distinct, each with its roots (PEM, each ending in a newline, at least one).
    pub domains: Vec<(TrustDomain, Vec<String>)>,
    /// Whose certificates are taken at all, as far as names can tell; `None` takes those of everybody who is vouched for.
    pub admitted: Option<Authorization>,
}

/// An Envoy cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cluster {
    /// Unique in a view (xDS facts, section 1.3).
    pub name: String,
    /// Milliseconds.
    pub connect_timeout_ms: u64,
    /// What is spoken to the endpoints; bytes pass through a TCP one.
    pub protocol: Protocol,
    /// How its endpoints are found.
    pub discovery: Discovery,
    /// mTLS towards the endpoints; `None` passes bytes through.
    pub tls: Option<UpstreamTls>,
    /// TLS towards endpoints outside the mesh; never together with `tls`.
    pub outside_tls: Option<Box<OutsideTls>>,
    /// Outlier detection: the most endpoints that may be ejected, in percent; `None` switches it off.
    pub max_ejection_percent: Option<u32>,
    /// Whether connections are probed when idle, for those that leave the cluster.
    pub keepalive: bool,
    /// How an endpoint is chosen; `None` is one after the other.
    pub balance: Option<Balance>,
    /// What the caller says about its use.
    pub terms: Terms,
}

/// What a caller says about its use of an Envoy cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Terms {
    /// How much at a time.
    pub limits: Limits,
    /// When an endpoint that fails is left out; how many of them may be is said by
    /// [`Cluster::max_ejection_percent`].
    pub passive: PassiveHealthCheck,
}

/// How the endpoints of an Envoy cluster are found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Discovery {
    /// One fixed IP address.
    Static(ServiceAddress),
    /// By the [`Endpoints`] of the same name.
    Eds,
    /// None: a connection goes on to where its client dialled.
    OriginalDestination,
    /// Those of other Envoy clusters: the first one that has endpoints which are well, in this order. At least two.
    Members(Vec<String>),
    /// By resolving a host name whenever a connection is made; one of its addresses is taken.
    DnsOnDemand(ServiceAddress),
    /// By resolving host names, which Envoy does. Sorted and distinct, at least one; some may be IP addresses.
    Dns(Vec<Endpoint>),
}

/// mTLS as a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamTls {
    /// Presented as SNI, verbatim.
    pub sni: String,
    /// Exact URI SANs of which the server must have one. Never empty.
    pub identities: Vec<String>,
    /// Which TLS is spoken.
    pub bounds: TlsBounds,
    /// The name of the [`Validation`].
    pub validation: String,
}

/// TLS as a client of a server outside the mesh. Files are on the machine of the proxy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OutsideTls {
    /// Who vouches for the server.
    pub roots: TrustedCa,
    /// What is shown to it: a certificate and its key.
    pub certificate: Option<(String, String)>,
    /// The server name that is asked for; `None` asks every endpoint that has a host name for that one.
    pub sni: Option<String>,
    /// Of these names the server's certificate has to have one; none accepts nobody.
    pub names: Vec<OutsideName>,
    /// Which TLS is spoken.
    pub bounds: TlsBounds,
}

/// A name in the certificate of a server outside the mesh.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutsideName {
    /// A host name.
    Host(String),
    /// An IP address.
    Ip(IpAddr),
}

/// Where the connections of an Envoy cluster may go. Empty is meaningful: nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoints {
    /// The name of the Envoy cluster.
    pub cluster: String,
    /// Sorted and distinct; addresses are IP addresses.
    pub members: Vec<Endpoint>,
}

/// One place to connect to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// IP address and port.
    pub address: ServiceAddress,
    /// Whether traffic may go there.
    pub health: Health,
    /// 1 to 128.
    pub weight: u32,
    /// Where it is, told to callers who prefer those that are near; `None` for all others and when it is not known.
    pub locality: Option<Locality>,
    /// Those of a later rank count only when none of an earlier one is up. Among all endpoints of an Envoy cluster ranks
    /// begin at 0 and leave none out, as Envoy needs it.
    pub rank: u32,
}

impl Endpoint {
    /// One that is up, for callers who prefer nothing.
    pub fn up(address: ServiceAddress) -> Self {
        Endpoint {
            address,
            health: Health::Up,
            weight: 1,
            locality: None,
            rank: 0,
        }
    }
}

/// Whether traffic may go to an endpoint, from worst to best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Health {
    /// Not at all.
    #[default]
    Down,
    /// While nothing better is left: nobody knows any more how it is.
    Doubtful,
    /// Yes.
    Up,
}

/// Which way the traffic of a listener goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To the application behind the sidecar.
    Inbound,
    /// From the application.
    Outbound,
    /// Through a gateway.
    Unspecified,
}

/// A listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Listener {
    /// `<base>:<address>:<port>` (xDS facts, section 1.4).
    pub name: String,
    /// IP address and port.
    pub address: ServiceAddress,
    /// Which way the traffic goes.
    pub direction: Direction,
    /// Whether connections are redirected here by the kernel, which knows where they were going.
    pub redirected: bool,
    /// In order. Chains with server names need the TLS inspector, which is then added.
    pub chains: Vec<Chain>,
    /// What is told about its connections and requests, of whatever chain.
    pub telemetry: Telemetry,
    /// How it takes connections.
    pub intake: Intake,
}

/// How a listener takes connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Intake {
    /// Most at a time, at least 1; further ones are closed. `None` for any number.
    pub max_connections: Option<u32>,
    /// Whether they are spread evenly over the threads of the proxy.
    pub exact_balance: bool,
}

/// What a listener tells about its connections and requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Telemetry {
    /// What it writes; `None` for nothing.
    pub access_log: Option<AccessLog>,
    /// What it reports of single requests; `None` for nothing.
    pub tracing: Option<Tracing>,
}

/// What a listener reports of single requests, to the Envoy cluster [`TRACE_COLLECTOR`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tracing {
    /// Who reports: the service that the proxy stands for.
    pub service: String,
    /// The share of the traces that begin here, in hundredths of a percent; at most 10,000.
    pub sampling: u32,
}

/// What a listener writes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccessLog {
    /// Whether connections that fit no chain are written about as well.
    pub unmatched: bool,
    /// Where it is written.
    pub sink: LogSink,
    /// What is written.
    pub format: LogFormat,
}

/// What a listener does with a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Chain {
    /// SNIs that choose this chain, sorted and distinct; empty chooses it for every connection.
    pub server_names: Vec<String>,
    /// Addresses that choose this chain when the client dialled one of them, sorted and distinct; empty chooses it for
    /// every connection.
    pub destinations: Vec<IpAddr>,
    /// mTLS as a server; `None` passes bytes through.
    pub tls: Option<DownstreamTls>,
    /// TLS as a server of callers without a certificate; never together with `tls`.
    pub serving: Option<ServingTls>,
    /// Prefix of the statistics.
    pub stat_prefix: String,
    /// What is looked at.
    pub traffic: Traffic,
}

/// What a chain looks at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Traffic {
    /// Connections.
    Tcp(Tcp),
    /// Single requests.
    Http(Http),
}

/// Passes bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tcp {
    /// The name of the [`Policy`] about connections; `None` only where no identity is known (outbound and passthrough
    /// chains).
    pub policy: Option<String>,
    /// The Envoy cluster that bytes go to.
    pub cluster: String,
    /// Whether the application speaks before its client does. Then its connection cannot wait for the client's first
    /// bytes, which is when policy is decided otherwise.
    pub server_first: bool,
}

/// Passes requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Http {
    /// What the service speaks; never TCP.
    pub protocol: Protocol,
    /// What becomes of what a request says about its caller.
    pub caller_header: CallerHeader,
    /// Who may send which requests; `None` where somebody behind this chain decides.
    pub policy: Option<RequestPolicy>,
    /// Where requests go.
    pub routes: Routes,
}

/// The policies about requests of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestPolicy {
    /// The name of the [`Policy`] about headers that may come in one line only.
    pub lines: String,
    /// The name of the [`Policy`] about tokens; `None` where nobody asks for any.
    pub tokens: Option<String>,
    /// The name of the [`Policy`] about requests.
    pub requests: String,
}

/// What becomes of the header `x-forwarded-client-cert`, by which a gateway tells a sidecar on whose behalf it calls.
/// There is no way to pass it on as it came: whoever sends a request could write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallerHeader {
    /// Removed: calls of an application, which speaks for nobody.
    Remove,
    /// Replaced by who is connected: the gateway that ends a peer's TLS.
    Replace,
    /// Removed as well, with all by which a request tells proxies what to do: whoever stands outside is nobody in the
    /// mesh.
    Outside,
    /// Followed by who is connected: a sidecar in front of its application. What stands before is believed only when
    /// one of our own gateways is connected.
    Append,
}

/// Where the requests of a chain go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Routes {
    /// As written here.
    Inline(RouteTable),
    /// By the [`RouteTable`] of this name, which comes by itself and whose change leaves the listener alone.
    Named(String),
}

/// mTLS as a server; a client certificate is always required.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DownstreamTls {
    /// The name of the [`Validation`].
    pub validation: String,
    /// The name of the [`Validation`] that takes no certificate of callers who are surely refused, for chains that have
    /// to decide in the handshake. `None` where single requests are decided about.
    pub admitting: Option<String>,
    /// The name of the secret with what is shown to the client.
    pub leaf: String,
    /// Which TLS is spoken.
    pub bounds: TlsBounds,
}

/// TLS as a server of callers without a certificate: a gateway at the edge.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServingTls {
    /// The names of the secrets with what is shown, of which each client gets the one for the name that it asks for; at
    /// least one.
    pub certificates: Vec<String>,
    /// Which TLS is spoken.
    pub bounds: TlsBounds,
}
