//! How entries stand of which others decide whether they count: gateways to which routes attach themselves, and these
//! routes. Nothing of it is kept: it is asked of a snapshot, so it cannot be behind what proxies are told.

mod gateway;
mod looking;
mod route;

use crate::change::Topic;
use crate::snapshot::Snapshot;
use looking::Looking;
use peerway_model::condition::{Condition, ConditionKind, Part};
use peerway_model::config::{ApiGateway, Attached};
use peerway_model::{ConfigEntry, ConfigKey, ConfigKind};
use std::collections::BTreeSet;

/// Most things that a message names; it counts the others.
const MAX_NAMED: usize = 8;

/// How an entry stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What is to be said about it; none about kinds that stand alone ([`stands_by_others`]), and about an entry that is
    /// not there.
    pub conditions: Vec<Condition>,
    /// What it was read from, the entry included: a commit that touches none of it leaves it as it is.
    pub topics: BTreeSet<Topic>,
}

/// Whether it is decided by other entries how those of a kind stand.
pub fn stands_by_others(kind: ConfigKind) -> bool {
    matches!(
        kind,
        ConfigKind::ApiGateway | ConfigKind::HttpRoute | ConfigKind::TcpRoute
    )
}

/// How the entry of this key stands.
pub fn standing(snapshot: &Snapshot, key: &ConfigKey) -> Standing {
    let mut looking = Looking::new(snapshot);
    let conditions = match looking.config(key.clone()) {
        Some(ConfigEntry::ApiGateway(entry)) => gateway::conditions(&mut looking, entry),
        Some(ConfigEntry::HttpRoute(route)) => route::of_requests(&mut looking, route),
        Some(ConfigEntry::TcpRoute(route)) => route::of_connections(&mut looking, route),
        _ => Vec::new(),
    };
    Standing {
        conditions,
        topics: looking.into_topics(),
    }
}

/// The listeners of a gateway with the certificates and the routes that they have.
pub fn attached_to<'s>(snapshot: &'s Snapshot, gateway: &'s ApiGateway) -> Vec<Attached<'s>> {
    let mut looking = Looking::new(snapshot);
    let (requests, connections) = (looking.http_routes(), looking.tcp_routes());
    looking.attached(gateway, &requests, &connections)
}

fn condition(
    kind: ConditionKind,
    holds: bool,
    reason: &'static str,
    message: impl Into<String>,
    part: Option<Part>,
) -> Condition {
    Condition {
        kind,
        holds,
        reason,
        message: message.into(),
        part,
    }
}

/// Names in one line, of which [`MAX_NAMED`] are spelt.
fn named<T: AsRef<str>>(names: &[T], between: &str) -> String {
    let spelt: Vec<&str> = names.iter().take(MAX_NAMED).map(AsRef::as_ref).collect();
    let mut text = spelt.join(between);
    if let Some(more) = names.len().checked_sub(MAX_NAMED).filter(|more| *more > 0) {
        text.push_str(&format!("{between}and {more} more"));
    }
    text
}
