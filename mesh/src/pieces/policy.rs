//! Who may call.

use crate::finding::Decides;
use crate::fragment::{Authorization, Lets, Policy};
use crate::naming;
use crate::read::Reading;
use peerway_model::ServiceKey;

/// Who may connect; `None` while nobody is known or single requests are decided about.
pub(super) fn connections(reading: &mut Reading<'_>, service: &ServiceKey) -> Option<Policy> {
    Some(Policy {
        name: naming::connection_policy(service),
        lets: Lets::Connections(callers(reading, service)?),
    })
}

/// Who may send which requests; `None` while nobody is known or the service does not speak HTTP.
pub(super) fn requests(reading: &mut Reading<'_>, service: &ServiceKey) -> Option<Policy> {
    match &*reading.authorization(service)? {
        Decides::Requests { authorization, .. } => Some(Policy {
            name: naming::request_policy(service),
            lets: Lets::Requests(authorization.clone()),
        }),
        Decides::Connections(_) => None,
    }
}

/// Which headers may come in one line only, as [`requests`].
pub(super) fn lines(reading: &mut Reading<'_>, service: &ServiceKey) -> Option<Policy> {
    match &*reading.authorization(service)? {
        Decides::Requests { single_lines, .. } => Some(Policy {
            name: naming::line_policy(service),
            lets: Lets::SingleLines(single_lines.clone()),
        }),
        Decides::Connections(_) => None,
    }
}

/// Everybody that [`connections`] lets in.
pub(super) fn callers(reading: &mut Reading<'_>, service: &ServiceKey) -> Option<Authorization> {
    match &*reading.authorization(service)? {
        Decides::Connections(authorization) => Some(authorization.clone()),
        Decides::Requests { .. } => None,
    }
}
