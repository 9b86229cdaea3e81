//! `/v1/peering`: making, using, showing and ending peerings (wire facts, section 8.1).

use crate::answer::{absent, done, indexed, json, with_change};
use crate::ask::{Ask, query, read_body};
use crate::parts::{EstablishRequest, TokenRequest};
use crate::refusal::Refusal;
use crate::routes::{App, Shared};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use peerway_api_types::peering::{PeeringJson, TokenJson, establish_body_from_json, token_body_from_json};
use peerway_api_types::token::tokens_json;
use peerway_model::{FailureKind, PeerName, Peering, PeeringKey};
use peerway_state::{Revision, Snapshot, Topic, Versioned};
use serde_json::Map;

pub(crate) async fn token(State(app): State<App>, ask: Ask, body: Body) -> Result<Response, Refusal> {
    let value = read_body(body).await?;
    let body = token_body_from_json(&value, &ask.partition()).map_err(Refusal::body)?;
    let request = TokenRequest {
        peer: body.peer,
        partition: body.partition,
        meta: body.meta,
        external_addresses: body.external_addresses,
        ttl: body.terms.ttl,
        request_id: body.terms.request_id,
        bounds: body.terms.bounds,
        by: ask.requester().clone(),
    };
    let issue = app.parts.introductions.generate_token(request).await?;
    let answer = TokenJson::new(issue.token, issue.accessor, issue.expires_at);
    Ok(with_change(json(&ask, &answer)?, app.change()))
}

pub(crate) async fn establish(State(app): State<App>, ask: Ask, body: Body) -> Result<Response, Refusal> {
    let value = read_body(body).await?;
    let body = establish_body_from_json(&value, &ask.partition()).map_err(Refusal::body)?;
    let request = EstablishRequest {
        peer: body.peer,
        partition: body.partition,
        meta: body.meta,
        token: body.token.expose().to_owned(),
        by: ask.requester().clone(),
    };
    app.parts.introductions.establish(request).await?;
    Ok(with_change(json(&ask, &Map::new())?, app.change()))
}

pub(crate) async fn read(
    State(app): State<App>,
    Path(name): Path<String>,
    ask: Ask,
) -> Result<Response, Refusal> {
    let key = key_of(&ask, &name)?;
    let topics = |_: &Snapshot| vec![Topic::Peering(key.clone()), Topic::Grant(key.clone())];
    let snapshot = app.watch(&ask, topics).await?;
    match snapshot.peering(&key) {
        Some(peering) => indexed(&ask, &snapshot, &shown(&app, &snapshot, peering, true)),
        None => {
            let text = format!("peering {:?} does not exist", key.name.as_str());
            Ok(absent(&snapshot, text))
        }
    }
}

/// A peering that has the name of a request: `token` or `establish`.
pub(crate) async fn read_as(name: &'static str, app: State<App>, ask: Ask) -> Result<Response, Refusal> {
    read(app, Path(name.to_owned()), ask).await
}

pub(crate) async fn list(State(app): State<App>, ask: Ask) -> Result<Response, Refusal> {
    let partition = ask.partition();
    let snapshot = app.watch(&ask, |_| vec![Topic::Peerings, Topic::Grants]).await?;
    let peerings: Vec<PeeringJson> = snapshot
        .peerings()
        .filter(|peering| peering.key.partition == partition)
        .map(|peering| shown(&app, &snapshot, peering, false))
        .collect();
    indexed(&ask, &snapshot, &peerings)
}

/// Also succeeds when there is no such peering, as Consul's does.
pub(crate) async fn delete(
    State(app): State<App>,
    Path(name): Path<String>,
    ask: Ask,
) -> Result<Response, Refusal> {
    match app
        .parts
        .introductions
        .delete(key_of(&ask, &name)?, ask.requester().clone())
        .await
    {
        Err(failure) if failure.kind != FailureKind::NotFound => Err(failure.into()),
        Ok(()) | Err(_) => Ok(with_change(done(), app.change())),
    }
}

impl Shared {
    /// A change that is not older than what another room has just committed for a request.
    pub(crate) fn change(&self) -> Revision {
        self.parts.reader.snapshot().revision()
    }
}

/// As [`read_as`].
pub(crate) async fn delete_as(name: &'static str, app: State<App>, ask: Ask) -> Result<Response, Refusal> {
    delete(app, Path(name.to_owned()), ask).await
}

fn shown(app: &Shared, snapshot: &Snapshot, peering: &Versioned<Peering>, services: bool) -> PeeringJson {
    let introductions = &app.parts.introductions;
    let status = introductions.status(&peering.key);
    let now = app.parts.clock.now().as_millis();
    let tokens = snapshot
        .grant(&peering.key)
        .map_or_else(Vec::new, |grants| tokens_json(grants, now));
    PeeringJson::new(
        peering,
        status.as_ref(),
        services,
        peering.create_index,
        peering.modify_index,
    )
    .with_tokens(tokens, introductions.withheld(&peering.key))
}

/// Names are looked up in lower case, the only one that they have.
pub(crate) fn key_of(ask: &Ask, name: &str) -> Result<PeeringKey, Refusal> {
    Ok(PeeringKey {
        partition: ask.partition(),
        name: PeerName::new(&name.to_ascii_lowercase()).map_err(|error| query("name", error))?,
    })
}
