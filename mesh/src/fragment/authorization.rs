//! Who may call, as lists that only ever let in: whoever is on none of them is refused.

use peerway_model::TrustDomain;
use peerway_model::config::{HeaderName, Pattern, RequestCondition};
use peerway_model::name::{Namespace, Partition, ServiceName};

/// Who may connect; everybody else is refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authorization {
    /// Allowed callers; empty means nobody.
    pub callers: Vec<Caller>,
}

/// Who may send which requests; every other one is refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestAuthorization {
    /// The gateways that are believed when they say on whose behalf they call.
    pub gateways: GatewayPattern,
    /// Headers of which a request may have one line only, sorted: those that policy looks at.
    pub single_lines: Vec<HeaderName>,
    /// A request passes by any of them; empty means that none does.
    pub grants: Vec<Grant>,
}

/// Callers, and which of their requests pass.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Grant {
    /// Which requests.
    pub requests: Requests,
    /// Of whom; never empty.
    pub callers: Vec<RequestCaller>,
}

/// Which requests pass.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Requests {
    /// All.
    All,
    /// Those that fit one of these; never empty.
    Fitting(Vec<Fitting>),
}

/// Requests minus some of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fitting {
    /// What they fulfil, read as in a permission that allows.
    pub fits: RequestCondition,
    /// What they must not fulfil, read as in a permission that denies.
    pub except: Vec<RequestCondition>,
}

/// The mesh gateways of one partition of this cluster, in any datacenter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayPattern {
    /// This cluster's own.
    pub trust_domain: TrustDomain,
    /// Of the gateways.
    pub partition: Partition,
}

/// Callers who may send requests.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestCaller {
    /// Who.
    pub caller: Caller,
    /// How it is known that it is them.
    pub known_by: KnownBy,
}

/// How a caller is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KnownBy {
    /// By the certificate of the connection: a local caller.
    Certificate,
    /// By the word of one of our gateways, which saw the certificate: a caller of a peer.
    Gateway,
}

/// Callers minus some of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Caller {
    /// Who is meant.
    pub include: CallerPattern,
    /// Who of them is not.
    pub except: Vec<CallerPattern>,
}

/// A family of service identities. The datacenter is never looked at (xDS facts, section 3.4).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallerPattern {
    /// Of the caller's cluster.
    pub trust_domain: TrustDomain,
    /// Of the caller; `*` only where everybody of this cluster is meant.
    pub partition: Pattern<Partition>,
    /// Of the caller.
    pub namespace: Pattern<Namespace>,
    /// The caller.
    pub service: Pattern<ServiceName>,
}
