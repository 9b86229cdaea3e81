//! Who may call, as lists that only ever let in: whoever is on none of them is refused.

use peerway_model::TrustDomain;
use peerway_model::config::{HeaderName, JwtProvider, Pattern, RequestCondition, WantedClaim};
use peerway_model::name::{Namespace, Partition, ProviderName, ServiceName};

/// Who may call a service, as one filter of its sidecars; delivered by name, so that its change leaves the listener
/// and its connections alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    /// Unique among the policies of a view.
    pub name: String,
    /// What the filter lets through.
    pub lets: Lets,
}

/// What a filter lets through.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Lets {
    /// Connections of these.
    Connections(Authorization),
    /// Such requests.
    Requests(RequestAuthorization),
    /// Requests that have each of these headers in one line at most; sorted and distinct.
    SingleLines(Vec<HeaderName>),
    /// All requests. What their tokens say is noted, of those that these providers verify: [`Requests`] can ask for it.
    /// By name, with distinct issuers, without `Meta`.
    Tokens(Vec<JwtProvider>),
}

impl Lets {
    /// Whether nothing is refused that `before` let through. Says no when it is not sure.
    pub fn still_lets(&self, before: &Lets) -> bool {
        match (before, self) {
            (Lets::Connections(before), Lets::Connections(now)) => before
                .callers
                .iter()
                .all(|old| now.callers.iter().any(|new| new.covers(old))),
            (Lets::Requests(before), Lets::Requests(now)) => {
                before.gateways == now.gateways
                    && before.grants.iter().all(|old| {
                        old.callers.iter().all(|caller| {
                            now.grants
                                .iter()
                                .filter(|new| new.requests == Requests::All || new.requests == old.requests)
                                .flat_map(|new| &new.callers)
                                .any(|new| {
                                    new.known_by == caller.known_by && new.caller.covers(&caller.caller)
                                })
                        })
                    })
            }
            (Lets::SingleLines(before), Lets::SingleLines(now)) => {
                now.iter().all(|name| before.contains(name))
            }
            (Lets::Tokens(before), Lets::Tokens(now)) => before.iter().all(|old| now.contains(old)),
            _ => false,
        }
    }
}

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
    pub fits: Condition,
    /// What they must not fulfil, read as in a permission that denies.
    pub except: Vec<Condition>,
}

/// Conditions on a request, all of which it has to fulfil.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Condition {
    /// On what it says by itself.
    pub http: RequestCondition,
    /// Of each of these lists it carries one token; an empty list is fulfilled by no request.
    pub tokens: Vec<Vec<Token>>,
}

/// A token that was verified.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    /// By whom.
    pub provider: ProviderName,
    /// What it says in `iss`.
    pub issuer: String,
    /// What else it says.
    pub claims: Vec<WantedClaim>,
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

impl Caller {
    /// Whether everybody who is `other` is one of these. Says no when it is not sure.
    pub fn covers(&self, other: &Caller) -> bool {
        self.include.contains(&other.include)
            && self.except.iter().all(|cut| {
                !cut.overlaps(&other.include) || other.except.iter().any(|held| held.contains(cut))
            })
    }
}

impl CallerPattern {
    /// Whether everybody who is `inner` is one of these.
    pub fn contains(&self, inner: &CallerPattern) -> bool {
        self.trust_domain == inner.trust_domain
            && self.partition.contains(&inner.partition)
            && self.namespace.contains(&inner.namespace)
            && self.service.contains(&inner.service)
    }

    /// Whether somebody may be in both.
    pub fn overlaps(&self, other: &CallerPattern) -> bool {
        self.trust_domain == other.trust_domain
            && self.partition.overlaps(&other.partition)
            && self.namespace.overlaps(&other.namespace)
            && self.service.overlaps(&other.service)
    }
}
