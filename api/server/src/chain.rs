//! `/v1/discovery-chain`: what config entries amount to for a service.

use crate::answer::indexed;
use crate::ask::{Ask, read_body};
use crate::catalog::service_key;
use crate::reach;
use crate::refusal::Refusal;
use crate::routes::{App, Shared};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use peerway_api_types::chain::chain_to_json;
use peerway_model::ConfigKind;
use peerway_state::{Topic, chain_of};
use serde_json::json;

/// The kinds that a chain is made of.
const KINDS: [ConfigKind; 6] = [
    ConfigKind::ProxyDefaults,
    ConfigKind::SamenessGroup,
    ConfigKind::ServiceDefaults,
    ConfigKind::ServiceResolver,
    ConfigKind::ServiceRouter,
    ConfigKind::ServiceSplitter,
];

pub(crate) async fn read(
    State(app): State<App>,
    Path(name): Path<String>,
    ask: Ask,
) -> Result<Response, Refusal> {
    answer(&app, &ask, &name).await
}

/// Consul's clients may ask what a chain would be for a proxy with settings of its own; ours has none.
pub(crate) async fn read_with(
    State(app): State<App>,
    Path(name): Path<String>,
    ask: Ask,
    body: Body,
) -> Result<Response, Refusal> {
    let overrides = read_body(body).await?;
    let says_something = overrides.as_object().into_iter().flatten().find(|(_, value)| {
        !(value.is_null() || **value == json!("") || **value == json!(0) || **value == json!({"Mode": ""}))
    });
    if let Some((field, _)) = says_something {
        return Err(Refusal::bad(format!("{field}: is not offered yet, remove it")));
    }
    answer(&app, &ask, &name).await
}

async fn answer(app: &Shared, ask: &Ask, name: &str) -> Result<Response, Refusal> {
    let service = service_key(ask, name)?;
    let topics = |snapshot: &_| {
        let kinds = KINDS.into_iter().map(Topic::ConfigKind);
        let targets = chain_of(snapshot, &service).map_or(Vec::new(), |chain| chain.targets());
        let healths = targets.iter().flat_map(|target| reach::topics(snapshot, target));
        kinds.chain([Topic::Roots]).chain(healths).collect()
    };
    let snapshot = app.watch(ask, topics).await?;
    let chain = chain_of(&snapshot, &service).map_err(|error| Refusal::bad(error.to_string()))?;
    let roots = snapshot.roots().map(|held| &held.row.trust_domain);
    let datacenter = &app.parts.node.datacenter;
    let healths = chain
        .targets()
        .into_iter()
        .map(|target| {
            let health = reach::health(&snapshot, &*app.parts.introductions, &target);
            (target, health)
        })
        .collect();
    indexed(
        ask,
        &snapshot,
        &json!({ "Chain": chain_to_json(&chain, datacenter, roots, &healths) }),
    )
}
