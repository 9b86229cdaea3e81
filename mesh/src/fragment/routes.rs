//! Where requests go.

use peerway_model::config::{HashPolicy, HeaderEdits, RequestMatch};

/// All of the legs of a route together.
pub const WHOLE: u32 = peerway_model::config::WHOLE;

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RouteTable {
    /// The name of the route configuration.
    pub name: String,
    /// By the host of a request; the one that is nearest to it has it. What none takes is answered with 404.
    pub hosts: Vec<VirtualHost>,
}

/// Where requests for some hosts go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VirtualHost {
    /// Unique in a table.
    pub name: String,
    /// Hosts in lower case, whole or with `*` for the beginning or the end; no two of a table are equal.
    pub domains: Vec<String>,
    /// The first one that takes a request has it.
    pub routes: Vec<HttpRoute>,
    /// Headers towards the service, on every route.
    pub request_headers: HeaderEdits,
    /// Headers towards the caller, on every route.
    pub response_headers: HeaderEdits,
}

/// Which requests go where, and how.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpRoute {
    /// Which requests.
    pub request: RequestMatch,
    /// Where to, each with its share; the weights add up to [`WHOLE`]. Empty while no way is known: requests are then
    /// answered with 503.
    pub legs: Vec<RouteLeg>,
    /// Replaces the matched path or prefix.
    pub prefix_rewrite: Option<String>,
    /// How long an answer may take, in milliseconds; `None` leaves it to whoever is nearer to the caller, or allows
    /// streams.
    pub timeout_ms: Option<u64>,
    /// How long nothing may move, in milliseconds; `None` is the listener's.
    pub idle_timeout_ms: Option<u64>,
    /// What is tried again; `None` is only what nobody has seen anything of yet.
    pub retry: Option<Retry>,
    /// Whether something stands in for a leg: what is tried again then goes there once the leg has failed twice,
    /// without waiting for anybody to find out how the leg is.
    pub elsewhere: bool,
    /// Whether a request is for the host name of the endpoint that it goes to, whatever its caller named.
    pub rewrites_host: bool,
    /// Headers towards the service.
    pub request_headers: HeaderEdits,
    /// Headers towards the caller.
    pub response_headers: HeaderEdits,
    /// What a request is hashed by, for legs whose instances are chosen by hash.
    pub hash: Vec<HashPolicy>,
}

/// A share of the requests of a route.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RouteLeg {
    /// The Envoy cluster.
    pub cluster: String,
    /// Of [`WHOLE`]; never 0.
    pub weight: u32,
    /// Headers towards the service.
    pub request_headers: HeaderEdits,
    /// Headers towards the caller.
    pub response_headers: HeaderEdits,
}

/// What is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Retry {
    /// How often; `None` is once.
    pub times: Option<u32>,
    /// Envoy's names of the reasons, distinct.
    pub reasons: Vec<String>,
    /// Answers that are a reason.
    pub status_codes: Vec<u16>,
}

impl RouteTable {
    /// All requests to one Envoy cluster, whose answers may take `timeout_ms`.
    pub fn to_one(name: String, host: String, cluster: String, timeout_ms: Option<u64>) -> Self {
        RouteTable {
            name,
            hosts: vec![VirtualHost::any(
                host,
                vec![HttpRoute {
                    timeout_ms,
                    ..HttpRoute::to(vec![RouteLeg {
                        cluster,
                        weight: WHOLE,
                        request_headers: HeaderEdits::default(),
                        response_headers: HeaderEdits::default(),
                    }])
                }],
            )],
        }
    }
}

impl VirtualHost {
    /// Every host, with nothing else said.
    pub fn any(name: String, routes: Vec<HttpRoute>) -> Self {
        VirtualHost {
            name,
            domains: vec!["*".to_owned()],
            routes,
            request_headers: HeaderEdits::default(),
            response_headers: HeaderEdits::default(),
        }
    }
}

impl HttpRoute {
    /// Every request to `legs`, with nothing else said.
    pub fn to(legs: Vec<RouteLeg>) -> Self {
        HttpRoute {
            request: RequestMatch::default(),
            legs,
            prefix_rewrite: None,
            timeout_ms: None,
            idle_timeout_ms: None,
            retry: None,
            elsewhere: false,
            rewrites_host: false,
            request_headers: HeaderEdits::default(),
            response_headers: HeaderEdits::default(),
            hash: Vec::new(),
        }
    }
}
