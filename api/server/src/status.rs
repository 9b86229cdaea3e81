//! Who leads, how ready this server is, and its metrics.

use crate::answer::json;
use crate::ask::Ask;
use crate::refusal::Refusal;
use crate::routes::App;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use peerway_runtime::telemetry::metrics_text;
use serde_json::json;

/// Prometheus' text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(crate) async fn leader(State(app): State<App>, ask: Ask) -> Result<Response, Refusal> {
    json(&ask, &app.parts.leader_address)
}

pub(crate) async fn peers(State(app): State<App>, ask: Ask) -> Result<Response, Refusal> {
    json(&ask, &[&app.parts.leader_address])
}

pub(crate) async fn ready(State(app): State<App>, ask: Ask) -> Result<Response, Refusal> {
    let waiting_for = app.parts.readiness.waiting_for();
    let ready = waiting_for.is_empty();
    let mut response = json(&ask, &json!({ "Ready": ready, "WaitingFor": waiting_for }))?;
    if !ready {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    Ok(response)
}

pub(crate) async fn metrics() -> Response {
    ([(header::CONTENT_TYPE, METRICS_TYPE)], metrics_text()).into_response()
}

pub(crate) async fn agent_metrics(ask: Ask) -> Result<Response, Refusal> {
    match ask.first("format") {
        Some("prometheus") => Ok(metrics().await),
        _ => Err(Refusal::bad("format: only format=prometheus is offered")),
    }
}
