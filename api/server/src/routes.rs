//! Which path is answered by whom.

use crate::blocking::MAX_WAITING;
use crate::history::History;
use crate::parts::Parts;
use crate::receipt::{self, MAX_SETTLING};
use crate::refusal::Refusal;
use crate::{
    agent, authority, catalog, chain, config, gateway, health, intention, maintenance, nodes, peering,
    registration, rotation, status, token, virtual_addresses,
};
use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use http::{HeaderMap, Method, StatusCode, header};
use peerway_runtime::telemetry::{self, IntCounterVec};
use std::sync::{Arc, LazyLock};
use tokio::sync::{Mutex, Semaphore};

static REQUESTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    telemetry::counter_vec(
        "peerway_api_requests_total",
        "answered requests by route and class of status",
        &["route", "status"],
    )
});

/// What all handlers share.
pub(crate) struct Shared {
    pub(crate) parts: Parts,
    pub(crate) history: History,
    /// Places for queries that wait.
    pub(crate) waiting: Semaphore,
    /// Places for queries that wait for a change to settle.
    pub(crate) settling: Semaphore,
    /// Held while services of the local node are written, so that two of them do not choose the same port.
    pub(crate) registering: Mutex<()>,
}

/// The handlers' state.
pub(crate) type App = Arc<Shared>;

/// The API. Paths that Consul has and Peerway has not answer 404 with a text that says so.
pub fn router(parts: Parts) -> Router {
    with_places(parts, MAX_WAITING)
}

/// The API with room for `places` blocking queries.
pub(crate) fn with_places(parts: Parts, places: usize) -> Router {
    let app = Arc::new(Shared {
        history: History::new(&parts.reader),
        waiting: Semaphore::new(places),
        settling: Semaphore::new(MAX_SETTLING),
        registering: Mutex::new(()),
        parts,
    });
    Router::new()
        .route("/v1/agent/self", get(agent::about))
        .route("/v1/agent/services", get(agent::services))
        .route("/v1/agent/service/register", put(agent::register))
        .route("/v1/agent/service/deregister/{id}", put(agent::deregister))
        .route("/v1/agent/service/{id}", get(agent::service))
        .route("/v1/agent/service/maintenance/{id}", put(maintenance::service))
        .route("/v1/agent/maintenance", put(maintenance::node))
        .route("/v1/agent/connect/ca/roots", get(authority::roots))
        .route("/v1/agent/connect/ca/leaf/{service}", get(authority::leaf))
        .route("/v1/agent/metrics", get(status::agent_metrics))
        .route("/v1/catalog/register", put(registration::register))
        .route("/v1/catalog/deregister", put(registration::deregister))
        .route("/v1/catalog/nodes", get(nodes::list))
        .route("/v1/catalog/node/{name}", get(nodes::one))
        .route("/v1/catalog/node-services/{name}", get(nodes::with_services))
        .route("/v1/catalog/services", get(catalog::services))
        .route("/v1/catalog/service/{name}", get(catalog::service))
        .route("/v1/catalog/connect/{name}", get(catalog::connect))
        .route("/v1/catalog/gateway-services/{name}", get(gateway::services))
        .route(
            "/v1/discovery-chain/{service}",
            get(chain::read).post(chain::read_with),
        )
        .route("/v1/health/service/{name}", get(health::service))
        .route("/v1/health/connect/{name}", get(health::connect))
        .route("/v1/health/ingress/{name}", get(gateway::ingress))
        .route("/v1/config", put(config::write))
        .route("/v1/config/{kind}", get(config::list))
        .route(
            "/v1/config/{kind}/{name}",
            get(config::read).delete(config::delete),
        )
        .route(
            "/v1/connect/ca/configuration",
            get(rotation::read_config).put(rotation::write_config),
        )
        .route("/v1/connect/ca/roots", get(authority::roots))
        .route("/v1/connect/intentions/check", get(intention::check))
        .route("/v1/connect/intentions/match", get(intention::matching))
        .route(
            "/v1/peering/token",
            // A peering may have that name too.
            post(peering::token)
                .get(|app, ask| peering::read_as("token", app, ask))
                .delete(|app, ask| peering::delete_as("token", app, ask)),
        )
        .route(
            "/v1/peering/establish",
            post(peering::establish)
                .get(|app, ask| peering::read_as("establish", app, ask))
                .delete(|app, ask| peering::delete_as("establish", app, ask)),
        )
        .route("/v1/peering/{name}", get(peering::read).delete(peering::delete))
        .route("/v1/peerings", get(peering::list))
        .route(
            "/v1/peerway/ca/rotation",
            get(rotation::progress).delete(rotation::cancel),
        )
        .route("/v1/peerway/change/{id}", get(receipt::change))
        .route("/v1/peerway/proxies", get(receipt::proxies))
        .route("/v1/peerway/virtual-addresses", get(virtual_addresses::list))
        .route("/v1/peerway/peering-tokens", get(token::list))
        .route(
            "/v1/peerway/peering-tokens/{name}",
            get(token::of_peering).delete(token::revoke),
        )
        .route("/v1/peerway/peering-audit", get(token::audit))
        .route("/v1/status/leader", get(status::leader))
        .route("/v1/status/peers", get(status::peers))
        .route("/metrics", get(status::metrics))
        .route("/ready", get(status::ready))
        .fallback(not_offered)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(guard))
        .with_state(app)
}

async fn not_offered(request: Request) -> Refusal {
    let path = request.uri().path();
    if path.starts_with("/v1/") {
        Refusal::absent(format!("{path} is not offered by Peerway"))
    } else {
        Refusal::absent(format!("{path} does not exist, the API is below /v1/"))
    }
}

async fn wrong_method(request: Request) -> Refusal {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{} is not offered on {}", request.method(), request.uri().path()),
    )
}

/// Refuses writes that a web page of another origin makes its visitor's browser send, and counts the answers.
async fn guard(request: Request, next: Next) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let response = if !reads && is_cross_origin(request.headers()) {
        Refusal::new(
            StatusCode::FORBIDDEN,
            "writes from web pages of another origin are refused",
        )
        .into_response()
    } else {
        next.run(request).await
    };
    if response.status().is_server_error() {
        tracing::warn!(route, status = response.status().as_u16(), "request failed");
    }
    let class = match response.status().as_u16() {
        200..=299 => "2xx",
        400..=499 => "4xx",
        500..=599 => "5xx",
        _ => "other",
    };
    REQUESTS.with_label_values(&[route.as_str(), class]).inc();
    response
}

/// Whether a browser says that the request comes from a page that this server did not serve (Fetch standard,
/// `Origin`). Programs send no `Origin`.
fn is_cross_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return false;
    };
    let (Ok(origin), Some(Ok(host))) = (
        origin.to_str(),
        headers.get(header::HOST).map(|host| host.to_str()),
    ) else {
        return true;
    };
    origin
        .split_once("://")
        .is_none_or(|(_, authority)| authority != host)
}
