//! From what a stream knows of itself to what an operator is told of it.

use crate::status::StreamStatus;
use peerway_model::freshness::{
    ExportedStanding, FreshnessState, ImportedStanding, PeerFreshness, Progress, Standing,
};
use peerway_peering_protocol::{
    Answer, ExportedService, Freshness, ImportedService, Judgement, Mark, Standing as Held,
};
use std::time::Duration;

/// A service that the operator does not import.
const FILTERED: &str = "FILTERED";

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The state of everything that is held of a peer.
pub(crate) fn of_peer(judgement: &Judgement) -> Standing {
    Standing {
        state: judgement.state.as_str(),
        reason: judgement.reason.clone(),
        age_ms: judgement.age.map(millis),
    }
}

/// The state of what is held of one service: its own, as far as something is wrong with it; else that of the peer,
/// whatever is wrong with other services.
pub(crate) fn of_service(
    judgement: &Judgement,
    freshness: &Freshness,
    service: &str,
    now: Duration,
) -> Standing {
    let standing = |state: &'static str, reason: &str| Standing {
        state,
        reason: reason.to_owned(),
        age_ms: judgement.age.map(millis),
    };
    if judgement.state == FreshnessState::Failing {
        return of_peer(judgement);
    }
    if let Some(why) = freshness.withheld_by_peer.get(service) {
        return standing(
            FreshnessState::Diverged.as_str(),
            &format!("the peer withholds it: {why}"),
        );
    }
    let known = freshness.services_in.get(service);
    match known.map(|known| &known.standing) {
        Some(Held::Refused(why) | Held::Diverged(why)) => {
            return standing(FreshnessState::Diverged.as_str(), why);
        }
        Some(Held::Filtered) => {
            return standing(FILTERED, "the settings under peering.imports leave it out");
        }
        Some(Held::Inherited) => {
            return standing(
                FreshnessState::Stale.as_str(),
                "nothing came about it since the stream began",
            );
        }
        Some(Held::Applied) | None => {}
    }
    // As if nothing were wrong with other services. A digest that differs is about all of them.
    let others = Freshness {
        proven: freshness.proven,
        synced: freshness.synced,
        digest_differs: freshness.digest_differs,
        ..Freshness::default()
    };
    of_peer(&others.judge(None, now))
}

impl StreamStatus {
    /// Everything that an operator may want to know; `None` when there never was a stream.
    pub fn report(&self) -> Option<PeerFreshness> {
        let judgement = self.judgement.as_ref()?;
        let (freshness, now) = (&self.freshness, self.monotonic);
        let pairs = |(what, why): (&String, &String)| (what.clone(), why.clone());
        let delivery = &freshness.delivery;
        Some(PeerFreshness {
            standing: of_peer(judgement),
            sent: progress(freshness.sent, now),
            received: progress(freshness.received, now),
            applied: progress(freshness.applied, now),
            sent_revision: delivery.sent_revision,
            acked_revision: delivery.acked_revision,
            unanswered: delivery.unanswered,
            digests: freshness.digests,
            resyncs: freshness.resync.total,
            refused: freshness.refused.iter().map(pairs).collect(),
            refused_by_peer: delivery
                .rejected
                .iter()
                .map(|(what, rejection)| (what.clone(), rejection.reason.clone()))
                .collect(),
            imports: freshness
                .services_in
                .iter()
                .map(|(name, service)| ImportedStanding {
                    standing: of_service(judgement, freshness, name, now),
                    ..imported(name, service, now)
                })
                .collect(),
            exports: freshness
                .services_out
                .iter()
                .map(|(name, service)| exported(name, service, now))
                .collect(),
        })
    }
}

fn progress(mark: Mark, now: Duration) -> Progress {
    Progress {
        index: mark.index,
        age_ms: (mark.index > 0).then(|| millis(now.saturating_sub(mark.at))),
    }
}

fn imported(name: &str, service: &ImportedService, now: Duration) -> ImportedStanding {
    ImportedStanding {
        name: name.to_owned(),
        standing: Standing {
            state: FreshnessState::Active.as_str(),
            reason: String::new(),
            age_ms: None,
        },
        instances: service.instances,
        received: progress(service.received.unwrap_or_default(), now),
        applied: progress(service.applied.unwrap_or_default(), now),
    }
}

fn exported(name: &str, service: &ExportedService, now: Duration) -> ExportedStanding {
    let (state, reason) = match &service.answer {
        Answer::Waiting => ("SENT", String::new()),
        Answer::Taken => ("TAKEN", String::new()),
        Answer::Refused(why) => ("REFUSED", why.clone()),
        Answer::Withheld(why) => ("WITHHELD", why.clone()),
    };
    ExportedStanding {
        name: name.to_owned(),
        state,
        reason,
        sent: progress(service.sent.unwrap_or_default(), now),
    }
}
