//! Of which peers what is held is so old that nobody knows any more how they are.

use crate::link::Link;
use crate::metrics;
use peerway_model::PeeringKey;
use peerway_peering_protocol::{Judgement, State};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How old what is held of a peer may be unless the operator says otherwise: well above what heartbeats leave in doubt
/// at any time (see [`FRESH_FOR`](peerway_peering_protocol::FRESH_FOR)).
pub const STALE_AFTER: Duration = Duration::from_secs(60);
/// The least that an operator may ask for: a peer's server that restarts takes as long to come back.
pub const MIN_STALE_AFTER: Duration = Duration::from_secs(1);
/// How often ages are looked at; what is too old is found this much later at most.
pub const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The peers of whom what is held is too old. The newest counts.
pub type Stale = watch::Receiver<Arc<BTreeSet<PeeringKey>>>;

/// When each peer was last known to be as it is held here, on the monotonic clock.
#[derive(Default)]
pub(crate) struct Ages {
    known: BTreeMap<PeeringKey, Duration>,
}

impl Ages {
    /// The peers, among these live ones, of whom what is held was last proven longer than `limit` ago. Whoever is
    /// active is not among them, however short the limit: between two proofs nothing is known to be wrong. A peer
    /// that never proved anything is as old as the first look at it, so that nobody is stale because this process
    /// has just begun.
    pub(crate) fn look(
        &mut self,
        live: impl IntoIterator<Item = (PeeringKey, Option<Judgement>)>,
        now: Duration,
        limit: Duration,
    ) -> BTreeSet<PeeringKey> {
        let before = std::mem::take(&mut self.known);
        let mut stale = BTreeSet::new();
        for (peering, judgement) in live {
            let age = judgement.as_ref().and_then(|judgement| judgement.age);
            let proven = age.map(|age| now.saturating_sub(age));
            // A stream that ended in peace leaves nothing behind that says when.
            let known = before.get(&peering).copied().max(proven).unwrap_or(now);
            let active = judgement.is_some_and(|judgement| judgement.state == State::Active);
            if !active && now.saturating_sub(known) > limit {
                stale.insert(peering.clone());
            }
            self.known.insert(peering, known);
        }
        stale
    }
}

impl Link {
    /// Looks at ages until the link stops.
    pub(crate) async fn age(&self, stale: &watch::Sender<Arc<BTreeSet<PeeringKey>>>) {
        let stop = self.tasks().watch();
        let mut ages = Ages::default();
        loop {
            let found = self.too_old(&mut ages);
            stale.send_if_modified(|current| {
                let changed = **current != found;
                if changed {
                    tell(current, &found);
                    *current = Arc::new(found);
                }
                changed
            });
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = stop.signaled() => return,
            }
        }
    }

    fn too_old(&self, ages: &mut Ages) -> BTreeSet<PeeringKey> {
        let now = self.clock().monotonic();
        let snapshot = self.reader().snapshot();
        let live = snapshot.peerings().filter(|peering| peering.is_live());
        let judged = live.map(|peering| (peering.key.clone(), self.judge(&peering.key, now)));
        ages.look(judged, now, self.stale_after())
    }
}

fn tell(before: &BTreeSet<PeeringKey>, after: &BTreeSet<PeeringKey>) {
    for peering in after.difference(before) {
        metrics::stale(peering, true);
        tracing::warn!(peer = %peering.name, "what is held of the peer is too old, others stand in for it where there are any");
    }
    for peering in before.difference(after) {
        metrics::stale(peering, false);
        tracing::info!(peer = %peering.name, "what is held of the peer is fresh again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::peering;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn judged(state: State, age: Option<u64>) -> Judgement {
        Judgement {
            state,
            reason: String::new(),
            age: age.map(at),
        }
    }

    fn is_stale(ages: &mut Ages, judgement: Option<Judgement>, now: u64) -> bool {
        let east = peering("east");
        let found = ages.look([(east.clone(), judgement)], at(now), at(60));
        found.contains(&east)
    }

    #[test]
    fn the_age_counts_from_the_last_proof_and_only_while_something_is_wrong() {
        for state in State::ALL {
            let wrong = state != State::Active;
            for (age, expected) in [(60, false), (61, wrong)] {
                let found = is_stale(&mut Ages::default(), Some(judged(state, Some(age))), 1000);
                assert_eq!(found, expected, "{state:?} {age}");
            }
        }
    }

    #[test]
    fn who_never_proved_anything_is_as_old_as_the_first_look() {
        for nothing in [None, Some(judged(State::Failing, None))] {
            let mut ages = Ages::default();
            assert!(!is_stale(&mut ages, nothing.clone(), 1000));
            assert!(!is_stale(&mut ages, nothing.clone(), 1060));
            assert!(is_stale(&mut ages, nothing, 1061));
        }
    }

    #[test]
    fn a_proof_is_remembered_past_its_stream_and_forgotten_with_the_peering() {
        let mut ages = Ages::default();
        assert!(!is_stale(&mut ages, Some(judged(State::Active, Some(10))), 1000));
        // The stream ended in peace: nothing is known any more of when.
        let gone = Some(judged(State::Failing, None));
        assert!(!is_stale(&mut ages, gone.clone(), 1050));
        assert!(is_stale(&mut ages, gone.clone(), 1051));
        assert!(!is_stale(&mut ages, Some(judged(State::Active, Some(0))), 1060));
        ages.look([], at(2000), at(60));
        assert!(!is_stale(&mut ages, gone, 2000), "another peering of that name");
    }
}
