//! What a client asks with: query parameters, tenancy headers, and the body.

use crate::refusal::Refusal;
use crate::routes::App;
use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequestParts, Query};
use http::{HeaderMap, StatusCode, header, request};
use http_body_util::LengthLimitError;
use peerway_model::name::DEFAULT;
use peerway_model::{Invalid, Namespace, Origin, Partition, PeerName, Requester, Tenancy};
use serde_json::Value;
use std::error::Error;
use std::net::SocketAddr;

/// Largest request body, in bytes.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The paths below which `peer` is understood. Elsewhere it is refused: answering with local rows would forget
/// the origin.
const WITH_PEER: [&str; 2] = ["/v1/health/", "/v1/catalog/"];
/// The one path on which (a small part of) `filter` is understood.
const WITH_FILTER: &str = "/v1/agent/services";

/// The parameters of a request. Those that are not known are ignored, as Consul does; tokens are too, because
/// there is no access control yet.
pub(crate) struct Ask {
    pairs: Vec<(String, String)>,
    partition: Option<Partition>,
    namespace: Option<String>,
    /// The local node's, for requests that name none.
    default_partition: Partition,
    requester: Requester,
}

impl FromRequestParts<App> for Ask {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut request::Parts, app: &App) -> Result<Self, Refusal> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|error| Refusal::bad(format!("the query cannot be read: {error}")))?;
        let mut ask = Ask {
            pairs,
            partition: None,
            namespace: None,
            default_partition: app.parts.node.key.partition.clone(),
            requester: requester(parts),
        };
        ask.partition = ask
            .named("partition", "x-consul-partition", &parts.headers)
            .map(|text| Partition::new(&text).map_err(|error| query("partition", error)))
            .transpose()?;
        ask.namespace = ask.named("ns", "x-consul-namespace", &parts.headers);
        ask.check(parts.uri.path(), app.parts.node.datacenter.as_str())?;
        Ok(ask)
    }
}

/// Who sent a request. What a proxy in between says of it is not believed.
fn requester(parts: &request::Parts) -> Requester {
    let address = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    let program = parts.headers.get(header::USER_AGENT);
    Requester {
        address: address
            .map(|ConnectInfo(address)| address.to_string())
            .unwrap_or_default(),
        program: program
            .and_then(|program| program.to_str().ok())
            .unwrap_or_default()
            .to_owned(),
    }
}

impl Ask {
    /// Who asks.
    pub(crate) fn requester(&self) -> &Requester {
        &self.requester
    }

    fn named(&self, parameter: &'static str, header: &str, headers: &HeaderMap) -> Option<String> {
        let header = || headers.get(header).and_then(|value| value.to_str().ok());
        self.first(parameter).or_else(header).map(str::to_owned)
    }

    /// Refuses what would change the answer and is not offered here.
    fn check(&self, path: &str, datacenter: &str) -> Result<(), Refusal> {
        if let Some(other) = self.first("dc").filter(|dc| *dc != datacenter) {
            return Err(Refusal::bad(format!(
                "dc: {other:?} is not this datacenter, which is {datacenter:?}: ask a server there"
            )));
        }
        if self.first("peer").is_some() && !WITH_PEER.iter().any(|prefix| path.starts_with(prefix)) {
            return Err(Refusal::bad(format!("peer: is not offered on {path}")));
        }
        if self.first("filter").is_some() && path != WITH_FILTER {
            return Err(Refusal::bad(format!("filter: is not offered on {path} yet")));
        }
        if self.is_set("merge-central-config") {
            return Err(Refusal::bad("merge-central-config: is not offered yet"));
        }
        Ok(())
    }

    /// The first value of a parameter; an empty one counts as not given.
    pub(crate) fn first(&self, name: &'static str) -> Option<&str> {
        self.all(name).find(|value| !value.is_empty())
    }

    /// All values of a parameter.
    pub(crate) fn all(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.pairs
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether a flag is given: `passing`, `passing=` and `passing=true` say so, `passing=false` and `=0` do not.
    pub(crate) fn is_set(&self, name: &'static str) -> bool {
        self.all(name)
            .next()
            .is_some_and(|value| !matches!(value, "false" | "0"))
    }

    /// A whole number.
    pub(crate) fn number(&self, name: &'static str) -> Result<Option<u64>, Refusal> {
        self.first(name)
            .map(|text| {
                text.parse()
                    .map_err(|_| Refusal::bad(format!("{name}: {text:?} is not a whole number")))
            })
            .transpose()
    }

    /// The partition that is asked about.
    pub(crate) fn partition(&self) -> Partition {
        self.partition
            .clone()
            .unwrap_or_else(|| self.default_partition.clone())
    }

    /// Partition and namespace that are asked about.
    pub(crate) fn tenancy(&self) -> Result<Tenancy, Refusal> {
        let namespace = match &self.namespace {
            Some(text) => Namespace::new(text).map_err(|error| query("ns", error))?,
            None => Namespace::default(),
        };
        Ok(Tenancy {
            partition: self.partition(),
            namespace,
        })
    }

    /// The namespace as it was given; `None` when none was or when all (`*`) are meant.
    pub(crate) fn one_namespace(&self) -> Option<&str> {
        self.namespace.as_deref().filter(|text| *text != "*")
    }

    /// The namespace as text, `*` included; `default` when none was given.
    pub(crate) fn namespace_text(&self) -> &str {
        self.namespace.as_deref().unwrap_or(DEFAULT)
    }

    /// Whose rows are asked about: ours, or those of `peer`.
    pub(crate) fn origin(&self) -> Result<Origin, Refusal> {
        match self.first("peer") {
            None => Ok(Origin::Local),
            Some(text) => PeerName::new(text)
                .map(Origin::Peer)
                .map_err(|error| query("peer", error)),
        }
    }
}

/// Refuses a query parameter.
pub(crate) fn query(parameter: &str, error: Invalid) -> Refusal {
    Refusal::bad(error.within(parameter).to_string())
}

/// The body as a JSON object.
pub(crate) async fn read_body(body: Body) -> Result<Value, Refusal> {
    let bytes = axum::body::to_bytes(body, MAX_BODY_BYTES)
        .await
        .map_err(|error| {
            if error
                .source()
                .is_some_and(|source| source.is::<LengthLimitError>())
            {
                Refusal::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    format!("the request body is larger than {MAX_BODY_BYTES} bytes"),
                )
            } else {
                Refusal::bad(format!("the request body could not be received: {error}"))
            }
        })?;
    peerway_api_types::json_object(&bytes).map_err(Refusal::body)
}
