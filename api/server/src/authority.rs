//! Roots and leaf certificates.

use crate::answer::{indexed, json, with_index};
use crate::ask::{Ask, query};
use crate::blocking::wait_limit;
use crate::refusal::Refusal;
use crate::routes::App;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use peerway_api_types::authority::{LeafJson, RootsJson};
use peerway_model::{Leaf, ServiceKey, ServiceName};
use peerway_state::Topic;

pub(crate) async fn roots(State(app): State<App>, ask: Ask) -> Result<Response, Refusal> {
    let snapshot = app.watch(&ask, |_| vec![Topic::Roots]).await?;
    let roots = snapshot.roots().ok_or_else(|| {
        Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the certificate authority is not set up yet, retry in a moment",
        )
    })?;
    let shown = RootsJson::new(roots, roots.create_index, roots.modify_index);
    indexed(&ask, &snapshot, &shown)
}

/// The current leaf. A blocking query is answered when the roots change or its time is up, and then gives the
/// leaf of that moment: a renewal is seen at the next answer.
pub(crate) async fn leaf(
    State(app): State<App>,
    Path(service): Path<String>,
    ask: Ask,
) -> Result<Response, Refusal> {
    let name = ServiceName::new(&service).map_err(|error| query("service", error))?;
    let key = ServiceKey::local(&ask.tenancy()?, name);
    let limit = wait_limit(&ask)?;
    let seen = ask.number("index")?;
    // Taken before the leaf: a change of the roots after it ends the wait.
    let looked_at = app.newest();
    let mut leaf = app.parts.leaves.leaf(&key).await?;
    if seen == Some(index_of(&leaf)) {
        let _place = app.place()?;
        let index = crate::blocking::index_of(&looked_at);
        app.wait_past(index, limit, |_| vec![Topic::Roots]).await;
        leaf = app.parts.leaves.leaf(&key).await?;
    }
    let index = index_of(&leaf);
    let response = json(&ask, &LeafJson::new(&leaf, &key.name, index))?;
    Ok(with_index(response, index))
}

/// A leaf is not a row and has no revision: the moment from which it is valid stands for one. It grows with each
/// renewal, which is all that clients rely on.
fn index_of(leaf: &Leaf) -> u64 {
    leaf.not_before.max(1)
}
