//! Answers about a peer's services say how fresh they are.

use crate::ask::Ask;
use crate::refusal::Refusal;
use crate::routes::Shared;
use axum::response::Response;
use http::{HeaderName, HeaderValue};
use peerway_model::freshness::FreshnessState;
use peerway_model::{Origin, PeeringKey};

const STATE: HeaderName = HeaderName::from_static("x-peerway-peer-state");
const AGE: HeaderName = HeaderName::from_static("x-peerway-age-ms");

impl Shared {
    /// Adds to an answer about `service` of the peer that was asked about, or about all its services, whether what is
    /// held of it is what the peer exports, and how old it may be. Leaves answers about local services as they are.
    pub(crate) fn with_standing(
        &self,
        ask: &Ask,
        service: Option<&str>,
        mut response: Response,
    ) -> Result<Response, Refusal> {
        let Origin::Peer(name) = ask.origin()? else {
            return Ok(response);
        };
        let key = PeeringKey {
            partition: ask.partition(),
            name,
        };
        let standing = self.parts.introductions.standing(&key, service);
        // Before the first attempt to reach the peer nothing is known but what was stored.
        let state = standing
            .as_ref()
            .map_or(FreshnessState::Stale.as_str(), |standing| standing.state);
        let headers = response.headers_mut();
        headers.insert(STATE, HeaderValue::from_static(state));
        if let Some(age) = standing.and_then(|standing| standing.age_ms) {
            headers.insert(AGE, HeaderValue::from(age));
        }
        Ok(response)
    }
}
