//! What is answered when a request is not: a status and one line of text.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use peerway_model::{Failure, FailureKind, Invalid};
use peerway_state::Refused;
use peerway_store::CommitError;

/// A refused request. The text is for the operator who sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) text: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Refusal {
            status,
            text: text.into(),
        }
    }

    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Refusal::new(StatusCode::BAD_REQUEST, text)
    }

    pub(crate) fn absent(text: impl Into<String>) -> Self {
        Refusal::new(StatusCode::NOT_FOUND, text)
    }

    /// A body that could be read but not understood.
    pub(crate) fn body(invalid: Invalid) -> Self {
        Refusal::bad(format!("the request body is refused: {invalid}"))
    }

    /// Something that cannot happen, but did.
    pub(crate) fn internal(text: impl Into<String>) -> Self {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, text)
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        let status = match failure.kind {
            FailureKind::Invalid => StatusCode::BAD_REQUEST,
            FailureKind::Conflict => StatusCode::CONFLICT,
            FailureKind::NotFound => StatusCode::NOT_FOUND,
            // A spent token among others, as Consul answers it.
            FailureKind::Denied => StatusCode::FORBIDDEN,
            FailureKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            FailureKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Refusal::new(status, failure.message)
    }
}

impl From<CommitError> for Refusal {
    fn from(error: CommitError) -> Self {
        let status = match &error {
            CommitError::Refused(Refused::Invalid(_)) => StatusCode::BAD_REQUEST,
            CommitError::Refused(_) => StatusCode::CONFLICT,
            CommitError::Storage(_) | CommitError::Closed => StatusCode::SERVICE_UNAVAILABLE,
        };
        Refusal::new(status, error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.text).into_response();
        let headers = response.headers_mut();
        // The text may repeat what was sent: no browser must take it for a page.
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        response
    }
}
