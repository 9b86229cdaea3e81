//! How fresh what is held of a peer is, as JSON. Not in Consul: an extra object of a peering.

use peerway_model::freshness::{ExportedStanding, ImportedStanding, PeerFreshness, Progress};
use serde::Serialize;

/// `Freshness` of a peering. Ages are in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct FreshnessJson {
    state: &'static str,
    reason: String,
    age_ms: Option<u64>,
    digests: bool,
    resyncs: u64,
    sent: SentJson,
    received: ProgressJson,
    applied: ProgressJson,
    refused: Vec<RefusedJson>,
    refused_by_peer: Vec<RefusedJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    imports: Option<Vec<ImportJson>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exports: Option<Vec<ExportJson>>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct SentJson {
    index: u64,
    age_ms: Option<u64>,
    revision: u64,
    acked_revision: Option<u64>,
    unanswered: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ProgressJson {
    index: u64,
    age_ms: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RefusedJson {
    resource: String,
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ImportJson {
    name: String,
    state: &'static str,
    reason: String,
    age_ms: Option<u64>,
    instances: usize,
    received: ProgressJson,
    applied: ProgressJson,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ExportJson {
    name: String,
    state: &'static str,
    reason: String,
    sent: ProgressJson,
}

impl FreshnessJson {
    /// The object; with a line for each service if `services` says so, which can be tens of thousands.
    pub fn new(freshness: &PeerFreshness, services: bool) -> Self {
        FreshnessJson {
            state: freshness.standing.state,
            reason: freshness.standing.reason.clone(),
            age_ms: freshness.standing.age_ms,
            digests: freshness.digests,
            resyncs: freshness.resyncs,
            sent: SentJson {
                index: freshness.sent.index,
                age_ms: freshness.sent.age_ms,
                revision: freshness.sent_revision,
                acked_revision: freshness.acked_revision,
                unanswered: freshness.unanswered,
            },
            received: freshness.received.into(),
            applied: freshness.applied.into(),
            refused: refused(&freshness.refused),
            refused_by_peer: refused(&freshness.refused_by_peer),
            imports: services.then(|| freshness.imports.iter().map(ImportJson::from).collect()),
            exports: services.then(|| freshness.exports.iter().map(ExportJson::from).collect()),
        }
    }
}

fn refused(pairs: &[(String, String)]) -> Vec<RefusedJson> {
    let one = |(resource, reason): &(String, String)| RefusedJson {
        resource: resource.clone(),
        reason: reason.clone(),
    };
    pairs.iter().map(one).collect()
}

impl From<Progress> for ProgressJson {
    fn from(progress: Progress) -> Self {
        ProgressJson {
            index: progress.index,
            age_ms: progress.age_ms,
        }
    }
}

impl From<&ImportedStanding> for ImportJson {
    fn from(service: &ImportedStanding) -> Self {
        ImportJson {
            name: service.name.clone(),
            state: service.standing.state,
            reason: service.standing.reason.clone(),
            age_ms: service.standing.age_ms,
            instances: service.instances,
            received: service.received.into(),
            applied: service.applied.into(),
        }
    }
}

impl From<&ExportedStanding> for ExportJson {
    fn from(service: &ExportedStanding) -> Self {
        ExportJson {
            name: service.name.clone(),
            state: service.state,
            reason: service.reason.clone(),
            sent: service.sent.into(),
        }
    }
}
