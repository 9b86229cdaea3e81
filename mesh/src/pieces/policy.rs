//! Who may call.

use crate::finding::Decides;
use crate::fragment::{Authorization, Lets, Policy};
use crate::naming;
use crate::read::Reading;
use peerway_model::ServiceKey;
use peerway_model::config::{JwtProvider, Meta};

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

/// Which tokens are verified, as [`requests`]; `None` also where nobody asks for any.
pub(super) fn tokens(reading: &mut Reading<'_>, service: &ServiceKey) -> Option<Policy> {
    let names = reading.tokens(service);
    let providers: Vec<JwtProvider> = names
        .iter()
        .filter_map(|name| reading.provider(&service.partition, name).cloned())
        .map(|provider| JwtProvider {
            meta: Meta::new(),
            ..provider
        })
        .collect();
    (!providers.is_empty()).then(|| Policy {
        name: naming::token_policy(service),
        lets: Lets::Tokens(providers),
    })
}

/// Everybody that [`connections`] lets in.
pub(super) fn callers(reading: &mut Reading<'_>, service: &ServiceKey) -> Option<Authorization> {
    match &*reading.authorization(service)? {
        Decides::Connections(authorization) => Some(authorization.clone()),
        Decides::Requests { .. } => None,
    }
}
