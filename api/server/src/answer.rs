//! What is answered: JSON with the headers that Consul's clients read.

use crate::ask::Ask;
use crate::blocking::index_of;
use crate::refusal::Refusal;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use peerway_state::{Revision, Snapshot};
use serde::Serialize;

const INDEX: HeaderName = HeaderName::from_static("x-consul-index");
/// The id of the change that a write was: the revision of its commit.
const CHANGE: HeaderName = HeaderName::from_static("x-peerway-change");
const CONTENT_HASH: HeaderName = HeaderName::from_static("x-consul-contenthash");
/// Headers of every answer from the snapshot. `LastContact` must be a number: Consul's Go client stops reading
/// headers without it.
const FROM_SNAPSHOT: [(HeaderName, HeaderValue); 3] = [
    (
        HeaderName::from_static("x-consul-lastcontact"),
        HeaderValue::from_static("0"),
    ),
    (
        HeaderName::from_static("x-consul-knownleader"),
        HeaderValue::from_static("true"),
    ),
    (
        HeaderName::from_static("x-consul-effective-consistency"),
        HeaderValue::from_static("leader"),
    ),
];

/// `value` as JSON, indented when the client asked for `pretty`.
pub(crate) fn json(ask: &Ask, value: &impl Serialize) -> Result<Response, Refusal> {
    let mut bytes = Vec::new();
    let written = if ask.is_set("pretty") {
        let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
        value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, indent))
    } else {
        serde_json::to_writer(&mut bytes, value)
    };
    written.map_err(|error| Refusal::internal(format!("the answer could not be written: {error}")))?;
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    Ok(response)
}

/// `value`, read from `snapshot`, as JSON with the index to wait past.
pub(crate) fn indexed(ask: &Ask, snapshot: &Snapshot, value: &impl Serialize) -> Result<Response, Refusal> {
    Ok(with_index(json(ask, value)?, index_of(snapshot)))
}

/// That `snapshot` has no such row, with the index to wait past for one: clients expect it on a 404 too.
pub(crate) fn absent(snapshot: &Snapshot, text: String) -> Response {
    with_index(Refusal::absent(text).into_response(), index_of(snapshot))
}

/// Adds the headers of an answer from the snapshot.
pub(crate) fn with_index(mut response: Response, index: u64) -> Response {
    let headers = response.headers_mut();
    headers.insert(INDEX, HeaderValue::from(index));
    headers.extend(FROM_SNAPSHOT);
    response
}

/// Adds the hash to wait past.
pub(crate) fn with_hash(mut response: Response, hash: &str) -> Result<Response, Refusal> {
    let value = HeaderValue::from_str(hash).map_err(|error| Refusal::internal(error.to_string()))?;
    response.headers_mut().insert(CONTENT_HASH, value);
    Ok(response)
}

/// Adds the id of the change that the request was. A write that changed nothing has the id of the newest change.
pub(crate) fn with_change(mut response: Response, change: Revision) -> Response {
    response.headers_mut().insert(CHANGE, HeaderValue::from(change));
    response
}

/// Success without a body.
pub(crate) fn done() -> Response {
    StatusCode::OK.into_response()
}
