//! `/v1/peerway/peering-tokens` and `/v1/peerway/peering-audit`: which tokens there are, revoking them, and who did
//! what with them.

use crate::answer::{absent, indexed, json};
use crate::ask::Ask;
use crate::parts::Revocation;
use crate::peering::key_of;
use crate::refusal::Refusal;
use crate::routes::App;
use axum::extract::{Path, State};
use axum::response::Response;
use peerway_api_types::token::{AuditJson, RevokedJson, TokenInfoJson, tokens_json};
use peerway_state::Topic;

pub(crate) async fn list(State(app): State<App>, ask: Ask) -> Result<Response, Refusal> {
    let partition = ask.partition();
    let snapshot = app.watch(&ask, |_| vec![Topic::Grants]).await?;
    let now = app.parts.clock.now().as_millis();
    let tokens: Vec<TokenInfoJson> = snapshot
        .grants()
        .filter(|grants| grants.peering.partition == partition)
        .flat_map(|grants| tokens_json(grants, now))
        .collect();
    indexed(&ask, &snapshot, &tokens)
}

pub(crate) async fn of_peering(
    State(app): State<App>,
    Path(name): Path<String>,
    ask: Ask,
) -> Result<Response, Refusal> {
    let key = key_of(&ask, &name)?;
    let snapshot = app.watch(&ask, |_| vec![Topic::Grant(key.clone())]).await?;
    if snapshot.peering(&key).is_none() {
        let text = format!("peering {:?} does not exist", key.name.as_str());
        return Ok(absent(&snapshot, text));
    }
    let now = app.parts.clock.now().as_millis();
    let grants = snapshot.grant(&key);
    let tokens = grants.map_or_else(Vec::new, |grants| tokens_json(grants, now));
    indexed(&ask, &snapshot, &tokens)
}

/// Revokes the token of `accessor`, with `all` every one, else the only one.
pub(crate) async fn revoke(
    State(app): State<App>,
    Path(name): Path<String>,
    ask: Ask,
) -> Result<Response, Refusal> {
    let key = key_of(&ask, &name)?;
    let which = match (ask.first("accessor"), ask.is_set("all")) {
        (Some(_), true) => return Err(Refusal::bad("all: give either accessor or all")),
        (Some(accessor), false) => Revocation::Accessor(accessor.to_owned()),
        (None, true) => Revocation::All,
        (None, false) => Revocation::Only,
    };
    let by = ask.requester().clone();
    let revoked = app.parts.introductions.revoke_token(key, which, by).await?;
    json(&ask, &RevokedJson { revoked })
}

/// The newest first; with `name` those of one peering.
pub(crate) async fn audit(State(app): State<App>, ask: Ask) -> Result<Response, Refusal> {
    let partition = ask.partition();
    let only = ask.first("name").map(|name| key_of(&ask, name)).transpose()?;
    let snapshot = app.watch(&ask, |_| vec![Topic::Audit]).await?;
    let records: Vec<AuditJson> = snapshot
        .audit()
        .filter(|record| record.event.peering.partition == partition)
        .filter(|record| only.as_ref().is_none_or(|only| record.event.peering == *only))
        .map(|record| AuditJson::from(&*record.row))
        .collect();
    indexed(&ask, &snapshot, &records)
}
