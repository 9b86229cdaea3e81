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
use peerway_model::{FailureKind, PeerName, Peering, PeeringKey};
use peerway_state::{Revision, Topic, Versioned};
use serde_json::Map;

pub(crate) async fn token(State(app): State<App>, ask: Ask, body: Body) -> Result<Response, Refusal> {
    let value = read_body(body).await?;
    let body = token_body_from_json(&value, &ask.partition()).map_err(Refusal::body)?;
    let request = TokenRequest {
        peer: body.peer,
        partition: body.partition,
        meta: body.meta,
        external_addresses: body.external_addresses,
    };
    let peering_token = app.parts.introductions.generate_token(request).await?;
    Ok(with_change(
        json(&ask, &TokenJson { peering_token })?,
        app.change(),
    ))
}

pub(crate) async fn establish(State(app): State<App>, ask: Ask, body: Body) -> Result<Response, Refusal> {
    let value = read_body(body).await?;
    let body = establish_body_from_json(&value, &ask.partition()).map_err(Refusal::body)?;
    let request = EstablishRequest {
        peer: body.peer,
        partition: body.partition,
        meta: body.meta,
        token: body.token.expose().to_owned(),
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
    let snapshot = app.watch(&ask, |_| vec![Topic::Peering(key.clone())]).await?;
    match snapshot.peering(&key) {
        Some(peering) => indexed(&ask, &snapshot, &shown(&app, peering)),
        None => {
            let text = format!("peering {:?} does not exist", key.name.as_str());
            Ok(absent(&snapshot, text))
        }
    }
}

pub(crate) async fn list(State(app): State<App>, ask: Ask) -> Result<Response, Refusal> {
    let partition = ask.partition();
    let snapshot = app.watch(&ask, |_| vec![Topic::Peerings]).await?;
    let peerings: Vec<PeeringJson> = snapshot
        .peerings()
        .filter(|peering| peering.key.partition == partition)
        .map(|peering| shown(&app, peering))
        .collect();
    indexed(&ask, &snapshot, &peerings)
}

/// Also succeeds when there is no such peering, as Consul's does.
pub(crate) async fn delete(
    State(app): State<App>,
    Path(name): Path<String>,
    ask: Ask,
) -> Result<Response, Refusal> {
    match app.parts.introductions.delete(key_of(&ask, &name)?).await {
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

fn shown(app: &Shared, peering: &Versioned<Peering>) -> PeeringJson {
    let status = app.parts.introductions.status(&peering.key);
    PeeringJson::new(
        peering,
        status.as_ref(),
        peering.create_index,
        peering.modify_index,
    )
}

/// Names are looked up in lower case, the only one that they have.
fn key_of(ask: &Ask, name: &str) -> Result<PeeringKey, Refusal> {
    Ok(PeeringKey {
        partition: ask.partition(),
        name: PeerName::new(&name.to_ascii_lowercase()).map_err(|error| query("name", error))?,
    })
}
