//! The authority's configuration, and the rotation of its root.

use crate::answer::{indexed, json, with_change};
use crate::ask::{Ask, read_body};
use crate::refusal::Refusal;
use crate::routes::App;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use peerway_api_types::rotation::{CaConfigJson, RotationJson, ca_config_from_json};
use peerway_model::NewRoot;

pub(crate) async fn read_config(State(app): State<App>, ask: Ask) -> Result<Response, Refusal> {
    let snapshot = app.newest();
    let status = app.parts.rotations.status()?;
    let roots = snapshot.roots().ok_or_else(|| {
        Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the certificate authority is not set up yet, retry in a moment",
        )
    })?;
    let shown = CaConfigJson::new(&status, roots.create_index, roots.modify_index);
    indexed(&ask, &snapshot, &shown)
}

/// Begins a rotation when the body asks for another root, or forces the next step of the one that is under way. The
/// answer has a body, which Consul's clients do not read.
pub(crate) async fn write_config(State(app): State<App>, ask: Ask, body: Body) -> Result<Response, Refusal> {
    let value = read_body(body).await?;
    let body = ca_config_from_json(&value).map_err(Refusal::body)?;
    let rotations = &app.parts.rotations;
    let status = rotations.status()?;
    if let Some(ttl) = body.leaf_ttl.filter(|ttl| *ttl != status.leaf_ttl) {
        return Err(Refusal::bad(format!(
            "the request body is refused: Config.LeafCertTTL: is {} s and leaves live {} s, which is set with leaf_cert_ttl in the server's configuration",
            ttl.as_secs(),
            status.leaf_ttl.as_secs()
        )));
    }
    let key = body.key.given(status.key);
    let mut left_behind = Vec::new();
    if let Some(brought) = body.brought {
        // Refused while another root is on its way: the step that is forced must be one to the root that is brought.
        rotations.begin(NewRoot::Brought(brought)).await?;
        if body.force && status.rotation.is_some() {
            left_behind = rotations.force().await?;
        }
    } else if body.force && status.rotation.is_some() {
        left_behind = rotations.force().await?;
    } else if body.rotate || status.key != Some(key) {
        rotations.begin(NewRoot::Made(key)).await?;
    }
    let shown = RotationJson::new(&rotations.status()?, &left_behind);
    Ok(with_change(json(&ask, &shown)?, app.change()))
}

pub(crate) async fn cancel(State(app): State<App>, ask: Ask) -> Result<Response, Refusal> {
    let rotations = &app.parts.rotations;
    rotations.cancel().await?;
    let shown = RotationJson::new(&rotations.status()?, &[]);
    Ok(with_change(json(&ask, &shown)?, app.change()))
}

pub(crate) async fn progress(State(app): State<App>, ask: Ask) -> Result<Response, Refusal> {
    json(&ask, &RotationJson::new(&app.parts.rotations.status()?, &[]))
}
